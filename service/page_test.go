package service_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
)

var parsedConfiguration = sync.OnceValues(func() (*config.Snapshot, error) {
	return config.Parse("test.yaml", []byte(configuration), config.Options{})
})

// pageOf is what the configuration prepared, to compare an answer with.
func pageOf(t *testing.T, name, brand, language string) *page.Page {
	t.Helper()
	snapshot, err := parsedConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	conf, ok := snapshot.Configuration(name)
	if !ok {
		t.Fatalf("no configuration %s", name)
	}
	return conf.Page(brand, language)
}

// checkPageHead compares every header of a RenderPage answer: those of the page once each, ours,
// and no other. Which transport it came by makes no difference but for where the content type is
// told.
func checkPageHeader(t *testing.T, tr transport, r reply, p *page.Page, ours map[string]string) {
	t.Helper()
	want := make(map[string]string)
	for _, h := range p.Headers() {
		want[http.CanonicalHeaderKey(h.Name)] = h.Value
	}
	if got := get[*httpbody.HttpBody](t, r).GetContentType(); got != "text/html; charset=utf-8" ||
		got != want["Content-Type"] {
		t.Errorf("content type %q", got)
	}
	for name, value := range ours {
		want[name] = value
	}
	want["X-Request-Id"] = "*"
	if tr.name == "grpc" {
		want["Content-Type"] = "application/grpc"
	}
	for name, value := range want {
		if got := r.header[name]; !slices.Equal(got, []string{value}) &&
			(value != "*" || len(got) != 1 || got[0] == "") {
			t.Errorf("%s is %q, want %q once", name, got, value)
		}
	}
	for name := range r.header {
		if _, ok := want[name]; !ok && !(tr.name == "http" && (name == "Content-Length" || name == "Date")) {
			t.Errorf("%s: %q is no header of a page", name, r.header[name])
		}
	}
}

// difference shows where two texts begin to differ.
func difference(got, want string) string {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("byte %d: %.60q, want %.60q", i, got[i:], want[i:])
}

