package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// AsOf builds a model's tables as they were when the log ended at a position, in
// a schema of their own, and returns its name. They stay until [Engine.DropAsOf];
// what is there already is used again. What could not be folded is passed over.
func (e *Engine) AsOf(ctx context.Context, how Build, name string, at domain.Position) (schema string, err error) {
	m, err := e.model(name)
	if err != nil {
		return "", err
	}
	head, err := e.config.Log.Head(ctx)
	if err != nil {
		return "", err
	}
	if at > head {
		return "", ErrPositionUnknown
	}
	how.KeepParked = true
	err = e.beside(m, asOfSuffix(at), how, func(b *builder) error {
		schema = b.schema
		if err := e.create(ctx, m, b.schema); err != nil {
			return err
		}
		if err := b.await(ctx); err != nil {
			return err
		}
		err := b.runTo(ctx, at)
		return errors.Join(err, b.release(context.WithoutCancel(ctx)))
	})
	if err != nil {
		err = fmt.Errorf("%s as of %d: %w", name, at, err)
	}
	return schema, err
}

func asOfSuffix(at domain.Position) string { return fmt.Sprintf("_asof_%d", at) }

// DropAsOf removes what [Engine.AsOf] has built.
func (e *Engine) DropAsOf(ctx context.Context, name string, at domain.Position) error {
	m, err := e.model(name)
	if err != nil {
		return err
	}
	return e.drop(ctx, m.Schema()+asOfSuffix(at))
}

// Rows hands the rows of one of a model's tables to f as JSON, in the order of
// their keys: of the tables in the schema, such as one of [Engine.AsOf].
func (e *Engine) Rows(ctx context.Context, schema, table, key string, f func(row json.RawMessage) error) error {
	rows, err := e.config.Pool.Query(ctx, fmt.Sprintf(`select to_jsonb(t) from %q.%q t order by %q`, schema, table, key))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(json.RawMessage(append([]byte(nil), rows.RawValues()[0]...))); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Difference is a row that differs between two positions.
type Difference struct {
	Table  string          `json:"table"`
	Key    string          `json:"key"`
	Before json.RawMessage `json:"before,omitempty"` // absent when there was no row
	After  json.RawMessage `json:"after,omitempty"`  // absent when there is none
}

// Diff hands the rows that differ between two positions to f, by table and key.
func (e *Engine) Diff(ctx context.Context, how Build, name string, from, to domain.Position, f func(Difference) error) error {
	m, err := e.model(name)
	if err != nil {
		return err
	}
	var schemas [2]string
	for i, at := range []domain.Position{from, to} {
		if schemas[i], err = e.AsOf(ctx, how, name, at); err != nil {
			return err
		}
	}
	for _, t := range m.Tables {
		if err := e.diffTable(ctx, t, schemas, f); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) diffTable(ctx context.Context, t Table, schemas [2]string, f func(Difference) error) error {
	rows, err := e.config.Pool.Query(ctx, fmt.Sprintf(`
		select coalesce(a.%[1]q, b.%[1]q), to_jsonb(a), to_jsonb(b)
		from %[2]q.%[4]q a
		full join %[3]q.%[4]q b on a.%[1]q = b.%[1]q
		where a.* is distinct from b.*
		order by 1`, t.key(), schemas[0], schemas[1], t.tableName()))
	if err != nil {
		return err
	}
	d := Difference{Table: t.tableName()}
	_, err = pgx.ForEachRow(rows, []any{&d.Key, (*jsonText)(&d.Before), (*jsonText)(&d.After)}, func() error { return f(d) })
	return err
}

// jsonText scans JSON as its text; null is nothing.
type jsonText json.RawMessage

// Scan takes the text.
func (t *jsonText) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = nil
	case string:
		*t = jsonText(v)
	case []byte:
		*t = append(jsonText(nil), v...)
	default:
		return fmt.Errorf("JSON as a %T", src)
	}
	return nil
}

// Tables returns the names of a model's tables and of their keys.
func (e *Engine) Tables(name string) (tables, keys []string, err error) {
	m, err := e.model(name)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range m.Tables {
		tables, keys = append(tables, t.tableName()), append(keys, t.key())
	}
	return tables, keys, nil
}

// TableColumns are the columns of one of a model's tables, the key first, with
// the types of the row struct's fields.
type TableColumns struct {
	Table   string
	Columns []string
	Types   []reflect.Type
}

// Columns describes a model's tables.
func (e *Engine) Columns(name string) ([]TableColumns, error) {
	m, err := e.model(name)
	if err != nil {
		return nil, err
	}
	all := make([]TableColumns, len(m.Tables))
	for i, t := range m.Tables {
		all[i].Table = t.tableName()
		row := t.row()
		for _, c := range columnsOf(row) {
			all[i].Columns, all[i].Types = append(all[i].Columns, c.name), append(all[i].Types, row.Field(c.field).Type)
		}
	}
	return all, nil
}
