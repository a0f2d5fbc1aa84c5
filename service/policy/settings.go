package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/time/rate"
)

// Settings is one grant of the configuration file. What is absent is denied.
type Settings struct {
	// Configurations are names, or "*" for all.
	Configurations []string `yaml:"configurations"`
	// Brands are brand ids, or "*" for all of the configurations'.
	Brands []string `yaml:"brands"`
	// Actions are those that may be asked for.
	Actions []Action `yaml:"actions"`
	// Roles are the roles that may be given; "unset" may leave the role out.
	Roles []string `yaml:"roles"`
	// Claims names the optional claims that may be asked for. Each is `any`, a list
	// of values, or {prefix: …}, values as the text that they are. They limit what is
	// asked for; that something be asked for they can't require.
	Claims map[string]any `yaml:"claims"`
	// EmailDomains are those of the people who may be signed in.
	EmailDomains EmailDomains `yaml:"email_domains"`
	// ReturnToHosts are hosts that return_to may name, or "*" for all of the brand's.
	// A path needs none.
	ReturnToHosts []string `yaml:"return_to_hosts"`
	// Protected lets the configuration's protected people be signed in.
	Protected bool `yaml:"protected"`
	// Rate limits sign-ins, in each replica by itself. Absent: no limit.
	Rate *Rate `yaml:"rate"`
}

// EmailDomains chooses email domains: exact names, "*.acme.com" for the subdomains
// of acme.com, "*" for all. Deny wins.
type EmailDomains struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// Rate is a token bucket.
type Rate struct {
	PerSecond float64 `yaml:"per_second"`
	Burst     int     `yaml:"burst"` // 0: one second's worth
}

// maxRate is more than one process can sign, and keeps a burst within an int.
const maxRate = 1e6

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
		} else if rule, fault := parseClaimRule(s.Claims[name]); fault != "" {
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
	if r := s.Rate; r != nil && (!(r.PerSecond > 0 && r.PerSecond <= maxRate) || r.Burst < 0) { // NaN is neither
		report("rate", "must have a per_second above 0, up to a million, and a burst of 0 or more")
	}
}

// checkSignIn reports what would deny every sign-in, though sign_in is granted:
// that is a slip, not a policy.
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
}

func checkDomains(report func(key, fault string), key string, domains []string) {
	for i, d := range domains {
		if !domain.MatchString(d) {
			report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf(`%q is no domain: write acme.com, *.acme.com or *, in lower case`, d))
		}
	}
}

func checkOneOf(report func(key, fault string), key, value string, values []string) {
	if !slices.Contains(values, value) {
		report(key, fmt.Sprintf("%q is none of its values: %s", value, strings.Join(values, ", ")))
	}
}

// parseClaimRule reads `any`, a list of scalars, or {prefix: …}.
func parseClaimRule(v any) (rule claimRule, fault string) {
	const want = "must be any, a list of values, or {prefix: …}"
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
		emailDomains:   EmailDomains{Allow: slices.Clone(s.EmailDomains.Allow), Deny: slices.Clone(s.EmailDomains.Deny)},
		returnToHosts:  setOf(s.ReturnToHosts),
		protected:      s.Protected,
	}
	for name, v := range s.Claims {
		rule, fault := parseClaimRule(v)
		if fault != "" {
			return nil, fmt.Errorf("%s.claims.%s %s", place, name, fault)
		}
		g.claims[name] = rule
	}
	if s.Rate != nil {
		burst := s.Rate.Burst
		if burst == 0 {
			burst = max(1, int(s.Rate.PerSecond))
		}
		g.limiter = rate.NewLimiter(rate.Limit(s.Rate.PerSecond), burst)
	}
	return g, nil
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
