package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// run warms refs, and runs the keyring for the duration d in the time of the synctest bubble.
func run(t *testing.T, k *secrets.Keyring, d time.Duration, refs ...secrets.Ref) {
	t.Helper()
	if err := k.Warm(t.Context(), refs...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := k.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run ended with %v", err)
	}
}

// gaps returns the times between the refreshes.
func gaps(times []time.Time) []time.Duration {
	var list []time.Duration
	for i := 1; i < len(times); i++ {
		list = append(list, times[i].Sub(times[i-1]))
	}
	return list
}

func TestRunKeepsTheInterval(t *testing.T) {
	for _, tc := range []struct {
		name     string
		status   secrets.Status
		interval time.Duration
	}{
		{"steady", latest(2), 10 * time.Second},
		{"staged", pinned(2, 3, 1), time.Second},
		{
			"rolled back, so no version is tried",
			func() secrets.Status { s := pinned(2, 3, 3); s.Previous = 3; return s }(), 10 * time.Second,
		},
		{"the newer one is gone", pinned(2, 3, 1, 3), 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{status: map[string]secrets.Status{acme.Path: tc.status}}
				k, _ := newKeyring(t, f, secrets.Options{Refresh: 10 * time.Second, MaxRate: 1e6})
				run(t, k, 200*tc.interval, acme)

				low, high := time.Hour, time.Duration(0)
				for _, gap := range gaps(f.statuses) {
					low, high = min(low, gap), max(high, gap)
				}
				if low < tc.interval*8/10 || high > tc.interval*12/10+time.Millisecond {
					t.Errorf("gaps from %v to %v, want %v ± 20 %%", low, high, tc.interval)
				}
				if high-low < tc.interval*2/10 {
					t.Errorf("gaps from %v to %v: there is no jitter", low, high)
				}
				if want := len(tc.status.Versions); len(f.keys) > want {
					t.Errorf("%d values read, though nothing changed after the first", len(f.keys))
				}
			})
		})
	}
}

func TestMaxRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secretsHeld, maxRate = 300, 10
		f := &fake{status: map[string]secrets.Status{}}
		var refs []secrets.Ref
		for i := range secretsHeld {
			ref := secrets.Ref{Path: fmt.Sprintf("sso/%d", i), Field: "k"}
			refs = append(refs, ref)
			f.status[ref.Path] = pinned(1, 2, 1) // with a staged version, so it is due every second
			if i%2 == 0 {
				f.status[ref.Path] = latest(1)
			}
		}
		k, log := newKeyring(t, f, secrets.Options{MaxRate: maxRate})
		run(t, k, 5*time.Minute, refs...)

		for i := maxRate + 1; i < len(f.reads); i++ {
			if span := f.reads[i].Sub(f.reads[i-maxRate-1]); span < time.Second {
				t.Fatalf("%d reads within %v", maxRate+2, span)
			}
		}
		if got := k.Interval(); got < secretsHeld/maxRate*time.Second {
			t.Errorf("interval %v", got)
		}
		if !strings.Contains(log.String(), "max_rate=10") {
			t.Error("the log has no message about the longer interval")
		}
		// The interval grows, but each secret is still refreshed.
		for _, ref := range refs {
			if s, _ := k.State(ref); time.Since(s.Succeeded) > 3*time.Minute {
				t.Errorf("%s was last refreshed %v ago", ref, time.Since(s.Succeeded))
			}
		}
	})
}

func TestRunDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxStale = time.Hour
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, log := newKeyring(t, f, secrets.Options{Refresh: 10 * time.Second})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		at := func(d time.Duration, want error) {
			t.Helper()
			time.Sleep(time.Until(epoch.Add(d)))
			if _, err := k.Get(acme, maxStale); !errors.Is(err, want) {
				t.Errorf("after %v: %v, want %v", d, err, want)
			}
		}

		at(time.Minute, nil)
		f.set(func(f *fake) { f.err = errSealed })
		at(time.Minute+maxStale-15*time.Second, nil)
		if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("the log doesn't warn first and alarm later: %s", log)
		}
		if n := strings.Count(log.String(), errSealed.Error()); n != 2 {
			t.Errorf("the same fault was logged %d times, want once as a warning and once as an alarm", n)
		}
		at(time.Minute+maxStale+time.Second, secrets.ErrUnavailable)

		// The pause before a retry grows from a second to the interval.
		f.set(func(f *fake) {
			var outage []time.Time
			for _, at := range f.statuses {
				if at.After(epoch.Add(time.Minute)) {
					outage = append(outage, at)
				}
			}
			for i, gap := range gaps(outage) {
				want := min(10*time.Second, time.Second<<min(i, 10))
				if gap < want*8/10 || gap > want*12/10 {
					t.Errorf("retry %d after %v, want %v ± 20 %%", i, gap, want)
				}
			}
			f.err = nil
		})
		at(time.Minute+maxStale+13*time.Second, nil)
		if !strings.Contains(log.String(), "the secret fault has ended") {
			t.Errorf("the log has no end of the fault: %s", log)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunRefreshesReferencesOfALaterWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, _ := newKeyring(t, f, secrets.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		time.Sleep(time.Minute) // Run has nothing to refresh and waits
		if err := k.Warm(ctx, acme); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *fake) { f.status[acme.Path] = latest(2) })
		time.Sleep(13 * time.Second)
		if held, err := k.Get(acme, 0); err != nil || held.Status.Active != 2 {
			t.Errorf("%+v, %v, want version 2", held, err)
		}
		k.Retain()
		before, _ := f.counts()
		time.Sleep(time.Minute)
		if after, _ := f.counts(); after != before {
			t.Error("a removed secret is still refreshed")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRefreshIsSharedAndUpToDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, _ := newKeyring(t, f, secrets.Options{MaxRate: 1000})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		f.set(func(f *fake) { f.delay = time.Second })
		statuses, _ := f.counts()

		// The first caller cancels while its refresh is in progress.
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, _, err := k.Refresh(ctx, acme)
			first <- err
		}()
		time.Sleep(100 * time.Millisecond)
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
		// Twenty more callers call after version 2 was written, which that refresh has missed.
		f.set(func(f *fake) { f.status[acme.Path] = latest(2) })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				before, after, err := k.Refresh(t.Context(), acme)
				if err != nil || before.Active != 1 || after.Active != 2 {
					t.Errorf("Refresh: %d to %d, %v", before.Active, after.Active, err)
				}
			})
		}
		wg.Wait()
		if after, _ := f.counts(); after != statuses+2 {
			t.Errorf("%d refreshes for 21 callers, want 2: the one in progress and one after it", after-statuses)
		}
	})
}

func TestRefreshReturnsFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, _ := newKeyring(t, f, secrets.Options{})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct{ fault, want error }{
			{errSealed, secrets.ErrUnavailable},
			{context.DeadlineExceeded, secrets.ErrUnavailable},
			{fmt.Errorf("wrapped: %w", secrets.ErrDenied), secrets.ErrDenied},
			{secrets.ErrUnusable, secrets.ErrUnusable},
		} {
			f.set(func(f *fake) { f.err = tc.fault })
			_, _, err := k.Refresh(t.Context(), acme)
			if !errors.Is(err, tc.want) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Refresh when the store returns %v: %v", tc.fault, err)
			}
			if !strings.Contains(err.Error(), acme.Path) {
				t.Errorf("%q doesn't name the path", err)
			}
		}
	})
}

// TestADroppedValueIsReadAgain checks that a dropped value is read again when the store permits it
// again.
func TestADroppedValueIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, log := newKeyring(t, f, secrets.Options{})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		for i, err := range []error{secrets.ErrDenied, nil} {
			f.set(func(f *fake) { f.err = err })
			if _, _, got := k.Refresh(t.Context(), acme); !errors.Is(got, err) {
				t.Errorf("refresh %d: %v", i, got)
			}
		}
		if _, keys := f.counts(); keys != 2 {
			t.Errorf("the value was read %d times, want 2", keys)
		}
		if !strings.Contains(log.String(), "there is no key to sign with") {
			t.Errorf("the log has no fault: %s", log)
		}
	})
}

