package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
)

// An edit sets one key of a secret, or adds a version to it. Edits insert lines and replace scalars
// in place, so a diff shows what a rotation has changed. Encoding the file again from its nodes was
// tried. It needs about as much code (261 lines against 283), because the YAML library moves or
// drops comments, puts times in braces in quotes and breaks some folded text. It also loses blank
// lines and alignment.
type edit struct {
	key     string // active, previous, disabled, or a version's number
	value   string
	quoted  bool
	version []edit // the fields of a version to add; they are written in one line
}

func number(v secrets.Version) string { return strconv.FormatUint(uint64(v), 10) }

// apply makes the edits to the secret at path. The result differs from the file only by the edits.
// apply returns an error for a layout that it can't edit.
func apply(data []byte, path string, edits []edit) ([]byte, error) {
	if at := otherLineEnd.FindIndex(data); at != nil {
		return nil, errLayout(1 + bytes.Count(data[:at[0]], []byte("\n")))
	}
	changed := data
	want := flatten(data)
	for _, e := range edits {
		root, faults := document(changed)
		if faults != nil {
			return nil, errLayout(1)
		}
		d := newDraft(changed)
		if err := d.apply(root, path, e); err != nil {
			return nil, err
		}
		changed = d.bytes()
		e.expect(want, path)
	}
	if !maps.Equal(flatten(changed), want) {
		return nil, errLayout(1)
	}
	return changed, nil
}

// otherLineEnd matches what the YAML library counts as a line end, except LF and CRLF.
var otherLineEnd = regexp.MustCompile("\r(?:[^\n]|$)|[\u0085\u2028\u2029]")

func errLayout(line int) error {
	return fmt.Errorf("line %d: the layout of the file can't be changed line by line: write secrets, each secret and "+
		"its versions as blocks, one key a line that ends in LF or CRLF, then try again", line)
}

// draft is the lines of a file, with their line ends.
type draft struct {
	lines []string
	eol   string
}

func newDraft(data []byte) *draft {
	d := &draft{lines: slices.Collect(strings.Lines(string(data))), eol: "\n"}
	if bytes.Contains(data, []byte("\r\n")) {
		d.eol = "\r\n"
	}
	if last := len(d.lines) - 1; last >= 0 && !strings.HasSuffix(d.lines[last], "\n") {
		d.lines[last] += d.eol
	}
	return d
}

func (d *draft) bytes() []byte { return []byte(strings.Join(d.lines, "")) }

func (d *draft) apply(root *yaml.Node, path string, e edit) error {
	secretsKey, all := find(root, "secrets")
	key, secret := find(all, path)
	switch {
	case all == nil: // without `secrets:` a secret can't be added
		return errLayout(1)
	case key == nil:
		return d.addSecret(secretsKey, all, path, e)
	case e.version != nil:
		_, versions := find(secret, "versions")
		if versions == nil {
			return errLayout(key.Line)
		}
		if !isBlock(versions) {
			return errLayout(versions.Line)
		}
		d.insert(d.end(versions.Content[0]), versions.Content[0].Column, e.line())
		return nil
	}
	if _, n := find(secret, e.key); n != nil {
		return d.replace(n, e.scalar())
	}
	if !isBlock(secret) {
		return errLayout(secret.Line)
	}
	at := key.Line
	for _, before := range order[:max(slices.Index(order, e.key), 0)] {
		if k, _ := find(secret, before); k != nil {
			at = max(at, k.Line)
		}
	}
	d.insert(at, secret.Content[0].Column, e.line())
	return nil
}

// order is the order in which the keys of a secret are inserted.
var order = []string{"active", "previous", "disabled"}

// addSecret adds a secret with its first version.
func (d *draft) addSecret(key, all *yaml.Node, path string, e edit) error {
	at, step := 0, 2
	switch {
	case isBlock(all):
		at, step = d.end(all.Content[0]), max(all.Content[0].Column-key.Column, 1)
	case len(all.Content) == 0 && all.Line == key.Line:
		if err := d.replace(all, ""); err != nil {
			return err
		}
		d.lines[key.Line-1] = strings.TrimRight(d.lines[key.Line-1], " \r\n") + d.eol
		at = key.Line
	default:
		return errLayout(all.Line)
	}
	for depth, line := range []string{plainOrQuoted(path) + ":", "versions:", e.line()} {
		d.insert(at+depth, key.Column+step*(depth+1), line)
	}
	return nil
}

