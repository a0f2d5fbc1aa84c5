// Package service is Deskmint as a server: the gRPC services, what every request
// passes on its way to them, and the two transports it comes in by.
//
// There is one path. A request is authenticated, authorised, validated, signed and
// recorded by the same code whether it arrives as gRPC or as REST: the REST gateway
// turns HTTP into calls of the same methods through the same pipeline, inside
// the process and without a socket. See [Service.Serve] for what listens where.
//
// What a person who asks is told and what an operator is told are two things: the
// cause of an error goes to the log, and the answer holds a reason and a fixed
// sentence (see errors.go, the one place that maps the one to the other).
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
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/stats"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
)

// Secrets is what the service needs of a keyring. Get must not wait for a store.
type Secrets interface {
	Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error)
	State(ref secrets.Ref) (secrets.State, bool)
	Warm(ctx context.Context, refs ...secrets.Ref) error
	Retain(refs ...secrets.Ref)
	Refresh(ctx context.Context, ref secrets.Ref) (before, after secrets.Status, err error)
	Interval() time.Duration      // between two refreshes of a secret
	Refreshes() secrets.Refreshes // so far, by their result
}

// Options of a Service. Snapshot, Secrets and Audit are required.
type Options struct {
	// Snapshot is the configuration to begin with. [Service.Serve] warms its secrets.
	Snapshot *config.Snapshot
	// Secrets hands out the keys.
	Secrets Secrets
	// Audit takes the record of each decision.
	Audit *audit.Log
	// ClockOffset tells how far the store's clock is ahead of ours, and whether that is
	// known; nil: it never is.
	ClockOffset func() (time.Duration, bool)
	// StoreLogins tells how many logins to the store there were; nil: it has none.
	StoreLogins func() (succeeded, failed uint64)
	// StoreTokenExpiry tells when the token that the store is read with ends, and
	// whether it does; nil: there is none.
	StoreTokenExpiry func() (time.Time, bool)
	// CertificateExpiry tells when the certificate of the transports expires; nil: they are
	// plaintext.
	CertificateExpiry func() time.Time
	// IssuerKeys tells when an issuer's keys were last fetched, and whether they ever
	// were; nil: nobody knows.
	IssuerKeys func(caller.Issuer) (time.Time, bool)
	// Registry takes the service's metrics, for somebody who exports them elsewhere
	// too; nil: one of its own. Two services can't share one.
	Registry *prometheus.Registry
	// Log takes causes and events; nil: nothing is logged.
	Log *slog.Logger
	// Now is the clock that tokens are dated by; nil: time.Now.
	Now func() time.Time
	// Stats is told of every call at either transport, as grpc.Server tells it; nil:
	// nobody is. It is handed whole messages, tokens among them: they belong in no
	// trace and no log.
	Stats stats.Handler
	// Propagator finds the trace that a request of the REST gateway is part of, for Stats
	// to continue, and has traces named in records, log and metrics; nil: nobody
	// traces, and no request has to pay for it. It should take no baggage: callers
	// are told apart later.
	Propagator propagation.TextMapPropagator
	// Reflection offers gRPC reflection. It tells strangers what the API is, so it
	// is for development.
	Reflection bool
	// Ready is called once, when the transports are open; nil: nobody is told.
	Ready func()
	// Drain is how long the service goes on taking requests after it has said that
	// it is going away, so that balancers notice; 0: not at all.
	Drain time.Duration
	// Grace is how long requests in flight may take after that; 0: 10 s.
	Grace time.Duration
}

// Service answers requests. Several can live in one process. It is safe for
// concurrent use.
type Service struct {
	snapshot   atomic.Pointer[config.Snapshot]
	secrets    Secrets
	audit      *audit.Log
	log        *slog.Logger
	now        func() time.Time
	validator  protovalidate.Validator
	metrics    *metrics
	routes     routes
	health     *health.Server // of the public gRPC server
	ready      atomic.Bool
	timeouts   timeouts
	limits     policy.Meter // longer-lived than a snapshot: a reload resets no limit
	decider    signin.Decider
	pipeline   handler
	reported   reportedRefreshes
	logLimiter logLimiter
	selfTests  selfTests
	options    Options
}

// New makes a service. It compiles every validation rule, so that no request has
// to wait for that.
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
		routes:    newRoutes(),
		health:    health.NewServer(),
		timeouts:  defaultTimeouts(),
		options:   o,
	}
	s.decider = signin.Decider{Secrets: o.Secrets, Limits: &s.limits}
	s.pipeline = s.newPipeline()
	s.metrics = newMetrics(s)
	s.snapshot.Store(o.Snapshot)
	return s, nil
}

// Swap replaces the configuration, whole: requests that are under way end with the
// one they began with. The new one's secrets are read first, so that none of
// its requests finds the keyring empty; those that it no longer names are forgotten.
// It fails, and changes nothing, where ctx ends before that is done, or where nothing
// could be signed with the new one. Swaps come one at a time.
func (s *Service) Swap(ctx context.Context, next *config.Snapshot) error {
	if err := s.secrets.Warm(ctx, next.Refs()...); err != nil {
		s.secrets.Retain(s.snapshot.Load().Refs()...) // not those that it has begun with
		return err
	}
	if err := s.canSign(next); err != nil {
		s.secrets.Retain(s.snapshot.Load().Refs()...)
		return err
	}
	s.snapshot.Store(next)
	s.secrets.Retain(next.Refs()...)
	s.selfTests.forget(next)
	s.metrics.take(next, s.now())
	return nil
}

// newValidator compiles the rules of every request at once; compiled at the first
// message, they would cost it tens of milliseconds.
func newValidator() (protovalidate.Validator, error) {
	return protovalidate.New(protovalidate.WithMessages(requests()...), protovalidate.WithDisableLazy())
}
