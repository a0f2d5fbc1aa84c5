package secrets

import (
	"context"
	"sync/atomic"
	"time"
)

// lateness is the delay of a turn that the next turns may make up for. Timers overshoot by about a
// millisecond, which at a thousand reads a second would halve the rate.
const lateness = 10 * time.Millisecond

// A rateLimiter lets through at most max_rate reads in any second, in the order of asking.
//
// golang.org/x/time/rate doesn't keep that promise. Its Wait computes the time of each turn in
// advance. After a moment in which the process didn't run, all callers whose time has passed go at
// once, and that is when a store can least bear it. This limiter gives out one turn at a time, so
// the turns of such a moment are lost. Only lateness is made up for, and the gap between two turns
// is longer by as much.
type rateLimiter struct {
	gap  atomic.Int64  // between two turns, in nanoseconds
	turn chan struct{} // holds one element while a caller waits for the next turn
	next time.Time     // the time of the next turn; only the holder of turn may use it
}

func newRateLimiter(rate int) *rateLimiter {
	l := &rateLimiter{turn: make(chan struct{}, 1)}
	l.setRate(rate)
	return l
}

// setRate changes the rate. The change takes effect after the next turn.
func (l *rateLimiter) setRate(rate int) {
	l.gap.Store(int64((time.Second + lateness) / time.Duration(rate)))
}

// wait returns nil when it is the caller's turn, or the error of ctx.
func (l *rateLimiter) wait(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	if left := time.Until(l.next); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if earliest := time.Now().Add(-lateness); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(time.Duration(l.gap.Load()))
	return ctx.Err()
}
