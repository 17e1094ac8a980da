package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/picture"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/tracing"
	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
	"github.com/slotbook/slotbook/reactions"
)

// app is the program put together: the only place that knows everybody.
type app struct {
	pool      *pgxpool.Pool
	codec     *eventcodec.Codec
	store     eventStore
	handler   *commands.Handler
	engine    *engine.Engine
	desk      *operations.Desk
	opener    *reactions.Opener
	dues      *reactions.Deadlines
	router    *bus.Router        // hands events to whatever reacts
	reactions bus.Desk           // operates what it does
	hooks     *webhooks.Webhooks // tells other systems of events
	forwarder io.Closer          // the connection to a broker; nil = there is none
	live      *projections.Live
	reference *postgres.Reference
	demand    *commands.DemandRecorder
	identity  postgres.Identity // of the store, when this process began
	found     domain.Position   // where the log ended when all was there that has to be at the start; see begun
	http      http.Handler
	logger    *slog.Logger
	clock     clock         // of the business
	hand      *handClock    // the same where it is moved by hand, else nil
	begun     atomic.Bool   // everything that has to be there at the start is
	arrived   atomic.Bool   // the process has been ready once
	loaded    chan struct{} // is closed then
	readOnly  bool
	readyLag  time.Duration // for how long an event may wait for a read model while the process is ready; 0 = for ever
}

// appConfig is what an app is made of.
type appConfig struct {
	url         string   // of a database that was checked and migrated
	eventStore  string   // where events are kept: "" or postgres is in the database
	masterKey   []byte   // wraps the keys of persons
	corsOrigins []string // browsers that may call
	manual      bool     // business time stands still until it is moved
	readOnly    bool     // commands are refused, and nothing reacts
	logger      *slog.Logger
	readyLag    time.Duration      // the same as the app's
	traces      *tracing.Decorator // makes spans; nil = nobody does
	forward     forwarding         // to a broker; the zero value = to none
	webhooks    webhooking
}

// newApp puts the program together. It starts nothing; [app.run] does.
func newApp(ctx context.Context, c appConfig) (*app, error) {
	pool, err := postgres.Pool(ctx, c.url)
	if err != nil {
		return nil, err
	}
	a := &app{pool: pool, readOnly: c.readOnly, readyLag: c.readyLag, logger: c.logger, clock: time.Now, loaded: make(chan struct{})}
	if c.manual {
		a.hand = newHandClock(time.Now())
		a.clock = a.hand.Now
	}
	if err := a.assemble(ctx, c); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *app) assemble(ctx context.Context, c appConfig) error {
	keys, err := a.openStore(ctx, c)
	if err != nil {
		return err
	}
	a.reference = postgres.NewReference(a.pool)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.demand = commands.NewDemandRecorder(a.store, newID)
	registry.MustRegister(dropped(a.demand))
	a.handle(c, keys, registry)
	a.desk = operations.New(operations.Config{Engine: a.engine, Models: a.models(), Free: a.free, Now: time.Now, NewID: newID, Logger: a.logger})
	registry.MustRegister(standings{a})
	if err := a.engine.Prepare(ctx); err != nil {
		return err
	}
	if err := a.react(c, registry); err != nil {
		return err
	}
	a.http, err = a.api(c, registry)
	return err
}

// openStore opens the event store, and the keys of what it has sealed.
func (a *app) openStore(ctx context.Context, c appConfig) (*postgres.Keys, error) {
	keys, err := postgres.NewKeys(a.pool, c.masterKey)
	if err != nil {
		return nil, err
	}
	if err := keys.Check(ctx); errors.Is(err, postgres.ErrOtherMaster) {
		return nil, usageError{fmt.Errorf("%w: give all processes the same SLOTBOOK_MASTER_KEY, or the same data folder", postgres.ErrOtherMaster)}
	} else if err != nil {
		return nil, err
	}
	a.codec = eventcodec.New(keys)
	if a.store, err = openEventStore(ctx, c.eventStore, true, a.pool, a.codec, a.logger); err != nil {
		return nil, err
	}
	a.identity, err = a.store.Identity(ctx)
	return keys, err
}

