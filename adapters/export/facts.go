package export

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Facts says which rows of a read model are exported, and how.
type Facts struct {
	Model      string
	Folder     string
	Format     Format // NDJSON or CSV
	Position   domain.Position
	Pseudonyms []byte
	Tables     []FactTable
}

// FactTable is a table with its rows, in the order of their keys.
type FactTable struct {
	Name    string
	Columns []string
	Types   []reflect.Type
	Rows    func(f func(row json.RawMessage) error) error
}

// ErrFacts refuses what would name persons, or cannot be written.
var ErrFacts = errors.New("the facts of this read model are not exported in this form: ndjson and csv are, of every read model but patients")

// RunFacts exports the rows of a read model, a file for each table. Columns of
// sealed text are left out, and persons as [Run] leaves them out. A whole export
// is written again, with the same bytes. Errors: [ErrFacts], [ErrFolder].
func RunFacts(f Facts) (Manifest, error) {
	if f.Model == "patients" || f.Format == Parquet { // the one read model that holds opened text
		return Manifest{}, ErrFacts
	}
	if err := os.MkdirAll(f.Folder, 0o755); err != nil { //nolint:gosec // for analysts to read
		return Manifest{}, err
	}
	m := Manifest{
		Version: manifestVersion, What: f.Model, Position: f.Position, Format: f.Format, Persons: persons{f.Pseudonyms}.String(), Files: []File{},
	}
	earlier, err := readManifest(f.Folder)
	if err != nil {
		return Manifest{}, err
	}
	if earlier.Version != 0 && !m.continues(earlier) {
		return Manifest{}, ErrFolder
	}
	if err := errors.Join(m.write(f.Folder), tidy(f.Folder)); err != nil {
		return Manifest{}, err
	}
	slices.SortFunc(f.Tables, func(a, b FactTable) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range f.Tables {
		file, err := f.table(t)
		if err != nil {
			return Manifest{}, err
		}
		file.Chain = chained(m.Chain, file)
		m.Files, m.Chain, m.Rows = append(m.Files, file), file.Chain, m.Rows+file.Rows
	}
	m.Complete = true
	return m, m.write(f.Folder)
}

// table writes a table's file.
func (f Facts) table(t FactTable) (File, error) {
	out, err := create(f.Folder, t.Name+"."+string(f.Format), "", NDJSON, nil)
	if err != nil {
		return File{}, err
	}
	write, flush := f.lines(out, t)
	err = t.Rows(func(row json.RawMessage) error {
		var columns map[string]json.RawMessage
		if err := json.Unmarshal(row, &columns); err != nil {
			return err
		}
		out.Rows++
		return write(columns)
	})
	if err = errors.Join(err, flush()); err != nil {
		out.abandon()
		return File{}, err
	}
	return out.finish()
}

// lines returns what writes a row, and what ends the file.
func (f Facts) lines(out *file, t FactTable) (write func(map[string]json.RawMessage) error, flush func() error) {
	p := persons{f.Pseudonyms}
	if f.Format == NDJSON {
		return func(row map[string]json.RawMessage) error {
			b := []byte("{")
			for i, name := range t.Columns {
				v, ok := p.cell(t.Types[i], row[name])
				if !ok || string(v) == "null" {
					continue
				}
				if len(b) > 1 {
					b = append(b, ',')
				}
				b = append(append(append(b, '"'), name...), `":`...) // names of columns need no escapes
				b = append(b, v...)
			}
			_, err := out.buffer.Write(append(b, "}\n"...))
			return err
		}, func() error { return nil }
	}
	w := csv.NewWriter(out.buffer)
	titled := false
	title := func() error {
		if titled {
			return nil
		}
		titled = true
		return w.Write(slices.DeleteFunc(slices.Clone(t.Columns), func(name string) bool {
			return left(t.Types[slices.Index(t.Columns, name)], f.Pseudonyms != nil)
		}))
	}
	return func(row map[string]json.RawMessage) error {
			var cells []string
			for i, name := range t.Columns {
				if v, ok := p.cell(t.Types[i], row[name]); ok {
					cells = append(cells, plain(v))
				}
			}
			return errors.Join(title(), w.Write(cells))
		}, func() error {
			err := title()
			w.Flush()
			return errors.Join(err, w.Error())
		}
}

// cell returns a column's value without persons, and whether there is such a
// column.
func (p persons) cell(of reflect.Type, v json.RawMessage) (json.RawMessage, bool) {
	if left(of, p.key != nil) {
		return nil, false
	}
	into := reflect.New(of)
	if of.Kind() == reflect.Struct || json.Unmarshal(v, into.Interface()) != nil {
		return v, true // an instant as the database writes it
	}
	masked, err := json.Marshal(p.mask(into.Elem()).Interface())
	if string(v) == "null" || err != nil {
		return json.RawMessage("null"), true
	}
	return masked, true
}

// plain returns JSON as a cell of CSV: text as it is, null as nothing, the rest
// as JSON.
func plain(v json.RawMessage) string {
	var text *string
	if json.Unmarshal(v, &text) != nil {
		return string(v)
	}
	if text == nil {
		return ""
	}
	return *text
}

// Interrupted returns the position up to which an export that was interrupted
// in a folder was to go, and whether there is one.
func Interrupted(folder string) (domain.Position, bool) {
	m, err := readManifest(filepath.Clean(folder))
	return m.Position, err == nil && m.Version != 0 && !m.Complete
}
