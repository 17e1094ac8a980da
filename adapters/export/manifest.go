package export

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"

	"github.com/slotbook/slotbook/domain"
)

// ManifestName is the name of the manifest in its folder.
const ManifestName = "manifest.json"

const manifestVersion = 1

// Manifest says what a folder holds. It depends on what was exported, and not on
// when.
type Manifest struct {
	Version    int             `json:"version"`  // of the manifest's own form
	What       string          `json:"what"`     // "events", or the name of a read model
	Complete   bool            `json:"complete"` // everything up to the position is there
	Position   domain.Position `json:"position"` // of the last event that counts
	FirstEvent string          `json:"firstEvent,omitempty"`
	Format     Format          `json:"format"`
	Partition  Partition       `json:"partition,omitempty"`
	Persons    string          `json:"persons"` // "left out", or that there are pseudonyms, and of which key
	Rows       int             `json:"rows"`
	Types      []Type          `json:"types,omitempty"`
	Files      []File          `json:"files"` // by day and path
	Chain      string          `json:"chain"` // of the last file: the same chain, the same files
}

// Type is what is there of one event type.
type Type struct {
	Type    string   `json:"type"`
	Version int      `json:"version"` // of its shape
	Rows    int      `json:"rows"`
	Digest  string   `json:"digest"` // of its events, whatever the format and the partition
	Columns []Column `json:"columns"`
}

// Column is a column of an event type. Types: string, int64, double, boolean,
// timestamp (UTC microseconds), list<...>, struct<...>.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// File is a file that is whole.
type File struct {
	Path   string             `json:"path"` // with slashes
	Day    string             `json:"day,omitempty"`
	Rows   int                `json:"rows"`
	Bytes  int64              `json:"bytes"`
	SHA256 string             `json:"sha256"`
	First  domain.Position    `json:"first,omitempty"`
	Last   domain.Position    `json:"last,omitempty"`
	Types  map[string]TypeSum `json:"types,omitempty"`
	Chain  string             `json:"chain"` // SHA-256 of the chain before, the path and the file's SHA-256, a line each
}

// TypeSum is what a file holds of one event type.
type TypeSum struct {
	Rows   int    `json:"rows"`
	Digest string `json:"digest"`
}

// sum is a digest of lines in any order: the sum of their SHA-256, modulo 2^256.
// So those of files add up to that of the whole.
type sum struct {
	rows  int
	total big.Int
}

func (s *sum) add(line []byte) {
	h := sha256.Sum256(line)
	s.rows++
	s.plus(new(big.Int).SetBytes(h[:]))
}

func (s *sum) plus(n *big.Int) {
	s.total.Add(&s.total, n)
	s.total.SetBit(&s.total, 256, 0)
}

// String returns 64 hexadecimal digits.
func (s *sum) String() string { return fmt.Sprintf("%064x", &s.total) }

// resume reads what an earlier run has left, and keeps what is whole of it.
func (x *exporter) resume() error {
	if err := os.MkdirAll(x.config.Folder, 0o755); err != nil { //nolint:gosec // for analysts to read
		return err
	}
	earlier, err := readManifest(x.config.Folder)
	if err != nil {
		return err
	}
	if earlier.Version == 0 {
		return x.save() // from now on the folder is ours
	}
	if !x.manifest.continues(earlier) {
		return ErrFolder
	}
	if err := tidy(x.config.Folder); err != nil {
		return err
	}
	kept := earlier.Files
	whole := !slices.ContainsFunc(kept, func(f File) bool { return !f.isThere(x.config.Folder) })
	if whole && earlier.Complete && earlier.Position == x.config.Until {
		x.manifest.Files, x.at = kept, x.config.Until
		return nil
	}
	if x.config.Partition == ByDay {
		kept = x.keepDays(earlier)
	} else if earlier.Position != x.config.Until {
		kept = nil // every type may have grown
	}
	kept = slices.DeleteFunc(slices.Clone(kept), func(f File) bool { return !f.isThere(x.config.Folder) })
	x.manifest.Files = kept
	x.skip = map[string]bool{}
	for _, f := range kept {
		if x.config.Partition == ByDay {
			x.at = max(x.at, f.Last)
			continue
		}
		for name := range f.Types {
			x.skip[name] = true
		}
	}
	return x.save()
}

