// Package ops is what operators and probes see of a service: health, readiness, metrics, and the
// self-test of each configuration's key.
//
// It reads the state of the service and changes nothing but its own counts. Everything in it is
// safe for concurrent use.
package ops

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// Secrets is what this package reads of a keyring. Get must not wait for a store.
type Secrets interface {
	Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error)
	State(ref secrets.Ref) (secrets.State, bool)
	Interval() time.Duration      // between two refreshes of a secret
	Refreshes() secrets.Refreshes // so far, by their result
}

// Store reports the state of a secret store that is behind a network.
type Store interface {
	// ClockOffset returns how far the clock of the store is ahead of ours, if that is known.
	ClockOffset() (ahead time.Duration, known bool)
	// Logins returns the number of logins so far.
	Logins() (succeeded, failed uint64)
	// TokenExpiry returns the end of the token that the store is read with, if it ends.
	TokenExpiry() (at time.Time, ends bool)
}

// IssuerKeys reports when the keys of an issuer were last fetched, if they ever were.
type IssuerKeys interface {
	Fetched(issuer caller.Issuer) (at time.Time, ever bool)
}

// Options of a Monitor. All but Store, IssuerKeys and Registry are required.
type Options struct {
	// Snapshot returns the present configuration.
	Snapshot func() *config.Snapshot
	Secrets  Secrets
	// Store is nil for a store in this process.
	Store Store
	// IssuerKeys is nil if the times are unknown.
	IssuerKeys IssuerKeys
	// Registry receives the metrics. Nil means a new one.
	Registry *prometheus.Registry
	// Methods are the full names of the RPCs, such as /deskmint.v1.TokenService/MintToken.
	Methods []string
	// Transports are the values of the label `transport`.
	Transports []string
	Log        *slog.Logger
	Now        func() time.Time
}

// Monitor holds the readiness, the metrics and the self-tests of a service.
type Monitor struct {
	options     Options
	ready       atomic.Bool
	certificate atomic.Pointer[func() time.Time]
	metrics     *metrics
	selfTests   selfTests
}

// New returns a monitor that isn't ready.
func New(o Options) *Monitor {
	m := &Monitor{options: o}
	m.metrics = newMetrics(o, &stateCollector{m})
	return m
}

// SetReady sets what /readyz and the health service answer.
func (m *Monitor) SetReady(ready bool) { m.ready.Store(ready) }

// Ready reports what SetReady set last.
func (m *Monitor) Ready() bool { return m.ready.Load() }

// SetCertificate sets the source of the metric of the certificate's expiry.
func (m *Monitor) SetCertificate(notAfter func() time.Time) { m.certificate.Store(&notAfter) }

// Take follows a change of the configuration. It forgets the counts of names that are gone.
func (m *Monitor) Take(next *config.Snapshot) {
	m.selfTests.forget(next)
	m.metrics.take(next, m.options.Now())
}
