package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Fold returns the rows that events make of the model's tables, without a
// database: for each table a JSON array of objects, by the names of the columns,
// as jsonb_populate_recordset takes them. They are what the tables hold when the
// events are all that the log has of these rows, in the order of positions.
//
// want chooses the rows by their keys, before they are folded. Tables of
// [NewSource] and [NewAdded] are left out. A fold that fails is an error.
func (m Model) Fold(events []domain.Recorded, want func(table, key string) bool) (map[string]json.RawMessage, error) {
	var wanted []domain.Recorded
	for _, r := range events {
		if m.Interest.Wants(r.Stream, r.Event.EventType()) {
			wanted = append(wanted, r)
		}
	}
	rows := map[string]json.RawMessage{}
	for _, t := range m.Tables {
		alone, ok := t.(interface {
			rows(events []domain.Recorded, want func(key string) bool) ([]map[string]any, error)
		})
		if !ok {
			continue
		}
		found, err := alone.rows(wanted, func(key string) bool { return want(t.tableName(), key) })
		if err != nil {
			return nil, fmt.Errorf("fold table %s: %w", t.tableName(), err)
		}
		if rows[t.tableName()], err = json.Marshal(found); err != nil {
			return nil, fmt.Errorf("fold table %s: %w", t.tableName(), err)
		}
	}
	return rows, nil
}

// rows folds events into rows by the names of their columns.
func (t table[R]) rows(events []domain.Recorded, want func(key string) bool) (found []map[string]any, err error) {
	found = []map[string]any{}
	if t.evolve == nil {
		return found, nil
	}
	defer rescue(&err)
	known := map[string]R{}
	for _, r := range events {
		for _, key := range t.keys(r) {
			if !want(key) {
				continue
			}
			row, exists := known[key]
			if !exists {
				reflect.ValueOf(&row).Elem().Field(0).SetString(key)
			}
			if row, exists = t.evolve(row, exists, r); exists {
				known[key] = row
			} else {
				delete(known, key)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		row, columns := reflect.ValueOf(known[key]), map[string]any{}
		for _, c := range t.columns {
			columns[c.name] = c.value(row.Field(c.field))
		}
		found = append(found, columns)
	}
	return found, nil
}

// value returns the value of a column as JSON has it, nil for null.
func (c column) value(v reflect.Value) any {
	switch c.kind {
	case text:
		if v.Len() == 0 {
			return nil
		}
	case texts:
		if v.Len() == 0 {
			return nil
		}
	case instants:
		if v.Len() == 0 {
			return nil
		}
		whole := make([]time.Time, v.Len())
		for i := range whole {
			whole[i] = inMicros(v.Index(i))
		}
		return whole
	case instant:
		if v.Interface().(time.Time).IsZero() { //nolint:forcetypeassert // kindOf has looked
			return nil
		}
		return inMicros(v)
	case sealed:
		s := v.Interface().(domain.Sealed) //nolint:forcetypeassert // kindOf has looked
		if s.IsZero() {
			return nil
		}
		data, _ := json.Marshal(s) // texts
		return string(data)
	case integer, boolean, float:
	}
	return v.Interface()
}

func inMicros(v reflect.Value) time.Time {
	t, _ := v.Interface().(time.Time) // kindOf has looked
	return time.UnixMicro(t.UnixMicro()).UTC()
}
