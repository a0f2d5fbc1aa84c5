package service

import (
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/config"
)

// metrics are one service's own: two services in one process don't share a count.
// No label takes a value that a request could make up. docs/telemetry.md explains each.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	decisions *prometheus.CounterVec
	reports   *prometheus.CounterVec
	reloads   *prometheus.CounterVec
	reloaded  prometheus.Gauge // whether the last reload was one
	loaded    prometheus.Gauge // when a configuration was last taken

	// What nearly every request counts in is found without hashing four labels, and
	// is there with a zero before the first.
	served  map[string]map[string]served                  // by transport and method; never changed
	allowed atomic.Pointer[map[string]prometheus.Counter] // by the present configurations' names; never changed

	identities identityUses
}

// served is what a request that succeeds counts in.
type served struct {
	ok      prometheus.Counter
	seconds prometheus.Observer
}

func newMetrics(s *Service) *metrics {
	m := &metrics{
		registry: s.options.Registry,
		requests: counterVec("deskmint_requests_total",
			"Requests answered, by transport, method, gRPC code and reason.", "transport", "method", "code", "reason"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "deskmint_request_duration_seconds",
			Help:    "Time that a request takes in the pipeline.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}, []string{"transport", "method"}),
		decisions: counterVec("deskmint_decisions_total",
			"Decisions, by configuration and the reason of a denial; no reason: allowed; no configuration: none that is configured.", "configuration", "reason"),
		reports: counterVec("deskmint_reported_sign_in_failures_total",
			"Reports of failed sign-ins, by configuration and class. They are not verified: anybody can forge one.", "configuration", "class"),
		reloads: counterVec("deskmint_config_reloads_total",
			"Reloads of the configuration, by result.", "result"),
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
	m.registry.MustRegister(m.requests, m.seconds, m.decisions, m.reports, m.reloads, m.reloaded, m.loaded, buildInfo(),
		&stateCollector{service: s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.served = map[string]map[string]served{transportGRPC: m.serving(transportGRPC), transportHTTP: m.serving(transportHTTP)}
	for _, result := range []ReloadResult{ReloadSucceeded, ReloadFailed, ReloadUnchanged} {
		m.reloads.WithLabelValues(string(result)) // so that the first is a step from 0, which rate() sees
	}
	m.take(s.options.Snapshot, s.now())
	return m
}

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// buildInfo is what the build recorded of itself.
func buildInfo() prometheus.Collector {
	version, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "deskmint_build_info",
		Help:        "Always 1: which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version(), "revision": revision},
	}, func() float64 { return 1 })
}

// serving is a transport's part of served.
func (m *metrics) serving(transport string) map[string]served {
	all := make(map[string]served)
	for _, method := range Methods() {
		name := path.Base(method)
		m.requests.WithLabelValues(transport, name, codes.Unavailable.String(), reasonAuditUnavailable) // for an alarm at the first
		all[name] = served{
			ok:      m.requests.WithLabelValues(transport, name, codes.OK.String(), ""),
			seconds: m.seconds.WithLabelValues(transport, name),
		}
	}
	return all
}

// ReloadResult is what became of a reload of the configuration.
type ReloadResult string

// The results there are.
const (
	ReloadSucceeded ReloadResult = "succeeded"
	ReloadFailed    ReloadResult = "failed"    // the configuration before goes on
	ReloadUnchanged ReloadResult = "unchanged" // read again, and it is the same
)

// Reloaded counts a reload that has ended. Operators are told by an alarm on the metric.
func (s *Service) Reloaded(result ReloadResult) {
	s.metrics.reloads.WithLabelValues(string(result)).Inc()
	if result == ReloadFailed {
		s.metrics.reloaded.Set(0)
		return
	}
	s.metrics.reloaded.Set(1)
	s.metrics.loaded.Set(seconds(s.now()))
}

// take goes over to another configuration: what is counted of names that are gone
// goes with them, so that there are never more than there are names.
func (m *metrics) take(next *config.Snapshot, now time.Time) {
	allowed := make(map[string]prometheus.Counter)
	for _, name := range next.Names() {
		allowed[name] = m.decisions.WithLabelValues(name, "")
	}
	m.identities.take(next)
	before := m.allowed.Swap(&allowed)
	m.reloaded.Set(1)
	m.loaded.Set(seconds(now))
	if before == nil {
		return
	}
	for name := range *before {
		if _, stays := allowed[name]; stays {
			continue
		}
		for _, reason := range append(reasons(), "") {
			m.decisions.DeleteLabelValues(name, reason)
		}
		for _, class := range pb.SignInFailureClass_name {
			m.reports.DeleteLabelValues(name, class)
		}
	}
}

// configured is the name where the present configuration has it, else empty: what
// was asked for can be any text.
func (m *metrics) configured(name string) string {
	if _, ok := (*m.allowed.Load())[name]; ok {
		return name
	}
	return ""
}

// observe counts a request, and how long it took.
func (m *metrics) observe(x *exchange, a answer, took time.Duration) {
	s, known := m.served[x.transport][x.method.name]
	if !known {
		s.seconds = m.seconds.WithLabelValues(x.transport, x.method.name)
	}
	if x.sampled {
		s.seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": x.traceID})
	} else {
		s.seconds.Observe(took.Seconds())
	}
	allowed, present := (*m.allowed.Load())[a.facts.Configuration]
	switch {
	case a.refusal != nil:
		m.count(x, a, a.refusal.code, a.refusal.reason)
	case known && present:
		s.ok.Inc()
		allowed.Inc()
	default:
		m.count(x, a, codes.OK, "")
	}
}

// count is for what is rare. A call whose caller has gone is a request, but no
// decision: it isn't on record either.
func (m *metrics) count(x *exchange, a answer, code codes.Code, reason string) {
	m.requests.WithLabelValues(x.transport, x.method.name, code.String(), reason).Inc()
	if x.decision != "" {
		m.decisions.WithLabelValues(m.configured(a.facts.Configuration), reason).Inc()
	}
}

// handler serves the metrics as text or, to those that ask for it, as OpenMetrics,
// which alone has exemplars.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
