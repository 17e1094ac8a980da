package appointment_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
)

// A hold of five minutes that may be renewed to half an hour, and a request
// that is answered within the day.
var (
	heldUntil   = now.Add(5 * time.Minute)
	ceiling     = now.Add(30 * time.Minute)
	answerBy    = now.Add(8 * time.Hour)
	held        = appointment.WasHeld{Visit: visit, Set: 1, Deadline: heldUntil, Ceiling: ceiling}
	requested   = appointment.WasRequested{Visit: visit, Set: 1, Deadline: answerBy}
	declined    = appointment.WasDeclined{Visit: visit, Set: 1, Code: "full", By: "desk", At: now}
	givenBack   = appointment.WasReleased{Visit: visit, Set: 1}
	nobody      = visitOf("")
	heldNobody  = appointment.WasHeld{Visit: nobody, Set: 1, Deadline: heldUntil, Ceiling: ceiling}
	firstNobody = appointment.WasProposed{Visit: nobody, Set: 1, Claims: claims, Deadline: until}
)

func visitOf(patient domain.PatientID) appointment.Visit {
	v := visit
	v.Patient = patient
	return v
}

func TestHold(t *testing.T) {
	t.Parallel()
	hold := appointment.Hold{Set: 1, Until: heldUntil, Ceiling: ceiling, At: now}
	late := hold
	late.At = until
	t.Run("keeps the slot while the person fills a form", spec.Given(proposed).When(hold).Then(held))
	t.Run("is refused when it was not decided in time", spec.Given(proposed).When(late).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused once it has lapsed", spec.Given(proposed, lapsed).When(hold).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused of what somebody has to approve", spec.Given(proposed, requested).When(hold).ThenRefuse(appointment.ErrNotHeld))
	t.Run("is refused of nothing", spec.Given().When(hold).ThenRefuse(appointment.ErrLapsed))
	t.Run("ends by itself: anybody may end it two seconds after its time",
		spec.Given(proposed, held).When(appointment.Lapse{Set: 1, At: heldUntil.Add(appointment.ClockSlack)}).Then(lapsed))
	t.Run("is nobody's to end before",
		spec.Given(proposed, held).When(appointment.Lapse{Set: 1, At: heldUntil.Add(time.Second)}).ThenRefuse(appointment.ErrNotDue))
}

func TestRenew(t *testing.T) {
	t.Parallel()
	renew := appointment.Renew{Until: now.Add(8 * time.Minute), At: now.Add(3 * time.Minute)}
	renewed := appointment.WasRenewed{Visit: visit, Set: 1, Deadline: renew.Until}
	atCeiling := appointment.WasRenewed{Visit: visit, Set: 1, Deadline: ceiling}
	beyond := appointment.Renew{Until: ceiling.Add(time.Minute), At: now.Add(3 * time.Minute)}
	owner := appointment.WasProposed{Visit: visit, Set: 2, Claims: claims, Deadline: until}

	t.Run("keeps the slot longer", spec.Given(proposed, held).When(renew).Then(renewed))
	t.Run("to less than it has changes nothing", spec.Given(proposed, held).When(appointment.Renew{Until: now.Add(time.Minute), At: now}).Then())
	t.Run("reaches the ceiling", spec.Given(proposed, held).When(appointment.Renew{Until: ceiling, At: now}).Then(atCeiling))
	t.Run("beyond the ceiling gets what is left", func(t *testing.T) {
		t.Parallel()
		events, err := appointment.Decide(after(proposed, held), beyond)
		require.NoError(t, err)
		require.Equal(t, []appointment.Event{atCeiling}, events)
	})
	t.Run("is refused once the ceiling is reached", spec.Given(proposed, held, atCeiling).When(beyond).ThenRefuse(appointment.ErrCeiling))
	t.Run("too late is refused",
		spec.Given(proposed, held).When(appointment.Renew{Until: now.Add(8 * time.Minute), At: heldUntil}).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused once somebody has ended it", spec.Given(proposed, held, lapsed).When(renew).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused once it was given back", spec.Given(proposed, held, givenBack).When(renew).ThenRefuse(appointment.ErrLapsed))
	t.Run("of what is booked is refused", spec.Given(proposed, held, booked).When(renew).ThenRefuse(appointment.ErrNotHeld))
	t.Run("of what waits for approval is refused", spec.Given(proposed, held, requested).When(renew).ThenRefuse(appointment.ErrNotHeld))
	t.Run("of what never was on hold is refused", spec.Given(proposed).When(renew).ThenRefuse(appointment.ErrNotHeld))
	t.Run("of nothing is refused", spec.Given().When(renew).ThenRefuse(appointment.ErrNotFound))
	t.Run("goes on after a booking of the hold that failed", spec.Given(firstNobody, heldNobody, owner,
		appointment.WasRefused{Visit: visit, Set: 2, Rule: "occupancy.taken"}).When(renew).
		Then(appointment.WasRenewed{Visit: nobody, Set: 1, Deadline: renew.Until}))
}

