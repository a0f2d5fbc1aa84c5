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

// TestReturnTo checks the target of the link. A return_to can't be a script or inject a header.
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
		"https://evil.test/":                   "/",
		"https://acme.localhost.evil.test/":    "/",
		"https://evil-acme.zendesk.com/":       "/",
		"https://xhelp.acme.com/":              "/",
		"http://help.acme.com:8443/hc":         "http://help.acme.com:8443/hc",
		"https://acme-labs.zendesk.com/hc":     "https://acme-labs.zendesk.com/hc",
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
		if body := fmt.Sprintf(redirectBody, html.EscapeString(want)); got.body != body {
			t.Errorf("return_to %q:\ngot  %s\nwant %s", returnTo, got.body, body)
		}
		if refresh := got.header.Get("Refresh"); refresh != "0; url="+want ||
			len(got.header.Values("Set-Cookie")) != 1 {
			t.Errorf("return_to %q: Refresh: %q", returnTo, refresh)
		}
		if z.last(t).ReturnTo != returnTo {
			t.Errorf("return_to %q is recorded as %q", returnTo, z.last(t).ReturnTo)
		}
		if noted := len(z.last(t).Notes) == 1; noted != (want == "/" && len(returnTo) > 1) {
			t.Errorf("return_to %q: it says %q", returnTo, z.last(t).Notes)
		}
	}
	// return_to may be in the action's query, as in Zendesk's samples. The one in the body takes
	// precedence.
	address := z.url("acme.localhost", "/access/jwt?return_to=%2Fquery")
	for body, want := range map[string]string{"": "/query", "&return_to=/body": "/body"} {
		got := z.send(t, "POST", address, formType, "jwt="+tokenWith(nil)+body)
		if !strings.Contains(got.body, `href="`+want+`"`) {
			t.Errorf("in the query: %s", got.body)
		}
	}
}

// TestRefusalLinkIsNotForgeable checks that a link can't put text on the page, and that a brand's
// host displays only refusals of this brand.
func TestRefusalLinkIsNotForgeable(t *testing.T) {
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

// TestHeaders checks the policy of every answer, and that it allows the page's style.
func TestHeaders(t *testing.T) {
	z := start(t)
	sum := sha256.Sum256([]byte(style))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	want := "default-src 'none'; style-src 'sha256-" + hash + "'; img-src data:; " +
		"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
	for name, got := range map[string]answer{
		"home":      z.get(t, "acme.localhost", "/"),
		"refusal":   z.get(t, "acme.localhost", "/access/unauthenticated"),
		"GET":       z.get(t, "acme.localhost", "/access/jwt"),
		"signed in": z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(nil)}}),
		"refused":   z.post(t, "acme.localhost", url.Values{"jwt": {"x"}}),
		"users":     z.get(t, "acme.localhost", "/sandbox/users"),
		"own form":  z.get(t, "acme.localhost", "/access/normal"),
		"no brand":  z.get(t, "localhost", "/"),
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

// TestMarkup checks that every page escapes the content of tokens, queries and URLs.
func TestMarkup(t *testing.T) {
	z := startWith(t, func(o *Options) {
		o.MultipleOrganizations, o.Explain = true, `http://localhost/story?a="><script>`
		o.Brands[0].Name = `<script>brand</script>`
	})
	evil := func(where string) string { return `"'><script>` + where + `</script><img src=x onerror=alert(1)>{{.}}` }
	photo := "https://a.example/" + strings.ReplaceAll(evil("photo"), " ", "%20")
	all := func(prefix string) map[string]any {
		return map[string]any{
			"email":              `"><script>` + prefix + `email</script>@example.com`,
			"name":               evil(prefix + "name"),
			"external_id":        evil("external_id"),
			"organizations":      evil(prefix + "organizations"),
			"tags":               []string{evil(prefix + "tag")},
			"remote_photo_url":   photo,
			"user_fields":        map[string]any{evil("key"): evil(prefix + "value"), evil("list"): []any{1}},
			evil("undocumented"): evil("x"),
			"role":               "end_user",
		}
	}
	for _, prefix := range []string{"", "second-"} {
		c := all(prefix)
		c["email"] = all("")["email"] // one user, so that there is a before and an after
		if z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(c)}}); z.last(t).Outcome != OutcomeSignedIn {
			t.Fatalf("%+v", z.last(t))
		}
	}
	z.SetFaults(Faults{Blocked: []string{"@example.com"}})
	refused := z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(all(""))}})
	pages := map[string]string{"answer": refused.body}
	for _, path := range []string{
		"/", "/hc/<script>path</script>", "/sandbox/users", "/access/unauthenticated?sign_in=3",
		"/access/login?return_to=<script>",
	} {
		pages[path] = z.get(t, "acme.localhost", path).body
	}
	for name, page := range pages {
		for _, tag := range []string{"<script", "<img", "onerror=alert(1)>"} {
			if strings.Contains(page, tag) {
				t.Errorf("%s: %s is on the page as markup:\n%s", name, tag, page)
			}
		}
	}
	for page, texts := range map[string][]string{
		"/": {"name", "external_id", "tag", "value", "undocumented", "photo"},
		"/sandbox/users": {
			"name", "second-name", "external_id", "second-tag", "tag", "value", "second-value", "organizations",
			"key", "list", "photo",
		},
		"/access/unauthenticated?sign_in=3": {"email"},
	} {
		for _, text := range texts {
			if !strings.Contains(pages[page], "&gt;&lt;script&gt;"+text+"&lt;/script&gt;") {
				t.Errorf("%s doesn't show %s:\n%s", page, text, pages[page])
			}
		}
	}
}

