package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// alone reads a view of one query in one statement: that sees one snapshot, which
// PostgreSQL takes when it has locked the tables that the statement names, and
// needs no transaction around it. Its rows come with the position, and with
// whether the condition holds, under which the query is not run; where there is
// none of its rows, one row of these comes. The order is the query's: it is the
// inner side of a loop that goes round once.
func (r *reading) alone(ctx context.Context, unless, sql string, args []any) (rows pgx.Rows, holds bool, err error) {
	if err := r.onPath(ctx); err != nil {
		return failedRows{err: err}, false, err
	}
	args, once := plannedOnce(args)
	text, args, err := r.wordings.numbered(ctx, r.before+unless+r.between+sql+r.after, args)
	if err != nil {
		return failedRows{err: err}, false, err
	}
	all, err := r.sent(ctx, once, text, args)
	if err == nil {
		rows, holds, err = r.positioned(all)
	}
	if err != nil || holds {
		all.Close()
		return failedRows{err: err}, holds, err
	}
	r.begun, r.over, r.last = true, true, rows
	return rows, false, nil
}

// sent sends the one statement; planned once, it goes after the settings for that,
// which end with it. A plan made while a table is empty has to do when it is large:
// it takes the indexes.
func (r *reading) sent(ctx context.Context, once bool, sql string, args []any) (pgx.Rows, error) {
	if !once {
		return r.conn.Query(ctx, sql, args...)
	}
	batch := &pgx.Batch{}
	batch.Queue("select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)")
	batch.Queue(sql, args...)
	r.results = r.conn.SendBatch(ctx, batch)
	if _, err := r.results.Exec(); err != nil {
		return failedRows{err: err}, err
	}
	return r.results.Query()
}

// around returns what stands before a condition, between it and a query, and
// after both, to make them a view of these schemas.
func (v view) around() (before, between, after string) {
	return fmt.Sprintf(`select reflected.*, answers.*
from (
	select coalesce(min(position), 0) as position, coalesce(bool_and(coalesce(store_epoch, %[1]s) = %[1]s), true) as ours, (`, literals(v.epoch)),
		fmt.Sprintf(`) as held
	from slotbook.projection_checkpoint
	where schema in (%s)
) reflected
left join lateral (
	select true as found, answer.*
	from (`, literals(v.schemas...)),
		`) answer
	where not reflected.held
) answers on true`
}

func literals(texts ...string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = "'" + strings.ReplaceAll(t, "'", "''") + "'"
	}
	return strings.Join(all, ", ")
}

// onPath lets the connection find the tables of every model by their names from
// now on: a statement by itself has nothing before it that sets a path.
func (r *reading) onPath(ctx context.Context) error {
	const key = "slotbook.path"
	data := r.conn.PgConn().CustomData()
	if data[key] == r.session {
		return nil
	}
	if _, err := r.conn.Exec(ctx, "select set_config('search_path', $1, false)", r.session); err != nil {
		return err
	}
	data[key] = r.session
	return nil
}

// positioned reads the first row, as far as it is the view's, and returns the
// query's rows.
func (r *reading) positioned(all pgx.Rows) (rows pgx.Rows, holds bool, err error) {
	if !all.Next() {
		return nil, false, all.Err()
	}
	var ours, found *bool
	into := make([]any, len(all.FieldDescriptions()))
	into[0], into[1], into[2], into[3] = &r.at, &ours, &holds, &found
	if err := all.Scan(into...); err != nil {
		return nil, false, err
	}
	return &rowsOfView{Rows: all, ahead: found != nil, empty: found == nil}, holds, r.mayRead(*ours)
}

// ownColumns are the position, whether the tables are of this store, whether the
// condition holds, and whether there is a row.
const ownColumns = 4

// rowsOfView are the rows of a query that came with those of its view.
type rowsOfView struct {
	pgx.Rows
	ahead bool // the first row was read
	empty bool // it is none of the query
}

// Next reads on.
func (v *rowsOfView) Next() bool {
	if v.ahead {
		v.ahead = false
		return true
	}
	if v.empty {
		v.Close()
		return false
	}
	return v.Rows.Next()
}

// FieldDescriptions returns those of the query.
func (v *rowsOfView) FieldDescriptions() []pgconn.FieldDescription {
	return v.Rows.FieldDescriptions()[ownColumns:]
}

// Scan scans the columns of the query.
func (v *rowsOfView) Scan(into ...any) error {
	all := make([]any, ownColumns+len(into))
	copy(all[ownColumns:], into)
	return v.Rows.Scan(all...)
}

// Values returns those of the query.
func (v *rowsOfView) Values() ([]any, error) {
	values, err := v.Rows.Values()
	return values[min(ownColumns, len(values)):], err
}

// RawValues returns those of the query.
func (v *rowsOfView) RawValues() [][]byte { return v.Rows.RawValues()[ownColumns:] }
