package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// GrantSettings is one grant of the configuration file. Whatever it doesn't name is denied.
type GrantSettings struct {
	// Configurations are names of configurations, or "*" for all.
	Configurations []string `yaml:"configurations"`
	// Brands are brand ids, or "*" for all brands of the configurations. A token names no brand, so
	// this list guides callers and is not a security boundary.
	Brands []string `yaml:"brands"`
	// Actions are the actions that requests may use.
	Actions []Action `yaml:"actions"`
	// Roles are the roles that a request may give to a user. With "unset", a request may leave out
	// the role.
	Roles []string `yaml:"roles"`
	// Claims names the optional claims that a request may contain. The rule for a claim is `any`, a
	// list of values, or {prefix: …}. Values are compared as text. A rule limits the values in a
	// request, but it can't require the claim. external_id may also be {form: digits}, {form: uuid}
	// or {any: true, unbounded: true}.
	Claims map[string]any `yaml:"claims"`
	// EmailDomains limits the email addresses of the people that the caller may sign in.
	EmailDomains EmailDomains `yaml:"email_domains"`
	// ReturnToHosts are the hosts that return_to may name, or "*" for all hosts of the brand. A
	// return_to that is a path needs none. This list also only guides callers: a token contains no
	// return_to.
	ReturnToHosts []string `yaml:"return_to_hosts"`
	// Protected allows sign-ins of the configuration's protected people.
	Protected bool `yaml:"protected"`
	// Rate limits sign-ins, separately in each replica. The default is [DefaultRate]. A higher rate
	// also raises the caller's rates of other requests (see [Policy.CallerRate]).
	Rate *Rate `yaml:"rate"`
	// TeamRate additionally limits sign-ins of agents and admins, and of people without a role if
	// they may be agents or admins. The default is a tenth of Rate, but at least one per second
	// with a burst of five.
	TeamRate *Rate `yaml:"team_rate"`
}

// EmailDomains selects email domains. An entry is an exact name, "*.acme.com" for the subdomains of
// acme.com, or "*" for all domains. Deny takes precedence.
type EmailDomains struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// DefaultRate is the rate of a grant without one. It is above the peak load of a large company on
// one replica in the morning, and far too low for mass sign-ins with a stolen credential.
func DefaultRate() Rate { return Rate{PerSecond: 200, Burst: 400} }

// defaultTeamRate returns a tenth of a grant's rate, for two reasons. A company has fewer employees
// than customers, and employees have more rights.
func defaultTeamRate(r Rate) Rate {
	burst := r.Burst
	if burst == 0 {
		burst = int(r.PerSecond)
	}
	return Rate{PerSecond: max(1, r.PerSecond/10), Burst: max(5, burst/10)}
}

// These limit a rate. No process signs more than maxRate tokens per second. No caller should have
// to wait longer than maxRefill, and nanoseconds up to it fit into an int64.
const (
	maxRate   = 1e6
	maxRefill = 24 * time.Hour
)

// Check describes what is wrong with a rate. It returns "" if the rate is valid.
func (r Rate) Check() string {
	switch {
	case !(r.PerSecond > 0 && r.PerSecond <= maxRate) || r.Burst < 0 || r.Burst > maxRate: // also true for NaN
		return "must have a per_second above 0, up to a million, and a burst of 0 or more, up to a million"
	case float64(max(1, r.Burst))/r.PerSecond > maxRefill.Seconds():
		return "must have a burst that is back within 24 hours: burst / per_second is more"
	}
	return ""
}

// The claims that a grant can name. The two clear_* claims are separate from those that set values,
// because they destroy data at Zendesk.
const (
	ClaimExternalID      = "external_id"
	ClaimCustomRoleID    = "custom_role_id"
	ClaimLocaleID        = "locale_id"
	ClaimOrganizations   = "organizations"
	ClaimOrganizationIDs = "organization_ids"
	ClaimPhone           = "phone"
	ClaimTags            = "tags"
	ClaimRemotePhotoURL  = "remote_photo_url"
	ClaimUserFields      = "user_fields"
	ClaimClearTags       = "clear_tags"
	ClaimClearUserFields = "clear_user_fields"
)

