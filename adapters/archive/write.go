package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

// Writer writes a file. It is not safe for concurrent use.
type Writer struct {
	path   string
	file   *os.File // under another name, in the same folder
	sum    hash.Hash
	raw    *bufio.Writer // to the file and its sum
	packed *gzip.Writer
	tables []Table
}

// Create begins a file. Until [Writer.Commit] it has another name, which ends in
// unfinished and a number. Errors: [ErrExists].
func Create(path string) (*Writer, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrExists, path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".unfinished-*") // for its owner alone
	if err != nil {
		return nil, err
	}
	w := &Writer{path: path, file: file, sum: sha256.New()}
	w.raw = bufio.NewWriterSize(io.MultiWriter(file, w.sum), 1<<20)
	w.packed, _ = gzip.NewWriterLevel(w.raw, gzip.BestSpeed) // the level is one
	if _, err := fmt.Fprintf(w.raw, "%s%d\n", magic, Format); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// Table writes a table: fill writes its rows as COPY does.
func (w *Writer) Table(name string, columns []string, fill func(io.Writer) error) error {
	table := Table{Name: name, Columns: columns}
	if _, err := w.packed.Write(line(table)); err != nil {
		return err
	}
	rows := &counted{w: w.packed, sum: sha256.New()}
	if err := fill(rows); err != nil {
		return err
	}
	if _, err := io.WriteString(w.packed, endOfTable); err != nil {
		return err
	}
	table.Rows, table.Bytes, table.SHA256 = rows.rows, rows.bytes, hex.EncodeToString(rows.sum.Sum(nil))
	w.tables = append(w.tables, table)
	return nil
}

// counted counts rows on their way.
type counted struct {
	w           io.Writer
	sum         hash.Hash
	rows, bytes int64
}

// Write passes on.
func (c *counted) Write(p []byte) (int, error) {
	c.sum.Write(p)
	c.rows += int64(bytes.Count(p, []byte{'\n'}))
	c.bytes += int64(len(p))
	return c.w.Write(p)
}

// Commit writes the manifest, whose format and tables it fills in, puts the file
// on disk, gives it its name, and returns how large it is. After an error there
// is no file of that name.
func (w *Writer) Commit(m Manifest) (int64, Manifest, error) {
	m.Format, m.Tables = Format, w.tables
	size, err := w.finish(m)
	if err != nil {
		w.Abort()
	}
	return size, m, err
}

func (w *Writer) finish(m Manifest) (int64, error) {
	if err := w.packed.Close(); err != nil {
		return 0, err
	}
	if _, err := w.raw.Write(append([]byte{'\n'}, line(m)...)); err != nil {
		return 0, err
	}
	if err := w.raw.Flush(); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(w.file, "%s%x\n", sumPrefix, w.sum.Sum(nil)); err != nil {
		return 0, err
	}
	if err := w.file.Sync(); err != nil {
		return 0, err
	}
	size, err := w.file.Seek(0, io.SeekCurrent)
	if err := errors.Join(err, w.file.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(w.file.Name(), w.path); err != nil {
		return 0, err
	}
	if err := syncFolder(filepath.Dir(w.path)); err != nil {
		return 0, errors.Join(err, os.Remove(w.path))
	}
	return size, nil
}

// syncFolder makes a name in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // the operator's own folder
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Abort gives up what was written.
func (w *Writer) Abort() {
	_ = w.file.Close()           // it is of no use, closed or not
	_ = os.Remove(w.file.Name()) // what stays has a name that says so
}
