package zendesk

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// returnToParser reads a return_to and the URLs nested in it.
type returnToParser struct {
	seen []string // the nested URLs that have been read, in all their readings
	read int      // bytes of texts, in all their readings
}

// nestedName matches the names of parameters that Zendesk redirects to: return_to,
// return_to_on_failure, redirect_to, and the ways in which frameworks write them, such as
// returnTo and user[return_to][].
//
// Other names, such as next and url, are not checked. Zendesk is not known to read them, and people
// search for URLs. A text with "return to" in it is no name.
var nestedName = regexp.MustCompile(`(?i)(return|redirect)[^a-z]*to[^ ]* *$`)

// maxNested limits the nested URLs of one return_to. Each reading of a nested URL counts, so a chain
// of four URLs is the longest.
const maxNested = 10

// maxRead limits the bytes that are read for nested URLs, in all their readings. It is enough for a
// chain of four URLs with the maximum length. Without it, a value could take milliseconds.
const maxRead = 18 * maxReturnTo

const faultTooMany = "has too many nested URLs"

// spend counts bytes that are read. It adds a fault if there are too many.
func (p *returnToParser) spend(r *ReturnTo, n int) {
	if p.read += n; p.read > maxRead && r.fault == "" {
		r.fault = faultTooMany
	}
}

// scan reads the URLs nested in a part of a URL that has been decoded so many times. It finds
// the parameters that any server could see: behind "&", ";", "?" and "#", and behind encoded ones.
func (p *returnToParser) scan(r *ReturnTo, text string, decoded int) {
	p.spend(r, len(text))
	for pair := range strings.SplitSeq(text, "&") {
		if r.fault != "" {
			return
		}
		p.scanPair(r, pair, decoded)
		if decoded < maxDecodings && strings.Contains(pair, "%") {
			p.scan(r, unescape(pair), decoded+1)
		}
	}
}

// scanPair reads the URLs in a name and value. Some servers see several pairs in them.
func (p *returnToParser) scanPair(r *ReturnTo, pair string, decoded int) {
	name, value, found := strings.Cut(pair, "=")
	for rest := value; found && r.fault == ""; {
		if len(name) >= len("returnto") && nestedName.MatchString(formValue(name)) {
			p.spend(r, len(rest))
			p.add(r, formValue(rest), decoded)
			short, _, _ := strings.Cut(rest, ";")
			p.add(r, formValue(short), decoded)
		}
		name, rest, found = strings.Cut(rest, "=")
	}
	if !r.target {
		return
	}
	p.add(r, urlIn(formValue(value)), decoded)
	for parameter := range strings.SplitSeq(pair, ";") {
		if _, value, found := strings.Cut(parameter, "="); found {
			parameter = value
		}
		for element := range strings.SplitSeq(formValue(parameter), ",") {
			p.add(r, urlIn(element), decoded)
		}
	}
}

// add reads a nested URL. An empty one has no effect.
func (p *returnToParser) add(r *ReturnTo, s string, decoded int) {
	if decoded > 0 {
		s = readable(s)
	}
	if s == "" || r.fault != "" || slices.Contains(p.seen, s) {
		return
	}
	if p.seen = append(p.seen, s); len(p.seen) > maxNested {
		r.fault = faultTooMany
		return
	}
	nested, err := p.parse(s)
	switch {
	case err != nil:
		r.fault = faultNested + err.Error()
	case nested.fault != "":
		r.fault = faultNested + nested.fault
	}
	r.nested = append(r.nested, nested)
}

// readable returns a nested URL that has been decoded more often than most servers do it, without
// the faults that this alone can cause: line breaks and broken escapes in its query, for example.
func readable(s string) string {
	s = strings.ToValidUTF8(s, "x")
	end := strings.IndexAny(s, "?#")
	var out strings.Builder
	for i, r := range s {
		switch {
		case r == '%' && !isEscape(s[i:]):
			out.WriteString("%25")
		case unicode.IsControl(r) && end >= 0 && i > end:
			out.WriteByte(' ')
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// urlIn returns the URL that a server could read from a value that isn't named as one. It returns ""
// if there is none: Zendesk's targets have numbers, words and opaque values.
func urlIn(value string) string {
	start := strings.TrimLeftFunc(value, func(r rune) bool { return r <= ' ' }) // as browsers do
	if strings.HasPrefix(start, "/") || strings.HasPrefix(start, `\`) || strings.Contains(start, ":") {
		return value
	}
	host := start
	if end := strings.IndexAny(host, `/\?#`); end >= 0 {
		host = host[:end]
	}
	if isDomain(host) {
		return "https://" + value
	}
	return ""
}

// formValue decodes a value of a query.
func formValue(s string) string { return unescape(strings.ReplaceAll(s, "+", " ")) }
