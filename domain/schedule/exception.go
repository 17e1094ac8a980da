package schedule

import (
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Kind is what differs on a date.
type Kind string

// The kinds of exceptions. An interval belongs to the date on which it begins,
// also where it ends on the next.
const (
	DayOff       Kind = "day-off"       // no interval of the date
	ExtraHours   Kind = "extra-hours"   // intervals beside those of the pattern
	ChangedHours Kind = "changed-hours" // intervals in place of those of the pattern
)

// Reasons are why a practitioner has a day off, or other hours.
var reasons = []string{"regular", "personal", "holiday", "other"}

// Exception is what differs from the patterns on one date of a clinic's
// calendar. A date has at most one for each clinic and one for all; a day off
// for all counts before those of the clinics.
type Exception struct {
	Date      domain.Day      `json:"date"`
	Clinic    domain.ClinicID `json:"clinic,omitempty"` // "" = all, of a day off only
	Kind      Kind            `json:"kind"`             // in a state "" when it was removed
	Reason    string          `json:"reason,omitempty"`
	Intervals []Interval      `json:"intervals,omitempty"` // of extra and changed hours
}

// Block is time in which nobody is seen, whatever the patterns and exceptions
// say.
type Block struct {
	ID string `json:"block"`
	domain.Period
	Reason string `json:"reason,omitempty"`
	Lifted bool   `json:"-"`
}

// The limits of a block.
const (
	MaxBlockDays   = 366
	MaxBlockReason = 500 // bytes
)

// Clinic is what a schedule has adopted of a clinic.
type Clinic struct {
	ID       domain.ClinicID
	Zone     string
	Revision domain.Revision // of the clinic's stream
	Calendar domain.Calendar
}

type (
	// SetException puts an exception in force, in place of the one that the
	// clinic, or all clinics, had on that date.
	SetException struct {
		Practitioner domain.PractitionerID
		Exception    Exception
	}
	// RemoveException takes one away.
	RemoveException struct {
		Practitioner domain.PractitionerID
		Date         domain.Day
		Clinic       domain.ClinicID // "" = the one for all
	}
	// BlockTime closes time.
	BlockTime struct {
		Practitioner domain.PractitionerID
		Block        Block
	}
	// Unblock opens it again.
	Unblock struct {
		Practitioner domain.PractitionerID
		Block        string
	}
	// Adopt makes a clinic's zone and calendar those of the schedule.
	Adopt struct {
		Practitioner domain.PractitionerID
		Clinic       domain.ClinicID
		Zone         string
		Calendar     domain.Calendar
		Revision     domain.Revision // of the clinic
	}
)

type (
	// ExceptionSet says what is different on a date.
	ExceptionSet struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Exception
	}
	// ExceptionRemoved says that the patterns count again on a date.
	ExceptionRemoved struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Date         domain.Day            `json:"date"`
		Clinic       domain.ClinicID       `json:"clinic,omitempty"`
	}
	// Blocked says that time is closed.
	Blocked struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Block
	}
	// Unblocked says that it is closed no longer.
	Unblocked struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Block
	}
	// ClinicAdopted says which zone and calendar of a clinic count from now on.
	ClinicAdopted struct {
		Practitioner domain.PractitionerID `json:"practitioner"`
		Clinic       domain.ClinicID       `json:"clinic"`
		Zone         string                `json:"zone"`
		Revision     domain.Revision       `json:"revision"` // of the clinic's stream
		domain.Calendar
	}
)

// EventType returns "schedule.exception-set".
func (ExceptionSet) EventType() string { return "schedule.exception-set" }

// EventType returns "schedule.exception-removed".
func (ExceptionRemoved) EventType() string { return "schedule.exception-removed" }

// EventType returns "schedule.blocked".
func (Blocked) EventType() string { return "schedule.blocked" }

// EventType returns "schedule.unblocked".
func (Unblocked) EventType() string { return "schedule.unblocked" }

// EventType returns "schedule.clinic-adopted".
func (ClinicAdopted) EventType() string { return "schedule.clinic-adopted" }

// The refusals of exceptions and blocks.
var (
	ErrException   = domain.Refusal(domain.Invalid, "schedule.exception", "a day off has no intervals; extra and changed hours name their clinic and have at least one interval")
	ErrReason      = domain.Refusal(domain.Invalid, "schedule.exception-reason", "a day off has a reason: regular, personal, holiday or other")
	ErrNoException = domain.Refusal(domain.NotFound, "schedule.exception-not-found", "nothing differs on that date")
	ErrBlock       = domain.Refusal(domain.Invalid, "schedule.block", "a block ends after it begins, lasts at most 366 days, and has a reason of up to 500 bytes")
	ErrNoBlock     = domain.Refusal(domain.NotFound, "schedule.block-not-found", "the practitioner has no such block")
)

