// Package policy is what a clinic allows: how early and how late one books,
// cancels and moves, what needs approval, and how much is too much.
//
//	(nothing) --Set--> in force --Set--> in force, other terms
//
// A policy belongs to a clinic, a practitioner or a visit type. What a booking
// is decided under are the clinic's terms, overridden field by field by the
// practitioner's, and these by the visit type's. Nothing guards a policy: a
// booking that races a change of it is decided by either, and says which.
package policy

import (
	"slices"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of policy streams.
const Category = "policy"

// Scope is whose policy it is.
type Scope struct {
	Kind string `json:"kind"` // "clinic", "practitioner" or "visit-type"
	ID   string `json:"id"`
}

// The kinds of scopes, from the weakest to the strongest.
const (
	OfClinic       = "clinic"
	OfPractitioner = "practitioner"
	OfVisitType    = "visit-type"
)

// Stream returns the stream of the scope's policy.
func (s Scope) Stream() domain.StreamName { return domain.Stream(Category, s.Kind+"."+s.ID) }

// Terms are the fields of a policy. Nil says nothing: the weaker scope decides,
// and in the end the default. Durations are minutes, 0 to a year; counts are
// from 1, and 0 means no limit.
type Terms struct {
	MinNotice           *int   `json:"minNotice,omitempty"`           // before the start, to book; default 0
	Horizon             *int   `json:"horizon,omitempty"`             // before the start, the earliest to book; 0 = any, the default
	Approval            *bool  `json:"approval,omitempty"`            // a booking is a request that somebody approves; default false
	HoldTime            *int   `json:"holdTime,omitempty"`            // of a hold that does not ask; 1 to 15, default 5
	CancelBefore        *int   `json:"cancelBefore,omitempty"`        // before the start, the latest for a patient to cancel; default 0
	RescheduleBefore    *int   `json:"rescheduleBefore,omitempty"`    // the same to move; default 0
	Reschedules         *int   `json:"reschedules,omitempty"`         // of one appointment by its patient; default no limit
	PractitionerDay     *int   `json:"practitionerDay,omitempty"`     // appointments of a practitioner on a clinic-local day
	PractitionerWeek    *int   `json:"practitionerWeek,omitempty"`    // the same in an ISO week
	PatientDay          *int   `json:"patientDay,omitempty"`          // appointments of a patient on a clinic-local day
	PatientPractitioner *int   `json:"patientPractitioner,omitempty"` // active appointments of a patient with one practitioner
	PatientActive       *int   `json:"patientActive,omitempty"`       // active appointments of a patient in all
	HoldsShare          *int   `json:"holdsShare,omitempty"`          // percent of a practitioner's day that unknown callers may hold; 1 to 100, default 50
	UndoGrace           *int   `json:"undoGrace,omitempty"`           // after a change of status, the latest to undo it; default 10
	NoShowAfter         *int   `json:"noShowAfter,omitempty"`         // after the end, when who has not come counts as a no-show; 0 = never, the default
	BoardShows          *Shown `json:"boardShows,omitempty"`          // of who waits on the display in the waiting room; default ticket
	OfferTime           *int   `json:"offerTime,omitempty"`           // of an offer to who waits, in waking hours; from 1, default 120
	OffersFrom          *int   `json:"offersFrom,omitempty"`          // when waking hours begin by the clinic's clock, minutes after midnight; default 480
	OffersUntil         *int   `json:"offersUntil,omitempty"`         // when they end; default 1200
}

// Shown is what a display in the waiting room shows of somebody.
type Shown string

// What it may show.
const (
	ShowsTicket   Shown = "ticket"   // the number, and nothing of the person
	ShowsInitials Shown = "initials" // those of the patient's name, too
)

// State is the policy in force.
type State struct {
	Scope
	Terms
}

// Command is something to do to a policy.
//
//sumtype:decl
type Command interface{ command() }

// Set replaces the terms.
type Set struct {
	Scope Scope
	Terms Terms
}

func (Set) command() {}

// Event is a fact about a policy.
//
//sumtype:decl
type Event interface {
	domain.Event
	policyEvent()
}

// WasSet says which terms are in force from now on.
type WasSet struct {
	Scope
	Terms
}

// EventType returns "policy.set".
func (WasSet) EventType() string { return "policy.set" }

func (WasSet) policyEvent() {}

// The refusals of a policy.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "policy.not-found", "nobody has set this policy")
	ErrDuration = domain.Refusal(domain.Invalid, "policy.duration", "a duration of a policy is from 0 to 365 days, a hold from 1 to 15 minutes, in whole minutes")
	ErrLimit    = domain.Refusal(domain.Invalid, "policy.limit", "a limit is from 1 to 10000, or 0 for none; a share from 1 to 100 percent")
	ErrWindow   = domain.Refusal(domain.Invalid, "policy.window", "a policy whose minimum notice lies beyond its horizon lets nothing be booked")
	ErrShown    = domain.Refusal(domain.Invalid, "policy.board", "a display in the waiting room shows ticket or initials")
	ErrOffers   = domain.Refusal(domain.Invalid, "policy.offers", "an offer lasts at least a minute, and the hours in which it runs begin before they end")
	ErrScope    = domain.Refusal(domain.Invalid, "policy.scope", "a policy is of a clinic, a practitioner or a visit type")
)

