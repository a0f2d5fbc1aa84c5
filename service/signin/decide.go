// Package signin decides one request: whether the caller may sign the user in, and with which
// token.
//
// A decision uses one configuration snapshot from start to end. It authorises, validates, limits
// and signs, in this order. Every outcome comes with the facts for the audit record, so that a
// refusal is recorded like a token. The package knows neither gRPC nor HTTP.
package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// Secrets returns the keys of a configuration. It must not wait for a store.
type Secrets interface {
	Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error)
}

// Decider decides requests. It is safe for concurrent use.
type Decider struct {
	Secrets Secrets
	// Limits count requests. They outlive a snapshot, so that a reload resets no limit. If it is
	// nil, nothing is limited.
	Limits *policy.Limiter
}

// Context is what one decision is based on: a snapshot, a time, and the caller.
type Context struct {
	Snapshot *config.Snapshot
	Caller   caller.Caller
	Now      time.Time
}

// Request is a request to sign a user in.
type Request struct {
	Configuration string // the name without its collection
	Brand         string // empty: the default brand
	SignIn        zendesk.SignIn
	Version       secrets.Version // 0: the active one
	Attempt       string
	ValidateOnly  bool
	// Violations are what the rules of the .proto file found. The decision reports them together
	// with what the profile finds, so that the caller sees all of them.
	Violations []zendesk.Violation
}

// Facts are the facts of a decision for the audit record. Those that the decision did not get to
// are zero.
type Facts struct {
	Configuration string
	Brand         string
	Person        audit.Person
	Role          string
	Rule          string // the grant that allowed, or the part of it that refused
	SecretVersion secrets.Version
	ID            string // the token's jti
	TokenHash     string
	Claims        []string
	Warnings      []string
	ValidateOnly  bool
	Acted         bool // the request caused something other than a token, such as a refresh
}

// HasEffect reports whether the request signed a token or caused something else. Such a request is
// recorded even if its caller has gone away.
func (f Facts) HasEffect() bool { return f.Acted || f.ID != "" }

// Decision is the outcome of a request. Together with an error it holds what is known of the
// sign-in.
type Decision struct {
	Facts         Facts
	Configuration *config.Configuration
	Brand         *zendesk.Brand
	Checked       *zendesk.Checked
	Token         zendesk.Token // zero if nothing was signed
	Attempt       string
}

// VersionUnknownError says that a version of a secret isn't held.
type VersionUnknownError struct{ Version secrets.Version }

// Error implements error.
func (e *VersionUnknownError) Error() string { return fmt.Sprintf("version %d is not held", e.Version) }

// Decide authorises, validates, limits and signs.
func (d *Decider) Decide(ctx context.Context, c Context, r Request) (Decision, error) {
	out, err := d.Authorize(c, r)
	if err != nil {
		return out, err
	}
	if err := d.sign(ctx, c, r, &out); err != nil {
		return out, err
	}
	out.Facts.ID, out.Facts.Claims = out.Token.ID, out.Token.Claims
	if out.Token.Value != "" {
		out.Facts.TokenHash = audit.Hash(out.Token.Value)
	}
	return out, nil
}

// Authorize does the part of Decide that needs no secret.
func (d *Decider) Authorize(c Context, r Request) (out Decision, err error) {
	parsed := zendesk.Parse(r.SignIn)
	out.Facts.Person = personOf(parsed.Email, r.SignIn.User.ExternalID)
	if slices.ContainsFunc(r.Violations, func(v zendesk.Violation) bool { return v.Field == "configuration" }) {
		return out, &zendesk.InvalidError{Violations: r.Violations} // there is nothing to authorise
	}
	out.Facts.Role, out.Facts.ValidateOnly = string(r.SignIn.User.Role), r.ValidateOnly
	conf, grants, err := c.find(r.Configuration, policy.SignIn)
	out.Facts.Configuration, out.Facts.Rule = r.Configuration, ruleOf(grants, err)
	if err != nil {
		return out, err
	}
	brand := conf.Profile.Brand(r.Brand)
	if brand != nil {
		out.Facts.Brand = brand.ID
		parsed.At(brand)
	}
	if r.Version != 0 { // rare, so that the grants are matched again
		grants, err = c.Snapshot.Policy.Matching(c.Caller.Name, r.Configuration, policy.SignIn, policy.Stage)
		if err != nil {
			out.Facts.Rule = ruleOf(nil, err)
			return out, err
		}
	}
	grant, err := grants.Allow(r.policy(conf, brand, parsed))
	if err == nil && brand == nil {
		err = &policy.DeniedError{
			Reason: policy.BrandNotAllowed, Field: "brand_id", Rule: "the configuration has no such brand",
		}
	}
	if err != nil {
		out.Facts.Rule = ruleOf(nil, err)
		return out, err
	}
	out.Configuration, out.Brand, out.Facts.Rule = conf, brand, grant.Place
	out.Checked, err = conf.Profile.CheckParsed(parsed)
	if err = withViolations(err, r.Violations); err != nil {
		return out, err
	}
	out.Facts.Warnings = fieldsOf(out.Checked.Warnings)
	limits := limitsOf(c.Caller, grant, conf, r.SignIn.User.Role, out.Checked.Email())
	if r.ValidateOnly {
		limits = []policy.Limit{c.CallerLimit(LimitValidate)}
	}
	err = d.Take(c, &out.Facts, limits...)
	return out, err
}

// Take counts a request against limits. If one is exhausted, Take adds its name to the facts and
// returns a [*policy.LimitedError].
func (d *Decider) Take(c Context, facts *Facts, limits ...policy.Limit) error {
	if d.Limits == nil {
		return nil
	}
	err := d.Limits.Take(c.Now, limits...)
	if limited := (*policy.LimitedError)(nil); errors.As(err, &limited) {
		facts.Rule = strings.TrimPrefix(facts.Rule+", "+limited.Limit, ", ")
	}
	return err
}

