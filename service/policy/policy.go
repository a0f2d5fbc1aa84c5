// Package policy decides what a caller may do. A caller that may sign in anyone can become any
// Zendesk admin, so everything that no grant names is denied. One single grant must cover the whole
// request. Two grants never combine.
package policy

import (
	"regexp"
	"slices"
	"strings"
)

// Action is a kind of request.
type Action string

// The actions that a grant can name.
const (
	SignIn  Action = "sign_in" // mint a token, render a page
	Read    Action = "read"    // list, get, resolve configurations
	Inspect Action = "inspect" // inspect a token
	Report  Action = "report"  // report a sign-in failure
	Refresh Action = "refresh" // have a secret refreshed from the store now
	Stage   Action = "stage"   // sign with a version that isn't active
)

// RoleUnset is the role of requests that leave the role out.
const RoleUnset = "unset"

// Claim is one optional claim in a request, with the values that a grant may limit. The values are
// compared with the grant's list or prefix. For user_fields they are the keys; for other claims
// they are the claim's own values.
type Claim struct {
	Name   string
	Field  string // its path in the request
	Values []string
}

// Request contains the parts of a request that grants can limit.
type Request struct {
	Configuration string
	Actions       []Action
	// The following fields are checked only if Actions contains SignIn.
	Brand     string
	Role      string
	Claims    []Claim
	Email     string // parsed; "": it can't be parsed, and validation refuses the request
	Protected bool   // the email belongs to a protected person
	// ProtectedExternalID reports whether the external id belongs to a protected person.
	ProtectedExternalID bool
	// ReturnToHosts are the hosts of return_to and of the URLs nested in it. A path stays at the
	// brand and has none.
	ReturnToHosts []string
}

// Reason is why a request is denied, as the API's error reasons spell it.
type Reason string

// The reasons, in the order in which a grant's parts are checked.
const (
	CallerNotAllowed   Reason = "CALLER_NOT_ALLOWED"
	BrandNotAllowed    Reason = "BRAND_NOT_ALLOWED"
	RoleNotAllowed     Reason = "ROLE_NOT_ALLOWED"
	ClaimNotAllowed    Reason = "CLAIM_NOT_ALLOWED"
	EmailNotAllowed    Reason = "EMAIL_NOT_ALLOWED"
	ReturnToNotAllowed Reason = "RETURN_TO_NOT_ALLOWED"
)

var reasons = []Reason{
	CallerNotAllowed, BrandNotAllowed, RoleNotAllowed, ClaimNotAllowed, EmailNotAllowed, ReturnToNotAllowed,
}

// DeniedError explains why no grant covers a request. The reason comes from the grant that passed
// the most checks.
type DeniedError struct {
	Reason Reason
	// Field is the request's field at fault. It is empty with CallerNotAllowed.
	Field string
	// Rule names the part of the grant that denied the request, for operators.
	Rule string
}

func (e *DeniedError) Error() string { return string(e.Reason) + " " + e.Field + ": " + e.Rule }

// Policy holds every caller's grants. It is immutable, and safe for concurrent use.
type Policy struct {
	callers map[string]*callerGrants // has an entry for each caller, even one without grants
}

// callerGrants are the grants of one caller, indexed by configuration. A request then takes the
// same time however many grants the caller has.
type callerGrants struct {
	all    []*Grant
	byName map[string][]*Grant // the grants that cover a configuration that at least one grant names
	others []*Grant            // the grants that cover every other configuration: those with "*"
	rate   Rate                // see Policy.CallerRate
}

// add adds the next grant of the file.
func (c *callerGrants) add(g *Grant) {
	c.all = append(c.all, g)
	if g.configurations["*"] {
		c.others = append(c.others, g)
		for name := range c.byName {
			c.byName[name] = append(c.byName[name], g)
		}
		return
	}
	for name := range g.configurations {
		before, known := c.byName[name]
		if !known {
			before = slices.Clone(c.others)
		}
		c.byName[name] = append(before, g)
	}
}

// of returns the grants that cover a configuration, in the order of the file.
func (c *callerGrants) of(configuration string) []*Grant {
	if named, ok := c.byName[configuration]; ok {
		return named
	}
	return c.others
}

// Grant is one checked grant. It is immutable.
type Grant struct {
	// Place is its path in the configuration file, for operators: `callers[0].grants[1]`.
	Place string

	configurations set[string]
	brands         set[string]
	actions        set[Action]
	roles          set[string]
	claims         map[string]claimRule
	emailDomains   EmailDomains
	returnToHosts  set[string]
	protected      bool
	limits         []Limit // the team's limit is the last one
}

// set is a list of a grant. It is a map because the list may have thousands of values.
type set[T comparable] map[T]bool

func setOf[T comparable](list []T) set[T] {
	s := make(set[T], len(list))
	for _, v := range list {
		s[v] = true
	}
	return s
}

// Limits returns the limits that apply to a sign-in. A sign-in of agents and admins, the company's
// team, has one more limit, because a thief can do more damage with it. Each grant of each caller
// has separate limits.
func (g *Grant) Limits(team bool) []Limit {
	if team {
		return g.limits
	}
	return g.limits[:1]
}

// Allow returns the first of the caller's grants that covers the whole request. If there is none,
// it returns a [*DeniedError]. It is [Policy.Matching] and [Grants.Allow] in one.
func (p *Policy) Allow(caller string, request Request) (*Grant, error) {
	matching, err := p.Matching(caller, request.Configuration, request.Actions...)
	if err != nil {
		return nil, err
	}
	return matching.Allow(request)
}

// Grants are the grants of one caller that name a configuration and all actions of a request.
type Grants []*Grant

