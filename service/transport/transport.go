// Package transport receives requests over gRPC and over REST.
//
// It implements the protocols: servers, headers, JSON, size limits, timeouts and the form of an
// error. It does not interpret requests. It passes every request as a [Call] to the [Method] that
// the request names. The method then reads the message. Until it does, no message is decoded and no
// body is read.
//
// The REST gateway doesn't use a socket to call the methods. It calls them directly, on the
// goroutine and with the context of the HTTP request.
package transport

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/panics"
	"github.com/deskmint/deskmint/service/transport/internal/connections"
)

// The transports, as records, metrics and traces name them.
const (
	GRPC = "grpc"
	HTTP = "http"
)

// MaxDuration is the longest time that a request may take, even if its deadline is later.
const MaxDuration = 15 * time.Second

// Limits of both transports. The defaults of the libraries are much larger: messages of 4 MiB, 2^32
// streams, connections without an end. A sign-in has a few kilobytes.
const (
	// MaxAnswer is the largest message of an answer, in bytes.
	MaxAnswer = 1 << 20
	// maxBody is the largest message of a request, in bytes. Claims are limited to 16 KiB and
	// tokens to 32 KiB.
	maxBody    = 64 << 10
	maxHeaders = 16 << 10 // bytes
	// maxStreams limits the concurrent requests on one connection. It is the smallest value that
	// RFC 9113, section 6.5.2, recommends. With more, a client that floods its connections would
	// get more of the processor. An ordinary caller needs a stream for a millisecond.
	maxStreams = 100
)

// Method is one RPC of the API.
type Method struct {
	Full  string // such as /deskmint.v1.TokenService/MintToken
	Serve func(context.Context, *Call) Answer
	// IgnoreUnknown lets the method ignore JSON fields that its message doesn't have. They are errors
	// otherwise.
	IgnoreUnknown bool
}

// name returns the method's name without its service.
func (m Method) name() string { return m.Full[strings.LastIndex(m.Full, "/")+1:] }

// Answer is the outcome of a call. An answer with a refusal has a message, too, if a page shows the
// refusal to the user.
type Answer struct {
	Message proto.Message // nil if there is only the refusal
	Header  metadata.MD
	Refusal *Refusal // nil if the call succeeded
}

// Options of the servers. Methods, Unknown, Log and Timeouts are required.
type Options struct {
	Methods []Method
	// Unknown serves the requests that name none of the methods. Its [Call.Decode] returns the
	// refusal, so that the caller is authenticated first, and the request is counted and recorded.
	Unknown Method
	// TLS protects both transports. Nil means plaintext.
	TLS *certs.Store
	// Log receives panics outside the methods.
	Log *slog.Logger
	// ServerLog receives the messages of net/http, and the failed handshakes of the gRPC server.
	// Unauthenticated clients can cause any number of them. Nil means the standard logger.
	ServerLog *log.Logger
	// Handshake is called after each TLS handshake. Nil means that nothing is called.
	Handshake func(transport string, succeeded bool)
	// Stats receives the events of each call at either transport, as grpc.Server reports them, with
	// whole messages. Nil means none.
	Stats stats.Handler
	// Propagator reads the trace that a request of the REST gateway belongs to. Nil means none.
	Propagator propagation.TextMapPropagator
	// Reflection enables gRPC reflection, which describes the API to clients that are not
	// authenticated.
	Reflection bool
	// ConnectionsPerAddress limits the connections that one address has open at each listener. The
	// addresses of an IPv6 network of 64 bits count as one. 0 means no limit.
	ConnectionsPerAddress int
	Timeouts              Timeouts
}

// Servers are the gRPC server and the REST gateway. They are safe for concurrent use.
type Servers struct {
	options    Options
	health     *health.Server
	grpc       *grpc.Server
	http       *http.Server
	endStreams context.CancelFunc
}

// New returns servers that take no requests yet. Call Stop to end them.
func New(o Options) (*Servers, error) {
	t := &Servers{options: o, health: health.NewServer()}
	handler, err := t.Gateway()
	if err != nil {
		return nil, err
	}
	streams, end := context.WithCancel(context.Background())
	t.endStreams = end
	t.grpc = t.grpcServer(streams)
	t.http = t.NewHTTPServer(handler)
	t.http.ConnState = t.countHTTPHandshake
	return t, nil
}

// Serve accepts requests from both listeners until Stop, and closes the listeners. It returns the
// error of the first listener that fails, or nil after Stop.
func (t *Servers) Serve(grpcListener, httpListener net.Listener) error {
	grpcListener = connections.Limit(grpcListener, GRPC, t.options.ConnectionsPerAddress, t.options.Log)
	httpListener = connections.Limit(httpListener, HTTP, t.options.ConnectionsPerAddress, t.options.Log)
	if t.options.TLS != nil {
		httpListener = tlsListener(httpListener, t.options.TLS)
	}
	ended := make(chan error, 2)
	serve := func(name string, accept func(net.Listener) error, l net.Listener) {
		ended <- listenerError(name, safely(func() error { return accept(l) }))
	}
	go serve(GRPC, t.grpc.Serve, deadlineListener{grpcListener, t.options.Timeouts.Write})
	go serve(HTTP, t.http.Serve, httpListener)
	for range 2 {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// SetServing sets the answer of the public health service.
func (t *Servers) SetServing(serving bool) {
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		state = healthpb.HealthCheckResponse_SERVING
	}
	t.health.SetServingStatus("", state)
}

// Stop makes the servers accept no more requests and waits for those in flight. When ctx ends, it
// cuts off the rest and returns the error of ctx.
func (t *Servers) Stop(ctx context.Context) error {
	t.endStreams()
	var group errgroup.Group
	group.Go(func() error {
		finished := make(chan struct{})
		go func() {
			defer panics.Log(t.options.Log, "stopping the gRPC server")
			t.grpc.GracefulStop()
			close(finished)
		}()
		select {
		case <-finished:
			return nil
		case <-ctx.Done():
			t.grpc.Stop()
			return ctx.Err()
		}
	})
	group.Go(func() error {
		err := safely(func() error { return t.http.Shutdown(ctx) })
		if err != nil {
			_ = t.http.Close()
		}
		return err
	})
	return group.Wait()
}

// safely turns a panic into an error, so that the service ends in order.
func safely(do func() error) (err error) {
	defer panics.Catch(&err)
	return do()
}

// listenerError adds the name of the listener to an error. It returns nil for a server that was
// stopped.
func listenerError(transport string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("%s listener: %w", transport, err)
}

// errTooLong is the cause of a context that the limit of a whole request has ended.
var errTooLong = errors.New("the request took too long")

// CallerWaits reports whether the caller of a request still waits for the answer. ctx is the
// context that the transport made for the request. If a limit of ours has ended it, the caller
// waits.
func CallerWaits(ctx context.Context) bool {
	return Over(ctx) == nil || errors.Is(context.Cause(ctx), errTooLong)
}

// Over returns the error of a context that has ended, and nil for any other context. It also
// returns an error if the deadline has passed but the context's timer has not ended the context
// yet.
func Over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
