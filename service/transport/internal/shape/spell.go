package shape

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Spelling spells the paths of a message as a body does.
type Spelling struct {
	root  node
	d     protoreflect.MessageDescriptor
	snake bool
}

// SpellingOf returns the spelling of a body. A field that the body doesn't have is spelt in
// snake_case if the first name of several words in the body is, and else in lowerCamelCase.
func SpellingOf(body []byte, d protoreflect.MessageDescriptor) *Spelling {
	root, err := parse(body)
	if err != nil {
		root = node{} // an empty body
	}
	return &Spelling{root, d, prefersSnake(&root, d)}
}

// prefersSnake reports whether the first field that two spellings differ for is in snake_case.
func prefersSnake(n *node, d protoreflect.MessageDescriptor) bool {
	snake, _ := firstStyle(n, d)
	return snake
}

func firstStyle(n *node, d protoreflect.MessageDescriptor) (snake, found bool) {
	for i := range n.members {
		name, value := n.members[i].name.text, &n.members[i].value
		fd := fieldNamed(d, name)
		if fd == nil {
			continue
		}
		if fd.JSONName() != fd.TextName() {
			return name == fd.TextName(), true
		}
		if inner := fd.Message(); inner != nil && !fd.IsMap() && !fd.IsList() {
			if snake, found := firstStyle(value, inner); found {
				return snake, true
			}
		}
	}
	return false, false
}

// HasSpellings reports whether a path in snake_case has another spelling. It is fast.
func HasSpellings(path string) bool {
	name, _, _ := strings.Cut(path, `["`) // keys of maps have one spelling
	return strings.Contains(name, "_")
}

// Path spells a path that is in snake_case. What it doesn't know stays as it is.
func (s *Spelling) Path(path string) string {
	var out strings.Builder
	n, d := &s.root, s.d
	for path != "" {
		if path[0] == '.' {
			out.WriteByte('.')
			path = path[1:]
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		var fd protoreflect.FieldDescriptor
		if d != nil {
			fd = d.Fields().ByName(protoreflect.Name(path[:end]))
		}
		if fd == nil {
			break
		}
		name, value := s.named(n, fd)
		out.WriteString(name)
		path = path[end:]
		index := subscript(path)
		out.WriteString(index)
		path = path[len(index):]
		n, d = value, fd.Message()
		if index != "" {
			n = within(value, index)
		}
	}
	out.WriteString(path)
	return out.String()
}

// named returns the name that an object has for a field, and the value. The value is nil if the
// object doesn't have the field.
func (s *Spelling) named(n *node, fd protoreflect.FieldDescriptor) (string, *node) {
	if n != nil {
		for i := range n.members {
			if name := n.members[i].name.text; name == fd.JSONName() || name == fd.TextName() {
				return name, &n.members[i].value
			}
		}
	}
	return spelt(fd, s.snake), nil
}

// subscript returns the index or the key with which a path begins, with its brackets, or "".
func subscript(path string) string {
	if !strings.HasPrefix(path, "[") {
		return ""
	}
	if quoted, err := strconv.QuotedPrefix(path[1:]); err == nil {
		return path[:min(len(path), 1+len(quoted)+len("]"))]
	}
	end := strings.IndexByte(path, ']')
	return path[:end+1]
}

// within returns the item of a list, or nil.
func within(n *node, index string) *node {
	i, err := strconv.Atoi(strings.Trim(index, "[]"))
	if n == nil || err != nil || i < 0 || i >= len(n.items) {
		return nil
	}
	return &n.items[i]
}
