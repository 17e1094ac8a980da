package commands_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// twins is a clinic where boris turns out to be ana, who is kept.
type twins struct {
	*scene
	borisVisit domain.AppointmentID
}

// newTwins books boris with Dr. Silva at nine, and then merges him into ana.
func newTwins(w *world, terms policy.Terms) *twins {
	s := &twins{scene: &scene{world: w}}
	s.silvas, s.souzas = w.open(w.silva, 1), w.open(w.souza, 1)
	s.terms(terms)
	s.borisVisit = s.books(w.boris, s.silvas[0])
	require.NoError(w.t, w.merge(w.boris, w.ana))
	return s
}

func (s *twins) books(who domain.PatientID, at schedule.Slot) domain.AppointmentID {
	done, err := s.book(who, at.ID)
	require.NoError(s.t, err)
	return s.idOf(done)
}

func (s *twins) moves(id domain.AppointmentID, to schedule.Slot) error {
	b := s.booking("", to.ID)
	b.Appointment, b.By = id, appointment.ByClinic
	_, err := s.h.Reschedule(s.ctx, s.request(), commands.Move{Booking: b})
	return err
}

func TestWhoWasMergedIsOnePersonForWhateverIsBookedThen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := newTwins(w, policy.Terms{})
		_, err := s.book(s.ana, s.souzas[0].ID)
		require.ErrorIs(t, err, occupancy.ErrTaken, "at nine she is with Dr. Silva, as boris")
		visit := s.books(s.ana, s.souzas[1])
		require.ErrorIs(t, s.moves(visit, s.souzas[0]), occupancy.ErrTaken)
		_, err = s.book(s.boris, s.souzas[2].ID)
		require.ErrorIs(t, err, patient.ErrMerged)
		_, err = s.cancel(s.borisVisit)
		require.NoError(t, err)
		require.NoError(t, s.moves(visit, s.souzas[0]))
		s.nothingIsOwed()
		s.audit()
	})
}

func TestWhatWasBookedForADuplicateIsMovedAndCancelledAndUndone(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := newTwins(w, policy.Terms{UndoGrace: new(60)})
		s.books(s.ana, s.souzas[2])
		require.ErrorIs(t, s.moves(s.borisVisit, s.silvas[2]), occupancy.ErrTaken, "there she is as ana")
		require.NoError(t, s.moves(s.borisVisit, s.silvas[1]))
		now, err := s.h.Appointment(s.ctx, s.borisVisit)
		require.NoError(t, err)
		current, _ := now.State.Current()
		require.Equal(t, s.boris, current.Patient, "it stays the visit of the duplicate")
		_, err = s.book(s.ana, s.souzas[1].ID)
		require.ErrorIs(t, err, occupancy.ErrTaken)
		_, err = s.cancel(s.borisVisit)
		require.NoError(t, err)
		_, err = s.h.Undo(s.ctx, s.request(), s.borisVisit)
		require.NoError(t, err)
		_, err = s.book(s.ana, s.souzas[1].ID)
		require.ErrorIs(t, err, occupancy.ErrTaken)
		s.nothingIsOwed()
		s.audit()
	})
}

func TestLimitsCountWhoWasMergedAsOnePerson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		terms policy.Terms
		err   error
	}{
		{"on a day", policy.Terms{PatientDay: new(2)}, quota.ErrPatientDay},
		{"active", policy.Terms{PatientActive: new(2)}, quota.ErrPatientActive},
		{"with one practitioner", policy.Terms{PatientPractitioner: new(2)}, quota.ErrPatientPractitioner},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				s := newTwins(w, c.terms)
				second := s.books(s.ana, s.silvas[1])
				_, err := s.book(s.ana, s.silvas[2].ID)
				require.ErrorIs(t, err, c.err, "one of boris's, and one of ana's")
				require.NoError(t, s.moves(s.borisVisit, s.silvas[3]), "what is counted is not counted twice")
				_, err = s.cancel(second)
				require.NoError(t, err)
				_, err = s.book(s.ana, s.silvas[2].ID)
				require.NoError(t, err)
				s.nothingIsOwed()
				s.audit()
			})
		})
	}
}

func TestLimitsCountWhatBothHadBeforeTheMerge(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := &twins{scene: &scene{world: w}}
		s.silvas = w.open(w.silva, 1)
		s.terms(policy.Terms{PatientDay: new(2)})
		s.books(s.ana, s.silvas[0])
		boris := s.books(s.boris, s.silvas[1])
		require.NoError(t, w.merge(w.boris, w.ana))
		_, err := s.book(s.ana, s.silvas[2].ID)
		require.ErrorIs(t, err, quota.ErrPatientDay)
		_, err = s.cancel(boris)
		require.NoError(t, err)
		s.books(s.ana, s.silvas[2])
	})
}

func TestUnmergingGivesTheirTimeBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := newTwins(w, policy.Terms{PatientDay: new(2)})
		visit := s.books(s.ana, s.souzas[1])
		_, err := s.h.UnmergePatient(s.ctx, s.request(), s.boris)
		require.NoError(t, err)
		s.books(s.boris, s.silvas[1])
		_, err = s.book(s.ana, s.silvas[0].ID)
		require.ErrorIs(t, err, slot.ErrTaken)
		require.NoError(t, s.moves(visit, s.souzas[2]))
		s.nothingIsOwed()
		s.audit()
	})
}

func TestABookingThatRacesAMergeCountsBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	silvas, souzas := w.open(w.silva, 1), w.open(w.souza, 1)
	_, err := w.book(w.boris, silvas[0].ID)
	require.NoError(t, err)
	paused := &pausing{Store: w.store, at: 1, pause: func() { require.NoError(t, w.merge(w.boris, w.ana)) }}
	_, err = w.handler(paused).Book(w.ctx, w.request(), w.booking(w.ana, souzas[0].ID))
	require.ErrorIs(t, err, occupancy.ErrTaken)
}

func TestBothStoresKeepTheSameHistoryOfWhoWasMerged(t *testing.T) {
	t.Parallel()
	var all []map[domain.StreamName][]string
	for _, stepByStep := range []bool{false, true} {
		s := newTwins(newWorld(t, stepByStep), policy.Terms{PatientDay: new(5), PatientActive: new(5)})
		visit := s.books(s.ana, s.souzas[1])
		require.NoError(t, s.moves(visit, s.souzas[2]))
		require.NoError(t, s.moves(s.borisVisit, s.silvas[1]))
		_, err := s.cancel(visit)
		require.NoError(t, err)
		s.nothingIsOwed()
		all = append(all, s.histories())
	}
	require.Equal(t, all[0], all[1])
}
