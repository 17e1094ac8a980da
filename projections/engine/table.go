package engine

import (
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Table is one derived table of a read model. [NewTable] makes it.
type Table interface {
	tableName() string
	key() string
	definition() string
	row() reflect.Type
	open(schema string, m *memory) folder
}

// NewTable describes a table: what its rows are, how it is created, and the
// fold that fills it.
//
// R is the row: a struct whose fields each have a `db` tag, the first being the
// text primary key. Fields are strings, integers, bools, [time.Time], *float64,
// slices of strings, []time.Time and [domain.Sealed]; an empty string, slice,
// time or sealed text is null in the table. Times are UTC and whole
// microseconds.
//
// ddl holds "create table" and "create index" with bare names: it runs with
// the model's schema on the search path. No defaults, serials or clocks.
//
// keys names the rows that an event touches, none when it is of no interest.
//
// evolve returns the row after the event and whether there is one. It is pure:
// it changes nothing that it is given, slices included. exists is false when
// there is no row, and row then holds nothing but its key; an event that does
// not create rows answers false.
//
// A fold that panics parks its row. The exception is for folds that need what
// can be away, such as keys: a panic whose value is an error of the kind
// [domain.Unavailable] undoes the batch, which is tried again.
func NewTable[R any](
	name, ddl string,
	keys func(r domain.Recorded) []string,
	evolve func(row R, exists bool, r domain.Recorded) (R, bool),
) Table {
	return table[R]{name: name, ddl: ddl, columns: columnsOf(reflect.TypeFor[R]()), keys: keys, evolve: evolve}
}

// NewStreamTable is [NewTable] where the events of a stream of the category
// create the rows that they touch: those of a stream that begins are not there
// yet, and are not looked for. Events of other categories create none.
func NewStreamTable[R any](
	name, ddl, category string,
	keys func(r domain.Recorded) []string,
	evolve func(row R, exists bool, r domain.Recorded) (R, bool),
) Table {
	return table[R]{name: name, ddl: ddl, columns: columnsOf(reflect.TypeFor[R]()), keys: keys, evolve: evolve, creator: category}
}

type table[R any] struct {
	name    string
	ddl     string
	columns []column
	keys    func(domain.Recorded) []string
	evolve  func(R, bool, domain.Recorded) (R, bool)
	creator string // the category whose streams create rows of their own; "" = rows may be anybody's
}

func (t table[R]) tableName() string  { return t.name }
func (t table[R]) key() string        { return t.columns[0].name }
func (t table[R]) definition() string { return t.ddl }
func (t table[R]) row() reflect.Type  { return reflect.TypeFor[R]() }

func (t table[R]) open(schema string, m *memory) folder {
	f := &fold[R]{table: t, sql: statementsFor(schema, t.name, t.columns), memory: m, widths: make([]int, len(t.columns))}
	f.reset(false)
	return f
}

// memory is what the row caches of all tables may use together.
type memory struct {
	limit int64 // bytes
	used  atomic.Int64
}

// folder is the fold of one table in one schema, over a cache of its rows.
type folder interface {
	// keysOf returns the keys of the rows that an event touches.
	keysOf(r domain.Recorded) []string
	// restrict makes the fold pass over every other row.
	restrict(keys map[string]bool)
	// touch finds the rows that the i-th event of the batch touches.
	touch(i int, r domain.Recorded) error
	// unknown returns the keys of touched rows that the cache does not hold.
	unknown() []string
	// load takes the rows of the unknown keys; those it is not given do not exist.
	load(rows pgx.Rows) error
	// fold folds the batch into the touched rows. An error is of the kind
	// [domain.Unavailable] and leaves the batch half done.
	fold(events []domain.Recorded, p *parking) error
	// changes returns what the table does not have yet.
	changes() (changes, error)
	// pending numbers the rows that the table does not have yet as they are, in
	// the order in which they come least into each other's way.
	pending() []int
	// changesOf returns what the table does not have yet of pending rows.
	changesOf(rows []int) (changes, error)
	// refuse parks a pending row that the table does not take, and forgets it.
	// The others keep their numbers.
	refuse(row int, p *parking, err error)
	// settle says that the table has it now.
	settle()
	// reset forgets every row. empty says that the table holds none.
	reset(empty bool)
	// readBack compares the cached rows of the given table rows.
	readBack(rows pgx.Rows) error
	statements() statements
}

// entry is a row in the cache, or the knowledge that there is none.
type entry[R any] struct {
	key        string
	row        R
	known      bool // exists and stored say what the table has
	exists     bool // after the fold
	stored     bool // in the table
	dirty      bool
	size       int64
	first      domain.Position // of the events that the table does not have yet
	events     int             // how many they are
	prev, next *entry[R]       // in the order of last use
}

type touched[R any] struct {
	entry *entry[R]
	event int
}

// entryOverhead is what an entry takes besides its row, in bytes.
const entryOverhead = 200

type fold[R any] struct {
	table[R]
	sql    statements
	memory *memory

	cache    map[string]*entry[R]
	recent   entry[R] // sentinel: next is the most, prev the least recently used
	complete bool     // every row of the table is in the cache
	size     int64
	work     []touched[R]
	young    map[domain.StreamName]struct{} // the creator's streams that begin in the batch
	wanted   []string
	dirty    []*entry[R]
	width    int   // of a row in the last COPY, in bytes
	widths   []int // of each column's elements in the last arrays
}

func (f *fold[R]) statements() statements { return f.sql }

func (f *fold[R]) reset(empty bool) {
	f.memory.used.Add(-f.size)
	f.cache, f.size, f.complete = map[string]*entry[R]{}, 0, empty
	f.recent.prev, f.recent.next = &f.recent, &f.recent
	f.work, f.young, f.wanted, f.dirty = f.work[:0], map[domain.StreamName]struct{}{}, f.wanted[:0], nil
}

func (f *fold[R]) keysOf(r domain.Recorded) []string { return f.keys(r) }

func (f *fold[R]) restrict(keys map[string]bool) {
	all := f.keys
	f.keys = func(r domain.Recorded) []string {
		return slices.DeleteFunc(slices.Clone(all(r)), func(key string) bool { return !keys[key] })
	}
}

func (f *fold[R]) touch(i int, r domain.Recorded) (err error) {
	defer rescue(&err)
	known := f.complete || f.begins(r)
	for _, key := range f.keys(r) {
		e := f.cache[key]
		if e == nil {
			e = &entry[R]{key: key, known: known}
			f.cache[key] = e
			f.grow(e, entryOverhead+int64(len(key)))
			if !known {
				f.wanted = append(f.wanted, key)
			}
		} else {
			e.prev.next, e.next.prev = e.next, e.prev
		}
		e.prev, e.next = &f.recent, f.recent.next
		e.prev.next, e.next.prev = e, e
		f.work = append(f.work, touched[R]{e, i})
	}
	return nil
}

// begins reports whether the event's stream begins in this batch, and the
// table has none of its rows yet.
func (f *fold[R]) begins(r domain.Recorded) bool {
	if f.creator == "" {
		return false
	}
	if r.Revision == 0 && r.Stream.Category() == f.creator {
		f.young[r.Stream] = struct{}{}
	}
	_, young := f.young[r.Stream]
	return young
}

func (f *fold[R]) grow(e *entry[R], size int64) {
	f.size += size - e.size
	f.memory.used.Add(size - e.size)
	e.size = size
}

func (f *fold[R]) unknown() []string { return f.wanted }

func (f *fold[R]) load(rows pgx.Rows) error {
	for rows.Next() {
		raw := rows.RawValues()
		e := f.cache[string(raw[0])]
		if e == nil {
			return fmt.Errorf("table %s has a row %q that was not asked for", f.name, raw[0])
		}
		if err := f.decode(&e.row, raw); err != nil {
			return err
		}
		e.exists, e.stored = true, true
		f.grow(e, e.size+rawSize(raw))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, key := range f.wanted {
		f.cache[key].known = true
	}
	f.wanted = f.wanted[:0]
	return nil
}

func rawSize(raw [][]byte) int64 {
	size := 0
	for _, r := range raw {
		size += 2 * len(r)
	}
	return int64(size)
}

func (f *fold[R]) decode(row *R, raw [][]byte) error {
	v := reflect.ValueOf(row).Elem()
	for i, c := range f.columns {
		if err := c.decode(v.Field(c.field), raw[i]); err != nil {
			return fmt.Errorf("table %s, column %s: %w", f.name, c.name, err)
		}
	}
	return nil
}

func (f *fold[R]) fold(events []domain.Recorded, p *parking) error {
	for _, w := range f.work {
		if p.skip(f.name, w.entry.key) {
			continue
		}
		err := f.apply(w.entry, events[w.event])
		if rule := domain.RuleOf(err); rule != nil && rule.Kind == domain.Unavailable {
			return err
		}
		if err != nil {
			p.park(f.name, w.entry.key, events[w.event].Position, 1, err)
		}
	}
	clear(f.work)
	clear(f.young)
	f.work = f.work[:0]
	return nil
}

func (f *fold[R]) apply(e *entry[R], r domain.Recorded) (err error) {
	defer rescue(&err)
	if !e.exists {
		reflect.ValueOf(&e.row).Elem().Field(0).SetString(e.key)
	}
	row, exists := f.evolve(e.row, e.exists, r)
	if !exists && !e.exists {
		return nil
	}
	if !exists {
		row = *new(R)
	}
	e.row, e.exists = row, exists
	if !e.dirty {
		e.dirty, e.first, e.events = true, r.Position, 0
		f.dirty = append(f.dirty, e)
	}
	e.events++
	return nil
}

// rescue makes a panic of a fold an error.
func rescue(err *error) {
	switch p := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("panic: %w", p)
	default:
		*err = fmt.Errorf("panic: %v", p)
	}
}

func (f *fold[R]) settle() {
	for _, e := range f.dirty {
		e.stored, e.dirty = e.exists, false
	}
	f.dirty = nil
	for e := f.recent.prev; e != &f.recent && f.memory.used.Load() > f.memory.limit; e = f.recent.prev {
		f.drop(e)
	}
}

// drop forgets a row.
func (f *fold[R]) drop(e *entry[R]) {
	e.prev.next, e.next.prev = e.next, e.prev
	delete(f.cache, e.key)
	f.size -= e.size
	f.memory.used.Add(-e.size)
	f.complete = false
}

// copyFrom is how many new rows are worth a COPY of their own, which costs a
// round trip.
const copyFrom = 100

// changes sorts the dirty rows by how they reach the table: many new rows by
// COPY, few by one insert, changed ones by one update, and those that are gone
// by one delete.
func (f *fold[R]) changes() (changes, error) { return f.changesFrom(f.dirty, copyFrom) }

// changesFrom returns the changes of some dirty rows; so many new ones are worth
// a COPY.
func (f *fold[R]) changesFrom(dirty []*entry[R], many int) (changes, error) {
	var fresh, changed, gone []*entry[R]
	for _, e := range dirty {
		switch {
		case e.exists && e.stored:
			changed = append(changed, e)
		case e.exists:
			fresh = append(fresh, e)
		case e.stored:
			gone = append(gone, e)
		}
	}
	var c changes
	var err error
	if len(fresh) < many {
		c.inserted, err = f.parameters(fresh)
	} else {
		c.copied, err = f.copyData(fresh)
	}
	if err != nil {
		return c, err
	}
	if c.updated, err = f.parameters(changed); err != nil {
		return c, err
	}
	for _, e := range gone {
		c.deleted = append(c.deleted, e.key)
	}
	return c, nil
}

// copyData returns the rows in COPY's binary format.
func (f *fold[R]) copyData(entries []*entry[R]) ([]byte, error) {
	b := make([]byte, 0, 64+len(entries)*(f.width+16))
	b = append(b, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	var err error
	for _, e := range entries {
		before := len(b)
		b = append(b, byte(len(f.columns)>>8), byte(len(f.columns))) //nolint:gosec // a handful
		row := reflect.ValueOf(&e.row).Elem()
		for _, c := range f.columns {
			if b, err = c.appendBinary(b, row.Field(c.field)); err != nil {
				return nil, fmt.Errorf("table %s, column %s: %w", f.name, c.name, err)
			}
		}
		f.grow(e, entryOverhead+2*int64(len(b)-before))
	}
	f.width = len(b) / len(entries)
	return append(b, 0xff, 0xff), nil
}

// parameters returns one array for each column, nil when there are no rows.
func (f *fold[R]) parameters(entries []*entry[R]) ([][]byte, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	arrays := make([][]byte, len(f.columns))
	sizes := make([]int64, len(entries))
	var err error
	for i, c := range f.columns {
		_, _, oid := c.parameter()
		b := appendHeader(make([]byte, 0, 20+len(entries)*(f.widths[i]+8)), len(entries), oid)
		for n, e := range entries {
			before := len(b)
			if b, err = c.appendElement(b, reflect.ValueOf(&e.row).Elem().Field(c.field)); err != nil {
				return nil, fmt.Errorf("table %s, column %s: %w", f.name, c.name, err)
			}
			sizes[n] += int64(len(b) - before)
		}
		arrays[i], f.widths[i] = b, len(b)/len(entries)
	}
	for n, e := range entries {
		f.grow(e, entryOverhead+2*sizes[n])
	}
	return arrays, nil
}

func (f *fold[R]) readBack(rows pgx.Rows) error {
	for rows.Next() {
		raw := rows.RawValues()
		e := f.cache[string(raw[0])]
		if e == nil || !e.known {
			continue
		}
		var row R
		if err := f.decode(&row, raw); err != nil {
			return err
		}
		if !e.exists || !reflect.DeepEqual(row, e.row) {
			return fmt.Errorf("table %s, row %s: the table has\n%#v\nthe fold has (exists: %t)\n%#v", f.name, e.key, row, e.exists, e.row)
		}
	}
	return rows.Err()
}