// handle makes the handler of commands and the engine of the read models, and
// follows both with traces if there are any.
func (a *app) handle(c appConfig, keys *postgres.Keys, registry *prometheus.Registry) {
	handling := commands.Config{
		Store: measured(a.store, registry), Now: a.clock, NewID: newID, HoldKey: derive(c.masterKey, "hold token"),
		NameKey: derive(c.masterKey, "unique name"), Said: a.reference, Refused: a.demand.Add,
	}
	keeping := engine.Config{
		Pool: a.pool, Log: a.store, Models: newer(projections.All(a.open, keys.Fetch), os.Getenv("SLOTBOOK_TEST_NEWER")), Epoch: a.identity.Epoch, Owner: owner(), Now: time.Now, Logger: a.logger,
		Waiting: a.store.RecordedAfter, Reached: crashAt(os.Getenv("SLOTBOOK_TEST_CRASH_AT")), CacheBytes: rowCache(pgembed.Memory()),
	}
	if c.traces != nil {
		handling.Store, handling.Span, keeping.Took = c.traces.Store(handling.Store), c.traces.Span, c.traces.Took
	}
	handling.Store = a.guarded(a.timed(handling.Store))
	a.handler, a.engine = commands.New(handling), engine.New(keeping)
}

// rowCache gives a sixteenth of the memory to the rows that the read models keep,
// at least 64 MiB and at most 256 MiB; memory 0 is unknown. The row of a slot that
// is there need not be read when the slot is booked.
func rowCache(memory uint64) int64 {
	const mebibyte = 1 << 20
	return int64(min(max(memory/16, 64*mebibyte), 256*mebibyte)) //nolint:gosec // bounded
}

// react makes what opens days and meets deadlines, and the router of what else
// reacts to events.
func (a *app) react(c appConfig, registry *prometheus.Registry) error {
	a.opener = reactions.NewOpener(reactions.OpenerConfig{
		Handler: a.handler, Practitioners: a.practitioners, Settled: postgres.Settled{Pool: a.pool}, Logger: a.logger,
	})
	a.dues = reactions.NewDeadlines(reactions.DeadlinesConfig{
		Due: a.due, Attempts: postgres.NewDeadlines(a.pool), Handler: a.handler, Now: time.Now,
		Tried: tried(registry), Logger: a.logger,
	})
	a.router = bus.NewRouter(bus.Config{
		Pool: a.pool, Log: a.store, Epoch: a.identity.Epoch, Owner: owner(), Now: time.Now, Metrics: registry, Logger: a.logger,
	})
	a.reactions = bus.Desk{Pool: a.pool, Log: a.store, Epoch: a.identity.Epoch}
	registry.MustRegister(reactionStandings{a.reactions, a.counted()})
	waiting := reactions.Waitlist{Handler: a.handler, Line: projections.NewWaitlist(a.engine)}
	finisher, displaced := reactions.Finisher{Handler: a.handler}, reactions.Displaced{Handler: a.handler}
	a.router.Add(bus.Consumer{Name: "opener", Types: a.opener.Wants(), Lanes: 4, Handle: bus.Decoded(a.codec, a.opener.React)})
	a.router.Add(bus.Consumer{Name: "finisher", Types: finisher.Wants(), Lanes: 4, Handle: bus.Decoded(a.codec, finisher.React)})
	a.router.Add(bus.Consumer{Name: "displaced", Types: displaced.Wants(), Lanes: 4, Handle: bus.Decoded(a.codec, displaced.React)})
	a.router.Add(bus.Consumer{Name: "waitlist", Types: waiting.Wants(), Lanes: 4, Handle: bus.Decoded(a.codec, waiting.React)})
	if a.hand != nil {
		a.hand.moved = func() {
			a.opener.ClockMoved()
			a.dues.ClockMoved()
		}
	}
	if err := a.webhooks(c, registry); err != nil {
		return err
	}
	var err error
	a.forwarder, err = c.forward.add(a.router, a.logger)
	return err
}

