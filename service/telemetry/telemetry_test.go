package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// env returns a function that returns the values of the variables in pairs of name and value.
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

const endpointVariable, collectorURL = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"

// envWithCollector is like env, and also sets the endpoint of the collector.
func envWithCollector(pairs ...string) func(string) string {
	return env(append([]string{endpointVariable, collectorURL}, pairs...)...)
}

// readTests are environments and the destinations or errors that read returns for them.
var readTests = map[string]struct {
	getenv func(string) string
	want   destinations
	wrong  string // the variable that the error names
}{
	"nothing": {env(), destinations{}, ""},
	"no endpoint": {
		env("OTEL_EXPORTER_OTLP_HEADERS", "?", "OTEL_TRACES_SAMPLER", "?"),
		destinations{},
		"",
	},
	"both": {envWithCollector(), destinations{overHTTP, overHTTP}, ""},
	"both over gRPC": {
		envWithCollector("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
		destinations{overGRPC, overGRPC},
		"",
	},
	"one over gRPC": {
		envWithCollector("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
		destinations{overGRPC, overHTTP},
		"",
	},
	"traces":  {env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collectorURL), destinations{traces: overHTTP}, ""},
	"metrics": {env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collectorURL), destinations{metrics: overHTTP}, ""},
	"no traces": {
		envWithCollector("OTEL_TRACES_EXPORTER", "none"),
		destinations{metrics: overHTTP},
		"",
	},
	"off":     {envWithCollector("OTEL_SDK_DISABLED", "True"), destinations{}, ""},
	"not off": {envWithCollector("OTEL_SDK_DISABLED", "yes"), destinations{overHTTP, overHTTP}, ""},
	"another exporter": {
		envWithCollector("OTEL_METRICS_EXPORTER", "prometheus"),
		destinations{},
		"OTEL_METRICS_EXPORTER",
	},
	"no URL": {env(endpointVariable, "MARKER:4317"), destinations{}, endpointVariable},
	"another scheme": {
		env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://MARKER:4317"),
		destinations{},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
	},
	"another protocol": {
		envWithCollector("OTEL_EXPORTER_OTLP_PROTOCOL", "MARKER"),
		destinations{},
		"OTEL_EXPORTER_OTLP_PROTOCOL",
	},
	"headers": {
		envWithCollector("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,b=c"),
		destinations{overHTTP, overHTTP},
		"",
	},
	"headers without a value": {
		envWithCollector("OTEL_EXPORTER_OTLP_HEADERS", "a=b,MARKER"),
		destinations{},
		"OTEL_EXPORTER_OTLP_HEADERS",
	},
	"headers with a bad escape": {
		envWithCollector("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=MARKER%2"),
		destinations{},
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS",
	},
	"a sampler": {
		envWithCollector("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.1"),
		destinations{overHTTP, overHTTP},
		"",
	},
	"another sampler": {
		envWithCollector("OTEL_TRACES_SAMPLER", "MARKER"),
		destinations{},
		"OTEL_TRACES_SAMPLER",
	},
	"a ratio above 1": {
		envWithCollector("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "10"),
		destinations{},
		"OTEL_TRACES_SAMPLER_ARG",
	},
	"a time with a unit": {
		envWithCollector("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
		destinations{},
		"OTEL_EXPORTER_OTLP_TIMEOUT",
	},
	"an interval of 0": {
		envWithCollector("OTEL_METRIC_EXPORT_INTERVAL", "0"),
		destinations{},
		"OTEL_METRIC_EXPORT_INTERVAL",
	},
	"a small queue": {
		envWithCollector("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
		destinations{overHTTP, overHTTP},
		"",
	},
}

func TestRead(t *testing.T) {
	for name, c := range readTests {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.getenv)
			if c.wrong == "" && (err != nil || got != c.want) {
				t.Errorf("%+v %v, want %+v", got, err, c.want)
			}
			if c.wrong == "" {
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), c.wrong+" ") || strings.Contains(err.Error(), "MARKER") {
				t.Errorf("%v, want an error that names %s and no value", err, c.wrong)
			}
		})
	}
}

// TestOff checks that Open sets up nothing for requests if there is no endpoint.
func TestOff(t *testing.T) {
	for name, getenv := range map[string]func(string) string{
		"no environment": nil,
		"no variables":   env(),
	} {
		got, err := Open(t.Context(), Options{Getenv: getenv, Methods: []string{"/a.B/C"}})
		if err != nil || got.Stats != nil || got.Propagator != nil {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if err := got.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestOutage checks the messages when a collector becomes unavailable, at intervals while it is,
// and when it is available again.
func TestOutage(t *testing.T) {
	var log bytes.Buffer
	now := time.Unix(1e9, 0)
	o := newOutage("traces", slog.New(slog.NewTextHandler(&log, nil)))
	o.now = func() time.Time { return now }
	const away, back = "doesn't accept data", "accepts data again"
	for i, step := range []struct {
		err   error
		after time.Duration
		want  string
	}{
		{nil, 0, ""},
		{errors.New("refused"), 0, away},
		{errors.New("refused"), 5 * time.Second, ""},
		{errors.New("timeout"), reminderInterval - 6*time.Second, ""},
		{errors.New("timeout"), time.Second, away},
		{nil, time.Second, back},
		{nil, time.Second, ""},
		{errors.New("refused"), time.Second, away},
	} {
		now = now.Add(step.after)
		log.Reset()
		o.note(t.Context(), step.err)
		if got := log.String(); (step.want == "") != (got == "") || !strings.Contains(got, step.want) {
			t.Errorf("step %d: logged %q, want %q", i, got, step.want)
		}
	}
}

// blockedExporter is an exporter whose exports wait until the channel is closed, and then fail.
type blockedExporter struct{ blocked <-chan struct{} }

func (e blockedExporter) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-e.blocked
	return errors.New("refused")
}

func (blockedExporter) Shutdown(context.Context) error { return nil }

// TestDrops checks that each span that isn't sent is counted once, by its reason, and that the log
// says so.
func TestDrops(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	registry := prometheus.NewRegistry()
	d, err := newDrops(registry, logger)
	if err != nil {
		t.Fatal(err)
	}
	blocked := make(chan struct{})
	const queue, batch, spans = 8, 4, 100
	getenv := env("OTEL_BSP_MAX_QUEUE_SIZE", "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
	q := newSpanQueue(blockedExporter{blocked}, getenv, newOutage("traces", logger), d)
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(q))
	for range spans {
		_, span := provider.Tracer("").Start(t.Context(), "a")
		span.End()
	}
	close(blocked)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for reason, want := range map[string]float64{queueFull: spans - queue - batch, exportFailed: queue + batch} {
		if got := dropped(t, registry)[reason]; got != want {
			t.Errorf("%s: %v spans, want %v", reason, got, want)
		}
		line := "spans were dropped; requests aren't affected\" reason=" + reason + " "
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%s is logged %d times: %s", reason, n, &log)
		}
	}
}

// dropped returns the values of the metric of dropped spans, by reason.
func dropped(t *testing.T, registry prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		if f.GetName() == "deskmint_telemetry_spans_dropped_total" {
			for _, m := range f.GetMetric() {
				all[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return all
}
