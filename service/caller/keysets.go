package caller

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/jitter"
	"github.com/deskmint/deskmint/service/panics"
)

const (
	// refreshURL and refreshFile are the intervals between fetches, ± 20 %. Reading a file is
	// cheap, and an operator that removes a key from a file expects the removal to take effect
	// soon.
	refreshURL  = 10 * time.Minute
	refreshFile = 10 * time.Second
	// retryURL and retryFile are the intervals while an issuer or a file can't be read, ± 20 %. A
	// file is often unreadable only because it is just being written.
	retryURL  = 30 * time.Second
	retryFile = 2 * time.Second
	// pauseURL and pauseFile are the minimal times between two fetches of an issuer's keys. They
	// apply however many tokens name an unknown key, because any client can make such tokens.
	pauseURL  = 5 * time.Second
	pauseFile = time.Second
	// reminder is the interval at which the log repeats that keys can't be fetched.
	reminder = 30 * time.Second
	// fetchTime is the timeout of one fetch, including discovery.
	fetchTime = 3 * time.Second
	// maxAge is how long keys may be used while their issuer is unavailable.
	maxAge = 24 * time.Hour
)

// KeySetOptions configure KeySets. The zero value is right for a service.
type KeySetOptions struct {
	// Now is the clock for checking tokens and the age of keys; nil means time.Now.
	Now func() time.Time
	// Log receives the failed fetches; nil means no log. Requests are not logged, because
	// unauthenticated clients could fill the disk with them.
	Log *slog.Logger
}

// KeySets holds the keys of issuers. It outlives a configuration, so that a reload doesn't lose the
// keys of an issuer that is unavailable. It is safe for concurrent use. It also works without
// [KeySets.Run], but then fetches keys only when a token needs them.
type KeySets struct {
	now func() time.Time
	log *slog.Logger

	mu   sync.Mutex
	sets map[Issuer]*keySet // by the source of the keys
}

// NewKeySets returns empty KeySets.
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

// Warm fetches the keys of these issuers. It waits until each fetch has succeeded or failed, a few
// seconds at most. A failure is not an error, because callers with other credentials don't need the
// issuer.
func (k *KeySets) Warm(ctx context.Context, issuers ...Issuer) {
	var fetches []<-chan struct{}
	for _, i := range issuers {
		fetches = append(fetches, k.of(i).startFetch())
	}
	for _, done := range fetches {
		_ = wait(ctx, done)
	}
}

// Refetch makes Run fetch the keys of these issuers within 10 s. Call it when a file that a fetch
// needs has changed.
func (k *KeySets) Refetch(issuers ...Issuer) {
	for _, i := range issuers {
		set := k.of(i)
		set.mu.Lock()
		set.due = time.Time{}
		set.mu.Unlock()
	}
}

// Retain discards the keys of all other issuers.
func (k *KeySets) Retain(issuers ...Issuer) {
	keep := make(map[Issuer]*keySet, len(issuers))
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range issuers {
		if set := k.sets[source(i)]; set != nil {
			keep[source(i)] = set
		}
	}
	k.sets = keep
}

// Fetched returns the time at which the keys of an issuer were last fetched. ok is false if they
// never were.
func (k *KeySets) Fetched(i Issuer) (time.Time, bool) {
	k.mu.Lock()
	set := k.sets[source(i)]
	k.mu.Unlock()
	if set == nil {
		return time.Time{}, false
	}
	if held := set.current.Load(); held != nil {
		return held.fetched, true
	}
	return time.Time{}, false
}

// ClockOffsets returns how far the clocks of the hosts that the keys come from are ahead of this
// machine's.
func (k *KeySets) ClockOffsets() (all []clock.Offset) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, set := range k.sets {
		all = append(all, set.offsets.All()...)
	}
	return all
}

// MeasureClocks fetches all keys, unless that has just been done.
func (k *KeySets) MeasureClocks(ctx context.Context) {
	k.mu.Lock()
	sets := slices.Collect(maps.Values(k.sets))
	k.mu.Unlock()
	var fetches []<-chan struct{}
	for _, set := range sets {
		fetches = append(fetches, set.startFetch())
	}
	for _, done := range fetches {
		_ = wait(ctx, done)
	}
}

// source returns the part of the settings that determines the source of the keys. Issuers with the
// same source share a set.
func source(i Issuer) Issuer {
	i.Name, i.Audience = "", ""
	return i
}

// of returns the set of an issuer's keys. It may still be empty.
func (k *KeySets) of(i Issuer) *keySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := k.sets[source(i)]
	if set == nil {
		set = &keySet{
			source: source(i), now: k.now, log: k.log.With(slog.String("issuer", i.Issuer)),
			offsets: clock.NewOffsets(k.now, slog.New(slog.DiscardHandler)), // a metric tells of them
		}
		k.sets[source(i)] = set
	}
	return set
}

// refreshDue starts all fetches that are due and returns the time until the next check. It is short
// enough for issuers that a reload adds.
func (k *KeySets) refreshDue() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := refreshFile
	for _, set := range k.sets {
		next = min(next, set.refresh())
	}
	return max(next, time.Second)
}

