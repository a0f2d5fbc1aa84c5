package service

import (
	"errors"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Explanation is the decision on a request, for operators. Unlike an answer it names the rule.
type Explanation struct {
	Allowed bool
	Reason  string                // the API's reason; empty where allowed
	Rule    string                // what decided, as callers[0].grants[1].roles
	Fields  []transport.Violation // what is wrong with the request itself
}

// Explain decides as the service would, up to the point that needs the secret. It counts in no limit
// and no metric, and records nothing.
func Explain(snapshot *config.Snapshot, callerName string, r *pb.MintTokenRequest) (Explanation, error) {
	validator, err := newValidator()
	if err != nil {
		return Explanation{}, err
	}
	request, err := (&Service{validator: validator}).signInOf(r)
	if err != nil {
		return Explanation{}, err
	}
	request.ValidateOnly = true
	decision, err := (&signin.Decider{}).Authorize(signin.Context{Snapshot: snapshot, Caller: caller.Caller{Name: callerName}}, request)
	if err == nil {
		return Explanation{Allowed: true, Rule: decision.Facts.Rule}, nil
	}
	refused := classify(err)
	return Explanation{Reason: refused.Reason, Rule: ruleOf(err, request), Fields: refused.Violations}, nil
}

// ruleOf names the rule that refused. It is a part of a grant or, after a grant has allowed the
// request, a rule of the configuration.
func ruleOf(err error, r signin.Request) string {
	var (
		denied  *policy.DeniedError
		foreign *zendesk.ForeignError
		outside *zendesk.OutOfRangeError
	)
	switch {
	case errors.As(err, &denied):
		return denied.Rule
	case errors.As(err, &foreign):
		return "configuration " + r.Configuration + ", the hosts of its brand"
	case errors.As(err, &outside):
		return "configuration " + r.Configuration + ", zendesk_sso.ip_ranges"
	}
	return "configuration " + r.Configuration + ", what its profile requires of a request"
}
