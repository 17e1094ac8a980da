package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// errElsewhere says that another process, or another build, has the schema.
var errElsewhere = errors.New("somebody else has the tables")

// acquire gets hold of the schema for this process: it raises the epoch, which
// refuses every write under the one before, and forgets what was cached. It
// returns errElsewhere while another process's lease lasts, by the database's
// clock, and [ErrRebuild] when the tables are not of this log.
func (b *builder) acquire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.engine.config.Timeout)
	defer cancel()
	var seen *time.Time
	row := b.engine.config.Pool.QueryRow(ctx, `
		update slotbook.projection_checkpoint
		set epoch = epoch + 1, owner = $2, lease_until = clock_timestamp() + $3, store_epoch = $4
		where schema = (
			select schema
			from slotbook.projection_checkpoint
			where schema = $1 and paused_at is null and coalesce(store_epoch, $4) = $4
				and (lease_until is null or lease_until <= clock_timestamp() or owner = $2)
			for update skip locked
		)
		returning epoch, position, recorded_at`, b.schema, b.owner, b.engine.config.Lease, b.engine.config.Epoch)
	err := row.Scan(&b.epoch, &b.stored, &seen)
	if errors.Is(err, pgx.ErrNoRows) {
		return b.whyNot(ctx)
	}
	if err != nil {
		return fmt.Errorf("acquire %s: %w", b.schema, err)
	}
	b.position, b.seen, b.renewed = b.stored, time.Time{}, b.engine.config.Now()
	if seen != nil {
		b.seen = seen.UTC()
	}
	if err := b.engine.within(ctx, b.stored); err != nil {
		return errors.Join(err, b.release(ctx))
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

// whyNot tells why the schema cannot be had.
func (b *builder) whyNot(ctx context.Context) error {
	var paused, ours bool
	err := b.engine.config.Pool.QueryRow(ctx, `
		select paused_at is not null, coalesce(store_epoch, $2) = $2
		from slotbook.projection_checkpoint
		where schema = $1`, b.schema, b.engine.config.Epoch).Scan(&paused, &ours)
	switch {
	case err != nil:
		return fmt.Errorf("acquire %s: %w", b.schema, err)
	case !ours:
		return fmt.Errorf("%w: %s", ErrRebuild, otherEpoch)
	case paused:
		return ErrPaused
	}
	return errElsewhere
}

func parkedIn(ctx context.Context, from querier, schema string) ([]Parked, error) {
	rows, _ := from.Query(ctx, `
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

// keep renews the lease when it is time to, for builds that write rarely.
func (b *builder) keep(ctx context.Context) error {
	now := b.engine.config.Now()
	if now.Sub(b.renewed) < b.engine.config.Lease/3 {
		return nil
	}
	b.renewed = now
	return b.renew(ctx)
}

// release lets any process have the schema at once. Until when it was kept
// stays known.
func (b *builder) release(ctx context.Context) error {
	if b.epoch == 0 {
		return nil
	}
	err := b.lease(ctx, `
		update slotbook.projection_checkpoint
		set lease_until = clock_timestamp(), owner = null
		where schema = $1 and epoch = $2`, b.schema, b.epoch)
	b.forget()
	return err
}

func (b *builder) lease(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, b.engine.config.Timeout)
	defer cancel()
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