// keySet holds the keys of one issuer.
type keySet struct {
	source  Issuer
	now     func() time.Time
	log     *slog.Logger
	offsets *clock.Offsets // of the hosts that the keys come from

	current atomic.Pointer[keys] // nil: no keys yet

	mu      sync.Mutex
	running chan struct{} // closed when the running fetch has ended; nil: none is running
	started time.Time     // when the last fetch started
	due     time.Time     // when Run starts the next fetch

	// Only the running fetch uses these.
	failure string    // why the last fetch failed, as it was logged; "": it succeeded
	logged  time.Time // when that was logged
	warned  string    // the last warning about a set that was fetched
}

// key returns the key for a token and the set that contains it. If the token names an unknown key,
// or if no keys are held, key first fetches the keys, unless that has just been done. The error is
// that of ctx or one of this package.
func (s *keySet) key(ctx context.Context, t token) (crypto.PublicKey, *keys, error) {
	held := s.held()
	if held == nil || !held.needsNoFetch(t) {
		if err := wait(ctx, s.startFetch()); err != nil {
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

// held returns the keys, or nil if there are none or they are too old.
func (s *keySet) held() *keys {
	k := s.current.Load()
	if k == nil || s.now().Sub(k.fetched) > maxAge {
		return nil
	}
	return k
}

// wait waits for the end of a fetch. A fetch takes no longer than fetchTime.
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

// refresh starts a fetch if one is due and returns the time until the next one.
func (s *keySet) refresh() time.Duration {
	s.mu.Lock()
	left := s.due.Sub(s.now())
	s.mu.Unlock()
	if left <= 0 {
		s.startFetch()
		s.mu.Lock()
		left = s.due.Sub(s.now())
		s.mu.Unlock()
	}
	return left
}

// startFetch starts a fetch, or joins the running one. It returns nil if the last one started less
// than a pause ago, so that the caller doesn't wait.
func (s *keySet) startFetch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.running != nil || now.Sub(s.started) < s.byKind(pauseURL, pauseFile) {
		return s.running
	}
	s.started, s.due = now, now.Add(jitter.Vary(s.byKind(retryURL, retryFile)))
	done := make(chan struct{})
	s.running = done
	// Don't use the context of the request. The request may be cancelled while others wait for the
	// same fetch.
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	go func() {
		defer cancel()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.running = nil
			close(done)
		}()
		defer panics.Log(s.log, "fetching an issuer's keys")
		s.update(ctx)
	}()
	return done
}

// byKind returns the first duration if the keys are fetched, and the second if they are in a file.
func (s *keySet) byKind(fetched, file time.Duration) time.Duration {
	if s.source.byFile() {
		return file
	}
	return fetched
}

// measure returns a transport that compares the dates of the responses with the local clock.
func (s *keySet) measure(next http.RoundTripper) http.RoundTripper {
	return clock.Transport{Next: next, Now: s.now, Record: s.offsets.Record}
}

// update fetches the keys. If that fails, the previous keys stay in use.
func (s *keySet) update(ctx context.Context) {
	start := s.now()
	text, err := fetch(ctx, s.source, s.measure)
	var (
		all  []key
		weak []string
	)
	if err == nil {
		all, weak, err = parseKeys(text)
	}
	if err != nil {
		s.logFailure(err.Error(), start, weak)
		return
	}
	s.current.Store(&keys{all: all, fetched: start})
	s.mu.Lock()
	s.due = start.Add(jitter.Vary(s.byKind(refreshURL, refreshFile)))
	s.mu.Unlock()
	if s.failure != "" {
		s.log.Info("an issuer's keys can be read again")
		s.failure = ""
	}
	s.logWarning(len(all), weak)
}

// logFailure logs that a fetch failed. It logs the same cause at most once per reminder, because an
// unreadable file is read again every few seconds.
func (s *keySet) logFailure(cause string, now time.Time, weak []string) {
	if len(weak) > 0 {
		cause += "; refused: " + strings.Join(weak, "; ")
	}
	held := s.held()
	state := fmt.Sprint(held != nil, cause)
	if state == s.failure && now.Sub(s.logged) < reminder {
		return
	}
	s.failure, s.logged = state, now
	if held == nil {
		s.log.Error("an issuer's keys are not available, so its tokens are refused", slog.String("cause", cause))
		return
	}
	s.log.Warn("an issuer's keys can't be refreshed; the previous ones stay in use",
		slog.String("cause", cause),
		slog.Time("fetched", held.fetched),
		slog.Time("until", held.fetched.Add(maxAge)))
}

// logWarning logs keys that are refused because they are weak, and a set without keys. It logs them
// once, until the set changes.
func (s *keySet) logWarning(n int, weak []string) {
	warning := strings.Join(weak, "; ")
	if n == 0 {
		warning = "the set is empty"
	}
	if warning == s.warned {
		return
	}
	s.warned = warning
	switch {
	case n == 0:
		s.log.Warn("an issuer's key set is empty, so its tokens are refused")
	case warning != "":
		s.log.Warn("an issuer publishes keys that are refused; it must sign with other keys",
			slog.String("refused", warning))
	}
}
