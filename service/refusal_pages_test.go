package service_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
)

// refusalCase is a refused sign-in and the page for it.
type refusalCase struct {
	name    string
	call    call
	reason  string
	code    codes.Code
	http    int
	problem page.Problem
	loop    bool
	status  bool   // the answer has no page, even if the request has on_error set to a page
	neutral bool   // the page is the neutral one
	version string // the version of the secret in the answer, if any
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
		{name: "nested host",
			call:   call{keys: store, body: user("") + `,"returnTo":"/hc?return_to=https://help.acme.com"`},
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
		{name: "disabled", call: call{name: "acme-off", body: user("")},
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
		{name: "missing configuration", call: call{name: "acme-nowhere", body: user("")}, reason: "CALLER_NOT_ALLOWED",
			code: denied, http: 403, neutral: true},
		{name: "brand", call: call{keys: store, body: user("") + `,"brandId":"360002"`},
			reason: "BRAND_NOT_ALLOWED", code: denied, http: 403, neutral: true},
		{name: "no such brand", call: call{body: user("") + `,"brandId":"99"`}, reason: "BRAND_NOT_ALLOWED",
			code: denied, http: 403, neutral: true},
		{name: "no such configuration's name", call: call{name: "ACME", body: user("")}, reason: "INVALID_FIELD",
			code: invalid, http: 400, neutral: true},
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

// check sends the request with each value of on_error to both methods that return a page.
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
				t.Errorf("%s %s: the records are %+v", method, onError, rec)
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
	extra := map[string]string{"Deskmint-Outcome": outcome.String(), "Deskmint-Reason": c.reason}
	if v := r.header["Deskmint-Secret-Version"]; len(v) == 1 && (c.loop || v[0] == c.version) {
		extra["Deskmint-Secret-Version"] = v[0]
	}
	checkPageHeader(t, tr, r, p, extra)
	if tr.name == "http" && r.http != c.http {
		t.Errorf("HTTP %d, want %d", r.http, c.http)
	}
}

// TestNeutralPages checks that the neutral page is in the requested language and doesn't reveal
// whether the configuration or the brand exists.
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

// TestFaultPages checks the page for a panic, and that for a request that was allowed but could not
// be recorded. The latter has no part of the sign-in.
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
				t.Errorf("the answer has a token: %s", r.body)
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
