package caller

import (
	"context"
	"crypto"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// refreshURL and refreshFile are how often keys are fetched again, ± 20 %. A file
	// costs nothing, and who takes a key out of one wants it gone.
	refreshURL  = 10 * time.Minute
	refreshFile = 10 * time.Second
	// retry is the same while an issuer is away.
	retry = 30 * time.Second
	// pause is the least time between two fetches of an issuer's keys, however many
	// tokens name a key that it hasn't got: strangers can make such tokens.
	pause = 5 * time.Second
	// fetchTime bounds one fetch, discovery included.
	fetchTime = 3 * time.Second
	// maxAge is how long keys may serve while their issuer is away.
	maxAge = 24 * time.Hour
)

// KeySetOptions change how keys are kept; the zero value is right for a service.
type KeySetOptions struct {
	// Now is the clock that tokens and the age of keys are judged by; nil: time.Now.
	Now func() time.Time
	// Log is told of fetches that fail; nil: nobody is. Requests aren't logged: those
	// of strangers could fill any disk.
	Log *slog.Logger
}

// KeySets keeps issuers' keys. It outlives the configurations whose callers use it,
// so that a reload while an issuer is away loses nothing. It is safe for concurrent
// use, and works without [KeySets.Run], then asking only when a token needs it.
type KeySets struct {
	now func() time.Time
	log *slog.Logger

	mu   sync.Mutex
	sets map[Issuer]*keySet // by where the keys come from
}

// NewKeySets makes an empty one.
func NewKeySets(o KeySetOptions) *KeySets {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &KeySets{now: o.Now, log: o.Log, sets: make(map[Issuer]*keySet)}
}

// Run refreshes the keys of all issuers until ctx ends, and returns its error.
func (k *KeySets) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(k.refreshDue())
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// Warm asks all these issuers for their keys and waits until each has answered or
// failed to, a few seconds at most. An issuer that is away is no error: callers that
// have other credentials don't need it.
func (k *KeySets) Warm(ctx context.Context, issuers ...Issuer) {
	var under []<-chan struct{}
	for _, i := range issuers {
		under = append(under, k.of(i).begin())
	}
	for _, done := range under {
		_ = wait(ctx, done)
	}
}

// Retain forgets the keys of all other issuers.
func (k *KeySets) Retain(issuers ...Issuer) {
	keep := make(map[Issuer]*keySet, len(issuers))
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range issuers {
		if set := k.sets[origin(i)]; set != nil {
			keep[origin(i)] = set
		}
	}
	k.sets = keep
}

// Issuers are those whose keys are kept, as their tokens name them, sorted.
func (k *KeySets) Issuers() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for i := range k.sets {
		names = append(names, i.Issuer)
	}
	slices.Sort(names)
	return names
}

// Fetched tells when the keys of an issuer were last fetched, and whether they ever
// were.
func (k *KeySets) Fetched(i Issuer) (time.Time, bool) {
	k.mu.Lock()
	set := k.sets[origin(i)]
	k.mu.Unlock()
	if set == nil {
		return time.Time{}, false
	}
	if held := set.current.Load(); held != nil {
		return held.fetched, true
	}
	return time.Time{}, false
}

// origin is what settings say about where keys come from. Nothing else makes two
// sets of one.
func origin(i Issuer) Issuer {
	i.Name, i.Audience = "", ""
	return i
}

// of is the set of an issuer's keys, which may be empty yet.
func (k *KeySets) of(i Issuer) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := k.sets[origin(i)]
	if set == nil {
		set = &keySet{source: origin(i), now: k.now, log: k.log.With(slog.String("issuer", i.Issuer))}
		k.sets[origin(i)] = set
	}
	return set
}

// refreshDue begins whatever fetch is due, and tells when to look again: soon enough
// for issuers that a reload may bring.
func (k *KeySets) refreshDue() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := refreshFile
	for _, set := range k.sets {
		next = min(next, set.refresh())
	}
	return max(next, time.Second)
}

// keySet is the keys of one issuer.
type keySet struct {
	source Issuer
	now    func() time.Time
	log    *slog.Logger

	current atomic.Pointer[keys] // nil: none yet

	mu     sync.Mutex
	flight chan struct{} // closed when the fetch under way has ended; nil: none is
	tried  time.Time     // when the last one began
	due    time.Time     // when Run begins the next
}

// key finds the key for a token, and says among which it was. Where the token names one that isn't
// known, or none is held, the issuer is asked first, unless it just was. The error is ctx's, or one
// of this package's.
func (s *keySet) key(ctx context.Context, t token) (crypto.PublicKey, *keys, error) {
	held := s.held()
	if held == nil || !held.knows(t) {
		if err := wait(ctx, s.begin()); err != nil {
			return nil, nil, err
		}
		held = s.held()
	}
	if held == nil {
		return nil, nil, ErrIssuerUnavailable
	}
	if public, ok := held.find(t); ok {
		return public, held, nil
	}
	return nil, nil, ErrUnverified
}

// held are the keys, nil where they are none or too old.
func (s *keySet) held() *keys {
	k := s.current.Load()
	if k == nil || s.now().Sub(k.fetched) > maxAge {
		return nil
	}
	return k
}

// wait waits for the end of a fetch. None takes longer than fetchTime.
func wait(ctx context.Context, done <-chan struct{}) error {
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refresh begins a fetch if it is time for one, and tells how long it is to the next.
func (s *keySet) refresh() time.Duration {
	s.mu.Lock()
	left := s.due.Sub(s.now())
	s.mu.Unlock()
	if left <= 0 {
		s.begin()
		return retry
	}
	return left
}

// begin begins a fetch, or joins that which is under way. It returns nil, so that
// nobody waits, where the last one began less than a pause ago.
func (s *keySet) begin() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.flight != nil || now.Sub(s.tried) < pause {
		return s.flight
	}
	s.tried, s.due = now, now.Add(spread(retry))
	done := make(chan struct{})
	s.flight = done
	// With a context of its own: the request that it begins for may be given up, and
	// others wait for it too.
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	go func() {
		defer cancel()
		s.update(ctx)
		s.mu.Lock()
		s.flight = nil
		s.mu.Unlock()
		close(done)
	}()
	return done
}

// update fetches the keys. When that fails the last ones go on.
func (s *keySet) update(ctx context.Context) {
	before := s.current.Load()
	asked := s.now()
	text, err := fetch(ctx, s.source)
	var all []key
	if err == nil {
		all, err = parseKeys(text)
	}
	switch {
	case err != nil && s.held() == nil:
		s.log.Error("an issuer's keys are not available, so its tokens are refused", slog.String("cause", err.Error()))
		return
	case err != nil:
		s.log.Warn("an issuer's keys can't be refreshed; those of the last time go on",
			slog.String("cause", err.Error()), slog.Time("fetched", before.fetched), slog.Time("until", before.fetched.Add(maxAge)))
		return
	}
	s.current.Store(&keys{all: all, fetched: asked})
	every := refreshURL
	if s.source.byFile() {
		every = refreshFile
	}
	s.mu.Lock()
	s.due = asked.Add(spread(every))
	s.mu.Unlock()
}

// spread keeps the replicas of a service from asking all at once.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // a spread needs no secrecy
}
