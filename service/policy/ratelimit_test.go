package policy_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/policy"
)

var start = time.Unix(1767323045, 0)

func limit(perSecond float64, burst int) policy.Limit {
	return policy.Limit{Name: "rate", Key: "shop", Rate: policy.Rate{PerSecond: perSecond, Burst: burst}}
}

// wait takes one of each limit and returns how long the caller has to wait. 0 means that it was
// allowed.
func wait(t testing.TB, m *policy.Limiter, at time.Time, limits ...policy.Limit) time.Duration {
	t.Helper()
	err := m.Take(at, limits...)
	var limited *policy.LimitedError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &limited) || limited.Wait <= 0:
		t.Fatalf("Take: %v", err)
	}
	return limited.Wait
}

func TestTake(t *testing.T) {
	type take struct {
		at   time.Duration
		wait time.Duration // 0: allowed
	}
	const ms = time.Millisecond
	for _, test := range []struct {
		name      string
		perSecond float64
		burst     int
		takes     []take
	}{
		{
			"one at a time", 2, 1,
			[]take{
				{0, 0}, {0, 500 * ms}, {499 * ms, 1 * ms}, {500 * ms, 0}, {500 * ms, 500 * ms}, {1500 * ms, 0},
				{1500 * ms, 500 * ms},
			},
		},
		{"a burst, then the rate", 10, 3,
			[]take{{0, 0}, {0, 0}, {0, 0}, {0, 100 * ms}, {99 * ms, 1 * ms}, {100 * ms, 0}, {100 * ms, 100 * ms}}},
		// A refused request costs nothing. After 40 refusals the wait is still the same.
		{"refusals don't count", 1, 1, append([]take{{0, 0}}, refusals(40, take{0, 1000 * ms}, take{1000 * ms, 0})...)},
		{"burst of one second", 3, 0, []take{{0, 0}, {0, 0}, {0, 0}, {0, 333333333}, {333333332, 1}, {333333333, 0}}},
		{"slower than one a second", 0.1, 0, []take{{0, 0}, {0, 10000 * ms}, {9999 * ms, 1 * ms}, {10000 * ms, 0}}},
		{"idle time fills the burst and no more", 10, 2,
			[]take{{0, 0}, {0, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, 100 * ms}}},
		{"a clock that is set back", 1, 1, []take{{time.Hour, 0}, {0, 1000 * ms}, {999 * ms, 1 * ms}, {1000 * ms, 0}}},
	} {
		for _, people := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, people %t", test.name, people), func(t *testing.T) {
				l := limit(test.perSecond, test.burst)
				l.PerPerson = people
				var m policy.Limiter
				for i, take := range test.takes {
					if got := wait(t, &m, start.Add(take.at), l); got != take.wait {
						t.Fatalf("take %d at %v: wait %v, want %v", i, take.at, got, take.wait)
					}
				}
			})
		}
	}
}

func refusals[T any](n int, refused, last T) (list []T) {
	for range n {
		list = append(list, refused)
	}
	return append(list, last)
}

// TestTakeIsBounded takes from random combinations of limits at random times. In any interval, no
// limit allows more than its burst and what is refilled in the interval. After a refusal, nothing
// is allowed until the end of the wait, and then one request is.
func TestTakeIsBounded(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		limits := make([]policy.Limit, 1+d.IntN(3))
		for i := range limits {
			limits[i] = limit(float64(1+d.IntN(40))/4, 1+d.IntN(6))
			limits[i].Name, limits[i].PerPerson = fmt.Sprint("limit", i), d.IntN(2) == 0
		}
		var m policy.Limiter
		var taken []time.Time
		at := start
		for range 200 {
			at = at.Add(time.Duration(d.IntN(400)) * time.Millisecond)
			delay := wait(t, &m, at, limits...)
			if delay > 0 {
				if got := wait(t, &m, at.Add(delay-1), limits...); got != 1 {
					t.Fatalf("a nanosecond before the end of %v the wait is %v: %+v", delay, got, limits)
				}
				if at = at.Add(delay); wait(t, &m, at, limits...) != 0 {
					t.Fatalf("still refused after %v: %+v", delay, limits)
				}
			}
			taken = append(taken, at)
			for i, began := range taken {
				for _, l := range limits {
					most := float64(l.Rate.Burst) + at.Sub(began).Seconds()*l.Rate.PerSecond + 1e-3
					if n := len(taken) - i; float64(n) > most {
						t.Fatalf("%d were taken within %v of %+v", n, at.Sub(began), l.Rate)
					}
				}
			}
		}
	}
}

