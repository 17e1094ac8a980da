package engine

import (
	"context"
	"regexp"
)

// makesIndex finds what makes an index in the definition of a table.
var makesIndex = regexp.MustCompile(`(?i)\bcreate\s+(unique\s+)?index\b|\bprimary\s+key\b`)

// Indexes returns how many indexes the live tables of a model should have, and
// how many they have.
func (e *Engine) Indexes(ctx context.Context, name string) (should, have int, err error) {
	m, err := e.model(name)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range m.Tables {
		should += len(makesIndex.FindAllString(t.definition(), -1))
	}
	err = e.config.Pool.QueryRow(ctx, `
		select count(*)
		from pg_indexes
		where schemaname = $1`, m.Schema()).Scan(&have)
	return should, have, err
}

// Left returns the schemas of read models that are neither live nor kept for a
// rollback: of other versions, of builds under way, and what was kept as of a
// position.
func (e *Engine) Left(ctx context.Context) ([]string, error) {
	var known []string
	for _, m := range e.config.Models {
		known = append(known, m.Schema(), m.Schema()+prevSuffix)
	}
	rows, err := e.config.Pool.Query(ctx, `
		select schema
		from slotbook.projection_checkpoint
		where schema <> all($1)
		order by schema`, known)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var left []string
	for rows.Next() {
		var schema string
		if err := rows.Scan(&schema); err != nil {
			return nil, err
		}
		left = append(left, schema)
	}
	return left, rows.Err()
}
