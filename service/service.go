// Package service is Deskmint as a server. It puts the RPC methods, the steps that every request
// passes and the two transports together.
//
// Every request takes the same path, over gRPC and over REST: the steps are in pipeline.go, in their
// order. The transports are in package transport, and what operators see is in package ops.
// [Service.Serve] says what listens where.
//
// The cause of an error goes to the log. The answer has a reason and a fixed sentence. errors.go maps
// each cause to its reason.
package service

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
)

// Secrets is what the service needs of a keyring. Get must not wait for a store.
type Secrets interface {
	ops.Secrets
	Warm(ctx context.Context, refs ...secrets.Ref) error
	Retain(refs ...secrets.Ref)
	Refresh(ctx context.Context, ref secrets.Ref) (before, after secrets.Status, err error)
}

// Options of a Service. Snapshot, Secrets and Audit are required.
type Options struct {
	// Snapshot is the configuration to begin with. [Service.Serve] warms its secrets.
	Snapshot *config.Snapshot
	// Secrets returns the signing keys.
	Secrets Secrets
	// Audit takes the record of each decision.
	Audit *audit.Log
	// Store reports the state of the secret store, for metrics. Nil means that it is in this process.
	Store ops.Store
	// IssuerKeys reports when the keys of issuers were fetched, for metrics. Nil means unknown.
	IssuerKeys ops.IssuerKeys
	// Registry receives the metrics. Nil means a new one. Two services can't share one.
	Registry *prometheus.Registry
	// Log receives causes and events. Nil means that nothing is logged.
	Log *slog.Logger
	// Now is the clock that dates tokens. Nil means time.Now.
	Now func() time.Time
	// Stats receives the events of each call at either transport, as grpc.Server reports them. Nil
	// means none. It gets whole messages, and tokens in them, which belong in no trace and no log.
	Stats stats.Handler
	// Propagator reads the trace that a request of the REST gateway belongs to. Records, log lines and
	// metrics then name traces. Nil means no tracing, at no cost. It should take no baggage, because
	// the caller is not known yet.
	Propagator propagation.TextMapPropagator
	// Reflection enables gRPC reflection. It describes the API to strangers, so it is for development.
	Reflection bool
	// Ready is called once, when requests are taken. Nil means nothing is called.
	Ready func()
	// Drain is how long the service takes requests after it reports that it is not serving, so that
	// load balancers notice. 0 means not at all.
	Drain time.Duration
	// Grace is how long requests in flight may take after that. 0 means 10 s.
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
	timeouts   transport.Timeouts
	limits     policy.Limiter // outlives a snapshot: a reload resets no limit
	decider    signin.Decider
	pipeline   handler
	reported   reportedRefreshes
	logLimiter logLimiter
	options    Options
}

// New returns a service. It compiles every validation rule, so that no request has to wait for that.
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
	s.monitor = ops.New(ops.Options{
		Snapshot: s.snapshot.Load, Secrets: o.Secrets, Store: o.Store, IssuerKeys: o.IssuerKeys, Registry: o.Registry,
		Methods: Methods(), Transports: []string{transport.GRPC, transport.HTTP}, Log: o.Log, Now: o.Now,
	})
	s.monitor.Declare(codes.Unavailable, reasonAuditUnavailable)
	return s, nil
}

// Swap replaces the whole configuration. Requests in flight keep the one that they began with. Swap
// first reads the secrets of the new one, so that no request finds them missing, and afterwards
// forgets secrets that are no longer named. It fails and changes nothing if ctx ends before that, or
// if nothing can be signed with the new configuration. The caller must not call it concurrently.
func (s *Service) Swap(ctx context.Context, next *config.Snapshot) error {
	err := s.secrets.Warm(ctx, next.Refs()...)
	if err == nil {
		err = s.monitor.CanSign(ctx, next)
	}
	if err != nil {
		s.secrets.Retain(s.snapshot.Load().Refs()...) // drops those that Warm has read
		return err
	}
	s.snapshot.Store(next)
	s.secrets.Retain(next.Refs()...)
	s.monitor.Take(next)
	return nil
}

// Reloaded counts a reload that has ended.
func (s *Service) Reloaded(r ops.ReloadResult) { s.monitor.Reloaded(r) }

// newValidator compiles the rules of every request at once. Compiling a rule at its first message
// would take that request tens of milliseconds.
func newValidator() (protovalidate.Validator, error) {
	return protovalidate.New(protovalidate.WithMessages(requests()...), protovalidate.WithDisableLazy())
}
