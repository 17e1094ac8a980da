package engine

import (
	"fmt"
	"reflect"

	"github.com/slotbook/slotbook/domain"
)

// NewSource describes a table whose fold also adds rows to another table of the
// model, which [NewAdded] makes: what was made of a row's state at an event, and
// is kept. It is for what no row of its own could find out, because a fold sees
// its own row only.
//
// evolve calls add with each row to be added. A key is added once: it holds
// something of the event, such as its position. Rows that a fold adds before it
// panics are not added. Otherwise it is as in [NewTable].
func NewSource[R, A any](
	name, ddl string,
	keys func(r domain.Recorded) []string,
	evolve func(row R, exists bool, r domain.Recorded, add func(key string, row A)) (R, bool),
	to string,
) Table {
	return source[R, A]{table[R]{name: name, ddl: ddl, columns: columnsOf(reflect.TypeFor[R]()), keys: keys}, evolve, to}
}

// NewAdded describes a table that has only what the fold of a source adds. Rows
// and ddl are as in [NewTable].
func NewAdded[A any](name, ddl string) Table {
	none := func(domain.Recorded) []string { return nil }
	return NewTable(name, ddl, none, func(row A, exists bool, _ domain.Recorded) (A, bool) { return row, exists })
}

type source[R, A any] struct {
	table[R]
	evolveTo func(R, bool, domain.Recorded, func(string, A)) (R, bool)
	to       string
}

func (s source[R, A]) open(schema string, m *memory) folder {
	f := &sourceFold[A]{table: s.name, to: s.to}
	own := s.table
	own.evolve = func(row R, exists bool, r domain.Recorded) (R, bool) {
		made := []addition[A]{}
		row, exists = s.evolveTo(row, exists, r, func(key string, row A) { made = append(made, addition[A]{key, row}) })
		for _, a := range made {
			f.target.put(a.key, a.row)
		}
		return row, exists
	}
	f.folder = own.open(schema, m)
	return f
}

type addition[A any] struct {
	key string
	row A
}

// sourceFold is the fold of a source, and the table that it adds to.
type sourceFold[A any] struct {
	folder
	table, to string
	target    *fold[A]
}

// linked is a folder that adds to another.
type linked interface {
	link(folders map[string]folder)
}

func (f *sourceFold[A]) link(folders map[string]folder) {
	target, ok := folders[f.to].(*fold[A])
	if !ok {
		panic(fmt.Sprintf("table %s adds to %s, which is no table of such rows", f.table, f.to))
	}
	f.target = target
}

// put adds a row that the table does not have.
func (f *fold[R]) put(key string, row R) {
	e := &entry[R]{key: key, row: row, known: true, exists: true, dirty: true}
	f.cache[key] = e
	f.grow(e, entryOverhead+int64(len(key)))
	e.prev, e.next = &f.recent, f.recent.next
	e.prev.next, e.next.prev = e, e
	f.dirty = append(f.dirty, e)
}
