package eventcodec

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Stored is an event as the bytes that a store keeps. It is read by those who
// pass events on: they need not know every type.
type Stored struct {
	Encoded
	Stream     domain.StreamName
	Revision   domain.Revision
	Position   domain.Position
	RecordedAt time.Time // UTC, microseconds
}

// Selection says which stored events are wanted. The zero value wants all.
type Selection struct {
	Categories []string            // of streams; empty = every category
	Types      []string            // of events; empty = every type
	Streams    []domain.StreamName // empty = every stream
}

// Wants reports whether the selection lets an event of this stream and type
// pass.
func (s Selection) Wants(stream domain.StreamName, eventType string) bool {
	return (domain.Filter{Categories: s.Categories, Types: s.Types}).Wants(stream, eventType) &&
		(len(s.Streams) == 0 || slices.Contains(s.Streams, stream))
}

// StoredPage is a stretch of the store in the order of positions.
type StoredPage struct {
	Events []Stored        // those that are wanted
	Next   domain.Position // read on after this; it moves over unwanted events too
}

// DecodeStored returns the event with its place. Errors: those of
// [Codec.Decode]; an event of a known type that cannot be read is one, too.
func (c *Codec) DecodeStored(s Stored) (domain.Recorded, error) {
	r := domain.Recorded{ID: s.ID, Stream: s.Stream, Revision: s.Revision, Position: s.Position, RecordedAt: s.RecordedAt}
	var err error
	if len(s.Metadata) > 0 {
		if r.Metadata, err = c.DecodeMetadata(s.Metadata); err != nil {
			return r, err
		}
	}
	r.Event, err = c.Decode(s.Type, s.Data)
	return r, err
}
