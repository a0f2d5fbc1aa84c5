package vault_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

// TestRefusals checks that the source logs in again once after a 403. Only a refusal of the new
// token means that the read is denied.
func TestRefusals(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	forbid := func(yes bool) {
		f.set(func(f *fakeVault) {
			if delete(f.answers, "secret/data/sso/acme"); yes {
				f.answers["secret/data/sso/acme"] = reply{403, `{"errors": ["permission denied", "` + canary + `"]}`}
			} else {
				f.answers["secret/data/sso/acme"] = reply{200, data(2, `{"shared_secret": "`+canary+`"}`)}
			}
		})
	}
	forbid(true)
	now.add(time.Minute)
	for i := range 5 {
		_, err := source.Key(t.Context(), acme, 2)
		if !errors.Is(err, secrets.ErrDenied) {
			t.Errorf("read %d: %v, want ErrDenied", i, err)
		}
		secretstest.CheckErrorText(t, err, "secret/data/sso/acme version 2", "policy")
	}
	if f.logins != 2 {
		t.Errorf("%d further logins for five refusals, want 1", f.logins-1)
	}
	forbid(false)
	if _, err := source.Key(t.Context(), acme, 2); err != nil {
		t.Errorf("permission came back, but: %v", err)
	}

	// If the login after a refusal fails too, the store is unavailable.
	f.set(func(f *fakeVault) {
		f.refused["t2"] = true
		f.answers["auth/approle/login"] = reply{403, `{"errors": ["permission denied"]}`}
	})
	now.add(time.Minute)
	_, err := source.Key(t.Context(), acme, 2)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "auth/approle/login")
}

// TestWhichTokensRefusalCounts checks that a read is denied only if the refused token replaced
// another refused token. All other tokens may have been revoked, even if they are new.
func TestWhichTokensRefusalCounts(t *testing.T) {
	const path = "secret/metadata/sso/acme"
	for _, tc := range []struct {
		name   string
		lease  int // seconds
		before func(f *fakeVault, now *clock, read func() error) error
		logins int // in all
		denied bool
	}{
		{"the token of the first login", 3600, nil, 2, false},
		{"a replacement of a refused token", 3600, func(f *fakeVault, _ *clock, read func() error) error {
			f.set(func(f *fakeVault) { f.refused["t1"] = true })
			return read()
		}, 2, true},
		{"the same, a while later", 3600, func(f *fakeVault, now *clock, read func() error) error {
			f.set(func(f *fakeVault) { f.refused["t1"] = true })
			err := read()
			now.add(10 * time.Second)
			return err
		}, 3, false},
		{"a replacement of an expired token", 100, func(_ *fakeVault, now *clock, read func() error) error {
			now.add(200 * time.Second)
			return read()
		}, 3, false},
		{"a renewed token", 100, func(_ *fakeVault, now *clock, read func() error) error {
			now.add(80 * time.Second)
			return read()
		}, 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, now := newFakeVault(t), newClock()
			f.lease = tc.lease
			source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
			read := func() error { _, err := source.Status(t.Context(), acme.Path); return err }
			if err := read(); err != nil {
				t.Fatal(err)
			}
			if tc.before != nil {
				if err := tc.before(f, now, read); err != nil {
					t.Fatal(err)
				}
			}
			f.set(func(f *fakeVault) { f.refused[f.requests[len(f.requests)-1].token] = true })
			before := f.count(path)
			err := read()
			if errors.Is(err, secrets.ErrDenied) != tc.denied || (err != nil) != tc.denied {
				t.Errorf("refused to the token alone: %v, want ErrDenied: %v", err, tc.denied)
			}
			if f.logins != tc.logins {
				t.Errorf("%d logins, want %d", f.logins, tc.logins)
			}
			if n, want := f.count(path)-before, map[bool]int{true: 1, false: 2}[tc.denied]; n != want {
				t.Errorf("read %d times, want %d", n, want)
			}
		})
	}
}

// TestRefusalsDontBecomeLogins checks that there is one login in ten seconds after the first, for
// any number of secrets that may not be read.
func TestRefusalsDontBecomeLogins(t *testing.T) {
	const many = 50
	f, now := newFakeVault(t), newClock()
	for i := range many {
		f.answers[fmt.Sprintf("secret/metadata/sso/%d", i)] = reply{403, canary}
	}
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
	for second := range 40 {
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				if _, err := source.Status(t.Context(), fmt.Sprintf("sso/%d", i)); !errors.Is(err, secrets.ErrDenied) {
					t.Errorf("second %d: %v, want ErrDenied", second, err)
				}
			})
		}
		wg.Wait()
		if want := 2 + second/10; f.logins != want {
			t.Fatalf("second %d: %d logins, want %d", second, f.logins, want)
		}
		now.add(time.Second)
	}
}
