package zendesk_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

func TestReturnToAccepts(t *testing.T) {
	long := "/" + strings.Repeat("x", 2047)
	for _, test := range []struct{ in, url, host string }{
		{"/", "/", ""},
		{"/hc", "/hc", ""},
		{"/hc/en-us/requests/42?page=2&q=a+b#c", "/hc/en-us/requests/42?page=2&q=a+b#c", ""},
		{"/agent/tickets/1232", "/agent/tickets/1232", ""},
		{"/hc/de/search?query=Größe", "/hc/de/search?query=Gr%C3%B6%C3%9Fe", ""},
		{"/hc/ja/検索", "/hc/ja/%E6%A4%9C%E7%B4%A2", ""},
		{"/hc/a b c", "/hc/a%20b%20c", ""},
		{"/hc/a%20b", "/hc/a%20b", ""},
		{"/hc/%e6%a4%9c", "/hc/%e6%a4%9c", ""},
		{"/hc/requests/new?tf_description=a%0Ab%0D%0Ac", "/hc/requests/new?tf_description=a%0Ab%0D%0Ac", ""},
		{"/hc?q=%09%00#%0a", "/hc?q=%09%00#%0a", ""},
		{"/hc/%C2%85%80", "/hc/%C2%85%80", ""}, // no ASCII control characters
		{"/hc?next=https://evil.example/", "/hc?next=https://evil.example/", ""},
		{"/hc?next=//evil.example", "/hc?next=//evil.example", ""},
		{"/hc?a[]=1&a[]=2", "/hc?a%5B%5D=1&a%5B%5D=2", ""},
		{"/hc?q=100%", "/hc?q=100%25", ""},
		{"/hc?q=100% off", "/hc?q=100%25%20off", ""},
		{"/hc?q=100%25%20off", "/hc?q=100%25%20off", ""},
		{"/hc?q=%%20%2%zz%", "/hc?q=%25%20%252%25zz%25", ""},
		{"/hc?q=\"<>[]^`{|}\\?/#\"<>[]^`{|}\\#?/",
			"/hc?q=%22%3C%3E%5B%5D%5E%60%7B%7C%7D%5C?/#%22%3C%3E%5B%5D%5E%60%7B%7C%7D%5C%23?/", ""},
		{"/hc/\"<>[]^`{|}'!$&()*+,;=:@-._~", "/hc/%22%3C%3E%5B%5D%5E%60%7B%7C%7D'!$&()*+,;=:@-._~", ""},
		{"/hc?/access/jwt", "/hc?/access/jwt", ""},
		{"/hc#/access/jwt", "/hc#/access/jwt", ""},
		{"/hc/access/jwt", "/hc/access/jwt", ""},
		{"/hc/auth/", "/hc/auth/", ""},
		{"/accessibility", "/accessibility", ""},
		{"/authors/7", "/authors/7", ""},
		{"/access-log", "/access-log", ""},
		{"/hc//x", "/hc//x", ""},
		{"/hc/../hc/", "/hc/../hc/", ""},
		{"/./", "/./", ""},
		{"/..", "/..", ""},
		{"/hc/..", "/hc/..", ""},
		{"/hc/%2F/x", "/hc/%2F/x", ""},
		{"/%20/x", "/%20/x", ""},
		{"/@evil.example", "/@evil.example", ""},
		{"/:80", "/:80", ""},
		{"/evil.example", "/evil.example", ""},
		{"/https://evil.example", "/https://evil.example", ""},
		{"/hc/😀", "/hc/%F0%9F%98%80", ""},
		{"/<script>'\"", "/%3Cscript%3E'%22", ""},
		{long, long, ""},

		{"https://acme.zendesk.com/", "https://acme.zendesk.com/", "acme.zendesk.com"},
		{"https://acme.zendesk.com/agent/tickets/1232",
			"https://acme.zendesk.com/agent/tickets/1232", "acme.zendesk.com"},
		{"https://acme.zendesk.com/hc?a=b#c", "https://acme.zendesk.com/hc?a=b#c", "acme.zendesk.com"},
		{"https://help.acme.com/hc/fr/Été", "https://help.acme.com/hc/fr/%C3%89t%C3%A9", "help.acme.com"},
		{"https://hilfe.acme.de/", "https://hilfe.acme.de/", "hilfe.acme.de"},
		{"https://acme.zendesk.com/hc//x", "https://acme.zendesk.com/hc//x", "acme.zendesk.com"},
		{"https://acme.zendesk.com/hc/a%2Fb%5Cc", "https://acme.zendesk.com/hc/a%2Fb%5Cc", "acme.zendesk.com"},
		{"https://acme.zendesk.com/@evil.example", "https://acme.zendesk.com/@evil.example", "acme.zendesk.com"},
		{"https://acme.zendesk.com/hc/../../x", "https://acme.zendesk.com/hc/../../x", "acme.zendesk.com"},
	} {
		wantDestination(t, testProfile(t).Brand(""), test.in, test.url, test.host)
	}
}