// insert inserts a line before the line with index at. The text begins at column.
func (d *draft) insert(at, column int, line string) {
	d.lines = slices.Insert(d.lines, at, strings.Repeat(" ", column-1)+line+d.eol)
}

// end returns the index after the last line of the block whose first key is first. Blank lines and
// comments after the block belong to the next block.
func (d *draft) end(first *yaml.Node) int {
	last := first.Line - 1
	for i := last + 1; i < len(d.lines); i++ {
		trimmed := strings.TrimLeft(d.lines[i], " ")
		if text := strings.TrimSpace(trimmed); text == "" || text[0] == '#' {
			continue
		}
		if len(d.lines[i])-len(trimmed) < first.Column-1 {
			break
		}
		last = i
	}
	return last + 1
}

// replace replaces the node n with value. The text of the node must be in one line.
func (d *draft) replace(n *yaml.Node, value string) error {
	line := []rune(d.lines[n.Line-1]) // columns count characters
	if n.Column > len(line) {
		return errLayout(n.Line)
	}
	before, rest := string(line[:n.Column-1]), string(line[n.Column-1:])
	written := []string{n.Value, `"` + n.Value + `"`, "'" + n.Value + "'"}
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0 { // the value is absent
		d.lines[n.Line-1] = strings.TrimRight(before, " ") + " " + value + rest
		return nil
	}
	if n.Kind == yaml.MappingNode {
		written = []string{"{}"}
	}
	for _, w := range written {
		if after, ok := strings.CutPrefix(rest, w); ok && w != "" {
			d.lines[n.Line-1] = before + value + after
			return nil
		}
	}
	return errLayout(n.Line)
}

// line returns the edit as YAML.
func (e edit) line() string {
	if e.version == nil {
		return plainOrQuoted(e.key) + ": " + e.scalar()
	}
	fields := make([]string, len(e.version))
	for i, f := range e.version {
		fields[i] = f.line()
	}
	return e.key + ": {" + strings.Join(fields, ", ") + "}"
}

func (e edit) scalar() string {
	if e.quoted {
		return quoted(e.value)
	}
	return e.value
}

// quoted returns text in double quotes, as in JSON, which is valid YAML.
func quoted(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// unquoted matches a key that needs no quotes.
var unquoted = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]*$`)

func plainOrQuoted(key string) string {
	if unquoted.MatchString(key) {
		return key
	}
	return quoted(key)
}

func isBlock(n *yaml.Node) bool {
	return n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) > 0
}

// find follows keys down from n. It returns the last key and its value, or nil and nil if a key is
// missing.
func find(n *yaml.Node, keys ...string) (key, value *yaml.Node) {
	value = n
	for _, want := range keys {
		if value == nil || value.Kind != yaml.MappingNode {
			return nil, nil
		}
		parent := value
		key, value = nil, nil
		for i := 0; i+1 < len(parent.Content); i += 2 {
			if parent.Content[i].Value == want {
				key, value = parent.Content[i], parent.Content[i+1]
				break
			}
		}
	}
	return key, value
}

// flatKey returns the key of a value in the result of flatten. No YAML key contains a NUL.
func flatKey(keys ...string) string { return strings.Join(keys, "\x00") }

// flatten returns every scalar of a file with its type. The keys are those of flatKey.
func flatten(data []byte) map[string]string {
	flat := map[string]string{}
	root, faults := document(data)
	if faults != nil {
		return flat
	}
	var walk func(n *yaml.Node, keys []string)
	walk = func(n *yaml.Node, keys []string) {
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], append(slices.Clone(keys), n.Content[i].Value))
			}
			return
		}
		flat[flatKey(keys...)] = n.ShortTag() + " " + n.Value
	}
	walk(root, nil)
	return flat
}

// expect adds the effect of the edit to flat.
func (e edit) expect(flat map[string]string, path string) {
	set := func(f edit, keys ...string) {
		n := yaml.Node{Kind: yaml.ScalarNode, Value: f.value}
		if f.quoted {
			n.Style = yaml.DoubleQuotedStyle
		}
		flat[flatKey(keys...)] = n.ShortTag() + " " + f.value
	}
	if e.version == nil {
		set(e, "secrets", path, e.key)
	}
	for _, f := range e.version {
		set(f, "secrets", path, "versions", e.key, f.key)
	}
}
