package archive_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/archive"
)

var tables = map[string]string{
	"empty":  "",
	"events": "1\tslot-1\t{\"a\":\"x\\ny\"}\n2\t\\\\.\t\\N\n" + strings.Repeat("long ", 1<<19) + "\n",
}

func written(t *testing.T, path string) archive.Manifest {
	t.Helper()
	w, err := archive.Create(path)
	require.NoError(t, err)
	for _, name := range []string{"empty", "events"} {
		require.NoError(t, w.Table(name, []string{"a", "b"}, func(out io.Writer) error {
			_, err := io.WriteString(out, tables[name])
			return err
		}))
	}
	_, m, err := w.Commit(archive.Manifest{Program: "v1", TakenAt: time.Unix(1, 0).UTC(), Schema: 10, Store: "s", Position: 3})
	require.NoError(t, err)
	return m
}

// read reads a file as a restore does.
func read(t *testing.T, path string) (map[string]string, error) {
	t.Helper()
	r, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { require.NoError(t, r.Close()) }()
	if err := r.Prove(t.Context()); err != nil {
		return nil, err
	}
	got := map[string]string{}
	err = r.Tables(func(table archive.Table, rows io.Reader) error {
		text, err := io.ReadAll(rows)
		got[table.Name] = string(text)
		return err
	})
	return got, err
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "backup")
	m := written(t, path)
	require.Equal(t, int64(3), m.Tables[1].Rows)
	r, err := archive.Open(path)
	require.NoError(t, err)
	require.Equal(t, m, r.Manifest)
	require.NoError(t, r.Close())
	got, err := read(t, path)
	require.NoError(t, err)
	require.Equal(t, tables, got)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode(), "it holds what is sealed, and perhaps the master key")
	_, err = archive.Create(path)
	require.ErrorIs(t, err, archive.ErrExists)
}

// Every byte that is lost or other than it was makes the whole file worthless.
func TestAFileThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "backup")
	written(t, path)
	whole, err := os.ReadFile(path) //nolint:gosec // of this test
	require.NoError(t, err)
	try := func(content []byte, what string, at int) {
		other := filepath.Join(folder, "other")
		require.NoError(t, os.WriteFile(other, content, 0o600))
		_, err := read(t, other)
		known := errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrNoBackup) || errors.Is(err, archive.ErrNewer)
		require.True(t, known, "%s at %d: %v", what, at, err)
	}
	for n := 0; n < len(whole); n += 1 + n/7 {
		try(whole[:n], "cut", n)
	}
	try(whole[:len(whole)-1], "cut", len(whole)-1)
	try(append(bytes.Clone(whole), 'x'), "longer", len(whole))
	for range 300 {
		at := rand.IntN(len(whole)) //nolint:gosec // any byte
		changed := bytes.Clone(whole)
		changed[at] ^= 1 << rand.IntN(8) //nolint:gosec // any bit
		try(changed, "changed", at)
	}
	try([]byte("something else entirely"), "no backup", 0)
	try(nil, "nothing", 0)
	try(bytes.Replace(whole, []byte("backup 1"), []byte("backup 2"), 1), "newer", 0)
}

func TestWhatFailedLeavesNoFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w, err := archive.Create(filepath.Join(folder, "backup"))
	require.NoError(t, err)
	require.Error(t, w.Table("events", []string{"a"}, func(io.Writer) error { return errors.New("lost") }))
	w.Abort()
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = archive.Create(filepath.Join(folder, "missing", "backup"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
