package service

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/page"
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
	if err != nil {
		return nil, err
	}
	response := out.shown(r.GetLanguage()).form()
	response.IssueTime, response.ExpireTime = out.times()
	response.Warnings = out.warnings()
	return response, nil
}

func (t *tokenServer) RenderPage(ctx context.Context, r *pb.RenderPageRequest) (*httpbody.HttpBody, error) {
	out, err := t.signIn(ctx, r)
	if err != nil {
		return nil, err
	}
	return out.shown(r.GetLanguage()).body(callOf(ctx)), nil
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
	c.person = personOf(ask.signIn.User)
	out, err := t.service.desk(c).signIn(ctx, c.caller, ask, &c.record)
	if out != nil {
		c.version = out.version
	}
	return out, err
}

// personOf returns what the record says about a person. It leaves out text that is no
// address or no external id, because such text can be anything, and a credential that was
// sent as an id.
func personOf(u zendesk.User) (p audit.Person) {
	if email, err := zendesk.ParseEmail(u.Email); err == nil {
		p.Email = email
	}
	if id := strings.TrimSpace(u.ExternalID); zendesk.IsExternalID(id) && !isCredentialText(id) { // it may be refused for the space
		p.ExternalID = id
	}
	return p
}

// shown is a page on its way out, of a sign-in or of what stands in the way of one.
type shown struct {
	page         *page.Page
	html         []byte
	outcome      pb.Outcome
	reason       string
	version      secrets.Version
	jti, attempt string
}

// shown makes the page of a sign-in: none, where it was only to be checked.
func (out *signedIn) shown(language string) shown {
	p := shown{page: out.configuration.Page(out.brand.ID, language), version: out.version, jti: out.token.ID, attempt: out.attempt}
	if out.token.Value != "" {
		p.outcome, p.html = pb.Outcome_OUTCOME_SIGN_IN, p.page.Render(out.token.Value, out.checked.ReturnTo.URL)
	}
	return p
}

func (p shown) form() *pb.RenderFormResponse {
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

// body leaves the page's headers with the call.
func (p shown) body(c *call) *httpbody.HttpBody {
	headers := p.page.Headers()
	header := make(metadata.MD, len(headers)+6) // and our own
	contentType := ""
	for _, h := range headers {
		if h.Name == "Content-Type" {
			contentType = h.Value // the body's own field; gRPC has another use for the header
			continue
		}
		header.Set(h.Name, h.Value)
	}
	header.Set(headerOutcome, p.outcome.String())
	for name, value := range map[string]string{headerJTI: p.jti, headerAttempt: p.attempt, headerReason: p.reason} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if p.version != 0 {
		header.Set(headerSecretVersion, strconv.FormatUint(uint64(p.version), 10))
	}
	c.header = header
	return &httpbody.HttpBody{ContentType: contentType, Data: p.html}
}

// headersOf are every header that a page should be served with.
func headersOf(p *page.Page) map[string]string {
	headers := make(map[string]string)
	for _, h := range p.Headers() {
		headers[h.Name] = h.Value
	}
	return headers
}
