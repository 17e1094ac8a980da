package queue

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Event is a fact about a queue.
//
//sumtype:decl
type Event interface {
	domain.Event
	queueEvent()
}

type (
	// HasJoined says that somebody waits from now on.
	HasJoined struct {
		Entry
		From *Origin `json:"from,omitempty"` // of whoever was transferred here
		By   string  `json:"by"`
	}
	// WasMarkedUrgent says that somebody goes before those who are not urgent.
	WasMarkedUrgent struct {
		Entry
		Reason Reason    `json:"reason"`
		At     time.Time `json:"at"`
		By     string    `json:"by"`
	}
	// WasCalled says that a desk has called somebody: nobody else does.
	WasCalled struct {
		Entry
		Desk   string    `json:"desk"`
		Place  int       `json:"place"`            // in the order at that moment, from 1
		Reason Reason    `json:"reason,omitempty"` // why out of turn
		At     time.Time `json:"at"`
		By     string    `json:"by"`
	}
	// WasRecalled says that a desk has called somebody once more.
	WasRecalled struct {
		Entry
		Desk string    `json:"desk"`
		At   time.Time `json:"at"`
		By   string    `json:"by"`
	}
	// WasSkipped says that somebody was passed over.
	WasSkipped struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// HasReturned says that somebody waits again.
	HasReturned struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// HasStarted says that somebody's service began.
	HasStarted struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// HasFinished says that somebody's service ended.
	HasFinished struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// HasLeft says that somebody is gone without being seen.
	HasLeft struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// WasMissed says that somebody did not come when called.
	WasMissed struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// WasWithdrawn says that the appointment's patient does not wait after all.
	WasWithdrawn struct {
		Entry
		At time.Time `json:"at"`
		By string    `json:"by"`
	}
	// WasTransferred says that somebody waits in another practitioner's queue.
	WasTransferred struct {
		Entry
		To domain.PractitionerID `json:"to"`
		At time.Time             `json:"at"`
		By string                `json:"by"`
	}
	// WasMoved says that somebody is in a room, or on the way to it.
	WasMoved struct {
		Entry
		Room string    `json:"room"`
		At   time.Time `json:"at"`
		By   string    `json:"by"`
	}
)

// EventType returns "queue.joined".
func (HasJoined) EventType() string { return "queue.joined" }

// EventType returns "queue.marked-urgent".
func (WasMarkedUrgent) EventType() string { return "queue.marked-urgent" }

// EventType returns "queue.called".
func (WasCalled) EventType() string { return "queue.called" }

// EventType returns "queue.recalled".
func (WasRecalled) EventType() string { return "queue.recalled" }

// EventType returns "queue.skipped".
func (WasSkipped) EventType() string { return "queue.skipped" }

// EventType returns "queue.returned".
func (HasReturned) EventType() string { return "queue.returned" }

// EventType returns "queue.started".
func (HasStarted) EventType() string { return "queue.started" }

// EventType returns "queue.finished".
func (HasFinished) EventType() string { return "queue.finished" }

// EventType returns "queue.left".
func (HasLeft) EventType() string { return "queue.left" }

// EventType returns "queue.missed".
func (WasMissed) EventType() string { return "queue.missed" }

// EventType returns "queue.withdrawn".
func (WasWithdrawn) EventType() string { return "queue.withdrawn" }

// EventType returns "queue.transferred".
func (WasTransferred) EventType() string { return "queue.transferred" }

// EventType returns "queue.moved".
func (WasMoved) EventType() string { return "queue.moved" }

func (HasJoined) queueEvent()       {}
func (WasMarkedUrgent) queueEvent() {}
func (WasCalled) queueEvent()       {}
func (WasRecalled) queueEvent()     {}
func (WasSkipped) queueEvent()      {}
func (HasReturned) queueEvent()     {}
func (HasStarted) queueEvent()      {}
func (HasFinished) queueEvent()     {}
func (HasLeft) queueEvent()         {}
func (WasMissed) queueEvent()       {}
func (WasWithdrawn) queueEvent()    {}
func (WasTransferred) queueEvent()  {}
func (WasMoved) queueEvent()        {}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case HasJoined:
		t := Ticket{Entry: e.Entry, Status: Waiting}
		if e.From != nil {
			t.From = *e.From
		}
		return State{append(slices.Clone(s.Tickets), t)}
	case WasMarkedUrgent:
		return s.with(e.Ticket, func(t *Ticket) { t.Urgent, t.UrgentAt, t.UrgentBy = e.Reason, e.At, e.By })
	case WasCalled:
		return s.with(e.Ticket, func(t *Ticket) {
			t.Status, t.Desk, t.Room, t.CalledAt, t.CalledBy, t.Jumped = Called, e.Desk, "", e.At, e.By, e.Reason
			t.Calls++
		})
	case WasRecalled:
		return s.with(e.Ticket, func(t *Ticket) { t.CalledAt, t.CalledBy = e.At, e.By; t.Calls++ })
	case WasSkipped:
		return s.with(e.Ticket, func(t *Ticket) { t.Status, t.Desk, t.Room = Skipped, "", "" })
	case HasReturned:
		return s.with(e.Ticket, func(t *Ticket) {
			t.Status, t.Desk, t.Room, t.Began, t.Ended = Waiting, "", "", time.Time{}, time.Time{}
		})
	case HasStarted:
		return s.with(e.Ticket, func(t *Ticket) { t.Status, t.Began, t.Ended = InService, e.At, time.Time{} })
	case HasFinished:
		return s.end(e.Ticket, Finished, e.At)
	case HasLeft:
		return s.end(e.Ticket, Left, e.At)
	case WasMissed:
		return s.end(e.Ticket, Missed, e.At)
	case WasWithdrawn:
		return s.end(e.Ticket, Withdrawn, e.At)
	case WasTransferred:
		return s.end(e.Ticket, Transferred, e.At).with(e.Ticket, func(t *Ticket) { t.To = e.To })
	case WasMoved:
		return s.with(e.Ticket, func(t *Ticket) { t.Room = e.Room })
	}
	return s
}

// end returns the state with nothing more to come for a ticket.
func (s State) end(ticket int, as Status, at time.Time) State {
	return s.with(ticket, func(t *Ticket) { t.Status, t.Desk, t.Room, t.Ended = as, "", "", at })
}

// with returns the state with one ticket changed; a number that there is not
// changes nothing.
func (s State) with(ticket int, change func(*Ticket)) State {
	if ticket < 1 || ticket > len(s.Tickets) {
		return s
	}
	s.Tickets = slices.Clone(s.Tickets)
	change(&s.Tickets[ticket-1])
	return s
}
