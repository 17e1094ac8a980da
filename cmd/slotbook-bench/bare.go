package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// bare books slots in SQL and nothing else: no history, no rules, no patients,
// no answer over the network.
type bare struct {
	bench *bench
	pool  *pgxpool.Pool
	name  string // of the pool
	next  atomic.Int64
}

// openBare makes the tables, with slots enough for every run, and chooses the
// faster of two pools.
func openBare(ctx context.Context, url string, b *bench) (*bare, error) {
	const (
		calibrations = 6 // runs in which the pool is chosen
		oneStatement = 3 // times the rate of five round trips
	)
	slots := b.bookings * (calibrations + (1+oneStatement)*(b.rounds+2))
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on its end
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		create schema bare;
		create table bare.slot (
			slot         bigint      not null primary key,
			practitioner uuid        not null,
			start        timestamptz not null,
			status       text        not null
		);
		create table bare.appointment (
			appointment uuid        not null primary key,
			slot        bigint      not null,
			patient     uuid        not null,
			booked_at   timestamptz not null
		);
		insert into bare.slot (slot, practitioner, start, status)
		select n, gen_random_uuid(), now() + n * interval '1 minute', 'free'
		from generate_series(1, %d) as n`, slots))
	if err == nil {
		_, err = conn.Exec(ctx, "vacuum analyze bare.slot")
	}
	if err != nil {
		return nil, err
	}
	r := &bare{bench: b}
	r.pool, r.name, err = b.fasterPool(ctx, url, r.inSteps)
	return r, err
}

func (r *bare) close() { r.pool.Close() }

// inSteps books in five round trips: begin, look and lock, update, insert,
// commit.
func (r *bare) inSteps(pool *pgxpool.Pool) measure {
	return r.run(r.bench.bookings, func(ctx context.Context, slot int64) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			var status string
			err := tx.QueryRow(ctx, "select status from bare.slot where slot = $1 for update", slot).Scan(&status)
			if err != nil || status != "free" {
				return fmt.Errorf("slot %d is %q: %w", slot, status, err)
			}
			if _, err := tx.Exec(ctx, "update bare.slot set status = 'busy' where slot = $1", slot); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `
				insert into bare.appointment (appointment, slot, patient, booked_at)
				values ($1, $2, $3, clock_timestamp())`, newID(), slot, newID())
			return err
		})
	})
}

// inOneStatement books in one round trip.
func (r *bare) inOneStatement(ctx context.Context) (float64, error) {
	const more = 3 // times what goes in five round trips
	return r.run(more*r.bench.bookings, func(ctx context.Context, slot int64) error {
		tag, err := r.pool.Exec(ctx, `
			with taken as (
				update bare.slot
				set status = 'busy'
				where slot = $1 and status = 'free'
				returning slot
			)
			insert into bare.appointment (appointment, slot, patient, booked_at)
			select $2, slot, $3, clock_timestamp()
			from taken`, slot, newID(), newID())
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("slot %d is not free", slot)
		}
		return err
	})(ctx)
}

// run books slots that nobody has had yet, at most so many.
func (r *bare) run(most int, book func(ctx context.Context, slot int64) error) measure {
	return func(ctx context.Context) (float64, error) {
		first := r.next.Load()
		return repeat(ctx, many, r.bench.booking, func(ctx context.Context) error {
			slot := r.next.Add(1)
			if slot > first+int64(most) {
				r.next.Add(-1)
				return errUsedUp
			}
			return book(ctx, slot)
		})
	}
}
