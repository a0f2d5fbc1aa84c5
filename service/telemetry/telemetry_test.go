package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

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

func TestRead(t *testing.T) {
	const endpoint, url = "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"
	for name, c := range map[string]struct {
		getenv func(string) string
		want   destinations
		fault  string // the variable that the error names
	}{
		"nothing":                   {env(), destinations{}, ""},
		"nothing, whatever else":    {env("OTEL_EXPORTER_OTLP_HEADERS", "?", "OTEL_TRACES_SAMPLER", "?"), destinations{}, ""},
		"both":                      {env(endpoint, url), destinations{overHTTP, overHTTP}, ""},
		"both over gRPC":            {env(endpoint, url, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), destinations{overGRPC, overGRPC}, ""},
		"one over gRPC":             {env(endpoint, url, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"), destinations{overGRPC, overHTTP}, ""},
		"traces":                    {env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url), destinations{traces: overHTTP}, ""},
		"metrics":                   {env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url), destinations{metrics: overHTTP}, ""},
		"no traces":                 {env(endpoint, url, "OTEL_TRACES_EXPORTER", "none"), destinations{metrics: overHTTP}, ""},
		"off":                       {env(endpoint, url, "OTEL_SDK_DISABLED", "True"), destinations{}, ""},
		"not off":                   {env(endpoint, url, "OTEL_SDK_DISABLED", "yes"), destinations{overHTTP, overHTTP}, ""},
		"another exporter":          {env(endpoint, url, "OTEL_METRICS_EXPORTER", "prometheus"), destinations{}, "OTEL_METRICS_EXPORTER"},
		"no URL":                    {env(endpoint, "MARKER:4317"), destinations{}, endpoint},
		"another scheme":            {env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://MARKER:4317"), destinations{}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		"another protocol":          {env(endpoint, url, "OTEL_EXPORTER_OTLP_PROTOCOL", "MARKER"), destinations{}, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"headers":                   {env(endpoint, url, "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,b=c"), destinations{overHTTP, overHTTP}, ""},
		"headers without a value":   {env(endpoint, url, "OTEL_EXPORTER_OTLP_HEADERS", "a=b,MARKER"), destinations{}, "OTEL_EXPORTER_OTLP_HEADERS"},
		"headers that are escaped":  {env(endpoint, url, "OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=MARKER%2"), destinations{}, "OTEL_EXPORTER_OTLP_METRICS_HEADERS"},
		"a sampler":                 {env(endpoint, url, "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.1"), destinations{overHTTP, overHTTP}, ""},
		"another sampler":           {env(endpoint, url, "OTEL_TRACES_SAMPLER", "MARKER"), destinations{}, "OTEL_TRACES_SAMPLER"},
		"more than all":             {env(endpoint, url, "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "10"), destinations{}, "OTEL_TRACES_SAMPLER_ARG"},
		"a time with its unit":      {env(endpoint, url, "OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), destinations{}, "OTEL_EXPORTER_OTLP_TIMEOUT"},
		"a time that never comes":   {env(endpoint, url, "OTEL_METRIC_EXPORT_INTERVAL", "0"), destinations{}, "OTEL_METRIC_EXPORT_INTERVAL"},
		"a queue that holds little": {env(endpoint, url, "OTEL_BSP_MAX_QUEUE_SIZE", "16"), destinations{overHTTP, overHTTP}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.getenv)
			if c.fault == "" && (err != nil || got != c.want) {
				t.Errorf("%+v %v, want %+v", got, err, c.want)
			}
			if c.fault != "" && (err == nil || !strings.HasPrefix(err.Error(), c.fault+" ") || strings.Contains(err.Error(), "MARKER")) {
				t.Errorf("%v, want an error that names %s and no value", err, c.fault)
			}
		})
	}
}

// Without an endpoint nothing is set up that a request would meet.
func TestOff(t *testing.T) {
	for name, getenv := range map[string]func(string) string{"nobody asked": nil, "nothing is set": env()} {
		got, err := Open(t.Context(), Options{Getenv: getenv, Methods: []string{"/a.B/C"}})
		if err != nil || got.Stats != nil || got.Propagator != nil {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if err := got.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// The log is told when a collector goes away, now and then while it is, and when it
// is back.
func TestOutage(t *testing.T) {
	var log bytes.Buffer
	var now time.Time
	now = time.Unix(1e9, 0)
	o := &outage{what: "traces", log: slog.New(slog.NewTextHandler(&log, nil)), now: func() time.Time { return now }}
	const away, back = "doesn't take", "takes what it is sent again"
	for i, step := range []struct {
		err   error
		after time.Duration
		want  string
	}{
		{nil, 0, ""},
		{errors.New("refused"), 0, away},
		{errors.New("refused"), 5 * time.Second, ""},
		{errors.New("timeout"), reminder - 6*time.Second, ""},
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
