package secrets_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// TestWarmWithFaults checks that Warm returns although the first refresh of a secret found a fault,
// and that the fault is in the state.
func TestWarmWithFaults(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status secrets.Status
		err    error
		want   error
	}{
		{"no such path", secrets.Status{}, secrets.ErrNotFound, secrets.ErrNotFound},
		{"denied", secrets.Status{}, secrets.ErrDenied, secrets.ErrDenied},
		{"unavailable", secrets.Status{}, errSealed, secrets.ErrUnavailable},
		{"no version", secrets.Status{}, nil, secrets.ErrUnusable},
		{
			"staged once, pointer lost before the start",
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
				state, ok := k.State(acme)
				if !ok || state.Fault == nil || state.Held != nil || !state.Succeeded.IsZero() {
					t.Errorf("state %+v", state)
				}
				if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "path=sso/acme") {
					t.Errorf("the log has no fault: %s", log)
				}
				// One broken secret never affects the others. The next refresh after a correction
				// succeeds.
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
			t.Error("the error wraps the deadline")
		}
		// The refresh uses the keyring's context, so it continues.
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

func TestRetainRemovesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := secrets.Ref{Path: "sso/other", Field: "shared_secret"}
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1), other.Path: latest(1)}}
		k, _ := newKeyring(t, f, secrets.Options{})
		if err := k.Warm(t.Context(), acme, other); err != nil {
			t.Fatal(err)
		}
		k.Retain(other)
		if _, err := k.Get(acme, 0); !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("the removed reference: %v", err)
		}
		if _, err := k.Get(other, 0); err != nil {
			t.Errorf("the retained reference: %v", err)
		}
		before, _ := f.counts()
		if err := k.Warm(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if after, _ := f.counts(); after != before {
			t.Error("Warm read again a secret that is held")
		}
	})
}

func TestGetDuringRefreshes(t *testing.T) {
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