// Decide returns what the command does to the policy.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Set:
		return set(s, c)
	}
	return nil, nil
}

func set(s State, c Set) ([]Event, error) {
	if !slices.Contains([]string{OfClinic, OfPractitioner, OfVisitType}, c.Scope.Kind) || c.Scope.ID == "" {
		return nil, ErrScope
	}
	if err := c.Terms.check(); err != nil {
		return nil, err
	}
	if s.Kind != "" && s.same(c.Terms) {
		return nil, nil
	}
	return []Event{WasSet{c.Scope, c.Terms}}, nil
}

// The bounds of the fields.
const (
	year     = 365 * 24 * 60 // minutes
	maxHold  = 15            // minutes
	midnight = 24 * 60       // minutes
	maxLimit = 10_000
	percent  = 100
)

func (t Terms) check() error {
	for _, d := range []*int{t.MinNotice, t.Horizon, t.CancelBefore, t.RescheduleBefore, t.UndoGrace, t.NoShowAfter} {
		if !within(d, 0, year) {
			return ErrDuration
		}
	}
	if said(t.MinNotice, 0) > said(t.Horizon, 0) && said(t.Horizon, 0) > 0 {
		return ErrWindow
	}
	if !within(t.HoldTime, 1, maxHold) {
		return ErrDuration
	}
	for _, n := range t.limits() {
		if !within(n, 0, maxLimit) {
			return ErrLimit
		}
	}
	if shown := said(t.BoardShows, ShowsTicket); shown != ShowsTicket && shown != ShowsInitials {
		return ErrShown
	}
	if !within(t.HoldsShare, 1, percent) {
		return ErrLimit
	}
	return t.checkOffers()
}

func (t Terms) checkOffers() error {
	from, until := said(t.OffersFrom, 0), said(t.OffersUntil, midnight) // who says one of them leaves the other to a weaker scope
	if !within(t.OfferTime, 1, year) || !within(t.OffersFrom, 0, midnight) || !within(t.OffersUntil, 0, midnight) || from >= until {
		return ErrOffers
	}
	return nil
}

func within(n *int, least, most int) bool { return n == nil || least <= *n && *n <= most }

func (t Terms) limits() []*int {
	return []*int{t.Reschedules, t.PractitionerDay, t.PractitionerWeek, t.PatientDay, t.PatientPractitioner, t.PatientActive}
}

func (t Terms) numbers() []*int {
	return append(t.limits(), t.MinNotice, t.Horizon, t.HoldTime, t.CancelBefore, t.RescheduleBefore, t.HoldsShare, t.UndoGrace, t.NoShowAfter,
		t.OfferTime, t.OffersFrom, t.OffersUntil)
}

func (t Terms) same(u Terms) bool {
	return equal(t.Approval, u.Approval) && equal(t.BoardShows, u.BoardShows) && slices.EqualFunc(t.numbers(), u.numbers(), equal[int])
}

func equal[T comparable](a, b *T) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// Over returns the terms with what they do not say taken from weaker ones.
func (t Terms) Over(weaker Terms) Terms {
	return Terms{
		MinNotice: or(t.MinNotice, weaker.MinNotice), Horizon: or(t.Horizon, weaker.Horizon), Approval: or(t.Approval, weaker.Approval),
		HoldTime: or(t.HoldTime, weaker.HoldTime), CancelBefore: or(t.CancelBefore, weaker.CancelBefore),
		RescheduleBefore: or(t.RescheduleBefore, weaker.RescheduleBefore), Reschedules: or(t.Reschedules, weaker.Reschedules),
		PractitionerDay: or(t.PractitionerDay, weaker.PractitionerDay), PractitionerWeek: or(t.PractitionerWeek, weaker.PractitionerWeek),
		PatientDay: or(t.PatientDay, weaker.PatientDay), PatientPractitioner: or(t.PatientPractitioner, weaker.PatientPractitioner),
		PatientActive: or(t.PatientActive, weaker.PatientActive), HoldsShare: or(t.HoldsShare, weaker.HoldsShare),
		UndoGrace: or(t.UndoGrace, weaker.UndoGrace), NoShowAfter: or(t.NoShowAfter, weaker.NoShowAfter),
		BoardShows: or(t.BoardShows, weaker.BoardShows), OfferTime: or(t.OfferTime, weaker.OfferTime),
		OffersFrom: or(t.OffersFrom, weaker.OffersFrom), OffersUntil: or(t.OffersUntil, weaker.OffersUntil),
	}
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// Evolve returns the policy after the event.
func Evolve(_ State, e Event) State {
	switch e := e.(type) {
	case WasSet:
		return State(e)
	}
	return State{}
}
