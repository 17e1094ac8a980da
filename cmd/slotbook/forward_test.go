package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/name"
)

func startBroker(t *testing.T) (string, nats.JetStreamContext) {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(time.Minute))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	conn, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := conn.JetStream()
	require.NoError(t, err)
	return s.ClientURL(), js
}

// idsOf returns the ids of all events, by position.
func idsOf(t *testing.T, url string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	rows, _ := conn.Query(t.Context(), "select event_id::text from slotbook.events order by position")
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return ids
}

// rename takes names and gives them up, time and again: events for which no read
// model cares.
func rename(t *testing.T, store commands.Store, names, times int) {
	t.Helper()
	for i := range names {
		of := name.Name{Kind: name.Council, Key: fmt.Sprint(i)}
		var events []commands.NewEvent
		for n := range times {
			var e domain.Event = name.Taken{Name: of}
			if n%2 == 1 {
				e = name.Released{Name: of}
			}
			events = append(events, commands.NewEvent{ID: newID(), Event: e, Metadata: domain.Metadata{Actor: "local"}})
		}
		_, err := store.Append(t.Context(), commands.Write{Stream: of.Stream(), Expected: domain.NoStream, Events: events})
		require.NoError(t, err)
	}
}

// Two processes share what reacts. Whichever forwards is killed on the way,
// twice; the other one goes on.
func TestForwardingSurvivesItsProcesses(t *testing.T) {
	t.Parallel()
	broker, js := startBroker(t)
	url := postgrestest.EmptyDatabase(t)
	require.Zero(t, serve(t, "--database-url", url, "--demo").stop())
	rename(t, storeIn(t, url), 100, 50)
	start := func() *server {
		return serve(t, "--database-url", url, "--forward-to", broker, "--forward-from", "beginning")
	}
	forwarded := func() uint64 {
		info, err := js.StreamInfo("slotbook_events")
		if err != nil {
			return 0
		}
		return info.State.Msgs
	}
	owner, other := start(), start()
	total := uint64(len(idsOf(t, url)))
	for share := uint64(1); share <= 2; share++ {
		require.Eventually(t, func() bool { return forwarded() > share*total/4 }, 2*time.Minute, 5*time.Millisecond)
		if !strings.Contains(standingIn(t, url, forwards).Owner, fmt.Sprintf("/%d/", owner.cmd.Process.Pid)) {
			owner, other = other, owner
		}
		owner.kill()
		owner = start()
	}
	ids := idsOf(t, url) // all processes together add a few
	require.Eventually(t, func() bool { return standingIn(t, url, forwards).Position >= uint64(len(ids)) }, 2*time.Minute, 100*time.Millisecond)
	require.Zero(t, owner.stop())
	require.Zero(t, other.stop())

	sub, err := js.SubscribeSync("slotbook.events.>", nats.OrderedConsumer())
	require.NoError(t, err)
	got, at := map[string]bool{}, map[string]string{}
	for left := forwarded(); left > 0; left-- {
		m, err := sub.NextMsg(time.Minute)
		require.NoError(t, err)
		var e struct{ ID, Subject, Sequence string }
		require.NoError(t, json.Unmarshal(m.Data, &e))
		require.Equal(t, m.Header.Get(nats.MsgIdHdr), e.ID)
		require.False(t, got[e.ID], "JetStream knows by its id what comes again")
		require.Greater(t, e.Sequence, at[e.Subject], "the order of a stream")
		got[e.ID], at[e.Subject] = true, e.Sequence
	}
	for _, id := range ids {
		require.True(t, got[id], "nothing is lost")
	}
	require.Len(t, got, len(idsOf(t, url)), "and nothing is made up")
}
