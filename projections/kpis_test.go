package projections_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func kpiModels(func(domain.Sealed) string) []engine.Model {
	return []engine.Model{projections.KPIsModel(), projections.AppointmentsModel(), projections.AvailabilityModel()}
}

func moment(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

// when has facts recorded at an instant of UTC, such as "2026-03-02 08:00".
func when(text string, facts ...fact) []fact {
	for i := range facts {
		facts[i].At = moment(text)
	}
	return facts
}

func told(groups ...[]fact) []fact {
	var all []fact
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// starts are slots of half an hour, at instants of UTC.
func starts(id domain.PractitionerID, at domain.ClinicID, capacity int, instants ...string) fact {
	on0 := domain.DayOf(moment(instants[0]))
	opened := schedule.DayOpened{Practitioner: id, Day: on0}
	for n, text := range instants {
		from := moment(text)
		opened.Slots = append(opened.Slots, schedule.Slot{
			ID: schedule.SlotID(id, on0, n), Clinic: at, Capacity: capacity, Period: domain.Period{Start: from, End: from.Add(30 * time.Minute)},
		})
	}
	return on(schedule.DayStream(id, on0), opened)
}

// visitAt is a visit in the n-th slot of the day on which it begins.
func visitAt(id domain.AppointmentID, with domain.PractitionerID, at domain.ClinicID, n int, text string) appointment.Visit {
	from := moment(text)
	return appointment.Visit{
		Appointment: id, Patient: pat, Practitioner: with, Clinic: at, Slots: []domain.SlotID{schedule.SlotID(with, domain.DayOf(from), n)},
		Period: domain.Period{Start: from, End: from.Add(30 * time.Minute)},
	}
}

func termsOf(v appointment.Visit) slot.Terms {
	return slot.Terms{Slot: v.Slots[0], Practitioner: v.Practitioner, Clinic: v.Clinic, Period: v.Period}
}

// books is a booking that took a moment.
func books(v appointment.Visit, set int) []fact {
	return []fact{
		on(appointment.Stream(v.Appointment), appointment.WasProposed{Visit: v, Set: set, Deadline: moment("2026-01-01 00:00")}),
		booked(v, set),
	}
}

func cancels(v appointment.Visit, set int) fact {
	return on(appointment.Stream(v.Appointment), appointment.WasCancelled{Visit: v, Set: set, Initiator: appointment.ByPatient})
}

// house is the centre in Lisbon and the harbor in New York; Ana, a
// dermatologist, and Bo, who is nothing, work in the centre, Dee, a
// dermatologist and dentist, at the harbor.
func house() []fact {
	return when("2026-01-01 00:00",
		clinicFact(centre, "Centre", "Europe/Lisbon"), clinicFact(harbor, "Harbor", "America/New_York"),
		practitionerFact(ana, "Ana", []domain.ClinicID{centre}, "dermatology"), practitionerFact(bo, "Bo", []domain.ClinicID{centre}),
		practitionerFact(dee, "Dee", []domain.ClinicID{harbor}, "dermatology", "dentistry"))
}

// figured answers the key figures of a filter, after everything.
func figured(t *testing.T, e *engine.Engine, f projections.KPIFilter) []projections.KPI {
	t.Helper()
	all, at, err := projections.NewKPIs(e).Figures(t.Context(), f, moment("2027-01-01 00:00"), 0)
	require.NoError(t, err)
	require.Positive(t, at)
	return all
}

// daily is the key figures of each day of a clinic.
func daily(t *testing.T, e *engine.Engine, at domain.ClinicID, first, last domain.Day) map[string]projections.KPI {
	t.Helper()
	days := map[string]projections.KPI{}
	for _, k := range figured(t, e, projections.KPIFilter{First: first, Last: last, Clinic: at, By: projections.KPIDimensions{Day: true}}) {
		days[k.Period] = k
	}
	return days
}

// thirds is in how many days the third place is free, from each day on; -1
// where there is none.
func thirds(t *testing.T, e *engine.Engine, at domain.ClinicID, first domain.Day, days int) []int {
	t.Helper()
	all := daily(t, e, at, first, first.Add(days-1))
	found := make([]int, 0, days)
	for i := range days {
		k := all[string(first.Add(i))].Access
		require.LessOrEqual(t, k.Days, 1, "one practitioner")
		if k.Days == k.BookedOut {
			found = append(found, -1)
			continue
		}
		require.Equal(t, k.Median, k.P90)
		require.InDelta(t, k.Median, k.Average, 0)
		found = append(found, k.Median)
	}
	return found
}

func TestTheThirdNextAvailableAppointment(t *testing.T) {
	t.Parallel()
	open := when("2026-03-01 12:00",
		starts(ana, centre, 1, "2026-03-02 09:00"), starts(ana, centre, 1, "2026-03-03 09:00"),
		starts(ana, centre, 1, "2026-03-05 09:00", "2026-03-05 10:00"))
	visit := visitAt(visitA, ana, centre, 0, "2026-03-03 09:00")
	spec := func(answer []int, facts ...[]fact) func(*testing.T) {
		return projectionstest.Given(kpiModels, told(house(), open, told(facts...))...).Then(func(t *testing.T, e *engine.Engine) {
			require.Equal(t, answer, thirds(t, e, centre, "2026-03-02", 4))
		})
	}
	t.Run("is counted in days of the calendar, from each day on", spec([]int{3, 2, -1, -1}))
	t.Run("is later once a place before it is booked", spec([]int{3, -1, -1, -1}, when("2026-03-02 08:00", books(visit, 1)...)))
	t.Run("is not changed by what is booked later in the day", spec([]int{3, 2, -1, -1}, when("2026-03-03 08:00", books(visit, 1)...)))
	t.Run("is earlier again once a cancellation frees a place", spec([]int{3, 2, -1, -1},
		when("2026-03-01 13:00", books(visit, 1)...), when("2026-03-02 20:00", cancels(visit, 1))))
	t.Run("knows nothing of what opens later", spec([]int{3, 2, 1, -1},
		when("2026-03-03 08:00", starts(ana, centre, 1, "2026-03-04 09:00"))))
	t.Run("does not count what the clinic has withdrawn, until it is back", spec([]int{-1, 2, -1, -1},
		when("2026-03-01 13:00", on(slot.Stream(visit.Slots[0]), slot.Withdrawn{Terms: termsOf(visit)}),
			on(slot.Stream(schedule.SlotID(ana, "2026-03-02", 0)), slot.Withdrawn{Terms: termsOf(visitAt(visitA, ana, centre, 0, "2026-03-02 09:00"))})),
		when("2026-03-02 20:00", on(slot.Stream(visit.Slots[0]), slot.Reinstated{Terms: termsOf(visit)}))))
	t.Run("counts every place of a session", spec([]int{0, 2, -1, -1},
		when("2026-03-01 13:00", on(slot.Stream(schedule.SlotID(ana, "2026-03-02", 0)),
			slot.Resized{Terms: termsOf(visitAt(visitA, ana, centre, 0, "2026-03-02 09:00")), Places: 3}))))
	t.Run("counts a hold as taken until its deadline passes by itself", spec([]int{3, 2, -1, -1},
		when("2026-03-01 13:00", on(appointment.Stream(visitA), appointment.WasProposed{Visit: visit, Set: 1, Deadline: moment("2026-03-02 23:59")}))))
	t.Run("counts a hold that is given back", spec([]int{3, 2, -1, -1},
		when("2026-03-01 13:00", on(appointment.Stream(visitA), appointment.WasProposed{Visit: visit, Set: 1, Deadline: moment("2026-03-01 13:10")}),
			on(appointment.Stream(visitA), appointment.WasHeld{Visit: visit, Set: 1, Deadline: moment("2026-03-09 23:59")})),
		when("2026-03-02 22:00", on(appointment.Stream(visitA), appointment.WasReleased{Visit: visit, Set: 1}))))
	t.Run("is as it was while a hold that was renewed was kept", spec([]int{3, -1, -1, -1},
		when("2026-03-02 23:00", on(appointment.Stream(visitA), appointment.WasProposed{Visit: visit, Set: 1, Deadline: moment("2026-03-02 23:50")})),
		when("2026-03-02 23:49", on(appointment.Stream(visitA), appointment.WasRenewed{Visit: visit, Set: 1, Deadline: moment("2026-03-03 00:10")}))))
	t.Run("frees the place that a move leaves, and takes the one that it comes to", spec([]int{3, 3, -1, -1},
		when("2026-03-01 13:00", append(books(visit, 1), starts(ana, centre, 1, "2026-03-06 09:00"))...),
		when("2026-03-02 20:00", moved(visitAt(visitA, ana, centre, 0, "2026-03-05 09:00"), 2, visit))))
	t.Run("is that of the state in which the day began, also for a series", spec([]int{-1, 2, -1, -1},
		when("2026-03-01 13:00",
			on(appointment.Stream(visitA), appointment.WasProposed{Visit: visit, Set: 1, Deadline: moment("2026-03-01 13:01"), Series: "s1"}),
			on(appointment.Stream(visitB), appointment.WasProposed{
				Visit: visitAt(visitB, ana, centre, 0, "2026-03-02 09:00"), Set: 1, Deadline: moment("2026-03-01 13:01"), Series: "s1",
			}),
			on(series.Stream("s1"), series.WasBooked{Visits: []series.Visit{
				{Slot: visit.Slots[0], Appointment: visitA, Set: 1}, {Slot: schedule.SlotID(ana, "2026-03-02", 0), Appointment: visitB, Set: 1},
			}})),
		when("2026-03-02 20:00", cancels(visit, 1))))
}

func TestTheThirdNextAvailableAppointmentOfManyDays(t *testing.T) {
	t.Parallel()
	facts := told(house(), when("2026-03-01 12:00",
		starts(ana, centre, 1, "2026-03-02 09:00", "2026-03-02 10:00", "2026-03-02 11:00"),
		starts(bo, centre, 1, "2026-03-02 09:00", "2026-03-04 09:00", "2026-03-05 09:00")))
	by := projections.KPIDimensions{}
	t.Run("is the average and the median of those on which there is one", projectionstest.Given(kpiModels, facts...).
		Then(func(t *testing.T, e *engine.Engine) {
			all := figured(t, e, projections.KPIFilter{First: "2026-03-01", Last: "2026-03-05", Clinic: centre, By: by})
			require.Len(t, all, 1)
			require.Equal(t, projections.Access{Days: 5, BookedOut: 3, Average: 1.5, Median: 0, P90: 3}, all[0].Access)
		}))
}

// offers is how many minutes are offered on each day.
func offers(t *testing.T, e *engine.Engine, at domain.ClinicID, first, last domain.Day) map[string]int {
	t.Helper()
	minutes := map[string]int{}
	for day, k := range daily(t, e, at, first, last) {
		if k.Utilisation.Offered > 0 {
			minutes[day] = int(k.Utilisation.Offered.Minutes())
		}
	}
	return minutes
}

func TestDaysAndWeeksAreThoseOfTheClinic(t *testing.T) {
	t.Parallel()
	night := []string{"2026-03-28 23:30", "2026-03-29 00:00", "2026-03-29 22:30", "2026-03-29 23:00"}
	spec := func(answer func(*testing.T, *engine.Engine), facts ...[]fact) func(*testing.T) {
		return projectionstest.Given(kpiModels, told(house(), told(facts...))...).Then(answer)
	}
	t.Run("of 23 hours when the clocks go forward", spec(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, map[string]int{"2026-03-28": 30, "2026-03-29": 60, "2026-03-30": 30}, offers(t, e, centre, "2026-03-27", "2026-03-31"))
	}, when("2026-03-01 12:00", starts(ana, centre, 1, night...))))
	t.Run("of 25 hours when they go back", spec(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, map[string]int{"2026-10-24": 30, "2026-10-25": 60, "2026-10-26": 30}, offers(t, e, centre, "2026-10-23", "2026-10-27"))
	}, when("2026-03-01 12:00", starts(ana, centre, 1, "2026-10-24 22:30", "2026-10-24 23:00", "2026-10-25 23:30", "2026-10-26 00:00"))))
	t.Run("each clinic has its own zone", spec(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, map[string]int{"2026-03-28": 60, "2026-03-29": 60}, offers(t, e, harbor, "2026-03-27", "2026-03-31"))
		weeks := figured(t, e, projections.KPIFilter{
			First: "2026-03-23", Last: "2026-04-05", By: projections.KPIDimensions{Week: true, Clinic: true, Practitioner: true},
		})
		minutes := map[projections.KPIGroup]float64{}
		for _, k := range weeks {
			minutes[k.KPIGroup] = k.Utilisation.Offered.Minutes()
		}
		require.InDeltaMapValues(t, map[projections.KPIGroup]float64{
			{Period: "2026-W13", Clinic: centre, Practitioner: ana}: 90, {Period: "2026-W14", Clinic: centre, Practitioner: ana}: 30,
			{Period: "2026-W13", Clinic: harbor, Practitioner: dee}: 120,
		}, minutes, 0)
	}, when("2026-03-01 12:00", starts(ana, centre, 1, night...), starts(dee, harbor, 1, night...))))
	t.Run("a zone that the clinic was in stays that of the days that it was in it", spec(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, map[string]int{"2026-03-04": 30, "2026-03-12": 30}, offers(t, e, centre, "2026-03-01", "2026-03-15"))
	}, when("2026-03-01 12:00", starts(ana, centre, 1, "2026-03-04 23:30"), starts(bo, centre, 1, "2026-03-11 23:30")),
		when("2026-03-08 12:00", on(clinic.Stream(centre), clinic.CalendarSet{Clinic: centre, Zone: "Europe/Madrid"}))))
}

