// Package appointment is the owner of a visit's claims: its stream is where a
// set of claims becomes live or dies.
//
//	(nothing) --Propose--> proposed --Commit--> booked --Arrive--> arrived --CheckIn--> checked-in --Fulfil--> fulfilled
//	                        |  |  |               |  \--Miss, GiveUp--> noshow
//	                        |  |  |Hold, Request  |
//	                        |  |  v               |  Propose (Move), Commit: the next set, then the one before is dead
//	                        |  |  pending --------+--Cancel, Decline, Release, Refuse, Lapse--> cancelled
//	                        |  v    |Commit, Approve                                              |
//	                        |       v                                                             | Propose (Restore), Commit
//	                        v     booked                                                          v
//	                    cancelled                                                               booked, or pending
//
// A set is pending while it is proposed, held by a frontend or requested of
// the clinic; Undo takes the last change of status back. At most one set is
// live (I3). A pending set has a deadline (I4): until then only the owner
// decides, by its own clock; from [ClockSlack] after it anybody who is hindered
// may lapse it. A refused or lapsed appointment that never was booked may be
// proposed again, with the next set. A set that is proposed by a series is not
// the appointment's to decide: Settle notes what the series has decided.
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
const ClockSlack = claim.ClockSlack

// Stream returns the stream of an appointment.
func Stream(id domain.AppointmentID) domain.StreamName { return domain.Stream(Category, string(id)) }

// Status is FHIR R4's Appointment.status.
type Status string

// The statuses, "" being an appointment that does not exist.
const (
	Proposed  Status = "proposed" // the protocol began; never listed
	Pending   Status = "pending"  // held, or requested and not yet approved
	Booked    Status = "booked"
	Arrived   Status = "arrived"
	CheckedIn Status = "checked-in" // in the room
	Fulfilled Status = "fulfilled"
	Cancelled Status = "cancelled"
	NoShow    Status = "noshow"
)

// Over reports whether nothing of the visit is still to come.
func (s Status) Over() bool { return s == Fulfilled || s == NoShow || s == Cancelled }

