package secrets

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// stagedInterval: somebody is about to activate a version that is staged.
	stagedInterval = time.Second
	// firstRetry is the pause after a first look that found the store away; it
	// doubles up to the interval, so that an outage ends here at most one interval after it ends there.
	firstRetry = time.Second
	// maxLooks is how many looks go on at once: enough that a few that hang
	// don't hold up the rest, few enough that one asked for by Refresh has its turn soon.
	maxLooks = 16
	// headroom leaves a tenth of max_rate to values and to looks that are asked for.
	headroom = 0.9
)

// Interval is the effective interval between two looks at a secret: Refresh, or
// more where so many secrets are held that MaxRate demands it.
func (k *Keyring) Interval() time.Duration {
	r := k.rules.Load()
	load := float64(len(*k.entries.Load())) / (headroom * float64(r.maxRate))
	return max(r.refresh, time.Duration(load*float64(time.Second)))
}

// rules are the [Options] that a running keyring can change. They are immutable.
type rules struct {
	refresh        time.Duration
	maxRate        int
	requirePointer bool
}

func newRules(refresh time.Duration, maxRate int, requirePointer bool) *rules {
	return &rules{orDefault(refresh, DefaultRefresh), orDefault(maxRate, DefaultMaxRate), requirePointer}
}

// SetRules replaces the Refresh, MaxRate and RequirePointer of [Options]. They hold from the
// next refresh of each secret on.
func (k *Keyring) SetRules(refresh time.Duration, maxRate int, requirePointer bool) {
	next := newRules(refresh, maxRate, requirePointer)
	k.mu.Lock()
	defer k.mu.Unlock()
	if *next == *k.rules.Load() {
		return
	}
	k.rules.Store(next)
	k.pace.setRate(next.maxRate)
	// Whoever shortens the interval doesn't wait for the end of the long one first.
	now, interval := time.Now(), k.Interval()
	for _, e := range k.queue {
		if latest := now.Add(jitter(interval)); e.due.After(latest) {
			e.due = latest
		}
	}
	heap.Init(&k.queue)
	k.log.Info("the rules for refreshing secrets have changed",
		"interval", interval, "max_rate", next.maxRate, "require_pointer", next.requirePointer)
	k.signal()
}

// Run keeps what is held fresh until ctx ends, and returns ctx's error. Looks
// that are under way end with it, whoever asked for them, and none begins
// after: a Keyring runs once. What is held stays readable.
func (k *Keyring) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer looks.Wait()
	defer k.stop()
	slots := make(chan struct{}, maxLooks)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due, wait := k.schedule(time.Now())
		for _, e := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			looks.Go(func() {
				defer func() { <-slots }()
				<-k.flight(e) // its fault is in the entry's state, and in the log
				k.looked(e)
			})
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.wake:
		case <-timer.C:
		}
	}
}

// schedule takes the entries that are due, and says how long until the next.
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

// looked makes e one that can be due again.
func (k *Keyring) looked(e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if (*k.entries.Load())[e.ref] == e { // it may have been forgotten meanwhile
		heap.Push(&k.queue, e)
		k.signal()
	}
}

// reschedule sets when e is due again, after a look has led to s.
func (k *Keyring) reschedule(e *entry, s *State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pause := k.Interval()
	if staged := s.Status.Staged(); staged != 0 && staged != s.Status.Previous {
		pause = min(pause, stagedInterval)
	}
	if away(s.Fault) && s.Succeeded != s.Looked {
		pause = min(k.Interval(), firstRetry<<min(e.aways, 10))
		e.aways++
	} else {
		e.aways = 0
	}
	e.due = time.Now().Add(jitter(pause))
	if e.place >= 0 {
		heap.Fix(&k.queue, e.place)
		k.signal()
	}
}

// jitter spreads d by ± 20 %, so that neither secrets nor replicas stay in step.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // a spread needs no secrecy
}

// signal wakes Run without waiting for it.
func (k *Keyring) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// queue is a heap of the entries that Run isn't looking at, by when they are due.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is heap.Interface's.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}

// Pop is heap.Interface's.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	e.place = -1
	return e
}
