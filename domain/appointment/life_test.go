package appointment_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
)

// The life of Ana's visit: she comes five minutes early, goes in in time, and
// is done after half an hour.
var (
	came      = nine.Add(-5 * time.Minute)
	done      = nine.Add(30 * time.Minute)
	arrived   = appointment.HasArrived{Visit: visit, Set: 1, At: came, By: "desk"}
	checkedIn = appointment.WasCheckedIn{Visit: visit, Set: 1, At: nine, By: "desk"}
	fulfilled = appointment.WasFulfilled{Visit: visit, Set: 1, At: done, By: "desk"}
	missed    = appointment.WasMissed{Visit: visit, Set: 1, At: done, By: "desk"}
	ended     = appointment.WasCancelled{Visit: visit, Set: 1, Initiator: appointment.ByPatient, At: now, By: "ana"}
)

func reverted(to appointment.Status, at time.Time, by string) appointment.WasReverted {
	return appointment.WasReverted{Visit: visit, Set: 1, Status: to, At: at, By: by}
}

func TestArrive(t *testing.T) {
	t.Parallel()
	arrive := appointment.Arrive{Now: done, At: came, By: "desk"}
	t.Run("notes when the patient came", spec.Given(proposed, booked).When(arrive).Then(arrived))
	t.Run("may be noted twelve hours before the visit", spec.Given(proposed, booked).When(appointment.Arrive{Now: done, At: nine.Add(-12 * time.Hour)}).
		Then(appointment.HasArrived{Visit: visit, Set: 1, At: nine.Add(-12 * time.Hour)}))
	t.Run("is refused earlier: that is another visit's patient",
		spec.Given(proposed, booked).When(appointment.Arrive{Now: done, At: nine.Add(-12*time.Hour - time.Second)}).ThenRefuse(appointment.ErrTooEarly))
	t.Run("is refused before it has happened, but for what clocks differ", spec.Given(proposed, booked).
		When(appointment.Arrive{Now: came, At: came.Add(time.Minute + time.Second)}).ThenRefuse(appointment.ErrFuture))
	t.Run("may be noted by a clock that is a minute ahead", spec.Given(proposed, booked).When(appointment.Arrive{Now: came.Add(-time.Minute), At: came, By: "desk"}).Then(arrived))
	t.Run("is refused while nobody has approved the visit", spec.Given(proposed, requested).When(arrive).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of what was cancelled", spec.Given(proposed, booked, gone).When(arrive).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of nothing", spec.Given().When(arrive).ThenRefuse(appointment.ErrNotFound))
}

func TestCheckIn(t *testing.T) {
	t.Parallel()
	in := appointment.CheckIn{Now: done, At: nine, By: "desk"}
	t.Run("notes when the patient went in", spec.Given(proposed, booked, arrived).When(in).Then(checkedIn))
	t.Run("is refused before it has happened",
		spec.Given(proposed, booked, arrived).When(appointment.CheckIn{Now: came, At: nine}).ThenRefuse(appointment.ErrFuture))
	t.Run("is refused before the patient has come", spec.Given(proposed, booked).When(in).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused with a time before that of the arrival",
		spec.Given(proposed, booked, arrived).When(appointment.CheckIn{Now: done, At: came.Add(-time.Second)}).ThenRefuse(appointment.ErrOrder))
	t.Run("is refused of nothing", spec.Given().When(in).ThenRefuse(appointment.ErrNotFound))
}

func TestFulfil(t *testing.T) {
	t.Parallel()
	fulfil := appointment.Fulfil{Now: done, At: done, By: "desk"}
	t.Run("notes when the visit was done", spec.Given(proposed, booked, arrived, checkedIn).When(fulfil).Then(fulfilled))
	t.Run("is refused before it has happened",
		spec.Given(proposed, booked, arrived, checkedIn).When(appointment.Fulfil{Now: nine, At: done}).ThenRefuse(appointment.ErrFuture))
	t.Run("is refused before the patient has gone in", spec.Given(proposed, booked, arrived).When(fulfil).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused with a time before the visit began",
		spec.Given(proposed, booked, arrived, checkedIn).When(appointment.Fulfil{Now: done, At: nine.Add(-time.Second)}).ThenRefuse(appointment.ErrOrder))
	t.Run("is refused of nothing", spec.Given().When(fulfil).ThenRefuse(appointment.ErrNotFound))
}

