// Package schedule is when a practitioner sees people: a weekly pattern of
// wall times for each clinic, and the days that it opened.
//
//	schedule-{practitioner}            Set --> pattern in force
//	schedule-{practitioner}.{utc day}  Open --> opened --Fence--> fenced --Open--> opened, more slots
//
// The pattern is an intent; a day is what was made of it. A slot belongs to
// the UTC day of its start. A slot owns its practitioner's time until it is
// withdrawn and has no live claim, so a day opens new slots only over time
// that no slot owns; what is wanted over owned time waits for the release.
package schedule

import (
	"slices"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of the streams of patterns and days.
const Category = "schedule"

// Stream returns the stream of a practitioner's patterns.
func Stream(id domain.PractitionerID) domain.StreamName { return domain.Stream(Category, string(id)) }

// The limits of a pattern.
const (
	MinSlotMinutes = 5
	MaxSlotMinutes = 24 * 60
	MaxCapacity    = 1000 // places of one slot
	MaxHorizonDays = 365
	MaxIntervals   = 100 // a week
)

// Interval is one stretch of a weekday, in the clinic's wall time.
type Interval struct {
	Weekday     int             `json:"weekday"` // 0 is Sunday
	From        domain.WallTime `json:"from"`    // minutes after midnight
	To          domain.WallTime `json:"to"`
	SlotMinutes int             `json:"slotMinutes"`
	Capacity    int             `json:"capacity"`
	Breaks      []Break         `json:"breaks,omitempty"`
}

// Break is a stretch of an interval in which nobody is seen.
type Break struct {
	From domain.WallTime `json:"from"`
	To   domain.WallTime `json:"to"`
}

// Pattern is the week of a practitioner at one clinic.
type Pattern struct {
	Clinic      domain.ClinicID `json:"clinic"`
	Zone        string          `json:"zone"` // the clinic's, when the pattern was set
	Weekly      []Interval      `json:"weekly"`
	HorizonDays int             `json:"horizonDays"` // days that are open, today included
}

// State is the practitioner's patterns in the order in which they were set:
// where two want the same time, the earlier one has it.
type State struct {
	Practitioner domain.PractitionerID
	Patterns     []Pattern
	Reach        int // days: the longest horizon that any pattern ever had
}

// Command is something to do to a schedule.
//
//sumtype:decl
type Command interface{ command() }

// Set replaces the pattern of one clinic.
type Set struct {
	Practitioner domain.PractitionerID
	Pattern      Pattern
}

func (Set) command() {}

// Event is a fact about a schedule.
//
//sumtype:decl
type Event interface {
	domain.Event
	scheduleEvent()
}

// WasSet says which pattern is in force for one clinic from now on.
type WasSet struct {
	Practitioner domain.PractitionerID `json:"practitioner"`
	Pattern
}

// EventType returns "schedule.set".
func (WasSet) EventType() string { return "schedule.set" }

func (WasSet) scheduleEvent() {}

// The refusals of a schedule.
var (
	ErrInterval   = domain.Refusal(domain.Invalid, "schedule.interval", "an interval ends after it starts and is at least one slot long")
	ErrIntervals  = domain.Refusal(domain.Invalid, "schedule.intervals", "a week has at most 100 intervals")
	ErrDuration   = domain.Refusal(domain.Invalid, "schedule.slot-duration", "a slot lasts from 5 minutes to 24 hours, in whole minutes")
	ErrCapacity   = domain.Refusal(domain.Invalid, "schedule.capacity", "a slot has from 1 to 1000 places")
	ErrBreak      = domain.Refusal(domain.Invalid, "schedule.break", "breaks lie inside their interval, in order, and do not overlap")
	ErrOverlap    = domain.Refusal(domain.Invalid, "schedule.overlap", "two intervals of one weekday overlap")
	ErrHorizon    = domain.Refusal(domain.Invalid, "schedule.horizon", "a horizon is from 1 to 365 days")
	ErrNotFound   = domain.Refusal(domain.NotFound, "schedule.not-found", "the practitioner has no schedule there")
	ErrSlotGone   = domain.Refusal(domain.NotFound, "slot.not-found", "there is no such slot")
	errNotWeekday = ErrInterval.Because("a weekday is a number from 0, Sunday, to 6")
)

// Decide returns what the command does to the schedule.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Set:
		return set(s, c)
	}
	return nil, nil
}

func set(s State, c Set) ([]Event, error) {
	if err := c.Pattern.check(); err != nil {
		return nil, err
	}
	for _, p := range s.Patterns {
		if p.Clinic == c.Pattern.Clinic && p.same(c.Pattern) {
			return nil, nil
		}
	}
	return []Event{WasSet{c.Practitioner, c.Pattern}}, nil
}

func (p Pattern) check() error {
	if p.HorizonDays < 1 || p.HorizonDays > MaxHorizonDays {
		return ErrHorizon
	}
	if len(p.Weekly) > MaxIntervals {
		return ErrIntervals
	}
	if _, err := domain.Zone(p.Zone); err != nil {
		return err
	}
	for i, a := range p.Weekly {
		if err := a.check(); err != nil {
			return err
		}
		for _, b := range p.Weekly[:i] {
			if a.Weekday == b.Weekday && a.From < b.To && b.From < a.To {
				return ErrOverlap
			}
		}
	}
	return nil
}

func (i Interval) check() error {
	switch {
	case i.Weekday < 0 || i.Weekday > 6:
		return errNotWeekday
	case i.SlotMinutes < MinSlotMinutes || i.SlotMinutes > MaxSlotMinutes:
		return ErrDuration
	case i.Capacity < 1 || i.Capacity > MaxCapacity:
		return ErrCapacity
	case i.From < 0 || i.To > 24*60 || int(i.To-i.From) < i.SlotMinutes:
		return ErrInterval
	}
	last := i.From
	for _, b := range i.Breaks {
		if b.From < last || b.To <= b.From || b.To > i.To {
			return ErrBreak
		}
		last = b.To
	}
	return nil
}

func (p Pattern) same(q Pattern) bool {
	return p.Zone == q.Zone && p.HorizonDays == q.HorizonDays &&
		slices.EqualFunc(p.Weekly, q.Weekly, func(a, b Interval) bool {
			return a.Weekday == b.Weekday && a.From == b.From && a.To == b.To && a.SlotMinutes == b.SlotMinutes &&
				a.Capacity == b.Capacity && slices.Equal(a.Breaks, b.Breaks)
		})
}

// Evolve returns the state after the event. A pattern that replaces another
// counts as configured now, so it goes last.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case WasSet:
		s.Practitioner, s.Reach = e.Practitioner, max(s.Reach, e.HorizonDays)
		s.Patterns = slices.DeleteFunc(slices.Clone(s.Patterns), func(p Pattern) bool { return p.Clinic == e.Clinic })
		s.Patterns = append(s.Patterns, e.Pattern)
	}
	return s
}
