package commands_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

func (w *world) moveBy(by appointment.Initiator, note string, id domain.AppointmentID, to schedule.Slot) error {
	move := commands.Move{Booking: commands.Booking{Appointment: id, Slots: []domain.SlotID{to.ID}, By: by}, Note: note}
	_, err := w.h.Reschedule(w.ctx, w.request(), move)
	return err
}

// A patient whose visit the clinic has displaced moves or cancels it, however
// late it is and however often it was moved.
func TestWhatTheClinicDisplacedIsMendedAtAnyTime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, there := w.open(w.silva, 1), w.open(w.souza, 1)
		w.limit(policy.Terms{CancelBefore: new(24 * 60), RescheduleBefore: new(24 * 60), Reschedules: new(1)})
		ana, err := w.book(w.ana, slots[2].ID)
		require.NoError(t, err)
		boris, err := w.book(w.boris, slots[3].ID)
		require.NoError(t, err)
		anas, boriss := ana.State.Sets[0].Appointment, boris.State.Sets[0].Appointment
		require.ErrorIs(t, w.moveBy(appointment.ByPatient, "", anas, there[2]), appointment.ErrMoveLate)
		_, err = w.cancel(boriss)
		require.ErrorIs(t, err, appointment.ErrCancelLate)

		_, _, err = w.h.Block(w.ctx, w.request(), schedule.BlockTime{Practitioner: w.silva, Block: schedule.Block{
			ID: "018f6b1e-0000-7000-8000-0000000000b1", Period: domain.Period{Start: slots[2].Start, End: slots[3].End}, Reason: "ill",
		}})
		require.NoError(t, err)
		require.NoError(t, w.moveBy(appointment.ByPatient, "", anas, there[2]))
		_, err = w.cancel(boriss)
		require.NoError(t, err)
		require.ErrorIs(t, w.moveBy(appointment.ByPatient, "", anas, there[3]), appointment.ErrMoveLate, "where it is now nobody displaced it")

		w.limit(policy.Terms{Reschedules: new(1)})
		w.clock.advance(2 * time.Second)
		require.NoError(t, w.moveBy(appointment.ByPatient, "", anas, there[3]), "mending it was no move of hers")
		require.ErrorIs(t, w.moveBy(appointment.ByPatient, "", anas, there[4]), appointment.ErrMoves)
		w.audit()
	})
}

// Only the patient's own moves count for the patient's limit; why the clinic
// moves a visit is kept, sealed.
func TestTheClinicsMovesAreNotThePatients(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		w.limit(policy.Terms{RescheduleBefore: new(24 * 60), Reschedules: new(1)})
		ana, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		id := ana.State.Sets[0].Appointment
		require.ErrorIs(t, w.moveBy(appointment.ByClinic, " ", id, slots[1]), appointment.ErrNoReason)
		require.NoError(t, w.moveBy(appointment.ByClinic, "the doctor is late", id, slots[1]))
		history, err := w.h.History(w.ctx, id)
		require.NoError(t, err)
		moved, ok := history[len(history)-1].Event.(appointment.WasBooked)
		require.True(t, ok)
		require.Equal(t, appointment.ByClinic, moved.By)
		require.Equal(t, string(w.ana), moved.Note.Person)
		require.Empty(t, moved.Note.Text, "it is sealed")
		require.NotEmpty(t, moved.Note.Box)

		w.limit(policy.Terms{Reschedules: new(1)})
		w.clock.advance(2 * time.Second)
		require.NoError(t, w.moveBy(appointment.ByPatient, "", id, slots[2]))
		require.ErrorIs(t, w.moveBy(appointment.ByPatient, "", id, slots[3]), appointment.ErrMoves)
		require.NoError(t, w.moveBy(appointment.ByPractitioner, "", id, slots[3]))
		w.audit()
	})
}

// A visit is overbooked when staff had to add a place for it, not when they
// said that they would.
func TestOnlyWhoNeededAnotherPlaceIsOverbooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		beyond := func(who domain.PatientID, why string) (appointment.Visit, error) {
			b := w.booking(who, s)
			b.By, b.Beyond = appointment.ByClinic, why
			answer, err := w.h.Book(w.ctx, w.request(), b)
			current, _ := answer.State.Current()
			return current.Visit, err
		}
		first, err := beyond(w.ana, "in pain")
		require.NoError(t, err)
		require.False(t, first.Overbooked, "the slot was free")
		_, err = beyond(w.boris, "  ")
		require.ErrorIs(t, err, slot.ErrTaken, "without a reason no place is added")
		second, err := beyond(w.boris, " in pain ")
		require.NoError(t, err)
		require.True(t, second.Overbooked)
		require.Equal(t, []string{"slot.booked", "slot.overbooked", "slot.booked"}, w.types(slot.Stream(s)))

		_, err = w.cancel(first.Appointment)
		require.NoError(t, err)
		_, err = w.cancel(second.Appointment)
		require.NoError(t, err)
		restored, err := w.h.Undo(w.ctx, w.request(), second.Appointment)
		require.NoError(t, err)
		current, _ := restored.State.Current()
		require.False(t, current.Overbooked, "there is room for it now")
		w.audit()
	})
}
