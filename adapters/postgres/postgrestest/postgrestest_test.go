package postgrestest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestDatabasesAreFreshAndMigrated(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), postgrestest.Database(t))
			require.NoError(t, err)
			defer conn.Close(t.Context()) //nolint:errcheck // the test is over
			var events int
			require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from slotbook.events").Scan(&events))
			require.Zero(t, events)
		})
	}
}
