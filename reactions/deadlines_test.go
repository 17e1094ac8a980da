package reactions_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
	"github.com/slotbook/slotbook/reactions"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// hand is a clock that only the test moves.
type hand struct{ t atomic.Int64 }

func (h *hand) now() time.Time       { return time.UnixMicro(h.t.Load()).UTC() }
func (h *hand) set(t time.Time)      { h.t.Store(t.UnixMicro()) }
func (h *hand) pass(d time.Duration) { h.t.Add(d.Microseconds()) }

// monday is when these tests begin.
var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// ward is a practice with a database, in which patients who have not come are
// no-shows a quarter of an hour after the end of their visit.
type ward struct {
	t        *testing.T
	business hand
	machine  hand
	store    *failing
	h        *commands.Handler
	pool     *pgxpool.Pool
	engine   *engine.Engine
	one      sync.Mutex // a projector is one at a time
	behind   atomic.Bool
	slots    []schedule.Slot
	outcomes chan string
}

// failing is a store that stores nothing while it is off.
type failing struct {
	*memory.Store
	off atomic.Bool
}

func (f *failing) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if f.off.Load() {
		return 0, commands.ErrUnavailable
	}
	return f.Store.Append(ctx, writes...)
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{t: t, outcomes: make(chan string, 100), pool: projectionstest.Pool(t)}
	w.business.set(monday)
	w.machine.set(monday.Add(-time.Hour))
	log := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: w.business.now})
	w.store = &failing{Store: log}
	w.h = commands.New(commands.Config{Store: w.store, Now: w.business.now, NewID: uuid.NewString})
	staffed(t, w.h, "UTC", 10)
	for _, s := range opened(t, log) {
		if domain.DayOf(s.Start) == domain.DayOf(monday) {
			w.slots = append(w.slots, s)
		}
	}
	_, err := w.h.SetPolicy(t.Context(), request(), policy.Set{
		Scope: policy.Scope{Kind: policy.OfClinic, ID: string(sunrise)}, Terms: policy.Terms{NoShowAfter: new(15)},
	})
	require.NoError(t, err)
	w.engine = engine.New(engine.Config{Pool: w.pool, Log: log, Models: []engine.Model{projections.DueModel()}, Owner: "test", Now: w.machine.now})
	require.NoError(t, w.engine.Prepare(t.Context()))
	return w
}

// worker is a process of its own, which takes five deadlines at a time.
func (w *ward) worker() *reactions.Deadlines {
	return reactions.NewDeadlines(reactions.DeadlinesConfig{
		Due: w.due, Attempts: postgres.NewDeadlines(w.pool), Handler: w.h, Now: w.machine.now, Logger: slog.New(slog.DiscardHandler),
		Tried: func(kind, outcome string) { w.outcomes <- kind + " " + outcome },
	})
}

func (w *ward) due(ctx context.Context, at, now time.Time) (reactions.Agenda, error) {
	w.one.Lock()
	defer w.one.Unlock()
	if !w.behind.Load() {
		if err := w.engine.CatchUp(ctx); err != nil {
			return reactions.Agenda{}, err
		}
	}
	agenda, err := projections.NewDue(w.engine).At(ctx, at, now, 5, 0)
	return reactions.Agenda(agenda), err
}

func (w *ward) book(n int) domain.AppointmentID {
	w.t.Helper()
	id := domain.AppointmentID(domain.NewID("visit", strconv.Itoa(n)))
	_, err := w.h.Book(w.t.Context(), request(), commands.Booking{Appointment: id, Slots: []domain.SlotID{w.slots[n].ID}, Patient: ana})
	require.NoError(w.t, err)
	return id
}

func (w *ward) hold(n int) domain.AppointmentID {
	w.t.Helper()
	id := domain.AppointmentID(domain.NewID("hold", strconv.Itoa(n)))
	_, err := w.h.Hold(w.t.Context(), request(), commands.Holding{
		Booking: commands.Booking{Appointment: id, Slots: []domain.SlotID{w.slots[n].ID}}, For: 5 * time.Minute,
	})
	require.NoError(w.t, err)
	return id
}

func (w *ward) status(id domain.AppointmentID) appointment.Status {
	w.t.Helper()
	answer, err := w.h.Appointment(w.t.Context(), id)
	require.NoError(w.t, err)
	return answer.State.Status
}

