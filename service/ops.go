package service

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/config"
)

// opsHandler is what the ops listener serves: never the public API. gRPC shares
// its port, since some probes speak nothing else.
func (s *Service) opsHandler() http.Handler {
	probes := grpc.NewServer()
	healthpb.RegisterHealthServer(probes, &configurationHealth{service: s})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics.handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			if r.URL.Path == healthpb.Health_Watch_FullMethodName { // it goes on for as long as its client likes
				stream := http.NewResponseController(w)
				_, _ = stream.SetReadDeadline(time.Time{}), stream.SetWriteDeadline(time.Time{})
			}
			probes.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// readyz says whether requests should be sent here, and how each configuration
// stands. A store that is away doesn't make us unready: that would take every
// replica out of the pool at once.
func (s *Service) readyz(w http.ResponseWriter, _ *http.Request) {
	type secret struct {
		State   string `json:"state"`
		Active  uint32 `json:"active_version,omitempty"`
		Staged  uint32 `json:"staged_version,omitempty"`
		Serial  uint64 `json:"serial"` // 0: the store has none, or nobody has moved the pointer
		Fault   string `json:"fault,omitempty"`
		Success string `json:"last_success,omitempty"`
		// Warnings are what an operator should change, though nothing is at fault.
		Warnings []string `json:"warnings,omitempty"`
	}
	snapshot := s.snapshot.Load()
	out := struct {
		Ready          bool              `json:"ready"`
		Fault          string            `json:"fault,omitempty"`
		Digest         string            `json:"configuration_digest"`
		Configurations map[string]secret `json:"configurations"`
	}{Ready: s.ready.Load(), Digest: snapshot.Digest, Configurations: make(map[string]secret)}
	if fault := s.selfTests.fault.Load(); fault != nil {
		out.Fault = *fault
	}
	for _, name := range snapshot.Names() {
		conf, _ := snapshot.Configuration(name)
		held, _ := s.secrets.State(conf.Secret)
		state := secret{
			State:  stateName(s.secretState(conf)),
			Active: uint32(held.ActiveVersion()),
			Staged: uint32(held.Status.Staged()),
			Serial: held.Status.Serial,
		}
		if held.Fault != nil {
			state.Fault = held.Fault.Error()
		} else if err := s.selfTest(conf); err != nil {
			state.Fault = err.Error()
		}
		if held.Unpinned() {
			state.Warnings = append(state.Warnings, warningUnpinned)
		}
		if !held.Succeeded.IsZero() {
			state.Success = held.Succeeded.UTC().Format("2006-01-02T15:04:05Z")
		}
		out.Configurations[name] = state
	}
	w.Header().Set("Content-Type", "application/json")
	if !out.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// warningUnpinned says that the newest version signs because the store has no pointer.
const warningUnpinned = "unpinned"

// stateName is usable, stale, unavailable, unusable, disabled or unspecified.
func stateName(s pb.SecretState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "SECRET_STATE_"))
}

// configurationHealth answers gRPC health checks by configuration name; the empty
// name stands for the process. Unlike the public one it may know names, since only
// operators reach it.
type configurationHealth struct {
	healthpb.UnimplementedHealthServer
	service *Service
}

// watchPause is between two checks of a watch. It is below the least drain worth having,
// so that whoever watches learns of the end before it comes.
const watchPause = 250 * time.Millisecond

// Check implements the gRPC health protocol.
func (h *configurationHealth) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	state := h.state(r.GetService())
	if state == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Error(codes.NotFound, "no such configuration")
	}
	return &healthpb.HealthCheckResponse{Status: state}, nil
}

// Watch implements the gRPC health protocol: it tells the state, and each other state
// that follows. One of a configuration that doesn't exist waits for a reload to bring
// it. It ends with its client, or with the ops listener.
func (h *configurationHealth) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	looks := time.NewTicker(watchPause)
	defer looks.Stop()
	told := healthpb.HealthCheckResponse_UNKNOWN
	for {
		if state := h.state(r.GetService()); state != told {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
			told = state
		}
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-looks.C:
		}
	}
}

func (h *configurationHealth) state(service string) healthpb.HealthCheckResponse_ServingStatus {
	serving := h.service.ready.Load()
	if name := nameOf(service); name != "" {
		conf, ok := h.service.snapshot.Load().Configuration(name)
		if !ok {
			return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		}
		serving = serving && h.signs(conf)
	}
	if serving {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}

func (h *configurationHealth) signs(conf *config.Configuration) bool {
	_, err := h.service.secrets.Get(conf.Secret, conf.MaxStale)
	return err == nil && h.service.selfTest(conf) == nil
}