func TestReturnToNormalizes(t *testing.T) {
	for _, test := range returnToForms {
		b := testProfile(t).Brand("")
		wantDestination(t, b, test.in, test.url, test.host)
		wantDestination(t, b, test.url, test.url, test.host)
	}
}

// wantDestination checks that a brand accepts a return_to, and what leaves. The hosts are separated
// by spaces.
func wantDestination(t *testing.T, b *zendesk.Brand, in, url, hosts string) {
	t.Helper()
	got, err := b.ReturnTo(in)
	if err != nil || got.URL != url || !slices.Equal(got.Hosts, strings.Fields(hosts)) {
		t.Errorf("ReturnTo(%q) = %+v, %v; want %s at %q", in, got, err, url, hosts)
	}
}

// TestReturnToRefuses contains every bypass of returnto_bypass_test.go. Some of them lead to the
// brand in current browsers. They are refused too, because a proxy or server may read the URL
// differently.
func TestReturnToRefuses(t *testing.T) {
	b := testProfile(t).Brand("")
	seen := map[string]bool{}
	for _, group := range returnToBypasses {
		for _, s := range group.shapes {
			if seen[s] {
				t.Errorf("%q is listed twice", s)
			}
			seen[s] = true
			d, err := b.ReturnTo(s)
			if err == nil || d.URL != "" || d.Hosts != nil {
				t.Errorf("%s: ReturnTo(%q) = %+v, %v", group.name, s, d, err)
				continue
			}
			var foreign *zendesk.ForeignError
			if errors.As(err, &foreign) != group.foreign {
				t.Errorf("%s: ReturnTo(%q): %v; ForeignError should be %t", group.name, s, err, group.foreign)
			}
		}
	}
	if len(seen) < 150 {
		t.Errorf("%d bypasses, want 150 or more", len(seen))
	}
}

func TestReturnToSaysWhy(t *testing.T) {
	b := testProfile(t).Brand("")
	for in, why := range map[string]string{
		"/a\nb":          "control character (0x0A) at byte 2",
		"/a\u0085b":      "control character (0x85) at byte 2",
		`/a\b`:           "backslash before any ? or #",
		"/a\xffb":        "UTF-8",
		"hc":             "neither a path",
		"":               "neither a path",
		"/%zz":           "write a percent sign as %25",
		"//evil.example": "two slashes",
		"https://evil.example/": "start with one of https://acme.zendesk.com/, https://help.acme.com/, " +
			"https://hilfe.acme.de/",
		"/%09/evil.example":             "control character in its decoded path",
		"/access/jwt":                   "below /access/ or /auth/",
		"/access/return_to":             "without a return_to",
		"/hc?return_to=//x":             "has a nested URL that starts with two slashes",
		"/hc?return_to=hc":              "has a nested URL that is neither a path",
		"/" + strings.Repeat("x", 2048): "longer than 2048 bytes",
		"/" + strings.Repeat("é", 342):  "longer than 2048 bytes", // 1 + 342 * 6
	} {
		if _, err := b.ReturnTo(in); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ReturnTo(%.40q): %v; want … %s …", in, err, why)
		}
	}
	if _, err := b.ReturnTo("/" + strings.Repeat("é", 341)); err != nil {
		t.Errorf("2047 bytes once encoded: %v", err)
	}
}

