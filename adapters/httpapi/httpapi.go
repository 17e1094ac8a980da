// Package httpapi is Slotbook over HTTP: it decodes, names the command, hands
// it over, and tells what became of it.
//
//	request -> observe -> recover -> CORS -> route -> body -> huma -> one handler -> commands or read models
//
// Every route is one declaration ([command], [one] or [list]) and a handler of
// a few lines. What all routes share lives here once: Idempotency-Key, ETag
// and If-Match, positions, dry runs, cursors, problem+json. The OpenAPI 3.1
// document comes out of the declarations; openapi.json is its committed copy.
//
// A new route is: a struct for its input that embeds [CommandParams],
// [ReadParams] or [ListParams] and tags what else it takes; a struct for its
// answer; a handler that calls the command or the query; and one declaration
// in the routes method of its file, with the refusals that it adds. The rest
// follows: /docs, /problems, the document (go test ./adapters/httpapi -update)
// and an exchange in testdata.
//
// A value that cannot be decoded is 400; a well-formed request whose values
// are wrong, unknown JSON fields and unknown query parameters among them, is
// 422 request.invalid with the places that are wrong.
package httpapi

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"
	"go.opentelemetry.io/otel/trace"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
)

// Config configures the HTTP interface.
type Config struct {
	Commands     *commands.Handler                                  // executes commands and reads single things; required
	Codec        *eventcodec.Codec                                  // opens personal text on the way out; required
	Slots        Slots                                              // the slot list; required
	Appointments Appointments                                       // the appointment list; required
	Days         Days                                               // day sheets; required
	Directory    Directory                                          // clinics and practitioners; required
	Patients     Patients                                           // the patient list; required
	Catalogue    Catalogue                                          // visit types, rooms and devices; required
	Reviews      Reviews                                            // what patients say; required
	Waits        Waits                                              // how long people wait; required
	Waitlist     Waitlist                                           // who waits for an appointment; required
	KPIs         KPIs                                               // key figures; required
	Pictures     Pictures                                           // of practitioners; required
	Reference    Reference                                          // what authorities say; required
	Live         *projections.Live                                  // tells what changes; required
	Streams      StreamConfig                                       // the bounds of its streams
	Timeout      time.Duration                                      // how long a request may take, but for streams; 0 = as long as it wants
	Projections  ReadModels                                         // operates the read models; required
	Reactions    Reactions                                          // operates what reacts to events; required
	Webhooks     Webhooks                                           // tells other systems of events; required
	Events       StoredEvents                                       // the log as it is stored; required
	Head         func(ctx context.Context) (domain.Position, error) // position of the last event stored; required
	Past         Past                                               // which position an instant has; required
	Ready        func(context.Context) ([]string, error)            // why this process should get no traffic, else what there is to say, for /readyz; nil = always ready
	Now          func() time.Time                                   // the clock; required
	Clock        Clock                                              // the same clock when it is moved by hand, in a demonstration; nil = it is not
	NewID        func() string                                      // a fresh UUIDv7 in lower case; required
	HashKey      []byte                                             // key of the hash that tells whether a retried body is the same; the same in every process, for ever; required
	Epoch        string                                             // of the store, which cursors are good for; "" = it has none
	ReadOnly     bool                                               // commands are refused, but for dry runs
	Actor        func(r *http.Request) (string, error)              // who asks, or a refusal; nil = "local"
	Metrics      *prometheus.Registry                               // gets this package's metrics and is served at /metrics; required
	Logger       *slog.Logger                                       // gets one line per request; nil = none
	Tracer       trace.Tracer                                       // begins the span of each request; nil = none
	CORSOrigins  []string                                           // origins of browsers that may call, "*" for all; empty = none
	Version      string                                             // of the program, shown in the OpenAPI document; "" = "dev"
}

// api is what the handlers share.
type api struct {
	Config
	huma    huma.API
	router  *mux.Router
	metrics metrics
	rules   map[string]rule                     // every rule that an answer may name
	uploads map[string]bool                     // the routes that take a file
	several map[string]bool                     // the parameters that may be given several times
	streams map[string]func(*http.Request) bool // the routes that go on until somebody ends them, and for which requests
	open    chan struct{}                       // has one for each stream that is open
	zones   zones
	names   names
	codes   *knownCodes
	cursors cursors
	was     *domain.Position // as of which everything is read; nil = as it is
}

// strictNames makes huma refuse JSON fields whose names differ only in case.
// huma keeps that choice in a package variable.
var strictNames = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

// New returns the HTTP interface. It returns an error when something required
// is missing, or when Metrics holds the metrics of another handler.
func New(c Config) (http.Handler, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	strictNames()
	a := &api{Config: c, router: mux.NewRouter().SkipClean(true), codes: &knownCodes{}, rules: map[string]rule{}, uploads: map[string]bool{}, streams: map[string]func(*http.Request) bool{}}
	a.open = make(chan struct{}, a.Streams.Most)
	var err error
	if a.metrics, err = newMetrics(c.Metrics, c.Streams.Most); err != nil {
		return nil, err
	}
	if a.cursors, err = newCursors(c.HashKey, c.Epoch); err != nil {
		return nil, err
	}
	a.huma = humamux.New(a.router, a.humaConfig())
	a.routes()
	a.several = severalTimes(a.huma.OpenAPI())
	if err := a.pages(); err != nil {
		return nil, err
	}
	return a.wrapped(), nil
}

