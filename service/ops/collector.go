package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/panics"
)

// stateCollector reports the state at the time of the scrape: the secret of each configuration, the
// store, the issuers' keys and the certificate. It reports Unix times and not ages, so that a late
// scrape reports the same values.
type stateCollector struct{ *Monitor }

var (
	configInfo = prometheus.NewDesc("deskmint_config_info",
		"Always 1: the digest of the present configuration, as /readyz and records have it.", []string{"digest"}, nil)
	ready = prometheus.NewDesc("deskmint_ready",
		"1 where this replica should receive requests, as /readyz has it, else 0.", nil, nil)
	secretUsable = prometheus.NewDesc("deskmint_secret_usable",
		"1 where the configuration's secret can sign, else 0.", []string{"configuration"}, nil)
	secretDisabled = prometheus.NewDesc("deskmint_secret_disabled",
		"1 where an operator has switched the configuration's secret off, else 0.", []string{"configuration"}, nil)
	secretFault = prometheus.NewDesc("deskmint_secret_fault",
		"1 where the last refresh found nothing to sign with, for a reason that an operator must correct, else 0. "+
			"The held key may still sign.",
		[]string{"configuration"}, nil)
	secretAlarm = prometheus.NewDesc("deskmint_secret_alarm",
		"1 where the last refresh found a key to sign with, and something else that an operator must correct, else 0.",
		[]string{"configuration"}, nil)
	secretActive = prometheus.NewDesc("deskmint_secret_active_version",
		"The active version of the configuration's secret; 0: none is known.", []string{"configuration"}, nil)
	secretStaged = prometheus.NewDesc("deskmint_secret_staged_version",
		"The version of the configuration's secret that is newer than the active one; 0: none is.",
		[]string{"configuration"}, nil)
	secretSerial = prometheus.NewDesc("deskmint_secret_serial",
		"Grows with every move of the active version and every use of the kill switch; 0: the store doesn't say.",
		[]string{"configuration"}, nil)
	secretCreated = prometheus.NewDesc("deskmint_secret_active_version_created_timestamp_seconds",
		"When the active version of the configuration's secret was written to the store, in Unix time; "+
			"absent where the store doesn't say.",
		[]string{"configuration"}, nil)
	secretSuccess = prometheus.NewDesc("deskmint_secret_last_success_timestamp_seconds",
		"When the store last answered with something to sign with, in Unix time; absent where it never did.",
		[]string{"configuration"}, nil)
	secretUnpinned = prometheus.NewDesc("deskmint_secret_unpinned",
		"1 where the newest version of the configuration's secret signs because the store has no pointer, else 0.",
		[]string{"configuration"}, nil)
	secretBehind = prometheus.NewDesc("deskmint_secret_behind_since_timestamp_seconds",
		"Since when the store's answers have been older than what is held, in Unix time; absent where they aren't.",
		[]string{"configuration"}, nil)
	refreshInterval = prometheus.NewDesc("deskmint_secret_refresh_interval_seconds",
		"The effective interval at which each secret is refreshed.", nil, nil)
	refreshes = prometheus.NewDesc("deskmint_secret_refreshes_total",
		"Refreshes of a secret from the store, by result.", []string{"result"}, nil)
	storeLogins = prometheus.NewDesc("deskmint_store_logins_total",
		"Logins to the secret store, by result; absent where it has none.", []string{"result"}, nil)
	storeToken = prometheus.NewDesc("deskmint_store_token_expiry_timestamp_seconds",
		"When the token that the store is read with ends unless it is renewed, in Unix time; "+
			"absent where it doesn't end.",
		nil, nil)
	clockOffset = prometheus.NewDesc("deskmint_store_clock_offset_seconds",
		"How far the secret store's clock is ahead of ours; Zendesk refuses tokens whose clock is off by 3 minutes.",
		nil, nil)
	clockOffsets = prometheus.NewDesc("deskmint_clock_offset_seconds",
		"How far the clock of a reference is ahead of ours: of the secret store, of a host of issuers' keys, "+
			"or of one of clock.references.",
		[]string{"reference"}, nil)
	certificateExpiry = prometheus.NewDesc("deskmint_tls_certificate_not_after_timestamp_seconds",
		"When the certificate of the public listeners expires, in Unix time; absent where they are plaintext.",
		nil, nil)
	identityUsed = prometheus.NewDesc("deskmint_caller_identity_last_used_seconds",
		"When this process last authenticated a request by the identity, in Unix time; 0: not since it started.",
		[]string{"caller", "identity"}, nil)
	identityEnd = prometheus.NewDesc("deskmint_caller_identity_not_after_seconds",
		"When the identity ends, in Unix time; absent where it doesn't.", []string{"caller", "identity"}, nil)
	issuerKeys = prometheus.NewDesc("deskmint_issuer_keys_fetched_timestamp_seconds",
		"When an issuer's keys were last fetched, in Unix time; absent where they never were.", []string{"issuer"}, nil)
)

