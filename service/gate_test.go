package service_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/stats"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
)

// gate stands between the service and its keyring. What a test puts in place of a method happens
// once the gate is shut.
type gate struct {
	service.Secrets

	mu      sync.Mutex
	get     func() // before every Get; nil: nothing
	refresh func(context.Context) error
}

func (g *gate) shut(get func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.get = get
}

func (g *gate) between(s service.Secrets) service.Secrets {
	g.Secrets = s
	return g
}

func (g *gate) Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error) {
	g.mu.Lock()
	get := g.get
	g.mu.Unlock()
	if get != nil {
		get()
	}
	return g.Secrets.Get(ref, maxStale)
}

func (g *gate) Refresh(ctx context.Context, ref secrets.Ref) (before, after secrets.Status, err error) {
	if g.refresh != nil {
		if err := g.refresh(ctx); err != nil {
			return before, after, err
		}
	}
	return g.Secrets.Refresh(ctx, ref)
}

// hold makes every Get wait. A test receives from entered to know that a request has come as far,
// and closes the gate's release to let all go on.
func (g *gate) hold(t *testing.T) (entered <-chan struct{}, release func()) {
	t.Helper()
	in, out := make(chan struct{}, 16), make(chan struct{})
	g.shut(func() { in <- struct{}{}; <-out })
	release = sync.OnceFunc(func() { g.shut(nil); close(out) })
	t.Cleanup(release)
	return in, release
}

// events is a stats handler that remembers what it was told of calls.
type events struct {
	begun chan callStats // each call, once it has begun
	ended chan *stats.End

	mu   sync.Mutex
	told []stats.RPCStats
}

type eventsKey struct{}

// callStats is a call as the service sees it.
type callStats struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// gone waits until every part of the service that works on the call knows that its caller has gone.
// A context's Done comes before that of those made from it; cancel returns only after them.
func (w callStats) gone() {
	<-w.ctx.Done()
	w.cancel()
}

func newEvents() *events {
	return &events{begun: make(chan callStats, 64), ended: make(chan *stats.End, 64)}
}

func (e *events) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, eventsKey{}, cancel)
}

func (e *events) HandleRPC(ctx context.Context, s stats.RPCStats) {
	cancel, ok := ctx.Value(eventsKey{}).(context.CancelFunc)
	if !ok {
		panic("an event without the context that TagRPC made")
	}
	e.mu.Lock()
	e.told = append(e.told, s)
	e.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		e.begun <- callStats{ctx, cancel}
	case *stats.End:
		cancel()
		e.ended <- s
	}
}

func (e *events) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (e *events) HandleConn(context.Context, stats.ConnStats)                       {}

// take returns what was told since the last take.
func (e *events) take() []stats.RPCStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.told
	e.told = nil
	return told
}
