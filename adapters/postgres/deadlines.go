package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

// Deadlines keeps the tries at what is due, so that several processes share the
// work. It is safe for concurrent use.
type Deadlines struct{ pool *pgxpool.Pool }

// NewDeadlines returns the tries that a database holds.
func NewDeadlines(pool *pgxpool.Pool) *Deadlines { return &Deadlines{pool} }

// Take takes those of the deadlines that are neither settled, nor with somebody
// else, nor to be left alone until after now. Nobody else takes them before
// until. It returns, by the deadline's id, how many tries there have been, this
// one included. Both times are the machine's.
func (d *Deadlines) Take(ctx context.Context, due []domain.Deadline, now, until time.Time) (map[string]int, error) {
	var ids, kinds, owners []string
	var at []time.Time
	for _, x := range due {
		ids, kinds = append(ids, x.ID()), append(kinds, x.Kind)
		owners, at = append(owners, string(x.Owner)), append(at, x.At)
	}
	tries := map[string]int{}
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			insert into slotbook.deadline_attempt (deadline, kind, owner, due_at, tries, next_try)
			select deadline, kind, owner, due_at, 0, $5
			from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as due (deadline, kind, owner, due_at)
			order by deadline
			on conflict (deadline) do nothing`, ids, kinds, owners, at, now)
		if err != nil {
			return err
		}
		rows, _ := tx.Query(ctx, `
			update slotbook.deadline_attempt
			set tries = tries + 1, next_try = $3
			where deadline in (
				select deadline
				from slotbook.deadline_attempt
				where deadline = any($1) and settled_at is null and next_try <= $2
				order by deadline
				for update skip locked
			)
			returning deadline, tries`, ids, now, until)
		var id string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
			tries[id] = n
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take deadlines: %w", err)
	}
	return tries, nil
}

// settledFor is how long it is known that a deadline was settled: by then its
// row has long been gone from the read model.
const settledFor = 7 * 24 * time.Hour

// Settle says that nothing is left to do for a deadline, and why.
func (d *Deadlines) Settle(ctx context.Context, id, outcome string, now time.Time) error {
	batch := &pgx.Batch{}
	batch.Queue(`
		update slotbook.deadline_attempt
		set settled_at = $2, outcome = $3
		where deadline = $1 and settled_at is null`, id, now, outcome)
	batch.Queue(`
		delete from slotbook.deadline_attempt
		where deadline in (
			select deadline
			from slotbook.deadline_attempt
			where settled_at < $1
			order by settled_at
			limit 100
			for update skip locked
		)`, now.Add(-settledFor))
	if err := d.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("settle a deadline: %w", err)
	}
	return nil
}

// PutOff says that a try at a deadline has failed, why, and when the next one
// may come.
func (d *Deadlines) PutOff(ctx context.Context, id, why string, next time.Time) error {
	_, err := d.pool.Exec(ctx, `
		update slotbook.deadline_attempt
		set next_try = $2, outcome = $3
		where deadline = $1 and settled_at is null`, id, next, why)
	if err != nil {
		return fmt.Errorf("put off a deadline: %w", err)
	}
	return nil
}
