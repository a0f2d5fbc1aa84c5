package service

import (
	"errors"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/zendesk"
)

// Explanation says what would become of a request, for operators: unlike an answer
// it names the rule.
type Explanation struct {
	Allowed bool
	Reason  string          // the API's reason; empty where allowed
	Rule    string          // what decided, as callers[0].grants[1].roles
	Fields  []zendesk.Fault // what is wrong with the request itself
}

// Explain decides as the service would, up to the point where it would need the
// secret. It counts nowhere and records nothing.
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
	return Explanation{Reason: refused.reason, Rule: ruleOf(err, request), Fields: refused.fields}, nil
}

// ruleOf names what refused: a part of a grant or, once a grant has allowed, the
// configuration.
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
	return "configuration " + r.Configuration + ", what its profile asks of a request"
}
