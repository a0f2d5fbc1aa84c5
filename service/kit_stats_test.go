package service_test

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// statsRecorder is a stats handler that records the events of calls.
type statsRecorder struct {
	begun chan callStats // receives each call when it begins
	ended chan *stats.End

	mu       sync.Mutex
	received []stats.RPCStats
}

type eventsKey struct{}

// callStats is the context of a call in the service.
type callStats struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// awaitCancelled waits until the context of the call and all contexts derived from it are
// cancelled. The Done channel of a context closes before those of the derived contexts. The
// function cancel returns only after all of them are closed.
func (w callStats) awaitCancelled() {
	<-w.ctx.Done()
	w.cancel()
}

func newStatsRecorder() *statsRecorder {
	return &statsRecorder{begun: make(chan callStats, 64), ended: make(chan *stats.End, 64)}
}

func (e *statsRecorder) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, eventsKey{}, cancel)
}

func (e *statsRecorder) HandleRPC(ctx context.Context, s stats.RPCStats) {
	cancel, ok := ctx.Value(eventsKey{}).(context.CancelFunc)
	if !ok {
		panic("an event without the context from TagRPC")
	}
	e.mu.Lock()
	e.received = append(e.received, s)
	e.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		e.begun <- callStats{ctx, cancel}
	case *stats.End:
		cancel()
		e.ended <- s
	}
}

func (e *statsRecorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (e *statsRecorder) HandleConn(context.Context, stats.ConnStats) {}

// take returns the events since the last take.
func (e *statsRecorder) take() []stats.RPCStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.received
	e.received = nil
	return told
}
