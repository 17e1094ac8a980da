package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// seat is a row of the toy model: the claims of a slot. It is gone when the
// slot is withdrawn.
type seat struct {
	Slot    string      `db:"slot"`
	Claims  int         `db:"claims"`
	Owners  []string    `db:"owners"`
	At      []time.Time `db:"at"`
	Full    bool        `db:"full"`
	Last    time.Time   `db:"last"`
	Patient string      `db:"patient"`
}

// total is a row that every event touches.
type total struct {
	Clinic string `db:"clinic"`
	Claims int    `db:"claims"`
}

const seatDDL = `
create table seat (
	slot text collate "C" not null primary key, claims bigint not null, owners text[], at timestamptz[],
	"full" boolean not null, last timestamptz, patient text
);
create index on seat (patient)`

const totalDDL = `create table total (clinic text primary key, claims bigint not null)`

// unlucky is a patient whose claims the toy's fold panics at.
const unlucky = "unlucky"

func ledger(version int) engine.Model {
	return engine.Model{
		Name: "ledger", Version: version, Interest: domain.Filter{Categories: []string{slot.Category}},
		Tables: []engine.Table{
			engine.NewTable("seat", seatDDL, func(r domain.Recorded) []string { return []string{r.Stream.ID()} }, evolveSeat),
			engine.NewTable("total", totalDDL, func(r domain.Recorded) []string { return []string{"all"} }, evolveTotal),
		},
	}
}

func evolveSeat(s seat, exists bool, r domain.Recorded) (seat, bool) {
	switch e := r.Event.(type) {
	case slot.Booked:
		if e.Patient == unlucky {
			panic("no luck")
		}
		s.Claims++
		s.Owners = append(slices.Clone(s.Owners), string(e.Owner))
		s.At = append(slices.Clone(s.At), r.RecordedAt)
		s.Full, s.Last, s.Patient = s.Claims >= e.Places, r.RecordedAt, string(e.Patient)
		return s, true
	case slot.Withdrawn:
		return s, false
	}
	return s, exists
}

func evolveTotal(t total, exists bool, r domain.Recorded) (total, bool) {
	if _, ok := r.Event.(slot.Booked); ok {
		t.Claims++
		return t, true
	}
	return t, exists
}

// book is a claim on the n-th slot.
func book(n int, patient domain.PatientID) projectionstest.Fact {
	id := domain.SlotID(fmt.Sprint(n))
	return projectionstest.Fact{Stream: slot.Stream(id), Event: slot.Booked{
		Terms:  slot.Terms{Slot: id},
		Holder: slot.Holder{Claim: claim.Claim{Owner: domain.Stream("appointment", fmt.Sprintf(`a "quoted" \ {%d}`, n)), Set: 1}, Patient: patient},
		Places: 2,
	}}
}

func withdraw(n int) projectionstest.Fact {
	id := domain.SlotID(fmt.Sprint(n))
	return projectionstest.Fact{Stream: slot.Stream(id), Event: slot.Withdrawn{Terms: slot.Terms{Slot: id}}}
}

// boring is an event that the ledger has no interest in.
func boring(n int) projectionstest.Fact {
	id := domain.PractitionerID(fmt.Sprint(n))
	return projectionstest.Fact{Stream: practitioner.Stream(id), Event: practitioner.Registered{Practitioner: id}}
}

// life is a history of some hundred slots that are booked, withdrawn and
// booked again.
func life() []projectionstest.Fact {
	var facts []projectionstest.Fact
	for n := range 600 {
		facts = append(facts, book(n%250, "pat"))
		switch {
		case n%7 == 0:
			facts = append(facts, withdraw((n*31)%250))
		case n%11 == 0:
			facts = append(facts, boring(n))
		}
	}
	return facts
}

func bookings(n int) []projectionstest.Fact {
	facts := make([]projectionstest.Fact, n)
	for i := range facts {
		facts[i] = book(i%40, "pat")
	}
	return facts
}

// world is a database and a log.
type world struct {
	*testing.T
	pool *pgxpool.Pool
	log  *memory.Store
}

func newWorld(t *testing.T, facts ...projectionstest.Fact) world {
	t.Helper()
	t.Parallel()
	return world{t, projectionstest.Pool(t), projectionstest.Log(t, eventcodec.New(&eventcodec.MemoryKeys{}), facts...)}
}

