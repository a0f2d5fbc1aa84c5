package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/deskmint/deskmint/service/zendesk"
)

// strictJSON is the gateway's JSON with nothing overlooked: a field that we don't
// know, one that stands twice, and anything after the object are errors. A
// misspelt `rolle` must not sign somebody in without a role.
type strictJSON struct{ runtime.JSONPb }

func newStrictJSON() *strictJSON {
	return &strictJSON{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}}}
}

// NewDecoder implements [runtime.Marshaler].
func (*strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		m, ok := v.(proto.Message)
		if !ok {
			return fmt.Errorf("can't decode into a %T", v)
		}
		err := decodeStrict(r, m)
		// The generated code makes a status of the text alone; the error handler
		// finds the error itself here.
		if body, ok := r.(*pathBody); ok {
			body.fault = err
		}
		return err
	})
}

func decodeStrict(r io.Reader, m proto.Message) error {
	b, err := readAll(r)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit)
	case err != nil:
		return badRequest("The request's body can't be read to its end.")
	case len(b) == 0:
		return nil // an empty message, whose faults are found by its rules
	}
	if err := protojson.Unmarshal(b, m); err != nil {
		return jsonFault(err)
	}
	if body, ok := r.(*pathBody); ok {
		return body.compare(m)
	}
	return nil
}

// readAll makes room for what the header has announced, at once.
func readAll(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if body, ok := r.(*pathBody); ok && body.size > 0 && body.size <= maxBody {
		b.Grow(int(body.size) + bytes.MinRead)
	}
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// A field's name is repeated only where it is a word: a value that has come to
// stand in a name's place is nobody's business.
var (
	unknownField = regexp.MustCompile(`(?:unknown|duplicate) field "(\w{1,64})"`)
	wrongValue   = regexp.MustCompile(`invalid value for (\w+) (?:type|field) ([\w.]{1,64})`)
	position     = regexp.MustCompile(`\(line (\d+):(\d+)\)`)
)

// jsonFault says what protojson found, in words that never repeat a value.
func jsonFault(err error) error {
	text := err.Error()
	at := ""
	if m := position.FindStringSubmatch(text); m != nil {
		at = fmt.Sprintf(" at line %s, column %s", m[1], m[2])
	}
	if m := unknownField.FindStringSubmatch(text); m != nil {
		what := "is not a field of this request"
		if strings.Contains(text, "duplicate field") {
			what = "stands there twice"
		}
		return badRequest("The request's JSON has a field that can't be there"+at+".", zendesk.Fault{Field: m[1], Description: what + at})
	}
	if m := wrongValue.FindStringSubmatch(text); m != nil && m[1] == "enum" {
		return badRequest("The request's JSON has a name that its enumeration hasn't"+at+".", zendesk.Fault{Field: m[2], Description: "is no name of its enumeration; they are spelt like ROLE_END_USER" + at})
	} else if m != nil {
		return badRequest("The request's JSON has a value of the wrong type"+at+".", zendesk.Fault{Field: m[2], Description: "must be a " + m[1] + at})
	}
	return badRequest("The request's body is not the JSON of this request" + at + ".")
}

func badRequest(message string, fields ...zendesk.Fault) *requestError {
	return &requestError{code: codes.InvalidArgument, http: http.StatusBadRequest, message: message, fields: fields}
}

// pathBody is a request's body that knows what the path says, since the generated
// code lets the path win in silence.
type pathBody struct {
	io.ReadCloser
	size   int64 // announced; -1: not
	params map[string]string
	fault  error
}

// compare refuses a body that says something else than the path.
func (b *pathBody) compare(m proto.Message) error {
	for name, want := range b.params {
		f := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil || f.Kind() != protoreflect.StringKind {
			continue
		}
		if got := m.ProtoReflect().Get(f).String(); got != "" && got != want {
			return &zendesk.InvalidError{Faults: []zendesk.Fault{{Field: name, Description: "differs from the path's: leave it out of the body"}}}
		}
	}
	return nil
}

// strictQuery refuses what the gateway's query parser would pass over: a parameter
// that is no field of the message, and one in both of its spellings. It isn't a
// parser of its own in the gateway's place, because that place is one variable for
// all services in the process.
func strictQuery(values url.Values, m proto.Message) *requestError {
	fields := m.ProtoReflect().Descriptor().Fields()
	seen := make(map[protoreflect.FieldDescriptor]bool)
	for name := range values {
		f := fields.ByName(protoreflect.Name(name))
		if f == nil {
			f = fields.ByJSONName(name)
		}
		if f == nil || seen[f] || len(values[name]) > 1 {
			return badRequest("The request's query has a parameter that is unknown, or that stands there twice.")
		}
		seen[f] = true
	}
	return nil
}
