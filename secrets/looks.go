package secrets

import "sync/atomic"

// Looks counts looks at the store since the keyring was made, by what they came to.
type Looks struct {
	// Confirmed: the store answered with something to sign with.
	Confirmed uint64
	// Lagging: the answer was older than one before, and was passed over.
	Lagging uint64
	// Away: nothing was learnt.
	Away uint64
	// Fault: the store answered, and there is nothing to sign with, or not the right
	// thing. An operator must act.
	Fault uint64
}

// Looks tells how many looks there were so far. It may be called at any time.
func (k *Keyring) Looks() Looks {
	return Looks{
		Confirmed: k.looks.confirmed.Load(), Lagging: k.looks.lagging.Load(),
		Away: k.looks.away.Load(), Fault: k.looks.fault.Load(),
	}
}

type counts struct{ confirmed, lagging, away, fault atomic.Uint64 }

// add counts the look that led to s, before what is merely alarming is put into it.
func (c *counts) add(s *State) {
	switch {
	case away(s.Fault):
		c.away.Add(1)
	case s.Fault != nil:
		c.fault.Add(1)
	case s.Succeeded.Equal(s.Looked):
		c.confirmed.Add(1)
	default:
		c.lagging.Add(1)
	}
}