func TestMiss(t *testing.T) {
	t.Parallel()
	miss := appointment.Miss{At: done, By: "desk"}
	t.Run("notes who did not come", spec.Given(proposed, booked).When(miss).Then(missed))
	t.Run("is refused of who came", spec.Given(proposed, booked, arrived).When(miss).ThenRefuse(appointment.ErrStatus))
	t.Run("is noted from the start of the visit on",
		spec.Given(proposed, booked).When(appointment.Miss{At: nine}).Then(appointment.WasMissed{Visit: visit, Set: 1, At: nine}))
	t.Run("is refused before the visit has started",
		spec.Given(proposed, booked).When(appointment.Miss{At: nine.Add(-time.Second)}).ThenRefuse(appointment.ErrTooEarly))
	t.Run("is refused of who is in the room", spec.Given(proposed, booked, arrived, checkedIn).When(miss).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of nothing", spec.Given().When(miss).ThenRefuse(appointment.ErrNotFound))
}

// expected is a booking whose patient counts as a no-show ten minutes after its
// end, and a booking of the same visit later.
var (
	tenPast      = nine.Add(70 * time.Minute)
	expected     = appointment.WasBooked{Visit: visit, Set: 1, MissedAt: tenPast}
	givenUp      = appointment.WasMissed{Visit: visit, Set: 1, At: tenPast, By: appointment.Automatic}
	laterTenPast = later.End.Add(10 * time.Minute)
)

func TestCommitSaysWhenWhoHasNotComeIsANoShow(t *testing.T) {
	t.Parallel()
	t.Run("where the policy does", spec.Given(proposed).When(appointment.Commit{Set: 1, At: now, MissedAt: tenPast}).Then(expected))
}

func TestGiveUp(t *testing.T) {
	t.Parallel()
	giveUp := appointment.GiveUp{Set: 1, At: tenPast}
	early := appointment.GiveUp{Set: 1, At: tenPast.Add(-time.Microsecond)}
	moved := appointment.WasBooked{Visit: later, Set: 2, Replaces: 1, MissedAt: laterTenPast}
	proposedLater := appointment.WasProposed{Visit: later, Set: 2, Claims: claims, Deadline: until}
	t.Run("notes, by nobody's hand, who has not come", spec.Given(proposed, expected).When(giveUp).Then(givenUp))
	t.Run("is refused before its time", spec.Given(proposed, expected).When(early).ThenRefuse(appointment.ErrNotDue))
	t.Run("is refused where the policy does not want it", spec.Given(proposed, booked).When(giveUp).ThenRefuse(appointment.ErrNotDue))
	t.Run("is refused of who is in the building", spec.Given(proposed, expected, arrived).When(giveUp).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of what was cancelled", spec.Given(proposed, expected, gone).When(giveUp).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of a visit that was moved",
		spec.Given(proposed, expected, proposedLater, moved).When(appointment.GiveUp{Set: 1, At: laterTenPast}).ThenRefuse(appointment.ErrNotDue))
	t.Run("comes at the new time of a visit that was moved",
		spec.Given(proposed, expected, proposedLater, moved).When(appointment.GiveUp{Set: 2, At: laterTenPast}).
			Then(appointment.WasMissed{Visit: later, Set: 2, At: laterTenPast, By: appointment.Automatic}))
	t.Run("of who was noted already changes nothing", spec.Given(proposed, expected, missed).When(giveUp).Then())
	t.Run("comes, when an arrival was noted by mistake",
		spec.Given(proposed, expected, arrived, reverted(appointment.Booked, came, "desk")).When(giveUp).Then(givenUp))
	t.Run("comes once: what somebody has taken back stays so",
		spec.Given(proposed, expected, givenUp, reverted(appointment.Booked, tenPast, "desk")).When(giveUp).ThenRefuse(appointment.ErrNotDue))
	t.Run("is refused of nothing", spec.Given().When(giveUp).ThenRefuse(appointment.ErrNotFound))
}

func TestANoShowThatNobodyNotedIsUndoneByAnybody(t *testing.T) {
	t.Parallel()
	undo := func(at time.Time) appointment.Undo {
		return appointment.Undo{At: at, By: "desk", Grace: 10 * time.Minute}
	}
	t.Run("within the grace period", spec.Given(proposed, expected, givenUp).When(undo(tenPast.Add(10*time.Minute))).
		Then(reverted(appointment.Booked, tenPast.Add(10*time.Minute), "desk")))
	t.Run("and not later", spec.Given(proposed, expected, givenUp).When(undo(tenPast.Add(10*time.Minute+1))).ThenRefuse(appointment.ErrUndoLate))
}

func TestWhoCancelsWhen(t *testing.T) {
	t.Parallel()
	deadline := nine.Add(-2 * time.Hour)
	by := func(who appointment.Initiator, at time.Time) appointment.Cancel {
		return appointment.Cancel{Initiator: who, NotAfter: deadline, At: at}
	}
	is := func(c appointment.Cancel) appointment.WasCancelled {
		return appointment.WasCancelled{Visit: visit, Set: 1, Initiator: c.Initiator, Code: c.Code, Reason: c.Reason, At: c.At}
	}
	late := deadline.Add(time.Second)
	coded, told := by(appointment.ByClinic, late), by(appointment.ByPractitioner, late)
	coded.Code, told.Reason = appointment.StaffUnavailable, domain.Open("ana", "the heating is out")
	unknown := by(appointment.ByPatient, now)
	unknown.Code = "the dog ate it"

	t.Run("the patient until the deadline", spec.Given(proposed, booked).When(by(appointment.ByPatient, deadline)).Then(is(by(appointment.ByPatient, deadline))))
	t.Run("the patient no later", spec.Given(proposed, booked).When(by(appointment.ByPatient, late)).ThenRefuse(appointment.ErrCancelLate))
	displaced := by(appointment.ByPatient, late)
	displaced.Displaced = true
	t.Run("the patient at any time what the clinic displaced", spec.Given(proposed, booked).When(displaced).Then(is(displaced)))
	t.Run("the patient until the start where there is no deadline",
		spec.Given(proposed, booked).When(appointment.Cancel{Initiator: appointment.ByPatient, At: nine.Add(time.Second)}).ThenRefuse(appointment.ErrCancelLate))
	t.Run("the patient at any time while nobody has approved it",
		spec.Given(proposed, requested).When(by(appointment.ByPatient, late)).Then(is(by(appointment.ByPatient, late))))
	t.Run("the clinic in time without a word", spec.Given(proposed, booked).When(by(appointment.ByClinic, deadline)).Then(is(by(appointment.ByClinic, deadline))))
	t.Run("the clinic late, with a code", spec.Given(proposed, booked).When(coded).Then(is(coded)))
	t.Run("the practitioner late, with a reason", spec.Given(proposed, booked).When(told).Then(is(told)))
	t.Run("the clinic not late without a reason", spec.Given(proposed, booked).When(by(appointment.ByClinic, late)).ThenRefuse(appointment.ErrNoReason))
	t.Run("not the patient what is on hold: that takes its token",
		spec.Given(proposed, held).When(by(appointment.ByPatient, now)).ThenRefuse(appointment.ErrHeld))
	t.Run("not the patient what is on hold and about to be booked",
		spec.Given(firstNobody, heldNobody, appointment.WasProposed{Visit: visit, Set: 2, Claims: claims, Deadline: until}).When(by(appointment.ByPatient, now)).ThenRefuse(appointment.ErrHeld))
	t.Run("the clinic what is on hold", spec.Given(proposed, held).When(by(appointment.ByClinic, now)).Then(is(by(appointment.ByClinic, now))))
	t.Run("the patient what was on hold until its time was up",
		spec.Given(proposed, held).When(by(appointment.ByPatient, heldUntil)).Then(is(by(appointment.ByPatient, heldUntil))))
	t.Run("nobody for a reason that cannot be counted", spec.Given(proposed, booked).When(unknown).ThenRefuse(appointment.ErrBadCode))
	t.Run("nobody once the visit has begun", spec.Given(proposed, booked, arrived, checkedIn).When(coded).ThenRefuse(appointment.ErrStatus))
	t.Run("nobody once the visit is done", spec.Given(proposed, booked, arrived, checkedIn, fulfilled).When(coded).ThenRefuse(appointment.ErrStatus))
	t.Run("nobody who did not come", spec.Given(proposed, booked, missed).When(coded).ThenRefuse(appointment.ErrStatus))
	t.Run("twice is once, also by another", spec.Given(proposed, booked, gone).When(coded).Then())
}

func TestUndo(t *testing.T) {
	t.Parallel()
	undo := func(at time.Time, by string) appointment.Undo {
		return appointment.Undo{At: at, By: by, Grace: 10 * time.Minute}
	}
	soon := came.Add(10 * time.Minute)
	t.Run("takes an arrival back within the grace period",
		spec.Given(proposed, booked, arrived).When(undo(soon, "desk")).Then(reverted(appointment.Booked, soon, "desk")))
	t.Run("takes a check-in back", spec.Given(proposed, booked, arrived, checkedIn).When(undo(nine, "desk")).
		Then(reverted(appointment.Arrived, nine, "desk")))
	t.Run("takes the end of a visit back", spec.Given(proposed, booked, arrived, checkedIn, fulfilled).When(undo(done, "desk")).
		Then(reverted(appointment.CheckedIn, done, "desk")))
	t.Run("takes a no-show back", spec.Given(proposed, booked, missed).When(undo(done, "desk")).Then(reverted(appointment.Booked, done, "desk")))
	t.Run("is for whoever made the change", spec.Given(proposed, booked, arrived).When(undo(soon, "another")).ThenRefuse(appointment.ErrNotYours))
	t.Run("is refused after the grace period",
		spec.Given(proposed, booked, arrived).When(undo(soon.Add(time.Second), "desk")).ThenRefuse(appointment.ErrUndoLate))
	t.Run("twice is once, and does not go a step further back",
		spec.Given(proposed, booked, arrived, checkedIn, reverted(appointment.Arrived, nine, "desk")).When(undo(nine, "desk")).Then())
	t.Run("is refused when nothing has changed since the booking", spec.Given(proposed, booked).When(undo(now, "desk")).ThenRefuse(appointment.ErrNoChange))
	t.Run("of a cancellation claims everything again instead",
		spec.Given(proposed, booked, ended).When(undo(now, "ana")).ThenRefuse(appointment.ErrNoChange))
	t.Run("of a cancellation that was undone changes nothing",
		spec.Given(proposed, booked, ended, wasProposed(2), appointment.WasBooked{Visit: visit, Set: 2}).When(undo(now, "ana")).Then())
	t.Run("is refused of nothing", spec.Given().When(undo(now, "desk")).ThenRefuse(appointment.ErrNotFound))
}

func TestWhatIsUndoneLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := after(proposed, booked, arrived, checkedIn, fulfilled)
	require.Equal(t, []time.Time{came, nine, done}, []time.Time{s.Arrived, s.Started, s.Finished})
	s = appointment.Evolve(s, reverted(appointment.CheckedIn, done, "desk"))
	require.Equal(t, []time.Time{came, nine, {}}, []time.Time{s.Arrived, s.Started, s.Finished})
	s = appointment.Evolve(s, reverted(appointment.Arrived, done, "desk"))
	require.Equal(t, []time.Time{came, {}, {}}, []time.Time{s.Arrived, s.Started, s.Finished})
	s = appointment.Evolve(s, reverted(appointment.Booked, done, "desk"))
	require.Equal(t, []time.Time{{}, {}, {}}, []time.Time{s.Arrived, s.Started, s.Finished})
}