func (c *Config) check() error {
	switch {
	case c.Commands == nil, c.Codec == nil, c.Head == nil, c.Now == nil, c.NewID == nil, c.Metrics == nil, len(c.HashKey) == 0:
		return errors.New("httpapi: Commands, Codec, Head, Now, NewID, Metrics and HashKey are required")
	case c.Slots == nil, c.Appointments == nil, c.Days == nil, c.Directory == nil, c.Patients == nil, c.Catalogue == nil, c.Reviews == nil, c.Reference == nil,
		c.Pictures == nil, c.Waits == nil, c.Projections == nil, c.Reactions == nil, c.Webhooks == nil, c.Events == nil, c.KPIs == nil, c.Waitlist == nil:
		return errors.New("httpapi: Slots, Appointments, Days, Directory, Patients, Catalogue, Reviews, Pictures, Waits, Projections, Reactions, Webhooks, Events, KPIs, Waitlist and Reference are required")
	}
	if err := c.Streams.check(); err != nil {
		return err
	}
	if c.Live == nil || c.Past == nil {
		return errors.New("httpapi: Live and Past are required")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Actor == nil {
		c.Actor = func(*http.Request) (string, error) { return "local", nil }
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) ([]string, error) { return nil, nil }
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	return nil
}

// routes declares every route of the API.
// routes declares every route, those that are wanted most first: the router
// tries them in this order.
func (a *api) routes() {
	a.appointmentRoutes()
	a.clinicRoutes()
	a.practitionerRoutes()
	a.pictureRoutes()
	a.scheduleRoutes()
	a.visitTypeRoutes()
	a.resourceRoutes()
	a.referenceRoutes()
	a.policyRoutes()
	a.patientRoutes()
	a.daySheetRoutes()
	a.whyRoutes()    // before those of slots: why is no slot's id
	a.streamRoutes() // nor is stream
	a.slotRoutes()
	a.holdRoutes()
	a.lifeRoutes()
	a.absenceRoutes()
	a.seriesRoutes()
	a.historyRoutes()
	a.eventRoutes()
	a.reviewRoutes()
	a.queueRoutes()
	a.waitlistRoutes()
	a.kpiRoutes()
	a.adminRoutes()
	a.reactionRoutes()
	a.webhookRoutes()
	a.clockRoutes()
}

// wrapped puts around the router what happens to every request.
func (a *api) wrapped() http.Handler {
	a.router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.write(w, r, routeNotFound.problem("")) })
	a.router.MethodNotAllowedHandler = http.HandlerFunc(a.methodNotAllowed)
	a.router.Use(a.remember, a.bounded, a.readBody)
	var h http.Handler = a.router
	h = headAsGet(h)
	h = a.checkHead(h)
	if len(a.CORSOrigins) > 0 {
		h = a.cors().Handler(h)
	}
	return a.observe(a.recovered(h))
}

func (a *api) cors() *cors.Cors {
	return cors.New(cors.Options{
		AllowedOrigins: a.CORSOrigins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: []string{"Content-Type", "Idempotency-Key", "If-Match", "Slotbook-Min-Position", "Slotbook-Hold-Token", "Authorization", "Last-Event-ID", traceparent, tracestate},
		ExposedHeaders: []string{"ETag", "Location", "Link", "Retry-After", "Slotbook-Position"},
		MaxAge:         600, // seconds
	})
}

func (a *api) hash(body []byte) string {
	return hex.EncodeToString(digest(a.HashKey, body))
}

// zones remembers the zones of clinics for a while, and the zones of the time
// zone database by name. The zero value is ready.
type zones struct {
	clinics sync.Map // domain.ClinicID to clinicZone
	names   sync.Map // string to *time.Location
}

type clinicZone struct {
	zone  *time.Location
	until time.Time // then it is asked for again
}

// zoneKept is how long another process's change of a clinic's zone may go
// unseen. It is only about the local times that answers show.
const zoneKept = 5 * time.Second

func (a *api) zoneOf(ctx context.Context, id domain.ClinicID) (*time.Location, error) {
	if kept, ok := a.zones.clinics.Load(id); ok {
		if k := kept.(clinicZone); a.Now().Before(k.until) { //nolint:forcetypeassert // only this method stores
			return k.zone, nil
		}
	}
	c, err := a.Commands.Clinic(ctx, id)
	if err != nil {
		return nil, err
	}
	z, err := a.zone(c.State.Zone)
	if err == nil {
		a.zones.clinics.Store(id, clinicZone{z, a.Now().Add(zoneKept)})
	}
	return z, err
}

// rowZone returns the zone that a row of a list names, or the clinic's own when
// the list does not know the clinic yet.
func (a *api) rowZone(ctx context.Context, name string, id domain.ClinicID) (*time.Location, error) {
	if name == "" {
		return a.zoneOf(ctx, id)
	}
	return a.zone(name)
}

func (a *api) zone(name string) (*time.Location, error) {
	if z, ok := a.zones.names.Load(name); ok {
		return z.(*time.Location), nil //nolint:forcetypeassert // only this method stores
	}
	z, err := domain.Zone(name)
	if err == nil {
		a.zones.names.Store(name, z)
	}
	return z, err
}
