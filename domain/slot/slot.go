// Package slot is the arbiter of one bookable unit: who has its places.
//
//	(opened by its day) --Claim--> held, booked --Release--> free again
//	        |                        |
//	     Withdraw                 Withdraw
//	        v                        v   Reinstate: as before
//	       gone <-----Release---- displaced: no new claim; what is booked stays, what is held comes to nothing
//
// A slot's stream begins with its first claim or its withdrawal; its terms
// come from the day that opened it. Claims never exceed the places (I1).
package slot

import (
	"cmp"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Category is the category of slot streams.
const Category = "slot"

// Stream returns the stream of a slot.
func Stream(id domain.SlotID) domain.StreamName { return domain.Stream(Category, string(id)) }

// Terms are what a slot is, as the day that opened it says. Every event of the
// slot repeats them, so that a reader needs no other event.
type Terms struct {
	Slot         domain.SlotID         `json:"slot"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Clinic       domain.ClinicID       `json:"clinic"`
	domain.Period
}

// State is what the slot's stream says.
type State struct {
	Places    int // 0 until the stream says; then the capacity in force
	Wanted    int // what the schedule wants, less than Places while more are taken; 0 = Places
	Withdrawn bool
	Times     int           // how often it was withdrawn
	Claims    []Holder      // in the order in which they were made
	Firm      []claim.Claim // those that were booked, not only held
	Shares    []Share       // of the claims that share the slot's time with others
	Terms     Terms         // zero until the stream begins

	Beyond []domain.AppointmentID // for whom staff added a place that they have
}

// Holder is a claim with those it is for.
type Holder struct {
	claim.Claim
	Appointment domain.AppointmentID `json:"appointment"`
	Patient     domain.PatientID     `json:"patient,omitempty"`
	Place       int                  `json:"place,omitempty"` // which of the places that there were, from 0
}

// Share is the part of the slot's time that a claim was given: its place among
// so many. It stays when the number of places changes.
type Share struct {
	claim.Claim
	Place, Of int // Place from 0, Of 2 or more
}

// Command is something to do to a slot.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Claim takes one place.
	Claim struct {
		Terms     Terms
		Capacity  int           // places, as the day opened the slot
		Holder    Holder        // its place is found here
		Tentative bool          // the set is held or requested, not booked
		Beyond    bool          // staff add a place when none is left
		Reason    domain.Sealed // why, with Beyond
		Fates     claim.Fates   // of foreign claims, as far as looked up
	}
	// Release gives a place back.
	Release struct{ Claim claim.Claim }
	// Withdraw takes the slot off the schedule. It is always accepted, and says
	// so also of a slot whose reinstatement has not come through: whoever still
	// holds one in hand finds the stream at another revision.
	Withdraw struct {
		Terms Terms
		Times int // how often the day has withdrawn the slot; 0 = 1
	}
	// Reinstate puts a withdrawn slot back on the schedule.
	Reinstate struct {
		Terms    Terms
		Times    int // which withdrawal it takes back; a later one stands
		Capacity int // wanted places; 0 = as many as there are
	}
	// Resize changes the number of places; those that are taken stay.
	Resize struct {
		Terms    Terms
		Capacity int // wanted places, at least 1
	}
)

func (Claim) command()     {}
func (Release) command()   {}
func (Withdraw) command()  {}
func (Reinstate) command() {}
func (Resize) command()    {}

// Event is a fact about a slot.
//
//sumtype:decl
type Event interface {
	domain.Event
	slotEvent()
}

type (
	// Held says that a claim took a place for a set that is not decided yet.
	Held struct {
		Terms
		Holder
		Places int `json:"places"` // the capacity under which the claim was decided
	}
	// Overbooked says that staff added a place for a patient.
	Overbooked struct {
		Terms
		Appointment domain.AppointmentID `json:"appointment"` // for which it was added
		Places      int                  `json:"places"`      // from now on
		Reason      domain.Sealed        `json:"reason,omitzero"`
	}
	// Booked says that a claim took a place, or that one that was held is booked.
	Booked struct {
		Terms
		Holder
		Places int `json:"places"` // the capacity under which the claim was decided
	}
	// Released says that a place is free again; of a withdrawn slot, that it is gone.
	Released struct {
		Terms
		Holder
	}
	// Withdrawn says that the slot takes no new claim. Displaced are those it had.
	Withdrawn struct {
		Terms
		Displaced []Holder `json:"displaced,omitempty"`
	}
	// Reinstated says that the slot takes claims again. Holders are those that it
	// has, whom its withdrawal had displaced.
	Reinstated struct {
		Terms
		Holders []Holder `json:"holders,omitempty"`
	}
	// Resized says how many places there are from now on. Wanted is fewer while
	// more are taken: each release then takes a place away.
	Resized struct {
		Terms
		Places int `json:"places"`
		Wanted int `json:"wanted,omitempty"` // 0 = Places
	}
)

// EventType returns "slot.held".
func (Held) EventType() string { return "slot.held" }

// EventType returns "slot.overbooked".
func (Overbooked) EventType() string { return "slot.overbooked" }

// EventType returns "slot.booked".
func (Booked) EventType() string { return "slot.booked" }

// EventType returns "slot.released".
func (Released) EventType() string { return "slot.released" }

// EventType returns "slot.withdrawn".
func (Withdrawn) EventType() string { return "slot.withdrawn" }

// EventType returns "slot.reinstated".
func (Reinstated) EventType() string { return "slot.reinstated" }

// EventType returns "slot.resized".
func (Resized) EventType() string { return "slot.resized" }

func (Held) slotEvent()       {}
func (Overbooked) slotEvent() {}
func (Booked) slotEvent()     {}
func (Released) slotEvent()   {}
func (Withdrawn) slotEvent()  {}
func (Reinstated) slotEvent() {}
func (Resized) slotEvent()    {}

// The refusals of a slot.
var (
	ErrTaken     = domain.Refusal(domain.Conflict, "slot.taken", "every place of the slot is taken")
	ErrWithdrawn = domain.Refusal(domain.Gone, "slot.withdrawn", "the clinic has withdrawn the slot")
)

// Decide returns what the command does to the slot. It returns [ErrWithdrawn],
// or a [claim.Taken] over [ErrTaken] that names the foreign claims in the way.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Claim:
		return decideClaim(s, c)
	case Release:
		return release(s, c), nil
	case Withdraw:
		if s.Times >= max(1, c.Times) {
			return nil, nil
		}
		return []Event{Withdrawn{c.Terms, slices.Clone(s.Claims)}}, nil
	case Reinstate:
		return reinstate(s, c), nil
	case Resize:
		return resize(s, c), nil
	}
	return nil, nil
}

func decideClaim(s State, c Claim) ([]Event, error) {
	places := cmp.Or(s.Wanted, s.Places, c.Capacity) // fewer places refuse newcomers
	h, held := s.holder(c.Holder.Claim)
	switch {
	case held && slices.Contains(s.Firm, h.Claim):
		return nil, nil // the same appointment and set: the same claim
	case s.Withdrawn:
		return nil, ErrWithdrawn // also of what was held before
	case held && c.Tentative:
		return nil, nil
	case held:
		return []Event{Booked{s.Terms, h, s.Places}}, nil
	}
	if len(owners(s.Claims, c.Holder.Owner, nil)) < places {
		return []Event{s.take(c, places)}, nil
	}
	if len(owners(s.Claims, c.Holder.Owner, c.Fates)) < places {
		events := releaseDead(s, c, places)
		return append(events, domain.Fold(Evolve, s, events...).take(c, places)), nil
	}
	if c.Beyond {
		return beyond(s, c, places), nil
	}
	return nil, &claim.Taken{Rule: ErrTaken, By: inTheWay(s.Claims, c)}
}

// beyond adds the place that is missing, and takes it.
func beyond(s State, c Claim, places int) []Event {
	added := Overbooked{Terms: c.Terms, Appointment: c.Holder.Appointment, Reason: c.Reason, Places: max(places, len(owners(s.Claims, c.Holder.Owner, nil))) + 1}
	c.Holder.Place = added.Places - 1
	return []Event{added, c.claimed(added.Places)}
}

// take returns the event that gives the claim the first place whose part of the
// slot's time no other owner has.
func (s State) take(c Claim, places int) Event {
	for c.Holder.Place = 0; s.shared(c.Holder, places); {
		c.Holder.Place++
	}
	return c.claimed(places)
}

// shared reports whether another owner's part of the slot's time begins with that
// of a holder who has its place among so many.
func (s State) shared(h Holder, places int) bool {
	return slices.ContainsFunc(s.Claims, func(other Holder) bool {
		share := s.share(other)
		return other.Owner != h.Owner && share.Place*places == h.Place*share.Of
	})
}

func (s State) share(h Holder) Share {
	for _, share := range s.Shares {
		if share.Claim == h.Claim {
			return share
		}
	}
	return Share{h.Claim, h.Place, 1}
}

func (c Claim) claimed(places int) Event {
	if c.Tentative {
		return Held{c.Terms, c.Holder, places}
	}
	return Booked{c.Terms, c.Holder, places}
}

// releaseDead releases as many dead claims as stand in the way.
func releaseDead(s State, c Claim, places int) []Event {
	var events []Event
	for _, h := range s.Claims {
		if len(owners(s.Claims, c.Holder.Owner, nil)) < places {
			break
		}
		if c.Fates[h.Claim] == claim.Dead && h.Owner != c.Holder.Owner {
			e := Released{c.Terms, h}
			s, events = Evolve(s, e), append(events, e)
		}
	}
	return events
}

// owners returns the owners other than own that hold a place. Several claims
// of one owner count once; those known to be dead do not count.
func owners(holders []Holder, own domain.StreamName, fates claim.Fates) map[domain.StreamName]bool {
	others := map[domain.StreamName]bool{}
	for _, h := range holders {
		if h.Owner != own && fates[h.Claim] != claim.Dead {
			others[h.Owner] = true
		}
	}
	return others
}

func inTheWay(holders []Holder, c Claim) []claim.Claim {
	var by []claim.Claim
	for _, h := range holders {
		if h.Owner != c.Holder.Owner && c.Fates[h.Claim] != claim.Dead {
			by = append(by, h.Claim)
		}
	}
	return by
}

// release gives a place back, and takes it away where fewer are wanted.
func release(s State, c Release) []Event {
	for _, h := range s.Claims {
		if h.Claim == c.Claim {
			released := Released{s.Terms, h}
			events := []Event{released}
			if 0 < s.Wanted && s.Wanted < s.Places {
				events = append(events, resize(Evolve(s, released), Resize{s.Terms, s.Wanted})...)
			}
			return events
		}
	}
	return nil
}

func reinstate(s State, c Reinstate) []Event {
	if !s.Withdrawn || s.Times != c.Times {
		return nil
	}
	back := Reinstated{c.Terms, slices.Clone(s.Claims)}
	events := []Event{back}
	if c.Capacity > 0 {
		events = append(events, resize(Evolve(s, back), Resize{c.Terms, c.Capacity})...)
	}
	return events
}

// resize never removes an occupied place: a smaller capacity than the claims
// keeps as many places as there are claims.
func resize(s State, c Resize) []Event {
	places := max(c.Capacity, len(owners(s.Claims, "", nil)))
	if s.Withdrawn || s.Places == places && cmp.Or(s.Wanted, s.Places) == c.Capacity {
		return nil
	}
	if places == c.Capacity {
		return []Event{Resized{Terms: c.Terms, Places: places}}
	}
	return []Event{Resized{c.Terms, places, c.Capacity}}
}

// holder returns the place that a claim has, if any.
func (s State) holder(c claim.Claim) (Holder, bool) {
	for _, h := range s.Claims {
		if h.Claim == c {
			return h, true
		}
	}
	return Holder{}, false
}

// Turn returns when the turn of a claim is: the places share the time of the slot
// alike, as many as there were when it was claimed. It returns false for a claim
// that shares it with nobody.
func (s State) Turn(c claim.Claim) (time.Time, bool) {
	for _, share := range s.Shares {
		if share.Claim == c {
			length := s.Terms.End.Sub(s.Terms.Start) / time.Duration(share.Of)
			return s.Terms.Start.Add(time.Duration(share.Place) * length.Truncate(time.Second)), true
		}
	}
	return time.Time{}, false
}

// Added reports whether staff added the place that an appointment has.
func (s State) Added(id domain.AppointmentID) bool { return slices.Contains(s.Beyond, id) }

// claimed notes a holder who was not there before.
func (s State) claimed(h Holder, places int) State {
	s.Claims = append(slices.Clone(s.Claims), h)
	if places > 1 {
		s.Shares = append(slices.Clone(s.Shares), Share{h.Claim, h.Place, places})
	}
	return s
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Held:
		s.Places, s.Terms = e.Places, e.Terms
		s = s.claimed(e.Holder, e.Places)
	case Booked:
		s.Places, s.Terms = e.Places, e.Terms
		s.Firm = append(slices.Clone(s.Firm), e.Claim)
		if _, held := s.holder(e.Claim); !held {
			s = s.claimed(e.Holder, e.Places)
		}
	case Released:
		s.Claims = slices.DeleteFunc(slices.Clone(s.Claims), func(h Holder) bool { return h.Claim == e.Claim })
		s.Firm = slices.DeleteFunc(slices.Clone(s.Firm), func(c claim.Claim) bool { return c == e.Claim })
		s.Shares = slices.DeleteFunc(slices.Clone(s.Shares), func(share Share) bool { return share.Claim == e.Claim })
		s.Beyond = slices.DeleteFunc(slices.Clone(s.Beyond), func(id domain.AppointmentID) bool { return id == e.Appointment })
	case Withdrawn:
		s.Withdrawn, s.Terms, s.Times = true, e.Terms, s.Times+1
	case Reinstated:
		s.Withdrawn, s.Terms = false, e.Terms
	case Resized:
		s.Places, s.Wanted, s.Terms = e.Places, e.Wanted, e.Terms
	case Overbooked:
		s.Beyond = append(slices.Clone(s.Beyond), e.Appointment)
		s.Wanted = cmp.Or(s.Wanted, s.Places) // the place goes with whoever leaves first
		s.Places, s.Terms = e.Places, e.Terms
	}
	return s
}
