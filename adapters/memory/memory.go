// Package memory is an event store in memory, for tests and demonstrations.
//
// It keeps bytes, not values, so that whatever passes through it has been
// encoded and decoded, once: readers share what was decoded. With StepByStep it
// takes one write per append only, like a store without multi-stream appends.
package memory

import (
	"bytes"
	"context"
	"errors"
	"sort"
	"sync"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Config configures a store.
type Config struct {
	Codec      *eventcodec.Codec
	Now        func() time.Time // the store's clock
	StepByStep bool             // take one write per append only
}

// Store is an event store in memory. It is safe for concurrent use.
type Store struct {
	config Config

	mu      sync.Mutex
	log     []record
	streams map[domain.StreamName][]int // indexes into log
	ids     map[string]int              // index into log by event id
	news    chan struct{}               // closed and replaced at every append
}

type record struct {
	eventcodec.Encoded
	stream     domain.StreamName
	revision   domain.Revision
	recordedAt time.Time
	decoded    *domain.Recorded // nil until it is read
}

// New returns an empty store.
func New(c Config) *Store {
	return &Store{
		config:  c,
		streams: map[domain.StreamName][]int{},
		ids:     map[string]int{},
		news:    make(chan struct{}),
	}
}

// Atomic reports whether Append takes several writes at once.
func (s *Store) Atomic() bool { return !s.config.StepByStep }

// LikelyEnd returns where a stream ends.
func (s *Store) LikelyEnd(stream domain.StreamName) (domain.Revision, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return domain.Revision(len(s.streams[stream])) - 1, true
}

// Load returns every event of the streams.
func (s *Store) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	loaded := make(map[domain.StreamName][]domain.Recorded, len(streams))
	for _, name := range streams {
		if loaded[name] != nil {
			continue
		}
		for _, i := range s.streams[name] {
			r, err := s.decode(i, false)
			if err != nil {
				return nil, err
			}
			loaded[name] = append(loaded[name], r)
		}
	}
	return loaded, nil
}

var errOneWrite = errors.New("this store takes one write per append")

// Append stores all events of all writes or none.
func (s *Store) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if len(writes) > 1 && s.config.StepByStep {
		return 0, errOneWrite
	}
	encoded, err := s.encode(ctx, writes)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if position, done := s.alreadyDone(writes, encoded); done {
		return position, nil
	}
	for i, w := range writes {
		if err := s.check(w, encoded[i]); err != nil {
			return 0, err
		}
	}
	return s.store(writes, encoded), nil
}

func (s *Store) encode(ctx context.Context, writes []commands.Write) ([][]eventcodec.Encoded, error) {
	encoded := make([][]eventcodec.Encoded, len(writes))
	events, size := 0, 0
	for i, w := range writes {
		if !(eventcodec.Encoded{}).Storable(w.Stream) {
			return nil, commands.ErrUnstorable
		}
		for _, e := range w.Events {
			b, err := s.config.Codec.Encode(ctx, w.Stream, e)
			if err != nil {
				return nil, err
			}
			if !b.Storable(w.Stream) {
				return nil, commands.ErrUnstorable
			}
			encoded[i] = append(encoded[i], b)
			events++
			size += len(b.Data) + len(b.Metadata)
		}
	}
	if events > commands.MaxAppendEvents || size > commands.MaxAppendBytes {
		return nil, commands.ErrTooLarge
	}
	return encoded, nil
}

// alreadyDone reports whether all events lie where these writes would have put
// them, with the same bytes.
func (s *Store) alreadyDone(writes []commands.Write, encoded [][]eventcodec.Encoded) (domain.Position, bool) {
	last, events := -1, 0
	for i, w := range writes {
		for n, e := range encoded[i] {
			at, known := s.ids[e.ID]
			if !known {
				return 0, false
			}
			r := s.log[at]
			first := w.Expected + 1
			if w.Expected == domain.Any {
				first = s.log[s.ids[encoded[i][0].ID]].revision
			}
			if r.stream != w.Stream || r.revision != first+domain.Revision(n) || !same(r.Encoded, e) {
				return 0, false
			}
			last = max(last, at)
			events++
		}
	}
	return domain.Position(last + 1), events > 0
}

func same(a, b eventcodec.Encoded) bool {
	return a.Type == b.Type && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Metadata, b.Metadata)
}

