package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// Desk is where operators see how consumers are doing, and what is parked. The
// process at a desk need not run any consumer.
type Desk struct {
	Pool  *pgxpool.Pool
	Log   Log
	Epoch string // of the store
}

// patience bounds one statement of a desk.
const patience = 10 * time.Second

// List returns how the consumers are doing that have ever run, by name.
func (d Desk) List(ctx context.Context) ([]reactions.Standing, error) {
	head, err := d.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	var all []reactions.Standing
	err = within(ctx, patience, "consumers", func(ctx context.Context) error {
		rows, _ := d.Pool.Query(ctx, `
			select
				consumer, position,
				case when lease_until >= clock_timestamp() then owner else '' end,
				(select count(*) from slotbook.reaction_parked p where p.consumer = c.consumer),
				moved_at, store_epoch = $1
			from slotbook.reaction_checkpoint c
			order by consumer`, d.Epoch)
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (reactions.Standing, error) {
			s, ours, owner := reactions.Standing{Head: head}, false, new(string)
			err := row.Scan(&s.Name, &s.Position, &owner, &s.Parked, &s.MovedAt, &ours)
			if owner != nil {
				s.Owner = *owner
			}
			if !ours || s.Position > head {
				s.Refused = reactions.ErrOtherEpoch.Text
			}
			return s, err
		})
		return err
	})
	return all, err
}

// Parked returns what a consumer has parked, or all have when it is "", in the
// order of the log.
//
// Errors: [reactions.ErrUnknown].
func (d Desk) Parked(ctx context.Context, consumer string) (all []reactions.Parked, err error) {
	err = within(ctx, patience, "parked events", func(ctx context.Context) error {
		rows, _ := d.Pool.Query(ctx, parkedColumns+`
			where consumer = $1 or $1 = ''
			order by position, consumer`, consumer)
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[reactions.Parked])
		if err != nil || len(all) > 0 || consumer == "" {
			return err
		}
		return d.known(ctx, consumer)
	})
	return all, err
}

// Retry has the process that runs a consumer try parked events again within
// seconds: those with the given ids, or all when there is none. It returns how
// many. Errors: [reactions.ErrUnknown].
func (d Desk) Retry(ctx context.Context, consumer string, events ...string) (int, error) {
	return d.exec(ctx, "retry of "+consumer, `
		update slotbook.reaction_parked
		set retry_at = clock_timestamp()
		where consumer = $1 and ($2::text[] is null or event_id::text = any($2))`, consumer, events)
}

// Discard forgets that events are parked: those with the given ids, or all when
// there is none. It returns how many. Errors: [reactions.ErrUnknown].
func (d Desk) Discard(ctx context.Context, consumer string, events ...string) (int, error) {
	return d.exec(ctx, "discard of "+consumer, `
		delete from slotbook.reaction_parked
		where consumer = $1 and ($2::text[] is null or event_id::text = any($2))`, consumer, events)
}

func (d Desk) exec(ctx context.Context, what, sql, consumer string, events []string) (n int, err error) {
	err = within(ctx, patience, what, func(ctx context.Context) error {
		tag, err := d.Pool.Exec(ctx, sql, consumer, events)
		if n = int(tag.RowsAffected()); n > 0 || err != nil {
			return err
		}
		return d.known(ctx, consumer)
	})
	return n, err
}

// known returns [reactions.ErrUnknown] when no consumer of the name has ever
// run.
func (d Desk) known(ctx context.Context, consumer string) error {
	var known bool
	err := d.Pool.QueryRow(ctx, `
		select exists (select from slotbook.reaction_checkpoint where consumer = $1)
			or exists (select from slotbook.reaction_parked where consumer = $1)`, consumer).Scan(&known)
	if err == nil && !known {
		err = reactions.ErrUnknown
	}
	return err
}

// Forget drops the checkpoint of a consumer that is not wanted any more, and
// what it has parked. Should it run again, it is new. Errors:
// [reactions.ErrUnknown]; [reactions.ErrRunning].
func (d Desk) Forget(ctx context.Context, consumer string) error {
	return within(ctx, patience, "forget "+consumer, func(ctx context.Context) error {
		if err := d.known(ctx, consumer); err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, d.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `
				delete from slotbook.reaction_checkpoint
				where consumer = $1 and (lease_until is null or lease_until < clock_timestamp())`, consumer)
			if err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, `
				delete from slotbook.reaction_parked
				where consumer = $1 and not exists (select from slotbook.reaction_checkpoint c where c.consumer = $1)`, consumer)
			if err != nil || tag.RowsAffected() > 0 {
				return err
			}
			var left bool
			err = tx.QueryRow(ctx, `select exists (select from slotbook.reaction_checkpoint where consumer = $1)`, consumer).Scan(&left)
			if err == nil && left {
				err = reactions.ErrRunning
			}
			return err
		})
	})
}

// Move has a consumer go on after a position, also backwards: then it gets
// events again. Whoever runs it stops and begins anew. Errors:
// [reactions.ErrUnknown], [reactions.ErrBeyond].
func (d Desk) Move(ctx context.Context, consumer string, to domain.Position) error {
	head, err := d.Log.Head(ctx)
	if err != nil {
		return err
	}
	if to > head {
		return fmt.Errorf("%w: it ends at %d", reactions.ErrBeyond, head)
	}
	return within(ctx, patience, "move "+consumer, func(ctx context.Context) error {
		tag, err := d.Pool.Exec(ctx, `
			update slotbook.reaction_checkpoint
			set position = $2, store_epoch = $3, epoch = epoch + 1, owner = null, lease_until = null, moved_at = clock_timestamp()
			where consumer = $1`, consumer, int64(to), d.Epoch) //nolint:gosec // positions are bigint
		if err == nil && tag.RowsAffected() == 0 {
			err = reactions.ErrUnknown
		}
		return err
	})
}
