package service

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/transport"
)

// largestBody is the limit of package transport, in bytes.
const largestBody = 64 << 10

// inputMarker is a part of every body. No error may repeat it.
const inputMarker = "zq7-echo"

// outcome is the part of an answer that must be the same at both transports.
type outcome struct {
	code   codes.Code
	reason string
	fields string // the violations in their order
	claims string // the claims of the token without the jti
}

func outcomeOf(tb testing.TB, err error, response *pb.MintTokenResponse) outcome {
	tb.Helper()
	st := status.Convert(err)
	v := outcome{code: st.Code(), reason: reasonIn(st)}
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, f := range bad.GetFieldViolations() {
				// The REST gateway spells a field as the body does.
				v.fields += strings.ToLower(strings.ReplaceAll(f.GetField(), "_", "")) + " " + f.GetDescription() + "\n"
			}
		}
	}
	if parts := strings.Split(response.GetToken(), "."); len(parts) == 3 {
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			tb.Fatal(err)
		}
		v.claims = strings.Replace(string(claims), response.GetJti(), "", 1)
	}
	return v
}

// jsonGateway calls the handler of the REST gateway without a socket.
type jsonGateway struct {
	handler http.Handler
	conn    grpc.ClientConnInterface // calls the same methods as gRPC does
	log     *safeBuffer
}

func newJSONGateway(tb testing.TB) jsonGateway {
	tb.Helper()
	log := &safeBuffer{}
	s := newTestService(tb, log, nil)
	handler, conn, err := s.InProcess()
	if err != nil {
		tb.Fatal(err)
	}
	return jsonGateway{handler, conn, log}
}

func (g jsonGateway) post(body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/configurations/acme-customers:mintToken", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer dmk_everything")
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w
}

// overHTTP posts a body, checks the form of the answer and returns its outcome.
func (g jsonGateway) overHTTP(t *testing.T, body []byte) outcome {
	t.Helper()
	w := g.post(body)
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", w.Header())
	}
	if w.Code == http.StatusOK {
		m := &pb.MintTokenResponse{}
		if err := protojson.Unmarshal(w.Body.Bytes(), m); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return outcomeOf(t, nil, m)
	}
	var st rpcstatus.Status
	if err := protojson.Unmarshal(w.Body.Bytes(), &st); err != nil {
		t.Fatalf("HTTP %d, but the body is not a google.rpc.Status: %v: %s", w.Code, err, w.Body)
	}
	for _, detail := range status.FromProto(&st).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, f := range bad.GetFieldViolations() {
				// Only the name of a user field may be in the answer, because it is part of the
				// field's path.
				if strings.Contains(f.GetDescription(), inputMarker) ||
					strings.Contains(f.GetField(), inputMarker) &&
						!strings.HasPrefix(strings.ReplaceAll(f.GetField(), "_f", "F"), "user.userFields[") {
					t.Errorf("a violation repeats a value of the request: %v", f)
				}
			}
		} else if strings.Contains(fmt.Sprint(detail), inputMarker) {
			t.Errorf("an error repeats a value of the request: %v", detail)
		}
	}
	if strings.Contains(st.GetMessage()+fmt.Sprint(w.Header()), inputMarker) {
		t.Errorf("an error repeats a value of the request: %s %v", st.GetMessage(), w.Header())
	}
	v := outcomeOf(t, status.FromProto(&st).Err(), nil)
	// No body may cause an internal error or an HTTP status that doesn't belong to the reason.
	if want := httpStatus(v.reason); v.reason == "" || v.reason == transport.ReasonInternal ||
		w.Code != want && w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("HTTP %d, reason %s, code %v: %s", w.Code, v.reason, v.code, w.Body)
	}
	return v
}

// overGRPC sends the same request over gRPC. It returns false if the body is not a valid request.
func (g jsonGateway) overGRPC(t *testing.T, body []byte) (outcome, bool) {
	t.Helper()
	const name = "configurations/acme-customers"
	in, out := &pb.MintTokenRequest{}, &pb.MintTokenResponse{}
	if len(body) > 0 {
		if err := protojson.Unmarshal(body, in); err != nil || len(body) > largestBody {
			return outcome{}, false
		}
	}
	if in.GetConfiguration() != "" && in.GetConfiguration() != name {
		return outcome{}, false // over gRPC the request has only one configuration
	}
	in.Configuration = name
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer dmk_everything")
	err := g.conn.Invoke(ctx, pb.TokenService_MintToken_FullMethodName, in, out, grpc.WaitForReady(true))
	return outcomeOf(t, err, out), true
}

func FuzzJSONRequest(f *testing.F) {
	const person = `{"user":{"email":"ana@customer.example","emailVerified":true,"name":"`
	for _, seed := range [][2]string{
		{person, `"}}`},
		{person + `Ana"},"brandId":"`, `"}`},
		{person + `Ana"},"returnTo":"/hc?`, `"}`},
		{person + `Ana"},"returnTo":"https://`, `.example/"}`},
		{person + `Ana","phone":"`, `"}}`},
		{person + `Ana","role":"`, `"}}`},
		{person + `Ana","localeId":"`, `"}}`},
		{person + `Ana","tags":{"values":["`, `"]}}}`},
		{person + `Ana","organizations":["a,b","`, `"],"organization_ids":["1"]}}`},
		{person + `Ana","userFields":{"`, `":{"a":[null,1e400]}}}}`},
		{person + `Ana","userFields":{"`, `":[]}}}`},
		{person + `Ana","userFields":{"n":9007199254740993,"s":"`, `"}}}`},
		{`{"user":{"email":"`, `@customer.example","emailVerified":true,"name":"A\u202eB"}}`},
		{`{"`, `":1}`},
		{`{"rolle":"`, `"}`},
		{`{"brandId":"1","brand_id":"`, `"}`},
		{`{"configuration":"`, `"}`},
		{`{"attempt":"`, `","validateOnly":true,"secretVersion":4294967295,"clientIp":"::1"}`},
		{"", ""},
		{"{}", ""},
		{"[", "]"},
		{"{\"user\":\xff\"", "\"}"},
		{`{"user":{"name":"\ud800`, `"}}`},
		{strings.Repeat(`{"user":`, 30), strings.Repeat("}", 30)},
		{`{"@type":"`, `"}`},
		{"{/*", "*/}"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	gateway := newJSONGateway(f)
	f.Fuzz(func(t *testing.T, before, after []byte) {
		body := slices.Concat(before, []byte(inputMarker), after)
		gateway.log.take()
		got := gateway.overHTTP(t, body)
		if log := gateway.log.take(); strings.Contains(log, "request failed") {
			t.Errorf("the log has an internal error: %s", log)
		}
		want, ok := gateway.overGRPC(t, body)
		if !ok {
			if got.code != codes.InvalidArgument && got.code != codes.ResourceExhausted {
				t.Errorf("the outcome of an invalid request is %+v", got)
			}
			return
		}
		if got != want {
			t.Errorf("the outcomes differ:\nHTTP %+v\ngRPC %+v", got, want)
		}
	})
}

// httpStatus returns the HTTP status of a reason.
func httpStatus(reason string) int {
	switch reason {
	case transport.ReasonInvalidField, transport.ReasonInvalidRequest:
		return http.StatusBadRequest
	}
	return wordingOf(reason).http
}

// reasonIn returns the reason of a status, or "" if it has none.
func reasonIn(s *status.Status) string {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == transport.Domain {
			return info.GetReason()
		}
	}
	return ""
}
