package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// largestManifest is how far from the end a manifest may begin, in bytes.
const largestManifest = 1 << 20

// Reader reads a file. It is not safe for concurrent use.
type Reader struct {
	Manifest Manifest

	file  *os.File
	size  int64 // without the last line
	begin int64 // of the tables
	sum   string
}

// Open opens a file and reads its manifest, which is worth nothing before
// [Reader.Prove]. The caller closes the reader. Errors: [ErrNoBackup],
// [ErrNewer], [ErrDamaged].
func Open(path string) (*Reader, error) {
	file, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	r := &Reader{file: file}
	if err := r.open(); err != nil {
		_ = file.Close() // it was only read
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func (r *Reader) open() error {
	head := make([]byte, len(magic)+8)
	n, _ := io.ReadFull(r.file, head) // what is short is no backup
	first, _, ended := strings.Cut(string(head[:n]), "\n")
	number, ok := strings.CutPrefix(first, magic)
	format, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || !ended:
		return ErrNoBackup
	case format > Format:
		return ErrNewer
	}
	r.begin = int64(len(first) + 1)
	return r.readManifest()
}

func (r *Reader) readManifest() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	end := make([]byte, min(info.Size()-r.begin, largestManifest))
	if _, err := r.file.ReadAt(end, info.Size()-int64(len(end))); err != nil {
		return err
	}
	if len(end) < sumLength {
		return damaged("it ends too early")
	}
	last := string(end[len(end)-sumLength:])
	sum, ok := strings.CutPrefix(last, sumPrefix)
	if !ok || !strings.HasSuffix(last, "\n") {
		return damaged("its last line is missing")
	}
	r.sum, r.size = strings.TrimSuffix(sum, "\n"), info.Size()-int64(sumLength)
	manifest := bytes.TrimSuffix(end[:len(end)-sumLength], []byte{'\n'})
	manifest = manifest[bytes.LastIndexByte(manifest, '\n')+1:]
	if json.Unmarshal(manifest, &r.Manifest) != nil {
		return damaged("its manifest cannot be read")
	}
	return nil
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// Prove reads the whole file and reports whether every byte is what was written.
// Errors: [ErrDamaged].
func (r *Reader) Prove(ctx context.Context) error {
	sum, buffer := sha256.New(), make([]byte, 1<<20)
	for rest := io.NewSectionReader(r.file, 0, r.size); ; {
		n, err := rest.Read(buffer)
		sum.Write(buffer[:n])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF:
			if hex.EncodeToString(sum.Sum(nil)) != r.sum {
				return damaged("its bytes are not those that were written")
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// Tables hands table after table to take, which reads all rows. Each is compared
// with what the manifest says of it. Errors: [ErrDamaged].
func (r *Reader) Tables(take func(t Table, rows io.Reader) error) error {
	packed, err := gzip.NewReader(bufio.NewReaderSize(io.NewSectionReader(r.file, r.begin, r.size-r.begin), 1<<20))
	if err != nil {
		return damaged(err.Error())
	}
	packed.Multistream(false)
	in := bufio.NewReaderSize(packed, 1<<20)
	for _, t := range r.Manifest.Tables {
		if err := oneTable(in, t, take); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return damaged("it holds more than its manifest says")
	}
	return nil
}

func oneTable(in *bufio.Reader, t Table, take func(t Table, rows io.Reader) error) error {
	text, err := in.ReadBytes('\n')
	var named Table
	if err != nil || json.Unmarshal(text, &named) != nil || named.Name != t.Name || !slices.Equal(named.Columns, t.Columns) {
		return damaged("the table " + t.Name + " is not where its manifest says")
	}
	rows := &section{in: in, lineBegins: true, sum: sha256.New()}
	if err := take(t, rows); err != nil {
		return err
	}
	if !rows.ended || rows.rows != t.Rows || rows.bytes != t.Bytes || hex.EncodeToString(rows.sum.Sum(nil)) != t.SHA256 {
		return damaged("the rows of " + t.Name + " are not those that were written")
	}
	return nil
}

// section reads the rows of one table.
type section struct {
	in          *bufio.Reader
	pending     []byte // read, and not handed on yet
	lineBegins  bool
	ended       bool
	sum         hash.Hash
	rows, bytes int64
}

// Read fills p as far as there are rows.
func (s *section) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(s.pending) == 0 {
			if err := s.next(); err != nil {
				return n, err
			}
		}
		if s.ended {
			break
		}
		taken := copy(p[n:], s.pending)
		s.pending, n = s.pending[taken:], n+taken
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next reads a line, or a part of a long one.
func (s *section) next() error {
	if s.ended {
		return nil
	}
	part, err := s.in.ReadSlice('\n')
	whole := err == nil
	if err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // readers return the very value
		return damaged("it ends within a table")
	}
	if s.lineBegins && string(part) == endOfTable {
		s.ended = true
		return nil
	}
	s.sum.Write(part)
	s.bytes += int64(len(part))
	if whole {
		s.rows++
	}
	s.pending, s.lineBegins = part, whole
	return nil
}
