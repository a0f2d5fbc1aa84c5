package service

import (
	"context"
	"strconv"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// tokenServer is the gRPC face of the desk's sign-ins.
type tokenServer struct {
	pb.UnimplementedTokenServiceServer
	service *Service
}

func (t *tokenServer) MintToken(ctx context.Context, r *pb.MintTokenRequest) (*pb.MintTokenResponse, error) {
	out, err := t.signIn(ctx, r)
	if err != nil {
		return nil, err
	}
	issued, expires := out.times()
	return &pb.MintTokenResponse{
		Token:         out.token.Value,
		Jti:           out.token.ID,
		IssueTime:     issued,
		ExpireTime:    expires,
		SecretVersion: uint32(out.version),
		Form:          out.form(),
		Attempt:       out.attempt,
		Warnings:      out.warnings(),
	}, nil
}

func (t *tokenServer) RenderForm(ctx context.Context, r *pb.RenderFormRequest) (*pb.RenderFormResponse, error) {
	out, err := t.signIn(ctx, r)
	shown, err := t.show(ctx, r, out, err)
	if err != nil {
		return nil, err
	}
	response := &pb.RenderFormResponse{
		Html:                  string(shown.html),
		Headers:               headersOf(shown.page),
		ContentSecurityPolicy: shown.page.ContentSecurityPolicy(),
		ScriptHash:            page.ScriptHash(),
		StyleHash:             page.StyleHash(),
		Outcome:               shown.outcome,
		Reason:                shown.reason,
		SecretVersion:         uint32(out.version),
		Attempt:               out.attempt,
		Jti:                   out.token.ID,
	}
	response.IssueTime, response.ExpireTime = out.times()
	if out.checked != nil {
		response.Warnings = out.warnings()
	}
	return response, nil
}

func (t *tokenServer) RenderPage(ctx context.Context, r *pb.RenderPageRequest) (*httpbody.HttpBody, error) {
	out, err := t.signIn(ctx, r)
	shown, err := t.show(ctx, r, out, err)
	if err != nil {
		return nil, err
	}
	header := metadata.MD{}
	contentType := ""
	for _, h := range shown.page.Headers() {
		if h.Name == "Content-Type" {
			contentType = h.Value // the body's own field; gRPC has another use for the header
			continue
		}
		header.Append(h.Name, h.Value)
	}
	header.Set(headerOutcome, shown.outcome.String())
	for name, value := range map[string]string{headerJTI: out.token.ID, headerAttempt: out.attempt, headerReason: shown.reason} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if out.version != 0 {
		header.Set(headerSecretVersion, strconv.FormatUint(uint64(out.version), 10))
	}
	callOf(ctx).header = header
	return &httpbody.HttpBody{ContentType: contentType, Data: shown.html}, nil
}

func (t *tokenServer) InspectToken(ctx context.Context, r *pb.InspectTokenRequest) (*pb.InspectTokenResponse, error) {
	if err := t.service.valid(r); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	inspection, err := t.service.desk(c).inspect(c.caller, nameOf(r.GetConfiguration()), r.GetToken(), &c.record)
	if err != nil {
		return nil, err
	}
	return inspectionOf(inspection), nil
}

func (t *tokenServer) signIn(ctx context.Context, r signInRequest) (*signedIn, error) {
	ask, err := t.service.askOf(r)
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	if email, err := zendesk.ParseEmail(ask.signIn.User.Email); err == nil {
		c.email = email // what isn't an address isn't put on record as one
	}
	return t.service.desk(c).signIn(ctx, c.caller, ask, &c.record)
}

// pageRequest is a sign-in request that is answered with a page.
type pageRequest interface {
	signInRequest
	GetLanguage() string
	GetOnError() pb.OnError
}

// shown is a page on its way out.
type shown struct {
	page    *page.Page
	html    []byte
	outcome pb.Outcome
	reason  string
}

// show makes the page of a sign-in or, where that is wanted, of its refusal. The
// refusal goes on record as one all the same.
func (t *tokenServer) show(ctx context.Context, r pageRequest, out *signedIn, err error) (shown, error) {
	asPage := r.GetOnError() == pb.OnError_ON_ERROR_PAGE && out != nil && ctx.Err() == nil && refuse(err).reason != string(policy.CallerNotAllowed)
	if err != nil && !asPage {
		return shown{}, err
	}
	p := shown{page: out.configuration.Page(out.brand.ID, r.GetLanguage())}
	switch {
	case err != nil:
		p.reason = reasonOf(statusOf(err))
		p.outcome, p.html = pb.Outcome_OUTCOME_REFUSED, p.page.RenderProblem(problemOf(p.reason))
		if p.reason == reasonLoop {
			p.outcome = pb.Outcome_OUTCOME_LOOP
		}
		callOf(ctx).refused = err
	case out.token.Value != "":
		p.outcome, p.html = pb.Outcome_OUTCOME_SIGN_IN, p.page.Render(out.token.Value, out.checked.ReturnTo.URL)
	}
	return p, nil
}

// headersOf are every header that a page should be served with.
func headersOf(p *page.Page) map[string]string {
	headers := make(map[string]string)
	for _, h := range p.Headers() {
		headers[h.Name] = h.Value
	}
	return headers
}

// problemOf is what a refusal is to the person in front of the browser.
func problemOf(reason string) page.Problem {
	switch reason {
	case reasonLoop:
		return page.ProblemLoop
	case reasonDisabled:
		return page.ProblemDisabled
	case reasonUnavailable, reasonRateLimited:
		return page.ProblemUnavailable
	case string(policy.RoleNotAllowed), string(policy.ClaimNotAllowed), string(policy.EmailNotAllowed), reasonClientIP:
		return page.ProblemRefused
	}
	return page.ProblemFailed
}
