package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Settings is one grant of the configuration file. What is absent is denied.
type Settings struct {
	// Configurations are names, or "*" for all.
	Configurations []string `yaml:"configurations"`
	// Brands are brand ids, or "*" for all of the configurations'. A token names no
	// brand, so they guide callers and aren't a security boundary.
	Brands []string `yaml:"brands"`
	// Actions are those that may be asked for.
	Actions []Action `yaml:"actions"`
	// Roles are the roles that may be given; "unset" may leave the role out.
	Roles []string `yaml:"roles"`
	// Claims names the optional claims that may be asked for. Each is `any`, a list
	// of values, or {prefix: …}, values as the text that they are. They limit what is
	// asked for; that something be asked for they can't require. external_id may also be
	// {form: digits}, {form: uuid} or {any: true, unbounded: true}.
	Claims map[string]any `yaml:"claims"`
	// EmailDomains are those of the people who may be signed in.
	EmailDomains EmailDomains `yaml:"email_domains"`
	// ReturnToHosts are hosts that return_to may name, or "*" for all of the brand's.
	// A path needs none. They guide callers too: a token names no return_to.
	ReturnToHosts []string `yaml:"return_to_hosts"`
	// Protected lets the configuration's protected people be signed in.
	Protected bool `yaml:"protected"`
	// Rate limits sign-ins, in each replica by itself. Absent: [DefaultRate].
	Rate *Rate `yaml:"rate"`
	// TeamRate limits, within Rate, those of agents and admins, and those without a
	// role where they may be of one. Absent: a tenth of Rate, and at least one a
	// second and five at once.
	TeamRate *Rate `yaml:"team_rate"`
}

// EmailDomains chooses email domains: exact names, "*.acme.com" for the subdomains
// of acme.com, "*" for all. Deny wins.
type EmailDomains struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// DefaultRate is that of grants which don't say. It is more than a morning's rush of a
// large company at one replica, and far less than a thief would like.
func DefaultRate() Rate { return Rate{PerSecond: 200, Burst: 400} }

// defaultTeamRate is a tenth of a grant's, for two reasons: a company has fewer
// people than customers, and they may do more.
func defaultTeamRate(r Rate) Rate {
	burst := r.Burst
	if burst == 0 {
		burst = int(r.PerSecond)
	}
	return Rate{PerSecond: max(1, r.PerSecond/10), Burst: max(5, burst/10)}
}

// What a rate can be. More a second than maxRate no process signs; longer than
// maxRefill nobody should be told to wait, and nanoseconds stay within an int64.
const (
	maxRate   = 1e6
	maxRefill = 24 * time.Hour
)

// Check returns what is wrong with a rate, empty if nothing is.
func (r Rate) Check() string {
	switch {
	case !(r.PerSecond > 0 && r.PerSecond <= maxRate) || r.Burst < 0 || r.Burst > maxRate: // NaN is neither
		return "must have a per_second above 0, up to a million, and a burst of 0 or more, up to a million"
	case float64(max(1, r.Burst))/r.PerSecond > maxRefill.Seconds():
		return "must have a burst that is back within 24 hours: burst / per_second is more"
	}
	return ""
}

// Every claim that a grant can name. The two that clear are apart from those that
// set, since they destroy data at Zendesk.
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
	domain  = regexp.MustCompile(`^(\*|(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+)$`)
)

// Check reports every fault of a grant by its key.
func (s Settings) Check(report func(key, fault string)) {
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

// checkSignIn reports what would deny every sign-in, though sign_in is granted:
// that is a slip, not a policy. It also reports an external_id that undoes the limits
// of emails.
func (s Settings) checkSignIn(report func(key, fault string)) {
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
		if !domain.MatchString(d) {
			report(fmt.Sprintf("%s[%d]", key, i),
				fmt.Sprintf(`%q is no domain: write acme.com, *.acme.com or *, in lower case`, d))
		}
	}
}

func checkOneOf(report func(key, fault string), key, value string, values []string) {
	if !slices.Contains(values, value) {
		report(key, fmt.Sprintf("%q is none of its values: %s", value, strings.Join(values, ", ")))
	}
}

// parseClaimRule reads `any`, a list of scalars, or {prefix: …}. The rule for external_id
// has further forms.
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

// New makes a policy of every caller's grants, in their order. place says where a
// caller's grant stands in the file. The settings must have passed Check; nothing of
// them is kept. A caller without grants has an entry too.
func New(grants map[string][]Settings, place func(caller string, grant int) string) (*Policy, error) {
	p := &Policy{grants: make(map[string][]*Grant, len(grants))}
	for caller, list := range grants {
		p.grants[caller] = make([]*Grant, len(list))
		for i, s := range list {
			g, err := newGrant(place(caller, i), s)
			if err != nil {
				return nil, err
			}
			g.limits = limitsOf(s, fmt.Sprintf("%s %d", caller, i))
			p.grants[caller][i] = g
		}
	}
	return p, nil
}

func newGrant(place string, s Settings) (*Grant, error) {
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

// The names of a grant's limits: their keys in the configuration file.
const (
	LimitGrant = "rate"
	LimitTeam  = "team_rate"
)

func limitsOf(s Settings, key string) []Limit {
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

// Everything is the grant that denies nothing. It is for development.
func Everything() Settings {
	all := []string{"*"}
	s := Settings{
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
