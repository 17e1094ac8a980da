package main

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// newerProgram makes a process one whose read models have all another version.
var newerProgram = []string{"SLOTBOOK_TEST_NEWER=1"}

// becomesReady waits until the process would get traffic.
func (s *server) becomesReady() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.get("/readyz").status == http.StatusOK }, patience, 10*time.Millisecond, "%s", s.logs)
}

// deployment is some processes over one database, and who was booked.
type deployment struct {
	t     *testing.T
	url   string
	slots []string
	last  string // the position of the last booking
	booked
}

type booked []string

// start starts a process and has it ready.
func (d *deployment) start(env []string) *server {
	s := serveWith(d.t, env, "--database-url", d.url)
	s.becomesReady()
	return s
}

// books books a slot that nobody has through a process.
func (d *deployment) books(s *server) {
	d.t.Helper()
	slot := d.slots[0]
	d.slots = d.slots[1:]
	r := s.post("/v1/appointments", map[string]any{"slotId": slot, "patientId": s.patient(fmt.Sprint("Patient ", len(d.slots)))})
	require.Equal(d.t, http.StatusCreated, r.status, r.text)
	d.booked, d.last = append(d.booked, r.field("id")), r.header.Get("Slotbook-Position")
}

// agree requires that each process lists all who were booked.
func (d *deployment) agree(all ...*server) {
	d.t.Helper()
	for _, s := range all {
		list := s.get("/v1/appointments?limit=100&minPosition=" + d.last)
		require.Equal(d.t, http.StatusOK, list.status, list.text)
		items, _ := list.body["items"].([]any)
		var ids []string
		for _, item := range items {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		require.ElementsMatch(d.t, d.booked, ids)
	}
}

// versions returns which versions of the directory the database has, and whether
// somebody keeps them.
func (d *deployment) versions() map[string]bool {
	conn, err := pgx.Connect(d.t.Context(), d.url)
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, conn.Close(d.t.Context())) }()
	rows, err := conn.Query(d.t.Context(), `
		select schema, owner is not null and lease_until >= clock_timestamp()
		from slotbook.projection_checkpoint
		where model = 'directory'`)
	require.NoError(d.t, err)
	kept := map[string]bool{}
	var schema string
	var is bool
	_, err = pgx.ForEachRow(rows, []any{&schema, &is}, func() error { kept[schema] = is; return nil })
	require.NoError(d.t, err)
	return kept
}

// verified requires that the read models of both programs are what the log
// makes of them.
func (d *deployment) verified() {
	d.t.Helper()
	for _, env := range [][]string{nil, newerProgram} {
		cmd := program(d.t, "projections", "verify", "--all", "--database-url", d.url)
		cmd.Env = append(cmd.Env, env...)
		said, err := cmd.CombinedOutput()
		require.NoError(d.t, err, "%s", said)
	}
	audited(d.t, d.url)
}

// TestTwoVersionsServeOneDatabase has a program beside another one whose read
// models have other versions, the newer after the older and the other way round:
// each keeps its own tables, both book and both list what the other has booked.
// Then the first goes, and in the end the older comes back alone.
func TestTwoVersionsServeOneDatabase(t *testing.T) {
	t.Parallel()
	for what, programs := range map[string][2][]string{
		"the newer after the older": {nil, newerProgram},
		"the older after the newer": {newerProgram, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := &deployment{t: t, url: postgrestest.Database(t)}
			first := d.start(programs[0])
			_, d.slots = clinicWith(first, 8, 1)
			d.books(first)
			d.agree(first)
			require.Len(t, d.versions(), 1)

			second := d.start(programs[1])
			require.Len(t, d.versions(), 2, "it has built its own beside")
			d.agree(first, second)
			for range 2 {
				d.books(first)
				d.agree(first, second)
				d.books(second)
				d.agree(first, second)
			}
			for _, kept := range d.versions() {
				require.True(t, kept, "each is kept by its own program")
			}
			require.Zero(t, first.stop(), first.logs)
			d.books(second)
			d.agree(second)

			require.Zero(t, second.stop(), second.logs)
			back := d.start(nil)
			d.agree(back)
			d.books(back)
			d.agree(back)
			require.Zero(t, back.stop(), back.logs)
			d.verified()
		})
	}
}

// TestAProcessIsNotReadyBeforeItsReadModelsAreBuilt holds one of a newer version
// up: somebody else has its tables.
func TestAProcessIsNotReadyBeforeItsReadModelsAreBuilt(t *testing.T) {
	t.Parallel()
	d := &deployment{t: t, url: postgrestest.Database(t)}
	old := d.start(nil)
	old.patient("Ana")
	prepared := program(t, "projections", "status", "--database-url", d.url)
	prepared.Env = append(prepared.Env, newerProgram...)
	require.NoError(t, prepared.Run())
	change(t, d.url, `
		update slotbook.projection_checkpoint
		set owner = 'somebody', lease_until = clock_timestamp() + interval '1 hour'
		where model = 'patients' and position = 0`)
	s := serveWith(t, newerProgram, "--database-url", d.url)
	held := func() int {
		conn, err := pgx.Connect(t.Context(), d.url)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(t.Context())) }()
		var n int
		require.NoError(t, conn.QueryRow(t.Context(), `select count(*) from slotbook.projection_checkpoint where position = 0`).Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return held() == 1 }, patience, 10*time.Millisecond, "the others are built")
	ready := s.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, ready.status)
	require.Contains(t, ready.text, "not caught up yet: patients is")
	require.Equal(t, http.StatusOK, old.get("/readyz").status)
	change(t, d.url, `update slotbook.projection_checkpoint set owner = null, lease_until = null where position = 0`)
	s.becomesReady()
}

// TestAnOlderProgramRefusesADatabaseThatANewerOneHasMigrated sets the schema to a
// version that no program has yet.
func TestAnOlderProgramRefusesADatabaseThatANewerOneHasMigrated(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	change(t, url, `update slotbook.schema_version set version = 999`)
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"migrate"}, {"projections", "status"}, {"asof", "directory", "--at", "1"}} {
		done := on(t, url, args...)
		require.Equal(t, 2, done.status, args)
		require.Equal(t, "slotbook: migrate: a newer version of the program has migrated this database to schema 999, and this one knows "+strconv.Itoa(postgres.SchemaVersion())+": "+
			"run that version, or restore a backup of before\n", done.err, args)
	}
}
