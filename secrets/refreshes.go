package secrets

import "sync/atomic"

// Refreshes counts the refreshes since the keyring was made, by their result.
type Refreshes struct {
	// Confirmed counts those in which the store answered with something to sign with.
	Confirmed uint64
	// Lagging counts those whose answer was older than an earlier one and was ignored.
	Lagging uint64
	// Away counts those in which the store gave no answer that counts.
	Away uint64
	// Fault counts those in which the store answered, but with nothing to sign with or with
	// something wrong. An operator must act.
	Fault uint64
}

// Refreshes returns the counts so far.
func (k *Keyring) Refreshes() Refreshes {
	return Refreshes{
		Confirmed: k.counts.confirmed.Load(), Lagging: k.counts.lagging.Load(),
		Away: k.counts.away.Load(), Fault: k.counts.fault.Load(),
	}
}

type counts struct{ confirmed, lagging, away, fault atomic.Uint64 }

// add counts the refresh that led to s. The Fault of s must not hold a mere alarm yet.
func (c *counts) add(s *State) {
	switch {
	case isUnavailable(s.Fault):
		c.away.Add(1)
	case s.Fault != nil:
		c.fault.Add(1)
	case s.Succeeded.Equal(s.Attempted):
		c.confirmed.Add(1)
	default:
		c.lagging.Add(1)
	}
}
