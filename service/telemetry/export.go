package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func newSpanExporter(ctx context.Context, protocol string) (sdktrace.SpanExporter, error) {
	if protocol == overGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func newMetricExporter(ctx context.Context, protocol string) (sdkmetric.Exporter, error) {
	if protocol == overGRPC {
		return otlpmetricgrpc.New(ctx)
	}
	return otlpmetrichttp.New(ctx)
}

// spans and points are exporters whose failures go to our log: the libraries' way
// for them is one handler for the whole process, which writes each to standard error.
type (
	spans struct {
		sdktrace.SpanExporter
		outage *outage
	}
	points struct {
		sdkmetric.Exporter
		outage *outage
	}
)

// ExportSpans implements [sdktrace.SpanExporter].
func (s spans) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	s.outage.note(ctx, s.SpanExporter.ExportSpans(ctx, batch))
	return nil
}

// Export implements [sdkmetric.Exporter].
func (p points) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	p.outage.note(ctx, p.Exporter.Export(ctx, data))
	return nil
}

// reminder is how often the log is told of a collector that stays away.
const reminder = 10 * time.Minute

// outage keeps what the log is told of a collector that is away to what is news.
type outage struct {
	what string
	log  *slog.Logger
	now  func() time.Time

	mu     sync.Mutex
	failed int       // exports in a row
	told   time.Time // when the log last was
}

func (o *outage) note(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		if o.failed > 0 {
			o.log.LogAttrs(ctx, slog.LevelInfo, "the telemetry collector takes what it is sent again", slog.String("signal", o.what), slog.Int("lost", o.failed))
		}
		o.failed, o.told = 0, time.Time{}
		return
	}
	o.failed++
	if now := o.now(); o.told.IsZero() || now.Sub(o.told) >= reminder {
		o.told = now
		o.log.LogAttrs(ctx, slog.LevelWarn, "the telemetry collector doesn't take what it is sent; requests aren't affected",
			slog.String("signal", o.what), slog.Int("failed", o.failed), slog.String("cause", err.Error()))
	}
}
