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

// call is a request in a form that either transport can be given.
type call struct {
	method string   // MintToken
	name   string   // the configuration's; empty: acme-customers
	body   string   // the JSON request's fields without the name
	query  string   // the same for methods that are a GET over HTTP
	keys   []string // API keys; nil: everything's
	header http.Header
}

// transport sends a call through one of the two, and fails the test only where there is no answer
// of the service's.
type transport struct {
	name string
	send func(context.Context, *testing.T, *server, call) reply
}

// reply is an answer with its message, which is empty unless the call succeeded. The keys of its
// header are canonical, whichever transport it came by.
type reply struct {
	answer
	message proto.Message
}

// get returns the reply's message as the type that it must be.
func get[M proto.Message](t *testing.T, r reply) M {
	t.Helper()
	m, ok := r.message.(M)
	if !ok {
		t.Fatalf("answered with a %T: %v %s %q", r.message, r.code, r.reason, r.message)
	}
	return m
}

// eachTransport runs a test at both.
func eachTransport(t *testing.T, run func(*testing.T, transport)) {
	t.Helper()
	for _, d := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
		t.Run(d.name, func(t *testing.T) { run(t, d) })
	}
}

// quote is a text as JSON.
func quote(text string) string {
	b, _ := json.Marshal(text) // can't fail for a string
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
	for _, f := range []protoreflect.FileDescriptor{pb.File_deskmint_v1_token_service_proto, pb.File_deskmint_v1_configuration_service_proto} {
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

// resource is the name that the path holds, for methods whose path does.
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
		suite.answered(prototext.Format(out))
		if page, ok := out.(*httpbody.HttpBody); ok {
			suite.answered(string(page.GetData()))
		}
	} else {
		suite.wrote("grpc error", fmt.Sprint(err, status.Convert(err).Details(), header))
	}
	return r
}

// httpRequest makes the REST form of a call, from the annotations of the contract.
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
	if deadline, ok := ctx.Deadline(); ok { // as gRPC clients tell it
		c.header = http.Header{"Grpc-Timeout": {fmt.Sprintf("%dn", max(1, time.Until(deadline).Nanoseconds()))}}
		ctx = context.WithoutCancel(ctx)
	}
	res, body, err := exchangeOver(s.client, c.httpRequest(ctx, t, s.URL))
	if err != nil {
		code := codes.Unavailable // what a gRPC client makes of it
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
		t.Fatalf("HTTP %d with a body that is no google.rpc.Status: %v: %s", res.StatusCode, err, body)
	}
	r.details(status.FromProto(&st))
	return r
}

// head is what an HTTP answer has beside its body.
type head struct {
	StatusCode      int
	Header, Trailer http.Header
	Close           bool
}

func headOf(res *http.Response) head { return head{res.StatusCode, res.Header, res.Trailer, res.Close} }

// exchange sends a request on a connection of its own, and reads the whole answer.
func exchange(r *http.Request) (head, []byte, error) { return exchangeOver(nil, r) }

// exchangeOver does so over TLS, and over HTTP/2 where the configuration says h2.
func exchangeOver(config *tls.Config, r *http.Request) (head, []byte, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: config, ForceAttemptHTTP2: config != nil && slices.Contains(config.NextProtos, "h2"),
	}}
	res, err := client.Do(r)
	if err != nil {
		return head{}, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return head{}, nil, err
	}
	if res.StatusCode == http.StatusOK {
		suite.answered(string(body))
	} else {
		var fields bytes.Buffer
		_ = res.Header.Write(&fields)
		suite.wrote("http error", fields.String()+string(body))
	}
	return headOf(res), body, nil
}
