package analytics

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/slotbook/slotbook/domain"
)

// column is one column of a view: a field of an event.
type column struct {
	name string // in snake case
	key  string // in the event's JSON
	kind string // the SQL type
	read string // the SQL type as which the JSON is read, when it is another
}

// metadata are the columns that every view begins with.
func metadata() []column {
	return []column{
		{name: "position", kind: "bigint"},
		{name: "stream", kind: "text"},
		{name: "revision", kind: "bigint"},
		{name: "event_id", kind: "uuid"},
		{name: "recorded_at", kind: "timestamptz"},
		{name: "command", kind: "text"},
		{name: "actor", kind: "text"},
		{name: "correlation", kind: "text"},
		{name: "causation", kind: "text"},
	}
}

// columnsOf returns a column for each field of an event's struct, those of
// embedded structs among them. Sealed text has none. A field whose name is that
// of metadata gets the prefix data_.
func columnsOf(event reflect.Type) []column {
	var columns []column
	for _, f := range fieldsOf(event) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			key = f.Name
		}
		c, ok := columnOf(f.Type)
		if !ok {
			continue
		}
		c.key, c.name = key, snake(key)
		if slices.ContainsFunc(metadata(), func(m column) bool { return m.name == c.name }) {
			c.name = "data_" + c.name
		}
		columns = append(columns, c)
	}
	return columns
}

// fieldsOf returns the fields that encoding/json writes side by side.
func fieldsOf(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for f := range t.Fields() {
		tag, tagged := f.Tag.Lookup("json")
		switch {
		case tag == "-", !f.IsExported() && !f.Anonymous:
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct:
			fields = append(fields, fieldsOf(f.Type)...)
		default:
			fields = append(fields, f)
		}
	}
	return fields
}

// columnOf returns the type of a field's column, and whether it has one: text
// that is sealed has none. Sealed text further down has no place in a view, and
// panics.
func columnOf(t reflect.Type) (column, bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[domain.Sealed]():
		return column{}, false
	case reflect.TypeFor[time.Time]():
		return column{kind: "timestamptz"}, true
	case reflect.TypeFor[domain.Day]():
		return column{kind: "date", read: "text"}, true
	}
	if kind := scalar(t); kind != "" {
		return column{kind: kind}, true
	}
	if t.Kind() == reflect.Slice {
		if t.Elem() == reflect.TypeFor[time.Time]() {
			return column{kind: "timestamptz[]"}, true
		}
		if kind := scalar(t.Elem()); kind != "" {
			return column{kind: kind + "[]"}, true
		}
	}
	if holdsSealed(t) {
		panic(fmt.Sprintf("sealed text within %v would be in a view", t))
	}
	return column{kind: "jsonb"}, true
}

func scalar(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the others are no scalars
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return "bigint"
	case reflect.Uint, reflect.Uint64:
		return "numeric"
	case reflect.Float32, reflect.Float64:
		return "double precision"
	}
	return ""
}

func holdsSealed(t reflect.Type) bool {
	switch t.Kind() { //nolint:exhaustive // the others hold nothing
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holdsSealed(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[domain.Sealed]() {
			return true
		}
		return t != reflect.TypeFor[time.Time]() && slices.ContainsFunc(fieldsOf(t), func(f reflect.StructField) bool { return holdsSealed(f.Type) })
	}
	return false
}

// snake returns a name of camel case in snake case.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// record returns the column as json_to_record reads it.
func (c column) record() string {
	kind := c.kind
	if c.read != "" {
		kind = c.read
	}
	return quoted(c.key) + " " + kind
}

// expression returns the column's value. Go writes an instant that is not known
// as the first of the year 1, and a day that is not as empty text.
func (c column) expression() string {
	value := "d." + quoted(c.key)
	switch c.kind {
	case "timestamptz":
		value = "nullif(" + value + ", timestamptz '0001-01-01T00:00:00Z')"
	case "date":
		value = "nullif(" + value + ", '')::date"
	}
	return value + " as " + quoted(c.name)
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
