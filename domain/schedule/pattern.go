package schedule

import (
	"iter"
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

// What is wanted of a UTC day depends on the local dates from datesBefore
// earlier to datesAfter later: on those whose slots may start on the day, past
// midnight and in a zone far from UTC, and on those whose slots may overlap
// these.
const (
	datesBefore = 3
	datesAfter  = 2
)

// Wants is what the patterns and exceptions ask for on a UTC day.
type Wants struct {
	Slots    []Want // in the order of their starts
	Overlaps []Want // those that lose their time
}

// Wanted returns the slots that the patterns and exceptions ask for and that
// start on each of so many UTC days, not before now; and those that lose their
// time: to a pattern configured earlier, wherever that pattern's horizon ends,
// or, being extra or changed hours, to what the pattern of the same clinic
// wants. What a block or a clinic's calendar closes is wanted by nobody and
// loses to nobody.
//
// now also says how far each pattern reaches: HorizonDays of the clinic's own
// days, today included, with the nights that begin on them. A zone that this machine's database lacks is
// [domain.ErrBadZone]: nothing can be said of the days then.
func (s State) Wanted(first domain.Day, days int, now time.Time) ([]Wants, error) {
	var taken disjoint
	wants, from := make([]Wants, days), first.Start()
	for _, p := range s.Patterns {
		zone, err := domain.Zone(p.Zone)
		if err != nil {
			return nil, err
		}
		horizon := domain.LocalDay(now, zone).Add(p.HorizonDays)
		for _, w := range s.around(p, first, first.Add(days-1), zone) {
			lost := !taken.add(w.Period)
			if w.Start.Before(from) || w.Start.Before(now) || w.date >= horizon {
				continue
			}
			n := int(w.Start.Sub(from) / (24 * time.Hour))
			switch {
			case n >= days:
			case lost:
				wants[n].Overlaps = append(wants[n].Overlaps, w.Want)
			default:
				wants[n].Slots = append(wants[n].Slots, w.Want)
			}
		}
	}
	for _, w := range wants {
		slices.SortFunc(w.Slots, func(a, b Want) int { return a.Start.Compare(b.Start) })
	}
	return wants, nil
}

// disjoint is periods of which none overlaps another, in order.
type disjoint []domain.Period

// add adds a period, unless it overlaps one that is there.
func (d *disjoint) add(p domain.Period) bool {
	if n := len(*d); n == 0 || !p.Start.Before((*d)[n-1].End) {
		*d = append(*d, p) // as nearly always
		return true
	}
	i, _ := slices.BinarySearchFunc(*d, p, func(a, b domain.Period) int { return a.Start.Compare(b.Start) })
	if i > 0 && (*d)[i-1].Overlaps(p) || i < len(*d) && (*d)[i].Overlaps(p) {
		return false
	}
	*d = slices.Insert(*d, i, p)
	return true
}

// Days returns how many UTC days, today included, a schedule may have opened,
// whatever its patterns were: the longest horizon, and a day to either side of
// it for zones far from UTC.
func (s State) Days() int { return s.Reach + 2 }

// NextDay returns the first instant after now at which a day of a pattern's
// clinic ends, so that its horizon reaches one day further; the zero time when
// there is no pattern.
func (s State) NextDay(now time.Time) time.Time {
	var next time.Time
	for _, p := range s.Patterns {
		zone, err := domain.Zone(p.Zone)
		if err != nil {
			continue
		}
		const most = 3 // today's end may be past when its clocks were put back over midnight, or a date was left out
		today := domain.LocalDay(now, zone)
		for n := range most {
			if end := domain.WallTime(0).On(today.Add(1+n), zone); end.After(now) {
				if next.IsZero() || end.Before(next) {
					next = end
				}
				break
			}
		}
	}
	return next
}

// dated is a slot with the date on which its interval begins.
type dated struct {
	Want
	date domain.Day
}

// around returns the slots that a pattern and its clinic's exceptions ask for
// on the dates around UTC days, those of the exceptions last.
func (s State) around(p Pattern, first, last domain.Day, zone *time.Location) []dated {
	first, last = first.Add(-datesBefore), last.Add(datesAfter)
	open := s.open(p, first, last, zone)
	var wants, added []dated
	cut := func(to *[]dated, intervals []Interval, d domain.Day) {
		for _, i := range intervals {
			for w := range i.cut(p.Clinic, d, zone) {
				if slices.ContainsFunc(open, func(o domain.Period) bool { return o.Contains(w.Period) }) {
					*to = append(*to, dated{w, d})
				}
			}
		}
	}
	for d := first; d <= last; d = d.Add(1) {
		regular, extra := s.on(p, d)
		cut(&wants, regular, d)
		cut(&added, extra, d)
	}
	return append(wants, added...)
}

// on returns the intervals that begin on a date at a pattern's clinic: those
// of the pattern, and those of an exception.
func (s State) on(p Pattern, d domain.Day) (regular, extra []Interval) {
	general, _ := s.exception(d, "")
	own, _ := s.exception(d, p.Clinic)
	if general.Kind == DayOff || own.Kind == DayOff {
		return nil, nil
	}
	if own.Kind == ChangedHours || d < p.ValidFrom || p.ValidUntil != "" && d > p.ValidUntil {
		return nil, own.Intervals
	}
	weekday := d.Weekday()
	for _, i := range p.Weekly {
		if time.Weekday(i.Weekday) == weekday {
			regular = append(regular, i)
		}
	}
	return regular, own.Intervals
}

// open returns the time that neither the calendar of the pattern's clinic nor
// a block closes, for whatever begins on the dates.
func (s State) open(p Pattern, first, last domain.Day, zone *time.Location) []domain.Period {
	c, _ := s.clinic(p.Clinic)
	var blocks []domain.Period
	for _, b := range s.Blocks {
		if !b.Lifted && b.Start.Before(last.Add(3).Start()) && b.End.After(first.Add(-1).Start()) {
			blocks = append(blocks, b.Period)
		}
	}
	return domain.Without(c.Calendar.Openings(first, last.Add(1), zone), blocks)
}

// cut makes an interval's ends instants and cuts what lies between its breaks
// into slots, in elapsed time: a day on which the clocks change may have more
// slots, or fewer. A slot that would overrun is not opened.
func (i Interval) cut(clinic domain.ClinicID, d domain.Day, zone *time.Location) iter.Seq[Want] {
	return func(yield func(Want) bool) {
		length := time.Duration(i.SlotMinutes) * time.Minute
		for _, part := range i.parts(d, zone) {
			start := part.Start
			for end := start.Add(length); !end.After(part.End); start, end = end, end.Add(length) {
				if !yield(Want{clinic, i.Capacity, domain.Period{Start: start, End: end}}) {
					return
				}
			}
		}
	}
}

// parts returns the interval of a date without its breaks.
func (i Interval) parts(d domain.Day, zone *time.Location) []domain.Period {
	parts := make([]domain.Period, 0, len(i.Breaks)+1)
	start := i.From.On(d, zone)
	for _, b := range i.Breaks {
		from, to := i.pause(b)
		parts = append(parts, domain.Period{Start: start, End: from.On(d, zone)})
		start = to.On(d, zone)
	}
	return append(parts, domain.Period{Start: start, End: i.end().On(d, zone)})
}
