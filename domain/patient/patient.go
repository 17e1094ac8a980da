// Package patient is a person who books. Name and contact are sealed from the
// first event on.
//
//	(nothing) --Register--> registered
package patient

import (
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of patient streams.
const Category = "patient"

// Stream returns the stream of a patient.
func Stream(id domain.PatientID) domain.StreamName { return domain.Stream(Category, string(id)) }

// State is the patient; the zero value is one that does not exist.
type State struct {
	ID    domain.PatientID
	Name  domain.Sealed
	Email domain.Sealed
	Phone domain.Sealed
}

// Command is something to do to a patient.
//
//sumtype:decl
type Command interface{ command() }

// Register makes a patient known.
type Register struct {
	Patient            domain.PatientID
	Name, Email, Phone string
}

func (Register) command() {}

// Event is a fact about a patient.
//
//sumtype:decl
type Event interface {
	domain.Event
	patientEvent()
}

// Registered says that a patient is known.
type Registered struct {
	Patient domain.PatientID `json:"patient"`
	Name    domain.Sealed    `json:"name"`
	Email   domain.Sealed    `json:"email,omitzero"`
	Phone   domain.Sealed    `json:"phone,omitzero"`
}

// EventType returns "patient.registered".
func (Registered) EventType() string { return "patient.registered" }

func (Registered) patientEvent() {}

// The refusals of a patient.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "patient.not-found", "there is no such patient")
	ErrExists   = domain.Refusal(domain.Conflict, "patient.exists", "a patient with this id exists already")
	ErrNoName   = domain.Refusal(domain.Invalid, "patient.name", "a patient has a name")
	ErrEmail    = domain.Refusal(domain.Invalid, "patient.email", "an e-mail address has one @ with text on both sides")
)

// Decide returns what the command does to the patient. A sealed name cannot be
// compared, so a second registration under one id is refused; a repeat of the
// same command is recognized by its id before it comes here.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	}
	return nil, nil
}

func register(s State, c Register) ([]Event, error) {
	user, host, at := strings.Cut(c.Email, "@")
	switch {
	case strings.TrimSpace(c.Name) == "":
		return nil, ErrNoName
	case c.Email != "" && (!at || user == "" || host == "" || strings.ContainsAny(c.Email, " \t\r\n") || strings.Contains(host, "@")):
		return nil, ErrEmail
	case s.ID != "":
		return nil, ErrExists
	}
	person := string(c.Patient)
	return []Event{Registered{
		Patient: c.Patient,
		Name:    domain.Open(person, c.Name),
		Email:   domain.Open(person, c.Email),
		Phone:   domain.Open(person, c.Phone),
	}}, nil
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Patient, Name: e.Name, Email: e.Email, Phone: e.Phone}
	}
	return s
}
