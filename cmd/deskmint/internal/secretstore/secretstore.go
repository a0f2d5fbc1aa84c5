// Package secretstore opens the secret store that a configuration names, for the commands that read
// secrets as the service does.
package secretstore

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/config"
)

// CommandTimeout limits one request to Vault by a command that an operator runs. An operator can
// wait longer than a refresh of the running service.
const CommandTimeout = 10 * time.Second

// Open returns the store that the configuration names. log may be nil.
func Open(s *config.Snapshot, log *slog.Logger) (secrets.Source, error) {
	switch s.Secrets.Source {
	case "file":
		return file.New(s.Secrets.File), nil
	case "vault":
		return vault.New(s.Secrets.Vault, vault.Options{Log: log})
	}
	return nil, fmt.Errorf("secrets.source %s is for `deskmint dev`: use vault or file", s.Secrets.Source)
}

// minFileRate is the lowest rate for the file store, in reads a second.
const minFileRate = 10000

// MaxRate returns how many reads a second the store may get. The setting max_rate protects a store
// that other services need, too. A read of the file store only checks whether one file has changed,
// so a low max_rate must not delay thousands of secrets there.
func MaxRate(s *config.Snapshot) int {
	if s.Secrets.Source == "file" {
		return max(s.Secrets.MaxRate, minFileRate)
	}
	return s.Secrets.MaxRate
}
