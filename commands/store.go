package commands

import (
	"context"
	"errors"

	"github.com/slotbook/slotbook/domain"
)

// Store is the event store as commands need it. Its contract is the suite
// adapters/eventstoretest, which every store runs.
type Store interface {
	// Load returns every event of the streams, in order, in one round trip. A
	// stream without events has no entry. Errors: [ErrUnavailable].
	Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error)

	// Append stores all events of all writes or none, and returns the position
	// of the last one. Writes name different streams. The same writes sent
	// again, same ids and same bytes, are a success with the same position.
	//
	// Errors: [ErrWrongRevision] when a stream is not where a write expects
	// it; [ErrUnavailable] when nothing was stored for want of the store;
	// [ErrUnknownOutcome] when the caller's time ended before the store could
	// say; [ErrUnstorable] and [ErrTooLarge] for what no store takes. A
	// cancelled context stores everything or nothing.
	Append(ctx context.Context, writes ...Write) (domain.Position, error)

	// LikelyEnd returns where a stream ends as far as this process knows, without
	// asking anybody: [domain.NoStream] when it has no events. Who knows what the events
	// up to there say, and whose append expects that end, need not load it. It may
	// be wrong, but what this process has appended to or loaded it does not take for
	// shorter than it was then. False says nothing.
	LikelyEnd(stream domain.StreamName) (end domain.Revision, known bool)

	// Atomic reports whether Append takes several writes at once. A store
	// that does not returns an error for more than one.
	Atomic() bool
}

// Write is what to append to one stream. A write without events only checks
// that the stream is at the expected revision.
type Write struct {
	Stream   domain.StreamName
	Expected domain.Revision // exact, [domain.NoStream] or [domain.Any]
	Events   []NewEvent
}

// NewEvent is an event with its id and where it came from. The id is made
// once, when the event is decided, and kept on every resend.
type NewEvent struct {
	ID       string // UUIDv7 in lower case
	Event    domain.Event
	Metadata domain.Metadata
}

// The limits of one append.
const (
	MaxAppendEvents = 500     // events
	MaxAppendBytes  = 1 << 20 // bytes of encoded data and metadata
)

// The errors of a store.
var (
	// ErrWrongRevision says that a race was lost; the loser loads and decides again.
	ErrWrongRevision = errors.New("the stream is not at the expected revision")

	ErrUnavailable    = domain.Refusal(domain.Unavailable, "store.unavailable", "the event store cannot be reached; send the same request again")
	ErrUnknownOutcome = domain.Refusal(domain.Unavailable, "store.unknown-outcome", "the event store did not answer in time; the same request with the same Idempotency-Key finds out what happened")
	ErrBusy           = domain.Refusal(domain.Unavailable, "store.busy", "too many requests want the same thing; send the same request again")
	ErrUnstorable     = domain.Refusal(domain.Invalid, "text.unstorable", "text must be valid UTF-8 without the null character")
	ErrTooLarge       = domain.Refusal(domain.Invalid, "append.too-large", "the change is larger than 500 events or 1 MiB")
	ErrReadOnly       = domain.Refusal(domain.Unavailable, "process.read-only", "this process only reads: commands go to one that was not started with --read-only")
	ErrUpgradeRunning = domain.Refusal(domain.Unavailable, "upgrade.running", "a newer version of the program has written events that this one does not know yet")
)
