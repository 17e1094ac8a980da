package export

import (
	"encoding/csv"
	"io"
	"reflect"
	"strconv"
	"time"
)

// csvRows writes RFC 4180: a line of names, then one for each event. Nothing and
// empty text are the same; lists are JSON.
type csvRows struct {
	w     *csv.Writer
	cells []string
}

func newCSV(w io.Writer, t *table) (*csvRows, error) {
	c := &csvRows{w: csv.NewWriter(w)}
	for _, column := range t.described() {
		c.cells = append(c.cells, column.Name)
	}
	return c, c.w.Write(c.cells)
}

func (c *csvRows) add(t *table, r record) error {
	c.cells = append(c.cells[:0],
		strconv.FormatUint(uint64(r.Position), 10), r.ID, string(r.stream), strconv.FormatInt(int64(r.Revision), 10), formatTime(r.RecordedAt),
		r.Metadata.Actor, r.Metadata.Command, r.Metadata.Causation)
	for i := range t.columns {
		cell, err := t.columns[i].cell(r.data)
		if err != nil {
			return err
		}
		c.cells = append(c.cells, cell)
	}
	return c.w.Write(c.cells)
}

func (c *column) cell(data reflect.Value) (string, error) {
	v, ok := c.in(data)
	if !ok {
		return "", nil
	}
	switch f := c.field(); f.kind {
	case text:
		return v.String(), nil
	case instant:
		return formatTime(v.Interface().(time.Time)), nil //nolint:forcetypeassert // by its kind
	default:
		b, err := f.appendJSON(nil, v)
		return string(b), err
	}
}

func (c *csvRows) close() error {
	c.w.Flush()
	return c.w.Error()
}
