package sandbox

import (
	"slices"
	"strings"
	"time"
)

// Faults are problems at Zendesk that the sandbox can simulate. The zero value is an account
// without problems. To simulate a secret that was reset, use [Sandbox.ResetSecret].
type Faults struct {
	// ClockOffset is how far the account's clock is ahead of [Options.Now].
	ClockOffset time.Duration
	// RateLimited refuses every sign-in because there were too many.
	RateLimited bool
	// Blocked is the account's block list. It contains addresses, and domains with a leading @.
	Blocked []string
	// Unassigned are the names of configurations that aren't assigned to any users.
	Unassigned []string
}

// Faults returns the active faults.
func (s *Sandbox) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// SetFaults replaces the active faults. The zero value ends all faults. The change applies from the
// next request on.
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
