// Package postgres is the event store in PostgreSQL 15 or later, and the
// keeper of the keys that personal text is sealed under.
//
// # How an append goes
//
//	Append -> encode -> queue -> writer: begin, lock the head row
//	                                     read the last position and the streams' revisions
//	                                     decide each request in memory
//	                                     insert what was accepted, commit
//	       <- answer <----------------- one answer for each request
//
// As long as no other process appends, what is read there is known before, and
// all of it is one round trip; the insert checks that it was so. Then it is also
// known which streams have no events, and these are not loaded by who appends to
// them.
//
// One writer per process takes whatever is queued into one transaction. Any
// number of processes share one log: the row lock makes them take turns.
//
// # Invariants
//
//   - Positions are consecutive and equal the order of commits: whoever holds
//     the head lock continues after the last position, and nobody else inserts.
//   - The lock is a statement of its own. A statement that waits for a lock
//     sees everything else as it was before the wait.
//   - Nothing but the database happens between lock and commit.
//   - A request whose COMMIT was not answered is decided again, by its event
//     ids, under the lock. Unique indexes are backstops, never the decision.
package postgres

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Config configures a store.
type Config struct {
	// Pool serves ReadAll, Head and the sending of news. The writer, the
	// reader and the listener open connections of their own to the same
	// database. Required; see [Pool].
	Pool *pgxpool.Pool
	// Codec turns events into bytes and back. Required.
	Codec *eventcodec.Codec
	// Logger gets a line when the database goes away and when it comes back.
	// Nil logs nothing.
	Logger *slog.Logger
	// Patience is how long an append that was not stored yet waits for a
	// database that is away before it is [commands.ErrUnavailable]. 0 is 5 s.
	Patience time.Duration
}

// Store is the event store in PostgreSQL. It is safe for concurrent use; Load,
// Append and Wait work while Run runs. Its contract is that of
// [commands.Store] and the suite adapters/eventstoretest.
type Store struct {
	config Config
	writer *writer
	reader *reader
	news   *news
	recent *recent
	survey *surveyor

	patienceOfRead time.Duration // shorter in tests
}

// New returns a store. It connects to nothing and starts nothing: that is
// [Store.Run]'s.
func New(c Config) (*Store, error) {
	if c.Pool == nil || c.Codec == nil {
		return nil, errors.New("a store needs a pool and a codec")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Patience == 0 {
		c.Patience = 5 * time.Second
	}
	conn := c.Pool.Config().ConnConfig
	news, ends, recent := newNews(c.Pool, conn, c.Logger), &ends{}, &recent{}
	return &Store{
		config: c,
		writer: newWriter(conn, c.Patience, c.Logger, ends, recent, news.tell),
		reader: newReader(conn, c.Logger, ends),
		news:   news,
		recent: recent,
		survey: newSurveyor(c.Pool, ends, c.Logger),

		patienceOfRead: patienceOfRead,
	}, nil
}

// Run serves appends, loads and news until ctx ends; then it finishes the
// batch at hand and returns nil. Appends that are still queued are answered
// with [commands.ErrUnavailable]. A store runs once.
func (s *Store) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { s.writer.run(ctx) })
	all.Go(func() { s.reader.run(ctx) })
	all.Go(func() { s.news.run(ctx) })
	all.Go(func() { s.survey.run(ctx) })
	all.Wait()
	return nil
}

// Atomic returns true: Append takes several writes at once.
func (s *Store) Atomic() bool { return true }

// LikelyEnd returns where a stream ends as far as this process knows, if it has no
// event or one. It does not know what others have appended since its own last append;
// once that has met an append of others, it knows nothing until that was looked at.
func (s *Store) LikelyEnd(stream domain.StreamName) (domain.Revision, bool) {
	return s.survey.likelyEnd(stream)
}

// Append stores all events of all writes or none, and returns the position of
// the last one; see [commands.Store]. An append without events checks the
// expected revisions and returns the last position of the log.
func (s *Store) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	r, err := s.encode(ctx, writes)
	if err != nil {
		return 0, err
	}
	return s.writer.append(ctx, r)
}

// Load returns every event of the streams, in order; see [commands.Store]. It
// fails at once when the database cannot be reached.
func (s *Store) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	rows, err := s.reader.load(ctx, streams)
	if err != nil {
		return nil, err
	}
	loaded := make(map[domain.StreamName][]domain.Recorded, len(streams))
	for _, name := range streams {
		if loaded[name] != nil || len(rows[name]) == 0 {
			continue
		}
		events := make([]domain.Recorded, len(rows[name]))
		for i := range rows[name] {
			if events[i], err = rows[name][i].decode(s.config.Codec, false); err != nil {
				return nil, err
			}
		}
		loaded[name] = events
	}
	return loaded, nil
}
