package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestReturnTo: where the link leads, and that it can't be made to lead into script or another header.
func TestReturnTo(t *testing.T) {
	z := start(t)
	for returnTo, want := range map[string]string{
		"":                                     "/",
		"/":                                    "/",
		"/hc/en-us?a=1&b=2#c":                  "/hc/en-us?a=1&b=2#c",
		`/hc?"><script>alert(1)</script>`:      `/hc?"><script>alert(1)</script>`,
		z.url("acme.localhost", "/hc"):         z.url("acme.localhost", "/hc"),
		"https://help.acme.com/hc":             "https://help.acme.com/hc",
		"https://acme.zendesk.com/agent/":      "https://acme.zendesk.com/agent/",
		"//evil.test":                          "/",
		`/\evil.test`:                          "/",
		`https:\\evil.test`:                    "/",
		"javascript:alert(1)":                  "/",
		"data:text/html,x":                     "/",
		"https:opaque":                         "/",
		"https://user@acme.zendesk.com/":       "/",
		"hc":                                   "/",
		"/a\r\nSet-Cookie: a=b":                "/",
		"/a\x00":                               "/",
		"/a b":                                 "/",
		"/ü":                                   "/",
		"/" + strings.Repeat("a", maxReturnTo): "/",
		"/%zz":                                 "/",
	} {
		got := z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}, "return_to": {returnTo}})
		if body := fmt.Sprintf(redirectedTo, html.EscapeString(want)); got.body != body {
			t.Errorf("return_to %q:\ngot  %s\nwant %s", returnTo, got.body, body)
		}
		if refresh := got.header.Get("Refresh"); refresh != "0; url="+want || len(got.header.Values("Set-Cookie")) != 1 {
			t.Errorf("return_to %q: Refresh: %q", returnTo, refresh)
		}
		if z.last(t).ReturnTo != returnTo {
			t.Errorf("return_to %q is recorded as %q", returnTo, z.last(t).ReturnTo)
		}
	}
	// In the action's query, as in Zendesk's samples; the body's goes first.
	address := z.url("acme.localhost", "/access/jwt?return_to=%2Fquery")
	for body, want := range map[string]string{"": "/query", "&return_to=/body": "/body"} {
		got := z.send(t, "POST", address, formType, "jwt="+tokenWith(nil)+body)
		if !strings.Contains(got.body, `href="`+want+`"`) {
			t.Errorf("in the query: %s", got.body)
		}
	}
}

// TestPagesForgeNothing: a link can't put words on the page, and a brand shows only its own.
func TestPagesForgeNothing(t *testing.T) {
	z := start(t)
	z.post(t, "acme.localhost", url.Values{"jwt": {"hello"}})
	z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}})
	for address, want := range map[string]bool{
		z.url("acme.localhost", "/access/unauthenticated?sign_in=1"):                true,
		z.url("acme-labs.localhost", "/access/unauthenticated?sign_in=1"):           false,
		z.url("acme.localhost", "/access/unauthenticated?sign_in=2"):                false, // was signed in
		z.url("acme.localhost", "/access/unauthenticated?sign_in=3"):                false,
		z.url("acme.localhost", "/access/unauthenticated?sign_in=x"):                false,
		z.url("acme.localhost", "/access/unauthenticated?message=Call+0900-forged"): false,
		z.url("acme.localhost", "/access/unauthenticated"):                          false,
	} {
		got := z.send(t, "GET", address, "", "")
		if strings.Contains(got.body, "invalid_token") != want || strings.Contains(got.body, "forged") {
			t.Errorf("%s: %s", address, got.body)
		}
	}
}

// TestHeaders: every answer's policy, and that it allows the page's own style.
func TestHeaders(t *testing.T) {
	z := start(t)
	sum := sha256.Sum256([]byte(style))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	want := "default-src 'none'; style-src 'sha256-" + hash + "'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
	for name, got := range map[string]answer{
		"home":      z.send(t, "GET", z.url("acme.localhost", "/"), "", ""),
		"refusal":   z.send(t, "GET", z.url("acme.localhost", "/access/unauthenticated"), "", ""),
		"GET":       z.send(t, "GET", z.url("acme.localhost", "/access/jwt"), "", ""),
		"signed in": z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}}),
		"refused":   z.post(t, "acme.localhost", url.Values{"jwt": {"x"}}),
		"no brand":  z.send(t, "GET", z.url("localhost", "/"), "", ""),
	} {
		for field, value := range map[string]string{
			"Content-Security-Policy": want,
			"Content-Type":            "text/html; charset=utf-8",
			"Cache-Control":           "no-store",
			"Referrer-Policy":         "no-referrer",
			"X-Content-Type-Options":  "nosniff",
		} {
			if got.header.Get(field) != value {
				t.Errorf("%s: %s: %s", name, field, got.header.Get(field))
			}
		}
		if strings.Contains(got.body, "<style>") && !strings.Contains(got.body, "<style>"+style+"</style>") {
			t.Errorf("%s: the style isn't the one of the policy", name)
		}
	}
}

// TestLogKeepsSecrets: neither token nor claims nor secret get into the log.
func TestLogKeepsSecrets(t *testing.T) {
	var log bytes.Buffer
	secret := []byte(customersSecret)
	s, err := New(Options{
		Brands:         []Brand{{"1", "Acme", "acme"}},
		Configurations: []Configuration{{"customers", []string{"end_user"}, []string{"1"}, func() []byte { return secret }}},
		Log:            slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{tokenWith(nil), tokenWith(map[string]any{"name": nil}), "x.y"} {
		request := httptest.NewRequest("POST", "http://acme.localhost/access/jwt", strings.NewReader("jwt="+token))
		request.Header.Set("Content-Type", formType)
		s.ServeHTTP(httptest.NewRecorder(), request)
		for _, kept := range []string{token, customersSecret, "ada@", "Ada"} {
			if strings.Contains(log.String(), kept) {
				t.Errorf("the log holds %q: %s", kept, log.String())
			}
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 3 {
		t.Errorf("%d lines, want one for each POST: %s", lines, log.String())
	}
	// The machine's clock is not that of the tests: by default it counts.
	if got := s.SignIns()[0]; got.Reason != ReasonIssueTime {
		t.Errorf("without a clock: %+v", got)
	}
}

// FuzzToken: whatever is posted, the sandbox answers, and signs in only what the test has signed.
func FuzzToken(f *testing.F) {
	f.Add(goodHeader, claimsWith(nil), "sig")
	f.Add(`{"alg":"none"}`, "{}", "")
	f.Add("", `{"a":[[[[[[[[[[]]]]]]]]]]}`, "\xff")
	z := start(f)
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		before := len(z.SignIns())
		recorder := httptest.NewRecorder()
		form := url.Values{"jwt": {b64(header) + "." + b64(claims) + "." + b64(signature)}}
		request := httptest.NewRequest("POST", "http://acme.localhost/access/jwt", strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", formType)
		z.ServeHTTP(recorder, request)
		all := z.SignIns()
		if len(all) != min(before+1, maxRecord) || all[len(all)-1].Outcome != OutcomeRefused {
			t.Errorf("%d records, then %+v", before, all[len(all)-1])
		}
		// Signed, the claims may be anything: no panic.
		signed := url.Values{"jwt": {sign(goodHeader, claims, customersSecret)}}
		request = httptest.NewRequest("POST", "http://acme.localhost/access/jwt", strings.NewReader(signed.Encode()))
		request.Header.Set("Content-Type", formType)
		z.ServeHTTP(recorder, request)
	})
}
