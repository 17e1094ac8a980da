package kurrent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

var errOneWrite = errors.New("this store takes one write per append")

// Append stores all events of the write or none, and returns the position of the
// last one; see [commands.Store]. It takes one write. An append without events
// checks the expected revision and returns the last position of the store.
func (s *Store) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	switch len(writes) {
	case 0:
		return s.Head(ctx)
	case 1:
	default:
		return 0, errOneWrite
	}
	w := writes[0]
	events, err := s.encode(ctx, w)
	if err != nil {
		return 0, err
	}
	if len(events) == 0 {
		return s.check(ctx, w)
	}
	again, err := s.sent.note(w.Stream, events)
	if err != nil {
		return 0, err
	}
	position, err := s.append(ctx, w.Stream, w.Expected, events, again)
	if err == nil {
		s.news.tell(position)
	}
	return position, err
}

func (s *Store) encode(ctx context.Context, w commands.Write) ([]eventcodec.Encoded, error) {
	if !s.storable(w.Stream) {
		return nil, commands.ErrUnstorable
	}
	events, size, sent := make([]eventcodec.Encoded, len(w.Events)), 0, 0
	for i, e := range w.Events {
		b, err := s.config.Codec.Encode(ctx, w.Stream, e)
		if err != nil {
			return nil, err
		}
		if !b.Storable(w.Stream) {
			return nil, commands.ErrUnstorable
		}
		events[i] = b
		size += len(b.Data) + len(b.Metadata)
		sent += sizeOnServer(b)
	}
	if len(events) > commands.MaxAppendEvents || size > commands.MaxAppendBytes {
		return nil, commands.ErrTooLarge
	}
	if sent > s.config.MaxAppendBytes {
		return nil, commands.ErrTooLarge.Because(fmt.Sprintf("the change is larger than the %d bytes that the event store takes in one append", s.config.MaxAppendBytes))
	}
	return events, nil
}

// sizeOnServer is what the server counts an event as.
func sizeOnServer(e eventcodec.Encoded) int { return len(e.Data) + len(e.Metadata) + 2*len(e.Type) }

// check compares a stream's revision with the expected one.
func (s *Store) check(ctx context.Context, w commands.Write) (domain.Position, error) {
	if w.Expected != domain.Any {
		last, err := s.lastOf(ctx, w.Stream)
		if err != nil {
			return 0, err
		}
		if last != w.Expected {
			return 0, commands.ErrWrongRevision
		}
	}
	return s.Head(ctx)
}

