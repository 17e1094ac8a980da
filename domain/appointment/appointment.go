// Package appointment is the owner of a visit's claims: its stream is where a
// set of claims becomes live or dies.
//
//	            Propose             Commit
//	(nothing) ----------> proposed --------> booked
//	                       |  |  |             |
//	                 Refuse|  |  |Cancel       |Cancel
//	                       | Lapse             |
//	                       v  v  v             v
//	                       cancelled       cancelled
//	                           |
//	                           | Propose (after a refusal or a lapse only)
//	                           v
//	                        proposed, with the next set
//
// At most one set is live, and one pending (I3). A pending set has a deadline
// (I4): until then only the owner decides, by its own clock; from [ClockSlack]
// after it anybody who is hindered may lapse it.
package appointment

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Category is the category of appointment streams.
const Category = "appointment"

// ClockSlack is how long after a set's deadline a helper waits before it
// lapses the set: the largest difference between the clocks of two processes.
const ClockSlack = 2 * time.Second

// Stream returns the stream of an appointment.
func Stream(id domain.AppointmentID) domain.StreamName { return domain.Stream(Category, string(id)) }

// Status is FHIR R4's Appointment.status.
type Status string

// The statuses, "" being an appointment that does not exist.
const (
	Proposed  Status = "proposed" // the protocol began; never listed
	Booked    Status = "booked"
	Cancelled Status = "cancelled"
)

// Initiator is who cancels.
type Initiator string

// The initiators.
const (
	ByPatient      Initiator = "patient"
	ByPractitioner Initiator = "practitioner"
	ByClinic       Initiator = "clinic"
)

