package service

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// withTrace takes up the trace that a request of the REST gateway is part of, in the
// header that its Propagator knows. None of its headers becomes metadata, so
// Options.Stats wouldn't find it there as it does at the gRPC server.
func (s *Service) withTrace(ctx context.Context, header http.Header) context.Context {
	if s.options.Propagator == nil {
		return ctx
	}
	return s.options.Propagator.Extract(ctx, propagation.HeaderCarrier(header))
}

// traced notes which trace a call is part of, for its record and for the log.
func (s *Service) traced(ctx context.Context, c *call) {
	if s.options.Propagator == nil {
		return
	}
	if in := trace.SpanContextFromContext(ctx); in.HasTraceID() {
		c.record.TraceID, c.sampled = in.TraceID().String(), in.IsSampled()
	}
}

// outlined tells the call's span what was decided, in words of the configuration's
// and ours. Nothing else of a request gets into a trace.
func (s *Service) outlined(ctx context.Context, c *call, reason string) {
	span := trace.SpanFromContext(ctx)
	if !c.sampled || !span.IsRecording() {
		return
	}
	told := []attribute.KeyValue{attribute.String("deskmint.transport", c.record.Transport)}
	for key, value := range map[string]string{
		"deskmint.configuration": s.metrics.configured(c.record.Configuration),
		"deskmint.caller":        c.record.Caller,
		"deskmint.decision":      c.record.Decision,
		"deskmint.reason":        reason,
	} {
		if value != "" {
			told = append(told, attribute.String(key, value))
		}
	}
	span.SetAttributes(told...)
}
