package service_test

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/httpbody"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// TestReturnToOneRule checks that a search finds exactly the brands at which a sign-in accepts the
// same return_to.
func TestReturnToOneRule(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for to, hosts := range map[string]string{ // the hosts of the brands that accept it: acme, acme-labs
		"/hc":                                  "acme labs",
		"/hc/de/search?query=100% off":         "acme labs",
		`/hc?q=ACME\\jo`:                       "acme labs",
		"https://help.acme.com":                "acme",
		"HTTPS://HELP.ACME.COM:443?a=b":        "acme",
		"https://acme-labs.zendesk.com#x":      "labs",
		"/hc?return_to=https://help.acme.com":  "acme",
		"/access/return_to?return_to=%2Fhc":    "acme labs",
		"/access/return_to?return_to=//evil":   "",
		"/auth/v2/login/signed_in?theme=hc":    "acme labs",
		"/access/logout":                       "",
		"/logout":                              "",
		"/hc/de/signin?return_to=/hc":          "",
		"https://acme-labs.zendesk.com/logout": "",
		"https://me@help.acme.com/":            "",
		"https://help.acme.com:444":            "",
		"http://help.acme.com/":                "",
		"//help.acme.com/":                     "",
		"javascript:alert(1)":                  "",
		"https://evil.example/":                "",
		"hc":                                   "invalid",
		`/hc\\x`:                               "invalid",
		`\thttps://help.acme.com`:              "invalid",
		"https://help.acme.com:x":              "invalid",
		"/hc/100%":                             "invalid",
	} {
		t.Run(to, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				for name, id := range map[string]string{"acme": "360001", "labs": "360002"} {
					body := `"brandId":"` + id + `","returnTo":"` + to + `"`
					resolved := tr.send(t.Context(), t, s, call{
						method: "ResolveConfiguration", body: body + `,"audience":"AUDIENCE_END_USER"`,
					})
					minted := tr.send(t.Context(), t, s, call{method: "MintToken", body: user("") + "," + body})
					want := [2]string{"CONFIGURATION_NOT_RESOLVED", "RETURN_TO_NOT_ALLOWED"}
					switch {
					case hosts == "invalid":
						want = [2]string{"INVALID_FIELD", "INVALID_FIELD"}
					case strings.Contains(hosts, name):
						want = [2]string{}
					}
					if got := [2]string{resolved.reason, minted.reason}; got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
			})
		})
	}
}

// TestOnBadReturnTo checks that a person who would see a refusal as a page is signed in without a
// bad return_to, and that everybody else gets the refusal. A host that isn't granted is refused.
func TestOnBadReturnTo(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, c := range []struct{ name, key, to, refused, always string }{
		{name: "another site", to: "https://evil.example/", refused: "RETURN_TO_NOT_ALLOWED"},
		{name: "a page that signs out", to: "/access/logout", refused: "RETURN_TO_NOT_ALLOWED"},
		{name: "no URL", to: `/hc\\x`, refused: "INVALID_FIELD"},
		{name: "not granted", key: "dmk_storefront", to: "https://help.acme.com/", always: "RETURN_TO_NOT_ALLOWED"},
		{name: "not granted, nested", key: "dmk_storefront", to: "/access/return_to?return_to=https://help.acme.com/",
			always: "RETURN_TO_NOT_ALLOWED"},
		{name: "granted", key: "dmk_storefront", to: "/access/return_to?return_to=https://acme.zendesk.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				request := call{body: user("") + `,"returnTo":"` + c.to + `"`}
				if c.key != "" {
					request.keys = []string{c.key}
				}
				for _, method := range []string{"MintToken", "RenderForm", "RenderPage"} {
					request.method = method
					if r := tr.send(t.Context(), t, s, request); r.reason != c.refused+c.always {
						t.Errorf("%s: %q", method, r.reason)
					}
				}
				request.body += `,"onError":"ON_ERROR_PAGE"`
				request.method = "RenderForm"
				r := tr.send(t.Context(), t, s, request)
				m := get[*pb.RenderFormResponse](t, r)
				want, warnings := pb.Outcome_OUTCOME_SIGN_IN, 0
				if c.always != "" {
					want = pb.Outcome_OUTCOME_REFUSED
				} else if c.refused != "" {
					warnings = 1
				}
				if m.GetOutcome() != want || m.GetReason() != c.always || len(m.GetWarnings()) != warnings {
					t.Errorf("RenderForm: %s %q, %v", m.GetOutcome(), m.GetReason(), m.GetWarnings())
				}
				request.method = "RenderPage"
				r = tr.send(t.Context(), t, s, request)
				posts := strings.Contains(string(get[*httpbody.HttpBody](t, r).GetData()), "/access/jwt")
				if posts != (c.always == "") {
					t.Errorf("RenderPage: %q, posts a token: %t", r.reason, posts)
				}
			})
		})
	}
}
