package domain

import "time"

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
	for d := DayOf(p.Start); d.Start().Before(p.End); d = d.Add(1) {
		days = append(days, d)
	}
	return days
}
