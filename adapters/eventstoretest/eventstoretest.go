// Package eventstoretest is the contract of an event store, as a suite of named
// cases that every store runs:
//
//	func TestContract(t *testing.T) { eventstoretest.Run(t, open) }
//
// Each case states the promise it checks. Whether a store takes several writes in
// one append is for it to say: of one whose Atomic is false the cases about that
// check that it refuses them, and stores nothing of them.
package eventstoretest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/stretchr/testify/require"
)

// Store is what the suite checks: the store as commands need it, and what
// followers of the whole store need.
type Store interface {
	commands.Store
	ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error)
	Head(ctx context.Context) (domain.Position, error)
	Wait(ctx context.Context, after domain.Position) error
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
	PositionAt(ctx context.Context, at time.Time) (domain.Position, error)
	RecordedAt(ctx context.Context, p domain.Position) (time.Time, error)
}

// patience bounds a case. Nothing in a case waits for time to pass; a busy machine
// is no reason to fail.
const patience = 4 * time.Minute

// Run checks the contract. Each case gets an empty store of its own from open,
// and the codec that the store seals with; cases run in parallel. open cleans
// up through t.
func Run(t *testing.T, open func(t *testing.T) (Store, *eventcodec.Codec)) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, codec := open(t)
			check := c.check
			if c.atomic && !store.Atomic() {
				check = refusesSeveral
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			t.Logf("the promise: %s", c.promise)
			check(&subject{t, ctx, store, codec})
		})
	}
}

// contractCase is one promise.
type contractCase struct {
	name    string
	promise string
	atomic  bool // needs several writes in one append
	check   func(s *subject)
}

func cases() []contractCase {
	var all []contractCase
	for _, some := range [][]contractCase{appending(), resending(), several(), reading(), racing(), storing()} {
		all = append(all, some...)
	}
	return all
}

// subject is a store under test, with words for the cases.
type subject struct {
	*testing.T
	ctx   context.Context //nolint:containedctx // the case's own, for brevity in the cases
	store Store
	codec *eventcodec.Codec
}

// stream returns the name of a stream that nobody has used.
func (s *subject) stream() domain.StreamName {
	return slot.Stream(domain.SlotID(newID()))
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// event returns a new event that can be told apart by its number.
func event(number int) commands.NewEvent {
	return commands.NewEvent{
		ID:       newID(),
		Event:    slot.Resized{Terms: slot.Terms{Slot: "a"}, Places: number},
		Metadata: domain.Metadata{Command: "c", Actor: "local"},
	}
}

func events(numbers ...int) []commands.NewEvent {
	made := make([]commands.NewEvent, len(numbers))
	for i, n := range numbers {
		made[i] = event(n)
	}
	return made
}

// other returns an event under the same id with other content.
func other(e commands.NewEvent) commands.NewEvent {
	e.Event = slot.Resized{Terms: slot.Terms{Slot: "a"}, Places: -1}
	return e
}

func write(stream domain.StreamName, expected domain.Revision, e ...commands.NewEvent) commands.Write {
	return commands.Write{Stream: stream, Expected: expected, Events: e}
}

// append is an append that succeeds.
func (s *subject) append(writes ...commands.Write) domain.Position {
	s.Helper()
	position, err := s.store.Append(s.ctx, writes...)
	require.NoError(s, err)
	return position
}

// loses checks that an append is refused for its expectation and stores nothing.
func (s *subject) loses(writes ...commands.Write) {
	s.Helper()
	before := s.head()
	_, err := s.store.Append(s.ctx, writes...)
	require.ErrorIs(s, err, commands.ErrWrongRevision)
	require.Equal(s, before, s.head(), "a lost append stores nothing")
}

func (s *subject) head() domain.Position {
	s.Helper()
	head, err := s.store.Head(s.ctx)
	require.NoError(s, err)
	return head
}

func (s *subject) load(stream domain.StreamName) []domain.Recorded {
	s.Helper()
	loaded, err := s.store.Load(s.ctx, stream)
	require.NoError(s, err)
	return loaded[stream]
}

// numbers are what the stream's events hold, in order.
func (s *subject) numbers(stream domain.StreamName) []int {
	s.Helper()
	return numbersOf(s.load(stream))
}

func numbersOf(recorded []domain.Recorded) []int {
	numbers := []int{}
	for _, r := range recorded {
		if e, ok := r.Event.(slot.Resized); ok {
			numbers = append(numbers, e.Places)
		}
	}
	return numbers
}

// all reads the whole store in pages of a size.
func (s *subject) all(f domain.Filter, limit int) []domain.Recorded {
	s.Helper()
	var read []domain.Recorded
	for after := domain.Position(0); ; {
		page, err := s.store.ReadAll(s.ctx, after, f, limit)
		require.NoError(s, err)
		require.LessOrEqual(s, len(page.Events), limit)
		require.GreaterOrEqual(s, page.Next, after, "a page never goes back")
		read = append(read, page.Events...)
		if page.Next == after {
			return read
		}
		after = page.Next
	}
}

// proposed is an event with personal text.
func proposed(patient, reason string) commands.NewEvent {
	e := event(0)
	e.Event = appointment.WasProposed{
		Visit:  appointment.Visit{Appointment: "a", Patient: domain.PatientID(patient)},
		Set:    1,
		Reason: domain.Open(patient, reason),
	}
	return e
}

func long(n int) string { return strings.Repeat("x", n) }
