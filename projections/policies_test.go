package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

func policyFact(kind, id string, terms policy.Terms) fact {
	s := policy.Scope{Kind: kind, ID: id}
	return on(s.Stream(), policy.WasSet{Scope: s, Terms: terms})
}

// reasons writes slots as "HH:MM status reason".
func reasons(slots []projections.Slot) (all []string) {
	for _, s := range slots {
		text := s.Start.Format("15:04") + " " + string(s.Status)
		if s.Reason != "" {
			text += " " + s.Reason
		}
		all = append(all, text)
	}
	return all
}

func TestWhatThePolicyLetsBeBooked(t *testing.T) {
	t.Parallel()
	const kind = domain.VisitTypeID("e0000000-0000-4000-8000-000000000001")
	open := []fact{
		clinicFact(centre, "Centre", "Europe/Lisbon"), day(ana, centre, 1, half(9, 0), half(10, 0), half(15, 0)), day(bo, centre, 1, half(11, 0)),
	}
	with := func(more ...fact) []fact { return append(append([]fact{}, open...), more...) }
	look := func(f projections.SlotFilter, now time.Time, want ...string) func(*testing.T, *engine.Engine) {
		return func(t *testing.T, e *engine.Engine) {
			t.Helper()
			slots, err := projections.NewAvailability(e).List(t.Context(), f, now, 0)
			require.NoError(t, err)
			require.Equal(t, want, reasons(slots.Items))
		}
	}
	free, anas := projections.SlotFilter{}, projections.SlotFilter{Practitioners: []domain.PractitionerID{ana}, Status: projections.AnyStatus}
	clinics := func(terms policy.Terms) fact { return policyFact(policy.OfClinic, string(centre), terms) }
	anasOwn := func(terms policy.Terms) fact { return policyFact(policy.OfPractitioner, string(ana), terms) }

	t.Run("a slot that has started is not free", given(open...).Then(look(anas, at(10, 0),
		"09:00 busy-unavailable appointment.past", "10:00 busy-unavailable appointment.past", "15:00 free")))
	t.Run("a slot that starts before the notice ends is not free", given(with(clinics(policy.Terms{MinNotice: new(120)}))...).
		Then(func(t *testing.T, e *engine.Engine) {
			look(free, at(8, 0), "10:00 free", "11:00 free", "15:00 free")(t, e)
			look(anas, at(8, 0), "09:00 busy-unavailable policy.notice", "10:00 free", "15:00 free")(t, e)
			look(projections.SlotFilter{Status: projections.BusyUnavailable}, at(8, 0), "09:00 busy-unavailable policy.notice")(t, e)
			look(free, at(9, 0).Add(time.Microsecond), "15:00 free")(t, e)
		}))
	t.Run("a slot beyond the horizon is not free", given(with(clinics(policy.Terms{Horizon: new(180)}))...).
		Then(look(projections.SlotFilter{Status: projections.AnyStatus}, at(8, 0),
			"09:00 free", "10:00 free", "11:00 free", "15:00 busy-unavailable policy.horizon")))
	t.Run("a practitioner's terms count before the clinic's, field by field, and no limit is a term, too",
		given(with(clinics(policy.Terms{MinNotice: new(120), Horizon: new(180)}), anasOwn(policy.Terms{Horizon: new(0)}))...).
			Then(look(projections.SlotFilter{Status: projections.AnyStatus}, at(8, 30),
				"09:00 busy-unavailable policy.notice", "10:00 busy-unavailable policy.notice", "11:00 free", "15:00 free")))
	t.Run("a visit type's count before both", given(with(
		clinics(policy.Terms{MinNotice: new(120)}), anasOwn(policy.Terms{MinNotice: new(240)}),
		policyFact(policy.OfVisitType, string(kind), policy.Terms{MinNotice: new(0)}),
		on(visittype.Stream(kind), visittype.Defined{VisitType: kind, Clinic: centre, Terms: visittype.Terms{Name: "Urgent", Duration: 30}}),
	)...).Then(func(t *testing.T, e *engine.Engine) {
		look(projections.SlotFilter{Practitioners: []domain.PractitionerID{ana}}, at(8, 0), "15:00 free")(t, e)
		look(projections.SlotFilter{Practitioners: []domain.PractitionerID{ana}, VisitType: kind}, at(8, 0), "09:00 free", "10:00 free", "15:00 free")(t, e)
	}))
	t.Run("the terms in force are the last", given(with(clinics(policy.Terms{MinNotice: new(1440)}), clinics(policy.Terms{}))...).
		Then(look(free, at(8, 0), "09:00 free", "10:00 free", "11:00 free", "15:00 free")))

	v, second := visit(visitA, pat, ana, 0, half(9, 0)), visit(visitB, quinn, ana, 1, half(10, 0))
	count := func(rule, bucket string, v appointment.Visit) fact {
		q := quota.Quota{Rule: rule, Subject: string(ana), Bucket: bucket}
		return on(q.Stream(), quota.Booked{Quota: q, Maximum: 1, Counted: quota.Counted{Claim: holder(v, 1).Claim, Appointment: v.Appointment}})
	}
	uncount := func(rule, bucket string, v appointment.Visit) fact {
		q := quota.Quota{Rule: rule, Subject: string(ana), Bucket: bucket}
		return on(q.Stream(), quota.Released{Quota: q, Counted: quota.Counted{Claim: holder(v, 1).Claim, Appointment: v.Appointment}})
	}
	taken := []fact{
		proposed(v, 1, at(8, 10)), claimed(v, 0, 1, 1), count(quota.PractitionerDay, "2026-03-02", v),
		count(quota.PractitionerWeek, "2026-W10", v), booked(v, 1),
	}
	aDay := anasOwn(policy.Terms{PractitionerDay: new(1)})
	t.Run("a day that has as many visits as it may have is free no more", given(with(append(taken, aDay)...)...).
		Then(func(t *testing.T, e *engine.Engine) {
			look(free, at(8, 0), "11:00 free")(t, e)
			look(anas, at(8, 0), "09:00 busy", "10:00 busy-unavailable quota.practitioner-day", "15:00 busy-unavailable quota.practitioner-day")(t, e)
		}))
	t.Run("a week likewise", given(with(append(taken, clinics(policy.Terms{PractitionerWeek: new(1)}))...)...).
		Then(look(anas, at(8, 0), "09:00 busy", "10:00 busy-unavailable quota.practitioner-week", "15:00 busy-unavailable quota.practitioner-week")))
	t.Run("a visit that was booked when there was no limit does not count",
		given(with(proposed(v, 1, at(8, 10)), claimed(v, 0, 1, 1), booked(v, 1), aDay)...).
			Then(look(anas, at(8, 0), "09:00 busy", "10:00 free", "15:00 free")))
	t.Run("nor one that was cancelled, its claims released or not", given(with(append(taken, cancelled(v, 1), aDay)...)...).
		Then(look(anas, at(8, 0), "09:00 free", "10:00 free", "15:00 free")))
	t.Run("nor a claim that was released", given(with(append(taken, uncount(quota.PractitionerDay, "2026-03-02", v), aDay)...)...).
		Then(look(anas, at(8, 0), "09:00 busy", "10:00 free", "15:00 free")))
	t.Run("a hold counts until its time has run out", given(with(
		proposed(second, 1, at(8, 1)), claimed(second, 1, 1, 1), count(quota.PractitionerDay, "2026-03-02", second), held(second, 1, at(8, 10)), aDay,
	)...).Then(func(t *testing.T, e *engine.Engine) {
		look(anas, at(8, 9), "09:00 busy-unavailable quota.practitioner-day", "10:00 busy-tentative", "15:00 busy-unavailable quota.practitioner-day")(t, e)
		look(anas, at(8, 11), "09:00 free", "10:00 free", "15:00 free")(t, e)
	}))

	t.Run("the nearest slots are those that can be booked, except for staff", given(with(clinics(policy.Terms{MinNotice: new(150)}))...).
		Then(func(t *testing.T, e *engine.Engine) {
			wish := projections.Wish{Practitioner: ana, Clinic: centre, Start: at(9, 0)}
			nearest := func() []string {
				slots, err := projections.NewAvailability(e).Nearest(t.Context(), wish, at(8, 0), 2)
				require.NoError(t, err)
				return reasons(slots)
			}
			require.Equal(t, []string{"15:00 free"}, nearest())
			wish.Staff = true
			require.Equal(t, []string{"09:00 free", "10:00 free"}, nearest())
		}))
	t.Run("the list is read by its index, in order", given(with(taken...)...).Then(func(t *testing.T, e *engine.Engine) {
		plan := explained(t, e, projections.ListedModels(), projections.ListFreeSlots, projections.SlotArguments(at(8, 0)))
		require.Contains(t, plan, "slot_start")
		require.NotContains(t, plan, "Sort")
	}))
}
