package service_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

// checkRefused checks the code and the reason of an error and the time after which the caller may
// retry.
func checkRefused(
	t *testing.T,
	tr transport,
	r reply,
	code codes.Code,
	reason string,
	httpCode int,
	retry time.Duration,
) {
	t.Helper()
	if r.code != code || r.reason != reason || r.retry != retry {
		t.Errorf("got %v %s, retry after %v; want %v %s %v", r.code, r.reason, r.retry, code, reason, retry)
	}
	if tr.name != "http" {
		return
	}
	want := ""
	if retry > 0 {
		want = strconv.Itoa(int((retry + time.Second - 1) / time.Second))
	}
	if r.http != httpCode || r.header.Get("Retry-After") != want {
		t.Errorf("HTTP %d, Retry-After %q; want %d %q", r.http, r.header.Get("Retry-After"), httpCode, want)
	}
	readError(t, r.header, r.http, r.body)
}

// TestStoreUnavailable checks that sign-ins succeed while the store doesn't answer, until the held
// secret is older than max_stale.
func TestStoreUnavailable(t *testing.T) {
	var c clock
	s := start(t, settings{
		configuration: strings.Replace(configuration, "    display_name: Acme customers", "    max_stale: 1h", 1),
		now:           c.now,
	})
	s.Store.SetError(errors.New("dial tcp 10.9.8.7:8200: connection refused"))
	ref := secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}
	if _, _, err := s.Ring.Refresh(t.Context(), ref); !errors.Is(err, secrets.ErrUnavailable) {
		t.Fatal(err)
	}
	eachTransport(t, func(t *testing.T, tr transport) {
		c.set(time.Hour)
		mint(t, s, tr, call{body: user("")})
		c.set(time.Hour + time.Second)
		for _, method := range []string{"MintToken", "RenderForm", "RenderPage"} {
			r := tr.send(t.Context(), t, s, call{method: method, body: user("")})
			checkRefused(t, tr, r, codes.Unavailable, "SECRET_UNAVAILABLE", http.StatusServiceUnavailable,
				10*time.Second)
			if strings.Contains(r.answer.message+string(r.body), "10.9.8.7") {
				t.Errorf("the answer has the cause: %s %s", r.answer.message, r.body)
			}
		}
		checkRefused(t, tr, tr.send(t.Context(), t, s, call{method: "InspectToken", body: `"token":"x"`}),
			codes.Unavailable, "SECRET_UNAVAILABLE", 503, 10*time.Second)
		// Another configuration has a longer max_stale.
		mint(t, s, tr, call{name: "acme-both", body: user("")})
		m := get[*pb.Configuration](t, tr.send(t.Context(), t, s, call{method: "GetConfiguration"}))
		if m.GetSecret().GetState() != pb.SecretState_SECRET_STATE_UNAVAILABLE {
			t.Errorf("the secret is %v", m.GetSecret())
		}
		page := tr.send(t.Context(), t, s, call{method: "RenderForm", body: user("") + `,"onError":"ON_ERROR_PAGE"`})
		if m := get[*pb.RenderFormResponse](t, page); m.GetReason() != "SECRET_UNAVAILABLE" ||
			m.GetOutcome() != pb.Outcome_OUTCOME_REFUSED {
			t.Errorf("the page has %v %s", m.GetOutcome(), m.GetReason())
		}
	})
	if !strings.Contains(s.Log.String(), "10.9.8.7") {
		t.Errorf("the log doesn't have the cause: %s", s.Log)
	}
}

// TestRate checks the rate of a grant. A refusal by it has the time after which a request succeeds.
// A refusal of another kind doesn't count, and neither does a request with validate_only.
func TestRate(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var c clock
		s := start(t, settings{configuration: configuration, now: c.now})
		slow := []string{"dmk_slow"}
		for range 5 {
			for _, method := range []string{"MintToken", "RenderForm", "RenderPage"} {
				validate := call{method: method, keys: slow, body: user("") + `,"validateOnly":true`}
				if r := tr.send(t.Context(), t, s, validate); r.code != codes.OK {
					t.Fatalf("a request with validate_only: %v %s", r.code, r.reason)
				}
				denied := call{method: method, keys: slow, body: user(`,"phone":"+4930123456"`)}
				if r := tr.send(t.Context(), t, s, denied); r.reason != "CLAIM_NOT_ALLOWED" {
					t.Fatalf("%v %s", r.code, r.reason)
				}
			}
		}
		mint(t, s, tr, call{keys: slow, body: user("")})
		for range 3 { // a refusal doesn't make the wait longer
			checkRefused(t, tr, tr.send(t.Context(), t, s, call{method: "MintToken", keys: slow, body: user("")}),
				codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, 2*time.Second)
		}
		c.set(1500 * time.Millisecond)
		checkRefused(t, tr, tr.send(t.Context(), t, s, call{method: "RenderPage", keys: slow, body: user("")}),
			codes.ResourceExhausted, "RATE_LIMITED", http.StatusTooManyRequests, 500*time.Millisecond)
		page := tr.send(t.Context(), t, s, call{
			method: "RenderForm", keys: slow, body: user("") + `,"onError":"ON_ERROR_PAGE"`,
		})
		if m := get[*pb.RenderFormResponse](t, page); m.GetReason() != "RATE_LIMITED" {
			t.Errorf("the page has %v %s", m.GetOutcome(), m.GetReason())
		}
		mint(t, s, tr, call{body: user("")}) // another caller has a separate rate
		c.set(2 * time.Second)
		mint(t, s, tr, call{keys: slow, body: user("")})
	})
}

