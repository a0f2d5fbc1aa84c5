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

// AlarmAfter is the age from which a value that couldn't be confirmed is logged as an error. Before
// that it is logged as a warning.
const AlarmAfter = 15 * time.Minute

// Options configure a Keyring. Only Source is required.
type Options struct {
	Source Source
	// Refresh is the interval at which each secret is refreshed, ± 20 %.
	Refresh time.Duration
	// MaxRate is the maximum number of reads a second. It counts all reads of all secrets. The
	// interval grows so that it is not exceeded.
	MaxRate int
	// RequirePointer refuses a secret without a pointer. Its newest version then doesn't sign.
	RequirePointer bool
	// Timeout is the time limit of one read. It rarely takes effect, because sources have shorter
	// deadlines. No request waits for a read.
	Timeout time.Duration
	// Now is the clock that ages are measured with. If it is nil, time.Now is used.
	Now func() time.Time
	// Log receives messages for operators. If it is nil, nothing is logged.
	Log *slog.Logger
}

// Held holds the keys of one reference at one moment. It is immutable. A refresh replaces it as a
// whole, so its parts are always consistent.
type Held struct {
	Status Status
	// Refreshed is the time at which the store last confirmed the status and the keys.
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

// Keys returns every key that may have made a signature: the active key first, then the staged and
// the previous key if they exist.
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

// State describes one reference for status pages, readiness checks and metrics.
type State struct {
	// Status is the last status that was accepted from the store.
	Status Status
	// Held is nil if there is no key to sign with. It may be too old to use.
	Held *Held
	// Fault is the fault that the last refresh found, in a text for operators. Held may be usable
	// in spite of it.
	Fault error
	// Attempted is the time of the last refresh. Succeeded is the time of the last refresh that
	// found a key to sign with. Each is zero before the first such refresh.
	Attempted, Succeeded time.Time

	// alarm says that Fault is only an alarm: the refresh succeeded.
	alarm bool
	// behindSince is the time since which the store's answers have been older than the held status.
	// It is zero if they aren't.
	behindSince time.Time
	// offSerial is the lowest serial of an answer that can switch the secret on. It has no meaning
	// while the secret is on.
	offSerial uint64
	// activeUnknown says that the metadata were wiped. The newest version may then be a staged one.
	activeUnknown bool
	cleared       []clearedSwitch // the switch-offs that later answers cleared, the oldest first
}

// Unpinned reports whether the newest version signs only because the store has no pointer. The
// secret was then written by hand. An operator should pin it, because until then each new version
// becomes active as soon as it is written.
func (s *State) Unpinned() bool { return s.Held != nil && isUnpinned(s.Status) }

func isUnpinned(s Status) bool { return !s.Pinned && s.Revision == 0 }

// ActiveVersion returns the version that signs, or the version that the store's pointer names. It
// is zero if neither is known.
func (s *State) ActiveVersion() Version {
	if s.activeUnknown {
		return 0
	}
	return s.Status.Active
}

// Behind returns the time since which the store's answers have been older than the held status. It
// is zero if they aren't.
func (s *State) Behind() time.Time { return s.behindSince }

// Faulty reports whether the last refresh found nothing to sign with, for a reason that an operator
// must correct. Held may be usable in spite of it.
func (s *State) Faulty() bool { return s.Fault != nil && !s.alarm && !isUnavailable(s.Fault) }

// Alarmed reports whether Fault doesn't prevent signing, but is something that an operator must
// correct, such as a lost pointer or an unusable staged version.
func (s *State) Alarmed() bool { return s.Fault != nil && s.alarm }

// UnavailableError says that the store is unavailable, and that the held keys are too old or were
// never loaded. It wraps ErrUnavailable.
type UnavailableError struct {
	Ref        Ref
	RetryAfter time.Duration // the time after which a retry may succeed
	Fault      error         // the cause, for the log; Unwrap doesn't return it
}

func (e *UnavailableError) Error() string {
	if e.Fault == nil {
		return fmt.Sprintf("secret %s: %v: not loaded yet", e.Ref, ErrUnavailable)
	}
	return fmt.Sprintf("secret %s: %v: %v", e.Ref, ErrUnavailable, e.Fault)
}

// Unwrap returns ErrUnavailable. The cause isn't part of the chain, because a deadline that the
// store missed could be mistaken for the caller's deadline.
func (*UnavailableError) Unwrap() error { return ErrUnavailable }

// A Keyring holds the keys of a set of references and keeps them up to date. Get never waits for
// the store. Warm and Refresh do. Run refreshes in the background. All methods may be called
// concurrently.
type Keyring struct {
	source  Source
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	rules   atomic.Pointer[rules]
	limiter *rateLimiter

	// running is the context of every refresh. The end of Run cancels it. A refresh doesn't use the
	// context of the call that started it, because other calls may share its result.
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
	// awaited is the number of calls of Refresh that wait for a refresh. While it is above 0, the
	// reads of the refresh are urgent.
	awaited atomic.Int32

	// Only the refresh in progress uses these.
	values map[identity]value
	logged logLimiter

	// Keyring.mu guards these.
	due      time.Time // the time of the next refresh
	place    int       // the index in the queue; negative while Run refreshes the entry
	failures int       // the number of refreshes in a row that found the store unavailable
}

// NewKeyring returns an empty Keyring.
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

// Get returns the held keys of ref. It never waits for the store. It returns the keys until
// maxStale after the store last confirmed them. If maxStale isn't positive, DefaultMaxStale is
// used.
//
// The error wraps one of ErrDisabled, ErrNotFound, ErrDeleted, ErrDenied, ErrUnusable and
// ErrUnavailable. Its text is for the log, not for clients.
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

// State returns the state of ref. It returns false if the keyring doesn't contain ref or has not
// refreshed it yet.
func (k *Keyring) State(ref Ref) (State, bool) {
	if e, ok := (*k.entries.Load())[ref]; ok {
		if s := e.state.Load(); s != nil {
			return *s, true
		}
	}
	return State{}, false
}

// Warm adds refs to the keyring and refreshes those without keys. It returns when each of them has
// keys or a fault. It logs a fault and keeps it in the state. It doesn't return the fault, because
// one broken secret must not affect the others. The only error is that of ctx.
//
// Warm returns early if many refreshes in a row find the store unavailable, or if ctx ends. Run
// then refreshes the rest.
func (k *Keyring) Warm(ctx context.Context, refs ...Ref) error {
	k.change(func(entries map[Ref]*entry) {
		for _, ref := range refs {
			if _, ok := entries[ref]; !ok {
				// Run refreshes it at that time at the earliest, in case Warm ends early.
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
		if e == nil { // Retain has removed it in the meantime
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

// Refresh reads the secret from the store and returns the accepted status before and after.
//
// The refresh begins after the call, because a refresh that is already in progress may have missed
// the change for which Refresh is called. Its reads go before those of refreshes for which no call
// of Refresh waits. Concurrent callers share a refresh. The error is the fault that the refresh
// found, of the same kinds as the errors of Get, or the error of ctx.
func (k *Keyring) Refresh(ctx context.Context, ref Ref) (before, after Status, err error) {
	return k.refreshNow(ctx, ref, true)
}

// RefreshInTurn is like Refresh, but its reads wait for their turn among those of Run. Use it for a
// refresh that a client without a credential can cause.
func (k *Keyring) RefreshInTurn(ctx context.Context, ref Ref) error {
	_, _, err := k.refreshNow(ctx, ref, false)
	return err
}

func (k *Keyring) refreshNow(ctx context.Context, ref Ref, urgent bool) (before, after Status, err error) {
	e, ok := (*k.entries.Load())[ref]
	if !ok {
		return Status{}, Status{}, k.unavailable(ref, errNotHeld)
	}
	if urgent {
		e.awaited.Add(1)
		defer e.awaited.Add(-1)
	}
	if s := e.state.Load(); s != nil {
		before = s.Status
	}
	called := time.Now()
	result, err := k.refresh(ctx, e)
	if err == nil && result.began.Before(called) {
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
