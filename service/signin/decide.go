// Package signin decides one request: may this caller sign this person in, and with which token.
//
// A decision takes one configuration snapshot from start to end. It authorises, validates, limits
// and signs, in this order. It returns the facts for the audit record with every outcome, so that
// a refusal is on record like a token. The package knows neither gRPC nor HTTP.
package signin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Secrets returns the keys of a configuration. It must not wait for a store.
type Secrets interface {
	Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error)
}

// Decider decides requests. It is safe for concurrent use.
type Decider struct {
	Secrets Secrets
	// Limits count sign-ins. They outlive a snapshot, so that a reload resets no limit.
	Limits *policy.Limiter
}

// Context is what one decision is based on: a snapshot, a moment, and who asks.
type Context struct {
	Snapshot *config.Snapshot
	Caller   caller.Caller
	Now      time.Time
}

// Request asks to sign somebody in.
type Request struct {
	Configuration string // the name without its collection
	Brand         string // empty: the default one
	SignIn        zendesk.SignIn
	Version       secrets.Version // 0: the active one
	Attempt       string
	ValidateOnly  bool
	// Faults are those that the rules of the wire form found. The decision reports them together
	// with what the profile finds, so that a caller learns of all faults at once.
	Faults []zendesk.Fault
}

// Facts are what the audit record says of a decision. They are filled in as far as the decision
// went.
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
}

// Decision is the outcome of a request. Beside an error it holds what is known of the sign-in.
type Decision struct {
	Facts         Facts
	Configuration *config.Configuration
	Brand         *zendesk.Brand
	Checked       *zendesk.Checked
	Token         zendesk.Token // the zero Token: nothing was signed
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

// Authorize is Decide up to where the secret is needed.
func (d *Decider) Authorize(c Context, r Request) (out Decision, err error) {
	out.Facts.Person = personOf(r.SignIn.User)
	if slices.ContainsFunc(r.Faults, func(f zendesk.Fault) bool { return f.Field == "configuration" }) {
		return out, &zendesk.InvalidError{Faults: r.Faults} // there is nothing to authorise
	}
	out.Facts.Role, out.Facts.ValidateOnly = string(r.SignIn.User.Role), r.ValidateOnly
	conf, err := c.Find(r.Configuration, policy.SignIn, &out.Facts)
	if err != nil {
		return out, err
	}
	brand := conf.Profile.Brand(r.Brand)
	if brand != nil {
		out.Facts.Brand = brand.ID
	}
	grant, err := c.Snapshot.Policy.Allow(c.Caller.Name, r.policy(conf, brand))
	switch {
	case err != nil:
		return out, out.denied(err)
	case brand == nil:
		return out, out.denied(&policy.DeniedError{Reason: policy.BrandNotAllowed, Field: "brand_id", Rule: "the configuration has no such brand"})
	}
	out.Configuration, out.Brand, out.Facts.Rule = conf, brand, grant.Place
	out.Checked, err = conf.Profile.Check(brand, r.SignIn)
	if err = withFaults(err, r.Faults); err != nil {
		return out, err
	}
	out.Facts.Warnings = fieldsOf(out.Checked.Warnings)
	if r.ValidateOnly {
		return out, nil
	}
	err = d.Limits.Take(c.Now, limitsOf(c.Caller, grant, conf, r, out.Checked.Email())...)
	if limited := (*policy.LimitedError)(nil); errors.As(err, &limited) {
		out.Facts.Rule += ", " + limited.Limit
	}
	return out, err
}

// denied notes which rule refused.
func (out *Decision) denied(err error) error { return out.Facts.deny(err) }

func (f *Facts) deny(err error) error {
	if denied := (*policy.DeniedError)(nil); errors.As(err, &denied) {
		f.Rule = denied.Rule
	}
	return err
}

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
	// A caller that has gone away wouldn't get the token: better that there is none.
	if err := ctx.Err(); err != nil {
		return err
	}
	out.Token, err = out.Checked.Sign(ctx, key, c.Now)
	return err
}

// Inspect judges a token against a configuration.
func (d *Decider) Inspect(c Context, configuration, token string) (zendesk.Inspection, Facts, error) {
	var facts Facts
	conf, err := c.Find(configuration, policy.Inspect, &facts)
	if err != nil {
		return zendesk.Inspection{}, facts, err
	}
	facts.TokenHash = audit.Hash(token)
	held, err := d.Secrets.Get(conf.Secret, conf.MaxStale)
	if err != nil {
		return zendesk.Inspection{}, facts, err
	}
	return conf.Profile.Inspect(token, held.Keys(), c.Now), facts, nil
}

// Find returns a configuration at which the caller may take an action, and notes it in the facts.
// It asks for the grant first, so that a caller learns of a configuration that it has no grant for
// neither by the answer nor by the time that it takes.
func (c Context) Find(name string, action policy.Action, facts *Facts) (*config.Configuration, error) {
	facts.Configuration = name
	place, ok := c.Snapshot.Policy.May(c.Caller.Name, name, action)
	conf, exists := c.Snapshot.Configuration(name)
	switch {
	case !exists:
		return nil, facts.deny(&policy.DeniedError{Reason: policy.CallerNotAllowed, Rule: "no such configuration"})
	case !ok:
		_, err := c.Snapshot.Policy.Allow(c.Caller.Name, policy.Request{Configuration: name, Actions: []policy.Action{action}})
		return nil, facts.deny(err)
	}
	facts.Rule = place
	return conf, nil
}

// policy is the part of a request that grants limit. What can't be parsed is left for the
// validation to refuse: no grant could cover it anyway.
func (r Request) policy(conf *config.Configuration, brand *zendesk.Brand) policy.Request {
	ask := policy.Request{
		Configuration: r.Configuration,
		Actions:       []policy.Action{policy.SignIn},
		Brand:         r.Brand,
		Role:          string(r.SignIn.User.Role),
		Claims:        claimsOf(r.SignIn.User),
	}
	if r.Version != 0 {
		ask.Actions = append(ask.Actions, policy.Stage)
	}
	if ask.Role == "" {
		ask.Role = policy.RoleUnset
	}
	if email, err := zendesk.ParseEmail(r.SignIn.User.Email); err == nil {
		ask.Email = email
		ask.Protected = conf.Protects(email)
	}
	ask.ProtectedExternalID = conf.ProtectsExternalID(r.SignIn.User.ExternalID)
	if brand != nil {
		ask.Brand = brand.ID
		if to, err := brand.ReturnTo(r.SignIn.ReturnTo); r.SignIn.ReturnTo != "" && err == nil {
			ask.ReturnToHost = to.Host
		}
	}
	return ask
}

// personOf returns what the record says about a person. It leaves out text that is no address or no
// external id, because such text can be anything, and a credential that was sent as an id.
func personOf(u zendesk.User) (p audit.Person) {
	if email, err := zendesk.ParseEmail(u.Email); err == nil {
		p.Email = email
	}
	if id := strings.TrimSpace(u.ExternalID); zendesk.IsExternalID(id) && !caller.LooksLikeCredential(id) { // it may be refused for the space
		p.ExternalID = id
	}
	return p
}

// withFaults adds the wire form's faults to the profile's.
func withFaults(err error, faults []zendesk.Fault) error {
	if len(faults) == 0 {
		return err
	}
	var invalid *zendesk.InvalidError
	if errors.As(err, &invalid) {
		faults = slices.Concat(faults, invalid.Faults)
	}
	return &zendesk.InvalidError{Faults: faults}
}

func fieldsOf(faults []zendesk.Fault) (fields []string) {
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	return fields
}