func TestPractitionersCountUnderWhatTheyWereThen(t *testing.T) {
	t.Parallel()
	facts := told(house(), when("2026-03-01 12:00", starts(dee, harbor, 1, "2026-03-04 15:00", "2026-03-11 15:00"), starts(bo, centre, 1, "2026-03-04 15:00")),
		when("2026-03-08 12:00", on(practitioner.Stream(dee), practitioner.Changed{
			Practitioner: dee, Profile: practitioner.Profile{Name: "Dee", Specialties: []string{"surgery"}, Clinics: []domain.ClinicID{harbor}},
		})))
	t.Run("in each of their specialties, or in none", projectionstest.Given(kpiModels, facts...).Then(func(t *testing.T, e *engine.Engine) {
		hours := map[string]float64{}
		for _, k := range figured(t, e, projections.KPIFilter{
			First: "2026-03-02", Last: "2026-03-15", By: projections.KPIDimensions{Week: true, Specialty: true},
		}) {
			hours[k.Period+" "+k.Specialty] = k.Utilisation.Offered.Hours()
		}
		require.InDeltaMapValues(t, map[string]float64{
			"2026-W10 ": 0.5, "2026-W10 dentistry": 0.5, "2026-W10 dermatology": 0.5, "2026-W11 surgery": 0.5,
		}, nonzero(hours), 0)
		only := figured(t, e, projections.KPIFilter{First: "2026-03-02", Last: "2026-03-15", Clinic: harbor, Specialty: "surgery"})
		require.Len(t, only, 1)
		require.InDelta(t, 0.5, only[0].Utilisation.Offered.Hours(), 0)
	}))
}

