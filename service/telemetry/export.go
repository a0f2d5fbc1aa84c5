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

	"github.com/deskmint/deskmint/service/panics"
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

// metricExporter logs failures, as spanExporter does.
type metricExporter struct {
	sdkmetric.Exporter
	outage *outage
}

// Export implements [sdkmetric.Exporter].
func (m metricExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	m.outage.note(ctx, safely(func() error { return m.Exporter.Export(ctx, data) }))
	return nil
}

// safely turns a panic into an error, because exports run in goroutines of the libraries, where a
// panic would end the process.
func safely(export func() error) (err error) {
	defer panics.Catch(&err)
	return export()
}

// reminderInterval is the interval at which the log repeats that a collector is unavailable.
const reminderInterval = 10 * time.Minute

// outage logs when a collector becomes unavailable and when it is available again. It limits
// repeated messages.
type outage struct {
	signal string
	log    *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	failed int       // number of consecutive failed exports
	logged time.Time // time of the last message
}

func newOutage(signal string, log *slog.Logger) *outage {
	return &outage{signal: signal, log: log, now: time.Now}
}

// note records the result of an export.
func (o *outage) note(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		if o.failed > 0 {
			o.log.LogAttrs(ctx, slog.LevelInfo, "the telemetry collector accepts data again",
				slog.String("signal", o.signal), slog.Int("lost", o.failed))
		}
		o.failed, o.logged = 0, time.Time{}
		return
	}
	o.failed++
	if now := o.now(); o.logged.IsZero() || now.Sub(o.logged) >= reminderInterval {
		o.logged = now
		o.log.LogAttrs(ctx, slog.LevelWarn, "the telemetry collector doesn't accept data; requests aren't affected",
			slog.String("signal", o.signal), slog.Int("failed", o.failed), slog.String("cause", err.Error()))
	}
}
