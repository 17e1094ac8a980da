// Package visittype is what a clinic offers: a first visit, a check-up.
//
//	(nothing) --Define--> offered --Change--> offered, other terms
//	                         |
//	                       Retire
//	                         v
//	                      retired: booked no more
package visittype

import (
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of the streams of visit types.
const Category = "visittype"

// Stream returns the stream of a visit type.
func Stream(id domain.VisitTypeID) domain.StreamName { return domain.Stream(Category, string(id)) }

// The limits of a visit type, in minutes.
const (
	MinDuration = 5
	MaxDuration = 24 * 60
	MaxBuffer   = 240
)

// Terms are what a visit of the type is.
type Terms struct {
	Name         string `json:"name"`
	Duration     int    `json:"duration"`               // of the visit itself, in minutes
	BufferBefore int    `json:"bufferBefore,omitempty"` // minutes kept free before it
	BufferAfter  int    `json:"bufferAfter,omitempty"`  // minutes kept free after it
	Fee          *Fee   `json:"fee,omitempty"`          // nil = nothing is said
	Specialty    string `json:"specialty,omitempty"`    // that the practitioner has; "" = any
}

// Fee is what a visit costs.
type Fee struct {
	Amount   int64  `json:"amount"`   // in minor units of the currency, 0 or more
	Currency string `json:"currency"` // ISO 4217 code
}

// Whole returns how long a visit takes with its buffers: that much of the time of
// each practitioner, in whole slots.
func (t Terms) Whole() time.Duration {
	return time.Duration(t.BufferBefore+t.Duration+t.BufferAfter) * time.Minute
}

// Slots returns how many slots in a row a visit takes with its buffers, when a
// slot lasts gridMinutes, 1 or more.
func (t Terms) Slots(gridMinutes int) int {
	grid := time.Duration(gridMinutes) * time.Minute
	return int((t.Whole() + grid - 1) / grid)
}

// State is the visit type; the zero value is one that does not exist.
type State struct {
	ID     domain.VisitTypeID
	Clinic domain.ClinicID
	Terms
	Retired bool
}

// Command is something to do to a visit type.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Define makes a visit type known.
	Define struct {
		VisitType domain.VisitTypeID
		Clinic    domain.ClinicID
		Terms     Terms
	}
	// Change replaces the terms. What is booked stays as it is.
	Change struct{ Terms Terms }
	// Retire ends the offer for good. What is booked stays as it is.
	Retire struct{}
)

func (Define) command() {}
func (Change) command() {}
func (Retire) command() {}

// Event is a fact about a visit type.
//
//sumtype:decl
type Event interface {
	domain.Event
	visitTypeEvent()
}

type (
	// Defined says that a clinic offers a visit type.
	Defined struct {
		VisitType domain.VisitTypeID `json:"visitType"`
		Clinic    domain.ClinicID    `json:"clinic"`
		Terms
	}
	// Changed says what a visit of the type is from now on.
	Changed struct {
		VisitType domain.VisitTypeID `json:"visitType"`
		Clinic    domain.ClinicID    `json:"clinic"`
		Terms
	}
	// WasRetired says that the clinic offers it no longer.
	WasRetired struct {
		VisitType domain.VisitTypeID `json:"visitType"`
		Clinic    domain.ClinicID    `json:"clinic"`
	}
)

// EventType returns "visit-type.defined".
func (Defined) EventType() string { return "visit-type.defined" }

// EventType returns "visit-type.changed".
func (Changed) EventType() string { return "visit-type.changed" }

// EventType returns "visit-type.retired".
func (WasRetired) EventType() string { return "visit-type.retired" }

func (Defined) visitTypeEvent()    {}
func (Changed) visitTypeEvent()    {}
func (WasRetired) visitTypeEvent() {}

// The refusals of a visit type.
var (
	ErrNotFound  = domain.Refusal(domain.NotFound, "visit-type.not-found", "there is no such visit type")
	ErrExists    = domain.Refusal(domain.Conflict, "visit-type.exists", "a visit type with this id exists already and says something else")
	ErrRetired   = domain.Refusal(domain.Gone, "visit-type.retired", "the clinic does not offer this visit type any more")
	ErrNoName    = domain.Refusal(domain.Invalid, "visit-type.name", "a visit type has a name")
	ErrDuration  = domain.Refusal(domain.Invalid, "visit-type.duration", "a visit lasts from 5 minutes to 24 hours, in whole minutes")
	ErrBuffer    = domain.Refusal(domain.Invalid, "visit-type.buffer", "a buffer is from 0 to 240 minutes, in whole minutes")
	ErrFee       = domain.Refusal(domain.Invalid, "visit-type.fee", "a fee is 0 or more minor units of a currency, which is three capital letters as in ISO 4217")
	ErrSpecialty = domain.Refusal(domain.Invalid, "visit-type.specialty", "a specialty is a word, or left out")
)

// Decide returns what the command does to the visit type. That the clinic
// exists is for the caller to see to.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Define:
		return define(s, c)
	case Change:
		return change(s, c)
	case Retire:
		switch {
		case s.ID == "":
			return nil, ErrNotFound
		case s.Retired:
			return nil, nil
		}
		return []Event{WasRetired{s.ID, s.Clinic}}, nil
	}
	return nil, nil
}

func define(s State, c Define) ([]Event, error) {
	if err := c.Terms.check(); err != nil {
		return nil, err
	}
	switch {
	case s.ID == "":
		return []Event{Defined{c.VisitType, c.Clinic, c.Terms}}, nil
	case s.Clinic == c.Clinic && s.same(c.Terms):
		return nil, nil
	}
	return nil, ErrExists
}

func change(s State, c Change) ([]Event, error) {
	if s.ID == "" {
		return nil, ErrNotFound
	}
	if s.Retired {
		return nil, ErrRetired
	}
	if err := c.Terms.check(); err != nil {
		return nil, err
	}
	if s.same(c.Terms) {
		return nil, nil
	}
	return []Event{Changed{s.ID, s.Clinic, c.Terms}}, nil
}

func (t Terms) check() error {
	switch {
	case domain.Blank(t.Name):
		return ErrNoName
	case t.Duration < MinDuration || t.Duration > MaxDuration:
		return ErrDuration
	case min(t.BufferBefore, t.BufferAfter) < 0 || max(t.BufferBefore, t.BufferAfter) > MaxBuffer:
		return ErrBuffer
	case t.Fee != nil && (t.Fee.Amount < 0 || !isCurrency(t.Fee.Currency)):
		return ErrFee
	case t.Specialty != "" && domain.Blank(t.Specialty):
		return ErrSpecialty
	}
	return nil
}

func isCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func (t Terms) same(u Terms) bool {
	fee := t.Fee == nil && u.Fee == nil || t.Fee != nil && u.Fee != nil && *t.Fee == *u.Fee
	t.Fee, u.Fee = nil, nil
	return fee && t == u
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Defined:
		return State{ID: e.VisitType, Clinic: e.Clinic, Terms: e.Terms}
	case Changed:
		s.Terms = e.Terms
	case WasRetired:
		s.Retired = true
	}
	return s
}
