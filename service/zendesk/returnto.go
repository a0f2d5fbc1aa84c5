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

// escape is one percent-encoded byte. What isn't one stands for itself, as lenient
// servers have it; a decoder that gives up there would miss those around it.
var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// Destination is a return_to that may be posted.
type Destination struct {
	// URL is what to post: ASCII, percent-encoded, a path or an absolute URL.
	URL string
	// Host is the host of an absolute URL, with its port if any; empty for a path,
	// which stays at the brand's subdomain.
	Host string
}

// ForeignError says that a return_to is well formed and leads to where the brand
// doesn't let people be sent.
type ForeignError struct{ Fault string }

func (e *ForeignError) Error() string { return "return_to " + e.Fault }

// ReturnTo checks where a person is to be sent after signing in. What Zendesk does
// with foreign places nobody says, so only these pass: a path, or an https URL
// whose host is byte for byte the brand's subdomain or one of its mapped hosts;
// nothing below /access/ or /auth/, where a visit has effects of its own; and no
// path that some reader would take for either, or that hides a control character.
// Spaces and characters outside ASCII, which web frameworks hand over decoded,
// are percent-encoded.
//
// The error is a [*ForeignError] for a place that isn't the brand's, and names the
// broken rule otherwise.
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
	// As it is written: u's own may have been decoded and encoded anew.
	written := encoded[len(origin):]
	if end := strings.IndexAny(written, "?#"); end >= 0 {
		written = written[:end]
	}
	if fault := pathFault(written); fault != "" {
		return Destination{}, &ForeignError{fault}
	}
	return Destination{URL: encoded, Host: host}, nil
}

// ownOrigin compares bytes rather than parsed parts: a user name, a port, another
// case or a host that merely begins like the brand's then needs no rule of its own.
// The parts must agree all the same, so that two readings have to be wrong at once.
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
		return s, nil // as nearly all of them are
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

// pathFault holds a path against every reading that a browser or a server may have
// of it: with dot segments resolved or not, slashes merged or not, and decoded up to
// three times. The browser's own is one of them, but a server that redirects to
// what it has read hands another to it.
//
// Query and fragment are left as they are, encoded control characters included: neither
// chooses a host, and line breaks have an honest use there, as in links to a ticket form
// that fill in its description.
func pathFault(p string) string {
	for range 4 {
		p = strings.ReplaceAll(p, `\`, "/")
		for _, reading := range readings(p) {
			switch {
			case strings.ContainsFunc(reading, isASCIIControl):
				return "has a control character in its path once it is decoded: browsers drop some, and at others a header ends"
			case strings.HasPrefix(reading, "//"):
				return "has a path that starts with two slashes once it is decoded and shortened, which leads to another host"
			case private(reading):
				return "leads below /access/ or /auth/, where Zendesk signs people in and out"
			}
		}
		if !strings.Contains(p, "%") {
			break
		}
		p = escape.ReplaceAllStringFunc(p, func(e string) string {
			b, _ := hex.DecodeString(e[1:]) // what matched is hexadecimal
			return string(b)
		})
	}
	return ""
}

// readings are what a path may be shortened to. Without dot segments and empty ones there
// is nothing to shorten.
func readings(p string) []string {
	if !strings.Contains(p, "/.") && !strings.Contains(p, "//") {
		return []string{p}
	}
	return []string{p, withoutDots(p), path.Clean(p)}
}

func isASCIIControl(r rune) bool { return r < ' ' || r == 0x7F }

// withoutDots resolves dot segments (RFC 3986 section 5.2.4) and, other than
// path.Clean, leaves empty segments.
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
