package postgres

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

// window is how many positions one query looks at, so that a filter that wants
// little does not make a query endless.
const window = 20_000

// patienceOfRead bounds one round trip of a connection of the pool, and the
// wait for a connection. The server's own time-outs do not help when its
// answers are withheld on the way.
const patienceOfRead = 10 * time.Second

// ReadAll returns up to limit events after a position, in commit order. Fewer
// than limit means that the end was reached. Next never moves past a position
// at which an event may still appear. Errors: [commands.ErrUpgradeRunning],
// with the events before the unknown one; [commands.ErrUnavailable].
func (s *Store) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	page := domain.Page{Next: after}
	conn, err := s.acquire(ctx)
	if err != nil {
		return page, unavailable(err)
	}
	defer conn.Release()
	for len(page.Events) < limit {
		until, kept, err := s.boundary(ctx, conn, page.Next)
		if err != nil {
			return page, unavailable(err)
		}
		if until <= page.Next {
			return page, nil
		}
		if len(kept) > 0 {
			err = s.pick(&page, kept, f, limit)
		} else {
			err = s.readUntil(ctx, conn, &page, until, f, limit)
		}
		if err != nil {
			return page, err
		}
	}
	return page, nil
}

func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	return s.config.Pool.Acquire(ctx)
}

// boundary returns how far the next query looks: a window of positions, not
// beyond the last event. Positions follow the order of commits, so that a
// later query sees everything up to there. Where this process keeps the events
// after the position, these are returned, up to the boundary.
func (s *Store) boundary(ctx context.Context, conn *pgxpool.Conn, after domain.Position) (until domain.Position, kept []row, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	var last row
	if kept = s.recent.after(after); len(kept) > 0 {
		last = kept[len(kept)-1]
	}
	var head, next int64
	var there bool
	err = conn.QueryRow(ctx, `
		select
			coalesce((select max(position) from slotbook.events), 0),
			coalesce((select min(position) from slotbook.events where position > $1), 0),
			exists (select from slotbook.events where position = $2 and event_id = $3 and recorded_at = $4)`,
		int64(after), last.position, last.id, last.recordedAt).Scan(&head, &next, &there)
	if there {
		return domain.Position(last.position), kept, err
	}
	return domain.Position(min(head, next+window-1)), nil, err
}

// pick adds the wanted ones of events that are kept to the page.
func (s *Store) pick(page *domain.Page, kept []row, f domain.Filter, limit int) error {
	page.Events = slices.Grow(page.Events, min(len(kept), limit-len(page.Events)))
	for _, one := range kept {
		if !f.Wants(one.stream, one.kind) {
			continue
		}
		if f.Bare {
			one.metadata = nil
		}
		if err := s.take(page, &one); err != nil {
			return err
		}
		if len(page.Events) == limit {
			page.Next = domain.Position(one.position)
			return nil
		}
	}
	page.Next = domain.Position(kept[len(kept)-1].position)
	return nil
}

// take adds an event to the page, which ends before one that cannot be read.
func (s *Store) take(page *domain.Page, one *row) error {
	recorded, err := one.decode(s.config.Codec, true)
	if err != nil {
		page.Next = recorded.Position - 1
		return err
	}
	page.Events = append(page.Events, recorded)
	return nil
}

// readUntil adds the wanted events up to a position to the page.
func (s *Store) readUntil(ctx context.Context, conn *pgxpool.Conn, page *domain.Page, until domain.Position, f domain.Filter, limit int) error {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	// Planned at each execution: a plan that was kept from when the table was
	// small would scan all of it.
	rows, err := conn.Query(ctx, `
		select event_id, stream, revision, position, recorded_at, type, data, case when $5 then null else metadata end
		from slotbook.events
		where position > $1
			and position <= $2
			and ($3::text[] is null or split_part(stream, '-', 1) = any($3))
			and ($4::text[] is null or type = any($4))
		order by position
		limit $6`,
		pgx.QueryExecModeCacheDescribe, pgx.QueryResultFormats{1},
		int64(page.Next), int64(until), orNull(f.Categories), orNull(f.Types), f.Bare, limit-len(page.Events))
	if err != nil {
		return unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one row
		if err := one.read(rows.RawValues()); err != nil {
			return err
		}
		if err := s.take(page, &one); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return unavailable(err)
	}
	page.Next = until
	if len(page.Events) == limit {
		page.Next = page.Events[limit-1].Position
	}
	return nil
}

