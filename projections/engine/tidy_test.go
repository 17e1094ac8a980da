package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/projections/engine"
)

func TestOlderVersionsAreDroppedWhenNobodyHasKeptThemForADay(t *testing.T) {
	w := newWorld(t, bookings(5)...)
	older := w.engine(w.config("older"))
	require.NoError(t, older.CatchUp(t.Context()))
	require.NoError(t, older.Rebuild(t.Context(), engine.Build{}, "ledger"))
	c := w.config("newer")
	c.Models = []engine.Model{ledger(2)}
	newer := w.engine(c)
	require.NoError(t, newer.CatchUp(t.Context()))
	kept := func(hours int) {
		w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() - $1 * interval '1 hour'", hours)
	}
	tidied := func() []string {
		dropped, err := newer.Tidy(t.Context())
		require.NoError(t, err)
		return dropped
	}

	kept(23)
	require.Empty(t, tidied())
	kept(25)
	w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() where schema = 'ledger_v1_prev'")
	require.Empty(t, tidied(), "something of that version is in use")
	w.exec("update slotbook.projection_checkpoint set lease_until = null where schema = 'ledger_v1'")
	require.Empty(t, tidied(), "nobody knows since when")
	require.Zero(t, w.number("select count(*) from slotbook.projection_checkpoint where lease_until is null"), "it is known from now on")
	kept(25)
	w.exec("update slotbook.projection_checkpoint set paused_at = clock_timestamp() where schema = 'ledger_v1'")
	require.Empty(t, tidied(), "somebody has paused it")
	w.exec("update slotbook.projection_checkpoint set paused_at = null")
	dropped, err := older.Tidy(t.Context())
	require.NoError(t, err)
	require.Empty(t, dropped, "an older program leaves the newer tables alone")

	require.Equal(t, []string{"ledger_v1", "ledger_v1_prev"}, tidied())
	require.Equal(t, 0, w.number("select count(*) from pg_namespace where nspname like 'ledger\\_v1%'"))
	require.Equal(t, 1, w.number("select count(*) from slotbook.projection_checkpoint"))
	require.Equal(t, 1, w.number("select count(*) from pg_namespace where nspname = 'ledger_v2'"))

	require.NoError(t, older.Prepare(t.Context()))
	require.NoError(t, older.CatchUp(t.Context()), "who goes back builds it anew")
}
