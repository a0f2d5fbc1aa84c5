package config

import (
	"time"

	"github.com/deskmint/deskmint/secrets/file"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// maxFile is the maximum size of a configuration file, in bytes. That is enough for fifty thousand
// configurations.
const maxFile = 64 << 20

// File is the content of a configuration file. The tags of its fields are the keys. schema.json has
// the same keys, and describes each of them.
type File struct {
	Listen         Listen          `yaml:"listen"`
	TLS            *TLS            `yaml:"tls"`
	Include        []Include       `yaml:"include"`
	Expect         Expect          `yaml:"expect"`
	Clock          clock.Settings  `yaml:"clock"`
	Secrets        Secrets         `yaml:"secrets"`
	Issuers        []caller.Issuer `yaml:"issuers"`
	Audit          audit.Settings  `yaml:"audit"`
	Configurations []configuration `yaml:"configurations"`
	Callers        []Caller        `yaml:"callers"`
}

// Secrets contains the settings of the secret store and of its reads.
type Secrets struct {
	// Source is "vault", "file" or "memory".
	Source string `yaml:"source"`
	// Refresh is the interval between reads of each secret's versions.
	Refresh time.Duration `yaml:"refresh"`
	// MaxRate is the maximum number of reads of the store per second.
	MaxRate int `yaml:"max_rate"`
	// MaxStale is how long a value may be used while the store is unavailable. It is the default of
	// the [Configuration] field of the same name.
	MaxStale time.Duration `yaml:"max_stale"`
	// RequirePointer refuses secrets in Vault that have no active_version. Without it, the
	// newest version of such a secret signs, with a warning.
	RequirePointer bool `yaml:"require_pointer"`
	// Vault and File are the settings of these sources. Only those of Source have an effect.
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

// userRate is the token bucket for each person at each caller.
type userRate struct {
	PerMinute float64 `yaml:"per_minute"`
	Burst     int     `yaml:"burst"` // the default is the sign-ins of one minute
}

type protected struct {
	Emails      []string `yaml:"emails"`
	Domains     []string `yaml:"domains"`
	ExternalIDs []string `yaml:"external_ids"`
}

// zendeskSSO contains the settings of package zendesk and those of the page.
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
