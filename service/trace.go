package service

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// tracing reads the trace that the request belongs to, for the record and the log.
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

// describeSpan adds the decision to the span of the request. The values are from the configuration
// or from this package. No other part of a request is in a trace.
func (s *Service) describeSpan(ctx context.Context, x *exchange, a answer) {
	span := trace.SpanFromContext(ctx)
	if !x.sampled || !span.IsRecording() {
		return
	}
	attributes := []attribute.KeyValue{attribute.String("deskmint.transport", x.call.Transport())}
	reason := ""
	if a.refusal != nil {
		reason = a.refusal.Reason
	}
	for key, value := range map[string]string{
		"deskmint.configuration": s.monitor.Configured(a.facts.Configuration),
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