// Visit is what is booked. Every event repeats it, so that a reader needs no
// other event.
type Visit struct {
	Appointment  domain.AppointmentID  `json:"appointment"`
	Patient      domain.PatientID      `json:"patient"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Clinic       domain.ClinicID       `json:"clinic"`
	Slots        []domain.SlotID       `json:"slots"`
	domain.Period
}

// Same reports whether both are the same visit: same people, slots and time.
func (v Visit) Same(w Visit) bool {
	return v.Appointment == w.Appointment && v.Patient == w.Patient && v.Practitioner == w.Practitioner &&
		v.Clinic == w.Clinic && slices.Equal(v.Slots, w.Slots) && v.Period.Equal(w.Period)
}

// Set is one set of claims.
type Set struct {
	Visit
	Claims   []domain.StreamName // the arbiters' streams, sorted
	Deadline time.Time
	Fate     claim.Fate
}

// State is what the appointment's stream says. Set n is Sets[n-1].
type State struct {
	Status  Status
	Sets    []Set
	Reason  domain.Sealed // why the patient comes
	Decided bool          // it was booked or cancelled once: no set but those of its own commands follows
}

// Command is something to do to an appointment.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Propose begins the protocol for the next set.
	Propose struct {
		Visit    Visit
		Claims   []domain.StreamName
		Reason   domain.Sealed
		Deadline time.Time
		At       time.Time
	}
	// Commit makes a pending set live. All its claims are held by then.
	Commit struct {
		Set int
		At  time.Time
	}
	// Refuse ends a pending set whose claims could not all be had.
	Refuse struct {
		Set  int
		Rule string
	}
	// Lapse ends a pending set whose deadline has passed.
	Lapse struct {
		Set int
		At  time.Time
	}
	// Cancel ends the appointment.
	Cancel struct {
		Initiator Initiator
		Reason    domain.Sealed
	}
)

func (Propose) command() {}
func (Commit) command()  {}
func (Refuse) command()  {}
func (Lapse) command()   {}
func (Cancel) command()  {}

// Event is a fact about an appointment.
//
//sumtype:decl
type Event interface {
	domain.Event
	appointmentEvent()
}

type (
	// WasProposed says which claims a set needs and until when it may be decided.
	WasProposed struct {
		Visit
		Set      int                 `json:"set"`
		Claims   []domain.StreamName `json:"claims"`
		Reason   domain.Sealed       `json:"reason,omitzero"`
		Deadline time.Time           `json:"deadline"`
	}
	// WasBooked says that a set is live: the commit point of a booking.
	WasBooked struct {
		Visit
		Set int `json:"set"`
	}
	// WasRefused says that a set died because a race was lost half-way.
	WasRefused struct {
		Visit
		Set  int    `json:"set"`
		Rule string `json:"rule"`
	}
	// HasLapsed says that a set died because its deadline passed.
	HasLapsed struct {
		Visit
		Set int `json:"set"`
	}
	// WasCancelled says that the appointment ended and its set with it.
	WasCancelled struct {
		Visit
		Set       int           `json:"set"`
		Initiator Initiator     `json:"initiator"`
		Reason    domain.Sealed `json:"reason,omitzero"`
	}
)

// EventType returns "appointment.proposed".
func (WasProposed) EventType() string { return "appointment.proposed" }

// EventType returns "appointment.booked".
func (WasBooked) EventType() string { return "appointment.booked" }

// EventType returns "appointment.refused".
func (WasRefused) EventType() string { return "appointment.refused" }

// EventType returns "appointment.lapsed".
func (HasLapsed) EventType() string { return "appointment.lapsed" }

// EventType returns "appointment.cancelled".
func (WasCancelled) EventType() string { return "appointment.cancelled" }

func (WasProposed) appointmentEvent()  {}
func (WasBooked) appointmentEvent()    {}
func (WasRefused) appointmentEvent()   {}
func (HasLapsed) appointmentEvent()    {}
func (WasCancelled) appointmentEvent() {}

// The refusals of an appointment.
var (
	ErrNotFound     = domain.Refusal(domain.NotFound, "appointment.not-found", "there is no such appointment")
	ErrExists       = domain.Refusal(domain.Conflict, "appointment.exists", "an appointment with this id exists already and says something else")
	ErrLapsed       = domain.Refusal(domain.Gone, "appointment.lapsed", "the time to complete the booking has passed")
	ErrNotDue       = domain.Refusal(domain.Conflict, "appointment.not-due", "the deadline of the booking has not passed yet")
	ErrPast         = domain.Refusal(domain.Refused, "appointment.past", "the slot has started already")
	ErrBadInitiator = domain.Refusal(domain.Invalid, "appointment.initiator", "the initiator is patient, practitioner or clinic")
)

// Decide returns what the command does to the appointment.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Propose:
		return propose(s, c)
	case Commit:
		return commit(s, c)
	case Refuse:
		if s.Fate(c.Set) != claim.Pending {
			return nil, nil
		}
		return []Event{WasRefused{s.set(c.Set).Visit, c.Set, c.Rule}}, nil
	case Lapse:
		return lapse(s, c)
	case Cancel:
		return cancel(s, c)
	}
	return nil, nil
}

func propose(s State, c Propose) ([]Event, error) {
	var lapsed []Event
	if last, n := s.Current(); n > 0 {
		switch {
		case last.Fate == claim.Dead && !s.Decided:
		case last.Fate == claim.Pending && !c.At.Before(last.Deadline):
			lapsed = []Event{HasLapsed{last.Visit, n}}
		case last.Fate == claim.Dead || !last.Same(c.Visit):
			return nil, ErrExists
		default:
			return nil, nil // the same visit, booked or on its way
		}
	}
	if !c.At.Before(c.Visit.Start) {
		return nil, ErrPast
	}
	return append(lapsed, WasProposed{c.Visit, len(s.Sets) + 1, c.Claims, c.Reason, c.Deadline}), nil
}

func commit(s State, c Commit) ([]Event, error) {
	switch s.Fate(c.Set) {
	case claim.Live:
		return nil, nil
	case claim.Pending:
		if set := s.set(c.Set); c.At.Before(set.Deadline) {
			return []Event{WasBooked{set.Visit, c.Set}}, nil
		}
	case claim.Dead, claim.Unknown:
	}
	return nil, ErrLapsed
}

func lapse(s State, c Lapse) ([]Event, error) {
	if s.Fate(c.Set) != claim.Pending {
		return nil, nil
	}
	set := s.set(c.Set)
	if c.At.Before(set.Deadline.Add(ClockSlack)) {
		return nil, ErrNotDue
	}
	return []Event{HasLapsed{set.Visit, c.Set}}, nil
}

// cancel ends also what was refused or lapsed already: a late repeat of the
// booking must not revive what somebody was told is cancelled.
func cancel(s State, c Cancel) ([]Event, error) {
	switch {
	case s.Status == "":
		return nil, ErrNotFound
	case c.Initiator != ByPatient && c.Initiator != ByPractitioner && c.Initiator != ByClinic:
		return nil, ErrBadInitiator
	case s.Status == Cancelled && s.Decided:
		return nil, nil // cancelled is cancelled, whoever asks again
	}
	n := len(s.Sets)
	return []Event{WasCancelled{s.set(n).Visit, n, c.Initiator, c.Reason}}, nil
}

// SetOf returns the number of the set that an event is about.
func SetOf(e Event) int {
	switch e := e.(type) {
	case WasProposed:
		return e.Set
	case WasBooked:
		return e.Set
	case WasRefused:
		return e.Set
	case HasLapsed:
		return e.Set
	case WasCancelled:
		return e.Set
	}
	return 0
}

// Fate returns what became of a set: [claim.Unknown] when the stream does not
// know it, which no claim that follows the protocol can meet.
func (s State) Fate(set int) claim.Fate {
	if set < 1 || set > len(s.Sets) {
		return claim.Unknown
	}
	return s.Sets[set-1].Fate
}

// Current returns the latest set and its number; number 0 when there is none.
func (s State) Current() (Set, int) {
	if len(s.Sets) == 0 {
		return Set{}, 0
	}
	return s.set(len(s.Sets)), len(s.Sets)
}

func (s State) set(n int) Set { return s.Sets[n-1] }

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case WasProposed:
		s.Status, s.Reason = Proposed, e.Reason
		s.Sets = append(slices.Clone(s.Sets), Set{e.Visit, e.Claims, e.Deadline, claim.Pending})
	case WasBooked:
		s.Status, s.Decided = Booked, true
		s.Sets = fate(s.Sets, e.Set, claim.Live)
	case WasRefused:
		s.Status = Cancelled
		s.Sets = fate(s.Sets, e.Set, claim.Dead)
	case HasLapsed:
		s.Status = Cancelled
		s.Sets = fate(s.Sets, e.Set, claim.Dead)
	case WasCancelled:
		s.Status, s.Decided = Cancelled, true
		s.Sets = fate(s.Sets, e.Set, claim.Dead)
	}
	return s
}

func fate(sets []Set, n int, f claim.Fate) []Set {
	sets = slices.Clone(sets)
	sets[n-1].Fate = f
	return sets
}
