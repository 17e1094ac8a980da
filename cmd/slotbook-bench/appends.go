package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
)

const (
	rowAppends      = "appends, 64 clients"
	rowAppendsAlone = "appends, 1 client"
	rowSnapshot     = "appends, 64 clients, snapshot open"
)

// many is how many clients there are where there is not one.
const many = 64

// measureAppends compares appends of one event with plain inserts of one row
// into a table of the same shape, one transaction each, by as many clients.
func measureAppends(ctx context.Context, b *bench) ([]row, error) {
	url, err := b.database(ctx, "appends")
	if err != nil {
		return nil, err
	}
	d, err := openStore(ctx, url)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if err := createPlain(ctx, d.pool); err != nil {
		return nil, err
	}
	pool, name, err := b.fasterPool(ctx, url, func(pool *pgxpool.Pool) measure { return b.appends(many, inserting(d, pool)) })
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	var rows []row
	for _, c := range []struct {
		clients int
		row     string
		base    string
		atLeast float64
	}{
		{many, rowAppends, "plain inserts, " + name, 1.5},
		{1, rowAppendsAlone, "plain inserts, 1 client", 0.65},
	} {
		bases, candidates := []measure{b.appends(c.clients, inserting(d, pool))}, []measure{b.appends(c.clients, appending(d))}
		r, err := compare(ctx, b.rounds, bases, candidates)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r.row(c.row, "appends/s", 0, c.base, 0, c.atLeast))
	}
	return rows, nil
}

func (b *bench) appends(clients int, operation func(context.Context) error) measure {
	return func(ctx context.Context) (float64, error) { return repeat(ctx, clients, b.appending, operation) }
}

// measureSnapshot compares appends to a database in which a snapshot stays open
// with appends to one in which none does.
func measureSnapshot(ctx context.Context, b *bench) ([]row, error) {
	base, err := b.emptyStore(ctx, "snapshot_none")
	if err != nil {
		return nil, err
	}
	defer base.close()
	d, err := b.emptyStore(ctx, "snapshot_open")
	if err != nil {
		return nil, err
	}
	defer d.close()
	return b.underSnapshot(ctx, base, d)
}

func (b *bench) underSnapshot(ctx context.Context, base, d *database) (rows []row, err error) {
	turns := 2*b.rounds + 1 + 2 // of base, of candidate, and of both before the first
	window := b.held / time.Duration(turns)
	for _, at := range []*database{base, d} {
		if _, err := repeat(ctx, many, window/2, appending(at)); err != nil {
			return nil, err
		}
	}
	run := func(at *database) []measure {
		return []measure{func(ctx context.Context) (float64, error) { return repeat(ctx, many, window, appending(at)) }}
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, d.pool, options, func(tx pgx.Tx) error {
		// The transaction's snapshot is taken by its first statement.
		if _, err := tx.Exec(ctx, "select from slotbook.log_head"); err != nil {
			return err
		}
		r, err := compare(ctx, b.rounds, run(base), run(d))
		if err != nil {
			return err
		}
		rows = []row{r.row(rowSnapshot, "appends/s", 0, "the same without the snapshot", 0, 0.7)}
		return nil
	})
	return rows, err
}

func (b *bench) emptyStore(ctx context.Context, name string) (*database, error) {
	url, err := b.database(ctx, name)
	if err != nil {
		return nil, err
	}
	return openStore(ctx, url)
}

// fasterPool returns the pool, of 16 or of 64 connections, with which a base
// is faster, and what it is called. The caller closes it.
func (b *bench) fasterPool(ctx context.Context, url string, base func(*pgxpool.Pool) measure) (*pgxpool.Pool, string, error) {
	var pools []*pgxpool.Pool
	var sums []float64
	sizes := []int{16, many}
	for _, size := range sizes {
		pool, err := pgxpool.New(ctx, url+"&pool_max_conns="+strconv.Itoa(size))
		if err != nil {
			return nil, "", err
		}
		pools, sums = append(pools, pool), append(sums, 0)
	}
	for range 3 {
		for i, pool := range pools {
			rate, err := base(pool)(ctx)
			if err != nil {
				return nil, "", err
			}
			sums[i] += rate
		}
	}
	best := 0
	if sums[1] > sums[0] {
		best = 1
	}
	pools[1-best].Close()
	return pools[best], fmt.Sprintf("pool %d", sizes[best]), nil
}

// createPlain makes the table of the plain inserts: the columns and indexes of
// the log.
func createPlain(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `
		create table plain (like slotbook.events including indexes);
		alter table plain alter position add generated always as identity`)
	return err
}

// inserting inserts one event as a row, in a transaction of its own.
func inserting(d *database, pool *pgxpool.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		w := oneEvent()
		e, err := d.codec.Encode(ctx, w.Stream, w.Events[0])
		if err != nil {
			return err
		}
		_, err = pool.Exec(ctx, `
			insert into plain (stream, revision, event_id, type, data, metadata, recorded_at)
			values ($1, $2, $3, $4, $5, $6, clock_timestamp())`,
			string(w.Stream), 0, e.ID, e.Type, e.Data, e.Metadata)
		return err
	}
}

// appending appends one event to a stream of its own.
func appending(d *database) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := d.store.Append(ctx, oneEvent())
		return err
	}
}

// oneEvent is an event of about 300 bytes, metadata included, on a fresh stream.
func oneEvent() commands.Write {
	id := newID()
	day := domain.Day("2026-03-02")
	noon := day.Start().Add(12 * time.Hour)
	subject := occupancy.Patient(domain.PatientID(id))
	return writing(subject.Stream(day), domain.NoStream, id, occupancy.Booked{
		Subject: subject,
		Taken: occupancy.Taken{
			Claim:       claim.Claim{Owner: appointment.Stream(domain.AppointmentID(id)), Set: 1},
			Appointment: domain.AppointmentID(id),
			Period:      domain.Period{Start: noon, End: noon.Add(20 * time.Minute)},
		},
	})
}
