package bus

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// checkpoints are those of all consumers, in PostgreSQL.
type checkpoints struct {
	pool    *pgxpool.Pool
	epoch   string        // of the store
	lease   time.Duration // of an owner that says nothing
	timeout time.Duration // of one statement
}

// hold is a process's hold on a consumer.
type hold struct {
	checkpoints
	consumer string
	fence    int64           // the owner's epoch: writes under an older one are refused
	position domain.Position // where it stood when it was got hold of
	written  domain.Position // where the checkpoint stands, as far as the owner knows
}

// begin makes the checkpoint of a consumer that has none.
func (c checkpoints) begin(ctx context.Context, consumer string, at domain.Position) error {
	return within(ctx, c.timeout, "begin "+consumer, func(ctx context.Context) error {
		_, err := c.pool.Exec(ctx, `
			insert into slotbook.reaction_checkpoint (consumer, position, store_epoch, epoch, moved_at)
			values ($1, $2, $3, 0, clock_timestamp())
			on conflict (consumer) do nothing`, consumer, int64(at), c.epoch) //nolint:gosec // positions are bigint
		return err
	})
}

// acquire gets hold of a consumer. Errors: errElsewhere while another owner's
// lease lasts, by the database's clock; [reactions.ErrOtherEpoch]; pgx.ErrNoRows when the
// consumer is new.
func (c checkpoints) acquire(ctx context.Context, consumer, owner string) (*hold, error) {
	h := &hold{checkpoints: c, consumer: consumer}
	err := within(ctx, c.timeout, "acquire "+consumer, func(ctx context.Context) error {
		err := c.pool.QueryRow(ctx, `
			update slotbook.reaction_checkpoint
			set epoch = epoch + 1, owner = $2, lease_until = clock_timestamp() + $3
			where consumer = (
				select consumer
				from slotbook.reaction_checkpoint
				where consumer = $1 and store_epoch = $4
					and (lease_until is null or lease_until < clock_timestamp() or owner = $2)
				for update skip locked
			)
			returning epoch, position`, consumer, owner, c.lease, c.epoch).Scan(&h.fence, &h.position)
		if errors.Is(err, pgx.ErrNoRows) {
			return c.whyNot(ctx, consumer)
		}
		return err
	})
	h.written = h.position
	return h, err
}

// whyNot tells why the consumer cannot be had.
func (c checkpoints) whyNot(ctx context.Context, consumer string) error {
	var ours bool
	err := c.pool.QueryRow(ctx, `
		select store_epoch = $2
		from slotbook.reaction_checkpoint
		where consumer = $1`, consumer, c.epoch).Scan(&ours)
	switch {
	case err != nil:
		return err
	case !ours:
		return reactions.ErrOtherEpoch
	}
	return errElsewhere
}

// move notes that everything up to a position was handled, and lengthens the
// lease. It returns errLost when the consumer has another owner, or its
// checkpoint is not where this one has left it: then a server took over that
// does not have the last of it, nor the last events, perhaps.
func (h *hold) move(ctx context.Context, to domain.Position) error {
	return h.write(ctx, to, `
		update slotbook.reaction_checkpoint
		set position = $3, lease_until = clock_timestamp() + $5, moved_at = clock_timestamp()
		where consumer = $1 and epoch = $2 and position in ($3, $4)`, h.lease)
}

// release is a last move, which lets any process have the consumer at once.
func (h *hold) release(ctx context.Context, at domain.Position) error {
	return h.write(ctx, at, `
		update slotbook.reaction_checkpoint
		set position = $3, lease_until = null, owner = null, moved_at = clock_timestamp()
		where consumer = $1 and epoch = $2 and position in ($3, $4)`)
}

// write writes the checkpoint where it stands at the last position that was
// written, or at the new one already: an answer may have been lost. It never goes
// back.
func (h *hold) write(ctx context.Context, to domain.Position, sql string, more ...any) error {
	to = max(to, h.written)
	return within(ctx, h.timeout, "checkpoint of "+h.consumer, func(ctx context.Context) error {
		args := append([]any{h.consumer, h.fence, int64(to), int64(h.written)}, more...) //nolint:gosec // positions are bigint
		tag, err := h.pool.Exec(ctx, sql, args...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errLost
		}
		h.written = to
		return nil
	})
}