func (w world) config(owner string) engine.Config {
	return engine.Config{
		Pool: w.pool, Log: w.log, Models: []engine.Model{ledger(1)}, Owner: owner, Now: projectionstest.RecordedAt,
		Patience: 5 * time.Second,
	}
}

// engine returns a prepared engine.
func (w world) engine(c engine.Config) *engine.Engine {
	w.Helper()
	e := engine.New(c)
	require.NoError(w, e.Prepare(w.Context()))
	return e
}

func (w world) append(facts ...projectionstest.Fact) {
	w.Helper()
	projectionstest.Append(w.T, w.log, facts...)
}

func (w world) head() domain.Position {
	head, err := w.log.Head(w.Context())
	require.NoError(w, err)
	return head
}

func (w world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.pool.Exec(w.Context(), sql, args...)
	require.NoError(w, err)
}

func (w world) number(sql string, args ...any) (n int) {
	w.Helper()
	require.NoError(w, w.pool.QueryRow(w.Context(), sql, args...).Scan(&n))
	return n
}

// right requires the model's tables to be what the log makes of them, in
// memory and in the database.
func (w world) right(e *engine.Engine) {
	w.Helper()
	require.NoError(w, e.ReadBack(w.Context(), "ledger"))
	report, err := e.Verify(w.Context(), engine.Build{}, "ledger")
	require.NoError(w, err)
	require.Empty(w, report.Differs())
	require.Equal(w, w.head(), report.Position)
}

