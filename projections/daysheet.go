package projections

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections/engine"
)

// DayKind says what an entry of a day sheet is.
type DayKind string

// The kinds. A slot of several places is free while a place can be had; then
// it is held, or booked once every place is taken for good.
const (
	DayFree      DayKind = "free"
	DayHeld      DayKind = "held"      // kept for a while, or about to be booked
	DayRequested DayKind = "requested" // it waits for approval
	DayBooked    DayKind = "booked"
	DayDisplaced DayKind = "displaced" // booked, and the clinic has withdrawn the slot
	DayBlocked   DayKind = "blocked"   // withdrawn, and nobody is in it
)

// DayEntry is a slot of a practitioner's day, an appointment in it, or both: a
// slot of one place is one entry with its appointment; a slot of several places
// is one entry without, and one for each appointment.
type DayEntry struct {
	Kind   DayKind
	Slot   domain.SlotID
	Clinic domain.ClinicID
	Zone   string // the clinic's, an IANA name; empty while the clinic is unknown
	domain.Period
	Places      int // of the slot; 0 in the entry of an appointment in a slot of several
	Free        int // of Places, those that can be had
	Appointment domain.AppointmentID
	Patient     domain.PatientID   // empty for a hold of nobody yet
	VisitType   string             // "" when it has none
	Status      appointment.Status // "" where there is no appointment
	ExpectedAt  time.Time          // the patient's turn in a session; else zero
	Deadline    time.Time          // of what is held or requested; else zero
	Overbooked  bool
}

// DaySheet is a practitioner's day.
type DaySheet struct {
	Entries  []DayEntry      // by start, slot, turn and appointment; a slot of several places before its appointments
	Position domain.Position // that the entries reflect
}

// DayFilter says which day.
type DayFilter struct {
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID // "" = every clinic
	Day          domain.Day      // of the calendar of each clinic
	// AsOf, when not nil, is where the log ended: the day is as it was then.
	AsOf *domain.Position
}

// DaySheets answers what a practitioner's day looks like.
type DaySheets struct {
	views   Viewer
	streams Streams // nil = nobody asks for days as they were
}

// NewDaySheets returns the queries over the models availability, appointments
// and directory.
func NewDaySheets(v Viewer) DaySheets { return DaySheets{views: v} }

// WithPast returns the queries with days as they were, too, which are folded out
// of the streams.
func (d DaySheets) WithPast(streams Streams) DaySheets {
	d.streams = streams
	return d
}

// dayRow is a slot of the day with one of the appointments in it, if there is any.
type dayRow struct {
	Slot
	dayVisit
}

// dayVisit is an appointment in one of its slots.
type dayVisit struct {
	InSlot      domain.SlotID
	Appointment domain.AppointmentID // "" = none
	Patient     domain.PatientID
	VisitType   string
	VisitStatus appointment.Status
	Listed      bool // once requested or booked: what is pending then is a request
	Displaced   bool
	ExpectedAt  time.Time
	Deadline    time.Time
	Overbooked  bool
}

// dayQuery gives the slots of a practitioner's day and who is in them, by way of
// the slots' claims: a visit may take slots of several practitioners. A hold or
// request whose deadline has passed by ClockSlack is no more: @expired is that
// much before the time.
const dayQuery = `
select s.*, s.id as in_slot, coalesce(v.appointment, '') as appointment, coalesce(v.patient, '') as patient, coalesce(v.visit_type, '') as visit_type,
	coalesce(v.status, '') as visit_status, coalesce(v.listed, false) as listed, coalesce(v.displaced, false) as displaced,
	coalesce(v.expected_at, '0001-01-01T00:00:00Z') as expected_at, coalesce(v.deadline, '0001-01-01T00:00:00Z') as deadline,
	coalesce(v.overbooked, false) as overbooked
from (` + slotQuery + ofDay + `
) s
left join (
	select distinct s.slot as in_slot, a.appointment, a.patient, a.visit_type, a.status, a.listed, a.displaced, a.expected_at, a.deadline, a.overbooked
	from slot s
	cross join lateral unnest(s.taken_by) as claim (owner)
	join appointment a on a.appointment = substr(split_part(claim.owner, '/', 1), length(@category) + 2)
	where s.slot = any(a.slots)` + ofDay + `
		and (a.status in ('booked', 'arrived', 'checked-in', 'fulfilled', 'noshow') or a.status = 'pending' and a.deadline > @expired)
) v on v.in_slot = s.id
order by s.start, s.id`

const ofDay = `
	and s.practitioner = @practitioner
	and s.start >= @from
	and s.start < @to
	and (@clinic = '' or s.clinic = @clinic)`

// widest is more than any zone is from UTC.
const widest = 26 * time.Hour

