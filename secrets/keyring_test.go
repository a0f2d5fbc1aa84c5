package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// TestKeyringRules is a table of answers of the store. Each row has a first answer, a second
// answer, and what the keyring holds afterwards.
func TestKeyringRules(t *testing.T) {
	const old = time.Hour // between the two answers; less than any max_stale but short's
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
		keys   []secrets.Version // held for verification
		err    error             // from Get, with a long max_stale
		stale  error             // from Get, with a short max_stale
		says   string            // in State's fault
	}{
		{name: "nothing new", first: latest(2), second: latest(2), active: 2},
		{name: "a new latest version without a pointer", first: latest(2), second: latest(3), active: 3},
		{name: "the pointer moves on", first: pinned(2, 3, 1), second: pinned(3, 3, 2), active: 3},
		{
			name:  "a version is staged",
			first: pinned(2, 2, 1), second: pinned(2, 3, 1), active: 2, keys: []secrets.Version{2, 3},
		},
		{
			name:  "rolled back: lower version, higher serial",
			first: pinned(3, 3, 2), second: pinned(2, 3, 3), active: 2, keys: []secrets.Version{2, 3},
		},
		{
			name:  "the pointer moved by hand, without serials",
			first: pinned(3, 3, 0), second: pinned(2, 3, 0), active: 2, keys: []secrets.Version{2, 3},
		},

		{name: "the new value is unusable", first: pinned(2, 2, 1), second: pinned(3, 3, 2),
			set: func(f *fake) { f.secret[3] = "short" }, active: 2, stale: secrets.ErrUnusable, says: "too short"},
		{name: "the status is unusable", first: pinned(2, 2, 1),
			set:    func(f *fake) { f.err = fmt.Errorf("active_version is malformed: %w", secrets.ErrUnusable) },
			active: 2, stale: secrets.ErrUnusable, says: "malformed"},
		{name: "the pointer names a version that was never written", first: pinned(2, 2, 1), second: pinned(9, 2, 2),
			active: 2, stale: secrets.ErrUnusable, says: "the latest is 2"},

		{
			name:  "the pointer has vanished",
			first: pinned(2, 3, 1), second: latest(3), active: 2, keys: []secrets.Version{2, 3},
			says: "active_version has vanished",
		},
		{
			name:  "the pointer has vanished and a version is new",
			first: pinned(2, 2, 1), second: latest(3), active: 2, keys: []secrets.Version{2, 3},
			says: "active_version has vanished",
		},
		{
			name:  "the pointer has vanished and the version with it",
			first: pinned(2, 3, 1), second: latest(3, 2), err: secrets.ErrDeleted, stale: secrets.ErrDeleted,
			says: "deleted",
		},
		{
			name:  "the pointer has vanished, and the kill switch beside it",
			first: off(pinned(2, 3, 1)), second: latest(3), err: secrets.ErrDisabled,
			stale: secrets.ErrDisabled, says: "vanished",
		},

		{
			name:  "a lower serial",
			first: pinned(3, 3, 2), second: pinned(2, 3, 1), active: 3, stale: secrets.ErrUnavailable,
		},
		{
			name:  "a lower version, nothing created later",
			first: latest(3), second: latest(2), active: 3, stale: secrets.ErrUnavailable,
		},
		{
			name:  "a lower version from before the pointer",
			first: pinned(2, 3, 1), second: latest(2), active: 2, keys: []secrets.Version{2, 3},
			stale: secrets.ErrUnavailable,
		},
		{name: "a lower version with a higher serial", first: pinned(3, 4, 2), second: pinned(2, 2, 3), active: 2},

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
			first: pinned(2, 3, 1), second: off(latest(3)), err: secrets.ErrDisabled,
			stale: secrets.ErrDisabled, says: "vanished",
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
		{name: "off, and the new value is unusable", first: pinned(2, 2, 1), second: off(pinned(3, 3, 2)),
			set: func(f *fake) { f.secret[3] = "short" }, err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "too short"},
		{name: "off, and the new value is denied", first: pinned(2, 2, 1), second: off(pinned(3, 3, 2)),
			set: func(f *fake) { f.keyErr[3] = secrets.ErrDenied }, err: secrets.ErrDisabled, stale: secrets.ErrDisabled, says: "denied"},
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
			name:  "on because the secret was made again",
			first: off(pinned(2, 3, 4)), second: later(latest(3)),
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "on because the secret was made again, with a higher serial",
			first: off(pinned(2, 3, 4)), second: later(pinned(3, 3, 5)), active: 3,
		},
		{name: "a lower version, but made anew", first: latest(3), second: later(latest(1)), active: 1},
		{name: "made anew up to the same number", first: pinned(2, 3, 4), second: later(latest(3)), active: 3},

		{
			name:  "the active version is gone",
			first: latest(3), second: latest(3, 3), err: secrets.ErrDeleted, stale: secrets.ErrDeleted,
			says: "active version 3",
		},
		{
			name:  "the pinned version is gone",
			first: pinned(2, 3, 1), second: pinned(2, 3, 1, 2), err: secrets.ErrDeleted,
			stale: secrets.ErrDeleted, says: "active version 2",
		},
		{name: "the pinned version was pruned", first: pinned(1, 3, 1),
			second: secrets.Status{Active: 1, Pinned: true, Latest: 3, Serial: 1, Versions: versions(3)[1:]}, err: secrets.ErrDeleted, stale: secrets.ErrDeleted},
		{
			name:  "a new version came and was deleted before a refresh",
			first: latest(2), second: latest(3, 3), err: secrets.ErrDeleted, stale: secrets.ErrDeleted,
		},
		{name: "deleted between status and value", first: latest(2), second: latest(3),
			set: func(f *fake) { f.keyErr[3] = secrets.ErrDeleted }, err: secrets.ErrDeleted, stale: secrets.ErrDeleted},

		{
			name:  "the status is denied",
			first: latest(2), set: func(f *fake) { f.err = secrets.ErrDenied },
			err: secrets.ErrDenied, stale: secrets.ErrDenied,
		},
		{name: "the value is denied", first: latest(2), second: latest(3),
			set: func(f *fake) { f.keyErr[3] = secrets.ErrDenied }, err: secrets.ErrDenied, stale: secrets.ErrDenied},
		{
			name:  "the path is gone",
			first: latest(2), set: func(f *fake) { f.err = secrets.ErrNotFound },
			err: secrets.ErrNotFound, stale: secrets.ErrNotFound,
		},

		{
			name:  "the store is away",
			first: latest(2), set: func(f *fake) { f.err = errAway }, active: 2, stale: secrets.ErrUnavailable,
			says: "sealed",
		},
		{name: "away between status and value", first: latest(2), second: latest(3),
			set: func(f *fake) { f.keyErr[3] = errAway }, active: 2, stale: secrets.ErrUnavailable, says: "sealed"},
		{name: "the store hangs", first: latest(2), second: latest(3),
			set: func(f *fake) { f.delay = time.Minute }, active: 2, stale: secrets.ErrUnavailable, says: "deadline"},

		{
			name:  "switched off",
			first: latest(2), second: off(latest(2)), err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{
			name:  "switched off, then away",
			first: off(latest(2)), set: func(f *fake) { f.err = errAway },
			err: secrets.ErrDisabled, stale: secrets.ErrDisabled,
		},
		{name: "switched on again", first: off(latest(2)), second: latest(2), active: 2},

		{name: "the staged version is unusable", first: pinned(2, 2, 1), second: pinned(2, 3, 1),
			set: func(f *fake) { f.secret[3] = "short" }, active: 2, keys: []secrets.Version{2}, says: "too short"},
		{name: "a store that can't lag goes back", first: secrets.Status{Active: 3, Latest: 3, Versions: versions(3), Revision: 4},
			second: secrets.Status{Active: 1, Latest: 1, Versions: versions(1), Revision: 5}, active: 1},
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
					t.Fatalf("the first answer was not held: %v", first.Fault)
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
					t.Errorf("%v doesn't say when to try again", err)
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

// TestWarmOverFaults checks that Warm does not wait for a secret whose first refresh found a fault,
// and that the fault is known.
func TestWarmOverFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status secrets.Status
		err    error
		want   error
	}{
		{"no such path", secrets.Status{}, secrets.ErrNotFound, secrets.ErrNotFound},
		{"denied", secrets.Status{}, secrets.ErrDenied, secrets.ErrDenied},
		{"away", secrets.Status{}, errAway, secrets.ErrUnavailable},
		{"no version", secrets.Status{}, nil, secrets.ErrUnusable},
		{
			"staged once, pointer lost before we began",
			secrets.Status{Active: 3, Latest: 3, Serial: 4, Versions: versions(3)}, nil, secrets.ErrUnusable,
		},
		{"deleted newest doesn't fall back", latest(3, 3), nil, secrets.ErrDeleted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{status: map[string]secrets.Status{acme.Path: tc.status, "sso/fine": latest(1)}, err: tc.err}
				k, log := newKeyring(t, f, secrets.Options{})
				if err := k.Warm(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
				if _, err := k.Get(acme, 0); !errors.Is(err, tc.want) {
					t.Errorf("Get: %v, want %v", err, tc.want)
				}
				if state, ok := k.State(acme); !ok || state.Fault == nil || state.Held != nil ||
					!state.Succeeded.IsZero() {
					t.Errorf("state %+v", state)
				}
				if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "path=sso/acme") {
					t.Errorf("the log doesn't tell: %s", log)
				}
				// One broken secret never affects the others, and it recovers without help.
				f.set(func(f *fake) { f.err = nil; f.status[acme.Path] = pinned(4, 4, 5) })
				fine := secrets.Ref{Path: "sso/fine", Field: "k"}
				if err := k.Warm(t.Context(), acme, fine); err != nil {
					t.Fatal(err)
				}
				for _, ref := range []secrets.Ref{acme, fine} {
					if _, err := k.Get(ref, 0); err != nil {
						t.Errorf("%s: %v", ref, err)
					}
				}
			})
		})
	}
}

func TestWarmEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}, delay: 3 * time.Second}
		k, _ := newKeyring(t, f, secrets.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := k.Warm(ctx, acme); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Warm: %v", err)
		}
		var unavailable *secrets.UnavailableError
		if _, err := k.Get(acme, 0); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "not loaded yet") {
			t.Errorf("Get: %v", err)
		}
		if errors.Is(unavailable, context.DeadlineExceeded) {
			t.Error("a cause from inside is in the error's chain")
		}
		// The refresh has the keyring's context, so it goes on.
		time.Sleep(10 * time.Second)
		if _, err := k.Get(acme, 0); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

func TestGetOfUnknownReference(t *testing.T) {
	k, _ := newKeyring(t, &fake{}, secrets.Options{})
	if _, err := k.Get(acme, 0); !errors.Is(err, secrets.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	if _, _, err := k.Refresh(t.Context(), acme); !errors.Is(err, secrets.ErrUnavailable) {
		t.Errorf("Refresh: %v", err)
	}
	if _, ok := k.State(acme); ok {
		t.Error("there is a state")
	}
}

func TestRetainForgetsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := secrets.Ref{Path: "sso/other", Field: "shared_secret"}
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1), other.Path: latest(1)}}
		k, _ := newKeyring(t, f, secrets.Options{})
		if err := k.Warm(t.Context(), acme, other); err != nil {
			t.Fatal(err)
		}
		k.Retain(other)
		if _, err := k.Get(acme, 0); !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("the forgotten one: %v", err)
		}
		if _, err := k.Get(other, 0); err != nil {
			t.Errorf("the retained one: %v", err)
		}
		before, _ := f.counts()
		if err := k.Warm(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if after, _ := f.counts(); after != before {
			t.Error("Warm asked again for what is held")
		}
	})
}

