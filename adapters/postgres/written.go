package postgres

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/bits-and-blooms/bloom/v3"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

// The filter of streams that have events takes 1.2 to 60 MB, and that of those that
// have more than one as much. The first takes a stream
// without events for one that has some in one of a hundred cases, as long as
// there are not many more streams than there were events when it was made, nor
// than mostStreams.
const (
	fewestStreams  = 1 << 20
	mostStreams    = 50 << 20
	mistaken       = 0.01
	surveyedAtOnce = 20_000    // streams or positions of one query
	surveyedAgain  = 1_000_000 // positions that may be missing before all is looked at anew
	betweenSurveys = time.Second
)

// surveyor sees to it that a process knows which streams have events, and which of
// them more than one. It begins
// when somebody asks, with all streams; later it looks only at what others have
// appended.
type surveyor struct {
	pool   *pgxpool.Pool
	ends   *ends
	log    *slog.Logger
	wanted chan struct{} // has room for one

	surveying sync.Mutex // is held by who looks
}

func newSurveyor(pool *pgxpool.Pool, ends *ends, log *slog.Logger) *surveyor {
	return &surveyor{pool: pool, ends: ends, log: log, wanted: make(chan struct{}, 1)}
}

// likelyEnd returns where a stream ends as far as this process knows, and has more
// found out when that is not enough to say.
func (s *surveyor) likelyEnd(stream domain.StreamName) (domain.Revision, bool) {
	end, known, enough := s.ends.likelyEnd(stream)
	if !enough {
		select {
		case s.wanted <- struct{}{}:
		default:
		}
	}
	return end, known
}

// run finds out what is wanted until ctx ends.
func (s *surveyor) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wanted:
		}
		if err := s.survey(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("which streams have events could not be found out", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(betweenSurveys):
		}
	}
}

// survey enters every stream that has events, but for those that are appended to
// meanwhile by others.
func (s *surveyor) survey(ctx context.Context) error {
	s.surveying.Lock()
	defer s.surveying.Unlock()
	term, covered, ours := s.ends.surveyed()
	if covered < 0 || ours-covered > surveyedAgain {
		return s.surveyAll(ctx, term)
	}
	for covered < ours {
		until := min(ours, covered+surveyedAtOnce)
		_, err := s.enter(ctx, term, `
			select stream, revision
			from slotbook.events
			where position > $1
				and position <= $2
				and revision <= 1`, covered, until)
		if err != nil || !s.ends.cover(term, until) {
			return err
		}
		covered = until
	}
	return nil
}

// surveyAll begins with empty filters. It goes through the index of streams in
// pages: no snapshot is held for long.
func (s *surveyor) surveyAll(ctx context.Context, term int) error {
	until, err := s.begin(ctx, term)
	if err != nil {
		return err
	}
	for last, more := (place{}), true; more; more = last.Stream != "" {
		last, err = s.enter(ctx, term, `
			select stream, revision
			from slotbook.events
			where revision <= 1
				and (stream, revision) > ($1, $2)
			order by stream, revision
			limit $3`, last.Stream, last.Revision, surveyedAtOnce)
		if err != nil {
			return err
		}
	}
	s.ends.cover(term, int64(until))
	return nil
}

// begin makes empty filters, and returns the position up to which what they lack
// has to be looked for: what is appended here later is entered by the writer.
func (s *surveyor) begin(ctx context.Context, term int) (domain.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, patienceOfRead)
	defer cancel()
	var events float64
	err := s.pool.QueryRow(ctx, "select reltuples from pg_class where oid = 'slotbook.events'::regclass").Scan(&events)
	if err != nil {
		return 0, err
	}
	streams := uint(min(max(events, fewestStreams), mostStreams))
	s.ends.begin(term, bloom.NewWithEstimates(streams, mistaken), bloom.NewWithEstimates(streams, mistaken))
	return head(ctx, s.pool)
}

// place is where an event is in its stream.
type place struct {
	Stream   domain.StreamName
	Revision domain.Revision
}

// enter enters the events that a query finds and returns the place of the last one,
// the zero value when there is none.
func (s *surveyor) enter(ctx context.Context, term int, sql string, args ...any) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, patienceOfRead)
	defer cancel()
	rows, _ := s.pool.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if err != nil || len(events) == 0 {
		return place{}, err
	}
	s.ends.enter(term, events)
	return events[len(events)-1], nil
}
