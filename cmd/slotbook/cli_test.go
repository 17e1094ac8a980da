package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// executed is what a process that ended said.
type executed struct {
	status   int
	out, err string
}

func execute(t *testing.T, args ...string) executed {
	t.Helper()
	cmd := program(t, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	_ = cmd.Run() // the status says it
	return executed{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}

// dataDir returns a folder that the embedded server's user may enter.
func dataDir(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "slotbook-data-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // see above
	return folder
}

func TestWhatCannotWorkIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	latin := latinDatabase(t)
	other := dataDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(other, "postgres", "data"), 0o755))                                 //nolint:gosec // see dataDir
	require.NoError(t, os.WriteFile(filepath.Join(other, "postgres", "data", "PG_VERSION"), []byte("9.6\n"), 0o600)) // of another world
	missing := filepath.Join(dataDir(t), "missing")
	cases := []struct {
		what string
		args []string
		says string
	}{
		{"a wrong flag", []string{"serve", "--lisen", "x"}, "unknown flag --lisen"},
		{"a wrong command", []string{"sevre"}, "unexpected argument sevre"},
		{"an unknown event store", []string{"serve", "--event-store", "stone"}, "--event-store"},
		{"a port in use", []string{"serve", "--listen", taken.Addr().String()}, "cannot listen on " + taken.Addr().String()},
		{"a profile in no folder", []string{"serve", "--listen", "127.0.0.1:0", "--cpu-profile", filepath.Join(t.TempDir(), "none", "x")}, "--cpu-profile"},
		{"an unreachable database", []string{"serve", "--listen", "127.0.0.1:0", "--database-url", "postgres://127.0.0.1:1/x"}, "reach"},
		{"a database without a UTF-8 locale", []string{"audit", "--database-url", latin}, "UTF-8"},
		{"a master key that is none", []string{"serve", "--listen", "127.0.0.1:0", "--database-url", latin, "--master-key", "x"}, "64 hexadecimal digits"},
		{"an audit of a folder that is missing", []string{"audit", "--data-dir", missing}, "there is no database in the folder " + missing},
		{"an audit of a database that was never used", []string{"audit", "--database-url", postgrestest.EmptyDatabase(t)}, "holds no Slotbook log"},
		{"an origin without a scheme", []string{"serve", "--cors-origins", "clinic.example"}, `"clinic.example" is neither * nor an origin`},
		{"a seed without demo data", []string{"serve", "--seed", "42"}, "it goes with --demo"},
		{"a seed that is no number", []string{"serve", "--demo", "--seed", "x"}, "--seed"},
		{"a manual clock of real data", []string{"serve", "--clock", "manual"}, "it goes with --demo"},
		{"an endpoint of traces that is none", []string{"serve", "--otlp-endpoint", "collector:4318"}, "--otlp-endpoint"},
		{"an endpoint of traces with a password", []string{"serve", "--otlp-endpoint", "https://ana:secret@collector"}, "no address such as"},
		{"a broker that is none", []string{"serve", "--forward-to", "broker:4222"}, "--forward-to: a broker is nats://"},
		{"a topic that is none", []string{"serve", "--forward-to", "nats://broker", "--forward-topic", "a b"}, "no name of a topic"},
		{"a time to wait below zero", []string{"serve", "--ready-lag=-1s"}, "--ready-lag"},
		{"another clock", []string{"serve", "--demo", "--clock", "sun"}, "--clock"},
		{"a data folder of another major version", []string{"migrate", "--data-dir", other}, "9.6"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			done := execute(t, c.args...)
			require.Equal(t, 2, done.status, done.err)
			last := done.err[strings.LastIndex(strings.TrimSpace(done.err), "\n")+1:]
			require.Contains(t, last, c.says)
			require.True(t, strings.HasPrefix(last, "slotbook: "), last)
			require.NotContains(t, done.err, "goroutine")
		})
	}
}

func TestAnAuditCreatesNothing(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	missing := filepath.Join(folder, "missing")
	require.Equal(t, 2, execute(t, "audit", "--data-dir", missing).status)
	require.NoDirExists(t, missing)
	require.Equal(t, 2, execute(t, "audit", "--data-dir", folder).status)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)

	url := postgrestest.EmptyDatabase(t)
	require.Equal(t, 2, execute(t, "audit", "--database-url", url).status)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	var schemas int
	require.NoError(t, conn.QueryRow(t.Context(), `select count(*) from pg_namespace where nspname not like 'pg\_%' and nspname not in ('public', 'information_schema')`).Scan(&schemas))
	require.Zero(t, schemas)
	require.NoError(t, conn.Close(t.Context()))
}