// orNull gives the SQL null for "everything".
func orNull(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	return names
}

// Head returns the position of the last event, 0 when there is none. Errors:
// [commands.ErrUnavailable].
func (s *Store) Head(ctx context.Context) (domain.Position, error) {
	head, err := s.headOn(ctx, s.config.Pool)
	if err != nil {
		return 0, unavailable(err)
	}
	return head, nil
}

// headOn is [Store.Head] on a connection, for who holds one: when all who hold
// one wait for another, nobody gets any.
func (s *Store) headOn(ctx context.Context, q querier) (domain.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	return head(ctx, q)
}

func head(ctx context.Context, q querier) (domain.Position, error) {
	var last int64
	err := q.QueryRow(ctx, "select coalesce(max(position), 0) from slotbook.events").Scan(&last)
	return domain.Position(last), err
}

// positionAt halves the stretch of positions in which the answer lies. Every
// event up to low was recorded in time, and every event after high later; there
// need not be an event at every position.
const positionAt = `
with recursive search (low, high) as (
	select 0::bigint, coalesce(max(position), 0)
	from slotbook.events
	union all
	select
		case when e.late then s.low else (s.low + s.high + 1) / 2 end,
		case when e.late then e.position - 1 else s.high end
	from search s
	cross join lateral (
		select max(e.position) as position, coalesce(max(e.recorded_at), '-infinity') > $1 as late
		from (
			select position, recorded_at
			from slotbook.events
			where position > s.low
				and position <= (s.low + s.high + 1) / 2
			order by position desc
			limit 1
		) e
	) e
	where s.low < s.high
)
select coalesce(max(e.position), 0)
from slotbook.events e
where e.position <= (select max(low) from search)`

// PositionAt returns the last position that was recorded at an instant or before
// it, 0 when there is none. It looks at as many events as the number of
// positions has binary digits. Errors: [commands.ErrUnavailable].
func (s *Store) PositionAt(ctx context.Context, at time.Time) (domain.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	var position int64
	if err := s.config.Pool.QueryRow(ctx, positionAt, at).Scan(&position); err != nil {
		return 0, unavailable(err)
	}
	return domain.Position(position), nil
}

// RecordedAt returns when the last event up to a position was recorded; the zero
// time when there is none. Errors: [commands.ErrUnavailable].
func (s *Store) RecordedAt(ctx context.Context, p domain.Position) (time.Time, error) {
	return s.recorded(ctx, `
		select position, recorded_at
		from slotbook.events
		where position <= $1
		order by position desc
		limit 1`, p)
}

// RecordedAfter returns when the first event after a position was recorded; the
// zero time when there is none. It does not look at what the event says. Errors:
// [commands.ErrUnavailable].
func (s *Store) RecordedAfter(ctx context.Context, p domain.Position) (time.Time, error) {
	return s.recorded(ctx, firstAfter, p)
}

// firstAfter finds the first event after a position.
const firstAfter = `
select position, recorded_at
from slotbook.events
where position > $1
order by position
limit 1`

func (s *Store) recorded(ctx context.Context, sql string, p domain.Position) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	var at time.Time
	err := s.config.Pool.QueryRow(ctx, sql, int64(min(p, math.MaxInt64))).Scan(nil, &at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return at, unavailable(err)
	}
	return at.UTC(), nil
}

// Wait returns when there is an event after the position, or when ctx ends.
func (s *Store) Wait(ctx context.Context, after domain.Position) error {
	return s.news.wait(ctx, after)
}
