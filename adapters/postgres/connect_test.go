package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Nothing on a connection of the pool goes on for ever, and the URL may say
// otherwise.
func TestThePoolHasTimeouts(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	for _, c := range []struct{ url, statement, lock, idle string }{
		{url, "30s", "10s", "1min"},
		{url + "&statement_timeout=5min&lock_timeout=7s", "5min", "7s", "1min"},
	} {
		pool := openPool(t, c.url)
		for setting, want := range map[string]string{
			"statement_timeout": c.statement, "lock_timeout": c.lock, "idle_in_transaction_session_timeout": c.idle,
			"timezone": "UTC", "default_transaction_isolation": "read committed",
		} {
			var got string
			require.NoError(t, pool.QueryRow(t.Context(), "show "+setting).Scan(&got))
			require.Equal(t, want, got, setting)
		}
	}
}

// The writer's connection has its own time-outs, whatever the pool's are, and
// the isolation that its decisions rely on, whatever the database's is.
func TestTheWriterHasItsSettings(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	execute(t, url, `do $$ begin
		execute format('alter database %I set default_transaction_isolation = ''serializable''', current_database());
	end $$`)
	pool := openPool(t, url+"&statement_timeout=5min&default_transaction_isolation=serializable")
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	shown := map[string]string{
		"lock_timeout": "2s", "statement_timeout": "5s", "idle_in_transaction_session_timeout": "1s",
		"transaction_isolation": "read committed", "timezone": "UTC",
	}
	store.PauseUnderLock(func() {
		for setting, want := range shown {
			got, err := store.Show(setting)
			if err != nil || got != want {
				t.Errorf("%s is %q (%v) instead of %q", setting, got, err, want)
			}
			delete(shown, setting)
		}
	})
	start(t, store)
	_, err = store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1), resized(2)))
	require.NoError(t, err)
	require.Empty(t, shown)
}

// Answers that are withheld on the way hold nobody up for ever.
func TestReadsEndWhenAnswersAreWithheld(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(ctx context.Context, p proxied, keys *postgres.Keys) error{
		"log": func(ctx context.Context, p proxied, _ *postgres.Keys) error {
			_, err := p.ReadAll(ctx, 0, domain.Filter{}, 1)
			return err
		},
		"head":  func(ctx context.Context, p proxied, _ *postgres.Keys) error { _, err := p.Head(ctx); return err },
		"clock": func(ctx context.Context, p proxied, _ *postgres.Keys) error { _, err := p.ClockSkew(ctx); return err },
		"key": func(ctx context.Context, _ proxied, keys *postgres.Keys) error {
			_, err := keys.Key(ctx, "p1", true)
			return err
		},
		"destroy": func(ctx context.Context, _ proxied, keys *postgres.Keys) error { return keys.Destroy(ctx, "p1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := behindProxy(t)
			_, err := p.Head(t.Context()) // the pool has a connection
			require.NoError(t, err)
			keys, err := postgres.NewKeys(p.pool, master())
			require.NoError(t, err)
			p.BeImpatient(time.Millisecond)
			keys.BeImpatient(time.Millisecond)
			p.harm(t, withholdAnswers)
			err = read(t.Context(), p, keys)
			require.ErrorIs(t, err, commands.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}
