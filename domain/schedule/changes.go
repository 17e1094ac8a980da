package schedule

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// changes says at which revision what is wanted of a UTC day may have changed
// last, so that a change of few days leaves the others alone. The zero value
// has seen no event.
type changes struct {
	events domain.Revision // how many there were
	first  domain.Revision // that set a pattern; before it nothing was ever wanted
	all    domain.Revision // the latest that may have changed every day
	some   []change        // those after it
}

type change struct {
	from, to domain.Day // UTC, both included
	at       domain.Revision
}

// FenceSince returns the revision up to which a day must be fenced before it
// is opened: the latest that may have changed what is wanted of it. It reports
// false when nobody can have opened the day under an earlier revision.
func (s State) FenceSince(day domain.Day) (domain.Revision, bool) {
	latest := s.changes.all
	for _, c := range s.changes.some {
		if c.from <= day && day <= c.to {
			latest = max(latest, c.at)
		}
	}
	return latest, len(s.Patterns) > 0 && latest > s.changes.first
}

// next returns the changes after an event; s is the state before it.
func (c changes) next(s State, e Event) changes {
	at := c.events
	c.events++
	switch e := e.(type) {
	case WasSet:
		if len(s.Patterns) == 0 {
			c.first = at
		}
		return c.everywhere(at)
	case ClinicAdopted:
		known, _ := s.clinic(e.Clinic)
		if p, ok := s.Pattern(e.Clinic); ok && p.Zone == e.Zone && known.Calendar.SameHours(e.Calendar) {
			return c.closing(known.Calendar.ClosingDays, e.ClosingDays, at)
		}
		return c.everywhere(at)
	case ExceptionSet:
		return c.within(e.Date, e.Date, at)
	case ExceptionRemoved:
		return c.within(e.Date, e.Date, at)
	case Blocked:
		return c.around(e.Period, at)
	case Unblocked:
		return c.around(e.Period, at)
	}
	return c
}

func (c changes) everywhere(at domain.Revision) changes {
	c.all, c.some = at, nil
	return c
}

// closing notes the closing days that are not in both lists.
func (c changes) closing(before, after []domain.ClosingDay, at domain.Revision) changes {
	for _, lists := range [][2][]domain.ClosingDay{{before, after}, {after, before}} {
		for _, d := range lists[0] {
			if !slices.ContainsFunc(lists[1], func(x domain.ClosingDay) bool { return x.Day == d.Day }) {
				c = c.around(domain.Period{Start: d.Day.Add(-1).Start(), End: d.Day.Add(3).Start()}, at)
			}
		}
	}
	return c
}

// within notes a change of what begins on local dates: it counts for the UTC
// days that look at those dates.
func (c changes) within(from, to domain.Day, at domain.Revision) changes {
	c.some = append(slices.Clone(c.some), change{from.Add(-datesAfter), to.Add(datesBefore), at})
	return c
}

// around notes a change of time: what begins up to two dates earlier may lie
// in it.
func (c changes) around(p domain.Period, at domain.Revision) changes {
	return c.within(domain.DayOf(p.Start.Add(-48*time.Hour)), domain.DayOf(p.End.Add(24*time.Hour)), at)
}
