package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TableSize is how large a table is.
type TableSize struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`  // of a large table an estimate
	Bytes  int64  `json:"bytes"` // with its indexes and what lies beside
	Worth  Worth  `json:"worth"`
}

// Sizes say how large a store is, and how it grows.
type Sizes struct {
	Tables []TableSize `json:"tables"` // the largest first
	Bytes  int64       `json:"bytes"`  // of the whole database
	Events int64       `json:"events"` // stored in the last days
	Days   float64     `json:"days"`   // at most 7; 0 = the log is too young to tell
}

// Measure returns how large the store is, and everything that was made of it.
func Measure(ctx context.Context, pool *pgxpool.Pool, now time.Time) (Sizes, error) {
	var s Sizes
	err := pool.QueryRow(ctx, "select pg_database_size(current_database())").Scan(&s.Bytes)
	if err != nil {
		return s, err
	}
	rows, _ := pool.Query(ctx, `
		select n.nspname::text, c.relname::text, greatest(c.reltuples::bigint, coalesce(t.n_live_tup, 0)), pg_total_relation_size(c.oid)
		from pg_class c
		join pg_namespace n on n.oid = c.relnamespace
		left join pg_stat_all_tables t on t.relid = c.oid
		where `+ours+` and c.relkind = 'r'
		order by 4 desc, 1, 2`)
	s.Tables, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (TableSize, error) {
		t := TableSize{Worth: Derived}
		return t, row.Scan(&t.Schema, &t.Table, &t.Rows, &t.Bytes)
	})
	if err != nil {
		return s, err
	}
	for i := range s.Tables {
		if err := s.Tables[i].count(ctx, pool); err != nil {
			return s, err
		}
	}
	return s, s.grow(ctx, pool, now)
}

// count counts the rows of a table that is small, and judges those of the store.
func (t *TableSize) count(ctx context.Context, pool *pgxpool.Pool) error {
	if t.Schema == "slotbook" {
		t.Worth = Worths()[t.Table]
	}
	const large = 64 << 20 // bytes
	if t.Bytes > large {
		return nil
	}
	err := pool.QueryRow(ctx, "select count(*) from "+pgx.Identifier{t.Schema, t.Table}.Sanitize()).Scan(&t.Rows)
	return err
}

// grow looks at how much was stored in the last seven days, or since the first
// event if that is later.
func (s *Sizes) grow(ctx context.Context, pool *pgxpool.Pool, now time.Time) error {
	since := now.AddDate(0, 0, -7)
	first, at, err := s.begin(ctx, pool, since)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if at.After(since) {
		since = at
	}
	const telling = 24 * time.Hour
	if now.Sub(since) < telling {
		return nil
	}
	s.Days = now.Sub(since).Hours() / 24
	return pool.QueryRow(ctx, "select count(*) from slotbook.events where position >= $1", first).Scan(&s.Events)
}

// begin returns the first event that was recorded at an instant or later, and
// when.
func (s *Sizes) begin(ctx context.Context, pool *pgxpool.Pool, since time.Time) (position int64, at time.Time, err error) {
	var before int64
	if err := pool.QueryRow(ctx, positionAt, since.Add(-time.Nanosecond)).Scan(&before); err != nil {
		return 0, at, err
	}
	err = pool.QueryRow(ctx, firstAfter, before).Scan(&position, &at)
	return position, at, err
}
