package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func TestARollbackPutsTheTablesOfBeforeLevelInPlace(t *testing.T) {
	w := newWorld(t, life()...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.ErrorIs(t, e.Rollback(t.Context(), engine.Build{}, "ledger"), engine.ErrNoPrevious)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	w.exec("update ledger_v1.seat set patient = 'new tables'")
	w.exec("update ledger_v1_prev.seat set patient = 'old tables'")
	w.append(book(9, "later"))
	for _, want := range []string{"old tables", "new tables", "old tables"} {
		require.NoError(t, e.Rollback(t.Context(), engine.Build{}, "ledger"))
		require.NoError(t, e.CatchUp(t.Context()))
		require.Positive(t, w.number("select count(*) from ledger_v1.seat where patient = $1", want))
		require.Equal(t, 1, w.number("select count(*) from ledger_v1.seat where patient = 'later'"))
	}
	statuses, err := e.Status(t.Context())
	require.NoError(t, err)
	require.True(t, statuses[0].Previous)
	require.Equal(t, w.head(), statuses[0].Position)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	w.right(e)
}

func TestAModelThatIsPausedStandsUntilItIsResumed(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.NoError(t, e.Pause(t.Context(), "ledger"))
	w.append(book(1, "pat"))
	require.ErrorIs(t, e.CatchUp(t.Context()), engine.ErrPaused)
	require.ErrorIs(t, w.engine(w.config("other")).CatchUp(t.Context()), engine.ErrPaused, "and for other processes, too")
	statuses, err := e.Status(t.Context())
	require.NoError(t, err)
	require.False(t, statuses[0].Paused.IsZero())
	require.EqualValues(t, 1, statuses[0].Behind)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"), "beside them a rebuild goes on")
	require.ErrorIs(t, e.CatchUp(t.Context()), engine.ErrPaused)
	require.NoError(t, e.Resume(t.Context(), "ledger"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.right(e)
}

// shy folds like the ledger, but for claims of the unlucky as long as shy is true.
func shy(shy *bool) engine.Model {
	m := ledger(1)
	m.Tables[0] = engine.NewTable("seat", seatDDL, func(r domain.Recorded) []string { return []string{r.Stream.ID()} },
		func(s seat, exists bool, r domain.Recorded) (seat, bool) {
			if e, ok := r.Event.(slot.Booked); ok && e.Patient == unlucky && !*shy {
				e.Patient = "lucky"
				r.Event = e
			}
			return evolveSeat(s, exists, r)
		})
	return m
}

func TestWhatIsParkedIsFoldedAnewFromTheBeginning(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"), book(2, unlucky), book(3, unlucky), book(1, "pat"))
	ill := true
	c := w.config("test")
	c.Models = []engine.Model{shy(&ill)}
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	again, err := e.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Zero(t, again.Mended)
	require.Len(t, again.Parked, 2)

	ill = false
	w.append(book(2, "pat"))
	again, err = e.Retry(t.Context(), engine.Build{}, "ledger", engine.Lot{Table: "seat", Key: "2"})
	require.NoError(t, err)
	require.Equal(t, engine.Retried{Mended: 1, Parked: []engine.Parked{}}, again)
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 3, w.number("select claims from ledger_v1.seat where slot = '2'"))
	parked, err := e.Parked(t.Context(), "ledger")
	require.NoError(t, err)
	require.Len(t, parked, 1)
	require.Equal(t, "3", parked[0].Key)
	_, err = e.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	w.append(book(3, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.right(e)
}

func TestAStreamThatIsParkedIsFoldedAnewInEveryTable(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"), book(2, "pat"), book(1, "pat"))
	c := w.config("test")
	c.Log = garbled{w.log, 2}
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 2, w.number("select claims from ledger_v1.total"))
	whole := engine.New(w.config("test"))
	done, err := whole.Retry(t.Context(), engine.Build{}, "ledger")
	require.NoError(t, err)
	require.Equal(t, 1, done.Mended)
	require.Empty(t, done.Parked)
	require.Equal(t, 4, w.number("select claims from ledger_v1.total"))
	require.Equal(t, 2, w.number("select claims from ledger_v1.seat where slot = '2'"))
	w.append(book(2, "pat"))
	require.NoError(t, e.CatchUp(t.Context()), "the process that had it parked goes on, too")
	require.Equal(t, 5, w.number("select claims from ledger_v1.total"))
	require.NoError(t, e.ReadBack(t.Context(), "ledger"))
	w.right(whole)
}

func TestWhatIsDiscardedGoesOnWithTheNextEvents(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"), book(2, unlucky))
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	n, err := e.Discard(t.Context(), "ledger", engine.Lot{Table: "seat", Key: "1"})
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = e.Discard(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	w.append(book(2, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 2, w.number("select claims from ledger_v1.seat where slot = '2'"))
	parked, err := e.Parked(t.Context(), "ledger")
	require.NoError(t, err)
	require.Empty(t, parked)
}

func TestTablesAsTheyWereAndWhatHasChangedSince(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"), book(1, "pia"), withdraw(2), book(3, "pat"))
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	schema, err := e.AsOf(t.Context(), engine.Build{}, "ledger", 2)
	require.NoError(t, err)
	var rows []string
	require.NoError(t, e.Rows(t.Context(), schema, "seat", "slot", func(row json.RawMessage) error {
		var s struct{ Slot string }
		rows = append(rows, s.Slot)
		return json.Unmarshal(row, &s)
	}))
	require.Len(t, rows, 2)
	var differ []string
	require.NoError(t, e.Diff(t.Context(), engine.Build{}, "ledger", 2, 5, func(d engine.Difference) error {
		kind := map[[2]bool]string{{true, true}: "changed", {false, true}: "new", {true, false}: "gone"}
		differ = append(differ, d.Table+" "+d.Key+" "+kind[[2]bool{d.Before != nil, d.After != nil}])
		return nil
	}))
	require.Equal(t, []string{"seat 1 changed", "seat 2 gone", "seat 3 new", "total all changed"}, differ)
	require.NoError(t, e.DropAsOf(t.Context(), "ledger", 2))
	require.Zero(t, w.number("select count(*) from pg_namespace where nspname = $1", schema))
	_, err = e.AsOf(t.Context(), engine.Build{}, "ledger", 6)
	require.ErrorIs(t, err, engine.ErrPositionUnknown)
}

// counted is a log that counts how often it is read.
type counted struct {
	engine.Log
	mu    sync.Mutex
	reads int
}

func (c *counted) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return c.Log.ReadAll(ctx, after, f, limit)
}

func TestModelsThatAreRebuiltTogetherShareWhatTheyRead(t *testing.T) {
	w := newWorld(t, life()...)
	log := &counted{Log: w.log}
	c := w.config("test")
	c.Log, c.Batch = log, 20
	other := ledger(1)
	other.Name = "other"
	c.Models = append(c.Models, other)
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	log.reads = 0
	reports := map[string]engine.Progress{}
	var mu sync.Mutex
	how := engine.Build{Progress: func(p engine.Progress) {
		mu.Lock()
		defer mu.Unlock()
		reports[p.Model] = p
	}}
	require.NoError(t, e.Rebuild(t.Context(), how, "ledger", "other"))
	pages := int(w.head())/20 + 1
	require.Less(t, log.reads, 2*pages, "fewer than each for itself")
	require.Equal(t, w.head(), reports["ledger"].Position)
	require.Equal(t, w.head(), reports["other"].Position)
	w.right(e)
}

func TestARebuildWaitsForLiveModelsThatAreFarBehind(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	// A process that keeps the model and does not move it.
	w.exec("update slotbook.projection_checkpoint set owner = 'slow', lease_until = clock_timestamp() + interval '1 hour', epoch = epoch + 1")
	w.append(bookings(30)...)
	ctx, cancel := context.WithCancel(t.Context())
	waited := errors.New("waited")
	how := engine.Build{MostBehind: 10, Progress: func(p engine.Progress) {
		if p.Waiting {
			cancel()
		}
	}}
	err := e.Rebuild(ctx, how, "ledger")
	require.ErrorIs(t, errors.Join(err, waited), context.Canceled)
	w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() where owner = 'slow'")
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{MostBehind: 10}, "ledger"), "nobody keeps it: nothing to wait for")
	require.NoError(t, e.CatchUp(t.Context()))
	w.right(e)
}

func TestBuildsTakeTurnsWhileAProcessKeepsTheLiveModels(t *testing.T) {
	w := newWorld(t, bookings(40)...)
	var e *engine.Engine
	var inTurn atomic.Bool
	var others atomic.Int32 // folds that should have been in turn and were not, or the other way round
	model := func(name string) engine.Model {
		m := ledger(1)
		m.Name = name
		m.Before = func(context.Context, []domain.Recorded) error {
			if e.Working() != inTurn.Load() {
				others.Add(1)
			}
			return nil
		}
		return m
	}
	c := w.config("test")
	c.Models, c.Batch = []engine.Model{model("ledger"), model("other")}, 10
	e = w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	lease := "update slotbook.projection_checkpoint set owner = 'somebody', lease_until = clock_timestamp() + interval '1 hour' * $1"
	how := engine.Build{MostBehind: 1000}

	w.exec(lease, -1)
	require.NoError(t, e.Rebuild(t.Context(), how, "ledger", "other"), "nobody keeps them: as fast as it can be")
	require.Zero(t, others.Load())

	w.exec(lease, 1)
	inTurn.Store(true)
	require.NoError(t, e.Rebuild(t.Context(), how, "ledger", "other"))
	require.Zero(t, others.Load(), "folds that were not in turn")
	require.False(t, e.Working(), "nobody keeps the turn")
}

func TestAPlanSaysWhatARebuildWillTake(t *testing.T) {
	w := newWorld(t, life()...)
	w.append(life()...)
	c := w.config("test")
	began := projectionstest.RecordedAt()
	var mu sync.Mutex
	c.Now = func() time.Time { // a second passes whenever somebody looks
		mu.Lock()
		defer mu.Unlock()
		began = began.Add(time.Second)
		return began
	}
	e := w.engine(c)
	plans, err := e.Plan(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, w.head(), plans[0].Head)
	require.Zero(t, plans[0].Expected, "nobody knows before the first")
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	plans, err = e.Plan(t.Context(), "ledger")
	require.NoError(t, err)
	require.Positive(t, plans[0].Expected)
	require.Positive(t, plans[0].Bytes)
	require.Zero(t, plans[0].From)
}
