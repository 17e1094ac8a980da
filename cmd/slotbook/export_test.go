package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// TestAnExportNamesNobody exports a made-up year in every way that is text, and
// looks for every patient.
func TestAnExportNamesNobody(t *testing.T) {
	t.Parallel()
	at := []string{"--database-url", postgrestest.Database(t), "--data-dir", dataDir(t)}
	s := serve(t, at...)
	_, slots := clinicWith(s, 2, 1)
	var persons []string
	for i, slot := range slots[:2] {
		who := s.patient([]string{"Ana Unmistakable", "Rui Unmistakable"}[i])
		persons = append(persons, who, "Unmistakable")
		require.Equal(t, 201, s.post("/v1/appointments", map[string]any{"slotId": slot, "patientId": who, "reason": "Unmistakable"}).status)
	}
	require.Zero(t, s.stop())
	for _, more := range [][]string{
		{"--format", "ndjson", "--partition", "day"},
		{"--format", "csv"},
		{"--format", "parquet"},
		{"--format", "csv", "--facts", "appointments"},
		{"--format", "ndjson", "--facts", "availability"},
		{"--format", "ndjson", "--facts", "due"},
		{"--format", "parquet", "--facts", "appointments"},
		{"--format", "parquet", "--facts", "kpis"},
	} {
		for _, pseudonyms := range []bool{false, true} {
			if pseudonyms && more[1] != "ndjson" {
				continue // the format makes no difference to them
			}
			to := filepath.Join(t.TempDir(), "out")
			args := append(append([]string{"events", "export", "--to", to}, more...), at...)
			if pseudonyms {
				args = append(args, "--pseudonyms")
			}
			done := execute(t, args...)
			require.Zero(t, done.status, "%v: %s", more, done.err)
			require.Contains(t, done.out, "chain")
			before := exported(t, to)
			require.NotEmpty(t, before)
			for _, person := range persons {
				require.NotContains(t, before, person, "%v", args)
			}
			require.Zero(t, execute(t, append(args, "--as-of", positionOf(done.out))...).status)
			require.Equal(t, before, exported(t, to))
		}
	}
	require.Equal(t, 2, execute(t, append([]string{"events", "export", "--to", t.TempDir(), "--facts", "patients"}, at...)...).status)
	require.Equal(t, 2, execute(t, append([]string{"events", "export", "--to", t.TempDir(), "--facts", "nothing"}, at...)...).status)
	require.Equal(t, 2, execute(t, append([]string{"events", "export", "--to", t.TempDir(), "--as-of", "999999"}, at...)...).status)
	require.Equal(t, 2, execute(t, append([]string{"events", "export", "--to", "/usr"}, at...)...).status, "somebody's folder")
}

func positionOf(said string) string {
	_, rest, _ := strings.Cut(said, "position ")
	return strings.Fields(rest)[0]
}

// exported is all that a folder holds.
func exported(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // the test's own
		all.WriteString(path + "\n" + string(data))
		return err
	}))
	return all.String()
}
