package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/projections"
)

// on runs a command on read models over a database.
func on(t *testing.T, url string, args ...string) executed {
	t.Helper()
	return execute(t, append(args, "--database-url", url)...)
}

// demonstration returns a database with the demo data, in all read models, and no
// process over it.
func demonstration(t *testing.T) string {
	t.Helper()
	url := postgrestest.EmptyDatabase(t)
	s := serve(t, "--database-url", url, "--demo")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	until(t, "the read models", func() (arrived bool) {
		require.NoError(t, conn.QueryRow(t.Context(), `
			select count(*) = $1 and min(position) = (select max(position) from slotbook.events)
			from slotbook.projection_checkpoint`, len(projections.All(nil, nil))).Scan(&arrived))
		return arrived
	})
	require.NoError(t, conn.Close(t.Context()))
	require.Zero(t, s.stop())
	return url
}

func change(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}

func TestReadModelsAreOperatedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url := demonstration(t)
	require.Contains(t, on(t, url, "projections", "list").out, "availability_v")
	plan := on(t, url, "projections", "rebuild", "--all", "--plan")
	require.Zero(t, plan.status, plan.err)
	require.Contains(t, plan.err, "unknown before the first")
	require.Empty(t, plan.out, "only the plan")
	require.Equal(t, 1, on(t, url, "projections", "rollback", "policies").status, "nothing to roll back to")

	rebuilt := on(t, url, "projections", "rebuild", "availability", "policies")
	require.Zero(t, rebuilt.status, rebuilt.err)
	require.Contains(t, rebuilt.out, "rebuilt availability, policies in")
	require.Contains(t, rebuilt.err, "100.0 %")
	back := on(t, url, "projections", "rollback", "policies")
	require.Zero(t, back.status, back.err)

	var standings []standing
	require.NoError(t, json.Unmarshal([]byte(on(t, url, "projections", "status", "--json").out), &standings))
	require.Equal(t, "availability", standings[0].Model)
	require.True(t, standings[0].Previous)
	require.Equal(t, standings[0].Head, standings[0].Position)
	require.Zero(t, on(t, url, "projections", "pause", "availability").status)
	require.Contains(t, on(t, url, "projections", "status").out, "paused")
	require.Zero(t, on(t, url, "projections", "resume", "--all").status)
	require.NotContains(t, on(t, url, "projections", "status").out, "paused")

	require.Contains(t, on(t, url, "projections", "parked").out, "nothing is parked")
	require.Contains(t, on(t, url, "projections", "parked", "retry", "availability").out, "nothing is parked")
	require.Contains(t, on(t, url, "projections", "parked", "show", "availability", "x").err, `no "x" parked`)
	require.Equal(t, 2, on(t, url, "projections", "parked", "discard", "availability").status)

	was := on(t, url, "asof", "directory", "--at", "3")
	require.Zero(t, was.status, was.err)
	now := on(t, url, "asof", "directory", "--at", strconv.FormatUint(standings[0].Head, 10))
	require.Greater(t, len(now.out), len(was.out))
	differ := on(t, url, "diff", "directory", "0", "3")
	require.Equal(t, strings.Count(was.out, "\n"), strings.Count(differ.out, "\n"), "everything that was there then is new")
	require.Equal(t, 1, on(t, url, "asof", "directory", "--at", "999999").status)

	for _, args := range [][]string{{"rebuild"}, {"rebuild", "slots"}, {"verify", "--all", "directory"}, {"rollback", "slots"}} {
		require.Equal(t, 2, on(t, url, append([]string{"projections"}, args...)...).status, args)
	}
}

