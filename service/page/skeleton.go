package page

import (
	"errors"
	"strings"
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

// values are what one page differs in from the others of its language, as html/template has escaped them. They are one
// text, of which each has a part: seventy thousand pages with a dozen strings each are much for the garbage collector to
// look through again and again.
type values struct {
	text string
	ends [fieldToken]uint32
	logo unique.Handle[string] // shared, and so kept alive, by all pages with this logo; else the zero handle
}

// newValues takes copies: a part of a page would keep the whole of it.
func newValues(parts [fieldToken]string) (v values) {
	if logo := parts[fieldLogo]; logo != "" {
		v.logo, parts[fieldLogo] = unique.Make(strings.Clone(logo)), ""
	}
	v.text = strings.Join(parts[:], "")
	end := 0
	for f, part := range parts {
		end += len(part)
		v.ends[f] = uint32(end) //nolint:gosec // what a page holds beside its logo is checked, and thousands of bytes at most
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

// skeleton is a page that was rendered once with marks for values and cut open there: literals[0], the value of
// holes[0], literals[1], the value of holes[1], and so on.
type skeleton struct {
	literals []string
	holes    []field
	size     int // of all literals together
}

// marks begin every mark.
const marks = "DeskmintsMark0"

// mark stands for the value of a field while a skeleton is made. It is alphanumeric, so that no escaper touches it, and
// needn't be secret: nothing of an operator's or a caller's is in a skeleton.
func (f field) mark() string { return marks + string('a'+rune(f)) }

// cut opens a page that was rendered with marks.
func cut(html string) skeleton {
	parts := strings.Split(html, marks)
	s := skeleton{literals: parts[:1], size: len(html) - (len(parts)-1)*len(fieldToken.mark())}
	for _, part := range parts[1:] {
		s.holes = append(s.holes, field(part[0]-'a'))
		s.literals = append(s.literals, part[1:])
	}
	return s
}

// read returns the values in a page that was rendered without those of a request. A value ends where the literal after
// it begins: escaped, it has no quote and no angle bracket, and every literal that follows a value's first appearance
// begins with one. The whole page is compared, so what is filled in later has been seen to be what html/template wrote.
func (s skeleton) read(html string) (values, error) {
	var parts [fieldToken]string
	rest, same := strings.CutPrefix(html, s.literals[0])
	for i, hole := range s.holes {
		value, next := "", s.literals[i+1]
		if hole < fieldToken {
			if parts[hole] == "" {
				parts[hole], _, _ = strings.Cut(rest, next)
			}
			value = parts[hole]
		}
		if same {
			rest, same = strings.CutPrefix(rest, value+next)
		}
	}
	if !same || rest != "" {
		return values{}, errors.New("the rendered page isn't its skeleton with values")
	}
	return newValues(parts), nil
}

// fill returns the page with a page's values and, escaped, those of a request, which are in the order of their fields.
func (s skeleton) fill(v *values, request ...string) []byte {
	size := s.size
	for _, hole := range s.holes {
		if hole < fieldToken {
			size += len(v.of(hole))
		} else {
			size += escapedLen(request[hole-fieldToken])
		}
	}
	page := append(make([]byte, 0, size), s.literals[0]...)
	for i, hole := range s.holes {
		if hole < fieldToken {
			page = append(page, v.of(hole)...)
		} else {
			page = appendEscaped(page, request[hole-fieldToken])
		}
		page = append(page, s.literals[i+1]...)
	}
	return page
}
