// Package queue is who waits for a practitioner, or for a service of a clinic, on
// one date: booked people who have come, and people without an appointment. Everybody has a ticket, whose
// number is unique in the queue.
//
//	                 +--Return, Follow--+
//	                 v                  |
//	Join, Follow -> waiting --Call--> called --Skip--> skipped --Leave--> left, missed
//	                 |  ^               |  ^
//	                 |  +----Return-----+  +--Recall: once more, by the same desk
//	                 |                  |
//	                 +--Start-----------+--Start--> in service --Finish--> finished
//
// Who waits, is called or is skipped may also leave without being seen, be
// missed, or be transferred to another practitioner's queue, where a new ticket
// begins. What the appointment says (Follow) counts: whoever is checked in is in
// service, whether called or not, and whoever has not arrived after all is
// withdrawn.
//
// Calling is a claim: it is one event of the one stream, so of two desks that
// call at once one is first, and the other decides again, about who is left.
// [Order] says who is next, and why.
package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of queue streams.
const Category = "queue"

// Stream returns the stream of a queue of a date at the clinic: a
// practitioner's, or that of a line.
func Stream[Line ~string](id Line, day domain.Day) domain.StreamName {
	return domain.Stream(Category, string(id)+"."+strings.ReplaceAll(string(day), "-", ""))
}

// Status is where somebody in the queue is.
type Status string

// The statuses, "" being nobody.
const (
	Waiting     Status = "waiting"
	Called      Status = "called"
	Skipped     Status = "skipped" // was called and did not show, or steps back
	InService   Status = "in-service"
	Finished    Status = "finished"
	Left        Status = "left" // without being seen
	Missed      Status = "noshow"
	Transferred Status = "transferred"
	Withdrawn   Status = "withdrawn" // the arrival was undone, or the appointment cancelled
)

// Open reports whether somebody is still to be seen, or is being seen.
func (s Status) Open() bool {
	return s == Waiting || s == Called || s == Skipped || s == InService
}

// Reason is why somebody goes before others.
type Reason string

// The reasons.
const (
	Emergency Reason = "emergency"
	Pain      Reason = "pain"
	Child     Reason = "child"
	Frail     Reason = "frail"
	Agreed    Reason = "agreed" // with the practitioner
	Other     Reason = "other"
)

func (r Reason) known() bool {
	return r == Emergency || r == Pain || r == Child || r == Frail || r == Agreed || r == Other
}

// Entry is one person in one queue. Every event repeats it, so that a reader
// needs no other event.
type Entry struct {
	ID           string                `json:"entry"`  // the appointment, or what was made up for a walk-in
	Ticket       int                   `json:"ticket"` // from 1, in the order of joining
	Practitioner domain.PractitionerID `json:"practitioner"`
	Day          domain.Day            `json:"day"` // at the clinic
	Clinic       domain.ClinicID       `json:"clinic"`
	Appointment  domain.AppointmentID  `json:"appointment,omitempty"` // none of a walk-in
	Patient      domain.PatientID      `json:"patient,omitempty"`     // "" when nobody has said
	Due          time.Time             `json:"due,omitzero"`          // what is booked: when it is to begin
	Since        time.Time             `json:"since"`                 // when the person came
	VisitType    string                `json:"visitType,omitempty"`   // what the visit is to be; "" when nobody has said
	Planned      int                   `json:"planned,omitempty"`     // how long it is to take, in minutes; 0 when nobody has said
	Offset       int                   `json:"offset,omitempty"`      // of the clinic's clock from UTC when the person joined, in minutes
	Service      string                `json:"service,omitempty"`     // of the clinic, whose queue it is when it is nobody's
}

// Line names the queues of all days that the entry's queue is one of: the
// practitioner, or "clinic.service".
func (e Entry) Line() string { return LineOf(e.Practitioner, e.Clinic, e.Service) }

// LineOf names the queues of a practitioner, or with a service those of the
// clinic's service.
func LineOf(id domain.PractitionerID, at domain.ClinicID, service string) string {
	if service != "" {
		return string(at) + "." + service
	}
	return string(id)
}

// ParseLine returns whose queues a line names: a practitioner's, or a service's
// of a clinic.
func ParseLine(line string) (id domain.PractitionerID, at domain.ClinicID, service string) {
	clinic, service, ofClinic := strings.Cut(line, ".")
	if ofClinic {
		return "", domain.ClinicID(clinic), service
	}
	return domain.PractitionerID(line), "", ""
}

// On returns the entry in the queue of another line of the same clinic.
func (e Entry) On(line string) Entry {
	e.Practitioner, _, e.Service = ParseLine(line)
	return e
}

// Origin is the ticket that somebody had in another queue.
type Origin struct {
	Practitioner domain.PractitionerID `json:"practitioner"` // or another line
	Ticket       int                   `json:"ticket"`
}

// Ticket is where an entry is.
type Ticket struct {
	Entry
	Status   Status                `json:"status"`
	From     Origin                `json:"from,omitzero"`   // of whoever was transferred here
	Urgent   Reason                `json:"urgent,omitzero"` // "" = not urgent
	UrgentAt time.Time             `json:"urgentAt,omitzero"`
	UrgentBy string                `json:"urgentBy,omitzero"` // who said so
	Desk     string                `json:"desk,omitzero"`     // that called last; it has the person until they are in a room, finished or gone
	Room     string                `json:"room,omitzero"`
	CalledAt time.Time             `json:"calledAt,omitzero"` // the last call or recall
	Calls    int                   `json:"calls,omitzero"`    // and recalls
	Jumped   Reason                `json:"jumped,omitzero"`   // why the last call was out of turn; "" = it was not
	CalledBy string                `json:"calledBy,omitzero"` // who called last
	Began    time.Time             `json:"began,omitzero"`    // when the service did
	Ended    time.Time             `json:"ended,omitzero"`    // when nothing more was to come
	To       domain.PractitionerID `json:"to,omitzero"`       // or another line
}

