package transport

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/deskmint/deskmint/service/transport/internal/connections"
)

// publicHealth is the health service of the public listener. It needs no credential, because
// clients call it before they send one. So it knows only the empty name, which means the process. A
// connection has at most one watch, because watches have no end, and each costs memory. The
// clients' setting healthCheckConfig needs one watch on each connection. In a mesh, clients share a
// connection. Those without the watch learn of a drain when the connection is closed.
type publicHealth struct {
	healthpb.UnimplementedHealthServer
	server *health.Server
}

// Check implements the gRPC health protocol.
func (h *publicHealth) Check(
	ctx context.Context,
	r *healthpb.HealthCheckRequest,
) (*healthpb.HealthCheckResponse, error) {
	if r.GetService() != "" {
		return nil, errUnknownHealth
	}
	return h.server.Check(ctx, r)
}

// Watch implements the gRPC health protocol.
func (h *publicHealth) Watch(
	r *healthpb.HealthCheckRequest,
	stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	if r.GetService() != "" {
		return errUnknownHealth
	}
	return h.server.Watch(r, stream)
}

// limitWatches refuses a second watch on a connection. It is an interceptor, because the method is
// called only when the message of the request has come, and a client need not send one.
func limitWatches(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if info.FullMethod != healthpb.Health_Watch_FullMethodName {
		return handle(srv, stream)
	}
	if conn := connections.PeerOf(stream.Context()); conn != nil {
		if conn.Watched.Swap(true) {
			// With any other code, a client that needs the watch makes no calls (gRFC A17).
			return status.Error(codes.Unimplemented, "this connection has a health watch: use that one")
		}
		defer conn.Watched.Store(false)
	}
	return handle(srv, stream)
}

var errUnknownHealth = status.Error(codes.NotFound,
	"only the empty service name is known here; configurations have their health at the ops listener")
