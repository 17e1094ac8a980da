package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Import stores events of another store as they are, all or none, after the last
// one that is there: with their ids, revisions and times of recording, of which none
// becomes earlier than the one before it. Errors: [commands.ErrWrongRevision] when
// an event is not the next one of its stream; [commands.ErrUnavailable].
func (s *Store) Import(ctx context.Context, events []eventcodec.Stored) error {
	conn, err := s.acquire(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer conn.Release()
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select from slotbook.log_head for update"); err != nil {
			return err
		}
		if err := areNext(ctx, tx, events); err != nil {
			return err
		}
		return importTx(ctx, tx, events)
	})
}

// areNext checks that each event is the next one of its stream.
func areNext(ctx context.Context, tx pgx.Tx, events []eventcodec.Stored) error {
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = string(e.Stream)
	}
	rows, err := tx.Query(ctx, `
		select stream, max(revision)
		from slotbook.events
		where stream = any($1)
		group by stream`, names)
	if err != nil {
		return err
	}
	next := map[domain.StreamName]domain.Revision{}
	var name string
	var last int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &last}, func() error {
		next[domain.StreamName(name)] = domain.Revision(last) + 1
		return nil
	}); err != nil {
		return err
	}
	for _, e := range events {
		if e.Revision != next[e.Stream] {
			return commands.ErrWrongRevision
		}
		next[e.Stream]++
	}
	return nil
}

func importTx(ctx context.Context, tx pgx.Tx, events []eventcodec.Stored) error {
	n := len(events)
	streams, revisions, ids, types := make([]string, n), make([]int64, n), make([]string, n), make([]string, n)
	data, metadata, times := make([]string, n), make([]string, n), make([]time.Time, n)
	for i, e := range events {
		streams[i], revisions[i], ids[i], types[i] = string(e.Stream), int64(e.Revision), e.ID, e.Type
		data[i], metadata[i], times[i] = string(e.Data), string(e.Metadata), e.RecordedAt
		if i > 0 && times[i].Before(times[i-1]) {
			times[i] = times[i-1]
		}
	}
	_, err := tx.Exec(ctx, `
		with last (position, recorded_at) as (
			select greatest(h.floor, coalesce(max(e.position), 0)), coalesce(max(e.recorded_at), '-infinity')
			from slotbook.log_head h
			left join (
				select position, recorded_at
				from slotbook.events
				order by position desc
				limit 1
			) e on true
			group by h.floor
		)
		insert into slotbook.events (position, stream, revision, event_id, type, data, metadata, recorded_at)
		select last.position + n, stream, revision, event_id::uuid, type, data::json, metadata::json, greatest(last.recorded_at, at)
		from last
		cross join unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
			with ordinality as e (stream, revision, event_id, type, data, metadata, at, n)
		order by n`, streams, revisions, ids, types, data, metadata, times)
	return err
}

// Raise lets every position to come lie above one, if it does not already: for who
// is about to import events of a store that has had positions up to there.
func (s *Store) Raise(ctx context.Context, seen domain.Position) error {
	_, err := s.config.Pool.Exec(ctx, `
		update slotbook.log_head
		set floor = $2
		where floor < $1`, int64(seen), int64(FloorAbove(seen))) //nolint:gosec // positions fit
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// Names reports whether an event lies at a position. Errors: [commands.ErrUnavailable].
func (s *Store) Names(ctx context.Context, p domain.Position) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	var there bool
	err := s.config.Pool.QueryRow(ctx, "select exists (select from slotbook.events where position = $1)", int64(min(p, math.MaxInt64))).Scan(&there)
	if err != nil {
		return false, unavailable(err)
	}
	return there, nil
}