func TestRelease(t *testing.T) {
	t.Parallel()
	release := appointment.Release{}
	t.Run("gives a hold back", spec.Given(proposed, held).When(release).Then(givenBack))
	t.Run("of what has lapsed changes nothing", spec.Given(proposed, held, lapsed).When(release).Then())
	t.Run("does not cancel what was booked meanwhile", spec.Given(proposed, held, booked).When(release).Then())
	t.Run("does not take a request back", spec.Given(proposed, held, requested).When(release).Then())
	t.Run("of nothing changes nothing", spec.Given().When(release).Then())
}

func TestAHoldIsBooked(t *testing.T) {
	t.Parallel()
	commit := appointment.Commit{Set: 1, At: heldUntil.Add(-time.Second)}
	complete := func(at time.Time) appointment.Propose {
		return appointment.Propose{Visit: visit, Claims: claims, Deadline: at.Add(10 * time.Second), At: at, Purpose: appointment.ToComplete}
	}
	next := appointment.WasProposed{Visit: visit, Set: 2, Claims: claims, Deadline: now.Add(10 * time.Second)}
	t.Run("in time", spec.Given(proposed, held).When(commit).Then(booked))
	t.Run("not when its time is up, by its owner's own clock",
		spec.Given(proposed, held).When(appointment.Commit{Set: 1, At: heldUntil}).ThenRefuse(appointment.ErrLapsed))
	t.Run("not when somebody has ended it", spec.Given(proposed, held, lapsed).When(commit).ThenRefuse(appointment.ErrLapsed))
	t.Run("with the set that it has, when it knew the patient", spec.Given(proposed, held).When(complete(now)).Then())
	t.Run("with the next set, when it did not", spec.Given(firstNobody, heldNobody).When(complete(now)).Then(next))
	t.Run("which replaces the first, and frees no slot of it", spec.Given(firstNobody, heldNobody, next).When(appointment.Commit{Set: 2, At: now}).
		Then(appointment.WasBooked{Visit: visit, Set: 2, Replaces: 1, Freed: []domain.SlotID{}}))
	t.Run("for nobody else after its time", spec.Given(firstNobody, heldNobody).When(complete(heldUntil)).ThenRefuse(appointment.ErrLapsed))
	t.Run("not for two patients at once", spec.Given(firstNobody, heldNobody, next).When(func() appointment.Propose {
		c := complete(now)
		c.Visit.Patient = "boris"
		return c
	}()).ThenRefuse(appointment.ErrChanging))
	t.Run("not again", spec.Given(proposed, held, booked).When(complete(now)).ThenRefuse(appointment.ErrNotHeld))
	t.Run("not when it waits for approval already", spec.Given(proposed, held, requested).When(complete(now)).ThenRefuse(appointment.ErrNotHeld))
	t.Run("not when it never was on hold", spec.Given(proposed, lapsed).When(complete(now)).ThenRefuse(appointment.ErrNotHeld))
	lost := appointment.WasRefused{Visit: visit, Set: 2, Rule: "occupancy.taken"}
	third := next
	third.Set = 3
	t.Run("at the second try, when the first was lost", spec.Given(firstNobody, heldNobody, next, lost).When(complete(now)).Then(third))
	t.Run("as it was held, when the try for another patient was lost", spec.Given(proposed, held, next, lost).When(complete(now)).Then(third))
	t.Run("and stays on hold while it is tried and when that fails", func(t *testing.T) {
		t.Parallel()
		s := after(firstNobody, heldNobody, next)
		require.Equal(t, appointment.Pending, s.Status)
		s = appointment.Evolve(s, lost)
		require.Equal(t, appointment.Pending, s.Status)
		require.Equal(t, claim.Pending, s.Fate(1))
	})
}

