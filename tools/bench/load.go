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

// call sends one request over one of several connections, and checks the response.
type call func(ctx context.Context, connection int) error

// connections is how many connections a few callers would have.
const connections = 8

// result is the result of one measurement.
type result struct {
	requests  int
	elapsed   time.Duration
	processor time.Duration // of the server
	latencies []time.Duration
}

func (b result) each() time.Duration { return b.processor / time.Duration(max(1, b.requests)) }
func (b result) throughput() float64 { return float64(b.requests) / b.elapsed.Seconds() }
func (b result) quantile(q float64) time.Duration {
	if len(b.latencies) == 0 {
		return 0
	}
	slices.Sort(b.latencies)
	return b.latencies[min(len(b.latencies)-1, int(q*float64(len(b.latencies))))]
}

// closed keeps this many requests in flight. It sends a request when an earlier one has its
// response.
func closed(ctx context.Context, server *process, send call, inflight int, length time.Duration) (result, error) {
	workers := make([][]time.Duration, inflight)
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	before, err := server.processor()
	if err != nil {
		return result{}, err
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

// open sends requests at a rate, even if earlier requests have no response yet. It measures the
// wait of each request from the time when it was due. So a server that stalls doesn't slow down the
// measurement.
func open(ctx context.Context, server *process, w wire, perSecond float64, length time.Duration) (result, error) {
	gap := time.Duration(float64(time.Second) / perSecond)
	count := int64(length / gap)
	var mu sync.Mutex
	latencies := make([]time.Duration, 0, count)
	all, err := w.connect(ctx, func(due time.Time) {
		wait := time.Since(due)
		mu.Lock()
		latencies = append(latencies, wait)
		mu.Unlock()
	})
	if err != nil {
		return result{}, err
	}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wait sync.WaitGroup
	before, err := server.processor()
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	for _, l := range all {
		wait.Go(func() {
			err := sendDue(ctx, l, func() (time.Time, bool) {
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

// sendInterval is how often the sender checks which calls are due. It sends these together, as on a
// caller's connection with many concurrent requests. One system call for each request would leave
// less of the machine to the server than to the load.
const sendInterval = time.Millisecond

// sendDue sends each request when it is due, until there are no more, and waits for the responses.
func sendDue(ctx context.Context, l connection, next func() (due time.Time, more bool)) error {
	for due, more := next(); more && ctx.Err() == nil; due, more = next() {
		if early := time.Until(due); early > 0 {
			if err := l.flush(); err != nil {
				return errors.Join(err, l.close())
			}
			select {
			case <-ctx.Done():
			case <-time.After(max(early, sendInterval)):
			}
		}
		if err := l.send(due); err != nil {
			return errors.Join(err, l.close())
		}
	}
	return errors.Join(l.flush(), l.close())
}

func finish(
	ctx context.Context, server *process, began time.Time, before time.Duration, latencies []time.Duration,
	failed *error,
) (result, error) {
	elapsed := time.Since(began)
	after, err := server.processor()
	switch {
	case failed != nil:
		return result{}, fmt.Errorf("%s: %w", server.name, *failed)
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	case err != nil:
		return result{}, err
	}
	return result{requests: len(latencies), elapsed: elapsed, processor: after - before, latencies: latencies}, nil
}
