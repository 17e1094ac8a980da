package whatif

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/schedule"
)

// moment is an event and the business time at which it was decided.
type moment struct {
	domain.Recorded
	at time.Time
}

// dates finds out when events were decided. Many say so; between those that do
// the time of recording goes on, and no event is later than one that follows it.
// So a made-up year is dated as well as a log that was kept from day to day.
type dates struct {
	last     time.Time // of the page before
	recorded time.Time
}

// of dates a page of the log, and puts it in the order of time: what was refused
// is recorded a little late.
func (d *dates) of(page []domain.Recorded) []moment {
	dated := make([]moment, len(page))
	floor, at := d.last, d.last
	for i, r := range page {
		at = d.guess(at, r)
		dated[i] = moment{r, at}
	}
	settle(dated)
	for i := range dated {
		if refused, ok := dated[i].Event.(demand.Refused); ok {
			dated[i].at = refused.At
		}
		if dated[i].at.Before(floor) {
			dated[i].at = floor
		}
	}
	slices.SortStableFunc(dated, func(a, b moment) int { return a.at.Compare(b.at) })
	if n := len(dated); n > 0 {
		d.last = dated[n-1].at
	}
	return dated
}

// guess returns when an event was decided: what it says, else as long after the one
// before as it was recorded later.
func (d *dates) guess(before time.Time, r domain.Recorded) time.Time {
	at := r.RecordedAt
	if !d.recorded.IsZero() {
		at = before.Add(max(0, r.RecordedAt.Sub(d.recorded)))
	}
	d.recorded = r.RecordedAt
	earliest, latest := bounds(r.Event)
	switch {
	case !earliest.IsZero() && (at.Before(earliest) || earliest.Equal(latest)):
		return earliest
	case !latest.IsZero() && at.After(latest):
		return latest
	}
	return at
}

// settle sees to it that no event is later than one that follows it.
func settle(dated []moment) {
	var next time.Time
	for i := len(dated) - 1; i >= 0; i-- {
		if _, late := dated[i].Event.(demand.Refused); late {
			continue
		}
		if !next.IsZero() && dated[i].at.After(next) {
			dated[i].at = next
		}
		next = dated[i].at
	}
}

// bounds returns between which instants an event was decided, as far as it says
// so; zero is unknown.
func bounds(e domain.Event) (earliest, latest time.Time) {
	exactly := func(t time.Time) (time.Time, time.Time) { return t, t }
	switch e := e.(type) {
	case appointment.WasProposed:
		if e.Series == "" {
			return exactly(e.Deadline.Add(-commands.DecisionTime))
		}
	case appointment.WasHeld:
		if e.Wish == "" {
			return exactly(e.Ceiling.Add(-commands.HoldCeiling))
		}
	case appointment.WasRenewed:
		return e.Deadline.Add(-commands.LongestHold), e.Deadline
	case appointment.WasCancelled:
		return exactly(e.At)
	case appointment.WasDeclined:
		return exactly(e.At)
	case appointment.WasMissed:
		return exactly(e.At)
	case appointment.WasReverted:
		return exactly(e.At)
	case appointment.HasArrived:
		return e.At, time.Time{}
	case appointment.WasCheckedIn:
		return e.At, time.Time{}
	case appointment.WasFulfilled:
		return e.At, time.Time{}
	case schedule.DayOpened:
		for _, s := range e.Slots { // nothing is opened that has begun
			if latest.IsZero() || s.Start.Before(latest) {
				latest = s.Start
			}
		}
	}
	return earliest, latest
}
