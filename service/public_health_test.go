package service_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// TestPublicHealth checks that the health service of the public listener can't be used to hold
// memory: it needs no credential, and a watch has no end. A connection has one watch, and there is
// no list.
func TestPublicHealth(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	if _, err := healthpb.NewHealthClient(s.GRPC).List(t.Context(), &healthpb.HealthListRequest{}); status.Code(err) !=
		codes.Unimplemented {
		t.Errorf("List: %v", err)
	}
	watch := func(conn *grpc.ClientConn, name string) codes.Code {
		stream, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		state, err := stream.Recv()
		if err == nil && state.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("the watch says %v", state.GetStatus())
		}
		return status.Code(err)
	}
	if got := watch(s.GRPC, "acme-customers"); got != codes.NotFound {
		t.Errorf("a watch of a configuration: %v", got)
	}
	if got := watch(s.GRPC, ""); got != codes.OK {
		t.Errorf("the first watch: %v", got)
	}
	for range 3 {
		if got := watch(s.GRPC, ""); got != codes.Unimplemented {
			t.Errorf("another watch of the connection: %v", got)
		}
	}
	other, err := grpc.NewClient(s.GRPC.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := watch(other, ""); got != codes.OK {
		t.Errorf("a watch of another connection: %v", got)
	}
}