func TestWhichCancellationMayBeUndone(t *testing.T) {
	t.Parallel()
	may := func(history ...appointment.Event) error {
		return after(history...).MayUndo(appointment.Undo{At: now, By: "ana", Grace: time.Minute})
	}
	require.NoError(t, may(proposed, booked, ended), "that of a booking")
	require.NoError(t, may(proposed, requested, ended), "that of a request")
	require.ErrorIs(t, may(proposed, held, ended), appointment.ErrNoChange, "not that of a hold")
	require.ErrorIs(t, may(proposed, lapsed, ended), appointment.ErrNoChange, "not that of what never came to be")
	require.ErrorIs(t, may(proposed, requested, declined), appointment.ErrNotYours, "a refusal by the clinic only by the clinic")
	mine := declined
	mine.By = "ana"
	require.NoError(t, may(proposed, requested, mine), "a refusal by whoever refused")
	unsaid := mine
	unsaid.At = time.Time{}
	require.ErrorIs(t, may(proposed, requested, unsaid), appointment.ErrUndoLate, "not one of which nobody knows when it was")
	require.ErrorIs(t, may(proposed, requested, booked), appointment.ErrApproved, "not an approval: people rely on it")
	require.ErrorIs(t, may(proposed, held, booked), appointment.ErrNoChange, "not the booking of a hold")
}

