// Package telemetry sends traces and metrics to an OpenTelemetry collector, over
// OTLP, where the environment names one. It is set up by the variables that
// OpenTelemetry defines for every program (see [Open]); without an endpoint among
// them nothing is set up, and nothing costs a request anything.
//
// A collector is never waited for: what it doesn't take is dropped, and the log says
// so once, and once more when it is back.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	prometheusbridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/stats"
)

// Options of Open. All may be left out.
type Options struct {
	// Getenv is where variables are looked up; nil: they are all empty. The exporters
	// read those of the process besides: addresses, headers, certificates, time-outs.
	Getenv func(string) string
	// Metrics are sent along; nil: only those of calls are.
	Metrics prometheus.Gatherer
	// Methods are the gRPC methods to trace and measure, in full, as in
	// /package.Service/Method. Any other name is one that a stranger has made up.
	Methods []string
	// Version is that of the program, for the collector.
	Version string
	// Log is told when the collector stops taking what it is sent, and when it goes
	// on; nil: nobody is.
	Log *slog.Logger
}

// Telemetry is what was set up. Its zero value sends nothing.
type Telemetry struct {
	// Stats has each call of Options.Methods traced and measured, for grpc.Server and
	// whatever tells of calls alike; nil: nothing is sent.
	Stats stats.Handler
	// Propagator continues callers' traces, and takes nothing else of what they send:
	// baggage would be passed on, and is any text; nil: nothing is traced.
	Propagator propagation.TextMapPropagator

	close []func(context.Context) error
}

// Open sets up what these variables say, as OpenTelemetry specifies them:
//
//   - OTEL_EXPORTER_OTLP_ENDPOINT, or one of …_TRACES_ENDPOINT and …_METRICS_ENDPOINT,
//     says where to send. Without, nothing is sent.
//   - OTEL_EXPORTER_OTLP_PROTOCOL, …_TRACES_PROTOCOL and …_METRICS_PROTOCOL are
//     http/protobuf (the default) or grpc.
//   - OTEL_SDK_DISABLED=true switches all off, OTEL_TRACES_EXPORTER=none and
//     OTEL_METRICS_EXPORTER=none one of the two.
//   - OTEL_TRACES_SAMPLER and …_ARG say which traces are kept; OTEL_SERVICE_NAME and
//     OTEL_RESOURCE_ATTRIBUTES what the collector knows us by; OTEL_BSP_… and
//     OTEL_METRIC_EXPORT_INTERVAL how often it is sent to.
//
// An error names the variable, and never its value, which can be a credential. No
// collector is asked for anything yet.
func Open(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	to, err := read(o.Getenv)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{}
	if to.traces == "" && to.metrics == "" {
		return t, nil
	}
	who, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithService(),
		resource.WithAttributes(semconv.ServiceName("deskmint"), semconv.ServiceVersion(o.Version)),
		resource.WithFromEnv(), // last: what operators say holds
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES is not a list of key=value pairs, separated by commas")
	}
	tracers, err := t.traces(ctx, to, who, o)
	if err != nil {
		return nil, err
	}
	meters, err := t.metrics(ctx, to, who, o)
	if err != nil {
		return nil, err
	}
	t.Propagator = propagation.TraceContext{}
	known := make(map[string]bool, len(o.Methods))
	for _, m := range o.Methods {
		known[m] = true
	}
	t.Stats = otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(tracers), otelgrpc.WithMeterProvider(meters), otelgrpc.WithPropagators(t.Propagator),
		otelgrpc.WithFilter(func(i *stats.RPCTagInfo) bool { return known[i.FullMethodName] }),
	)
	return t, nil
}

// traces has spans sent in batches from the background; a full queue drops what comes.
func (t *Telemetry) traces(ctx context.Context, to destinations, who *resource.Resource, o Options) (trace.TracerProvider, error) {
	if to.traces == "" {
		return tracenoop.NewTracerProvider(), nil
	}
	exporter, err := newSpanExporter(ctx, to.traces)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(spans{exporter, &outage{what: "traces", log: o.Log, now: time.Now}}), sdktrace.WithResource(who),
	)
	t.close = append(t.close, provider.Shutdown)
	return provider, nil
}

func (t *Telemetry) metrics(ctx context.Context, to destinations, who *resource.Resource, o Options) (metric.MeterProvider, error) {
	if to.metrics == "" {
		return metricnoop.NewMeterProvider(), nil
	}
	exporter, err := newMetricExporter(ctx, to.metrics)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	var reading []sdkmetric.PeriodicReaderOption
	if o.Metrics != nil {
		reading = append(reading, sdkmetric.WithProducer(prometheusbridge.NewMetricProducer(prometheusbridge.WithGatherer(o.Metrics))))
	}
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points{exporter, &outage{what: "metrics", log: o.Log, now: time.Now}}, reading...)),
		sdkmetric.WithResource(who),
	)
	t.close = append(t.close, provider.Shutdown)
	return provider, nil
}

// Close sends what is left, until ctx ends at the latest. Nothing is sent afterwards.
func (t *Telemetry) Close(ctx context.Context) error {
	ended := make(chan error, len(t.close))
	for _, end := range t.close {
		go func() { ended <- end(ctx) }()
	}
	var errs []error
	for range t.close {
		errs = append(errs, <-ended)
	}
	t.close = nil
	return errors.Join(errs...)
}
