package zendesk

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxReturnTo = 2048

// escape matches one percent-encoded byte. Anything else is unchanged, as in lenient servers. A
// decoder that stops at an invalid escape would miss the valid ones around it.
var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// Destination is a return_to that may be posted.
type Destination struct {
	// URL is the URL to post: ASCII, percent-encoded, a path or an absolute URL.
	URL string
	// Host is the host of an absolute URL, with its port if any. It is empty for a path, which
	// stays at the brand's subdomain.
	Host string
}

// ForeignError reports a well-formed return_to that the brand doesn't allow.
type ForeignError struct{ Description string }

func (e *ForeignError) Error() string { return "return_to " + e.Description }

// ReturnTo checks the URL that a person is sent to after signing in. Zendesk doesn't document what
// it does with URLs of other sites, so it accepts only a path, or an https URL with exactly the
// host of the brand's subdomain or of a mapped host. It refuses everything below /access/ or
// /auth/, because a visit there has side effects. It also refuses a path that any reader could
// mistake for one of these or for another host, or that hides a control character. It
// percent-encodes spaces and characters outside ASCII, because web frameworks provide URLs decoded.
//
// The error is a [*ForeignError] for a URL outside the brand. Otherwise it names the broken rule.
func (b *Brand) ReturnTo(s string) (Destination, error) {
	encoded, err := encodeReturnTo(s)
	if err != nil {
		return Destination{}, err
	}
	u, err := url.Parse(encoded)
	if err != nil {
		return Destination{}, errFault("can't be read as a URL")
	}
	var host, origin string
	switch {
	case strings.HasPrefix(encoded, "/"):
		if strings.HasPrefix(encoded, "//") || u.Host != "" || u.Scheme != "" {
			return Destination{}, &ForeignError{
				"starts with two slashes, which leads to another host: give a path with one, or a whole https URL",
			}
		}
	case u.Scheme == "":
		return Destination{}, errFault("is neither a path that starts with a slash nor an https URL")
	default:
		var ok bool
		if origin, ok = b.ownOrigin(encoded, u); !ok {
			return Destination{}, &ForeignError{
				fmt.Sprintf("must be a path, or start with one of %s/", strings.Join(b.origins, "/, ")),
			}
		}
		_, host, _ = strings.Cut(origin, "://")
	}
	// Check the path as written, because u.Path may have been decoded and encoded again.
	written := encoded[len(origin):]
	if end := strings.IndexAny(written, "?#"); end >= 0 {
		written = written[:end]
	}
	if fault := pathFault(written); fault != "" {
		return Destination{}, &ForeignError{fault}
	}
	return Destination{URL: encoded, Host: host}, nil
}

// ownOrigin returns the brand's origin in s. It compares bytes and not parsed parts, so user names,
// ports, other cases and hosts with the same prefix need no further rules. The parsed parts must
// also match, so a mistake in one of the two parsers is not enough.
func (b *Brand) ownOrigin(s string, u *url.URL) (string, bool) {
	for _, o := range b.origins {
		if strings.HasPrefix(s, o+"/") && u.User == nil && u.Opaque == "" && u.Scheme+"://"+u.Host == o {
			return o, true
		}
	}
	return "", false
}

func encodeReturnTo(s string) (string, error) {
	if len(s) <= maxReturnTo &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7F || r == '\\' }) {
		return s, nil // most need no encoding
	}
	if !utf8.ValidString(s) {
		return "", errFault("is not valid UTF-8")
	}
	var e strings.Builder
	for i, r := range s {
		switch {
		case unicode.IsControl(r):
			return "", errFault(fmt.Sprintf("holds a control character (0x%02X) at byte %d", r, i))
		case r == '\\':
			return "", errFault("holds a backslash, which browsers read as a slash")
		case r == ' ' || r > unicode.MaxASCII:
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&e, "%%%02X", c)
			}
		default:
			e.WriteRune(r)
		}
		if e.Len() > maxReturnTo {
			return "", errFault(fmt.Sprintf("is longer than %d bytes once percent-encoded", maxReturnTo))
		}
	}
	return e.String(), nil
}

// pathFault checks a path in every way that a browser or a server may read it: with and without
// resolving dot segments, with and without merging slashes, and decoded up to three times. The
// browser reads it in one of these ways. A server may read it in another way and redirect the
// browser to the result.
//
// Query and fragment are not checked, not even for encoded control characters. Neither of them
// selects a host, and line breaks are useful there, for example in links that fill in the
// description of a ticket form.
func pathFault(p string) string {
	for range 4 {
		p = strings.ReplaceAll(p, `\`, "/")
		for _, reading := range readings(p) {
			switch {
			case strings.ContainsFunc(reading, isASCIIControl):
				return "has a control character in its decoded path: browsers remove some, and others end a header"
			case strings.HasPrefix(reading, "//"):
				return "has a path that starts with two slashes after decoding and shortening: it leads to another host"
			case private(reading):
				return "leads below /access/ or /auth/, where Zendesk signs people in and out"
			}
		}
		if !strings.Contains(p, "%") {
			break
		}
		p = escape.ReplaceAllStringFunc(p, func(e string) string {
			b, _ := hex.DecodeString(e[1:]) // never fails, because escape matches only hexadecimal digits
			return string(b)
		})
	}
	return ""
}

// readings returns the forms that a path may be shortened to. A path without dot segments and empty
// segments has only one.
func readings(p string) []string {
	if !strings.Contains(p, "/.") && !strings.Contains(p, "//") {
		return []string{p}
	}
	return []string{p, withoutDots(p), path.Clean(p)}
}

func isASCIIControl(r rune) bool { return r < ' ' || r == 0x7F }

// withoutDots resolves dot segments (RFC 3986 section 5.2.4). Unlike path.Clean, it keeps empty
// segments.
func withoutDots(p string) string {
	var kept []string
	for segment := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
		switch segment {
		case ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

func private(p string) bool {
	p = strings.ToLower(p)
	for _, folder := range []string{"/access", "/auth"} {
		if rest, ok := strings.CutPrefix(p, folder); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}