func TestOriginsAreOriginsOrAll(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"*", "https://clinic.example", "http://localhost:3000", "HTTPS://Clinic.Example", "http://[::1]:8080", "capacitor://localhost"} {
		require.NoError(t, checkOrigins([]string{"*", good}), good)
	}
	for _, bad := range []string{
		"", "null", "clinic.example", "//clinic.example", "localhost:3000", "https://", "https://clinic.example/", "https://clinic.example/app",
		"https://ana@clinic.example", "https://clinic.example?", "https://clinic.example#", " https://clinic.example",
		"https://*.clinic.example", "https://clinic.example:", "https://clinic.example:0", "https://clinic.example:65536", "https://clinic example",
	} {
		err := checkOrigins([]string{"*", bad})
		require.ErrorAs(t, err, &usageError{}, bad)
	}
}

// latinDatabase returns a database whose LC_CTYPE is C.
func latinDatabase(t *testing.T) string {
	t.Helper()
	url := postgrestest.EmptyDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	name := conn.Config().Database + "_latin"
	_, err = conn.Exec(t.Context(), "create database "+name+" template template0 lc_ctype 'C' lc_collate 'C'")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.Background() // the test's own has ended
		_, err := conn.Exec(ctx, "drop database "+name+" with (force)")
		require.NoError(t, err)
		require.NoError(t, conn.Close(ctx))
	})
	return strings.Replace(url, "/"+conn.Config().Database, "/"+name, 1)
}

func TestHelpNamesEveryVariable(t *testing.T) {
	t.Parallel()
	done := execute(t, "serve", "--help")
	require.Zero(t, done.status)
	for _, name := range []string{"SLOTBOOK_LISTEN", "SLOTBOOK_DATABASE_URL", "SLOTBOOK_DATA_DIR", "SLOTBOOK_EVENT_STORE", "SLOTBOOK_DEMO", "SLOTBOOK_CORS_ORIGINS", "SLOTBOOK_MASTER_KEY"} {
		require.Contains(t, done.out, name)
	}
	version := execute(t, "version")
	require.Zero(t, version.status)
	require.True(t, strings.HasPrefix(version.out, "slotbook "), version.out)
}

func TestOneFolderIsOneDatabase(t *testing.T) {
	t.Parallel()
	folder := dataDir(t)
	s := serve(t, "--demo", "--data-dir", folder)
	list := s.get("/v1/slots?limit=1")
	require.Equal(t, 200, list.status)
	running := execute(t, "audit", "--data-dir", folder)
	require.Zero(t, running.status, running.err)
	require.Contains(t, running.out, "I1 to I5 hold")
	require.Zero(t, s.stop(), s.logs)
	stopped := execute(t, "audit", "--data-dir", folder)
	require.Zero(t, stopped.status, stopped.err)
	require.Equal(t, running.out, stopped.out, "the audit starts the database for as long as it runs")
	again := serve(t, "--demo", "--data-dir", folder)
	require.Equal(t, running.out, execute(t, "audit", "--data-dir", folder).out, "the demo data is loaded once")
	require.Zero(t, again.stop(), again.logs)
}

func TestAnAuditThatFindsSomethingSaysSo(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	s := serve(t, "--database-url", url)
	_, slots := clinicWith(s, 1, 1)
	for range 2 {
		who := s.patient("Ana")
		if r := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": who}); r.status != 201 {
			require.Equal(t, 409, r.status, r.text)
		}
	}
	require.Zero(t, s.stop())
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `set session_replication_role = replica`) // the table refuses deletes otherwise
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `delete from slotbook.events where type = 'slot.booked'`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	done := execute(t, "audit", "--database-url", url)
	require.Equal(t, 1, done.status)
	require.Contains(t, done.out, "I3  a set went live without its claim on slot-")
	require.Contains(t, done.out, "appointment.proposed", "the evidence")
}

func TestAKeyFileThatOpensNothingIsTakenBack(t *testing.T) {
	t.Parallel()
	url, folder := postgrestest.Database(t), dataDir(t)
	require.Zero(t, serve(t, "--database-url", url).stop(), "it is used with a key")
	cmd := program(t, "projections", "status", "--database-url", url, "--data-dir", folder)
	cmd.Env = append(cmd.Env, "SLOTBOOK_MASTER_KEY=")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 2, cmd.ProcessState.ExitCode())
	require.Contains(t, string(out), "first used with a master key, and none is here")
	require.NoFileExists(t, filepath.Join(folder, "master.key"))
}

func TestRowsAndHeapFollowTheMemory(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	for memory, want := range map[uint64][2]int64{
		0: {64, 2048}, 512: {64, 256}, 2048: {128, 512}, 4096: {256, 1024}, 65536: {256, 2048},
	} {
		require.Equal(t, want, [2]int64{rowCache(memory*mebibyte) / mebibyte, heapLimit(memory*mebibyte) / mebibyte}, "of %d MiB", memory)
	}
}

func TestAProfileIsWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	s := serve(t, "--database-url", postgrestest.Database(t), "--cpu-profile", file)
	require.Zero(t, s.stop())
	profile, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "\x1f\x8b", string(profile[:2]), "gzip, as pprof has it")
}
