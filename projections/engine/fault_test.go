package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// locked begins a transaction that holds what the statement locks.
func (w world) locked(sql string) pgx.Tx {
	w.Helper()
	tx, err := w.pool.Begin(w.Context())
	require.NoError(w, err)
	w.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(w.Context())) })
	_, err = tx.Exec(w.Context(), sql)
	require.NoError(w, err)
	return tx
}

// awaitWaiting returns when somebody waits for a lock in the database.
func (w world) awaitWaiting() {
	w.Helper()
	require.Eventually(w, func() bool {
		return w.number("select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") > 0
	}, 20*time.Second, time.Millisecond)
}

// mute is a log that does not answer.
type mute struct{ engine.Log }

func (mute) ReadAll(ctx context.Context, _ domain.Position, _ domain.Filter, _ int) (domain.Page, error) {
	<-ctx.Done()
	return domain.Page{}, ctx.Err()
}

func TestAnExchangeThatHangsIsGivenUp(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	require.NoError(t, w.engine(w.config("test")).CatchUp(t.Context()))
	w.append(book(1, "pat"))
	c := w.config("test")
	c.Timeout = 200 * time.Millisecond
	hangs := func(c engine.Config) {
		t.Helper()
		require.ErrorIs(t, engine.New(c).CatchUp(t.Context()), context.DeadlineExceeded)
	}
	for what, lock := range map[string]string{
		"acquire": "lock table slotbook.projection_checkpoint in access exclusive mode",
		"parked":  "lock table slotbook.projection_parked in access exclusive mode",
		"load":    "lock table ledger_v1.seat in access exclusive mode",
		"flush":   "lock table ledger_v1.seat in share mode",
	} {
		t.Log(what)
		tx := w.locked(lock)
		hangs(c)
		require.NoError(t, tx.Rollback(t.Context()))
	}
	c.Log = mute{w.log}
	hangs(c)
	require.NoError(t, w.engine(w.config("test")).CatchUp(t.Context()))
	require.Equal(t, 21, w.number("select claims from ledger_v1.total"))
}

func TestAWriteThatHangsDoesNotHoldUpTheEndForLong(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	c := w.config("test")
	c.Timeout = 30 * time.Second
	e := w.engine(c)
	w.locked("lock table ledger_v1.seat in share mode")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	w.awaitWaiting()
	cancel()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(25 * time.Second):
		t.Fatal("still running")
	}
}

func TestASwapThatIsTriedAgainKeepsItsLease(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	c := w.config("test")
	now, mu := time.Now(), sync.Mutex{}
	c.Now = func() time.Time { // every look at the clock finds the lease in need of renewal
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Minute)
		return now
	}
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	w.exec(`
		create function told() returns trigger language plpgsql as 'begin notify renewed; return null; end';
		create trigger told after update on slotbook.projection_checkpoint for each row
		when (new.schema = 'ledger_v1_next' and new.epoch = old.epoch and new.position = old.position)
		execute function told()`)
	listener, err := pgx.ConnectConfig(t.Context(), w.pool.Config().ConnConfig)
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close(context.WithoutCancel(t.Context()))) }()
	_, err = listener.Exec(t.Context(), "listen renewed")
	require.NoError(t, err)

	view := w.locked("lock table ledger_v1.seat in access share mode")
	done := make(chan error)
	go func() { done <- e.Rebuild(t.Context(), engine.Build{}, "ledger") }()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for range 3 { // after the one page, before the first try, before the second
		_, err := listener.WaitForNotification(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, view.Rollback(t.Context()))
	require.NoError(t, <-done)
	w.right(e)
}

func TestVerifyComparesNoRowThatIsParkedMeanwhile(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	tx := w.locked("lock table ledger_v1.seat in access exclusive mode")
	var report engine.Report
	done := make(chan error)
	go func() {
		var err error
		report, err = e.Verify(t.Context(), engine.Build{}, "ledger")
		done <- err
	}()
	w.awaitWaiting()
	_, err := tx.Exec(t.Context(), `
		with parked as (
			insert into slotbook.projection_parked (schema, "table", key, position, error, count)
			values ('ledger_v1', 'seat', '3', 4, 'no luck', 1)
		)
		update ledger_v1.seat set claims = 99 where slot = '3'`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-done)
	require.Len(t, report.Parked, 1)
	require.Empty(t, report.Differs())
}

func TestAWriteUnderAFormerEpochIsRefused(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.exec("update slotbook.projection_checkpoint set epoch = epoch + 1")
	w.exec("update ledger_v1.total set claims = 100")
	w.append(book(1, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.Equal(t, 101, w.number("select claims from ledger_v1.total"), "what was cached under the former epoch is not used")
}

// onRead is a log that does something before it is read for the first time.
type onRead struct {
	engine.Log
	once func()
}

func (o onRead) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	o.once()
	return o.Log.ReadAll(ctx, after, f, limit)
}

func TestASwapBringsTheNewTablesLevelWithTheLiveOnes(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	live := w.engine(w.config("test"))
	require.NoError(t, live.CatchUp(t.Context()))
	c := w.config("rebuilder")
	c.Log = onRead{w.log, sync.OnceFunc(func() {
		w.append(bookings(10)...)
		require.NoError(t, live.CatchUp(t.Context()))
	})}
	require.NoError(t, engine.New(c).Rebuild(t.Context(), engine.Build{}, "ledger"))
	require.Equal(t, 30, w.number("select position from slotbook.projection_checkpoint where schema = 'ledger_v1'"))
	require.Equal(t, 30, w.number("select claims from ledger_v1.total"))
}

func TestAViewReflectsTheModelThatIsFurthestBehind(t *testing.T) {
	w := newWorld(t, book(1, "pat"), boring(1))
	require.NoError(t, w.engine(w.config("test")).CatchUp(t.Context()))
	c := w.config("test")
	c.Models, c.Patience = []engine.Model{ledger(1), staff("staff")}, time.Nanosecond
	e := w.engine(c)
	nothing := func(engine.Reader) error { return nil }
	at, err := e.View(t.Context(), 0, []string{"ledger", "staff"}, nothing)
	require.NoError(t, err)
	require.Zero(t, at)
	_, err = e.View(t.Context(), 2, []string{"ledger"}, nothing)
	require.NoError(t, err)
	_, err = e.View(t.Context(), 2, []string{"ledger", "staff"}, nothing)
	require.ErrorIs(t, err, engine.ErrNotYet)
}
