package commands_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
)

func automatic(of string) commands.Request {
	return commands.Request{Command: domain.NewID("deadline", of), Actor: appointment.Automatic}
}

func TestWhoHasNotComeIsGivenUpAsThePolicyOfTheBookingSays(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		w.limit(policy.Terms{NoShowAfter: new(15), PatientActive: new(1)})
		booked, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		id, missedAt := w.idOf(booked), slots[0].End.Add(15*time.Minute)
		w.limit(policy.Terms{NoShowAfter: new(600), PatientActive: new(1)}) // too late for this visit
		w.clock.advance(missedAt.Add(-time.Microsecond).Sub(w.clock.now()))
		_, err = w.h.GiveUp(w.ctx, automatic("a"), id, 1)
		require.ErrorIs(t, err, appointment.ErrNotDue)
		w.clock.advance(time.Microsecond)
		done, err := w.h.GiveUp(w.ctx, automatic("a"), id, 1)
		require.NoError(t, err)
		require.Equal(t, appointment.NoShow, done.State.Status)
		again, err := w.h.GiveUp(w.ctx, automatic("a"), id, 1)
		require.NoError(t, err)
		require.True(t, again.Replayed, "twice is once")
		require.Contains(t, w.types(quota.Quota{Rule: quota.PatientActive, Subject: string(w.ana), Bucket: quota.Active}.Stream()), "quota.released")

		undone, err := w.h.Undo(w.ctx, w.request(), id)
		require.NoError(t, err, "nobody has made the change, so anybody may undo it")
		require.Equal(t, appointment.Booked, undone.State.Status)
		_, err = w.h.GiveUp(w.ctx, automatic("b"), id, 1)
		require.ErrorIs(t, err, appointment.ErrNotDue, "and it stays undone")
		_, err = w.h.GiveUp(w.ctx, automatic("c"), "nothing", 1)
		require.ErrorIs(t, err, appointment.ErrNotFound)
		w.audit()
	})
}

func TestEveryWayToBookSaysWhenWhoHasNotComeIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, c := range steps() {
		if c.is != appointment.Booked {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, false, c.approval)
			s.terms(policy.Terms{NoShowAfter: new(20), UndoGrace: new(60), Approval: &c.approval})
			c.before(s)
			done, err := c.do(s, s.h, s.request())
			require.NoError(t, err)
			live, _ := done.State.Current()
			require.Equal(t, live.End.Add(20*time.Minute), live.MissedAt)
		})
	}
}

func TestASetThatIsOverdueIsTidiedUp(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		b := w.booking(w.ana, s)
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b, For: time.Minute})
		require.NoError(t, err)
		w.clock.advance(time.Minute)
		_, err = w.h.Lapse(w.ctx, automatic("a"), b.Appointment, 1)
		require.ErrorIs(t, err, appointment.ErrNotDue, "helpers wait two seconds longer than owners")
		w.clock.advance(appointment.ClockSlack)
		done, err := w.h.Lapse(w.ctx, automatic("a"), b.Appointment, 1)
		require.NoError(t, err)
		require.Equal(t, appointment.Cancelled, done.State.Status)
		require.Empty(t, w.holders(s))
		before := len(w.log())
		for _, key := range []string{"a", "b"} {
			_, err = w.h.Lapse(w.ctx, automatic(key), b.Appointment, 1)
			require.NoError(t, err, "twice is once")
		}
		require.Len(t, w.log(), before)
		w.audit()
	})
}

func TestAHoldIsShownToItsOwner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		b := w.booking("", w.open(w.silva, 1)[0].ID)
		_, err := w.h.Held(w.ctx, b.Appointment, "a token")
		require.ErrorIs(t, err, appointment.ErrNotFound)
		_, err = w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b, For: time.Minute})
		require.NoError(t, err)
		token := w.h.Token(b.Appointment, 1)
		shown, err := w.h.Held(w.ctx, b.Appointment, token)
		require.NoError(t, err)
		require.Equal(t, appointment.Pending, shown.State.Status)
		_, err = w.h.Held(w.ctx, b.Appointment, "another's")
		require.ErrorIs(t, err, commands.ErrToken)
		w.clock.advance(time.Minute)
		_, err = w.h.Held(w.ctx, b.Appointment, token)
		require.ErrorIs(t, err, appointment.ErrLapsed)
	})
}