func nonzero(m map[string]float64) map[string]float64 {
	for k, v := range m {
		if v == 0 {
			delete(m, k)
		}
	}
	return m
}

// one is the only group of the first week of March at the centre.
func one(t *testing.T, e *engine.Engine) projections.KPI {
	t.Helper()
	all := figured(t, e, projections.KPIFilter{First: "2026-03-02", Last: "2026-03-08", Clinic: centre, By: projections.KPIDimensions{Week: true}})
	require.Len(t, all, 1)
	require.Equal(t, projections.KPIGroup{Period: "2026-W10"}, all[0].KPIGroup)
	return all[0]
}

func TestUtilisation(t *testing.T) {
	t.Parallel()
	open := when("2026-03-01 12:00", starts(ana, centre, 1, "2026-03-03 09:00", "2026-03-03 10:00"))
	first, second := visitAt(visitA, ana, centre, 0, "2026-03-03 09:00"), visitAt(visitB, ana, centre, 1, "2026-03-03 10:00")
	session := when("2026-03-01 12:00", starts(ana, centre, 3, "2026-03-03 09:00"))
	again := func(id domain.AppointmentID) []fact { return books(visitAt(id, ana, centre, 0, "2026-03-03 09:00"), 1) }
	spec := func(booked, offered int, facts ...[]fact) func(*testing.T) {
		return projectionstest.Given(kpiModels, told(house(), told(facts...))...).Then(func(t *testing.T, e *engine.Engine) {
			require.Equal(t, projections.Utilisation{
				Offered: time.Duration(offered) * time.Minute, Booked: time.Duration(booked) * time.Minute,
			}, one(t, e).Utilisation)
		})
	}
	t.Run("is booked of offered minutes", spec(30, 60, open, when("2026-03-02 08:00", books(first, 1)...)))
	t.Run("a hold, a request and a cancellation book nothing", spec(0, 60, open,
		when("2026-03-02 08:00", on(appointment.Stream(visitB), appointment.WasProposed{Visit: second, Set: 1, Deadline: moment("2026-03-02 08:10")}),
			requested(second, 1, moment("2026-03-04 08:00"))),
		when("2026-03-02 08:00", books(first, 1)...), when("2026-03-02 09:00", cancels(first, 1))))
	t.Run("a move books the other slot", spec(30, 60, open, when("2026-03-02 08:00", books(first, 1)...),
		when("2026-03-02 09:00", moved(visitAt(visitA, ana, centre, 1, "2026-03-03 10:00"), 2, first))))
	t.Run("what the clinic withdrew was not offered, whoever is in it", spec(30, 30, open, when("2026-03-02 08:00", books(first, 1)...),
		when("2026-03-02 08:00", books(second, 1)...), when("2026-03-02 09:00", on(slot.Stream(second.Slots[0]), slot.Withdrawn{Terms: termsOf(second)}))))
	t.Run("a session is booked for the share of its places", spec(20, 30, session,
		when("2026-03-02 08:00", again(visitA)...), when("2026-03-02 08:00", again(visitB)...)))
	t.Run("overbooking is more than everything", spec(40, 30, session,
		when("2026-03-02 08:00", again(visitA)...), when("2026-03-02 08:00", again(visitB)...), when("2026-03-02 08:00", again(visitC)...),
		when("2026-03-02 09:00", append(again("d0000000-0000-4000-8000-000000000004"),
			on(slot.Stream(first.Slots[0]), slot.Overbooked{Terms: termsOf(first), Places: 4}))...)))
}

