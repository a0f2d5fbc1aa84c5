package secrets

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/deskmint/deskmint/service/jitter"
	"github.com/deskmint/deskmint/service/panics"
)

const (
	// stagedInterval is the interval while a version is staged, because an operator is about to
	// activate it.
	stagedInterval = time.Second
	// firstRetry is the pause after the first refresh that found the store unavailable. It doubles
	// up to the interval, so that this replica notices the end of an outage at most one interval
	// late.
	firstRetry = time.Second
	// maxRefreshes is the maximum number of concurrent refreshes. It is so large that a few
	// refreshes that hang don't delay the rest. It is so small that a call of Refresh doesn't wait
	// for long.
	maxRefreshes = 16
	// headroom reserves a tenth of max_rate for reads of values and for Refresh.
	headroom = 0.9
)

// Interval returns the effective interval between two refreshes of a secret. It is the Refresh of
// [Options], or longer if the number of secrets and MaxRate require it.
func (k *Keyring) Interval() time.Duration {
	r := k.rules.Load()
	load := float64(len(*k.entries.Load())) / (headroom * float64(r.maxRate))
	return max(r.refresh, time.Duration(load*float64(time.Second)))
}

// rules are the [Options] that SetRules can replace. A value is immutable.
type rules struct {
	refresh        time.Duration
	maxRate        int
	requirePointer bool
}

func newRules(refresh time.Duration, maxRate int, requirePointer bool) *rules {
	return &rules{orDefault(refresh, DefaultRefresh), orDefault(maxRate, DefaultMaxRate), requirePointer}
}

// SetRules replaces the Refresh, MaxRate and RequirePointer of [Options]. They apply from the next
// refresh of each secret on.
func (k *Keyring) SetRules(refresh time.Duration, maxRate int, requirePointer bool) {
	next := newRules(refresh, maxRate, requirePointer)
	k.mu.Lock()
	defer k.mu.Unlock()
	if *next == *k.rules.Load() {
		return
	}
	k.rules.Store(next)
	k.limiter.setRate(next.maxRate)
	// A shorter interval applies at once, not after the end of the longer one.
	now, interval := time.Now(), k.Interval()
	for _, e := range k.queue {
		if latest := now.Add(jitter.Vary(interval)); e.due.After(latest) {
			e.due = latest
		}
	}
	heap.Init(&k.queue)
	k.log.Info("the rules for refreshing secrets have changed",
		"interval", interval, "max_rate", next.maxRate, "require_pointer", next.requirePointer)
	k.signal()
}

// Retry makes Run refresh the secrets at once for which the store was unavailable at the last
// refresh. Call it when the cause may have gone, such as a wrong credential. MaxRate still applies.
func (k *Keyring) Retry() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	for _, e := range *k.entries.Load() {
		if e.failures == 0 {
			continue
		}
		e.failures = 0 // a refresh in progress may fail once more, and is then repeated soon
		if e.place >= 0 {
			e.due = now
		}
	}
	heap.Init(&k.queue)
	k.signal()
}

// Run refreshes all secrets of the keyring until ctx ends, and returns the error of ctx. Its end
// cancels all refreshes in progress, including those that other calls started. No refresh begins
// afterwards, so Run can be called once. Get still returns the held keys.
func (k *Keyring) Run(ctx context.Context) error {
	var refreshes sync.WaitGroup
	defer refreshes.Wait()
	defer k.stop()
	panics.Restart(ctx, k.log, "refreshing secrets", func() { k.refreshDue(ctx, &refreshes) })
	return ctx.Err()
}

// refreshDue refreshes each secret when it is due, until ctx ends.
func (k *Keyring) refreshDue(ctx context.Context, refreshes *sync.WaitGroup) {
	slots := make(chan struct{}, maxRefreshes)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := k.schedule(time.Now())
		for _, e := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			refreshes.Go(func() {
				defer func() { <-slots }()
				<-k.start(e) // its fault is in the entry's state and in the log
				k.requeue(e)
			})
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-timer.C:
		}
	}
}

// schedule removes the entries that are due from the queue, and returns the time until the next one
// is due.
func (k *Keyring) schedule(now time.Time) (due []*entry, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.queue) > 0 {
		next := k.queue[0]
		if wait = next.due.Sub(now); wait > 0 {
			return due, wait
		}
		heap.Pop(&k.queue)
		due = append(due, next)
	}
	return due, time.Hour
}

// requeue puts e back into the queue after a refresh.
func (k *Keyring) requeue(e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if (*k.entries.Load())[e.ref] == e { // otherwise Retain has removed it in the meantime
		heap.Push(&k.queue, e)
		k.signal()
	}
}

// reschedule sets the time of the next refresh of e after one that led to s.
func (k *Keyring) reschedule(e *entry, s *State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pause := k.Interval()
	if staged := s.Status.Staged(); staged != 0 && staged != s.Status.Previous {
		pause = min(pause, stagedInterval)
	}
	if isUnavailable(s.Fault) && s.Succeeded != s.Attempted {
		pause = min(k.Interval(), firstRetry<<min(e.failures, 10))
		e.failures++
	} else {
		e.failures = 0
	}
	e.due = time.Now().Add(jitter.Vary(pause))
	if e.place >= 0 {
		heap.Fix(&k.queue, e.place)
		k.signal()
	}
}

// signal wakes Run without waiting for it.
func (k *Keyring) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// queue is a heap of the entries that Run isn't refreshing, ordered by due.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	e.place = -1
	return e
}
