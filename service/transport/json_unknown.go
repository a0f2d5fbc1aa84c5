package transport

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// blankUnknown overwrites the fields of a JSON object that m doesn't have with spaces, so that the
// positions in errors about the others stay right. It stops at the first syntax error, which the
// decoder then finds. Unlike protojson's DiscardUnknown, it doesn't ignore unknown names of an
// enumeration, such as a misspelt ON_ERROR_PAGE.
func blankUnknown(b []byte, m proto.Message) {
	fields := m.ProtoReflect().Descriptor().Fields()
	d := json.NewDecoder(bytes.NewReader(bytes.Clone(b)))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return
	}
	for kept := false; d.More(); {
		begin := d.InputOffset() // before the comma
		var value json.RawMessage
		token, err := d.Token()
		if err != nil || d.Decode(&value) != nil {
			return
		}
		member := b[begin:d.InputOffset()]
		name, _ := token.(string)
		switch {
		case fields.ByName(protoreflect.Name(name)) == nil && fields.ByJSONName(name) == nil:
			blank(member)
		case !kept:
			kept = true
			if rest := bytes.TrimLeft(member, " \t\r\n"); rest[0] == ',' {
				rest[0] = ' ' // of a field before it that is unknown
			}
		}
	}
}

// blank overwrites b with spaces, except line feeds.
func blank(b []byte) {
	for i := range b {
		if b[i] != '\n' {
			b[i] = ' '
		}
	}
}
