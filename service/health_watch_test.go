package service_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health" // clients with healthCheckConfig watch
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// TestOneHealthWatch checks that a connection has at most one health watch, with and without TLS,
// that another one is refused with a code that makes clients go on without it, and that the end of
// the watch makes room for the next one.
func TestOneHealthWatch(t *testing.T) {
	plain := start(t, settings{configuration: configuration})
	for name, conn := range map[string]*grpc.ClientConn{
		"plaintext": plain.GRPC, "TLS": startTLS(t).withCertificate(t, nil).GRPC,
	} {
		t.Run(name, func(t *testing.T) {
			health := healthpb.NewHealthClient(conn)
			first, end := context.WithCancel(t.Context())
			defer end()
			if err := watch(first, health); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := watch(t.Context(), health); status.Code(err) != codes.Unimplemented {
					t.Errorf("another watch on the same connection: %v", err)
				}
			}
			end()
			waitUntil(t, func() string {
				if err := watch(t.Context(), health); err != nil {
					return "a watch after the end of the first one: " + err.Error()
				}
				return ""
			})
		})
	}
}

// watch begins a health watch that lasts until ctx ends, and returns the error in place of its
// first answer.
func watch(ctx context.Context, health healthpb.HealthClient) error {
	w, err := health.Watch(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err == nil {
		_, err = w.Recv()
	}
	return err
}

// TestHealthCheckConfigOfSharedConnection checks that the calls of a client with healthCheckConfig
// succeed on a connection that has the watch of another client, as the connections of a mesh do.
func TestHealthCheckConfigOfSharedConnection(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	proxy := shareConnection(t, s.GRPC)
	for range 2 {
		conn := dial(t, proxy, grpc.WithDefaultServiceConfig(
			`{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`))
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		defer cancel()
		_, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// shareConnection starts a proxy that passes on the health checks of all its clients over one
// connection, and returns its address.
func shareConnection(t *testing.T, to *grpc.ClientConn) string {
	t.Helper()
	l := newListener(t)
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, &healthProxy{to: healthpb.NewHealthClient(to)})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

type healthProxy struct {
	healthpb.UnimplementedHealthServer

	to healthpb.HealthClient
}

// Check implements the gRPC health protocol.
func (p *healthProxy) Check(
	ctx context.Context, r *healthpb.HealthCheckRequest,
) (*healthpb.HealthCheckResponse, error) {
	return p.to.Check(ctx, r)
}

// Watch implements the gRPC health protocol.
func (p *healthProxy) Watch(
	r *healthpb.HealthCheckRequest, out grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	in, err := p.to.Watch(out.Context(), r)
	for err == nil {
		var m *healthpb.HealthCheckResponse
		if m, err = in.Recv(); err == nil {
			err = out.Send(m)
		}
	}
	return err
}

// TestHealthCallsWithoutMessage checks that calls of the public health service whose message never
// comes don't escape the limits: they count as watches, or end like other requests.
func TestHealthCallsWithoutMessage(t *testing.T) {
	s := start(t, settings{configuration: configuration, timeout: time.Second})
	for method, want := range map[string]codes.Code{
		healthpb.Health_Watch_FullMethodName: codes.Unimplemented,
		healthpb.Health_List_FullMethodName:  codes.DeadlineExceeded,
		healthpb.Health_Check_FullMethodName: codes.DeadlineExceeded,
	} {
		t.Run(method, func(t *testing.T) {
			withConn(t, s.GRPC.Target(), func(conn net.Conn) {
				if err := conn.SetDeadline(time.Now().Add(waitTimeout)); err != nil {
					t.Fatal(err)
				}
				c, err := newRawH2(conn)
				for range 2 {
					if err == nil {
						err = c.open(grpcFields(method), false)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, err := c.firstStatus(); err != nil || got != strconv.Itoa(int(want)) {
					t.Errorf("one of the calls ends with status %s, %v; want %d", got, err, want)
				}
			})
		})
	}
}

// firstStatus reads until any stream has ended, and returns its gRPC status.
func (c *rawH2) firstStatus() (string, error) {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return "", err
		}
		switch f := frame.(type) {
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					return h.Value, nil
				}
			}
		}
		if err != nil {
			return "", err
		}
	}
}
