package httpapi

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// W3C Trace Context (https://www.w3.org/TR/trace-context/): the header that
// names the trace and the span that a request is part of, as [http.Header]
// spells it, and what goes with it.
const (
	traceparent = "Traceparent"
	tracestate  = "Tracestate"
)

// traced puts a request into the trace that it says it is part of, or, where
// traces are kept, into one of its own, and begins its span. Where they are not
// and the request names none, it does nothing.
func (a *api) traced(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	if len(r.Header[traceparent]) > 0 {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if a.Tracer == nil || isProbe(r.URL.Path) {
		return ctx, trace.SpanFromContext(ctx)
	}
	method := knownMethod(r.Method)
	return a.Tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", method)))
}

// isProbe tells whether machines ask for the path all day: nobody wants to see
// those traces.
func isProbe(path string) bool { return path == "/livez" || path == "/readyz" || path == "/metrics" }

// show ends the span of an exchange with what became of it: its route, never
// its address, which may name a person.
func (x *exchange) show(span trace.Span) {
	if !span.IsRecording() {
		return
	}
	span.SetName(knownMethod(x.method) + " " + x.label())
	span.SetAttributes(attribute.String("http.route", x.label()), attribute.Int("http.response.status_code", x.status))
	if x.position > 0 {
		span.SetAttributes(attribute.Int64("slotbook.position", int64(x.position))) //nolint:gosec // positions fit
	}
	if x.rule != "" {
		span.SetAttributes(attribute.String("slotbook.rule", x.rule))
	}
	if x.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
