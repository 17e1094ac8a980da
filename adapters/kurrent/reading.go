package kurrent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// loadsAtOnce is how many streams one Load reads at the same time.
const loadsAtOnce = 16

// Load returns every event of the streams, in order; see [commands.Store].
// Errors: [commands.ErrUnavailable], [ErrDeleted], [ErrCutOff].
func (s *Store) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names := slices.Compact(slices.Sorted(slices.Values(streams)))
	names = slices.DeleteFunc(names, func(name domain.StreamName) bool { return !s.storable(name) })
	read, err := s.loadStored(ctx, names)
	if err != nil {
		return nil, err
	}
	loaded := make(map[domain.StreamName][]domain.Recorded, len(names))
	for i, name := range names {
		for _, e := range read[i] {
			r, err := s.config.Codec.DecodeStored(e)
			if err != nil {
				return nil, err
			}
			loaded[name] = append(loaded[name], r)
		}
	}
	return loaded, nil
}

// loadStored reads streams whole, several at a time.
func (s *Store) loadStored(ctx context.Context, names []domain.StreamName) ([][]eventcodec.Stored, error) {
	read, errs := make([][]eventcodec.Stored, len(names)), make([]error, len(names))
	turns := make(chan struct{}, loadsAtOnce)
	var all sync.WaitGroup
	for i, name := range names {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			read[i], errs[i] = s.load(ctx, name)
		})
	}
	all.Wait()
	return read, errors.Join(errs...)
}

func (s *Store) loadOne(ctx context.Context, name domain.StreamName) ([]eventcodec.Stored, error) {
	read, err := s.readStream(ctx, name, esdb.ReadStreamOptions{From: esdb.Start{}}, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	stored := make([]eventcodec.Stored, 0, len(read))
	for _, e := range read {
		if e.EventNumber < uint64(len(stored)) {
			continue // delivered before
		}
		if e.EventNumber != uint64(len(stored)) {
			return nil, fmt.Errorf("%w: %s begins at revision %d", ErrCutOff, name, e.EventNumber)
		}
		one, err := s.stored(e)
		if err != nil {
			return nil, err
		}
		stored = append(stored, one)
	}
	return stored, nil
}

// readStream reads a stream once, whole or not at all. A stream that is not there
// has no events.
func (s *Store) readStream(ctx context.Context, name domain.StreamName, options esdb.ReadStreamOptions, count uint64) ([]*esdb.RecordedEvent, error) {
	read, err := reading(ctx, s, func(ctx context.Context, client *esdb.Client) ([]*esdb.RecordedEvent, error) {
		stream, err := client.ReadStream(ctx, s.name(name), options, count)
		if err != nil {
			return nil, err
		}
		return collect(stream)
	})
	if e, ok := errors.AsType[*esdb.Error](err); ok && e.IsErrorCode(esdb.ErrorCodeResourceNotFound) {
		return nil, nil
	}
	return read, translate(err)
}

// stored returns an event as others read it: its stream without the prefix, and
// the time of recording that it had where it was copied from, if it was.
func (s *Store) stored(e *esdb.RecordedEvent) (eventcodec.Stored, error) {
	p, err := s.position(e)
	if err != nil {
		return eventcodec.Stored{}, err
	}
	metadata, at, copied := withoutTime(e.UserMetadata)
	if !copied {
		at = e.CreatedDate.UTC().Truncate(time.Microsecond)
	}
	return eventcodec.Stored{
		Encoded: eventcodec.Encoded{ID: e.EventID.String(), Type: e.EventType, Data: e.Data, Metadata: metadata},
		Stream:  domain.StreamName(strings.TrimPrefix(e.StreamID, s.prefix)), Revision: revision(e), Position: p, RecordedAt: at,
	}, nil
}

// position returns the one position of an event. The log is ordered by commit and
// prepare position; they are equal but for events of the old TCP transactions.
func (s *Store) position(e *esdb.RecordedEvent) (domain.Position, error) {
	if e.Position.Commit != e.Position.Prepare {
		return 0, fmt.Errorf("%w: %s at %d, prepared at %d", ErrTransaction, e.StreamID, e.Position.Commit, e.Position.Prepare)
	}
	return s.numbered(e.Position.Commit), nil
}

// numbered returns the position that a commit position has. A store that was copied
// from another one has its positions above all of that one's.
func (s *Store) numbered(commit uint64) domain.Position {
	return domain.Position(commit + s.above.Load())
}

// tail is what is known of the end of the log: the store's last event up to a
// position, and that there is none of its events from there up to another
// position. The server's own events come in between all the time, and nobody wants
// to read them again at every look.
type tail struct {
	mu       sync.Mutex
	last, to domain.Position
}

func (t *tail) learn(last, to domain.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if to > t.to {
		t.last, t.to = last, to
	}
}

func (t *tail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.to = 0, 0
}

// skip returns from where to read after a position.
func (t *tail) skip(after domain.Position) domain.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	if after >= t.last && after < t.to {
		return t.to
	}
	return after
}

