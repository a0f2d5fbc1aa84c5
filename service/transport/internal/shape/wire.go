package shape

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// BadText returns the paths, in snake_case, of the strings of an encoded message that are not valid
// UTF-8. It returns none if the message can't be read for another reason.
func BadText(b []byte, d protoreflect.MessageDescriptor) []string {
	paths, ok := badText(b, d, "")
	if !ok {
		return nil
	}
	return slices.Compact(paths) // the entries of a map have one path
}

func badText(b []byte, d protoreflect.MessageDescriptor, path string) (paths []string, ok bool) {
	count := make(map[protoreflect.Name]int)
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
			return nil, false
		}
		value := b[:n]
		b = b[n:]
		fd := d.Fields().ByNumber(number)
		if fd == nil || wire != protowire.BytesType {
			continue
		}
		at := join(path, string(fd.Name()))
		if fd.IsList() {
			at += fmt.Sprintf("[%d]", count[fd.Name()])
			count[fd.Name()]++
		}
		inner, _ := protowire.ConsumeBytes(value)
		switch {
		case fd.Kind() == protoreflect.StringKind && !utf8.Valid(inner):
			paths = append(paths, at)
		case fd.Message() != nil:
			more, ok := badText(inner, fd.Message(), at)
			if !ok {
				return nil, false
			}
			if fd.IsMap() && len(more) > 0 { // the fields of an entry have no names of their own
				more = []string{at}
			}
			paths = append(paths, more...)
		}
	}
	return paths, true
}
