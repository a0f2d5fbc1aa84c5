package service

import (
	"context"
	"strings"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
)

// pageRequest is a sign-in request that is answered with a page.
type pageRequest interface {
	signInRequest
	GetLanguage() string
	GetOnError() pb.OnError
}

// pageInstead makes an error a page, whatever has gone wrong and wherever, where the
// caller wants its person to see one. On record, in metrics and in the log it is the
// error. It stays one for a caller that isn't known, and for one that is gone or whose
// own deadline has passed: over gRPC it would hear nothing else.
func (s *Service) pageInstead(ctx context.Context, c *call, request any, err error) (any, error) {
	r, ok := request.(pageRequest)
	if !ok || r.GetOnError() != pb.OnError_ON_ERROR_PAGE || c.caller.Name == "" || over(ctx) != nil {
		return nil, err
	}
	p := shown{page: c.problemPage(r), outcome: pb.Outcome_OUTCOME_REFUSED, reason: reasonOf(statusOf(err)), version: c.version}
	if p.reason == reasonLoop {
		p.outcome = pb.Outcome_OUTCOME_LOOP
	}
	p.html = p.page.RenderProblem(problemOf(p.reason))
	if _, ok := request.(*pb.RenderFormRequest); ok {
		return p.form(), nil
	}
	return p.body(c), nil
}

// problemPage has the brand's look where the caller could sign somebody in there, and
// nobody's where it could not: the same bytes whether there is such a brand or not.
func (c *call) problemPage(r pageRequest) *page.Page {
	name, ok := strings.CutPrefix(r.GetConfiguration(), collection)
	conf, exists := c.snapshot.Configuration(name)
	if !ok || !exists {
		return page.Neutral(r.GetLanguage())
	}
	brand := conf.Profile.Brand(r.GetBrandId())
	if brand == nil || !c.snapshot.Policy.Brands(c.caller.Name, conf.Name, policy.SignIn)(brand.ID) {
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
