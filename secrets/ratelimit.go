package secrets

import (
	"context"
	"sync/atomic"
	"time"
)

// lateness is the delay of a read that the next reads may catch up. Timers fire about a millisecond
// late, which would halve a rate of a thousand reads a second.
const lateness = 10 * time.Millisecond

// A rateLimiter permits at most max_rate reads in any second, in the order of the calls.
//
// golang.org/x/time/rate doesn't guarantee that. Its Wait computes the time of each read in
// advance. After a pause of the process, all callers whose time has passed continue at once. A
// store may then be least able to handle the load. This limiter permits one read at a time, so the
// reads of a pause are lost. Later reads catch up at most lateness. The gap between two reads is
// longer to compensate for that.
type rateLimiter struct {
	gap  atomic.Int64  // between two reads, in nanoseconds
	turn chan struct{} // holds one element while a caller waits for the next read
	next time.Time     // the time of the next read; only the caller that holds turn may use it
}

func newRateLimiter(rate int) *rateLimiter {
	l := &rateLimiter{turn: make(chan struct{}, 1)}
	l.setRate(rate)
	return l
}

// setRate changes the rate. The change takes effect after the next read.
func (l *rateLimiter) setRate(rate int) {
	l.gap.Store(int64((time.Second + lateness) / time.Duration(rate)))
}

// wait returns nil when the caller may read, or the error of ctx.
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
