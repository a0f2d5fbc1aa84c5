package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

const (
	one = secretstest.First
	two = secretstest.Second
)

var acme = secrets.Ref{Path: "sso/acme", Field: "shared_secret"}

func TestStore(t *testing.T) {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store := &memory.Store{Now: func() time.Time { return created }}
	k := secrets.NewKeyring(secrets.Options{Source: store, MaxRate: 1e6})
	for _, tc := range []struct {
		name             string
		act              func() error
		active, previous secrets.Version
		staged           secrets.Version
		err              error
	}{
		{"nothing", func() error { return nil }, 0, 0, 0, secrets.ErrNotFound},
		{"first version", func() error { store.Put(acme.Path, acme.Field, []byte(one)); return nil }, 1, 0, 0, nil},
		{"latest is active", func() error { store.Put(acme.Path, acme.Field, []byte(two)); return nil }, 2, 1, 0, nil},
		{"pinned", func() error { return store.Activate(acme.Path, 2) }, 2, 2, 0, nil},
		{"staged", func() error { store.Put(acme.Path, acme.Field, []byte(one)); return nil }, 2, 2, 3, nil},
		{"activated", func() error { return store.Activate(acme.Path, 3) }, 3, 2, 0, nil},
		{"rolled back", func() error { return store.Activate(acme.Path, 2) }, 2, 3, 3, nil},
		{"disabled", func() error { return store.Disable(acme.Path, true) }, 0, 0, 0, secrets.ErrDisabled},
		{"enabled", func() error { return store.Disable(acme.Path, false) }, 2, 3, 3, nil},
		{"unavailable", func() error { store.SetError(errors.New("unavailable")); return nil }, 2, 3, 3, nil},
		{"denied", func() error { store.SetError(secrets.ErrDenied); return nil }, 0, 0, 0, secrets.ErrDenied},
		{"available again", func() error { store.SetError(nil); return nil }, 2, 3, 3, nil},
		{"deleted", func() error { return store.Delete(acme.Path, 2) }, 0, 0, 0, secrets.ErrDeleted},
		{"pointed at nothing", func() error { return store.Activate(acme.Path, 9) }, 0, 0, 0, secrets.ErrUnusable},
		{"removed", func() error { store.Remove(acme.Path); return nil }, 0, 0, 0, secrets.ErrNotFound},
		{"created again", func() error { store.Put(acme.Path, acme.Field, []byte(one)); return nil }, 1, 0, 0, nil},
	} {
		if err := errors.Join(tc.act(), k.Warm(t.Context(), acme)); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		_, _, _ = k.Refresh(t.Context(), acme)
		held, err := k.Get(acme, 0)
		if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.err)
			continue
		}
		if err != nil {
			continue
		}
		s := held.Status
		if s.Active != tc.active || s.Previous != tc.previous || s.Staged() != tc.staged ||
			!s.Versions[0].Created.Equal(created) {
			t.Errorf("%s: %+v", tc.name, s)
		}
		if key, ok := held.Key(0); !ok || key.Version() != tc.active {
			t.Errorf("%s: %v signs", tc.name, key)
		}
	}
}

func TestStoreReads(t *testing.T) {
	store := &memory.Store{}
	store.Put("p", "f", []byte(one))
	store.Put("p", "f", []byte("short"))
	for _, tc := range []struct {
		ref  secrets.Ref
		v    secrets.Version
		want error
	}{
		{secrets.Ref{Path: "p", Field: "f"}, 1, nil},
		{secrets.Ref{Path: "p", Field: "f"}, 2, secrets.ErrUnusable},
		{secrets.Ref{Path: "p", Field: "f"}, 3, secrets.ErrNotFound},
		{secrets.Ref{Path: "p", Field: "f"}, 0, secrets.ErrNotFound},
		{secrets.Ref{Path: "p", Field: "g"}, 1, secrets.ErrUnusable},
		{secrets.Ref{Path: "q", Field: "f"}, 1, secrets.ErrNotFound},
	} {
		key, err := store.Key(t.Context(), tc.ref, tc.v)
		if !errors.Is(err, tc.want) || key.IsZero() != (tc.want != nil) {
			t.Errorf("%v %d: %v, %v, want %v", tc.ref, tc.v, key, err, tc.want)
		}
	}
	for name, err := range map[string]error{
		"Activate": store.Activate("q", 1),
		"Delete":   store.Delete("q", 1),
		"Disable":  store.Disable("q", true),
	} {
		if !errors.Is(err, secrets.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Status(ended, "p"); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		out := fmt.Sprintf(verb, store)
		if strings.Contains(out, one) || strings.Contains(out, fmt.Sprintf("%x", one)) {
			t.Errorf("%s shows a secret", verb)
		}
	}
}

// TestFields checks that a version has only the fields that were put.
func TestFields(t *testing.T) {
	store := &memory.Store{}
	store.PutFields("sso/both", map[string][]byte{"a": []byte(one), "b": []byte(two)})
	store.PutFields("sso/both", map[string][]byte{"b": []byte(one)})
	for _, c := range []struct {
		field   string
		version secrets.Version
		fault   error
	}{{"a", 1, nil}, {"b", 1, nil}, {"a", 2, secrets.ErrUnusable}, {"b", 2, nil}} {
		key, err := store.Key(t.Context(), secrets.Ref{Path: "sso/both", Field: c.field}, c.version)
		if !errors.Is(err, c.fault) || err == nil && key.Version() != c.version {
			t.Errorf("%s of version %d: %v", c.field, c.version, err)
		}
	}
}
