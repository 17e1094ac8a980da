package audit

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/series"
)

// round is the latest round of a series that is booked with every date or none.
// Its sets are live or dead from the series' own event on. Where all was stored
// in one append the appointments come after that event.
type round struct {
	fate     claim.Fate
	deadline time.Time
	visits   []claim.Claim
	booked   Evidence
	at       time.Time // when it was booked
}

func (a *Auditor) seriesEvent(r domain.Recorded, e series.Event) {
	switch e := e.(type) {
	case series.Accepted:
	case series.WasProposed:
		if before := a.rounds[e.Series]; before != nil && before.fate != claim.Dead {
			a.find("I4", "a series was proposed again that was pending or booked")
		}
		if e.Deadline.IsZero() {
			a.find("I4", "a pending series has no deadline")
		}
		a.rounds[e.Series] = &round{fate: claim.Pending, deadline: e.Deadline, visits: claimsOf(e.Visits)}
	case series.WasBooked:
		a.bookRound(e, r.RecordedAt)
	case series.WasRefused:
		a.endRound(e.Series)
	case series.HasLapsed:
		a.endRound(e.Series)
	}
}

func claimsOf(visits []series.Visit) []claim.Claim {
	all := make([]claim.Claim, len(visits))
	for i, v := range visits {
		all[i] = claim.Claim{Owner: appointment.Stream(v.Appointment), Set: v.Set}
	}
	return all
}

// bookRound makes every set of a series live.
func (a *Auditor) bookRound(e series.WasBooked, at time.Time) {
	r := a.rounds[e.Series]
	if r == nil && a.pass(series.Stream(e.Series)) {
		return
	}
	if r == nil || r.fate != claim.Pending || !slices.Equal(r.visits, claimsOf(e.Visits)) {
		a.find("I4", "a series was booked that was not pending, or with other visits")
		return
	}
	a.inTime(r.deadline, at, "a series was booked long after its deadline")
	r.fate, r.booked, r.at = claim.Live, a.last, at
	for _, c := range r.visits {
		if a.sets[c] != nil {
			a.live(c, 0, at)
		}
	}
}

// endRound ends every set of a series.
func (a *Auditor) endRound(id domain.SeriesID) {
	r := a.rounds[id]
	if r == nil && a.pass(series.Stream(id)) {
		return
	}
	if r == nil || r.fate != claim.Pending {
		a.find("I4", "a series ended that was not pending")
		return
	}
	r.fate = claim.Dead
	for _, c := range r.visits {
		if a.sets[c] != nil {
			a.dead(c, false)
		}
	}
}

// proposedBy gives a set that was proposed the fate of its series. A process that
// was slow may propose a set of a round that has ended: it is dead from the
// beginning.
func (a *Auditor) proposedBy(id domain.SeriesID, c claim.Claim) {
	r := a.rounds[id]
	switch {
	case r == nil:
		a.find("I4", fmt.Sprintf("a set was proposed by series %s, which is not there", id))
	case r.fate == claim.Dead || !slices.Contains(r.visits, c):
		a.dead(c, false)
	case r.fate == claim.Live:
		a.live(c, 0, r.at)
	}
}

// notes reports whether an appointment's event is about a set that a series
// decides. It may only say what the series has decided, once.
func (a *Auditor) notes(c claim.Claim, fate claim.Fate) bool {
	s := a.sets[c]
	if s == nil || s.series == "" || s.noted {
		return false
	}
	if s.fate != fate {
		a.find("I3", "an appointment says of its set what its series has not decided", s.proposed)
	}
	s.noted = true
	return true
}

// parts finds series that are booked while a visit of theirs was never proposed.
func (a *Auditor) parts() []Finding {
	var found []Finding
	for _, id := range slices.Sorted(maps.Keys(a.rounds)) {
		r := a.rounds[id]
		for _, c := range r.visits {
			if r.fate == claim.Live && a.sets[c] == nil && !a.outside[c] {
				found = append(found, Finding{"I3", fmt.Sprintf("series %s is booked without its visit %s", id, c.Owner), []Evidence{r.booked}})
			}
		}
	}
	return found
}
