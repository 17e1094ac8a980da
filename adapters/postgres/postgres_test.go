package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/eventstoretest"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestContract(t *testing.T) {
	t.Parallel()
	eventstoretest.Run(t, func(t *testing.T) (eventstoretest.Store, *eventcodec.Codec) {
		pool := openPool(t, postgrestest.Database(t))
		keys, err := postgres.NewKeys(pool, master())
		require.NoError(t, err)
		codec := eventcodec.New(keys)
		return run(t, pool, codec), codec
	})
}

func master() []byte { return []byte(strings.Repeat("m", 32)) }

func openPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Pool(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// run returns a store that runs until the test ends.
func run(t testing.TB, pool *pgxpool.Pool, codec *eventcodec.Codec) *postgres.Store {
	t.Helper()
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: codec, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	start(t, store)
	return store
}

// start runs the store until the test ends.
func start(t testing.TB, store *postgres.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// open returns a running store over a fresh database.
func open(t testing.TB) *postgres.Store {
	t.Helper()
	return run(t, openPool(t, postgrestest.Database(t)), eventcodec.New(&eventcodec.MemoryKeys{}))
}