func (s *Store) lastOf(ctx context.Context, stream domain.StreamName) (domain.Revision, error) {
	read, err := s.readStream(ctx, stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	if err != nil || len(read) == 0 {
		return domain.NoStream, err
	}
	return revision(read[0]), nil
}

func revision(e *esdb.RecordedEvent) domain.Revision {
	return domain.Revision(e.EventNumber) //nolint:gosec // few events
}

// append sends the events until the server has said what became of them. Those
// that were sent before are looked for first, and so are those under Any whose
// answer is missing: the server itself finds these among its most recent ones only.
func (s *Store) append(ctx context.Context, stream domain.StreamName, expected domain.Revision, events []eventcodec.Encoded, again bool) (domain.Position, error) {
	patient, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	until, stop := context.WithTimeout(ctx, 6*s.config.Patience)
	defer stop()
	open := false // an attempt has no answer
	for attempt := 0; ; attempt++ {
		position, certain, err := s.attempt(until, stream, expected, events, again || open && expected == domain.Any)
		if err == nil {
			s.conn.tell(nil)
			return position, nil
		}
		if certain == final {
			return 0, err
		}
		open = open || certain == unknown
		s.conn.tell(err)
		if open {
			pause(until, attempt)
		} else {
			pause(patient, attempt)
		}
		switch {
		case open && until.Err() != nil:
			return 0, fmt.Errorf("%w (%w)", commands.ErrUnknownOutcome, err)
		case !open && patient.Err() != nil:
			return 0, unavailable(err)
		}
	}
}

// attempt sends the events once, and finds out where they are.
func (s *Store) attempt(ctx context.Context, stream domain.StreamName, expected domain.Revision, events []eventcodec.Encoded, look bool) (domain.Position, certainty, error) {
	if look {
		position, found, err := s.find(ctx, stream, expected, events)
		if err != nil {
			return 0, wasLooking(err), err
		}
		if found {
			return position, final, nil
		}
	}
	written, err := s.write(ctx, stream, expected, events)
	if err != nil {
		certain, err := judge(err)
		return 0, certain, err
	}
	if len(events) == 1 && written.CommitPosition != 0 && written.CommitPosition == written.PreparePosition {
		return s.numbered(written.CommitPosition), final, nil
	}
	// What the answer leaves open is asked: it may carry no position, and whose
	// position it carries when there are several events is said nowhere.
	last := written.NextExpectedVersion
	if expected != domain.Any {
		last = uint64(int64(expected) + int64(len(events))) //nolint:gosec // not negative
	}
	position, err := s.positionOf(ctx, stream, last, events[len(events)-1].ID)
	return position, unknown, err
}

// wasLooking is what an error says about an append when it was met while looking
// for it: nothing, unless it is about the events themselves.
func wasLooking(err error) certainty {
	if errors.Is(err, commands.ErrWrongRevision) || errors.Is(err, ErrDeleted) {
		return final
	}
	return unknown
}

func (s *Store) write(ctx context.Context, stream domain.StreamName, expected domain.Revision, events []eventcodec.Encoded) (*esdb.WriteResult, error) {
	data := make([]esdb.EventData, len(events))
	for i, e := range events {
		id, err := uuid.Parse(e.ID)
		if err != nil {
			return nil, fmt.Errorf("the id of an event: %w", err)
		}
		data[i] = esdb.EventData{EventID: id, EventType: e.Type, ContentType: esdb.ContentTypeJson, Data: e.Data, Metadata: e.Metadata}
	}
	options := esdb.AppendToStreamOptions{ExpectedRevision: state(expected), Deadline: &s.config.Answer}
	limit := s.config.Answer + time.Second // the client's own comes first
	return call(ctx, s.conn, limit, func(ctx context.Context, client *esdb.Client) (*esdb.WriteResult, error) {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", errUnsent, context.Cause(ctx))
		}
		// A client whose context ends while it sends reads what gRPC is writing. Nobody
		// waits for it beyond ctx, and it ends by its own deadline.
		return client.AppendToStream(context.WithoutCancel(ctx), s.name(stream), options, data...)
	})
}

// state is an expected revision in the client's words.
func state(r domain.Revision) esdb.ExpectedRevision {
	switch r {
	case domain.Any:
		return esdb.Any{}
	case domain.NoStream:
		return esdb.NoStream{}
	}
	return esdb.Revision(uint64(r)) //nolint:gosec // not negative
}

// errElsewhere says that a stream holds something else than what was written to it.
var errElsewhere = errors.New("the event store does not show what it has just stored")

// positionOf returns where an event is that is stored. A stream that was deleted
// softly begins again behind its old end: the event is looked for there.
func (s *Store) positionOf(ctx context.Context, stream domain.StreamName, at uint64, id string) (domain.Position, error) {
	read, err := s.readStream(ctx, stream, esdb.ReadStreamOptions{From: esdb.Revision(at)}, 1)
	if err != nil {
		return 0, err
	}
	if len(read) == 1 && read[0].EventID.String() == id {
		return s.position(read[0])
	}
	if read, err = s.readStream(ctx, stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: esdb.End{}}, commands.MaxAppendEvents); err != nil {
		return 0, err
	}
	for _, e := range read {
		if e.EventID.String() == id {
			return s.position(e)
		}
	}
	return 0, errElsewhere
}

// skew is how far the clocks of the program's and the server's machines are taken
// to differ at most.
const skew = 5 * time.Minute

