package commands_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestARegistrationUnderAKeyIsDoneOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	req := w.request()
	req.Hash = "body"
	register := patient.Register{Patient: domain.PatientID(domain.NewID("new")), Name: "New"}
	first, err := w.h.RegisterPatient(w.ctx, req, register)
	require.NoError(t, err)
	again, err := w.h.RegisterPatient(w.ctx, req, register)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.Position, again.Position)
	req.Hash = "another body"
	_, err = w.h.RegisterPatient(w.ctx, req, register)
	require.ErrorIs(t, err, commands.ErrKeyReused)
	_, err = w.h.RegisterPatient(w.ctx, w.request(), register)
	require.ErrorIs(t, err, patient.ErrExists)
}

func TestIfMatchIsHonouredOnEveryCommand(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0]
		req, seen := w.request(), domain.Revision(7)
		req.Expected = &seen
		_, err := w.h.Book(w.ctx, req, w.booking(w.ana, s.ID))
		require.ErrorIs(t, err, commands.ErrStale)
		_, _, err = w.h.SetSchedule(w.ctx, req, schedule.Set{Practitioner: w.silva, Pattern: w.weekdays("09:00", "10:00", 30, 1, 1)})
		require.ErrorIs(t, err, commands.ErrStale)
		var conflict *commands.Conflict
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, domain.Revision(0), conflict.Revision, "it says which revision is the current one")
	})
}

func TestAPractitionerWorksAtClinicsThatExist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	_, err := w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
		Practitioner: domain.PractitionerID(domain.NewID("p")),
		Profile:      practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{domain.ClinicID(domain.NewID("nowhere"))}},
	})
	require.ErrorIs(t, err, clinic.ErrNotFound)
}

// spy keeps the writes of the last append.
type spy struct {
	commands.Store
	writes []commands.Write
}

func (s *spy) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	s.writes = writes
	return s.Store.Append(ctx, writes...)
}

func TestPatientAndClinicAreCheckedByRevisionInTheSameAppend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.open(w.silva, 1)
	spied := &spy{Store: w.store}
	h := w.handler(spied)
	_, err := h.Book(w.ctx, w.request(), w.booking(w.ana, slots[0].ID))
	require.NoError(t, err)
	require.Contains(t, spied.writes, commands.Write{Stream: patient.Stream(w.ana), Expected: 0})
	require.Contains(t, spied.writes, commands.Write{Stream: clinic.Stream(w.clinic), Expected: 0})

	// The clinic changes behind the handler's back: it notices, looks again and books.
	changed := commands.NewEvent{ID: uuid.NewString(), Event: clinic.Registered{Clinic: w.clinic, Profile: clinic.Profile{Name: "New name", Zone: "Europe/Lisbon"}}}
	_, err = w.store.Append(w.ctx, commands.Write{Stream: clinic.Stream(w.clinic), Expected: domain.Any, Events: []commands.NewEvent{changed}})
	require.NoError(t, err)
	_, err = h.Book(w.ctx, w.request(), w.booking(w.boris, slots[1].ID))
	require.NoError(t, err)
	require.Contains(t, spied.writes, commands.Write{Stream: clinic.Stream(w.clinic), Expected: 1})
}

func TestADirectBookingHasTenSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	answer, err := w.book(w.ana, w.open(w.silva, 1)[0].ID)
	require.NoError(t, err)
	require.Equal(t, monday.Add(10*time.Second), answer.State.Sets[0].Deadline)
}

func TestDryRunsStoreNothing(t *testing.T) {
	t.Parallel()
	t.Run("of a cancellation", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, w *world) {
			s := w.open(w.silva, 1)[0]
			_, err := w.book(w.ana, s.ID)
			require.NoError(t, err)
			before := len(w.log())
			req := w.request()
			req.DryRun = true
			answer, err := w.h.Cancel(w.ctx, req, commands.Cancellation{Appointment: w.booking(w.ana, s.ID).Appointment, Initiator: appointment.ByClinic})
			require.NoError(t, err)
			require.Equal(t, appointment.Cancelled, answer.State.Status)
			require.Len(t, answer.Planned, 3)
			require.Len(t, w.log(), before)
		})
	})
	t.Run("of a booking that would help an overdue one out of the way", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, true)
		s := w.open(w.silva, 1)[0]
		crash(w, w.request(), w.booking(w.ana, s.ID), appends-1, false)
		w.clock.advance(12 * time.Second)
		before := len(w.log())
		req := w.request()
		req.DryRun = true
		answer, err := w.h.Book(w.ctx, req, w.booking(w.boris, s.ID))
		require.NoError(t, err)
		require.Len(t, answer.Planned, 1+1+4, "the lapse, the release, and the booking")
		require.Equal(t, 1, w.slot(s.ID).Free(), "a read ends nothing either")
		require.Len(t, w.log(), before)
	})
}

func TestAClaimWhoseOwnerDoesNotKnowItIsNotReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	s := w.open(w.silva, 1)[0]
	foreign := slot.Booked{
		Terms:  slot.Terms{Slot: s.ID, Practitioner: w.silva, Clinic: w.clinic, Period: s.Period},
		Holder: slot.Holder{Claim: claim.Claim{Owner: "series-unknown", Set: 1}}, Places: 1,
	}
	_, err := w.store.Append(w.ctx, commands.Write{Stream: slot.Stream(s.ID), Expected: domain.NoStream, Events: []commands.NewEvent{{ID: uuid.NewString(), Event: foreign}}})
	require.NoError(t, err)
	w.clock.advance(30 * time.Minute)
	_, err = w.book(w.ana, s.ID)
	require.ErrorIs(t, err, slot.ErrTaken)
	require.Equal(t, 0, w.slot(s.ID).Free())
}