// TestTakeAllOrNone checks that a request which one limit refuses isn't counted against another.
// The error must name the limit with the longest wait.
func TestTakeAllOrNone(t *testing.T) {
	var m policy.Limiter
	all, team, person := limit(1, 10), limit(1, 2), limit(1.0/60, 1)
	team.Name, person.Name, person.PerPerson = "team_rate", "user_rate", true
	for range 2 {
		if wait(t, &m, start, all, team) != 0 {
			t.Fatal("refused within the burst")
		}
	}
	for range 50 {
		var limited *policy.LimitedError
		if err := m.Take(start, all, team, person); !errors.As(err, &limited) || limited.Limit != "team_rate" ||
			limited.Wait != time.Second {
			t.Fatalf("got %v", err)
		}
	}
	if wait(t, &m, start, person) != 0 {
		t.Error("the person's was taken while the team's was used up")
	}
	var limited *policy.LimitedError
	if err := m.Take(start, team, person); !errors.As(err, &limited) || limited.Limit != "user_rate" ||
		limited.Wait != time.Minute {
		t.Errorf("of two that are used up: %v", err)
	}
	for i := range 8 {
		if wait(t, &m, start, all) != 0 {
			t.Fatalf("%d are left of the 8 of which none was taken", i)
		}
	}
	if wait(t, &m, start, all) == 0 {
		t.Error("more than the burst was taken")
	}
}

// TestBucketsAreSeparate checks that limits with different names, keys or rates have separate
// buckets.
func TestBucketsAreSeparate(t *testing.T) {
	for _, people := range []bool{false, true} {
		var m policy.Limiter
		one := limit(1, 1)
		one.PerPerson = people
		for _, change := range []func(*policy.Limit){
			func(*policy.Limit) {},
			func(l *policy.Limit) { l.Name = "team_rate" },
			func(l *policy.Limit) { l.Key = "cron" },
			func(l *policy.Limit) { l.Rate.Burst = 2 },
			func(l *policy.Limit) { l.Rate.PerSecond = 2 },
			func(l *policy.Limit) { l.PerPerson = !people },
		} {
			other := one
			change(&other)
			if wait(t, &m, start, other) != 0 {
				t.Errorf("%+v is refused because of another bucket", other)
			}
		}
		if wait(t, &m, start, one) == 0 {
			t.Error("the first request was not counted")
		}
	}
}