func TestRequest(t *testing.T) {
	t.Parallel()
	request := appointment.Request{Set: 1, Until: answerBy, At: now}
	late := request
	late.At = until
	again, next := propose(answerBy), wasProposed(2)
	again.Deadline, next.Deadline = answerBy.Add(time.Minute), answerBy.Add(time.Minute)
	t.Run("waits for somebody to approve it", spec.Given(proposed).When(request).Then(requested))
	t.Run("may come of a hold", spec.Given(proposed, held).When(request).Then(requested))
	t.Run("is refused when it was not decided in time", spec.Given(proposed).When(late).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused of what is booked", spec.Given(proposed, booked).When(request).ThenRefuse(appointment.ErrLapsed))
	t.Run("makes room for another visit under its id once nobody has answered in time",
		spec.Given(proposed, requested).When(again).Then(lapsed, next))
	t.Run("keeps its id until then", spec.Given(proposed, requested).When(propose(now)).ThenRefuse(appointment.ErrExists))
}

func TestApprove(t *testing.T) {
	t.Parallel()
	approve := appointment.Approve{At: answerBy.Add(-time.Second)}
	t.Run("books what was requested", spec.Given(proposed, requested).When(approve).Then(booked))
	t.Run("too late is refused", spec.Given(proposed, requested).When(appointment.Approve{At: answerBy}).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused once the request has lapsed", spec.Given(proposed, requested, lapsed).When(approve).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused once the patient has taken it back",
		spec.Given(proposed, requested, gone).When(approve).ThenRefuse(appointment.ErrNotRequested))
	t.Run("is refused once it was declined", spec.Given(proposed, requested, declined).When(approve).ThenRefuse(appointment.ErrNotRequested))
	t.Run("of what is booked anyway is refused", spec.Given(proposed, booked).When(approve).ThenRefuse(appointment.ErrNotRequested))
	t.Run("of nothing is refused", spec.Given().When(approve).ThenRefuse(appointment.ErrNotFound))
	t.Run("replaces nothing: the hold that it came of ended with the request", spec.Given(firstNobody, heldNobody, wasProposed(2),
		appointment.WasRequested{Visit: visit, Set: 2, Deadline: answerBy}).When(approve).
		Then(appointment.WasBooked{Visit: visit, Set: 2}))
}

func TestDecline(t *testing.T) {
	t.Parallel()
	decline := appointment.Decline{Code: "full", By: "desk", At: now}
	late := decline
	late.At = answerBy
	t.Run("refuses what was requested", spec.Given(proposed, requested).When(decline).Then(declined))
	t.Run("too late is refused: the request has ended by itself", spec.Given(proposed, requested).When(late).ThenRefuse(appointment.ErrLapsed))
	t.Run("is refused once the request has lapsed", spec.Given(proposed, requested, lapsed).When(decline).ThenRefuse(appointment.ErrLapsed))
	t.Run("of what was approved is refused", spec.Given(proposed, requested, booked).When(decline).ThenRefuse(appointment.ErrNotRequested))
	t.Run("of what was taken back changes nothing", spec.Given(proposed, requested, gone).When(decline).Then())
	t.Run("of nothing is refused", spec.Given().When(decline).ThenRefuse(appointment.ErrNotFound))
	t.Run("is final: the same id is not requested again",
		spec.Given(proposed, requested, declined).When(propose(now)).ThenRefuse(appointment.ErrExists))
	t.Run("ends the hold that the request came of, too", func(t *testing.T) {
		t.Parallel()
		second := appointment.WasRequested{Visit: visit, Set: 2, Deadline: answerBy}
		s := after(firstNobody, heldNobody, wasProposed(2), second,
			appointment.WasDeclined{Visit: visit, Set: 2})
		require.Equal(t, appointment.Cancelled, s.Status)
		require.Equal(t, claim.Dead, s.Fate(1))
		require.Equal(t, claim.Dead, s.Fate(2))
	})
}

func after(history ...appointment.Event) appointment.State {
	return domain.Fold(appointment.Evolve, appointment.State{}, history...)
}
