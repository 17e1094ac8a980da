// Package series is a visit that comes again: every n weeks at the same wall
// time, whatever the clocks do meanwhile.
//
//	(nothing) --Accept--> accepted: some dates booked, the others refused and why
//	(nothing) --Propose--> proposed --Book--> booked: every date, at this one commit point
//	                         |   ^
//	            Refuse, Lapse|   |Propose: the next round
//	                         v   |
//	                     refused, lapsed: no date
//
// The dates of a series that is proposed are appointments of their own from
// the beginning, but it is the series that decides what becomes of them. Until
// its deadline only its owner does so, by its own clock; from
// [claim.ClockSlack] after it anybody who is hindered may lapse it.
package series

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
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
	ErrLapsed     = domain.Refusal(domain.Gone, "series.lapsed", "the time to book the series has passed")
	ErrNotDue     = domain.Refusal(domain.Conflict, "series.not-due", "the deadline of the series has not passed yet")
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

// tooFar is a day so late that a series that begins there may end behind the last
// day that can be written.
const tooFar domain.Day = "9800-01-01"

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
	case (r.Count == 0) == (r.Until == ""), r.Until != "" && r.Until < r.First, r.First >= tooFar:
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
	Slots       []domain.SlotID      `json:"slots,omitempty"` // all of them, where the visit takes several
	Set         int                  `json:"set,omitempty"`   // of the appointment, where the series decides it
}

// All returns every slot of the visit.
func (v Visit) All() []domain.SlotID {
	if len(v.Slots) > 0 {
		return v.Slots
	}
	return []domain.SlotID{v.Slot}
}

func (v Visit) same(w Visit) bool {
	return v.Day == w.Day && v.Start.Equal(w.Start) && v.Appointment == w.Appointment && slices.Equal(v.All(), w.All())
}

// Miss is a date that was refused.
type Miss struct {
	Day   domain.Day `json:"day"`
	Start time.Time  `json:"start"`
	Rule  string     `json:"rule"`
}

// Status says how far a series has come.
type Status string

// The statuses, "" being a series that does not exist.
const (
	Reported Status = "accepted" // with a report: each date has been booked or refused
	Proposed Status = "proposed" // to be booked with every date; nothing of it counts as booked
	Booked   Status = "booked"   // with every date
	Refused  Status = "refused"  // a date was lost half-way, and so no date is booked
	Lapsed   Status = "lapsed"   // its deadline passed, and so no date is booked
)

// State is the series; the zero value is one that does not exist.
type State struct {
	ID           domain.SeriesID
	Patient      domain.PatientID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Recurrence
	Visits   []Visit
	Missed   []Miss
	Status   Status
	Deadline time.Time // of what is proposed
	Rule     string    // that ended a series that was refused
}

// Fate returns what has become of an appointment's set that the series decides.
// A set that is not of the last round is dead; of a series that decides nothing
// it is [claim.Unknown].
func (s State) Fate(id domain.AppointmentID, set int) claim.Fate {
	if s.Status == "" || s.Status == Reported {
		return claim.Unknown
	}
	named := slices.ContainsFunc(s.Visits, func(v Visit) bool { return v.Appointment == id && v.Set == set })
	switch {
	case named && s.Status == Proposed:
		return claim.Pending
	case named && s.Status == Booked:
		return claim.Live
	}
	return claim.Dead
}

// Command is something to do to a series.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Accept says what became of the dates.
	Accept struct{ Series State }
	// Propose begins a round of a series that is booked with every date or none.
	Propose struct {
		Series   State
		Deadline time.Time
		At       time.Time
	}
	// Book books every date of what is proposed. All claims are held by then.
	Book struct{ At time.Time }
	// Refuse ends what is proposed: a date was lost half-way.
	Refuse struct{ Rule string }
	// Lapse ends what is proposed once its deadline has passed.
	Lapse struct{ At time.Time }
)

func (Accept) command()  {}
func (Propose) command() {}
func (Book) command()    {}
func (Refuse) command()  {}
func (Lapse) command()   {}

// Event is a fact about a series.
//
//sumtype:decl
type Event interface {
	domain.Event
	seriesEvent()
}

