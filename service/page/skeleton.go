package page

import (
	"errors"
	"strings"
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

// values are what one page differs in from the others of its language, as html/template has escaped them.
type values [fieldToken]string

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
	var v values
	rest, same := strings.CutPrefix(html, s.literals[0])
	for i, hole := range s.holes {
		value, next := "", s.literals[i+1]
		if hole < fieldToken {
			if v[hole] == "" {
				first, _, _ := strings.Cut(rest, next)
				v[hole] = strings.Clone(first) // or the whole page would be kept
			}
			value = v[hole]
		}
		if same {
			rest, same = strings.CutPrefix(rest, value+next)
		}
	}
	if !same || rest != "" {
		return values{}, errors.New("the rendered page isn't its skeleton with values")
	}
	return v, nil
}

// fill returns the page with a page's values and, escaped, those of a request, which are in the order of their fields.
func (s skeleton) fill(v *values, request ...string) []byte {
	size := s.size
	for _, hole := range s.holes {
		if hole < fieldToken {
			size += len(v[hole])
		} else {
			size += escapedLen(request[hole-fieldToken])
		}
	}
	page := append(make([]byte, 0, size), s.literals[0]...)
	for i, hole := range s.holes {
		if hole < fieldToken {
			page = append(page, v[hole]...)
		} else {
			page = appendEscaped(page, request[hole-fieldToken])
		}
		page = append(page, s.literals[i+1]...)
	}
	return page
}
