package appointment_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/domaintest"
)

var (
	spec = domaintest.Spec[appointment.State, appointment.Command, appointment.Event]{
		Decide: appointment.Decide, Evolve: appointment.Evolve,
	}
	nine  = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	now   = nine.Add(-24 * time.Hour)
	until = now.Add(10 * time.Second)
	visit = appointment.Visit{
		Appointment: "a", Patient: "ana", Practitioner: "p", Clinic: "c", Slots: []domain.SlotID{"s"},
		Period: domain.Period{Start: nine, End: nine.Add(time.Hour)},
	}
	claims   = []domain.StreamName{"occupancy-patient.ana.2026-03-02", "slot-s"}
	proposed = wasProposed(1)
	booked   = appointment.WasBooked{Visit: visit, Set: 1}
	lapsed   = appointment.HasLapsed{Visit: visit, Set: 1}
	refused  = appointment.WasRefused{Visit: visit, Set: 1, Rule: "slot.taken"}
	gone     = appointment.WasCancelled{Visit: visit, Set: 1, Initiator: appointment.ByPatient}
)

func wasProposed(set int) appointment.WasProposed {
	return appointment.WasProposed{Visit: visit, Set: set, Claims: claims, Deadline: until}
}

func propose(at time.Time) appointment.Propose {
	return appointment.Propose{Visit: visit, Claims: claims, Deadline: until, At: at}
}

func TestPropose(t *testing.T) {
	t.Parallel()
	other := propose(now)
	other.Visit.Slots = []domain.SlotID{"another"}

	t.Run("begins the protocol", spec.Given().When(propose(now)).Then(proposed))
	t.Run("goes on with what was interrupted", spec.Given(proposed).When(propose(now)).Then())
	t.Run("of what is booked already changes nothing", spec.Given(proposed, booked).When(propose(now)).Then())
	t.Run("opens the next set after a race was lost", spec.Given(proposed, refused).When(propose(now)).Then(wasProposed(2)))
	t.Run("opens the next set after the first one lapsed", spec.Given(proposed, lapsed).When(propose(now)).Then(wasProposed(2)))
	t.Run("is refused for another visit under the same id", spec.Given(proposed, booked).When(other).ThenRefuse(appointment.ErrExists))
	t.Run("is refused once cancelled", spec.Given(proposed, booked, gone).When(propose(now)).ThenRefuse(appointment.ErrExists))
	t.Run("is refused once cancelled, also when it never was booked",
		spec.Given(proposed, lapsed, gone).When(propose(now)).ThenRefuse(appointment.ErrExists))
	t.Run("is refused when the slot has started", spec.Given().When(propose(nine)).ThenRefuse(appointment.ErrPast))
}

func TestAnOverdueSetIsEndedByItsOwnerToo(t *testing.T) {
	t.Parallel()
	late := propose(until)
	late.Deadline = until.Add(10 * time.Second)
	next := wasProposed(2)
	next.Deadline = late.Deadline
	t.Run("and the next one opened", spec.Given(proposed).When(late).Then(lapsed, next))
}

func TestAnOverdueSetDoesNotKeepTheIDFromAnotherVisit(t *testing.T) {
	t.Parallel()
	other := propose(until)
	other.Visit.Slots, other.Deadline = []domain.SlotID{"another"}, until.Add(10*time.Second)
	next := wasProposed(2)
	next.Visit, next.Deadline = other.Visit, other.Deadline
	t.Run("it lapses and the other visit is proposed", spec.Given(proposed).When(other).Then(lapsed, next))
	other.At = now
	t.Run("before its deadline it does", spec.Given(proposed).When(other).ThenRefuse(appointment.ErrExists))
}

func TestSame(t *testing.T) {
	t.Parallel()
	require.True(t, visit.Same(visit))
	changes := map[string]func(v *appointment.Visit){
		"patient": func(v *appointment.Visit) { v.Patient = "boris" }, "practitioner": func(v *appointment.Visit) { v.Practitioner = "q" },
		"clinic": func(v *appointment.Visit) { v.Clinic = "d" }, "slot": func(v *appointment.Visit) { v.Slots = nil },
		"time": func(v *appointment.Visit) { v.End = v.End.Add(time.Minute) }, "appointment": func(v *appointment.Visit) { v.Appointment = "b" },
	}
	for what, change := range changes {
		other := visit
		change(&other)
		require.False(t, visit.Same(other), "another %s is another visit", what)
	}
}

func TestCommit(t *testing.T) {
	t.Parallel()
	commit := appointment.Commit{Set: 1, At: now}
	t.Run("makes the set live", spec.Given(proposed).When(commit).Then(booked))
	t.Run("is refused from the deadline on", spec.Given(proposed).When(appointment.Commit{Set: 1, At: until}).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused when a helper was faster", spec.Given(proposed, lapsed).When(commit).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused when there is no such set", spec.Given().When(commit).ThenRefuse(appointment.ErrLapsed))
}

func TestLapse(t *testing.T) {
	t.Parallel()
	due := appointment.Lapse{Set: 1, At: until.Add(appointment.ClockSlack)}
	t.Run("ends a set from two seconds after its deadline", spec.Given(proposed).When(due).Then(lapsed))
	t.Run("is refused before, since the owner's clock may be behind",
		spec.Given(proposed).When(appointment.Lapse{Set: 1, At: until.Add(time.Second)}).ThenRefuse(appointment.ErrNotDue))
	t.Run("does nothing to a booked set", spec.Given(proposed, booked).When(due).Then())
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	refuse := appointment.Refuse{Set: 1, Rule: "slot.taken"}
	t.Run("ends a set whose claims could not be had", spec.Given(proposed).When(refuse).Then(refused))
	t.Run("does nothing to a booked set", spec.Given(proposed, booked).When(refuse).Then())
}

func TestCancel(t *testing.T) {
	t.Parallel()
	cancel := appointment.Cancel{Initiator: appointment.ByPatient}
	t.Run("ends a booked appointment", spec.Given(proposed, booked).When(cancel).Then(gone))
	t.Run("ends a booking that was interrupted", spec.Given(proposed).When(cancel).Then(gone))
	t.Run("ends a booking that had lapsed: a late repeat must not revive it",
		spec.Given(proposed, lapsed).When(cancel).Then(gone))
	t.Run("of nothing is refused", spec.Given().When(cancel).ThenRefuse(appointment.ErrNotFound))
	t.Run("by nobody in particular is refused", spec.Given(proposed, booked).When(appointment.Cancel{}).ThenRefuse(appointment.ErrBadInitiator))
	t.Run("by the neighbour is refused",
		spec.Given(proposed, booked).When(appointment.Cancel{Initiator: "neighbour"}).ThenRefuse(appointment.ErrBadInitiator))
}
