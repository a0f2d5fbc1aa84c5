package secrets

import (
	"context"
	"sync/atomic"
	"time"
)

// late is what a turn that comes late may have back: timers overshoot by about a
// millisecond, which at a thousand reads a second would halve them.
const late = 10 * time.Millisecond

// pace keeps reads apart, so that no second ever has more than max_rate. A token
// bucket would not do: after a moment in which the machine stood still it lets
// all go at once whose time has come meanwhile, which is when a store can least
// use it. Here such a moment is lost, but for late, which the gap makes up for.
type pace struct {
	gap  atomic.Int64  // in nanoseconds
	turn chan struct{} // holds one: whoever has put it there is next
	next time.Time     // when that turn comes
}

func newPace(rate int) *pace {
	p := &pace{turn: make(chan struct{}, 1)}
	p.setRate(rate)
	return p
}

// setRate changes the rate, from the next turn but one on.
func (p *pace) setRate(rate int) { p.gap.Store(int64((time.Second + late) / time.Duration(rate))) }

// wait returns when it is the caller's turn, in the order of asking, or with ctx's error.
func (p *pace) wait(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	if left := time.Until(p.next); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if grace := time.Now().Add(-late); p.next.Before(grace) {
		p.next = grace
	}
	p.next = p.next.Add(time.Duration(p.gap.Load()))
	return ctx.Err()
}
