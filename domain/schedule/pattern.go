package schedule

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Want is a slot that a pattern asks for.
type Want struct {
	Clinic   domain.ClinicID `json:"clinic"`
	Capacity int             `json:"capacity"`
	domain.Period
}

func (w Want) equal(v Want) bool {
	return w.Clinic == v.Clinic && w.Capacity == v.Capacity && w.Period.Equal(v.Period)
}

// Wanted returns the slots that the patterns ask for and that start on the UTC
// day, not before a given instant, in the order of their starts; and those
// that lose to a pattern configured earlier.
//
// now limits how far each clinic's pattern reaches: HorizonDays of the
// clinic's own days, today included.
func (s State) Wanted(day domain.Day, now time.Time) (wanted, overlaps []Want) {
	var accepted []Want
	for _, p := range s.Patterns {
		for _, w := range p.around(day, now) {
			on := domain.DayOf(w.Start) == day && !w.Start.Before(now)
			lost := slices.ContainsFunc(accepted, func(a Want) bool { return a.Clinic != w.Clinic && a.Overlaps(w.Period) })
			switch {
			case lost && on:
				overlaps = append(overlaps, w)
			case lost:
			default:
				accepted = append(accepted, w)
				if on {
					wanted = append(wanted, w)
				}
			}
		}
	}
	slices.SortFunc(wanted, func(a, b Want) int { return a.Start.Compare(b.Start) })
	return wanted, overlaps
}

// Partial reports whether some pattern's horizon ends within the UTC day, so
// that the day has more to open later.
func (s State) Partial(day domain.Day, now time.Time) bool {
	return slices.ContainsFunc(s.Patterns, func(p Pattern) bool { return p.horizon(now).Before(day.Add(1).Start()) })
}

// Days returns the UTC days that the patterns reach from now on, in order.
func (s State) Days(now time.Time) []domain.Day {
	first, last := domain.DayOf(now), domain.DayOf(now)
	for _, p := range s.Patterns {
		if end := p.horizon(now); domain.DayOf(end.Add(-time.Nanosecond)) > last {
			last = domain.DayOf(end.Add(-time.Nanosecond))
		}
	}
	var days []domain.Day
	for d := first; d <= last; d = d.Add(1) {
		days = append(days, d)
	}
	return days
}

// horizon returns the instant at which the pattern's last open day ends.
func (p Pattern) horizon(now time.Time) time.Time {
	zone, err := domain.Zone(p.Zone)
	if err != nil {
		return now
	}
	return domain.WallTime(0).On(domain.LocalDay(now, zone).Add(p.HorizonDays), zone)
}

// around returns the pattern's slots of the local days that can touch the UTC
// day or its neighbours.
func (p Pattern) around(day domain.Day, now time.Time) []Want {
	zone, err := domain.Zone(p.Zone)
	if err != nil {
		return nil // a stored zone that this machine's database lacks opens nothing
	}
	end := p.horizon(now)
	var wants []Want
	for d := day.Add(-2); d <= day.Add(2); d = d.Add(1) {
		for _, i := range p.Weekly {
			if time.Weekday(i.Weekday) == d.Weekday() {
				wants = append(wants, i.cut(p.Clinic, d, zone)...)
			}
		}
	}
	return slices.DeleteFunc(wants, func(w Want) bool { return !w.Start.Before(end) })
}

// cut makes an interval's ends instants and cuts what lies between its breaks
// into slots, in elapsed time: a day on which the clocks change may have more
// slots, or fewer. A slot that would overrun is not opened.
func (i Interval) cut(clinic domain.ClinicID, d domain.Day, zone *time.Location) []Want {
	var wants []Want
	from := i.From.On(d, zone)
	for _, b := range append(slices.Clone(i.Breaks), Break{i.To, i.To}) {
		until := b.From.On(d, zone)
		length := time.Duration(i.SlotMinutes) * time.Minute
		for start := from; !start.Add(length).After(until); start = start.Add(length) {
			wants = append(wants, Want{clinic, i.Capacity, domain.Period{Start: start, End: start.Add(length)}})
		}
		from = b.To.On(d, zone)
	}
	return wants
}
