package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Lot names what is parked: a row by table and key, or with an empty table a
// stream by its name.
type Lot struct{ Table, Key string }

// Retried says what became of what was parked.
type Retried struct {
	Mended int      // of what was parked: its rows are what the log makes of them now
	Parked []Parked // what cannot be folded still
}

// Retry folds what is parked in a model's live tables again from the beginning of
// the log, beside them, and copies the rows that come of it. Nothing else moves.
// With lots it does so for these only, for all otherwise.
func (e *Engine) Retry(ctx context.Context, how Build, name string, lots ...Lot) (Retried, error) {
	m, err := e.model(name)
	if err != nil {
		return Retried{}, err
	}
	parked, err := e.chosen(ctx, m, lots)
	if err != nil || len(parked) == 0 {
		return Retried{}, err
	}
	how.KeepParked = true
	var done Retried
	err = e.beside(m, retrySuffix, how, func(b *builder) (err error) {
		done, err = b.retry(ctx, parked)
		return b.cleared(ctx, err)
	})
	if err != nil {
		return done, fmt.Errorf("retry %s: %w", name, err)
	}
	e.news.tell()
	return done, nil
}

// chosen returns what is parked in the live tables, of the lots if there are any.
func (e *Engine) chosen(ctx context.Context, m Model, lots []Lot) ([]Parked, error) {
	parked, err := parkedIn(ctx, e.config.Pool, m.Schema())
	if len(lots) > 0 {
		parked = slices.DeleteFunc(parked, func(p Parked) bool { return !slices.Contains(lots, Lot{p.Table, p.Key}) })
	}
	return parked, err
}

func (b *builder) retry(ctx context.Context, parked []Parked) (Retried, error) {
	var done Retried
	if err := b.begins(ctx); err != nil {
		return done, err
	}
	live, err := b.engine.live(ctx, b.engine.config.Pool, b.model, "")
	if err != nil {
		return done, err
	}
	keys, err := b.keysOf(ctx, parked, live)
	if err != nil {
		return done, err
	}
	for i, f := range b.folders {
		f.restrict(keys[i])
	}
	if err := b.runTo(ctx, live); err != nil {
		return done, err
	}
	err = b.engine.held(ctx, b.model, func(tx pgx.Tx, at domain.Position) error {
		if err := b.runTo(ctx, at); err != nil {
			return err
		}
		var refused []Parked
		for i := range b.folders {
			again, err := b.copyRows(ctx, tx, i, keys[i], parked)
			if err != nil {
				return err
			}
			refused = append(refused, again...)
		}
		done = b.retried(parked, refused)
		return b.repark(ctx, tx, parked, refused)
	})
	return done, err
}

// retried says what became of what was parked. The live tables have refused
// some rows.
func (b *builder) retried(before, refused []Parked) Retried {
	done := Retried{Parked: append(b.parking.list(), refused...)}
	for _, p := range before {
		if !slices.ContainsFunc(done.Parked, func(q Parked) bool { return p.Table == q.Table && p.Key == q.Key }) {
			done.Mended++
		}
	}
	return done
}

// keysOf returns, for each table, the keys of the rows that are parked, and of
// those that the events of parked streams touch.
func (b *builder) keysOf(ctx context.Context, parked []Parked, to domain.Position) ([]map[string]bool, error) {
	keys := make([]map[string]bool, len(b.folders))
	streams := map[domain.StreamName]bool{}
	for i := range keys {
		keys[i] = map[string]bool{}
	}
	for _, p := range parked {
		i := slices.IndexFunc(b.model.Tables, func(t Table) bool { return t.tableName() == p.Table })
		if i < 0 {
			streams[domain.StreamName(p.Key)] = true
			continue
		}
		keys[i][p.Key] = true
	}
	for at := domain.Position(0); len(streams) > 0 && at < to; {
		page, err := b.engine.read(ctx, at, own(b.model))
		if err != nil {
			return nil, err
		}
		if page.Next <= at {
			break
		}
		for _, r := range page.Events {
			if !streams[r.Stream] {
				continue
			}
			for i, f := range b.folders {
				for _, key := range f.keysOf(r) {
					keys[i][key] = true
				}
			}
		}
		at = page.Next
	}
	return keys, nil
}