func TestFilledCancellations(t *testing.T) {
	t.Parallel()
	v := func(id domain.AppointmentID) appointment.Visit {
		return visitAt(id, ana, centre, 0, "2026-03-03 09:00")
	}
	open := when("2026-03-01 12:00", starts(ana, centre, 1, "2026-03-03 09:00", "2026-03-03 10:00"))
	session := when("2026-03-01 12:00", starts(ana, centre, 3, "2026-03-03 09:00"))
	full := told(when("2026-03-02 08:00", books(v(visitA), 1)...), when("2026-03-02 08:00", books(v(visitB), 1)...))
	a := when("2026-03-02 08:00", books(v(visitA), 1)...)
	gone := when("2026-03-02 09:00", cancels(v(visitA), 1))
	spec := func(filled, freed int, facts ...[]fact) func(*testing.T) {
		return projectionstest.Given(kpiModels, told(house(), told(facts...))...).Then(func(t *testing.T, e *engine.Engine) {
			require.Equal(t, projections.Fill{Freed: freed, Filled: filled}, one(t, e).Fill)
		})
	}
	t.Run("a cancellation frees a place", spec(0, 1, open, a, gone))
	t.Run("whoever books it fills it", spec(1, 1, open, a, gone, when("2026-03-02 10:00", books(v(visitB), 1)...)))
	t.Run("a move into it fills it, too", spec(1, 1, open, a, gone, when("2026-03-02 08:00", books(visitAt(visitB, ana, centre, 1, "2026-03-03 10:00"), 1)...),
		when("2026-03-02 10:00", moved(v(visitB), 2, visitAt(visitB, ana, centre, 1, "2026-03-03 10:00")))))
	t.Run("a hold does not", spec(0, 1, open, a, gone,
		when("2026-03-02 10:00", on(appointment.Stream(visitB), appointment.WasProposed{Visit: v(visitB), Set: 1, Deadline: moment("2026-03-02 10:10")}))))
	t.Run("a cancellation that is taken back frees none", spec(0, 0, open, a, gone, when("2026-03-02 10:00", books(v(visitA), 2)...)))
	t.Run("it may be freed and filled again and again", spec(2, 3, open, a, gone, when("2026-03-02 10:00", books(v(visitB), 1)...),
		when("2026-03-02 11:00", cancels(v(visitB), 1)), when("2026-03-02 12:00", books(v(visitC), 1)...), when("2026-03-02 13:00", cancels(v(visitC), 1))))
	t.Run("a move away is no cancellation", spec(0, 0, open, a,
		when("2026-03-02 10:00", moved(visitAt(visitA, ana, centre, 1, "2026-03-03 10:00"), 2, v(visitA)))))
	t.Run("a cancellation after the beginning frees nothing", spec(0, 0, open, a, when("2026-03-03 09:00", cancels(v(visitA), 1))))
	t.Run("of a slot that the clinic has withdrawn there is no place to fill", spec(0, 0, open, a, gone,
		when("2026-03-02 10:00", on(slot.Stream(v(visitA).Slots[0]), slot.Withdrawn{Terms: termsOf(v(visitA))}))))
	t.Run("places of a session are alike", spec(1, 2, session, full, gone, when("2026-03-02 09:30", cancels(v(visitB), 1)),
		when("2026-03-02 10:00", books(v(visitC), 1)...)))
	t.Run("a place beyond those of the session is none to fill", spec(0, 0, open, a,
		when("2026-03-02 08:30", append(books(v(visitB), 1), on(slot.Stream(v(visitB).Slots[0]), slot.Overbooked{Terms: termsOf(v(visitB)), Places: 2}))...), gone))
}