// State is the queue. Ticket n is Tickets[n-1].
type State struct {
	Tickets []Ticket `json:"tickets"`
}

// Ticket returns a ticket by its number, and whether there is one.
func (s State) Ticket(n int) (Ticket, bool) {
	if n < 1 || n > len(s.Tickets) {
		return Ticket{}, false
	}
	return s.Tickets[n-1], true
}

// Latest returns the latest ticket of an entry, and whether there is one.
func (s State) Latest(entry string) (Ticket, bool) {
	return s.last(func(t Ticket) bool { return t.ID == entry })
}

// From returns the ticket of whoever had that one elsewhere, and whether there
// is one.
func (s State) From(o Origin) (Ticket, bool) {
	return s.last(func(t Ticket) bool { return t.From == o })
}

// At returns whom a desk has, called or in service, and whether it has anybody.
func (s State) At(desk string) (Ticket, bool) {
	return s.last(func(t Ticket) bool {
		return t.Desk == desk && t.Room == "" && (t.Status == Called || t.Status == InService)
	})
}

func (s State) last(is func(Ticket) bool) (Ticket, bool) {
	for _, t := range slices.Backward(s.Tickets) {
		if is(t) {
			return t, true
		}
	}
	return Ticket{}, false
}

// The refusals of a queue.
var (
	ErrNoTicket = domain.Refusal(domain.NotFound, "queue.no-ticket", "there is no such ticket in this queue")
	ErrEmpty    = domain.Refusal(domain.Conflict, "queue.empty", "nobody waits in this queue")
	ErrStatus   = domain.Refusal(domain.Conflict, "queue.status", "where the person is does not allow this")
	ErrDeskBusy = domain.Refusal(domain.Conflict, "queue.desk-busy", "the desk has somebody: finish, or move them to a room, before the next is called")
	ErrAlready  = domain.Refusal(domain.Conflict, "queue.already", "the patient is in this queue already")
	ErrNotToday = domain.Refusal(domain.Refused, "queue.not-today", "a walk-in waits today")
	ErrDesk     = domain.Refusal(domain.Invalid, "queue.desk", "a desk or room has a name of at most 40 characters")
	ErrReason   = domain.Refusal(domain.Invalid, "queue.reason", "who goes before others does so for emergency, pain, child, frail, agreed or other")
	ErrSame     = domain.Refusal(domain.Invalid, "queue.same", "a transfer is to another queue")
)

// Command is something to do to a queue.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Join gives somebody who came without an appointment a ticket.
	Join struct {
		Entry Entry // without a number
		Today domain.Day
		By    string
	}
	// Follow has the queue agree with what an appointment says: Waiting when its
	// patient has arrived, InService, Finished, or Withdrawn. Only an undoing
	// takes anybody back: what the desks did since the arrival stays.
	Follow struct {
		Entry  Entry // without a number
		Is     Status
		Undoes bool
		At     time.Time
		By     string
	}
	// Receive gives somebody a ticket who was transferred from another queue.
	Receive struct {
		Entry    Entry // without a number
		From     Origin
		Urgent   Reason
		UrgentAt time.Time
		UrgentBy string
		By       string
	}
	// Call calls whoever is next to a desk. A desk that has called somebody who
	// has not come in yet has that one again.
	Call struct {
		Desk   string
		Ticket int    // out of turn; 0 = whoever is next
		Reason Reason // why out of turn
		At     time.Time
		By     string
	}
	// Recall calls whoever was called once more.
	Recall struct {
		Ticket int
		At     time.Time
		By     string
	}
	// Skip passes over somebody, who keeps the ticket and may return.
	Skip struct {
		Ticket int
		At     time.Time
		By     string
	}
	// Return has somebody wait again, in the place of their ticket.
	Return struct {
		Ticket int
		At     time.Time
		By     string
	}
	// MarkUrgent has somebody go before those who are not.
	MarkUrgent struct {
		Ticket int
		Reason Reason
		At     time.Time
		By     string
	}
	// Start begins somebody's service.
	Start struct {
		Ticket int
		At     time.Time
		By     string
	}
	// Finish ends somebody's service.
	Finish struct {
		Ticket int
		At     time.Time
		By     string
	}
	// Leave notes that somebody is gone without being seen; or was missed, when
	// they did not come when called.
	Leave struct {
		Ticket int
		Missed bool
		At     time.Time
		By     string
	}
	// Transfer sends somebody to another practitioner's queue, or a service's.
	Transfer struct {
		Ticket int
		To     domain.PractitionerID // or a line
		At     time.Time
		By     string
	}
	// Move sends somebody who was called or is in service to a room, and frees
	// the desk.
	Move struct {
		Ticket int
		Room   string
		At     time.Time
		By     string
	}
)

func (Join) command()       {}
func (Follow) command()     {}
func (Receive) command()    {}
func (Call) command()       {}
func (Recall) command()     {}
func (Skip) command()       {}
func (Return) command()     {}
func (MarkUrgent) command() {}
func (Start) command()      {}
func (Finish) command()     {}
func (Leave) command()      {}
func (Transfer) command()   {}
func (Move) command()       {}