// models names the read models.
func (a *app) models() []string {
	var names []string
	for _, m := range projections.All(nil, nil) {
		names = append(names, m.Name)
	}
	return names
}

// free returns what the database's disk has left, where that is on this machine.
func (a *app) free(ctx context.Context) (int64, bool) {
	return freeFor(ctx, a.pool)
}

// guarded returns the store without its appends where the process only reads.
func (a *app) guarded(store commands.Store) commands.Store {
	if a.readOnly {
		return readOnlyStore{store}
	}
	return store
}

// readOnlyStore is a store that takes no events, whoever brings them.
type readOnlyStore struct{ commands.Store }

// Append refuses.
func (readOnlyStore) Append(context.Context, ...commands.Write) (domain.Position, error) {
	return 0, commands.ErrReadOnly
}

// timed returns the store as fits the clock.
func (a *app) timed(store commands.Store) commands.Store {
	if a.hand == nil {
		return store
	}
	return demo.Timed(store, a.clock)
}

func (a *app) api(c appConfig, registry *prometheus.Registry) (http.Handler, error) {
	slots := projections.NewAvailability(a.engine).WithPast(a.store)
	a.live = projections.NewLive(projections.LiveConfig{Log: a.store, Streams: a.store, Slots: slots, Now: a.clock, Logger: a.logger})
	config := httpapi.Config{
		Commands: a.handler, Codec: a.codec,
		Slots: slots, Appointments: projections.NewAppointments(a.engine).WithPast(a.store),
		Days:      projections.NewDaySheets(a.engine).WithPast(a.store),
		Directory: projections.NewDirectory(a.engine), Patients: projections.NewPatients(a.engine),
		Catalogue: projections.NewCatalogue(a.engine), Reviews: projections.NewReviews(a.engine), Reference: a.reference,
		Waits: projections.NewWaits(a.engine), Waitlist: projections.NewWaitlist(a.engine), KPIs: projections.NewKPIs(a.engine),
		Pictures: pictures{postgres.NewPictures(a.pool)}, Projections: a.desk, Reactions: a.reactions, Webhooks: a.hooks, Events: a.store,
		Live: a.live, Streams: httpapi.StreamConfig{Now: time.Now}, Timeout: requestTime,
		Head: a.store.Head, Past: namedPast{a.store}, Ready: a.ready, Now: a.clock, NewID: newID,
		HashKey: derive(c.masterKey, "request hash"), Metrics: registry, Logger: a.logger,
		CORSOrigins: c.corsOrigins, Version: version(), Epoch: a.identity.Epoch, ReadOnly: c.readOnly,
	}
	if a.hand != nil {
		config.Clock = a.hand
	}
	if c.traces != nil {
		config.Tracer = c.traces.Tracer
	}
	return httpapi.New(config)
}

// pictures are made of uploads and kept in the database.
type pictures struct{ *postgres.Pictures }

// Prepare makes the picture to be shown of an upload.
func (pictures) Prepare(upload []byte) (id string, shown []byte, err error) {
	return picture.Prepare(upload)
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// owner names this process among those that share the database.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), newID())
}

// open opens sealed text for the search of patients. Text whose key is gone
// is not found by anybody. On any other error it panics: the engine folds
// again later when the keys cannot be read now, and parks the patient else.
func (a *app) open(s domain.Sealed) string {
	text, err := a.codec.Open(context.Background(), s)
	if err != nil && !errors.Is(err, eventcodec.ErrNoKey) {
		panic(err)
	}
	return text
}

