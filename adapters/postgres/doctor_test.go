package postgres_test

import (
	"context"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

var update = flag.Bool("update", false, "write schema.txt as the migrations make it")

func connected(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestTheListOfWhatTheMigrationsMakeIsTrue(t *testing.T) {
	t.Parallel()
	rows, _ := connected(t, postgrestest.Database(t)).Query(t.Context(), postgres.StructureSQL)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	made := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("schema.txt", []byte(made), 0o600))
	}
	written, err := os.ReadFile("schema.txt")
	require.NoError(t, err)
	require.Equal(t, made, string(written), "go test ./adapters/postgres -run ListOfWhat -update writes it")
}

// named returns a finding.
func named(t *testing.T, all []postgres.Finding, area, check string) postgres.Finding {
	t.Helper()
	i := slices.IndexFunc(all, func(f postgres.Finding) bool { return f.Area == area && f.Check == check })
	require.GreaterOrEqual(t, i, 0, "%s %s is not in %v", area, check, all)
	return all[i]
}

func TestADoctorFindsWhatSomebodyHasBroken(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	whole := postgres.Examine(t.Context(), url, true)
	for _, f := range whole {
		// The tests' own server is made without durability.
		if f.State == postgres.Wrong && f.Check != "fsync" && f.Check != "full_page_writes" {
			require.Fail(t, "a fresh database is fine", "%+v", f)
		}
		require.Equal(t, f.State == postgres.OK, f.Do == "", "%+v", f)
	}
	conn := connected(t, url)
	for _, sql := range []string{
		"alter table slotbook.events disable trigger events_only_grow",
		"drop index slotbook.deadline_attempt_settled",
		"alter table slotbook.picture set (autovacuum_enabled = false)",
		"alter table slotbook.person_key set (autovacuum_enabled = off)",
		"create index person_key_ccnew on slotbook.person_key (person)",
		"update pg_index set indisvalid = false where indexrelid = 'slotbook.person_key_ccnew'::regclass",
		"alter database " + conn.Config().Database + " set synchronous_commit = off",
		"update pg_index set indisvalid = false where indexrelid = 'slotbook.person_key_pkey'::regclass",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	broken := postgres.Examine(t.Context(), url, true)
	tables := named(t, broken, "schema", "tables")
	require.Equal(t, postgres.Wrong, tables.State)
	require.Contains(t, tables.Text, "trigger events.events_only_grow")
	require.Contains(t, tables.Text, "index deadline_attempt.deadline_attempt_settled")
	require.Contains(t, named(t, broken, "schema", "indexes").Text, "person_key_pkey")
	require.Equal(t, "run: drop index slotbook.person_key_ccnew; reindex index concurrently slotbook.person_key_pkey", named(t, broken, "schema", "indexes").Do)
	for _, table := range []string{"slotbook.picture", "slotbook.person_key"} {
		require.Equal(t, "run: alter table "+table+" reset (autovacuum_enabled)", named(t, broken, "vacuum", table).Do)
	}
	require.Contains(t, named(t, broken, "settings", "synchronous_commit").Do, "may be lost")

	_, err := conn.Exec(t.Context(), "update slotbook.schema_version set version = 3")
	require.NoError(t, err)
	require.Contains(t, named(t, postgres.Examine(t.Context(), url, true), "schema", "version").Do, "slotbook migrate")
	_, err = conn.Exec(t.Context(), "update slotbook.schema_version set version = 999")
	require.NoError(t, err)
	require.Contains(t, named(t, postgres.Examine(t.Context(), url, true), "schema", "version").Do, "newer program")
	empty := postgres.Examine(t.Context(), postgrestest.EmptyDatabase(t), true)
	require.Contains(t, named(t, empty, "server", "extension cube").Do, "create extension cube")
	away := postgres.Examine(t.Context(), "postgres://127.0.0.1:1/x", true)
	require.Equal(t, postgres.Wrong, named(t, away, "server", "connection").State)
}

func TestADoctorSaysWhatARoleMayNotDo(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	conn := connected(t, url)
	role := "role_of_" + conn.Config().Database
	for _, sql := range []string{"create role " + role + " login password 'x'", "grant usage on schema slotbook to " + role} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	t.Cleanup(func() { // before the connection ends
		_, err := conn.Exec(context.Background(), "drop owned by "+role+"; drop role "+role, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err)
	})
	all := postgres.Examine(t.Context(), url+"&options=-c%20role%3D"+role, false)
	if named(t, all, "server", "version").State != postgres.OK {
		t.Skip("the address takes no options")
	}
	require.Equal(t, "run: grant create on database "+conn.Config().Database+" to "+role, named(t, all, "roles", "read models").Do)
	require.Contains(t, named(t, all, "roles", "tables").Text, "events")
}
