package queue

import (
	"cmp"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Basis is what a forecast goes by.
type Basis string

// The bases, from the weakest to the strongest.
const (
	BySchedule  Basis = "schedule"  // scheduled durations: there is no history yet
	ByDurations Basis = "durations" // real durations; how far forecasts are off is not known yet
	ByHistory   Basis = "history"   // real durations, corrected by how far earlier forecasts were off
)

// Forecast says by when somebody who waits is called. It is made at an event of
// the queue and stands until the next one: it holds instants, so that what is
// left of the wait follows from the time of asking.
type Forecast struct {
	Ticket   int `json:"ticket"`
	Before   int `json:"before"` // how many go before
	Likeness `json:"like"`
	Base     time.Time       `json:"base"` // by the rule, before the correction
	P50      time.Time       `json:"p50"`  // called by then with probability 0.5, to the minute
	P90      time.Time       `json:"p90"`  // and with probability 0.9
	Basis    Basis           `json:"basis"`
	Clinic   domain.ClinicID `json:"clinic"`
	Band     int             `json:"band"` // the hour band at the clinic when it was made
}

// What a forecast takes for granted until it has learned better.
const (
	usualVisit  = 15 * time.Minute // takes a visit of which nothing at all is known
	usualHalf   = 1000             // thousandths of the rule's wait by which half are called
	usualMost   = 1800             // and nine tenths
	forgottenBy = 3                // visits that take so many times as long as usual have ended unnoted
	paceNeeds   = 3                // calls before the last who was called has shown a pace
	paceOf      = 8                // the pace counts for one part of so many
	finest      = time.Minute      // of what is said
)

// Estimate returns by when everybody who waits is called, in the order in which
// they are, as of the latest event of the queue at now. joined is the ticket that
// this event gave somebody, 0 when it gave none.
//
// The rule lets those who wait be served in order, each for as long as visits
// of their type take on average at this hour, by as many as serve: each of those
// in service takes another mean residual life, the average of what was left of
// visits that took longer than this one has by now. That is the forecast from
// the queue's length. One part in eight is the pace at which the last person
// to be called saw people called while they waited, which adapts to a slow or a
// well staffed day without knowing why: the delay of the last to enter service,
// LES, in Ibrahim and Whitt, "Real-time delay estimation based on delay history",
// M&SOM 11(3), 2009.
//
// The range is the rule's wait times the quantiles 0.5 and 0.9 of what waits
// really were in the past, relative to what the rule had said, for people of the
// same sort with as many ahead of them. Whatever the rule leaves out, such as
// booked people who come later and go first, is in these quantiles. To learn
// quantiles of residuals rather than to assume a distribution follows Sun et
// al., "Real-time prediction of waiting time in the emergency department, using
// quantile regression", Annals of Emergency Medicine 60(3), 2012.
func Estimate(s State, l Learned, joined int, now time.Time) []Forecast {
	order := Order(s, now)
	if len(order) == 0 {
		return nil
	}
	desks, pace, unsure := servers(s, l, now), paceOfLast(s), l.unsure(s, order[0].Ticket, now)
	forecasts := make([]Forecast, len(order))
	for i, p := range order {
		desk := earliest(desks)
		wait := max(0, desks[desk].Sub(now))
		if pace > 0 {
			wait = (wait*(paceOf-1) + pace*time.Duration(i+1)) / paceOf
		}
		took, basis := l.visit(s, p.Ticket, now)
		desks[desk] = desks[desk].Add(took)
		like := likeness(p.Sort, p.Ticket.Ticket == joined, i)
		forecasts[i] = l.forecast(Forecast{Ticket: p.Ticket.Ticket, Before: i, Likeness: like, Basis: basis, Clinic: p.Clinic, Band: Band(now, p.Offset)}, wait, unsure, now)
	}
	return forecasts
}

// unsure returns how much later than half of them, at least, nine tenths are called
// while nothing is known of how far forecasts are off. Until somebody is called
// nobody is known to serve, so it is a visit of whoever is first.
func (l Learned) unsure(s State, first Ticket, now time.Time) time.Duration {
	if _, served := atLastCall(s); served {
		return 0
	}
	took, _ := l.visit(s, first, now)
	return took
}

// forecast completes f with the range for a wait by the rule.
func (l Learned) forecast(f Forecast, wait, unsure time.Duration, now time.Time) Forecast {
	half, most := usualHalf, usualMost
	if r := l.residuals(f.Likeness); r != nil {
		half, most, unsure = quantile(r, 5), quantile(r, 9), 0
		if f.Basis == ByDurations {
			f.Basis = ByHistory
		}
	}
	f.Base = now.Add(wait)
	f.P50 = now.Add(stretched(wait, half)).Round(finest)
	f.P90 = later(f.P50.Add(unsure.Round(finest)), now.Add(stretched(wait, most)).Round(finest))
	return f
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// visit returns how long somebody's visit takes on average, and what that goes
// by.
func (l Learned) visit(s State, t Ticket, now time.Time) (time.Duration, Basis) {
	if d := l.durations(t.VisitType, Band(now, t.Offset)); d != nil {
		return mean(d), ByDurations
	}
	if t.Planned > 0 {
		return time.Duration(t.Planned) * time.Minute, BySchedule
	}
	sum, n := 0, 0
	for _, other := range s.Tickets {
		if other.Planned > 0 {
			sum, n = sum+other.Planned, n+1
		}
	}
	if n == 0 {
		return usualVisit, BySchedule
	}
	return time.Duration(sum) * time.Minute / time.Duration(n), BySchedule
}

// left returns how much longer a visit takes that has taken so long by now.
func (l Learned) left(s State, t Ticket, now time.Time) (left time.Duration, forgotten bool) {
	gone := max(0, now.Sub(t.serving()))
	usual, _ := l.visit(s, t, now)
	if gone > forgottenBy*usual {
		return 0, true
	}
	sum, n := time.Duration(0), 0
	for _, seconds := range l.durations(t.VisitType, Band(now, t.Offset)) {
		if took := time.Duration(seconds) * time.Second; took > gone {
			sum, n = sum+took-gone, n+1
		}
	}
	if n > 2 {
		return sum / time.Duration(n), false
	}
	return max(usual-gone, usual/4), false
}

// serving returns since when somebody is served: who is called keeps the desk.
func (t Ticket) serving() time.Time {
	if t.Began.IsZero() {
		return t.CalledAt
	}
	return t.Began
}

// servers returns when each of those who serve is free. Who served at the last
// call serves still; where nobody was called yet, one begins when the first of
// those who wait is due.
func servers(s State, l Learned, now time.Time) []time.Time {
	var free []time.Time
	for _, t := range s.Tickets {
		if t.Status != Called && t.Status != InService {
			continue
		}
		if left, forgotten := l.left(s, t, now); !forgotten {
			free = append(free, now.Add(left))
		}
	}
	last, served := atLastCall(s)
	if !served && len(free) == 0 {
		return []time.Time{firstDue(s, now)}
	}
	for len(free) < max(last, 1) {
		free = append(free, now)
	}
	return free
}

// atLastCall returns how many were served when the last was called or began, and
// whether anybody was.
func atLastCall(s State) (n int, served bool) {
	var last time.Time
	for _, t := range s.Tickets {
		last = later(last, t.serving())
	}
	for _, t := range s.Tickets {
		from := t.serving()
		if from.IsZero() || from.After(last) || t.Status == Waiting || t.Status == Skipped {
			continue
		}
		if (t.Ended.IsZero() || t.Ended.After(last)) && last.Sub(from) <= time.Hour {
			n++
		}
	}
	return n, !last.IsZero()
}

func firstDue(s State, now time.Time) time.Time {
	var first time.Time
	for _, t := range s.Tickets {
		if t.Status == Waiting && !t.Due.IsZero() && (first.IsZero() || t.Due.Before(first)) {
			first = t.Due
		}
	}
	return later(now, first)
}

// paceOfLast returns how long a call took while the last person to be called
// waited, 0 when that person saw too few.
func paceOfLast(s State) time.Duration {
	var last Ticket
	for _, t := range s.Tickets {
		if t.Status != Waiting && t.Status != Skipped && t.CalledAt.After(last.CalledAt) {
			last = t
		}
	}
	calls := 0
	for _, t := range s.Tickets {
		if t.CalledAt.After(last.Since) && !t.CalledAt.After(last.CalledAt) {
			calls++
		}
	}
	if calls < paceNeeds {
		return 0
	}
	return last.CalledAt.Sub(last.Since) / time.Duration(calls)
}

func earliest(free []time.Time) int {
	first := 0
	for i, at := range free {
		if at.Before(free[first]) {
			first = i
		}
	}
	return first
}

func compareDurations(a, b Durations) int {
	return cmp.Or(cmp.Compare(a.VisitType, b.VisitType), cmp.Compare(a.Band, b.Band))
}

func compareResiduals(a, b Residuals) int {
	return cmp.Or(cmp.Compare(a.Sort, b.Sort), first(a.Joining, b.Joining), cmp.Compare(a.Ahead, b.Ahead))
}
