package export

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/slotbook/slotbook/domain"
)

// Facts says which rows of a read model are exported, and how.
type Facts struct {
	Model      string
	Folder     string
	Format     Format
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

// ErrFacts refuses what would name persons.
var ErrFacts = errors.New("the facts of every read model are exported but those of patients, which name persons")

// Exportable reports whether the rows of a read model may be exported: one of them
// holds opened text.
func Exportable(model string) bool { return model != "patients" }

// RunFacts exports the rows of a read model, a file for each table. Columns of
// sealed text are left out, and persons as [Run] leaves them out. A whole export
// is written again, with the same bytes. Errors: [ErrFacts], [ErrFolder].
func RunFacts(f Facts) (Manifest, error) {
	if !Exportable(f.Model) {
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
	if f.Format == Parquet {
		facts := newParquetFacts(out.buffer, t, p)
		return facts.add, facts.w.Close
	}
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
	into, ok := p.read(of, v)
	if !ok {
		return v, true
	}
	masked, err := json.Marshal(written(into.Interface()))
	if err != nil {
		return json.RawMessage("null"), true
	}
	return masked, true
}

// written returns a column's value with instants as files of text have them.
func written(v any) any {
	switch v := v.(type) {
	case time.Time:
		return formatTime(v)
	case []time.Time:
		texts := make([]string, len(v))
		for i, t := range v {
			texts[i] = formatTime(t)
		}
		return texts
	}
	return v
}

// read returns a column's value without persons; false = it is null, or not such
// a value.
func (p persons) read(of reflect.Type, v json.RawMessage) (reflect.Value, bool) {
	into := reflect.New(of)
	if len(v) == 0 || string(v) == "null" || json.Unmarshal(v, into.Interface()) != nil {
		return reflect.Value{}, false
	}
	return p.mask(into.Elem()), true
}

// parquetFacts writes rows of a read model as Parquet, as [parquetRows] does
// events.
type parquetFacts struct {
	w       *parquet.GenericWriter[any]
	persons persons
	columns []factColumn
	b       rowBuilder
}

type factColumn struct {
	name string
	of   reflect.Type
	field
}

func newParquetFacts(w io.Writer, t FactTable, p persons) *parquetFacts {
	facts := &parquetFacts{persons: p}
	var nodes []named
	for i, name := range t.Columns {
		if left(t.Types[i], p.key != nil) {
			continue
		}
		c := factColumn{name, t.Types[i], fieldOf(t.Types[i], p.key != nil)}
		node := c.node()
		if c.kind != list {
			node = parquet.Optional(node)
		}
		facts.columns, nodes = append(facts.columns, c), append(nodes, named{name, node})
	}
	facts.w = newParquetWriter(w, t.Name, nodes)
	return facts
}

func (f *parquetFacts) add(row map[string]json.RawMessage) error {
	f.b.reset()
	for i := range f.columns {
		c := &f.columns[i]
		v, ok := f.persons.read(c.of, row[c.name])
		switch {
		case !ok && c.kind == list:
			f.b.nothing(&c.field, 0, 0)
		case !ok:
			f.b.value(parquet.NullValue(), 0, 0)
		case c.kind == list:
			f.b.list(&c.field, v, 0, 0, 0)
		default:
			f.b.value(c.leaf(v), 0, 1)
		}
	}
	_, err := f.w.WriteRows([]parquet.Row{f.b.row()})
	return err
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