// copyRows puts the rows of the keys in the place of those in a live table, and
// those that their folds have added to it. Rows that the live table does not
// take, because another of its rows is in their way, stay there as they were and
// are returned as parked.
func (b *builder) copyRows(ctx context.Context, tx pgx.Tx, i int, keys map[string]bool, before []Parked) ([]Parked, error) {
	table := b.model.Tables[i]
	live, fresh := fmt.Sprintf("%q.%q", b.model.Schema(), table.tableName()), fmt.Sprintf("%q.%q", b.schema, table.tableName())
	put := func(where string, args ...any) error {
		return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, fmt.Sprintf("delete from %s where %q %s", live, table.key(), where), args...); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fmt.Sprintf("insert into %s select * from %s where %q %s", live, fresh, table.key(), where), args...)
			return err
		})
	}
	list := slices.Sorted(maps.Keys(keys))
	var refused []Parked
	if err := put("= any($1)", list); rowRefused(err) {
		for _, key := range list {
			if err := put("= $1", key); rowRefused(err) {
				refused = append(refused, parkedAgain(before, table.tableName(), key, err))
			} else if err != nil {
				return nil, err
			}
		}
	} else if err != nil {
		return nil, err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("insert into %s select * from %s where %q <> all($1) on conflict do nothing", live, fresh, table.key()), list)
	return refused, err
}

// parkedAgain returns a row as parked from where it was parked before, and from
// the beginning when only its stream was.
func parkedAgain(before []Parked, table, key string, err error) Parked {
	p := Parked{Table: table, Key: key}
	if i := slices.IndexFunc(before, func(q Parked) bool { return q.Table == table && q.Key == key }); i >= 0 {
		p = before[i]
	}
	p.Error = refusal(err).Error()
	return p
}

// repark notes what is parked now in the place of what was.
func (b *builder) repark(ctx context.Context, tx pgx.Tx, before, refused []Parked) error {
	for _, p := range before {
		if err := unpark(ctx, tx, b.model.Schema(), Lot{p.Table, p.Key}); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `
		insert into slotbook.projection_parked (schema, "table", key, position, error, count)
		select $2, "table", key, position, error, count
		from slotbook.projection_parked
		where schema = $1
		on conflict (schema, "table", key) do update
		set position = excluded.position, error = excluded.error, count = excluded.count`, b.schema, b.model.Schema())
	for _, p := range refused {
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into slotbook.projection_parked (schema, "table", key, position, error, count)
			values ($1, $2, $3, $4, $5, $6)`, b.model.Schema(), p.Table, p.Key, int64(p.Position), p.Error, p.Count) //nolint:gosec // positions fit
	}
	return err
}

func unpark(ctx context.Context, tx pgx.Tx, schema string, l Lot) error {
	_, err := tx.Exec(ctx, `
		delete from slotbook.projection_parked
		where schema = $1 and "table" = $2 and key = $3`, schema, l.Table, l.Key)
	return err
}

// Discard forgets that something is parked: the rows stay as they are and go on
// with the next events. A verification names them as long as they differ. It
// returns how many notes are gone.
func (e *Engine) Discard(ctx context.Context, name string, lots ...Lot) (int, error) {
	m, err := e.model(name)
	if err != nil {
		return 0, err
	}
	gone := 0
	return gone, e.held(ctx, m, func(tx pgx.Tx, _ domain.Position) error {
		parked, err := parkedIn(ctx, tx, m.Schema())
		if err != nil {
			return err
		}
		for _, p := range parked {
			lot := Lot{p.Table, p.Key}
			if len(lots) > 0 && !slices.Contains(lots, lot) {
				continue
			}
			if err := unpark(ctx, tx, m.Schema(), lot); err != nil {
				return err
			}
			gone++
		}
		return nil
	})
}
