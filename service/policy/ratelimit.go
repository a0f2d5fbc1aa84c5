package policy

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Rate is the rate of a token bucket. It allows Burst requests at the same time and PerSecond
// requests over time.
type Rate struct {
	// PerSecond is above 0 and at most a million.
	PerSecond float64 `yaml:"per_second"`
	// Burst is at most a million. 0 means the requests of one second, and at least 1.
	Burst int `yaml:"burst"`
}

// Limit is one bucket of a [Limiter].
type Limit struct {
	// Name is the name for callers and operators: the key in the configuration file, or the action.
	Name string
	// Key distinguishes the bucket from others with the same name.
	Key string
	// Rate must have passed its check.
	Rate Rate
	// PerPerson marks buckets of which there is one for each person. Their number has no limit.
	PerPerson bool
}

// LimitedError names the limit that is exhausted. Wait is the time until one more request is
// allowed, if no other request uses it first.
type LimitedError struct {
	Limit string
	Wait  time.Duration
}

func (e *LimitedError) Error() string { return e.Limit + " is exhausted for " + e.Wait.String() }

// Limiter counts requests against limits, in this process alone. It is separate from [Policy], so
// that a new policy doesn't refill all buckets. Its zero value is ready to use. It is safe for
// concurrent use.
//
// A bucket is stored as the time at which it will be full again. This is the generic cell rate
// algorithm (ITU-T I.371, annex A, virtual scheduling). A bucket that is full equals one that
// doesn't exist. There are two reasons not to use golang.org/x/time/rate. With whole numbers the
// reported wait is exact, and one lock allows checking several limits before a request is counted
// against any of them.
type Limiter struct {
	mu sync.Mutex
	// epoch is the origin of all times, which are stored in nanoseconds since then. If the clock
	// goes back further than concurrent callers can explain, it has been set, and epoch moves with
	// it.
	epoch     time.Time
	latest    int64
	fullAt    map[bucket]int64
	sweepSize int // the number of buckets at which full ones are removed
	people    sketch
}

// bucket identifies the counter of a limit. A limit with another rate has another counter.
type bucket struct {
	name, key string
	rate      Rate
}

func (l Limit) bucket() bucket { return bucket{l.Name, l.Key, l.Rate} }

// Take counts a request against each limit. If any limit is exhausted, it counts against none and
// returns a [*LimitedError] for the limit with the longest wait.
func (m *Limiter) Take(now time.Time, limits ...Limit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch.IsZero() {
		m.epoch = now
	}
	at, refused := int64(now.Sub(m.epoch)), LimitedError{}
	if m.latest-at > int64(time.Second) {
		m.epoch, at = m.epoch.Add(time.Duration(at-m.latest)), m.latest
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

// burst returns the effective burst.
func (r Rate) burst() int {
	if r.Burst == 0 {
		return max(1, int(r.PerSecond))
	}
	return r.Burst
}

// max returns the rate that permits what either of two rates permits.
func (r Rate) max(other Rate) Rate {
	return Rate{PerSecond: max(r.PerSecond, other.PerSecond), Burst: max(r.burst(), other.burst())}
}

// take returns the time at which the bucket is full again after one more request, and how long that
// request has to wait.
func (r Rate) take(full, now int64) (next int64, wait time.Duration) {
	each, burst := int64(math.Round(float64(time.Second)/r.PerSecond)), int64(r.burst())
	next = max(full, now) + each
	return next, time.Duration(max(0, next-now-each*burst))
}

func (m *Limiter) get(l Limit) int64 {
	if l.PerPerson {
		return m.people.get(l)
	}
	return m.fullAt[l.bucket()]
}

// put stores a bucket. It removes full buckets when the map holds more than twice as many as after
// the last removal, plus 1,024. The size therefore follows the number of buckets in recent use.
func (m *Limiter) put(l Limit, full, now int64) {
	if l.PerPerson {
		m.people.put(l, full)
		return
	}
	if m.fullAt == nil {
		m.fullAt = make(map[bucket]int64)
	}
	m.fullAt[l.bucket()] = full
	if len(m.fullAt) <= m.sweepSize {
		return
	}
	for b, full := range m.fullAt {
		if full <= now {
			delete(m.fullAt, b)
		}
	}
	m.sweepSize = 2*len(m.fullAt) + 1024
}

// sketch holds the buckets of any number of people in 1 MiB, without their addresses. It is a
// count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update. Each bucket has one
// cell in each row. Buckets may share cells, and the fullest of its cells is the state of a bucket.
// The key of the hash is random for each process, so a caller can't choose buckets that share
// cells.
//
// No person gets more than the limit, because a cell is never fuller than any of its buckets. A
// caller can't reset a bucket by using many others, as it could with a cache whose evicted entries
// come back full. A person gets less than the limit only if other people have emptied all four
// cells. At ten requests per minute and person, that takes some thousands of people per second.
type sketch struct {
	rows [4][]int64
	seed maphash.Seed
}

const (
	cellBits = 15 // bits of the hash for each row
	cells    = 1 << cellBits
)

func (s *sketch) get(l Limit) int64 {
	full := int64(math.MaxInt64)
	s.each(l, func(cell *int64) { full = min(full, *cell) })
	return full
}

func (s *sketch) put(l Limit, full int64) {
	s.each(l, func(cell *int64) { *cell = max(*cell, full) })
}

func (s *sketch) each(l Limit, do func(cell *int64)) {
	if s.rows[0] == nil {
		s.seed = maphash.MakeSeed()
		for i := range s.rows {
			s.rows[i] = make([]int64, cells)
		}
	}
	hash := maphash.Comparable(s.seed, l.bucket())
	for i := range s.rows {
		do(&s.rows[i][hash>>(i*cellBits)%cells])
	}
}
