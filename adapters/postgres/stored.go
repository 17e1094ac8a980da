package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// windows is how many windows of positions one call of ReadStored looks at, so
// that a selection that wants little does not make a call endless.
const windows = 10

// ReadStored returns up to limit events after a position and up to another one,
// in commit order, as they are stored. A page may be short: there are no more
// when its Next is until, which counts as the last event's when it lies beyond.
// Errors: [commands.ErrUnavailable].
func (s *Store) ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error) {
	page := eventcodec.StoredPage{Next: after}
	conn, err := s.acquire(ctx)
	if err != nil {
		return page, unavailable(err)
	}
	defer conn.Release()
	for range windows {
		var next domain.Position
		var kept []row
		if len(want.Streams) > 0 { // these have an index
			next, err = s.headOn(ctx, conn)
		} else {
			next, kept, err = s.boundary(ctx, conn, page.Next)
		}
		if err != nil {
			return page, unavailable(err)
		}
		next = min(next, until)
		if next <= page.Next || len(page.Events) >= limit {
			return page, nil
		}
		if len(kept) > 0 {
			pickStored(&page, kept, next, want, limit)
		} else if err := s.readStored(ctx, conn, &page, next, want, limit); err != nil {
			return page, unavailable(err)
		}
	}
	return page, nil
}

const storedColumns = `
		select event_id, stream, revision, position, recorded_at, type, data, metadata
		from slotbook.events`

func (s *Store) readStored(
	ctx context.Context, conn *pgxpool.Conn, page *eventcodec.StoredPage, until domain.Position, want eventcodec.Selection, limit int,
) error {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	rows, err := conn.Query(ctx, storedColumns+`
		where position > $1
			and position <= $2
			and ($3::text[] is null or split_part(stream, '-', 1) = any($3))
			and ($4::text[] is null or type = any($4))
			and ($5::text[] is null or stream = any($5))
		order by position
		limit $6`,
		pgx.QueryExecModeCacheDescribe, pgx.QueryResultFormats{1},
		int64(page.Next), int64(until), orNull(want.Categories), orNull(want.Types), streamsOrNull(want.Streams), limit-len(page.Events))
	if err != nil {
		return err
	}
	if page.Events, err = appendStored(page.Events, rows); err != nil {
		return err
	}
	page.Next = until
	if n := len(page.Events); n == limit && n > 0 {
		page.Next = page.Events[n-1].Position
	}
	return nil
}

// pickStored adds the wanted ones of events that are kept to the page.
func pickStored(page *eventcodec.StoredPage, kept []row, until domain.Position, want eventcodec.Selection, limit int) {
	for i := range kept {
		if domain.Position(kept[i].position) > until || !want.Wants(kept[i].stream, kept[i].kind) {
			continue
		}
		page.Events = append(page.Events, kept[i].stored())
		if len(page.Events) == limit {
			page.Next = domain.Position(kept[i].position)
			return
		}
	}
	page.Next = until
}

// streamsOrNull leaves out names that no stream has, and that no query takes.
func streamsOrNull(names []domain.StreamName) []string {
	if len(names) == 0 {
		return nil
	}
	streams := make([]string, 0, len(names))
	for _, name := range names {
		if (eventcodec.Encoded{}).Storable(name) {
			streams = append(streams, string(name))
		}
	}
	return streams
}

func appendStored(events []eventcodec.Stored, rows pgx.Rows) ([]eventcodec.Stored, error) {
	defer rows.Close()
	for rows.Next() {
		var one row
		if err := one.read(rows.RawValues()); err != nil {
			return events, err
		}
		events = append(events, one.stored())
	}
	return events, rows.Err()
}

func (r *row) stored() eventcodec.Stored {
	return eventcodec.Stored{
		Encoded: eventcodec.Encoded{ID: r.id.String(), Type: r.kind, Data: r.data, Metadata: r.metadata},
		Stream:  r.stream, Revision: domain.Revision(r.revision), Position: domain.Position(r.position), RecordedAt: r.recordedAt,
	}
}

// FindStored returns the event with an id, and whether there is one. Errors:
// [commands.ErrUnavailable].
func (s *Store) FindStored(ctx context.Context, id string) (eventcodec.Stored, bool, error) {
	of, err := uuid.Parse(id)
	if err != nil {
		return eventcodec.Stored{}, false, nil //nolint:nilerr // no event has it
	}
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	rows, err := s.config.Pool.Query(ctx, storedColumns+` where event_id = $1`, pgx.QueryResultFormats{1}, of)
	if err != nil {
		return eventcodec.Stored{}, false, unavailable(err)
	}
	found, err := appendStored(nil, rows)
	if err != nil {
		return eventcodec.Stored{}, false, unavailable(err)
	}
	if len(found) == 0 {
		return eventcodec.Stored{}, false, nil
	}
	return found[0], true, nil
}
