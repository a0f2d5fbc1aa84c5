// Package yamlfile reads YAML files strictly, and reports every problem of a file with its line and
// key.
package yamlfile

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/service/spelling"
)

// decoder reads a YAML tree into Go values. The YAML library has a strict decoder, too. But its
// messages name Go types and quote values, it skips the rest of a block after the first problem,
// and it reads `yes` as true, 0x10 as 16 and an empty value as no value.
type decoder struct {
	doc *Document
	// aliasesLeft is how many more values may be read through aliases. Without this limit, a short
	// text with aliases of aliases could expand to any number of values.
	aliasesLeft int
	// aliased is true inside a value that is read through an alias.
	aliased bool
	// nested is true inside a free-form value.
	nested bool
}

const maxAliased = 200_000

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// Decode reads the text of a document into out, a pointer to a struct. The yaml tags of the struct's
// fields are the keys. A block may be written as a single value if the tag of one of its fields has
// the option "alone": the value is then that field's.
func Decode(doc *Document, text []byte, out any) {
	if root := parse(doc, text); root != nil {
		d := decoder{doc: doc, aliasesLeft: maxAliased}
		d.value(root, doc.Place(""), reflect.ValueOf(out).Elem())
	}
}

// parse returns the root of a text's only document. It returns nil if the document is empty or
// isn't YAML.
func parse(doc *Document, text []byte) *yaml.Node {
	var first, second yaml.Node
	texts := yaml.NewDecoder(bytes.NewReader(text))
	err := texts.Decode(&first)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = texts.Decode(&second)
	}
	switch {
	case err == nil:
		doc.Place("").Unreadable(second.Line, "contains several documents: a file is one, with `---` only at its start")
		return nil
	case !errors.Is(err, io.EOF):
		line, message := syntaxProblem(err)
		doc.Place("").Unreadable(line, "%s", message)
		return nil
	}
	if root := first.Content[0]; root.Kind != yaml.ScalarNode || root.ShortTag() != "!!null" {
		return root
	}
	return nil
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

func syntaxProblem(err error) (line int, message string) {
	parts := syntaxError.FindStringSubmatch(err.Error())
	switch {
	case parts == nil:
		return 1, "is not valid YAML"
	case strings.HasPrefix(parts[2], "unknown anchor"): // the library's message quotes the alias
		return 1, "is not valid YAML: an alias (*…) has no anchor (&…) before it"
	}
	line, _ = strconv.Atoi(parts[1])
	message = "is not valid YAML: " + parts[2]
	if parts[2] == "found character that cannot start any token" {
		message += ": indent with spaces, not tabs, and put a value that begins with @, % or ` in quotes"
	}
	return max(1, line), message
}

// value reads n into out, which must be zero.
func (d *decoder) value(n *yaml.Node, at Place, out reflect.Value) {
	if n.Kind == yaml.AliasNode {
		defer func(before bool) { d.aliased = before }(d.aliased)
		n, d.aliased = n.Alias, true
	}
	if d.aliased {
		if d.aliasesLeft--; d.aliasesLeft < 0 {
			if d.aliasesLeft == -1 {
				at.doc.Place("").Unreadable(n.Line, "is too large here, with its aliases written out")
			}
			return
		}
	}
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		at.Unreadable(n.Line, "has a YAML tag (!…): leave it out")
	case n.ShortTag() == "!!null":
		at.Unreadable(n.Line, "has no value: give one, or remove the key")
	default:
		d.byKind(n, at, out)
	}
}

func (d *decoder) byKind(n *yaml.Node, at Place, out reflect.Value) {
	switch kind := out.Kind(); {
	case out.Type() == timeType:
		d.scalar(n, at, out)
	case kind == reflect.Struct && n.Kind == yaml.ScalarNode && fieldAlone(out.Type()) != nil:
		d.scalar(n, at, out.FieldByIndex(fieldAlone(out.Type())))
	case kind == reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		d.byKind(n, at, out.Elem())
	case kind == reflect.Struct:
		d.block(n, at, out)
	case kind == reflect.Slice:
		d.list(n, at, out)
	case kind == reflect.Map:
		d.mapping(n, at, out)
	case kind == reflect.Interface:
		d.freeForm(n, at, out)
	default:
		d.scalar(n, at, out)
	}
}

func (d *decoder) block(n *yaml.Node, at Place, out reflect.Value) {
	fields := Fields(out.Type())
	names := slices.Sorted(maps.Keys(fields))
	d.keys(n, at, func(name string, at Place, value *yaml.Node) {
		index, ok := fields[name]
		if ok {
			d.value(value, at, out.FieldByIndex(index))
			return
		}
		near := spelling.Nearest(name, names)
		if near == "" {
			at.Unreadable(at.line(), "is no key here: there are %s", strings.Join(names, ", "))
			return
		}
		at.Unreadable(at.line(), "is no key here: did you mean %s?", near)
		// The nearest key isn't missing but misspelt, so its value counts as unreadable.
		at.doc.unreadable = append(at.doc.unreadable, strings.TrimSuffix(at.key, name)+near)
	})
}

func (d *decoder) list(n *yaml.Node, at Place, out reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		at.Unreadable(n.Line, "must be a list")
		return
	}
	out.Set(reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		at := at.Index(i)
		at.doc.lines[at.key] = item.Line
		d.value(item, at, out.Index(i))
	}
}