// practitioners lists everybody who may have a schedule.
func (a *app) practitioners(ctx context.Context) ([]domain.PractitionerID, error) {
	directory := projections.NewDirectory(a.engine)
	filter := projections.PractitionerFilter{Limit: 1000}
	var all []domain.PractitionerID
	for {
		list, err := directory.Practitioners(ctx, filter, 0)
		if err != nil {
			return nil, err
		}
		for _, p := range list.Items {
			all = append(all, p.ID)
		}
		if !list.More {
			return all, nil
		}
		filter.After = list.Items[len(list.Items)-1].Cursor()
	}
}

// dueAtOnce is how many deadlines a process takes together.
const dueAtOnce = 20

// due returns what is due by everything that has happened until now.
func (a *app) due(ctx context.Context, at, now time.Time) (reactions.Agenda, error) {
	head, err := a.store.Head(ctx)
	if err != nil {
		return reactions.Agenda{}, err
	}
	agenda, err := projections.NewDue(a.engine).At(ctx, at, now, dueAtOnce, head)
	return reactions.Agenda(agenda), err
}

// drainTime is how long requests may take to end after a signal.
const drainTime = 10 * time.Second

// run serves until ctx ends: then requests are drained, projectors finish
// their batch, and the store ends last. load brings what has to be there at the
// start, greet says that it is.
func (a *app) run(ctx context.Context, listener net.Listener, load func(ctx context.Context) error, greet func() error) error {
	storing, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	failed := make(chan error, 16) // more than there are parts
	store := start(failed, func() error { return a.store.Run(storing) })
	var parts []<-chan struct{}
	for _, part := range a.parts() {
		parts = append(parts, start(failed, func() error { return part(working) }))
	}
	telling, stopTelling := context.WithCancel(ctx) // streams would keep the server from ending
	defer stopTelling()
	live := start(failed, func() error { return a.live.Run(telling) })
	server := a.server()
	web := start(failed, func() error { return serveHTTP(server, listener) })
	err := load(ctx)
	if err == nil {
		a.found, err = a.store.Head(ctx)
	}
	if ctx.Err() != nil {
		err = nil // told to stop before it was ready: what was interrupted goes on at the next start
	} else if err == nil {
		a.begun.Store(true)
		close(a.loaded)
		if err = greet(); err == nil {
			select {
			case <-ctx.Done():
			case err = <-failed:
			}
		}
	}
	stopTelling()
	<-live
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer done()
	if drained := server.Shutdown(drain); drained != nil {
		err = errors.Join(err, drained, server.Close()) // what is left is cut off
	}
	<-web
	stopWork()
	for _, done := range parts {
		<-done
	}
	stopStore()
	<-store
	return err
}

// parts returns what works beside the store and the server.
func (a *app) parts() []func(context.Context) error {
	parts := []func(context.Context) error{a.engine.Run, a.desk.Run}
	if a.readOnly {
		return parts
	}
	return append(parts, a.demand.Run, a.afterLoading(a.opener.Run), a.afterLoading(a.dues.Run), a.afterLoading(a.router.Run), a.afterLoading(a.hooks.Run))
}

// afterLoading returns what runs a part that reacts once everything is there that
// has to be: demo data are loaded in a time of their own.
func (a *app) afterLoading(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-a.loaded:
			return run(ctx)
		}
	}
}

// requestTime is how long one request may take: a changed schedule of a year is
// a few seconds.
const requestTime = 30 * time.Second

// server returns the HTTP server with its limits.
func (a *app) server() *http.Server {
	return &http.Server{
		Handler: a.http, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelWarn),
	}
}

func serveHTTP(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// start runs f in a goroutine that the caller waits for. What fails is
// reported, so that one part's failure ends the whole.
func start(failed chan<- error, f func() error) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := f(); err != nil {
			failed <- err
		}
	}()
	return ended
}

func (a *app) close() {
	if a.forwarder != nil {
		_ = a.forwarder.Close() // what it has not confirmed is forwarded again
	}
	if a.store != nil {
		closeEventStore(a.store)
	}
	a.pool.Close()
}
