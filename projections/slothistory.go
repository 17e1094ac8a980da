package projections

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// The history of a slot is what its list said through time: a place is taken by
// a set from the moment that the set is proposed until it dies, or until
// [appointment.ClockSlack] after the deadline that it has meanwhile. That
// instant lies ahead when it is noted; what happens before it takes it back.

// notOffered stands for the free places of a slot that is withdrawn.
const notOffered = "-1"

// live counts the appointments that have a place at an instant.
func (s slotRow) live(at time.Time) int {
	var owners []string
	for i, text := range s.TakenBy {
		owner := text[:strings.LastIndexByte(text, '/')]
		if ends(s.TakenUntil[i]).After(at) && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	return len(owners)
}

// ends returns when a claim ends in the slot's history.
func ends(until time.Time) time.Time {
	switch {
	case until.Equal(unheard()):
		return never()
	case until.Before(forever()):
		return until.Add(appointment.ClockSlack)
	}
	return until
}

// booked counts the appointments that have a place for good.
func (s slotRow) booked() int { return s.live(forever().Add(-time.Microsecond)) }

// filled notes a place that a cancellation gives back, and one of those that is
// booked again. Places are alike: the first who books has the one that was given
// back first. Whoever takes back a cancellation has given nothing back.
func (s slotRow) filled(before int, r domain.Recorded) slotRow {
	e, ok := r.Event.(appointment.Event)
	if !ok || !r.RecordedAt.Before(s.Start) {
		return s
	}
	visit, _ := appointment.Of(e)
	id := string(visit.Appointment)
	_, cancelled := e.(appointment.WasCancelled)
	switch mine := slices.Index(s.Unfilled, id); {
	case cancelled && s.Booked < before && !s.Withdrawn && s.Booked < s.limit():
		s.Freed++
		s.Unfilled = append(slices.Clone(s.Unfilled), id)
	case s.Booked <= before || len(s.Unfilled) == 0:
	case mine >= 0:
		s.Freed--
		s.Unfilled = removed(s.Unfilled, mine)
	default:
		s.Filled++
		s.Unfilled = removed(s.Unfilled, 0)
	}
	return s
}

func removed(texts []string, i int) []string {
	if len(texts) == 1 {
		return nil
	}
	return slices.Delete(slices.Clone(texts), i, i+1)
}

// noted notes how many places are free from an instant on, and from when that
// changes if nothing else happens. What was noted of later is forgotten.
func (s slotRow) noted(at time.Time) slotRow {
	n := 0
	for n < len(s.Changed) && s.Changed[n].Before(at) {
		n++
	}
	changed, free := slices.Clone(s.Changed[:n]), slices.Clone(s.Free[:n])
	instants := []time.Time{at}
	for _, until := range s.TakenUntil {
		if end := ends(until); end.After(at) && end.Before(forever()) {
			instants = append(instants, end)
		}
	}
	slices.SortFunc(instants, time.Time.Compare)
	for _, t := range slices.CompactFunc(instants, time.Time.Equal) {
		if !t.After(s.Start) {
			changed, free = append(changed, t), append(free, s.free(t))
		}
	}
	s.Changed, s.Free = compacted(changed, free, at)
	s.FullSince = time.Time{}
	if n := len(s.Free); n > 0 && (s.Free[n-1] == "0" || s.Free[n-1] == notOffered) {
		s.FullSince = s.Changed[n-1]
	}
	return s
}

func (s slotRow) free(at time.Time) string {
	if s.Withdrawn {
		return notOffered
	}
	return strconv.Itoa(max(s.limit()-s.live(at), 0))
}

// compacted leaves out what changes nothing, and what was over, by an instant,
// before it had lasted over a full quarter of an hour of the clock: days begin
// at such instants in every zone. So a row stays short, however often a slot is
// held and given back.
func compacted(changed []time.Time, free []string, now time.Time) (at []time.Time, was []string) {
	for i, t := range changed {
		over := i+1 < len(changed) && !changed[i+1].After(now)
		if over && !nextQuarter(t).Before(changed[i+1]) {
			continue
		}
		if n := len(was); n == 0 || was[n-1] != free[i] {
			at, was = append(at, t), append(was, free[i])
		}
	}
	return at, was
}

// nextQuarter returns the first full quarter of an hour at or after an instant.
func nextQuarter(t time.Time) time.Time {
	const quarter = 15 * time.Minute
	return t.Add(quarter - 1).Truncate(quarter)
}
