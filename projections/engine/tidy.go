package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// keptFor is how long an older version of a read model stays after the last
// process has let go of it, for the way back to the older program.
const keptFor = 24 * time.Hour

// tidyUp drops what nobody needs any more, now and every hour until ctx ends.
func (e *Engine) tidyUp(ctx context.Context) {
	for ctx.Err() == nil {
		dropped, err := e.Tidy(ctx)
		for _, schema := range dropped {
			e.config.Logger.InfoContext(ctx, "older version dropped", "schema", schema)
		}
		if err != nil && ctx.Err() == nil {
			e.config.Logger.LogAttrs(ctx, slog.LevelWarn, "older versions not dropped; it is tried again", slog.Any("error", err))
		}
		sleep(ctx, time.Hour)
	}
}

// Tidy drops the tables of older versions of the models that no process has kept
// for 24 hours, by the database's clock, with what was built beside them, and
// returns their schemas. A model that is paused stays, and so do models that this
// program does not know.
func (e *Engine) Tidy(ctx context.Context) (dropped []string, err error) {
	old, err := e.forsaken(ctx)
	if err != nil {
		return nil, err
	}
	for _, schema := range old {
		err := pgx.BeginFunc(ctx, e.config.Pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "set local lock_timeout to '2s'"); err != nil {
				return err
			}
			// An older program that comes back takes hold of this row.
			tag, err := tx.Exec(ctx, `
				select
				from slotbook.projection_checkpoint
				where schema = $1 and lease_until <= clock_timestamp() - $2::interval
				for update`, schema, keptFor)
			if err != nil || tag.RowsAffected() == 0 {
				return err
			}
			dropped = append(dropped, schema)
			return dropTx(ctx, tx, schema)
		})
		if err != nil {
			return dropped, fmt.Errorf("drop %s: %w", schema, err)
		}
	}
	return dropped, nil
}

// forsaken returns the schemas of older versions that nobody has kept for long.
// What an older program has let go of without a time counts from now on.
func (e *Engine) forsaken(ctx context.Context) ([]string, error) {
	names, versions := make([]string, len(e.config.Models)), make([]int, len(e.config.Models))
	for i, m := range e.config.Models {
		names[i], versions[i] = m.Name, m.Version
	}
	_, err := e.config.Pool.Exec(ctx, `
		update slotbook.projection_checkpoint c
		set lease_until = clock_timestamp()
		from unnest($1::text[], $2::bigint[]) as ours (model, version)
		where c.model = ours.model and c.version < ours.version and c.lease_until is null`, names, versions)
	if err != nil {
		return nil, err
	}
	rows, _ := e.config.Pool.Query(ctx, `
		select c.schema
		from unnest($1::text[], $2::bigint[]) as ours (model, version)
		join slotbook.projection_checkpoint c on c.model = ours.model and c.version < ours.version
		where not exists (
			select
			from slotbook.projection_checkpoint same
			where same.model = c.model and same.version = c.version
				and (same.paused_at is not null or same.lease_until > clock_timestamp() - $3::interval)
		)
		order by c.schema`, names, versions, keptFor)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
