package clock_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/clock"
)

// TestReferences checks that the references are asked once each, that an answer of a proxy's fault
// counts for nothing, and that the log warns once.
func TestReferences(t *testing.T) {
	var requests atomic.Int64
	serve := func(ahead time.Duration, status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if r.Method != http.MethodHead {
				t.Errorf("method %s", r.Method)
			}
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(status)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	behind, redirect := serve(-5*time.Minute, http.StatusNotFound), serve(0, http.StatusFound)
	urls := []string{behind, redirect, serve(time.Hour, http.StatusBadGateway), "http://127.0.0.1:1"}
	var log bytes.Buffer
	r := clock.NewReferences(func() []string { return urls }, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if got := r.ClockOffsets(); len(got) != 0 {
		t.Errorf("before the first measurement: %v", got)
	}
	for range 2 {
		r.MeasureClocks(t.Context())
	}
	got := make(map[string]time.Duration)
	for _, o := range r.ClockOffsets() {
		got["http://"+o.Host] = o.Ahead.Round(time.Minute)
	}
	if len(got) != 2 || got[behind] != -5*time.Minute || got[redirect] != 0 {
		t.Errorf("offsets %v", got)
	}
	if n := requests.Load(); n != 6 {
		t.Errorf("%d requests", n)
	}
	if n := strings.Count(log.String(), "our clock and another host's differ"); n != 1 {
		t.Errorf("the log has %d warnings: %s", n, &log)
	}
	// A reference that was removed from the configuration counts no longer.
	urls = urls[1:]
	r.MeasureClocks(t.Context())
	if got := r.ClockOffsets(); len(got) != 1 {
		t.Errorf("offsets %v", got)
	}
}

// TestOffsetsAge checks that an offset that isn't confirmed ends to count.
func TestOffsetsAge(t *testing.T) {
	now := time.Now()
	o := clock.NewOffsets(func() time.Time { return now }, slog.New(slog.DiscardHandler))
	o.Record(clock.Offset{Host: "a", Ahead: time.Minute})
	if len(o.All()) != 1 {
		t.Error("it doesn't count at all")
	}
	if now = now.Add(31 * time.Minute); len(o.All()) != 0 {
		t.Error("it counts after half an hour")
	}
}
