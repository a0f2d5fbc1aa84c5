package secrets

import (
	"context"
	"errors"
	"sync"
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
					if err := l.wait(t.Context()); err != nil {
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
		if err := l.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 { // one waits for its time, the other for the first one
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if err := l.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("wait: %v", err)
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		if err := l.wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