func TestLeadTimesAndNoShows(t *testing.T) {
	t.Parallel()
	ids := []domain.AppointmentID{visitA, visitB, visitC, "d0000000-0000-4000-8000-000000000004"}
	var instants []string
	for _, hour := range []string{"09", "10", "11", "12"} {
		instants = append(instants, "2026-03-05 "+hour+":00")
	}
	facts := told(house(), when("2026-01-02 00:00", starts(ana, centre, 1, instants...)))
	for i, booked := range slices.Backward([]string{"2026-03-05 08:00", "2026-03-04 23:59", "2026-02-26 11:00", "2026-01-31 12:00"}) {
		facts = append(facts, when(booked, books(visitAt(ids[i], ana, centre, i, instants[i]), 1)...)...)
	}
	v := func(i int) appointment.Visit { return visitAt(ids[i], ana, centre, i, instants[i]) }
	over := moment("2026-03-05 13:00")
	missed := func(i int) fact { return about(v(i), appointment.WasMissed{Visit: v(i), Set: 1, At: over}) }
	came := func(i int) fact { return about(v(i), appointment.HasArrived{Visit: v(i), Set: 1, At: v(i).Start}) }
	spec := func(answer func(t *testing.T, k projections.KPI), more ...fact) func(*testing.T) {
		return projectionstest.Given(kpiModels, told(facts, when("2026-03-05 13:00", more...))...).Then(func(t *testing.T, e *engine.Engine) {
			answer(t, one(t, e))
		})
	}
	const hour = time.Hour
	t.Run("the lead time is from the booking to the start", spec(func(t *testing.T, k projections.KPI) {
		require.Equal(t, projections.Spread{Count: 4, P50: 10*hour + time.Minute, P90: 33 * 24 * hour}, k.Lead)
	}))
	t.Run("whoever has cancelled has none", spec(func(t *testing.T, k projections.KPI) {
		require.Equal(t, projections.Spread{Count: 3, P50: 10*hour + time.Minute, P90: 7 * 24 * hour}, k.Lead)
	}, cancels(v(3), 1)))
	t.Run("a move books anew", spec(func(t *testing.T, k projections.KPI) {
		require.Equal(t, projections.Spread{Count: 4, P50: hour, P90: 7 * 24 * hour}, k.Lead)
	}, about(v(3), appointment.WasBooked{Visit: v(3), Set: 2, Replaces: 1})))
	t.Run("who did not come is counted by the days between booking and visit", spec(func(t *testing.T, k projections.KPI) {
		require.Equal(t, []projections.Band{
			{Name: "0", Visits: 1}, {Name: "1-2", Visits: 1, Missed: 1}, {Name: "3-7", Visits: 1, Missed: 1}, {Name: "31+", Visits: 1},
		}, k.NoShows)
	}, came(0), missed(1), missed(2), came(3)))
	t.Run("of those of whom it is known, as it is known in the end", spec(func(t *testing.T, k projections.KPI) {
		require.Equal(t, []projections.Band{{Name: "1-2", Visits: 1}}, k.NoShows)
	}, missed(1), about(v(1), appointment.WasReverted{Visit: v(1), Set: 1, Status: appointment.Booked, At: over}), came(1)))
}

