package export

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// rows writes events in a format.
type rows interface {
	add(t *table, r record) error
	close() error
}

// jsonRows writes a line for each event.
type jsonRows struct{ w io.Writer }

func (j jsonRows) add(t *table, r record) error {
	line, err := t.line(r)
	if err == nil {
		_, err = j.w.Write(line)
	}
	return err
}

func (jsonRows) close() error { return nil }

// partial ends the names of files that are not whole.
const partial = ".partial"

// file is a file on its way. It gets its name when it is whole.
type file struct {
	File
	folder string
	disk   *os.File
	buffer *bufio.Writer
	hash   hash.Hash
	rows   rows
	sums   map[string]*sum // by event type
}

// create begins a file of a folder.
func create(folder, path, day string, format Format, t *table) (*file, error) {
	whole := filepath.Join(folder, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(whole), 0o755); err != nil { //nolint:gosec // for analysts to read
		return nil, err
	}
	disk, err := os.Create(whole + partial) //nolint:gosec // where the operator said
	if err != nil {
		return nil, err
	}
	f := &file{File: File{Path: path, Day: day}, folder: folder, disk: disk, hash: sha256.New(), sums: map[string]*sum{}}
	f.buffer = bufio.NewWriterSize(io.MultiWriter(disk, f.hash), 64<<10)
	switch format {
	case Parquet:
		f.rows = newParquet(f.buffer, t)
	case CSV:
		f.rows, err = newCSV(f.buffer, t)
	case NDJSON:
		f.rows = jsonRows{f.buffer}
	}
	if err != nil {
		f.abandon()
	}
	return f, err
}

// add writes an event.
func (f *file) add(t *table, r record) error {
	if f.Rows++; f.Rows == 1 {
		f.First = r.Position
	}
	f.Last = r.Position
	line, err := t.line(r)
	if err != nil {
		return err
	}
	s := f.sums[t.eventType]
	if s == nil {
		s = &sum{}
		f.sums[t.eventType] = s
	}
	s.add(line)
	return f.rows.add(t, r)
}

// finish makes the file whole: its bytes are on the disk before it has its name.
func (f *file) finish() (File, error) {
	err := errors.Join(f.rows.close(), f.buffer.Flush(), f.disk.Sync())
	size, sized := f.disk.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, sized, f.disk.Close()); err != nil {
		return File{}, err
	}
	whole := filepath.Join(f.folder, filepath.FromSlash(f.Path))
	if err := os.Rename(whole+partial, whole); err != nil {
		return File{}, err
	}
	f.Bytes, f.SHA256 = size, hex.EncodeToString(f.hash.Sum(nil))
	f.Types = map[string]TypeSum{}
	for name, s := range f.sums {
		f.Types[name] = TypeSum{s.rows, s.String()}
	}
	return f.File, syncFolder(filepath.Dir(whole))
}

// abandon removes what is not whole.
func (f *file) abandon() {
	_ = f.disk.Close() // it is thrown away
	_ = os.Remove(f.disk.Name())
}

func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // where the operator said
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// writeWhole writes a file that has its name when it is whole.
func writeWhole(path string, data []byte) error {
	f, err := os.Create(path + partial) //nolint:gosec // where the operator said
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+partial, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// tidy removes what an interrupted run has left half-written.
func tidy(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, partial) {
			return err
		}
		return os.Remove(path)
	})
}

// isThere reports whether a file lies in the folder as the manifest has it.
func (m File) isThere(folder string) bool {
	f, err := os.Open(filepath.Join(folder, filepath.FromSlash(m.Path))) //nolint:gosec // where the operator said
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return err == nil && n == m.Bytes && hex.EncodeToString(h.Sum(nil)) == m.SHA256
}
