package secrets

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// The defaults of Options fields that are zero.
const (
	DefaultRefresh  = 10 * time.Second
	DefaultMaxRate  = 50
	DefaultMaxStale = 12 * time.Hour
	DefaultTimeout  = 10 * time.Second
)

var errNotHeld = errors.New("the keyring doesn't hold it")

// AlarmAfter is the age from which a value that couldn't be confirmed is logged as an error instead
// of a warning.
const AlarmAfter = 15 * time.Minute

// Options configure a Keyring. Only Source is required.
type Options struct {
	Source Source
	// Refresh is the interval at which each secret is refreshed, ± 20 %.
	Refresh time.Duration
	// MaxRate is the greatest number of reads a second, over all secrets and for all reasons. The
	// interval grows to keep it.
	MaxRate int
	// RequirePointer refuses a secret without a pointer: its newest version doesn't sign.
	RequirePointer bool
	// Timeout bounds one read. It is a last resort, because sources have shorter deadlines, and
	// no request waits for a read.
	Timeout time.Duration
	// Now is the clock by which ages are measured. If it is nil, time.Now is used.
	Now func() time.Time
	// Log receives what an operator should know. If it is nil, nothing is logged.
	Log *slog.Logger
}

// Held holds the keys of one reference at one moment. It is immutable and replaced as a whole, so
// its parts always belong together.
type Held struct {
	Status Status
	// Refreshed is when the store last confirmed all this.
	Refreshed time.Time

	active, staged, previous Key
}

// Key returns the key of version v, or the active key if v is zero.
func (h *Held) Key(v Version) (Key, bool) {
	switch {
	case v == 0, v == h.active.version:
		return h.active, true
	case v == h.staged.version:
		return h.staged, true
	case v == h.previous.version:
		return h.previous, true
	}
	return Key{}, false
}

// Keys returns every key that a signature may have been made with: the active key first, then the
// staged and the previous key if there are such.
func (h *Held) Keys() []Key {
	keys := []Key{h.active}
	if !h.staged.IsZero() {
		keys = append(keys, h.staged)
	}
	if !h.previous.IsZero() && h.previous.version != h.staged.version {
		keys = append(keys, h.previous)
	}
	return keys
}

// State is everything that is known about one reference. It serves status pages, readiness and
// metrics.
type State struct {
	// Status is the last one that was accepted from the store.
	Status Status
	// Held is nil if there is nothing to sign with. It may be too old to serve.
	Held *Held
	// Fault is what the last refresh found wrong, in words for operators. Held may still serve.
	Fault error
	// Attempted is the time of the last refresh, and Succeeded of the last one in which the store
	// answered with something to sign with. Both are zero until then.
	Attempted, Succeeded time.Time

	// behindSince is when the store's answers began to be older than what is held. It is zero if
	// they aren't.
	behindSince time.Time
	// offSerial is the serial that an answer needs to switch on. It has no meaning while the
	// secret is on.
	offSerial uint64
	// activeUnknown says that the metadata were wiped, so the newest version may be a staged one.
	activeUnknown bool
	cleared       []clearedSwitch // the switch-offs that were seen cleared, the oldest first
}

// Unpinned reports whether the newest version signs only because the store has no pointer. Then the
// secret was written by hand. An operator should pin it, because until then every version becomes
// active when it is written.
func (s *State) Unpinned() bool { return s.Held != nil && isUnpinned(s.Status) }

func isUnpinned(s Status) bool { return !s.Pinned && s.Revision == 0 }

// ActiveVersion returns the version that signs, or that the store's pointer names. It is zero if
// that can't be known.
func (s *State) ActiveVersion() Version {
	if s.activeUnknown {
		return 0
	}
	return s.Status.Active
}

// Behind returns when the store's answers began to be older than what is held. It is zero if they
// aren't.
func (s *State) Behind() time.Time { return s.behindSince }

