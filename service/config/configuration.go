package config

import (
	"cmp"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/text"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Configuration is one configuration for sign-ins. It is immutable and safe for concurrent use.
type Configuration struct {
	// Name is the NAME of configurations/NAME.
	Name string
	// DisplayName is for people. The default is the name.
	DisplayName string
	// Secret is the secret that tokens are signed with.
	Secret secrets.Ref
	// MaxStale is how long the secret may be used while the store is unavailable.
	MaxStale time.Duration
	// LoopLimit is the number of the first sign-in within LoopWindow that is stopped.
	LoopLimit  int
	LoopWindow time.Duration
	// UserRate limits the sign-ins of each person by each caller, separately in each replica.
	UserRate policy.Rate
	// Profile is the zendesk_sso block.
	Profile *zendesk.Profile

	protectedEmails      []string
	protectedDomains     []string
	protectedExternalIDs map[string]bool  // as returned by policy.FoldExternalID
	pages                map[string]pages // by brand id
}

// The defaults of a configuration.
const (
	defaultField      = "shared_secret"
	defaultLoopLimit  = 4
	defaultLoopWindow = time.Minute
)

// defaultUserRate is higher than the rate of any person. A browser may restore thirty tabs at once,
// and a monitoring system may sign in every few seconds. The loop limit stops a browser in a loop
// before this rate does.
func defaultUserRate() userRate { return userRate{PerMinute: 20, Burst: 30} }

// maxLoopLimit limits the size of an attempt, which contains the time of each previous sign-in. The
// API accepts attempts of up to 1,024 bytes.
const maxLoopLimit = 100

// Page returns the page of a brand, or of the default brand if brandID is empty. The page is in the
// supported language that is nearest to language, a BCP 47 tag. If the tag is empty or malformed,
// the page is in the brand's language. Page returns nil if the configuration has no such brand.
func (c *Configuration) Page(brandID, language string) *page.Page {
	b := c.Profile.Brand(brandID)
	if b == nil {
		return nil
	}
	return c.pages[b.ID].in(language)
}

// parsedConfiguration is a configuration as it is in the file. It may have problems. It is kept to
// check the references to it.
type parsedConfiguration struct {
	settings   configuration
	profile    *zendesk.Profile // nil if it has a problem
	incomplete bool             // a part of the profile couldn't be read
}

// parsedConfigurations are the configurations of all files, by name.
type parsedConfigurations struct {
	byName map[string]parsedConfiguration
	built  map[string]*Configuration
}

func (l *loader) readConfigurations() *parsedConfigurations {
	all := &parsedConfigurations{byName: map[string]parsedConfiguration{}, built: map[string]*Configuration{}}
	names, refs := unique{}, map[secrets.Ref]yamlfile.Place{}
	for _, source := range l.sources {
		list := source.Place("configurations")
		l.unknown = l.unknown || list.IsUnreadable()
		for i, c := range source.Configurations {
			at := list.Index(i)
			l.unknown = l.unknown || at.At("name").IsUnreadable()
			checkName(at.At("name"), c.Name, names)
			s, built := l.configuration(at, c)
			if _, twice := all.byName[c.Name]; !twice {
				all.byName[c.Name], all.built[c.Name] = s, built
			}
			if first, shared := refs[built.Secret]; shared {
				// Two configurations may share a secret to apply two sets of rules to one Zendesk
				// configuration. If it is a mistake, only Zendesk's refusals would reveal it.
				at.At("secret").Warn("is the same as in %s: to rotate, stage or disable one is to do it to both",
					at.Reference(first))
			} else if built.Secret.Path != "" {
				refs[built.Secret] = at.At("secret")
			}
		}
	}
	l.checkEndpoints()
	if len(all.byName) == 0 && !l.unknown {
		l.sources[0].Place("configurations").Problem("is required, here or in an included file: at least one")
	}
	return all
}

func (l *loader) configuration(at yamlfile.Place, c configuration) (parsedConfiguration, *Configuration) {
	built := &Configuration{
		Name:                 c.Name,
		DisplayName:          cmp.Or(c.DisplayName, c.Name),
		Secret:               checkSecret(at.At("secret"), c.Secret),
		MaxStale:             c.MaxStale,
		LoopLimit:            c.Loop.Limit,
		LoopWindow:           c.Loop.Window,
		protectedEmails:      c.Protected.Emails,
		protectedDomains:     c.Protected.Domains,
		protectedExternalIDs: foldedIDs(c.Protected.ExternalIDs),
	}
	checkDisplayName(at.At("display_name"), c.DisplayName)
	secretsOfMain := l.sources[0].Secrets
	checkDuration(at.At("max_stale"), &built.MaxStale, secretsOfMain.MaxStale, secretsOfMain.Refresh)
	checkLoop(at.At("loop"), built)
	checkProtected(at.At("protected"), c.Protected)
	built.UserRate = checkUserRate(at.At("user_rate"), c.UserRate)
	block := at.At("zendesk_sso")
	s := parsedConfiguration{settings: c, incomplete: block.HasUnreadable()}
	if c.ZendeskSSO == nil {
		block.Problem("is required: a configuration has exactly one profile block, and this is the only kind")
	} else {
		zendesk.Check(c.ZendeskSSO.Settings, c.ZendeskSSO.brands(), block.ReportProblem)
		zendesk.Warn(c.ZendeskSSO.Settings, block.ReportWarning)
		// Check has reported the error.
		built.Profile, _ = zendesk.New(c.ZendeskSSO.Settings, c.ZendeskSSO.brands())
		s.profile = built.Profile
		checkPages(block, c.ZendeskSSO)
		if built.Profile != nil && !at.HasProblem() {
			built.pages = l.matchers.renderBrands(block, c.ZendeskSSO, built)
		}
	}
	return s, built
}

func checkSecret(at yamlfile.Place, r secretRef) secrets.Ref {
	field := at.At("field")
	switch {
	case !field.IsSet():
		r.Field = defaultField
	case r.Field == "":
		field.Problem("must be a field's name, or be left out for %s", defaultField)
	}
	ref := secrets.Ref{Path: r.Path, Field: r.Field}
	if r.Path == "" {
		at.At("path").Problem("is required: where the store keeps the secret, such as sso/acme-customers")
	} else if err := ref.Check(); err != nil && r.Field != "" {
		at.Problem("%v", err)
	}
	return ref
}

func checkDisplayName(at yamlfile.Place, name string) {
	switch {
	case utf8.RuneCountInString(name) > 100:
		at.Problem("is longer than 100 characters")
	case text.Fault(name, text.AllowJoiners) != "":
		at.Problem("holds a character that can't be seen")
	}
}

func checkLoop(at yamlfile.Place, c *Configuration) {
	if limit := at.At("limit"); !limit.IsSet() {
		c.LoopLimit = defaultLoopLimit
	} else if c.LoopLimit < 2 {
		limit.Problem("must be 2 or more: the number of the sign-in that is stopped")
	} else if c.LoopLimit > maxLoopLimit {
		limit.Problem("must be %d or less: more sign-ins than that can't be counted", maxLoopLimit)
	}
	window := at.At("window")
	checkDuration(window, &c.LoopWindow, defaultLoopWindow, time.Second)
	if c.LoopWindow > 24*time.Hour {
		window.Problem("must be 24h or less")
	}
}

func checkUserRate(at yamlfile.Place, u *userRate) policy.Rate {
	given := defaultUserRate()
	if u != nil {
		given = *u
	}
	if given.Burst == 0 {
		given.Burst = max(1, int(given.PerMinute))
	}
	r := policy.Rate{PerSecond: given.PerMinute / 60, Burst: given.Burst}
	if r.Check() != "" {
		at.Problem("must have a per_minute above 0, up to 60 million, " +
			"and a burst up to a million that is back within 24 hours")
	}
	return r
}