// TestReturnToNested checks URLs with other URLs in them that may be sent, and that the hosts of the
// nested ones are reported.
func TestReturnToNested(t *testing.T) {
	b := testProfile(t).Brand("")
	for in, hosts := range map[string]string{
		"/hc/change_language/de?return_to=%2Fhc%2Fde": "",
		"/hc?return_to=":                                                     "",
		"/hc?return_to=/hc%3Fq%3Da%2Bb%2526c":                                "",
		"/access/return_to?return_to=/hc%3Fd%3Da%250Ab%25FF%2525":            "",
		"/hc?return_to=/hc%3Fd%3Da%250Ab":                                    "", // a line break in the nested query
		"/hc?return_to=https%3A%2F%2Fhelp.acme.com":                          "help.acme.com",
		"/hc?a=b;returnTo[]=HTTPS://Help.acme.com:443":                       "help.acme.com",
		"https://acme.zendesk.com/hc?return_to=https://help.acme.com/":       "acme.zendesk.com help.acme.com",
		"/hc?a=b%26return_to%3Dhttps%253A%252F%252Fhilfe.acme.de":            "hilfe.acme.de",
		"/agent#/x?return_to=/hc":                                            "",
		"/hc/de/search?query=https://foo":                                    "",
		"/hc/de/search?query=login+//logout/access":                          "",
		"/hc?tf_description=Return+to+store,+order%3D5%26x%3D//y":            "",
		"/oauth/authorizations/new?redirect_uri=https%3A%2F%2Fapp.example":   "", // Zendesk compares it with its list
		"/hc/de/search?query=return_to":                                      "",
		"/hc?next=https://evil.example&url=//evil.example":                   "", // Zendesk doesn't read them
		"/hc/en-us/articles/1-login":                                         "",
		"/hc/en-us/articles/logout":                                          "",
		"/hc/en-us/p/signin":                                                 "",
		"/hc/en-us/articles/1-login?query=login":                             "",
		"/hc/login-help":                                                     "",
		"/logins":                                                            "",
		"/pinging":                                                           "",
		"/access/return_to?return_to=/hc":                                    "",
		"/access/return_to?return_to=https%3A%2F%2Facme.zendesk.com":         "acme.zendesk.com",
		"/access/return_to?a=b&return_to=https%3A%2F%2Fhelp.acme.com%2Fhc":   "help.acme.com",
		"https://help.acme.com/access/return_to?return_to=%2Fhc#x":           "help.acme.com",
		"/access/return_to?return_to=/access/return_to?return_to=/hc":        "",
		"/auth/v2/login/signed_in":                                           "",
		"/auth/v2/login/signed_in?auth_origin=360001,true,true&theme=hc":     "",
		"/auth/v2/login/signed_in?auth_origin=360001%2Ctrue%2Ctrue&theme=hc": "",
		"/auth/v2/login/signed_in?auth_origin=eyJhIjoxfQ==.a_b-c&role=agent": "",
		"/auth/v2/login/signed_in?auth_origin=help.acme.com":                 "help.acme.com",
		"/auth/v2/login/signed_in?auth_origin=1,true,true&return_to=%2Fhc":   "",
		"/hc?return_to=%2Fauth%2Fv2%2Flogin%2Fsigned_in%3Ftheme%3Dhc":        "",
	} {
		d, err := b.ReturnTo(in)
		got := slices.Compact(slices.Sorted(slices.Values(d.Hosts)))
		if err != nil || d.URL != sentAs(in) || !slices.Equal(got, strings.Fields(hosts)) {
			t.Errorf("ReturnTo(%q) = %+v, %v; want the hosts %q", in, d, err, hosts)
		}
	}
}

// sentAs returns how the URLs of TestReturnToNested are sent.
func sentAs(s string) string { return strings.NewReplacer("[", "%5B", "]", "%5D").Replace(s) }

