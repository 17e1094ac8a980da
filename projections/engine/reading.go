package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/domain"
)

// reading is a view while it is read. It begins with its first query and ends
// with its last, in the same round trips.
type reading struct {
	view
	conn    *pgx.Conn
	least   domain.Position // that the rows must reflect
	at      domain.Position
	begun   bool
	over    bool             // nothing is read any more
	results pgx.BatchResults // of the query before, nil when they are closed
	last    pgx.Rows         // of a query that was the whole view
}

var errOver = errors.New("the last query of the view was run before")

// Query runs a query.
func (r *reading) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.query(ctx, false, sql, args)
}

// Last runs the last query.
func (r *reading) Last(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, _, err := r.LastUnless(ctx, "false", sql, args...)
	return rows, err
}

// LastUnless runs the last query where the condition does not hold.
func (r *reading) LastUnless(ctx context.Context, condition, sql string, args ...any) (rows pgx.Rows, holds bool, err error) {
	if !r.begun && r.met()[sql] {
		return r.alone(ctx, condition, sql, args)
	}
	if condition != "false" {
		if err := r.QueryRow(ctx, "select "+condition, args...).Scan(&holds); err != nil || holds {
			return failedRows{err: err}, holds, err
		}
	}
	rows, err = r.query(ctx, true, sql, args)
	return rows, false, err
}

// QueryRow runs a query for one row.
func (r *reading) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := r.ready(ctx, false, sql, args); err != nil {
		return failedRow{err}
	}
	if r.results != nil {
		return r.results.QueryRow()
	}
	sql, args, err := r.wordings.numbered(ctx, sql, args)
	if err != nil {
		return failedRow{err}
	}
	return r.conn.QueryRow(ctx, sql, args...)
}

func (r *reading) query(ctx context.Context, last bool, sql string, args []any) (pgx.Rows, error) {
	if err := r.ready(ctx, last, sql, args); err != nil {
		return failedRows{err: err}, err
	}
	if r.results != nil {
		return r.results.Query()
	}
	sql, args, err := r.wordings.numbered(ctx, sql, args)
	if err != nil {
		return failedRows{err: err}, err
	}
	return r.conn.Query(ctx, sql, args...)
}

// ready brings the view to where the query's result comes next: in r.results
// or, when that is nil, once the query is sent by itself. The latter is for a
// query that the connection meets for the first time: it is prepared before
// everything that is sent with it, where the tables have no names yet.
func (r *reading) ready(ctx context.Context, last bool, sql string, args []any) error {
	if err := r.close(); err != nil {
		return err
	}
	if r.over {
		return errOver
	}
	met := r.met()
	if met[sql] {
		err := r.send(ctx, last, sql, args)
		if !r.forgotten(err) {
			return err
		}
	}
	const enough = 400 // less than a connection keeps prepared
	if len(met) >= enough {
		clear(met)
	}
	met[sql] = true
	r.over = last
	if r.begun {
		return nil
	}
	return r.begin(ctx)
}

// met returns the queries that the connection has met.
func (r *reading) met() map[string]bool {
	const key = "slotbook.views"
	data := r.conn.PgConn().CustomData()
	met, ok := data[key].(map[string]bool)
	if !ok {
		met = map[string]bool{}
		data[key] = met
	}
	return met
}

// forgotten reports whether an error says that the query had to be prepared
// again. Nothing was run then.
func (r *reading) forgotten(err error) bool {
	const undefinedTable = "42P01"
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.Code == undefinedTable && !r.begun && r.conn.PgConn().TxStatus() == 'I'
}

// send sends the query, with the beginning of the view before it and the end
// after it.
func (r *reading) send(ctx context.Context, last bool, sql string, args []any) error {
	sql, args, err := r.wordings.numbered(ctx, sql, args)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	beginning := 0
	if !r.begun {
		r.queueBegin(batch)
		beginning = batch.Len()
	}
	batch.Queue(sql, args...)
	if last {
		batch.Queue("rollback")
	}
	r.results = r.conn.SendBatch(ctx, batch)
	if beginning > 0 {
		if err := r.began(beginning); err != nil {
			return errors.Join(err, r.close())
		}
	}
	r.over = last
	return nil
}

// began reads that the view has begun.
func (r *reading) began(statements int) error {
	for range statements - 1 {
		if _, err := r.results.Exec(); err != nil {
			return err
		}
	}
	var ours bool
	if err := r.results.QueryRow().Scan(&r.at, nil, &ours); err != nil {
		return err
	}
	r.begun = true
	return r.mayRead(ours)
}

// mayRead tells why the tables of a view are not read: they are of another epoch
// of the store, or too old.
func (r *reading) mayRead(ours bool) error {
	switch {
	case !ours:
		return fmt.Errorf("%w: %s", ErrRebuild, otherEpoch)
	case r.at < r.least:
		return errBehind
	}
	return nil
}

// begin begins the view by itself.
func (r *reading) begin(ctx context.Context) error {
	batch := &pgx.Batch{}
	r.queueBegin(batch)
	r.results = r.conn.SendBatch(ctx, batch)
	err := r.began(batch.Len())
	if err = errors.Join(err, r.close()); err != nil {
		return fmt.Errorf("view %s: %w", strings.Join(r.schemas, ", "), err)
	}
	return nil
}

// queueBegin queues what a view begins with, the position last.
func (r *reading) queueBegin(batch *pgx.Batch) {
	batch.Queue("begin isolation level repeatable read read only")
	batch.Queue(r.lock)
	batch.Queue(`
		select coalesce(min(position), 0), set_config('search_path', $2, true), coalesce(bool_and(coalesce(store_epoch, $3) = $3), true)
		from slotbook.projection_checkpoint
		where schema = any($1)`, r.schemas, r.path, r.epoch)
}

// close ends the query before.
func (r *reading) close() error {
	if r.last != nil {
		r.last.Close()
	}
	if r.results == nil {
		return nil
	}
	err := r.results.Close()
	r.results = nil
	return err
}

// end ends the view, and begins it before when nothing was read: its position
// is wanted.
func (r *reading) end(ctx context.Context) error {
	err := r.close()
	if !r.begun && err == nil && !r.conn.IsClosed() {
		err = r.begin(ctx)
	}
	if r.conn.IsClosed() || r.conn.PgConn().TxStatus() == 'I' && err == nil {
		return err
	}
	_, ended := r.conn.Exec(ctx, "rollback") // nothing was written; it is the cheaper end after a failure, too
	return errors.Join(err, ended)
}

// failedRow is the answer to a query that could not be run.
type failedRow struct{ err error }

// Scan returns why.
func (r failedRow) Scan(...any) error { return r.err }

// failedRows are the answer to a query that could not be run.
type failedRows struct {
	pgx.Rows
	err error
}

// Close does nothing.
func (failedRows) Close() {}

// Next is false.
func (failedRows) Next() bool { return false }

// Err returns why.
func (r failedRows) Err() error { return r.err }
