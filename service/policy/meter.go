package policy

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Rate is a token bucket: as many at once as Burst, and over time PerSecond.
type Rate struct {
	// PerSecond is above 0, up to a million.
	PerSecond float64 `yaml:"per_second"`
	// Burst is at most a million; 0: one second's worth, and at least 1.
	Burst int `yaml:"burst"`
}

// Limit is a bucket of a [Meter], with the name that callers and operators know it
// by.
type Limit struct {
	// Name is that of the key in the configuration file, or of the action.
	Name string
	// Key tells the bucket from the others of its name.
	Key string
	// Rate must have passed its check.
	Rate Rate
	// People is true of buckets of which there is no end of: one for each person.
	People bool
}

// LimitedError says which limit is used up. After Wait there is one left again, as
// long as nobody else takes it.
type LimitedError struct {
	Limit string
	Wait  time.Duration
}

func (e *LimitedError) Error() string { return e.Limit + " is used up for " + e.Wait.String() }

// Meter counts what has been taken of limits, in this process alone. It isn't part
// of a [Policy], so that a new one of those doesn't fill everybody's buckets. Its
// zero value is ready. It is safe for concurrent use.
//
// A bucket is the moment at which it is full again, and nothing else: the generic
// cell rate algorithm (ITU-T I.371, annex A, virtual scheduling). One that is full is
// the same as one that there isn't. With whole numbers the wait that is told is
// exact, and under one lock several limits can be asked before anything is taken of
// any, which golang.org/x/time/rate can do neither of.
type Meter struct {
	mu sync.Mutex
	// began is what moments are counted from, in nanoseconds. A clock that goes back by
	// more than callers overtake each other has been set, and moves it along.
	began  time.Time
	latest int64
	full   map[bucket]int64
	sweep  int // the size at which full ones are forgotten
	people people
}

// bucket is where a limit is counted. One whose rate has been changed is another.
type bucket struct {
	name, key string
	rate      Rate
}

func (l Limit) bucket() bucket { return bucket{l.Name, l.Key, l.Rate} }

// Take takes one of each limit, or nothing of any and returns a [*LimitedError]: that
// of the limit for which the wait is longest.
func (m *Meter) Take(now time.Time, limits ...Limit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.began.IsZero() {
		m.began = now
	}
	at, refused := int64(now.Sub(m.began)), LimitedError{}
	if m.latest-at > int64(time.Second) {
		m.began, at = m.began.Add(time.Duration(at-m.latest)), m.latest
	}
	m.latest = max(m.latest, at)
	for _, l := range limits {
		if _, wait := l.Rate.take(m.get(l), at); wait > refused.Wait {
			refused = LimitedError{l.Name, wait}
		}
	}
	if refused.Wait > 0 {
		return &refused
	}
	for _, l := range limits {
		full, _ := l.Rate.take(m.get(l), at)
		m.put(l, full, at)
	}
	return nil
}

// take returns when a bucket would be full again if one were taken now, and how long
// it is until one can be.
func (r Rate) take(full, now int64) (next int64, wait time.Duration) {
	each, burst := int64(math.Round(float64(time.Second)/r.PerSecond)), int64(r.Burst)
	if burst == 0 {
		burst = max(1, int64(r.PerSecond))
	}
	next = max(full, now) + each
	return next, time.Duration(max(0, next-now-each*burst))
}

func (m *Meter) get(l Limit) int64 {
	if l.People {
		return m.people.get(l)
	}
	return m.full[l.bucket()]
}

// put keeps no more than the buckets that aren't full, and as many again: there are
// as many as have been taken from lately, of what the configuration file has.
func (m *Meter) put(l Limit, full, now int64) {
	if l.People {
		m.people.put(l, full)
		return
	}
	if m.full == nil {
		m.full = make(map[bucket]int64)
	}
	m.full[l.bucket()] = full
	if len(m.full) <= m.sweep {
		return
	}
	for b, full := range m.full {
		if full <= now {
			delete(m.full, b)
		}
	}
	m.sweep = 2*len(m.full) + 1024
}

// people holds the buckets of any number of people in 1 MiB, and no address: a
// count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update. Each
// bucket has a cell in each row, which others may share, and is as full as the
// fullest of them; the keyed hash is this process's own, so that nobody can choose
// whom to share with.
//
// Nobody gets more than the limit, since a cell is never fuller than any bucket that
// is in it. Nobody's bucket can be reset by bringing others, as in a cache, where
// what is pushed out comes back full. Somebody gets less only where others have
// emptied all four of their cells, and with ten a minute for each person that takes
// some thousands of people a second.
type people struct {
	rows [4][]int64
	seed maphash.Seed
}

const (
	cellBits = 15 // of the hash, for each row
	cells    = 1 << cellBits
)

func (p *people) get(l Limit) int64 {
	full := int64(math.MaxInt64)
	p.each(l, func(cell *int64) { full = min(full, *cell) })
	return full
}

func (p *people) put(l Limit, full int64) {
	p.each(l, func(cell *int64) { *cell = max(*cell, full) })
}

func (p *people) each(l Limit, do func(cell *int64)) {
	if p.rows[0] == nil {
		p.seed = maphash.MakeSeed()
		for i := range p.rows {
			p.rows[i] = make([]int64, cells)
		}
	}
	hash := maphash.Comparable(p.seed, l.bucket())
	for i := range p.rows {
		do(&p.rows[i][hash>>(i*cellBits)%cells])
	}
}
