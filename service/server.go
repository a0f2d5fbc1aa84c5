package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/deskmint/deskmint/service/certs"
)

// Limits of both transports. The libraries' own are made for any service: 4 MiB
// messages, 2^32 streams, no end to a connection. A sign-in is a few kilobytes.
const (
	maxHeaders = 16 << 10 // bytes
	maxAnswer  = 1 << 20  // bytes
	// maxStreams are at once on one connection, the least that RFC 9113, section 6.5.2,
	// recommends. Who opens many connections to flood them gets no more of the
	// processor for each, and an ordinary caller is done with a stream in a millisecond.
	maxStreams = 100
	// workers are goroutines that take one request after the other. A new one for each
	// would grow its stack anew each time, which costs as much as the signature; where
	// more requests are under way, the others get theirs.
	workers  = 64
	maxFrame = 16 << 10 // bytes; HTTP/2 has no smaller limit
)

// Listeners are where a service takes requests. They are closed when it stops.
type Listeners struct {
	GRPC net.Listener
	HTTP net.Listener
	// Ops serves health, readiness and metrics; nil: nowhere.
	Ops net.Listener
	// TLS protects GRPC and HTTP; nil: plaintext.
	TLS *certs.Store
}

// Serve answers requests until ctx ends, and then stops in order: it says that it
// isn't serving, goes on for Options.Drain, lets requests in flight finish for
// Options.Grace, and cuts what is left. It returns when all has stopped; nil when
// ctx was the reason.
//
// The ops listener is served at once, and says that we aren't ready. The transports
// follow when each secret is held or known to be at fault, and those that are held
// have been signed with; who comes before waits. While the store is away and no secret
// is held, they don't follow.
func (s *Service) Serve(ctx context.Context, l Listeners) error {
	// The transports outlive ctx by the time that an orderly end takes.
	handler, err := s.httpTransport(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	grpcServer := s.grpcServer(streams, l.TLS)
	httpServer := s.httpServer(handler)
	if l.TLS != nil {
		l.HTTP = tls.NewListener(l.HTTP, l.TLS.TLS("h2", "http/1.1"))
	}
	group, ctx := errgroup.WithContext(ctx)
	var ops *http.Server
	if l.Ops != nil {
		ops = s.httpServer(s.opsHandler())
		ops.Protocols = new(http.Protocols)
		ops.Protocols.SetHTTP1(true)
		ops.Protocols.SetUnencryptedHTTP2(true)
		group.Go(func() error { return named("ops", ops.Serve(l.Ops)) })
	}
	group.Go(func() error {
		if s.secrets.Warm(ctx, s.snapshot.Load().Refs()...) != nil || !s.awaitSelfTest(ctx) {
			_, _ = l.GRPC.Close(), l.HTTP.Close() // told to end before it has begun
			return nil
		}
		s.setServing(true)
		if s.options.Ready != nil {
			s.options.Ready()
		}
		group.Go(func() error { return named("grpc", grpcServer.Serve(deadlineListener{l.GRPC, s.timeouts.write})) })
		return named("http", httpServer.Serve(l.HTTP))
	})
	group.Go(func() error {
		<-ctx.Done()
		s.stop(grpcServer, httpServer, ops, endStreams)
		return nil
	})
	return group.Wait()
}

func (s *Service) setServing(serving bool) {
	s.ready.Store(serving)
	state := healthpb.HealthCheckResponse_NOT_SERVING
	if serving {
		state = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
}

// stop ends the transports in order; ops is last, so that probes see the end coming.
func (s *Service) stop(grpcServer *grpc.Server, httpServer, ops *http.Server, endStreams func()) {
	if s.ready.Load() {
		s.setServing(false)
		<-time.After(s.options.Drain)
	}
	endStreams()
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	var transports errgroup.Group
	transports.Go(func() error {
		finished := make(chan struct{})
		go func() { grpcServer.GracefulStop(); close(finished) }()
		select {
		case <-finished:
			return nil
		case <-ctx.Done():
			grpcServer.Stop()
			return ctx.Err()
		}
	})
	transports.Go(func() error { return shutdown(ctx, httpServer) })
	if err := transports.Wait(); err != nil {
		s.log.Warn("requests were cut off", slog.Duration("grace", s.options.Grace))
	}
	if ops != nil {
		_ = ops.Close()
	}
}

func shutdown(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if err != nil {
		_ = server.Close()
	}
	return err
}

// named says which listener failed. A server that was told to stop hasn't.
func named(transport string, err error) error {
	if err == nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("%s listener: %w", transport, err)
}

// until ends streams with ctx: a health watch goes on for as long as its client
// likes, and a graceful end would wait for it.
func until(ctx context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		bounded, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		return handle(srv, &boundedStream{stream, bounded})
	}
}

type boundedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements [grpc.ServerStream].
func (s *boundedStream) Context() context.Context { return s.ctx }

func (s *Service) grpcServer(streams context.Context, certificates *certs.Store) *grpc.Server {
	options := []grpc.ServerOption{
		grpc.StreamInterceptor(until(streams)),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return classify(&requestError{code: codes.Unimplemented, http: http.StatusNotFound, message: "There is no such method."})
		}),
		grpc.ForceServerCodecV2(newDeferringCodec()),
		grpc.MaxRecvMsgSize(4 * maxBody), // beyond it the library answers, in its own words
		grpc.MaxSendMsgSize(maxAnswer),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(workers),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(s.timeouts.read),
		grpc.InTapHandle(s.timeouts.bound),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: s.timeouts.idle, MaxConnectionAge: s.timeouts.age, MaxConnectionAgeGrace: s.timeouts.request,
			Time: s.timeouts.quiet, Timeout: s.timeouts.read,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if s.options.Stats != nil {
		options = append(options, grpc.StatsHandler(whole{s.options.Stats}))
	}
	if certificates != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(certificates.TLS("h2"))))
	}
	server := grpc.NewServer(options...)
	s.register(server)
	healthpb.RegisterHealthServer(server, s.health)
	if s.options.Reflection {
		reflection.Register(server)
	}
	return server
}

func (s *Service) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:                      s.recoverHTTP(closeOld(handler)),
		ConnContext:                  s.timeouts.withEnd,
		DisableGeneralOptionsHandler: true, // `OPTIONS *` is answered like everything else
		ReadHeaderTimeout:            s.timeouts.read,
		ReadTimeout:                  s.timeouts.read,
		WriteTimeout:                 s.timeouts.request + s.timeouts.write, // from the header on
		IdleTimeout:                  s.timeouts.idle,
		MaxHeaderBytes:               maxHeaders,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame,
			MaxReceiveBufferPerConnection: 4 * maxBody, MaxReceiveBufferPerStream: maxBody,
			SendPingTimeout: s.timeouts.quiet, PingTimeout: s.timeouts.read, WriteByteTimeout: s.timeouts.write,
		},
		ErrorLog: log.New(serverErrorLog{s}, "", 0),
	}
}

// recoverHTTP handles panics outside the pipeline: net/http would log their value.
// The connection ends, since nobody knows how much of an answer has left.
func (s *Service) recoverHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.LogAttrs(r.Context(), slog.LevelError, "request failed",
					slog.String("request_id", w.Header().Get(headerRequestID)), slog.String("cause", newPanicError(p).Error()))
				panic(http.ErrAbortHandler) // which net/http doesn't log
			}
		}()
		next.ServeHTTP(w, r)
	})
}
