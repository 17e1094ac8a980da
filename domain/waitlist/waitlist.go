// Package waitlist is what a patient waits for: an appointment that is not to be
// had now, or an earlier one than they have.
//
//	(nothing) --Join--> waiting --Claim--> offered --Claim (accepting)--> accepted
//	                    |  ^  ^               |                              |
//	                    |  |  +----Release----+-----------Release------------+
//	          Skip, Move|  |
//	                    +--+
//	waiting, offered --Leave, Expire--> ended
//
// A wish is an arbiter of one: the set of an appointment that is offered for it
// claims it, and is worth what that set is worth. Once the set has been booked,
// the claim is for good, and nobody releases it. Whom a free slot passes over
// has the reason here.
package waitlist

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Category is the category of the streams of wishes.
const Category = "waitlist"

// Stream returns the stream of a wish.
func Stream(id domain.WishID) domain.StreamName { return domain.Stream(Category, string(id)) }

// DueExpire is the kind of the deadline of a wish, as [domain.Deadline] names
// it: its latest date is over. Send [Expire].
const DueExpire = "wish-expires"

// Status is how a wish stands.
type Status string

// The statuses, "" being a wish that does not exist.
const (
	Waiting  Status = "waiting"
	Offered  Status = "offered"
	Accepted Status = "accepted" // unless what was accepted dies before it is booked
	Ended    Status = "ended"
)

// End is why a wish has ended without being fulfilled.
type End string

// The reasons.
const (
	HasLeft    End = "left"
	HasExpired End = "expired" // its latest date is over
	NoLonger   End = "nothing-to-bring-forward"
)

// How an offer ended, other than by being booked; "" is that the patient never had
// it: a process died while it was made, or somebody else was faster.
const (
	Declined    = "declined"
	Lapsed      = "lapsed"
	NotApproved = "not-approved"
	Withdrawn   = "withdrawn" // its appointment ended, or was moved
	Displaced   = "displaced" // the clinic has withdrawn the time
)

// Offer is what a wish is offered. An offer is one set of an appointment's
// claims.
type Offer struct {
	claim.Claim
	Appointment domain.AppointmentID `json:"appointment"`
	Opening
	Until time.Time `json:"until"` // the patient may accept it before then
}

// State is a wish and what has become of it.
type State struct {
	Wish
	Since   time.Time // when the patient joined
	Expires time.Time // nothing fulfils it from then on; zero = never
	Status  Status
	Offer   Offer                    // what is offered or accepted; zero when nothing is
	Had     []domain.SlotID          // what was offered before, or is now
	Skips   map[domain.SlotID]string // the last rule by which a slot passed the patient over
	End     End
}

// Command is something to do to a wish.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Join begins to wait.
	Join struct {
		Wish Wish
		At   time.Time
		Zone string // of the clinics, whose calendar the dates are of
	}
	// Claim offers something; Accepting, the patient takes it.
	Claim struct {
		Offer     Offer
		Accepting bool
		Fates     claim.Fates            // of foreign claims, as far as looked up
		Ends      map[claim.Claim]string // how dead ones ended, as in Release
	}
	// Release says that what was offered is offered no more.
	Release struct {
		Claim claim.Claim
		Why   string // one of the above
	}
	// Skip notes by which rule a free slot passed the patient over.
	Skip struct {
		Opening Opening
		Rule    string
	}
	// Leave ends the wish.
	Leave struct{}
	// Expire ends a wish that nothing can fulfil any more.
	Expire struct {
		At  time.Time
		End End // [HasExpired], or [NoLonger] at once
	}
	// Move gives the wish to the patient whom its own is merged into.
	Move struct{ Patient domain.PatientID }
)

func (Join) command()    {}
func (Claim) command()   {}
func (Release) command() {}
func (Skip) command()    {}
func (Leave) command()   {}
func (Expire) command()  {}
func (Move) command()    {}

// Event is a fact about a wish.
//
//sumtype:decl
type Event interface {
	domain.Event
	waitlistEvent()
}