func TestAnInterruptedBookingWhoseSlotIsGoneIsEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	req := w.request()
	crash(w, req, w.booking(w.ana, s.ID), 2, false) // it has ana's time, not the slot
	_, err := w.book(w.boris, s.ID)
	require.NoError(t, err)
	_, err = w.h.Book(w.ctx, req, w.booking(w.ana, s.ID))
	require.ErrorIs(t, err, slot.ErrTaken)
	require.Equal(t, []string{"appointment.proposed", "appointment.refused"}, w.types(appointment.Stream(w.booking(w.ana, s.ID).Appointment)))
	require.Equal(t, []string{"occupancy.booked", "occupancy.released"}, w.types(occupancy.Patient(w.ana).Stream("2026-06-01")))
	w.audit()
}

func TestALateRepeatDoesNotReviveWhatWasCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	req := w.request()
	slow := &pausing{Store: w.store, at: 3, pause: func() {
		_, err := w.book(w.boris, s.ID)
		require.NoError(t, err)
	}}
	_, err := w.handler(slow).Book(w.ctx, req, w.booking(w.ana, s.ID))
	require.ErrorIs(t, err, slot.ErrTaken)
	_, err = w.cancel(w.booking(w.boris, s.ID).Appointment)
	require.NoError(t, err)
	answer, err := w.cancel(w.booking(w.ana, s.ID).Appointment)
	require.NoError(t, err)
	require.Equal(t, appointment.Cancelled, answer.State.Status)
	_, err = w.h.Book(w.ctx, req, w.booking(w.ana, s.ID)) // the network delivers the request once more
	require.ErrorIs(t, err, appointment.ErrExists)
	w.audit()
}

func TestARepeatedCancellationFinishesTheFirst(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{true, false} {
		w := newWorld(t, true)
		s := w.open(w.silva, 1)[0]
		_, err := w.book(w.ana, s.ID)
		require.NoError(t, err)
		req, c := w.request(), commands.Cancellation{Appointment: w.booking(w.ana, s.ID).Appointment, Initiator: appointment.ByClinic}
		_, err = w.handler(&crashing{Store: w.store, appends: 1}).Cancel(w.ctx, req, c) // dead before the first release
		require.NoError(t, err)
		require.Equal(t, []string{"slot.booked"}, w.types(slotStream(s)))
		if !same {
			req = w.request()
		}
		answer, err := w.h.Cancel(w.ctx, req, c)
		require.NoError(t, err)
		require.True(t, answer.Replayed)
		require.Equal(t, []string{"slot.booked", "slot.released"}, w.types(slotStream(s)))
	}
}

func TestARepeatRightBeforeTheDeadlineBooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	req := w.request()
	crash(w, req, w.booking(w.ana, s.ID), 1, false)
	w.clock.advance(9900 * time.Millisecond)
	slow := &pausing{Store: w.store, at: 2, pause: func() { w.clock.advance(200 * time.Millisecond) }}
	answer, err := w.handler(slow).Book(w.ctx, req, w.booking(w.ana, s.ID))
	require.NoError(t, err)
	require.Len(t, answer.State.Sets, 2, "too late by its own clock, it decided again")
	w.audit()
}

func TestTheSlotAtATimeIsTheOneOpenedLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	old := w.open(w.silva, 1)[0]
	w.set(w.silva, w.weekdays("10:00", "12:00", 30, 1, 1))
	again := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 1)).Opened[0]
	require.Equal(t, old.Start, again.Start)
	id, err := w.h.SlotAt(w.ctx, w.silva, old.Start.In(time.FixedZone("", 3600)))
	require.NoError(t, err)
	require.Equal(t, again.ID, id)
	_, err = w.h.SlotAt(w.ctx, w.silva, old.Start.Add(time.Minute))
	require.ErrorIs(t, err, schedule.ErrSlotGone)
}

// broken is a store whose appends, or loads, end with an error.
type broken struct {
	commands.Store
	load, append error
}

func (b broken) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if b.load != nil {
		<-ctx.Done()
		return nil, b.load
	}
	return b.Store.Load(ctx, streams...)
}

func (b broken) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if b.append != nil {
		return 0, b.append
	}
	return b.Store.Append(ctx, writes...)
}

func TestTheEndOfPatienceSaysWhy(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what  string
		store broken
		want  error
	}{
		{"races lost without end are busy", broken{append: commands.ErrWrongRevision}, commands.ErrBusy},
		{"a store that does not answer is unavailable", broken{load: context.DeadlineExceeded}, commands.ErrUnavailable},
		{"an unknown outcome is said to be unknown", broken{append: errors.Join(commands.ErrUnknownOutcome, context.DeadlineExceeded)}, commands.ErrUnknownOutcome},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false)
			s := w.open(w.silva, 1)[0]
			c.store.Store = w.store
			h := commands.New(commands.Config{Store: c.store, Now: w.clock.now, NewID: uuid.NewString, Patience: 50 * time.Millisecond})
			_, err := h.Book(w.ctx, w.request(), w.booking(w.ana, s.ID))
			require.ErrorIs(t, err, c.want)
		})
	}
}
