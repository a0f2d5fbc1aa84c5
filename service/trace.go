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

// tracing notes which trace the request is part of, for its record and for the log.
func (s *Service) tracing(next handler) handler {
	if s.options.Propagator == nil {
		return next
	}
	return func(ctx context.Context, x *exchange) answer {
		if in := trace.SpanContextFromContext(ctx); in.HasTraceID() {
			x.traceID, x.sampled = in.TraceID().String(), in.IsSampled()
		}
		return next(ctx, x)
	}
}

// describeSpan adds the decision to the request's span, in words of the configuration's and ours.
// Nothing else of a request gets into a trace.
func (s *Service) describeSpan(ctx context.Context, x *exchange, a answer) {
	span := trace.SpanFromContext(ctx)
	if !x.sampled || !span.IsRecording() {
		return
	}
	attributes := []attribute.KeyValue{attribute.String("deskmint.transport", x.transport)}
	reason := ""
	if a.refusal != nil {
		reason = a.refusal.reason
	}
	for key, value := range map[string]string{
		"deskmint.configuration": s.metrics.configured(a.facts.Configuration),
		"deskmint.caller":        x.caller.Name,
		"deskmint.decision":      x.decision,
		"deskmint.reason":        reason,
	} {
		if value != "" {
			attributes = append(attributes, attribute.String(key, value))
		}
	}
	span.SetAttributes(attributes...)
}
