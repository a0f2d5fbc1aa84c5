package service

import (
	"github.com/prometheus/client_golang/prometheus"
)

// ReloadResult is what became of a reload of the configuration.
type ReloadResult string

// The results there are.
const (
	ReloadSuccess   ReloadResult = "success"
	ReloadFailure   ReloadResult = "failure"   // the configuration before goes on
	ReloadUnchanged ReloadResult = "unchanged" // read again, and it is the same
)

type reloadMetrics struct {
	total *prometheus.CounterVec
	last  prometheus.Gauge
}

func newReloadMetrics(r prometheus.Registerer) reloadMetrics {
	m := reloadMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskmint_config_reloads_total",
			Help: "Reloads of the configuration, by result: success, failure (the one before goes on) or unchanged.",
		}, []string{"result"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskmint_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last read and found good, in Unix time: at the start, or by a reload.",
		}),
	}
	for _, result := range []ReloadResult{ReloadSuccess, ReloadFailure, ReloadUnchanged} {
		m.total.WithLabelValues(string(result)) // so that the first failure is a step from 0, which rate() sees
	}
	m.last.SetToCurrentTime()
	r.MustRegister(m.total, m.last)
	return m
}

// Reloaded counts a reload that has ended.
func (s *Service) Reloaded(result ReloadResult) {
	s.reloads.total.WithLabelValues(string(result)).Inc()
	if result != ReloadFailure {
		s.reloads.last.SetToCurrentTime()
	}
}