func TestGetWhileEverythingChanges(t *testing.T) {
	f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
	k, _ := newKeyring(t, f, secrets.Options{Refresh: time.Millisecond, MaxRate: 1e6})
	if err := k.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running, reading sync.WaitGroup
	running.Go(func() { _ = k.Run(ctx) })
	for range 4 {
		reading.Go(func() {
			for ctx.Err() == nil {
				held, err := k.Get(acme, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if key, _ := held.Key(0); key.Version() != held.Status.Active {
					t.Errorf("mixed pair: key %v, status %d", key, held.Status.Active)
				}
			}
		})
	}
	for n := 2; n <= 30; n++ {
		f.set(func(f *fake) { f.status[acme.Path] = latest(n) })
		if _, after, err := k.Refresh(ctx, acme); err != nil || after.Active != secrets.Version(n) {
			t.Errorf("Refresh: %d, %v, want %d", after.Active, err, n)
		}
	}
	cancel()
	running.Wait()
	reading.Wait()
}

func TestGetAllocatesNothing(t *testing.T) {
	f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
	k, _ := newKeyring(t, f, secrets.Options{})
	if err := k.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = k.Get(acme, time.Hour) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

func BenchmarkGet(b *testing.B) {
	k := secrets.NewKeyring(secrets.Options{Source: &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}})
	if err := k.Warm(b.Context(), acme); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = k.Get(acme, time.Hour)
		}
	})
}
