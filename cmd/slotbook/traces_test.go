package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// within runs an app of the test's own process, and returns a client of it once
// it is ready: reference data come after the port is open.
func within(t *testing.T, c appConfig) *server {
	t.Helper()
	c.url, c.masterKey, c.logger = postgrestest.Database(t), make([]byte, 32), output{os.Stderr, os.Stderr}.logger()
	a, err := newApp(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(a.close)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.run(ctx, listener, a.beginReference, func() error { return nil }) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	s := &server{t: t, base: "http://" + listener.Addr().String()}
	until(t, "the server", func() bool { return s.get("/readyz").status == http.StatusOK })
	return s
}

const (
	callersTrace  = "0af7651916cd43dd8448eb211c80319c"
	callersSpan   = "b7ad6b7169203331"
	callersParent = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// TestABookingIsOneTrace follows a booking from its request to the read models.
func TestABookingIsOneTrace(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	s := within(t, appConfig{traces: decorator(sdk.NewTracerProvider(sdk.WithSyncer(kept)))})
	_, slots := clinicWith(s, 1, 1)
	who := s.patient("Ana Silva")
	booked := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": who}, "Traceparent", callersParent)
	require.Equal(t, http.StatusCreated, booked.status, booked.text)

	// of returns the spans of the booking by name, but for the later ones of the same name.
	of := func() map[string]tracetest.SpanStub {
		found := map[string]tracetest.SpanStub{}
		for _, span := range kept.GetSpans() {
			if _, there := found[span.Name]; !there && span.SpanContext.TraceID().String() == callersTrace {
				found[span.Name] = span
			}
		}
		return found
	}
	until(t, "the projections", func() bool {
		found := of()
		_, slots := found["project availability"]
		_, appointments := found["project appointments"]
		return slots && appointments
	})
	spans := of()
	request := spans["POST /v1/appointments"]
	require.Equal(t, callersSpan, request.Parent.SpanID().String())
	var decided []tracetest.SpanStub // what was decided within the request, by the span's id
	for _, span := range kept.GetSpans() {
		if span.Name == "decide" && span.Parent.SpanID() == request.SpanContext.SpanID() {
			decided = append(decided, span)
		}
	}
	require.NotEmpty(t, decided)
	parents := map[string]bool{}
	for _, d := range decided {
		parents[d.SpanContext.SpanID().String()] = true
	}
	for _, name := range []string{"append", "project availability", "project appointments"} {
		require.Contains(t, parents, spans[name].Parent.SpanID().String(), name)
	}
	require.Equal(t, spans["append"].Parent.SpanID(), spans["project appointments"].Parent.SpanID())
	for _, span := range kept.GetSpans() {
		for _, a := range span.Attributes {
			for _, secret := range []string{"Ana", who, booked.field("id"), "127.0.0.1"} {
				require.NotContains(t, a.Value.String(), secret, span.Name)
			}
		}
	}

	log := s.get("/v1/events?type=appointment.booked")
	require.Contains(t, log.text, `"traceparent":"00-`+callersTrace+"-"+spans["append"].Parent.SpanID().String()+`-01"`, "and the log says where the event came from")
}

// receiver is a receiver of OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	path  string
	spans []*tracepb.Span
	about []string // attributes of the resource, name=value
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body := io.Reader(req.Body)
		if req.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(body)
		}
		data, err := io.ReadAll(body)
		var sent otlp.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(data, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.path = req.URL.Path
		for _, resource := range sent.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				r.about = append(r.about, a.GetKey()+"="+a.GetValue().GetStringValue())
			}
			for _, scope := range resource.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// names returns the names of the spans of a trace.
func (r *receiver) names(trace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace {
			names = append(names, s.GetName())
		}
	}
	return names
}

func TestTracesAreSentWhereTheFlagSays(t *testing.T) {
	t.Parallel()
	to, url := newReceiver(t), postgrestest.Database(t)
	s := serve(t, "--database-url", url, "--otlp-endpoint", to.URL)
	s.call(patience, http.MethodPost, "/v1/patients", map[string]any{"name": "Ana"}, "Traceparent", callersParent)
	require.Zero(t, s.stop(), "what is left is sent at the end")
	require.Contains(t, s.logs.String(), "trace_id="+callersTrace)
	require.Subset(t, to.names(callersTrace), []string{"POST /v1/patients", "decide", "append"})
	require.Equal(t, "/v1/traces", to.path)
	require.Contains(t, to.about, "service.name=slotbook")
	for _, a := range to.about {
		require.False(t, strings.HasPrefix(a, "process."), "nothing of the command line: %s", a)
	}
}

func TestAReceiverThatIsAwayHindersNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, "--database-url", postgrestest.Database(t), "--otlp-endpoint", "http://127.0.0.1:1")
	s.patient("Ana")
	require.Zero(t, s.stop())
	require.Contains(t, s.logs.String(), "spans")
}
