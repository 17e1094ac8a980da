package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
)

// An append is told to other processes, with the position of its last event.
func TestAnAppendIsNotified(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is left to lose
	_, err = conn.Exec(t.Context(), "listen slotbook_events")
	require.NoError(t, err)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	_, err = store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1), resized(2)))
	require.NoError(t, err)
	notification, err := conn.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, "2", notification.Payload)
}

// A notification wakes those who wait, before anybody has looked at the log:
// here there is nothing to be seen in it.
func TestANotificationWakes(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	watch(t, url)(`
		select exists (
			select from pg_stat_activity
			where datname = current_database()
				and query = 'listen slotbook_events'
				and state = 'idle'
		)`)
	execute(t, url, "select pg_notify('slotbook_events', '5')")
	require.NoError(t, store.Wait(t.Context(), 4))
}

// An event that was stored past every notification is found by looking.
func TestLookingFindsWhatWasNotNotified(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	execute(t, url, insertRaw, 1, "slot-1", 0, "slot.resized", `{}`, "0")
	require.NoError(t, store.Wait(t.Context(), 0))
}
