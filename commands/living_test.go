package commands_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
)

// missing is a patient who may have one appointment to come, and has missed the
// start of it.
type missing struct {
	*scene
	visit domain.AppointmentID
	miss  commands.Request
}

func newMissing(w *world) *missing {
	s := &missing{scene: &scene{world: w}}
	s.silvas = w.open(w.silva, 1)
	s.terms(policy.Terms{PatientActive: new(1), UndoGrace: new(600)})
	booked, err := w.book(w.ana, s.silvas[0].ID)
	require.NoError(w.t, err)
	s.visit, s.miss = w.idOf(booked), w.request()
	w.clock.advance(s.silvas[0].Start.Add(time.Minute).Sub(w.clock.now()))
	_, err = w.h.Miss(w.ctx, s.miss, s.visit)
	require.NoError(w.t, err)
	return s
}

func (s *missing) undo(h *commands.Handler) error {
	_, err := h.Undo(s.ctx, s.request(), s.visit)
	return err
}

func TestANoShowIsUndoneOnlyWhereTheVisitMayStillBeHad(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := newMissing(w)
		other, err := w.book(w.ana, s.silvas[3].ID)
		require.NoError(t, err, "what was missed is to come no more")
		before := len(w.log())
		require.ErrorIs(t, s.undo(w.h), quota.ErrPatientActive)
		require.Len(t, w.log(), before)
		_, err = w.cancel(w.idOf(other))
		require.NoError(t, err)
		require.NoError(t, s.undo(w.h))
		require.NoError(t, s.undo(w.h), "twice is once")
		_, err = w.book(w.ana, s.silvas[4].ID)
		require.ErrorIs(t, err, quota.ErrPatientActive)
		s.nothingIsOwed()
		w.audit()
	})
}

func TestANoShowOfAVisitThatIsOverIsUndoneByAnybodyWhoMay(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := newMissing(w)
		_, err := w.book(w.ana, s.silvas[4].ID)
		require.NoError(t, err)
		w.clock.advance(s.silvas[0].End.Add(time.Minute).Sub(w.clock.now()))
		require.NoError(t, s.undo(w.h), "it counts for nothing any more")
	})
}

func TestARepeatOfANoShowThatWasUndoneTakesNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := newMissing(w)
		require.NoError(t, s.undo(w.h))
		again, err := w.h.Miss(w.ctx, s.miss, s.visit)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		_, err = w.book(w.ana, s.silvas[3].ID)
		require.ErrorIs(t, err, quota.ErrPatientActive, "the visit still counts")
	})
}

// Whatever pauses between its appends, the visit counts once its no-show is
// undone.
func TestANoShowThatPausesIsUndoneMeanwhile(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 2; at++ {
		t.Run(fmt.Sprintf("before append %d", at), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				s := newMissing(w)
				require.NoError(t, s.undo(w.h))
				paused := &pausing{Store: w.store, at: at}
				paused.pause = func() {
					if at == 2 { // it is a no-show by now, and its number is about to be given back
						require.NoError(t, s.undo(w.h))
					}
				}
				_, err := w.handler(paused).Miss(w.ctx, w.request(), s.visit)
				require.NoError(t, err)
				now, err := w.h.Appointment(w.ctx, s.visit)
				require.NoError(t, err)
				_, err = w.book(w.ana, s.silvas[3].ID)
				if now.State.Status == appointment.Booked {
					require.ErrorIs(t, err, quota.ErrPatientActive)
				} else {
					require.NoError(t, err)
				}
				w.audit()
			})
		})
	}
}

func TestAnUndoThatDiesIsFinishedByARepeat(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		t.Run(fmt.Sprintf("at append %d", n), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				s := newMissing(w)
				dying := &crashing{Store: w.store, appends: n}
				err := s.undo(w.handler(dying))
				require.Equal(t, dying.dead, err != nil)
				if dying.dead {
					_, err := w.book(w.ana, s.silvas[3].ID)
					require.NoError(t, err, "it was not undone")
					return
				}
				require.NoError(t, s.undo(w.h))
			})
		})
	}
}