func TestRestore(t *testing.T) {
	t.Parallel()
	restore := propose(now)
	restore.Purpose = appointment.ToRestore
	t.Run("claims what was cancelled again, with the next set", spec.Given(proposed, booked, ended).When(restore).Then(wasProposed(2)))
	t.Run("of what is booked changes nothing", spec.Given(proposed, booked).When(restore).Then())
	t.Run("claims what was declined again", spec.Given(proposed, requested, declined).When(restore).Then(wasProposed(2)))
	t.Run("claims a request that was cancelled again", spec.Given(proposed, requested, ended).When(restore).Then(wasProposed(2)))
	again := requested
	again.Set = 2
	for name, end := range map[string]appointment.Event{"declined": declined, "cancelled": ended} {
		back := []appointment.Event{proposed, requested, end, wasProposed(2), again}
		t.Run("of a request that was "+name+" is a request", func(t *testing.T) {
			t.Parallel()
			s := after(back...)
			require.Equal(t, appointment.Pending, s.Status)
			require.Equal(t, claim.Dead, s.Fate(1))
			require.Equal(t, claim.Pending, s.Fate(2))
		})
		t.Run("of a request that was "+name+" is once", spec.Given(back...).When(appointment.Undo{At: now, By: "ana"}).Then())
		t.Run("of a request that was "+name+" may be approved", spec.Given(back...).When(appointment.Approve{At: now}).
			Then(appointment.WasBooked{Visit: visit, Set: 2}))
		t.Run("of a request that was "+name+" may be declined again", spec.Given(back...).When(appointment.Decline{At: now, By: "desk"}).
			Then(appointment.WasDeclined{Visit: visit, Set: 2, At: now, By: "desk"}))
		t.Run("of a request that was "+name+" closes nothing that a booking could open",
			spec.Given(back...).When(propose(answerBy)).ThenRefuse(appointment.ErrExists))
	}
	late := restore
	late.At = nine
	t.Run("is refused once the visit would have started", spec.Given(proposed, booked, ended).When(late).ThenRefuse(appointment.ErrPast))
	t.Run("ends in a booking of its own", func(t *testing.T) {
		t.Parallel()
		s := after(proposed, booked, ended, wasProposed(2),
			appointment.WasBooked{Visit: visit, Set: 2})
		require.Equal(t, appointment.Booked, s.Status)
		require.Equal(t, claim.Dead, s.Fate(1))
		require.Equal(t, claim.Live, s.Fate(2))
		require.Zero(t, s.Moves, "that is no move")
	})
	t.Run("of who had arrived begins again with the booking", func(t *testing.T) {
		t.Parallel()
		s := after(proposed, booked, arrived, ended, wasProposed(2),
			appointment.WasBooked{Visit: visit, Set: 2})
		require.Equal(t, appointment.Booked, s.Status)
		require.Zero(t, s.Arrived)
	})
	t.Run("is of the visit that was booked, not of a move that failed", func(t *testing.T) {
		t.Parallel()
		s := after(proposed, booked, movedTo(2),
			appointment.WasRefused{Visit: later, Set: 2, Rule: "slot.taken"}, ended)
		current, n := s.Current()
		require.Equal(t, 1, n)
		require.True(t, visit.Same(current.Visit))
	})
}

