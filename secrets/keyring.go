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

// What an Options field that is left zero means.
const (
	DefaultRefresh  = 10 * time.Second
	DefaultMaxRate  = 50
	DefaultMaxStale = 12 * time.Hour
	DefaultTimeout  = 10 * time.Second
)

var errNotHeld = errors.New("it is not among those that the keyring was told to hold")

// AlarmAfter is the age from which a value that couldn't be confirmed is an
// error in the log, not only a warning.
const AlarmAfter = 15 * time.Minute

// Options of a Keyring. Only Source is required.
type Options struct {
	Source Source
	// Refresh is the interval at which each secret's versions are looked at, ± 20 %.
	Refresh time.Duration
	// MaxRate is the most reads a second that the Source is asked for, all
	// secrets and all reasons together. The interval stretches to keep it.
	MaxRate int
	// RequirePointer refuses a secret without a pointer: its newest version doesn't sign.
	RequirePointer bool
	// Timeout bounds one read. It is a last resort: sources have shorter deadlines
	// of their own, and nobody who signs waits for it.
	Timeout time.Duration
	// Now is the clock that ages are measured by; nil: time.Now.
	Now func() time.Time
	// Log gets what an operator should know; nil: nothing is logged.
	Log *slog.Logger
}

// Held is what a Keyring holds for one reference at one moment. It is immutable
// and replaced as a whole, so its parts always belong together.
type Held struct {
	Status Status
	// Refreshed is when the store last confirmed all this.
	Refreshed time.Time

	active, staged, previous Key
}

// Key finds the key of version v; zero: the active one.
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

// Keys lists each key that a signature may have been made with: the active one
// first, then the staged and the previous one where there are such.
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

// State is all that is known about one reference: for status pages, readiness and metrics.
type State struct {
	// Status is the last one that was accepted from the store.
	Status Status
	// Held is nil when there is nothing to sign with. It may be too old to serve.
	Held *Held
	// Fault is what the last look found wrong, in words for operators. It can
	// stand beside a Held that still serves.
	Fault error
	// Looked is when the store was last asked, Succeeded when it last answered
	// with something to sign with; both are zero until then.
	Looked, Succeeded time.Time

	// behindSince is when the store's answers began to be older than what is held.
	// Zero: they aren't.
	behindSince time.Time
	// offSerial is the serial that an answer needs to switch on. It means nothing while the
	// secret is on.
	offSerial uint64
	// activeUnknown says that the metadata were wiped: the newest version may be a staged one.
	activeUnknown bool
	cleared       []clearing // the switch-offs that were seen cleared, the oldest first
}

// Unpinned reports whether the newest version signs only because the store has no pointer.
// Somebody wrote the secret by hand. An operator should pin it: until then, whoever writes a
// version activates it.
func (s *State) Unpinned() bool { return s.Held != nil && isUnpinned(s.Status) }

func isUnpinned(s Status) bool { return !s.Pinned && s.Revision == 0 }

// ActiveVersion returns the version that signs, or that the store's pointer names. Zero: nobody can
// know.
func (s *State) ActiveVersion() Version {
	if s.activeUnknown {
		return 0
	}
	return s.Status.Active
}

// Behind returns since when the store's answers have been older than what is held. It is zero
// if they aren't.
func (s *State) Behind() time.Time { return s.behindSince }

// UnavailableError tells that the store is away and that what is held is too
// old, or that nothing is held yet. errors.Is(err, ErrUnavailable) holds.
type UnavailableError struct {
	Ref        Ref
	RetryAfter time.Duration // when trying again may help
	Fault      error         // why, for the log; deliberately not unwrapped
}

func (e *UnavailableError) Error() string {
	if e.Fault == nil {
		return fmt.Sprintf("secret %s: %v: not loaded yet", e.Ref, ErrUnavailable)
	}
	return fmt.Sprintf("secret %s: %v: %v", e.Ref, ErrUnavailable, e.Fault)
}

// Unwrap returns ErrUnavailable. The cause stays outside the chain, so that a
// deadline that the store has missed is never taken for the caller's.
func (*UnavailableError) Unwrap() error { return ErrUnavailable }

// A Keyring holds the keys of a set of references and keeps them fresh. Get
// never waits; Warm and Refresh do; Run does the background work. All methods
// may be called at the same time.
type Keyring struct {
	source  Source
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	rules   atomic.Pointer[rules]
	pace    *pace

	// running is the context of every look, ended by Run's end: a look belongs
	// to the keyring, not to the call that happened to start it.
	running context.Context
	stop    context.CancelFunc

	looks counts

	entries atomic.Pointer[map[Ref]*entry] // the map is immutable
	mu      sync.Mutex                     // one change of entries at a time, and their queue
	queue   queue
	wake    chan struct{} // tells Run that the schedule has changed
}

