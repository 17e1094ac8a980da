package archive_test

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/archive"
)

// A disk that is full in the middle, or at the very end, leaves nothing that
// looks like a backup.
func TestAFullDiskLeavesNoFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("this user may not mount a small disk:", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, 0)) })
	for _, size := range []int64{4 << 20, 1<<20 - 64} { // the second leaves no room for the manifest
		path := filepath.Join(folder, "backup")
		w, err := archive.Create(path)
		require.NoError(t, err)
		err = w.Table("noise", []string{"a"}, func(out io.Writer) error {
			_, err := io.CopyN(out, rand.Reader, size)
			return err
		})
		if err == nil {
			_, _, err = w.Commit(archive.Manifest{})
		} else {
			w.Abort()
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}
