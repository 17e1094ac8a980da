// Package schedule is when a practitioner sees people: a weekly pattern of
// wall times for each clinic, what differs from it on single dates, and the
// days that came out of them.
//
//	schedule-{practitioner}            Set --> pattern in force
//	                                   SetException --> other hours on a date --RemoveException--> as the pattern says
//	                                   Block --> nobody is seen --Unblock--> as before
//	                                   Adopt --> the clinic's calendar and zone in force
//	schedule-{practitioner}.{utc day}  Open --> opened --Fence--> fenced --Open--> opened, more slots
//
// The schedule is an intent; a day is what was made of it. A slot belongs to
// the UTC day of its start. A slot owns its practitioner's time until it is
// withdrawn and has no live claim, so a day opens new slots only over time
// that no slot owns; what is wanted over owned time waits for the release. A
// withdrawn slot that is occupied and wanted again exactly is taken back.
//
// Days are ordered by the revision of the schedule's own stream. So what a
// clinic decides, its zone and its calendar, counts for a practitioner from
// the event on by which the schedule adopts it.
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

// Interval is one stretch of a weekday, in the clinic's wall time. One that
// ends at or before its start ends on the next day; so do its breaks.
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
	Zone        string          `json:"zone"` // the clinic's; in a state the one in force
	Weekly      []Interval      `json:"weekly"`
	HorizonDays int             `json:"horizonDays"`          // days that are open, today included
	ValidFrom   domain.Day      `json:"validFrom,omitempty"`  // the clinic's date from which the week counts; "" = always
	ValidUntil  domain.Day      `json:"validUntil,omitempty"` // the last such date; "" = no end
}

// State is the practitioner's patterns in the order in which they were set:
// where two want the same time, the earlier one has it.
type State struct {
	Practitioner domain.PractitionerID
	Patterns     []Pattern
	Reach        int         // days: the longest horizon that any pattern ever had
	Exceptions   []Exception // in the order in which they were set, those removed included
	Blocks       []Block     // in the order in which they were made, those lifted included
	Clinics      []Clinic    // what was adopted of the clinics
	changes      changes
}

// Command is something to do to a schedule.
//
//sumtype:decl
type Command interface{ command() }

// Set replaces the pattern of one clinic.
type Set struct {
	Practitioner domain.PractitionerID
	Pattern      Pattern
	Calendar     domain.Calendar // the clinic's
	Revision     domain.Revision // of the clinic, that the zone and the calendar are of
}

func (Set) command()             {}
func (Adopt) command()           {}
func (SetException) command()    {}
func (RemoveException) command() {}
func (BlockTime) command()       {}
func (Unblock) command()         {}

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

func (WasSet) scheduleEvent()           {}
func (ClinicAdopted) scheduleEvent()    {}
func (ExceptionSet) scheduleEvent()     {}
func (ExceptionRemoved) scheduleEvent() {}
func (Blocked) scheduleEvent()          {}
func (Unblocked) scheduleEvent()        {}

// The refusals of a schedule.
var (
	ErrInterval   = domain.Refusal(domain.Invalid, "schedule.interval", "an interval begins before 24:00, ends by 24:00, of the next day when it ends at or before its start, and is at least one slot long")
	ErrIntervals  = domain.Refusal(domain.Invalid, "schedule.intervals", "a week has at most 100 intervals")
	ErrDuration   = domain.Refusal(domain.Invalid, "schedule.slot-duration", "a slot lasts from 5 minutes to 24 hours, in whole minutes")
	ErrCapacity   = domain.Refusal(domain.Invalid, "schedule.capacity", "a slot has from 1 to 1000 places")
	ErrBreak      = domain.Refusal(domain.Invalid, "schedule.break", "breaks lie inside their interval, in order, and do not overlap")
	ErrValidity   = domain.Refusal(domain.Invalid, "schedule.validity", "a schedule is valid until the day on which its validity begins, or a later one")
	ErrOverlap    = domain.Refusal(domain.Invalid, "schedule.overlap", "two intervals of a week overlap, one past midnight perhaps")
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
	case Adopt:
		return adopt(s, c), nil
	case SetException:
		return setException(s, c)
	case RemoveException:
		return removeException(s, c)
	case BlockTime:
		return block(s, c)
	case Unblock:
		return unblock(s, c)
	}
	return nil, nil
}

// set adopts what the clinic says first, where that is news, so that a first
// pattern is the first thing that any day was opened for.
func set(s State, c Set) ([]Event, error) {
	if err := c.Pattern.check(); err != nil {
		return nil, err
	}
	p := c.Pattern
	old, patterned := s.Pattern(p.Clinic)
	known, adopted := s.clinic(p.Clinic)
	var events []Event
	if patterned || adopted || !c.Calendar.Equal(domain.Calendar{}) {
		events = adopt(s, Adopt{c.Practitioner, p.Clinic, p.Zone, c.Calendar, c.Revision})
	}
	switch {
	case len(events) > 0:
		old.Zone = p.Zone
	case adopted:
		p.Zone = known.Zone // the caller has seen an older one
	}
	if !patterned || !old.same(p) {
		events = append(events, WasSet{c.Practitioner, p})
	}
	return events, nil
}

