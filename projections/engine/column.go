package engine

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// kind is how a field of a row struct is kept in a column.
type kind int

const (
	text     kind = iota // any string; "" is null
	integer              // any signed integer: bigint
	boolean              // bool
	instant              // time.Time: timestamptz; the zero time is null
	float                // *float64: double precision; nil is null
	texts                // a slice of strings: text[]; empty is null
	instants             // []time.Time: timestamptz[]; empty is null
	sealed               // domain.Sealed: its JSON as text; the zero value is null
)

// column is one column of a table and the field that it is kept from.
type column struct {
	name  string
	field int
	kind  kind
}

// Object ids of PostgreSQL's own types (pg_type.dat).
const (
	oidBool    = 16
	oidInt8    = 20
	oidText    = 25
	oidFloat8  = 701
	oidInstant = 1184
)

// columnsOf reads the columns off a row struct. A struct that cannot be a row
// is a programming error and panics at start-up.
func columnsOf(row reflect.Type) []column {
	var columns []column
	for i := range row.NumField() {
		name := row.Field(i).Tag.Get("db")
		if name == "" {
			panic(fmt.Sprintf("%s.%s has no db tag", row, row.Field(i).Name))
		}
		columns = append(columns, column{name, i, kindOf(row.Field(i).Type)})
	}
	if len(columns) == 0 || columns[0].kind != text {
		panic(fmt.Sprintf("the first column of %s is not its text key", row))
	}
	return columns
}

func kindOf(t reflect.Type) kind {
	switch {
	case t == reflect.TypeFor[domain.Sealed]():
		return sealed
	case t == reflect.TypeFor[time.Time]():
		return instant
	case t == reflect.TypeFor[*float64]():
		return float
	case t == reflect.TypeFor[[]time.Time]():
		return instants
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return texts
	case t.Kind() == reflect.String:
		return text
	case t.Kind() == reflect.Bool:
		return boolean
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return integer
	}
	panic(fmt.Sprintf("no column holds a %s", t))
}

// parameter returns the type of an array of this column's values and the cast
// from its element to the column. Arrays of arrays do not exist in SQL, so
// those travel as literals.
func (c column) parameter() (element, cast string, oid uint32) {
	switch c.kind {
	case integer:
		return "bigint", "", oidInt8
	case boolean:
		return "boolean", "", oidBool
	case instant:
		return "timestamptz", "", oidInstant
	case float:
		return "double precision", "", oidFloat8
	case texts:
		return "text", "::text[]", oidText
	case instants:
		return "text", "::timestamptz[]", oidText
	case text, sealed:
	}
	return "text", "", oidText
}

// null is the length -1, which means null.
const null = "\xff\xff\xff\xff"

// epoch2000 is where PostgreSQL counts microseconds from, in Unix microseconds.
const epoch2000 = 946684800 * 1_000_000

func micros(t time.Time) int64 { return t.UnixMicro() - epoch2000 }

// appendBinary appends the value as COPY and array elements have it: the
// length, -1 for null, and the binary form.
func (c column) appendBinary(b []byte, v reflect.Value) ([]byte, error) {
	switch c.kind {
	case texts:
		return appendTexts(b, v), nil
	case instants:
		return appendInstants(b, v.Interface().([]time.Time)), nil //nolint:forcetypeassert // kindOf has looked
	case text, integer, boolean, instant, float, sealed:
	}
	return c.appendScalar(b, v)
}

func (c column) appendScalar(b []byte, v reflect.Value) ([]byte, error) {
	switch c.kind {
	case text:
		if v.Len() == 0 {
			return append(b, null...), nil
		}
		return appendText(b, v.String()), nil
	case integer:
		return appendInt64(b, v.Int()), nil
	case boolean:
		if v.Bool() {
			return append(b, 0, 0, 0, 1, 1), nil
		}
		return append(b, 0, 0, 0, 1, 0), nil
	case instant:
		return appendInstant(b, v.Addr().Interface().(*time.Time)), nil //nolint:forcetypeassert // kindOf has looked
	case float:
		if v.IsNil() {
			return append(b, null...), nil
		}
		return appendInt64(b, int64(math.Float64bits(v.Elem().Float()))), nil //nolint:gosec // the bits, not the number
	case sealed:
		return appendSealed(b, v.Addr().Interface().(*domain.Sealed)) //nolint:forcetypeassert // kindOf has looked
	case texts, instants:
	}
	panic("not a scalar")
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // events are at most 1 MiB
	return append(b, s...)
}

