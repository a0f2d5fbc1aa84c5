package service_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/api/httpbody"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// call is a request that either transport can send.
type call struct {
	method string   // such as MintToken
	name   string   // of the configuration; "" means acme-customers
	body   string   // the fields of the JSON request without the name
	query  string   // the same fields for a GET request over HTTP
	keys   []string // API keys; nil means that of the caller everything
	header http.Header
}

// transport sends calls over one of the transports. The function send fails the test only if the
// answer is not one of the service.
type transport struct {
	name string
	send func(context.Context, *testing.T, *server, call) reply
}

// reply is an answer with its message, which is empty unless the call succeeded. The keys of its
// header are canonical at both transports.
type reply struct {
	answer
	message proto.Message
}

// get returns the message of a reply. The test fails if the message has another type.
func get[M proto.Message](t *testing.T, r reply) M {
	t.Helper()
	m, ok := r.message.(M)
	if !ok {
		t.Fatalf("the answer has a %T: %v %s %q", r.message, r.code, r.reason, r.message)
	}
	return m
}

// eachTransport runs a test once for each transport.
func eachTransport(t *testing.T, run func(*testing.T, transport)) {
	t.Helper()
	for _, tr := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
		t.Run(tr.name, func(t *testing.T) { run(t, tr) })
	}
}

// quote returns a text as a JSON string.
func quote(text string) string {
	b, _ := json.Marshal(text) // never fails for a string
	return string(b)
}

func (c call) authorization() []string {
	keys := c.keys
	if keys == nil {
		keys = []string{"dmk_everything"}
	}
	values := make([]string, len(keys))
	for i, k := range keys {
		values[i] = "Bearer " + k
	}
	return values
}

func (c call) descriptor(t *testing.T) protoreflect.MethodDescriptor {
	t.Helper()
	for _, f := range []protoreflect.FileDescriptor{
		pb.File_deskmint_v1_token_service_proto,
		pb.File_deskmint_v1_configuration_service_proto,
	} {
		for i := range f.Services().Len() {
			if m := f.Services().Get(i).Methods().ByName(protoreflect.Name(c.method)); m != nil {
				return m
			}
		}
	}
	t.Fatalf("no method %s", c.method)
	return nil
}

func newMessage(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return mt.New().Interface()
}

// resource returns the resource name of the configuration.
func (c call) resource() string {
	if c.name == "" {
		return "configurations/acme-customers"
	}
	return "configurations/" + c.name
}

func (c call) request(t *testing.T) proto.Message {
	t.Helper()
	m := newMessage(t, c.descriptor(t).Input())
	if err := protojson.Unmarshal([]byte("{"+c.body+"}"), m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []protoreflect.Name{"configuration", "name"} {
		if f := m.ProtoReflect().Descriptor().Fields().ByName(name); f != nil {
			m.ProtoReflect().Set(f, protoreflect.ValueOfString(c.resource()))
		}
	}
	return m
}

func sendGRPC(ctx context.Context, t *testing.T, s *server, c call) reply {
	t.Helper()
	for _, a := range c.authorization() {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", a)
	}
	d := c.descriptor(t)
	out := newMessage(t, d.Output())
	var header metadata.MD
	err := s.GRPC.Invoke(ctx, fmt.Sprintf("/%s/%s", d.Parent().FullName(), d.Name()), c.request(t), out,
		grpc.Header(&header))
	r := reply{answer: answer{header: make(http.Header)}, message: out}
	for k, values := range header {
		r.header[textproto.CanonicalMIMEHeaderKey(k)] = values
	}
	r.details(status.Convert(err))
	if err == nil {
		recorder.recordTokens(prototext.Format(out))
		if page, ok := out.(*httpbody.HttpBody); ok {
			recorder.recordTokens(string(page.GetData()))
		}
	} else {
		recorder.record("grpc error", fmt.Sprint(err, status.Convert(err).Details(), header))
	}
	return r
}

// httpRequest returns the call as an HTTP request. The method and the path are from the annotations
// of the contract.
func (c call) httpRequest(ctx context.Context, t *testing.T, url string) *http.Request {
	t.Helper()
	rule, _ := proto.GetExtension(c.descriptor(t).Options(), annotations.E_Http).(*annotations.HttpRule)
	method, path, body := http.MethodPost, rule.GetPost(), "{"+c.body+"}"
	if rule.GetGet() != "" {
		method, path, body = http.MethodGet, rule.GetGet(), ""
	}
	before, rest, ok := strings.Cut(path, "{")
	if ok {
		_, after, _ := strings.Cut(rest, "}")
		path = before + c.resource() + after
	}
	if c.query != "" {
		path += "?" + c.query
	}
	r, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range c.header {
		r.Header[k] = v
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header["Authorization"] = c.authorization()
	return r
}

func sendHTTP(ctx context.Context, t *testing.T, s *server, c call) reply {
	t.Helper()
	if deadline, ok := ctx.Deadline(); ok { // sent in the same header as a gRPC client does
		c.header = http.Header{"Grpc-Timeout": {fmt.Sprintf("%dn", max(1, time.Until(deadline).Nanoseconds()))}}
		ctx = context.WithoutCancel(ctx)
	}
	res, body, err := roundTripTLS(s.client, c.httpRequest(ctx, t, s.URL))
	if err != nil {
		code := codes.Unavailable // a gRPC client returns this code
		if ctx.Err() != nil {
			code = status.FromContextError(ctx.Err()).Code()
		}
		return reply{answer: answer{code: code, message: err.Error()}}
	}
	r := reply{
		answer:  answer{http: res.StatusCode, header: res.Header, body: body},
		message: newMessage(t, c.descriptor(t).Output()),
	}
	if page, ok := r.message.(*httpbody.HttpBody); ok &&
		strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		page.ContentType, page.Data = res.Header.Get("Content-Type"), body
		return r
	}
	if res.StatusCode == http.StatusOK {
		if err := protojson.Unmarshal(body, r.message); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return r
	}
	var st rpcstatus.Status
	if err := protojson.Unmarshal(body, &st); err != nil {
		t.Fatalf("HTTP %d, but the body is not a google.rpc.Status: %v: %s", res.StatusCode, err, body)
	}
	r.details(status.FromProto(&st))
	r.spellAsGRPC()
	return r
}

// responseHead is an HTTP response without its body.
type responseHead struct {
	StatusCode      int
	Header, Trailer http.Header
	Close           bool
}

func headOf(res *http.Response) responseHead {
	return responseHead{res.StatusCode, res.Header, res.Trailer, res.Close}
}

// roundTrip sends a request on a new connection and reads the whole response.
func roundTrip(r *http.Request) (responseHead, []byte, error) { return roundTripTLS(nil, r) }

// roundTripTLS does the same with a TLS configuration, and over HTTP/2 if the configuration has the
// protocol h2.
func roundTripTLS(config *tls.Config, r *http.Request) (responseHead, []byte, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   config,
		ForceAttemptHTTP2: config != nil && slices.Contains(config.NextProtos, "h2"),
	}}
	res, err := client.Do(r)
	if err != nil {
		return responseHead{}, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return responseHead{}, nil, err
	}
	if res.StatusCode == http.StatusOK {
		recorder.recordTokens(string(body))
	} else {
		var fields bytes.Buffer
		_ = res.Header.Write(&fields)
		recorder.record("http error", fields.String()+string(body))
	}
	return headOf(res), body, nil
}
