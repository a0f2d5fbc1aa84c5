package service

import (
	"context"
	"errors"
	"strings"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/transport"
)

// pageRequest is a sign-in request whose answer is a page.
type pageRequest interface {
	signInRequest
	GetLanguage() string
	GetOnError() pb.OnError
}

// wantsPage reports whether a refusal of the request is a page.
func wantsPage(r signInRequest) bool {
	p, ok := r.(pageRequest)
	return ok && p.GetOnError() == pb.OnError_ON_ERROR_PAGE
}

// withPage adds a page to a refusal if the request has on_error set to a page. The refusal stays in
// the answer for the record, the metrics and the log. An unknown caller gets no page, and neither
// does one that has gone away.
func (s *Service) withPage(ctx context.Context, x *exchange, a answer) answer {
	r, ok := x.message.(pageRequest)
	if a.refusal == nil || !ok || !wantsPage(r) {
		return a
	}
	if x.caller.Name == "" || errors.Is(ctx.Err(), context.Canceled) {
		return a
	}
	p := renderedPage{
		page:    x.problemPage(r),
		outcome: pb.Outcome_OUTCOME_REFUSED,
		reason:  a.refusal.Reason,
		version: a.facts.SecretVersion,
	}
	if p.reason == reasonLoop {
		p.outcome = pb.Outcome_OUTCOME_LOOP
	}
	p.html = p.page.RenderProblem(problemOf(p.reason))
	if _, ok := x.message.(*pb.RenderFormRequest); ok {
		a.message = p.form()
		return a
	}
	a.message, a.header = p.body()
	return a
}

// problemPage returns a page in the design of the brand if the caller may sign users in to it.
// Otherwise it returns the neutral page, so that the page doesn't reveal whether the brand exists.
func (x *exchange) problemPage(r pageRequest) *page.Page {
	name, ok := strings.CutPrefix(r.GetConfiguration(), collection)
	conf, exists := x.snapshot.Configuration(name)
	if !ok || !exists {
		return page.Neutral(r.GetLanguage())
	}
	brand := conf.Profile.Brand(r.GetBrandId())
	if brand == nil || !x.grants(conf, policy.SignIn).Brand(brand.ID) {
		return page.Neutral(r.GetLanguage())
	}
	return conf.Page(brand.ID, r.GetLanguage())
}

// problemOf returns the problem that a page shows for a reason.
func problemOf(reason string) page.Problem {
	switch reason {
	case reasonLoop:
		return page.ProblemLoop
	case reasonDisabled:
		return page.ProblemDisabled
	case reasonUnavailable, reasonRateLimited, reasonAuditUnavailable, transport.ReasonDeadline:
		return page.ProblemUnavailable
	case string(policy.RoleNotAllowed), string(policy.ClaimNotAllowed), string(policy.EmailNotAllowed), reasonClientIP:
		return page.ProblemRefused
	}
	return page.ProblemFailed
}