// UnavailableError says that the store is away and that what is held is too old, or that nothing is
// held yet. It wraps ErrUnavailable.
type UnavailableError struct {
	Ref        Ref
	RetryAfter time.Duration // the time after which a retry may help
	Fault      error         // the cause, for the log; not unwrapped on purpose
}

func (e *UnavailableError) Error() string {
	if e.Fault == nil {
		return fmt.Sprintf("secret %s: %v: not loaded yet", e.Ref, ErrUnavailable)
	}
	return fmt.Sprintf("secret %s: %v: %v", e.Ref, ErrUnavailable, e.Fault)
}

// Unwrap returns ErrUnavailable. The cause isn't part of the chain, so that a deadline that the
// store missed is never mistaken for the caller's.
func (*UnavailableError) Unwrap() error { return ErrUnavailable }

// A Keyring holds the keys of a set of references and keeps them fresh. Get never waits for the
// store. Warm and Refresh do. Run refreshes in the background. All methods may be called
// concurrently.
type Keyring struct {
	source  Source
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	rules   atomic.Pointer[rules]
	limiter *rateLimiter

	// running is the context of every refresh. The end of Run cancels it. A refresh belongs to the
	// keyring, not to the call that started it.
	running context.Context
	stop    context.CancelFunc

	counts counts

	entries atomic.Pointer[map[Ref]*entry] // the map is immutable
	mu      sync.Mutex                     // serializes changes of entries, and guards queue
	queue   queue
	wake    chan struct{} // wakes Run after a change of the schedule
}

// entry is the state of one reference. The state is read without a lock.
type entry struct {
	ref    Ref
	state  atomic.Pointer[State] // nil until the first refresh
	flight singleflight.Group    // one refresh at a time

	// Only the refresh in progress uses these.
	values map[identity]value
	logged logLimiter

	// Keyring.mu guards these.
	due      time.Time // the time of the next refresh
	place    int       // the index in the queue; negative while Run refreshes the entry
	failures int       // the number of refreshes in a row that found the store away
}