// Matching returns the caller's grants that name the configuration and every action, in the order
// of the file. It returns a [*DeniedError] if there are none. It ignores the other limits of the
// grants.
func (p *Policy) Matching(caller, configuration string, actions ...Action) (Grants, error) {
	c, known := p.callers[caller]
	if !known {
		return nil, &DeniedError{Reason: CallerNotAllowed, Rule: "no such caller"}
	}
	var matching Grants
	for _, g := range c.of(configuration) {
		if g.allows(actions...) {
			matching = append(matching, g)
		}
	}
	if len(matching) > 0 {
		return matching, nil
	}
	return nil, &DeniedError{
		Reason: CallerNotAllowed,
		Rule:   "no grant of caller " + caller + " names the configuration and " + describe(actions),
	}
}

// Named returns the names of the configurations at which the caller may take the action, in no
// order. If all is true, it is every configuration.
func (p *Policy) Named(caller string, action Action) (names []string, all bool) {
	c, known := p.callers[caller]
	if !known {
		return nil, false
	}
	for name, grants := range c.byName {
		if slices.ContainsFunc(grants, func(g *Grant) bool { return g.allows(action) }) {
			names = append(names, name)
		}
	}
	return names, slices.ContainsFunc(c.others, func(g *Grant) bool { return g.allows(action) })
}

// CallerRate returns the rate of a caller's requests that are no sign-ins. It is [DefaultRate], or
// the rate of a grant of the caller if that is higher.
func (p *Policy) CallerRate(caller string) Rate {
	if c, known := p.callers[caller]; known {
		return c.rate
	}
	return DefaultRate()
}

// Allow returns the first of the grants that covers the rest of the request. If there is none, it
// returns the [*DeniedError] of the grant that passed the most checks.
func (all Grants) Allow(request Request) (*Grant, error) {
	furthest := &DeniedError{Reason: CallerNotAllowed, Rule: "no grant"}
	for _, g := range all {
		denied := g.check(request)
		if denied == nil {
			return g, nil
		}
		if slices.Index(reasons, denied.Reason) > slices.Index(reasons, furthest.Reason) {
			furthest = denied
		}
	}
	return nil, furthest
}

// describe returns the actions as text for operators.
func describe(actions []Action) string {
	if len(actions) == 1 {
		return "the action " + string(actions[0])
	}
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = string(a)
	}
	return "the actions " + strings.Join(texts, " and ")
}

// Brand reports whether one of the grants names the brand.
func (all Grants) Brand(id string) bool {
	return slices.ContainsFunc(all, func(g *Grant) bool { return matches(g.brands, id) })
}

// allows reports whether the grant names every action.
func (g *Grant) allows(actions ...Action) bool {
	return len(actions) > 0 && !slices.ContainsFunc(actions, func(a Action) bool { return !g.actions[a] })
}

// check checks the rest of a request against a grant that covers its configuration and actions. It
// returns nil if the grant allows the request.
func (g *Grant) check(request Request) *DeniedError {
	deny := func(r Reason, field, rule string) *DeniedError {
		return &DeniedError{Reason: r, Field: field, Rule: g.Place + "." + rule}
	}
	if !slices.Contains(request.Actions, SignIn) {
		return nil
	}
	if !matches(g.brands, request.Brand) {
		return deny(BrandNotAllowed, "brand_id", "brands")
	}
	if !g.roles[request.Role] {
		return deny(RoleNotAllowed, "user.role", "roles")
	}
	for _, c := range request.Claims {
		if rule, ok := g.claims[c.Name]; !ok || !rule.covers(c.Values) {
			return deny(ClaimNotAllowed, c.Field, "claims."+c.Name)
		}
	}
	if request.ProtectedExternalID && !g.protected {
		return deny(ClaimNotAllowed, "user.external_id", "protected")
	}
	if request.Email != "" && !g.emailDomains.allows(request.Email) {
		return deny(EmailNotAllowed, "user.email", "email_domains")
	}
	if request.Protected && !g.protected {
		return deny(EmailNotAllowed, "user.email", "protected")
	}
	for _, host := range request.ReturnToHosts {
		if !matches(g.returnToHosts, host) {
			return deny(ReturnToNotAllowed, "return_to", "return_to_hosts")
		}
	}
	return nil
}

// matches reports whether the list contains the value or "*".
func matches(list set[string], value string) bool { return list[value] || list["*"] }

// claimRule limits the values of one claim.
type claimRule struct {
	any    bool
	values set[string]
	prefix string
	// The following fields are for external_id only.
	unbounded bool           // the rule is {any: true, unbounded: true}
	form      *regexp.Regexp // nil: no form
}

// covers reports whether the rule allows all values. An empty list is allowed only if the rule is
// any, because a limit on values can't be checked without a value.
func (r claimRule) covers(values []string) bool {
	return r.any || len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return !r.allows(v) })
}

func (r claimRule) allows(value string) bool {
	return r.values[value] || r.prefix != "" && strings.HasPrefix(value, r.prefix) ||
		r.form != nil && r.form.MatchString(value)
}

func (d EmailDomains) allows(email string) bool {
	_, domain, _ := strings.Cut(email, "@")
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(pattern string) bool { return DomainMatches(pattern, domain) })
	}
	return in(d.Allow) && !in(d.Deny)
}

// DomainMatches reports whether a pattern of the configuration file covers an email domain. Both
// are in lower case. A pattern is a domain, "*.acme.com" for the subdomains of acme.com, or "*" for
// all domains.
func DomainMatches(pattern, domain string) bool {
	if parent, ok := strings.CutPrefix(pattern, "*."); ok {
		return strings.HasSuffix(domain, "."+parent)
	}
	return pattern == "*" || pattern == domain
}