// Pattern returns the pattern of one clinic.
func (s State) Pattern(id domain.ClinicID) (Pattern, bool) {
	i := slices.IndexFunc(s.Patterns, func(p Pattern) bool { return p.Clinic == id })
	if i < 0 {
		return Pattern{}, false
	}
	return s.Patterns[i], true
}

func (p Pattern) check() error {
	if p.HorizonDays < 1 || p.HorizonDays > MaxHorizonDays {
		return ErrHorizon
	}
	if _, err := domain.Zone(p.Zone); err != nil {
		return err
	}
	for _, d := range []domain.Day{p.ValidFrom, p.ValidUntil} {
		if _, err := domain.ParseDay(string(d)); err != nil && d != "" {
			return err
		}
	}
	if p.ValidUntil != "" && p.ValidUntil < p.ValidFrom {
		return ErrValidity
	}
	return checkIntervals(p.Weekly)
}

func checkIntervals(intervals []Interval) error {
	if len(intervals) > MaxIntervals {
		return ErrIntervals
	}
	for i, a := range intervals {
		if err := a.check(); err != nil {
			return err
		}
		for _, b := range intervals[:i] {
			if a.hours().Overlaps(b.hours()) {
				return ErrOverlap
			}
		}
	}
	return nil
}

func (i Interval) hours() domain.Hours {
	return domain.Hours{Weekday: i.Weekday, From: i.From, To: i.To}
}

func (i Interval) check() error {
	switch {
	case i.Weekday < 0 || i.Weekday > 6:
		return errNotWeekday
	case i.SlotMinutes < MinSlotMinutes || i.SlotMinutes > MaxSlotMinutes:
		return ErrDuration
	case i.Capacity < 1 || i.Capacity > MaxCapacity:
		return ErrCapacity
	case !i.hours().Valid() || int(i.end()-i.From) < i.SlotMinutes:
		return ErrInterval
	}
	last := i.From
	for _, b := range i.Breaks {
		from, to := i.pause(b)
		if b.From == b.To || from < last || to > i.end() {
			return ErrBreak
		}
		last = to
	}
	return nil
}

// end returns when the interval ends, beyond 24:00 when that is on the next day.
func (i Interval) end() domain.WallTime { return i.To.Following(i.From) }

// pause returns when a break begins and ends, beyond 24:00 on the next day.
func (i Interval) pause(b Break) (from, to domain.WallTime) {
	from = b.From
	if from < i.From {
		from += 24 * 60
	}
	to = b.To
	for to <= from {
		to += 24 * 60
	}
	return from, to
}

func (p Pattern) same(q Pattern) bool {
	return p.Zone == q.Zone && p.HorizonDays == q.HorizonDays && p.ValidFrom == q.ValidFrom && p.ValidUntil == q.ValidUntil &&
		slices.EqualFunc(p.Weekly, q.Weekly, Interval.same)
}

func (i Interval) same(j Interval) bool {
	return i.hours() == j.hours() && i.SlotMinutes == j.SlotMinutes && i.Capacity == j.Capacity && slices.Equal(i.Breaks, j.Breaks)
}

// Evolve returns the state after the event. A pattern that replaces another
// counts as configured now, so it goes last.
func Evolve(s State, e Event) State {
	s.changes = s.changes.next(s, e)
	switch e := e.(type) {
	case WasSet:
		s.Practitioner, s.Reach = e.Practitioner, max(s.Reach, e.HorizonDays)
		s.Patterns = slices.DeleteFunc(slices.Clone(s.Patterns), func(p Pattern) bool { return p.Clinic == e.Clinic })
		s.Patterns = append(s.Patterns, e.Pattern)
	case ClinicAdopted:
		s.Practitioner = e.Practitioner
		s = s.adopted(Clinic{e.Clinic, e.Zone, e.Revision, e.Calendar})
	case ExceptionSet:
		s.Practitioner = e.Practitioner
		s.Exceptions = append(without(s.Exceptions, e.Date, e.Clinic), e.Exception)
	case ExceptionRemoved:
		s.Exceptions = append(without(s.Exceptions, e.Date, e.Clinic), Exception{Date: e.Date, Clinic: e.Clinic})
	case Blocked:
		s.Practitioner = e.Practitioner
		s.Blocks = append(slices.Clone(s.Blocks), e.Block)
	case Unblocked:
		s.Blocks = slices.Clone(s.Blocks)
		i := slices.IndexFunc(s.Blocks, func(b Block) bool { return b.ID == e.ID })
		if i >= 0 {
			s.Blocks[i].Lifted = true
		}
	}
	return s
}
