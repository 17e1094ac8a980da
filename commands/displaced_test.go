package commands_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestARequestForWithdrawnTimeIsNotApproved(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := &scene{world: w}
		s.silvas = w.open(w.silva, 1)
		s.terms(approved())
		requested, err := w.book(w.ana, s.silvas[2].ID)
		require.NoError(t, err)
		id := w.idOf(requested)
		_, err = w.block(w.h, 10, 11)
		require.NoError(t, err)
		before := len(w.log())
		_, err = w.h.Approve(w.ctx, w.request(), id)
		require.ErrorIs(t, err, slot.ErrWithdrawn)
		require.Len(t, w.log(), before)
		_, err = w.h.Decline(w.ctx, w.request(), commands.Refusal{Appointment: id})
		require.NoError(t, err, "the clinic may still say no")
		w.audit()
	})
}

func TestAHoldOfWithdrawnTimeIsNotBooked(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{true, false} {
		both(t, func(t *testing.T, w *world) {
			slots := w.open(w.silva, 1)
			b := w.booking(w.ana, slots[2].ID)
			if !named {
				b.Patient = ""
			}
			held, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
			require.NoError(t, err)
			_, err = w.block(w.h, 10, 11)
			require.NoError(t, err)
			_, n := held.State.Latest()
			_, err = w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, n), Patient: w.ana})
			require.ErrorIs(t, err, slot.ErrWithdrawn)
			now, err := w.h.Appointment(w.ctx, b.Appointment)
			require.NoError(t, err)
			require.Equal(t, appointment.Pending, now.State.Status)
			w.audit()
		})
	}
}

// approved are the terms of a clinic that approves what is booked.
func approved() (t policy.Terms) {
	t.Approval = new(true)
	return t
}
