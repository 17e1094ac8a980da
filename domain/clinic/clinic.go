// Package clinic is a place where people are seen, in one time zone, on the days
// and at the hours of its calendar.
//
//	(nothing) --Register--> registered --SetCalendar--> registered, other zone or hours
package clinic

import (
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of clinic streams.
const Category = "clinic"

// Stream returns the stream of a clinic.
func Stream(id domain.ClinicID) domain.StreamName { return domain.Stream(Category, string(id)) }

// Profile is what a clinic says of itself.
type Profile struct {
	Name     string    `json:"name"`
	Zone     string    `json:"zone"` // IANA name
	Address  string    `json:"address,omitempty"`
	Location *Location `json:"location,omitempty"`
}

// Location is a place on Earth in WGS 84 degrees: latitude -90 to 90,
// longitude -180 to 180.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// State is the clinic; the zero value is one that does not exist.
type State struct {
	ID         domain.ClinicID
	Profile            // the zone is the one in force
	Registered Profile // as it was registered: what a repeat says
	Calendar   domain.Calendar
}

// The limits of a calendar.
const (
	MaxHours       = 100  // stretches of a week
	MaxClosingDays = 1000 // dates
	MaxReason      = 200  // bytes
)

// Command is something to do to a clinic.
//
//sumtype:decl
type Command interface{ command() }

// Register makes a clinic known.
type Register struct {
	Clinic  domain.ClinicID
	Profile Profile
}

// SetCalendar replaces when the clinic is open, and its zone.
type SetCalendar struct {
	Zone     string // IANA name; "" keeps the zone
	Calendar domain.Calendar
}

func (Register) command()    {}
func (SetCalendar) command() {}

// Event is a fact about a clinic.
//
//sumtype:decl
type Event interface {
	domain.Event
	clinicEvent()
}

// Registered says that a clinic is known.
type Registered struct {
	Clinic domain.ClinicID `json:"clinic"`
	Profile
}

// EventType returns "clinic.registered".
func (Registered) EventType() string { return "clinic.registered" }

// CalendarSet says when the clinic is open from now on, and in which zone.
type CalendarSet struct {
	Clinic domain.ClinicID `json:"clinic"`
	Zone   string          `json:"zone"`
	domain.Calendar
}

// EventType returns "clinic.calendar-set".
func (CalendarSet) EventType() string { return "clinic.calendar-set" }

func (Registered) clinicEvent()  {}
func (CalendarSet) clinicEvent() {}

// The refusals of a clinic.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "clinic.not-found", "there is no such clinic")
	ErrExists   = domain.Refusal(domain.Conflict, "clinic.exists", "a clinic with this id exists already and says something else")
	ErrNoName   = domain.Refusal(domain.Invalid, "clinic.name", "a clinic has a name")
	ErrLocation = domain.Refusal(domain.Invalid, "clinic.location", "a latitude lies between -90 and 90, a longitude between -180 and 180")

	ErrHours       = domain.Refusal(domain.Invalid, "clinic.hours", "opening hours name a weekday, begin before 24:00 and end by 24:00, of the next day when they end at or before their start; a week has at most 100")
	ErrOverlap     = domain.Refusal(domain.Invalid, "clinic.hours-overlap", "opening hours of a week do not overlap, past midnight neither")
	ErrOpen24h     = domain.Refusal(domain.Invalid, "clinic.open-24h", "a clinic is open round the clock or has opening hours, not both")
	ErrClosingDays = domain.Refusal(domain.Invalid, "clinic.closing-days", "closing days are at most 1000 different dates, each with a reason of up to 200 bytes")
)

// Decide returns what the command does to the clinic.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	case SetCalendar:
		return setCalendar(s, c)
	}
	return nil, nil
}

func register(s State, c Register) ([]Event, error) {
	if strings.TrimSpace(c.Profile.Name) == "" {
		return nil, ErrNoName
	}
	if _, err := domain.Zone(c.Profile.Zone); err != nil {
		return nil, err
	}
	if l := c.Profile.Location; l != nil && !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180) {
		return nil, ErrLocation
	}
	switch {
	case s.ID == "":
		return []Event{Registered{c.Clinic, c.Profile}}, nil
	case s.Registered.same(c.Profile):
		return nil, nil
	}
	return nil, ErrExists
}

func (p Profile) same(q Profile) bool {
	located := (p.Location == nil) == (q.Location == nil) && (p.Location == nil || *p.Location == *q.Location)
	return located && p.Name == q.Name && p.Zone == q.Zone && p.Address == q.Address
}

func setCalendar(s State, c SetCalendar) ([]Event, error) {
	if s.ID == "" {
		return nil, ErrNotFound
	}
	if c.Zone == "" {
		c.Zone = s.Zone
	}
	if _, err := domain.Zone(c.Zone); err != nil {
		return nil, err
	}
	if err := check(c.Calendar); err != nil {
		return nil, err
	}
	c.Calendar.ClosingDays = slices.SortedFunc(slices.Values(c.Calendar.ClosingDays), byDay)
	if c.Zone == s.Zone && c.Calendar.Equal(s.Calendar) {
		return nil, nil
	}
	return []Event{CalendarSet{s.ID, c.Zone, c.Calendar}}, nil
}

func byDay(a, b domain.ClosingDay) int { return strings.Compare(string(a.Day), string(b.Day)) }

func check(c domain.Calendar) error {
	if c.Open24h && len(c.Hours) > 0 {
		return ErrOpen24h
	}
	if len(c.Hours) > MaxHours {
		return ErrHours
	}
	for i, h := range c.Hours {
		if !h.Valid() {
			return ErrHours
		}
		if slices.ContainsFunc(c.Hours[:i], h.Overlaps) {
			return ErrOverlap
		}
	}
	return checkClosing(c.ClosingDays)
}

func checkClosing(days []domain.ClosingDay) error {
	if len(days) > MaxClosingDays {
		return ErrClosingDays
	}
	seen := map[domain.Day]bool{}
	for _, d := range days {
		if _, err := domain.ParseDay(string(d.Day)); err != nil {
			return err
		}
		if reason := strings.TrimSpace(d.Reason); seen[d.Day] || reason == "" || len(reason) > MaxReason {
			return ErrClosingDays
		}
		seen[d.Day] = true
	}
	return nil
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Clinic, Profile: e.Profile, Registered: e.Profile}
	case CalendarSet:
		s.Zone, s.Calendar = e.Zone, e.Calendar
	}
	return s
}
