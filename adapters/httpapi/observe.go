package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotbook/slotbook/domain"
)

// exchange is what is known of one request, for its command and its log line.
type exchange struct {
	method   string
	path     string
	query    string // as it came
	route    string // the template, "" when no route matched
	actor    string
	body     []byte
	position domain.Position
	rule     string // of a refusal
	cause    error  // of an internal error
	status   int
	answered bool
}

type exchangeKey struct{}

// exchangeOf returns the exchange of a request's context.
func exchangeOf(ctx context.Context) *exchange {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return &exchange{}
	}
	return x
}

// observe measures and logs every request.
func (a *api) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, status: http.StatusOK}
		began := a.Streams.Now() // the business time may be moved meanwhile
		ctx, span := a.traced(r.Context(), r)
		next.ServeHTTP(&recorder{w, x}, r.WithContext(context.WithValue(ctx, exchangeKey{}, x)))
		took := a.Streams.Now().Sub(began)
		if x.rule != "" {
			a.metrics.refused.WithLabelValues(x.rule).Inc()
		}
		a.metrics.requests.WithLabelValues(x.label(), knownMethod(x.method), strconv.Itoa(x.status)).Observe(took.Seconds())
		level, attributes := slog.LevelInfo, []slog.Attr{
			slog.String("method", knownMethod(x.method)), slog.String("route", x.label()), slog.Int("status", x.status),
			slog.Duration("duration", took), slog.String("actor", x.actor), slog.Uint64("position", uint64(x.position)),
		}
		if x.rule != "" {
			attributes = append(attributes, slog.String("rule", x.rule))
		}
		if x.cause != nil {
			level = slog.LevelError
			attributes = append(attributes, slog.String("error", x.cause.Error()))
		}
		if in := span.SpanContext(); in.HasTraceID() {
			attributes = append(attributes, slog.String("trace_id", in.TraceID().String())) // as OpenTelemetry names it in logs
		}
		x.show(span)
		a.Logger.LogAttrs(r.Context(), level, "request", attributes...)
	})
}

func (x *exchange) label() string {
	if x.route == "" {
		return "unmatched"
	}
	return x.route
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// remember notes the route that matched and finds out who asks, for those that
// ask for something of somebody.
func (a *api) remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(r.Context())
		if route := mux.CurrentRoute(r); route != nil {
			x.route, _ = route.GetPathTemplate()
		}
		if strings.HasPrefix(x.route, "/v1/") {
			var err error
			if x.actor, err = a.Actor(r); err != nil {
				a.write(w, r, problemOf(r.Context(), err))
				return
			}
			w.Header().Set("Cache-Control", "no-store") // it is personal, and only the server knows whether it is current
		}
		next.ServeHTTP(w, r)
	})
}

// note keeps a problem for the log and the metrics.
func (x *exchange) note(p *Problem) {
	x.rule = p.Rule
	if p.cause != nil {
		x.cause = p.cause
	}
}

// refused turns a handler's error into its answer.
func refused(ctx context.Context, err error) *Problem {
	p := problemOf(ctx, err)
	exchangeOf(ctx).note(p)
	return p
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	x *exchange
}

// WriteHeader notes and passes on.
func (r *recorder) WriteHeader(status int) {
	if !r.x.answered {
		r.x.status = status
	}
	r.x.answered = status >= http.StatusOK
	r.ResponseWriter.WriteHeader(status)
}

// Write notes and passes on.
func (r *recorder) Write(b []byte) (int, error) {
	r.x.answered = true
	return r.ResponseWriter.Write(b)
}

// Unwrap gives [http.ResponseController] what lies beneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// metrics are what this package counts.
type metrics struct {
	requests *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	bookings prometheus.Counter
	holds    prometheus.Counter
	streams  prometheus.Gauge
}

func newMetrics(registry *prometheus.Registry, mostStreams int) (metrics, error) {
	m := metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "slotbook_http_request_duration_seconds", Help: "Time to answer a request, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route", "method", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slotbook_refused_total", Help: "Requests that a rule refused.",
		}, []string{"rule"}),
		bookings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "slotbook_bookings_total", Help: "Appointments booked through this process.",
		}),
		holds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "slotbook_holds_total", Help: "Slots put on hold through this process.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "slotbook_streams", Help: "Streams of live updates that are open.",
		}),
	}
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "slotbook_streams_limit", Help: "Streams of live updates that this process takes at one time.",
	})
	limit.Set(float64(mostStreams))
	for _, c := range []prometheus.Collector{m.requests, m.refused, m.bookings, m.holds, m.streams, limit} {
		if err := registry.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

// match reports whether a route takes the request.
func match(router *mux.Router, r *http.Request) bool {
	var m mux.RouteMatch
	return router.Match(r, &m) && m.MatchErr == nil && m.Route != nil
}
