package commands_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/occupancy"
)

func TestWhetherAnotherTimeCanBeHad(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		silvas, souzas := w.open(w.silva, 1), w.open(w.souza, 1)
		ids := []domain.SlotID{silvas[0].ID, souzas[1].ID}
		id := domain.AppointmentID(domain.NewID("two"))
		_, err := w.h.Book(w.ctx, w.request(), commands.Booking{Appointment: id, Patient: w.ana, Slots: ids})
		require.NoError(t, err)
		before := len(w.log())
		moved := commands.Instead{Move: true, Booking: commands.Booking{Appointment: id, Slots: ids, Patient: w.ana}}
		anew := commands.Instead{Booking: commands.Booking{Slots: ids[:1], Patient: w.ana}}

		require.NoError(t, w.h.MayHave(w.ctx, moved, silvas[1].ID), "Souza sees the patient half an hour later, too")
		require.ErrorIs(t, w.h.MayHave(w.ctx, moved, silvas[5].ID), commands.ErrNoRoom, "Souza has gone home then")
		require.NoError(t, w.h.MayHave(w.ctx, commands.Instead{Move: true, Booking: commands.Booking{
			Appointment: id, Slots: ids[:1], Patient: w.ana,
		}}, souzas[0].ID), "the time of who is to be moved is their own")
		require.ErrorIs(t, w.h.MayHave(w.ctx, anew, souzas[0].ID), occupancy.ErrTaken)
		require.NoError(t, w.h.MayHave(w.ctx, anew, souzas[2].ID))
		require.Len(t, w.log(), before, "nothing of it is stored")
	})
}

func TestAVisitOfSeveralSlotsWantsAsManyElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	silvas := w.open(w.silva, 1)
	souzas := w.set(w.souza, w.weekdays("09:00", "12:00", 60, 1, 1)).Opened
	hour := commands.Instead{Booking: commands.Booking{Slots: []domain.SlotID{silvas[0].ID, silvas[1].ID}, Patient: w.ana}}
	half := commands.Instead{Booking: commands.Booking{Slots: []domain.SlotID{silvas[0].ID}, Patient: w.ana}}
	require.NoError(t, w.h.MayHave(w.ctx, hour, silvas[4].ID))
	require.NoError(t, w.h.MayHave(w.ctx, hour, souzas[0].ID), "one slot of an hour is as long")
	require.ErrorIs(t, w.h.MayHave(w.ctx, hour, silvas[5].ID), commands.ErrNoRoom)
	require.ErrorIs(t, w.h.MayHave(w.ctx, half, souzas[0].ID), commands.ErrNoRoom)
	require.NoError(t, w.h.MayHave(w.ctx, commands.Instead{Booking: commands.Booking{Patient: w.ana}}, souzas[0].ID))
}
