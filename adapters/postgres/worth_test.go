package postgres_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// A table that nobody has judged would be missing from backups.
func TestEveryTableIsJudged(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	rows, _ := conn.Query(t.Context(), "select relname::text from pg_class where relnamespace = 'slotbook'::regnamespace and relkind in ('r', 'p')")
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	slices.Sort(tables)
	require.Equal(t, tables, slices.Sorted(maps.Keys(postgres.Worths())))
}

func TestAnotherEpochBeginsAboveEveryPosition(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	_, first, err := postgres.Renew(t.Context(), url, 4_711)
	require.NoError(t, err)
	require.EqualValues(t, 2_000_000, first)
	i, second, err := postgres.Renew(t.Context(), url, 0)
	require.NoError(t, err)
	require.EqualValues(t, 4_000_000, second)
	var epoch string
	require.NoError(t, postgres.TakeSnapshot(t.Context(), url, func(s *postgres.Snapshot) error {
		epoch = s.Epoch
		require.Equal(t, second, s.Floor)
		require.Equal(t, i.ID, s.ID)
		return nil
	}))
	require.Equal(t, i.Epoch, epoch)
	_, _, err = postgres.Renew(t.Context(), postgrestest.EmptyDatabase(t), 0)
	require.ErrorIs(t, err, postgres.ErrNoStore)
}

// What was saved by an older schema gets every later migration with its rows.
func TestARestoreMakesTheSchemaThatWasSavedFirst(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	saved := postgres.Saved{Store: "11111111-1111-4111-8111-111111111111", Schema: postgres.SchemaVersion() + 1}
	_, _, err := postgres.Restore(t.Context(), url, saved, func(*postgres.Loading) error { return nil })
	require.ErrorContains(t, err, "newer version")
	saved.Schema = 9 // the first with a store
	i, _, err := postgres.Restore(t.Context(), url, saved, func(*postgres.Loading) error { return nil })
	require.NoError(t, err)
	require.Equal(t, saved.Store, i.ID)
	require.NoError(t, postgres.TakeSnapshot(t.Context(), url, func(s *postgres.Snapshot) error {
		require.Equal(t, postgres.SchemaVersion(), s.Schema)
		return nil
	}))
}
