package main

import (
	"slices"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// The slots of a practitioner lie in these weeks, on two days of each.
const (
	practiceWeeks = 5 // the first one is over
	practiceDays  = 2 // a week
	practiceADay  = 10
	practiceSlots = practiceWeeks * practiceDays * practiceADay
)

// loadedAt is the time as of which everything is asked: a Wednesday, in the
// second of the weeks.
func loadedAt() time.Time { return time.Date(2027, 3, 10, 10, 0, 0, 0, time.UTC) }

// firstWeek begins on a Monday.
const firstWeek = domain.Day("2027-03-01")

// fact is an event of a stream.
type fact struct {
	stream domain.StreamName
	event  domain.Event
}

// practice is what a practitioner does in the weeks: days, visits, reviews.
type practice struct {
	population
	luck
	id     domain.PractitionerID
	clinic []int
	n      int
	busy   int // percent of the slots that are booked
	facts  []fact
	times  []time.Time // when each fact was recorded
}

// practiceOf returns the facts of the n-th practitioner's weeks, and when they
// were recorded.
func (p population) practiceOf(n int) ([]fact, []time.Time) {
	w := &practice{population: p, luck: chance("practice", n), id: practitionerID(n), clinic: p.worksAt(n), n: n}
	w.busy = 45 + w.IntN(20)
	var slots []schedule.Slot
	for week := range practiceWeeks {
		for day := range practiceDays {
			slots = append(slots, w.open(p.works(n, week, day), w.clinic[(week+day)%len(w.clinic)])...)
		}
	}
	for i, booked := range w.recorded(len(slots)) {
		w.use(slots[i], i, booked)
	}
	return w.facts, w.times
}

// works returns a day of a week on which the n-th practitioner works.
func (p population) works(n, week, day int) domain.Day {
	return firstWeek.Add(7*week + (n/p.clinics+day*2+week)%6)
}

// recorded returns when what became of each slot was recorded, in the 30 days
// before. Popular people are booked later.
func (w *practice) recorded(slots int) []time.Time {
	fresh := 1 + w.IntN(3)
	times := make([]time.Time, slots)
	for i := range times {
		ago := w.Float64()
		for range fresh - 1 {
			ago = min(ago, w.Float64())
		}
		times[i] = loadedAt().Add(-time.Duration(ago * float64(30*24*time.Hour))).Truncate(time.Microsecond)
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

func (w *practice) add(at time.Time, stream domain.StreamName, events ...domain.Event) {
	for _, e := range events {
		w.facts, w.times = append(w.facts, fact{stream, e}), append(w.times, at)
	}
}

// open opens a day at a clinic.
func (w *practice) open(on domain.Day, at int) []schedule.Slot {
	const minutes = 20
	from := domain.WallTime(60 * (8 + w.IntN(6)))
	start := from.On(on, w.zones[w.town(at).Country])
	utc := domain.DayOf(start)
	opened := schedule.DayOpened{Practitioner: w.id, Day: utc}
	for i := range practiceADay {
		began := start.Add(time.Duration(i) * minutes * time.Minute)
		opened.Slots = append(opened.Slots, schedule.Slot{
			ID: schedule.SlotID(w.id, utc, i), Clinic: clinicID(at), Capacity: 1, Period: domain.Period{Start: began, End: began.Add(minutes * time.Minute)},
		})
	}
	w.add(loadedAt().AddDate(0, -1, 0), schedule.DayStream(w.id, utc), opened)
	return opened.Slots
}

// use books a slot, or holds it, or withdraws it, or leaves it free.
func (w *practice) use(s schedule.Slot, i int, at time.Time) {
	v := appointment.Visit{
		Appointment: domain.AppointmentID(domain.NewID("load", "appointment", strconv.Itoa(w.n), strconv.Itoa(i))), Patient: patientID(w.IntN(w.patients)),
		Practitioner: w.id, Clinic: s.Clinic, Slots: []domain.SlotID{s.ID}, Period: s.Period,
	}
	owner, future := appointment.Stream(v.Appointment), s.Start.After(loadedAt())
	proposed := appointment.WasProposed{Visit: v, Set: 1, Claims: []domain.StreamName{slot.Stream(s.ID)}, Deadline: s.Start}
	claimed := slot.Booked{Terms: terms(v), Holder: slot.Holder{Claim: claim.Claim{Owner: owner, Set: 1}, Appointment: v.Appointment, Patient: v.Patient}, Places: 1}
	switch chance := w.IntN(100); {
	case chance < w.busy:
		if w.of(25) {
			proposed.Reason = domain.Open(string(v.Patient), pick(w.luck, reasons))
		}
		w.add(at, owner, proposed, appointment.WasBooked{Visit: v, Set: 1})
		w.add(at, slot.Stream(s.ID), claimed)
		w.outcome(v, claimed, at, future)
	case chance < w.busy+2:
		w.add(at, slot.Stream(s.ID), slot.Withdrawn{Terms: terms(v)})
	case chance < w.busy+5 && future:
		w.tentative(v, proposed, slot.Held(claimed))
	}
}

var reasons = []string{"follow-up", "dor de cabeça", "первичный приём", "정기 검진", "análises", "боль в спине", "예방 접종"}

// outcome says what became of a visit that was booked: those that are over took
// place or did not, and of the others some are cancelled.
func (w *practice) outcome(v appointment.Visit, claimed slot.Booked, at time.Time, future bool) {
	owner := appointment.Stream(v.Appointment)
	switch {
	case future && w.of(6):
		w.add(at, owner, appointment.WasCancelled{Visit: v, Set: 1, Initiator: appointment.ByPatient, At: at})
		w.add(at, slot.Stream(v.Slots[0]), slot.Released{Terms: claimed.Terms, Holder: claimed.Holder})
	case future:
	case w.of(10):
		w.add(v.End, owner, appointment.WasMissed{Visit: v, Set: 1, At: v.End, By: "local"})
	default:
		w.add(v.End, owner,
			appointment.HasArrived{Visit: v, Set: 1, At: v.Start.Add(-10 * time.Minute), By: "local"},
			appointment.WasCheckedIn{Visit: v, Set: 1, At: v.Start, By: "local"}, appointment.WasFulfilled{Visit: v, Set: 1, At: v.End, By: "local"})
		if w.of(40) {
			about := review.Visit{Appointment: v.Appointment, Patient: v.Patient, Practitioner: v.Practitioner, Clinic: v.Clinic}
			stars := review.MaxStars - max(0, w.IntN(7)-2-w.n%3)
			w.add(v.End, review.Stream(v.Appointment), review.WasWritten{Visit: about, Stars: max(1, stars)})
		}
	}
}

// tentative holds a slot, or asks for it; the deadlines of some have passed.
func (w *practice) tentative(v appointment.Visit, proposed appointment.WasProposed, held slot.Held) {
	at := loadedAt().Add(-time.Duration(w.IntN(10)) * time.Minute)
	until := at.Add(5 * time.Minute)
	var settled appointment.Event = appointment.WasHeld{Visit: v, Set: 1, Deadline: until, Ceiling: until}
	if w.of(50) {
		until = loadedAt().Add(24 * time.Hour)
		settled = appointment.WasRequested{Visit: v, Set: 1, Deadline: until}
	}
	proposed.Deadline = until
	owner := appointment.Stream(v.Appointment)
	w.add(at, owner, proposed)
	w.add(at, slot.Stream(v.Slots[0]), held)
	w.add(at, owner, settled)
}
