package service_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/api/httpbody"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
)

var parsedConfiguration = sync.OnceValues(func() (*config.Snapshot, error) {
	return config.Parse("test.yaml", []byte(configuration), config.Options{})
})

// pageOf returns the page of a brand, to compare an answer with it.
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

// checkPageHeader checks that the answer of RenderPage has each header of the page once, the
// headers in extra, and no others. Both transports have the same headers, except that gRPC has the
// content type of the page in the message.
func checkPageHeader(t *testing.T, tr transport, r reply, p *page.Page, extra map[string]string) {
	t.Helper()
	want := make(map[string]string)
	for _, h := range p.Headers() {
		want[http.CanonicalHeaderKey(h.Name)] = h.Value
	}
	if got := get[*httpbody.HttpBody](t, r).GetContentType(); got != "text/html; charset=utf-8" ||
		got != want["Content-Type"] {
		t.Errorf("content type %q", got)
	}
	for name, value := range extra {
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
			t.Errorf("the answer has the unexpected header %s: %q", name, r.header[name])
		}
	}
}

// difference describes the first difference of two texts.
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
		"a return_to": {body: user("") + `,"returnTo":"https://help.acme.com/hc?a=1&b=\"<script>\""`,
			returnTo: `https://help.acme.com/hc?a=1&b=%22%3Cscript%3E%22`},
		"a language":          {body: user("") + `,"language":"en-GB"`, language: "en-GB"},
		"an unknown language": {body: user("") + `,"language":"tlh"`, language: "tlh"},
		"an invalid language": {body: user("") + `,"language":"<script>"`, language: "<script>"},
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
					"Deskmint-Jti":            jti,
					"Deskmint-Secret-Version": "1",
					"Deskmint-Outcome":        "OUTCOME_SIGN_IN",
					"Deskmint-Attempt":        "*",
				})
				if tr.name == "http" && r.http != http.StatusOK {
					t.Errorf("HTTP %d", r.http)
				}

				m := get[*pb.RenderFormResponse](t,
					tr.send(t.Context(), t, s, call{method: "RenderForm", body: c.body}))
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

// checkForm checks the headers in an answer of RenderForm.
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

// TestFormAction checks that the content security policy allows the form only the URL that it posts
// to and the URLs that Zendesk redirects to. The answer of MintToken has the same sources.
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

// TestPagesValidateOnly checks that the answer to a valid request with validate_only has no page.
func TestPagesValidateOnly(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		r := tr.send(t.Context(), t, s, call{method: "RenderPage", body: user("") + `,"validateOnly":true`})
		if got := get[*httpbody.HttpBody](t, r); len(got.GetData()) > 0 {
			t.Errorf("the answer has a page: %s", got.GetData())
		}
		checkPageHeader(t, tr, r, pageOf(t, "acme-customers", "", ""),
			map[string]string{"Deskmint-Outcome": "OUTCOME_UNSPECIFIED", "Deskmint-Secret-Version": "1"})
		m := get[*pb.RenderFormResponse](t,
			tr.send(t.Context(), t, s, call{method: "RenderForm", body: user("") + `,"validateOnly":true`}))
		if m.GetHtml() != "" || m.GetJti() != "" || m.GetAttempt() != "" ||
			m.GetOutcome() != pb.Outcome_OUTCOME_UNSPECIFIED ||
			m.GetSecretVersion() != 1 {
			t.Errorf("the answer is %v", m)
		}
		refused := tr.send(t.Context(), t, s, call{
			method: "RenderForm", body: user(`,"externalId":" 7"`) + `,"validateOnly":true,"onError":"ON_ERROR_PAGE"`,
		})
		if m := get[*pb.RenderFormResponse](t, refused); m.GetReason() != "INVALID_FIELD" || m.GetHtml() == "" {
			t.Errorf("the answer to a refused request is %v %q", m.GetReason(), m.GetHtml())
		}
	})
}