// TestUsersPage checks that the page lists each user, and the old and new values of each sign-in.
func TestUsersPage(t *testing.T) {
	z := startWith(t, func(o *Options) { o.App, o.Explain = "http://localhost:1/", "http://localhost:1/story" })
	if page := z.get(t, "acme.localhost", "/sandbox/users"); !strings.Contains(page.body, "Nobody yet.") {
		t.Errorf("at first: %s", page.body)
	}
	for _, tag := range []string{"vip", "beta"} {
		z.post(t, "acme.localhost", url.Values{"jwt": {tokenWith(map[string]any{"tags": []string{tag}, "shoe": 38})}})
	}
	// The other brand has the same users, and signing in there changes nothing.
	z.post(t, "acme-labs.localhost", url.Values{"jwt": {tokenWith(nil)}})
	z.post(t, "acme-labs.localhost", url.Values{"jwt": {"refused"}})
	page := z.get(t, "acme-labs.localhost", "/sandbox/users").body
	for _, want := range []string{
		`<section class="card" id="user-1">`, `<tr><th scope="row">tags</th><td>beta</td></tr>`,
		`<td data-label="Before"><del>vip</del></td><td data-label="After"><ins>beta</ins></td></tr>`,
		`<td data-label="Before"><span class="soft">nothing</span></td><td data-label="After"><ins>vip</ins></td></tr>`,
		"created", "existing", `<a href="http://localhost:1/">`, "<p>Nothing.</p>", "<code>shoe</code>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s isn't on the page\n%s", want, page)
		}
	}
	if n := strings.Count(page, `<section class="card" id="sign-in-`); n != 3 ||
		strings.Index(page, "sign-in-3") > strings.Index(page, "sign-in-1") {
		t.Errorf("%d sign-ins, the latest not first:\n%s", n, page)
	}
	home := z.get(t, "acme-labs.localhost", "/").body
	if !strings.Contains(home, `href="http://localhost:1/story?sign_in=3"`) ||
		!strings.Contains(home, "The account already had all values") {
		t.Errorf("home: %s", home)
	}
}

// TestLogHasNoSecrets checks that no token, claim or secret is logged.
func TestLogHasNoSecrets(t *testing.T) {
	var log bytes.Buffer
	secret := []byte(customersSecret)
	s, err := New(Options{
		Brands: []Brand{{ID: "1", Name: "Acme", Subdomain: "acme"}},
		Configurations: []Configuration{
			{
				Name:      "customers",
				Audiences: []string{"end_user"},
				Brands:    []string{"1"},
				Secret:    func() []byte { return secret },
			},
		},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
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
	// Without Options.Now, the sandbox uses the machine's clock, which differs from the tests'
	// clock.
	if got := s.SignIns()[0]; got.Reason != ReasonIssueTime {
		t.Errorf("without a clock: %+v", got)
	}
}

// FuzzToken checks that the sandbox answers every POST and accepts only tokens that the test has
// signed.
func FuzzToken(f *testing.F) {
	f.Add(goodHeader, claimsWith(nil), "sig")
	f.Add(`{"alg":"none"}`, "{}", "")
	f.Add("", `{"a":[[[[[[[[[[]]]]]]]]]]}`, "\xff")
	f.Add("\xed00", "0", "0")
	f.Add("0", `{"iat":0}`, "0")
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
		// Even with a valid signature, no claims cause a panic.
		signed := url.Values{"jwt": {sign(goodHeader, claims, customersSecret)}}
		request = httptest.NewRequest("POST", "http://acme.localhost/access/jwt", strings.NewReader(signed.Encode()))
		request.Header.Set("Content-Type", formType)
		z.ServeHTTP(recorder, request)
	})
}
