// Package practitioner is a person who sees patients, at one or more clinics.
//
//	(nothing) --Register--> registered
package practitioner

import (
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of practitioner streams.
const Category = "practitioner"

// Stream returns the stream of a practitioner.
func Stream(id domain.PractitionerID) domain.StreamName {
	return domain.Stream(Category, string(id))
}

// Profile is what a practitioner's entry says.
type Profile struct {
	Name        string            `json:"name"`
	Specialties []string          `json:"specialties,omitempty"`
	Clinics     []domain.ClinicID `json:"clinics"`
}

// State is the practitioner; the zero value is one that does not exist.
type State struct {
	ID domain.PractitionerID
	Profile
}

// Command is something to do to a practitioner.
//
//sumtype:decl
type Command interface{ command() }

// Register makes a practitioner known.
type Register struct {
	Practitioner domain.PractitionerID
	Profile      Profile
}

func (Register) command() {}

// Event is a fact about a practitioner.
//
//sumtype:decl
type Event interface {
	domain.Event
	practitionerEvent()
}

// Registered says that a practitioner is known.
type Registered struct {
	Practitioner domain.PractitionerID `json:"practitioner"`
	Profile
}

// EventType returns "practitioner.registered".
func (Registered) EventType() string { return "practitioner.registered" }

func (Registered) practitionerEvent() {}

// The refusals of a practitioner.
var (
	ErrNotFound  = domain.Refusal(domain.NotFound, "practitioner.not-found", "there is no such practitioner")
	ErrExists    = domain.Refusal(domain.Conflict, "practitioner.exists", "a practitioner with this id exists already and says something else")
	ErrNoName    = domain.Refusal(domain.Invalid, "practitioner.name", "a practitioner has a name")
	ErrNoClinic  = domain.Refusal(domain.Invalid, "practitioner.clinics", "a practitioner works at one clinic or more, each named once")
	ErrSpecialty = domain.Refusal(domain.Invalid, "practitioner.specialties", "a specialty is a word, each named once")
	ErrElsewhere = domain.Refusal(domain.Refused, "practitioner.elsewhere", "the practitioner does not work at this clinic")
)

// Decide returns what the command does to the practitioner. That the clinics
// exist is for the caller to see to.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	}
	return nil, nil
}

func register(s State, c Register) ([]Event, error) {
	p := c.Profile
	switch {
	case strings.TrimSpace(p.Name) == "":
		return nil, ErrNoName
	case len(p.Clinics) == 0 || repeats(p.Clinics):
		return nil, ErrNoClinic
	case slices.Contains(p.Specialties, "") || repeats(p.Specialties):
		return nil, ErrSpecialty
	case s.ID == "":
		return []Event{Registered{c.Practitioner, c.Profile}}, nil
	case s.Name == p.Name && slices.Equal(s.Specialties, p.Specialties) && slices.Equal(s.Clinics, p.Clinics):
		return nil, nil
	}
	return nil, ErrExists
}

func repeats[T ~string](values []T) bool {
	seen := map[T]bool{}
	for _, v := range values {
		if seen[v] {
			return true
		}
		seen[v] = true
	}
	return false
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Practitioner, Profile: e.Profile}
	}
	return s
}
