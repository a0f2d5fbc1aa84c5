package shape

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is a kind of JSON value. A refusal names kinds and no values.
type kind string

const (
	object  kind = "an object"
	array   kind = "an array"
	text    kind = "a string"
	number  kind = "a number"
	boolean kind = "a boolean"
	null    kind = "null"
)

// node is one value of the JSON text.
type node struct {
	kind    kind
	at      int    // the offset of its first byte
	text    string // of a string: its characters; of another scalar: its JSON
	flaw    string // what is wrong with the characters of a string
	members []member
	items   []node
}

// member is one entry of an object.
type member struct {
	name  node // a string
	value node
}

// maxDepth is the limit of protojson.
const maxDepth = 10_000

// syntaxError is a text that is not JSON.
type syntaxError struct {
	at   int
	what string // a sentence without its period
}

// Error implements error.
func (e *syntaxError) Error() string { return e.what }

// parser reads JSON. Unlike encoding/json, it says in plain words what is wrong with the text, and
// it notes where each value begins.
type parser struct {
	b     []byte
	i     int
	depth int
}

// parse reads the whole text, which must be one JSON value.
func parse(b []byte) (n node, err error) {
	p := &parser{b: b}
	if n, err = p.value(); err != nil {
		return n, err
	}
	if p.space(); p.i < len(b) {
		return n, p.fail("there is more text after the end of the JSON")
	}
	return n, nil
}

func (p *parser) fail(what string) error { return &syntaxError{p.i, what} }

func (p *parser) space() {
	for p.i < len(p.b) && strings.IndexByte(" \t\r\n", p.b[p.i]) >= 0 {
		p.i++
	}
}

// next skips white space and returns the next byte, or 0 at the end.
func (p *parser) next() byte {
	if p.space(); p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *parser) value() (n node, err error) {
	c := p.next()
	n.at = p.i
	switch c {
	case '{', '[':
		if p.depth++; p.depth > maxDepth {
			return n, p.fail("the JSON is nested too deeply")
		}
		if c == '{' {
			n.kind = object
			err = p.entries('}', func() error { return p.member(&n) })
		} else {
			n.kind = array
			err = p.entries(']', func() error { return p.item(&n) })
		}
		p.depth--
		return n, err
	case '"':
		return p.string()
	}
	return p.scalar()
}

func (p *parser) item(n *node) error {
	v, err := p.value()
	n.items = append(n.items, v)
	return err
}

func (p *parser) member(n *node) error {
	if p.next() != '"' {
		return p.unexpected("a name in double quotes must be here")
	}
	name, err := p.string()
	if err != nil {
		return err
	}
	if p.next() != ':' {
		return p.unexpected("a colon must follow the name")
	}
	p.i++
	v, err := p.value()
	n.members = append(n.members, member{name, v})
	return err
}

// entries reads the entries of an object or an array up to its end.
func (p *parser) entries(end byte, entry func() error) error {
	p.i++
	if p.next() == end {
		p.i++
		return nil
	}
	for {
		if err := entry(); err != nil {
			return err
		}
		switch p.next() {
		case end:
			p.i++
			return nil
		case ',':
			comma := p.i
			p.i++
			if c := p.next(); c == '}' || c == ']' {
				return &syntaxError{comma, "there is a comma after the last entry: remove it"}
			}
		default:
			return p.unexpected(fmt.Sprintf("a comma or %c must follow the value", end))
		}
	}
}