// failingWriter is a writer that fails while armed is set. With short set, it writes half of the
// data first.
type failingWriter struct{ armed, short atomic.Bool }

func (f *failingWriter) Write(b []byte) (int, error) {
	switch {
	case f.armed.Load() && f.short.Load():
		return len(b) / 2, errors.New("short write")
	case f.armed.Load():
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

// TestAuditUnavailable checks that a request fails if its record can't be written. The answer has
// no token and no header about one. The error is the same for a request that would be refused.
func TestAuditUnavailable(t *testing.T) {
	w := &failingWriter{}
	s := start(t, settings{configuration: configuration, audit: w})
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "RenderForm", body: user("")},
			{method: "RenderPage", body: user("")},
			{method: "RenderPage", body: user("") + `,"secretVersion":9,"onError":"ON_ERROR_STATUS"`},
			{method: "MintToken", body: user("") + `,"validateOnly":true`},
			{method: "MintToken", body: user("") + `,"secretVersion":9`},
			{method: "MintToken", keys: []string{}, body: user("")},
			{method: "InspectToken", body: `"token":"x"`},
			{method: "ListConfigurations"},
			{method: "GetConfiguration"},
			{method: "RefreshSecret"},
		} {
			w.armed.Store(true)
			w.short.Store(c.method == "MintToken")
			r := tr.send(t.Context(), t, s, c)
			w.armed.Store(false)
			checkRefused(t, tr, r, codes.Unavailable, "AUDIT_UNAVAILABLE", http.StatusServiceUnavailable, time.Second)
			for name := range r.header {
				if strings.HasPrefix(name, "Deskmint-") || name == "Content-Security-Policy" {
					t.Errorf("%s: the error has the header %s", c.method, name)
				}
			}
			if tokenPattern.Match(r.body) {
				t.Errorf("%s: the error has a token: %s", c.method, r.body)
			}
		}
		mint(t, s, tr, call{body: user("")})
	})
}

// hookedWriter is a buffer that calls a function before each write.
type hookedWriter struct {
	bytes.Buffer
	before func()
}

func (h *hookedWriter) Write(b []byte) (int, error) {
	if h.before != nil {
		h.before()
	}
	return h.Buffer.Write(b)
}

// TestRecordBeforeAnswer checks that the answer is sent only after the record has been written.
func TestRecordBeforeAnswer(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "RenderForm", body: user("")},
			{method: "RenderPage", body: user("")},
			{method: "RenderForm", body: user(`,"phone":"1"`) + `,"onError":"ON_ERROR_PAGE"`},
			{method: "RenderPage", body: user(`,"phone":"1"`) + `,"onError":"ON_ERROR_PAGE"`},
		} {
			writing, release := make(chan struct{}), make(chan struct{})
			w := &hookedWriter{before: func() { writing <- struct{}{}; <-release }}
			s := start(t, settings{configuration: configuration, audit: w})
			answered := make(chan reply, 1)
			go func() { answered <- tr.send(t.Context(), t, s, c) }()
			<-writing
			select {
			case r := <-answered:
				t.Errorf("%s: the answer arrived before the record was written: %v", c.method, r.code)
			case <-time.After(20 * time.Millisecond): // the answer waits for nothing else
			}
			close(release)
			if r := <-answered; r.code != codes.OK {
				t.Errorf("%s: %v %s", c.method, r.code, r.reason)
			}
		}
	})
}