func TestRenderPage(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for name, c := range map[string]struct{ body, brand, language, returnTo string }{
		"default brand": {body: user("")},
		"another brand": {body: user("") + `,"brandId":"360002"`, brand: "360002"},
		"a place to go": {body: user("") + `,"returnTo":"https://help.acme.com/hc?a=1&b=\"<script>\""`,
			returnTo: `https://help.acme.com/hc?a=1&b="<script>"`},
		"a language":          {body: user("") + `,"language":"en-GB"`, language: "en-GB"},
		"no such language":    {body: user("") + `,"language":"tlh"`, language: "tlh"},
		"no language at all":  {body: user("") + `,"language":"<script>"`, language: "<script>"},
		"errors as pages too": {body: user("") + `,"onError":"ON_ERROR_PAGE"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := pageOf(t, "acme-customers", c.brand, c.language)
			eachTransport(t, func(t *testing.T, tr transport) {
				r := tr.send(t.Context(), t, s, call{method: "RenderPage", body: c.body})
				html := get[*httpbody.HttpBody](t, r).GetData()
				token := string(tokenPattern.Find(html))
				if want := p.Render(token, c.returnTo); token == "" || !bytes.Equal(html, want) {
					t.Errorf("the page differs at %s", difference(string(html), string(want)))
				}
				jti, _ := claimsOf(t, token)["jti"].(string)
				checkPageHeader(t, tr, r, p, map[string]string{
					"Deskmint-Jti": jti, "Deskmint-Secret-Version": "1", "Deskmint-Outcome": "OUTCOME_SIGN_IN", "Deskmint-Attempt": "*",
				})
				if tr.name == "http" && r.http != http.StatusOK {
					t.Errorf("HTTP %d", r.http)
				}

				m := get[*pb.RenderFormResponse](t, tr.send(t.Context(), t, s, call{method: "RenderForm", body: c.body}))
				token = tokenPattern.FindString(m.GetHtml())
				if want := string(p.Render(token, c.returnTo)); token == "" || m.GetHtml() != want {
					t.Errorf("the page differs at %s", difference(m.GetHtml(), want))
				}
				checkForm(t, m, p)
				jti, _ = claimsOf(t, token)["jti"].(string)
				if m.GetOutcome() != pb.Outcome_OUTCOME_SIGN_IN || m.GetReason() != "" || m.GetJti() != jti ||
					m.GetSecretVersion() != 1 ||
					m.GetAttempt() == "" ||
					m.GetExpireTime().AsTime().Sub(m.GetIssueTime().AsTime()).Seconds() != 180 {
					t.Errorf("%v %q %q %d %q %v %v", m.GetOutcome(), m.GetReason(), m.GetJti(), m.GetSecretVersion(),
						m.GetAttempt(), m.GetIssueTime(), m.GetExpireTime())
				}
			})
		})
	}
}

// checkForm compares the headers of a RenderForm answer.
func checkForm(t *testing.T, m *pb.RenderFormResponse, p *page.Page) {
	t.Helper()
	want := p.Headers()
	if len(m.GetHeaders()) != len(want) {
		t.Errorf("%d headers, want %d", len(m.GetHeaders()), len(want))
	}
	for _, h := range want {
		if got := m.GetHeaders()[h.Name]; got != h.Value {
			t.Errorf("%s is %q, want %q", h.Name, got, h.Value)
		}
	}
	csp := m.GetContentSecurityPolicy()
	if csp != p.ContentSecurityPolicy() || csp != m.GetHeaders()["Content-Security-Policy"] ||
		!strings.Contains(csp, "'"+m.GetScriptHash()+"'") || !strings.Contains(csp, "'"+m.GetStyleHash()+"'") {
		t.Errorf("policy %q with hashes %q %q", csp, m.GetScriptHash(), m.GetStyleHash())
	}
}

// The policy lets the form go where it posts and where Zendesk sends the browser next, and nowhere
// else. MintToken tells the same to who builds a page.
func TestFormAction(t *testing.T) {
	yaml := strings.Replace(configuration, "      audiences: [end_user]\n      brands:",
		"      audiences: [end_user]\n      origins: [\"https://login.acme.com\"]\n      brands:", 1)
	s := start(t, settings{configuration: yaml})
	for brand, want := range map[string][]string{
		"360001": {"https://acme.zendesk.com", "https://help.acme.com", "https://login.acme.com"},
		"360002": {"https://acme-labs.zendesk.com", "https://login.acme.com"},
	} {
		eachTransport(t, func(t *testing.T, tr transport) {
			body := user("") + `,"brandId":"` + brand + `"`
			minted := get[*pb.MintTokenResponse](t, tr.send(t.Context(), t, s, call{method: "MintToken", body: body}))
			sources := slices.Sorted(slices.Values(minted.GetForm().GetFormActionSources()))
			if !slices.Equal(sources, slices.Sorted(slices.Values(want))) {
				t.Errorf("sources %v, want %v", sources, want)
			}
			if got := minted.GetForm().GetAction(); got != want[0]+"/access/jwt" {
				t.Errorf("action %q", got)
			}
			rendered := get[*pb.RenderFormResponse](t,
				tr.send(t.Context(), t, s, call{method: "RenderForm", body: body}))
			_, rest, _ := strings.Cut(rendered.GetContentSecurityPolicy(), "form-action ")
			directive, _, _ := strings.Cut(rest, ";")
			if got := slices.Sorted(slices.Values(strings.Fields(directive))); !slices.Equal(got, sources) {
				t.Errorf("form-action %v, want %v", got, sources)
			}
			if !strings.Contains(rendered.GetHtml(), `action="`+want[0]+`/access/jwt"`) {
				t.Errorf("the form posts elsewhere: %s", rendered.GetHtml())
			}
		})
	}
}

// refusal is a sign-in that ends in no token, and what becomes of it where the caller wants its
// person to see a page.
type refusalCase struct {
	name    string
	call    call
	reason  string
	code    codes.Code
	http    int
	problem page.Problem
	loop    bool
	status  bool   // never a page
	neutral bool   // the page is nobody's
	version string // of the secret, that a page tells of which could have been signed; "" none
}

func refusalCases() []refusalCase {
	denied, invalid := codes.PermissionDenied, codes.InvalidArgument
	store, slow := []string{"dmk_storefront"}, []string{"dmk_slow"}
	return []refusalCase{
		{name: "role", call: call{keys: store, body: user(`,"role":"ROLE_ADMIN"`)},
			reason: "ROLE_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemRefused},
		{name: "claim", call: call{keys: store, body: user(`,"organizations":["Acme"]`)},
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemRefused},
		{name: "email",
			call:   call{keys: store, body: `"user":{"email":"x@acme.com","emailVerified":true,"name":"X"}`},
			reason: "EMAIL_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemRefused},
		{name: "protected",
			call:   call{keys: slow, body: `"user":{"email":"ceo@acme.com","emailVerified":true,"name":"X"}`},
			reason: "EMAIL_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemRefused},
		{name: "host", call: call{keys: store, body: user("") + `,"returnTo":"https://help.acme.com/"`},
			reason: "RETURN_TO_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemFailed},
		{name: "foreign host", call: call{body: user("") + `,"returnTo":"https://evil.example/"`},
			reason: "RETURN_TO_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemFailed},
		{name: "address",
			call:   call{name: "acme-staff", body: user(`,"role":"ROLE_AGENT"`) + `,"clientIp":"198.51.100.1"`},
			reason: "CLIENT_IP_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemRefused},
		{name: "field", call: call{body: `"user":{"email":"` + inputMarker + `","emailVerified":true,"name":"X"}`},
			reason: "INVALID_FIELD", code: invalid, http: 400, problem: page.ProblemFailed},
		{name: "no user", call: call{}, reason: "INVALID_FIELD", code: invalid, http: 400, problem: page.ProblemFailed},
		{name: "version", call: call{body: user("") + `,"secretVersion":9`},
			reason: "SECRET_VERSION_UNKNOWN", code: codes.NotFound, http: 404, problem: page.ProblemFailed},
		{name: "unusable", call: call{name: "acme-broken", body: user("")},
			reason: "SECRET_UNUSABLE", code: codes.Internal, http: 500, problem: page.ProblemFailed},
		{name: "off", call: call{name: "acme-off", body: user("")},
			reason: "CONFIGURATION_DISABLED", code: codes.Unavailable, http: 503, problem: page.ProblemDisabled},

		{name: "no key", call: call{keys: []string{}, body: user("")}, reason: "CALLER_UNAUTHENTICATED",
			code: codes.Unauthenticated, http: 401, status: true},
		{name: "unknown key", call: call{keys: []string{"dmk_other"}, body: user("")},
			reason: "CALLER_UNAUTHENTICATED", code: codes.Unauthenticated, http: 401, status: true},
		{name: "no grant", call: call{keys: []string{"dmk_nobody"}, body: user("")}, reason: "CALLER_NOT_ALLOWED",
			code: denied, http: 403, neutral: true},
		{name: "no grant there", call: call{keys: store, name: "acme-staff", body: user("")},
			reason: "CALLER_NOT_ALLOWED", code: denied, http: 403, neutral: true},
		{name: "version without stage", call: call{keys: store, body: user("") + `,"secretVersion":1`},
			reason: "CALLER_NOT_ALLOWED", code: denied, http: 403, problem: page.ProblemFailed},
		{name: "nowhere", call: call{name: "acme-nowhere", body: user("")}, reason: "CALLER_NOT_ALLOWED",
			code: denied, http: 403, neutral: true},
		{name: "brand", call: call{keys: store, body: user("") + `,"brandId":"360002"`},
			reason: "BRAND_NOT_ALLOWED", code: denied, http: 403, neutral: true},
		{name: "no such brand", call: call{body: user("") + `,"brandId":"99"`}, reason: "BRAND_NOT_ALLOWED",
			code: denied, http: 403, neutral: true},
		{name: "no such configuration's name", call: call{name: "ACME", body: user("")}, reason: "INVALID_FIELD",
			code: invalid, http: 400, neutral: true},
	}
}

func (s *server) disableSecret(t *testing.T, path string) {
	t.Helper()
	if err := s.Store.Disable(path, true); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Ring.Refresh(t.Context(), secrets.Ref{Path: path, Field: "shared_secret"})
	if err != nil && !errors.Is(err, secrets.ErrDisabled) {
		t.Fatal(err)
	}
}

func TestRefusalPages(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	s.disableSecret(t, "sso/acme-off")
	for _, c := range refusalCases() {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) { c.check(t, s, tr) })
		})
	}
}

// check asks for the refusal as a page and as a status, in each form.
func (c refusalCase) check(t *testing.T, s *server, tr transport) {
	t.Helper()
	plain := c.call.body
	for _, method := range []string{"RenderForm", "RenderPage"} {
		for _, onError := range []string{"", "ON_ERROR_STATUS", "ON_ERROR_PAGE"} {
			c.call.method, c.call.body = method, strings.TrimPrefix(plain+`,"onError":"`+onError+`"`, ",")
			if onError == "" {
				c.call.body = plain
			}
			r := tr.send(t.Context(), t, s, c.call)
			if rec := records(t, s); len(rec) != 1 || rec[0].Decision != "deny" || rec[0].Reason != c.reason ||
				rec[0].TokenHash != "" {
				t.Errorf("%s %s: recorded as %+v", method, onError, rec)
			}
			if onError != "ON_ERROR_PAGE" || c.status {
				if r.code != c.code || r.reason != c.reason || tr.name == "http" && r.http != c.http {
					t.Errorf("%s %s: %v %s, HTTP %d", method, onError, r.code, r.reason, r.http)
				}
				if tr.name == "http" {
					readError(t, r.header, r.http, r.body)
				}
				continue
			}
			c.checkPage(t, tr, r)
		}
	}
}

func (c refusalCase) checkPage(t *testing.T, tr transport, r reply) {
	t.Helper()
	name := strings.TrimPrefix(c.call.resource(), "configurations/")
	var p *page.Page
	if c.neutral {
		p = page.Neutral("")
	} else {
		p = pageOf(t, name, "", "")
	}
	c.checkAnswer(t, tr, r, p)
}

func (c refusalCase) checkAnswer(t *testing.T, tr transport, r reply, p *page.Page) {
	t.Helper()
	outcome := pb.Outcome_OUTCOME_REFUSED
	if c.loop {
		outcome = pb.Outcome_OUTCOME_LOOP
	}
	if c.call.method == "RenderForm" {
		m := get[*pb.RenderFormResponse](t, r)
		if m.GetOutcome() != outcome || m.GetReason() != c.reason ||
			m.GetHtml() != string(p.RenderProblem(c.problem)) ||
			m.GetJti() != "" ||
			m.GetAttempt() != "" ||
			m.GetIssueTime() != nil {
			t.Errorf("%v %s %q", m.GetOutcome(), m.GetReason(), m.GetHtml())
		}
		checkForm(t, m, p)
		return
	}
	if got := get[*httpbody.HttpBody](t, r).GetData(); !bytes.Equal(got, p.RenderProblem(c.problem)) {
		t.Errorf("the page is %s", got)
	}
	ours := map[string]string{"Deskmint-Outcome": outcome.String(), "Deskmint-Reason": c.reason}
	if v := r.header["Deskmint-Secret-Version"]; len(v) == 1 && (c.loop || v[0] == c.version) {
		ours["Deskmint-Secret-Version"] = v[0]
	}
	checkPageHeader(t, tr, r, p, ours)
	if tr.name == "http" && r.http != c.http {
		t.Errorf("HTTP %d, want %d", r.http, c.http)
	}
}

// A page that is nobody's is in the language asked for, and doesn't tell whether the configuration
// or the brand exists.
func TestNeutralPages(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		want := page.Neutral("de").RenderProblem(page.ProblemFailed)
		if bytes.Contains(want, []byte("Acme")) || !bytes.Contains(want, []byte(`<html lang="de"`)) ||
			!bytes.Contains(want, []byte("Zendesk")) {
			t.Fatalf("the neutral page is %s", want)
		}
		for _, c := range []call{
			{keys: []string{"dmk_nobody"}},
			{keys: []string{"dmk_nobody"}, name: "acme-nowhere"},
			{keys: []string{"dmk_nobody"}, name: "acme-staff"},
			{keys: []string{"dmk_storefront"}, body: `"brandId":"360002",`},
			{keys: []string{"dmk_storefront"}, body: `"brandId":"99",`},
		} {
			c.method, c.body = "RenderPage", c.body+user("")+`,"onError":"ON_ERROR_PAGE","language":"de-AT"`
			r := tr.send(t.Context(), t, s, c)
			if got := get[*httpbody.HttpBody](t, r).GetData(); !bytes.Equal(got, want) {
				t.Errorf("%+v: %s", c, difference(string(got), string(want)))
			}
		}
	})
}

// A panic is answered with a page too, where one is wanted, and so is a request that was allowed
// but not recorded: nothing of the sign-in is left in it.
func TestFaultPages(t *testing.T) {
	body := user("") + `,"brandId":"360002","onError":"ON_ERROR_PAGE"`
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, method := range []string{"RenderForm", "RenderPage"} {
			w := &failingWriter{}
			var broken atomic.Bool
			s := start(t, settings{configuration: configuration, audit: w, now: func() time.Time {
				if broken.Load() {
					panic(customersSecret)
				}
				return now
			}})
			p := pageOf(t, "acme-customers", "360002", "")
			w.armed.Store(true)
			r := tr.send(t.Context(), t, s, call{method: method, body: body})
			w.armed.Store(false)
			refusalCase{
				call:    call{method: method, body: body},
				reason:  "AUDIT_UNAVAILABLE",
				http:    503,
				problem: page.ProblemUnavailable,
				version: "1",
			}.checkAnswer(t, tr, r, p)
			if tokenPattern.Match(r.body) {
				t.Errorf("a token came along: %s", r.body)
			}
			broken.Store(true)
			r = tr.send(t.Context(), t, s, call{method: method, body: body})
			broken.Store(false)
			refusalCase{
				call:    call{method: method, body: body},
				reason:  "INTERNAL",
				http:    500,
				problem: page.ProblemFailed,
			}.checkAnswer(t, tr, r, p)
		}
	})
}

// With validate_only there is nothing to show, and nothing that a browser could post.
func TestPagesValidateOnly(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		r := tr.send(t.Context(), t, s, call{method: "RenderPage", body: user("") + `,"validateOnly":true`})
		if got := get[*httpbody.HttpBody](t, r); len(got.GetData()) > 0 {
			t.Errorf("a page: %s", got.GetData())
		}
		checkPageHeader(t, tr, r, pageOf(t, "acme-customers", "", ""),
			map[string]string{"Deskmint-Outcome": "OUTCOME_UNSPECIFIED", "Deskmint-Secret-Version": "1"})
		m := get[*pb.RenderFormResponse](t,
			tr.send(t.Context(), t, s, call{method: "RenderForm", body: user("") + `,"validateOnly":true`}))
		if m.GetHtml() != "" || m.GetJti() != "" || m.GetAttempt() != "" ||
			m.GetOutcome() != pb.Outcome_OUTCOME_UNSPECIFIED ||
			m.GetSecretVersion() != 1 {
			t.Errorf("answered with %v", m)
		}
		refused := tr.send(t.Context(), t, s, call{
			method: "RenderForm", body: user(`,"phone":"1"`) + `,"validateOnly":true,"onError":"ON_ERROR_PAGE"`,
		})
		if m := get[*pb.RenderFormResponse](t, refused); m.GetReason() != "INVALID_FIELD" || m.GetHtml() == "" {
			t.Errorf("a refusal is answered with %v %q", m.GetReason(), m.GetHtml())
		}
	})
}
