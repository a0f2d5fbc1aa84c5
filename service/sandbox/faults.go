package sandbox

import (
	"slices"
	"strings"
	"time"
)

// Faults are what can go wrong at Zendesk or between its clock and ours. The zero value is an
// account in order. A secret that has been reset is [Sandbox.ResetSecret].
type Faults struct {
	// ClockOffset is how far the account's clock is ahead of [Options.Now].
	ClockOffset time.Duration
	// RateLimited refuses every sign-in as one too many.
	RateLimited bool
	// Blocked is the account's block list: addresses, or domains with an @ before them.
	Blocked []string
	// Unassigned are configurations, by name, that are assigned to nobody.
	Unassigned []string
}

// Faults returns what is switched on.
func (s *Sandbox) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// SetFaults switches faults on, or with the zero value off. It holds from the next request on.
func (s *Sandbox) SetFaults(f Faults) {
	f.Blocked, f.Unassigned = slices.Clone(f.Blocked), slices.Clone(f.Unassigned)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

func (f Faults) blocks(email string) bool {
	email = strings.ToLower(email)
	domain := email[strings.LastIndexByte(email, '@'):]
	return slices.ContainsFunc(f.Blocked, func(entry string) bool {
		entry = strings.ToLower(entry)
		return entry == email || entry == domain
	})
}