type (
	// HasJoined says what the patient waits for.
	HasJoined struct {
		Wish
		Since   time.Time `json:"since"`
		Expires time.Time `json:"expires,omitzero"` // nothing fulfils it from then on; zero = never
	}
	// WasOffered says that something is offered to the patient.
	WasOffered struct {
		Wish    domain.WishID    `json:"wish"`
		Patient domain.PatientID `json:"patient"`
		Offer
	}
	// WasAccepted says that the patient takes what is offered. It is booked once
	// its appointment says so.
	WasAccepted struct {
		Wish    domain.WishID    `json:"wish"`
		Patient domain.PatientID `json:"patient"`
		Offer
	}
	// HasPassed says that what was offered is offered no more.
	HasPassed struct {
		Wish    domain.WishID    `json:"wish"`
		Patient domain.PatientID `json:"patient"`
		Offer
		Why string `json:"why,omitempty"` // "declined", "lapsed", "not-approved", "withdrawn" or "displaced"; absent = they never had it
	}
	// WasSkipped says by which rule a free slot passed the patient over.
	WasSkipped struct {
		Wish    domain.WishID    `json:"wish"`
		Patient domain.PatientID `json:"patient"`
		Opening
		Rule string `json:"rule"`
	}
	// HasEnded says that the patient waits no more.
	HasEnded struct {
		Wish    domain.WishID    `json:"wish"`
		Patient domain.PatientID `json:"patient"`
		Why     End              `json:"why"`
	}
	// WasMoved says that the wish is that of the patient whom its own was merged
	// into.
	WasMoved struct {
		Wish    domain.WishID    `json:"wish"`
		Patient domain.PatientID `json:"patient"`
		From    domain.PatientID `json:"from"`
	}
)

// EventType returns "waitlist.joined".
func (HasJoined) EventType() string { return "waitlist.joined" }

// EventType returns "waitlist.offered".
func (WasOffered) EventType() string { return "waitlist.offered" }

// EventType returns "waitlist.accepted".
func (WasAccepted) EventType() string { return "waitlist.accepted" }

// EventType returns "waitlist.passed".
func (HasPassed) EventType() string { return "waitlist.passed" }

// EventType returns "waitlist.skipped".
func (WasSkipped) EventType() string { return "waitlist.skipped" }

// EventType returns "waitlist.ended".
func (HasEnded) EventType() string { return "waitlist.ended" }

// EventType returns "waitlist.moved".
func (WasMoved) EventType() string { return "waitlist.moved" }

func (HasJoined) waitlistEvent()   {}
func (WasOffered) waitlistEvent()  {}
func (WasAccepted) waitlistEvent() {}
func (HasPassed) waitlistEvent()   {}
func (WasSkipped) waitlistEvent()  {}
func (HasEnded) waitlistEvent()    {}
func (WasMoved) waitlistEvent()    {}

// The refusals of a wish.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "waitlist.not-found", "nobody waits under this id")
	ErrExists   = domain.Refusal(domain.Conflict, "waitlist.exists", "a wish with this id exists already and says something else")
	ErrNothing  = domain.Refusal(domain.Invalid, "waitlist.wish", "a wish names a specialty, practitioners or a visit type, each of at most 20 once")
	ErrTimes    = domain.Refusal(domain.Invalid, "waitlist.times", "times of day have weekdays from Sunday to Saturday, each once, and a beginning before their end")
	ErrDates    = domain.Refusal(domain.Invalid, "waitlist.dates", "the earliest date comes before the latest, and the latest is not over")
	ErrUnknown  = domain.Refusal(domain.Refused, "waitlist.unknown-code", "the reference data has no such specialty, town or district, or has it no longer")
	ErrEnded    = domain.Refusal(domain.Gone, "waitlist.ended", "the patient waits no more")
	ErrHasOffer = domain.Refusal(domain.Conflict, "waitlist.has-offer", "something is offered for this wish already")
	ErrAccepted = domain.Refusal(domain.Conflict, "waitlist.accepted", "the patient has accepted what was offered: cancel the appointment instead")
	ErrNotDue   = domain.Refusal(domain.Conflict, "waitlist.not-due", "the latest date of the wish is not over yet")
)

