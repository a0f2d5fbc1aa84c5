package service

import (
	"context"
	"strings"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
)

// pageRequest is a sign-in request that is answered with a page.
type pageRequest interface {
	signInRequest
	GetLanguage() string
	GetOnError() pb.OnError
}

// withPage adds a page to a refusal where the caller wants its person to see one. On record, in
// metrics and in the log it stays the refusal. There is no page for a caller that isn't known, nor
// for one that is gone or whose own deadline has passed: over gRPC it would hear nothing else.
func (s *Service) withPage(ctx context.Context, x *exchange, a answer) answer {
	r, ok := x.message.(pageRequest)
	if a.refusal == nil || !ok || r.GetOnError() != pb.OnError_ON_ERROR_PAGE || x.caller.Name == "" || signin.Over(ctx) != nil {
		return a
	}
	p := renderedPage{page: x.problemPage(r), outcome: pb.Outcome_OUTCOME_REFUSED, reason: a.refusal.reason, version: a.facts.SecretVersion}
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

// problemPage has the brand's look where the caller could sign somebody in there, and
// nobody's where it could not: the same bytes whether there is such a brand or not.
func (x *exchange) problemPage(r pageRequest) *page.Page {
	name, ok := strings.CutPrefix(r.GetConfiguration(), collection)
	conf, exists := x.snapshot.Configuration(name)
	if !ok || !exists {
		return page.Neutral(r.GetLanguage())
	}
	brand := conf.Profile.Brand(r.GetBrandId())
	if brand == nil || !x.snapshot.Policy.Brands(x.caller.Name, conf.Name, policy.SignIn)(brand.ID) {
		return page.Neutral(r.GetLanguage())
	}
	return conf.Page(brand.ID, r.GetLanguage())
}

// problemOf is what a refusal is to the person in front of the browser. Without a
// reason it is our own deadline that has passed.
func problemOf(reason string) page.Problem {
	switch reason {
	case reasonLoop:
		return page.ProblemLoop
	case reasonDisabled:
		return page.ProblemDisabled
	case reasonUnavailable, reasonRateLimited, reasonAuditUnavailable, "":
		return page.ProblemUnavailable
	case string(policy.RoleNotAllowed), string(policy.ClaimNotAllowed), string(policy.EmailNotAllowed), reasonClientIP:
		return page.ProblemRefused
	}
	return page.ProblemFailed
}
