package service_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"google.golang.org/grpc/codes"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/telemetry"
)

// newMetricsRegistry returns the registry of a service that doesn't listen. All metrics have
// values.
func newMetricsRegistry(t *testing.T) *prometheus.Registry {
	t.Helper()
	snapshot, err := config.Parse("test.yaml",
		[]byte("issuers: [{name: cluster, issuer: 'https://issuer.example', audience: deskmint}]\n"+configuration),
		config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ring := secrets.NewKeyring(secrets.Options{Source: newStore(), Now: func() time.Time { return now }, MaxRate: 1e6})
	if err := ring.Warm(t.Context(), snapshot.Refs()...); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	s, err := service.New(service.Options{
		Snapshot:   snapshot,
		Secrets:    ring,
		Audit:      discardAudit(snapshot),
		Registry:   registry,
		Now:        func() time.Time { return now },
		Store:      remoteStore{},
		IssuerKeys: fetchedKeys("https://issuer.example"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.SetCertificate(func() time.Time { return now.Add(2 * time.Hour) })
	traces, err := telemetry.Open(t.Context(), telemetry.Options{ // it connects to nothing
		Registerer: registry, Getenv: func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318"}[name]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = traces.Close(context.Background()) })
	return registry
}

// remoteStore reports a fixed state of a store.
type remoteStore struct{}

func (remoteStore) ClockOffset() (time.Duration, bool)     { return -1500 * time.Millisecond, true }
func (remoteStore) Logins() (succeeded, failed uint64)     { return 3, 2 }
func (remoteStore) TokenExpiry() (at time.Time, ends bool) { return now.Add(time.Hour), true }

// fetchedKeys is the name of the issuer whose keys were fetched a minute ago.
type fetchedKeys string

func (k fetchedKeys) Fetched(i caller.Issuer) (time.Time, bool) {
	return now.Add(-time.Minute), i.Issuer == string(k)
}

// describedMetrics returns the metrics of a registry with their labels. It includes those that have
// no value yet.
func describedMetrics(registry *prometheus.Registry) map[string]string {
	all := make(map[string]string)
	ch := make(chan *prometheus.Desc)
	go func() { registry.Describe(ch); close(ch) }()
	parts := regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{(.*)\}, variableLabels: \{([^}]*)\}`)
	for d := range ch {
		m := parts.FindStringSubmatch(d.String())
		constant := regexp.MustCompile(`(\w+)="[^"]*"`).ReplaceAllString(m[2], "$1")
		labels := strings.FieldsFunc(constant+","+m[3], func(r rune) bool { return r == ',' })
		slices.Sort(labels)
		all[m[1]] = strings.Join(labels, " ")
	}
	return all
}

// TestMetricsAreDocumented checks that docs/telemetry.md has a row for each metric, with its type
// and its labels, and no other rows.
func TestMetricsAreDocumented(t *testing.T) {
	registry := newMetricsRegistry(t)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	types := make(map[string]string)
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	text, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	rows := regexp.MustCompile("(?m)^\\| `(deskmint_\\w+)` \\| (\\w+) \\|([^|]*)\\|")
	for _, row := range rows.FindAllStringSubmatch(string(text), -1) {
		labels := strings.Fields(strings.NewReplacer("`", "", ",", " ").Replace(row[3]))
		slices.Sort(labels)
		documented[row[1]] = strings.Join(labels, " ")
		if types[row[1]] != row[2] && types[row[1]] != "" {
			t.Errorf("%s is a %s, the table says %s", row[1], types[row[1]], row[2])
		}
	}
	present := describedMetrics(registry)
	maps.DeleteFunc(present, func(name, _ string) bool { return !strings.HasPrefix(name, "deskmint_") })
	if !maps.Equal(present, documented) {
		for name := range present {
			if labels, ok := documented[name]; !ok || labels != present[name] {
				t.Errorf("%s with the labels %q: the table has %q, %v", name, present[name], labels, ok)
			}
		}
		for name := range documented {
			if _, ok := present[name]; !ok {
				t.Errorf("%s is in the table but not in the registry", name)
			}
		}
	}
}

// TestMetricsConventions runs the linter of Prometheus on the names and the help texts.
func TestMetricsConventions(t *testing.T) {
	families, err := newMetricsRegistry(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "deskmint_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// TestMetricsFromOptions checks the metrics whose values are from the options of the service.
func TestMetricsFromOptions(t *testing.T) {
	families, err := newMetricsRegistry(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	unix := float64(now.UnixMilli()) / 1000
	for name, want := range map[string]float64{
		"deskmint_store_clock_offset_seconds":                                  -1.5,
		"deskmint_store_logins_total succeeded":                                3,
		"deskmint_store_logins_total failed":                                   2,
		"deskmint_store_token_expiry_timestamp_seconds":                        unix + 3600,
		"deskmint_tls_certificate_not_after_timestamp_seconds":                 unix + 7200,
		"deskmint_issuer_keys_fetched_timestamp_seconds cluster":               unix - 60,
		"deskmint_config_last_reload_success_timestamp_seconds":                unix,
		"deskmint_config_last_reload_successful":                               1,
		"deskmint_config_reloads_total failed":                                 0,
		"deskmint_config_reloads_total unchanged":                              0,
		"deskmint_secret_refreshes_total confirmed":                            4,
		"deskmint_secret_refreshes_total fault":                                2,
		"deskmint_decisions_total acme-customers ":                             0,
		"deskmint_requests_total Unavailable MintToken AUDIT_UNAVAILABLE grpc": 0,
		"deskmint_requests_total Internal MintToken INTERNAL http":             0,
	} {
		value, ok := got[name]
		if !ok || value != want {
			t.Errorf("%s is %v, %v; want %v", name, value, ok, want)
		}
	}
}

// TestMetricsAfterReload checks that only names of the present configuration are the values of
// labels. A reload deletes the counters of a removed configuration, and an unknown name never has
// any. Reloads are counted, and a failed one stays visible until one succeeds.
func TestMetricsAfterReload(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	for _, tr := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
		mint(t, s, tr, call{name: "acme-both", body: user("")})
		tr.send(t.Context(), t, s, call{method: "MintToken", name: "acme-both", body: user("") + `,"brandId":"9"`})
		tr.send(t.Context(), t, s, call{method: "MintToken", name: "no-such-name", body: user("")})
		tr.send(t.Context(), t, s, call{
			method: "ReportSignInFailure", name: "acme-both", body: `"kind":"error","message":"Invalid iat parameter."`,
		})
	}
	before := s.ops(t, "/metrics")
	for _, line := range []string{
		`deskmint_decisions_total{configuration="acme-both",reason=""} 4`, // includes the reports
		`deskmint_decisions_total{configuration="acme-both",reason="BRAND_NOT_ALLOWED"} 2`,
		`deskmint_decisions_total{configuration="",reason="CALLER_NOT_ALLOWED"} 2`,
		`deskmint_reported_sign_in_failures_total{class="SIGN_IN_FAILURE_CLASS_CLOCK",configuration="acme-both"} 2`,
		`deskmint_config_last_reload_successful 1`,
		`deskmint_config_reloads_total{result="succeeded"} 0`,
	} {
		if !strings.Contains(before, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(before, "no-such-name") {
		t.Error("an unknown name is the value of a label")
	}
	s.Reloaded(ops.ReloadFailed, errors.New("no such file"))
	if text := s.ops(t, "/metrics"); !strings.Contains(text, "deskmint_config_last_reload_successful 0\n") ||
		!strings.Contains(text, `deskmint_config_reloads_total{result="failed"} 1`+"\n") {
		t.Error("the metrics don't have the failed reload")
	}
	next := parse(t, strings.ReplaceAll(configuration, "acme-both", "acme-fresh"))
	if err := s.Swap(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	s.Reloaded(ops.ReloadSucceeded, nil)
	after := s.ops(t, "/metrics")
	if strings.Contains(after, "acme-both") {
		t.Error("the metrics have a removed configuration")
	}
	for _, line := range []string{
		`deskmint_decisions_total{configuration="acme-fresh",reason=""} 0`, `deskmint_config_last_reload_successful 1`,
		`deskmint_config_reloads_total{result="succeeded"} 1`,
		fmt.Sprintf("deskmint_config_info{digest=%q} 1", next.Digest),
	} {
		if !strings.Contains(after, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
}

// TestLateReports checks that a request that began with a removed configuration doesn't bring back
// its counters.
func TestLateReports(t *testing.T) {
	keyring := secrets.NewKeyring(secrets.Options{Source: newStore(), MaxRate: 1e6})
	first := parse(t, configuration)
	registry := prometheus.NewRegistry()
	m := ops.New(ops.Options{
		Snapshot: func() *config.Snapshot { return first }, Secrets: keyring, Registry: registry,
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	late := func() {
		for range 100 {
			m.Reported("acme-both", "SIGN_IN_FAILURE_CLASS_CLOCK")
			m.Observe(ops.Request{
				Transport: "grpc", Method: "MintToken", Configuration: "acme-both", Recorded: true,
				Code: codes.PermissionDenied, Reason: "BRAND_NOT_ALLOWED",
			})
		}
	}
	var concurrent sync.WaitGroup
	concurrent.Go(late)
	m.Take(parse(t, strings.ReplaceAll(configuration, "acme-both", "acme-fresh")))
	concurrent.Wait()
	late()
	for _, name := range []string{"deskmint_reported_sign_in_failures_total", "deskmint_decisions_total"} {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name && strings.Contains(f.String(), "acme-both") {
				t.Errorf("%s has a removed configuration: %s", name, f)
			}
		}
	}
}
