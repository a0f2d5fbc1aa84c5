package secrets_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

// panicking is a Source that panics with a secret while on is set.
type panicking struct {
	*fake

	on bool
}

func (p *panicking) Status(ctx context.Context, path string) (secrets.Status, error) {
	if p.on {
		panic(canary)
	}
	return p.fake.Status(ctx, path)
}

// TestRefreshPanics checks that a panic of a refresh doesn't end the process. The held key serves
// on, and the refresh is tried again at the usual pace.
func TestRefreshPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &panicking{fake: &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}, on: true}
		log := &secretstest.Buffer{}
		k := secrets.NewKeyring(secrets.Options{Source: source, MaxRate: 1e6, Log: secretstest.NewLog(log)})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Get(acme, 0); !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("before the first good refresh: %v", err)
		}
		source.on = false
		run(t, k, 30*time.Second, acme)
		source.on = true
		if _, err := k.Get(acme, 0); err != nil {
			t.Errorf("the refreshes didn't go on: %v", err)
		}
		text := log.String()
		if !strings.Contains(text, "the refresh of a secret panicked") || !strings.Contains(text, "panicking") ||
			leaks(text, canary) != nil {
			t.Errorf("the log is %s", text)
		}
	})
}

// TestRefreshPanicsWhileHeld checks that a panic leaves the held key in use, and that the failing
// refreshes keep the pauses of an outage.
func TestRefreshPanicsWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &panicking{fake: &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}}
		log := &secretstest.Buffer{}
		k := secrets.NewKeyring(secrets.Options{Source: source, MaxRate: 1e6, Log: secretstest.NewLog(log)})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		source.on = true
		run(t, k, 10*time.Minute, acme)
		if _, err := k.Get(acme, 0); err != nil {
			t.Errorf("the held key doesn't serve: %v", err)
		}
		// One each 10 s, and a few more at the beginning.
		if n := strings.Count(log.String(), "the refresh of a secret panicked"); n < 50 || n > 90 {
			t.Errorf("%d refreshes in 10 minutes", n)
		}
	})
}
