package config

import (
	"cmp"
	"time"
	"unicode/utf8"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/text"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Configuration is one configuration, ready to sign people in with. It is immutable
// and safe for concurrent use.
type Configuration struct {
	// Name is the NAME of configurations/NAME.
	Name string
	// DisplayName is for people; the name where the file gives none.
	DisplayName string
	// Secret is what to sign with.
	Secret secrets.Ref
	// MaxStale is how long that may serve while the store is away.
	MaxStale time.Duration
	// LoopLimit is the number of the sign-in, within LoopWindow, that is stopped.
	LoopLimit  int
	LoopWindow time.Duration
	// UserRate limits the sign-ins of each person by each caller, in each replica by itself.
	UserRate policy.Rate
	// Profile is the zendesk_sso block.
	Profile *zendesk.Profile

	protectedEmails      []string
	protectedDomains     []string
	protectedExternalIDs map[string]bool  // by policy.FoldExternalID
	pages                map[string]pages // by brand id
}

// What a configuration leaves out.
const (
	defaultField      = "shared_secret"
	defaultLoopLimit  = 4
	defaultLoopWindow = time.Minute
)

// defaultUserRate is more than anybody does by hand. A browser may restore thirty tabs
// at once and a monitor sign in every few seconds; one in a loop is stopped as such before.
func defaultUserRate() userRate { return userRate{PerMinute: 20, Burst: 30} }

// maxLoopLimit keeps an attempt, which has a time for each sign-in before, within the
// 1,024 bytes that the API takes back.
const maxLoopLimit = 100

// Page is the page of a brand, the default one where brandID is empty, in the
// language nearest to the one asked for: a BCP 47 tag, where empty or malformed ones
// stand for the brand's own. It is nil where the configuration has no such brand.
func (c *Configuration) Page(brandID, language string) *page.Page {
	b := c.Profile.Brand(brandID)
	if b == nil {
		return nil
	}
	return c.pages[b.ID].in(language)
}

// slot is a configuration as the file has it. It is kept for the checks of what
// refers to it, even where it is at fault.
type slot struct {
	settings configuration
	profile  *zendesk.Profile // nil where it is at fault
	unread   bool             // its brands, or a part of them
}

// slots are all configurations of all files.
type slots struct {
	byName map[string]slot
	built  map[string]*Configuration
}

func (l *loader) readConfigurations() *slots {
	all := &slots{byName: map[string]slot{}, built: map[string]*Configuration{}}
	names, refs := unique{}, map[secrets.Ref]place{}
	for _, source := range l.sources {
		list := source.place("configurations")
		l.unknown = l.unknown || list.lost()
		for i, c := range source.Configurations {
			at := list.index(i)
			l.unknown = l.unknown || at.at("name").lost()
			checkName(at.at("name"), c.Name, names)
			s, built := l.configuration(at, c)
			if _, twice := all.byName[c.Name]; !twice {
				all.byName[c.Name], all.built[c.Name] = s, built
			}
			if first, shared := refs[built.Secret]; shared {
				// Two rule sets for one Zendesk configuration are a reason to share; a slip shows
				// only in Zendesk's refusals. Nobody should be surprised by what else it means.
				at.at("secret").warn("is the same as in %s: to rotate, stage or disable one is to do it to both", at.seeing(first))
			} else if built.Secret.Path != "" {
				refs[built.Secret] = at.at("secret")
			}
		}
	}
	if len(all.byName) == 0 && !l.unknown {
		l.sources[0].place("configurations").problem("is required, here or in an included file: at least one")
	}
	return all
}

func (l *loader) configuration(at place, c configuration) (slot, *Configuration) {
	built := &Configuration{
		Name:                 c.Name,
		DisplayName:          cmp.Or(c.DisplayName, c.Name),
		Secret:               checkSecret(at.at("secret"), c.Secret),
		MaxStale:             c.MaxStale,
		LoopLimit:            c.Loop.Limit,
		LoopWindow:           c.Loop.Window,
		protectedEmails:      c.Protected.Emails,
		protectedDomains:     c.Protected.Domains,
		protectedExternalIDs: foldedIDs(c.Protected.ExternalIDs),
	}
	checkDisplayName(at.at("display_name"), c.DisplayName)
	secretsOfMain := l.sources[0].Secrets
	duration(at.at("max_stale"), &built.MaxStale, secretsOfMain.MaxStale, secretsOfMain.Refresh)
	checkLoop(at.at("loop"), built)
	checkProtected(at.at("protected"), c.Protected)
	built.UserRate = checkUserRate(at.at("user_rate"), c.UserRate)
	block := at.at("zendesk_sso")
	s := slot{settings: c, unread: block.unread()}
	if c.ZendeskSSO == nil {
		block.problem("is required: a configuration has exactly one profile block, and this is the only kind")
	} else {
		zendesk.Check(c.ZendeskSSO.Settings, c.ZendeskSSO.brands(), block.report)
		// An error is what Check has reported.
		built.Profile, _ = zendesk.New(c.ZendeskSSO.Settings, c.ZendeskSSO.brands())
		s.profile = built.Profile
		checkLooks(block, c.ZendeskSSO)
		if built.Profile != nil && !at.hasProblem() {
			built.pages = l.matchers.renderBrands(block, c.ZendeskSSO, built)
		}
	}
	return s, built
}

func checkSecret(at place, r secretRef) secrets.Ref {
	field := at.at("field")
	switch {
	case !field.given():
		r.Field = defaultField
	case r.Field == "":
		field.problem("must be a field's name, or be left out for %s", defaultField)
	}
	ref := secrets.Ref{Path: r.Path, Field: r.Field}
	if r.Path == "" {
		at.at("path").problem("is required: where the store keeps the secret, such as sso/acme-customers")
	} else if err := ref.Check(); err != nil && r.Field != "" {
		at.problem("%v", err)
	}
	return ref
}

func checkDisplayName(at place, name string) {
	switch {
	case utf8.RuneCountInString(name) > 100:
		at.problem("is longer than 100 characters")
	case text.Fault(name, text.AllowJoiners) != "":
		at.problem("holds a character that can't be seen")
	}
}

func checkLoop(at place, c *Configuration) {
	if limit := at.at("limit"); !limit.given() {
		c.LoopLimit = defaultLoopLimit
	} else if c.LoopLimit < 2 {
		limit.problem("must be 2 or more: the number of the sign-in that is stopped")
	} else if c.LoopLimit > maxLoopLimit {
		limit.problem("must be %d or less: more sign-ins than that can't be counted", maxLoopLimit)
	}
	window := at.at("window")
	duration(window, &c.LoopWindow, defaultLoopWindow, time.Second)
	if c.LoopWindow > 24*time.Hour {
		window.problem("must be 24h or less")
	}
}

func checkUserRate(at place, u *userRate) policy.Rate {
	given := defaultUserRate()
	if u != nil {
		given = *u
	}
	if given.Burst == 0 {
		given.Burst = max(1, int(given.PerMinute))
	}
	r := policy.Rate{PerSecond: given.PerMinute / 60, Burst: given.Burst}
	if r.Check() != "" {
		at.problem("must have a per_minute above 0, up to 60 million, and a burst up to a million that is back within 24 hours")
	}
	return r
}
