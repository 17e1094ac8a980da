package commands_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/visittype"
)

// resized opens sessions of an hour and then wants another number of places.
func (w *world) resized(from, to int) []schedule.Slot {
	slots := w.set(w.silva, w.weekdays("09:00", "12:00", 60, from, 1)).Opened
	_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.booking("", slots[2].ID), For: time.Second}) // the process has seen the slots
	require.NoError(w.t, err)
	require.Empty(w.t, w.set(w.silva, w.weekdays("09:00", "12:00", 60, to, 1)).Opened)
	return slots
}

// minute returns how long after the start of its slot a visit is expected, -1
// where it has no turn.
func minute(answer commands.Answer[appointment.State]) int {
	current, _ := answer.State.Current()
	if current.ExpectedAt == nil {
		return -1
	}
	return int(current.ExpectedAt.Sub(current.Start).Minutes())
}

// Who is told a time keeps it; newcomers are expected at times of their own, in
// the session and not after it.
func TestTurnsOfASessionThatGrows(t *testing.T) {
	t.Parallel()
	for from, turns := range map[int][]int{2: {0, 30, 15, 45}, 1: {-1, 15, 30, 45}} {
		t.Run(fmt.Sprintf("from %d places to 4", from), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				slots := w.set(w.silva, w.weekdays("09:00", "12:00", 60, from, 1)).Opened
				for n, turn := range turns {
					if n == from {
						w.set(w.silva, w.weekdays("09:00", "12:00", 60, 4, 1))
					}
					answer, err := w.book(w.somebody(n), slots[0].ID)
					require.NoError(t, err)
					require.Equal(t, turn, minute(answer))
				}
				require.Equal(t, 4, w.audit().Live())
			})
		})
	}
}

func TestASlotThatBecameASessionIsOneVisitsOnly(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.resized(1, 4)
		two := w.taking(w.ana, slots[0], slots[1])
		_, err := w.h.Book(w.ctx, w.request(), two)
		require.ErrorIs(t, err, commands.ErrSession)
		_, err = w.handler(w.store).Hold(w.ctx, w.request(), commands.Holding{Booking: two})
		require.ErrorIs(t, err, commands.ErrSession, "also for a process that has not seen it")

		last := w.taking(w.ana, slots[2])
		last.VisitType = w.offer(visittype.Terms{Duration: 120})
		_, err = w.handler(w.store).Book(w.ctx, w.request(), last)
		require.NoError(t, err, "a visit takes one place of a session, however long it is")
		w.audit()
	})
}

func TestASessionThatBecameASlotTakesRowsOfSlots(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.resized(4, 1)
		b := w.taking(w.ana, slots[0])
		b.VisitType = w.offer(visittype.Terms{Duration: 120})
		for _, h := range []*commands.Handler{w.handler(w.store), w.h} {
			req := w.request()
			req.DryRun = true
			dry, err := h.Book(w.ctx, req, b)
			require.NoError(t, err)
			current, _ := dry.State.Current()
			require.Equal(t, []domain.SlotID{slots[0].ID, slots[1].ID}, current.Slots)
		}
		answer, err := w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err)
		current, _ := answer.State.Current()
		require.Equal(t, slots[1].End, current.End)
		require.Equal(t, -1, minute(answer))
		_, err = w.h.Book(w.ctx, w.request(), w.taking(w.boris, slots[1], slots[2]))
		require.Error(t, err)
		w.audit()
	})
}
