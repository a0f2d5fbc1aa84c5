package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ask sends one request, over one of several connections, and checks that the answer is one.
type ask func(ctx context.Context, connection int) error

// connections are as many as a handful of callers would have.
const connections = 8

// burst is what came of one turn of load.
type burst struct {
	requests  int
	elapsed   time.Duration
	processor time.Duration // of the server
	latencies []time.Duration
}

func (b burst) each() time.Duration { return b.processor / time.Duration(max(1, b.requests)) }
func (b burst) throughput() float64 { return float64(b.requests) / b.elapsed.Seconds() }
func (b burst) quantile(q float64) time.Duration {
	if len(b.latencies) == 0 {
		return 0
	}
	slices.Sort(b.latencies)
	return b.latencies[min(len(b.latencies)-1, int(q*float64(len(b.latencies))))]
}

// closed keeps so many requests in flight for a while: each is sent when one before it has been
// answered.
func closed(ctx context.Context, server *process, send ask, inflight int, length time.Duration) (burst, error) {
	workers := make([][]time.Duration, inflight)
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	before, err := server.processor()
	if err != nil {
		return burst{}, err
	}
	began := time.Now()
	for w := range inflight {
		wait.Go(func() {
			for time.Since(began) < length && ctx.Err() == nil && failed.Load() == nil {
				sent := time.Now()
				if err := send(ctx, w%connections); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				workers[w] = append(workers[w], time.Since(sent))
			}
		})
	}
	wait.Wait()
	return finish(ctx, server, began, before, slices.Concat(workers...), failed.Load())
}

// open sends requests at a rate, whether or not those before have been answered, and counts the
// wait of each from when it should have been sent: a server that stalls must not thereby slow down
// what measures it.
func open(ctx context.Context, server *process, w wire, perSecond float64, length time.Duration) (burst, error) {
	gap := time.Duration(float64(time.Second) / perSecond)
	count := int64(length / gap)
	var mu sync.Mutex
	latencies := make([]time.Duration, 0, count)
	all, err := w.lines(ctx, func(due time.Time) {
		wait := time.Since(due)
		mu.Lock()
		latencies = append(latencies, wait)
		mu.Unlock()
	})
	if err != nil {
		return burst{}, err
	}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	before, err := server.processor()
	if err != nil {
		return burst{}, err
	}
	began := time.Now()
	for _, l := range all {
		wait.Go(func() {
			err := play(ctx, l, func() (time.Time, bool) {
				i := next.Add(1) - 1
				return began.Add(time.Duration(i) * gap), i < count && failed.Load() == nil
			})
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	wait.Wait()
	return finish(ctx, server, began, before, latencies, failed.Load())
}

// beat is how often the sender checks which calls are due: what has is sent together, as in a
// caller's connection that many requests share. One system call for each would take the load more
// of the machine than the server gets.
const beat = time.Millisecond

// play sends each request when it is due, until none follows, and waits for the answers.
func play(ctx context.Context, l line, next func() (due time.Time, more bool)) error {
	for due, more := next(); more && ctx.Err() == nil; due, more = next() {
		if early := time.Until(due); early > 0 {
			if err := l.flush(); err != nil {
				return errors.Join(err, l.close())
			}
			select {
			case <-ctx.Done():
			case <-time.After(max(early, beat)):
			}
		}
		if err := l.send(due); err != nil {
			return errors.Join(err, l.close())
		}
	}
	return errors.Join(l.flush(), l.close())
}

func finish(ctx context.Context, server *process, began time.Time, before time.Duration, latencies []time.Duration, failed *error) (burst, error) {
	elapsed := time.Since(began)
	after, err := server.processor()
	switch {
	case failed != nil:
		return burst{}, fmt.Errorf("%s: %w", server.name, *failed)
	case ctx.Err() != nil:
		return burst{}, ctx.Err()
	case err != nil:
		return burst{}, err
	}
	return burst{requests: len(latencies), elapsed: elapsed, processor: after - before, latencies: latencies}, nil
}
