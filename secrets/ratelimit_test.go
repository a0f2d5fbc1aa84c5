package secrets

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestRateLimiter checks that no second has more reads than the rate, with many waiting callers and
// after a pause of the process. It also checks that no read is lost while the process runs.
func TestRateLimiter(t *testing.T) {
	for _, rate := range []int{10, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := newRateLimiter(rate)
			var (
				mu    sync.Mutex
				turns []time.Time
				all   sync.WaitGroup
			)
			for range 4 * rate {
				all.Go(func() {
					if err := l.wait(t.Context(), new(atomic.Int32)); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					turns = append(turns, time.Now())
				})
			}
			for range 3 {
				time.Sleep(250 * time.Millisecond)
				l.turn <- struct{}{} // like a pause of the process
				time.Sleep(500 * time.Millisecond)
				<-l.turn
			}
			resumed := time.Now()
			all.Wait()
			for i := rate; i < len(turns); i++ {
				if span := turns[i].Sub(turns[i-rate]); span < time.Second {
					t.Errorf("%d turns within %v", rate+1, span)
				}
			}
			if took, want := time.Since(resumed), 4*time.Second; took > want {
				t.Errorf("%d turns took %v", 4*rate, took)
			}
		})
	}
}

func TestRateLimiterEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRateLimiter(1)
		if err := l.wait(t.Context(), new(atomic.Int32)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // one waits for its time, the other for the first one
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if err := l.wait(ctx, new(atomic.Int32)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("wait: %v", err)
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		if err := l.wait(t.Context(), new(atomic.Int32)); err != nil {
			t.Error(err)
		}
	})
}

// TestUrgentReadsGoFirst checks the order of the reads. A read that becomes urgent while it waits
// goes before others, and one of five reads goes to those that aren't urgent.
func TestUrgentReadsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newRateLimiter(10)
		var (
			urgent, never, later atomic.Int32
			mu                   sync.Mutex
			order                []string
			all                  sync.WaitGroup
		)
		urgent.Store(1)
		start := func(name string, urgent *atomic.Int32) {
			all.Go(func() {
				if err := l.wait(t.Context(), urgent); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
			synctest.Wait() // so that the calls are in this order
		}
		start("first", &never)
		for range 3 {
			start("background", &never)
		}
		start("later", &later)
		for range 5 {
			start("urgent", &urgent)
		}
		later.Store(1)
		all.Wait()
		want := []string{"first", "later", "urgent", "urgent", "urgent", "background", "urgent", "urgent", "background",
			"background"}
		if !slices.Equal(order, want) {
			t.Errorf("the order is %q, want %q", order, want)
		}
	})
}
