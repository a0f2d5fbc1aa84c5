package shape

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// expected describes the JSON of a field: "an array of strings".
func expected(fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.IsMap():
		return `an object, such as {"key": …}`
	case fd.IsList() && fd.Kind() == protoreflect.StringKind:
		return `an array of strings, such as ["…"]`
	case fd.IsList():
		return "an array"
	}
	return ""
}

// expectedMessage describes the JSON of a message. It shows the form of a message that only wraps a
// list, because clients often send the list without the message.
func expectedMessage(d protoreflect.MessageDescriptor) string {
	if d.Fields().Len() == 1 && d.Fields().Get(0).IsList() {
		return fmt.Sprintf(`an object, such as {"%s": […]}`, d.Fields().Get(0).JSONName())
	}
	return "an object"
}

// scalarFault says what is wrong with the value of a scalar field, or returns "".
func scalarFault(n *node, fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		if n.kind != text {
			return "must be a string; found " + found(n)
		}
	case protoreflect.BoolKind:
		if n.kind != boolean {
			return "must be true or false, without quotes; found " + found(n)
		}
	case protoreflect.EnumKind:
		return enumFault(n, fd.Enum())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return wholeFault(n, math.MinInt32, math.MaxInt32)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return wholeFault(n, 0, math.MaxUint32)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		why := wholeFault(n, math.MinInt64, math.MaxInt64)
		if why != "" && strings.HasSuffix(string(fd.Name()), "_id") {
			why = strings.Replace(why, "a whole number", "Zendesk's id, a whole number", 1)
		}
		return why
	}
	return ""
}

var integer = regexp.MustCompile(`^-?\d+$`)

// wholeFault says why a value is no whole number of a range. protojson takes a number, or a string
// that holds a number.
func wholeFault(n *node, least, most int64) string {
	if n.kind != number && n.kind != text || n.text == "" {
		return "must be a whole number; found " + found(n)
	}
	if n.kind == text && (!json.Valid([]byte(n.text)) || strings.Trim(n.text, "-+.eE0123456789") != "") {
		return "must be a whole number; found a string that is no number"
	}
	beyond := fmt.Sprintf("must be a whole number between %d and %d; found one beyond", least, most)
	if integer.MatchString(n.text) {
		if v, err := strconv.ParseInt(n.text, 10, 64); err != nil || v < least || v > most {
			return beyond
		}
		return ""
	}
	switch f, err := strconv.ParseFloat(n.text, 64); {
	case err != nil, f < float64(least), f > float64(most):
		return beyond
	case f != math.Trunc(f):
		return "must be a whole number; found a fraction"
	}
	return ""
}

func finite(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// enumFault says why a value is no name of an enumeration.
func enumFault(n *node, d protoreflect.EnumDescriptor) string {
	names := make([]string, d.Values().Len())
	for i := range names {
		names[i] = string(d.Values().Get(i).Name())
	}
	prefix := commonPrefix(names)
	listed := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == prefix+"UNSPECIFIED" })
	want := "must be " + oneOf(listed)
	switch {
	case n.kind == number && wholeFault(n, math.MinInt32, math.MaxInt32) == "":
		return ""
	case n.kind != text:
		return want + "; found " + found(n)
	case slices.Contains(names, n.text):
		return ""
	}
	if near := nearEnum(n.text, names, prefix); near != "" {
		return want + ": did you mean " + near + "?"
	}
	return want + "; found another string"
}

// oneOf lists names: "A, B or C".
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