// find looks for events that may have been sent before, from the end of their
// stream back to when they were made. It returns the position of the last one when
// all are there, one after another and where they were to go. Errors:
// [commands.ErrWrongRevision] when they are there in another way.
func (s *Store) find(ctx context.Context, stream domain.StreamName, expected domain.Revision, events []eventcodec.Encoded) (domain.Position, bool, error) {
	places := make(map[string]int, len(events))
	for i, e := range events {
		places[e.ID] = i
	}
	stored := make([]*esdb.RecordedEvent, len(events))
	found, made := 0, madeAt(events[0].ID)
	const page = 512
	from := esdb.StreamPosition(esdb.End{})
	for more := true; more; {
		read, err := s.readStream(ctx, stream, esdb.ReadStreamOptions{Direction: esdb.Backwards, From: from}, page)
		if err != nil {
			return 0, false, err
		}
		for _, e := range read {
			if i, ours := places[e.EventID.String()]; ours && stored[i] == nil {
				stored[i] = e
				found++
			}
		}
		more = len(read) == page && read[page-1].EventNumber > 0 && !read[page-1].CreatedDate.Before(made.Add(-skew))
		if more {
			from = esdb.Revision(read[page-1].EventNumber - 1)
		}
	}
	if found == 0 {
		return 0, false, nil
	}
	if !inPlace(stored, expected, events) {
		return 0, false, commands.ErrWrongRevision
	}
	p, err := s.position(stored[len(stored)-1])
	return p, err == nil, err
}

// inPlace reports whether all events are stored, with the same bytes, where they
// were to go.
func inPlace(stored []*esdb.RecordedEvent, expected domain.Revision, events []eventcodec.Encoded) bool {
	for i, e := range stored {
		if e == nil || digest(events[i]) != digest(eventcodec.Encoded{ID: e.EventID.String(), Type: e.EventType, Data: e.Data, Metadata: e.UserMetadata}) {
			return false
		}
		if expected == domain.Any && i == 0 {
			expected = revision(e) - 1
		}
		if revision(e) != expected+1+domain.Revision(i) {
			return false
		}
	}
	return true
}

// madeAt returns when a UUIDv7 was made, which is in its first 48 bits; the zero
// time for other ids.
func madeAt(id string) time.Time {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}
	}
	seconds, nanoseconds := u.Time().UnixTime()
	return time.Unix(seconds, nanoseconds)
}

// sent remembers the ids of the events that this process has sent last, so that an
// append is known for one that is sent again, and an id is not used for two events.
// The server compares ids only at the expected revision, and no bytes.
type sent struct {
	mu    sync.Mutex
	ids   map[string]sending
	order []string // a ring
	next  int
}

type sending struct {
	stream domain.StreamName
	bytes  [sha256.Size]byte
}

// remembered is how many ids are kept.
const remembered = 1 << 16

func newSent() *sent {
	return &sent{ids: map[string]sending{}, order: make([]string, remembered)}
}

// note takes in the events of an append and reports whether any of them was sent
// before. Errors: [commands.ErrWrongRevision] when an id was sent with other bytes
// or to another stream.
func (s *sent) note(stream domain.StreamName, events []eventcodec.Encoded) (again bool, err error) {
	digests := make([][sha256.Size]byte, len(events))
	for i, e := range events {
		digests[i] = digest(e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range events {
		was, known := s.ids[e.ID]
		if known && was != (sending{stream, digests[i]}) {
			return false, commands.ErrWrongRevision
		}
		again = again || known
	}
	for i, e := range events {
		if _, known := s.ids[e.ID]; !known {
			delete(s.ids, s.order[s.next])
			s.ids[e.ID], s.order[s.next] = sending{stream, digests[i]}, e.ID
			s.next = (s.next + 1) % remembered
		}
	}
	return again, nil
}

func digest(e eventcodec.Encoded) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(e.Type), e.Data, e.Metadata} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}
