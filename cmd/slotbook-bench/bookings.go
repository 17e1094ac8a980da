package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

const (
	rowBookings    = "bookings over HTTP, 64 clients"
	rowBookingsOne = "bookings over HTTP, 64 clients, one round trip"
	rowPaced50     = "bookings over HTTP, 500/s, median"
	rowPaced99     = "bookings over HTTP, 500/s, 99th percentile"
)

// pace is the bookings a second of the open loop.
const pace = 500

// measureBookings compares bookings through the whole server with the least
// that a program without one would do in SQL.
func measureBookings(ctx context.Context, b *bench) ([]row, error) {
	url, err := b.database(ctx, "bookings")
	if err != nil {
		return nil, err
	}
	supply := b.bookings*(b.rounds+2) + int((pace+livePace)*b.pacing.Seconds())
	w := world{First: domain.DayOf(time.Now()).Add(2), Practitioners: 200}
	if err := w.prepare(ctx, url, supply); err != nil {
		return nil, fmt.Errorf("prepare slots and patients: %w", err)
	}
	server, err := b.startServer(ctx, url)
	if err != nil {
		return nil, err
	}
	client, err := startClient(ctx, job{World: w, Address: server.address, Clients: many})
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	rows, err := b.againstBare(ctx, url, w, server.address, client)
	return rows, errors.Join(err, client.stop(), server.stop())
}

// prepare fills a store with slots and as many patients.
func (w world) prepare(ctx context.Context, url string, supply int) error {
	d, err := openStore(ctx, inHaste(url))
	if err != nil {
		return err
	}
	defer d.close()
	if err := fill(ctx, d.store, bundled(w.directory())); err != nil {
		return err
	}
	for day := range supply/w.perDay() + 1 {
		if err := fill(ctx, d.store, bundled(w.open(day))); err != nil {
			return err
		}
	}
	if err := fill(ctx, d.store, bundled(w.register(0, supply))); err != nil {
		return err
	}
	_, err = d.pool.Exec(ctx, "vacuum analyze slotbook.events")
	return err
}

// againstBare measures everything that needs the server and the clients.
func (b *bench) againstBare(ctx context.Context, url string, w world, address string, c *client) ([]row, error) {
	bare, err := openBare(ctx, url, b)
	if err != nil {
		return nil, err
	}
	defer bare.close()
	if err := caughtUp(ctx, bare.pool); err != nil {
		return nil, err
	}
	throughHTTP := func(context.Context) (float64, error) { return c.book(b.bookings, b.booking) }
	r, err := compare(ctx, b.rounds, []measure{bare.inSteps(bare.pool), bare.inOneStatement}, []measure{throughHTTP})
	if err != nil {
		return nil, err
	}
	p50, p99, err := c.paced(pace, b.pacing)
	if err != nil {
		return nil, err
	}
	live, err := b.measureStreams(ctx, bare.pool, w, address, c)
	return append([]row{
		r.row(rowBookings, "bookings/s", 0, "bare SQL in five round trips, "+bare.name, 0, 0.8),
		r.row(rowBookingsOne, "bookings/s", 0, "bare SQL in one statement, "+bare.name, 1, 0),
		{Name: rowPaced50, Value: milliseconds(p50), Unit: "ms"},
		{Name: rowPaced99, Value: milliseconds(p99), Unit: "ms"},
	}, live...), err
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// caughtUp waits until the read models hold what was prepared, so that the
// server does nothing but what the bookings cause.
func caughtUp(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		var behind int64
		err := pool.QueryRow(ctx, `
			select coalesce((select max(position) from slotbook.events), 0) - coalesce(min(position), 0)
			from slotbook.projection_checkpoint`).Scan(&behind)
		if err != nil || behind == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
