package service

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// metrics are one service's own: two services in one process don't share a count.
// No label takes a value that a request could make up.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	reports  *prometheus.CounterVec
}

func newMetrics(s *Service) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskmint_requests_total",
			Help: "Requests answered, by door, method, gRPC code and reason.",
		}, []string{"door", "method", "code", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "deskmint_request_seconds",
			Help:    "Time from a request's arrival at the interceptors to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}, []string{"door", "method"}),
	}
	m.reports = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "deskmint_reported_sign_in_failures_total",
		Help: "Reports of failed sign-ins, by configuration and class. They are not verified: anybody can forge one.",
	}, []string{"configuration", "class"})
	m.registry.MustRegister(m.requests, m.seconds, m.reports, &secretCollector{service: s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(c *call, err error, took time.Duration) {
	if err == nil {
		err = c.refused
	}
	code, reason := codes.OK, ""
	if err != nil {
		st := statusOf(err)
		code, reason = st.Code(), reasonOf(st)
	}
	m.requests.WithLabelValues(c.record.Door, c.record.Method, code.String(), reason).Inc()
	m.seconds.WithLabelValues(c.record.Door, c.record.Method).Observe(took.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// secretCollector tells how each configuration's secret stands at the moment of
// the scrape.
type secretCollector struct{ service *Service }

var (
	secretUsable = prometheus.NewDesc("deskmint_secret_usable",
		"1 where the configuration's secret can sign, else 0.", []string{"configuration"}, nil)
	secretVersion = prometheus.NewDesc("deskmint_secret_active_version",
		"The active version of the configuration's secret; 0: none is held.", []string{"configuration"}, nil)
	secretAge = prometheus.NewDesc("deskmint_secret_seconds_since_success",
		"Time since the store last answered with something to sign with.", []string{"configuration"}, nil)
	refreshInterval = prometheus.NewDesc("deskmint_secret_refresh_interval_seconds",
		"The effective interval at which each secret is looked at.", nil, nil)
	clockOffset = prometheus.NewDesc("deskmint_store_clock_offset_seconds",
		"How far the secret store's clock is ahead of ours; Zendesk refuses tokens whose clock is off by 3 minutes.", nil, nil)
	certificateExpiry = prometheus.NewDesc("deskmint_tls_certificate_not_after_timestamp_seconds",
		"When the certificate of the public listeners expires, in Unix time; absent where they are plaintext.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c *secretCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- secretUsable
	ch <- secretVersion
	ch <- secretAge
	ch <- refreshInterval
	ch <- clockOffset
	ch <- certificateExpiry
}

// Collect implements [prometheus.Collector]. Prometheus's client recovers a panic
// too, but shows its value to whoever scrapes.
func (c *secretCollector) Collect(ch chan<- prometheus.Metric) {
	defer func() {
		if p := recover(); p != nil {
			ch <- prometheus.NewInvalidMetric(secretUsable, newPanicError(p))
		}
	}()
	ch <- prometheus.MustNewConstMetric(refreshInterval, prometheus.GaugeValue, c.service.secrets.Interval().Seconds())
	if offset := c.service.options.ClockOffset; offset != nil {
		if ahead, known := offset(); known {
			ch <- prometheus.MustNewConstMetric(clockOffset, prometheus.GaugeValue, ahead.Seconds())
		}
	}
	if expiry := c.service.options.CertificateExpiry; expiry != nil {
		ch <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(expiry().Unix()))
	}
	snapshot := c.service.snapshot.Load()
	for _, name := range snapshot.Names() {
		conf, ok := snapshot.Configuration(name)
		if !ok {
			continue
		}
		usable := 0.0
		switch c.service.secretState(conf) {
		case pb.SecretState_SECRET_STATE_USABLE, pb.SecretState_SECRET_STATE_STALE:
			usable = 1
		default:
		}
		ch <- prometheus.MustNewConstMetric(secretUsable, prometheus.GaugeValue, usable, name)
		state, _ := c.service.secrets.State(conf.Secret)
		ch <- prometheus.MustNewConstMetric(secretVersion, prometheus.GaugeValue, float64(state.Status.Active), name)
		if !state.Succeeded.IsZero() {
			ch <- prometheus.MustNewConstMetric(secretAge, prometheus.GaugeValue, c.service.now().Sub(state.Succeeded).Seconds(), name)
		}
	}
}
