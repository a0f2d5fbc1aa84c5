package ops

import (
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// metrics are the metrics of one service. Two services in a process don't share them. A request
// can't choose the value of a label. The document docs/telemetry.md explains each metric.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	decisions *prometheus.CounterVec
	reports   *prometheus.CounterVec
	warnings  *prometheus.CounterVec
	handshake *prometheus.CounterVec
	reloads   *prometheus.CounterVec
	reloaded  prometheus.Gauge // whether the last reload succeeded
	loaded    prometheus.Gauge // when a configuration was last loaded
	removed   *prometheus.CounterVec
	loadedAt  atomic.Int64 // as loaded, in Unix nanoseconds

	// served and allowed hold the counters of requests that succeed, which are nearly all requests.
	// They save hashing four labels. They also create each counter with the value 0 before its
	// first request. No map in them is ever changed.
	served  map[string]map[string]served                  // by transport and method
	allowed atomic.Pointer[map[string]prometheus.Counter] // by the names of the present configuration
	// series is locked while the configuration is replaced. Code that creates a counter of
	// a configuration holds it for reading. Otherwise a request that began with the previous
	// configuration could bring back the counters of a removed one.
	series sync.RWMutex

	identities identityUses
}

// served holds the metrics of the requests that succeed.
type served struct {
	ok      prometheus.Counter
	seconds prometheus.Observer
}

func newMetrics(o Options, state prometheus.Collector) *metrics {
	m := &metrics{
		registry: o.Registry,
		requests: counterVec("deskmint_requests_total",
			"Requests answered, by transport, method, gRPC code and reason.", "transport", "method", "code", "reason"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "deskmint_request_duration_seconds",
			Help:    "Time that a request of a known caller takes in the pipeline.",
			Buckets: durationBuckets(),
		}, []string{"transport", "method"}),
		decisions: counterVec(
			"deskmint_decisions_total",
			"Decisions, by configuration and the reason of a denial; no reason: allowed; "+
				"no configuration: none that is configured.",
			"configuration", "reason",
		),
		reports: counterVec(
			"deskmint_reported_sign_in_failures_total",
			"Reports of failed sign-ins, by configuration and class. They are not verified: anybody can forge one.",
			"configuration", "class",
		),
		warnings: counterVec("deskmint_sign_in_warnings_total",
			"Allowed sign-ins with a field that was cleaned or left out, by configuration and field.",
			"configuration", "field"),
		handshake: counterVec("deskmint_tls_handshakes_total",
			"TLS handshakes of the public listeners, by transport and result. "+
				"A connection that ends before its client sends a byte is none.",
			"transport", "result"),
		reloads: counterVec("deskmint_config_reloads_total",
			"Reloads of the configuration, by result.", "result"),
		removed: counterVec("deskmint_config_removed_total",
			"What reloads have removed from the configuration, by kind.", "kind"),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskmint_config_last_reload_successful",
			Help: "1 where the last attempt to load the configuration succeeded, else 0.",
		}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskmint_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last read and found good, in Unix time: at the start, or by a reload.",
		}),
	}
	if m.registry == nil {
		m.registry = prometheus.NewRegistry()
	}
	m.registry.MustRegister(m.requests, m.seconds, m.decisions, m.reports, m.warnings, m.handshake, m.reloads,
		m.reloaded, m.loaded, m.removed, buildInfo(), state, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.served = make(map[string]map[string]served)
	for _, transport := range o.Transports {
		m.served[transport] = m.serving(transport, o.Methods)
	}
	for _, result := range []ReloadResult{ReloadSucceeded, ReloadFailed, ReloadUnchanged} {
		m.reloads.WithLabelValues(string(result)) // rate() sees the first reload only if a 0 comes before it
	}
	for _, kind := range config.RemovalKinds() {
		m.removed.WithLabelValues(kind)
	}
	m.take(o.Snapshot(), o.Now())
	return m
}

// durationBuckets returns the bounds in seconds of the buckets of a request's duration. A sign-in
// takes some milliseconds at most, and the alert rule is about those that take more than 100 ms. So
// the bounds are closest around that. The last bound is the longest time that a request may take.
func durationBuckets() []float64 {
	return []float64{
		0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5,
		5, 10, 15,
	}
}

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// build returns the version that the build recorded.
func build() (version, revision, goVersion string) {
	version, revision = "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	return version, revision, runtime.Version()
}

func buildInfo() prometheus.Collector {
	version, revision, goVersion := build()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "deskmint_build_info",
		Help:        "Always 1: which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": goVersion, "revision": revision},
	}, func() float64 { return 1 })
}

// serving returns the part of served for one transport.
func (m *metrics) serving(transport string, methods []string) map[string]served {
	all := make(map[string]served)
	for _, method := range methods {
		name := path.Base(method)
		all[name] = served{
			ok:      m.requests.WithLabelValues(transport, name, codes.OK.String(), ""),
			seconds: m.seconds.WithLabelValues(transport, name),
		}
	}
	return all
}

// ReloadResult is the outcome of a reload of the configuration.
type ReloadResult string

// The results of a reload.
const (
	ReloadSucceeded ReloadResult = "succeeded"
	ReloadFailed    ReloadResult = "failed"    // the previous configuration stays in use
	ReloadUnchanged ReloadResult = "unchanged" // the files hold the same configuration
)