// TestAnUnusableValueIsReadOnce checks that an unusable value of an immutable version is not read
// at every refresh.
func TestAnUnusableValueIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{
			status: map[string]secrets.Status{acme.Path: pinned(1, 2, 1)},
			secret: map[secrets.Version]string{2: "short"},
		}
		k, _ := newKeyring(t, f, secrets.Options{})
		run(t, k, time.Minute, acme)
		if _, keys := f.counts(); keys != 2 {
			t.Errorf("%d values read, want 2", keys)
		}
	})
}

// TestChangedValuesAreReadAgain checks that a number alone doesn't identify a value. A secret that
// was removed and created again has the same numbers, and so does a file that was edited.
func TestChangedValuesAreReadAgain(t *testing.T) {
	edited := func(s secrets.Status, revision uint64) secrets.Status { s.Revision = revision; return s }
	recreated := latest(1)
	recreated.Versions = []secrets.VersionStatus{{Version: 1, Created: epoch.Add(time.Second)}}
	for name, answers := range map[string][2]secrets.Status{
		"created again":   {latest(1), recreated},
		"edited in place": {edited(latest(1), 1), edited(latest(1), 2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				other := strings.ToUpper(canary)
				f := &fake{
					status: map[string]secrets.Status{acme.Path: answers[0]},
					secret: map[secrets.Version]string{},
				}
				k, _ := newKeyring(t, f, secrets.Options{})
				if err := k.Warm(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
				f.set(func(f *fake) { f.status[acme.Path] = answers[1]; f.secret[1] = other })
				if _, _, err := k.Refresh(t.Context(), acme); err != nil {
					t.Fatal(err)
				}
				held, err := k.Get(acme, 0)
				if err != nil {
					t.Fatal(err)
				}
				key, _ := held.Key(0)
				signature, err := mustKey(t, 1, other).Sign(t.Context(), "input")
				if err != nil || key.Verify("input", signature) != nil {
					t.Error("the old value is still used")
				}
			})
		})
	}
}

type misnumbered struct{ fake }

func (m *misnumbered) Key(context.Context, secrets.Ref, secrets.Version) (secrets.Key, error) {
	return secrets.NewKey(7, []byte(canary))
}

func TestAValueOfAnotherVersionIsRefused(t *testing.T) {
	source := &misnumbered{fake{status: map[string]secrets.Status{acme.Path: latest(1)}}}
	k := secrets.NewKeyring(secrets.Options{Source: source})
	if err := k.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	_, err := k.Get(acme, 0)
	if !errors.Is(err, secrets.ErrUnavailable) ||
		!strings.Contains(err.Error(), "version 7 instead of version 1") {
		t.Errorf("Get: %v", err)
	}
}

// TestRunEndsRefreshesInProgress checks that the end of Run cancels a refresh, which then changes
// no state.
func TestRunEndsRefreshesInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{status: map[string]secrets.Status{acme.Path: latest(1)}}
		k, log := newKeyring(t, f, secrets.Options{Timeout: time.Hour})
		if err := k.Warm(t.Context(), acme); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		f.set(func(f *fake) { f.delay = 30 * time.Minute })
		time.Sleep(time.Minute) // a refresh is in progress and hangs
		began := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("Run: %v after %v", err, time.Since(began))
		}
		s, _ := k.State(acme)
		if s.Fault != nil || s.Attempted.After(epoch.Add(time.Second)) ||
			strings.Contains(log.String(), "fault") {
			t.Errorf("the cancelled refresh changed the state to %+v; log: %s", s, log)
		}
		if _, err := k.Get(acme, 0); err != nil {
			t.Errorf("Get no longer returns the held keys: %v", err)
		}
		if _, _, err := k.Refresh(t.Context(), acme); !errors.Is(err, secrets.ErrUnavailable) {
			t.Errorf("Refresh after the end: %v", err)
		}
	})
}