func appendInt64(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(n)) //nolint:gosec // the bits, not the number
}

func appendInstant(b []byte, t *time.Time) []byte {
	if t.IsZero() {
		return append(b, null...)
	}
	return appendInt64(b, micros(*t))
}

func appendSealed(b []byte, s *domain.Sealed) ([]byte, error) {
	if s.IsZero() {
		return append(b, null...), nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return b, err
	}
	return appendText(b, string(data)), nil
}

// appendHeader opens an array of n elements; the caller has reserved the
// length before it.
func appendHeader(b []byte, n int, oid uint32) []byte {
	for _, word := range [5]uint32{1, 1, oid, uint32(n), 1} { //nolint:gosec // one dimension, may hold nulls, counted from 1
		b = binary.BigEndian.AppendUint32(b, word)
	}
	return b
}

func appendTexts(b []byte, v reflect.Value) []byte {
	n := v.Len()
	if n == 0 {
		return append(b, null...)
	}
	at := len(b)
	b = appendHeader(append(b, 0, 0, 0, 0), n, oidText)
	for i := range n {
		b = appendText(b, v.Index(i).String())
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // events are at most 1 MiB
	return b
}

func appendInstants(b []byte, times []time.Time) []byte {
	if len(times) == 0 {
		return append(b, null...)
	}
	at := len(b)
	b = appendHeader(append(b, 0, 0, 0, 0), len(times), oidInstant)
	for i := range times {
		b = appendInt64(b, micros(times[i]))
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // events are at most 1 MiB
	return b
}

// appendElement appends the value as an element of the array parameter: like
// appendBinary, but slices as literals.
func (c column) appendElement(b []byte, v reflect.Value) ([]byte, error) {
	switch c.kind {
	case texts:
		return appendLiteral(b, v.Len(), func(i int) string { return v.Index(i).String() }), nil
	case instants:
		times := v.Interface().([]time.Time) //nolint:forcetypeassert // kindOf has looked
		return appendLiteral(b, len(times), func(i int) string { return times[i].UTC().Format("2006-01-02T15:04:05.999999Z") }), nil
	case text, integer, boolean, instant, float, sealed:
	}
	return c.appendScalar(b, v)
}

// appendLiteral appends an array in PostgreSQL's text form, every element
// quoted.
func appendLiteral(b []byte, n int, element func(int) string) []byte {
	if n == 0 {
		return append(b, null...)
	}
	at := len(b)
	b = append(b, 0, 0, 0, 0, '{')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for _, c := range []byte(element(i)) {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '"')
	}
	b = append(b, '}')
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) //nolint:gosec // events are at most 1 MiB
	return b
}

// decode sets the field from the column's binary form; nil is null.
func (c column) decode(v reflect.Value, raw []byte) error {
	if raw == nil {
		v.SetZero()
		return nil
	}
	switch c.kind {
	case text:
		v.SetString(string(raw))
	case integer:
		v.SetInt(int64(binary.BigEndian.Uint64(raw))) //nolint:gosec // the bits, not the number
	case boolean:
		v.SetBool(raw[0] == 1)
	case instant:
		v.Set(reflect.ValueOf(decodeInstant(raw)))
	case float:
		f := math.Float64frombits(binary.BigEndian.Uint64(raw))
		v.Set(reflect.ValueOf(&f))
	case sealed:
		return json.Unmarshal(raw, v.Addr().Interface())
	case texts:
		elements := decodeArray(raw)
		v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
		for i, e := range elements {
			v.Index(i).SetString(string(e))
		}
	case instants:
		var times []time.Time
		for _, e := range decodeArray(raw) {
			times = append(times, decodeInstant(e))
		}
		v.Set(reflect.ValueOf(times))
	}
	return nil
}

func decodeInstant(raw []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw)) + epoch2000).UTC() //nolint:gosec // the bits, not the number
}

// decodeArray returns the elements of a one-dimensional array without nulls.
func decodeArray(raw []byte) [][]byte {
	const header = 20
	if len(raw) < header {
		return nil
	}
	elements := make([][]byte, 0, binary.BigEndian.Uint32(raw[12:]))
	for rest := raw[header:]; len(rest) >= 4; {
		n := binary.BigEndian.Uint32(rest)
		elements = append(elements, rest[4:4+n])
		rest = rest[4+n:]
	}
	return elements
}

// names returns the quoted names of the columns, each with a prefix.
func names(columns []column, prefix string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = prefix + `"` + c.name + `"`
	}
	return strings.Join(quoted, ", ")
}
