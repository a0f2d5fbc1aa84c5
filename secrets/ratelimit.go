package secrets

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// lateness is the delay of a read that the next reads may catch up. Timers fire about a
	// millisecond late, which would halve a rate of a thousand reads a second.
	lateness = 10 * time.Millisecond
	// maxUrgent is how many urgent reads in a row go before one that isn't urgent. Without it, many
	// calls of Refresh could keep all other secrets from being refreshed.
	maxUrgent = 4
)

// A rateLimiter permits at most max_rate reads in any second. Urgent reads go first. Otherwise the
// reads are in the order of the calls.
//
// golang.org/x/time/rate doesn't guarantee that. Its Wait computes the time of each read in
// advance. After a pause of the process, all callers whose time has passed continue at once. A
// store may then be least able to handle the load. An urgent read could not go first either. This
// limiter permits one read at a time, so the reads of a pause are lost. Later reads catch up at
// most lateness. The gap between two reads is longer to compensate for that.
type rateLimiter struct {
	gap  atomic.Int64  // between two reads, in nanoseconds
	turn chan struct{} // a lock for the fields below; it holds one element while it is locked

	next    time.Time // the time of the next read
	timed   bool      // a timer permits the next read
	waiting []*waiter // in the order of the calls
	urgent  int       // the number of urgent reads in a row
}

// A waiter is a read that waits for its turn.
type waiter struct {
	permitted chan struct{} // closed when the read may begin
	urgent    *atomic.Int32 // the read is urgent while it is above 0, which may change as it waits
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

// wait returns nil when the caller may read, or the error of ctx. The read is urgent while urgent
// is above 0.
func (l *rateLimiter) wait(ctx context.Context, urgent *atomic.Int32) error {
	w := &waiter{permitted: make(chan struct{}), urgent: urgent}
	l.turn <- struct{}{}
	l.waiting = append(l.waiting, w)
	l.permit()
	<-l.turn
	select {
	case <-w.permitted:
		return ctx.Err()
	case <-ctx.Done():
	}
	l.turn <- struct{}{}
	l.waiting = slices.DeleteFunc(l.waiting, func(other *waiter) bool { return other == w })
	<-l.turn
	return ctx.Err()
}

// permit permits the reads whose time has come, and sets a timer for the next one. The caller must
// hold turn.
func (l *rateLimiter) permit() {
	for len(l.waiting) > 0 && !l.timed {
		if left := time.Until(l.next); left > 0 {
			l.timed = true
			time.AfterFunc(left, func() {
				l.turn <- struct{}{}
				l.timed = false
				l.permit()
				<-l.turn
			})
			return
		}
		close(l.pick().permitted)
		if earliest := time.Now().Add(-lateness); l.next.Before(earliest) {
			l.next = earliest
		}
		l.next = l.next.Add(time.Duration(l.gap.Load()))
	}
}

// pick removes the read that is next, and returns it.
func (l *rateLimiter) pick() *waiter {
	wanted := l.urgent < maxUrgent
	next := slices.IndexFunc(l.waiting, func(w *waiter) bool { return w.isUrgent() == wanted })
	w := l.waiting[max(next, 0)]
	l.waiting = slices.Delete(l.waiting, max(next, 0), max(next, 0)+1)
	if w.isUrgent() {
		l.urgent++
	} else {
		l.urgent = 0
	}
	return w
}

func (w *waiter) isUrgent() bool { return w.urgent.Load() > 0 }
