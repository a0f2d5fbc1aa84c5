// Package ops serves the health, the readiness and the metrics of a service to operators and
// probes, and a page about them to people. It also runs the self-test of each configuration's key.
//
// It only reads the state of the service. Everything in it is safe for concurrent use.
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

// Secrets is the part of a keyring that this package uses. Get must not wait for a store.
type Secrets interface {
	Get(ref secrets.Ref, maxStale time.Duration) (*secrets.Held, error)
	State(ref secrets.Ref) (secrets.State, bool)
	Interval() time.Duration      // between two refreshes of a secret
	Refreshes() secrets.Refreshes // the numbers so far, by result
}

// Store reports the state of a secret store that is behind a network.
type Store interface {
	// ClockOffset returns how far the store's clock is ahead of this machine's, if that is known.
	ClockOffset() (ahead time.Duration, known bool)
	// Logins returns the numbers of logins so far.
	Logins() (succeeded, failed uint64)
	// TokenExpiry returns when the token that the store is read with expires, if it expires.
	TokenExpiry() (at time.Time, ends bool)
}

// IssuerKeys reports when the keys of an issuer were last fetched, if they ever were.
type IssuerKeys interface {
	Fetched(issuer caller.Issuer) (at time.Time, ever bool)
}

// Options of a Monitor. All but Store, Clocks, IssuerKeys and Registry are required.
type Options struct {
	// Snapshot returns the present configuration.
	Snapshot func() *config.Snapshot
	Secrets  Secrets
	// Store is nil for a store in this process.
	Store Store
	// Clocks are the clocks that this machine's is compared with, in addition to the store's.
	Clocks []Clock
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
	started     time.Time
	reload      atomic.Pointer[lastReload] // nil if there was none
}

// New returns a monitor that isn't ready.
func New(o Options) *Monitor {
	m := &Monitor{options: o, started: o.Now()}
	m.metrics = newMetrics(o, &stateCollector{m})
	return m
}

// SetReady sets the readiness that /readyz and the health service report.
func (m *Monitor) SetReady(ready bool) { m.ready.Store(ready) }

// Ready returns the value that SetReady set last.
func (m *Monitor) Ready() bool { return m.ready.Load() }

// SetCertificate sets the function that the metric of the certificate's expiry reads. It also
// creates the counters of handshakes, which a service without a certificate doesn't have.
func (m *Monitor) SetCertificate(notAfter func() time.Time) {
	m.certificate.Store(&notAfter)
	for _, transport := range m.options.Transports {
		for _, result := range []string{handshakeSucceeded, handshakeFailed} {
			m.metrics.handshake.WithLabelValues(transport, result)
		}
	}
}

// Take replaces the configuration. It deletes the counters and the test results of configurations
// that no longer exist.
func (m *Monitor) Take(next *config.Snapshot) {
	m.selfTests.forget(next)
	m.metrics.take(next, m.options.Now())
}
