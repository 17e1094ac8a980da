package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// rowRefused reports whether the database has refused what a row holds: data
// that its columns cannot hold (class 22 of the SQL states) or that a constraint
// forbids (class 23). The same write would be refused again, for ever.
func rowRefused(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.Code != divisionByZero && (strings.HasPrefix(failure.Code, "22") || strings.HasPrefix(failure.Code, "23"))
}

// refusal says why a row was refused, without what it holds: the database
// quotes values after a colon.
func refusal(err error) error {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	why, _, _ := strings.Cut(failure.Message, ": ")
	return fmt.Errorf("the table does not take the row: %s (SQLSTATE %s)", why, failure.Code)
}

// winnow writes what the fold changed as [builder.flush] does, but for the rows
// that their table does not take: they stay there as they were, and are parked.
func (b *builder) winnow(ctx context.Context, conn *pgx.Conn) error {
	p, err := b.begin(ctx, conn)
	if err != nil {
		return err
	}
	if err := p.send(); err != nil {
		return err
	}
	for _, f := range b.folders {
		refused, err := winnowTable(ctx, p, f)
		if err != nil {
			return err
		}
		for row, why := range refused {
			f.refuse(row, b.parking, refusal(why))
		}
	}
	if err := b.end(p); err != nil {
		return err
	}
	return p.send()
}

// winnowTable writes the rows of a table that it takes, and returns why it does
// not take the others. What one row hinders another may have given way to it
// meanwhile, so the others are tried again until none comes in.
func winnowTable(ctx context.Context, p *pipeline, f folder) (map[int]error, error) {
	rows := f.pending()
	for {
		refused := map[int]error{}
		if err := halve(ctx, p, f, rows, refused); err != nil {
			return nil, err
		}
		if len(refused) == 0 || len(refused) == len(rows) {
			return refused, nil
		}
		rows = slices.DeleteFunc(rows, func(row int) bool { return refused[row] == nil })
	}
}

// halve writes rows together; when they are refused, each half by itself, down to
// the single rows that are.
func halve(ctx context.Context, p *pipeline, f folder, rows []int, refused map[int]error) error {
	if len(rows) == 0 {
		return nil
	}
	err := attempt(ctx, p, f, rows)
	if err == nil || !rowRefused(err) {
		return err
	}
	if len(rows) == 1 {
		refused[rows[0]] = err
		return nil
	}
	half := len(rows) / 2
	if err := halve(ctx, p, f, rows[:half], refused); err != nil {
		return err
	}
	return halve(ctx, p, f, rows[half:], refused)
}

// attempt writes rows, or leaves the transaction as it was.
func attempt(ctx context.Context, p *pipeline, f folder, rows []int) error {
	c, err := f.changesOf(rows)
	if err != nil {
		return err
	}
	if _, err := p.conn.Exec(ctx, "savepoint winnow"); err != nil {
		return err
	}
	if err := p.changes(f.statements(), c); err != nil {
		return err
	}
	if err := p.send(); err != nil {
		if _, back := p.conn.Exec(ctx, "rollback to savepoint winnow"); back != nil {
			return back
		}
		return err
	}
	_, err = p.conn.Exec(ctx, "release savepoint winnow")
	return err
}

// pending numbers the dirty rows: those that are gone first, new ones last.
func (f *fold[R]) pending() []int {
	var gone, changed, fresh []int
	for i, e := range f.dirty {
		switch {
		case e.exists && e.stored:
			changed = append(changed, i)
		case e.exists:
			fresh = append(fresh, i)
		case e.stored:
			gone = append(gone, i)
		}
	}
	return slices.Concat(gone, changed, fresh)
}

func (f *fold[R]) changesOf(rows []int) (changes, error) {
	dirty := make([]*entry[R], len(rows))
	for i, row := range rows {
		dirty[i] = f.dirty[row]
	}
	return f.changesFrom(dirty, len(dirty)+1)
}

func (f *fold[R]) refuse(row int, p *parking, err error) {
	e := f.dirty[row]
	p.park(f.name, e.key, e.first, e.events, err)
	f.drop(e)
}