// entry is one reference's place. Its state is read without a lock.
type entry struct {
	ref    Ref
	state  atomic.Pointer[State] // nil until the first look
	flight singleflight.Group    // one look at a time

	// Of the look in flight alone.
	values map[identity]value
	logged report

	// Under Keyring.mu.
	due   time.Time // when Run should look next
	place int       // in the queue; below zero: not there, since Run is at it
	aways int       // looks in a row that found the store away
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
	k.pace = newPace(first.maxRate)
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

// Get returns what is held for ref, and never waits for the store. maxStale is
// the age up to which it serves without having been confirmed; zero or less:
// DefaultMaxStale.
//
// The error wraps one of ErrDisabled, ErrNotFound, ErrDeleted, ErrDenied,
// ErrUnusable and ErrUnavailable. Its text is for the log, not for callers.
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
	if away(s.Fault) || s.Fault == nil {
		return nil, k.unavailable(ref, s.Fault)
	}
	return nil, s.Fault
}

func (k *Keyring) unavailable(ref Ref, fault error) error {
	return &UnavailableError{Ref: ref, RetryAfter: k.rules.Load().refresh, Fault: fault}
}

// State tells all that is known about ref; false if it isn't in the keyring or
// has not been looked at yet.
func (k *Keyring) State(ref Ref) (State, bool) {
	if e, ok := (*k.entries.Load())[ref]; ok {
		if s := e.state.Load(); s != nil {
			return *s, true
		}
	}
	return State{}, false
}

// Warm takes refs into the keyring and looks at those that aren't held yet. It
// returns when each is held or known to be at fault; a fault is logged and
// kept, not returned, since one broken secret must not stop the others. Where
// one look after another finds the store away, the rest needn't be tried to be
// known at fault: Run goes on with them, as it does when ctx ends, which is the only error.
func (k *Keyring) Warm(ctx context.Context, refs ...Ref) error {
	k.change(func(entries map[Ref]*entry) {
		for _, ref := range refs {
			if _, ok := entries[ref]; !ok {
				// Run leaves it alone for now; a Warm that ends early hands it over.
				e := &entry{ref: ref, due: time.Now().Add(k.rules.Load().refresh)}
				entries[ref] = e
				heap.Push(&k.queue, e)
			}
		}
	})
	entries := *k.entries.Load()
	slots := make(chan struct{}, maxLooks)
	var aways atomic.Int64 // in a row
	var looks sync.WaitGroup
	for _, ref := range refs {
		e := entries[ref]
		if e == nil { // a Retain came between
			continue
		}
		if s := e.state.Load(); s != nil && s.Held != nil {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || aways.Load() >= maxLooks {
			break
		}
		looks.Go(func() {
			defer func() { <-slots }()
			if l, err := k.lookAt(ctx, e); err == nil && away(l.fault) { // the fault is in the entry's state, and in the log
				aways.Add(1)
			} else {
				aways.Store(0)
			}
		})
	}
	looks.Wait()
	return ctx.Err()
}

// Retain forgets every reference other than refs, and the keys with them.
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

// change swaps the map of entries for an edited copy.
func (k *Keyring) change(edit func(map[Ref]*entry)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	entries := maps.Clone(*k.entries.Load())
	before := k.Interval()
	edit(entries)
	k.entries.Store(&entries)
	if after := k.Interval(); after != before {
		k.log.Info("secrets are looked at in another interval, so that max_rate is kept",
			"secrets", len(entries), "interval", after, "max_rate", k.rules.Load().maxRate)
	}
	k.signal()
}

// Refresh looks at the store now and returns the accepted status before and
// after. The look begins after the call does: one that is already under way
// may have missed the change that the caller knows of. Callers that ask at the
// same time share a look. The error is what the look found wrong, of the same
// kinds as Get's, or the end of ctx.
func (k *Keyring) Refresh(ctx context.Context, ref Ref) (before, after Status, err error) {
	e, ok := (*k.entries.Load())[ref]
	if !ok {
		return Status{}, Status{}, k.unavailable(ref, errNotHeld)
	}
	if s := e.state.Load(); s != nil {
		before = s.Status
	}
	asked := time.Now()
	l, err := k.lookAt(ctx, e)
	if err == nil && l.began.Before(asked) {
		l, err = k.lookAt(ctx, e)
	}
	if err != nil {
		return before, before, err
	}
	if away(l.fault) {
		l.fault = k.unavailable(ref, l.fault)
	}
	if s := e.state.Load(); s != nil {
		return before, s.Status, l.fault
	}
	return before, before, k.unavailable(ref, errNotHeld) // Run has ended, and nothing was ever seen
}