func (d *decoder) mapping(n *yaml.Node, at Place, out reflect.Value) {
	out.Set(reflect.MakeMap(out.Type()))
	d.keys(n, at, func(name string, at Place, value *yaml.Node) {
		v := reflect.New(out.Type().Elem()).Elem()
		d.value(value, at, v)
		out.SetMapIndex(reflect.ValueOf(name), v)
	})
}

// keys calls each once for every key of a mapping.
func (d *decoder) keys(n *yaml.Node, at Place, each func(name string, at Place, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		at.Unreadable(n.Line, "must be a block of keys")
		return
	}
	for pair := range slices.Chunk(n.Content, 2) {
		key := pair[0]
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			at.Unreadable(key.Line, "has a merge key (<<): write the keys out, so that a block shows all its keys")
			continue
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Style&yaml.TaggedStyle != 0:
			at.problemInLine(key.Line, "has a key that isn't plain text")
			continue
		}
		below := at.At(Segment(key.Value))
		if below.IsSet() {
			below.Unreadable(key.Line, "is given twice, first in line %d", below.line())
			continue
		}
		below.doc.lines[below.key] = key.Line
		each(key.Value, below, pair[1])
	}
}

// Segment returns a key as a part of a path. It quotes a key that could be misread as several keys
// or as none.
func Segment(name string) string {
	special := func(r rune) bool { return strings.ContainsRune(`."[]: `, r) || !strconv.IsPrint(r) }
	if name == "" || strings.ContainsFunc(name, special) {
		return strconv.Quote(name)
	}
	return name
}

// freeForm reads a value that is a scalar, or a list or block of scalars. Only the rules for claims
// are such values.
func (d *decoder) freeForm(n *yaml.Node, at Place, out reflect.Value) {
	if n.Kind == yaml.ScalarNode {
		if n.ShortTag() == "!!null" {
			at.Unreadable(n.Line, "can't be read")
			return
		}
		// The value is kept as text, because an id of 0123 must not become the octal number 83.
		out.Set(reflect.ValueOf(n.Value))
		return
	}
	if d.nested {
		at.Unreadable(n.Line, "must be a single value")
		return
	}
	d.nested = true
	defer func() { d.nested = false }()
	if n.Kind == yaml.SequenceNode {
		var list []any
		d.list(n, at, reflect.ValueOf(&list).Elem())
		out.Set(reflect.ValueOf(list))
		return
	}
	var named map[string]any
	d.mapping(n, at, reflect.ValueOf(&named).Elem())
	out.Set(reflect.ValueOf(named))
}

// scalar reads a single value. The type in the YAML must be the type of out, so that a key or an id
// that consists of digits is always text.
func (d *decoder) scalar(n *yaml.Node, at Place, out reflect.Value) {
	tag := n.ShortTag()
	var err error
	switch kind := out.Kind(); {
	case n.Kind != yaml.ScalarNode:
		at.Unreadable(n.Line, "must be a single value")
	case out.Type() == durationType:
		var t time.Duration
		if t, err = time.ParseDuration(n.Value); err != nil {
			at.Unreadable(n.Line, "must be a duration with its unit, such as 10s, 5m or 12h")
			return
		}
		out.SetInt(int64(t))
	case out.Type() == timeType:
		t, ok := parseEndTime(n.Value)
		if !ok {
			at.Unreadable(n.Line, "must be a time such as 2027-01-31T18:00:00Z, "+
				"or a date such as 2027-01-31, which means its end in UTC")
			return
		}
		out.Set(reflect.ValueOf(t))
	case kind == reflect.String:
		if tag != "!!str" {
			at.Unreadable(n.Line, "must be text: put it in quotes")
			return
		}
		out.SetString(n.Value)
	case kind == reflect.Bool:
		if tag != "!!bool" {
			at.Unreadable(n.Line, "must be true or false")
			return
		}
		out.SetBool(strings.EqualFold(n.Value, "true"))
	case kind == reflect.Int:
		var i int
		if i, err = strconv.Atoi(n.Value); err != nil || tag != "!!int" {
			at.Unreadable(n.Line, "must be a whole number")
			return
		}
		out.SetInt(int64(i))
	case kind == reflect.Float64:
		var f float64
		if f, err = strconv.ParseFloat(n.Value, 64); err != nil || tag != "!!int" && tag != "!!float" {
			at.Unreadable(n.Line, "must be a number")
			return
		}
		out.SetFloat(f)
	default:
		at.Unreadable(n.Line, "can't be set in a file") // a test shows that no field has such a type
	}
}

// parseEndTime parses the time at which something ends. It is an RFC 3339 time, or a date, which
// means the last moment of that day in UTC.
func parseEndTime(text string) (time.Time, bool) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Nanosecond), true
	}
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// Fields returns the struct fields of a block by key.
func Fields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, inline, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if inline != "inline" && name != "" && name != "-" {
			fields[name] = f.Index
		}
	}
	return fields
}

// fieldAlone returns the field that a single value sets in place of a block, or nil.
func fieldAlone(t reflect.Type) []int {
	for _, f := range reflect.VisibleFields(t) {
		if _, option, _ := strings.Cut(f.Tag.Get("yaml"), ","); option == "alone" {
			return f.Index
		}
	}
	return nil
}