func TestWaitsOfKPIs(t *testing.T) {
	t.Parallel()
	v := visitAt(visitA, ana, centre, 0, "2026-03-05 09:00")
	came, called, begun := moment("2026-03-05 08:50"), moment("2026-03-05 09:10"), moment("2026-03-05 09:12")
	entry := queue.Entry{
		ID: string(visitA), Ticket: 1, Practitioner: ana, Day: "2026-03-05", Clinic: centre, Appointment: visitA, Due: v.Start, Since: came,
	}
	walkIn := queue.Entry{ID: "w", Ticket: 2, Practitioner: bo, Day: "2026-03-05", Clinic: centre, Since: moment("2026-03-05 09:00")}
	in := func(e queue.Event, of queue.Entry) fact { return on(queue.Stream(of.Practitioner, of.Day), e) }
	arrived := about(v, appointment.HasArrived{Visit: v, Set: 1, At: came})
	joined := in(queue.HasJoined{Entry: entry}, entry)
	call := in(queue.WasCalled{Entry: entry, Desk: "1", Place: 1, At: called}, entry)
	checkedIn := about(v, appointment.WasCheckedIn{Visit: v, Set: 1, At: begun})
	begins := in(queue.HasStarted{Entry: entry, At: begun}, entry)
	spec := func(answer projections.Spread, more ...fact) func(*testing.T) {
		facts := told(house(), when("2026-03-01 00:00", append(books(v, 1), starts(ana, centre, 1, "2026-03-05 09:00"))...), when("2026-03-05 10:00", more...))
		return projectionstest.Given(kpiModels, facts...).Then(func(t *testing.T, e *engine.Engine) { require.Equal(t, answer, one(t, e).Wait) })
	}
	of := func(waits ...time.Duration) projections.Spread {
		return projections.Spread{Count: len(waits), P50: waits[(len(waits)-1)/2], P90: waits[len(waits)-1]}
	}
	t.Run("is from coming to being called", spec(of(20*time.Minute), arrived, joined, call, checkedIn, begins))
	t.Run("or to going in, of whom nobody called", spec(of(22*time.Minute), arrived, joined, checkedIn, begins))
	t.Run("or to going in, without a queue", spec(of(22*time.Minute), arrived, checkedIn))
	t.Run("the first call counts", spec(of(20*time.Minute), arrived, joined, call, in(queue.WasSkipped{Entry: entry, At: called}, entry),
		in(queue.HasReturned{Entry: entry, At: called}, entry), in(queue.WasCalled{Entry: entry, Desk: "1", Place: 1, At: called.Add(time.Hour)}, entry)))
	t.Run("whoever still waits has none", spec(projections.Spread{}, arrived, joined))
	t.Run("nor has who had not come after all", spec(projections.Spread{}, arrived, joined, call,
		about(v, appointment.WasReverted{Visit: v, Set: 1, Status: appointment.Booked, At: called}), in(queue.WasWithdrawn{Entry: entry, At: called}, entry)))
	t.Run("a visit that had not begun after all has not ended the wait", spec(projections.Spread{}, arrived, joined, checkedIn, begins,
		about(v, appointment.WasReverted{Visit: v, Set: 1, Status: appointment.Arrived, At: begun}), in(queue.HasReturned{Entry: entry, At: begun}, entry)))
	t.Run("walk-ins wait, too", spec(of(10*time.Minute, 20*time.Minute), arrived, joined, call, in(queue.HasJoined{Entry: walkIn}, walkIn),
		in(queue.WasCalled{Entry: walkIn, Desk: "2", Place: 1, At: called}, walkIn)))
	there := entry
	there.Practitioner, there.Ticket = bo, 1
	t.Run("who is sent to another queue has waited since they came", spec(of(20*time.Minute), arrived, joined,
		in(queue.HasJoined{Entry: there, From: &queue.Origin{Practitioner: ana, Ticket: 1}}, there),
		in(queue.WasCalled{Entry: there, Desk: "1", Place: 1, At: called}, there)))
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	v, w := visitAt(visitA, ana, centre, 0, "2026-04-05 09:00"), visitAt(visitB, bo, centre, 0, "2026-04-05 09:00")
	asked := when("2026-03-06 08:00", requested(v, 1, moment("2026-03-20 00:00")), requested(w, 1, moment("2026-03-20 00:00")))
	spec := func(answer projections.Requests, more ...[]fact) func(*testing.T) {
		facts := told(house(), when("2026-03-01 00:00", starts(ana, centre, 1, "2026-04-05 09:00"), starts(bo, centre, 1, "2026-04-05 09:00"),
			on(appointment.Stream(visitA), appointment.WasProposed{Visit: v, Set: 1, Deadline: moment("2026-03-01 00:01")}),
			on(appointment.Stream(visitB), appointment.WasProposed{Visit: w, Set: 1, Deadline: moment("2026-03-01 00:01")})), asked, told(more...))
		return projectionstest.Given(kpiModels, facts...).Then(func(t *testing.T, e *engine.Engine) { require.Equal(t, answer, one(t, e).Requests) })
	}
	three := projections.Spread{Count: 1, P50: 72 * time.Hour, P90: 72 * time.Hour}
	t.Run("wait in the week of the request", spec(projections.Requests{Requested: 2}))
	t.Run("take from the request to the approval, also next week", spec(projections.Requests{Requested: 2, Approved: 1, Declined: 1, Approval: three},
		when("2026-03-09 08:00", booked(v, 1), about(w, appointment.WasDeclined{Visit: w, Set: 1}))))
	t.Run("what lapses or is cancelled was not approved", spec(projections.Requests{Requested: 2, Lapsed: 1},
		when("2026-03-09 08:00", cancels(v, 1)), when("2026-03-20 08:00", lapsed(w, 1))))
	t.Run("a later move is no approval", spec(projections.Requests{Requested: 2, Approved: 1, Approval: three},
		when("2026-03-09 08:00", booked(v, 1)), when("2026-03-19 08:00", about(v, appointment.WasBooked{Visit: v, Set: 2, Replaces: 1}))))
}

