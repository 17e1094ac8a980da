package bus

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/reactions"
)

// parking keeps what is parked, in PostgreSQL.
type parking struct {
	pool    *pgxpool.Pool
	timeout time.Duration
}

// longestError is how much of an error is kept, in bytes.
const longestError = 1000

// park parks an event after some more tries.
func (p parking) park(ctx context.Context, consumer string, e eventcodec.Stored, why error, tries int) error {
	return within(ctx, p.timeout, "park an event of "+consumer, func(ctx context.Context) error {
		_, err := p.pool.Exec(ctx, `
			insert into slotbook.reaction_parked as p (consumer, event_id, stream, type, position, error, tries, parked_at)
			values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())
			on conflict (consumer, event_id) do update
			set error = excluded.error, tries = p.tries + excluded.tries, parked_at = excluded.parked_at, retry_at = null`,
			consumer, e.ID, string(e.Stream), e.Type, int64(e.Position), shortened(why.Error()), tries) //nolint:gosec // positions are bigint
		return err
	})
}

// shortened cuts a text, at the end of a letter.
func shortened(text string) string {
	if len(text) <= longestError {
		return text
	}
	end := longestError
	for end > 0 && text[end]&0xc0 == 0x80 {
		end--
	}
	return text[:end]
}

// forget drops an event that was handled at last.
func (p parking) forget(ctx context.Context, consumer, event string) error {
	return within(ctx, p.timeout, "forget an event of "+consumer, func(ctx context.Context) error {
		_, err := p.pool.Exec(ctx, `delete from slotbook.reaction_parked where consumer = $1 and event_id = $2`, consumer, event)
		return err
	})
}

// keep leaves an event parked that somebody asked for.
func (p parking) keep(ctx context.Context, consumer, event, why string) error {
	return within(ctx, p.timeout, "keep an event of "+consumer, func(ctx context.Context) error {
		_, err := p.pool.Exec(ctx, `
			update slotbook.reaction_parked
			set error = $3, retry_at = null
			where consumer = $1 and event_id = $2`, consumer, event, why)
		return err
	})
}

const parkedColumns = `select consumer, event_id::text, stream, type, position, error, tries, parked_at, retry_at
	from slotbook.reaction_parked `

// wanted returns some of what somebody asked for, first events first.
func (p parking) wanted(ctx context.Context, consumer string) (all []reactions.Parked, err error) {
	err = within(ctx, p.timeout, "parked events of "+consumer, func(ctx context.Context) error {
		rows, _ := p.pool.Query(ctx, parkedColumns+`
			where consumer = $1 and retry_at is not null
			order by position
			limit 100`, consumer)
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[reactions.Parked])
		return err
	})
	return all, err
}
