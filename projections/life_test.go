package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

func about(v appointment.Visit, e appointment.Event) fact {
	return on(appointment.Stream(v.Appointment), e)
}

func holding(v appointment.Visit, n, set, places int) fact {
	t := terms(v.Practitioner, n, v.Period)
	return on(slot.Stream(t.Slot), slot.Held{Terms: t, Holder: holder(v, set), Places: places})
}

func held(v appointment.Visit, set int, until time.Time) fact {
	return about(v, appointment.WasHeld{Visit: v, Set: set, Deadline: until, Ceiling: until.Add(time.Hour)})
}

func requested(v appointment.Visit, set int, until time.Time) fact {
	return about(v, appointment.WasRequested{Visit: v, Set: set, Deadline: until})
}

func moved(v appointment.Visit, set int, from appointment.Visit) fact {
	return about(v, appointment.WasBooked{Visit: v, Set: set, Replaces: set - 1, Freed: from.Slots})
}

func displaced(v appointment.Visit, n, set int) fact {
	t := terms(v.Practitioner, n, v.Period)
	return on(slot.Stream(t.Slot), slot.Withdrawn{Terms: t, Displaced: []slot.Holder{holder(v, set)}})
}

func TestWhatIsHeldOrRequested(t *testing.T) {
	t.Parallel()
	nine, ten := half(9, 0), half(10, 0)
	v := visit(visitA, pat, ana, 0, nine)
	open, deadline, until := day(ana, centre, 1, nine, ten), at(8, 0).Add(10*time.Second), at(8, 5)
	all := projections.SlotFilter{Status: projections.AnyStatus}
	hold := []fact{open, proposed(v, 1, deadline), holding(v, 0, 1, 1), held(v, 1, until)}
	with := func(more ...fact) []fact { return append(append([]fact{}, hold...), more...) }

	t.Run("a held slot is tentatively busy until the hold's time is up", given(hold...).Then(func(t *testing.T, e *engine.Engine) {
		almost := until.Add(appointment.ClockSlack).Add(-time.Microsecond)
		slotsAre(all, almost, "09:00 busy-tentative 0/1", "10:00 free 1/1")(t, e)
		slotsAre(all, almost.Add(time.Microsecond), "09:00 free 1/1", "10:00 free 1/1")(t, e)
	}))
	t.Run("a renewed hold keeps it longer", given(with(about(v, appointment.WasRenewed{Visit: v, Set: 1, Deadline: at(8, 10)}))...).
		Then(slotsAre(all, at(8, 9), "09:00 busy-tentative 0/1", "10:00 free 1/1")))
	t.Run("a hold that is given back frees it at once", given(with(about(v, appointment.WasReleased{Visit: v, Set: 1}))...).
		Then(slotsAre(all, at(8, 1), "09:00 free 1/1", "10:00 free 1/1")))
	t.Run("a hold that is booked keeps it for good", given(with(claimed(v, 0, 1, 1), booked(v, 1))...).
		Then(slotsAre(all, at(8, 30), "09:00 busy 0/1", "10:00 free 1/1")))
	t.Run("a requested slot is tentatively busy until nobody has answered",
		given(open, proposed(v, 1, deadline), holding(v, 0, 1, 1), requested(v, 1, at(8, 30))).Then(func(t *testing.T, e *engine.Engine) {
			slotsAre(all, at(8, 29), "09:00 busy-tentative 0/1", "10:00 free 1/1")(t, e)
			slotsAre(all, at(8, 31), "09:00 free 1/1", "10:00 free 1/1")(t, e)
		}))
	t.Run("a declined request frees it, also from the hold that it came of",
		given(with(proposed(v, 2, deadline), holding(v, 0, 2, 1), requested(v, 2, at(8, 30)), about(v, appointment.WasDeclined{Visit: v, Set: 2}))...).
			Then(slotsAre(all, at(8, 1), "09:00 free 1/1", "10:00 free 1/1")))
	w := visit(visitB, quinn, ana, 0, nine)
	t.Run("an overbooked slot has the place that was added, and is busy",
		given(open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1), proposed(w, 1, deadline),
			on(slot.Stream(slotID(ana, 0)), slot.Overbooked{Terms: terms(ana, 0, nine), Appointment: visitB, Places: 2}),
			claimed(w, 0, 1, 2), booked(w, 1)).Then(slotsAre(all, at(8, 0), "09:00 busy 0/2", "10:00 free 1/1")))
}

