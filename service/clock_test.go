//go:build long

package service_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// offClock is an HTTP server whose clock differs from ours.
type offClock struct {
	*httptest.Server

	ahead atomic.Int64
}

func newOffClock(t *testing.T, ahead time.Duration) *offClock {
	t.Helper()
	c := &offClock{}
	c.ahead.Store(int64(ahead))
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Duration(c.ahead.Load())).UTC().Format(http.TimeFormat))
	}))
	t.Cleanup(c.Close)
	return c
}

// TestNotReadyWithWrongClock checks that a replica whose clock two references say is wrong doesn't
// become ready before they agree no longer.
func TestNotReadyWithWrongClock(t *testing.T) {
	t.Parallel()
	a, b := newOffClock(t, 5*time.Minute), newOffClock(t, 5*time.Minute)
	checkConfigurationBecomesReady(t, "clock: {references: ['"+a.URL+"', '"+b.URL+"']}\n"+configuration,
		secrets.NewKeyring(secrets.Options{Source: newStore(), MaxRate: 1e6}),
		"this machine's clock is wrong: it is behind by ", func() { b.ahead.Store(0) })
}

// TestReadyWithOneWrongReference checks that one reference alone, which may itself be wrong,
// doesn't keep a replica from ready. Nor does one that doesn't answer.
func TestReadyWithOneWrongReference(t *testing.T) {
	t.Parallel()
	a := newOffClock(t, 5*time.Minute)
	r := serveConfiguration(t, "clock: {references: ['"+a.URL+"', 'http://127.0.0.1:1']}\n"+configuration,
		secrets.NewKeyring(secrets.Options{Source: newStore(), MaxRate: 1e6}))
	r.awaitReady(t)
}
