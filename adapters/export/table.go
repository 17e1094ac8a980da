package export

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/slotbook/slotbook/domain"
)

// kind is what a field holds.
type kind int

const (
	text kind = iota
	integer
	float
	boolean
	instant
	object
	list
)

// String names the kind as manifests do.
func (k kind) String() string {
	return [...]string{"string", "int64", "double", "boolean", "timestamp", "object", "list"}[k]
}

// field is a place in an event's data, read off the event's struct.
type field struct {
	name   string // as in JSON
	index  []int  // where it lies in the struct around it, through those that are embedded
	omit   bool   // is left out when it is zero
	kind   kind
	fields []field // of an object
	elem   *field  // of a list

	columns []column // of an object, flat; made when they are needed
}

// fieldsOf reads the fields off a struct as encoding/json does. Sealed text is
// no field, and persons are none unless something stands for them.
func fieldsOf(t reflect.Type, pseudonyms bool) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case !sf.IsExported(), name == "-", left(sf.Type, pseudonyms):
		case sf.Anonymous && name == "":
			for _, inner := range fieldsOf(sf.Type, pseudonyms) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
		default:
			f := fieldOf(sf.Type, pseudonyms)
			f.name, f.index, f.omit = name, []int{i}, strings.Contains(options, "omit")
			if name == "" {
				f.name = sf.Name
			}
			fields = append(fields, f)
		}
	}
	return fields
}

// left reports whether fields of a type are left out.
func left(t reflect.Type, pseudonyms bool) bool {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		return left(t.Elem(), pseudonyms)
	}
	return t == reflect.TypeFor[domain.Sealed]() || t == reflect.TypeFor[domain.PatientID]() && !pseudonyms
}

func fieldOf(t reflect.Type, pseudonyms bool) field {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return field{kind: instant}
	case t.Kind() == reflect.Pointer:
		f := fieldOf(t.Elem(), pseudonyms)
		return f
	case t.Kind() == reflect.Struct:
		return field{kind: object, fields: fieldsOf(t, pseudonyms)}
	case t.Kind() == reflect.Slice:
		elem := fieldOf(t.Elem(), pseudonyms)
		return field{kind: list, elem: &elem}
	case t.Kind() == reflect.String:
		return field{kind: text}
	case t.Kind() == reflect.Bool:
		return field{kind: boolean}
	case t.Kind() == reflect.Float64:
		return field{kind: float}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return field{kind: integer}
	}
	panic(fmt.Sprintf("no column holds a %s", t)) // a new sort of field in an event: the tests see every type
}

// in returns the field's value in the struct around it, and whether it has one.
func (f *field) in(around reflect.Value) (reflect.Value, bool) {
	v := around.FieldByIndex(f.index)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return v, false
		}
		return v.Elem(), true // what is pointed at counts, also when it is zero
	}
	return v, !f.omit || !empty(v)
}

// empty reports what "omitempty" and "omitzero" leave out. An instant with
// either tag is left out when it is zero.
func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

// appendJSON writes a value of the field as encoding/json does.
func (f *field) appendJSON(b []byte, v reflect.Value) ([]byte, error) {
	switch f.kind {
	case text:
		return jsontext.AppendQuote(b, v.String())
	case integer:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case boolean:
		return strconv.AppendBool(b, v.Bool()), nil
	case object:
		return appendObject(b, f.fields, v)
	case list:
		return f.appendList(b, v)
	case float, instant:
	}
	text, err := json.Marshal(v.Interface())
	return append(b, text...), err
}

func (f *field) appendList(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = f.elem.appendJSON(b, v.Index(i)); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, fields []field, v reflect.Value) (_ []byte, err error) {
	b = append(b, '{')
	for i := range fields {
		inner, ok := fields[i].in(v)
		if !ok {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		if b, err = jsontext.AppendQuote(b, fields[i].name); err != nil {
			return b, err
		}
		if b, err = fields[i].appendJSON(append(b, ':'), inner); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// column is a field, flat: an object's fields are columns of their own, with the
// object's name before theirs.
type column struct {
	name string
	path []*field // objects around it, and the field
}

func (c *column) field() *field { return c.path[len(c.path)-1] }

// in returns the column's value in an event's data, and whether it has one.
func (c *column) in(v reflect.Value) (reflect.Value, bool) {
	for _, f := range c.path {
		var ok bool
		if v, ok = f.in(v); !ok {
			return v, false
		}
	}
	return v, true
}

// flat returns the columns of an object.
func (f *field) flat() []column {
	if f.columns == nil {
		f.columns = columnsOf(f.fields, "", nil)
	}
	return f.columns
}

func columnsOf(fields []field, prefix string, around []*field) []column {
	var columns []column
	for i := range fields {
		f := &fields[i]
		path := append(append([]*field{}, around...), f)
		if f.kind == object {
			columns = append(columns, columnsOf(f.fields, prefix+f.name+"_", path)...)
			continue
		}
		columns = append(columns, column{prefix + f.name, path})
	}
	return columns
}

// table is what an event type looks like in files.
type table struct {
	eventType string
	fields    []field
	columns   []column
}

func newTable(eventType string, of reflect.Type, pseudonyms bool) *table {
	t := &table{eventType: eventType, fields: fieldsOf(of, pseudonyms)}
	t.columns = columnsOf(t.fields, "", nil)
	return t
}

// head are the columns that every event type has.
func head() []Column {
	return []Column{
		{"event_position", "int64"},
		{"event_id", "string"},
		{"event_stream", "string"},
		{"event_revision", "int64"},
		{"event_recorded_at", "timestamp"},
		{"event_actor", "string"},
		{"event_command", "string"},
		{"event_causation", "string"},
	}
}

// described returns the columns of the table for the manifest.
func (t *table) described() []Column {
	described := head()
	for _, c := range t.columns {
		described = append(described, Column{c.name, c.field().describe()})
	}
	return described
}

func (f *field) describe() string {
	switch f.kind {
	case list:
		return "list<" + f.elem.describe() + ">"
	case object:
		var inner []string
		for _, c := range f.flat() {
			inner = append(inner, c.name+" "+c.field().describe())
		}
		return "struct<" + strings.Join(inner, ", ") + ">"
	}
	return f.kind.String()
}

// line returns the record as a line of JSON with its end.
func (t *table) line(r record) ([]byte, error) {
	b, err := appendStrings([]byte(`{"position":`+strconv.FormatUint(uint64(r.Position), 10)+`,"revision":`+strconv.FormatInt(int64(r.Revision), 10)),
		"id", r.ID, "stream", string(r.stream), "type", t.eventType, "recordedAt", formatTime(r.RecordedAt),
		"actor", r.Metadata.Actor, "command", r.Metadata.Command, "causation", r.Metadata.Causation)
	if err != nil {
		return nil, err
	}
	b, err = appendObject(append(b, `,"data":`...), t.fields, r.data)
	return append(b, "}\n"...), err
}

// appendStrings appends members with text that is not empty.
func appendStrings(b []byte, members ...string) (_ []byte, err error) {
	for i := 0; i < len(members); i += 2 {
		if members[i+1] == "" {
			continue
		}
		b = append(b, `,"`+members[i]+`":`...)
		if b, err = jsontext.AppendQuote(b, members[i+1]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// formatTime writes an instant in RFC 3339 with microseconds always.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
