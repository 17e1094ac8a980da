package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

const seats = "select claims::int from seat order by slot"

// looked returns the seats and the position of a view that reads them last.
func looked(t *testing.T, e *engine.Engine, before func(engine.Reader) error) ([]int, domain.Position) {
	t.Helper()
	var found []int
	at, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
		if err := before(r); err != nil {
			return err
		}
		rows, _ := r.Last(t.Context(), seats)
		var err error
		found, err = pgx.CollectRows(rows, pgx.RowTo[int])
		return err
	})
	require.NoError(t, err)
	return found, at
}

func TestTheLastQueryIsOfTheSameMoment(t *testing.T) {
	w := newWorld(t, book(1, "pat"), book(2, "pat"))
	settings := w.pool.Config()
	settings.MaxConns = 1
	for _, capacity := range []int{1, 512} { // a connection that has forgotten a query, and one that knows it
		settings.ConnConfig.StatementCacheCapacity = capacity
		pool, err := pgxpool.NewWithConfig(t.Context(), settings)
		require.NoError(t, err)
		c := w.config("test")
		c.Pool = pool
		e := w.engine(c)
		require.NoError(t, e.CatchUp(t.Context()))
		for range 3 {
			found, at := looked(t, e, func(engine.Reader) error { return nil })
			require.Equal(t, []int{1, 1}, found)
			require.Equal(t, domain.Position(2), at)
			found, at = looked(t, e, func(r engine.Reader) error {
				var n int
				return r.QueryRow(t.Context(), "select count(*) from seat").Scan(&n)
			})
			require.Equal(t, []int{1, 1}, found)
			require.Equal(t, domain.Position(2), at)
		}
		pool.Close()
	}
}

func TestNothingIsReadAfterTheLastQuery(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	e := w.engine(w.config("test"))
	for range 3 {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
			rows, err := r.Last(t.Context(), seats)
			require.NoError(t, err)
			rows.Close()
			rows, err = r.Query(t.Context(), seats)
			require.Error(t, err)
			rows.Close()
			var n int
			return r.QueryRow(t.Context(), seats).Scan(&n)
		})
		require.ErrorContains(t, err, "the last query")
	}
}

// ofOneConnection returns an engine that has arrived, and does everything over one
// connection.
func (w *world) ofOneConnection(t *testing.T) *engine.Engine {
	t.Helper()
	settings := w.pool.Config()
	settings.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), settings)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	c := w.config("test")
	c.Pool = pool
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	return e
}

func TestAFailedLastQueryLeavesAConnectionThatCanBeUsed(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	e := w.ofOneConnection(t)
	broken := errors.New("broken")
	for range 3 {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
			rows, _ := r.Last(t.Context(), "select claims::int / 0 from seat")
			_, err := pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		})
		require.ErrorContains(t, err, "division by zero")
		_, err = e.View(t.Context(), 0, []string{"ledger"}, func(engine.Reader) error { return broken })
		require.ErrorIs(t, err, broken)
		found, _ := looked(t, e, func(engine.Reader) error { return nil })
		require.Equal(t, []int{1}, found)
	}
}

func TestAViewOfOneStatementIsAsOneOfSeveral(t *testing.T) {
	w := newWorld(t, book(2, "pat"), book(1, "pat"), book(3, "pat"))
	e := w.ofOneConnection(t)
	for range 3 { // the first time in several statements
		require.Equal(t, []string{"1 3", "2 3", "3 3"}, listed(t, e, "false", "select slot, claims::int + 2 from seat order by slot"))
		require.Equal(t, []string{"3 1", "2 1", "1 1"}, listed(t, e, "false", "select slot, claims::int from seat order by slot desc"))
		require.Empty(t, listed(t, e, "false", "select slot, claims::int from seat where claims > 7"))
		require.Equal(t, []string{"held"}, listed(t, e, "exists (select from seat where claims = 1)", "select slot, 1 / (claims::int - 1) from seat"))
		require.Len(t, listed(t, e, "exists (select from seat where claims = 2)", "select slot, claims::int from seat"), 3)
	}
}

// listed returns the rows of a query, or "held" where the condition holds, which
// must be the same of what is asked after it.
func listed(t *testing.T, e *engine.Engine, condition, sql string) (all []string) {
	t.Helper()
	at, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
		rows, held, err := r.LastUnless(t.Context(), condition, sql)
		if held {
			var still bool
			all = append(all, "held")
			return errors.Join(err, r.QueryRow(t.Context(), "select "+condition+" and $1", true).Scan(&still))
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			values, err := row.Values()
			if err != nil {
				return "", err
			}
			require.Len(t, row.FieldDescriptions(), 2)
			require.Len(t, row.RawValues(), 2)
			return fmt.Sprintf("%v %v", values...), nil
		})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, domain.Position(3), at)
	return all
}

func TestAQueryThatIsPlannedOnceChangesNoOther(t *testing.T) {
	w := newWorld(t, book(2, "pat"), book(1, "pat"))
	e := w.ofOneConnection(t)
	const inForce = `
		select current_setting('plan_cache_mode') || ', sequential scans ' || current_setting('enable_seqscan') || ', slot ' || slot
		from seat
		where claims = @claims and slot > @slot
		order by slot`
	ask := func(args ...any) (found []string) {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) (err error) {
			rows, _ := r.Last(t.Context(), inForce, args...)
			found, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		require.NoError(t, err)
		return found
	}
	after := func(slot string) pgx.NamedArgs { return pgx.NamedArgs{"claims": 1, "slot": slot} }
	usual := []string{"auto, sequential scans on, slot 2"}
	require.Equal(t, usual, ask(after("1")))
	require.Equal(t, usual, ask(after("1")), "now the connection has met it")
	once := []string{"force_generic_plan, sequential scans off, slot 2"}
	require.Equal(t, once, ask(engine.PlanOnce, after("1")))
	require.Empty(t, ask(engine.PlanOnce, after("2")))
	require.Len(t, ask(engine.PlanOnce, after("0")), 2)
	require.Equal(t, usual, ask(after("1")))
}

func TestAQueryIsGivenItsArgumentsByNameEachTime(t *testing.T) {
	w := newWorld(t, life()...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	ask := func(args pgx.NamedArgs) (a, b *string) {
		_, err := e.View(t.Context(), 0, []string{"ledger"}, func(r engine.Reader) error {
			return r.QueryRow(t.Context(), "select @a::text, @b::text, @a::text", args).Scan(&a, &b, nil)
		})
		require.NoError(t, err)
		return a, b
	}
	for range 2 {
		a, b := ask(pgx.NamedArgs{"a": "x"})
		require.Equal(t, "x", *a)
		require.Nil(t, b, "one that is not there is null")
		a, b = ask(pgx.NamedArgs{"b": "y", "a": "z", "c": "other"})
		require.Equal(t, []string{"z", "y"}, []string{*a, *b})
	}
}
