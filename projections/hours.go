package projections

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/projections/engine"
)

// HoursModel returns the read model of when clinics say that they are open, and
// of the weekdays on which practitioners work by their weekly patterns.
func HoursModel() engine.Model {
	return engine.Model{
		Name:    "hours",
		Version: 1,
		Interest: domain.Filter{
			Categories: []string{clinic.Category, schedule.Category},
			Types: []string{
				clinic.Registered{}.EventType(), clinic.Changed{}.EventType(), clinic.CalendarSet{}.EventType(), schedule.WasSet{}.EventType(),
			},
		},
		Tables: []engine.Table{
			engine.NewTable("calendar", calendarDDL, calendarKeys, evolveCalendar),
			engine.NewTable("working_week", workingWeekDDL, workingWeekKeys, evolveWorkingWeek),
			engine.NewTable("zone", zoneDDL, zoneKeys, func(z zoneRow, _ bool, _ domain.Recorded) (zoneRow, bool) { return z, true }),
		},
	}
}

const calendarDDL = `
create table calendar (
	clinic   text collate "C" not null primary key,
	calendar text collate "C" not null
)`

// calendarRow is the calendar of a clinic that is open round the clock or has
// hours; of the others only their slots tell when they are open. Clinics that
// say the same have the same text, so that it is looked at once.
type calendarRow struct {
	Clinic   domain.ClinicID `db:"clinic"`
	Calendar string          `db:"calendar"` // a domain.Calendar as JSON, without reasons
}

func calendarKeys(r domain.Recorded) []string {
	if e, ok := r.Event.(clinic.CalendarSet); ok {
		return []string{string(e.Clinic)}
	}
	return nil
}

func evolveCalendar(c calendarRow, exists bool, r domain.Recorded) (calendarRow, bool) {
	e, ok := r.Event.(clinic.CalendarSet)
	if !ok {
		return c, exists
	}
	said := domain.Calendar{Open24h: e.Open24h, Hours: e.Hours}
	for _, d := range e.ClosingDays {
		said.ClosingDays = append(said.ClosingDays, domain.ClosingDay{Day: d.Day})
	}
	text, _ := json.Marshal(said) // text and numbers
	return calendarRow{e.Clinic, string(text)}, e.Open24h || len(e.Hours) > 0
}

const workingWeekDDL = `
create table working_week (
	week         text collate "C" not null primary key, -- practitioner.clinic
	practitioner text collate "C" not null,
	clinic       text collate "C" not null,
	weekdays     bigint not null,
	valid_until  text collate "C"
);
create index working_week_practitioner on working_week (practitioner, clinic)`

// workingWeekRow is the weekdays of a practitioner at one clinic.
type workingWeekRow struct {
	Week         string                `db:"week"`
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	Weekdays     int                   `db:"weekdays"`    // the bit 1<<n is weekday n, from 0, Sunday
	ValidUntil   domain.Day            `db:"valid_until"` // as in [schedule.Pattern]
}

func workingWeekKeys(r domain.Recorded) []string {
	if e, ok := r.Event.(schedule.WasSet); ok {
		return []string{string(e.Practitioner) + "." + string(e.Clinic)}
	}
	return nil
}

func evolveWorkingWeek(w workingWeekRow, exists bool, r domain.Recorded) (workingWeekRow, bool) {
	e, ok := r.Event.(schedule.WasSet)
	if !ok {
		return w, exists
	}
	days := 0
	for _, i := range e.Weekly {
		days |= weekdayBit(time.Weekday(i.Weekday))
		if i.To.Following(i.From) > 24*60 {
			days |= weekdayBit(time.Weekday((i.Weekday + 1) % 7))
		}
	}
	return workingWeekRow{string(e.Practitioner) + "." + string(e.Clinic), e.Practitioner, e.Clinic, days, e.ValidUntil}, true
}

func weekdayBit(d time.Weekday) int { return 1 << d }

const zoneDDL = `
create table zone (
	zone text collate "C" not null primary key
)`

// zoneRow is a zone that a clinic has, or had.
type zoneRow struct {
	Zone string `db:"zone"`
}

func zoneKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case clinic.Registered:
		return key(e.Zone)
	case clinic.Changed:
		return key(e.Zone)
	case clinic.CalendarSet:
		return key(e.Zone)
	}
	return nil
}

// calendarsQuery gives every calendar that any clinic has, in its zone, with
// the clinics that have it.
const calendarsQuery = `
select c.zone, h.calendar, array_agg(c.clinic)
from calendar h
join clinic c on c.clinic = h.clinic and not c.closed
group by c.zone, h.calendar`

// openClinics returns the clinics that say that they are open at an instant.
// The rule is the calendar's own, so it is asked here and not in SQL.
func openClinics(ctx context.Context, r engine.Reader, at time.Time) ([]string, error) {
	rows, err := r.Query(ctx, calendarsQuery)
	if err != nil {
		return nil, err
	}
	open := []string{}
	var zone, said string
	var clinics []string
	_, err = pgx.ForEachRow(rows, []any{&zone, &said, &clinics}, func() error {
		is, err := isOpen(zone, said, at)
		if is {
			open = append(open, clinics...)
		}
		return err
	})
	return open, err
}

func isOpen(zone, said string, at time.Time) (bool, error) {
	var c domain.Calendar
	if err := json.Unmarshal([]byte(said), &c); err != nil {
		return false, err
	}
	where, err := domain.Zone(zone)
	if err != nil {
		return false, err
	}
	day := domain.LocalDay(at, where)
	for _, p := range c.Openings(day, day, where) {
		if !at.Before(p.Start) && at.Before(p.End) {
			return true, nil
		}
	}
	return false, nil
}
