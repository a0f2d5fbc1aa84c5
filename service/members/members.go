// Package members writes the members of JSON objects one by one: what encoding/json would
// write without its escapes for HTML, and without its reflection, which costs more than
// the signature and the record that the objects are for.
package members

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// List is the members of one object, in the order in which they are added. It isn't
// safe for concurrent use.
type List struct {
	// JSON has each member with the comma before it, so that others can stand first.
	JSON []byte
	// Names are the members' names, where it isn't nil to begin with.
	Names []string
	// Err is the first value that JSON can't hold.
	Err error
}

func (l *List) name(name string) {
	if l.Names != nil {
		l.Names = append(l.Names, name)
	}
	l.JSON = append(append(append(l.JSON, ',', '"'), name...), '"', ':')
}

// Text adds a string. Names, here and below, are constants that need no escape.
func (l *List) Text(name, value string) {
	l.name(name)
	l.JSON = AppendText(l.JSON, value)
}

// Given adds a string that isn't empty.
func (l *List) Given(name, value string) {
	if value != "" {
		l.Text(name, value)
	}
}

// Number adds a whole number that isn't 0.
func (l *List) Number(name string, value int64) {
	if value != 0 {
		l.name(name)
		l.JSON = strconv.AppendInt(l.JSON, value, 10)
	}
}

// True adds a bool that is true.
func (l *List) True(name string, value bool) {
	if value {
		l.name(name)
		l.JSON = append(l.JSON, "true"...)
	}
}

// Time adds a time of the years 0 to 9999, as RFC 3339 has it.
func (l *List) Time(name string, value time.Time) {
	l.name(name)
	written, err := value.AppendText(append(l.JSON, '"'))
	l.fault(err)
	l.JSON = append(written, '"')
}

// Texts adds a list of strings.
func (l *List) Texts(name string, values []string) {
	l.name(name)
	l.JSON = append(l.JSON, '[')
	for i, value := range values {
		if i > 0 {
			l.JSON = append(l.JSON, ',')
		}
		l.JSON = AppendText(l.JSON, value)
	}
	l.JSON = append(l.JSON, ']')
}

// Nest adds an object or a list, between these brackets, of what fill adds.
func (l *List) Nest(name string, open, end byte, fill func()) {
	l.name(name)
	l.within(open, end, fill)
}

// Item adds an object or a list to the list that is being filled.
func (l *List) Item(open, end byte, fill func()) {
	l.JSON = append(l.JSON, ',')
	l.within(open, end, fill)
}

func (l *List) within(open, end byte, fill func()) {
	start := len(l.JSON)
	fill()
	if len(l.JSON) == start {
		l.JSON = append(l.JSON, open)
	} else {
		l.JSON[start] = open // in the first one's comma's place
	}
	l.JSON = append(l.JSON, end)
}

// Value adds what encoding/json can write.
func (l *List) Value(name string, value any) {
	l.name(name)
	l.value(value)
}

// Object adds an object, its members by key.
func (l *List) Object(name string, values map[string]any) {
	l.name(name)
	l.JSON = append(l.JSON, '{')
	for i, key := range slices.Sorted(maps.Keys(values)) {
		if i > 0 {
			l.JSON = append(l.JSON, ',')
		}
		l.JSON = append(AppendText(l.JSON, key), ':')
		l.value(values[key])
	}
	l.JSON = append(l.JSON, '}')
}

func (l *List) value(value any) {
	switch value := value.(type) {
	case string:
		l.JSON = AppendText(l.JSON, value)
	case int64:
		l.JSON = strconv.AppendInt(l.JSON, value, 10)
	default: // seldom
		encoded, err := json.Marshal(value)
		l.fault(err)
		l.JSON = append(l.JSON, encoded...)
	}
}

func (l *List) fault(err error) {
	if l.Err == nil {
		l.Err = err
	}
}

// AppendText appends a JSON string (RFC 8259 section 7). Most texts have nothing to
// escape; encoding/json does the others.
func AppendText(b []byte, text string) []byte {
	if !plain(text) {
		return appendEscaped(b, text)
	}
	return append(append(append(b, '"'), text...), '"')
}

func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c == '"', c == '\\':
			return false
		case c >= utf8.RuneSelf:
			return !strings.ContainsFunc(text[i:], func(r rune) bool {
				return r < ' ' || r == '"' || r == '\\' || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
			})
		}
	}
	return true
}

func appendEscaped(b []byte, text string) []byte {
	var escaped bytes.Buffer
	e := json.NewEncoder(&escaped)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can always be encoded
	return append(b, bytes.TrimSuffix(escaped.Bytes(), []byte("\n"))...)
}
