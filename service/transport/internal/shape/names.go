package shape

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/deskmint/deskmint/service/spelling"
)

// maxNear is the length from which a name is no misspelt one.
const maxNear = 40

// plain returns a name without what people change in it: case, dashes and underscores.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}

// suggestion returns the field that an unknown name of a message may mean, or "". The field can
// also be one of another level.
func (w *walker) suggestion(name string, d protoreflect.MessageDescriptor, path string) string {
	if len(name) >= maxNear {
		return ""
	}
	if fd := similar(name, d, false); fd != nil {
		return w.spelt(fd)
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if inner := fd.Message(); inner != nil && !fd.IsMap() && !fd.IsList() {
			if f := similar(name, inner, false); f != nil {
				return join(join(path, w.spelt(fd)), w.spelt(f))
			}
		}
	}
	if path != "" {
		if fd := similar(name, w.root, false); fd != nil {
			return w.spelt(fd) + " at the top level"
		}
	}
	if fd := similar(name, d, true); fd != nil {
		return w.spelt(fd)
	}
	return ""
}

// UnknownParameter returns the fault of a parameter of a query that is no field of the message. The
// fault has no field if it may not repeat the name.
func UnknownParameter(name string, d protoreflect.MessageDescriptor) Fault {
	advice := "is not a parameter of this request"
	var near protoreflect.FieldDescriptor
	if len(name) < maxNear {
		near = similar(name, d, true)
	}
	if near != nil {
		advice += ": did you mean " + spelt(near, strings.Contains(name, "_")) + "?"
	}
	if !isRepeatable(name, near != nil) {
		name = ""
	}
	return Fault{name, advice}
}

// similar returns the field with a name that differs in case, dashes and underscores only, or in
// some letters if near is set.
func similar(name string, d protoreflect.MessageDescriptor, near bool) protoreflect.FieldDescriptor {
	name = plain(name)
	all := make([]string, d.Fields().Len())
	for i := range all {
		all[i] = plain(d.Fields().Get(i).JSONName())
		if all[i] == name {
			return d.Fields().Get(i)
		}
	}
	if near {
		best := spelling.Nearest(name, all)
		for i := range all {
			if all[i] == best {
				return d.Fields().Get(i)
			}
		}
	}
	return nil
}

// spelt returns the name of a field in the style of the body.
func (w *walker) spelt(fd protoreflect.FieldDescriptor) string { return spelt(fd, w.snake) }

func spelt(fd protoreflect.FieldDescriptor, snake bool) string {
	if snake {
		return fd.TextName()
	}
	return fd.JSONName()
}

// nearEnum returns the name of an enumeration that a string may mean, or "". The prefix can be
// missing in it.
func nearEnum(value string, names []string, prefix string) string {
	if len(value) >= maxNear {
		return ""
	}
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = plain(strings.TrimPrefix(name, prefix))
	}
	best := spelling.Nearest(strings.TrimPrefix(plain(value), plain(prefix)), short)
	for i := range short {
		if short[i] == best && best != "" {
			return names[i]
		}
	}
	return ""
}

// commonPrefix returns the beginning that all names share, up to an underscore.
func commonPrefix(names []string) string {
	if len(names) == 0 {
		return ""
	}
	prefix := names[0]
	for _, name := range names {
		for !strings.HasPrefix(name, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix[:strings.LastIndex(prefix, "_")+1]
}