func (s *Store) check(w commands.Write, encoded []eventcodec.Encoded) error {
	if w.Expected != domain.Any && w.Expected != domain.Revision(len(s.streams[w.Stream])-1) {
		return commands.ErrWrongRevision
	}
	for _, e := range encoded {
		if _, known := s.ids[e.ID]; known {
			return commands.ErrWrongRevision
		}
	}
	return nil
}

func (s *Store) store(writes []commands.Write, encoded [][]eventcodec.Encoded) domain.Position {
	now := s.config.Now().UTC().Truncate(time.Microsecond)
	if n := len(s.log); n > 0 && now.Before(s.log[n-1].recordedAt) {
		now = s.log[n-1].recordedAt
	}
	for i, w := range writes {
		for _, e := range encoded[i] {
			revision := domain.Revision(len(s.streams[w.Stream]))
			s.streams[w.Stream] = append(s.streams[w.Stream], len(s.log))
			s.ids[e.ID] = len(s.log)
			s.log = append(s.log, record{e, w.Stream, revision, now, nil})
		}
	}
	close(s.news)
	s.news = make(chan struct{})
	return domain.Position(len(s.log))
}

// ReadAll returns up to limit events after a position, in commit order.
func (s *Store) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	if err := ctx.Err(); err != nil {
		return domain.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	page := domain.Page{Next: after}
	for i := int(after); i < len(s.log) && len(page.Events) < limit; i++ { //nolint:gosec // positions are indexes here
		if f.Wants(s.log[i].stream, s.log[i].Type) {
			r, err := s.decode(i, true)
			if err != nil {
				return page, err
			}
			page.Events = append(page.Events, r)
		}
		page.Next = domain.Position(i + 1)
	}
	return page, nil
}

// ReadStored returns up to limit events after a position and up to another one,
// in commit order, as they are stored.
func (s *Store) ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error) {
	if err := ctx.Err(); err != nil {
		return eventcodec.StoredPage{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	page := eventcodec.StoredPage{Next: after}
	for i := int(after); i < min(len(s.log), int(until)) && len(page.Events) < limit; i++ { //nolint:gosec // positions are indexes here
		if r := s.log[i]; want.Wants(r.stream, r.Type) {
			page.Events = append(page.Events, eventcodec.Stored{
				Encoded: r.Encoded, Stream: r.stream, Revision: r.revision, Position: domain.Position(i + 1), RecordedAt: r.recordedAt,
			})
		}
		page.Next = domain.Position(i + 1)
	}
	return page, nil
}

// Head returns the position of the last event.
func (s *Store) Head(context.Context) (domain.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return domain.Position(len(s.log)), nil
}

// PositionAt returns the last position that was recorded at an instant or before
// it, 0 when there is none.
func (s *Store) PositionAt(_ context.Context, at time.Time) (domain.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	later := sort.Search(len(s.log), func(i int) bool { return s.log[i].recordedAt.After(at) })
	return domain.Position(later), nil //nolint:gosec // not negative
}

// RecordedAt returns when the last event up to a position was recorded; the zero
// time when there is none.
func (s *Store) RecordedAt(_ context.Context, p domain.Position) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := min(p, domain.Position(len(s.log)))
	if last == 0 {
		return time.Time{}, nil
	}
	return s.log[last-1].recordedAt, nil
}

// Wait returns when there is an event after the position, or when ctx ends.
func (s *Store) Wait(ctx context.Context, after domain.Position) error {
	for {
		s.mu.Lock()
		head, news := domain.Position(len(s.log)), s.news
		s.mu.Unlock()
		if head > after {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// decode decodes an event the first time that it is read. Nobody changes what
// an event holds.
func (s *Store) decode(i int, follower bool) (domain.Recorded, error) {
	r := s.log[i]
	if r.decoded != nil {
		return *r.decoded, nil
	}
	recorded := domain.Recorded{
		ID: r.ID, Stream: r.stream, Revision: r.revision, Position: domain.Position(i + 1), RecordedAt: r.recordedAt,
	}
	var err error
	if recorded.Metadata, err = s.config.Codec.DecodeMetadata(r.Metadata); err != nil {
		return recorded, err
	}
	recorded.Event, err = s.config.Codec.Decode(r.Type, r.Data)
	if err != nil && follower && !errors.Is(err, commands.ErrUpgradeRunning) {
		recorded.Event = domain.Undecodable{Type: r.Type, Err: err}
		return recorded, nil
	}
	if err == nil {
		s.log[i].decoded = &recorded
	}
	return recorded, err
}