// Visit is what is booked. Every event repeats it, so that a reader needs no
// other event.
type Visit struct {
	Appointment  domain.AppointmentID  `json:"appointment"`
	Patient      domain.PatientID      `json:"patient"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Clinic       domain.ClinicID       `json:"clinic"`
	Slots        []domain.SlotID       `json:"slots"`
	domain.Period
	VisitType  string     `json:"visitType,omitempty"`
	Uses       []Use      `json:"uses,omitempty"`       // rooms and devices
	ExpectedAt *time.Time `json:"expectedAt,omitempty"` // in a session of several patients: when this one's turn is
	Overbooked bool       `json:"overbooked,omitempty"` // staff took it in beyond what there is
}

// Use is a room or a device for a part of the visit.
type Use struct {
	Kind string `json:"kind"` // "room" or "device"
	ID   string `json:"id"`
	domain.Period
}

// Same reports whether both are the same visit: same people, slots, rooms and
// time. The turn in a session follows from the claim, and does not count.
func (v Visit) Same(w Visit) bool {
	return v.Appointment == w.Appointment && v.Patient == w.Patient && v.Practitioner == w.Practitioner &&
		v.Clinic == w.Clinic && slices.Equal(v.Slots, w.Slots) && v.Period.Equal(w.Period) && v.VisitType == w.VisitType &&
		slices.EqualFunc(v.Uses, w.Uses, func(a, b Use) bool { return a.Kind == b.Kind && a.ID == b.ID && a.Period.Equal(b.Period) })
}

// UsesOf returns the time that a room or device is used for, in order: uses that
// touch or overlap are one.
func (v Visit) UsesOf(kind, id string) []domain.Period {
	var used []domain.Period
	for _, u := range v.Uses {
		if u.Kind == kind && u.ID == id {
			used = append(used, u.Period)
		}
	}
	return domain.Join(used)
}

// Phase says how far a pending set has come.
type Phase int

// The phases.
const (
	InDecision Phase = iota // the protocol is under way
	OnHold                  // a frontend keeps it while the person fills a form
	OnRequest               // it waits for approval
	OnOffer                 // it is kept for somebody of the waiting list
)

// MarshalText names the phase, for whoever prints a state.
func (p Phase) MarshalText() ([]byte, error) {
	return []byte([...]string{"in-decision", "on-hold", "on-request", "on-offer"}[p]), nil
}

// Set is one set of claims.
type Set struct {
	Visit
	Claims   []domain.StreamName // the arbiters' streams, sorted
	Deadline time.Time
	Ceiling  time.Time // of a hold: it is not renewed beyond
	MissedAt time.Time // of what is live: from when a patient who has not come counts as a no-show; zero = never
	Phase    Phase
	Fate     claim.Fate
	Series   domain.SeriesID // whose stream decides the set; "" = the appointment's own
	Wish     domain.WishID   // of the waiting list, for which it is or was offered
	WasLive  bool            // it is, or was once
	Released bool            // it was given back, or what was requested was cancelled by the patient
	Code     Code            // why it was, or why others cancelled the request; "" = whoever it was for did it
	Lapsed   bool            // nobody has decided it in time
}

// Change is the last change of status that can be undone.
type Change struct {
	From   Status // before it; "" when there is nothing to undo
	At     time.Time
	By     string // the actor
	Undone bool
}

// State is what the appointment's stream says. Set n is Sets[n-1].
type State struct {
	Status   Status
	Sets     []Set
	Reason   domain.Sealed // why the patient comes
	Decided  bool          // it was booked or cancelled once: no set but those of its own commands follows
	Moves    int           // how often it was rescheduled
	OwnMoves int           // how often by the patient, of what the clinic had not withdrawn
	Change   Change
	Ended    int       // the set that a cancellation or a refusal ended, 0 for none
	Arrived  time.Time // when the patient came, went in, and was done; zero when unknown
	Started  time.Time
	Finished time.Time
}

// Command is something to do to an appointment.
//
//sumtype:decl
type Command interface{ command() }

// Decide returns what the command does to the appointment.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Propose:
		return propose(s, c)
	case Commit:
		return commit(s, c)
	case Refuse:
		return refuse(s, c), nil
	case Lapse:
		return lapse(s, c)
	case Settle:
		return settle(s, c), nil
	case Hold:
		return hold(s, c)
	case Renew:
		return renew(s, c)
	case Release:
		return release(s), nil
	case EndOffer:
		return endOffer(s, c)
	case Request:
		return request(s, c)
	case Approve:
		return approve(s, c)
	case Decline:
		return decline(s, c)
	case Arrive:
		return arrive(s, c)
	case CheckIn:
		return checkIn(s, c)
	case Fulfil:
		return fulfil(s, c)
	case Miss:
		return miss(s, c)
	case GiveUp:
		return giveUp(s, c)
	case Cancel:
		return cancel(s, c)
	case Undo:
		return undo(s, c)
	}
	return nil, nil
}

// Fate returns what became of a set: [claim.Unknown] when the stream does not
// know it, which no claim that follows the protocol can meet.
func (s State) Fate(set int) claim.Fate {
	if set < 1 || set > len(s.Sets) {
		return claim.Unknown
	}
	return s.Sets[set-1].Fate
}

// Current returns the live set, else the one that was cancelled, else the
// latest, and its number; number 0 when there is none.
func (s State) Current() (Set, int) {
	switch n := s.live(); {
	case n > 0:
		return s.set(n), n
	case s.Status == Cancelled && s.Ended > 0:
		return s.set(s.Ended), s.Ended
	}
	return s.Latest()
}

// held returns the latest set that was on hold, and its number: 0 when there
// is none, or when something else has come of it.
func (s State) held() (Set, int) {
	for n := len(s.Sets); n > 0; n-- {
		switch t := s.set(n); t.Phase {
		case OnHold:
			return t, n
		case OnRequest, OnOffer:
			return Set{}, 0
		case InDecision:
		}
	}
	return Set{}, 0
}

// Latest returns the latest set and its number; number 0 when there is none.
func (s State) Latest() (Set, int) {
	if len(s.Sets) == 0 {
		return Set{}, 0
	}
	return s.set(len(s.Sets)), len(s.Sets)
}

// live returns the number of the live set, 0 for none.
func (s State) live() int {
	return 1 + slices.IndexFunc(s.Sets, func(t Set) bool { return t.Fate == claim.Live })
}

// pending reports whether any set is.
func (s State) pending() bool {
	return slices.ContainsFunc(s.Sets, func(t Set) bool { return t.Fate == claim.Pending })
}

// Waiting returns the set whose fate a series decides and the appointment does
// not know yet, and its number; number 0 when there is none.
func (s State) Waiting() (Set, int) {
	if last, n := s.Latest(); n > 0 && last.waits() {
		return last, n
	}
	return Set{}, 0
}

// waits reports whether a series decides what becomes of the set.
func (t Set) waits() bool { return t.Series != "" && t.Fate == claim.Pending }

func (s State) set(n int) Set { return s.Sets[n-1] }

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case WasProposed:
		if !s.Decided && !s.pending() {
			s.Status = Proposed
		}
		if s.Reason.IsZero() {
			s.Reason = e.Reason
		}
		s.Sets = append(slices.Clone(s.Sets), Set{Visit: e.Visit, Claims: e.Claims, Deadline: e.Deadline, Fate: claim.Pending, Series: e.Series})
	case WasHeld:
		s = s.keeps(e)
	case WasRenewed:
		s = s.with(e.Set, func(t *Set) { t.Deadline = e.Deadline })
	case WasRequested:
		s.Status, s.Change, s.Ended = Pending, Change{Undone: s.Ended > 0}, 0
		s = s.kill(e.Set).with(e.Set, func(t *Set) { t.Phase, t.Deadline = OnRequest, e.Deadline })
	case WasBooked:
		s = s.booked(e)
	case WasRefused:
		s = s.died(e.Set)
	case HasLapsed:
		s = s.died(e.Set).with(e.Set, func(t *Set) { t.Lapsed = true })
	case WasReleased:
		s = s.died(e.Set).with(e.Set, func(t *Set) { t.Released, t.Code = true, e.Code })
	case WasDeclined:
		s = s.kill(0)
		s.Change, s.Ended = Change{From: Pending, At: e.At, By: e.By}, e.Set
		s.Status, s.Decided = Cancelled, true
	case WasCancelled:
		s = s.cancelled(e)
	case HasArrived:
		s.Arrived = e.At
		s = s.changed(Arrived, e.At, e.By)
	case WasCheckedIn:
		s.Started = e.At
		s = s.changed(CheckedIn, e.At, e.By)
	case WasFulfilled:
		s.Finished = e.At
		s = s.changed(Fulfilled, e.At, e.By)
	case WasMissed:
		s = s.changed(NoShow, e.At, e.By)
	case WasReverted:
		s = s.reverted(e.Status)
	}
	return s
}

// keeps keeps a set for somebody. One that is offered beside a live set changes
// nothing about that.
func (s State) keeps(e WasHeld) State {
	if s.live() == 0 {
		s.Status = Pending
	}
	return s.with(e.Set, func(t *Set) {
		t.Phase, t.Deadline, t.Ceiling, t.Wish = OnHold, e.Deadline, e.Ceiling, e.Wish
		if e.Wish != "" {
			t.Phase = OnOffer
		}
	})
}

// booked makes a set live: the first one, that of a move, or that of a
// cancellation that is undone.
func (s State) booked(e WasBooked) State {
	if s.Status == Booked {
		s.Moves++
		if !e.Mends && e.by() == ByPatient {
			s.OwnMoves++
		}
	}
	s.Change = Change{Undone: s.Ended > 0}
	s.Status, s.Decided, s.Ended = Booked, true, 0
	s.Arrived, s.Started, s.Finished = time.Time{}, time.Time{}, time.Time{}
	return s.kill(e.Set).with(e.Set, func(t *Set) { t.Visit, t.MissedAt, t.Fate, t.WasLive = e.Visit, e.MissedAt, claim.Live, true })
}

// cancelled ends the appointment. Only what was booked or requested can be had
// back.
func (s State) cancelled(e WasCancelled) State {
	s.Change = Change{}
	if set, n := s.Latest(); s.live() > 0 || n > 0 && set.Phase == OnRequest && set.Fate == claim.Pending {
		s.Change = Change{From: s.Status, At: e.At, By: e.By}
	}
	s.Status, s.Decided, s.Ended = Cancelled, true, e.Set
	s = s.kill(0)
	if e.Set == 0 || s.Sets[e.Set-1].Phase != OnRequest || s.Sets[e.Set-1].WasLive {
		return s
	}
	if e.Initiator == ByPatient {
		return s.with(e.Set, func(t *Set) { t.Released = true })
	}
	return s.with(e.Set, func(t *Set) { t.Code = e.Code })
}

func (s State) changed(to Status, at time.Time, by string) State {
	s.Change = Change{From: s.Status, At: at, By: by}
	s.Status = to
	return s
}

// reverted takes the last change back, and what was noted with it. A patient who
// was marked as a no-show by mistake is not marked again by the passing of time.
func (s State) reverted(to Status) State {
	switch s.Status {
	case Arrived:
		s.Arrived = time.Time{}
	case CheckedIn:
		s.Started = time.Time{}
	case Fulfilled:
		s.Finished = time.Time{}
	case NoShow:
		s = s.with(s.live(), func(t *Set) { t.MissedAt = time.Time{} })
	case Proposed, Pending, Booked, Cancelled:
	}
	s.Status, s.Change = to, Change{Undone: true}
	return s
}

// with returns the state with one set changed.
func (s State) with(n int, change func(*Set)) State {
	s.Sets = slices.Clone(s.Sets)
	change(&s.Sets[n-1])
	return s
}

// died ends a set that was pending. The appointment goes with it unless another
// set is live or pending.
func (s State) died(n int) State {
	s = s.with(n, func(t *Set) { t.Fate = claim.Dead })
	if s.live() == 0 && !s.pending() {
		s.Status = Cancelled
	}
	return s
}

// kill ends every set but one.
func (s State) kill(but int) State {
	s.Sets = slices.Clone(s.Sets)
	for i := range s.Sets {
		if i != but-1 {
			s.Sets[i].Fate = claim.Dead
		}
	}
	return s
}
