package secrets_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// TestRetry checks that Retry refreshes at once what the store didn't answer, and nothing else.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, _ := newKeyring(t, f, secrets.Options{Refresh: time.Hour})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		after := func(d time.Duration) int {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			n, _ := f.counts()
			return n
		}

		before := after(time.Minute)
		k.Retry()
		if n := after(time.Second); n != before {
			t.Errorf("%d refreshes of a secret that is up to date", n-before)
		}
		f.set(func(f *fake) { f.err = errSealed })
		after(12 * time.Hour) // so that the pause is the interval
		k.Retry()             // of a pause that may be about to end
		before = after(time.Minute)
		f.set(func(f *fake) { f.err = nil })
		k.Retry()
		if n := after(time.Millisecond); n != before+1 {
			t.Errorf("%d refreshes, want one at once", n-before)
		}
		if s, _ := k.State(acme); s.Fault != nil {
			t.Error(s.Fault)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
}
