package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
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

// Standing is how a consumer is doing.
type Standing struct {
	Consumer string
	Position domain.Position // everything up to here was handled, or is parked
	Head     domain.Position // of the last event
	Owner    string          // the process that runs it; "" = none does
	Parked   int             // events
	MovedAt  time.Time       // when the owner has last written the position
	Refused  string          // why it does not run before an operator says where to go on; "" = it may
}

// List returns how the consumers are doing that have ever run, by name.
func (d Desk) List(ctx context.Context) ([]Standing, error) {
	head, err := d.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	var all []Standing
	err = within(ctx, patience, "consumers", func(ctx context.Context) error {
		rows, _ := d.Pool.Query(ctx, `
			select
				consumer, position,
				case when lease_until >= clock_timestamp() then owner else '' end,
				(select count(*) from slotbook.reaction_parked p where p.consumer = c.consumer),
				moved_at, store_epoch = $1
			from slotbook.reaction_checkpoint c
			order by consumer`, d.Epoch)
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Standing, error) {
			s, ours, owner := Standing{Head: head}, false, new(string)
			err := row.Scan(&s.Consumer, &s.Position, &owner, &s.Parked, &s.MovedAt, &ours)
			if owner != nil {
				s.Owner = *owner
			}
			if !ours || s.Position > head {
				s.Refused = ErrOtherEpoch.Text
			}
			return s, err
		})
		return err
	})
	return all, err
}

// Parked returns what a consumer has parked, or all have when it is "", in the
// order of the log.
func (d Desk) Parked(ctx context.Context, consumer string) (all []Parked, err error) {
	err = within(ctx, patience, "parked events", func(ctx context.Context) error {
		rows, _ := d.Pool.Query(ctx, parkedColumns+`
			where consumer = $1 or $1 = ''
			order by position, consumer`, consumer)
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Parked])
		return err
	})
	return all, err
}

// Retry has the process that runs a consumer try parked events again within
// seconds: those with the given ids, or all when there is none. It returns how
// many.
func (d Desk) Retry(ctx context.Context, consumer string, events ...string) (int, error) {
	return d.exec(ctx, "retry of "+consumer, `
		update slotbook.reaction_parked
		set retry_at = clock_timestamp()
		where consumer = $1 and ($2::text[] is null or event_id::text = any($2))`, consumer, events)
}

// Discard forgets that events are parked: those with the given ids, or all when
// there is none. It returns how many.
func (d Desk) Discard(ctx context.Context, consumer string, events ...string) (int, error) {
	return d.exec(ctx, "discard of "+consumer, `
		delete from slotbook.reaction_parked
		where consumer = $1 and ($2::text[] is null or event_id::text = any($2))`, consumer, events)
}

func (d Desk) exec(ctx context.Context, what, sql string, consumer string, events []string) (n int, err error) {
	err = within(ctx, patience, what, func(ctx context.Context) error {
		tag, err := d.Pool.Exec(ctx, sql, consumer, events)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// ErrUnknownConsumer says that no consumer of the name has ever run.
var ErrUnknownConsumer = domain.Refusal(domain.NotFound, "reaction.not-found", "no reaction of that name has ever run")

// Move has a consumer go on after a position, also backwards: then it gets
// events again. Whoever runs it stops and begins anew. Errors:
// [ErrUnknownConsumer]; a position beyond the last event.
func (d Desk) Move(ctx context.Context, consumer string, to domain.Position) error {
	head, err := d.Log.Head(ctx)
	if err != nil {
		return err
	}
	if to > head {
		return fmt.Errorf("position %d: the log ends at %d", to, head)
	}
	return within(ctx, patience, "move "+consumer, func(ctx context.Context) error {
		tag, err := d.Pool.Exec(ctx, `
			update slotbook.reaction_checkpoint
			set position = $2, store_epoch = $3, epoch = epoch + 1, owner = null, lease_until = null, moved_at = clock_timestamp()
			where consumer = $1`, consumer, int64(to), d.Epoch) //nolint:gosec // positions are bigint
		if err == nil && tag.RowsAffected() == 0 {
			err = ErrUnknownConsumer
		}
		return err
	})
}