func setException(s State, c SetException) ([]Event, error) {
	e, err := c.Exception.checked()
	if err != nil {
		return nil, err
	}
	if _, ok := s.Pattern(e.Clinic); !ok && e.Clinic != "" {
		return nil, ErrNotFound
	}
	if old, ok := s.exception(e.Date, e.Clinic); ok && old.same(e) {
		return nil, nil
	}
	return []Event{ExceptionSet{c.Practitioner, e}}, nil
}

// checked returns the exception with its intervals on the date's weekday.
func (e Exception) checked() (Exception, error) {
	if _, err := domain.ParseDay(string(e.Date)); err != nil {
		return e, err
	}
	switch e.Kind {
	case DayOff:
		if len(e.Intervals) > 0 {
			return e, ErrException
		}
	case ExtraHours, ChangedHours:
		if len(e.Intervals) == 0 || e.Clinic == "" {
			return e, ErrException
		}
	default:
		return e, ErrException.Because("an exception is a day off, extra hours or changed hours")
	}
	if !slices.Contains(reasons, e.Reason) && (e.Kind == DayOff || e.Reason != "") {
		return e, ErrReason
	}
	e.Intervals = slices.Clone(e.Intervals)
	for i := range e.Intervals {
		e.Intervals[i].Weekday = int(e.Date.Weekday())
	}
	return e, checkIntervals(e.Intervals)
}

func (e Exception) same(f Exception) bool {
	return e.Kind == f.Kind && e.Reason == f.Reason && slices.EqualFunc(e.Intervals, f.Intervals, Interval.same)
}

func removeException(s State, c RemoveException) ([]Event, error) {
	old, ok := s.exception(c.Date, c.Clinic)
	switch {
	case !ok:
		return nil, ErrNoException
	case old.Kind == "":
		return nil, nil
	}
	return []Event{ExceptionRemoved(c)}, nil
}

// exception returns what was last said of a date and a clinic, a removal
// included.
func (s State) exception(date domain.Day, clinic domain.ClinicID) (Exception, bool) {
	i := slices.IndexFunc(s.Exceptions, func(e Exception) bool { return e.Date == date && e.Clinic == clinic })
	if i < 0 {
		return Exception{}, false
	}
	return s.Exceptions[i], true
}

func without(exceptions []Exception, date domain.Day, clinic domain.ClinicID) []Exception {
	return slices.DeleteFunc(slices.Clone(exceptions), func(e Exception) bool { return e.Date == date && e.Clinic == clinic })
}

func block(s State, c BlockTime) ([]Event, error) {
	b := c.Block
	tooLong := b.End.Sub(b.Start).Hours() > MaxBlockDays*24
	if !b.Start.Before(b.End) || tooLong || domain.Blank(b.Reason) || len(strings.TrimSpace(b.Reason)) > MaxBlockReason {
		return nil, ErrBlock
	}
	if slices.ContainsFunc(s.Blocks, func(x Block) bool { return x.ID == b.ID }) {
		return nil, nil
	}
	b.Start, b.End = b.Start.UTC(), b.End.UTC()
	return []Event{Blocked{c.Practitioner, b}}, nil
}

func unblock(s State, c Unblock) ([]Event, error) {
	i := slices.IndexFunc(s.Blocks, func(b Block) bool { return b.ID == c.Block })
	switch {
	case i < 0:
		return nil, ErrNoBlock
	case s.Blocks[i].Lifted:
		return nil, nil
	}
	return []Event{Unblocked{c.Practitioner, s.Blocks[i]}}, nil
}

// adopt passes over what is older than what was adopted before.
func adopt(s State, c Adopt) []Event {
	known, ok := s.clinic(c.Clinic)
	p, patterned := s.Pattern(c.Clinic)
	same := known.Zone == c.Zone && known.Calendar.Equal(c.Calendar) && (!patterned || p.Zone == c.Zone)
	if ok && (same || c.Revision < known.Revision) || !ok && patterned && p.Zone == c.Zone && c.Calendar.Equal(domain.Calendar{}) {
		return nil
	}
	return []Event{ClinicAdopted{c.Practitioner, c.Clinic, c.Zone, c.Revision, c.Calendar}}
}

// Calendar returns what the schedule has adopted of a clinic's calendar.
func (s State) Calendar(id domain.ClinicID) domain.Calendar {
	c, _ := s.clinic(id)
	return c.Calendar
}

func (s State) clinic(id domain.ClinicID) (Clinic, bool) {
	i := slices.IndexFunc(s.Clinics, func(c Clinic) bool { return c.ID == id })
	if i < 0 {
		return Clinic{}, false
	}
	return s.Clinics[i], true
}

func (s State) adopted(c Clinic) State {
	s.Clinics = slices.DeleteFunc(slices.Clone(s.Clinics), func(x Clinic) bool { return x.ID == c.ID })
	s.Clinics, s.Patterns = append(s.Clinics, c), slices.Clone(s.Patterns)
	for i := range s.Patterns {
		if s.Patterns[i].Clinic == c.ID {
			s.Patterns[i].Zone = c.Zone
		}
	}
	return s
}
