package export

import (
	"io"
	"reflect"
	"time"

	"github.com/parquet-go/parquet-go"
)

// rowGroup is how many rows a row group has at most: it is what a writer keeps
// in memory.
const rowGroup = 50_000

// parquetRows writes Parquet: instants are UTC microseconds, lists are lists,
// ids are strings, money is integers. Columns of the data are null where the
// event says nothing.
type parquetRows struct {
	w *parquet.GenericWriter[any]
	b rowBuilder
}

func newParquet(w io.Writer, t *table) *parquetRows {
	fields := make([]named, 0, len(head())+len(t.columns))
	for _, c := range head() {
		fields = append(fields, named{c.Name, map[string]parquet.Node{
			"int64": parquet.Int(64), "string": parquet.String(), "timestamp": parquet.Timestamp(parquet.Microsecond),
		}[c.Type]})
	}
	fields = append(fields, nodesOf(t.columns)...)
	return &parquetRows{w: newParquetWriter(w, t.eventType, fields)}
}

func newParquetWriter(w io.Writer, name string, fields []named) *parquet.GenericWriter[any] {
	return parquet.NewGenericWriter[any](w,
		parquet.NewSchema(name, newGroup(fields)),
		parquet.Compression(&parquet.Zstd),
		parquet.MaxRowsPerRowGroup(rowGroup),
		parquet.CreatedBy("slotbook", "1", "export"), // the same whatever the program's version, for the same bytes
	)
}

// named is a column of a group.
type named struct {
	name string
	node parquet.Node
}

// group is a group whose fields keep their order.
type group struct {
	parquet.Group
	order []parquet.Field
}

// Fields returns the fields in their order.
func (g group) Fields() []parquet.Field { return g.order }

func newGroup(fields []named) group {
	g := group{Group: parquet.Group{}}
	for _, f := range fields {
		g.Group[f.name] = f.node
	}
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	for _, f := range fields {
		g.order = append(g.order, byName[f.name])
	}
	return g
}

func nodesOf(columns []column) []named {
	nodes := make([]named, len(columns))
	for i, c := range columns {
		nodes[i] = named{c.name, c.field().node()}
		if c.field().kind != list {
			nodes[i].node = parquet.Optional(nodes[i].node)
		}
	}
	return nodes
}

func (f *field) node() parquet.Node {
	switch f.kind {
	case integer:
		return parquet.Int(64)
	case float:
		return parquet.Leaf(parquet.DoubleType)
	case boolean:
		return parquet.Leaf(parquet.BooleanType)
	case instant:
		return parquet.Timestamp(parquet.Microsecond)
	case list:
		return parquet.List(f.elem.node())
	case object:
		return newGroup(nodesOf(f.flat()))
	case text:
	}
	return parquet.String()
}

func (p *parquetRows) add(t *table, r record) error {
	b := &p.b
	b.reset()
	b.value(parquet.Int64Value(int64(r.Position)), 0, 0) //nolint:gosec // positions fit
	b.value(textValue(r.ID), 0, 0)
	b.value(textValue(string(r.stream)), 0, 0)
	b.value(parquet.Int64Value(int64(r.Revision)), 0, 0)
	b.value(parquet.Int64Value(r.RecordedAt.UnixMicro()), 0, 0)
	b.value(textValue(r.Metadata.Actor), 0, 0)
	b.value(textValue(r.Metadata.Command), 0, 0)
	b.value(textValue(r.Metadata.Causation), 0, 0)
	b.columns(t.columns, r.data, 0, 0, 0)
	_, err := p.w.WriteRows([]parquet.Row{b.row()})
	return err
}

func (p *parquetRows) close() error { return p.w.Close() }

func textValue(s string) parquet.Value { return parquet.ByteArrayValue([]byte(s)) }

// rowBuilder makes a row of values with their levels, as Dremel has them: how
// deep a value repeats, and how much of the path to it is there.
type rowBuilder struct {
	values [][]parquet.Value // by column
	column int               // that comes next
	all    parquet.Row
}

func (b *rowBuilder) reset() {
	b.column = 0
	for i := range b.values {
		b.values[i] = b.values[i][:0]
	}
}

func (b *rowBuilder) value(v parquet.Value, repetition, definition int) {
	for len(b.values) <= b.column {
		b.values = append(b.values, nil)
	}
	b.values[b.column] = append(b.values[b.column], v.Level(repetition, definition, b.column))
	b.column++
}

// row returns the values column by column.
func (b *rowBuilder) row() parquet.Row {
	b.all = b.all[:0]
	for _, values := range b.values {
		b.all = append(b.all, values...)
	}
	return b.all
}

// columns adds the columns of a struct. depth is how many lists are around it.
func (b *rowBuilder) columns(columns []column, v reflect.Value, repetition, definition, depth int) {
	for i := range columns {
		inner, ok := columns[i].in(v)
		f := columns[i].field()
		switch {
		case f.kind == list && !ok:
			b.nothing(f, repetition, definition)
		case f.kind == list:
			b.list(f, inner, repetition, definition, depth)
		case !ok:
			b.value(parquet.NullValue(), repetition, definition)
		default:
			b.value(f.leaf(inner), repetition, definition+1)
		}
	}
}

// list adds a list: its columns one after the other, each with the elements of
// that column.
func (b *rowBuilder) list(f *field, v reflect.Value, repetition, definition, depth int) {
	if v.Len() == 0 {
		b.nothing(f, repetition, definition)
		return
	}
	first := b.column
	for i := range v.Len() {
		b.column = first
		b.element(f.elem, v.Index(i), repetition, definition+1, depth+1)
		repetition = depth + 1
	}
}

func (b *rowBuilder) element(f *field, v reflect.Value, repetition, definition, depth int) {
	switch f.kind {
	case object:
		b.columns(f.flat(), v, repetition, definition, depth)
	case list:
		b.list(f, v, repetition, definition, depth)
	case text, integer, float, boolean, instant:
		b.value(f.leaf(v), repetition, definition)
	}
}

// nothing adds nulls to all columns of a list that has no elements.
func (b *rowBuilder) nothing(f *field, repetition, definition int) {
	for range f.leaves() {
		b.value(parquet.NullValue(), repetition, definition)
	}
}

// leaves counts the columns that a field takes.
func (f *field) leaves() int {
	switch f.kind {
	case list:
		return f.elem.leaves()
	case object:
		n := 0
		for i := range f.fields {
			n += f.fields[i].leaves()
		}
		return n
	case text, integer, float, boolean, instant:
	}
	return 1
}

func (f *field) leaf(v reflect.Value) parquet.Value {
	switch f.kind {
	case integer:
		return parquet.Int64Value(v.Int())
	case float:
		return parquet.DoubleValue(v.Float())
	case boolean:
		return parquet.BooleanValue(v.Bool())
	case instant:
		return parquet.Int64Value(v.Interface().(time.Time).UnixMicro()) //nolint:forcetypeassert // by its kind
	case text, object, list:
	}
	return textValue(v.String())
}