func TestAMovedVisitFreesItsOldSlotInTheSameSnapshot(t *testing.T) {
	t.Parallel()
	nine, ten := half(9, 0), half(10, 0)
	v, later := visit(visitA, pat, ana, 0, nine), visit(visitA, pat, ana, 1, ten)
	deadline := at(8, 10)
	all := projections.SlotFilter{Status: projections.AnyStatus}
	before := []fact{day(ana, centre, 1, nine, ten), proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1)}
	under := append(append([]fact{}, before...), proposed(later, 2, deadline), claimed(later, 1, 2, 1))
	t.Run("while it is moved it has both", given(under...).Then(slotsAre(all, at(8, 0), "09:00 busy 0/1", "10:00 busy-tentative 0/1")))
	t.Run("once it is moved it has the new one", given(append(append([]fact{}, under...), moved(later, 2, v))...).
		Then(slotsAre(all, at(8, 0), "09:00 free 1/1", "10:00 busy 0/1")))
	t.Run("cancelled while it is moved it has none: the new one ends with its deadline",
		given(append(append([]fact{}, under...), cancelled(v, 1))...).Then(func(t *testing.T, e *engine.Engine) {
			slotsAre(all, at(8, 0), "09:00 free 1/1", "10:00 busy-tentative 0/1")(t, e)
			slotsAre(all, deadline.Add(appointment.ClockSlack), "09:00 free 1/1", "10:00 free 1/1")(t, e)
		}))
	t.Run("the list shows where it is now, and how often it was moved",
		given(append(append([]fact{}, under...), moved(later, 2, v))...).Then(func(t *testing.T, e *engine.Engine) {
			got := only(t, e, projections.AppointmentFilter{}, at(8, 0))
			require.Equal(t, ten, got.Period)
			require.Equal(t, later.Slots, got.Slots)
			require.Equal(t, 1, got.Moves)
			require.Equal(t, appointment.Booked, got.Status)
		}))
}

// only returns the one visit of a list.
func only(t *testing.T, e *engine.Engine, f projections.AppointmentFilter, now time.Time) projections.Appointment {
	t.Helper()
	visits, err := projections.NewAppointments(e).List(t.Context(), f, now, 0)
	require.NoError(t, err)
	require.Len(t, visits.Items, 1)
	return visits.Items[0]
}

func noVisits(f projections.AppointmentFilter) func(*testing.T, *engine.Engine) {
	return func(t *testing.T, e *engine.Engine) {
		t.Helper()
		visits, err := projections.NewAppointments(e).List(t.Context(), f, at(8, 0), 0)
		require.NoError(t, err)
		require.Empty(t, visits.Items)
	}
}

func TestRequestsInTheListOfVisits(t *testing.T) {
	t.Parallel()
	v, deadline, until := visit(visitA, pat, ana, 0, half(9, 0)), at(8, 10), at(8, 30)
	t.Run("a hold is in no list", given(proposed(v, 1, deadline), held(v, 1, until)).Then(noVisits(projections.AppointmentFilter{})))
	t.Run("a request is pending until its deadline, and cancelled after",
		given(proposed(v, 1, deadline), requested(v, 1, until)).Then(func(t *testing.T, e *engine.Engine) {
			got := only(t, e, projections.AppointmentFilter{Status: appointment.Pending}, until)
			require.Equal(t, until, got.Deadline)
			late := until.Add(appointment.ClockSlack)
			require.Equal(t, appointment.Cancelled, only(t, e, projections.AppointmentFilter{Status: appointment.Cancelled}, late).Status)
		}))
	t.Run("a declined request says why", given(proposed(v, 1, deadline), requested(v, 1, until),
		about(v, appointment.WasDeclined{Visit: v, Set: 1, Code: "full", Reason: domain.Open(string(pat), "no room")})).
		Then(func(t *testing.T, e *engine.Engine) {
			got := only(t, e, projections.AppointmentFilter{Status: appointment.Cancelled}, at(8, 0))
			require.Equal(t, "full", got.CancelCode)
			require.NotEmpty(t, got.CancelReason.Box)
			require.Equal(t, appointment.ByPractitioner, got.Initiator)
		}))
	t.Run("a declined request that is requested again is as it was", given(proposed(v, 1, deadline), requested(v, 1, until),
		about(v, appointment.WasDeclined{Visit: v, Set: 1, Code: "full"}), proposed(v, 2, deadline), requested(v, 2, until)).
		Then(func(t *testing.T, e *engine.Engine) {
			got := only(t, e, projections.AppointmentFilter{Status: appointment.Pending}, at(8, 0))
			require.Empty(t, got.CancelCode)
			require.Empty(t, got.Initiator)
			require.True(t, got.CancelledAt.IsZero())
		}))
	t.Run("an approved request is booked", given(proposed(v, 1, deadline), requested(v, 1, until), booked(v, 1)).
		Then(func(t *testing.T, e *engine.Engine) {
			got := only(t, e, projections.AppointmentFilter{Status: appointment.Booked}, until.Add(time.Hour))
			require.True(t, got.Deadline.IsZero())
		}))
}

