package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Build says how tables are built beside the live ones. The zero value builds
// as fast as it can, quietly, and stops at what cannot be folded.
type Build struct {
	// KeepParked lets a rebuild go on past events that it cannot fold.
	KeepParked bool
	// Progress, when not nil, is told after each page how far a build is. It may
	// be called by several builds at once.
	Progress func(Progress)
	// MostBehind is how many positions a live model that somebody keeps may be
	// behind before the build waits for it; 0 = it never waits.
	MostBehind uint64
}

// beside runs a build beside the live tables. Two of the same schema exclude each
// other.
func (e *Engine) beside(m Model, suffix string, how Build, build func(b *builder) error) error {
	b := e.openBeside(m, suffix, how)
	if _, busy := e.building.LoadOrStore(b.schema, true); busy {
		return errElsewhere
	}
	defer e.building.Delete(b.schema)
	defer b.forget()
	return build(b)
}

// await acquires the schema. When a process has it that has died, its lease is
// waited for: one that lives renews it.
func (b *builder) await(ctx context.Context) error {
	var until, now time.Time
	for {
		err := b.acquire(ctx)
		if !errors.Is(err, errElsewhere) {
			return err
		}
		scanned := b.engine.config.Pool.QueryRow(ctx, `
			select coalesce(lease_until, clock_timestamp())
			from slotbook.projection_checkpoint
			where schema = $1`, b.schema).Scan(&now)
		if scanned != nil || !until.IsZero() && !now.Equal(until) {
			return errors.Join(err, scanned)
		}
		until = now
		if sleep(ctx, b.engine.config.Lease/50); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Progress is how far a build is.
type Progress struct {
	Model    string
	Position domain.Position // every event up to here is folded
	Target   domain.Position // the build is done there, for now: the log grows
	Events   int             // folded since the last report
	Waiting  bool            // for live models that are too far behind
}

func (b *builder) tell(to domain.Position, events int) {
	if b.how.Progress != nil {
		b.how.Progress(Progress{Model: b.model.Name, Position: b.position, Target: to, Events: events})
	}
}

// read returns the page after a position: one that several builds share, unless
// that ends at an event that this program does not know.
func (b *builder) read(ctx context.Context, after domain.Position) (domain.Page, error) {
	if b.shared != nil {
		page, err := b.shared.next(ctx, b, after)
		if !upgradeRunning(err) {
			return page, err
		}
	}
	return b.engine.read(ctx, after, own(b.model))
}

// leave says that the build wants no more of what it shares.
func (b *builder) leave() {
	if b.shared != nil {
		b.shared.leave(b)
		b.shared = nil
	}
}

// live returns where the model's live tables are. Those that are not of this log
// are [ErrRebuild].
func (e *Engine) live(ctx context.Context, from querier, m Model, lock string) (domain.Position, error) {
	var at domain.Position
	var ours bool
	err := from.QueryRow(ctx, `
		select position, coalesce(store_epoch, $2) = $2
		from slotbook.projection_checkpoint
		where schema = $1 `+lock, m.Schema(), e.config.Epoch).Scan(&at, &ours)
	if err == nil && !ours {
		err = fmt.Errorf("%w: %s", ErrRebuild, otherEpoch)
	}
	if err == nil {
		err = e.within(ctx, at)
	}
	return at, err
}

// held runs f while the live tables cannot move, and then lets their owner know
// that they are others than it remembers. Where they are not of this log, f is
// told that they are at the beginning.
func (e *Engine) held(ctx context.Context, m Model, f func(tx pgx.Tx, at domain.Position) error) error {
	return pgx.BeginFunc(ctx, e.config.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local lock_timeout to '2s'"); err != nil {
			return err
		}
		at, err := e.live(ctx, tx, m, "for update")
		if errors.Is(err, ErrRebuild) {
			at = 0
		} else if err != nil {
			return err
		}
		if err := f(tx, at); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update slotbook.projection_checkpoint
			set epoch = epoch + 1, owner = null, lease_until = clock_timestamp()
			where schema = $1`, m.Schema())
		return err
	})
}
