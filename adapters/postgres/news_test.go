package postgres_test

import (
	"context"
	"testing"
	"time"

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

const aListener = `
	select pid
	from pg_stat_activity
	where datname = current_database()
		and query = 'listen slotbook_events'
		and state = 'idle'`

// A listener that loses its connection gets another.
func TestAListenerConnectsAgain(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	until := watch(t, url)
	until("select exists (" + aListener + ")")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing is left to lose
	var first int
	require.NoError(t, conn.QueryRow(t.Context(), aListener).Scan(&first))
	execute(t, url, "select pg_terminate_backend($1)", first)
	until("select exists ("+aListener+" and pid <> $1)", first)
}

// When the log ends earlier than it did, whatever a notification says, those
// who follow it wait.
func TestTheEndOfTheLogGoesBack(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	_, err := store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1), resized(2), resized(3)))
	require.NoError(t, err)
	require.NoError(t, store.Wait(t.Context(), 2))
	watch(t, url)("select exists (" + aListener + ")")
	execute(t, url, `do $$ begin
		set local session_replication_role = replica;
		delete from slotbook.events where position > 1;
	end $$`)
	execute(t, url, "select pg_notify('slotbook_events', '1000')")
	now, cancel := context.WithCancel(t.Context())
	cancel()
	require.Eventually(t, func() bool { return store.Wait(now, 1) != nil }, 20*time.Second, time.Millisecond)
	require.NoError(t, store.Wait(now, 0))
}

// An event that was stored past every notification is found by looking.
func TestLookingFindsWhatWasNotNotified(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	execute(t, url, insertRaw, 1, "slot-1", 0, "slot.resized", `{}`, "0")
	require.NoError(t, store.Wait(t.Context(), 0))
}