// TestARebuildThatWasInterruptedIsNamed kills a rebuild half-way, sees it in the
// status, and drops it.
func TestARebuildThatWasInterruptedIsNamed(t *testing.T) {
	t.Parallel()
	url := demonstration(t)
	require.NotContains(t, on(t, url, "projections", "status").out, "a rebuild of")
	require.Contains(t, on(t, url, "projections", "abandon", "availability").err, "has begun and not ended")
	cmd := program(t, "projections", "rebuild", "availability", "--database-url", url)
	cmd.Env = append(cmd.Env, "SLOTBOOK_TEST_CRASH_AT=8")
	require.Error(t, cmd.Run())
	require.Contains(t, on(t, url, "projections", "abandon", "availability").err, "a few seconds ago")
	change(t, url, `update slotbook.projection_checkpoint set lease_until = clock_timestamp()`) // instead of waiting for its end

	var standings []standing
	require.NoError(t, json.Unmarshal([]byte(on(t, url, "projections", "status", "--json").out), &standings))
	require.NotNil(t, standings[0].Begun)
	require.False(t, standings[0].Begun.Running)
	require.Nil(t, standings[1].Begun)
	said := on(t, url, "projections", "status").out
	require.Contains(t, said, "was interrupted at position "+strconv.FormatUint(standings[0].Begun.Position, 10))
	require.Contains(t, said, "slotbook projections rebuild availability goes on, slotbook projections abandon availability drops it")
	require.Zero(t, on(t, url, "projections", "abandon", "availability").status)
	require.NotContains(t, on(t, url, "projections", "status").out, "a rebuild of")
}

func TestAReadModelAsItWasAtATime(t *testing.T) {
	t.Parallel()
	url := demonstration(t)
	change(t, url, `set session_replication_role = replica; update slotbook.events set recorded_at = '2026-01-01T00:00:00Z'::timestamptz + position * interval '1 hour'`)
	require.Equal(t, on(t, url, "asof", "directory", "--at", "3").out, on(t, url, "asof", "directory", "--at", "2026-01-01T04:59:00+01:00").out)
	require.Equal(t, on(t, url, "diff", "directory", "1", "3").out, on(t, url, "diff", "directory", "2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z").out)
	for at, says := range map[string]string{
		"2025-12-31T23:00:00Z": "no event had been recorded yet at 2025-12-31T23:00:00Z",
		"2999-01-01T00:00:00Z": "2999-01-01T00:00:00Z is still to come",
		"yesterday":            "neither a position nor a time such as",
	} {
		for _, args := range [][]string{{"asof", "directory", "--at", at}, {"diff", "directory", "1", at}, {"diff", "directory", at, "1"}} {
			done := on(t, url, args...)
			require.Equal(t, 2, done.status, args)
			require.Contains(t, done.err, says, args)
			require.Empty(t, done.out, args)
		}
	}
}

func TestAVerificationThatFindsSomethingSaysWhatAndFails(t *testing.T) {
	t.Parallel()
	url := demonstration(t)
	clean := on(t, url, "projections", "verify", "--all")
	require.Zero(t, clean.status, clean.out+clean.err)
	change(t, url, `update directory_v4.clinic set name = 'forged' where clinic = (select min(clinic) from directory_v4.clinic)`)
	found := on(t, url, "projections", "verify", "directory")
	require.Equal(t, 1, found.status)
	require.Contains(t, found.out, "DIFFERS")
	require.Contains(t, found.out, "row ")
	require.Zero(t, on(t, url, "projections", "rebuild", "directory").status)
	require.Zero(t, on(t, url, "projections", "verify", "directory").status)
}

// TestARebuildThatIsKilledAtAnyStepGoesOn kills a rebuild at its first step, the
// next at its second, and so on until one comes through; after each the tables
// are what the log makes of them.
func TestARebuildThatIsKilledAtAnyStepGoesOn(t *testing.T) {
	t.Parallel()
	url := demonstration(t)
	killed := 0
	for n := 1; ; n++ {
		cmd := program(t, "projections", "rebuild", "availability", "--database-url", url)
		cmd.Env = append(cmd.Env, "SLOTBOOK_TEST_CRASH_AT="+strconv.Itoa(n))
		said, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		require.Equal(t, -1, cmd.ProcessState.ExitCode(), "%s", said)
		killed++
		change(t, url, `update slotbook.projection_checkpoint set lease_until = clock_timestamp()`) // instead of waiting for its end
		verified := on(t, url, "projections", "verify", "availability")
		require.Zero(t, verified.status, "killed at step %d: %s%s", n, verified.out, verified.err)
	}
	require.GreaterOrEqual(t, killed, 10)
	require.Contains(t, on(t, url, "projections", "status").out, "true", "one came through")
}
