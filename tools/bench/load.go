package main

import (
	"context"
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

// closed keeps so many requests in flight for a while: each is sent when one before it has been answered.
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

// open sends requests at a rate, whether or not those before have been answered, and counts the wait of each from when
// it should have been sent: a server that stalls must not thereby slow down what measures it.
func open(ctx context.Context, server *process, send ask, perSecond float64, length time.Duration) (burst, error) {
	gap := time.Duration(float64(time.Second) / perSecond)
	count := int(length / gap)
	latencies := make([]time.Duration, count)
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	before, err := server.processor()
	if err != nil {
		return burst{}, err
	}
	// As many senders as requests could be under way: each takes the next that is due.
	var next atomic.Int64
	began := time.Now()
	for range 256 {
		wait.Go(func() {
			for ctx.Err() == nil && failed.Load() == nil {
				i := int(next.Add(1) - 1)
				if i >= count {
					return
				}
				due := began.Add(time.Duration(i) * gap)
				if early := time.Until(due); early > 0 {
					select {
					case <-ctx.Done():
						return
					case <-time.After(early):
					}
				}
				if err := send(ctx, i%connections); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				latencies[i] = time.Since(due)
			}
		})
	}
	wait.Wait()
	return finish(ctx, server, began, before, latencies, failed.Load())
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