// unexpected explains the text at the present place, or says what must be there.
func (p *parser) unexpected(want string) error {
	rest := p.b[p.i:]
	starts := func(all ...string) bool {
		for _, s := range all {
			if strings.HasPrefix(string(rest[:min(len(rest), len(s))]), s) {
				return true
			}
		}
		return false
	}
	switch {
	case len(rest) == 0:
		return p.fail("the JSON ends before it is complete: it was perhaps cut off")
	case starts("'"):
		return p.fail("JSON takes double quotes and no single quotes")
	case starts("“", "”", "„", "‘", "’", "«", "»"):
		return p.fail(`JSON takes straight double quotes (") and no typographic ones`)
	case starts("//", "/*", "#"):
		return p.fail("JSON has no comments: remove it")
	case starts("True", "False", "None"):
		return p.fail("JSON writes true, false and null, where Python prints True, False and None")
	case starts("NaN", "Infinity", "-Infinity", "undefined"):
		return p.fail("JSON has no NaN, Infinity or undefined: leave the field out")
	case starts("\u00a0", "\u200b", "\ufeff", "\v", "\f"):
		return p.fail("there is a space that JSON doesn't allow, such as a no-break space")
	}
	return p.fail(want)
}

// scalar reads true, false, null or a number.
func (p *parser) scalar() (node, error) {
	start := p.i
	end := start
	for end < len(p.b) && (p.b[end]|0x20 >= 'a' && p.b[end]|0x20 <= 'z' ||
		strings.IndexByte("+-.0123456789", p.b[end]) >= 0) {
		end++
	}
	n := node{at: start, text: string(p.b[start:end])}
	switch {
	case n.text == "true", n.text == "false":
		n.kind = boolean
	case n.text == "null":
		n.kind = null
	case n.text != "" && json.Valid(p.b[start:end]):
		n.kind = number
	case n.text != "" && strings.IndexByte("+-.0123456789", n.text[0]) >= 0 && n.text != "-Infinity":
		return n, p.fail("this is no number as JSON writes it")
	default:
		return n, p.unexpected("a JSON value must be here")
	}
	p.i = end
	return n, nil
}

// string reads a string, and goes on after a flaw of its characters.
func (p *parser) string() (node, error) {
	n := node{kind: text, at: p.i}
	flaw := func(what string) {
		if n.flaw == "" {
			n.flaw = what
		}
	}
	for p.i++; p.i < len(p.b); p.i++ {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			raw := p.b[n.at:p.i]
			if !utf8.Valid(raw) {
				flaw(notUTF8)
			} else if loneSurrogate(raw) {
				flaw(`has one half of a surrogate pair (\ud800 to \udfff): escape both halves, or send UTF-8`)
			}
			if n.flaw == "" && json.Unmarshal(raw, &n.text) != nil {
				flaw("is no string of JSON")
			}
			return n, nil
		case c < 0x20:
			flaw(`has a line break or another control character: escape it, such as \n`)
		case c == '\\':
			p.i++
			if p.i < len(p.b) && strings.IndexByte(`"\/bfnrtu`, p.b[p.i]) < 0 {
				flaw(`has a backslash that begins no escape of JSON: write \\ for a backslash`)
			}
		}
	}
	p.i = min(p.i, len(p.b))
	return n, p.unexpected("")
}

const notUTF8 = "is not in UTF-8, but perhaps in ISO-8859-1 or Windows-1252: encode the body in UTF-8"

// loneSurrogate reports whether a string has an escape of half a surrogate pair without the other
// half.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		switch half := surrogate(raw[min(i, len(raw)):]); {
		case half == 0:
		case half == 'l', i+5 >= len(raw), raw[i+5] != '\\', surrogate(raw[i+6:]) != 'l':
			return true
		default:
			i += 10
		}
	}
	return false
}

// surrogate returns 'h' or 'l' if b begins with the escape of a high or a low surrogate, without
// its backslash.
func surrogate(b []byte) byte {
	if len(b) < 5 || b[0] != 'u' || b[1]|0x20 != 'd' {
		return 0
	}
	switch c := b[2] | 0x20; {
	case c == '8', c == '9', c == 'a', c == 'b':
		return 'h'
	case c >= 'c' && c <= 'f':
		return 'l'
	}
	return 0
}

// position returns an offset as a line and a column, which both begin at 1. A column is a
// character.
func position(b []byte, at int) string {
	before := b[:min(at, len(b))]
	line, start := 1, 0
	for i, c := range before {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	return fmt.Sprintf("line %d, column %d", line, utf8.RuneCount(before[start:])+1)
}
