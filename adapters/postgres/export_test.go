package postgres

import (
	"context"
	"net"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// PauseUnderLock has f called between lock and commit of every batch that does
// not take the short way. It is called before Run.
func (s *Store) PauseUnderLock(f func()) { s.writer.pause = f }

// BeImpatient shortens how long a round trip of the pool may take.
func (s *Store) BeImpatient(d time.Duration) { s.patienceOfRead = d }

// BeImpatient shortens how long the database may take.
func (k *Keys) BeImpatient(d time.Duration) { k.patience = d }

// CacheOnly keeps so many keys in half of the cache.
func (k *Keys) CacheOnly(most int) { k.most = most }

// Show returns a setting of the writer's connection. It is called by what
// PauseUnderLock was given.
func (s *Store) Show(setting string) (string, error) {
	results, err := s.writer.session.pg.Exec(context.Background(), "show "+setting).ReadAll()
	if err != nil {
		return "", err
	}
	return string(results[0].Rows[0][0]), nil
}

// Socket returns the writer's connection. It is called by what PauseUnderLock
// was given.
func (s *Store) Socket() net.Conn { return s.writer.session.pg.Conn() }

// QueuedLoads returns how many loads wait for the query at hand.
func (s *Store) QueuedLoads() int { return len(s.reader.queue) }

// QueuedAppends returns how many appends wait for the batch at hand.
func (s *Store) QueuedAppends() int { return len(s.writer.queue) }

// Alone reports whether the store believes that it is the only one to append.
func (s *Store) Alone() bool { return s.writer.batch.ends.alone }

// Survey finds out which streams have events, now.
func (s *Store) Survey(ctx context.Context) error { return s.survey.survey(ctx) }

// TakeForWritten enters a stream into the filter of those that have events, as
// chance does now and then.
func (s *Store) TakeForWritten(stream domain.StreamName) {
	e := s.survey.ends
	e.mu.Lock()
	defer e.mu.Unlock()
	e.note(stream, domain.NoStream, 0)
}

// Kept returns how many events after a position are kept.
func (s *Store) Kept(after domain.Position) int { return len(s.recent.after(after)) }

// StructureSQL lists what the migrations make.
const StructureSQL = structureSQL