// TestTakeConcurrently checks that concurrent requests can take exactly the burst, from several
// limits together. The refused requests must not extend the wait.
func TestTakeConcurrently(t *testing.T) {
	var m policy.Limiter
	all, person := limit(1, 100), limit(1, 100)
	person.Name, person.PerPerson = "user_rate", true
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if delay := wait(t, &m, start, all, person); delay == 0 {
					taken.Add(1)
				} else if delay != time.Second {
					t.Errorf("wait %v, want 1s", delay)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := taken.Load(); got != 100 {
		t.Errorf("%d were taken of a burst of 100", got)
	}
	if delay := wait(t, &m, start.Add(time.Second), all, person); delay != 0 {
		t.Errorf("refused a second later: wait %v", delay)
	}
}

// TestManyPeople checks that other people neither refill nor empty a person's bucket, for any
// number of people. A thousand people per second sign in for five minutes, once each.
func TestManyPeople(t *testing.T) {
	var m policy.Limiter
	of := func(who int) policy.Limit {
		l := policy.Limit{
			Name:      "user_rate",
			Key:       fmt.Sprint(who),
			Rate:      policy.Rate{PerSecond: 1.0 / 6, Burst: 10},
			PerPerson: true,
		}
		return l
	}
	refused, victim := 0, of(-1)
	began := 0 // of the victim's
	for i := range 300_000 {
		at := start.Add(time.Duration(i) * time.Millisecond)
		if wait(t, &m, at, of(i)) != 0 {
			refused++
		}
		if i%100 == 0 && wait(t, &m, at, victim) == 0 {
			began++
		}
	}
	if want := 10 + 300/6; began < want-1 || began > want {
		t.Errorf("one who tries 3,000 times in five minutes got %d sign-ins, want %d", began, want)
	}
	if refused > 0 {
		t.Errorf("%d people were refused for what others did", refused)
	}
}

// TestLimits checks the limits of a grant for different settings.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name       string
		rate, team *policy.Rate
		want       [2]policy.Rate
	}{
		{"neither", nil, nil, [2]policy.Rate{{PerSecond: 200, Burst: 400}, {PerSecond: 20, Burst: 40}}},
		{"both", &policy.Rate{PerSecond: 7, Burst: 8}, &policy.Rate{PerSecond: 9},
			[2]policy.Rate{{PerSecond: 7, Burst: 8}, {PerSecond: 9}}},
		{"a tenth", &policy.Rate{PerSecond: 50, Burst: 100}, nil,
			[2]policy.Rate{{PerSecond: 50, Burst: 100}, {PerSecond: 5, Burst: 10}}},
		{"a tenth of one second's", &policy.Rate{PerSecond: 100}, nil,
			[2]policy.Rate{{PerSecond: 100}, {PerSecond: 10, Burst: 10}}},
		{"no less than some", &policy.Rate{PerSecond: 2, Burst: 3}, nil,
			[2]policy.Rate{{PerSecond: 2, Burst: 3}, {PerSecond: 1, Burst: 5}}},
	} {
		s := fullGrant(func(s *policy.GrantSettings) { s.Rate, s.TeamRate = test.rate, test.team })
		g, err := policyOf(t, s).Allow("shop", fullRequest())
		if err != nil {
			t.Fatal(err)
		}
		people, team := g.Limits(false), g.Limits(true)
		if len(people) != 1 || len(team) != 2 || people[0] != team[0] || team[0].Name != "rate" ||
			team[1].Name != "team_rate" ||
			team[0].Rate != test.want[0] || team[1].Rate != test.want[1] {
			t.Errorf("%s: %+v and %+v", test.name, people, team)
		}
		for _, l := range team {
			if fault := l.Rate.Check(); fault != "" {
				t.Errorf("%s: %+v %s", test.name, l.Rate, fault)
			}
		}
	}
	// Each grant of each caller has separate limits.
	staging := fullGrant(func(s *policy.GrantSettings) { s.Configurations = []string{"staging"} })
	p := policyOfAll(t,
		map[string][]policy.GrantSettings{"shop": {fullGrant(), staging}, "cron": {fullGrant(), staging}})
	seen := map[string]bool{}
	for _, who := range []string{"shop", "cron"} {
		for _, configuration := range []string{"acme-customers", "staging"} {
			g, err := p.Allow(who, fullRequest(func(a *policy.Request) { a.Configuration = configuration }))
			if err != nil {
				t.Fatal(err)
			}
			seen[g.Limits(false)[0].Key] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("of four grants some share a bucket: %v", seen)
	}
}

// TestManyBuckets checks that, among many buckets, those that aren't full are kept.
func TestManyBuckets(t *testing.T) {
	var m policy.Limiter
	slow := limit(1.0/3600, 1)
	if wait(t, &m, start, slow) != 0 {
		t.Fatal("refused at once")
	}
	for i := range 10_000 {
		quick := limit(1000, 1)
		quick.Key = fmt.Sprint(i % 2500)
		at := start.Add(time.Duration(i) * time.Millisecond)
		if wait(t, &m, at, quick) != 0 || wait(t, &m, at, quick) != time.Millisecond {
			t.Fatalf("bucket %d is shared with another", i)
		}
	}
	if got := wait(t, &m, start.Add(10*time.Second), slow); got != time.Hour-10*time.Second {
		t.Errorf("among many others one is to wait %v", got)
	}
}