// TestReturnToZendeskTargets checks that a setting refuses Zendesk's own targets.
func TestReturnToZendeskTargets(t *testing.T) {
	for _, on := range []bool{true, false} {
		b := testProfile(t, func(s *zendesk.Settings) { s.ZendeskTargets = &on }).Brand("")
		for _, in := range []string{
			"/access/return_to?return_to=/hc", "/auth/v2/login/signed_in?auth_origin=1,true,true&theme=hc",
			"/hc?return_to=/auth/v2/login/signed_in",
		} {
			_, err := b.ReturnTo(in)
			var foreign *zendesk.ForeignError
			if on != (err == nil) || !on && !errors.As(err, &foreign) {
				t.Errorf("%s with zendesk_targets %t: %v", in, on, err)
			}
		}
	}
}

// TestReturnToCost checks that a path is read without an allocation, and that nested URLs can't make
// one expensive.
func TestReturnToCost(t *testing.T) {
	b := testProfile(t).Brand("")
	for in, most := range map[string]float64{
		"/hc/en-us/requests/42?page=2&sort_by=created_at#x":                 0,
		"https://help.acme.com/hc/en-us":                                    4,
		"/hc?" + strings.Repeat("return_to=/hc?return_to=;", 80):            2000,
		"/hc?" + strings.Repeat(";return_to=%2Fa%3F", 100):                  2000,
		"/hc?return_to=/a%26" + strings.Repeat("%2525return_to=/hc%26", 90): 6000,
	} {
		if n := testing.AllocsPerRun(10, func() { _, _ = b.ReturnTo(in) }); n > most {
			t.Errorf("%v allocations for %.60s", n, in)
		}
	}
}

// TestReturnToOtherBrand checks that a brand doesn't accept the hosts of another brand of the
// profile.
func TestReturnToOtherBrand(t *testing.T) {
	p := testProfile(t)
	for _, test := range []struct {
		brand, in string
		ok        bool
	}{
		{"360001", "https://acme.zendesk.com/", true},
		{"360001", "https://acme-labs.zendesk.com/", false},
		{"360002", "https://acme-labs.zendesk.com/", true},
		{"360002", "https://acme.zendesk.com/", false},
		{"360002", "https://help.acme.com/", false},
	} {
		_, err := p.Brand(test.brand).ReturnTo(test.in)
		var foreign *zendesk.ForeignError
		if (err == nil) != test.ok || err != nil && !errors.As(err, &foreign) {
			t.Errorf("brand %s, %s: %v", test.brand, test.in, err)
		}
	}
}

// TestReturnToAtLoopback checks that return_to may name the exact origin of the sandbox, and no
// other origin over plain http. It may still name the brand's hosts.
func TestReturnToAtLoopback(t *testing.T) {
	b := testProfile(t, func(s *zendesk.Settings) { s.Endpoint = "http://{subdomain}.localhost:8081" }).Brand("")
	for _, in := range []string{"http://acme.localhost:8081", "HTTP://ACME.localhost:8081"} {
		wantDestination(t, b, in, "http://acme.localhost:8081/", "acme.localhost:8081")
	}
	for in, host := range map[string]string{
		"/hc":                             "",
		"http://acme.localhost:8081/":     "acme.localhost:8081",
		"http://acme.localhost:8081/hc?a": "acme.localhost:8081",
		"https://help.acme.com/":          "help.acme.com",
		"https://acme.zendesk.com/hc":     "acme.zendesk.com",
	} {
		wantDestination(t, b, in, in, host)
		if host != "" && !b.HasHost(host) {
			t.Errorf("HasHost(%q) is false", host)
		}
	}
	for _, in := range []string{
		"http://acme.localhost/", "http://acme.localhost:8082/", "http://acme.localhost:80810/",
		"https://acme.localhost:8081/",
		"http://localhost:8081/", "http://acme-labs.localhost:8081/",
		"http://acme.localhost:8081@evil.example/",
		"http://127.0.0.1:8081/", "http://help.acme.com/", "http://acme.zendesk.com/",
		"http://acme.localhost:8081/access/jwt", "http://acme.localhost:08081/", "http://me@acme.localhost:8081/",
		"http://acme.localhost:8081:80/", "http://acme.localhost:8081:", "http://acme.localhost:80:8081/",
	} {
		if d, err := b.ReturnTo(in); err == nil {
			t.Errorf("ReturnTo(%q) = %+v", in, d)
		}
	}
	for _, host := range []string{
		"", "localhost", "acme.localhost", "acme.localhost:8082", "evil.example", "https://help.acme.com",
	} {
		if b.HasHost(host) {
			t.Errorf("HasHost(%q) is true", host)
		}
	}
}

