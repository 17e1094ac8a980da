// Package tracing shows what becomes of a request as spans of OpenTelemetry.
//
//	request -> decide -> load, append -> projection of each read model
//	                        |                ^
//	                        +- event's metadata (traceparent) -> log
//
// The request's span is httpapi's. [Decorator.Span] gives a command a span for
// each of its tries, [Decorator.Store] shows the loads and appends below, and
// notes in the metadata of every stored event which span it came from.
// [Decorator.Took] takes it up there when a read model has folded the event,
// in this process or in another one.
//
// A span is begun only where there is a trace already: what the program does by
// itself has none. Nothing personal gets into spans: no addresses, no streams,
// no texts of errors, only rules, counts and positions.
package tracing

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// Decorator adds spans to parts of the program.
type Decorator struct {
	Tracer trace.Tracer // required
}

// The attributes of spans, besides those that OpenTelemetry names.
const (
	streamsKey  = attribute.Key("slotbook.streams")  // how many
	eventsKey   = attribute.Key("slotbook.events")   // how many
	positionKey = attribute.Key("slotbook.position") // of the last event
	modelKey    = attribute.Key("slotbook.model")    // the read model
	batchKey    = attribute.Key("slotbook.batch")    // events that were folded together
	errorKey    = attribute.Key("error.type")        // the rule that refused, or a word for what went wrong
)

// Span is a [commands.Span].
func (d Decorator) Span(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := d.begin(ctx, name)
	return ctx, func(err error) { end(span, err) }
}

// begin begins a span of the trace that there is, or one that nobody sees.
func (d Decorator) begin(ctx context.Context, name string, with ...attribute.KeyValue) (context.Context, trace.Span) {
	if parent := trace.SpanFromContext(ctx); !parent.SpanContext().IsValid() {
		return ctx, parent
	}
	return d.Tracer.Start(ctx, name, trace.WithAttributes(with...))
}

// end ends a span with what came of it. That a rule refused or a race was lost is
// no error: it happens every day.
func end(span trace.Span, err error) {
	rule := domain.RuleOf(err)
	switch {
	case err == nil:
	case errors.Is(err, commands.ErrWrongRevision):
		span.SetAttributes(errorKey.String("race.lost"))
	case rule != nil:
		span.SetAttributes(errorKey.String(rule.Rule))
		if rule.Kind == domain.Unavailable {
			span.SetStatus(codes.Error, "")
		}
	default:
		span.SetAttributes(errorKey.String("_OTHER"))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Store returns the store with spans for what is asked of it.
func (d Decorator) Store(s commands.Store) commands.Store { return tracedStore{s, d} }

type tracedStore struct {
	commands.Store
	Decorator
}

// Load is the store's, as a span.
func (s tracedStore) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	ctx, span := s.begin(ctx, "load", streamsKey.Int(len(streams)))
	loaded, err := s.Store.Load(ctx, streams...)
	end(span, err)
	return loaded, err
}

// Append is the store's, as a span. The events carry the span that the append
// is part of, not its own: sent again within that, they are the same bytes.
func (s tracedStore) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	events := 0
	for _, w := range writes {
		events += len(w.Events)
	}
	writes = marked(writes, traceparent(ctx))
	ctx, span := s.begin(ctx, "append", streamsKey.Int(len(writes)), eventsKey.Int(events))
	position, err := s.Store.Append(ctx, writes...)
	if err == nil {
		span.SetAttributes(positionKey.Int64(int64(position))) //nolint:gosec // positions fit
	}
	end(span, err)
	return position, err
}

// marked returns the writes with the trace in the metadata of their events, unless
// there is none. What came in is not changed: others may have it.
func marked(writes []commands.Write, trace string) []commands.Write {
	if trace == "" {
		return writes
	}
	all := make([]commands.Write, len(writes))
	for i, w := range writes {
		all[i] = w
		all[i].Events = make([]commands.NewEvent, len(w.Events))
		for j, e := range w.Events {
			if e.Metadata.Trace == "" {
				e.Metadata.Trace = trace
			}
			all[i].Events[j] = e
		}
	}
	return all
}

// parentKey is where W3C Trace Context has the parent.
const parentKey = "traceparent"

// traceparent returns the span that ctx is in, as W3C Trace Context writes it; ""
// when nobody will see it.
func traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[parentKey]
}

// recent is how old an event may be for its projection to be shown. What a read
// model catches up with later would come to traces that are long closed.
const recent = 10 * time.Minute

// Took shows what a read model took in: a span for each trace that an event of
// the batch is from, below the span that stored it.
func (d Decorator) Took(b engine.Batch) {
	var parents []string
	traces := map[string][]domain.Recorded{}
	for _, r := range b.Traced {
		if b.Ended.Sub(r.RecordedAt) > recent {
			continue
		}
		parent := r.Metadata.Trace
		if traces[parent] == nil {
			parents = append(parents, parent)
		}
		traces[parent] = append(traces[parent], r)
	}
	for _, parent := range parents {
		d.projected(b, parent, traces[parent])
	}
}

// projected shows the events of one trace. A parent that cannot be read is none.
func (d Decorator) projected(b engine.Batch, parent string, events []domain.Recorded) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{parentKey: parent})
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	_, span := d.Tracer.Start(ctx, "project "+b.Model, trace.WithTimestamp(b.Began), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(modelKey.String(b.Model), eventsKey.Int(len(events)), batchKey.Int(b.Events),
			positionKey.Int64(int64(events[len(events)-1].Position)))) //nolint:gosec // positions fit
	span.End(trace.WithTimestamp(b.Ended))
}
