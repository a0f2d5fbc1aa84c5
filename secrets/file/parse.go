package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deskmint/deskmint/secrets"
)

// section is the only key at the top of the file.
const section = "secrets"

// content is the content of a file without faults. The key is the path of a secret.
type content map[string]entry

type entry struct {
	status secrets.Status
	fields map[secrets.Version]map[string]value
}

// value is one field of one version. It is a key, or the reason why the value is not usable. A bad
// value is a fault of its secret, not of the file. Only the key keeps the bytes.
type value struct {
	line int
	key  secrets.Key
	err  error
}

// parse parses a whole file. It returns content or faults, never both.
func parse(data []byte) (content, faults) {
	root, f := document(data)
	if f != nil {
		return nil, f
	}
	parsed := content{}
	for key, n := range f.mapping(root, "the file") {
		if key.Value != section {
			f.add(key, "unknown key%s: the file has one key, secrets", quotable(key))
			continue
		}
		for path, n := range f.mapping(n, section) {
			if err := (secrets.Ref{Path: path.Value, Field: "-"}).Check(); err != nil {
				f.add(path, "this is not the path of a secret: no empty, \".\" or \"..\" segment, no control character")
				continue
			}
			before := len(f)
			parsed[path.Value] = f.secret(n, "secret"+quotable(path))
			f[before:].assign(path.Value)
		}
	}
	if f != nil {
		return nil, f
	}
	return parsed, nil
}

// yamlLine matches the line number in an error of the YAML library. Nothing else of the error is
// used.
var yamlLine = regexp.MustCompile(`\bline ([0-9]+)`)

func document(data []byte) (*yaml.Node, faults) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		return nil, faults{{line: 1, message: "the file is empty"}}
	case err == nil:
		if err = decoder.Decode(&more); errors.Is(err, io.EOF) {
			return doc.Content[0], nil
		}
		if err == nil {
			return nil, faults{{line: more.Line, message: "a second document: the file must have one"}}
		}
	}
	line := 1
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	return nil, faults{{
		line: line, message: "not valid YAML here or just before (indentation, quotes, a missing colon, a tab?)",
	}}
}

// mapping yields the keys and values of n. It reports a node that isn't a plain mapping, and a key
// that occurs twice.
func (f *faults) mapping(n *yaml.Node, what string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			f.add(n, "%s must be a mapping (key: value)", what)
			return
		}
		first := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			before := len(*f)
			switch line, seen := first[key.Value], first[key.Value] != 0; {
			case key.Kind != yaml.ScalarNode, key.ShortTag() == "!!merge", value.Kind == yaml.AliasNode:
				f.add(key, "%s: aliases, merges and complex keys are not allowed", what)
			case seen:
				f.add(key, "%s: key%s occurs a second time (first in line %d)", what, quotable(key), line)
			}
			if len(*f) > before {
				if what == section {
					(*f)[before:].assign(key.Value)
				}
				continue
			}
			first[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

func (f *faults) secret(n *yaml.Node, what string) entry {
	e := entry{fields: map[secrets.Version]map[string]value{}}
	var active, previous *yaml.Node
	for key, n := range f.mapping(n, what) {
		switch key.Value {
		case "active":
			active = n
			e.status.Active, e.status.Pinned = f.version(n, what+": active"), true
		case "previous":
			previous = n
			e.status.Previous = f.version(n, what+": previous")
		case "disabled":
			e.status.DisabledBy = switchOf(n)
			e.status.Disabled = e.status.DisabledBy != ""
		case "versions":
			for key, n := range f.mapping(n, what+": versions") {
				if v := f.version(key, what+": versions: each key"); v != 0 {
					vs := secrets.VersionStatus{Version: v}
					vs.Created, e.fields[v] = f.fields(n, v, fmt.Sprintf("%s version %d", what, v))
					e.status.Versions = append(e.status.Versions, vs)
				}
			}
		default:
			f.add(key, "%s: unknown key%s: active, previous, disabled and versions are known", what, quotable(key))
		}
	}
	f.complete(&e.status, what, n, active, previous)
	return e
}

// complete sets the status fields that the file may omit, and checks the others.
func (f *faults) complete(s *secrets.Status, what string, n, active, previous *yaml.Node) {
	if len(s.Versions) == 0 {
		f.add(n, "%s: versions is missing or empty", what)
		return
	}
	slices.SortFunc(s.Versions, func(a, b secrets.VersionStatus) int { return int(a.Version) - int(b.Version) })
	s.Latest = s.Versions[len(s.Versions)-1].Version
	if !s.Pinned {
		s.Active = s.Latest
	}
	if _, ok := s.Version(s.Active); !ok && s.Active != 0 {
		f.add(active, "%s: active is %d, but there is no such version", what, s.Active)
	}
	if s.Previous == 0 {
		s.Previous = s.Before(s.Active)
	} else if _, ok := s.Version(s.Previous); !ok {
		f.add(previous, "%s: previous is %d, but there is no such version", what, s.Previous)
	}
}

// canonical matches a version as it must be written: 2, not 02, 0x2 or 2.0.
var canonical = regexp.MustCompile(`^[1-9][0-9]*$`)

// version parses a version number. If the text is not a version number, it adds a fault and returns
// zero.
func (f *faults) version(n *yaml.Node, what string) secrets.Version {
	v, err := strconv.ParseUint(n.Value, 10, 32)
	if err != nil || n.Kind != yaml.ScalarNode || !canonical.MatchString(n.Value) {
		f.add(n, "%s must be a version number, from 1", what)
		return 0
	}
	return secrets.Version(v)
}

// fields parses one version: its time of creation and its values.
func (f *faults) fields(n *yaml.Node, v secrets.Version, what string) (created time.Time, fields map[string]value) {
	fields = map[string]value{}
	for key, n := range f.mapping(n, what) {
		switch {
		case strings.EqualFold(key.Value, "disabled"):
			f.add(key, "%s: disabled belongs one level higher, next to versions: it switches the whole secret off",
				what)
		case key.Value == "created":
			if n.Decode(&created) != nil {
				f.add(n, "%s: created must be a time such as 2026-06-01T09:00:00Z", what)
			}
		case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str":
			f.add(n, "%s: the value of field%s must be a string: put it in quotes", what, quotable(key))
		default:
			secretKey, err := secrets.NewKey(v, []byte(n.Value))
			fields[key.Value] = value{line: n.Line, key: secretKey, err: err}
		}
	}
	return created, fields
}

// quotableKey matches a key that an error may quote. No part of it may match longRun, which matches
// text that is long enough for a secret.
var (
	quotableKey = regexp.MustCompile(`^[A-Za-z0-9_./ -]{1,200}$`)
	longRun     = regexp.MustCompile(`[A-Za-z0-9_+=]{24}`)
)

// quotable returns the key for an error text, after a space. It returns an empty string for a key
// that may be a misplaced value.
func quotable(key *yaml.Node) string {
	if !quotableKey.MatchString(key.Value) || longRun.MatchString(key.Value) {
		return ""
	}
	return " " + key.Value
}
