package zendesk

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxReturnTo = 2048

var errTooLong = errFault(fmt.Sprintf("is longer than %d bytes once percent-encoded", maxReturnTo))

// headLength returns the length of a URL's scheme and authority. It is 0 for a path, and for a URL
// without an authority.
func headLength(s string) int {
	start := 0
	if !strings.HasPrefix(s, "//") {
		if start = strings.IndexAny(s, ":/?#"); start < 0 || !strings.HasPrefix(s[start:], "://") {
			return 0
		}
		start++
	}
	start += len("//")
	if end := strings.IndexAny(s[start:], "/?#"); end >= 0 {
		return start + end
	}
	return len(s)
}

// encodeReturnTo percent-encodes what RFC 3986 doesn't allow as it is in a path, query or fragment.
// An escape stays as it is, so encoding twice changes nothing more. A percent sign that starts no
// escape is encoded in a query, where people search for "100% off". Elsewhere it is refused, because
// servers disagree about it. A backslash is encoded behind the path, and refused before, because
// browsers read it as a slash there. Spaces at the end are removed, as browsers do.
func encodeReturnTo(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errFault("is not valid UTF-8")
	}
	s = strings.TrimRight(s, " ")
	var e strings.Builder
	head, part, done := headLength(s), byte('/'), 0 // s[:done] is in e
	for i, r := range s {
		switch {
		case unicode.IsControl(r):
			return "", errFault(fmt.Sprintf("holds a control character (0x%02X) at byte %d", r, i))
		case r == '?' && part == '/', r == '#' && part != '#':
			part = byte(r)
			continue
		case r == '\\' && part == '/':
			return "", errFault("holds a backslash before any ? or #, which browsers read as a slash")
		case r == '%':
			if i < head || isEscape(s[i:]) {
				continue
			}
			if part != '?' {
				return "", errFault("can't be read as a URL: write a percent sign as %25")
			}
		case r > ' ' && r <= unicode.MaxASCII && (i < head || strings.IndexByte("\"#<>[\\]^`{|}", byte(r)) < 0):
			continue
		}
		e.WriteString(s[done:i])
		done = i + utf8.RuneLen(r)
		for _, c := range []byte(s[i:done]) {
			e.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&0xF]})
		}
		if e.Len() > maxReturnTo {
			return "", errTooLong
		}
	}
	if e.Len()+len(s)-done > maxReturnTo {
		return "", errTooLong
	}
	if done == 0 {
		return s, nil // most need no encoding
	}
	e.WriteString(s[done:])
	return e.String(), nil
}

const hexDigits = "0123456789ABCDEF"

// isEscape reports whether s, which starts with a percent sign, starts with an escape.
func isEscape(s string) bool {
	return len(s) >= 3 && strings.Trim(s[1:3], hexDigits+"abcdef") == ""
}
