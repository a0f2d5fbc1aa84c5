package zendesk_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/zendesk"
)

// brandHosts are the hosts of the test brand. A path leads to the first.
var brandHosts = []string{"acme.zendesk.com", "help.acme.com", "hilfe.acme.de"}

// sentURL is the grammar of RFC 3986 for a path or an https URL.
var sentURL = regexp.MustCompile(`^(https://[a-z.]+)?(/([\w.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)` +
	`(\?([\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?(#([\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$`)

// wantAtBrand checks that the destination is written as RFC 3986 has it, that it leads a browser to
// the brand, that net/url reads it in the same way, and that the hosts are complete. wantHarmless
// checks the path, and the URLs nested in it.
func wantAtBrand(t *testing.T, s string, d zendesk.Destination) {
	t.Helper()
	parts := sentURL.FindStringSubmatch(d.URL)
	if parts == nil || len(d.URL) > 2048 {
		t.Fatalf("%q is sent as %q", s, d.URL)
	}
	home, host := "https://"+brandHosts[0], ""
	if parts[1] != "" {
		home, host = parts[1], strings.TrimPrefix(parts[1], "https://")
		if len(d.Hosts) == 0 || d.Hosts[0] != host {
			t.Fatalf("%q at %s has the hosts %q", s, host, d.Hosts)
		}
	}
	if got := browserOrigin(brandHosts[0], d.URL); got != home {
		t.Fatalf("%q leads to %s as %q", s, got, d.URL)
	}
	if u, err := url.Parse(d.URL); err != nil || u.Host != host || u.User != nil || u.Opaque != "" {
		t.Fatalf("%q at %q is parsed as %+v, %v", s, host, u, err)
	}
	wantHarmless(t, s, d.URL, d.Hosts, 0)
}

// signsIn matches the paths at which Zendesk signs people in or out or redirects them again.
var signsIn = regexp.MustCompile(`^/((access|auth|ping)|(hc/)?([^/]*/)?` +
	`(login|logout|signin|signout|sign_in|sign_out))([./;?#& ]|$)`)

// wantHarmless checks that a URL leads to the brand, in the readings of its path that a server may
// have, and that the URLs nested in it do.
func wantHarmless(t *testing.T, s, at string, hosts []string, depth int) {
	t.Helper()
	origin := browserOrigin(brandHosts[0], at)
	host := strings.TrimPrefix(origin, "https://")
	if !slices.Contains(brandHosts, host) || !strings.HasPrefix(at, "/") && !slices.Contains(hosts, host) {
		t.Fatalf("%q leads to %q by %q, and has the hosts %q", s, origin, at, hosts)
	}
	path := at
	if _, rest, absolute := strings.Cut(at, "://"); absolute && !strings.HasPrefix(at, "/") {
		path = "/"
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			path = rest[i:]
		}
	}
	path, fragment, _ := strings.Cut(path, "#")
	path, query, _ := strings.Cut(path, "?")
	target := path == "/access/return_to" || path == "/auth/v2/login/signed_in"
	texts := []string{query, fragment}
	if !target {
		wantHarmlessPath(t, s, path)
		texts = append(texts, path) // a server may decode the start of a query in it
	}
	if depth > 8 {
		t.Fatalf("%q is nested too deeply", s)
	}
	for _, text := range texts {
		for range 3 { // as written, and decoded one and two times
			wantHarmlessQuery(t, s, text, hosts, target, depth)
			text = unescapeLenient(text)
		}
	}
}

func wantHarmlessPath(t *testing.T, s, path string) {
	t.Helper()
	for range 4 { // as written, and decoded one, two and three times
		if strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7F }) {
			t.Fatalf("%q has a control character in the reading %q", s, path)
		}
		for _, shortened := range []string{path, shorten(path, false), shorten(path, true)} {
			if strings.HasPrefix(shortened, "//") {
				t.Fatalf("%q leads to another host in the reading %q", s, shortened)
			}
			if signsIn.MatchString(strings.ToLower(shortened)) {
				t.Fatalf("%q signs in or out in the reading %q", s, shortened)
			}
		}
		path = unescapeLenient(path)
	}
}

// wantHarmlessQuery reads a query as servers do that split it at "&" only, and as those that also
// split it at ";". A second question mark starts a query, too, because fragments have paths.
func wantHarmlessQuery(t *testing.T, s, query string, hosts []string, target bool, depth int) {
	t.Helper()
	for _, separators := range []string{"&", "&;", "&;?"} {
		split := func(r rune) bool { return strings.ContainsRune(separators, r) }
		for _, parameter := range strings.FieldsFunc(query, split) {
			name, value, _ := strings.Cut(parameter, "=")
			value = unescapeLenient(strings.ReplaceAll(value, "+", " "))
			named := strings.Contains(strings.ToLower(unescapeLenient(name)), "return_to")
			leaves := browserOrigin(brandHosts[0], value) != "https://"+brandHosts[0]
			if value != "" && (named || target && separators != "&;?" && leaves) {
				wantHarmless(t, s, value, hosts, depth+1)
			}
		}
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