// Reloaded counts a reload that has ended. The cause is that of a failure. An alert rule on the
// metric informs operators.
func (m *Monitor) Reloaded(r ReloadResult, cause error) {
	last := &lastReload{at: m.options.Now(), result: r}
	if cause != nil {
		last.fault = cause.Error()
	}
	m.reload.Store(last)
	m.metrics.reloads.WithLabelValues(string(r)).Inc()
	if r == ReloadFailed {
		m.metrics.reloaded.Set(0)
		return
	}
	m.metrics.reloaded.Set(1)
	m.metrics.setLoaded(m.options.Now())
}

// Removed counts what a reload has removed. kind is that of a [config.Removal].
func (m *Monitor) Removed(kind string, count int) {
	m.metrics.removed.WithLabelValues(kind).Add(float64(count))
}

// take replaces the configuration. It deletes the counters of configurations that no longer exist,
// so that the number of counters stays limited.
func (m *metrics) take(next *config.Snapshot, now time.Time) {
	allowed := make(map[string]prometheus.Counter)
	for _, name := range next.Names() {
		allowed[name] = m.decisions.WithLabelValues(name, "")
	}
	m.identities.take(next)
	m.series.Lock()
	defer m.series.Unlock()
	before := m.allowed.Swap(&allowed)
	m.reloaded.Set(1)
	m.setLoaded(now)
	if before == nil {
		return
	}
	for name := range *before {
		if _, stays := allowed[name]; !stays {
			gone := prometheus.Labels{"configuration": name}
			m.decisions.DeletePartialMatch(gone)
			m.reports.DeletePartialMatch(gone)
			m.warnings.DeletePartialMatch(gone)
		}
	}
}

func (m *metrics) setLoaded(at time.Time) {
	m.loaded.Set(seconds(at))
	m.loadedAt.Store(at.UnixNano())
}

// Configured returns the name if the present configuration has it, otherwise "". The name in a
// request can be any text.
func (m *Monitor) Configured(name string) string {
	if _, ok := (*m.metrics.allowed.Load())[name]; ok {
		return name
	}
	return ""
}

// Declare creates the counters of an outcome before the first request with that outcome. Otherwise
// an alert rule on their increase would miss the first request.
func (m *Monitor) Declare(code codes.Code, reason string) {
	for transport, methods := range m.metrics.served {
		for method := range methods {
			m.metrics.requests.WithLabelValues(transport, method, code.String(), reason)
		}
	}
}

// Request is a request and its outcome, as the metrics count them.
type Request struct {
	Transport, Method string // the method without its service
	Configuration     string // the name in the request
	Code              codes.Code
	Reason            string        // of a refusal
	Recorded          bool          // the audit log has a decision; it has none if the caller has gone away
	TraceID           string        // of a trace that is sampled, otherwise ""
	Known             bool          // the caller is known
	Took              time.Duration // counted only for a known caller
	Warnings          []string      // the paths of fields that were cleaned or left out
}

// Observe counts a request.
func (m *Monitor) Observe(r Request) {
	s, known := m.metrics.served[r.Transport][r.Method]
	if !known {
		s.seconds = m.metrics.seconds.WithLabelValues(r.Transport, r.Method)
	}
	switch {
	case !r.Known: // otherwise strangers could hide slow answers among their own, or cause an alert
	case r.TraceID != "":
		exemplar := prometheus.Labels{"trace_id": r.TraceID}
		s.seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(r.Took.Seconds(), exemplar)
	default:
		s.seconds.Observe(r.Took.Seconds())
	}
	allowed, present := (*m.metrics.allowed.Load())[r.Configuration]
	if r.Code == codes.OK && len(r.Warnings) > 0 {
		m.warned(r.Configuration, r.Warnings)
	}
	if r.Code == codes.OK && known && present {
		s.ok.Inc()
		allowed.Inc()
		return
	}
	m.metrics.requests.WithLabelValues(r.Transport, r.Method, r.Code.String(), r.Reason).Inc()
	if r.Recorded {
		m.metrics.series.RLock()
		defer m.metrics.series.RUnlock()
		m.metrics.decisions.WithLabelValues(m.Configured(r.Configuration), r.Reason).Inc()
	}
}

// warned counts a sign-in for each field with a warning. The path of an entry in a field may have a
// key of the request, which must not become a label.
func (m *Monitor) warned(configuration string, paths []string) {
	m.metrics.series.RLock()
	defer m.metrics.series.RUnlock()
	if m.Configured(configuration) == "" {
		return
	}
	counted := make(map[string]bool, len(paths))
	for _, path := range paths {
		field, _, _ := strings.Cut(path, "[")
		if field = strings.TrimSuffix(field, ".values"); !counted[field] {
			m.metrics.warnings.WithLabelValues(configuration, field).Inc()
			counted[field] = true
		}
	}
}

// Authenticated counts a use of the caller's identity.
func (m *Monitor) Authenticated(who caller.Caller) { m.metrics.identities.used(who, m.options.Now()) }

// Reported counts a report of a failed sign-in. It ignores a configuration that a reload has just
// removed.
func (m *Monitor) Reported(configuration, class string) {
	m.metrics.series.RLock()
	defer m.metrics.series.RUnlock()
	if m.Configured(configuration) == "" {
		return
	}
	m.metrics.reports.WithLabelValues(configuration, class).Inc()
}

// The results of a TLS handshake.
const (
	handshakeSucceeded = "succeeded"
	handshakeFailed    = "failed"
)

// Handshake counts a TLS handshake of a public listener.
func (m *Monitor) Handshake(transport string, succeeded bool) {
	result := handshakeFailed
	if succeeded {
		result = handshakeSucceeded
	}
	m.metrics.handshake.WithLabelValues(transport, result).Inc()
}

// handler serves the metrics as text or, if the request accepts it, as OpenMetrics. Only
// OpenMetrics has exemplars.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
