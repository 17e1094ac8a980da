// Package eventcodec turns events into bytes and back: the table of every
// event type that may ever be in a store, and the sealing of personal fields.
//
// Data is JSON as encoding/json writes it, whose bytes are settled; its
// successor writes the same and reads it, in half the time. Personal fields ([domain.Sealed]) are sealed with AES-256-GCM
// under the person's key; the nonce is derived from the content, so that the
// same event encodes to the same bytes on every resend.
package eventcodec

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// settled are the options under which the bytes are those of encoding/json,
// but for text that is not UTF-8, which is an error.
var settled = json.JoinOptions(jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(false), jsonv1.ReportErrorsWithLegacySemantics(false))

func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v, settled)
	if _, text := errors.AsType[*jsontext.SyntacticError](err); text {
		return nil, commands.ErrUnstorable
	}
	return data, err
}

// Codec encodes and decodes events. It is safe for concurrent use.
type Codec struct {
	keys Keys
	last atomic.Pointer[encodedMetadata]
}

// encodedMetadata is metadata with its bytes. The events of one append have it
// in common, so that the last is worth keeping.
type encodedMetadata struct {
	metadata domain.Metadata
	bytes    []byte
}

// New returns a codec that seals with the given keys.
func New(keys Keys) *Codec { return &Codec{keys: keys} }

// Encoded is an event as bytes.
type Encoded struct {
	ID       string
	Type     string
	Data     []byte // JSON
	Metadata []byte // JSON; not to be changed, others may have it too

	// Event is what [Codec.Decode] makes of Data, but for slices that are empty
	// and not nil. [Codec.Encode] returns it; it is not to be changed.
	Event domain.Event
}

// Encode returns the event as bytes, its personal fields sealed. It creates
// the key of a person who has none yet. Text that is not UTF-8 is refused with
// [commands.ErrUnstorable]. Encoding the same event again gives
// the same bytes.
func (c *Codec) Encode(ctx context.Context, stream domain.StreamName, e commands.NewEvent) (Encoded, error) {
	name := e.Event.EventType()
	t, ok := table[name]
	if !ok {
		return Encoded{}, fmt.Errorf("event type %q is not in the codec's table", name)
	}
	event, err := t.seal(e.Event, func(field string, s *domain.Sealed) error {
		return c.seal(ctx, context3{stream, e.ID, field}, s)
	})
	if err != nil {
		return Encoded{}, fmt.Errorf("seal %s: %w", name, err)
	}
	data, err := marshal(event)
	if err != nil {
		return Encoded{}, fmt.Errorf("encode %s: %w", name, err)
	}
	metadata, err := c.encodeMetadata(e.Metadata)
	if err != nil {
		return Encoded{}, fmt.Errorf("encode metadata of %s: %w", name, err)
	}
	return Encoded{e.ID, name, data, metadata, event}, nil
}

func (c *Codec) encodeMetadata(m domain.Metadata) ([]byte, error) {
	if last := c.last.Load(); last != nil && last.metadata == m {
		return last.bytes, nil
	}
	bytes, err := marshal(m)
	if err != nil {
		return nil, err
	}
	c.last.Store(&encodedMetadata{m, bytes})
	return bytes, nil
}

// Decode returns the event that the bytes hold, its personal fields still
// sealed. An event type that is not in the table is
// [commands.ErrUpgradeRunning]: a newer program wrote it.
func (c *Codec) Decode(name string, data []byte) (domain.Event, error) {
	t, ok := table[name]
	if !ok {
		return nil, commands.ErrUpgradeRunning.Because(fmt.Sprintf("the event type %q is not known to this version of the program", name))
	}
	event, err := t.decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", name, err)
	}
	return event, nil
}

// DecodeMetadata returns the metadata that the bytes hold.
func (c *Codec) DecodeMetadata(data []byte) (domain.Metadata, error) {
	var m domain.Metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("decode metadata: %w", err)
	}
	return m, nil
}

// Types returns the names of every event type, for filters and tests.
func Types() []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	return names
}

// TypeOf returns the struct of an event type, and whether it is in the table.
func TypeOf(name string) (reflect.Type, bool) {
	t, ok := table[name]
	return t.of, ok
}

// row is what the codec knows of one event type.
type row struct {
	name   string
	of     reflect.Type
	decode func(data []byte) (domain.Event, error)
	seal   func(e domain.Event, seal sealer) (domain.Event, error)
}

type sealer func(field string, s *domain.Sealed) error

// personal seals an event's personal fields, by their permanent names.
type personal[E domain.Event] func(e *E, seal sealer) error

// event is one line of the table: an event type and its personal fields.
func event[E domain.Event](fields ...personal[E]) row {
	var zero E
	return row{
		name: zero.EventType(),
		of:   reflect.TypeFor[E](),
		decode: func(data []byte) (domain.Event, error) {
			var e E
			err := json.Unmarshal(data, &e)
			return e, err
		},
		seal: func(e domain.Event, seal sealer) (domain.Event, error) {
			if len(fields) == 0 {
				return e, nil
			}
			event, ok := e.(E)
			if !ok {
				return nil, fmt.Errorf("event of type %T under the name %s", e, e.EventType())
			}
			err := fields[0](&event, seal)
			return event, err
		},
	}
}

// index puts the table's lines under their names. Two lines with one name are
// a programming error and panic at start-up.
func index(lines ...row) map[string]row {
	rows := map[string]row{}
	for _, r := range lines {
		if _, twice := rows[r.name]; twice {
			panic("event type " + r.name + " is in the codec's table twice")
		}
		rows[r.name] = r
	}
	return rows
}
