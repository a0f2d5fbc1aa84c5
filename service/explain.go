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

// Explanation is the decision on a request, for operators. Unlike an answer it names the rule that
// decided.
type Explanation struct {
	Allowed bool
	Reason  string                // the reason of the API for a denial, otherwise ""
	Rule    string                // the rule that decided, such as callers[0].grants[1].roles
	Fields  []transport.Violation // the fields of the request that aren't valid
}

// Explain makes the decision that the service would make, up to the point that needs the secret. It
// counts in no limit and no metric, and writes no record.
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
	in := signin.Context{Snapshot: snapshot, Caller: caller.Caller{Name: callerName}}
	decision, err := (&signin.Decider{}).Authorize(in, request)
	if err == nil {
		return Explanation{Allowed: true, Rule: decision.Facts.Rule}, nil
	}
	refused := classify(err)
	return Explanation{Reason: refused.Reason, Rule: ruleOf(err, request), Fields: refused.Violations}, nil
}

// ruleOf returns the name of the rule that refused the request. It is a part of a grant or, after a
// grant has allowed the request, a rule of the configuration.
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
