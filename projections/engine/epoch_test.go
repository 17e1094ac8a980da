package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/projections/engine"
)

// A log that was restored from a backup is another epoch: tables of the one
// before may hold what is not in it.
func TestTablesOfAnotherEpochAreRefusedUntilTheyAreRebuilt(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	before := w.config("before")
	before.Epoch = "first"
	old := w.engine(before)
	require.NoError(t, old.CatchUp(t.Context()))
	require.NoError(t, old.Rebuild(t.Context(), engine.Build{}, "ledger"))
	require.NoError(t, old.CatchUp(t.Context()))
	w.append(book(1, "pat"))
	w.exec("update slotbook.projection_checkpoint set lease_until = null, owner = null")
	restored := w.config("restored")
	restored.Epoch = "second"
	e := w.engine(restored)
	require.ErrorIs(t, e.CatchUp(t.Context()), engine.ErrRebuild)
	require.ErrorContains(t, e.CatchUp(t.Context()), "rebuild it")
	_, err := e.View(t.Context(), 0, []string{"ledger"}, func(engine.Reader) error { return nil })
	require.ErrorIs(t, err, engine.ErrRebuild, "rows of another history are not shown")
	for range 3 {
		var n int
		_, err = e.View(t.Context(), 0, []string{"ledger"}, claimsLast(t.Context(), &n))
		require.ErrorIs(t, err, engine.ErrRebuild)
	}
	_, err = e.Verify(t.Context(), engine.Build{}, "ledger")
	require.ErrorIs(t, err, engine.ErrRebuild)
	require.ErrorIs(t, e.Rollback(t.Context(), engine.Build{}, "ledger"), engine.ErrRebuild, "nor is what was replaced in that history")
	statuses, err := e.Status(t.Context())
	require.NoError(t, err)
	require.Contains(t, statuses[0].Rebuild, "another epoch")
	require.False(t, statuses[0].Previous)

	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.right(e)
	require.ErrorIs(t, e.Rollback(t.Context(), engine.Build{}, "ledger"), engine.ErrRebuild)
	require.ErrorIs(t, old.CatchUp(t.Context()), engine.ErrRebuild, "a process of the old epoch is refused now")
}

// What an interrupted rebuild has left from another epoch is begun anew.
func TestABuildOfAnotherEpochIsNotResumed(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	c := w.config("before")
	c.Epoch = "first"
	old := w.engine(c)
	_, err := old.AsOf(t.Context(), engine.Build{}, "ledger", 5)
	require.NoError(t, err)
	w.exec("update ledger_v1_asof_5.total set claims = 99")
	c.Epoch, c.Owner = "second", "after"
	schema, err := w.engine(c).AsOf(t.Context(), engine.Build{}, "ledger", 5)
	require.NoError(t, err)
	require.Equal(t, 5, w.number("select claims from "+schema+".total"))
}

// A log that lost its end without a new epoch shows by its read models.
func TestTablesBeyondTheEndOfTheLogAreRefusedUntilTheyAreRebuilt(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	w.exec("update slotbook.projection_checkpoint set position = 1000, lease_until = null, owner = null, epoch = epoch + 1")
	other := w.engine(w.config("other"))
	require.ErrorIs(t, other.CatchUp(t.Context()), engine.ErrRebuild)
	require.ErrorContains(t, other.CatchUp(t.Context()), "it stands at position 1000, and the log ends at 20")
	statuses, err := other.Status(t.Context())
	require.NoError(t, err)
	require.Contains(t, statuses[0].Rebuild, "position 1000")
	require.NoError(t, other.Rebuild(t.Context(), engine.Build{}, "ledger"))
	require.NoError(t, other.CatchUp(t.Context()))
	w.right(other)
}

func TestIndexesThatAreMissingAndTablesThatAreLeftAreFound(t *testing.T) {
	w := newWorld(t, bookings(20)...)
	e := w.engine(w.config("test"))
	should, have, err := e.Indexes(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, 3, should, "two keys and one more")
	require.Equal(t, should, have)
	w.exec("drop index ledger_v1.seat_patient_idx")
	_, have, err = e.Indexes(t.Context(), "ledger")
	require.NoError(t, err)
	require.Equal(t, 2, have)
	_, err = e.AsOf(t.Context(), engine.Build{}, "ledger", 5)
	require.NoError(t, err)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	left, err := e.Left(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"ledger_v1_asof_5"}, left)
}