func TestKeyFiguresAreBounded(t *testing.T) {
	t.Parallel()
	facts := house()
	for _, who := range []domain.PractitionerID{ana, bo, cy} {
		facts = append(facts, when("2026-01-01 00:00", practitionerFact(who, "", []domain.ClinicID{centre}), starts(who, centre, 1, "2027-01-03 09:00"))...)
	}
	e := engineOf(t, kpiModels(nil), facts...)
	ask := func(f projections.KPIFilter) error {
		_, _, err := projections.NewKPIs(e).Figures(t.Context(), f, moment("2027-01-01 00:00"), 0)
		return err
	}
	require.NoError(t, ask(projections.KPIFilter{First: "2026-01-01", Last: "2027-01-06", Clinic: centre}))
	require.NoError(t, ask(projections.KPIFilter{First: "2026-01-01", Last: "2026-02-04"}))
	require.ErrorIs(t, ask(projections.KPIFilter{First: "2026-01-01", Last: "2027-01-07", Clinic: centre}), projections.ErrKPIRange)
	require.ErrorIs(t, ask(projections.KPIFilter{First: "2026-01-01", Last: "2026-02-05"}), projections.ErrKPIRange)
	require.ErrorIs(t, ask(projections.KPIFilter{First: "2026-01-02", Last: "2026-01-01"}), projections.ErrKPIRange)
	by := projections.KPIDimensions{Day: true, Practitioner: true}
	require.NoError(t, ask(projections.KPIFilter{First: "2026-01-01", Last: "2026-11-01", Clinic: centre, By: by}))
	require.ErrorIs(t, ask(projections.KPIFilter{First: "2026-01-01", Last: "2026-12-31", Clinic: centre, By: by}), projections.ErrKPIGroups)
	require.ErrorIs(t, ask(projections.KPIFilter{First: "2026-02-30", Last: "2026-03-01"}), domain.ErrBadDay)
}

