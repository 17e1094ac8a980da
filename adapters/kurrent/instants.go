package kurrent

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/slotbook/slotbook/domain"
)

// timeline knows when some of the store's events were recorded, so that an instant
// is found without reading the whole log each time. The server has no index of
// times. It is made from the log when it is first needed, and grows with it.
type timeline struct {
	mu      sync.Mutex
	samples []sample
	last    sample // of the last event that was read
	read    int    // events so far
}

// sample is when the events up to a position were recorded at the latest.
type sample struct {
	position domain.Position
	at       time.Time
}

// apartBy is how many events lie between two samples.
const apartBy = 256

// extend reads on to the end of the log.
func (t *timeline) extend(ctx context.Context, s *Store) error {
	from := max(t.last.position, domain.Position(s.start.Load()))
	_, err := s.walkFrom(ctx, t.last.position, from, func(e *esdb.RecordedEvent, p domain.Position) (bool, error) {
		stored, err := s.stored(e)
		if err != nil {
			return false, err
		}
		t.last = sample{p, later(t.last.at, stored.RecordedAt)}
		if t.read%apartBy == 0 {
			t.samples = append(t.samples, t.last)
		}
		t.read++
		return true, nil
	})
	return err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// before returns the last sample before a position.
func (t *timeline) before(ctx context.Context, s *Store, p domain.Position) (sample, error) {
	return t.find(ctx, s, func(x sample) bool { return x.position >= p })
}

// find returns the last sample before those of which beyond is true. It reads on
// as long as it is true of none.
func (t *timeline) find(ctx context.Context, s *Store, beyond func(sample) bool) (sample, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !beyond(t.last) {
		if err := t.extend(ctx, s); err != nil {
			return sample{}, err
		}
	}
	i := sort.Search(len(t.samples), func(i int) bool { return beyond(t.samples[i]) })
	if i == 0 {
		return sample{}, nil
	}
	return t.samples[i-1], nil
}

// PositionAt returns the last position up to which everything was recorded at an
// instant or before it, 0 when there is none. The first question reads the whole
// log. Errors: [commands.ErrUnavailable].
func (s *Store) PositionAt(ctx context.Context, at time.Time) (domain.Position, error) {
	from, err := s.times.find(ctx, s, func(x sample) bool { return x.at.After(at) })
	if err != nil {
		return 0, err
	}
	last := from.position
	_, err = s.walk(ctx, from.position, func(e *esdb.RecordedEvent, p domain.Position) (bool, error) {
		stored, err := s.stored(e)
		if err != nil || stored.RecordedAt.After(at) {
			return false, err
		}
		last = p
		return true, nil
	})
	return last, err
}

// RecordedAt returns when the last event up to a position was recorded; the zero
// time when there is none. Errors: [commands.ErrUnavailable].
func (s *Store) RecordedAt(ctx context.Context, p domain.Position) (time.Time, error) {
	head, err := s.Head(ctx)
	if err != nil || head == 0 || p == 0 {
		return time.Time{}, err
	}
	p = min(p, head)
	page, err := s.readAll(ctx, esdb.Forwards, s.at(p), 1)
	if err == nil && len(page) == 1 && s.own(page[0]) && s.numbered(page[0].Position.Commit) == p {
		stored, err := s.stored(page[0])
		return stored.RecordedAt, err
	}
	from, err := s.times.before(ctx, s, p)
	if err != nil {
		return time.Time{}, err
	}
	last := from.at
	_, err = s.walk(ctx, from.position, func(e *esdb.RecordedEvent, at domain.Position) (bool, error) {
		if at > p {
			return false, nil
		}
		stored, err := s.stored(e)
		last = stored.RecordedAt
		return true, err
	})
	return last, err
}

// RecordedAfter returns when the first event after a position was recorded; the
// zero time when there is none. Errors: [commands.ErrUnavailable].
func (s *Store) RecordedAfter(ctx context.Context, p domain.Position) (time.Time, error) {
	var first time.Time
	_, err := s.walk(ctx, p, func(e *esdb.RecordedEvent, _ domain.Position) (bool, error) {
		stored, err := s.stored(e)
		first = stored.RecordedAt
		return false, err
	})
	return first, err
}
