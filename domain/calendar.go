package domain

import (
	"slices"
	"time"
)

// Calendar is when a clinic is open, by the clock on its wall. A clinic that
// says neither that it is open round the clock nor its hours restricts nobody;
// its closing days count all the same.
type Calendar struct {
	Open24h     bool         `json:"open24h,omitempty"` // round the clock; then Hours is empty
	Hours       []Hours      `json:"hours,omitempty"`
	ClosingDays []ClosingDay `json:"closingDays,omitempty"`
	Closed      bool         `json:"closed,omitempty"` // for good: it never opens again
}

// Hours is one stretch of a weekday in wall time. One that ends at or before
// its start ends on the next day.
type Hours struct {
	Weekday int      `json:"weekday"` // 0 is Sunday, on which it begins
	From    WallTime `json:"from"`    // minutes after midnight
	To      WallTime `json:"to"`
}

// ClosingDay is a date on which a clinic is closed.
type ClosingDay struct {
	Day    Day    `json:"day"` // in the clinic's zone
	Reason string `json:"reason,omitempty"`
}

// Equal reports whether the calendars say the same.
func (c Calendar) Equal(d Calendar) bool {
	return c.SameHours(d) && slices.Equal(c.ClosingDays, d.ClosingDays)
}

// SameHours reports whether the calendars say the same but for closing days.
func (c Calendar) SameHours(d Calendar) bool {
	return c.Open24h == d.Open24h && c.Closed == d.Closed && slices.Equal(c.Hours, d.Hours)
}

// Openings returns when the clinic is open from the start of the first to the
// end of the last date, in order; stretches that touch are one. A closing day
// takes its date from midnight to midnight, and the hours that begin on it.
func (c Calendar) Openings(first, last Day, zone *time.Location) []Period {
	if c.Closed {
		return nil
	}
	window := Period{WallTime(0).On(first, zone), WallTime(0).On(last.Add(1), zone)}
	open := []Period{window}
	if len(c.Hours) > 0 {
		open = Common(c.opened(first.Add(-1), last, zone), open)
	}
	var closed []Period
	for _, d := range c.ClosingDays {
		if first <= d.Day && d.Day <= last {
			closed = append(closed, Period{WallTime(0).On(d.Day, zone), WallTime(0).On(d.Day.Add(1), zone)})
		}
	}
	return Without(open, closed)
}

// opened returns the hours that begin on the dates, those of closing days left
// out.
func (c Calendar) opened(first, last Day, zone *time.Location) []Period {
	var open []Period
	for d := first; d <= last; d = d.Add(1) {
		if slices.ContainsFunc(c.ClosingDays, func(x ClosingDay) bool { return x.Day == d }) {
			continue
		}
		for _, h := range c.Hours {
			if time.Weekday(h.Weekday) == d.Weekday() {
				open = append(open, h.On(d, zone))
			}
		}
	}
	return Join(open)
}

// On returns the stretch as it is on a date, its ends made instants: empty
// where the clocks skip all of it.
func (h Hours) On(d Day, zone *time.Location) Period {
	return Period{h.From.On(d, zone), h.To.Following(h.From).On(d, zone)}
}

// Valid reports whether the weekday and the times are such.
func (h Hours) Valid() bool {
	return h.Weekday >= 0 && h.Weekday <= 6 && h.From >= 0 && h.From < midnight && h.To >= 0 && h.To <= midnight
}

// Overlaps reports whether two stretches of the week share time, past midnight
// and from Saturday to Sunday too.
func (h Hours) Overlaps(g Hours) bool {
	const week = 7 * midnight
	from, to := h.inWeek()
	other, end := g.inWeek()
	for _, shift := range []WallTime{-week, 0, week} {
		if from < end+shift && other+shift < to {
			return true
		}
	}
	return false
}

// inWeek returns the stretch's ends in minutes after Sunday's beginning.
func (h Hours) inWeek() (from, to WallTime) {
	begin := WallTime(h.Weekday) * midnight
	return begin + h.From, begin + h.To.Following(h.From)
}
