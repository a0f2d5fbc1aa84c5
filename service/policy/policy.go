// Package policy decides what a caller may do. Whoever may mint freely may become
// any Zendesk admin, so everything is denied that a grant doesn't name, and one
// single grant must cover the whole of a request: two grants never add up to a
// third.
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

// Claim is one optional claim that a request asks for, with the values that a
// grant may limit. Values are what the grant's list or prefix is held against:
// the keys of user_fields, otherwise the claim's own.
type Claim struct {
	Name   string
	Field  string // where in the request it stands
	Values []string
}

// Ask is all of a request that grants have a say in.
type Ask struct {
	Configuration string
	Actions       []Action
	// The rest is for sign-ins only; it is checked where SignIn is asked for.
	Brand     string
	Role      string
	Claims    []Claim
	Email     string // parsed; empty where it can't be, for the validation to refuse
	Protected bool   // the email is a protected person's
	// ProtectedExternalID is true where the external id is a protected person's.
	ProtectedExternalID bool
	ReturnToHost        string // empty: none, or a path, which stays at the brand
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

// DeniedError says why no grant covers a request: the reason of the grant that
// came furthest.
type DeniedError struct {
	Reason Reason
	// Field is the request's field at fault; empty with CallerNotAllowed.
	Field string
	// Rule says which part of which grant refused, for operators.
	Rule string
}

func (e *DeniedError) Error() string { return string(e.Reason) + " " + e.Field + ": " + e.Rule }

// Policy holds every caller's grants. It is immutable, and safe for concurrent use.
type Policy struct {
	grants map[string][]*Grant // an entry for each caller that there is
}

// Grant is one checked grant. It is immutable.
type Grant struct {
	// Place is where it stands, for operators: `callers[0].grants[1]`.
	Place string

	configurations set[string]
	brands         set[string]
	actions        set[Action]
	roles          set[string]
	claims         map[string]claimRule
	emailDomains   EmailDomains
	returnToHosts  set[string]
	protected      bool
	limits         []Limit // the team's last
}

// set is a grant's list. A listing asks of every configuration whether the grant names
// it, and either may be thousands.
type set[T comparable] map[T]bool

func setOf[T comparable](list []T) set[T] {
	s := make(set[T], len(list))
	for _, v := range list {
		s[v] = true
	}
	return s
}

// Limits are what a sign-in is counted against. Those of the company's own people,
// agents and admins, have a limit more: with one of them a thief can do more. They
// are each caller's and grant's own.
func (g *Grant) Limits(team bool) []Limit {
	if team {
		return g.limits
	}
	return g.limits[:1]
}

// Allow returns the first of the caller's grants that covers the whole request, or
// a [*DeniedError].
func (p *Policy) Allow(caller string, ask Ask) (*Grant, error) {
	grants, known := p.grants[caller]
	if !known {
		return nil, &DeniedError{Reason: CallerNotAllowed, Rule: "no such caller"}
	}
	furthest := &DeniedError{
		Reason: CallerNotAllowed,
		Rule:   "no grant of caller " + caller + " names the configuration and " + named(ask.Actions),
	}
	for _, g := range grants {
		if !g.covers(ask.Configuration, ask.Actions...) {
			continue
		}
		denied := g.denies(ask)
		if denied == nil {
			return g, nil
		}
		if slices.Index(reasons, denied.Reason) > slices.Index(reasons, furthest.Reason) {
			furthest = denied
		}
	}
	return nil, furthest
}

// named returns actions for an operator to read.
func named(actions []Action) string {
	if len(actions) == 1 {
		return "the action " + string(actions[0])
	}
	texts := make([]string, len(actions))
	for i, a := range actions {
		texts[i] = string(a)
	}
	return "the actions " + strings.Join(texts, " and ")
}

// May returns the place of the first of the caller's grants that names the
// configuration and the action, whatever else it asks for.
func (p *Policy) May(caller, configuration string, action Action) (place string, ok bool) {
	for _, g := range p.grants[caller] {
		if g.covers(configuration, action) {
			return g.Place, true
		}
	}
	return "", false
}

// Brands tells which of a configuration's brands a caller may do something at.
func (p *Policy) Brands(caller, configuration string, action Action) func(brand string) bool {
	var lists []set[string]
	for _, g := range p.grants[caller] {
		if g.covers(configuration, action) {
			lists = append(lists, g.brands)
		}
	}
	return func(brand string) bool {
		return slices.ContainsFunc(lists, func(s set[string]) bool { return matches(s, brand) })
	}
}

func (g *Grant) covers(configuration string, actions ...Action) bool {
	return matches(g.configurations, configuration) && len(actions) > 0 &&
		!slices.ContainsFunc(actions, func(a Action) bool { return !g.actions[a] })
}

// denies holds the rest of a request against a grant that covers its configuration and
// actions.
func (g *Grant) denies(ask Ask) *DeniedError {
	deny := func(r Reason, field, rule string) *DeniedError {
		return &DeniedError{Reason: r, Field: field, Rule: g.Place + "." + rule}
	}
	if !slices.Contains(ask.Actions, SignIn) {
		return nil
	}
	if !matches(g.brands, ask.Brand) {
		return deny(BrandNotAllowed, "brand_id", "brands")
	}
	if !g.roles[ask.Role] {
		return deny(RoleNotAllowed, "user.role", "roles")
	}
	for _, c := range ask.Claims {
		if rule, ok := g.claims[c.Name]; !ok || !rule.covers(c.Values) {
			return deny(ClaimNotAllowed, c.Field, "claims."+c.Name)
		}
	}
	if ask.ProtectedExternalID && !g.protected {
		return deny(ClaimNotAllowed, "user.external_id", "protected")
	}
	if ask.Email != "" && !g.emailDomains.allows(ask.Email) {
		return deny(EmailNotAllowed, "user.email", "email_domains")
	}
	if ask.Protected && !g.protected {
		return deny(EmailNotAllowed, "user.email", "protected")
	}
	if ask.ReturnToHost != "" && !matches(g.returnToHosts, ask.ReturnToHost) {
		return deny(ReturnToNotAllowed, "return_to", "return_to_hosts")
	}
	return nil
}

// matches is true where the list names the value, or all values with "*".
func matches(list set[string], value string) bool { return list[value] || list["*"] }

// claimRule limits the values of one claim.
type claimRule struct {
	any    bool
	values set[string]
	prefix string
	// The rest is for external_id only.
	unbounded bool           // any was written with unbounded
	form      *regexp.Regexp // nil: none
}

// covers is false of no values at all, unless the rule is any: a limit that nothing
// was held against has not been kept.
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

// DomainMatches is true where a pattern of the configuration file covers an email
// domain, both in lower case: the domain itself, "*.acme.com" for the subdomains of
// acme.com, "*" for all.
func DomainMatches(pattern, domain string) bool {
	if parent, ok := strings.CutPrefix(pattern, "*."); ok {
		return strings.HasSuffix(domain, "."+parent)
	}
	return pattern == "*" || pattern == domain
}
