package queue

import (
	"cmp"
	"slices"
	"time"
)

// WalkInAfter is how long after coming a walk-in is due: so much earlier a
// booked person may be booked, or come late, and still goes first.
const WalkInAfter = 30 * time.Minute

// Sort is why somebody is where they are in the order.
type Sort string

// The sorts of people who wait.
const (
	SortUrgent Sort = "urgent"
	SortBooked Sort = "booked"
	SortWalkIn Sort = "walk-in"
)

// Place is somebody's place in the order, and the reason of it.
type Place struct {
	Ticket
	Position int // from 1
	Sort     Sort
	DueAt    time.Time     // by what the order goes within the urgent and within the others
	Waited   time.Duration // since the person came
}

// Order returns those who wait in the order in which they are called:
//
//   - urgent people first, in the order in which they were marked;
//   - then everybody when they are due: booked people at their time, or when
//     they came if that was later; walk-ins [WalkInAfter] after they came;
//   - of those who are due at the same instant the booked one first, then the
//     lower ticket.
//
// Nobody's place depends on what time it is: only events change the order, and
// somebody who waits can be overtaken only by people who are due earlier, or
// urgent.
func Order(s State, now time.Time) []Place {
	var places []Place
	for _, t := range s.Tickets {
		if t.Status == Waiting {
			places = append(places, placed(t, now))
		}
	}
	slices.SortFunc(places, before)
	for i := range places {
		places[i].Position = i + 1
	}
	return places
}

// PlaceOf returns somebody's place by their ticket: at position 0 unless they
// wait. Of a number that there is not it is the zero value.
func PlaceOf(s State, n int, now time.Time) Place {
	t, ok := s.Ticket(n)
	if !ok {
		return Place{}
	}
	for _, p := range Order(s, now) {
		if p.Ticket.Ticket == n {
			return p
		}
	}
	return placed(t, now)
}

func placed(t Ticket, now time.Time) Place {
	p := Place{Ticket: t, Sort: SortWalkIn, DueAt: t.Since.Add(WalkInAfter), Waited: max(0, now.Sub(t.Since))}
	switch {
	case t.Urgent != "":
		p.Sort, p.DueAt = SortUrgent, t.UrgentAt
	case !t.Due.IsZero():
		p.Sort, p.DueAt = SortBooked, t.Due
		if t.Since.After(t.Due) {
			p.DueAt = t.Since
		}
	}
	return p
}

func before(a, b Place) int {
	return cmp.Or(
		first(a.Sort == SortUrgent, b.Sort == SortUrgent),
		a.DueAt.Compare(b.DueAt),
		first(a.Sort == SortBooked, b.Sort == SortBooked),
		cmp.Compare(a.Ticket.Ticket, b.Ticket.Ticket),
	)
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// Why says why somebody is at the place, by the clock of a zone: "urgent",
// "booked 10:20, arrived 10:05" or "walk-in since 10:11".
func (p Place) Why(zone *time.Location) string {
	clock := func(t time.Time) string { return t.In(zone).Format("15:04") }
	switch p.Sort {
	case SortUrgent:
		return "urgent"
	case SortBooked:
		return "booked " + clock(p.Due) + ", arrived " + clock(p.Since)
	case SortWalkIn:
	}
	return "walk-in since " + clock(p.Since)
}

// Announced returns those who were called and are not in service yet, the latest
// call first: what a display in the waiting room shows.
func Announced(s State) []Ticket {
	var called []Ticket
	for _, t := range s.Tickets {
		if t.Status == Called {
			called = append(called, t)
		}
	}
	slices.SortStableFunc(called, func(a, b Ticket) int { return b.CalledAt.Compare(a.CalledAt) })
	return called
}
