package postgres

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// request is one append on its way through the writer.
type request struct {
	writes []write
	events int // in all writes
	size   int // bytes of data and metadata
	answer chan answer

	// state is where the request stands between its caller and the writer.
	state atomic.Int32

	// Of the writer alone:
	byIDs bool // look the event ids up before deciding
	again bool // an earlier try may have stored it
	alone bool // a batch with it was refused: it gets one of its own
}

// The states of a request.
const (
	queued int32 = iota // nothing is stored
	sent                // the database may store it at any moment
	gone                // the caller no longer waits
)

// write is what a request appends to one stream.
type write struct {
	stream   domain.StreamName
	expected domain.Revision
	events   []event
}

// event is a new event as bytes.
type event struct {
	id       uuid.UUID
	kind     string // the event's type
	data     []byte
	metadata []byte
	event    domain.Event // as a reader gets it
}

// row returns the event as it is stored at a place, but for when.
func (e *event) row(stream domain.StreamName, revision domain.Revision, position int64) row {
	return row{id: e.id, stream: stream, revision: int64(revision), position: position, kind: e.kind, data: e.data, metadata: e.metadata, event: e.event}
}

type answer struct {
	position int64
	err      error
}

// encode makes the request of an append, in the caller's goroutine. It refuses
// here what the database would refuse, so that it fails no neighbour.
func (s *Store) encode(ctx context.Context, writes []commands.Write) (*request, error) {
	r := &request{writes: make([]write, len(writes)), answer: make(chan answer, 1)}
	for i, w := range writes {
		if !(eventcodec.Encoded{}).Storable(w.Stream) {
			return nil, commands.ErrUnstorable
		}
		r.events += len(w.Events)
		r.writes[i] = write{stream: w.Stream, expected: w.Expected}
		r.byIDs = r.byIDs || w.Expected == domain.Any
	}
	if r.events > commands.MaxAppendEvents {
		return nil, commands.ErrTooLarge
	}
	all := make([]event, 0, r.events)
	for i, w := range writes {
		from := len(all)
		for _, e := range w.Events {
			b, err := s.encodeEvent(ctx, w.Stream, e)
			if err != nil {
				return nil, err
			}
			r.size += len(b.data) + len(b.metadata)
			all = append(all, b)
		}
		r.writes[i].events = all[from:]
	}
	if r.size > commands.MaxAppendBytes {
		return nil, commands.ErrTooLarge
	}
	return r, nil
}

func (s *Store) encodeEvent(ctx context.Context, stream domain.StreamName, e commands.NewEvent) (event, error) {
	b, err := s.config.Codec.Encode(ctx, stream, e)
	if err != nil {
		return event{}, err
	}
	if !b.Storable(stream) {
		return event{}, commands.ErrUnstorable
	}
	id, err := uuid.Parse(e.ID)
	if err != nil {
		return event{}, fmt.Errorf("event id %q of %s: %w", e.ID, b.Type, err)
	}
	return event{id, b.Type, b.Data, b.Metadata, b.Event}, nil
}

// reply answers the caller. The channel has room: a request is answered once.
func (r *request) reply(position int64, err error) { r.answer <- answer{position, err} }

// take reports whether the caller still waits, and if so, notes that the
// database may store the request from now on.
func (r *request) take() bool {
	return r.state.CompareAndSwap(queued, sent) || r.state.Load() == sent
}

// untake notes that a try has certainly stored nothing.
func (r *request) untake() {
	if !r.again {
		r.state.CompareAndSwap(sent, queued)
	}
}

// leave ends the caller's wait and says what it may believe.
func (r *request) leave(cause error) (domain.Position, error) {
	if r.state.Swap(gone) == queued {
		return 0, fmt.Errorf("%w: %w", commands.ErrUnavailable, cause)
	}
	select {
	case a := <-r.answer:
		return domain.Position(a.position), a.err
	default:
		return 0, fmt.Errorf("%w: %w", commands.ErrUnknownOutcome, cause)
	}
}
