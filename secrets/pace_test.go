package secrets

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever comes, and whatever stood still meanwhile: no second has more turns than
// the rate, and none is lost where nothing stood still.
func TestPace(t *testing.T) {
	for _, rate := range []int{10, 1000} {
		synctest.Test(t, func(t *testing.T) {
			p := newPace(rate)
			var (
				mu    sync.Mutex
				turns []time.Time
				all   sync.WaitGroup
			)
			for range 4 * rate {
				all.Go(func() {
					if err := p.wait(t.Context()); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					turns = append(turns, time.Now())
				})
			}
			for range 3 {
				time.Sleep(250 * time.Millisecond)
				p.turn <- struct{}{} // as if nothing had run for a while
				time.Sleep(500 * time.Millisecond)
				<-p.turn
			}
			stood := time.Now()
			all.Wait()
			for i := rate; i < len(turns); i++ {
				if span := turns[i].Sub(turns[i-rate]); span < time.Second {
					t.Errorf("%d turns within %v", rate+1, span)
				}
			}
			if took, want := time.Since(stood), 4*time.Second; took > want {
				t.Errorf("%d turns took %v", 4*rate, took)
			}
		})
	}
}

func TestPaceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1)
		if err := p.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 { // one waits for its time, one for its turn
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if err := p.wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("wait: %v", err)
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		if err := p.wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
