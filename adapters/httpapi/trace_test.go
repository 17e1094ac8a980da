package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/slotbook/slotbook/adapters/httpapi"
)

// incoming is the span of a caller.
const incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// traced returns a world that keeps its spans.
func traced(t *testing.T) (*world, func() tracetest.SpanStubs) {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept))
	w := newWorld(t, func(c *httpapi.Config) { c.Tracer = provider.Tracer("test") })
	return w, kept.GetSpans
}

func (w *world) within(parent, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if parent != "" {
		r.Header.Set("Traceparent", parent)
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

func TestARequestIsASpanOfItsCallersTrace(t *testing.T) {
	t.Parallel()
	w, spans := traced(t)
	require.Equal(t, http.StatusUnprocessableEntity, w.within(incoming, http.MethodGet, "/v1/patients/a0000000-0000-4000-8000-000000000009?q=silva").Code)
	require.Len(t, spans(), 1)
	span := spans()[0]
	require.Equal(t, "GET /v1/patients/{id}", span.Name)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", span.SpanContext.TraceID().String())
	require.Equal(t, "b7ad6b7169203331", span.Parent.SpanID().String())
	require.True(t, span.Parent.IsRemote())
	require.Equal(t, codes.Unset, span.Status.Code, "a refusal is no error of the program")
	require.ElementsMatch(t, []attribute.KeyValue{
		attribute.String("http.request.method", "GET"), attribute.String("http.route", "/v1/patients/{id}"),
		attribute.Int("http.response.status_code", 422), attribute.String("slotbook.rule", "request.invalid"),
	}, span.Attributes, "and neither who was asked for nor who asked")
	require.Contains(t, w.log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`)
}

func TestARequestWithoutATraceBeginsOne(t *testing.T) {
	t.Parallel()
	for _, parent := range []string{"", "00-nonsense-01", "00-00000000000000000000000000000000-0000000000000000-01"} {
		w, spans := traced(t)
		w.within(parent, http.MethodGet, "/nowhere/silva")
		require.Len(t, spans(), 1)
		span := spans()[0]
		require.Equal(t, "GET unmatched", span.Name)
		require.False(t, span.Parent.IsValid())
		require.Contains(t, w.log.String(), `"trace_id":"`+span.SpanContext.TraceID().String()+`"`)
	}
}

func TestWhatTheCallerDoesNotWantTracedIsNot(t *testing.T) {
	t.Parallel()
	w, spans := traced(t)
	w.within(strings.TrimSuffix(incoming, "1")+"0", http.MethodGet, "/v1/clinics")
	require.Empty(t, spans())
	require.Contains(t, w.log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`, "its log has it all the same")
}

func TestProbesAreNotTraced(t *testing.T) {
	t.Parallel()
	w, spans := traced(t)
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		require.Equal(t, http.StatusOK, w.within("", http.MethodGet, path).Code)
	}
	require.Empty(t, spans())
}

func TestAFaultIsAnErrorInItsSpan(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	w := newWorld(t, func(c *httpapi.Config) {
		c.Tracer = sdk.NewTracerProvider(sdk.WithSyncer(kept)).Tracer("test")
		c.Actor = func(*http.Request) (string, error) { panic("a hole in the ground") }
	})
	require.Equal(t, http.StatusInternalServerError, w.within("", http.MethodGet, "/v1/clinics").Code)
	require.Len(t, kept.GetSpans(), 1)
	require.Equal(t, codes.Error, kept.GetSpans()[0].Status.Code)
	require.Empty(t, kept.GetSpans()[0].Status.Description)
}

// TestLogLinesNameTheTrace holds also for a process that keeps no traces.
func TestLogLinesNameTheTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.within(incoming, http.MethodGet, "/v1/clinics")
	require.Contains(t, w.log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`)
	w = newWorld(t)
	w.within("", http.MethodGet, "/v1/clinics")
	require.NotContains(t, w.log.String(), "trace_id")
}
