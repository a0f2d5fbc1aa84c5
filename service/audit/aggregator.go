package audit

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/deskmint/deskmint/service/panics"
)

const (
	// Each unauthenticated denial up to this rate has a record. Further denials are counted, and
	// there is one record for each kind of them in aggregateInterval.
	denialsPerSecond  = 10
	denialsBurst      = 100
	aggregateInterval = 10 * time.Second
)

// denialAggregator counts unauthenticated denials beyond a rate, so that requests without valid
// credentials can't fill the disk.
type denialAggregator struct {
	limit *rate.Limiter
	write func(Record) error

	flushing sync.Mutex // held during a flush, so that close waits for it

	mu      sync.Mutex
	counted map[kind]Record
	timer   *time.Timer // runs while something is counted
	closed  bool
}

// kind is the common part of denials that are counted together. There are few different kinds.
type kind struct{ transport, reason, credential string }

// pass reports whether the denial gets a separate record. Otherwise pass counts the denial.
func (a *denialAggregator) pass(r Record) bool {
	if a.limit.Allow() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return true // no further flush would write the count
	}
	first := r.Time
	a.add(Record{
		Time: r.Time, FirstTime: &first, Count: 1, Transport: r.Transport, Decision: r.Decision,
		Reason: r.Reason, Credential: r.Credential, Digest: r.Digest,
	})
	if a.timer == nil {
		a.timer = time.AfterFunc(aggregateInterval, func() { _ = a.flush() })
	}
	return false
}

// add adds a denial, or a number of them. The caller must hold mu.
func (a *denialAggregator) add(r Record) {
	k := kind{r.Transport, r.Reason, r.Credential}
	if before, ok := a.counted[k]; ok {
		r.Count += before.Count
		if before.FirstTime.Before(*r.FirstTime) {
			r.FirstTime = before.FirstTime
		}
		if before.Time.After(r.Time) {
			r.Time = before.Time
		}
	}
	if a.counted == nil {
		a.counted = make(map[kind]Record)
	}
	a.counted[k] = r
}

// flush writes the counts. A count that can't be written is kept and written later.
func (a *denialAggregator) flush() error {
	a.flushing.Lock()
	defer a.flushing.Unlock()
	a.mu.Lock()
	counted := a.counted
	a.counted, a.timer = nil, nil
	a.mu.Unlock()
	var errs []error
	for k, r := range counted {
		if err := a.writeSafely(r); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(counted, k)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range counted {
		a.add(r)
	}
	if len(a.counted) > 0 && a.timer == nil && !a.closed {
		a.timer = time.AfterFunc(aggregateInterval, func() { _ = a.flush() })
	}
	return errors.Join(errs...)
}

// writeSafely turns a panic into an error, because flush also runs on a timer's goroutine, where a
// panic would end the process.
func (a *denialAggregator) writeSafely(r Record) (err error) {
	defer panics.Catch(&err)
	return a.write(r)
}

// close writes the counts for the last time.
func (a *denialAggregator) close() error {
	a.mu.Lock()
	a.closed = true
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	a.mu.Unlock()
	return a.flush()
}
