package service_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestUnknownRequests checks requests that name no method of the API, or that can't be decoded.
// Those of a known caller are counted and recorded like any other, so that a caller whose new
// release is wrong is seen. Those of an unknown caller get the answer that all its requests get.
func TestUnknownRequests(t *testing.T) {
	const key = "Bearer dmk_everything"
	raw := func(method, path, head, body string) func(*testing.T, *server, ...string) string {
		return func(t *testing.T, s *server, keys ...string) string {
			for _, k := range keys {
				head += "Authorization: " + k + "\r\n"
			}
			request := rawPost(path, head, body)
			res, answer := s.sendRaw(t, strings.Replace(request, "POST", method, 1))
			return readError(t, res.Header, res.StatusCode, answer).reason
		}
	}
	post := func(path, head, body string) func(*testing.T, *server, ...string) string {
		return raw("POST", path, head, body)
	}
	overGRPC := func(method string) func(*testing.T, *server, ...string) string {
		return func(t *testing.T, s *server, keys ...string) string {
			return s.overGRPC(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{}, keys...).reason
		}
	}
	for _, c := range []struct {
		name      string
		transport string
		method    string
		code      codes.Code
		send      func(t *testing.T, s *server, keys ...string) string
	}{
		{"a path", "http", "unknown", codes.NotFound, post("/v2/nothing", asJSON, `{}`)},
		{"an HTTP method", "http", "unknown", codes.Unimplemented, raw("PUT", mintPath, asJSON, `{}`)},
		{"a header", "http", "unknown", codes.InvalidArgument, post(mintPath, asJSON+"Grpc-Timeout: soon\r\n", `{}`)},
		{"a message", "grpc", "MintToken", codes.InvalidArgument, func(t *testing.T, s *server, keys ...string) string {
			in := wrapperspb.Bytes([]byte{0xff}) // field 1 of the request is a string
			return s.overGRPC(t.Context(), "/deskmint.v1.TokenService/MintToken", in, &emptypb.Empty{}, keys...).reason
		}},
		{"a long message", "grpc", "MintToken", codes.ResourceExhausted,
			func(t *testing.T, s *server, keys ...string) string {
				in := wrapperspb.Bytes(make([]byte, 70<<10))
				a := s.overGRPC(t.Context(), "/deskmint.v1.TokenService/MintToken", in, &emptypb.Empty{}, keys...)
				return a.reason
			}},
		{"broken JSON", "http", "MintToken", codes.InvalidArgument, post(mintPath, asJSON, `{`)},
		{"a misspelt field", "http", "MintToken", codes.InvalidArgument, post(mintPath, asJSON, `{"usr":{}}`)},
		{"a media type", "http", "MintToken", codes.InvalidArgument,
			post(mintPath, "Content-Type: text/plain\r\n", `{}`)},
		{"too long", "http", "MintToken", codes.ResourceExhausted,
			post(mintPath, asJSON, `{"x":"`+strings.Repeat("x", 70<<10)+`"}`)},
		{"an RPC", "grpc", "unknown", codes.Unimplemented, overGRPC("/deskmint.v1.TokenService/Mint")},
		{"a service", "grpc", "unknown", codes.Unimplemented, overGRPC("/deskmint.v2.TokenService/MintToken")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, settings{configuration: configuration})
			if got := c.send(t, s); got != "CALLER_UNAUTHENTICATED" {
				t.Errorf("a stranger gets %s", got)
			}
			if got := c.send(t, s, key); got != "INVALID_REQUEST" {
				t.Errorf("the caller gets %s", got)
			}
			if got := counted(t, s, c.transport, c.method, c.code, "INVALID_REQUEST"); got != "1" {
				t.Errorf("counted %q times, want 1", got)
			}
			all := records(t, s)
			if len(all) != 2 || all[1].Caller != "everything" || all[1].Reason != "INVALID_REQUEST" ||
				all[1].Method != c.method || all[1].Transport != c.transport || all[0].Method != c.method {
				t.Errorf("recorded %+v", all)
			}
			got := counted(t, s, c.transport, c.method, codes.Unauthenticated, "CALLER_UNAUTHENTICATED")
			if got != "1" {
				t.Errorf("the stranger is counted %q times, want 1", got)
			}
		})
	}
}

// TestUnreceivedMessages checks that requests are counted and recorded if the gRPC library can't
// receive their message. The library answers them itself, so the answer has no reason.
func TestUnreceivedMessages(t *testing.T) {
	for name, c := range map[string]struct {
		code codes.Code
		send func(grpc.ClientStream) error
	}{
		"longer than the library reads": {codes.ResourceExhausted, func(stream grpc.ClientStream) error {
			return stream.SendMsg(wrapperspb.Bytes(make([]byte, 300<<10)))
		}},
		"none": {codes.InvalidArgument, func(grpc.ClientStream) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, settings{configuration: configuration})
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer dmk_everything")
			desc := &grpc.StreamDesc{ClientStreams: true}
			stream, err := s.GRPC.NewStream(ctx, desc, "/deskmint.v1.TokenService/MintToken")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.send(stream), stream.CloseSend()); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) == codes.OK {
				t.Fatal("the request was accepted")
			}
			waitUntil(t, func() string { // the library answers before the pipeline ends
				if got := counted(t, s, "grpc", "MintToken", c.code, "INVALID_REQUEST"); got != "1" {
					return fmt.Sprintf("counted %q times, want 1", got)
				}
				return ""
			})
			all := records(t, s)
			if len(all) != 1 || all[0].Caller != "everything" || all[0].Reason != "INVALID_REQUEST" {
				t.Errorf("recorded %+v", all)
			}
		})
	}
}

// TestLengthIsReadFirst checks that a body whose announced length is too large is refused before
// the client sends it.
func TestLengthIsReadFirst(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, head := range []string{"", "Expect: 100-continue\r\n"} {
		request := rawRequest(http.MethodPost, mintPath, asEverything+asJSON+head+"Content-Length: 70000\r\n")
		res, body := s.sendRaw(t, request)
		if a := readError(t, res.Header, res.StatusCode, body); a.http != http.StatusRequestEntityTooLarge {
			t.Errorf("%q: HTTP %d %s", head, a.http, a.reason)
		}
	}
}
