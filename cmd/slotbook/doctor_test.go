package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// examined runs the doctor and returns what it found.
func examined(t *testing.T, status int, args ...string) []postgres.Finding {
	t.Helper()
	done := execute(t, append([]string{"doctor", "--json"}, args...)...)
	var all []postgres.Finding
	require.NoError(t, json.Unmarshal([]byte(done.out), &all), done.err)
	require.Equal(t, status, done.status, done.out)
	return all
}

func wrongs(all []postgres.Finding) []string {
	var names []string
	for _, f := range all {
		if f.State == postgres.Wrong && f.Check != "fsync" && f.Check != "full_page_writes" { // the tests' own server has neither
			names = append(names, f.Area+" "+f.Check)
		}
	}
	return names
}

func TestADoctorFindsNothingAtAStoreThatIsWellAndNamesWhatIsNot(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	s := serve(t, "--demo", "--data-dir", folder)
	require.Empty(t, wrongs(examined(t, 0, "--data-dir", folder)), "a server with demo data is fine")
	require.Zero(t, s.stop(), s.logs)

	url := postgrestest.Database(t)
	s = serve(t, "--database-url", url)
	s.patient("Ana")
	require.Zero(t, s.stop(), s.logs)
	require.Empty(t, wrongs(examined(t, 1, "--database-url", url)))
	require.Contains(t, wrongs(examined(t, 1, "--database-url", url, "--master-key", key[:62]+"00")), "store master key")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), "update slotbook.projection_checkpoint set position = 999 where model = 'due'")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "update slotbook.projection_checkpoint set store_epoch = 'another' where model = 'patients'")
	require.NoError(t, err)
	all := examined(t, 1, "--database-url", url)
	require.Equal(t, []string{"read models patients", "read models due"}, wrongs(all))
	due := all[slices.IndexFunc(all, func(f postgres.Finding) bool { return f.Check == "due" })]
	require.Contains(t, due.Text, "it stands at position 999, and the log ends at")
	require.Equal(t, "run: slotbook projections rebuild due", due.Do)
	require.Contains(t, wrongs(examined(t, 1, "--database-url", postgrestest.EmptyDatabase(t))), "schema version")
	require.Contains(t, wrongs(examined(t, 1, "--data-dir", dataDir(t))), "server connection")
}

func TestSizesSayWhenTheDiskIsFull(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	s.patient("Ana")
	require.Zero(t, s.stop(), s.logs)
	measure := func() (m sized) {
		t.Helper()
		require.NoError(t, json.Unmarshal([]byte(succeeded(t, "size", "--json", "--database-url", url)), &m))
		return m
	}
	young := measure()
	require.Zero(t, young.Days, "a log of today foretells nothing")
	require.Contains(t, succeeded(t, "size", "--database-url", url), "younger than a day")
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), `
		insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
		select 100 + n, 'noise-1', n, gen_random_uuid(), 'noise', '{}', '{}', now() - interval '10 days' + n * interval '1 hour'
		from generate_series(0, 239) n`)
	require.NoError(t, err)
	grown := measure()
	require.InDelta(t, 7, grown.Days, 0.1)
	require.InDelta(t, 24, grown.EventsPerDay, 1)
	require.Positive(t, grown.BytesPerDay)
	i := slices.IndexFunc(grown.Tables, func(t postgres.TableSize) bool { return t.Table == "events" })
	require.GreaterOrEqual(t, grown.Tables[i].Rows, int64(240))
	require.Equal(t, postgres.Precious, grown.Tables[i].Worth)
	free := int64(240 << 20)
	slow := sized{Sizes: postgres.Sizes{Days: 7, Events: 70, Bytes: 10 << 20, Tables: []postgres.TableSize{{Schema: "slotbook", Table: "events", Rows: 100}}}, Free: &free}
	slow.foretell(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	require.Equal(t, "2026-09-27", slow.FullAt.Add(-30*24*time.Hour).Format(time.DateOnly), "1 MiB a day")
}
