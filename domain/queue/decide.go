package queue

import (
	"strings"
	"unicode/utf8"

	"github.com/slotbook/slotbook/domain"
)

// Decide returns what the command does to the queue.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Join:
		return join(s, c)
	case Follow:
		return follow(s, c), nil
	case Receive:
		return receive(s, c), nil
	case Call:
		return call(s, c)
	case Recall:
		return recall(s, c)
	case Skip:
		return s.to(c.Ticket, Skipped, func(t Ticket) Event { return WasSkipped{t.Entry, c.At, c.By} }, Waiting, Called)
	case Return:
		return s.to(c.Ticket, Waiting, func(t Ticket) Event { return HasReturned{t.Entry, c.At, c.By} }, Called, Skipped, Left, Missed)
	case MarkUrgent:
		return markUrgent(s, c)
	case Start:
		return s.to(c.Ticket, InService, func(t Ticket) Event { return HasStarted{t.Entry, c.At, c.By} }, Called)
	case Finish:
		return s.to(c.Ticket, Finished, func(t Ticket) Event { return HasFinished{t.Entry, c.At, c.By} }, Called, InService)
	case Leave:
		return leave(s, c)
	case Transfer:
		return transfer(s, c)
	case Move:
		return move(s, c)
	}
	return nil, nil
}

// to decides a step of one ticket from some statuses; one that is there
// already decides nothing.
func (s State) to(ticket int, status Status, e func(Ticket) Event, from ...Status) ([]Event, error) {
	t, ok := s.Ticket(ticket)
	if !ok {
		return nil, ErrNoTicket
	}
	if t.Status == status {
		return nil, nil
	}
	for _, f := range from {
		if t.Status == f {
			return []Event{e(t)}, nil
		}
	}
	return nil, t.errStatus(from...)
}

func (t Ticket) errStatus(wanted ...Status) error {
	names := make([]string, len(wanted))
	for i, w := range wanted {
		names[i] = string(w)
	}
	return ErrStatus.Because("the person is " + string(t.Status) + ", not " + strings.Join(names, " or "))
}

// numbered returns the entry with the next number.
func (s State) numbered(e Entry) Entry {
	e.Ticket = len(s.Tickets) + 1
	return e
}

func join(s State, c Join) ([]Event, error) {
	if _, ok := s.Latest(c.Entry.ID); ok {
		return nil, nil
	}
	if c.Today != c.Entry.Day {
		return nil, ErrNotToday
	}
	_, waits := s.last(func(t Ticket) bool { return t.Patient == c.Entry.Patient && t.Status.Open() })
	if waits && c.Entry.Patient != "" {
		return nil, ErrAlready
	}
	return []Event{HasJoined{Entry: s.numbered(c.Entry), By: c.By}}, nil
}

// follow has the queue agree with an appointment. Whoever has left stays gone
// until they are checked in, or returned by hand.
func follow(s State, c Follow) []Event {
	t, known := s.Latest(c.Entry.ID)
	switch {
	case c.Is == Waiting && (!known || t.Status == Withdrawn):
		return []Event{HasJoined{Entry: s.numbered(c.Entry), By: c.By}}
	case !known || t.Status == c.Is || t.Status == Transferred || t.Status == Withdrawn:
		return nil
	case c.Is == Waiting && t.Status == InService && c.Undoes:
		return []Event{HasReturned{t.Entry, c.At, c.By}}
	case c.Is == InService && (t.Status != Finished || c.Undoes):
		return []Event{HasStarted{t.Entry, c.At, c.By}}
	case c.Is == Finished:
		return []Event{HasFinished{t.Entry, c.At, c.By}}
	case c.Is == Withdrawn && t.Status.Open():
		return []Event{WasWithdrawn{t.Entry, c.At, c.By}}
	}
	return nil
}

func receive(s State, c Receive) []Event {
	if _, ok := s.From(c.From); ok {
		return nil
	}
	joined := s.numbered(c.Entry)
	events := []Event{HasJoined{joined, &c.From, c.By}}
	if c.Urgent != "" {
		events = append(events, WasMarkedUrgent{joined, c.Urgent, c.UrgentAt, c.UrgentBy})
	}
	return events
}