// later is the same visit at eleven.
var later = appointment.Visit{
	Appointment: "a", Patient: "ana", Practitioner: "p", Clinic: "c", Slots: []domain.SlotID{"t"},
	Period: domain.Period{Start: nine.Add(2 * time.Hour), End: nine.Add(3 * time.Hour)},
}

func movedTo(set int) appointment.WasProposed {
	return appointment.WasProposed{Visit: later, Set: set, Claims: claims, Deadline: until}
}

func move(at time.Time) appointment.Propose {
	return appointment.Propose{Visit: later, Claims: claims, Deadline: until, At: at, Purpose: appointment.ToMove}
}

func TestReschedule(t *testing.T) {
	t.Parallel()
	moved := appointment.WasBooked{Visit: later, Set: 2, Replaces: 1, Freed: []domain.SlotID{"s"}}
	commit := appointment.Commit{Set: 2, At: now}
	afresh, third := move(until), movedTo(3)
	afresh.Deadline, third.Deadline = until.Add(time.Minute), until.Add(time.Minute)
	t.Run("proposes the next set", spec.Given(proposed, booked).When(move(now)).Then(movedTo(2)))
	t.Run("books it in place of the first, which it frees", spec.Given(proposed, booked, movedTo(2)).When(commit).Then(moved))
	t.Run("to where the visit is already changes nothing", spec.Given(proposed, booked, movedTo(2), moved).When(move(now)).Then())
	back := move(now)
	back.Visit = visit
	t.Run("there and back takes a set each", spec.Given(proposed, booked, movedTo(2), moved).When(back).Then(wasProposed(3)))
	t.Run("is refused while another one is under way", spec.Given(proposed, booked, movedTo(2)).When(func() appointment.Propose {
		m := move(now)
		m.Visit.Slots = []domain.SlotID{"u"}
		return m
	}()).ThenRefuse(appointment.ErrChanging))
	t.Run("ends one that was given up", spec.Given(proposed, booked, movedTo(2)).When(afresh).
		Then(appointment.HasLapsed{Visit: later, Set: 2}, third))
	t.Run("is refused of a request", spec.Given(proposed, requested).When(move(now)).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of what was cancelled", spec.Given(proposed, booked, gone).When(move(now)).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused of who has arrived", spec.Given(proposed, booked, arrived).When(move(now)).ThenRefuse(appointment.ErrStatus))
	t.Run("is not completed either once the patient has arrived",
		spec.Given(proposed, booked, movedTo(2), arrived).When(commit).ThenRefuse(appointment.ErrStatus))
	t.Run("is refused to what has started", spec.Given(proposed, booked).When(move(later.Start)).ThenRefuse(appointment.ErrPast))
	t.Run("keeps the first set where the second is lost", func(t *testing.T) {
		t.Parallel()
		s := after(proposed, booked, movedTo(2),
			appointment.WasRefused{Visit: later, Set: 2, Rule: "slot.taken"})
		require.Equal(t, appointment.Booked, s.Status)
		require.Equal(t, claim.Live, s.Fate(1))
		require.Equal(t, claim.Dead, s.Fate(2))
	})
	t.Run("leaves exactly one set live", func(t *testing.T) {
		t.Parallel()
		s := after(proposed, booked, movedTo(2), moved)
		require.Equal(t, claim.Dead, s.Fate(1))
		require.Equal(t, claim.Live, s.Fate(2))
		require.Equal(t, 1, s.Moves)
		require.Equal(t, appointment.Booked, s.Status)
		current, n := s.Current()
		require.Equal(t, 2, n)
		require.True(t, later.Same(current.Visit))
	})
	kept := move(now)
	kept.Visit.Slots = []domain.SlotID{"s", "t"}
	t.Run("frees only what the new set does not want", spec.Given(proposed, booked,
		appointment.WasProposed{Visit: kept.Visit, Set: 2, Claims: claims, Deadline: until}).When(commit).
		Then(appointment.WasBooked{Visit: kept.Visit, Set: 2, Replaces: 1, Freed: []domain.SlotID{}}))
}

