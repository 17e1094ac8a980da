package engine_test

import (
	"errors"
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

func TestAFailedLastQueryLeavesAConnectionThatCanBeUsed(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	settings := w.pool.Config()
	settings.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), settings)
	require.NoError(t, err)
	defer pool.Close()
	c := w.config("test")
	c.Pool = pool
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
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