// Describe implements [prometheus.Collector].
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		ready, configInfo, secretUsable, secretDisabled, secretFault, secretAlarm, secretActive, secretStaged,
		secretSerial, secretCreated, secretSuccess, secretUnpinned, secretBehind, refreshInterval,
		refreshes, storeLogins, storeToken, clockOffset, clockOffsets, certificateExpiry, identityUsed,
		identityEnd, issuerKeys,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. It recovers panics, because Prometheus's client would
// put the value of a panic into the answer.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	defer func() {
		if p := recover(); p != nil {
			ch <- prometheus.NewInvalidMetric(secretUsable, panics.Error(p))
		}
	}()
	snapshot := c.options.Snapshot()
	ch <- gauge(ready, number(c.Ready()))
	ch <- gauge(configInfo, 1, snapshot.Digest)
	c.collectStore(ch)
	for _, o := range c.clockOffsets(snapshot) {
		ch <- gauge(clockOffsets, o.Ahead.Seconds(), o.Host)
	}
	if notAfter := c.certificate.Load(); notAfter != nil {
		ch <- gauge(certificateExpiry, seconds((*notAfter)()))
	}
	if keys := c.options.IssuerKeys; keys != nil {
		for _, issuer := range snapshot.Issuers {
			if at, ever := keys.Fetched(issuer); ever {
				ch <- gauge(issuerKeys, seconds(at), issuer.Name)
			}
		}
	}
	c.metrics.identities.each(func(id identityKey, last, notAfter time.Time) {
		used := 0.0
		if !last.IsZero() {
			used = seconds(last)
		}
		ch <- gauge(identityUsed, used, id.caller, id.identity)
		if !notAfter.IsZero() {
			ch <- gauge(identityEnd, seconds(notAfter), id.caller, id.identity)
		}
	})
	for _, name := range snapshot.Names() {
		if conf, ok := snapshot.Configuration(name); ok {
			c.collectSecret(ch, conf)
		}
	}
}

func (c *stateCollector) collectStore(ch chan<- prometheus.Metric) {
	ch <- gauge(refreshInterval, c.options.Secrets.Interval().Seconds())
	counts := c.options.Secrets.Refreshes()
	ch <- counter(refreshes, counts.Confirmed, "confirmed")
	ch <- counter(refreshes, counts.Lagging, "lagging")
	ch <- counter(refreshes, counts.Away, "away")
	ch <- counter(refreshes, counts.Fault, "fault")
	store := c.options.Store
	if store == nil {
		return
	}
	succeeded, failed := store.Logins()
	ch <- counter(storeLogins, succeeded, "succeeded")
	ch <- counter(storeLogins, failed, "failed")
	if at, ends := store.TokenExpiry(); ends {
		ch <- gauge(storeToken, seconds(at))
	}
	if ahead, known := store.ClockOffset(); known {
		ch <- gauge(clockOffset, ahead.Seconds())
	}
}

func (c *stateCollector) collectSecret(ch chan<- prometheus.Metric, conf *config.Configuration) {
	current := c.State(conf)
	state, _ := c.options.Secrets.State(conf.Secret)
	ch <- gauge(secretUsable, number(current == Usable || current == Stale), conf.Name)
	ch <- gauge(secretDisabled, number(current == Disabled), conf.Name)
	ch <- gauge(secretFault, number(state.Faulty()), conf.Name)
	ch <- gauge(secretAlarm, number(state.Alarmed()), conf.Name)
	ch <- gauge(secretActive, float64(state.ActiveVersion()), conf.Name)
	ch <- gauge(secretStaged, float64(state.Status.Staged()), conf.Name)
	ch <- gauge(secretSerial, float64(state.Status.Serial), conf.Name)
	ch <- gauge(secretUnpinned, number(state.Unpinned()), conf.Name)
	if since := state.Behind(); !since.IsZero() {
		ch <- gauge(secretBehind, seconds(since), conf.Name)
	}
	if at := created(state.Status); !at.IsZero() {
		ch <- gauge(secretCreated, seconds(at), conf.Name)
	}
	if !state.Succeeded.IsZero() {
		ch <- gauge(secretSuccess, seconds(state.Succeeded), conf.Name)
	}
}

// created returns when the active version was created, or zero if the store doesn't say.
func created(s secrets.Status) time.Time {
	active, _ := s.Version(s.Active)
	return active.Created
}

// number returns 1 for true and 0 for false.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(d *prometheus.Desc, value uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

// seconds returns the Unix time in the form of Prometheus.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
