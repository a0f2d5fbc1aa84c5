package secrets

import (
	"context"
	"time"
)

// pace keeps reads apart by one gap at least, so that no second ever has more than
// max_rate. A token bucket would not do: after a moment in which the machine
// stood still it lets all go at once whose time has come meanwhile, which is
// when a store can least use it. Here such a moment is lost.
type pace struct {
	gap  time.Duration
	turn chan struct{} // holds one: whoever has put it there is next
	last time.Time     // of who has the turn
}

func newPace(rate int) *pace {
	return &pace{gap: time.Second / time.Duration(rate), turn: make(chan struct{}, 1)}
}

// wait returns when it is the caller's turn, in the order of asking, or with ctx's error.
func (p *pace) wait(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	if left := p.gap - time.Since(p.last); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.last = time.Now()
	return ctx.Err()
}