// sign counts the sign-in against the loop limit and signs. It adds to out what it finds.
func (d *Decider) sign(ctx context.Context, c Context, r Request, out *Decision) error {
	conf := out.Configuration
	held, err := d.Secrets.Get(conf.Secret, conf.MaxStale)
	if err != nil {
		return err
	}
	key, ok := held.Key(r.Version)
	if !ok {
		return &VersionUnknownError{r.Version}
	}
	out.Facts.SecretVersion = key.Version()
	if r.ValidateOnly {
		return nil
	}
	loop := newAttempt(conf.Name, out.Brand.ID, out.Checked.Email(), conf.LoopLimit, conf.LoopWindow)
	if out.Attempt, err = loop.next(ctx, r.Attempt, held.Keys(), key, c.Now); err != nil {
		return err
	}
	// A caller that has gone away would not get the token, so there should be none.
	if err := ctx.Err(); err != nil {
		return err
	}
	out.Token, err = out.Checked.Sign(ctx, key, c.Now)
	return err
}

// Inspect checks a token against a configuration.
func (d *Decider) Inspect(c Context, configuration, token string) (inspect.Result, Facts, error) {
	conf, facts, err := c.Find(configuration, policy.Inspect)
	if err != nil {
		return inspect.Result{}, facts, err
	}
	if err := d.Take(c, &facts, c.CallerLimit(LimitInspect)); err != nil {
		return inspect.Result{}, facts, err
	}
	facts.TokenHash = audit.Hash(token)
	held, err := d.Secrets.Get(conf.Secret, conf.MaxStale)
	if err != nil {
		return inspect.Result{}, facts, err
	}
	return inspect.Token(conf.Profile, token, held.Keys(), c.Now), facts, nil
}

// Find returns a configuration at which the caller may take an action.
func (c Context) Find(name string, action policy.Action) (*config.Configuration, Facts, error) {
	conf, grants, err := c.find(name, action)
	return conf, Facts{Configuration: name, Rule: ruleOf(grants, err)}, err
}

// find also returns the grants that name the configuration and the actions. It matches the grants
// even if the configuration doesn't exist. Otherwise a caller without a grant could learn from the
// answer, or from the time that it takes, which configurations exist.
func (c Context) find(name string, actions ...policy.Action) (*config.Configuration, policy.Grants, error) {
	grants, err := c.Snapshot.Policy.Matching(c.Caller.Name, name, actions...)
	conf, exists := c.Snapshot.Configuration(name)
	if !exists {
		err = &policy.DeniedError{Reason: policy.CallerNotAllowed, Rule: "no such configuration"}
	}
	if err != nil {
		return nil, nil, err
	}
	return conf, grants, nil
}

// ruleOf returns the rule that refused, or the first grant that allows the action.
func ruleOf(grants policy.Grants, err error) string {
	if denied := (*policy.DeniedError)(nil); errors.As(err, &denied) {
		return denied.Rule
	}
	if len(grants) > 0 {
		return grants[0].Place
	}
	return ""
}

// policy returns the part of a request that grants limit. A part that can't be parsed is empty,
// because the validation refuses it and no grant could cover it.
func (r Request) policy(conf *config.Configuration, brand *zendesk.Brand, parsed *zendesk.Parsed) policy.Request {
	request := policy.Request{
		Configuration:       r.Configuration,
		Actions:             []policy.Action{policy.SignIn},
		Brand:               r.Brand,
		Role:                cmp.Or(string(r.SignIn.User.Role), policy.RoleUnset),
		Claims:              claimsOf(r.SignIn.User),
		Email:               parsed.Email,
		Protected:           parsed.Email != "" && conf.Protects(parsed.Email),
		ProtectedExternalID: conf.ProtectsExternalID(r.SignIn.User.ExternalID),
		ReturnToHosts:       parsed.ReturnTo.Hosts,
	}
	if brand != nil {
		request.Brand = brand.ID
	}
	return request
}

// personOf returns how the record identifies a person. It leaves out an external id that can't be
// one and a credential that was sent as an id, because such text can be anything.
func personOf(email, externalID string) audit.Person {
	p := audit.Person{Email: email}
	id := strings.TrimSpace(externalID) // an id with outer white space is refused, but still names the person
	if zendesk.IsExternalID(id) && !caller.LooksLikeCredential(id) {
		p.ExternalID = id
	}
	return p
}

// withViolations adds what the rules of the .proto file found to what the profile found.
func withViolations(err error, found []zendesk.Violation) error {
	if len(found) == 0 {
		return err
	}
	if invalid := (*zendesk.InvalidError)(nil); errors.As(err, &invalid) {
		found = slices.Concat(found, invalid.Violations)
	}
	return &zendesk.InvalidError{Violations: found}
}

// fieldKey matches the path of a user field whose key can be one.
var fieldKey = regexp.MustCompile(`^user\.user_fields\["([\pL\pM\p{Nd}_]*[\pL_][\pL\pM\p{Nd}_]*)"\]`)

// fieldsOf returns the fields of warnings for the record. It leaves out a key that no user field has,
// because a client may have written a value in its place, such as an address.
func fieldsOf(warnings []zendesk.Violation) (fields []string) {
	for _, w := range warnings {
		field, _, keyed := strings.Cut(w.Field, `["`)
		if key := fieldKey.FindStringSubmatch(w.Field); !keyed || key != nil && !caller.LooksLikeCredential(key[1]) {
			field = w.Field
		}
		fields = append(fields, field)
	}
	return fields
}
