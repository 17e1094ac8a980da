package tracing_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/adapters/tracing"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/projections/engine"
)

const stream = domain.StreamName("patient-a0000000-0000-4000-8000-000000000001")

var monday = time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)

// world is a store with spans.
type world struct {
	tracing.Decorator
	kept  *tracetest.InMemoryExporter
	store commands.Store
}

func newWorld(sampler sdk.Sampler) world {
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithSampler(sampler))
	d := tracing.Decorator{Tracer: provider.Tracer("test")}
	below := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: func() time.Time { return monday }})
	return world{d, kept, d.Store(below)}
}

func registered(id string) commands.Write {
	return commands.Write{Stream: stream, Expected: domain.NoStream, Events: []commands.NewEvent{{
		ID: domain.NewID(id), Event: patient.Registered{Patient: "a0000000-0000-4000-8000-000000000001"}, Metadata: domain.Metadata{Command: "c", Actor: "local"},
	}}}
}

func (w world) recorded(t *testing.T) []domain.Recorded {
	t.Helper()
	loaded, err := w.store.Load(context.Background(), stream)
	require.NoError(t, err)
	return loaded[stream]
}

func TestARequestItsDecisionItsAppendAndItsProjectionAreOneTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(sdk.AlwaysSample())
	ctx, request := w.Tracer.Start(t.Context(), "request")
	deciding, end := w.Span(ctx, "decide")
	position, err := w.store.Append(deciding, registered("e"))
	require.NoError(t, err)
	end(nil)
	request.End()
	events := w.recorded(t)
	decide := trace.SpanContextFromContext(deciding)
	require.Equal(t, "00-"+decide.TraceID().String()+"-"+decide.SpanID().String()+"-01", events[0].Metadata.Trace)
	require.Equal(t, "c", events[0].Metadata.Command, "what was there stays")
	w.Took(engine.Batch{Model: "patients", Began: monday, Ended: monday.Add(time.Second), Events: 7, Traced: events})

	spans := w.kept.GetSpans()
	var names []string
	for _, s := range spans {
		names = append(names, s.Name)
		require.Equal(t, request.SpanContext().TraceID(), s.SpanContext.TraceID())
	}
	require.Equal(t, []string{"append", "decide", "request", "project patients"}, names)
	require.Equal(t, decide.SpanID(), spans[0].Parent.SpanID())
	require.Contains(t, spans[0].Attributes, attribute.Int64("slotbook.position", int64(position))) //nolint:gosec // small
	require.Equal(t, decide.SpanID(), spans[3].Parent.SpanID())
	require.Equal(t, monday, spans[3].StartTime)
	require.Equal(t, monday.Add(time.Second), spans[3].EndTime)
	for _, s := range spans {
		for _, a := range s.Attributes {
			require.NotContains(t, a.Value.String(), "a0000000", "no span names a person")
		}
	}
}

func TestAnAppendThatIsSentAgainIsTheSameBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(sdk.AlwaysSample())
	ctx, end := w.Tracer.Start(t.Context(), "request")
	defer end.End()
	first, err := w.store.Append(ctx, registered("e"))
	require.NoError(t, err)
	again, err := w.store.Append(ctx, registered("e"))
	require.NoError(t, err, "the same is a success")
	require.Equal(t, first, again)
}

func TestOutsideATraceNothingIsMarkedAndNothingShown(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]world{"no trace": newWorld(sdk.AlwaysSample()), "one that is not taken": newWorld(sdk.NeverSample())} {
		ctx := t.Context()
		if name != "no trace" {
			ctx, _ = w.Tracer.Start(ctx, "request") //nolint:spancheck // it is not recorded
		}
		ctx, end := w.Span(ctx, "decide")
		_, err := w.store.Append(ctx, registered("e"))
		require.NoError(t, err)
		end(nil)
		require.Empty(t, w.recorded(t)[0].Metadata.Trace, name)
		require.Empty(t, w.kept.GetSpans(), name)
	}
}

func TestWhatIsWrongIsSaidByItsRule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		says   string
		status codes.Code
	}{
		{commands.ErrWrongRevision, "race.lost", codes.Unset},
		{commands.ErrStale, "revision.stale", codes.Unset},
		{commands.ErrUnavailable, "store.unavailable", codes.Error},
		{errors.New("host=10.0.0.1 user=ana"), "_OTHER", codes.Error},
	} {
		w := newWorld(sdk.AlwaysSample())
		ctx, request := w.Tracer.Start(t.Context(), "request")
		_, end := w.Span(ctx, "decide")
		end(c.err)
		request.End()
		span := w.kept.GetSpans()[0]
		require.Equal(t, []attribute.KeyValue{attribute.String("error.type", c.says)}, span.Attributes)
		require.Equal(t, sdk.Status{Code: c.status}, span.Status, "and no text, which may hold anything")
		require.Empty(t, span.Events)
	}
}

func TestProjectionsOfOldEventsAndOfUnreadableTracesAreNotShown(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	event := func(trace string, age time.Duration) domain.Recorded {
		return domain.Recorded{RecordedAt: monday.Add(-age), Metadata: domain.Metadata{Trace: trace}}
	}
	w := newWorld(sdk.AlwaysSample())
	w.Took(engine.Batch{Model: "slots", Ended: monday, Traced: []domain.Recorded{event(parent, time.Hour), event("nonsense", 0)}})
	require.Empty(t, w.kept.GetSpans())
	w.Took(engine.Batch{Model: "slots", Ended: monday, Traced: []domain.Recorded{event(parent, time.Second), event(parent, 0)}})
	require.Len(t, w.kept.GetSpans(), 1, "one for each trace of a batch")
	require.Contains(t, w.kept.GetSpans()[0].Attributes, attribute.Int("slotbook.events", 2))
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"http://127.0.0.1:4318", "https://collector.example/otlp/", "http://[::1]:4318/v1/traces"} {
		require.NoError(t, tracing.Check(good), good)
	}
	for _, bad := range []string{"", "127.0.0.1:4318", "localhost:4318", "grpc://x:4317", "http://", "http://ana:secret@x", "http://x?y=z", "http://x#y", "http://x y", ":"} {
		require.ErrorIs(t, tracing.Check(bad), tracing.ErrEndpoint, bad)
	}
}
