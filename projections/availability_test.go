package projections_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// lines writes slots as "HH:MM status free/places".
func lines(slots []projections.Slot) []string {
	var all []string
	for _, s := range slots {
		all = append(all, fmt.Sprintf("%s %s %d/%d", s.Start.Format("15:04"), s.Status, s.Free, s.Places))
	}
	return all
}

func TestWhatIsFree(t *testing.T) {
	t.Parallel()
	nine, ten := half(9, 0), half(10, 0)
	v, w := visit(visitA, pat, ana, 0, nine), visit(visitB, quinn, ana, 0, nine)
	open := day(ana, centre, 1, nine, ten)
	pair := day(ana, centre, 2, nine)
	deadline := at(8, 10)
	all := projections.SlotFilter{Status: projections.AnyStatus}
	now := at(8, 0)

	t.Run("an open day is free", given(open).Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/1", "10:00 free 1/1")))
	t.Run("a booked slot is busy", given(open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1)).
		Then(slotsAre(all, now, "09:00 busy 0/1", "10:00 free 1/1")))
	t.Run("the order of the events of one booking does not matter",
		given(open, claimed(v, 0, 1, 1), proposed(v, 1, deadline), booked(v, 1)).
			Then(slotsAre(all, now, "09:00 busy 0/1", "10:00 free 1/1")))
	t.Run("a booking on its way holds the slot until its deadline",
		given(open, proposed(v, 1, deadline), claimed(v, 0, 1, 1)).Then(func(t *testing.T, e *engine.Engine) {
			almost := deadline.Add(appointment.ClockSlack).Add(-time.Microsecond)
			slotsAre(all, almost, "09:00 busy-tentative 0/1", "10:00 free 1/1")(t, e)
			slotsAre(all, almost.Add(time.Microsecond), "09:00 free 1/1", "10:00 free 1/1")(t, e)
		}))
	t.Run("a cancelled booking frees the slot, released or not",
		given(open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1), cancelled(v, 1)).
			Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/1", "10:00 free 1/1")))
	t.Run("a release frees the slot for the next",
		given(open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1), cancelled(v, 1), released(v, 0, 1),
			proposed(w, 1, deadline), claimed(w, 0, 1, 1), booked(w, 1)).
			Then(slotsAre(projections.SlotFilter{}, now, "10:00 free 1/1")))
	t.Run("a claim that comes after its set has died takes nothing",
		given(open, proposed(v, 1, deadline), lapsed(v, 1), claimed(v, 0, 1, 1)).
			Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/1", "10:00 free 1/1")))
	t.Run("two sets of one visit take one place",
		given(pair, proposed(v, 1, deadline), claimed(v, 0, 1, 2), proposed(v, 2, deadline), claimed(v, 0, 2, 2), booked(v, 2)).
			Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/2")))
	t.Run("a full slot of which one place is only held is busy for now",
		given(pair, proposed(v, 1, deadline), claimed(v, 0, 1, 2), booked(v, 1), proposed(w, 1, deadline), claimed(w, 0, 1, 2)).
			Then(slotsAre(all, now, "09:00 busy-tentative 0/2")))
	t.Run("a withdrawn slot is listed only by that status",
		given(open, withdrawn(ana, 0, nine)).Then(func(t *testing.T, e *engine.Engine) {
			slotsAre(projections.SlotFilter{}, now, "10:00 free 1/1")(t, e)
			slotsAre(projections.SlotFilter{Status: projections.BusyUnavailable}, now, "09:00 busy-unavailable 0/1")(t, e)
		}))
	t.Run("a slot that is on the schedule again is listed as before",
		given(pair, proposed(v, 1, deadline), claimed(v, 0, 1, 2), booked(v, 1), displaced(v, 0, 1), reinstated(v, 0, 1)).
			Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/2")))
	t.Run("a smaller capacity than the claims leaves nothing free, not less",
		given(pair, proposed(v, 1, deadline), claimed(v, 0, 1, 2), booked(v, 1), proposed(w, 1, deadline), claimed(w, 0, 1, 2), booked(w, 1),
			resized(ana, 0, nine, 1)).Then(slotsAre(all, now, "09:00 busy 0/1")))
	x := visit(visitC, pat, ana, 0, nine)
	trio := []fact{
		day(ana, centre, 3, nine), proposed(v, 1, deadline), claimed(v, 0, 1, 3), booked(v, 1),
		proposed(w, 1, deadline), claimed(w, 0, 1, 3), booked(w, 1), proposed(x, 1, deadline), claimed(x, 0, 1, 3), booked(x, 1),
		wanted(ana, 0, nine, 3, 2), cancelled(x, 1),
	}
	t.Run("a slot of which fewer places are wanted than are in force is free below that number only",
		given(trio...).Then(func(t *testing.T, e *engine.Engine) {
			slotsAre(all, now, "09:00 busy 0/3")(t, e)
			slotsAre(projections.SlotFilter{}, now)(t, e)
		}))
	t.Run("it is free again for as many as are wanted",
		given(append(slices.Clone(trio), released(x, 0, 1), wanted(ana, 0, nine, 2, 0), cancelled(w, 1))...).
			Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/2")))
	t.Run("a slot of which fewer places are wanted counts its free ones by them",
		given(day(ana, centre, 3, nine), proposed(v, 1, deadline), claimed(v, 0, 1, 3), booked(v, 1), wanted(ana, 0, nine, 3, 2)).
			Then(slotsAre(projections.SlotFilter{}, now, "09:00 free 1/3")))
}

func clinicDay() []fact {
	return []fact{
		clinicFact(centre, "Centre", "Europe/Lisbon"),
		clinicFact(harbor, "Harbor", "Asia/Tokyo"),
		practitionerFact(ana, "Ana", []domain.ClinicID{centre}, "dermatology"),
		practitionerFact(bo, "Bo", []domain.ClinicID{centre}, "dermatology", "surgery"),
		practitionerFact(cy, "Cy", []domain.ClinicID{centre}, "dentistry"),
		practitionerFact(dee, "Dee", []domain.ClinicID{harbor}, "dermatology"),
		day(ana, centre, 1, half(9, 0), half(10, 0), half(15, 0)),
		day(bo, centre, 1, half(9, 0), half(11, 0)),
		day(cy, centre, 1, half(10, 0)),
		day(dee, harbor, 1, half(10, 0)),
	}
}

func TestListsOfSlots(t *testing.T) {
	t.Parallel()
	now := at(0, 0)
	names := map[domain.PractitionerID]string{ana: "ana", bo: "bo", cy: "cy", dee: "dee"}
	who := func(slots []projections.Slot) string {
		var all []string
		for _, s := range slots {
			all = append(all, names[s.Practitioner]+s.Start.Format("15"))
		}
		return strings.Join(all, " ")
	}
	listed := func(t *testing.T, e *engine.Engine, f projections.SlotFilter) string {
		t.Helper()
		slots, err := projections.NewAvailability(e).List(t.Context(), f, now, 0)
		require.NoError(t, err)
		return who(slots.Items)
	}

	t.Run("slots are found by practitioner, clinic, specialty and time", given(clinicDay()...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, "ana09 ana10 ana15", listed(t, e, projections.SlotFilter{Practitioners: []domain.PractitionerID{ana}}))
		require.Equal(t, "bo09 dee10 bo11", listed(t, e, projections.SlotFilter{Practitioners: []domain.PractitionerID{bo, dee}}))
		require.Equal(t, "dee10", listed(t, e, projections.SlotFilter{Area: projections.Area{Clinic: harbor}}))
		require.Equal(t, "bo09 bo11", listed(t, e, projections.SlotFilter{Specialties: []string{"surgery"}}))
		require.Equal(t, "bo11", listed(t, e, projections.SlotFilter{From: at(10, 30), To: at(15, 0)}))
		require.Equal(t, "ana10 cy10", listed(t, e, projections.SlotFilter{Area: projections.Area{Clinic: centre}, From: at(10, 0), To: at(11, 0)}))
	}))
	t.Run("a list is read on where it ended", given(clinicDay()...).Then(func(t *testing.T, e *engine.Engine) {
		f := projections.SlotFilter{Limit: 3}
		var seen []string
		for more := true; more; {
			slots, err := projections.NewAvailability(e).List(t.Context(), f, now, 0)
			require.NoError(t, err)
			seen = append(seen, who(slots.Items))
			f.After, more = slots.Items[len(slots.Items)-1].Cursor(), slots.More
		}
		require.Equal(t, []string{"ana09 bo09 ana10", "cy10 dee10 bo11", "ana15"}, seen)
	}))
	ids := []domain.SlotID{slotID(ana, 0), slotID(bo, 0), slotID(cy, 0), slotID(dee, 0)}
	of := map[domain.SlotID]domain.PractitionerID{ids[0]: ana, ids[1]: bo, ids[2]: cy, ids[3]: dee}
	slices.Sort(ids)
	var backwards []fact
	for _, id := range slices.Backward(ids) {
		backwards = append(backwards, day(of[id], centre, 1, half(9, 0)))
	}
	t.Run("slots that start together are read one by one in the order of their ids", given(backwards...).Then(func(t *testing.T, e *engine.Engine) {
		f := projections.SlotFilter{Limit: 1}
		var seen []domain.SlotID
		for more := true; more; {
			slots, err := projections.NewAvailability(e).List(t.Context(), f, now, 0)
			require.NoError(t, err)
			require.Len(t, slots.Items, 1)
			seen = append(seen, slots.Items[0].ID)
			f.After, more = slots.Items[0].Cursor(), slots.More
		}
		require.Equal(t, ids, seen)
	}))
	t.Run("a slot tells its clinic's zone", given(clinicDay()...).Then(func(t *testing.T, e *engine.Engine) {
		slots, err := projections.NewAvailability(e).List(t.Context(), projections.SlotFilter{Area: projections.Area{Clinic: harbor}}, now, 0)
		require.NoError(t, err)
		require.Equal(t, "Asia/Tokyo", slots.Items[0].Zone)
		require.Equal(t, half(10, 0), slots.Items[0].Period)
		require.EqualValues(t, len(clinicDay()), slots.Position)
	}))
	t.Run("instead of a taken slot the nearest of the same practitioner come first", given(clinicDay()...).Then(func(t *testing.T, e *engine.Engine) {
		nearest := func(w projections.Wish, now time.Time, n int) string {
			slots, err := projections.NewAvailability(e).Nearest(t.Context(), w, now, n)
			require.NoError(t, err)
			return who(slots)
		}
		wish := projections.Wish{Practitioner: ana, Clinic: centre, Start: at(10, 0)}
		require.Equal(t, "ana10 ana09", nearest(wish, at(0, 0), 2))
		require.Equal(t, "ana10 ana15 bo11 dee10", nearest(wish, at(9, 0), 9))
	}))
}