// running runs the engine until the returned function has ended it.
func (w world) running(e *engine.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := e.Run(ctx); err != nil {
			w.Errorf("run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	w.Cleanup(stop)
	return stop
}

func claims(ctx context.Context, n *int) func(engine.Reader) error {
	return func(r engine.Reader) error {
		return r.QueryRow(ctx, "select coalesce(sum(claims), 0) from seat").Scan(n)
	}
}

// claimsLast asks for nothing else.
func claimsLast(ctx context.Context, n *int) func(engine.Reader) error {
	return func(r engine.Reader) error {
		rows, _ := r.Last(ctx, "select coalesce(sum(claims), 0) as claims from seat")
		found, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
		*n = found
		return err
	}
}

func TestTheSizeOfBatchesAndCacheMakesNoDifference(t *testing.T) {
	w := newWorld(t, life()...)
	var digests []engine.Digest
	for version, size := range []struct {
		batch int
		cache int64
	}{{1, 1}, {7, 20_000}, {100, 1}, {100, 1 << 20}, {5000, 1}, {5000, 1 << 20}} {
		c := w.config("test")
		c.Models, c.Batch, c.CacheBytes = []engine.Model{ledger(version)}, size.batch, size.cache
		e := w.engine(c)
		require.NoError(t, e.CatchUp(t.Context()))
		report, err := e.Verify(t.Context(), engine.Build{}, "ledger")
		require.NoError(t, err)
		digests = append(digests, report.Tables[0].Live, report.Tables[0].Fresh)
	}
	require.Positive(t, digests[0].Rows)
	for _, d := range digests {
		require.Equal(t, digests[0], d)
	}
}

func TestTheCheckpointMovesOverEventsOfNoInterest(t *testing.T) {
	w := newWorld(t, book(1, "pat"), boring(1), boring(2))
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	at, err := e.View(t.Context(), 0, []string{"ledger"}, func(engine.Reader) error { return nil })
	require.NoError(t, err)
	require.EqualValues(t, 3, at)
}

func TestABatchWhoseCommitFailsHappensNotAtAllAndThenOnce(t *testing.T) {
	w := newWorld(t, bookings(120)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.append(append(bookings(300), withdraw(3))...)
	w.exec(`
		create function break() returns trigger language plpgsql as 'begin raise exception ''broken''; end';
		create constraint trigger break after update on slotbook.projection_checkpoint
		deferrable initially deferred for each row execute function break()`)

	require.ErrorContains(t, e.CatchUp(t.Context()), "broken")
	require.Equal(t, 120, w.number("select sum(claims) from ledger_v1.seat"))
	require.Equal(t, 120, w.number("select position from slotbook.projection_checkpoint where schema = 'ledger_v1'"))

	w.exec("drop trigger break on slotbook.projection_checkpoint")
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 420, w.number("select claims from ledger_v1.total"))
	w.right(e)
}

func TestAPageWhoseNeedsCannotBeFetchedIsTriedAgain(t *testing.T) {
	w := newWorld(t, bookings(12)...)
	var asked []int
	c := w.config("test")
	model := ledger(1)
	model.Before = func(_ context.Context, events []domain.Recorded) error {
		if asked = append(asked, len(events)); len(asked) == 1 {
			return errors.New("away")
		}
		return nil
	}
	c.Models = []engine.Model{model}
	e := w.engine(c)
	require.ErrorContains(t, e.CatchUp(t.Context()), "away")
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, []int{12, 12}, asked)
	require.Equal(t, 12, w.number("select sum(claims) from ledger_v1.seat"))
	w.right(e)
}

func TestAnotherProcessTakesOverWhenTheLeaseEnds(t *testing.T) {
	w := newWorld(t, bookings(50)...)
	first, second := w.engine(w.config("first")), w.engine(w.config("second"))
	require.NoError(t, first.CatchUp(t.Context()))
	expire := func() {
		w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() - interval '1 s'")
	}
	owner := func() string {
		statuses, err := second.Status(t.Context())
		require.NoError(t, err)
		return statuses[0].Owner
	}
	require.Equal(t, "first", owner())

	expire()
	w.append(bookings(50)...)
	require.NoError(t, second.CatchUp(t.Context()))
	require.Equal(t, "second", owner())

	require.NoError(t, first.CatchUp(t.Context()), "the first finds the work done")
	require.Equal(t, "second", owner())

	expire()
	w.append(bookings(50)...)
	require.NoError(t, first.CatchUp(t.Context()), "what the first had cached is old and is not used")
	require.Equal(t, "first", owner())
	w.right(first)
}

func TestOneOfTwoRunningProcessesKeepsTheModelAndTheOtherFollows(t *testing.T) {
	w := newWorld(t, bookings(50)...)
	c := w.config("first")
	c.Lease = 200 * time.Millisecond
	first := w.engine(c)
	c.Owner = "second"
	second := w.engine(c)
	stop := w.running(first)
	w.running(second)
	nothing := func(engine.Reader) error { return nil }
	for range 3 {
		w.append(bookings(20)...)
		for _, e := range []*engine.Engine{first, second} {
			_, err := e.View(t.Context(), w.head(), []string{"ledger"}, nothing)
			require.NoError(t, err)
		}
	}
	stop()
	w.append(bookings(20)...)
	_, err := second.View(t.Context(), w.head(), []string{"ledger"}, nothing)
	require.NoError(t, err)
	w.right(second)
}

func TestReadersNeverStepBackWhileTheModelIsRebuilt(t *testing.T) {
	w := newWorld(t, bookings(50)...)
	c := w.config("test")
	c.Batch, c.Lease = 10, 500*time.Millisecond
	e := w.engine(c)
	w.running(e)
	_, err := e.View(t.Context(), 50, []string{"ledger"}, func(engine.Reader) error { return nil })
	require.NoError(t, err)

	done, over := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for _, ask := range []func(context.Context, *int) func(engine.Reader) error{claims, claims, claimsLast, claimsLast} {
		readers.Go(func() {
			var last domain.Position
			for done.Err() == nil {
				var n int
				at, err := e.View(t.Context(), 0, []string{"ledger"}, ask(t.Context(), &n))
				if err != nil || at < last || n != int(at) { //nolint:gosec // small
					t.Errorf("at %d after %d: %d claims, %v", at, last, n, err)
					return
				}
				last = at
			}
		})
	}
	for range 5 {
		w.append(bookings(30)...)
		require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
		w.append(bookings(30)...)
	}
	_, err = e.View(t.Context(), w.head(), []string{"ledger"}, func(engine.Reader) error { return nil })
	require.NoError(t, err)
	over()
	readers.Wait()
	w.right(e)
}

func TestTheReplacedTablesStayUntilTheNextRebuild(t *testing.T) {
	w := newWorld(t, bookings(50)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	for range 2 {
		require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
		require.Equal(t, 50, w.number("select sum(claims) from ledger_v1_prev.seat"))
		require.Equal(t, 50, w.number("select position from slotbook.projection_checkpoint where schema = 'ledger_v1_prev'"))
	}
	require.Zero(t, w.number("select count(*) from pg_namespace where nspname ~ '_next|_verify'"))
}

// cut is a log that breaks after a position, and can be mended.
type cut struct {
	engine.Log
	after domain.Position
}

func (c *cut) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	if after >= c.after {
		return domain.Page{}, fmt.Errorf("cut at %d", after)
	}
	return c.Log.ReadAll(ctx, after, f, limit)
}

func TestAnInterruptedRebuildIsResumed(t *testing.T) {
	w := newWorld(t, bookings(100)...)
	c := w.config("test")
	log := &cut{w.log, 1000}
	c.Log, c.Batch = log, 2
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	log.after = 70
	require.ErrorContains(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"), "cut at 70")
	require.Equal(t, 40, w.number("select position from slotbook.projection_checkpoint where schema = 'ledger_v1_next'"))
	require.Equal(t, 40, w.number("select claims from ledger_v1_next.total"))
	log.after = 1000
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	w.right(e)
}

// held is a log that lets a reader wait.
type held struct {
	engine.Log
	reached chan struct{}
	goOn    chan struct{}
}

func (h held) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	h.reached <- struct{}{}
	<-h.goOn
	return h.Log.ReadAll(ctx, after, f, limit)
}

func TestABatchOfAFormerOwnerIsRefused(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	c := w.config("first")
	log := held{w.log, make(chan struct{}), make(chan struct{})}
	c.Log = log
	first, second := w.engine(c), w.engine(w.config("second"))
	done := make(chan error)
	go func() { done <- first.CatchUp(t.Context()) }()
	<-log.reached // the first has the model, and the page is on its way
	w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() - interval '1 s'")
	require.NoError(t, second.CatchUp(t.Context()))
	close(log.goOn)
	require.NoError(t, <-done)
	require.Equal(t, 20, w.number("select claims from ledger_v1.total"))
	w.right(second)
}

func TestATableThatCannotBeIsFoundAtStartUp(t *testing.T) {
	t.Parallel()
	keys := func(domain.Recorded) []string { return nil }
	type untagged struct{ Key string }
	type numbered struct {
		Key int `db:"key"`
	}
	type mapped struct {
		Key  string         `db:"key"`
		More map[string]int `db:"more"`
	}
	require.Panics(t, func() {
		engine.NewTable("t", "", keys, func(r untagged, _ bool, _ domain.Recorded) (untagged, bool) { return r, true })
	})
	require.Panics(t, func() {
		engine.NewTable("t", "", keys, func(r numbered, _ bool, _ domain.Recorded) (numbered, bool) { return r, true })
	})
	require.Panics(t, func() {
		engine.NewTable("t", "", keys, func(r mapped, _ bool, _ domain.Recorded) (mapped, bool) { return r, true })
	})
}

func TestTwoRebuildsOfOneModelExcludeEachOther(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	require.NoError(t, w.engine(w.config("test")).CatchUp(t.Context()))
	c := w.config("test")
	log := held{w.log, make(chan struct{}), make(chan struct{})}
	c.Log = log
	e := w.engine(c)
	first := make(chan error)
	go func() { first <- e.Rebuild(t.Context(), engine.Build{}, "ledger") }()
	<-log.reached
	require.ErrorContains(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"), "somebody else")
	close(log.goOn)
	require.NoError(t, <-first)
	require.Equal(t, 20, w.number("select sum(claims) from ledger_v1.seat"))
}

func TestSeveralModelsAreRebuiltAtOnceOverFewConnections(t *testing.T) {
	w := newWorld(t, bookings(200)...)
	narrow := w.pool.Config()
	narrow.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(t.Context(), narrow)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	c := w.config("test")
	c.Pool, c.Batch, c.Models = pool, 10, nil
	for _, name := range []string{"one", "two", "three", "four"} {
		m := ledger(1)
		m.Name = name
		c.Models = append(c.Models, m)
	}
	e := w.engine(c)
	w.running(e)
	errs := make([]error, len(c.Models))
	var all sync.WaitGroup
	for i, m := range c.Models {
		all.Go(func() { errs[i] = e.Rebuild(t.Context(), engine.Build{}, m.Name) })
	}
	w.append(bookings(50)...)
	all.Wait()
	for i, m := range c.Models {
		require.NoError(t, errs[i])
		var n int
		_, err := e.View(t.Context(), w.head(), []string{m.Name}, claims(t.Context(), &n))
		require.NoError(t, err)
		require.Equal(t, 250, n)
	}
}

func TestVerifyFindsARowChangedByHand(t *testing.T) {
	w := newWorld(t, life()...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.right(e)
	w.exec("update ledger_v1.seat set claims = claims + 1 where slot = '9'")
	report, err := e.Verify(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Equal(t, []string{"seat"}, report.Differs())
	require.Equal(t, []string{"9"}, report.Tables[0].Rows)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	w.right(e)
}

func TestARowThatCannotBeFoldedIsParkedAndTheOthersGoOn(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, unlucky), book(2, "pat"), book(1, "pat"))
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 2, w.number("select sum(claims) from ledger_v1.seat"))
	w.append(book(2, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	want := []engine.Parked{{Table: "seat", Key: "2", Position: 2, Error: "panic: no luck", Count: 3}}
	parked, err := e.Parked(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, want, parked)
	report, err := e.Verify(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Empty(t, report.Differs())
	require.Equal(t, want, report.Parked)

	stopped := &engine.ParkedError{}
	require.ErrorAs(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"), &stopped)
	require.EqualValues(t, 2, stopped.Parked[0].Position)
	require.Equal(t, 2, w.number("select sum(claims) from ledger_v1.seat"), "the live tables are as they were")

	require.NoError(t, e.Rebuild(t.Context(), engine.Build{KeepParked: true}, "ledger"))
	parked, err = e.Parked(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, want, parked)
}

func TestAFoldThatLacksWhatItNeedsIsTriedAgain(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"))
	away := true
	m := ledger(1)
	m.Tables[0] = engine.NewTable("seat", seatDDL, func(r domain.Recorded) []string { return []string{r.Stream.ID()} },
		func(s seat, exists bool, r domain.Recorded) (seat, bool) {
			if away && r.Position == 2 {
				panic(commands.ErrUnavailable)
			}
			return evolveSeat(s, exists, r)
		})
	c := w.config("test")
	c.Models = []engine.Model{m}
	e := w.engine(c)
	require.ErrorIs(t, e.CatchUp(t.Context()), commands.ErrUnavailable)
	away = false
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 2, w.number("select claims from ledger_v1.total"))
	w.right(e)
}

// garbled is a log in which one event cannot be read.
type garbled struct {
	engine.Log
	at domain.Position
}

func (g garbled) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	page, err := g.Log.ReadAll(ctx, after, f, limit)
	for i, r := range page.Events {
		if r.Position == g.at {
			page.Events[i].Event = domain.Undecodable{Type: r.Event.EventType(), Err: fmt.Errorf("not JSON")}
		}
	}
	return page, err
}

func TestAStreamThatCannotBeReadIsParkedAndTheOthersGoOn(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"), book(1, "pat"), book(2, "pat"), book(1, "pat"))
	c := w.config("test")
	c.Log, c.Batch = garbled{w.log, 3}, 2
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 2, w.number("select claims from ledger_v1.seat where slot = '2'"))
	require.Equal(t, 1, w.number("select claims from ledger_v1.seat where slot = '1'"))
	parked, err := e.Parked(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, []engine.Parked{{Key: "slot-1", Position: 3, Error: "not JSON", Count: 2}}, parked)
	statuses, err := e.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, []engine.Status{{Model: "ledger", Version: 1, Position: 5, Head: 5, Owner: "test", Parked: 1, ParkedStreams: 1}}, statuses)
}

func TestAViewWaitsForThePositionThatItDemands(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"))
	e := w.engine(w.config("test"))
	var n int
	waited := make(chan error)
	go func() {
		at, err := e.View(t.Context(), 2, []string{"ledger"}, claims(t.Context(), &n))
		if err == nil && (at != 2 || n != 2) {
			err = fmt.Errorf("%d claims at %d", n, at)
		}
		waited <- err
	}()
	require.NoError(t, e.CatchUp(t.Context()))
	require.NoError(t, <-waited)
}

func TestAViewThatDemandsTooMuchIsRefused(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	c := w.config("test")
	c.Patience = time.Nanosecond
	e := w.engine(c)
	for range 3 { // a query that is met for the first time, and a known one
		for _, ask := range []func(context.Context, *int) func(engine.Reader) error{claims, claimsLast} {
			read := -1
			_, err := e.View(t.Context(), 1, []string{"ledger"}, ask(t.Context(), &read))
			require.ErrorIs(t, err, engine.ErrNotYet)
			require.LessOrEqual(t, read, 0, "nothing is read behind its position")
			_, err = e.View(t.Context(), 2, []string{"ledger"}, ask(t.Context(), &read))
			require.ErrorIs(t, err, engine.ErrPositionUnknown)
			_, err = e.View(t.Context(), 0, []string{"ledger"}, ask(t.Context(), &read))
			require.NoError(t, err)
			_, err = e.View(t.Context(), 0, []string{"ledgers"}, ask(t.Context(), &read))
			require.Error(t, err)
		}
	}
	_, err := e.View(t.Context(), 1, []string{"ledger"}, func(engine.Reader) error { return nil })
	require.ErrorIs(t, err, engine.ErrNotYet, "nor is nothing")
}

func TestAViewOfADatabaseThatIsAwaySaysSo(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	nothing := func(engine.Reader) error { return nil }

	t.Run("the connection is lost between two queries", func(t *testing.T) {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
			var mine int
			if err := r.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&mine); err != nil {
				return err
			}
			w.exec(fmt.Sprintf("select pg_terminate_backend(%d, 10000)", mine))
			return r.QueryRow(t.Context(), "select 1").Scan(&mine)
		})
		require.ErrorIs(t, err, engine.ErrAway)
	})
	t.Run("the connection is lost after the last query", func(t *testing.T) {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
			var mine int
			err := r.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&mine)
			w.exec(fmt.Sprintf("select pg_terminate_backend(%d, 10000)", mine))
			return err
		})
		require.ErrorIs(t, err, engine.ErrAway)
	})
	t.Run("the next view has a new connection", func(t *testing.T) {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, nothing)
		require.NoError(t, err)
	})
	t.Run("an error of the query itself stays what it is", func(t *testing.T) {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
			var n int
			return r.QueryRow(t.Context(), "select 1/0").Scan(&n)
		})
		require.ErrorContains(t, err, "division by zero")
		require.NotErrorIs(t, err, engine.ErrAway)
	})
	t.Run("a caller that went away is told so", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := e.View(ctx, 0, []string{"ledger"}, nothing)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, engine.ErrAway)
	})
	t.Run("every connection is in use until the caller's time ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		settings := w.pool.Config()
		settings.MaxConns = 1
		small, err := pgxpool.NewWithConfig(t.Context(), settings)
		require.NoError(t, err)
		defer small.Close()
		only, err := small.Acquire(t.Context())
		require.NoError(t, err)
		defer only.Release()
		c := w.config("test")
		c.Pool = small
		_, err = engine.New(c).View(ctx, 0, []string{"ledger"}, nothing)
		require.ErrorIs(t, err, engine.ErrAway)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("nobody listens", func(t *testing.T) {
		c := w.config("test")
		pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=5")
		require.NoError(t, err)
		defer pool.Close()
		c.Pool = pool
		_, err = engine.New(c).View(t.Context(), 0, []string{"ledger"}, nothing)
		require.ErrorIs(t, err, engine.ErrAway)
		_, ok := errors.AsType[*pgconn.ConnectError](err)
		require.True(t, ok, "the cause is there, for the log")
	})
}

func TestManyProcessesMayPrepareAtOnce(t *testing.T) {
	w := newWorld(t)
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = engine.New(w.config(fmt.Sprint(i))).Prepare(t.Context()) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestRunningAndCatchingUpGoTogether(t *testing.T) {
	w := newWorld(t, bookings(30)...)
	c := w.config("test")
	c.Batch = 1
	e := w.engine(c)
	w.running(e)
	for range 3 {
		w.append(bookings(20)...)
		require.NoError(t, e.CatchUp(t.Context()))
		require.Equal(t, int(w.head()), w.number("select claims from ledger_v1.total")) //nolint:gosec // small
	}
	w.right(e)
}