func (t *tail) known() (last, to domain.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last, t.to
}

// errNoPosition says that no event begins at a position.
var errNoPosition = errors.New("no event begins at the position")

// readAll reads the server's whole log once, its own events included.
func (s *Store) readAll(ctx context.Context, direction esdb.Direction, from esdb.AllPosition, count int) ([]*esdb.RecordedEvent, error) {
	read, err := reading(ctx, s, func(ctx context.Context, client *esdb.Client) ([]*esdb.RecordedEvent, error) {
		stream, err := client.ReadAll(ctx, esdb.ReadAllOptions{Direction: direction, From: from}, uint64(count)) //nolint:gosec // not negative
		if err != nil {
			return nil, err
		}
		read, err := collect(stream)
		if p, exact := from.(esdb.Position); exact && amiss(err) {
			return nil, fmt.Errorf("%w: %d (%w)", errNoPosition, p.Commit, err)
		}
		return read, err
	})
	return read, translate(err)
}

// amiss reports whether the server failed over what it was asked for, and not for
// want of a connection.
func amiss(err error) bool {
	switch status.Code(err) {
	case codes.Internal, codes.InvalidArgument, codes.OutOfRange:
		return err != nil
	case codes.Unknown:
		e, ok := errors.AsType[*esdb.Error](err)
		_, answered := status.FromError(err)
		return ok && e.IsErrorCode(esdb.ErrorCodeUnknown) && answered
	}
	return false
}

func (s *Store) at(p domain.Position) esdb.AllPosition {
	above := s.above.Load()
	if uint64(p) <= above {
		return esdb.Start{}
	}
	return esdb.Position{Commit: uint64(p) - above, Prepare: uint64(p) - above}
}

// The sizes of a page of the server's log: the first is small, for those who want
// to know whether there is anything.
const (
	firstPage = 64
	lastPage  = 4096
)

// walk hands the store's events after a position to visit, in order, until it
// returns false or there are no more. It returns the position of the last one that
// visit took. Where the log ended once may be no place to read from any more, since
// the server removes events of its own: it is forgotten then. A position that
// somebody made up, or that is of another store, is looked for by reading from one
// before it.
func (s *Store) walk(ctx context.Context, after domain.Position, visit visitor) (domain.Position, error) {
	begin := max(after, domain.Position(s.start.Load()))
	from := s.tail.skip(begin)
	next, err := s.walkFrom(ctx, after, from, visit)
	if from != begin && next == after && errors.Is(err, errNoPosition) {
		s.tail.forget()
		from = begin
		next, err = s.walkFrom(ctx, after, from, visit)
	}
	if from != after || next != after || !errors.Is(err, errNoPosition) {
		return next, err
	}
	before, err := s.times.before(ctx, s, after)
	if err != nil {
		return after, err
	}
	return s.walkFrom(ctx, after, before.position, visit)
}

