package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/panics"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
	"github.com/deskmint/deskmint/service/zendesk"
)

const (
	everythingKey = "dmk_everything"
	anaJSON       = `{"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana"}}`
)

// overHTTP sends a request through the REST gateway, without a socket.
func overHTTP(t testing.TB, s *Service, key, body string) (code int, answer []byte) {
	t.Helper()
	handler, _, err := s.InProcess()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/configurations/acme-customers:mintToken", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// overGRPC sends a request to a gRPC server on loopback.
func overGRPC(t testing.TB, s *Service, key string, r *pb.MintTokenRequest, options ...grpc.CallOption) error {
	t.Helper()
	servers, err := s.servers(nil)
	if err != nil {
		t.Fatal(err)
	}
	listener := loopback(t)
	go func() { _ = servers.Serve(listener, loopback(t)) }() // until Stop
	defer func() {
		if err := servers.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
	_, err = pb.NewTokenServiceClient(conn).MintToken(ctx, r, options...)
	return err
}

// TestPanics inserts a step that panics at each position of the pipeline. Both transports give the
// same answer and log the panic. A panic inside measure is counted, and one inside auditing has a
// record.
func TestPanics(t *testing.T) {
	names := []string{
		"the transport",
		"requestID",
		"tracing",
		"recovery",
		"measure",
		"auditing",
		"errorPage",
		"timeout",
		"authentication",
		"decode",
	}
	for i := range names { // the transports recover panics outside of recovery
		for _, over := range []string{transport.GRPC, transport.HTTP} {
			t.Run("inside "+names[i]+"/"+over, func(t *testing.T) {
				out := &safeBuffer{}
				s := newTestService(t, out, nil)
				run := s.handle
				steps := s.steps()
				steps = slices.Insert(steps, i, func(handler) handler {
					return func(context.Context, *exchange) answer { panic("MARKER-a secret value") }
				})
				for j := len(steps) - 1; j >= 0; j-- {
					run = steps[j](run)
				}
				s.pipeline = run
				if over == transport.HTTP {
					code, body := overHTTP(t, s, everythingKey, anaJSON)
					if code != http.StatusInternalServerError || !bytes.Contains(body, []byte(`"INTERNAL"`)) {
						t.Errorf("HTTP %d %s", code, body)
					}
				} else {
					err := overGRPC(t, s, everythingKey, &pb.MintTokenRequest{})
					if status.Code(err) != codes.Internal {
						t.Errorf("%v", err)
					}
				}
				text := out.take()
				recorded := strings.Count(text, `"decision":"deny","reason":"INTERNAL"`)
				if want := map[bool]int{true: 1, false: 0}[i >= 5]; recorded != want { // inside auditing
					t.Errorf("%d records, want %d: %s", recorded, want, text)
				}
				if strings.Count(text, "request failed") != 1 || strings.Contains(text, "MARKER") {
					t.Errorf("the log has %s", text)
				}
				if i >= 4 { // inside measure
					checkCounted(t, s, over, "Internal", transport.ReasonInternal)
				}
			})
		}
	}
}

// checkCounted checks that the metrics have exactly one such request.
func checkCounted(t *testing.T, s *Service, over, code, reason string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.monitor.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	line := fmt.Sprintf("deskmint_requests_total{code=%q,method=\"MintToken\",reason=%q,transport=%q} 1", code,
		reason, over)
	if !strings.Contains(w.Body.String(), line) {
		t.Errorf("no line %s", line)
	}
}

// TestPanicInErrorPage shows that a refusal stays what it is if its page panics, and that the panic
// is logged.
func TestPanicInErrorPage(t *testing.T) {
	out := &safeBuffer{}
	s := newTestService(t, out, nil)
	x := &exchange{ // without a snapshot, which the page needs
		method: methods()[1], call: &transport.Call{}, caller: caller.Caller{Name: "shop"},
		message: &pb.RenderFormRequest{
			Configuration: "configurations/acme-customers", OnError: pb.OnError_ON_ERROR_PAGE,
		},
	}
	refused := answer{refusal: classify(secrets.ErrDisabled)}
	got := s.withPageOrNone(t.Context(), x, refused)
	if got.refusal != refused.refusal || got.message != nil {
		t.Errorf("%+v", got)
	}
	if text := out.take(); strings.Count(text, "request failed") != 1 || !strings.Contains(text, "panic with a") {
		t.Errorf("the log has %q", text)
	}
}

// TestCompressedMessages checks that a compressed message is refused without being decompressed. An
// unknown caller is refused as such, before its message is read.
func TestCompressedMessages(t *testing.T) {
	s := newTestService(t, &safeBuffer{}, nil)
	r := &pb.MintTokenRequest{Configuration: "configurations/acme-customers"}
	compressed := grpc.UseCompressor(gzip.Name)
	if err := overGRPC(t, s, "dmk_unknown", r, compressed); status.Code(err) != codes.Unauthenticated {
		t.Errorf("an unknown caller: %v", err)
	}
	err := overGRPC(t, s, everythingKey, r, compressed)
	if status.Code(err) != codes.Unimplemented || reasonIn(status.Convert(err)) != transport.ReasonInvalidRequest {
		t.Errorf("a known caller: %v", err)
	}
}

// TestUnknownCallerNotDecoded sends messages of unknown callers that would be refused if they were
// decoded.
func TestUnknownCallerNotDecoded(t *testing.T) {
	s := newTestService(t, &safeBuffer{}, nil)
	for _, body := range []string{"{", `{"unknown":1}`, strings.Repeat("x", 2*largestBody)} {
		if code, answer := overHTTP(t, s, "dmk_unknown", body); code != http.StatusUnauthorized ||
			!bytes.Contains(answer, []byte(reasonUnauthenticated)) {
			t.Errorf("%.20q: %d %s", body, code, answer)
		}
	}
	large := &pb.MintTokenRequest{Attempt: strings.Repeat("x", 2*largestBody)}
	if err := overGRPC(t, s, "dmk_unknown", large); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a large message: %v", err)
	}
	if err := overGRPC(t, s, everythingKey, large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a caller's large message: %v", err)
	}
}

// TestMethodsMatchContract compares the table of methods with the contract. A missing RPC would not
// be served, and one with a wrong request type would decode another message.
func TestMethodsMatchContract(t *testing.T) {
	var want []string
	for _, file := range []protoreflect.FileDescriptor{
		pb.File_deskmint_v1_token_service_proto,
		pb.File_deskmint_v1_configuration_service_proto,
	} {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				m := file.Services().Get(i).Methods().Get(j)
				full := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
				want = append(want, full)
				k := slices.IndexFunc(methods(), func(m *method) bool { return m.full == full })
				if k < 0 {
					t.Errorf("the table doesn't have %s", full)
					continue
				}
				entry := methods()[k]
				if got := entry.request().ProtoReflect().Descriptor().FullName(); got != m.Input().FullName() ||
					entry.action == "" ||
					entry.name != string(m.Name()) {
					t.Errorf("%s has the request %s and the action %q", full, got, entry.action)
				}
			}
		}
	}
	got := Methods()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("methods %v, want %v", got, want)
	}
}

