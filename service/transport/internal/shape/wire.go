package shape

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// BadText returns the paths, in snake_case, of the strings of an encoded message that are not valid
// UTF-8. A map has one path for all its keys and values. BadText returns none if the message can't
// be read for another reason.
func BadText(b []byte, d protoreflect.MessageDescriptor) []string {
	var f textFinder
	if !f.message(b, d, "", false) {
		return nil
	}
	return slices.Compact(f.paths) // the entries of a map have one path
}

// textFinder collects the paths of strings that are not valid UTF-8.
type textFinder struct{ paths []string }

// message reads a message at a path. In a map, path is that of the map, and all in it has this path.
// The values of a map can be nested thousands of levels deep. message returns false if it can't read
// the message.
func (f *textFinder) message(b []byte, d protoreflect.MessageDescriptor, path string, inMap bool) bool {
	var items map[protoreflect.Name]int // the number of items of each list so far
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
			return false
		}
		value := b[:n]
		b = b[n:]
		fd := d.Fields().ByNumber(number)
		if fd == nil || wire != protowire.BytesType {
			continue
		}
		at := path
		if !inMap {
			at = join(path, string(fd.Name()))
			if fd.IsList() {
				if items == nil {
					items = make(map[protoreflect.Name]int)
				}
				at += fmt.Sprintf("[%d]", items[fd.Name()])
				items[fd.Name()]++
			}
		}
		inner, _ := protowire.ConsumeBytes(value)
		switch {
		case fd.Kind() == protoreflect.StringKind && !utf8.Valid(inner):
			f.paths = append(f.paths, at)
		case fd.Message() != nil && !f.message(inner, fd.Message(), at, inMap || fd.IsMap()):
			return false
		}
	}
	return true
}
