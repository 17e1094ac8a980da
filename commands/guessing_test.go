package commands_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/slot"
)

// unaware is a store of a process that takes every stream of a category for
// empty and every patient for one who was registered and nothing else, and counts
// what it loads.
type unaware struct {
	commands.Store
	category string // "" = all
	loaded   map[domain.StreamName]int
}

func (s *unaware) LikelyEnd(stream domain.StreamName) (domain.Revision, bool) {
	if stream.Category() == patient.Category {
		return 0, true
	}
	return domain.NoStream, strings.HasPrefix(string(stream), s.category)
}

func (s *unaware) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	for _, name := range streams {
		s.loaded[name]++
	}
	return s.Store.Load(ctx, streams...)
}

// What a process takes for empty it need not load, and what it is wrong about
// changes nothing: not who gets a slot, not what a repeat is answered, and not
// what a dry run says.
func TestATakenSlotIsRefusedByWhoTakesItForEmpty(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0]
		store := &unaware{w.store, "", map[domain.StreamName]int{}}
		h, req, wish := w.handler(store), w.request(), w.booking(w.ana, s.ID)

		first, err := h.Book(w.ctx, req, wish)
		require.NoError(t, err)
		require.False(t, first.Replayed)
		require.Zero(t, store.loaded[slot.Stream(s.ID)], "it was not looked at")
		if w.store.Atomic() {
			require.Zero(t, store.loaded[patient.Stream(w.ana)], "nor was the patient")
		}

		again, err := h.Book(w.ctx, req, wish)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, first.Revision, again.Revision)

		before := len(w.log())
		_, err = h.Book(w.ctx, w.request(), w.booking(w.boris, s.ID))
		require.ErrorIs(t, err, slot.ErrTaken)
		dry := w.request()
		dry.DryRun = true
		_, err = h.Book(w.ctx, dry, w.booking(w.boris, s.ID))
		require.ErrorIs(t, err, slot.ErrTaken)
		if w.store.Atomic() {
			require.Len(t, w.log(), before, "a refusal leaves nothing behind")
		}
		require.Equal(t, 1, w.audit().Live())
	})
}

// Who was registered and nothing since is not looked at. Whoever is taken for one of
// those and is not one, is: a stranger, a duplicate, and who is known under another
// id, too.
func TestAPatientIsLookedAtWhenTheAppendSaysSo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		h := w.handler(&unaware{w.store, "", map[domain.StreamName]int{}})
		book := func(who domain.PatientID, s domain.SlotID) error {
			_, err := h.Book(w.ctx, w.request(), w.booking(who, s))
			return err
		}
		require.ErrorIs(t, book("nobody", slots[0].ID), patient.ErrNotFound)
		require.NoError(t, book(w.ana, slots[0].ID))
		require.NoError(t, w.merge(w.ana, w.boris))
		require.ErrorIs(t, book(w.ana, slots[1].ID), patient.ErrMerged)
		other := w.open(w.souza, 1)[0]
		require.Equal(t, slots[0].Start, other.Start)
		require.ErrorIs(t, book(w.boris, other.ID), occupancy.ErrTaken, "of what she booked")
		require.NoError(t, book(w.boris, slots[1].ID))
		require.Equal(t, 2, w.audit().Live())
	})
}

// A plan that lost a race is made anew, also when what was taken for empty may be
// why it was lost.
func TestAGuessDoesNotOutliveItsPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false) // a store that checks what was known of the clinic
	slots := w.open(w.silva, 1)
	h := w.handler(&unaware{w.store, "", map[domain.StreamName]int{}})
	_, err := h.Book(w.ctx, w.request(), w.booking(w.ana, slots[0].ID))
	require.NoError(t, err)
	_, err = w.h.CloseClinic(w.ctx, w.request(), w.clinic)
	require.NoError(t, err)
	_, err = h.Book(w.ctx, w.request(), w.booking(w.boris, slots[1].ID))
	require.ErrorIs(t, err, clinic.ErrClosed)
}

// What is answered without an append is looked at: here that the visit is where
// it is to be moved, and that the clinic has withdrawn that slot.
func TestAnAnswerWithoutAnAppendIsNoGuess(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[2]
		booked, err := w.book(w.ana, s.ID)
		require.NoError(t, err)
		h := w.handler(&unaware{w.store, slot.Category, map[domain.StreamName]int{}})
		move := func() error {
			_, err := h.Reschedule(w.ctx, w.request(), commands.Move{
				Booking: commands.Booking{Appointment: w.idOf(booked), Slots: []domain.SlotID{s.ID}, By: appointment.ByClinic},
			})
			return err
		}
		require.NoError(t, move(), "it is there already")
		_, err = w.block(w.h, 10, 11)
		require.NoError(t, err)
		require.ErrorIs(t, move(), slot.ErrWithdrawn)
	})
}
