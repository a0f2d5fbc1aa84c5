package secrets_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// TestKeyringRules refreshes a keyring with two answers of a store, and checks what it holds
// afterwards.
func TestKeyringRules(t *testing.T) {
	const old = time.Hour // the time between the two answers
	later := func(s secrets.Status) secrets.Status {
		s.Versions = slices.Clone(s.Versions)
		for i := range s.Versions {
			s.Versions[i].Created = epoch.Add(time.Minute * time.Duration(i+1))
		}
		return s
	}
	off := func(s secrets.Status) secrets.Status { s.Disabled = true; return s }

	for _, tc := range []struct {
		name   string
		first  secrets.Status
		second secrets.Status
		set    func(*fake) // further changes before the second refresh
		active secrets.Version
		keys   []secrets.Version // for verification
		err    error             // from Get, with a long max_stale
		stale  error             // from Get, with a short max_stale
		says   string            // in the Fault of the state
	}{
		{name: "nothing new", first: latest(2), second: latest(2), active: 2},
		{name: "a new latest version without a pointer", first: latest(2), second: latest(3), active: 3},
		{name: "the pointer moves on", first: pinned(2, 3, 1), second: pinned(3, 3, 2), active: 3},
		{
			name:  "a version is staged",
			first: pinned(2, 2, 1), second: pinned(2, 3, 1),
			active: 2, keys: []secrets.Version{2, 3},
		},
		{
			name:  "rolled back: lower version, higher serial",
			first: pinned(3, 3, 2), second: pinned(2, 3, 3),
			active: 2, keys: []secrets.Version{2, 3},
		},
		{
			name:  "the pointer moved by hand, without serials",
			first: pinned(3, 3, 0), second: pinned(2, 3, 0),
			active: 2, keys: []secrets.Version{2, 3},
		},

		{
			name:  "the new value is unusable",
			first: pinned(2, 2, 1), second: pinned(3, 3, 2),
			set:    func(f *fake) { f.secret[3] = "short" },
			active: 2, stale: secrets.ErrUnusable, says: "too short",
		},
		{
			name:   "the status is unusable",
			first:  pinned(2, 2, 1),
			set:    func(f *fake) { f.err = fmt.Errorf("active_version is malformed: %w", secrets.ErrUnusable) },
			active: 2, stale: secrets.ErrUnusable, says: "malformed",
		},
		{
			name:  "the pointer names a version that was never written",
			first: pinned(2, 2, 1), second: pinned(9, 2, 2),
			active: 2, stale: secrets.ErrUnusable, says: "the latest is 2",
		},

		{
			name:  "the pointer has vanished",
			first: pinned(2, 3, 1), second: latest(3),
			active: 2, keys: []secrets.Version{2, 3}, says: "active_version has vanished",
		},
		{
			name:  "the pointer has vanished and a version is new",
			first: pinned(2, 2, 1), second: latest(3),
			active: 2, keys: []secrets.Version{2, 3}, says: "active_version has vanished",
		},
		{
			name:  "the pointer has vanished and the version with it",
			first: pinned(2, 3, 1), second: latest(3, 2),
			err: secrets.ErrDeleted, stale: secrets.ErrDeleted, says: "deleted",
		},
		{
			name:  "the pointer has vanished, and the kill switch with it",
			first: off(pinned(2, 3, 1)), second: latest(3),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "vanished",
		},

		{
			name:  "a lower serial",
			first: pinned(3, 3, 2), second: pinned(2, 3, 1),
			active: 3, stale: secrets.ErrUnavailable,
		},
		{
			name:  "a lower version, nothing created later",
			first: latest(3), second: latest(2),
			active: 3, stale: secrets.ErrUnavailable,
		},
		{
			name:  "a lower version from before the pointer",
			first: pinned(2, 3, 1), second: latest(2),
			active: 2, keys: []secrets.Version{2, 3}, stale: secrets.ErrUnavailable,
		},
		{
			name:  "a lower version with a higher serial",
			first: pinned(3, 4, 2), second: pinned(2, 2, 3),
			active: 2,
		},

		{
			name:  "off at a lower serial",
			first: pinned(3, 3, 2), second: off(pinned(2, 3, 1)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "off at a lower version",
			first: pinned(3, 3, 2), second: off(pinned(2, 2, 1)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "off without a serial",
			first: pinned(3, 3, 2), second: off(pinned(3, 3, 0)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "off without a pointer",
			first: pinned(2, 3, 1), second: off(latest(3)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "vanished",
		},
		{
			name:  "off, and the active version is gone",
			first: pinned(2, 3, 1), second: off(pinned(2, 3, 1, 2)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "deleted",
		},
		{
			name:  "off, and the pointer names no version",
			first: pinned(2, 3, 1), second: off(pinned(9, 3, 2)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "the latest is 3",
		},
		{
			name:  "off, and the new value is unusable",
			first: pinned(2, 2, 1), second: off(pinned(3, 3, 2)),
			set: func(f *fake) { f.secret[3] = "short" },
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "too short",
		},
		{
			name:  "off, and the new value is denied",
			first: pinned(2, 2, 1), second: off(pinned(3, 3, 2)),
			set: func(f *fake) { f.keyErr[3] = secrets.ErrDenied },
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "denied",
		},
		{
			name:  "on at a lower serial",
			first: off(pinned(3, 3, 2)), second: pinned(2, 3, 1),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "on at a lower version",
			first: off(pinned(3, 3, 2)), second: pinned(2, 2, 1),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{name: "on at an equal serial", first: off(pinned(3, 3, 2)), second: pinned(3, 3, 2), active: 3},
		{
			name:  "on because the secret was created again",
			first: off(pinned(2, 3, 4)), second: later(latest(3)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "on because the secret was created again, with a higher serial",
			first: off(pinned(2, 3, 4)), second: later(pinned(3, 3, 5)),
			active: 3,
		},
		{name: "a lower version, but created again", first: latest(3), second: later(latest(1)), active: 1},
		{name: "created again, up to the same number", first: pinned(2, 3, 4), second: later(latest(3)), active: 3},

		{
			name:  "the active version is gone",
			first: latest(3), second: latest(3, 3),
			err: secrets.ErrDeleted, stale: secrets.ErrDeleted, says: "active version 3",
		},
		{
			name:  "the pinned version is gone",
			first: pinned(2, 3, 1), second: pinned(2, 3, 1, 2),
			err: secrets.ErrDeleted, stale: secrets.ErrDeleted, says: "active version 2",
		},
		{
			name:   "the pinned version was pruned",
			first:  pinned(1, 3, 1),
			second: secrets.Status{Active: 1, Pinned: true, Latest: 3, Serial: 1, Versions: versions(3)[1:]},
			err:    secrets.ErrDeleted, stale: secrets.ErrDeleted,
		},
		{
			name:  "a new version came and was deleted before a refresh",
			first: latest(2), second: latest(3, 3),
			err: secrets.ErrDeleted, stale: secrets.ErrDeleted,
		},
		{
			name:  "deleted between status and value",
			first: latest(2), second: latest(3),
			set: func(f *fake) { f.keyErr[3] = secrets.ErrDeleted },
			err: secrets.ErrDeleted, stale: secrets.ErrDeleted,
		},

		{
			name:  "the status is denied",
			first: latest(2),
			set:   func(f *fake) { f.err = secrets.ErrDenied },
			err:   secrets.ErrDenied, stale: secrets.ErrDenied,
		},
		{
			name:  "the value is denied",
			first: latest(2), second: latest(3),
			set: func(f *fake) { f.keyErr[3] = secrets.ErrDenied },
			err: secrets.ErrDenied, stale: secrets.ErrDenied,
		},
		{
			name:  "the path is gone",
			first: latest(2),
			set:   func(f *fake) { f.err = secrets.ErrNotFound },
			err:   secrets.ErrNotFound, stale: secrets.ErrNotFound,
		},

		{
			name:   "the store is unavailable",
			first:  latest(2),
			set:    func(f *fake) { f.err = errSealed },
			active: 2, stale: secrets.ErrUnavailable, says: "sealed",
		},
		{
			name:  "unavailable between status and value",
			first: latest(2), second: latest(3),
			set:    func(f *fake) { f.keyErr[3] = errSealed },
			active: 2, stale: secrets.ErrUnavailable, says: "sealed",
		},
		{
			name:  "the store hangs",
			first: latest(2), second: latest(3),
			set:    func(f *fake) { f.delay = time.Minute },
			active: 2, stale: secrets.ErrUnavailable, says: "deadline",
		},

		{
			name:  "switched off",
			first: latest(2), second: off(latest(2)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "switched off, then unavailable",
			first: off(latest(2)),
			set:   func(f *fake) { f.err = errSealed },
			err:   secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{name: "switched on again", first: off(latest(2)), second: latest(2), active: 2},

		{
			name:  "the staged version is unusable",
			first: pinned(2, 2, 1), second: pinned(2, 3, 1),
			set:    func(f *fake) { f.secret[3] = "short" },
			active: 2, keys: []secrets.Version{2}, says: "too short",
		},
		{
			name:   "a store that can't lag goes back",
			first:  secrets.Status{Active: 3, Latest: 3, Versions: versions(3), Revision: 4},
			second: secrets.Status{Active: 1, Latest: 1, Versions: versions(1), Revision: 5},
			active: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{
					status: map[string]secrets.Status{acme.Path: tc.first},
					secret: map[secrets.Version]string{}, keyErr: map[secrets.Version]error{},
				}
				k, _ := newKeyring(t, f, secrets.Options{})
				if err := k.Warm(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
				if first, ok := k.State(acme); !ok || first.Held == nil {
					t.Fatalf("the first answer was not accepted: %v", first.Fault)
				}
				time.Sleep(old)
				f.set(func(f *fake) {
					if tc.second.Versions != nil {
						f.status[acme.Path] = tc.second
					}
					if tc.set != nil {
						tc.set(f)
					}
				})
				_, _, err := k.Refresh(t.Context(), acme)
				if tc.err != nil && !errors.Is(tc.err, secrets.ErrDisabled) && !errors.Is(err, tc.err) {
					t.Errorf("Refresh: %v, want %v", err, tc.err)
				}

				held, err := k.Get(acme, 2*old)
				if !errors.Is(err, tc.err) {
					t.Fatalf("Get: %v, want %v", err, tc.err)
				}
				if tc.err == nil {
					checkHeld(t, held, tc.active, tc.keys)
				}
				_, err = k.Get(acme, old/2)
				if !errors.Is(err, tc.stale) {
					t.Errorf("Get with a short max_stale: %v, want %v", err, tc.stale)
				}
				var unavailable *secrets.UnavailableError
				if errors.Is(tc.stale, secrets.ErrUnavailable) &&
					(!errors.As(err, &unavailable) || unavailable.RetryAfter <= 0) {
					t.Errorf("%v has no RetryAfter", err)
				}
				state, _ := k.State(acme)
				if tc.says == "" && tc.err == nil && state.Fault != nil {
					t.Errorf("fault %q", state.Fault)
				}
				if tc.says != "" && (state.Fault == nil || !strings.Contains(state.Fault.Error(), tc.says)) {
					t.Errorf("fault %v doesn't say %q", state.Fault, tc.says)
				}
			})
		})
	}
}

func checkHeld(t *testing.T, held *secrets.Held, active secrets.Version, want []secrets.Version) {
	t.Helper()
	if key, ok := held.Key(0); !ok || key.Version() != active {
		t.Errorf("active key is %v, want version %d", key, active)
	}
	if want == nil {
		want = []secrets.Version{active}
	}
	var got []secrets.Version
	for _, key := range held.Keys() {
		got = append(got, key.Version())
		if k, ok := held.Key(key.Version()); !ok || k.Version() != key.Version() {
			t.Errorf("Key(%d) doesn't find what Keys lists", key.Version())
		}
		if _, err := key.Sign(t.Context(), "input"); err != nil {
			t.Errorf("%v: %v", key, err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("held versions %v, want %v", got, want)
	}
	if _, ok := held.Key(77); ok {
		t.Error("Key found a version that isn't held")
	}
}