// refusals returns an error of each kind.
func refusals() map[string]error {
	many := &zendesk.InvalidError{}
	for i := range 30 {
		many.Violations = append(many.Violations,
			zendesk.Violation{Field: fmt.Sprintf("user.tags[%d]", i), Description: `is <"bad"> & ` + "\u2028"})
	}
	return map[string]error{
		"credential":  caller.ErrUnknown,
		"issuer away": caller.ErrIssuerUnavailable,
		"denied":      &policy.DeniedError{Reason: policy.RoleNotAllowed, Field: "user.role"},
		"not allowed": &policy.DeniedError{Reason: policy.CallerNotAllowed},
		"fields":      many,
		"foreign":     &zendesk.ForeignError{Description: "is another's"},
		"limited":     &policy.LimitedError{Limit: "rate", Wait: 1500 * time.Millisecond},
		"loop":        &signin.LoopError{Wait: time.Minute},
		"away":        &secrets.UnavailableError{RetryAfter: 10 * time.Second},
		"off":         secrets.ErrDisabled,
		"audit":       audit.ErrUnavailable,
		"request": transport.InvalidRequest(codes.InvalidArgument, http.StatusBadRequest, "It can't be read.",
			transport.Violation{Field: "x", Description: "is no field"}),
		"panic":     panics.Error("x"),
		"cancelled": context.Canceled,
		"deadline":  fmt.Errorf("around: %w", context.DeadlineExceeded),
		"a status":  status.Error(codes.DataLoss, "gone"),
		"other":     errors.New("x"),
	}
}

// TestRefusalJSON compares the JSON of each kind of refusal with the output of protojson for its
// status.
func TestRefusalJSON(t *testing.T) {
	for name, err := range refusals() {
		r := classify(err)
		got, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		want, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(r.GRPCStatus().Proto())
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal(want, &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// BenchmarkRefusal measures a refusal. It should not take longer than BenchmarkToken.
func BenchmarkRefusal(b *testing.B) {
	benchmarkREST(b, `{"user":{"email":"ana","name":"Ana"}}`, http.StatusBadRequest)
}

// BenchmarkToken measures a successful sign-in, to compare it with BenchmarkRefusal.
func BenchmarkToken(b *testing.B) { benchmarkREST(b, anaJSON, http.StatusOK) }

func benchmarkREST(b *testing.B, body string, want int) {
	s := newTestService(b, &safeBuffer{}, nil)
	handler, _, err := s.InProcess()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/configurations/acme-customers:mintToken",
			strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+everythingKey)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want && w.Code != http.StatusTooManyRequests {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// encoded is a gRPC codec for messages that are encoded already, so that a benchmark doesn't
// measure its client.
type encoded struct{}

func (encoded) Name() string                  { return "proto" }
func (encoded) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (encoded) Unmarshal([]byte, any) error   { return nil }

// BenchmarkUnknownCaller compares an empty message of an unknown caller with one that is costly to
// decode, over a gRPC connection.
func BenchmarkUnknownCaller(b *testing.B) {
	large := &pb.MintTokenRequest{User: &pb.User{UserFields: map[string]*structpb.Value{}}}
	for i := range 6000 {
		large.User.UserFields[fmt.Sprint(i)] = &structpb.Value{}
	}
	servers, err := newTestService(b, &safeBuffer{}, nil).servers(nil)
	if err != nil {
		b.Fatal(err)
	}
	listener := loopback(b)
	go func() { _ = servers.Serve(listener, loopback(b)) }() // until Stop
	b.Cleanup(func() { _ = servers.Stop(context.Background()) })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	for name, r := range map[string]*pb.MintTokenRequest{"empty": {}, "large": large} {
		message, err := proto.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				err := conn.Invoke(b.Context(), pb.TokenService_MintToken_FullMethodName, &message, &[]byte{},
					grpc.ForceCodec(encoded{}))
				if status.Code(err) != codes.Unauthenticated {
					b.Fatal(err)
				}
			}
		})
	}
}
