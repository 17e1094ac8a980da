package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

func TestReactionsAreOperatedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	s := serve(t, "--database-url", url, "--demo")
	reaction := func(name string) reacting { return standingIn(t, url, name) }
	require.Eventually(t, func() bool { return reaction("opener").Owner != "" }, time.Minute, 50*time.Millisecond)
	require.Contains(t, on(t, url, "reactions", "list").out, "running")
	change(t, url, `
		insert into slotbook.reaction_parked (consumer, event_id, stream, type, position, error, tries, parked_at)
		select 'opener', event_id, stream, type, position, 'it cannot be', 6, clock_timestamp()
		from slotbook.events
		order by position
		limit 3`)
	require.Contains(t, on(t, url, "reactions", "parked").out, "it cannot be")
	require.Equal(t, 3, reaction("opener").Parked)

	var parked []parkedEvent
	require.NoError(t, json.Unmarshal([]byte(on(t, url, "reactions", "parked", "opener", "--json").out), &parked))
	require.Contains(t, on(t, url, "reactions", "discard", "opener", parked[0].Event).out, "1 discarded")
	require.Contains(t, on(t, url, "reactions", "retry", "opener", "--all").out, "2 asked for")
	require.Eventually(t, func() bool { return on(t, url, "reactions", "parked").out == "nothing is parked\n" }, time.Minute, 50*time.Millisecond)

	for _, wrong := range [][]string{
		{"retry", "opener"},
		{"discard", "opener"},
		{"discard", "opener", "x", "--all"},
		{"retry", "nobody", "--all"},
		{"discard", "nobody", "--all"},
		{"parked", "nobody"},
		{"move", "nobody", "--to", "head"},
		{"move", "opener", "--to", "there"},
		{"move", "opener", "--to", "999999999"},
		{"forget", "opener"},
		{"forget", "nobody"},
	} {
		require.Equal(t, 2, on(t, url, append([]string{"reactions"}, wrong...)...).status, "%v", wrong)
	}
	require.Zero(t, s.stop())
	require.Contains(t, on(t, url, "reactions", "list").out, "run by nobody")
	require.Contains(t, on(t, url, "reactions", "move", "opener", "--to", "2").out, "goes on after position 2")
	require.EqualValues(t, 2, reaction("opener").Position)
	require.Zero(t, on(t, url, "reactions", "move", "opener", "--to", "beginning").status)
	require.Zero(t, on(t, url, "reactions", "move", "opener", "--to", "head").status)
	require.Equal(t, reaction("opener").Head, reaction("opener").Position)

	require.Contains(t, on(t, url, "reactions", "forget", "displaced").out, "is forgotten")
	require.Empty(t, reaction("displaced").Name)

	s = serve(t, "--database-url", url, "--read-only")
	require.Empty(t, reaction("opener").Owner, "a process that only reads reacts to nothing")
	require.Zero(t, s.stop())
}

// A store whose log was put back begins another epoch, and nobody reacts to it
// before an operator says where to go on.
func TestReactionsOfAnotherEpochAreRefused(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	s := serve(t, "--database-url", url, "--demo")
	require.Eventually(t, func() bool { return standingIn(t, url, "opener").Owner != "" }, time.Minute, 50*time.Millisecond)
	require.Zero(t, s.stop())
	require.Zero(t, on(t, url, "store", "renew").status)
	require.Contains(t, standingIn(t, url, "opener").state(), "another epoch")
	require.Zero(t, on(t, url, "reactions", "move", "opener", "--to", "head").status)
	require.Equal(t, "run by nobody", standingIn(t, url, "opener").state())
}

// standingIn returns how a reaction is doing, as the program says it.
func standingIn(t *testing.T, url, name string) (is reacting) {
	t.Helper()
	var all []reacting
	answer := on(t, url, "reactions", "list", "--json")
	require.Zero(t, answer.status, answer.err)
	require.NoError(t, json.Unmarshal([]byte(answer.out), &all))
	for _, r := range all {
		if r.Name == name {
			is = r
		}
	}
	return is
}