func TestWeeks(t *testing.T) {
	t.Parallel()
	for _, day := range []domain.Day{"2026-01-01", "2024-12-30", "2027-01-03", "2026-03-08", "2020-12-31"} {
		monday, err := projections.ParseWeek(projections.WeekOf(day))
		require.NoError(t, err)
		require.Equal(t, time.Monday, monday.Weekday())
		require.True(t, monday <= day && day < monday.Add(7))
	}
	for _, text := range []string{"", "2026", "2026-W00", "2026-W54", "2025-W53", "2026-W1", "2026-W010", "2026-w10", " 2026-W10", "0000-W01"} {
		_, err := projections.ParseWeek(text)
		require.ErrorIs(t, err, projections.ErrBadWeek, text)
	}
}

func TestARowIsShortHoweverOftenASlotIsHeld(t *testing.T) {
	t.Parallel()
	visit := visitAt(visitA, ana, centre, 0, "2026-03-05 09:00")
	facts := told(house(), when("2026-03-01 12:00", starts(ana, centre, 1, "2026-03-05 09:00")))
	for i := range 40 {
		from := moment("2026-03-02 08:00").Add(time.Duration(i) * time.Minute)
		for j, e := range []appointment.Event{
			appointment.WasProposed{Visit: visit, Set: i + 1, Deadline: from.Add(time.Hour)}, appointment.WasReleased{Visit: visit, Set: i + 1},
		} {
			f := about(visit, e)
			f.At = from.Add(time.Duration(j) * 20 * time.Second)
			facts = append(facts, f)
		}
	}
	e := engineOf(t, kpiModels(nil), facts...)
	var changes []int
	require.NoError(t, e.Rows(t.Context(), projections.AvailabilityModel().Schema(), "slot", "slot", func(row json.RawMessage) error {
		var r struct{ Changed []time.Time }
		require.NoError(t, json.Unmarshal(row, &r))
		changes = append(changes, len(r.Changed))
		return nil
	}))
	require.Len(t, changes, 1)
	require.Less(t, changes[0], 8)
}

// engineOf is an engine that has folded the facts.
func engineOf(t *testing.T, models []engine.Model, facts ...fact) *engine.Engine {
	t.Helper()
	codec := eventcodec.New(&eventcodec.MemoryKeys{})
	e := engine.New(engine.Config{
		Pool: projectionstest.Pool(t), Log: projectionstest.Log(t, codec, facts...), Models: models, Owner: "test", Now: time.Now,
	})
	require.NoError(t, e.Prepare(t.Context()))
	require.NoError(t, e.CatchUp(t.Context()))
	return e
}