// Decide returns what the command does to the wish.
func Decide(s State, c Command) ([]Event, error) {
	if join, ok := c.(Join); ok {
		return decideJoin(s, join)
	}
	if s.Status == "" {
		return nil, ErrNotFound
	}
	switch c := c.(type) {
	case Join:
	case Claim:
		return decideClaim(s, c)
	case Release:
		return release(s, c.Claim, c.Why), nil
	case Skip:
		return skip(s, c), nil
	case Leave:
		return leave(s)
	case Expire:
		return expire(s, c)
	case Move:
		if s.Status != Ended && c.Patient != s.Patient {
			return []Event{WasMoved{s.ID, c.Patient, s.Patient}}, nil
		}
	}
	return nil, nil
}

func decideJoin(s State, c Join) ([]Event, error) {
	if s.Status != "" {
		if s.same(c.Wish) {
			return nil, nil
		}
		return nil, ErrExists
	}
	expires, err := c.Wish.check(c.At, c.Zone)
	if err != nil {
		return nil, err
	}
	return []Event{HasJoined{c.Wish, c.At, expires}}, nil
}

func decideClaim(s State, c Claim) ([]Event, error) {
	var events []Event
	switch {
	case s.Offer.Claim == c.Offer.Claim && (s.Status == Accepted || s.Status == Offered && !c.Accepting):
		return nil, nil
	case s.Status == Ended:
		return nil, ErrEnded
	case s.Offer.Claim == c.Offer.Claim && s.Status == Offered:
		return []Event{WasAccepted{s.ID, s.Patient, s.Offer}}, nil
	case s.Status == Offered || s.Status == Accepted:
		if c.Fates[s.Offer.Claim] != claim.Dead {
			return nil, &claim.Taken{Rule: ErrHasOffer, By: []claim.Claim{s.Offer.Claim}}
		}
		events = release(s, s.Offer.Claim, c.Ends[s.Offer.Claim])
	}
	events = append(events, WasOffered{s.ID, s.Patient, c.Offer})
	if c.Accepting {
		events = append(events, WasAccepted{s.ID, s.Patient, c.Offer})
	}
	return events, nil
}

func release(s State, c claim.Claim, why string) []Event {
	if s.Offer.Claim != c || c == (claim.Claim{}) {
		return nil
	}
	return []Event{HasPassed{s.ID, s.Patient, s.Offer, why}}
}

// skip notes nothing where something is said already: the same rule for the same
// slot, or that it was offered.
func skip(s State, c Skip) []Event {
	if s.Status == Ended || s.Status == Accepted || s.Skips[c.Opening.Slot] == c.Rule || slices.Contains(s.Had, c.Opening.Slot) {
		return nil
	}
	return []Event{WasSkipped{s.ID, s.Patient, c.Opening, c.Rule}}
}

func leave(s State) ([]Event, error) {
	switch s.Status {
	case Ended:
		return nil, nil
	case Accepted:
		return nil, ErrAccepted
	case Waiting, Offered:
	}
	return []Event{HasEnded{s.ID, s.Patient, HasLeft}}, nil
}

func expire(s State, c Expire) ([]Event, error) {
	switch {
	case s.Status == Ended || s.Status == Accepted:
		return nil, nil
	case c.End == HasExpired && (s.Expires.IsZero() || c.At.Before(s.Expires)):
		return nil, ErrNotDue
	}
	return []Event{HasEnded{s.ID, s.Patient, c.End}}, nil
}

// Evolve returns the wish after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case HasJoined:
		s.Wish, s.Since, s.Expires, s.Status = e.Wish, e.Since, e.Expires, Waiting
	case WasOffered:
		s.Offer = e.Offer
		if s.Status == Waiting {
			s.Status = Offered
		}
		if !slices.Contains(s.Had, e.Slot) {
			s.Had = append(slices.Clone(s.Had), e.Slot)
		}
	case WasAccepted:
		s.Status = Accepted
	case HasPassed:
		s.Offer = Offer{}
		if e.Why == "" {
			s.Had = slices.DeleteFunc(slices.Clone(s.Had), func(id domain.SlotID) bool { return id == e.Slot })
		}
		if s.Status != Ended {
			s.Status = Waiting
		}
	case WasSkipped:
		skips := map[domain.SlotID]string{e.Slot: e.Rule}
		for id, rule := range s.Skips {
			if id != e.Slot {
				skips[id] = rule
			}
		}
		s.Skips = skips
	case HasEnded:
		s.Status, s.End = Ended, e.Why
	case WasMoved:
		s.Patient = e.Patient
	}
	return s
}