// Day returns the slots that start on the day and who is in them, as they are
// at an instant.
func (d DaySheets) Day(ctx context.Context, f DayFilter, now time.Time, least domain.Position) (DaySheet, error) {
	args := slotArguments(now)
	args["practitioner"], args["clinic"], args["category"] = f.Practitioner, f.Clinic, appointment.Category
	args["from"], args["to"] = f.Day.Start().Add(-widest), f.Day.Add(1).Start().Add(widest)
	var found []dayRow
	was, err := d.past(ctx, f.AsOf, args, least)
	if err != nil {
		return DaySheet{}, fmt.Errorf("day sheet: %w", err)
	}
	at, err := was.view(ctx, d.views, least, []string{"availability", "appointments", "directory"}, func(r engine.Reader) error {
		rows, err := r.Last(ctx, dayQuery, args)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[dayRow])
		return err
	})
	if err != nil {
		return DaySheet{}, fmt.Errorf("day sheet: %w", err)
	}
	var slots []Slot
	var visits []dayVisit
	for i, row := range found {
		if i == 0 || row.ID != found[i-1].ID {
			slots = append(slots, row.inUTC())
		}
		if row.Appointment != "" {
			visits = append(visits, row.dayVisit)
		}
	}
	slots, err = startingOn(slots, f.Day)
	return DaySheet{sheet(slots, visits), at}, err
}

// startingOn returns the slots that start on a calendar day of their clinic's
// zone, which is taken for UTC while the clinic is unknown.
func startingOn(slots []Slot, day domain.Day) ([]Slot, error) {
	var on []Slot
	zones := map[string]*time.Location{"": time.UTC}
	for _, s := range slots {
		zone, known := zones[s.Zone]
		if !known {
			var err error
			if zone, err = domain.Zone(s.Zone); err != nil {
				return nil, fmt.Errorf("day sheet: %w", err)
			}
			zones[s.Zone] = zone
		}
		if domain.LocalDay(s.Start, zone) == day {
			on = append(on, s)
		}
	}
	return on, nil
}

// byTurn orders visits by their turn; those that have none, such as who was taken
// in beyond the places, come last.
func byTurn(a, b dayVisit) int {
	none := func(v dayVisit) int { // 1 when the visit has no turn
		if v.ExpectedAt.IsZero() {
			return 1
		}
		return 0
	}
	return cmp.Or(none(a)-none(b), a.ExpectedAt.Compare(b.ExpectedAt), cmp.Compare(a.Appointment, b.Appointment))
}

// sheet makes the entries of slots that are in order.
func sheet(slots []Slot, visits []dayVisit) []DayEntry {
	slices.SortFunc(visits, byTurn)
	in := map[domain.SlotID][]dayVisit{}
	for _, v := range visits {
		in[v.InSlot] = append(in[v.InSlot], v)
	}
	entries := []DayEntry{}
	for _, s := range slots {
		entry := DayEntry{Kind: kindOf(s, in[s.ID]), Slot: s.ID, Clinic: s.Clinic, Zone: s.Zone, Period: s.Period, Places: s.Places, Free: s.Free}
		if s.Places == 1 && len(in[s.ID]) == 1 {
			entries = append(entries, in[s.ID][0].on(entry))
			continue
		}
		entries = append(entries, entry)
		for _, v := range in[s.ID] {
			entry.Places, entry.Free = 0, 0
			entries = append(entries, v.on(entry))
		}
	}
	return entries
}

// kindOf returns what a slot is, those in it being told apart elsewhere.
func kindOf(s Slot, in []dayVisit) DayKind {
	switch {
	case s.Status == BusyUnavailable && len(in) == 0:
		return DayBlocked
	case s.Status == BusyUnavailable:
		return DayDisplaced
	case s.Free > 0:
		return DayFree
	case s.Status == Busy && len(in) > 0:
		return DayBooked
	}
	return DayHeld
}

// on returns the entry of the visit in a slot.
func (v dayVisit) on(e DayEntry) DayEntry {
	e.Kind = DayBooked
	switch {
	case v.VisitStatus == appointment.Pending && v.Listed:
		e.Kind = DayRequested
	case v.VisitStatus == appointment.Pending:
		e.Kind = DayHeld
	case v.Displaced && (v.VisitStatus == appointment.Booked || v.VisitStatus == appointment.Arrived):
		e.Kind = DayDisplaced
	}
	e.Appointment, e.Patient, e.VisitType, e.Status, e.Overbooked = v.Appointment, v.Patient, v.VisitType, v.VisitStatus, v.Overbooked
	if !v.ExpectedAt.IsZero() {
		e.ExpectedAt = v.ExpectedAt.UTC()
	}
	if v.VisitStatus == appointment.Pending {
		e.Deadline = v.Deadline.UTC()
	}
	return e
}