// readManifest returns the manifest of a folder: one of no version when the
// folder is empty.
func readManifest(folder string) (Manifest, error) {
	var m Manifest
	data, err := os.ReadFile(filepath.Join(folder, ManifestName)) //nolint:gosec // where the operator said
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(folder)
		if err == nil && len(entries) > 0 {
			err = ErrFolder
		}
		return m, err
	}
	if err != nil {
		return m, err
	}
	if json.Unmarshal(data, &m) != nil || m.Version != manifestVersion {
		return m, ErrFolder
	}
	return m, nil
}

// continues reports whether an export goes on with what an earlier one left.
func (m *Manifest) continues(earlier Manifest) bool {
	return earlier.What == m.What && earlier.FirstEvent == m.FirstEvent && earlier.Format == m.Format && earlier.Partition == m.Partition &&
		earlier.Persons == m.Persons && earlier.Position <= m.Position
}

// keepDays returns the files of the days before the first that is not whole.
// The last day of an earlier export up to an earlier position may have grown.
func (x *exporter) keepDays(earlier Manifest) []File {
	open := "9" // after every day
	for _, f := range earlier.Files {
		if !f.isThere(x.config.Folder) {
			open = min(open, f.Day)
		}
	}
	if n := len(earlier.Files); n > 0 && (!earlier.Complete || earlier.Position != x.config.Until) {
		open = min(open, earlier.Files[n-1].Day)
	}
	return slices.DeleteFunc(slices.Clone(earlier.Files), func(f File) bool { return f.Day >= open })
}

// closeFiles makes the open files whole and lists them.
func (x *exporter) closeFiles() error {
	for _, path := range slices.Sorted(maps.Keys(x.files)) {
		f, err := x.files[path].finish()
		if err != nil {
			return err
		}
		delete(x.files, path)
		x.manifest.Files = append(x.manifest.Files, f)
		x.unsaved++
	}
	if x.unsaved == 0 || len(x.manifest.Files) > saveAlways && x.unsaved < len(x.manifest.Files)/saveAlways {
		return nil
	}
	return x.save()
}

// saveAlways is up to how many files the manifest is saved after every day; with
// more it is saved when it has grown by a part of itself, so that saving stays
// small beside writing.
const saveAlways = 100

// save writes the manifest as it is now.
func (x *exporter) save() error {
	m := &x.manifest
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Path, b.Path)) })
	m.Rows, m.Chain = 0, ""
	totals := map[string]*sum{}
	for i := range m.Files {
		f := &m.Files[i]
		f.Chain = chained(m.Chain, *f)
		m.Chain = f.Chain
		m.Rows += f.Rows
		for name, part := range f.Types {
			if totals[name] == nil {
				totals[name] = &sum{}
			}
			n, _ := new(big.Int).SetString(part.Digest, 16)
			if n == nil {
				return ErrFolder
			}
			totals[name].rows += part.Rows
			totals[name].plus(n)
		}
	}
	m.Types = nil
	for _, name := range slices.Sorted(maps.Keys(totals)) {
		t, err := x.table(name)
		if err != nil {
			return err
		}
		m.Types = append(m.Types, Type{name, VersionOf(name), totals[name].rows, totals[name].String(), t.described()})
	}
	x.unsaved = 0
	return m.write(x.config.Folder)
}

func (m *Manifest) write(folder string) error {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	lines.SetEscapeHTML(false)
	lines.SetIndent("", " ")
	if err := lines.Encode(m); err != nil {
		return err
	}
	return writeWhole(filepath.Join(folder, ManifestName), text.Bytes())
}

func chained(before string, f File) string {
	h := sha256.Sum256([]byte(before + "\n" + f.Path + "\n" + f.SHA256 + "\n"))
	return hex.EncodeToString(h[:])
}

// finish makes everything whole.
func (x *exporter) finish() (Manifest, error) {
	if err := x.closeFiles(); err != nil {
		return Manifest{}, err
	}
	x.manifest.Complete = true
	return x.manifest, x.save()
}

// abandon removes what did not become whole.
func (x *exporter) abandon() {
	for _, f := range x.files {
		f.abandon()
	}
}
