package ops

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/deskmint/deskmint/service/config"
)

// watchInterval is the time between two checks of a watch. It is shorter than any useful drain, so
// that a client with a watch reads in time that the service isn't ready.
const watchInterval = 250 * time.Millisecond

// Handler returns the HTTP handler of the ops listener, which never serves the public API. gRPC
// shares its port because some probes speak only gRPC.
func (m *Monitor) Handler() http.Handler {
	probes := grpc.NewServer()
	healthpb.RegisterHealthServer(probes, &configurationHealth{monitor: m})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", m.readyz)
	mux.Handle("GET /metrics", m.metrics.handler())
	mux.HandleFunc("GET /{$}", m.statusPage())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			if r.URL.Path == healthpb.Health_Watch_FullMethodName { // the client ends the watch
				stream := http.NewResponseController(w)
				_, _ = stream.SetReadDeadline(time.Time{}), stream.SetWriteDeadline(time.Time{})
			}
			probes.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// configurationHealth answers gRPC health checks by the name of a configuration. The empty name
// means the process. Unlike the public health service it may reveal names, because only operators
// can reach it.
type configurationHealth struct {
	healthpb.UnimplementedHealthServer
	monitor *Monitor
}

// Check implements the gRPC health protocol.
func (h *configurationHealth) Check(
	_ context.Context,
	r *healthpb.HealthCheckRequest,
) (*healthpb.HealthCheckResponse, error) {
	state := h.state(r.GetService())
	if state == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Error(codes.NotFound, "no such configuration")
	}
	return &healthpb.HealthCheckResponse{Status: state}, nil
}

// Watch implements the gRPC health protocol. It sends the state and then each change. A watch of an
// unknown configuration continues, because a reload can add it. A watch ends when its client or the
// ops listener ends it.
func (h *configurationHealth) Watch(
	r *healthpb.HealthCheckRequest,
	stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for {
		if state := h.state(r.GetService()); state != sent {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
			sent = state
		}
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-ticker.C:
		}
	}
}

func (h *configurationHealth) state(service string) healthpb.HealthCheckResponse_ServingStatus {
	serving := h.monitor.Ready()
	if name := strings.TrimPrefix(service, "configurations/"); name != "" {
		conf, ok := h.monitor.options.Snapshot().Configuration(name)
		if !ok {
			return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		}
		serving = serving && h.monitor.canSign(conf)
	}
	if serving {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

// canSign reports whether the configuration can sign now.
func (m *Monitor) canSign(conf *config.Configuration) bool {
	_, err := m.options.Secrets.Get(conf.Secret, conf.MaxStale)
	return err == nil && m.selfTest(conf) == nil
}
