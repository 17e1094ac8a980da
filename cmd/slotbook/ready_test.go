package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

func TestWhatKeepsAProcessFromBeingReady(t *testing.T) {
	t.Parallel()
	const lag = 30 * time.Second
	monday := time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)
	slow := engine.Status{Model: "slow", Behind: 7, Lag: 31 * time.Second}
	for _, c := range []struct {
		what     string
		statuses []engine.Status
		lag      time.Duration
		built    domain.Position
		most     uint64
		err      error
		says     []string
		notes    int
	}{
		{what: "models at the head", statuses: []engine.Status{{Model: "a"}, {Model: "b"}}, lag: lag, most: readyBehind},
		{what: "events that wait for less than the limit, however many", statuses: []engine.Status{{Model: "a", Behind: 1_000_000, Lag: lag}}, lag: lag},
		{what: "too many events, in a process that begins", statuses: []engine.Status{{Model: "a", Behind: readyBehind + 1}}, lag: lag, most: readyBehind, err: errBehind, says: []string{"a is 10001 positions"}},
		{what: "a model that is not built yet, in a process that begins", statuses: []engine.Status{{Model: "a", Position: 9, Behind: 2}}, lag: lag, built: 10, err: errBehind, says: []string{"a is 2 positions"}},
		{what: "a model that is built", statuses: []engine.Status{{Model: "a", Position: 10, Behind: 2}}, lag: lag, built: 10},
		{what: "an event that waits too long", statuses: []engine.Status{{Model: "quick"}, slow}, lag: lag, err: errBehind, says: []string{"slow is 7 positions and 31s behind"}},
		{what: "the same without a limit", statuses: []engine.Status{slow}},
		{what: "the same in a model that somebody has paused", statuses: []engine.Status{{Model: "a", Behind: 7, Lag: time.Hour, Paused: monday}}, lag: lag, says: []string{"a is paused since 2026-06-01"}, notes: 1},
		{what: "a model that a newer process keeps", statuses: []engine.Status{{Model: "a", Stopped: "newer"}}, lag: lag, says: []string{"a is kept by another process", "a newer version"}, notes: 1},
		{what: "one that a newer process does not keep", statuses: []engine.Status{{Model: "a", Stopped: "newer", Behind: 1, Lag: time.Minute}}, lag: lag, err: errBehind, says: []string{"a newer version"}},
		{what: "one that has to be rebuilt", statuses: []engine.Status{slow, {Model: "a", Rebuild: "another epoch"}}, lag: lag, err: engine.ErrRebuild, says: []string{"rebuild", ": a"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			notes, err := judge(c.statuses, c.lag, c.built, c.most)
			require.ErrorIs(t, err, c.err)
			require.Len(t, notes, c.notes)
			for _, says := range c.says {
				require.Contains(t, fmt.Sprint(notes, err), says)
			}
		})
	}
}

func inDatabase(t *testing.T, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

// TestAReadModelThatANewerProcessKeepsLeavesTheOlderOneReady plays the newer
// process by hand: it writes an event that this program does not know, and then
// takes the read models over it.
func TestAReadModelThatANewerProcessKeepsLeavesTheOlderOneReady(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url, "--ready-lag", "2s")
	who := s.patient("Ana")
	until(t, "readiness", func() bool { return s.get("/readyz").status == http.StatusOK })
	require.NotContains(t, s.get("/readyz").text, "notes")
	inDatabase(t, url, `
		insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
		select position + 1, stream, revision + 1, gen_random_uuid(), 'patient.cloned', data, metadata, clock_timestamp()
		from slotbook.events
		order by position desc
		limit 1`)
	var away reply
	until(t, "that nobody keeps the read models up", func() bool {
		away = s.get("/readyz")
		return away.status == http.StatusServiceUnavailable
	})
	require.Contains(t, away.text, "patients is ")
	require.Contains(t, away.text, "a newer version")

	inDatabase(t, url, `
		update slotbook.projection_checkpoint
		set owner = 'newer', epoch = epoch + 1, lease_until = clock_timestamp() + interval '1 hour',
			position = (select max(position) from slotbook.events)`)
	var kept reply
	until(t, "readiness once somebody does", func() bool { kept = s.get("/readyz"); return kept.status == http.StatusOK })
	require.NotEmpty(t, who)
	require.Contains(t, s.get("/metrics").text, `slotbook_ready 1`)
}

// TestATakeoverLeavesTheOtherProcessReady kills the process that keeps the read
// models, as kill -9 does, while bookings go on: until the other one has taken
// over, its lists lag by some seconds, and it stays in service.
func TestATakeoverLeavesTheOtherProcessReady(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	keeper := serve(t, "--database-url", url)
	slots, patients := slotsOf(keeper, 4), keeper.patients(8)
	other := serve(t, "--database-url", url)
	until(t, "readiness", func() bool { return other.get("/readyz").status == http.StatusOK })
	var l load
	l.run(func() *server { return other }, slots, patients)
	defer l.end()
	until(t, "bookings", func() bool { return l.bookings() > 20 })
	keeper.kill()
	var worst atomic.Int64
	took := func() bool {
		ready := other.get("/readyz")
		require.Equal(t, http.StatusOK, ready.status, ready.text)
		list := other.get("/v1/admin/projections")
		items, _ := list.body["items"].([]any)
		require.NotEmpty(t, items, list.text)
		all := true
		for _, i := range items {
			m, _ := i.(map[string]any)
			seconds, _ := m["lagSeconds"].(float64)
			worst.Store(max(worst.Load(), int64(seconds*1000)))
			owner, _ := m["owner"].(string)
			all = all && owner != "" && seconds < 1
		}
		return all && worst.Load() > 1000
	}
	until(t, "the takeover", took)
	require.Less(t, worst.Load(), int64(15_000), "a lease and a fifth, and what it takes to look")
}

func TestAProcessThatLoadsDemoDataIsReadyWhenTheListsShowThem(t *testing.T) {
	t.Parallel()
	s := serve(t, "--database-url", postgrestest.EmptyDatabase(t), "--demo")
	s.becomesReady()
	require.Contains(t, s.get("/v1/slots?limit=1").text, `"free"`)
}