type visitor func(*esdb.RecordedEvent, domain.Position) (more bool, err error)

// walkFrom is [Store.walk], and reads from a position at which an event begins.
func (s *Store) walkFrom(ctx context.Context, after, from domain.Position, visit visitor) (domain.Position, error) {
	next, scanned := after, from
	for size := firstPage; ; size = min(4*size, lastPage) {
		page, err := s.readAll(ctx, esdb.Forwards, s.at(scanned), size)
		if err != nil {
			return next, err
		}
		for _, e := range page {
			p, err := s.place(e)
			if err != nil {
				return next, err
			}
			if p <= scanned {
				continue // reads begin at their position, and not behind it
			}
			scanned = p
			if p <= after || !s.own(e) {
				continue
			}
			more, err := visit(e, p)
			if err != nil {
				return next, err
			}
			if next = p; !more {
				return next, nil
			}
		}
		if len(page) < size {
			s.ended(after, next, scanned)
			return next, nil
		}
	}
}

// place returns an event's position. Of events that are not the store's it need
// not be the only one.
func (s *Store) place(e *esdb.RecordedEvent) (domain.Position, error) {
	if !s.own(e) {
		return s.numbered(e.Position.Commit), nil
	}
	return s.position(e)
}

// ended takes in that a walk has come to the end.
func (s *Store) ended(after, next, scanned domain.Position) {
	last, to := s.tail.known()
	switch {
	case next > after:
		s.tail.learn(next, scanned)
	case after >= last && after <= to:
		s.tail.learn(last, scanned)
	}
}

// ReadAll returns up to limit events after a position, in commit order. Next is the
// position of the last event of the store that was looked at, wanted or not, so
// that a reader that wants little does not read the same again. Errors:
// [commands.ErrUpgradeRunning], with the events before the unknown one;
// [ErrForeign]; [commands.ErrUnavailable].
func (s *Store) ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error) {
	page := domain.Page{Next: after}
	if limit <= 0 {
		return page, ctx.Err()
	}
	err := s.ours(after)
	if err != nil {
		return page, err
	}
	page.Next, err = s.walk(ctx, after, func(e *esdb.RecordedEvent, _ domain.Position) (bool, error) {
		if !f.Wants(domain.StreamName(strings.TrimPrefix(e.StreamID, s.prefix)), e.EventType) {
			return true, nil
		}
		stored, err := s.stored(e)
		if err != nil {
			return false, err
		}
		r, err := s.decode(stored)
		if err != nil {
			return false, err
		}
		page.Events = append(page.Events, r)
		return len(page.Events) < limit, nil
	})
	return page, err
}

// ErrForeign says that a position is of the store that this one was copied from. Its
// rule is that of every position that means nothing.
var ErrForeign = domain.Refusal(domain.Refused, "position.unknown", "the position is of the store that this one was copied from: begin again")

// ours refuses positions of the store that this one was copied from.
func (s *Store) ours(after domain.Position) error {
	if after > 0 && uint64(after) <= s.above.Load() {
		return ErrForeign
	}
	return nil
}

// decode decodes for readers of the whole store: an event that cannot be read is
// told as such, unless it is of a type that only a newer program knows.
func (s *Store) decode(e eventcodec.Stored) (domain.Recorded, error) {
	r, err := s.config.Codec.DecodeStored(e)
	if err != nil && !errors.Is(err, commands.ErrUpgradeRunning) {
		r.Event, err = domain.Undecodable{Type: e.Type, Err: err}, nil
	}
	return r, err
}

