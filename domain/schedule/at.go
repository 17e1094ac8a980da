package schedule

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Said is what a schedule says of an instant.
type Said int

// What it may say.
const (
	Starts     Said = iota // a slot starts then
	NoneStarts             // it has hours then, but none of their slots starts
	InBreak                // a break
	OutOfHours             // no hours
	OffDay                 // a day off
	Closed                 // the clinic's calendar closes that time
	OutOfReach             // the day lies beyond the horizon
)

// At returns what a clinic's pattern, its exceptions and its calendar say of an
// instant, and the date that it is said of: hours that begin the day before may
// reach the instant. What blocks and other clinics make of it is not said. It
// returns [ErrNotFound] where there is no pattern, and [domain.ErrBadZone].
func (s State) At(clinic domain.ClinicID, t, now time.Time) (Said, domain.Day, error) {
	p, ok := s.Pattern(clinic)
	if !ok {
		return 0, "", ErrNotFound
	}
	zone, err := domain.Zone(p.Zone)
	if err != nil {
		return 0, "", err
	}
	date, holds := domain.LocalDay(t, zone), func(p domain.Period) bool { return p.Holds(t) }
	if t.After(now.AddDate(0, 0, MaxHorizonDays+1)) {
		return OutOfReach, date, nil // of any pattern
	}
	if !slices.ContainsFunc(s.Calendar(clinic).Openings(date, date, zone), holds) {
		return Closed, date, nil
	}
	for _, d := range []domain.Day{date, date.Add(-1)} {
		regular, extra := s.on(p, d)
		for _, i := range slices.Concat(regular, extra) {
			whole := domain.Period{Start: i.From.On(d, zone), End: i.end().On(d, zone)}
			switch {
			case !whole.Holds(t):
				continue
			case !slices.ContainsFunc(i.parts(d, zone), holds):
				return InBreak, d, nil
			case d >= domain.LocalDay(now, zone).Add(p.HorizonDays):
				return OutOfReach, d, nil
			}
			said, err := s.startsAt(clinic, t, now)
			return said, d, err
		}
	}
	general, _ := s.exception(date, "")
	if own, _ := s.exception(date, clinic); general.Kind == DayOff || own.Kind == DayOff {
		return OffDay, date, nil
	}
	return OutOfHours, date, nil
}

// startsAt tells an instant at which a slot is wanted from one at which the
// hours have none.
func (s State) startsAt(clinic domain.ClinicID, t, now time.Time) (Said, error) {
	wants, err := s.Wanted(domain.DayOf(t), 1, now)
	if err == nil && slices.ContainsFunc(wants[0].Slots, func(w Want) bool { return w.Clinic == clinic && w.Start.Equal(t) }) {
		return Starts, nil
	}
	return NoneStarts, err
}
