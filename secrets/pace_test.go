package secrets

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever comes, and whatever stood still meanwhile: two turns are a gap apart.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(10)
		var (
			mu    sync.Mutex
			turns []time.Time
			all   sync.WaitGroup
		)
		came := func() {
			if err := p.wait(t.Context()); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			turns = append(turns, time.Now())
		}
		for range 20 {
			all.Go(came)
		}
		time.Sleep(250 * time.Millisecond)
		// As if nothing had run for a second while they waited: their time has come, and yet one goes at a time.
		p.turn <- struct{}{}
		time.Sleep(time.Second)
		<-p.turn
		all.Wait()
		if len(turns) != 20 {
			t.Fatalf("%d turns", len(turns))
		}
		for i := 1; i < len(turns); i++ {
			if gap := turns[i].Sub(turns[i-1]); gap < p.gap {
				t.Errorf("turn %d came %v after the one before", i, gap)
			}
		}
	})
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
