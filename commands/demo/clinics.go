package demo

import (
	"context"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/visittype"
)

// The shape of every year.
const (
	horizon       = 6  // days that are open
	firstPatients = 30 // when the year begins
	practitioners = 4
)

// The clinics, in zones whose clocks change on different days.
const (
	lisbon = iota
	newYork
	clinics
)

// The practitioners.
const (
	silva = iota // by day in Lisbon
	costa        // sessions of three in the morning, visits on approval in the afternoon
	night        // past midnight in New York, also when the clocks change
	guest        // two days in Lisbon, two in New York
)

func (y *year) clinic(n int) domain.ClinicID { return domain.ClinicID(y.id("clinic", n)) }

func (y *year) practitioner(n int) domain.PractitionerID {
	return domain.PractitionerID(y.id("practitioner", n))
}

func everybody(y *year) []domain.PractitionerID {
	ids := make([]domain.PractitionerID, practitioners)
	for n := range ids {
		ids[n] = y.practitioner(n)
	}
	return ids
}

// setUp makes known who and what there is.
func (y *year) setUp(ctx context.Context) error {
	for _, do := range []act{addClinics, addPractitioners, addOffers, firstPolicies, firstSchedules} {
		if err := do(ctx, y); err != nil {
			return err
		}
	}
	for range firstPatients {
		if err := newPatient(ctx, y); err != nil {
			return err
		}
	}
	return look(ctx, y)
}

func addClinics(ctx context.Context, y *year) error {
	for n, p := range []clinic.Profile{
		{Name: "Clínica Aurora", Zone: "Europe/Lisbon", Address: "Rua das Flores 12, Lisboa", Location: &clinic.Location{Latitude: 38.7105, Longitude: -9.1422}},
		{Name: "Harbor Clinic", Zone: "America/New_York", Address: "12 Water Street, New York", Location: &clinic.Location{Latitude: 40.7033, Longitude: -74.0113}},
	} {
		if _, err := y.h.RegisterClinic(ctx, y.request(), clinic.Register{Clinic: y.clinic(n), Profile: p}); err != nil {
			return err
		}
	}
	return nil
}

func addPractitioners(ctx context.Context, y *year) error {
	here, there := y.clinic(lisbon), y.clinic(newYork)
	for n, p := range []practitioner.Profile{
		{Name: "Dr. Inês Silva", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{here}},
		{Name: "Dr. Rui Costa", Specialties: []string{"dermatology"}, Clinics: []domain.ClinicID{here}},
		{Name: "Dr. Grace Hall", Specialties: []string{"emergency"}, Clinics: []domain.ClinicID{there}},
		{Name: "Dr. Noor Haddad", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{here, there}},
	} {
		register := practitioner.Register{Practitioner: y.practitioner(n), Profile: p}
		if _, err := y.h.RegisterPractitioner(ctx, y.request(), register); err != nil {
			return err
		}
	}
	return nil
}

// visitTypes is how many visit types each clinic has; so many rooms, too.
const visitTypes = 2

func (y *year) visitType(clinic, n int) domain.VisitTypeID {
	return domain.VisitTypeID(y.id("visit type", clinic*visitTypes+n))
}

func (y *year) room(clinic, n int) domain.ResourceID {
	return domain.ResourceID(y.id("room", clinic*visitTypes+n))
}

func addOffers(ctx context.Context, y *year) error {
	terms := []visittype.Terms{
		{Name: "Check-up", Duration: 40, BufferAfter: 10, Fee: &visittype.Fee{Amount: 6000, Currency: "EUR"}},
		{Name: "First visit", Duration: 90, BufferBefore: 5},
	}
	for at := range clinics {
		for n, t := range terms {
			define := visittype.Define{VisitType: y.visitType(at, n), Clinic: y.clinic(at), Terms: t}
			if _, err := y.h.DefineVisitType(ctx, y.request(), define); err != nil {
				return err
			}
			kind := []string{resource.Room, resource.Device}[n]
			add := resource.Add{Resource: y.room(at, n), Clinic: y.clinic(at), Kind: kind, Name: "The " + kind}
			if _, err := y.h.AddResource(ctx, y.request(), add); err != nil {
				return err
			}
		}
	}
	return nil
}

func (y *year) setPolicy(ctx context.Context, kind, id string, t policy.Terms) error {
	_, err := y.h.SetPolicy(ctx, y.request(), policy.Set{Scope: policy.Scope{Kind: kind, ID: id}, Terms: t})
	return err
}

func firstPolicies(ctx context.Context, y *year) error {
	if err := y.setPolicy(ctx, policy.OfClinic, string(y.clinic(lisbon)), policy.Terms{
		MinNotice: of(60), CancelBefore: of(120), RescheduleBefore: of(60), Reschedules: of(1), PatientDay: of(1), UndoGrace: of(30),
	}); err != nil {
		return err
	}
	if err := y.setPolicy(ctx, policy.OfClinic, string(y.clinic(newYork)), policy.Terms{HoldTime: of(10), UndoGrace: of(30), PatientActive: of(2)}); err != nil {
		return err
	}
	return y.setPolicy(ctx, policy.OfPractitioner, string(y.practitioner(costa)), policy.Terms{Approval: of(true)})
}

