package page

import (
	"errors"
	"html/template"
	"strings"
	"unicode/utf8"
	"unique"
)

// field is a value that differs from page to page or, from fieldToken on, from request to request.
type field byte

const (
	fieldLanguage field = iota
	fieldTitle
	fieldMessage
	fieldButton
	fieldBrand
	fieldColor
	fieldInk
	fieldLogo
	fieldFormActions
	fieldReferrerPolicy
	fieldAction
	fieldScope
	fieldLoopLimit
	fieldLoopWindow
	fieldStart

	fieldToken
	fieldReturnTo
)

// values holds the values by which a page differs from others of its language, as escaped by
// html/template. They are substrings of one string, because the garbage collector would otherwise
// have to scan a dozen strings for each of 70,000 pages.
type values struct {
	text string
	ends [fieldToken]uint32
	logo unique.Handle[string] // shared by all pages with this logo; zero if there is no logo
}

// newValues returns the values with the given parts. It copies the parts, because they would
// otherwise keep the whole rendered page in memory.
func newValues(parts [fieldToken]string) (v values) {
	if logo := parts[fieldLogo]; logo != "" {
		v.logo, parts[fieldLogo] = unique.Make(strings.Clone(logo)), ""
	}
	v.text = strings.Join(parts[:], "")
	end := 0
	for f, part := range parts {
		end += len(part)
		v.ends[f] = uint32(end) //nolint:gosec // without the logo, the values have thousands of bytes at most
	}
	return v
}

func (v *values) of(f field) string {
	if f == fieldLogo && v.logo != (unique.Handle[string]{}) {
		return v.logo.Value()
	}
	begin := uint32(0)
	if f > 0 {
		begin = v.ends[f-1]
	}
	return v.text[begin:v.ends[f]]
}

// segments are the parts of a page that was rendered once with placeholders, and split at them. The
// page is literals[0], the value of fields[0], literals[1], the value of fields[1], and so on.
type segments struct {
	literals []string
	fields   []field
	size     int // total length of the literals
}

// placeholderPrefix begins every placeholder.
const placeholderPrefix = "DeskmintsMark0"

// placeholder returns the text that marks a field's place while segments are made. It is
// alphanumeric, so that no escaper changes it. It need not be secret, because segments hold no text
// of an operator or a caller.
func (f field) placeholder() string { return placeholderPrefix + string('a'+rune(f)) }

// split splits a page that was rendered with placeholders.
func split(html string) segments {
	parts := strings.Split(html, placeholderPrefix)
	s := segments{literals: parts[:1], size: len(html) - (len(parts)-1)*len(fieldToken.placeholder())}
	for _, part := range parts[1:] {
		s.fields = append(s.fields, field(part[0]-'a'))
		s.literals = append(s.literals, part[1:])
	}
	return s
}

// read returns the values in a page that was rendered without the values of a request. A value ends
// where the next literal begins. This is unambiguous, because an escaped value has no quote and no
// angle bracket, and each literal after the first occurrence of a value begins with one. read
// compares the whole page. So fill returns what html/template would write.
func (s segments) read(html string) (values, error) {
	var parts [fieldToken]string
	rest, same := strings.CutPrefix(html, s.literals[0])
	for i, f := range s.fields {
		value, next := "", s.literals[i+1]
		if f < fieldToken {
			if parts[f] == "" {
				parts[f], _, _ = strings.Cut(rest, next)
			}
			value = parts[f]
		}
		if same {
			rest, same = strings.CutPrefix(rest, value+next)
		}
	}
	if !same || rest != "" {
		return values{}, errors.New("the rendered page isn't its segments with values")
	}
	return newValues(parts), nil
}

// fill returns the page with its values and the values of a request. The values of the request must
// be in the order of their fields. fill escapes them.
func (s segments) fill(v *values, request ...string) []byte {
	escaped := make([]string, len(request))
	for i, value := range request {
		escaped[i] = escape(value)
	}
	value := func(f field) string {
		if f < fieldToken {
			return v.of(f)
		}
		return escaped[f-fieldToken]
	}
	size := s.size
	for _, f := range s.fields {
		size += len(value(f))
	}
	page := append(make([]byte, 0, size), s.literals[0]...)
	for i, f := range s.fields {
		page = append(append(page, value(f)...), s.literals[i+1]...)
	}
	return page
}

// escape returns HTML that a browser reads as value, in a quoted attribute or as text. Unlike
// html/template, it also encodes carriage returns, because an HTML parser turns them into line
// feeds. It replaces invalid UTF-8, because parsers differ in how they decode it.
func escape(value string) string {
	if !utf8.ValidString(value) {
		value = string([]rune(value)) // U+FFFD for each bad byte
	}
	return strings.ReplaceAll(template.HTMLEscapeString(value), "\r", "&#13;")
}
