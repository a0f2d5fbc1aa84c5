// Package shape explains why a body is not the JSON of a message, in words for the people who wrote
// the client. It also spells the paths of fields as a body spells them.
//
// A body is decoded by protojson. This package reads it again after protojson has refused it,
// because the errors of protojson name one fault only, without the path of the field, and their
// text may change. No text that this package returns repeats a value of the body.
package shape

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/deskmint/deskmint/service/caller"
)

// Fault is a field that is not as the message has it.
type Fault struct {
	Field       string // as the body spells it, such as user.userFields["plan"]
	Description string // follows the field
}

// Explain says why a body is not the JSON of a message. The first result is a sentence about the
// body as a whole. The faults are those of its fields, and the first fifty have a description. Both
// are empty if it finds nothing wrong.
func Explain(body []byte, d protoreflect.MessageDescriptor) (message string, faults []Fault) {
	if what := notText(body); what != "" {
		return what, nil
	}
	root, err := parse(body)
	if syntax := (*syntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Sprintf("The request's body is not JSON: at %s, %s.", position(body, syntax.at), syntax.what), nil
	}
	if root.kind != object {
		return "The request's body must be a JSON object; found " + found(&root) + origin(&root) + ".", nil
	}
	w := &walker{body: body, root: d, snake: prefersSnake(&root, d)}
	w.message(&root, d, "")
	switch len(w.faults) {
	case 0:
		return w.whole, nil
	case 1:
		return fmt.Sprintf("The request's JSON has a fault: %s.", w.first()), w.faults
	}
	return fmt.Sprintf("The request's JSON has %d faults. The first: %s.", len(w.faults), w.first()), w.faults
}

// walker compares the JSON with the descriptor of the message, and collects the faults.
type walker struct {
	body   []byte
	root   protoreflect.MessageDescriptor
	snake  bool   // suggested names are in snake_case
	whole  string // a fault that can't name a field, because the object is the body itself
	faults []Fault

	unknowns int // names that are no field
}

func (w *walker) first() string { return w.faults[0].Field + " " + w.faults[0].Description }

// maxDescribed is the number of faults with a description. A body can have ten thousand faults, and
// each description costs a search for its position and for similar names.
const maxDescribed = 50

// fault adds a fault of the value or name n.
func (w *walker) fault(n *node, path, format string, args ...any) {
	switch {
	case path == "" && w.whole != "":
	case path == "":
		w.whole = "The request's JSON " + w.describe(n, format, args...) + "."
	case len(w.faults) < maxDescribed:
		w.faults = append(w.faults, Fault{path, w.describe(n, format, args...)})
	default:
		w.faults = append(w.faults, Fault{Field: path})
	}
}

func (w *walker) describe(n *node, format string, args ...any) string {
	return fmt.Sprintf(format, args...) + " (" + position(w.body, n.at) + ")"
}

// wrong adds the fault that a value has another type than its field.
func (w *walker) wrong(n *node, path, want string) {
	w.fault(n, path, "must be %s; found %s%s", want, found(n), origin(n))
}

// found names the kind of a value.
func found(n *node) string {
	switch {
	case n.kind == array && len(n.items) == 0:
		return "an empty array"
	case n.kind == text && n.flaw == "" && n.text == "":
		return "an empty string"
	}
	return string(n.kind)
}

// origin says how clients come to send a value in place of an object.
func origin(n *node) string {
	switch {
	case n.kind == text && strings.HasPrefix(strings.TrimSpace(n.text), "{"):
		return " that holds JSON, so it was encoded twice"
	case n.kind == array && len(n.items) == 0:
		return ", as PHP encodes []: encode (object) [] instead"
	}
	return ""
}

// message checks the members of an object that is a message.
func (w *walker) message(n *node, d protoreflect.MessageDescriptor, path string) {
	seen := make(map[protoreflect.Name]string) // as they are spelt
	for i := range n.members {
		name, value := &n.members[i].name, &n.members[i].value
		fd := fieldNamed(d, name.text)
		switch {
		case name.flaw != "":
			w.fault(name, path, "has a name that %s", name.flaw)
		case fd == nil:
			w.unknown(name, d, path)
		case seen[fd.Name()] == name.text:
			w.fault(name, join(path, name.text), "occurs twice")
		case seen[fd.Name()] != "":
			w.fault(name, join(path, name.text), "is another spelling of %s, which is there too", seen[fd.Name()])
		default:
			seen[fd.Name()] = name.text
			w.field(value, fd, join(path, name.text))
		}
	}
}