func TestTheLifeOfAVisitInTheList(t *testing.T) {
	t.Parallel()
	v := visit(visitA, pat, ana, 0, half(9, 0))
	turn := at(9, 10)
	v.ExpectedAt, v.VisitType, v.Uses = &turn, "first-visit", []appointment.Use{{Kind: "room", ID: "r", Period: v.Period}}
	v.Overbooked = true
	came := about(v, appointment.HasArrived{Visit: v, Set: 1, At: at(8, 55)})
	in := about(v, appointment.WasCheckedIn{Visit: v, Set: 1, At: at(9, 1)})
	done := about(v, appointment.WasFulfilled{Visit: v, Set: 1, At: at(9, 25)})
	back := func(to appointment.Status) fact {
		return about(v, appointment.WasReverted{Visit: v, Set: 1, Status: to, At: at(9, 30)})
	}
	is := func(status appointment.Status, came, in, done time.Time) func(*testing.T, *engine.Engine) {
		return func(t *testing.T, e *engine.Engine) {
			t.Helper()
			got := only(t, e, projections.AppointmentFilter{Status: status}, at(10, 0))
			require.Equal(t, []time.Time{came, in, done}, []time.Time{got.ArrivedAt, got.StartedAt, got.FinishedAt})
		}
	}
	life := func(more ...fact) []fact { return append([]fact{proposed(v, 1, at(8, 10)), booked(v, 1)}, more...) }
	var never time.Time
	t.Run("says what it needs and when the patient's turn is", given(life()...).Then(func(t *testing.T, e *engine.Engine) {
		got := only(t, e, projections.AppointmentFilter{}, at(8, 0))
		require.Equal(t, turn, got.ExpectedAt)
		require.Len(t, got.Uses, 1)
		use, err := projections.ParseUse(got.Uses[0])
		require.NoError(t, err)
		require.Equal(t, v.Uses[0], use)
		require.Equal(t, "first-visit", got.VisitType)
		require.True(t, got.Overbooked)
	}))
	t.Run("says when it took place", given(life(came, in, done)...).Then(is(appointment.Fulfilled, at(8, 55), at(9, 1), at(9, 25))))
	t.Run("says who did not come", given(life(about(v, appointment.WasMissed{Visit: v, Set: 1, At: at(9, 40)}))...).
		Then(is(appointment.NoShow, never, never, never)))
	t.Run("forgets what was undone", given(life(came, in, done, back(appointment.CheckedIn), back(appointment.Arrived))...).
		Then(is(appointment.Arrived, at(8, 55), never, never)))
	t.Run("begins again where a cancellation is undone", given(life(came, cancelled(v, 1), proposed(v, 2, at(8, 10)), booked(v, 2))...).
		Then(func(t *testing.T, e *engine.Engine) {
			is(appointment.Booked, never, never, never)(t, e)
			got := only(t, e, projections.AppointmentFilter{}, at(8, 0))
			require.True(t, got.CancelledAt.IsZero())
			require.Empty(t, got.Initiator)
			require.Zero(t, got.Moves)
		}))
}

func reinstated(v appointment.Visit, n, set int) fact {
	t := terms(v.Practitioner, n, v.Period)
	return on(slot.Stream(t.Slot), slot.Reinstated{Terms: t, Holders: []slot.Holder{holder(v, set)}})
}

