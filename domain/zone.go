package domain

import (
	"strings"
	"sync"
	"time"
)

// Day is a calendar date without a zone, written 2006-01-02.
type Day string

// DayOf returns the UTC day of an instant.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(time.DateOnly)) }

// LocalDay returns the calendar day of an instant in a zone.
func LocalDay(t time.Time, zone *time.Location) Day { return Day(t.In(zone).Format(time.DateOnly)) }

// Start returns midnight UTC of the day.
func (d Day) Start() time.Time {
	t, _ := time.Parse(time.DateOnly, string(d))
	return t
}

// Add returns the day n days later.
func (d Day) Add(n int) Day { return DayOf(d.Start().AddDate(0, 0, n)) }

// ErrBadDay refuses text that is not a date.
var ErrBadDay = Refusal(Invalid, "day.malformed", "a date is one of the calendar, written YYYY-MM-DD")

// ParseDay reads a date, or returns [ErrBadDay].
func ParseDay(text string) (Day, error) {
	if t, err := time.Parse(time.DateOnly, text); err != nil || t.Year() < 1 {
		return "", ErrBadDay
	}
	return Day(text), nil
}

// Weekday returns the day of the week.
func (d Day) Weekday() time.Weekday { return d.Start().Weekday() }

// ErrBadZone refuses a name that the time zone database does not hold.
var ErrBadZone = Refusal(Invalid, "zone.unknown", "a zone is a name of the IANA time zone database, such as Europe/Lisbon")

// Zone returns the named zone of the IANA database, or [ErrBadZone]. The empty
// name and "Local" are refused: a clinic's zone does not depend on a machine.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, ErrBadZone
	}
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil //nolint:forcetypeassert // nothing else is stored
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, ErrBadZone
	}
	zones.Store(name, zone)
	return zone, nil
}

// zones are those that were asked for: each is read from a file once.
var zones sync.Map

// WallTime is a time of day as a clock on the wall shows it, in minutes after
// midnight, 0 to 1440 (24:00 ends a day).
type WallTime int

// ErrBadWallTime refuses text that is not a time of day.
var ErrBadWallTime = Refusal(Invalid, "wall-time.malformed", "a time of day is written HH:MM, from 00:00 to 24:00")

// ParseWallTime reads HH:MM, 00:00 to 24:00, or returns [ErrBadWallTime].
func ParseWallTime(text string) (WallTime, error) {
	if text == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != 5 {
		return 0, ErrBadWallTime
	}
	return WallTime(t.Hour()*60 + t.Minute()), nil
}

// midnight is the wall time that ends a day.
const midnight WallTime = 24 * 60

// Following returns the wall time as the end of what starts at from: where it
// is at or before the start, it is the next day's, beyond 24:00.
func (w WallTime) Following(from WallTime) WallTime {
	if w <= from {
		return w + midnight
	}
	return w
}

// String returns HH:MM.
func (w WallTime) String() string {
	digits := func(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
	return digits(int(w)/60) + ":" + digits(int(w)%60)
}

// On returns the instant at which the clock of the zone first shows w on the
// day. A wall time that is skipped is the first instant after the gap; one that
// is repeated is its first occurrence.
//
// [time.Date] does not promise which side of a gap or which occurrence it
// picks, so the two readings of the wall time are tried with the offsets in
// force half a day before and after.
func (w WallTime) On(d Day, zone *time.Location) time.Time {
	wall := d.Start().Add(time.Duration(w) * time.Minute)
	first, last := readings(wall, zone)
	if shows(first, wall, zone) {
		return first
	}
	if shows(last, wall, zone) {
		return last
	}
	return transition(last, first, zone)
}

// readings returns the wall time read with the offset before and with the
// offset after any change on that day. Where the clock goes back, the first is
// the first occurrence.
func readings(wall time.Time, zone *time.Location) (before, after time.Time) {
	_, offsetBefore := wall.Add(-36 * time.Hour).In(zone).Zone()
	_, offsetAfter := wall.Add(36 * time.Hour).In(zone).Zone()
	return wall.Add(-time.Duration(offsetBefore) * time.Second), wall.Add(-time.Duration(offsetAfter) * time.Second)
}

func shows(t, wall time.Time, zone *time.Location) bool {
	_, offset := t.In(zone).Zone()
	return t.Add(time.Duration(offset) * time.Second).Equal(wall)
}

// transition returns the instant of the offset change between two instants
// that lie on either side of a gap.
func transition(low, high time.Time, zone *time.Location) time.Time {
	low, high = low.Add(-time.Hour), high.Add(time.Hour)
	_, before := low.In(zone).Zone()
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if _, offset := middle.In(zone).Zone(); offset == before {
			low = middle
		} else {
			high = middle
		}
	}
	return high.Truncate(time.Second).UTC()
}

// ParseWeekday reads an English weekday name in lower case.
func ParseWeekday(text string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String(), text) {
			return d, true
		}
	}
	return 0, false
}
