// Package patient is a person who books. Name and contact are sealed from the
// first event on.
//
//	(nothing) --Register--> registered
//
// Two patients may be tied to one another, in two ways, and each tie is told on
// both streams:
//
//	dependent  --SetGuardian-->     guardian    one who books for another
//	duplicate  --Merge-->           kept        one person who was registered twice
//
//	stream of the dependent or duplicate:  guardian-set / merged   (the commit point)
//	stream of the guardian or kept one:    dependent-added / duplicate-added
//
// There are no chains, and so no circles: a guardian has no guardian, and who
// is merged into another has nobody merged into it. Both ends are needed to
// decide that, each at its exact revision.
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
	ID           domain.PatientID
	Name         domain.Sealed
	Email        domain.Sealed
	Phone        domain.Sealed
	Guardian     domain.PatientID // who books for the patient, or ""
	Dependents   []Tie            // whose guardian the patient is, in the order in which they came
	MergedInto   domain.PatientID // who is to be used instead, or ""
	Duplicates   []Tie            // who was merged into the patient, in the order in which they came
	Guardianship Bond
	Merging      Bond
	Events       int // of the stream so far: the revision of the next one
}

// Command is something to do to a patient.
//
//sumtype:decl
type Command interface{ command() }

// Register makes a patient known.
type Register struct {
	Patient            domain.PatientID
	Name, Email, Phone string
	Guardian           domain.PatientID // who books for the patient, or ""
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
	ErrNotFound      = domain.Refusal(domain.NotFound, "patient.not-found", "there is no such patient")
	ErrExists        = domain.Refusal(domain.Conflict, "patient.exists", "a patient with this id exists already")
	ErrNoName        = domain.Refusal(domain.Invalid, "patient.name", "a patient has a name")
	ErrEmail         = domain.Refusal(domain.Invalid, "patient.email", "an e-mail address has one @ with text on both sides")
	ErrOwnGuardian   = domain.Refusal(domain.Refused, "patient.own-guardian", "nobody is their own guardian")
	ErrHasGuardian   = domain.Refusal(domain.Refused, "patient.has-guardian", "who has a guardian is not a guardian")
	ErrHasDependents = domain.Refusal(domain.Refused, "patient.has-dependents", "who has dependents gets no guardian and is not merged into another patient")
	ErrMerged        = domain.Refusal(domain.Refused, "patient.merged", "the patient was merged into another one, who is to be used instead")
	ErrMergeSelf     = domain.Refusal(domain.Refused, "patient.merged-into-self", "a patient is not merged into the same patient")
	ErrHasDuplicates = domain.Refusal(domain.Refused, "patient.has-duplicates", "other patients were merged into this one, who is therefore kept; merge the other way, or undo those first")
	ErrOtherGuardian = domain.Refusal(domain.Refused, "patient.other-guardian", "a patient who has a guardian is merged only into one who has the same guardian")
)

// Decide returns what the command does to the patient. A sealed name cannot be
// compared, so a second registration under one id is refused; a repeat of the
// same command is recognized by its id before it comes here.
func Decide(s State, c Command) ([]Event, error) {
	if r, ok := c.(Register); ok {
		return register(s, r)
	}
	if s.ID == "" {
		return nil, ErrNotFound
	}
	switch c := c.(type) {
	case Register: // see above
	case SetGuardian:
		return setGuardian(s, c)
	case RemoveGuardian:
		return removeGuardian(s)
	case AddDependent:
		return addDependent(s, c)
	case RemoveDependent:
		return removeDependent(s, c)
	case Merge:
		return merge(s, c)
	case Unmerge:
		return unmerge(s)
	case AddDuplicate:
		return addDuplicate(s, c)
	case RemoveDuplicate:
		return removeDuplicate(s, c)
	}
	return nil, nil
}

func register(s State, c Register) ([]Event, error) {
	user, host, at := strings.Cut(c.Email, "@")
	switch {
	case domain.Blank(c.Name):
		return nil, ErrNoName
	case c.Email != "" && (!at || user == "" || host == "" || strings.ContainsAny(c.Email, " \t\r\n") || strings.Contains(host, "@")):
		return nil, ErrEmail
	case s.ID != "":
		return nil, ErrExists
	case c.Guardian == c.Patient:
		return nil, ErrOwnGuardian
	}
	person := string(c.Patient)
	events := []Event{Registered{
		Patient: c.Patient,
		Name:    domain.Open(person, c.Name),
		Email:   domain.Open(person, c.Email),
		Phone:   domain.Open(person, c.Phone),
	}}
	if c.Guardian != "" {
		events = append(events, GuardianSet{c.Patient, c.Guardian})
	}
	return events, nil
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Patient, Name: e.Name, Email: e.Email, Phone: e.Phone, Events: s.Events}
	case GuardianSet:
		s.Guardianship = s.Guardianship.next(s.Guardian, s.Events)
		s.Guardian = e.Guardian
	case GuardianRemoved:
		s.Guardianship = s.Guardianship.next(s.Guardian, s.Events)
		s.Guardian = ""
	case DependentAdded:
		s.Dependents = with(s.Dependents, Tie{e.Dependent, e.Since})
	case DependentRemoved:
		s.Dependents = without(s.Dependents, e.Dependent)
	case Merged:
		s.Merging = s.Merging.next(s.MergedInto, s.Events)
		s.MergedInto = e.Into
	case Unmerged:
		s.Merging = s.Merging.next(s.MergedInto, s.Events)
		s.MergedInto = ""
	case DuplicateAdded:
		s.Duplicates = with(s.Duplicates, Tie{e.Duplicate, e.Since})
	case DuplicateRemoved:
		s.Duplicates = without(s.Duplicates, e.Duplicate)
	}
	s.Events++
	return s
}