// otherPolicies come into force in the middle of the year.
func otherPolicies(ctx context.Context, y *year) error {
	if err := y.setPolicy(ctx, policy.OfClinic, string(y.clinic(lisbon)), policy.Terms{
		MinNotice: of(30), CancelBefore: of(24 * 60), Reschedules: of(2), PatientDay: of(2), PractitionerDay: of(6), UndoGrace: of(30),
	}); err != nil {
		return err
	}
	return y.setPolicy(ctx, policy.OfVisitType, string(y.visitType(newYork, 1)), policy.Terms{Approval: of(true)})
}

func of[T any](v T) *T { return &v }

// weekly is an interval on several weekdays.
func weekly(i schedule.Interval, on ...time.Weekday) []schedule.Interval {
	all := make([]schedule.Interval, len(on))
	for n, weekday := range on {
		all[n] = i
		all[n].Weekday = int(weekday)
	}
	return all
}

func workdays() []time.Weekday {
	return []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
}

const hour = domain.WallTime(60)

// week returns the pattern of a practitioner at a clinic.
func week(who, at int) []schedule.Interval {
	lunch := []schedule.Break{{From: 12 * hour, To: 13 * hour}}
	day := schedule.Interval{From: 9 * hour, To: 17 * hour, SlotMinutes: 60, Capacity: 1, Breaks: lunch}
	switch {
	case who == silva:
		return weekly(day, append(workdays(), time.Saturday)...)
	case who == costa:
		morning := schedule.Interval{From: 10 * hour, To: 12 * hour, SlotMinutes: 60, Capacity: 3}
		afternoon := schedule.Interval{From: 14 * hour, To: 17 * hour, SlotMinutes: 45, Capacity: 1}
		return append(weekly(morning, workdays()...), weekly(afternoon, workdays()...)...)
	case who == night:
		shift := schedule.Interval{From: 22 * hour, To: 6 * hour, SlotMinutes: 60, Capacity: 1, Breaks: []schedule.Break{{From: 1 * hour, To: 1*hour + 30}}}
		return weekly(shift, time.Saturday, time.Sunday, time.Wednesday)
	case at == lisbon:
		return weekly(day, time.Monday, time.Wednesday)
	}
	return weekly(day, time.Tuesday, time.Thursday)
}

// places returns the clinics of a practitioner.
func places(who int) []int {
	return [][]int{silva: {lisbon}, costa: {lisbon}, night: {newYork}, guest: {lisbon, newYork}}[who]
}