var (
	claimNames = []string{
		ClaimClearTags, ClaimClearUserFields, ClaimCustomRoleID, ClaimExternalID, ClaimLocaleID, ClaimOrganizationIDs,
		ClaimOrganizations, ClaimPhone, ClaimRemotePhotoURL, ClaimTags, ClaimUserFields,
	}
	actions = []string{string(SignIn), string(Read), string(Inspect), string(Report), string(Refresh), string(Stage)}
	roles   = []string{RoleUnset, "end_user", "agent", "admin"}
	domain  = regexp.MustCompile(
		`^(\*|(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?)$`)
)

// Check reports every fault of a grant with its key.
func (s GrantSettings) Check(report func(key, fault string)) {
	if len(s.Configurations) == 0 {
		report("configurations", `is required: names of configurations, or "*"`)
	}
	if len(s.Actions) == 0 {
		report("actions", "is required: what the caller may do")
	}
	for i, a := range s.Actions {
		checkOneOf(report, fmt.Sprintf("actions[%d]", i), string(a), actions)
	}
	for i, r := range s.Roles {
		checkOneOf(report, fmt.Sprintf("roles[%d]", i), r, roles)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Claims)) {
		if !slices.Contains(claimNames, name) {
			report("claims."+name, "is no claim that can be granted: "+strings.Join(claimNames, ", "))
		} else if rule, fault := parseClaimRule(name, s.Claims[name]); fault != "" {
			report("claims."+name, fault)
		} else if name == ClaimClearTags && !rule.any {
			report("claims."+name, "must be any: to clear has no values that could be limited")
		}
	}
	checkDomains(report, "email_domains.allow", s.EmailDomains.Allow)
	checkDomains(report, "email_domains.deny", s.EmailDomains.Deny)
	if slices.Contains(s.Actions, SignIn) {
		s.checkSignIn(report)
	}
	checkRate(report, LimitGrant, s.Rate)
	checkRate(report, LimitTeam, s.TeamRate)
}

// checkSignIn reports missing parts that would deny every sign-in although sign_in is granted. Such
// a grant is a mistake, not a policy. It also reports a rule for external_id that defeats the
// limits on emails.
func (s GrantSettings) checkSignIn(report func(key, fault string)) {
	if len(s.Brands) == 0 {
		report("brands", `is required with sign_in: brand ids, or "*"`)
	}
	if len(s.Roles) == 0 {
		report("roles", "is required with sign_in: roles that may be given, or unset")
	}
	if len(s.EmailDomains.Allow) == 0 {
		report("email_domains.allow", `is required with sign_in: domains, or "*"`)
	}
	s.checkExternalID(report)
}

func checkRate(report func(key, fault string), key string, r *Rate) {
	if r != nil && r.Check() != "" {
		report(key, r.Check())
	}
}

func checkDomains(report func(key, fault string), key string, domains []string) {
	for i, d := range domains {
		if domain.MatchString(d) {
			continue
		}
		instead := "acme.com, *.acme.com or *, in lower case"
		bare := strings.TrimPrefix(d, "*.")
		if ascii, err := idna.Lookup.ToASCII(bare); err == nil && domain.MatchString(ascii) {
			instead = strings.TrimSuffix(d, bare) + ascii + ", as domains are compared"
		}
		report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf(`%q is no domain: write %s`, d, instead))
	}
}

func checkOneOf(report func(key, fault string), key, value string, values []string) {
	if !slices.Contains(values, value) {
		report(key, fmt.Sprintf("%q is none of its values: use %s", value, strings.Join(values, ", ")))
	}
}

