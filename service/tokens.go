package service

import (
	"context"
	"strconv"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
)

func (s *Service) mintToken(ctx context.Context, x *exchange, r *pb.MintTokenRequest) (answer, error) {
	d, err := s.decide(ctx, x, r)
	if err != nil {
		return answer{facts: d.Facts}, err
	}
	issued, expires := times(d.Token)
	return answer{facts: d.Facts, message: &pb.MintTokenResponse{
		Token:         d.Token.Value,
		Jti:           d.Token.ID,
		IssueTime:     issued,
		ExpireTime:    expires,
		SecretVersion: secretVersion(d.Facts.SecretVersion),
		Form:          formOf(d),
		Attempt:       d.Attempt,
		Warnings:      warningsOf(d.Checked.Warnings),
	}}, nil
}

func (s *Service) renderForm(ctx context.Context, x *exchange, r *pb.RenderFormRequest) (answer, error) {
	d, err := s.decide(ctx, x, r)
	if err != nil {
		return answer{facts: d.Facts}, err
	}
	response := pageOf(d, r.GetLanguage()).form()
	response.IssueTime, response.ExpireTime = times(d.Token)
	response.Warnings = warningsOf(d.Checked.Warnings)
	return answer{facts: d.Facts, message: response}, nil
}

func (s *Service) renderPage(ctx context.Context, x *exchange, r *pb.RenderPageRequest) (answer, error) {
	d, err := s.decide(ctx, x, r)
	if err != nil {
		return answer{facts: d.Facts}, err
	}
	body, header := pageOf(d, r.GetLanguage()).body()
	return answer{facts: d.Facts, message: body, header: header}, nil
}

func (s *Service) inspectToken(_ context.Context, x *exchange, r *pb.InspectTokenRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	inspection, facts, err := s.decider.Inspect(s.context(x), nameOf(r.GetConfiguration()), r.GetToken())
	if err != nil {
		return answer{facts: facts}, err
	}
	return answer{facts: facts, message: InspectTokenResponse(inspection)}, nil
}

func (s *Service) decide(ctx context.Context, x *exchange, r signInRequest) (signin.Decision, error) {
	request, err := s.signInOf(r)
	if err != nil {
		return signin.Decision{}, err
	}
	return s.decider.Decide(ctx, s.context(x), request)
}

// renderedPage is the page of a sign-in or of a refusal.
type renderedPage struct {
	page         *page.Page
	html         []byte
	outcome      pb.Outcome
	reason       string
	version      secrets.Version
	jti, attempt string
}

// pageOf returns the page of a sign-in. It has no HTML if the request was only to be checked.
func pageOf(d signin.Decision, language string) renderedPage {
	p := renderedPage{
		page: d.Configuration.Page(d.Brand.ID, language), version: d.Facts.SecretVersion,
		jti: d.Token.ID, attempt: d.Attempt,
	}
	if d.Token.Value != "" {
		p.outcome, p.html = pb.Outcome_OUTCOME_SIGN_IN, p.page.Render(d.Token.Value, d.Checked.ReturnTo.URL)
	}
	return p
}

func (p renderedPage) form() *pb.RenderFormResponse {
	return &pb.RenderFormResponse{
		Html:                  string(p.html),
		Headers:               headersOf(p.page),
		ContentSecurityPolicy: p.page.ContentSecurityPolicy(),
		ScriptHash:            page.ScriptHash(),
		StyleHash:             page.StyleHash(),
		Outcome:               p.outcome,
		Reason:                p.reason,
		SecretVersion:         uint32(p.version),
		Attempt:               p.attempt,
		Jti:                   p.jti,
	}
}

// body returns the page and the headers to serve it with.
func (p renderedPage) body() (*httpbody.HttpBody, metadata.MD) {
	headers := p.page.Headers()
	header := make(metadata.MD, len(headers)+6) // and our own
	contentType := ""
	for _, h := range headers {
		if h.Name == "Content-Type" {
			contentType = h.Value // a field of HttpBody; gRPC uses the header for its own content type
			continue
		}
		header.Set(h.Name, h.Value)
	}
	header.Set(transport.HeaderOutcome, p.outcome.String())
	for name, value := range map[string]string{
		transport.HeaderJTI: p.jti, transport.HeaderAttempt: p.attempt, transport.HeaderReason: p.reason,
	} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if p.version != 0 {
		header.Set(transport.HeaderSecretVersion, strconv.FormatUint(uint64(p.version), 10))
	}
	return &httpbody.HttpBody{ContentType: contentType, Data: p.html}, header
}

// headersOf returns every header that a page should be served with.
func headersOf(p *page.Page) map[string]string {
	headers := make(map[string]string)
	for _, h := range p.Headers() {
		headers[h.Name] = h.Value
	}
	return headers
}
