package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/domain"
)

// Rebuild folds the whole log anew beside the live tables and then puts the
// new tables in their place, in a moment and without taking readers back. The
// tables that were live stay under the suffix _prev until the next rebuild.
//
// A rebuild that was interrupted is resumed by the next; one that goes on
// makes the next an error. One that meets what
// it cannot fold stops with a [ParkedError], unless Config.KeepParked.
func (e *Engine) Rebuild(ctx context.Context, name string) error {
	m, err := e.model(name)
	if err != nil {
		return err
	}
	b := e.openBeside(m, nextSuffix)
	if err := e.create(ctx, m, b.schema); err != nil {
		return fmt.Errorf("rebuild %s: %w", name, err)
	}
	if err := b.acquire(ctx); err != nil {
		return fmt.Errorf("rebuild %s: %w", name, err)
	}
	defer b.forget()
	err = b.rebuild(ctx, m)
	if _, parked := errors.AsType[*ParkedError](err); parked {
		// Kept, it would stop the next rebuild too, fixed or not.
		err = errors.Join(err, e.drop(context.WithoutCancel(ctx), b.schema))
		b.forget()
	}
	if err != nil {
		err = errors.Join(err, b.release(context.WithoutCancel(ctx)))
	}
	if err != nil {
		return fmt.Errorf("rebuild %s: %w", name, err)
	}
	e.news.tell()
	return nil
}

func (b *builder) rebuild(ctx context.Context, m Model) error {
	head, err := b.engine.config.Log.Head(ctx)
	if err != nil {
		return err
	}
	if err := b.runTo(ctx, head, b.engine.config.KeepParked); err != nil {
		return err
	}
	// One at a time: a swap keeps a connection while it borrows others, and
	// several could wait for each other's.
	select {
	case b.engine.swapping <- struct{}{}:
		defer func() { <-b.engine.swapping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	const tries = 10
	for range tries {
		if err := b.keep(ctx); err != nil {
			return err
		}
		err = b.swap(ctx, m)
		if failure, ok := errors.AsType[*pgconn.PgError](err); !ok || failure.Code != lockNotAvailable {
			return err
		}
	}
	return err
}

const lockNotAvailable = "55P03"

// swap gives the new tables the live name. It holds the live checkpoint, so
// that the live tables do not move while the new ones come level with them,
// and locks the live tables, so that no view has begun on them. A long view is
// not waited for longer than the lock timeout: others would queue behind.
func (b *builder) swap(ctx context.Context, m Model) error {
	return pgx.BeginFunc(ctx, b.engine.config.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local lock_timeout to '2s'"); err != nil {
			return err
		}
		var live domain.Position
		err := tx.QueryRow(ctx, `
			select position
			from slotbook.projection_checkpoint
			where schema = $1
			for update`, m.Schema()).Scan(&live)
		if err != nil {
			return err
		}
		if err := b.runTo(ctx, live, b.engine.config.KeepParked); err != nil {
			return err
		}
		return rename(ctx, tx, m, b.epoch)
	})
}

func rename(ctx context.Context, tx pgx.Tx, m Model, epoch int64) error {
	live, next, prev := m.Schema(), m.Schema()+nextSuffix, m.Schema()+prevSuffix
	tables := make([]string, len(m.Tables))
	for i, t := range m.Tables {
		tables[i] = fmt.Sprintf("%q.%q", live, t.tableName())
	}
	if err := dropTx(ctx, tx, prev); err != nil {
		return err
	}
	for _, sql := range []string{
		fmt.Sprintf("lock table %s in access exclusive mode", strings.Join(tables, ", ")),
		fmt.Sprintf("alter schema %q rename to %q", live, prev),
		fmt.Sprintf("alter schema %q rename to %q", next, live),
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return exchange(ctx, tx, live, next, prev, epoch)
}

// exchange moves the checkpoints along with the schemas. The live epoch rises,
// so that its owner's next write is refused and its cache forgotten.
func exchange(ctx context.Context, tx pgx.Tx, live, next, prev string, epoch int64) error {
	_, err := tx.Exec(ctx, `
		update slotbook.projection_parked
		set schema = case schema when $1 then $3 else $1 end
		where schema in ($1, $2)`, live, next, prev)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into slotbook.projection_checkpoint (schema, model, version, position, recorded_at, epoch)
		select $2, model, version, position, recorded_at, epoch
		from slotbook.projection_checkpoint
		where schema = $1`, live, prev)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		with built as (
			delete from slotbook.projection_checkpoint
			where schema = $2 and epoch = $3
			returning position, recorded_at
		)
		update slotbook.projection_checkpoint live
		set position = built.position, recorded_at = built.recorded_at, epoch = live.epoch + 1, owner = null, lease_until = null
		from built
		where live.schema = $1`, live, next, epoch)
	if err == nil && tag.RowsAffected() == 0 {
		err = errLost
	}
	return err
}