func firstSchedules(ctx context.Context, y *year) error {
	for who := range practitioners {
		for _, at := range places(who) {
			if err := y.setSchedule(ctx, who, at, week(who, at)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (y *year) setSchedule(ctx context.Context, who, at int, intervals []schedule.Interval) error {
	_, opening, err := y.h.SetSchedule(ctx, y.request(), schedule.Set{
		Practitioner: y.practitioner(who), Pattern: schedule.Pattern{Clinic: y.clinic(at), HorizonDays: y.horizon, Weekly: intervals},
	})
	y.displaced(opening)
	return err
}

// otherSchedule is in force from the middle of the year: shorter slots, later
// hours, which displaces who has come to be booked in the morning.
func otherSchedule(ctx context.Context, y *year) error {
	later := schedule.Interval{From: 10 * hour, To: 18 * hour, SlotMinutes: 45, Capacity: 1, Breaks: []schedule.Break{{From: 13 * hour, To: 14 * hour}}}
	if err := y.setSchedule(ctx, silva, lisbon, weekly(later, workdays()...)); err != nil {
		return err
	}
	_, err := y.done("schedule changed", nil)
	return err
}

// plannedEvents are what a clinic decides, at parts of the time that passes.
func plannedEvents(c Config) map[domain.Day][]act {
	days := int(c.Until.Sub(c.First.Start()) / (24 * time.Hour))
	part := func(percent int) domain.Day { return c.First.Add(days * percent / 100) }
	return map[domain.Day][]act{
		part(2):  {calendar(lisbon, domain.Calendar{ClosingDays: closing(part(5), part(30), part(80))})},
		part(20): {calendar(newYork, domain.Calendar{Open24h: true, ClosingDays: closing(part(23), part(60))})},
		part(48): {otherPolicies},
		part(50): {otherSchedule},
		part(70): {calendar(lisbon, domain.Calendar{Hours: opening(8*hour, 16*hour), ClosingDays: closing(part(80), part(90))})},
		part(85): {calendar(lisbon, domain.Calendar{Hours: opening(8*hour, 20*hour), ClosingDays: closing(part(90))})},
	}
}

func closing(days ...domain.Day) []domain.ClosingDay {
	all := make([]domain.ClosingDay, len(days))
	for n, d := range days {
		all[n] = domain.ClosingDay{Day: d, Reason: "public holiday"}
	}
	return all
}

// opening is the same hours on every day but Sunday.
func opening(from, to domain.WallTime) []domain.Hours {
	var all []domain.Hours
	for weekday := time.Monday; weekday <= time.Saturday; weekday++ {
		all = append(all, domain.Hours{Weekday: int(weekday), From: from, To: to})
	}
	return all
}

// calendar has a clinic set its calendar, which the opener has schedules adopt.
func calendar(at int, c domain.Calendar) act {
	return func(ctx context.Context, y *year) error {
		_, err := y.h.SetClinicCalendar(ctx, y.request(), y.clinic(at), clinic.SetCalendar{Calendar: c})
		y.after(time.Second, adopt)
		_, err = y.done("calendar changed", err)
		return err
	}
}

// otherHours makes a date of a practitioner different, and perhaps like others
// again.
func otherHours(ctx context.Context, y *year) error {
	who := y.dice.IntN(practitioners)
	at := places(who)[y.dice.IntN(len(places(who)))]
	e := schedule.Exception{Date: y.today().Add(1 + y.dice.IntN(horizon)), Clinic: y.clinic(at)}
	evening := schedule.Interval{From: 18 * hour, To: 20 * hour, SlotMinutes: 30, Capacity: 1}
	switch y.dice.IntN(3) {
	case 0:
		e.Kind, e.Reason = schedule.DayOff, "personal"
	case 1:
		e.Kind, e.Intervals = schedule.ExtraHours, weekly(evening, e.Date.Weekday())
	default:
		e.Kind, e.Intervals = schedule.ChangedHours, weekly(evening, e.Date.Weekday())
	}
	_, opening, err := y.h.SetException(ctx, y.request(), schedule.SetException{Practitioner: y.practitioner(who), Exception: e})
	y.displaced(opening)
	done, err := y.done(string(e.Kind), err)
	if done && y.chance(30) {
		y.after(time.Hour, func(ctx context.Context, y *year) error {
			remove := schedule.RemoveException{Practitioner: y.practitioner(who), Date: e.Date, Clinic: e.Clinic}
			_, opening, err := y.h.RemoveException(ctx, y.request(), remove)
			y.displaced(opening)
			_, err = y.done("exception removed", err)
			return err
		})
	}
	return err
}

// block closes hours of a practitioner in the days to come, and perhaps opens
// them again.
func block(ctx context.Context, y *year) error {
	who := y.practitioner(y.dice.IntN(practitioners))
	start := y.today().Add(1 + y.dice.IntN(3)).Start().Add(time.Duration(8+y.dice.IntN(8)) * time.Hour)
	b := schedule.Block{
		ID: y.id("block", y.commands), Period: domain.Period{Start: start, End: start.Add(3 * time.Hour)}, Reason: "training",
	}
	_, opening, err := y.h.Block(ctx, y.request(), schedule.BlockTime{Practitioner: who, Block: b})
	y.displaced(opening)
	done, err := y.done("time blocked", err)
	if done && y.chance(30) {
		y.after(2*time.Hour, func(ctx context.Context, y *year) error {
			_, opening, err := y.h.Unblock(ctx, y.request(), schedule.Unblock{Practitioner: who, Block: b.ID})
			y.displaced(opening)
			_, err = y.done("time unblocked", err)
			return err
		})
	}
	return err
}

func (y *year) today() domain.Day { return domain.DayOf(y.Clock.Now()) }

// newPatient registers a patient: alone, as somebody's child, or by mistake a
// second time.
func newPatient(ctx context.Context, y *year) error {
	n := len(y.patients)
	id := domain.PatientID(y.id("patient", n))
	register := patient.Register{
		Patient: id, Name: y.name(), Email: "patient" + strconv.Itoa(n) + "@example.org", Phone: "+351 210 " + strconv.Itoa(100_000+n),
	}
	what := "patient registered"
	if n > 10 && y.chance(20) {
		register.Guardian, what = y.patients[y.dice.IntN(10)], "child registered"
	}
	if _, err := y.h.RegisterPatient(ctx, y.request(), register); err != nil {
		_, err = y.done(what, err)
		return err
	}
	y.patients = append(y.patients, id)
	_, err := y.done(what, nil)
	if err == nil && n > firstPatients && y.chance(10) {
		y.after(time.Hour, func(ctx context.Context, y *year) error {
			_, err := y.h.MergePatient(ctx, y.request(), id, y.patients[n-1])
			_, err = y.done("patients merged", err)
			return err
		})
	}
	return err
}

func (y *year) name() string {
	first := []string{"Ana", "Boris", "Chidi", "Dana", "Elif", "Farid", "Gro", "Hana", "Ivo", "Joana", "Kofi", "Lena", "Minjun", "Nina"}
	last := []string{"Sousa", "Almeida", "Okafor", "Novak", "Yilmaz", "Berg", "Kim", "Rossi", "Silva", "Tanaka", "Usman", "Weber"}
	return first[y.dice.IntN(len(first))] + " " + last[y.dice.IntN(len(last))]
}
