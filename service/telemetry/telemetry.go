// Package telemetry sends traces and metrics to an OpenTelemetry collector over OTLP. The variables
// that OpenTelemetry defines for every program configure it (see [Open]). Without an endpoint in
// them, the package sets up nothing and requests have no overhead.
//
// The service never waits for a collector. If a collector doesn't accept data, the data is dropped.
// The log says so at the start of an outage, every 10 minutes while it lasts, and at its end. A
// metric counts the spans that are dropped.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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

// Options are the options of [Open]. All of them are optional.
type Options struct {
	// Getenv returns the value of a variable. If it is nil, all variables are empty. The exporters
	// also read the environment of the process, for addresses, headers, certificates and timeouts.
	Getenv func(string) string
	// Metrics are sent in addition to the metrics of calls. If it is nil, only those are sent.
	Metrics prometheus.Gatherer
	// Registerer receives the metric of dropped spans if traces are sent. If it is nil, only the
	// log says that spans were dropped.
	Registerer prometheus.Registerer
	// Methods are the full names of the gRPC methods to trace and measure, such as
	// /package.Service/Method. A client can invent any other name.
	Methods []string
	// Version is the version of the program, which is sent to the collector.
	Version string
	// Log receives a message when the collector becomes unavailable and when it is available again.
	// If it is nil, nothing is logged.
	Log *slog.Logger
}

// Telemetry is an open connection to collectors. The zero value sends nothing.
type Telemetry struct {
	// Stats traces and measures each call of Options.Methods. Pass it to grpc.Server, and call it
	// for requests of other transports. It is nil if nothing is sent.
	Stats stats.Handler
	// Propagator continues the traces of callers. It ignores all other data in their headers. For
	// example, it ignores baggage, which is arbitrary text that would be passed on. It is nil if
	// nothing is traced.
	Propagator propagation.TextMapPropagator

	close []func(context.Context) error
}

// Open sets up the following variables, as OpenTelemetry specifies them:
//
//   - OTEL_EXPORTER_OTLP_ENDPOINT, or one of …_TRACES_ENDPOINT and …_METRICS_ENDPOINT, is the
//     address of the collector. Without it, nothing is sent.
//   - OTEL_EXPORTER_OTLP_PROTOCOL, …_TRACES_PROTOCOL and …_METRICS_PROTOCOL are http/protobuf (the
//     default) or grpc.
//   - OTEL_SDK_DISABLED=true disables everything. OTEL_TRACES_EXPORTER=none and
//     OTEL_METRICS_EXPORTER=none disable one of the two.
//   - OTEL_TRACES_SAMPLER and …_ARG select the traces to keep.
//   - OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES identify the service to the collector.
//   - OTEL_BSP_… and OTEL_METRIC_EXPORT_INTERVAL are the intervals of sending.
//
// An error names the variable but never contains its value, which can be a credential. Open doesn't
// connect to a collector.
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
	service, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithService(),
		resource.WithAttributes(semconv.ServiceName("deskmint"), semconv.ServiceVersion(o.Version)),
		resource.WithFromEnv(), // last, so that the operator's values take precedence
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES is not a list of key=value pairs, separated by commas")
	}
	tracers, err := t.traces(ctx, to, service, o)
	if err != nil {
		return nil, err
	}
	meters, err := t.metrics(ctx, to, service, o)
	if err != nil {
		return nil, err
	}
	t.Propagator = propagation.TraceContext{}
	known := make(map[string]bool, len(o.Methods))
	for _, m := range o.Methods {
		known[m] = true
	}
	t.Stats = otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(tracers),
		otelgrpc.WithMeterProvider(meters),
		otelgrpc.WithPropagators(t.Propagator),
		otelgrpc.WithFilter(func(i *stats.RPCTagInfo) bool { return known[i.FullMethodName] }),
	)
	return t, nil
}

// traces returns a provider that sends spans in batches in the background. If the queue is full,
// new spans are dropped.
func (t *Telemetry) traces(
	ctx context.Context, to destinations, service *resource.Resource, o Options,
) (trace.TracerProvider, error) {
	if to.traces == "" {
		return tracenoop.NewTracerProvider(), nil
	}
	exporter, err := newSpanExporter(ctx, to.traces)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	dropped, err := newDrops(o.Registerer, o.Log)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(newSpanQueue(exporter, o.Getenv, newOutage("traces", o.Log), dropped)),
		sdktrace.WithResource(service),
	)
	t.close = append(t.close, provider.Shutdown)
	return provider, nil
}

// metrics returns a provider that sends metrics at an interval.
func (t *Telemetry) metrics(
	ctx context.Context, to destinations, service *resource.Resource, o Options,
) (metric.MeterProvider, error) {
	if to.metrics == "" {
		return metricnoop.NewMeterProvider(), nil
	}
	exporter, err := newMetricExporter(ctx, to.metrics)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	var reading []sdkmetric.PeriodicReaderOption
	if o.Metrics != nil {
		producer := prometheusbridge.NewMetricProducer(prometheusbridge.WithGatherer(o.Metrics))
		reading = append(reading, sdkmetric.WithProducer(producer))
	}
	reader := sdkmetric.NewPeriodicReader(metricExporter{exporter, newOutage("metrics", o.Log)}, reading...)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(service))
	t.close = append(t.close, provider.Shutdown)
	return provider, nil
}

// Close sends the remaining data, at the latest until ctx ends. Nothing is sent afterwards.
func (t *Telemetry) Close(ctx context.Context) error {
	ended := make(chan error, len(t.close))
	for _, end := range t.close {
		go func() { ended <- safely(func() error { return end(ctx) }) }()
	}
	var errs []error
	for range t.close {
		errs = append(errs, <-ended)
	}
	t.close = nil
	return errors.Join(errs...)
}
