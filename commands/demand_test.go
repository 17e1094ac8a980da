package commands_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/schedule"
)

// recording is a world whose refusals are recorded.
func recording(t *testing.T) (*world, *commands.DemandRecorder) {
	t.Helper()
	w := newWorld(t, false)
	recorder := commands.NewDemandRecorder(w.store, uuid.NewString)
	w.h = commands.New(commands.Config{Store: w.store, Now: w.clock.now, NewID: uuid.NewString, Refused: recorder.Add})
	return w, recorder
}

// recorded stores what the recorder has and returns it.
func (w *world) recorded(t *testing.T, recorder *commands.DemandRecorder) []demand.Refused {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, recorder.Run(ctx)) // stores what is left, and ends
	var all []demand.Refused
	for _, r := range w.log() {
		if e, ok := r.Event.(demand.Refused); ok {
			require.Equal(t, demand.Stream(w.clinic, domain.DayOf(w.clock.now())), r.Stream)
			all = append(all, e)
		}
	}
	return all
}

// What was refused is known afterwards: by which rule, when, of whom; not for
// whom.
func TestRefusedDemandIsRecorded(t *testing.T) {
	t.Parallel()
	w, recorder := recording(t)
	s := w.open(w.silva, 1)[0]
	booked, err := w.book(w.ana, s.ID)
	require.NoError(t, err)
	_, err = w.book(w.boris, s.ID)
	require.Error(t, err)
	hold := commands.Holding{Booking: w.booking(w.carlos, s.ID)}
	_, err = w.h.Hold(w.ctx, w.request(), hold)
	require.Error(t, err)
	free := w.open(w.souza, 1)[0]
	other, err := w.book(w.carlos, free.ID)
	require.NoError(t, err)
	move := commands.Move{Booking: w.booking(w.carlos, s.ID)}
	move.Appointment, move.By = other.State.Sets[0].Appointment, appointment.ByPatient
	_, err = w.h.Reschedule(w.ctx, w.request(), move)
	require.Error(t, err)

	refused := w.recorded(t, recorder)
	require.Len(t, refused, 2, "hold and reschedule are the same caller, slot and rule")
	require.Equal(t, demand.Refused{
		Clinic: w.clinic, Practitioner: w.silva, Slot: s.ID, Wish: "book", Rule: "slot.taken", Start: s.Start, At: w.clock.now(),
	}, refused[0])
	require.Equal(t, "hold", refused[1].Wish)
	require.Equal(t, appointment.Booked, booked.State.Status)
	w.audit()
}

// What was on hold and could not be booked was wanted, too; that it is booked
// already is no wish.
func TestARefusedHoldIsDemand(t *testing.T) {
	t.Parallel()
	w, recorder := recording(t)
	slots := w.open(w.silva, 1)
	hold := func(n int) commands.Completion {
		b := w.booking("", slots[n].ID)
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
		require.NoError(t, err)
		return commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1), Patient: w.ana}
	}
	booked := hold(0)
	_, err := w.h.Complete(w.ctx, w.request(), booked)
	require.NoError(t, err)
	booked.Patient = w.boris
	_, err = w.h.Complete(w.ctx, w.request(), booked)
	require.ErrorIs(t, err, appointment.ErrNotHeld)
	lost, stolen := hold(1), hold(2)
	stolen.Token = "another's"
	_, err = w.h.Complete(w.ctx, w.request(), stolen)
	require.ErrorIs(t, err, commands.ErrToken)
	w.clock.advance(10 * time.Minute)
	_, err = w.h.Complete(w.ctx, w.request(), lost)
	require.ErrorIs(t, err, appointment.ErrLapsed)
	require.Equal(t, []demand.Refused{{
		Clinic: w.clinic, Practitioner: w.silva, Slot: slots[1].ID, Wish: "book", Rule: "appointment.lapsed", Start: slots[1].Start, At: w.clock.now(),
	}}, w.recorded(t, recorder))
}

func TestATimeWithoutASlotIsDemand(t *testing.T) {
	t.Parallel()
	w, recorder := recording(t)
	slots := w.open(w.silva, 1)
	late := slots[5].End
	wanted := func(p domain.PractitionerID, start time.Time, dry bool) error {
		req := w.request()
		req.DryRun = dry
		_, err := w.h.WantedAt(w.ctx, req, "hold", checkUp, p, start)
		return err
	}
	require.NoError(t, wanted(w.silva, slots[0].Start, false))
	for range 2 {
		require.ErrorIs(t, wanted(w.silva, late, false), schedule.ErrSlotGone)
	}
	for _, p := range []domain.PractitionerID{w.souza, "nobody"} {
		require.ErrorIs(t, wanted(p, late, false), schedule.ErrSlotGone, "who has no schedule cannot be wanted")
	}
	require.ErrorIs(t, wanted(w.silva, late.Add(time.Hour), true), schedule.ErrSlotGone)
	require.ErrorIs(t, wanted(w.silva, w.clock.now().Add(-time.Hour), false), schedule.ErrSlotGone)
	require.Equal(t, []demand.Refused{{
		Clinic: w.clinic, Practitioner: w.silva, VisitType: checkUp, Wish: "hold", Rule: "slot.not-found", Start: late, At: w.clock.now(),
	}}, w.recorded(t, recorder))
}

// Who tries again and again is one wish a minute. Dry runs, repeats and what
// makes no sense are none.
func TestDemandIsCountedOnce(t *testing.T) {
	t.Parallel()
	w, recorder := recording(t)
	s := w.open(w.silva, 1)[0]
	_, err := w.book(w.ana, s.ID)
	require.NoError(t, err)
	for range 3 {
		_, err = w.book(w.boris, s.ID)
		require.Error(t, err)
	}
	dry := w.request()
	dry.DryRun = true
	_, err = w.h.Book(w.ctx, dry, w.booking(w.carlos, s.ID))
	require.Error(t, err)
	_, err = w.book("nobody", s.ID)
	require.Error(t, err)
	require.Len(t, w.recorded(t, recorder), 1)
	w.clock.t = w.clock.t.Add(time.Minute)
	_, err = w.book(w.boris, s.ID)
	require.Error(t, err)
	require.Len(t, w.recorded(t, recorder), 2)
}

// Under pressure refusals are dropped, and it is known how many.
func TestDemandIsDroppedUnderPressure(t *testing.T) {
	t.Parallel()
	w, recorder := recording(t)
	for n := range 300 {
		recorder.Add(commands.Unmet{Refused: demand.Refused{Clinic: w.clinic, Rule: "slot.taken", At: w.clock.now()}, Caller: uuid.NewString()})
		require.Equal(t, int64(max(0, n-255)), recorder.Dropped())
	}
	require.Len(t, w.recorded(t, recorder), 256)
}
