package zendesk

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deskmint/deskmint/service/text"
)

// blank reports whether nothing of s would be visible.
func blank(s string) bool {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || text.IsJoiner(r) }) == ""
}

// ParseEmail returns the address in the only form that policy and token use: lower-cased ASCII. It
// deliberately accepts less than RFC 5322. Comments, quoted local parts, display names and
// similar characters can make one address appear as another. The error names the broken rule.
func ParseEmail(s string) (string, error) {
	local, domain, found := strings.Cut(s, "@")
	switch {
	case s == "":
		return "", errFault("is required")
	case len(s) > 254:
		return "", errFault("is longer than 254 bytes")
	case strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r == utf8.RuneError }):
		return "", errFault("contains a character outside ASCII: send international domains in their xn-- form")
	case !found || strings.Contains(domain, "@"):
		return "", errFault("must have exactly one @")
	case len(local) == 0 || len(local) > 64:
		return "", errFault("must have 1 to 64 bytes before the @")
	case strings.ContainsFunc(local, func(r rune) bool { return r != '.' && !isAtom(r) }):
		return "", errFault("has a character before the @ that is not allowed unquoted: " +
			"send the bare address, without a display name, quotes or comments")
	case strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, ".."):
		return "", errFault("has a dot at the start or end of the part before the @, or two in a row")
	case !isDomain(domain):
		return "", errFault("has no domain name of two labels or more after the @")
	}
	return strings.ToLower(s), nil
}

// EmailDomain returns the part of a parsed address after the @.
func EmailDomain(email string) string {
	_, domain, _ := strings.Cut(email, "@")
	return domain
}

// errFault describes a broken rule, in words that follow a field's name.
type errFault string

func (e errFault) Error() string { return string(e) }

// isAtom reports whether r is an atext of RFC 5322.
func isAtom(r rune) bool {
	return isAlphanumeric(r) || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isDomain reports whether s is a host name of letters, digits and hyphens with at least two labels
// (RFC 1123 section 2.1) that can't be parsed as an IPv4 address.
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.ContainsFunc(l, func(r rune) bool { return r != '-' && !isAlphanumeric(r) }) {
			return false
		}
	}
	return len(labels) >= 2 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}