// stored returns how many events of a type there are.
func (w *ward) stored(eventType string) int {
	w.t.Helper()
	page, err := w.store.ReadAll(w.t.Context(), 0, domain.Filter{Types: []string{eventType}}, 1000)
	require.NoError(w.t, err)
	return len(page.Events)
}

// told returns what the worker did next.
func (w *ward) told() string {
	select {
	case outcome := <-w.outcomes:
		return outcome
	case <-time.After(time.Minute):
		return "nothing"
	}
}

func TestDeadlinesAreMetWhenTheClockIsMoved(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	held, booked := w.hold(0), w.book(5)
	d := w.worker()
	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- d.Run(running) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})

	w.business.pass(5*time.Minute + appointment.ClockSlack)
	d.ClockMoved()
	require.Equal(t, "lapse done", w.told())
	require.Equal(t, appointment.Cancelled, w.status(held))
	require.Positive(t, w.stored("slot.released"), "what it claimed is given back")
	require.Equal(t, appointment.Booked, w.status(booked))

	w.business.set(w.slots[5].End.Add(15 * time.Minute))
	d.ClockMoved()
	require.Equal(t, "no-show done", w.told())
	require.Equal(t, appointment.NoShow, w.status(booked))

	w.business.pass(10 * time.Minute)
	_, err := w.h.Undo(t.Context(), request(), booked)
	require.NoError(t, err, "staff may undo what nobody has done")
	w.business.pass(24 * time.Hour)
	require.Equal(t, reactions.Agenda{Due: []domain.Deadline{}}, w.worker().Look(t.Context()))
	require.Equal(t, appointment.Booked, w.status(booked), "it stays undone")
}

func TestAWishEndsWithItsLatestDate(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	_, err := w.h.JoinWaitlist(t.Context(), request(), waitlist.Wish{
		ID: "wish", Patient: ana, Practitioners: []domain.PractitionerID{silva}, Latest: domain.DayOf(monday),
	})
	require.NoError(t, err)
	w.business.set(monday.Add(16 * time.Hour))
	w.worker().Look(t.Context())
	require.Equal(t, waitlist.DueExpire+" done", w.told())
	now, err := w.h.Wish(t.Context(), "wish")
	require.NoError(t, err)
	require.Equal(t, waitlist.HasExpired, now.State.End)
}

func TestNothingIsDueBeforeItsTime(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.hold(0)
	w.book(5)
	lapses := monday.Add(5*time.Minute + appointment.ClockSlack)
	w.business.set(lapses.Add(-time.Microsecond))
	require.Equal(t, reactions.Agenda{Due: []domain.Deadline{}, Next: lapses}, w.worker().Look(t.Context()))
	w.business.set(lapses)
	require.Equal(t, reactions.Agenda{Due: []domain.Deadline{}, Next: w.slots[5].End.Add(15 * time.Minute)}, w.worker().Look(t.Context()))
	require.Equal(t, "lapse done", w.told())
	require.Empty(t, w.outcomes)
}

func TestTwoWorkersDoEverythingOnce(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	for n := range w.slots {
		w.book(n)
	}
	w.business.pass(24 * time.Hour)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for d := w.worker(); w.stored("appointment.missed") < len(w.slots); {
				d.Look(t.Context())
			}
		})
	}
	workers.Wait()
	require.Equal(t, len(w.slots), w.stored("appointment.missed"))
	require.Len(t, w.outcomes, len(w.slots))
	for range w.slots {
		require.Equal(t, "no-show done", w.told(), "nobody has sent what another has taken")
	}
}

func TestWhatARuleRefusesIsSettled(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	id := w.book(0)
	require.NoError(t, w.engine.CatchUp(t.Context()))
	w.behind.Store(true) // the read model has not seen what follows
	w.business.set(w.slots[0].End)
	_, err := w.h.Arrive(t.Context(), request(), id, w.business.now())
	require.NoError(t, err)
	w.business.pass(15 * time.Minute)
	w.worker().Look(t.Context())
	require.Equal(t, "no-show refused", w.told())
	require.Equal(t, appointment.Arrived, w.status(id))
	w.machine.pass(time.Hour)
	w.worker().Look(t.Context())
	require.Empty(t, w.outcomes, "it is left alone from then on")
	var outcome string
	require.NoError(t, w.pool.QueryRow(t.Context(), "select outcome from slotbook.deadline_attempt where settled_at is not null").Scan(&outcome))
	require.Equal(t, "appointment.status", outcome)
}