func TestABookingSaysHowItCameAbout(t *testing.T) {
	t.Parallel()
	commit := appointment.Commit{Set: 1, At: now, Overbooked: true, By: appointment.ByClinic, Note: domain.Open("ana", "the doctor is ill"), Mends: true}
	want := booked
	want.Overbooked, want.By, want.Note, want.Mends = true, commit.By, commit.Note, true
	t.Run("whose wish, why, and whether a place was added", spec.Given(proposed).When(commit).Then(want))
}

func TestWhoMovesWhen(t *testing.T) {
	t.Parallel()
	deadline := nine.Add(-2 * time.Hour)
	late := deadline.Add(time.Second)
	once := after(proposed, booked, movedTo(2), appointment.WasBooked{Visit: later, Set: 2})
	for name, c := range map[string]struct {
		by       appointment.Initiator
		at       time.Time
		limit    int
		reasoned bool
		mends    bool
		refusal  error
	}{
		"the patient until the deadline":                     {by: appointment.ByPatient, at: deadline},
		"the patient no later":                               {by: appointment.ByPatient, at: late, reasoned: true, refusal: appointment.ErrMoveLate},
		"the patient as often as the policy says":            {by: appointment.ByPatient, at: now, limit: 2},
		"the patient no more often":                          {by: appointment.ByPatient, at: now, limit: 1, refusal: appointment.ErrMoves},
		"the clinic in time without a word, however often":   {by: appointment.ByClinic, at: now, limit: 1},
		"the practitioner late with a reason":                {by: appointment.ByPractitioner, at: late, reasoned: true},
		"the clinic not late without a reason":               {by: appointment.ByClinic, at: late, refusal: appointment.ErrNoReason},
		"the neighbour never":                                {by: "neighbour", at: now, reasoned: true, refusal: appointment.ErrBadInitiator},
		"the patient what the clinic displaced, at any time": {by: appointment.ByPatient, at: late, limit: 1, mends: true},
		"the clinic what it displaced, without a word":       {by: appointment.ByClinic, at: late, mends: true},
		"the patient any number of times without any limit":  {by: appointment.ByPatient, at: now, limit: 0},
	} {
		require.ErrorIs(t, once.MayMove(appointment.Moving{
			By: c.by, NotAfter: deadline, At: c.at, Limit: c.limit, Reasoned: c.reasoned, Displaced: c.mends,
		}), c.refusal, name)
	}
	require.ErrorIs(t, appointment.State{}.MayMove(appointment.Moving{By: appointment.ByClinic, NotAfter: deadline, At: now}), appointment.ErrNotFound)
	over := domain.Fold(appointment.Evolve, once, appointment.Event(missed))
	require.ErrorIs(t, over.MayMove(appointment.Moving{By: appointment.ByPatient, NotAfter: deadline, At: late}), appointment.ErrStatus,
		"what is over is over, not late")
	for name, c := range map[string]struct {
		moved appointment.WasBooked
		own   int
	}{
		"who did not say was the patient":            {own: 1},
		"the patient's own count":                    {moved: appointment.WasBooked{By: appointment.ByPatient}, own: 1},
		"the clinic's do not":                        {moved: appointment.WasBooked{By: appointment.ByClinic}},
		"the patient's of what was displaced do not": {moved: appointment.WasBooked{By: appointment.ByPatient, Mends: true}},
	} {
		c.moved.Visit, c.moved.Set, c.moved.Replaces = later, 2, 1
		s := after(proposed, booked, movedTo(2), c.moved)
		require.Equal(t, 1, s.Moves, name)
		require.Equal(t, c.own, s.OwnMoves, name)
	}
}
