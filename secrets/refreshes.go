package secrets

import "sync/atomic"

// Refreshes counts the refreshes of a keyring by their result.
type Refreshes struct {
	// Confirmed counts refreshes that found a key to sign with.
	Confirmed uint64
	// Lagging counts refreshes whose answer was ignored because it was older than an earlier one.
	Lagging uint64
	// Away counts refreshes in which the store was unavailable.
	Away uint64
	// Fault counts refreshes that found a fault of the secret, such as no key to sign with. An
	// operator must act.
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

// add counts the refresh that led to s. Call it before an alarm is stored in the Fault of s.
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
