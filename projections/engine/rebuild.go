package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slotbook/slotbook/domain"
)

// Rebuild folds the whole log anew beside the live tables of some models, which
// share what they read, and then puts the new tables of each in their place, in
// a moment and without taking readers back. The tables that were live stay under
// the suffix _prev until the next rebuild, for [Engine.Rollback].
//
// A rebuild that was interrupted is resumed by the next; one that goes on
// makes the next an error. One that meets what it cannot fold stops with a
// [ParkedError], unless it is told to go on. What fails for one model does not
// end the rebuild of the others.
func (e *Engine) Rebuild(ctx context.Context, how Build, names ...string) error {
	models := make([]Model, len(names))
	for i, name := range names {
		var err error
		if models[i], err = e.model(name); err != nil {
			return err
		}
	}
	var shared *pages
	if len(models) > 1 {
		filter := interest(models)
		shared = newPages(e.config.Batch, func(ctx context.Context, after domain.Position) (domain.Page, error) {
			return e.readGently(ctx, how, after, filter)
		})
	}
	failed := make([]error, len(models))
	var all sync.WaitGroup
	for i, m := range models {
		all.Go(func() {
			failed[i] = e.beside(m, nextSuffix, how, func(b *builder) error {
				b.shared = shared
				return b.replace(ctx)
			})
			if failed[i] != nil {
				failed[i] = fmt.Errorf("rebuild %s: %w", m.Name, failed[i])
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// replace builds tables beside the live ones and puts them in their place.
func (b *builder) replace(ctx context.Context) error {
	defer b.leave()
	reached := b.engine.config.Reached
	reached("begin")
	if err := b.engine.create(ctx, b.model, b.schema); err != nil {
		return err
	}
	reached("created")
	if err := b.await(ctx); err != nil {
		return err
	}
	reached("acquired")
	err := b.rebuild(ctx, nextSuffix)
	if _, parked := errors.AsType[*ParkedError](err); parked {
		// Kept, it would stop the next rebuild too, fixed or not.
		return errors.Join(err, b.engine.drop(context.WithoutCancel(ctx), b.schema))
	}
	if err != nil {
		return errors.Join(err, b.release(context.WithoutCancel(ctx)))
	}
	b.engine.news.tell()
	return nil
}

// rebuild takes the tables to the head of the log and swaps them in.
func (b *builder) rebuild(ctx context.Context, suffix string) error {
	began, from := b.engine.config.Now(), b.position
	head, err := b.engine.config.Log.Head(ctx)
	if err != nil {
		return err
	}
	if err := b.runTo(ctx, head); err != nil {
		return err
	}
	b.leave()
	rate := rateOf(head-min(from, head), b.engine.config.Now().Sub(began))
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
		b.engine.config.Reached("swap")
		err = b.swap(ctx, suffix, rate)
		b.engine.config.Reached("swapped")
		if failure, ok := errors.AsType[*pgconn.PgError](err); !ok || failure.Code != lockNotAvailable {
			return err
		}
	}
	return err
}

// rateOf returns positions a second, 0 when they are too few to tell.
func rateOf(positions domain.Position, took time.Duration) int64 {
	const telling = 1000
	if positions < telling || took <= 0 {
		return 0
	}
	return int64(float64(positions) / took.Seconds())
}

const lockNotAvailable = "55P03"

// swap gives the new tables the live name. It holds the live checkpoint, so
// that the live tables do not move while the new ones come level with them,
// and locks the live tables, so that no view has begun on them. A long view is
// not waited for longer than the lock timeout: others would queue behind.
//
// The live epoch rises, so that its owner's next write is refused and its cache
// forgotten.
func (b *builder) swap(ctx context.Context, suffix string, rate int64) error {
	return b.engine.held(ctx, b.model, func(tx pgx.Tx, live domain.Position) error {
		reached := b.engine.config.Reached
		reached("held")
		b.how.MostBehind = 0 // whoever keeps the live tables waits now
		if err := b.runTo(ctx, live); err != nil {
			return err
		}
		reached("level")
		if err := rename(ctx, tx, b.model, suffix); err != nil {
			return err
		}
		reached("renamed")
		err := b.exchange(ctx, tx, rate)
		reached("exchanged")
		return err
	})
}

// rename moves the schemas: live to _prev, and the other one to live.
func rename(ctx context.Context, tx pgx.Tx, m Model, suffix string) error {
	live, out := m.Schema(), m.Schema()+outSuffix
	tables := make([]string, len(m.Tables))
	for i, t := range m.Tables {
		tables[i] = fmt.Sprintf("%q.%q", live, t.tableName())
	}
	if suffix != prevSuffix {
		if err := dropTx(ctx, tx, live+prevSuffix); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf("lock table %s in access exclusive mode", strings.Join(tables, ", "))); err != nil {
		return err
	}
	for _, move := range [][2]string{{live, out}, {live + suffix, live}, {out, live + prevSuffix}} {
		if _, err := tx.Exec(ctx, fmt.Sprintf("alter schema %q rename to %q", move[0], move[1])); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "update slotbook.projection_parked set schema = $2 where schema = $1", move[0], move[1])
		if err != nil {
			return err
		}
	}
	return nil
}

// exchange gives the live checkpoint where the new tables are, and the checkpoint
// under _prev where the old ones were.
func (b *builder) exchange(ctx context.Context, tx pgx.Tx, rate int64) error {
	live := b.model.Schema()
	tag, err := tx.Exec(ctx, `
		with built as (
			select position, recorded_at
			from slotbook.projection_checkpoint
			where schema = $2 and epoch = $3
		), old as (
			select schema, position, recorded_at, rate, store_epoch
			from slotbook.projection_checkpoint
			where schema = $1
		), kept as (
			insert into slotbook.projection_checkpoint as prev (schema, model, version, position, recorded_at, epoch, rate, store_epoch, lease_until)
			select $4, $5, $6, old.position, old.recorded_at, 0, old.rate, old.store_epoch, clock_timestamp()
			from old
			on conflict (schema) do update
			set position = excluded.position, recorded_at = excluded.recorded_at, rate = excluded.rate,
				store_epoch = excluded.store_epoch, epoch = prev.epoch + 1, owner = null, lease_until = clock_timestamp()
		)
		update slotbook.projection_checkpoint live
		set position = built.position, recorded_at = built.recorded_at, rate = coalesce(nullif($7::bigint, 0), live.rate),
			store_epoch = $8
		from built
		where live.schema = $1`, live, b.schema, b.epoch, live+prevSuffix, b.model.Name, b.model.Version, rate, b.engine.config.Epoch)
	if err == nil && tag.RowsAffected() == 0 {
		return errLost
	}
	if err == nil && b.schema != live+prevSuffix {
		_, err = tx.Exec(ctx, "delete from slotbook.projection_checkpoint where schema = $1", b.schema)
	}
	return err
}

// The refusals of [Engine.Abandon].
var (
	ErrNotBegun = domain.Refusal(domain.Conflict, "projection.not-begun", "no rebuild of the read model has begun and not ended")
	ErrGoesOn   = domain.Refusal(domain.Conflict, "projection.goes-on", "a process is at the rebuild, or was a few seconds ago")
)

// Abandon drops what a rebuild that was interrupted has made so far. The live
// tables stay, and the next rebuild begins at the beginning.
//
// Errors: [ErrNotBegun], [ErrGoesOn].
func (e *Engine) Abandon(ctx context.Context, name string) error {
	m, err := e.model(name)
	if err != nil {
		return err
	}
	schema := m.Schema() + nextSuffix
	return pgx.BeginFunc(ctx, e.config.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local lock_timeout to '2s'"); err != nil {
			return err
		}
		var running bool
		err := tx.QueryRow(ctx, `
			select coalesce(lease_until > clock_timestamp(), false)
			from slotbook.projection_checkpoint
			where schema = $1
			for update`, schema).Scan(&running)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("abandon the rebuild of %s: %w", name, ErrNotBegun)
		case err != nil:
			return fmt.Errorf("abandon the rebuild of %s: %w", name, err)
		case running:
			return fmt.Errorf("abandon the rebuild of %s: %w", name, ErrGoesOn)
		}
		return dropTx(ctx, tx, schema)
	})
}

// ErrNoPrevious says that a model has no earlier generation to go back to.
var ErrNoPrevious = domain.Refusal(domain.Conflict, "projection.no-previous", "the read model was not rebuilt in this version, so there is nothing to roll back to")

// Rollback puts the tables that the last rebuild has replaced in the place of
// the live ones, after they have come level with them. The live ones become the
// previous: a second rollback undoes the first.
//
// Errors: [ErrNoPrevious].
func (e *Engine) Rollback(ctx context.Context, how Build, name string) error {
	m, err := e.model(name)
	if err != nil {
		return err
	}
	var there bool
	err = e.config.Pool.QueryRow(ctx, `
		select exists (select from slotbook.projection_checkpoint where schema = $1)`, m.Schema()+prevSuffix).Scan(&there)
	if err != nil {
		return err
	}
	if !there {
		return ErrNoPrevious
	}
	err = e.beside(m, prevSuffix, how, func(b *builder) error {
		if err := b.await(ctx); err != nil {
			return err
		}
		if err := b.rebuild(ctx, prevSuffix); err != nil {
			return errors.Join(err, b.release(context.WithoutCancel(ctx)))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("roll back %s: %w", name, err)
	}
	e.news.tell()
	return nil
}
