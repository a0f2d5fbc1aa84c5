package zendesk_test

import (
	"errors"
	"math/rand/v2"
	"net/url"
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
		{"/hc?a[]=1&a[]=2", "/hc?a[]=1&a[]=2", ""},
		{"/hc?q=100%", "/hc?q=100%", ""},
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
		{"/?return_to=/access/jwt", "/?return_to=/access/jwt", ""},
		{"/@evil.example", "/@evil.example", ""},
		{"/:80", "/:80", ""},
		{"/evil.example", "/evil.example", ""},
		{"/https://evil.example", "/https://evil.example", ""},
		{"/hc/😀", "/hc/%F0%9F%98%80", ""},
		{"/<script>'\"", "/<script>'\"", ""},
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
		got, err := testProfile(t).Brand("").ReturnTo(test.in)
		if want := (zendesk.Destination{URL: test.url, Host: test.host}); err != nil || got != want {
			t.Errorf("ReturnTo(%q) = %+v, %v; want %+v", test.in, got, err, want)
		}
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
			if err == nil || d != (zendesk.Destination{}) {
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
		`/a\b`:           "backslash",
		"/a\xffb":        "UTF-8",
		"hc":             "neither a path",
		"":               "neither a path",
		"/%zz":           "can't be read as a URL",
		"//evil.example": "two slashes",
		"https://evil.example/": "start with one of https://acme.zendesk.com/, https://help.acme.com/, " +
			"https://hilfe.acme.de/",
		"/%09/evil.example":             "control character in its decoded path",
		"/access/jwt":                   "below /access/ or /auth/",
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
	for in, host := range map[string]string{
		"/hc":                             "",
		"http://acme.localhost:8081/":     "acme.localhost:8081",
		"http://acme.localhost:8081/hc?a": "acme.localhost:8081",
		"https://help.acme.com/":          "help.acme.com",
		"https://acme.zendesk.com/hc":     "acme.zendesk.com",
	} {
		if d, err := b.ReturnTo(in); err != nil || d.URL != in || d.Host != host {
			t.Errorf("ReturnTo(%q) = %+v, %v", in, d, err)
		}
		if host != "" && !b.HasHost(host) {
			t.Errorf("HasHost(%q) is false", host)
		}
	}
	for _, in := range []string{
		"http://acme.localhost/", "http://acme.localhost:8082/", "http://acme.localhost:80810/",
		"https://acme.localhost:8081/",
		"http://localhost:8081/", "http://acme-labs.localhost:8081/", "http://acme.localhost:8081",
		"http://acme.localhost:8081@evil.example/",
		"http://ACME.localhost:8081/", "http://127.0.0.1:8081/", "http://help.acme.com/", "http://acme.zendesk.com/",
		"http://acme.localhost:8081/access/jwt", "http://acme.localhost:08081/", "http://me@acme.localhost:8081/",
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
		for in, want := range map[string]zendesk.Destination{
			"":                       {},
			"/hc/a b":                {URL: "/hc/a%20b"},
			"https://help.acme.com/": {URL: "https://help.acme.com/", Host: "help.acme.com"},
		} {
			checked, err := p.Check(p.Brand(""), at(in))
			if err != nil || checked.ReturnTo != want || len(checked.Warnings) > 0 {
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
		if err != nil || checked.ReturnTo != (zendesk.Destination{}) {
			t.Errorf("%q: %+v, %v; want it left out", in, checked, err)
			continue
		}
		wantFaults(t, checked.Warnings, fault{"return_to", why})
		if !strings.HasSuffix(checked.Warnings[0].Description, "left out") {
			t.Errorf("the warning %q doesn't say that return_to was left out", checked.Warnings[0])
		}
	}
}

// wantAtBrand checks that the destination leads a browser to the brand, that net/url reads it in
// the same way, that it is printable ASCII, and that it is not below /access/ or /auth/.
func wantAtBrand(t *testing.T, s string, d zendesk.Destination) {
	t.Helper()
	hosts := []string{"acme.zendesk.com", "help.acme.com", "hilfe.acme.de"}
	home := hosts[0] // where a path leads
	if d.Host != "" {
		home = d.Host
	}
	if got := browserOrigin(hosts[0], d.URL); got != "https://"+home {
		t.Fatalf("%q leads to %s as %q", s, got, d.URL)
	}
	known := false
	for _, h := range hosts {
		known = known || h == home
	}
	u, err := url.Parse(d.URL)
	if !known || err != nil || u.Host != d.Host || u.User != nil || u.Opaque != "" {
		t.Fatalf("%q at %q is parsed as %+v, %v", s, d.Host, u, err)
	}
	invalid := func(r rune) bool { return r < 0x21 || r > 0x7E || r == '\\' }
	if len(d.URL) > 2048 || strings.ContainsFunc(d.URL, invalid) {
		t.Fatalf("%q is sent as %q", s, d.URL)
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(d.URL, "https://"+d.Host), "#")
	path, _, _ = strings.Cut(path, "?")
	for range 4 { // as written, and decoded one, two and three times
		if strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7F }) {
			t.Fatalf("%q has a control character in the reading %q", s, path)
		}
		for _, shortened := range []string{path, shorten(path, false), shorten(path, true)} {
			if strings.HasPrefix(shortened, "//") {
				t.Fatalf("%q leads to another host in the reading %q", s, shortened)
			}
			for _, p := range []string{"/access", "/auth"} {
				if shortened == p || strings.HasPrefix(shortened, p+"/") {
					t.Fatalf("%q leads below %s/ as %q", s, p, d.URL)
				}
			}
		}
		path = unescapeLenient(path)
	}
}

// shorten returns a path as a server may read it: in lower case and with dot segments resolved.
// Some servers also drop empty segments.
func shorten(path string, dropEmpty bool) string {
	var kept []string
	path = strings.ReplaceAll(strings.ToLower(path), `\`, "/")
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch {
		case segment == ".", segment == "" && dropEmpty:
		case segment == "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unescapeLenient decodes each %XX and leaves everything else unchanged, as lenient servers do.
func unescapeLenient(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if i+3 <= len(s) && s[i] == '%' {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
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
	}
	b := testProfile(t).Brand("")
	random := rand.New(rand.NewPCG(1, 2))
	passed, absolute := 0, 0
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
		if d.Host != "" {
			absolute++
		}
		wantAtBrand(t, s.String(), d)
	}
	if passed < 5000 || absolute < 500 {
		t.Errorf("only %d random URLs were accepted, %d of them absolute", passed, absolute)
	}
}