// parseClaimRule parses `any`, a list of scalars, or {prefix: …}. The rule for external_id has
// further forms.
func parseClaimRule(name string, v any) (rule claimRule, fault string) {
	want := "must be any, a list of values, or {prefix: …}"
	if name == ClaimExternalID {
		want = wantExternalID
	}
	switch v := v.(type) {
	case string:
		if v == "any" {
			return claimRule{any: true}, ""
		}
	case []any:
		rule.values = make(set[string], len(v))
		for _, item := range v {
			value, ok := item.(string)
			if !ok {
				return rule, want
			}
			rule.values[value] = true
		}
		return rule, ""
	case map[string]any:
		if name == ClaimExternalID {
			return parseExternalIDBlock(v)
		}
		for _, key := range []string{"form", "unbounded"} {
			if _, given := v[key]; given {
				return rule, want + ": " + key + " is for external_id only"
			}
		}
		prefix, ok := v["prefix"].(string)
		if ok && len(v) == 1 && prefix != "" {
			return claimRule{prefix: prefix}, ""
		}
	}
	return rule, want
}

// New returns the policy of all callers' grants, in their order. place returns the path of a
// caller's grant in the file. The settings must have passed Check, and New keeps no reference to
// them. A caller without grants also gets an entry.
func New(grants map[string][]GrantSettings, place func(caller string, grant int) string) (*Policy, error) {
	p := &Policy{callers: make(map[string]*callerGrants, len(grants))}
	for caller, list := range grants {
		c := &callerGrants{byName: make(map[string][]*Grant), rate: DefaultRate()}
		p.callers[caller] = c
		for i, s := range list {
			g, err := newGrant(place(caller, i), s)
			if err != nil {
				return nil, err
			}
			g.limits = limitsOf(s, fmt.Sprintf("%s %d", caller, i))
			c.add(g)
			if s.Rate != nil {
				c.rate = c.rate.max(*s.Rate)
			}
		}
	}
	return p, nil
}

func newGrant(place string, s GrantSettings) (*Grant, error) {
	g := &Grant{
		Place:          place,
		configurations: setOf(s.Configurations),
		brands:         setOf(s.Brands),
		actions:        setOf(s.Actions),
		roles:          setOf(s.Roles),
		claims:         make(map[string]claimRule, len(s.Claims)),
		emailDomains: EmailDomains{
			Allow: slices.Clone(s.EmailDomains.Allow),
			Deny:  slices.Clone(s.EmailDomains.Deny),
		},
		returnToHosts: setOf(s.ReturnToHosts),
		protected:     s.Protected,
	}
	for name, v := range s.Claims {
		rule, fault := parseClaimRule(name, v)
		if fault != "" {
			return nil, fmt.Errorf("%s.claims.%s %s", place, name, fault)
		}
		g.claims[name] = rule
	}
	return g, nil
}

// The names of a grant's limits, which are also their keys in the configuration file.
const (
	LimitGrant = "rate"
	LimitTeam  = "team_rate"
)

func limitsOf(s GrantSettings, key string) []Limit {
	all := DefaultRate()
	if s.Rate != nil {
		all = *s.Rate
	}
	team := defaultTeamRate(all)
	if s.TeamRate != nil {
		team = *s.TeamRate
	}
	return []Limit{{Name: LimitGrant, Key: key, Rate: all}, {Name: LimitTeam, Key: key, Rate: team}}
}

// UnrestrictedGrant returns the grant that denies nothing. It is for development.
func UnrestrictedGrant() GrantSettings {
	all := []string{"*"}
	s := GrantSettings{
		Configurations: all, Brands: all, Roles: roles, ReturnToHosts: all, Protected: true,
		Claims: make(map[string]any), EmailDomains: EmailDomains{Allow: all},
	}
	for _, a := range actions {
		s.Actions = append(s.Actions, Action(a))
	}
	for _, name := range claimNames {
		s.Claims[name] = "any"
	}
	return s
}
