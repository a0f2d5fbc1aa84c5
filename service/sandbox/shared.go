package sandbox

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
)

const (
	secretLength = 48 // characters, as has been seen of Zendesk's
	secretStart  = 4  // how many of them stay readable
	maxRetired   = 8  // secrets of a configuration that are remembered after their death
)

// shared are the secrets that were made by ResetSecret, by configuration. The zero value is ready.
type shared struct {
	mu      sync.Mutex
	current map[string][]byte
	retired map[string][][]byte // the latest last
}

// ResetSecret does what the button "Reset secret" does: it makes a new shared secret for the configuration and returns
// it, this once. The old one is dead at once; Zendesk has no overlap.
func (s *Sandbox) ResetSecret(configuration string) (string, error) {
	c, ok := s.named(configuration)
	if !ok {
		return "", fmt.Errorf("the sandbox has no configuration %q", configuration)
	}
	old := s.secretOf(c)
	fresh := (rand.Text() + rand.Text())[:secretLength]
	s.secrets.mu.Lock()
	defer s.secrets.mu.Unlock()
	if s.secrets.current == nil {
		s.secrets.current, s.secrets.retired = map[string][]byte{}, map[string][][]byte{}
	}
	retired := append(s.secrets.retired[configuration], old)
	s.secrets.retired[configuration] = retired[max(0, len(retired)-maxRetired):]
	s.secrets.current[configuration] = []byte(fresh)
	return fresh, nil
}

// SecretStart is what Zendesk shows of a secret once it was saved: its first characters. "" for an unknown
// configuration, and for one without a secret.
func (s *Sandbox) SecretStart(configuration string) string {
	c, _ := s.named(configuration)
	secret := s.secretOf(c)
	if len(secret) < 4*secretStart {
		return "" // of a short one it would be too much
	}
	return string(secret[:secretStart])
}

func (s *Sandbox) named(configuration string) (Configuration, bool) {
	for _, all := range s.serving {
		if i := slices.IndexFunc(all, func(c Configuration) bool { return c.Name == configuration }); i >= 0 {
			return all[i], true
		}
	}
	return Configuration{}, false
}

// secretOf is what verifies a configuration's tokens now.
func (s *Sandbox) secretOf(c Configuration) []byte {
	s.secrets.mu.Lock()
	current := s.secrets.current[c.Name]
	s.secrets.mu.Unlock()
	if current != nil || c.Secret == nil {
		return current
	}
	return c.Secret()
}

// retiredSigner finds the configuration of a brand that a token would have been of before a reset.
func (s *Sandbox) retiredSigner(t token, brand string) (Configuration, bool) {
	s.secrets.mu.Lock()
	defer s.secrets.mu.Unlock()
	for _, c := range s.serving[brand] {
		if slices.ContainsFunc(s.secrets.retired[c.Name], t.verify) {
			return c, true
		}
	}
	return Configuration{}, false
}
