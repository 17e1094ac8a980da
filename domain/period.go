package domain

import (
	"slices"
	"time"
)

// Period is the half-open span from Start up to, not including, End. Both are
// UTC.
type Period struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// ErrBadPeriod refuses a period that does not end after it starts.
var ErrBadPeriod = Refusal(Invalid, "period.empty", "a period ends after it starts")

// NewPeriod returns the period from start up to end, in UTC, or [ErrBadPeriod].
func NewPeriod(start, end time.Time) (Period, error) {
	if !start.Before(end) {
		return Period{}, ErrBadPeriod
	}
	return Period{Start: start.UTC(), End: end.UTC()}, nil
}

// Overlaps reports whether the periods share an instant. Periods that only
// touch do not.
func (p Period) Overlaps(q Period) bool { return p.Start.Before(q.End) && q.Start.Before(p.End) }

// Equal reports whether both ends are the same instants.
func (p Period) Equal(q Period) bool { return p.Start.Equal(q.Start) && p.End.Equal(q.End) }

// Days returns the UTC days that the period touches, in order.
func (p Period) Days() []Day {
	var days []Day
	for t := p.Start.UTC().Truncate(24 * time.Hour); t.Before(p.End); t = t.Add(24 * time.Hour) {
		days = append(days, DayOf(t))
	}
	return days
}

// Contains reports whether q lies wholly inside p.
func (p Period) Contains(q Period) bool { return !q.Start.Before(p.Start) && !q.End.After(p.End) }

// Holds reports whether an instant lies in the period.
func (p Period) Holds(t time.Time) bool { return !t.Before(p.Start) && t.Before(p.End) }

// Join returns the time of all the periods, in order: those that touch or
// overlap are one, those that are empty are none.
func Join(periods []Period) []Period {
	sorted := slices.SortedFunc(slices.Values(periods), func(a, b Period) int { return a.Start.Compare(b.Start) })
	var joined []Period
	for _, p := range sorted {
		switch n := len(joined); {
		case !p.Start.Before(p.End):
		case n > 0 && !p.Start.After(joined[n-1].End):
			if p.End.After(joined[n-1].End) {
				joined[n-1].End = p.End
			}
		default:
			joined = append(joined, p)
		}
	}
	return joined
}

// Without returns the time of the periods that none of the gaps takes, in order.
func Without(periods, gaps []Period) []Period {
	left := Join(periods)
	for _, gap := range Join(gaps) {
		var next []Period
		for _, p := range left {
			if !p.Overlaps(gap) {
				next = append(next, p)
				continue
			}
			next = append(next, Period{p.Start, gap.Start}, Period{gap.End, p.End})
		}
		left = slices.DeleteFunc(next, func(p Period) bool { return !p.Start.Before(p.End) })
	}
	return left
}

// Common returns the time that both lists of periods have, in order.
func Common(a, b []Period) []Period {
	var common []Period
	for _, p := range a {
		for _, q := range b {
			if p.Overlaps(q) {
				common = append(common, Period{latest(p.Start, q.Start), earliest(p.End, q.End)})
			}
		}
	}
	return Join(common)
}

func earliest(t, u time.Time) time.Time {
	if u.Before(t) {
		return u
	}
	return t
}

func latest(t, u time.Time) time.Time {
	if u.After(t) {
		return u
	}
	return t
}
