package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

// errElsewhere says that another process has the schema.
var errElsewhere = errors.New("another process has the read model")

// acquire gets hold of the schema for this process: it raises the epoch, which
// refuses every write under the one before, and forgets what was cached. It
// returns errElsewhere while another process's lease lasts, by the database's
// clock.
func (b *builder) acquire(ctx context.Context) error {
	var seen *time.Time
	row := b.engine.config.Pool.QueryRow(ctx, `
		update slotbook.projection_checkpoint
		set epoch = epoch + 1, owner = $2, lease_until = clock_timestamp() + $3
		where schema = (
			select schema
			from slotbook.projection_checkpoint
			where schema = $1 and (lease_until is null or lease_until < clock_timestamp() or owner = $2)
			for update skip locked
		)
		returning epoch, position, recorded_at`, b.schema, b.engine.config.Owner, b.engine.config.Lease)
	err := row.Scan(&b.epoch, &b.stored, &seen)
	if errors.Is(err, pgx.ErrNoRows) {
		return errElsewhere
	}
	if err != nil {
		return fmt.Errorf("acquire %s: %w", b.schema, err)
	}
	b.position, b.seen = b.stored, time.Time{}
	if seen != nil {
		b.seen = seen.UTC()
	}
	for _, f := range b.folders {
		f.reset(b.stored == 0)
	}
	parked, err := parkedIn(ctx, b.engine.config.Pool, b.schema)
	if err != nil {
		b.forget()
		return err
	}
	b.parking = newParking(parked)
	return nil
}

func parkedIn(ctx context.Context, pool *pgxpool.Pool, schema string) ([]Parked, error) {
	rows, _ := pool.Query(ctx, `
		select "table", key, position, error, count
		from slotbook.projection_parked
		where schema = $1
		order by "table", key`, schema)
	parked, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Parked])
	if err != nil {
		return nil, fmt.Errorf("parked rows of %s: %w", schema, err)
	}
	return parked, nil
}

// renew lengthens the lease; errLost when the schema has another owner.
func (b *builder) renew(ctx context.Context) error {
	return b.lease(ctx, `
		update slotbook.projection_checkpoint
		set lease_until = clock_timestamp() + $3
		where schema = $1 and epoch = $2`, b.schema, b.epoch, b.engine.config.Lease)
}

// release lets any process have the schema at once.
func (b *builder) release(ctx context.Context) error {
	if b.epoch == 0 {
		return nil
	}
	err := b.lease(ctx, `
		update slotbook.projection_checkpoint
		set lease_until = null, owner = null
		where schema = $1 and epoch = $2`, b.schema, b.epoch)
	b.forget()
	return err
}

func (b *builder) lease(ctx context.Context, sql string, args ...any) error {
	tag, err := b.engine.config.Pool.Exec(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("lease of %s: %w", b.schema, err)
	}
	if tag.RowsAffected() == 0 {
		b.forget()
		return errLost
	}
	return nil
}

// runTo takes the tables to a position, writing rarely: for schemas that
// nobody reads yet. It stops at what cannot be folded unless told to go on.
func (b *builder) runTo(ctx context.Context, to domain.Position, keepParked bool) error {
	const pagesPerWrite = 20 // what a crash costs
	filter, pages := interest([]Model{b.model}), 0
	for b.position < to {
		page, err := b.engine.config.Log.ReadAll(ctx, b.position, filter, b.engine.config.Batch)
		if err != nil {
			return err
		}
		if page.Next <= b.position {
			return fmt.Errorf("the log ends at position %d, before %d", b.position, to)
		}
		if err := b.fold(ctx, cut(page, to)); err != nil {
			return err
		}
		if parked := b.parking.list(); len(parked) > 0 && !keepParked {
			return &ParkedError{parked}
		}
		if pages++; pages%pagesPerWrite == 0 || b.engine.memory.used.Load() > b.engine.memory.limit {
			if err := b.flush(ctx); err != nil {
				return err
			}
		}
	}
	return b.flush(ctx)
}

// cut returns the page up to a position.
func cut(page domain.Page, to domain.Position) domain.Page {
	if page.Next <= to {
		return page
	}
	for i, r := range page.Events {
		if r.Position > to {
			return domain.Page{Events: page.Events[:i], Next: to}
		}
	}
	return domain.Page{Events: page.Events, Next: to}
}

// ParkedError says that a rebuild met what it cannot fold. The live tables
// are as they were.
type ParkedError struct{ Parked []Parked }

// Error names the first that is parked.
func (e *ParkedError) Error() string {
	p := e.Parked[0]
	return fmt.Sprintf("%d rows or streams cannot be folded; %s %s at position %d: %s", len(e.Parked), p.Table, p.Key, p.Position, p.Error)
}
