package zendesk_test

import (
	"net/url"
	"strings"
	"testing"
)

// browserOrigin returns the origin that a browser at https://HOST/access/jwt reaches by following
// s: scheme and host, with the port if it isn't the default. It follows the basic parser of the
// WHATWG URL standard as far as that determines the origin. It shares no code with the code under
// test, and is lenient where browsers are.
func browserOrigin(host, s string) string {
	s = strings.Trim(s, controlsAndSpace)
	s = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)

	scheme, rest, found := cutScheme(s)
	if !found {
		scheme, rest = "https", s
	}
	defaultPort, special := map[string]string{
		"http":  "80",
		"https": "443",
		"ws":    "80",
		"wss":   "443",
		"ftp":   "21",
	}[scheme]
	if !special {
		return scheme + ":" // javascript:, data:, file:, …: never at the brand
	}
	slash := func(i int) bool { return i < len(rest) && (rest[i] == '/' || rest[i] == '\\') }
	if scheme == "https" && !(slash(0) && slash(1)) {
		// The URL is relative to the page. So are "https:/x" and "https:x", because the schemes are
		// equal.
		return "https://" + host
	}
	authority := strings.TrimLeft(rest, `/\`)
	if i := strings.IndexAny(authority, `/\?#`); i >= 0 {
		authority = authority[:i]
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	name, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		name, port = authority[:i], authority[i+1:]
	}
	if decoded, err := url.PathUnescape(name); err == nil {
		name = decoded
	}
	name = strings.ToLower(name)
	if port = strings.TrimLeft(port, "0"); port != "" && port != defaultPort {
		name += ":" + port
	}
	return scheme + "://" + name
}

// controlsAndSpace contains the characters that browsers remove at both ends.
var controlsAndSpace = func() string {
	b := make([]byte, 0x21)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}()

func cutScheme(s string) (scheme, rest string, found bool) {
	scheme, rest, found = strings.Cut(s, ":")
	if !found || scheme == "" {
		return "", s, false
	}
	for i, r := range strings.ToLower(scheme) {
		letter := r >= 'a' && r <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return "", s, false
		}
	}
	return strings.ToLower(scheme), rest, true
}

// TestBrowserOrigin checks that browserOrigin can be deceived as real browsers can. Only then can
// the tests that use it fail.
func TestBrowserOrigin(t *testing.T) {
	const brand = "https://acme.zendesk.com"
	for s, want := range map[string]string{
		"/hc":                                    brand,
		"/a/../b":                                brand,
		"hc":                                     brand,
		"?x":                                     brand,
		"#//evil.example":                        brand,
		"https:/hc":                              brand,
		"https:hc":                               brand,
		"https://acme.zendesk.com/":              brand,
		"HTTPS://ACME.zendesk.com":               brand,
		"https://acme.zendesk.com:443/":          brand,
		"https://me:pw@acme.zendesk.com/":        brand,
		"https://acme%2ezendesk.com/":            brand,
		"\x00 https://acme.zendesk.com/":         brand,
		"https://acme.zendesk.com:8443/":         brand + ":8443",
		"//evil.example":                         "https://evil.example",
		"///evil.example":                        "https://evil.example",
		`/\evil.example`:                         "https://evil.example",
		`\\evil.example`:                         "https://evil.example",
		`https:/\evil.example`:                   "https://evil.example",
		"/\t/evil.example":                       "https://evil.example",
		"\x01//evil.example":                     "https://evil.example",
		"https:////evil.example":                 "https://evil.example",
		"http:evil.example":                      "http://evil.example",
		"http:/evil.example":                     "http://evil.example",
		"ht\ntps://evil.example":                 "https://evil.example",
		"https://acme.zendesk.com@evil.example":  "https://evil.example",
		`https://evil.example\@acme.zendesk.com`: "https://evil.example",
		"https://evil.example#@acme.zendesk.com": "https://evil.example",
		"https://evil.example?@acme.zendesk.com": "https://evil.example",
		"https://acme.zendesk.com.evil.example/": "https://acme.zendesk.com.evil.example",
		"javascript:alert(1)":                    "javascript:",
		"java\nscript:alert(1)":                  "javascript:",
		"https://[::1]:80/":                      "https://[::1]:80",
	} {
		if got := browserOrigin("acme.zendesk.com", s); got != want {
			t.Errorf("browserOrigin(%q) = %s, want %s", s, got, want)
		}
	}
}
