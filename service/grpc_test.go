package service_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

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
		"the maximum size": {pb.TokenService_MintToken_FullMethodName, strings.Repeat("A", 64<<10-8),
			codes.InvalidArgument, "INVALID_FIELD"},
		"slightly too large": {pb.TokenService_MintToken_FullMethodName, strings.Repeat("A", 64<<10),
			codes.ResourceExhausted, "INVALID_REQUEST"},
		"too large to be received": {pb.TokenService_MintToken_FullMethodName, strings.Repeat("A", 1<<20),
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
		if status.Code(err) != codes.NotFound || strings.Contains(status.Convert(err).Message(), name) {
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
		"incomplete":    "\x0a\x7facme",
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