// TestCheckReturnTo checks that the profile decides what happens to an invalid return_to.
func TestCheckReturnTo(t *testing.T) {
	refuse, home := testProfile(t), testProfile(t, homeOnBadReturn)
	at := func(s string) zendesk.SignIn { return testSignIn(func(r *zendesk.SignIn) { r.ReturnTo = s }) }
	for _, p := range []*zendesk.Profile{refuse, home} {
		for in, want := range map[string]string{
			"": "", "/hc/a b": "/hc/a%20b", "https://help.acme.com": "https://help.acme.com/",
		} {
			checked, err := p.Check(p.Brand(""), at(in))
			if err != nil || checked.ReturnTo.URL != want || len(checked.Warnings) > 0 {
				t.Errorf("%q: %+v, %v", in, checked, err)
			}
		}
	}
	for in, why := range map[string]string{
		"https://evil.example/": "start with one of",
		"//x":                   "two slashes",
		"/access/jwt":           "/access/",
		"/\n":                   "control",
		"hc":                    "neither",
	} {
		_, err := refuse.Check(refuse.Brand(""), at(in))
		var foreign *zendesk.ForeignError
		if errors.As(err, &foreign) {
			if !strings.Contains(foreign.Description, why) {
				t.Errorf("%q: %v", in, err)
			}
		} else {
			wantFaults(t, faultsOf(t, err), fault{"return_to", why})
		}
		checked, err := home.Check(home.Brand(""), at(in))
		if err != nil || checked.ReturnTo.URL != "" {
			t.Errorf("%q: %+v, %v; want it left out", in, checked, err)
			continue
		}
		wantFaults(t, checked.Warnings, fault{"return_to", why})
		if !strings.HasSuffix(checked.Warnings[0].Description, "left out") {
			t.Errorf("the warning %q doesn't say that return_to was left out", checked.Warnings[0])
		}
	}
}

// TestReturnToProperty combines pieces of known bypasses at random.
func TestReturnToProperty(t *testing.T) {
	pieces := []string{
		"/", "//", "/", `\`, "/", ".", "..", "/..", ":", "@", "?", "#", "%2f", "%5c", "%2e", "%252e", "%09", "%00", "%",
		"%25zz", "\t", "\n", "\r", " ",
		"http:", "https:", "https://", "HTTPS://", "javascript:", "data:", "acme.zendesk.com", "help.acme.com",
		"evil.example", "ACME", ".evil.example",
		"access", "%61ccess", "%2561ccess", "auth", "AUTH", "jwt", "hc", "en-us", ":443", ":80", "me:pw@", "[::1]", "é",
		"。", "／", "\u200b", "x", "a b", ";x",
		"https://acme.zendesk.com/", "https://help.acme.com/", "https://acme.zendesk.com", "/hc/",
		"/hc?", "&", ";", "=", "%26", "%3d", "%3f", "return_to=", "return%5Fto=", "/hc?return_to=", "%2Fhc", "%2F%2F",
		"/access/return_to?return_to=", "/auth/v2/login/signed_in?", "auth_origin=", "/logout", "signin", "ping",
		`"`, "|", "[", "^", "+", "HTTPS://HELP.acme.com:443",
	}
	b := testProfile(t).Brand("")
	random := rand.New(rand.NewPCG(1, 2))
	passed, absolute, nested := 0, 0, 0
	for range 100_000 {
		var s strings.Builder
		for range 1 + random.IntN(7) {
			s.WriteString(pieces[random.IntN(len(pieces))])
		}
		d, err := b.ReturnTo(s.String())
		if err != nil {
			continue
		}
		passed++
		if len(d.Hosts) > 0 {
			absolute++
		}
		if strings.Contains(d.URL, "return_to=/") {
			nested++
		}
		wantAtBrand(t, s.String(), d)
	}
	if passed < 5000 || absolute < 500 || nested < 100 {
		t.Errorf("only %d random URLs were accepted, %d absolute and %d with nested ones", passed, absolute, nested)
	}
}