func TestWhatFailsIsTriedAgainEverLater(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	held := w.hold(0)
	w.business.pass(time.Hour)
	w.store.off.Store(true)
	d := w.worker()
	for n := range 12 {
		pause := min(10*time.Minute, time.Second<<n)
		agenda := d.Look(t.Context())
		require.Equal(t, "lapse failed", w.told())
		require.Equal(t, w.machine.now().Add(pause), agenda.Retry)
		w.machine.pass(pause - time.Microsecond)
		require.Equal(t, agenda, d.Look(t.Context()), "not before")
		require.Empty(t, w.outcomes)
		w.machine.pass(time.Microsecond)
	}
	w.store.off.Store(false)
	require.Zero(t, d.Look(t.Context()).Retry)
	require.Equal(t, "lapse done", w.told())
	require.Equal(t, appointment.Cancelled, w.status(held))
}

func TestWhatADeadProcessHadTakenIsTakenByAnother(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.hold(0)
	w.business.pass(time.Hour)
	tries := postgres.NewDeadlines(w.pool)
	agenda, err := w.due(t.Context(), w.business.now(), w.machine.now())
	require.NoError(t, err)
	require.Len(t, agenda.Due, 1)
	_, err = tries.Take(t.Context(), agenda.Due, w.machine.now(), w.machine.now().Add(2*time.Minute))
	require.NoError(t, err)
	d := w.worker()
	require.Equal(t, w.machine.now().Add(2*time.Minute), d.Look(t.Context()).Retry)
	w.machine.pass(2 * time.Minute)
	d.Look(t.Context())
	require.Equal(t, "lapse done", w.told())
}

// asked collects when a worker asks what is due, in a bubble's time.
type asked struct {
	since  time.Time
	at     []time.Duration
	agenda reactions.Agenda
	err    error
}

func (a *asked) due(context.Context, time.Time, time.Time) (reactions.Agenda, error) {
	a.at = append(a.at, time.Since(a.since))
	return a.agenda, a.err
}

func watching(t *testing.T, a *asked, business func() time.Time) *reactions.Deadlines {
	t.Helper()
	d := reactions.NewDeadlines(reactions.DeadlinesConfig{
		Due: a.due, Handler: commands.New(commands.Config{Now: business}), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	running, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- d.Run(running) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
	return d
}

func TestAWorkerSleepsUntilSomethingIsDue(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		agenda func(now time.Time) reactions.Agenda
		err    error
		moved  time.Duration // when the clock is moved by hand
		want   []time.Duration
	}{
		"at the next deadline":         {agenda: func(now time.Time) reactions.Agenda { return reactions.Agenda{Next: now.Add(10 * time.Second)} }, want: []time.Duration{0, 10 * time.Second}},
		"at the next try":              {agenda: func(now time.Time) reactions.Agenda { return reactions.Agenda{Retry: now.Add(20 * time.Second)} }, want: []time.Duration{0, 20 * time.Second}},
		"now and then":                 {agenda: func(time.Time) reactions.Agenda { return reactions.Agenda{} }, want: []time.Duration{0, 30 * time.Second}},
		"for what comes in a year too": {agenda: func(now time.Time) reactions.Agenda { return reactions.Agenda{Next: now.Add(aYear)} }, want: []time.Duration{0, 30 * time.Second}},
		"when the clock is moved":      {agenda: func(time.Time) reactions.Agenda { return reactions.Agenda{} }, moved: 7 * time.Second, want: []time.Duration{0, 7 * time.Second}},
		"after a failure":              {agenda: func(time.Time) reactions.Agenda { return reactions.Agenda{} }, err: errors.New("the database is away"), want: []time.Duration{0, 30 * time.Second}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &asked{since: time.Now(), agenda: c.agenda(time.Now()), err: c.err}
				d := watching(t, a, time.Now)
				if c.moved > 0 {
					time.Sleep(c.moved) // virtual
					d.ClockMoved()
				} else {
					time.Sleep(c.want[1])
				}
				synctest.Wait()
				require.Equal(t, c.want, a.at[:2])
			})
		})
	}
}

func TestAClockThatStandsStillIsNotWatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		a := &asked{since: now, agenda: reactions.Agenda{Next: now.Add(time.Second)}}
		watching(t, a, func() time.Time { return now })
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		require.Equal(t, []time.Duration{0, time.Second, 31 * time.Second}, a.at)
	})
}