// fieldNamed returns the field with a name in either spelling, or nil.
func fieldNamed(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := d.Fields().ByJSONName(name); fd != nil {
		return fd
	}
	return d.Fields().ByTextName(name)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// field checks the value of a field.
func (w *walker) field(n *node, fd protoreflect.FieldDescriptor, path string) {
	switch {
	case n.kind == null: // the same as a field that is left out
	case fd.IsMap():
		w.entries(n, fd, path)
	case fd.IsList() && n.kind != array:
		w.wrong(n, path, expected(fd))
	case fd.IsList():
		for i := range n.items {
			w.single(&n.items[i], fd, path+"["+strconv.Itoa(i)+"]")
		}
	default:
		w.single(n, fd, path)
	}
}

// entries checks an object that is a map.
func (w *walker) entries(n *node, fd protoreflect.FieldDescriptor, path string) {
	if n.kind != object {
		w.wrong(n, path, expected(fd))
		return
	}
	seen := make(map[string]bool)
	for i := range n.members {
		key, value := &n.members[i].name, &n.members[i].value
		at := path
		if isWord(key.text) {
			at += "[" + strconv.Quote(key.text) + "]"
		}
		switch {
		case key.flaw != "":
			w.fault(key, path, "has a key that %s", key.flaw)
		case seen[key.text] && at == path:
			w.fault(key, path, "has a key that occurs twice")
		case seen[key.text]:
			w.fault(key, at, "occurs twice")
		default:
			seen[key.text] = true
			w.single(value, fd.MapValue(), at)
		}
	}
}

// single checks a value of a field, a list or a map.
func (w *walker) single(n *node, fd protoreflect.FieldDescriptor, path string) {
	if n.flaw != "" {
		w.fault(n, path, "%s", n.flaw)
		return
	}
	if d := fd.Message(); d != nil {
		switch {
		case d.FullName() == "google.protobuf.Value":
			w.any(n, path)
		case d.ParentFile().Package() == "google.protobuf": // has a form of its own
		case n.kind != object:
			w.wrong(n, path, expectedMessage(d))
		default:
			w.message(n, d, path)
		}
		return
	}
	if why := scalarFault(n, fd); why != "" {
		w.fault(n, path, "%s", why)
	}
}

// maxPath is the length from which a path doesn't name more items. Lists can be nested so deeply
// that the whole path would be as long as the body.
const maxPath = 200

// any checks a value of any kind.
func (w *walker) any(n *node, path string) {
	switch {
	case n.flaw != "":
		w.fault(n, path, "%s", n.flaw)
	case n.kind == number && !finite(n.text):
		w.fault(n, path, "is a number that is too large")
	}
	for i := range n.items {
		at := path
		if len(path) < maxPath {
			at += "[" + strconv.Itoa(i) + "]"
		}
		w.any(&n.items[i], at)
	}
	seen := make(map[string]bool)
	for i := range n.members {
		name := &n.members[i].name
		switch {
		case name.flaw != "":
			w.fault(name, path, "has a name that %s", name.flaw)
		case seen[name.text]:
			w.fault(name, path, "has a name that occurs twice")
		}
		seen[name.text] = true
		w.any(&n.members[i].value, path)
	}
}

// word is a name that a fault may repeat. A name that is no word can be a value in the wrong place,
// such as an address.
var word = regexp.MustCompile(`^[\pL_][\pL\d_.]{0,63}$`)

// nearWord is the name that a fault may also repeat if it is almost the name of a field.
var nearWord = regexp.MustCompile(`^[\pL\d_. -]{1,39}$`)

func isWord(name string) bool { return word.MatchString(name) && !caller.LooksLikeCredential(name) }

// isRepeatable reports whether a fault may repeat an unknown name. near reports whether the name is
// almost that of a field.
func isRepeatable(name string, near bool) bool {
	return isWord(name) || near && nearWord.MatchString(name)
}

// unknown adds the fault of a name that is no field of the message.
func (w *walker) unknown(name *node, d protoreflect.MessageDescriptor, path string) {
	near, advice := "", ""
	if w.unknowns++; w.unknowns <= maxDescribed {
		near = w.suggestion(name.text, d, path)
	}
	if near != "" {
		advice = ": did you mean " + near + "?"
	}
	if isRepeatable(name.text, near != "") {
		w.fault(name, join(path, name.text), "is not a field of this request%s", advice)
	} else {
		w.fault(name, path, "has a name that is not a field of this request")
	}
}