func TestWhoIsDisplaced(t *testing.T) {
	t.Parallel()
	v, later := visit(visitA, pat, ana, 0, half(9, 0)), visit(visitA, pat, ana, 1, half(10, 0))
	facts := []fact{proposed(v, 1, at(8, 10)), claimed(v, 0, 1, 1), booked(v, 1)}
	with := func(more ...fact) []fact { return append(append([]fact{}, facts...), more...) }
	f := projections.AppointmentFilter{Displaced: true}
	t.Run("nobody whose slot is there", given(facts...).Then(noVisits(f)))
	t.Run("whose slot was withdrawn", given(with(displaced(v, 0, 1))...).Then(func(t *testing.T, e *engine.Engine) {
		require.True(t, only(t, e, f, at(8, 0)).Displaced)
	}))
	t.Run("nobody once moved", given(with(displaced(v, 0, 1), proposed(later, 2, at(8, 10)), moved(later, 2, v))...).Then(noVisits(f)))
	t.Run("nobody who had moved away before", given(with(proposed(later, 2, at(8, 10)), moved(later, 2, v), displaced(v, 0, 1))...).Then(noVisits(f)))
	t.Run("whose slot was withdrawn while it was about to be booked",
		given(proposed(v, 1, at(8, 10)), claimed(v, 0, 1, 1), displaced(v, 0, 1), booked(v, 1)).Then(func(t *testing.T, e *engine.Engine) {
			require.True(t, only(t, e, f, at(8, 0)).Displaced)
		}))
	t.Run("whose new slot was withdrawn while it was moved there",
		given(with(proposed(later, 2, at(8, 10)), claimed(later, 1, 2, 1), displaced(later, 1, 2), moved(later, 2, v))...).Then(func(t *testing.T, e *engine.Engine) {
			require.True(t, only(t, e, f, at(8, 0)).Displaced)
		}))
	t.Run("nobody whose slot is on the schedule again", given(with(displaced(v, 0, 1), reinstated(v, 0, 1))...).Then(noVisits(f)))
	t.Run("who has lost another slot as well, until that is back",
		given(with(displaced(v, 0, 1), displaced(v, 1, 1), reinstated(v, 0, 1))...).Then(func(t *testing.T, e *engine.Engine) {
			require.True(t, only(t, e, f, at(8, 0)).Displaced)
		}))
	t.Run("whose slot is withdrawn once more", given(with(displaced(v, 0, 1), reinstated(v, 0, 1), displaced(v, 0, 1))...).
		Then(func(t *testing.T, e *engine.Engine) { require.True(t, only(t, e, f, at(8, 0)).Displaced) }))
	t.Run("nobody who has cancelled", given(with(displaced(v, 0, 1), cancelled(v, 1))...).Then(noVisits(f)))
}

func TestVisitsOfAFamily(t *testing.T) {
	t.Parallel()
	v, w, x := visit(visitA, pat, ana, 0, half(9, 0)), visit(visitB, kid, ana, 1, half(10, 0)), visit(visitC, twice, ana, 2, half(11, 0))
	facts := family(proposed(v, 1, at(8, 10)), booked(v, 1), proposed(w, 1, at(8, 10)), booked(w, 1), proposed(x, 1, at(8, 10)), booked(x, 1))
	listed := func(t *testing.T, e *engine.Engine, f projections.AppointmentFilter) (ids []domain.AppointmentID) {
		t.Helper()
		visits, err := projections.NewAppointments(e).List(t.Context(), f, at(8, 0), 0)
		require.NoError(t, err)
		for _, a := range visits.Items {
			ids = append(ids, a.ID)
		}
		return ids
	}
	t.Run("a patient's visits are also those of who was merged into them", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitB, visitC}, listed(t, e, projections.AppointmentFilter{Patient: kid}))
		require.Equal(t, []domain.AppointmentID{visitA}, listed(t, e, projections.AppointmentFilter{Patient: pat}))
	}))
	t.Run("a guardian's are those of the dependents too, when asked for", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitA, visitB, visitC}, listed(t, e, projections.AppointmentFilter{Patient: pat, Family: true}))
	}))
	t.Run("no longer once unmerged", given(append(facts, on(patient.Stream(twice), patient.Unmerged{Patient: twice}))...).
		Then(func(t *testing.T, e *engine.Engine) {
			require.Equal(t, []domain.AppointmentID{visitB}, listed(t, e, projections.AppointmentFilter{Patient: kid}))
		}))
}
