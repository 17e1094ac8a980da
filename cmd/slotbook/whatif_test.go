package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
)

// example returns the file that docs/whatif.md shows.
func example(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/whatif.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(doc), "```json\n")
	require.True(t, ok)
	text, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	return text
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// storeIn returns the store of a database, without keys, until the test ends.
func storeIn(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, done, err := openStore(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(done)
	return store
}

// openStore returns a store that runs until it is done.
func openStore(ctx context.Context, url string) (_ *postgres.Store, done func(), _ error) {
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Logger: output{err: os.Stderr}.logger()})
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	running := make(chan error, 1)
	ended := start(running, func() error { return store.Run(ctx) })
	return store, func() {
		cancel()
		<-ended
		pool.Close()
	}, nil
}

// weeks returns a database with five weeks that were made up, once for all who
// want them.
func weeks(t *testing.T) (url string) {
	t.Helper()
	return postgrestest.Prepared(t, "weeks", func(ctx context.Context, url string) error {
		store, done, err := openStore(ctx, url)
		if err != nil {
			return err
		}
		defer done()
		_, err = demo.Write(ctx, demo.Config{
			Seed: 42, Store: store, NewID: newID, First: "2026-01-15", Until: domain.Day("2026-02-20").Start(), Wishes: 10,
		})
		return err
	})
}

func TestTheExampleOfTheDocumentIsReplayed(t *testing.T) {
	t.Parallel()
	url := weeks(t)
	before := execute(t, "audit", "--demo", "--database-url", url)
	require.Zero(t, before.status, before.err)

	args := []string{"whatif", "--database-url", url, "--policy", written(t, example(t)), "--from", "2026-01-20"}
	table := execute(t, args...)
	require.Zero(t, table.status, table.err)
	for _, says := range []string{
		"Harbor Clinic", "Clínica Aurora", "REAL", "WHAT IF", "DIFFERENCE", "policy.notice", "idle, hours",
		"error of the replay: without the change", "not known: searches that ended without a request",
	} {
		require.Contains(t, table.out, says)
	}
	require.Contains(t, table.err, "100.0 %")
	require.Equal(t, table.out, execute(t, args...).out, "the same every time")
	require.Equal(t, before.out, execute(t, "audit", "--demo", "--database-url", url).out, "nothing is written")

	machine := execute(t, append(args, "--json", "--to", "2026-02-10T12:00:00+01:00")...)
	require.Zero(t, machine.status, machine.err)
	var report shownReport
	require.NoError(t, json.Unmarshal([]byte(machine.out), &report))
	require.Equal(t, "2026-02-10T11:00:00Z", report.To.Format("2006-01-02T15:04:05Z07:00"))
	require.LessOrEqual(t, report.Drift.Different, 3, "%v: the weeks were recorded in seconds", report.Drift.Differences)
	require.Greater(t, report.Drift.Compared, 50)
	require.Len(t, report.Clinics, 2)
	for _, c := range report.Clinics {
		require.NotEqual(t, c.Real, c.WhatIf)
	}
}

func TestWhatIfRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	const id = "c0000000-0000-4000-8000-000000000001"
	for name, c := range map[string]struct {
		file string
		args []string
		says string
	}{
		"an unknown field of a policy":   {`{"everyClinic": {"notice": "PT1H"}}`, nil, `unknown field "notice"`},
		"an unknown part":                {`{"rooms": []}`, nil, `unknown field "rooms"`},
		"a duration that is none":        {`{"everyClinic": {"minNotice": "an hour"}}`, nil, "everyClinic: "},
		"a clinic without an id":         {`{"clinics": [{"policy": {}}]}`, nil, "a clinic is named by its id"},
		"a weekday that is none":         {`{"clinics": [{"clinicId": "` + id + `", "calendar": {"hours": [{"weekday": "Montag", "from": "08:00", "to": "09:00"}]}}]}`, nil, `"Montag" is no weekday`},
		"another zone":                   {`{"clinics": [{"clinicId": "` + id + `", "calendar": {"zone": "Asia/Seoul"}}]}`, nil, "zone is left out"},
		"another zone of a schedule":     {`{"practitioners": [{"practitionerId": "` + id + `", "schedules": [{"zone": "Asia/Seoul"}]}]}`, nil, "zone is left out"},
		"a weekday of a schedule":        {`{"practitioners": [{"practitionerId": "` + id + `", "schedules": [{"weekly": [{"weekday": "x"}]}]}]}`, nil, `"x" is no weekday`},
		"an hour that is none":           {`{"practitioners": [{"practitionerId": "` + id + `", "schedules": [{"weekly": [{"weekday": "monday", "from": "25:00", "to": "9", "slotDuration": "PT1H"}]}]}]}`, nil, "the practitioner " + id},
		"a buffer that is none":          {`{"visitTypes": [{"visitTypeId": "` + id + `", "bufferAfter": "5"}]}`, nil, "the visit type " + id},
		"two objects":                    {`{} {}`, nil, "more than one"},
		"no JSON":                        {`minNotice: 5`, nil, "invalid character"},
		"a time that is none":            {`{}`, []string{"--from", "yesterday"}, "--from: "},
		"a period that ends too early":   {`{}`, []string{"--from", "2026-02-01", "--to", "2026-02-01"}, "a period ends after it begins"},
		"a log with nothing in it":       {`{}`, nil, "nothing in the period"},
		"a database that was never used": {`{}`, []string{"--database-url", postgrestest.EmptyDatabase(t)}, "holds no Slotbook log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"whatif", "--database-url", url, "--policy", written(t, c.file)}, c.args...)
			done := execute(t, args...)
			require.Equal(t, 2, done.status, done.err)
			require.Contains(t, done.err, c.says)
		})
	}
	require.Equal(t, 2, execute(t, "whatif", "--database-url", url).status, "without a file")
}
