package service

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/panics"
	"github.com/deskmint/deskmint/service/transport"
)

// Listeners are the listeners of a service. Serve closes them.
type Listeners struct {
	GRPC net.Listener
	HTTP net.Listener
	// Ops serves health, readiness and metrics. Nil means that they aren't served.
	Ops net.Listener
	// TLS protects GRPC and HTTP. Nil means plaintext.
	TLS *certs.Store
}

// Serve answers requests until ctx ends. Then it reports that it isn't serving, and keeps accepting
// requests for Options.Drain. After that it waits up to Options.Grace for the requests in flight,
// and cuts off the rest. It returns when everything has stopped. The error is nil if ctx was the
// reason.
//
// The ops listener answers immediately, and reports that the service isn't ready. The transports
// start after the first read of all secrets and after the self-tests. Until then, their connections
// wait. They don't start while nothing can be signed, or while two other clocks agree that this
// machine's is wrong.
func (s *Service) Serve(ctx context.Context, l Listeners) error {
	servers, err := s.servers(l.TLS)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	var ops *http.Server
	if l.Ops != nil {
		ops = servers.NewHTTPServer(s.monitor.Handler())
		ops.Protocols = new(http.Protocols)
		ops.Protocols.SetHTTP1(true)
		ops.Protocols.SetUnencryptedHTTP2(true)
		group.Go(func() error {
			if err := ops.Serve(l.Ops); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("ops listener: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error {
		if s.secrets.Warm(ctx, s.snapshot.Load().Refs()...) != nil || !s.monitor.AwaitReady(ctx) {
			_, _ = l.GRPC.Close(), l.HTTP.Close() // ctx has ended
			return nil
		}
		s.setServing(servers, true)
		if s.options.Ready != nil {
			s.options.Ready()
		}
		return servers.Serve(l.GRPC, l.HTTP)
	})
	group.Go(func() error {
		panics.Restart(ctx, s.log, "measuring clocks", func() { s.references.Run(ctx) })
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		defer panics.Log(s.log, "stopping")
		s.stop(servers, ops)
		return nil
	})
	return group.Wait()
}

// servers returns both transports in front of the pipeline.
func (s *Service) servers(certificates *certs.Store) (*transport.Servers, error) {
	if certificates != nil {
		s.monitor.SetCertificate(certificates.NotAfter)
	}
	return transport.New(transport.Options{
		Methods:    s.transportMethods(),
		Unknown:    s.transportMethod(unknownMethod()),
		TLS:        certificates,
		Log:        s.log,
		ServerLog:  log.New(serverErrorLog{s}, "", 0),
		Handshake:  s.monitor.Handshake,
		Stats:      s.options.Stats,
		Propagator: s.options.Propagator,
		Reflection: s.options.Reflection,
		Timeouts:   s.timeouts,

		ConnectionsPerAddress: s.options.ConnectionsPerAddress,
	})
}

func (s *Service) setServing(servers *transport.Servers, serving bool) {
	s.monitor.SetReady(serving)
	servers.SetServing(serving)
}

// stop stops the transports and then the ops listener. The ops listener is last, so that probes can
// read that the service isn't ready.
func (s *Service) stop(servers *transport.Servers, ops *http.Server) {
	if s.monitor.Ready() {
		s.setServing(servers, false)
		<-time.After(s.options.Drain)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	if err := servers.Stop(ctx); err != nil {
		s.log.Warn("requests were cut off", slog.Duration("grace", s.options.Grace))
	}
	if ops != nil {
		_ = ops.Close()
	}
}