// TestGRPCTransport checks requests that only the gRPC server can receive.
func TestGRPCTransport(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	as := func(ctx context.Context, key string) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	for name, c := range map[string]struct {
		method string
		body   string // of MintTokenRequest.attempt
		code   codes.Code
		reason string
	}{
		"unknown method":  {"/deskmint.v1.TokenService/ForgeToken", "", codes.Unimplemented, "INVALID_REQUEST"},
		"unknown service": {"/deskmint.v1.SecretService/GetSecret", "", codes.Unimplemented, "INVALID_REQUEST"},
		"another version": {"/deskmint.v2.TokenService/MintToken", "", codes.Unimplemented, "INVALID_REQUEST"},
		"no reflection": {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "", codes.Unimplemented,
			"INVALID_REQUEST"},
		"no older reflection": {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "",
			codes.Unimplemented, "INVALID_REQUEST"},
		"no channelz":         {"/grpc.channelz.v1.Channelz/GetServers", "", codes.Unimplemented, "INVALID_REQUEST"},
		"the value of a name": {"/" + inputMarker + "/" + inputMarker, "", codes.Unimplemented, "INVALID_REQUEST"},
		"too large": {pb.TokenService_MintToken_FullMethodName, strings.Repeat(inputMarker, 40_000),
			codes.ResourceExhausted, ""},
		"as large as may be": {pb.TokenService_MintToken_FullMethodName, strings.Repeat("A", 64<<10-8),
			codes.InvalidArgument, "INVALID_FIELD"},
		"too large by a bit": {pb.TokenService_MintToken_FullMethodName, strings.Repeat("A", 64<<10),
			codes.ResourceExhausted, "INVALID_REQUEST"},
		"nobody, but too much": {pb.TokenService_MintToken_FullMethodName, strings.Repeat("A", 1<<20),
			codes.ResourceExhausted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := as(t.Context(), "dmk_everything")
			a := s.overGRPC(ctx, c.method, &pb.MintTokenRequest{Attempt: c.body}, &emptypb.Empty{})
			if a.code != c.code || a.reason != c.reason {
				t.Errorf("got %v %s %q", a.code, a.reason, a.message)
			}
			if strings.Contains(a.message, inputMarker) {
				t.Errorf("an error repeats a value of the request: %q", a.message)
			}
		})
	}
	for name, md := range map[string]metadata.MD{
		"missing":   {},
		"several":   {"authorization": {"Bearer dmk_everything", "Bearer dmk_nobody"}},
		"malformed": {"authorization": {"dmk_everything"}},
		"unknown":   {"authorization": {"Bearer " + inputMarker}},
	} {
		t.Run("credential "+name, func(t *testing.T) {
			md = metadata.Join(md, metadata.MD{
				"grpcgateway-authorization": {"Bearer dmk_everything"},
				"x-api-key":                 {"dmk_everything"},
				"authorization-bin":         {"Bearer dmk_everything"},
			})
			ctx := metadata.NewOutgoingContext(t.Context(), md)
			a := s.overGRPC(ctx, pb.TokenService_MintToken_FullMethodName, &pb.MintTokenRequest{},
				&pb.MintTokenResponse{})
			if a.code != codes.Unauthenticated || a.info["credential"] != name {
				t.Errorf("got %v %s %v", a.code, a.reason, a.info)
			}
		})
	}
	// The public health service reports only the process. It must not reveal whether a
	// configuration exists.
	health := healthpb.NewHealthClient(s.GRPC)
	for _, name := range []string{
		"acme-customers", "configurations/acme-customers", "acme-nowhere", "deskmint.v1.TokenService",
	} {
		_, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "unknown service" {
			t.Errorf("health of %s: %v", name, err)
		}
	}
	if r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil ||
		r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v %v", r.GetStatus(), err)
	}
}

// TestUndecodable checks that a message that can't be decoded is an error of the caller at the gRPC
// server. The error has a reason and doesn't repeat the message.
func TestUndecodable(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer dmk_everything")
	for name, raw := range map[string]string{
		"not UTF-8":     "\x0a\x05acme\xff",
		"cut off":       "\x0a\x7facme",
		"no wire type":  "\x0f",
		"a string role": "\x1a\x04\x2a\x02\x08\x01\xff",
	} {
		t.Run(name, func(t *testing.T) {
			request := &emptypb.Empty{}
			request.ProtoReflect().SetUnknown([]byte(raw))
			a := s.overGRPC(ctx, pb.TokenService_MintToken_FullMethodName, request, &emptypb.Empty{})
			if a.code != codes.InvalidArgument || a.reason != "INVALID_REQUEST" || strings.Contains(a.message, "acme") {
				t.Errorf("got %v %s %q", a.code, a.reason, a.message)
			}
		})
	}
}
