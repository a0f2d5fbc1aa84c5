package sandbox

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/deskmint/deskmint/service/sandbox/internal/jwt"
)

const (
	secretLength = 48 // characters, as observed at Zendesk
	secretStart  = 4  // number of characters that stay readable
	maxRetired   = 8  // number of old secrets that are kept for a configuration
)

// resetSecrets are the secrets that ResetSecret made, by configuration. The zero value is ready to
// use.
type resetSecrets struct {
	mu      sync.Mutex
	current map[string][]byte
	retired map[string][][]byte // oldest first
}

// ResetSecret simulates the button "Reset secret". It makes a new shared secret for the
// configuration and returns it. The secret can't be read again. The old secret stops working at
// once, because Zendesk has no overlap.
func (s *Sandbox) ResetSecret(configuration string) (string, error) {
	c, ok := s.findConfiguration(configuration)
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

func (s *resetSecrets) forget(configuration string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.current, configuration)
	delete(s.retired, configuration)
}

func newSecret() string { return (rand.Text() + rand.Text())[:secretLength] }

// AddConfiguration copies an existing configuration under a new name and with a new secret. It
// returns the secret, which can't be read again. Both secrets work until one of the two
// configurations is removed. So you can change a secret without an interruption.
func (s *Sandbox) AddConfiguration(like, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.findConfiguration(like)
	if _, taken := s.findConfiguration(name); !ok || taken || name == "" {
		return "", fmt.Errorf("the sandbox can't copy configuration %q to %q: "+
			"the first must exist and the second must be new", like, name)
	}
	fresh := newSecret()
	s.secrets.forget(name) // secrets of a removed configuration with this name
	c.Name, c.Secret = name, func() []byte { return []byte(fresh) }
	next := maps.Clone(*s.configurations.Load())
	for _, id := range c.Brands {
		next[id] = append(slices.Clip(next[id]), c)
	}
	s.configurations.Store(&next)
	return fresh, nil
}

// RemoveConfiguration removes a configuration and its secret.
func (s *Sandbox) RemoveConfiguration(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.findConfiguration(name); !ok {
		return fmt.Errorf("the sandbox has no configuration %q", name)
	}
	next := configurationsByBrand{}
	for id, all := range *s.configurations.Load() {
		next[id] = slices.DeleteFunc(slices.Clone(all), func(c Configuration) bool { return c.Name == name })
	}
	s.configurations.Store(&next)
	return nil
}

// configurationsOf returns the configurations of a brand.
func (s *Sandbox) configurationsOf(brand string) []Configuration {
	return (*s.configurations.Load())[brand]
}

// SecretStart returns the first characters of a secret, which Zendesk displays after the secret was
// saved. It returns "" if the configuration is unknown or has no secret.
func (s *Sandbox) SecretStart(configuration string) string {
	c, _ := s.findConfiguration(configuration)
	secret := s.secretOf(c)
	if len(secret) < 4*secretStart {
		return "" // the start would reveal too much of a short secret
	}
	return string(secret[:secretStart])
}

func (s *Sandbox) findConfiguration(configuration string) (Configuration, bool) {
	for _, all := range *s.configurations.Load() {
		if i := slices.IndexFunc(all, func(c Configuration) bool { return c.Name == configuration }); i >= 0 {
			return all[i], true
		}
	}
	return Configuration{}, false
}

// secretOf returns the secret that currently verifies the configuration's tokens.
func (s *Sandbox) secretOf(c Configuration) []byte {
	s.secrets.mu.Lock()
	current := s.secrets.current[c.Name]
	s.secrets.mu.Unlock()
	if current != nil || c.Secret == nil {
		return current
	}
	return c.Secret()
}

// configurationOfRetiredSecret returns the brand's configuration that had the token's secret before
// a reset.
func (s *Sandbox) configurationOfRetiredSecret(t jwt.Token, brand string) (Configuration, bool) {
	s.secrets.mu.Lock()
	defer s.secrets.mu.Unlock()
	for _, c := range s.configurationsOf(brand) {
		if slices.ContainsFunc(s.secrets.retired[c.Name], t.Verify) {
			return c, true
		}
	}
	return Configuration{}, false
}