func call(s State, c Call) ([]Event, error) {
	if !named(c.Desk) {
		return nil, ErrDesk
	}
	if has, ok := s.At(c.Desk); ok {
		if has.Status == Called && (c.Ticket == 0 || c.Ticket == has.Ticket) {
			return nil, nil
		}
		return nil, ErrDeskBusy
	}
	if c.Ticket != 0 {
		return outOfTurn(s, c)
	}
	order := Order(s, c.At)
	if len(order) == 0 {
		return nil, ErrEmpty
	}
	return []Event{WasCalled{Entry: order[0].Entry, Desk: c.Desk, Place: 1, At: c.At, By: c.By}}, nil
}

// outOfTurn calls one ticket. Nobody needs a reason to call whoever is next.
func outOfTurn(s State, c Call) ([]Event, error) {
	t, ok := s.Ticket(c.Ticket)
	if !ok {
		return nil, ErrNoTicket
	}
	for _, p := range Order(s, c.At) {
		if p.Ticket.Ticket != c.Ticket {
			continue
		}
		if p.Position == 1 {
			c.Reason = ""
		} else if !c.Reason.known() {
			return nil, ErrReason
		}
		return []Event{WasCalled{t.Entry, c.Desk, p.Position, c.Reason, c.At, c.By}}, nil
	}
	return nil, t.errStatus(Waiting)
}

func recall(s State, c Recall) ([]Event, error) {
	t, ok := s.Ticket(c.Ticket)
	switch {
	case !ok:
		return nil, ErrNoTicket
	case t.Status != Called:
		return nil, t.errStatus(Called)
	case !c.At.After(t.CalledAt):
		return nil, nil
	}
	return []Event{WasRecalled{t.Entry, t.Desk, c.At, c.By}}, nil
}

func markUrgent(s State, c MarkUrgent) ([]Event, error) {
	t, ok := s.Ticket(c.Ticket)
	switch {
	case !ok:
		return nil, ErrNoTicket
	case !c.Reason.known():
		return nil, ErrReason
	case t.Urgent == c.Reason:
		return nil, nil
	case t.Status != Waiting && t.Status != Skipped:
		return nil, t.errStatus(Waiting, Skipped)
	}
	at := c.At
	if t.Urgent != "" {
		at = t.UrgentAt // for another reason: the place stays
	}
	return []Event{WasMarkedUrgent{t.Entry, c.Reason, at, c.By}}, nil
}

func leave(s State, c Leave) ([]Event, error) {
	if c.Missed {
		return s.to(c.Ticket, Missed, func(t Ticket) Event { return WasMissed{t.Entry, c.At, c.By} }, Called, Skipped)
	}
	return s.to(c.Ticket, Left, func(t Ticket) Event { return HasLeft{t.Entry, c.At, c.By} }, Waiting, Called, Skipped)
}

func transfer(s State, c Transfer) ([]Event, error) {
	t, ok := s.Ticket(c.Ticket)
	switch {
	case ok && string(c.To) == t.Line():
		return nil, ErrSame
	case ok && t.Status == Transferred && t.To != c.To:
		return nil, t.errStatus(Waiting, Called, Skipped)
	}
	return s.to(c.Ticket, Transferred, func(t Ticket) Event { return WasTransferred{t.Entry, c.To, c.At, c.By} }, Waiting, Called, Skipped)
}

func move(s State, c Move) ([]Event, error) {
	t, ok := s.Ticket(c.Ticket)
	switch {
	case !ok:
		return nil, ErrNoTicket
	case !named(c.Room):
		return nil, ErrDesk
	case t.Status != Called && t.Status != InService:
		return nil, t.errStatus(Called, InService)
	case t.Room == c.Room:
		return nil, nil
	}
	return []Event{WasMoved{t.Entry, c.Room, c.At, c.By}}, nil
}

// named reports whether a desk or room has a name that fits a board.
func named(name string) bool {
	return !domain.Blank(name) && utf8.RuneCountInString(name) <= 40
}
