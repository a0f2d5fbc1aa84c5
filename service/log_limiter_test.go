package service

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
)

func TestLogLimiter(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	var r logLimiter
	for _, step := range []struct {
		after   time.Duration
		cause   string
		leftOut int
		ok      bool
	}{
		{0, "a", 0, true},
		{0, "a", 0, false},
		{0, "b", 0, true},
		{999 * time.Millisecond, "a", 0, false},
		{time.Second, "a", 2, true},
		{time.Second, "b", 0, true},
		{1900 * time.Millisecond, "a", 0, false},
		{time.Minute, "a", 1, true},
		{2 * time.Minute, "a", 0, true},
	} {
		if leftOut, ok := r.allow(step.cause, begin.Add(step.after)); leftOut != step.leftOut || ok != step.ok {
			t.Errorf("%s after %v: %d %v, want %d %v", step.cause, step.after, leftOut, ok, step.leftOut, step.ok)
		}
	}
}

// TestLogLimiterMaxCauses checks that a large number of different causes fills neither the memory
// nor the log.
func TestLogLimiterMaxCauses(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	var r logLimiter
	logged := 0
	for i := range 10 * maxCauses {
		if _, ok := r.allow(fmt.Sprint(i), begin); ok {
			logged++
		}
	}
	if logged != maxCauses+1 || len(r.seen) != maxCauses+1 {
		t.Errorf("%d lines and %d causes, want %d of each", logged, len(r.seen), maxCauses+1)
	}
	if leftOut, ok := r.allow("new", begin.Add(time.Second)); leftOut != 0 || !ok || len(r.seen) != 1 {
		t.Errorf("a second later: %d %v, %d causes", leftOut, ok, len(r.seen))
	}
}

// TestFaultLogRate checks that the log has one line a second if every request fails for the same
// cause.
func TestFaultLogRate(t *testing.T) {
	out := &safeBuffer{}
	s := newTestService(t, out, nil)
	for range 1000 {
		s.logFault(t.Context(), &exchange{method: methods()[0], call: &transport.Call{}}, signin.Facts{},
			classify(fmt.Errorf("the store is away")))
	}
	if log := out.take(); len(log) > 2000 {
		t.Errorf("the log of 1000 faults has %d bytes, want at most 2000", len(log))
	}
}

// TestServerErrorLog checks that failed handshakes from different ports write one line a second.
func TestServerErrorLog(t *testing.T) {
	var log bytes.Buffer
	l := serverErrorLog{&Service{log: slog.New(slog.NewTextHandler(&log, nil))}}
	for port := range 500 {
		line := fmt.Appendf(nil, "http: TLS handshake error from 192.0.2.1:%d: EOF\n", port)
		if n, err := l.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines == 0 || lines > 5 {
		t.Errorf("%d lines:\n%s", lines, &log)
	}
	if !strings.Contains(log.String(), "192.0.2.1:0: EOF") {
		t.Errorf("the line isn't the message of net/http: %s", &log)
	}
}
