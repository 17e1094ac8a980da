package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

func TestSettlementsAreKept(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	settled := postgres.Settled{Pool: pool}
	midnight := time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)
	type all = map[domain.PractitionerID]reactions.Settlement
	require.NoError(t, settled.Settle(t.Context(), all{"ana": {Revision: 1, Until: midnight}, "rui": {Revision: 0}}))
	require.NoError(t, settled.Settle(t.Context(), all{"ana": {Revision: 2, Until: midnight.AddDate(0, 0, 1)}}))
	kept, err := settled.Settlements(t.Context(), []domain.PractitionerID{"ana", "rui", "eva"})
	require.NoError(t, err)
	require.Len(t, kept, 2)
	require.Equal(t, domain.Revision(2), kept["ana"].Revision)
	require.True(t, midnight.AddDate(0, 0, 1).Equal(kept["ana"].Until))
	require.Equal(t, reactions.Settlement{}, kept["rui"], "never is the zero time")
}