type (
	// Accepted says which dates of a series are booked, each an appointment of its
	// own from then on, and which were refused.
	Accepted struct {
		Series       domain.SeriesID       `json:"series"`
		Patient      domain.PatientID      `json:"patient"`
		Practitioner domain.PractitionerID `json:"practitioner"`
		Clinic       domain.ClinicID       `json:"clinic"`
		Recurrence
		Visits []Visit `json:"visits,omitempty"`
		Missed []Miss  `json:"missed,omitempty"`
	}
	// WasProposed says which appointments a series is about to book, all or none,
	// and until when that may be decided.
	WasProposed struct {
		Series       domain.SeriesID       `json:"series"`
		Patient      domain.PatientID      `json:"patient"`
		Practitioner domain.PractitionerID `json:"practitioner"`
		Clinic       domain.ClinicID       `json:"clinic"`
		Recurrence
		Visits   []Visit   `json:"visits"`
		Deadline time.Time `json:"deadline"`
	}
	// WasBooked says that every date is booked: the commit point of all the
	// appointments.
	WasBooked struct {
		Series domain.SeriesID `json:"series"`
		Visits []Visit         `json:"visits"`
	}
	// WasRefused says that no date is booked because one was lost half-way.
	WasRefused struct {
		Series domain.SeriesID `json:"series"`
		Visits []Visit         `json:"visits"`
		Rule   string          `json:"rule"`
	}
	// HasLapsed says that no date is booked because the deadline passed.
	HasLapsed struct {
		Series domain.SeriesID `json:"series"`
		Visits []Visit         `json:"visits"`
	}
)

// EventType returns "series.accepted".
func (Accepted) EventType() string { return "series.accepted" }

// EventType returns "series.proposed".
func (WasProposed) EventType() string { return "series.proposed" }

// EventType returns "series.booked".
func (WasBooked) EventType() string { return "series.booked" }

// EventType returns "series.refused".
func (WasRefused) EventType() string { return "series.refused" }

// EventType returns "series.lapsed".
func (HasLapsed) EventType() string { return "series.lapsed" }

func (Accepted) seriesEvent()    {}
func (WasProposed) seriesEvent() {}
func (WasBooked) seriesEvent()   {}
func (WasRefused) seriesEvent()  {}
func (HasLapsed) seriesEvent()   {}

// Decide returns what the command does to the series.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Accept:
		return accept(s, c.Series)
	case Propose:
		return propose(s, c)
	case Book:
		return book(s, c)
	case Refuse:
		if s.Status == Proposed {
			return []Event{WasRefused{s.ID, s.Visits, c.Rule}}, nil
		}
	case Lapse:
		return lapse(s, c)
	}
	return nil, nil
}

func accept(s, n State) ([]Event, error) {
	switch {
	case s.ID == "":
		return []Event{Accepted{n.ID, n.Patient, n.Practitioner, n.Clinic, n.Recurrence, n.Visits, n.Missed}}, nil
	case s.Status == Reported && s.wants(n) && slices.EqualFunc(s.Visits, n.Visits, Visit.same):
		return nil, nil
	}
	return nil, ErrExists
}

// wants reports whether both are the same wish.
func (s State) wants(n State) bool {
	return s.Patient == n.Patient && s.Practitioner == n.Practitioner && s.Recurrence == n.Recurrence
}

func propose(s State, c Propose) ([]Event, error) {
	n := c.Series
	proposed := WasProposed{n.ID, n.Patient, n.Practitioner, n.Clinic, n.Recurrence, n.Visits, c.Deadline}
	switch {
	case s.ID == "":
		return []Event{proposed}, nil
	case s.Status == Reported, !s.wants(n):
		return nil, ErrExists
	case s.Status == Booked, s.Status == Proposed && c.At.Before(s.Deadline):
		return nil, nil // it is booked, or on its way
	case s.Status == Proposed:
		return []Event{HasLapsed{s.ID, s.Visits}, proposed}, nil
	}
	return []Event{proposed}, nil
}

func book(s State, c Book) ([]Event, error) {
	switch {
	case s.Status == Booked:
		return nil, nil
	case s.Status == Proposed && c.At.Before(s.Deadline):
		return []Event{WasBooked{s.ID, s.Visits}}, nil
	}
	return nil, ErrLapsed
}

func lapse(s State, c Lapse) ([]Event, error) {
	switch {
	case s.Status != Proposed:
		return nil, nil
	case c.At.Before(s.Deadline.Add(claim.ClockSlack)):
		return nil, ErrNotDue
	}
	return []Event{HasLapsed{s.ID, s.Visits}}, nil
}

// Evolve returns the series after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Accepted:
		s = State{
			ID: e.Series, Patient: e.Patient, Practitioner: e.Practitioner, Clinic: e.Clinic, Recurrence: e.Recurrence,
			Visits: e.Visits, Missed: e.Missed, Status: Reported,
		}
	case WasProposed:
		s = State{
			ID: e.Series, Patient: e.Patient, Practitioner: e.Practitioner, Clinic: e.Clinic, Recurrence: e.Recurrence,
			Visits: e.Visits, Status: Proposed, Deadline: e.Deadline,
		}
	case WasBooked:
		s.Status = Booked
	case WasRefused:
		s.Status, s.Rule = Refused, e.Rule
	case HasLapsed:
		s.Status = Lapsed
	}
	return s
}