// ReadStored returns up to limit events after a position and up to another one, in
// commit order, as they are stored. A choice of streams is read from these alone.
// Errors: [ErrForeign], [commands.ErrUnavailable].
func (s *Store) ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error) {
	if len(want.Streams) > 0 {
		return s.readStreams(ctx, after, until, want, limit)
	}
	page := eventcodec.StoredPage{Next: after}
	if limit <= 0 || until <= after {
		return page, ctx.Err()
	}
	if err := s.ours(after); err != nil {
		return page, err
	}
	var beyond bool
	next, err := s.walk(ctx, after, func(e *esdb.RecordedEvent, p domain.Position) (bool, error) {
		if beyond = p > until; beyond {
			return false, nil
		}
		page.Next = p
		if !want.Wants(domain.StreamName(strings.TrimPrefix(e.StreamID, s.prefix)), e.EventType) {
			return true, nil
		}
		stored, err := s.stored(e)
		page.Events = append(page.Events, stored)
		return len(page.Events) < limit, err
	})
	if !beyond && err == nil {
		page.Next = next
	}
	return page, err
}

// readStreams is [Store.ReadStored] of chosen streams.
func (s *Store) readStreams(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error) {
	page := eventcodec.StoredPage{Next: after}
	head, err := s.Head(ctx) // asked first: what comes meanwhile is left for the next page
	if err != nil {
		return page, err
	}
	until = min(until, head)
	names := slices.Compact(slices.Sorted(slices.Values(want.Streams)))
	names = slices.DeleteFunc(names, func(name domain.StreamName) bool { return !s.storable(name) })
	read, err := s.loadStored(ctx, names)
	if err != nil {
		return page, err
	}
	for _, e := range slices.Concat(read...) {
		if e.Position > after && e.Position <= until && want.Wants(e.Stream, e.Type) {
			page.Events = append(page.Events, e)
		}
	}
	slices.SortFunc(page.Events, func(a, b eventcodec.Stored) int { return compare(a.Position, b.Position) })
	page.Next = max(after, until)
	if len(page.Events) > limit {
		page.Events = page.Events[:limit]
		page.Next = page.Events[limit-1].Position
	}
	return page, nil
}

func compare(a, b domain.Position) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Names reports whether an event of the store begins at a position. Positions of
// another store, or of none, name nothing. Errors: [commands.ErrUnavailable].
func (s *Store) Names(ctx context.Context, p domain.Position) (bool, error) {
	if uint64(p) <= s.above.Load() {
		return false, nil
	}
	page, err := s.readAll(ctx, esdb.Forwards, s.at(p), 1)
	if errors.Is(err, errNoPosition) {
		return false, nil
	}
	return err == nil && len(page) == 1 && s.own(page[0]) && s.numbered(page[0].Position.Commit) == p, err
}

// FindStored returns the event with an id, and whether there is one. The server has
// no index of ids: it reads the log until it meets the event. Errors:
// [commands.ErrUnavailable].
func (s *Store) FindStored(ctx context.Context, id string) (found eventcodec.Stored, ok bool, err error) {
	_, err = s.walk(ctx, 0, func(e *esdb.RecordedEvent, _ domain.Position) (bool, error) {
		if e.EventID.String() != strings.ToLower(id) {
			return true, nil
		}
		var err error
		found, err = s.stored(e)
		ok = true
		return false, err
	})
	return found, ok, err
}

// Head returns the position of the store's last event, 0 when there is none. It
// reads the end of the log: a subscription that has caught up proves nothing.
// Errors: [commands.ErrUnavailable].
func (s *Store) Head(ctx context.Context) (domain.Position, error) {
	last, known := s.tail.known()
	var end domain.Position
	from := esdb.AllPosition(esdb.End{})
	for size := 4; ; size = min(8*size, lastPage) {
		page, err := s.readAll(ctx, esdb.Backwards, from, size)
		if err != nil {
			return 0, err
		}
		for _, e := range page {
			p, err := s.place(e)
			if err != nil {
				return 0, err
			}
			end = max(end, p)
			if p <= known || p <= domain.Position(s.start.Load()) {
				s.tail.learn(last, end)
				return last, nil
			}
			if s.own(e) {
				s.tail.learn(p, end)
				return p, nil
			}
			from = s.at(p)
		}
		if len(page) < size {
			s.tail.learn(0, end)
			return 0, nil
		}
	}
}
