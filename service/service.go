// Package service implements the Deskmint server. It combines the RPC methods, the steps that every
// request passes, and the two transports.
//
// Every request passes the same steps, over gRPC and over REST. The file pipeline.go lists them in
// their order. The transports are in package transport. Health, readiness and metrics are in
// package ops. [Service.Serve] documents the listeners.
//
// The cause of an error is only logged. The answer has a reason and a fixed sentence. The file
// errors.go maps each cause to its reason.
package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/clock"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
)

// Secrets is the part of a keyring that the service uses. Get must not wait for a store.
type Secrets interface {
	ops.Secrets
	Warm(ctx context.Context, refs ...secrets.Ref) error
	Retain(refs ...secrets.Ref)
	Refresh(ctx context.Context, ref secrets.Ref) (before, after secrets.Status, err error)
	// RefreshInTurn is like Refresh, but it must not delay a call of Refresh.
	RefreshInTurn(ctx context.Context, ref secrets.Ref) error
}

// Options of a Service. Snapshot, Secrets and Audit are required.
type Options struct {
	// Snapshot is the first configuration. [Service.Serve] reads its secrets.
	Snapshot *config.Snapshot
	// Secrets returns the signing keys.
	Secrets Secrets
	// Audit receives the record of each decision.
	Audit *audit.Log
	// Store reports the state of the secret store, for metrics. Nil means that it is in this
	// process.
	Store ops.Store
	// Clocks are further clocks that this machine's is compared with. The hosts of clock.references
	// are added to them.
	Clocks []ops.Clock
	// IssuerKeys reports when the keys of issuers were fetched, for metrics. Nil means unknown.
	IssuerKeys ops.IssuerKeys
	// Registry receives the metrics. Nil means a new one. Two services can't share one.
	Registry *prometheus.Registry
	// Log receives causes and events. Nil means that nothing is logged.
	Log *slog.Logger
	// Now returns the time that tokens are dated with. Nil means time.Now.
	Now func() time.Time
	// Stats receives the events of each call at either transport, as grpc.Server reports them. Nil
	// means none. The events have whole messages, with tokens in them. It must not write those to a
	// trace or a log.
	Stats stats.Handler
	// Propagator reads the trace that a request of the REST gateway belongs to. Records, log lines
	// and metrics then name the trace. Nil means no tracing, which costs nothing. It should ignore
	// baggage, because the caller is not known yet.
	Propagator propagation.TextMapPropagator
	// Reflection enables gRPC reflection. It describes the API to clients that are not
	// authenticated, so it is for development.
	Reflection bool
	// ConnectionsPerAddress limits the connections that one address has open at each public
	// listener. The addresses of an IPv6 network of 64 bits count as one. 0 means no limit.
	ConnectionsPerAddress int
	// Ready is called once, when the service begins to accept requests. Nil means that nothing is
	// called.
	Ready func()
	// Drain is how long the service accepts requests after it reports that it is not serving. Load
	// balancers have that long to notice. 0 means not at all.
	Drain time.Duration
	// Grace is how long requests in flight may take after Drain. 0 means 10 s.
	Grace time.Duration
}

// Service answers requests. A process can have several. It is safe for concurrent use.
type Service struct {
	snapshot   atomic.Pointer[config.Snapshot]
	secrets    Secrets
	audit      *audit.Log
	log        *slog.Logger
	now        func() time.Time
	validator  protovalidate.Validator
	monitor    *ops.Monitor
	references *clock.References
	timeouts   transport.Timeouts
	limits     policy.Limiter // outlives a snapshot, so that a reload resets no limit
	decider    signin.Decider
	pipeline   handler
	logLimiter logLimiter
	options    Options
}

// New returns a service that doesn't listen yet. It compiles every validation rule, so that no
// request has to wait for that.
func New(o Options) (*Service, error) {
	if o.Snapshot == nil || o.Secrets == nil || o.Audit == nil {
		return nil, errors.New("service: snapshot, secrets and audit are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	validator, err := newValidator()
	if err != nil {
		return nil, err
	}
	s := &Service{
		secrets:   o.Secrets,
		audit:     o.Audit,
		log:       o.Log,
		now:       o.Now,
		validator: validator,
		timeouts:  transport.DefaultTimeouts(),
		options:   o,
	}
	s.snapshot.Store(o.Snapshot)
	s.decider = signin.Decider{Secrets: o.Secrets, Limits: &s.limits}
	s.pipeline = s.newPipeline()
	references := func() []string { return s.snapshot.Load().Clock.References }
	s.references = clock.NewReferences(references, s.now, s.log)
	s.monitor = ops.New(ops.Options{
		Snapshot:   s.snapshot.Load,
		Secrets:    o.Secrets,
		Store:      o.Store,
		Clocks:     append(slices.Clone(o.Clocks), s.references),
		IssuerKeys: o.IssuerKeys,
		Registry:   o.Registry,
		Methods:    Methods(),
		Transports: []string{transport.GRPC, transport.HTTP},
		Log:        o.Log,
		Now:        o.Now,
	})
	s.monitor.Declare(codes.Unavailable, reasonAuditUnavailable)
	s.monitor.Declare(codes.Internal, transport.ReasonInternal)
	return s, nil
}

// Swap replaces the whole configuration. Requests in flight keep the configuration that they began
// with. Swap first reads the secrets of the new configuration, so that no request finds them
// missing. Afterwards it forgets the secrets that the new configuration doesn't name. It fails and
// changes nothing if ctx ends first, or if the new configuration can sign nothing. It must not be
// called concurrently.
func (s *Service) Swap(ctx context.Context, next *config.Snapshot) error {
	err := s.secrets.Warm(ctx, next.Refs()...)
	if err == nil {
		err = s.monitor.CanSign(ctx, next)
	}
	if err != nil {
		s.secrets.Retain(s.snapshot.Load().Refs()...) // forgets those that Warm has just read
		return err
	}
	s.snapshot.Store(next)
	s.secrets.Retain(next.Refs()...)
	s.monitor.Take(next)
	return nil
}

// Reloaded counts a reload that has ended. The cause is that of a failure.
func (s *Service) Reloaded(r ops.ReloadResult, cause error) { s.monitor.Reloaded(r, cause) }

// Removed counts what a reload has removed.
func (s *Service) Removed(r config.Removal) { s.monitor.Removed(r.Kind, len(r.Names)) }

// newValidator compiles the validation rules of every request message. Otherwise the first request
// of each kind would take tens of milliseconds longer, because it would compile its rules.
func newValidator() (protovalidate.Validator, error) {
	return protovalidate.New(protovalidate.WithMessages(requests()...), protovalidate.WithDisableLazy())
}
