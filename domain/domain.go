// Package domain holds the values that every part of Slotbook shares: events and
// where they are recorded, identities, time, personal text and refusals.
//
// The packages below it each hold one aggregate as two pure functions,
//
//	Decide(State, Command) ([]Event, error)   what happens, or why not
//	Evolve(State, Event) State                what is true afterwards
//
// They do no I/O, read no clock and keep no globals: time and the state of the
// world come in as data.
package domain

import (
	"crypto/sha1" //nolint:gosec // UUIDv5 is defined over SHA-1 (RFC 9562, section 5.5); it names, it does not protect.
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Event is a fact. Its type name is permanent: history is read by it.
type Event interface {
	// EventType returns the name under which the event is stored, such as
	// "slot.booked", or "slot.booked.v2" for an incompatible shape.
	EventType() string
}

// StreamName names a stream as category-id, such as "slot-7f3a". The category
// ends at the first hyphen; the id may contain more.
type StreamName string

// Stream returns the name of the stream of one id in a category. The category
// must not contain a hyphen.
func Stream(category, id string) StreamName { return StreamName(category + "-" + id) }

// Category returns the part before the first hyphen, or the whole name when it
// has none.
func (s StreamName) Category() string {
	category, _, _ := strings.Cut(string(s), "-")
	return category
}

// ID returns the part after the first hyphen, or "" when there is none.
func (s StreamName) ID() string {
	_, id, _ := strings.Cut(string(s), "-")
	return id
}

// Revision is the place of an event in its stream, counted from 0. As an
// expectation it may also be [NoStream] or [Any].
type Revision int64

const (
	// NoStream is the revision of a stream that has no events.
	NoStream Revision = -1
	// Any expects nothing: the append goes after whatever is there.
	Any Revision = -2
)

// Position is the place of an event in the whole store. Positions grow along
// the order of commits; they are compared, never counted. 0 is before the first.
type Position uint64

// Metadata says where an event came from. It holds no personal data.
type Metadata struct {
	Command     string `json:"command"`               // id of the command that decided the event
	Request     string `json:"request,omitempty"`     // keyed hash of the request body, under an Idempotency-Key
	Actor       string `json:"actor"`                 // who sent the command: "local", "system", later an account
	Correlation string `json:"correlation,omitempty"` // id of the conversation that the command belongs to
	Causation   string `json:"causation,omitempty"`   // id of the event that caused the command, for reactions and helpers
	Trace       string `json:"trace,omitempty"`       // the span that stored it, as traceparent says it (W3C Trace Context); "" = it was in no trace
}

// Recorded is an event as a store keeps it.
type Recorded struct {
	ID         string
	Stream     StreamName
	Revision   Revision
	Position   Position
	RecordedAt time.Time // the store's time: UTC, microseconds, never decreasing along positions
	Metadata   Metadata
	Event      Event
}

// Fold returns what is true after the events. The zero S is the initial state.
func Fold[S, E any](evolve func(S, E) S, s S, events ...E) S {
	for _, e := range events {
		s = evolve(s, e)
	}
	return s
}

// Replay folds recorded events into a state. Events of another aggregate's
// type are passed over: they can only be there when two aggregates share a
// stream.
func Replay[S any, E Event](evolve func(S, E) S, s S, recorded []Recorded) S {
	for _, r := range recorded {
		if e, ok := r.Event.(E); ok {
			s = evolve(s, e)
		}
	}
	return s
}

// NewID returns the UUIDv5 (RFC 9562, section 5.5) of the parts in Slotbook's
// own namespace: the same parts give the same id in every process. Parts are
// told apart, so ("a", "b") and ("ab") differ.
func NewID(parts ...string) string {
	const namespace = "\x5b\x0c\x9e\x21\x6d\x34\x4f\x0a\x9a\x7e\x51\x07\xb0\x0c\x4e\x01"
	var room [256]byte // nearly all parts fit
	all := append(room[:0], namespace...)
	for _, part := range parts {
		all = append(append(all, part...), 0)
	}
	sum := sha1.Sum(all) //nolint:gosec // see the import
	id := [16]byte(sum[:16])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// Filter says which events a reader of the whole store wants. The zero value
// wants all.
type Filter struct {
	Categories []string // of streams; empty = every category
	Types      []string // of events; empty = every type
	Bare       bool     // leave Metadata empty, for readers that do not look at it
}

// Wants reports whether the filter lets an event of this stream and type pass.
func (f Filter) Wants(stream StreamName, eventType string) bool {
	return (len(f.Categories) == 0 || slices.Contains(f.Categories, stream.Category())) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, eventType))
}

// Page is a stretch of the store in the order of positions.
type Page struct {
	Events []Recorded // those that the filter wants
	Next   Position   // read on after this; it moves over unwanted events too
}

// Undecodable stands in for an event of a known type whose data cannot be
// read. Readers of the whole store get it in place of the event; loading a
// stream that holds one fails.
type Undecodable struct {
	Type string
	Err  error
}

// EventType returns the name under which the event is stored.
func (u Undecodable) EventType() string { return u.Type }
