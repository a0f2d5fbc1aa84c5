package sandbox

import (
	"crypto/rand"
	"fmt"
	"maps"
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

// ResetSecret does what the button "Reset secret" does: it makes a new shared secret for the
// configuration and returns it, this once. The old one is dead at once; Zendesk has no overlap.
func (s *Sandbox) ResetSecret(configuration string) (string, error) {
	c, ok := s.named(configuration)
	if !ok {
		return "", fmt.Errorf("the sandbox has no configuration %q", configuration)
	}
	old := s.secretOf(c)
	fresh := newSecret()
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

func (s *shared) forget(configuration string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.current, configuration)
	delete(s.retired, configuration)
}

func newSecret() string { return (rand.Text() + rand.Text())[:secretLength] }

// AddConfiguration makes another configuration with everything of an existing one but its name and
// its secret, which is returned, this once. Until one of the two is removed both secrets are good:
// so a secret is changed without a gap.
func (s *Sandbox) AddConfiguration(like, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.named(like)
	if _, taken := s.named(name); !ok || taken || name == "" {
		return "", fmt.Errorf("the sandbox can't make a configuration %q like %q: one must be new, the other there", name, like)
	}
	fresh := newSecret()
	s.secrets.forget(name) // of one that was removed
	c.Name, c.Secret = name, func() []byte { return []byte(fresh) }
	next := maps.Clone(*s.serving.Load())
	for _, id := range c.Brands {
		next[id] = append(slices.Clip(next[id]), c)
	}
	s.serving.Store(&next)
	return fresh, nil
}

// RemoveConfiguration takes a configuration away, and with it its secret.
func (s *Sandbox) RemoveConfiguration(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.named(name); !ok {
		return fmt.Errorf("the sandbox has no configuration %q", name)
	}
	next := serving{}
	for id, all := range *s.serving.Load() {
		next[id] = slices.DeleteFunc(slices.Clone(all), func(c Configuration) bool { return c.Name == name })
	}
	s.serving.Store(&next)
	return nil
}

// at returns the configurations that serve a brand.
func (s *Sandbox) at(brand string) []Configuration { return (*s.serving.Load())[brand] }

// SecretStart is what Zendesk shows of a secret once it was saved: its first characters. "" for an
// unknown configuration, and for one without a secret.
func (s *Sandbox) SecretStart(configuration string) string {
	c, _ := s.named(configuration)
	secret := s.secretOf(c)
	if len(secret) < 4*secretStart {
		return "" // of a short one it would be too much
	}
	return string(secret[:secretStart])
}

func (s *Sandbox) named(configuration string) (Configuration, bool) {
	for _, all := range *s.serving.Load() {
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
	for _, c := range s.at(brand) {
		if slices.ContainsFunc(s.secrets.retired[c.Name], t.verify) {
			return c, true
		}
	}
	return Configuration{}, false
}
