package service

import (
	"context"
	"errors"
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

// desk is one request's view of the service: one snapshot and one moment from
// start to end. Its methods take the caller, so that none can be reached without
// having asked who it is.
type desk struct {
	snapshot *config.Snapshot
	secrets  Secrets
	limits   *policy.Meter
	now      time.Time
}

func (s *Service) desk(c *call) desk {
	return desk{snapshot: c.snapshot, secrets: s.secrets, limits: &s.limits, now: s.now()}
}

// signInAsk is a request to sign somebody in, out of its wire form.
type signInAsk struct {
	configuration string // the name without its collection
	brand         string
	signIn        zendesk.SignIn
	version       secrets.Version
	attempt       string
	validateOnly  bool
	// faults are those that the rules of the wire form found. They are reported
	// together with what the profile finds, so that nobody has to fix one to be
	// told of the next.
	faults []zendesk.Fault
}

// signedIn is a sign-in that was allowed, and signed unless that wasn't asked for.
type signedIn struct {
	configuration *config.Configuration
	brand         *zendesk.Brand
	checked       *zendesk.Checked
	token         zendesk.Token
	version       secrets.Version
	attempt       string
}

// signIn authorises, validates and signs, in this order, and notes in rec what was
// decided on. Beside an error it returns what of the sign-in is known, if anything.
func (d desk) signIn(ctx context.Context, who caller.Caller, ask signInAsk, rec *audit.Record) (*signedIn, error) {
	out, err := d.allow(who, ask, rec)
	if err != nil {
		return out, err
	}
	if err := d.sign(ctx, ask, out); err != nil {
		return out, err
	}
	rec.SecretVersion, rec.ID, rec.Claims = uint32(out.version), out.token.ID, out.token.Claims
	if out.token.Value != "" {
		rec.TokenHash = audit.Hash(out.token.Value)
	}
	return out, nil
}

// allow is signIn up to where the secret is needed.
func (d desk) allow(who caller.Caller, ask signInAsk, rec *audit.Record) (*signedIn, error) {
	if slices.ContainsFunc(ask.faults, func(f zendesk.Fault) bool { return f.Field == "configuration" }) {
		return nil, &zendesk.InvalidError{Faults: ask.faults} // there is nothing to authorise
	}
	rec.Configuration, rec.Role, rec.ValidateOnly = ask.configuration, string(ask.signIn.User.Role), ask.validateOnly
	conf, err := d.configuration(who, ask.configuration, policy.SignIn, rec)
	if err != nil {
		return nil, err
	}
	brand := conf.Profile.Brand(ask.brand)
	if brand != nil {
		rec.Brand = brand.ID
	}
	grant, err := d.snapshot.Policy.Allow(who.Name, ask.policy(conf, brand))
	switch {
	case err != nil:
		return nil, err
	case brand == nil:
		return nil, &policy.DeniedError{Reason: policy.BrandNotAllowed, Field: "brand_id", Rule: "the configuration has no such brand"}
	}
	out := &signedIn{configuration: conf, brand: brand}
	rec.Rule = grant.Place
	out.checked, err = conf.Profile.Check(brand, ask.signIn)
	if err = withFaults(err, ask.faults); err != nil {
		return out, err
	}
	rec.Warnings = fieldsOf(out.checked.Warnings)
	if ask.validateOnly {
		return out, nil
	}
	err = d.limits.Take(d.now, limitsOf(who, grant, conf, ask, out.checked.Email())...)
	if limited := (*policy.LimitedError)(nil); errors.As(err, &limited) {
		rec.Rule += ", " + limited.Limit
	}
	return out, err
}

func (d desk) sign(ctx context.Context, ask signInAsk, out *signedIn) error {
	held, err := d.secrets.Get(out.configuration.Secret, out.configuration.MaxStale)
	if err != nil {
		return err
	}
	key, ok := held.Key(ask.version)
	if !ok {
		return &versionUnknownError{ask.version}
	}
	out.version = key.Version()
	if ask.validateOnly {
		return nil
	}
	c := out.configuration
	loop := newAttempt(c.Name, out.brand.ID, out.checked.Email(), c.LoopLimit, c.LoopWindow)
	if out.attempt, err = loop.next(ctx, ask.attempt, held.Keys(), key, d.now); err != nil {
		return err
	}
	// A caller that has gone away wouldn't get the token: better that there is none.
	if err := over(ctx); err != nil {
		return err
	}
	out.token, err = out.checked.Sign(ctx, key, d.now)
	return err
}

// inspect judges a token against a configuration.
func (d desk) inspect(who caller.Caller, configuration, token string, rec *audit.Record) (zendesk.Inspection, error) {
	conf, err := d.configuration(who, configuration, policy.Inspect, rec)
	if err != nil {
		return zendesk.Inspection{}, err
	}
	rec.TokenHash = audit.Hash(token)
	held, err := d.secrets.Get(conf.Secret, conf.MaxStale)
	if err != nil {
		return zendesk.Inspection{}, err
	}
	return conf.Profile.Inspect(token, held.Keys(), d.now), nil
}

// configuration returns a configuration at which the caller may do something. It
// asks for the grant first, so that a caller learns of one that it has no grant for
// neither by the answer nor by the time that it takes.
func (d desk) configuration(who caller.Caller, name string, action policy.Action, rec *audit.Record) (*config.Configuration, error) {
	rec.Configuration = name
	place, ok := d.snapshot.Policy.May(who.Name, name, action)
	conf, exists := d.snapshot.Configuration(name)
	switch {
	case !exists:
		return nil, &policy.DeniedError{Reason: policy.CallerNotAllowed, Rule: "no such configuration"}
	case !ok:
		_, err := d.snapshot.Policy.Allow(who.Name, policy.Ask{Configuration: name, Actions: []policy.Action{action}})
		return nil, err
	}
	rec.Rule = place
	return conf, nil
}

// policy is the part of an ask that grants have a say in. What can't be parsed is
// left for the validation to refuse: no grant could cover it anyway.
func (a signInAsk) policy(conf *config.Configuration, brand *zendesk.Brand) policy.Ask {
	ask := policy.Ask{
		Configuration: a.configuration,
		Actions:       []policy.Action{policy.SignIn},
		Brand:         a.brand,
		Role:          string(a.signIn.User.Role),
		Claims:        claimsOf(a.signIn.User),
	}
	if a.version != 0 {
		ask.Actions = append(ask.Actions, policy.Stage)
	}
	if ask.Role == "" {
		ask.Role = policy.RoleUnset
	}
	if email, err := zendesk.ParseEmail(a.signIn.User.Email); err == nil {
		ask.Email = email
		ask.Protected = conf.Protects(email)
	}
	ask.ProtectedExternalID = conf.ProtectsExternalID(a.signIn.User.ExternalID)
	if brand != nil {
		ask.Brand = brand.ID
		if to, err := brand.ReturnTo(a.signIn.ReturnTo); a.signIn.ReturnTo != "" && err == nil {
			ask.ReturnToHost = to.Host
		}
	}
	return ask
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

const collection = "configurations/"

// nameOf takes the name out of a resource name that has passed its rule.
func nameOf(resource string) string { return strings.TrimPrefix(resource, collection) }
