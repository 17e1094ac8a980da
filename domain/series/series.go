// Package series is a visit that comes again: every n weeks at the same wall
// time, whatever the clocks do meanwhile.
//
//	(nothing) --Accept--> accepted: some dates booked, the others refused and why
package series

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of series streams.
const Category = "series"

// Stream returns the stream of a series.
func Stream(id domain.SeriesID) domain.StreamName { return domain.Stream(Category, string(id)) }

// The limits of a recurrence.
const (
	MaxDates = 104 // visits of one series
	MaxWeeks = 52  // from one visit to the next
)

// Recurrence says when: from the first day on, every n weeks at a wall time,
// so often or until a day.
type Recurrence struct {
	First      domain.Day      `json:"first"`
	At         domain.WallTime `json:"at"` // minutes after midnight
	Zone       string          `json:"zone"`
	EveryWeeks int             `json:"everyWeeks"`
	Count      int             `json:"count,omitempty"` // visits; 0 = until the day
	Until      domain.Day      `json:"until,omitempty"` // inclusive; "" = so often
}

// Date is one date of a recurrence.
type Date struct {
	Day     domain.Day
	Start   time.Time
	Skipped bool // the clock does not show the wall time on that day
}

// The refusals of a series.
var (
	ErrRecurrence = domain.Refusal(domain.Invalid, "series.recurrence", "a series comes every 1 to 52 weeks, either 1 to 104 times or until a day, on days written 2026-03-30")
	ErrNoSuchTime = domain.Refusal(domain.Refused, "series.no-such-time", "the clock skips this time on that day")
	ErrExists     = domain.Refusal(domain.Conflict, "series.exists", "a series with this id exists already and says something else")
	ErrNotFound   = domain.Refusal(domain.NotFound, "series.not-found", "there is no such series")
)

// Dates returns the dates in order. A wall time that the clock shows twice is
// its first occurrence; one that it skips is marked. Errors: [ErrRecurrence],
// [domain.ErrBadZone].
func (r Recurrence) Dates() ([]Date, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	zone, err := domain.Zone(r.Zone)
	if err != nil {
		return nil, err
	}
	var dates []Date
	for day := r.First; len(dates) < MaxDates && (r.Count == 0 || len(dates) < r.Count) && (r.Until == "" || day <= r.Until); day = day.Add(7 * r.EveryWeeks) {
		start := r.At.On(day, zone)
		local := start.In(zone)
		shown := domain.LocalDay(start, zone) == day && local.Hour()*60+local.Minute() == int(r.At)
		dates = append(dates, Date{day, start, !shown})
	}
	return dates, nil
}

func (r Recurrence) check() error {
	const day = 24 * 60
	_, bad := domain.ParseDay(string(r.First))
	var badUntil error
	if r.Until != "" {
		_, badUntil = domain.ParseDay(string(r.Until))
	}
	switch {
	case bad != nil, badUntil != nil, r.At < 0, r.At >= day, r.EveryWeeks < 1, r.EveryWeeks > MaxWeeks, r.Count < 0, r.Count > MaxDates:
		return ErrRecurrence
	case (r.Count == 0) == (r.Until == ""), r.Until != "" && r.Until < r.First:
		return ErrRecurrence
	}
	return nil
}

// Visit is a date that was booked.
type Visit struct {
	Day         domain.Day           `json:"day"`
	Start       time.Time            `json:"start"`
	Slot        domain.SlotID        `json:"slot"`
	Appointment domain.AppointmentID `json:"appointment"`
}

// Miss is a date that was refused.
type Miss struct {
	Day   domain.Day `json:"day"`
	Start time.Time  `json:"start"`
	Rule  string     `json:"rule"`
}

// State is the series; the zero value is one that does not exist.
type State struct {
	ID           domain.SeriesID
	Patient      domain.PatientID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Recurrence
	Visits []Visit
	Missed []Miss
}

// Command is something to do to a series.
//
//sumtype:decl
type Command interface{ command() }

// Accept says what became of the dates.
type Accept struct{ Series State }

func (Accept) command() {}

// Event is a fact about a series.
//
//sumtype:decl
type Event interface {
	domain.Event
	seriesEvent()
}

// Accepted says which dates of a series are booked, each an appointment of its
// own from then on, and which were refused.
type Accepted struct {
	Series       domain.SeriesID       `json:"series"`
	Patient      domain.PatientID      `json:"patient"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Clinic       domain.ClinicID       `json:"clinic"`
	Recurrence
	Visits []Visit `json:"visits,omitempty"`
	Missed []Miss  `json:"missed,omitempty"`
}

// EventType returns "series.accepted".
func (Accepted) EventType() string { return "series.accepted" }

func (Accepted) seriesEvent() {}

// Decide returns what the command does to the series.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Accept:
		return accept(s, c.Series)
	}
	return nil, nil
}

func accept(s, n State) ([]Event, error) {
	switch {
	case s.ID == "":
		return []Event{Accepted{n.ID, n.Patient, n.Practitioner, n.Clinic, n.Recurrence, n.Visits, n.Missed}}, nil
	case s.Patient == n.Patient && s.Practitioner == n.Practitioner && s.Recurrence == n.Recurrence && slices.Equal(s.Visits, n.Visits):
		return nil, nil
	}
	return nil, ErrExists
}

// Evolve returns the series after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Accepted:
		s = State{e.Series, e.Patient, e.Practitioner, e.Clinic, e.Recurrence, e.Visits, e.Missed}
	}
	return s
}
