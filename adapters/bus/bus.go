// Package bus drives everything that reacts to events, with Watermill
// (https://watermill.io). The log is the outbox: a [Subscriber] follows the
// event store, and a [Router] hands each event to the consumers that want it.
//
//	event store -> Subscriber -> Router: recover, time out, try again, park -> Consumer.Handle
//	                   |                                       |
//	        reaction_checkpoint (on ack)                reaction_parked
//
// What holds for every consumer:
//
//   - It gets every event that it wants at least once, also when processes die.
//   - It gets the events of a stream in their order, the next one when it is done
//     with the one before. With one lane, which is the default, that holds for
//     all events.
//   - One process at a time is its owner. Another takes over within seconds when
//     that one dies, and the checkpoint moves no more for the one before.
//   - What it fails at, however often, is parked, and later events go on. What is
//     parked comes again, out of order, when an operator asks for it.
package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// Log is the event store as a subscriber follows it.
type Log interface {
	// ReadStored returns up to limit events after a position and up to another
	// one, which counts as the last event's when it lies beyond.
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
	// Head returns the position of the last event.
	Head(ctx context.Context) (domain.Position, error)
	// Wait returns when there may be an event after the position, or with the
	// error of ctx when it ends.
	Wait(ctx context.Context, after domain.Position) error
}

// Consumer is something that reacts to events.
type Consumer struct {
	// Name is permanent: the checkpoint is kept under it.
	Name string
	// Categories of streams and Types of events say what it wants; empty = all.
	Categories, Types []string
	// FromZero has a new consumer begin with the first event of the log. Else it
	// begins with what is recorded after it was first run.
	FromZero bool
	// Idle, when not nil, reports whether the consumer wants nothing at all for
	// now. What was recorded before it is asked is passed over then, unread.
	Idle func(ctx context.Context) (bool, error)
	// Lanes is how many streams it handles at once; 0 = 1, strictly in the order
	// of the log.
	Lanes int
	// Tries is how often an event is handled until it is parked; 0 = 6, which
	// takes about half a minute. [Forever] = until it succeeds: what follows on its lane waits.
	Tries int
	// Timeout is how long one try may take; 0 = 30 s.
	Timeout time.Duration
	// Handle reacts to an event. It may be called with the same event again, and
	// returns when ctx ends. An error has it called again, and is shown to
	// operators: it holds no personal data. [commands.ErrUpgradeRunning] has the
	// consumer wait for a newer version of the program.
	Handle func(ctx context.Context, e eventcodec.Stored) error
}

// Forever is how often an event is tried that nobody parks.
const Forever = -1

func (c Consumer) wants() eventcodec.Selection {
	return eventcodec.Selection{Categories: c.Categories, Types: c.Types}
}

// Decoded returns what handles an event as the domain knows it. Errors: those
// of [eventcodec.Codec.DecodeStored], and those of handle.
func Decoded(codec *eventcodec.Codec, handle func(ctx context.Context, r domain.Recorded) error) func(context.Context, eventcodec.Stored) error {
	return func(ctx context.Context, e eventcodec.Stored) error {
		r, err := codec.DecodeStored(e)
		if err != nil {
			return err
		}
		return handle(ctx, r)
	}
}

var (
	errElsewhere = errors.New("another process has the consumer")
	errLost      = errors.New("the consumer has another owner")
	errUpgrade   = errors.New("a newer version of the program has written the event")
	errClosed    = errors.New("the subscriber is closed")
)

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// within runs f with a time limit.
func within(ctx context.Context, d time.Duration, what string, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := f(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
