package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/deskmint/deskmint/service/transport/internal/shape"
)

// strictJSON is the JSON of the gateway. An unknown field, a field that occurs twice and text after
// the object are errors. A misspelt `rolle` must not sign a user in without a role.
type strictJSON struct{ runtime.JSONPb }

func newStrictJSON() *strictJSON {
	return &strictJSON{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}}}
}

// NewDecoder implements [runtime.Marshaler]. It reads nothing, because the generated code calls it
// before the caller is known. [Call.Decode] reads the body.
func (*strictJSON) NewDecoder(io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(any) error { return nil })
}

// httpCall is a request of the REST gateway.
type httpCall struct {
	request   *http.Request
	requestID string
	body      io.Reader // limited to maxBody
	params    map[string]string
	query     string
	received  []byte                         // the body, once it has been read
	message   protoreflect.MessageDescriptor // of the request, once it is being decoded
	refused   *Refusal                       // of a request that can't be passed on to a method
	status    int                            // of an answer that shows a refusal; 0: the gateway's own

	ignoreUnknown bool // fields of the body that the message doesn't have
}

const mediaTypeJSON = "application/json"

type httpCallKey struct{}

// withHTTPCall marks a call as one of the REST gateway. Only this package can make a value of its
// type, so no header and no metadata can replace it.
func withHTTPCall(ctx context.Context, call *httpCall) context.Context {
	return context.WithValue(ctx, httpCallKey{}, call)
}

// httpCallOf returns nil for a call of the gRPC server.
func httpCallOf(ctx context.Context) *httpCall {
	call, _ := ctx.Value(httpCallKey{}).(*httpCall)
	return call
}

// decode reads the query or the body into m, and then sets what the path says. The generated code
// would let the path replace what the body says without an error.
func (c *httpCall) decode(m proto.Message) error {
	c.message = m.ProtoReflect().Descriptor()
	if err := c.admissible(m); err != nil {
		return err
	}
	if c.request.Method == http.MethodPost {
		if err := c.decodeBody(m); err != nil {
			return err
		}
	}
	return c.setPath(m)
}

// admissible checks what the generated code ignores, and reads the query of a GET request.
func (c *httpCall) admissible(m proto.Message) error {
	switch {
	case c.request.Method == http.MethodPost && c.query != "":
		return badRequest("This request takes no query parameters: put everything into the JSON body.")
	case len(c.params) > 0 && c.query != "":
		return badRequest("This request takes no query parameters: the path says it all.")
	case c.request.Method != http.MethodPost:
		return decodeQuery(c.query, m)
	}
	if c.request.ContentLength > maxBody { // refused before a client that waits for 100 Continue sends it
		return tooLarge(maxBody)
	}
	return c.mediaType()
}

// mediaType checks that the body is JSON in UTF-8 (RFC 8259, section 8.1), and that it isn't
// compressed.
func (c *httpCall) mediaType() error {
	for _, coding := range c.request.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return unsupported("The request's body must not be compressed: send it without Content-Encoding.")
		}
	}
	contentType := c.request.Header.Get("Content-Type")
	if contentType == mediaTypeJSON || contentType == "" && c.request.ContentLength == 0 {
		return nil
	}
	t, params, err := mime.ParseMediaType(contentType)
	switch {
	case contentType == "":
		return unsupported("The request has no Content-Type. The body must be JSON, with Content-Type: " +
			"application/json.")
	case t == "application/x-www-form-urlencoded":
		return unsupported("The request's Content-Type is that of a form, which curl -d and other clients send " +
			"unless told otherwise. The body must be JSON, with Content-Type: application/json.")
	case err != nil || t != mediaTypeJSON:
		return unsupported("The request's Content-Type isn't that of JSON. The body must be JSON, with Content-Type: " +
			"application/json.")
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8": // the last is no registered name, but common
	default:
		return unsupported("The request's body must be in UTF-8: encode it so, and send Content-Type: " +
			"application/json without charset.")
	}
	return nil
}

func unsupported(message string) *Refusal {
	return InvalidRequest(codes.InvalidArgument, http.StatusUnsupportedMediaType, message)
}

func (c *httpCall) decodeBody(m proto.Message) error {
	b, err := c.readAll()
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(over.Limit)
	case err != nil:
		return badRequest("The request's body can't be read to its end.")
	case len(b) == 0:
		return nil // an empty message, which breaks the rules of required fields
	}
	c.received = b
	if c.ignoreUnknown {
		blankUnknown(b, m)
	}
	if protojson.Unmarshal(b, m) != nil { // its errors name one fault, in words that change
		return jsonRefusal(b, m.ProtoReflect().Descriptor())
	}
	return nil
}

// readAll allocates the announced length once.
func (c *httpCall) readAll() ([]byte, error) {
	var b bytes.Buffer
	if size := c.request.ContentLength; size > 0 && size <= maxBody {
		b.Grow(int(size) + bytes.MinRead)
	}
	_, err := b.ReadFrom(c.body)
	return b.Bytes(), err
}

// setPath sets the fields that the path names. It refuses a body that differs from the path.
func (c *httpCall) setPath(m proto.Message) error {
	message := m.ProtoReflect()
	for name, value := range c.params {
		f := message.Descriptor().Fields().ByName(protoreflect.Name(name))
		if f == nil || f.Kind() != protoreflect.StringKind {
			return badRequest(unreadable)
		}
		if given := message.Get(f).String(); given != "" && given != value {
			return InvalidField(Violation{name, "differs from the path's: leave it out of the body"})
		}
		message.Set(f, protoreflect.ValueOfString(value))
	}
	return nil
}

// jsonRefusal describes what is wrong with a body that protojson has refused.
func jsonRefusal(body []byte, d protoreflect.MessageDescriptor) *Refusal {
	message, faults := shape.Explain(body, d)
	if message == "" {
		message = "The request's body is not the JSON of this request."
	}
	violations := make([]Violation, len(faults))
	for i, f := range faults {
		violations[i] = Violation(f)
	}
	return badRequest(message, violations...)
}

// decodeQuery reads a query into m. It refuses what the gateway's parser ignores: a parameter that
// is no field of the message, and a field in both of its spellings.
func decodeQuery(query string, m proto.Message) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return badRequest(unreadable)
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	seen := make(map[protoreflect.FieldDescriptor]bool)
	bad := false
	var faults []Violation
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := fields.ByName(protoreflect.Name(name))
		if f == nil {
			f = fields.ByJSONName(name)
		}
		switch {
		case f == nil:
			bad = true
			if v := Violation(shape.UnknownParameter(name, m.ProtoReflect().Descriptor())); v.Field != "" {
				faults = append(faults, v)
			}
		case seen[f], len(values[name]) > 1:
			bad = true
			faults = append(faults, Violation{name, "is given twice"})
		}
		seen[f] = true
	}
	if bad {
		return badRequest("The request's query has a parameter that is unknown, or that is given twice.", faults...)
	}
	if runtime.PopulateQueryParameters(m, values, utilities.NewDoubleArray(nil)) != nil {
		return badRequest(unreadable)
	}
	return nil
}
