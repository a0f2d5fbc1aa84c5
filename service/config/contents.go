package config

import (
	"time"

	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// File is the content of a configuration file. The tags of its fields are the keys. schema.json has
// the same keys, and describes each of them.
type File struct {
	Listen         Listen          `yaml:"listen"`
	TLS            *TLS            `yaml:"tls"`
	Include        []string        `yaml:"include"`
	Secrets        Secrets         `yaml:"secrets"`
	Issuers        []caller.Issuer `yaml:"issuers"`
	Audit          audit.Settings  `yaml:"audit"`
	Configurations []configuration `yaml:"configurations"`
	Callers        []Caller        `yaml:"callers"`
}

// Secrets says where secrets come from and how they are kept fresh.
type Secrets struct {
	// Source is "vault", "file" or "memory".
	Source string `yaml:"source"`
	// Refresh is how often each secret's versions are read.
	Refresh time.Duration `yaml:"refresh"`
	// MaxRate is how many reads a second the store is asked for, at most.
	MaxRate int `yaml:"max_rate"`
	// MaxStale is how long a value may serve while the store is away. Each
	// [Configuration] has its own, which is this one unless it says otherwise.
	MaxStale time.Duration `yaml:"max_stale"`
	// RequirePointer refuses secrets in Vault that have no active_version. Without it, the
	// newest version of such a secret signs, with a warning.
	RequirePointer bool `yaml:"require_pointer"`
	// Vault and File are the settings of those sources; that of another source is
	// the zero value or without effect.
	Vault vault.Settings `yaml:"vault"`
	File  file.Settings  `yaml:"file"`
}

type configuration struct {
	Name        string        `yaml:"name"`
	DisplayName string        `yaml:"display_name"`
	Secret      secretRef     `yaml:"secret"`
	MaxStale    time.Duration `yaml:"max_stale"`
	Loop        loop          `yaml:"loop"`
	Protected   protected     `yaml:"protected"`
	UserRate    *userRate     `yaml:"user_rate"`
	ZendeskSSO  *zendeskSSO   `yaml:"zendesk_sso"`
}

type secretRef struct {
	Path  string `yaml:"path"`
	Field string `yaml:"field"`
}

type loop struct {
	Limit  int           `yaml:"limit"`
	Window time.Duration `yaml:"window"`
}

// userRate is a token bucket for each person at each caller.
type userRate struct {
	PerMinute float64 `yaml:"per_minute"`
	Burst     int     `yaml:"burst"` // 0: one minute's worth
}

type protected struct {
	Emails      []string `yaml:"emails"`
	Domains     []string `yaml:"domains"`
	ExternalIDs []string `yaml:"external_ids"`
}

// zendeskSSO is the domain's settings, and beside them those of the page, which the
// domain knows nothing of.
type zendeskSSO struct {
	zendesk.Settings `yaml:",inline"`

	ReferrerPolicy string  `yaml:"referrer_policy"`
	Brands         []brand `yaml:"brands"`
}

type brand struct {
	zendesk.BrandSettings `yaml:",inline"`

	Page page.Settings `yaml:"page"`
}

func (z *zendeskSSO) brands() []zendesk.BrandSettings {
	settings := make([]zendesk.BrandSettings, len(z.Brands))
	for i, b := range z.Brands {
		settings[i] = b.BrandSettings
	}
	return settings
}

// Caller is a caller in a configuration file.
type Caller struct {
	Name       string                 `yaml:"name"`
	Identities []caller.Identity      `yaml:"identities"`
	Grants     []policy.GrantSettings `yaml:"grants"`
}
