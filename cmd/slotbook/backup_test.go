package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// succeeded runs the program and returns its answer.
func succeeded(t *testing.T, args ...string) string {
	t.Helper()
	done := execute(t, args...)
	require.Zero(t, done.status, "%v: %s", args, done.err)
	return done.out
}

// oneRow asks a database one thing.
func oneRow[T any](t *testing.T, url, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&v))
	return v
}

// TestABackupUnderLoadIsRestoredElsewhere saves a store while it is used, and
// puts it elsewhere: there it is a store like any other, of another epoch.
func TestABackupUnderLoadIsRestoredElsewhere(t *testing.T) {
	t.Parallel()
	url, elsewhere, file := postgrestest.Database(t), postgrestest.EmptyDatabase(t), filepath.Join(t.TempDir(), "backup")
	s := serve(t, "--database-url", url)
	_, slots := clinicWith(s, 2, 1)
	l := &load{}
	l.run(func() *server { return s }, slots, s.patients(4))
	require.Eventually(t, func() bool { return l.bookings() >= 20 }, patience, 10*time.Millisecond)
	before := l.bookings()
	saved := succeeded(t, "backup", file, "--database-url", url)
	require.Contains(t, saved, "is NOT in the file")
	require.Eventually(t, func() bool { return l.bookings() > before+5 }, patience, 10*time.Millisecond, "bookings go on meanwhile")
	l.end()
	next, _, _ := strings.Cut(strings.TrimPrefix(s.get("/v1/slots?limit=1").header.Get("Link"), "<"), ">")
	require.NotEmpty(t, next)
	require.Zero(t, s.stop(), s.logs)

	var r restored
	require.NoError(t, json.Unmarshal([]byte(succeeded(t, "restore", file, "--json", "--database-url", elsewhere)), &r))
	require.Equal(t, keyHere, r.Key)
	require.Greater(t, r.Floor, r.Position+spareOfTest)
	require.Less(t, oneRow[int](t, elsewhere, "select count(*) from slotbook.events"), oneRow[int](t, url, "select count(*) from slotbook.events"))
	audited(t, elsewhere)
	succeeded(t, "projections", "rebuild", "--all", "--database-url", elsewhere)
	succeeded(t, "projections", "verify", "--all", "--database-url", elsewhere)

	again := serve(t, "--database-url", elsewhere)
	require.Eventually(t, func() bool { return again.get("/readyz").status == http.StatusOK }, patience, 20*time.Millisecond)
	old := again.get(next)
	require.Equal(t, http.StatusUnprocessableEntity, old.status)
	require.Equal(t, "/problems/cursor.outdated", old.field("type"))
	who := again.post("/v1/patients", map[string]any{"name": "Ana"})
	require.Equal(t, http.StatusCreated, who.status)
	position, err := strconv.ParseUint(who.header.Get("Slotbook-Position"), 10, 64)
	require.NoError(t, err)
	require.Greater(t, position, r.Floor, "nothing is recorded where somebody may have seen something else")
	require.Zero(t, again.stop(), again.logs)
	audited(t, elsewhere)

	full := execute(t, "restore", file, "--database-url", elsewhere)
	require.Equal(t, 2, full.status)
	require.Contains(t, full.err, "a backup is restored into an empty one")
	taken := execute(t, "backup", file, "--database-url", elsewhere)
	require.Equal(t, 2, taken.status)
	require.Contains(t, taken.err, "the file exists already")
}

// spareOfTest is how many positions a restore leaves out at least.
const spareOfTest = 1_000_000

func TestARestoreThatIsKilledLeavesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	url, file := postgrestest.EmptyDatabase(t), filepath.Join(t.TempDir(), "backup")
	succeeded(t, "backup", file, "--database-url", weeks(t))
	cmd := process(t, os.Args[0], "restore", file, "--json", "--database-url", url) // what is shipped may be done before it is killed
	told, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.True(t, bufio.NewScanner(told).Scan(), "the first progress")
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	if cmd.ProcessState.Success() {
		t.Skip("the restore was faster than its end")
	}
	require.Eventually(t, func() bool { // the server notices that the client has gone
		return oneRow[int](t, url, "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()") == 0
	}, patience, 10*time.Millisecond)
	require.Zero(t, oneRow[int](t, url, "select count(*) from slotbook.events"))
	require.Contains(t, succeeded(t, "restore", file, "--database-url", url), "restored")
	out, err := program(t, "audit", "--demo", "--database-url", url).CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestABackupThatIsNotWholeChangesNothing(t *testing.T) {
	t.Parallel()
	url, empty, file := postgrestest.Database(t), postgrestest.EmptyDatabase(t), filepath.Join(t.TempDir(), "backup")
	succeeded(t, "backup", file, "--database-url", url)
	whole, err := os.ReadFile(file) //nolint:gosec // of this test
	require.NoError(t, err)
	altered := bytes.Clone(whole)
	altered[len(altered)/2] ^= 1
	for _, content := range [][]byte{whole[:len(whole)/2], whole[:len(whole)-1], altered} {
		require.NoError(t, os.WriteFile(file, content, 0o600))
		done := execute(t, "restore", file, "--database-url", empty)
		require.NotZero(t, done.status)
		require.Contains(t, done.err, "the backup is not complete, or was altered: nothing of it can be used")
		require.False(t, oneRow[bool](t, empty, "select to_regnamespace('slotbook') is not null"))
	}
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	require.Contains(t, execute(t, "restore", file, "--database-url", empty).err, "is no backup of Slotbook")
}