// NewKeyring makes a Keyring that holds nothing yet.
func NewKeyring(o Options) *Keyring {
	k := &Keyring{
		source:  o.Source,
		timeout: orDefault(o.Timeout, DefaultTimeout),
		now:     o.Now,
		log:     o.Log,
		wake:    make(chan struct{}, 1),
	}
	if k.now == nil {
		k.now = time.Now
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	first := newRules(o.Refresh, o.MaxRate, o.RequirePointer)
	k.rules.Store(first)
	k.limiter = newRateLimiter(first.maxRate)
	k.running, k.stop = context.WithCancel(context.Background())
	k.entries.Store(&map[Ref]*entry{})
	return k
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Get returns what is held for ref. It never waits for the store. What is held serves until
// maxStale after the store last confirmed it. If maxStale isn't positive, DefaultMaxStale is used.
//
// The error wraps one of ErrDisabled, ErrNotFound, ErrDeleted, ErrDenied, ErrUnusable and
// ErrUnavailable. Its text is for the log, not for callers.
func (k *Keyring) Get(ref Ref, maxStale time.Duration) (*Held, error) {
	e, ok := (*k.entries.Load())[ref]
	if !ok {
		return nil, k.unavailable(ref, errNotHeld)
	}
	s := e.state.Load()
	if s == nil {
		return nil, k.unavailable(ref, nil)
	}
	if s.Status.Disabled {
		return nil, fmt.Errorf("secret %s: %w", ref, ErrDisabled)
	}
	if s.Held != nil && k.now().Sub(s.Held.Refreshed) <= orDefault(maxStale, DefaultMaxStale) {
		return s.Held, nil
	}
	if isUnavailable(s.Fault) || s.Fault == nil {
		return nil, k.unavailable(ref, s.Fault)
	}
	return nil, s.Fault
}

func (k *Keyring) unavailable(ref Ref, fault error) error {
	return &UnavailableError{Ref: ref, RetryAfter: k.rules.Load().refresh, Fault: fault}
}

// State returns everything that is known about ref. It returns false if the keyring doesn't hold
// ref or has not refreshed it yet.
func (k *Keyring) State(ref Ref) (State, bool) {
	if e, ok := (*k.entries.Load())[ref]; ok {
		if s := e.state.Load(); s != nil {
			return *s, true
		}
	}
	return State{}, false
}

// Warm adds refs to the keyring and refreshes those that aren't held yet. It returns when each is
// held or known to be at fault. A fault is logged and kept in the state instead of returned,
// because one broken secret must not stop the others. The only error is the end of ctx.
//
// If many refreshes in a row find the store away, Warm returns early, and Run refreshes the rest.
// It also does so after the end of ctx.
func (k *Keyring) Warm(ctx context.Context, refs ...Ref) error {
	k.change(func(entries map[Ref]*entry) {
		for _, ref := range refs {
			if _, ok := entries[ref]; !ok {
				// Run doesn't refresh it before that, and takes over if Warm ends early.
				e := &entry{ref: ref, due: time.Now().Add(k.rules.Load().refresh)}
				entries[ref] = e
				heap.Push(&k.queue, e)
			}
		}
	})
	entries := *k.entries.Load()
	slots := make(chan struct{}, maxRefreshes)
	var failures atomic.Int64 // in a row
	var refreshes sync.WaitGroup
	for _, ref := range refs {
		e := entries[ref]
		if e == nil { // removed by Retain in the meantime
			continue
		}
		if s := e.state.Load(); s != nil && s.Held != nil {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || failures.Load() >= maxRefreshes {
			break
		}
		refreshes.Go(func() {
			defer func() { <-slots }()
			// The fault is in the entry's state and in the log.
			if r, err := k.refresh(ctx, e); err == nil && isUnavailable(r.fault) {
				failures.Add(1)
			} else {
				failures.Store(0)
			}
		})
	}
	refreshes.Wait()
	return ctx.Err()
}

// Retain removes every reference other than refs, and their keys.
func (k *Keyring) Retain(refs ...Ref) {
	k.change(func(entries map[Ref]*entry) {
		keep := make(map[Ref]bool, len(refs))
		for _, ref := range refs {
			keep[ref] = true
		}
		maps.DeleteFunc(entries, func(ref Ref, e *entry) bool {
			if !keep[ref] && e.place >= 0 {
				heap.Remove(&k.queue, e.place)
			}
			return !keep[ref]
		})
	})
}

// change replaces the map of entries with an edited copy.
func (k *Keyring) change(edit func(map[Ref]*entry)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	entries := maps.Clone(*k.entries.Load())
	before := k.Interval()
	edit(entries)
	k.entries.Store(&entries)
	if after := k.Interval(); after != before {
		k.log.Info("the interval between refreshes has changed, so that max_rate is kept",
			"secrets", len(entries), "interval", after, "max_rate", k.rules.Load().maxRate)
	}
	k.signal()
}

// Refresh asks the store now and returns the accepted status before and after.
//
// The refresh begins after the call does, because one that is already in progress may have missed
// the change that the caller knows of. Concurrent callers share a refresh. The error is what the
// refresh found wrong, of the same kinds as the errors of Get, or the end of ctx.
func (k *Keyring) Refresh(ctx context.Context, ref Ref) (before, after Status, err error) {
	e, ok := (*k.entries.Load())[ref]
	if !ok {
		return Status{}, Status{}, k.unavailable(ref, errNotHeld)
	}
	if s := e.state.Load(); s != nil {
		before = s.Status
	}
	asked := time.Now()
	result, err := k.refresh(ctx, e)
	if err == nil && result.began.Before(asked) {
		result, err = k.refresh(ctx, e)
	}
	if err != nil {
		return before, before, err
	}
	if isUnavailable(result.fault) {
		result.fault = k.unavailable(ref, result.fault)
	}
	if s := e.state.Load(); s != nil {
		return before, s.Status, result.fault
	}
	return before, before, k.unavailable(ref, errNotHeld) // Run has ended before the first refresh
}
