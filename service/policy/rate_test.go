package policy_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/policy"
)

func granted(t *testing.T, perSecond float64, burst int) *policy.Grant {
	t.Helper()
	s := fullGrant()
	if perSecond != 0 {
		s.Rate = &policy.Rate{PerSecond: perSecond, Burst: burst}
	}
	g, err := policyOf(t, s).Allow("shop", fullAsk())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var start = time.Unix(1767323045, 0)

func TestTake(t *testing.T) {
	type take struct {
		at   time.Duration
		wait time.Duration // 0: taken
	}
	const ms = time.Millisecond
	for _, test := range []struct {
		name      string
		perSecond float64
		burst     int
		takes     []take
	}{
		{"no rate", 0, 0, []take{{0, 0}, {0, 0}, {0, 0}, {0, 0}}},
		{"one at a time", 2, 1, []take{{0, 0}, {0, 500 * ms}, {499 * ms, 1 * ms}, {500 * ms, 0}, {500 * ms, 500 * ms}, {1500 * ms, 0}, {1500 * ms, 500 * ms}}},
		{"a burst, then the rate", 10, 3, []take{{0, 0}, {0, 0}, {0, 0}, {0, 100 * ms}, {100 * ms, 0}, {100 * ms, 100 * ms}}},
		// Who is refused pays nothing: after 40 refusals the wait is still the same.
		{"refusals don't count", 1, 1, append([]take{{0, 0}}, refusals(40, take{0, 1000 * ms}, take{1000 * ms, 0})...)},
		{"burst of one second", 3, 0, []take{{0, 0}, {0, 0}, {0, 0}, {0, 333333333}}},
		{"slower than one a second", 0.1, 0, []take{{0, 0}, {0, 10000 * ms}, {9999 * ms, 1 * ms}, {10000 * ms, 0}}},
		{"idle time fills the burst and no more", 10, 2, []take{{0, 0}, {0, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, 100 * ms}}},
		{"a clock that goes back", 1, 1, []take{{time.Hour, 0}, {0, 1000 * ms}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := granted(t, test.perSecond, test.burst)
			for i, take := range test.takes {
				wait, ok := g.Take(start.Add(take.at))
				if ok != (take.wait == 0) || (wait-take.wait).Abs() > time.Microsecond {
					t.Fatalf("take %d at %v: %v, %t; want a wait of %v", i, take.at, wait, ok, take.wait)
				}
			}
		})
	}
}

func refusals[T any](n int, refused, last T) (list []T) {
	for range n {
		list = append(list, refused)
	}
	return append(list, last)
}

// TestTakeIsEachGrantsOwn: also of two that say the same.
func TestTakeIsEachGrantsOwn(t *testing.T) {
	s := fullGrant(func(g grant) { g.Rate = &policy.Rate{PerSecond: 1, Burst: 1} })
	p := policyOfAll(t, map[string][]policy.Settings{"shop": {s}, "cron": {s}})
	for _, caller := range []string{"shop", "cron"} {
		g, err := p.Allow(caller, fullAsk())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := g.Take(start); !ok {
			t.Errorf("%s is refused for what another took", caller)
		}
	}
	g, err := p.Allow("shop", fullAsk()) // asking again isn't a fresh start
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := g.Take(start); ok {
		t.Error("the rate forgot what was taken")
	}
}

// TestTakeConcurrently: exactly the burst is taken, and the crowd that is refused
// meanwhile doesn't put off the next.
func TestTakeConcurrently(t *testing.T) {
	g := granted(t, 1, 100)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5000 {
				wait, ok := g.Take(start)
				if ok {
					taken.Add(1)
				} else if wait > time.Second {
					t.Errorf("told to wait %v where the next is due in 1s", wait)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := taken.Load(); got != 100 {
		t.Errorf("%d were taken of a burst of 100", got)
	}
	if wait, ok := g.Take(start.Add(time.Second)); !ok {
		t.Errorf("a second later there is none left: wait %v", wait)
	}
}
