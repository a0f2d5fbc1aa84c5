package service

import (
	"errors"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
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
	ask, err := (&Service{validator: validator}).askOf(r)
	if err != nil {
		return Explanation{}, err
	}
	ask.validateOnly = true
	var rec audit.Record
	_, err = desk{snapshot: snapshot}.allow(caller.Caller{Name: callerName}, ask, &rec)
	if err == nil {
		return Explanation{Allowed: true, Rule: rec.Rule}, nil
	}
	refused := refuse(err)
	return Explanation{Reason: refused.reason, Rule: ruleOf(err, ask), Fields: refused.fields}, nil
}

// ruleOf names what refused: a part of a grant or, once a grant has allowed, the
// configuration.
func ruleOf(err error, ask signInAsk) string {
	var (
		denied  *policy.DeniedError
		foreign *zendesk.ForeignError
		outside *zendesk.OutOfRangeError
	)
	switch {
	case errors.As(err, &denied):
		return denied.Rule
	case errors.As(err, &foreign):
		return "configuration " + ask.configuration + ", the hosts of its brand"
	case errors.As(err, &outside):
		return "configuration " + ask.configuration + ", zendesk_sso.ip_ranges"
	}
	return "configuration " + ask.configuration + ", what its profile asks of a request"
}