func TestWithoutItsMasterKeyARestoredStoreStaysClosed(t *testing.T) {
	t.Parallel()
	url, file := postgrestest.Database(t), filepath.Join(t.TempDir(), "backup")
	s := serve(t, "--database-url", url)
	who := s.patient("Ana Sousa")
	require.Zero(t, s.stop())
	succeeded(t, "backup", file, "--database-url", url)

	elsewhere, folder := postgrestest.EmptyDatabase(t), dataDir(t)
	cmd := program(t, "restore", file, "--database-url", elsewhere, "--data-dir", folder)
	cmd.Env = append(cmd.Env, "SLOTBOOK_MASTER_KEY=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "personal text stays closed")
	require.NoFileExists(t, filepath.Join(folder, "master.key"))
	other := execute(t, "serve", "--listen", "127.0.0.1:0", "--database-url", elsewhere, "--master-key", strings.Repeat("00", 32))
	require.Equal(t, 2, other.status)
	require.Contains(t, other.err, "the master key is not the one")
	again := serve(t, "--database-url", elsewhere)
	require.Equal(t, "Ana Sousa", again.get("/v1/patients/"+who).field("name"))
	require.Zero(t, again.stop())
}

func TestABackupMayBringItsMasterKey(t *testing.T) {
	t.Parallel()
	url, file := postgrestest.Database(t), filepath.Join(t.TempDir(), "backup")
	s := serve(t, "--database-url", url)
	require.Zero(t, s.stop())
	wrong := execute(t, "backup", file, "--with-keys", "--database-url", url, "--master-key", strings.Repeat("00", 32))
	require.Equal(t, 2, wrong.status)
	require.Contains(t, wrong.err, "is not the one of this store")
	require.NoFileExists(t, file)
	succeeded(t, "backup", file, "--with-keys", "--database-url", url)

	elsewhere, folder := postgrestest.EmptyDatabase(t), dataDir(t)
	other := execute(t, "restore", file, "--database-url", elsewhere, "--master-key", strings.Repeat("00", 32))
	require.Equal(t, 2, other.status)
	require.Contains(t, other.err, "another one is in use here")
	cmd := program(t, "restore", file, "--database-url", elsewhere, "--data-dir", folder)
	cmd.Env = append(cmd.Env, "SLOTBOOK_MASTER_KEY=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	text, err := os.ReadFile(filepath.Join(folder, "master.key")) //nolint:gosec // of this test
	require.NoError(t, err)
	require.Equal(t, key, strings.TrimSpace(string(text)))
}

// An epoch that somebody begins by hand refuses what was read before.
func TestAnotherEpochRefusesReadModelsUntilTheyAreRebuilt(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	s.patient("Ana")
	require.Eventually(t, func() bool { return s.get("/readyz").status == http.StatusOK }, patience, 20*time.Millisecond)
	require.Contains(t, succeeded(t, "store", "renew", "--above", "5000000", "--database-url", url), "go on above 7000000")
	require.Contains(t, s.get("/readyz").text, "start it again", "a process that runs says so")
	require.Zero(t, s.stop())
	again := serve(t, "--database-url", url)
	ready := again.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, ready.status)
	require.Contains(t, ready.text, "rebuild")
	require.Equal(t, "/problems/projection.rebuild", again.get("/v1/patients?q=ana").field("type"))
	require.Contains(t, succeeded(t, "projections", "status", "--database-url", url), "rebuild it: it was built from another epoch")
	require.Contains(t, again.logs.String(), "rebuild")
	succeeded(t, "projections", "rebuild", "--all", "--database-url", url)
	require.Eventually(t, func() bool { return again.get("/readyz").status == http.StatusOK }, patience, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, again.get("/v1/patients?q=ana").status)
	require.Zero(t, again.stop())
}

func TestAProcessThatOnlyReadsServesReadsAndRefusesCommands(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	clinic, slots := clinicWith(s, 1, 1)
	who := s.patient("Ana")
	require.Zero(t, s.stop())
	reading := serve(t, "--read-only", "--database-url", url)
	require.Eventually(t, func() bool { return reading.get("/readyz").status == http.StatusOK }, patience, 20*time.Millisecond)
	require.Equal(t, http.StatusOK, reading.get("/v1/slots?clinicId="+clinic).status)
	require.Equal(t, http.StatusOK, reading.get("/v1/slots/"+slots[0]).status)
	refused := reading.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": who})
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Equal(t, "/problems/process.read-only", refused.field("type"))
	require.Equal(t, http.StatusOK, reading.post("/v1/appointments?dryRun=true", map[string]any{"slotId": slots[0], "patientId": who}).status)
	require.Zero(t, reading.stop())
	demo := execute(t, "serve", "--read-only", "--demo")
	require.Equal(t, 2, demo.status)
	require.Contains(t, demo.err, "it does not go with --demo")
}
