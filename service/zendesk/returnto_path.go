package zendesk

import (
	"cmp"
	"encoding/hex"
	"path"
	"regexp"
	"strings"
)

// unescape decodes each percent-encoded byte. Anything else is unchanged, as in lenient servers. A
// decoder that stops at an invalid escape would miss the valid ones around it.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '%' || !isEscape(s[i:]) {
			decoded = append(decoded, c)
			continue
		}
		decoded, _ = hex.AppendDecode(decoded, []byte(s[i+1:i+3]))
		i += 2
	}
	return string(decoded)
}

// maxDecodings is how often a server may decode what it gets.
const maxDecodings = 3

// The paths at which Zendesk redirects to a URL in the query, and which real links have. They are
// compared as written, so no other reading of a path is one of them.
const (
	targetReturnTo = "/access/return_to"
	targetSignedIn = "/auth/v2/login/signed_in"
)

var namesReturnTo = regexp.MustCompile(`[?&]return_to=[^&]`)

const faultSignsIn = "leads to a page where Zendesk signs people in or out or redirects them again, " +
	"such as those below /access/ or /auth/, or /logout"

// pathFault checks a path in every way that a browser or a server may read it: with and without
// resolving dot segments, with and without merging slashes, and decoded up to three times. The
// browser reads it in one of these ways. A server may read it in another way and redirect the
// browser to the result.
//
// Query and fragment are not checked for control characters. Neither of them selects a host, and
// line breaks are useful there, for example in links that fill in the description of a ticket form.
func pathFault(p string) string {
	for range maxDecodings + 1 {
		p = strings.ReplaceAll(p, `\`, "/")
		fault := readingFault(p)
		if fault == "" && (strings.Contains(p, "/.") || strings.Contains(p, "//")) {
			fault = cmp.Or(readingFault(withoutDots(p)), readingFault(path.Clean(p)))
		}
		if fault != "" || !strings.Contains(p, "%") {
			return fault
		}
		p = unescape(p)
	}
	return ""
}

func readingFault(p string) string {
	switch {
	case strings.ContainsFunc(p, isASCIIControl):
		return "has a control character in its decoded path: browsers remove some, and others end a header"
	case strings.HasPrefix(p, "//"):
		return "has a path that starts with two slashes after decoding and shortening: it leads to another host"
	case signsInOrOut(p):
		return faultSignsIn
	}
	return ""
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

// signsInOrOut reports whether a path leads to a page of Zendesk that signs people in or out or
// redirects them again. These are all pages below /access/, /auth/ and /ping/, and pages with a name
// such as logout. In the help centre, only /hc/NAME and /hc/LOCALE/NAME are such pages, because the
// names of articles and custom pages come after more segments.
func signsInOrOut(p string) bool {
	i, helpCentre := 0, false
	for segment := range strings.SplitSeq(strings.TrimPrefix(strings.ToLower(p), "/"), "/") {
		// A server may cut off a format (.json), parameters (;a=b), and what was decoded too often.
		if end := strings.IndexAny(segment, ".;?#& "); end >= 0 {
			segment = segment[:end]
		}
		switch segment {
		case "access", "auth", "ping":
			if i == 0 {
				return true
			}
		case "hc":
			helpCentre = helpCentre || i == 0
		case "login", "logout", "signin", "signout", "sign_in", "sign_out":
			if !helpCentre || i <= 2 {
				return true
			}
		}
		i++
	}
	return false
}
