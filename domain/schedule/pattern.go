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
// day, not before now, in the order of their starts; and those that lose to a
// pattern configured earlier, wherever that pattern's horizon ends.
//
// now also says how far each pattern reaches: HorizonDays of the clinic's own
// days, today included. A zone that this machine's database lacks is
// [domain.ErrBadZone]: nothing can be said of the day then.
func (s State) Wanted(day domain.Day, now time.Time) (wanted, overlaps []Want, err error) {
	var accepted []Want
	for _, p := range s.Patterns {
		wants, err := p.around(day)
		if err != nil {
			return nil, nil, err
		}
		horizon := p.horizon(now)
		for _, w := range wants {
			ahead := domain.DayOf(w.Start) == day && !w.Start.Before(now) && w.Start.Before(horizon)
			lost := slices.ContainsFunc(accepted, func(a Want) bool { return a.Clinic != w.Clinic && a.Overlaps(w.Period) })
			if !lost {
				accepted = append(accepted, w)
			}
			switch {
			case ahead && lost:
				overlaps = append(overlaps, w)
			case ahead:
				wanted = append(wanted, w)
			}
		}
	}
	slices.SortFunc(wanted, func(a, b Want) int { return a.Start.Compare(b.Start) })
	return wanted, overlaps, nil
}

// ReachedFrom returns the UTC days that a schedule may have opened by an
// instant, whatever its patterns were: from that day on, the longest horizon
// and a day to either side of it for zones far from UTC.
func (s State) ReachedFrom(now time.Time) []domain.Day {
	days := make([]domain.Day, s.Reach+2)
	for n := range days {
		days[n] = domain.DayOf(now).Add(n)
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
func (p Pattern) around(day domain.Day) ([]Want, error) {
	zone, err := domain.Zone(p.Zone)
	if err != nil {
		return nil, err
	}
	var wants []Want
	for d := day.Add(-2); d <= day.Add(2); d = d.Add(1) {
		for _, i := range p.Weekly {
			if time.Weekday(i.Weekday) == d.Weekday() {
				wants = append(wants, i.cut(p.Clinic, d, zone)...)
			}
		}
	}
	return wants, nil
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

func (s State) ReplyBy(_ domain.ClinicID, asked, start time.Time) time.Time {
	if t := asked.Add(20 * time.Minute); t.Before(start) {
		return t
	}
	return start
}
