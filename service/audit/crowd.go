package audit

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// Denials of strangers that have a record each. What is beyond becomes one record
	// for each kind in crowdPause.
	strangersPerSecond = 10
	strangersBurst     = 100
	crowdPause         = 10 * time.Second
)

func newStrangersLimit() *rate.Limiter { return rate.NewLimiter(strangersPerSecond, strangersBurst) }

// crowd counts what strangers are refused beyond a rate, so that they can't fill the
// disk.
type crowd struct {
	limit *rate.Limiter
	write func(Record) error

	flushing sync.Mutex // who ends waits for a flush under way

	mu      sync.Mutex
	counted map[kind]Record
	timer   *time.Timer // runs while something is counted
	ended   bool
}

// kind is what counted denials have in common. There are few.
type kind struct{ transport, reason, credential string }

// pass says that a denial is to have a record of its own; otherwise it is counted.
func (c *crowd) pass(r Record) bool {
	if c.limit.Allow() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return true // nobody would come to write the number
	}
	first := r.Time
	c.add(Record{
		Time: r.Time, FirstTime: &first, Count: 1, Transport: r.Transport, Decision: r.Decision,
		Reason: r.Reason, Credential: r.Credential, Digest: r.Digest,
	})
	if c.timer == nil {
		c.timer = time.AfterFunc(crowdPause, func() { _ = c.flush() })
	}
	return false
}

// add is under mu.
func (c *crowd) add(r Record) {
	k := kind{r.Transport, r.Reason, r.Credential}
	if before, ok := c.counted[k]; ok {
		r.Count += before.Count
		if before.FirstTime.Before(*r.FirstTime) {
			r.FirstTime = before.FirstTime
		}
		if before.Time.After(r.Time) {
			r.Time = before.Time
		}
	}
	if c.counted == nil {
		c.counted = make(map[kind]Record)
	}
	c.counted[k] = r
}

// flush writes the numbers. What can't be written goes on being counted.
func (c *crowd) flush() error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	counted := c.counted
	c.counted, c.timer = nil, nil
	c.mu.Unlock()
	var errs []error
	for k, r := range counted {
		if err := c.write(r); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(counted, k)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range counted {
		c.add(r)
	}
	if len(c.counted) > 0 && c.timer == nil && !c.ended {
		c.timer = time.AfterFunc(crowdPause, func() { _ = c.flush() })
	}
	return errors.Join(errs...)
}

// end writes the numbers for the last time.
func (c *crowd) end() error {
	c.mu.Lock()
	c.ended = true
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.mu.Unlock()
	return c.flush()
}
