// Package clinic is a place where people are seen, in one time zone.
//
//	(nothing) --Register--> registered
package clinic

import (
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of clinic streams.
const Category = "clinic"

// Stream returns the stream of a clinic.
func Stream(id domain.ClinicID) domain.StreamName { return domain.Stream(Category, string(id)) }

// Profile is what a clinic says of itself.
type Profile struct {
	Name     string    `json:"name"`
	Zone     string    `json:"zone"` // IANA name
	Address  string    `json:"address,omitempty"`
	Location *Location `json:"location,omitempty"`
}

// Location is a place on Earth in WGS 84 degrees: latitude -90 to 90,
// longitude -180 to 180.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// State is the clinic; the zero value is one that does not exist.
type State struct {
	ID domain.ClinicID
	Profile
}

// Command is something to do to a clinic.
//
//sumtype:decl
type Command interface{ command() }

// Register makes a clinic known.
type Register struct {
	Clinic  domain.ClinicID
	Profile Profile
}

func (Register) command() {}

// Event is a fact about a clinic.
//
//sumtype:decl
type Event interface {
	domain.Event
	clinicEvent()
}

// Registered says that a clinic is known.
type Registered struct {
	Clinic domain.ClinicID `json:"clinic"`
	Profile
}

// EventType returns "clinic.registered".
func (Registered) EventType() string { return "clinic.registered" }

func (Registered) clinicEvent() {}

// The refusals of a clinic.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "clinic.not-found", "there is no such clinic")
	ErrExists   = domain.Refusal(domain.Conflict, "clinic.exists", "a clinic with this id exists already and says something else")
	ErrNoName   = domain.Refusal(domain.Invalid, "clinic.name", "a clinic has a name")
	ErrLocation = domain.Refusal(domain.Invalid, "clinic.location", "a latitude lies between -90 and 90, a longitude between -180 and 180")
)

// Decide returns what the command does to the clinic.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Register:
		return register(s, c)
	}
	return nil, nil
}

func register(s State, c Register) ([]Event, error) {
	if strings.TrimSpace(c.Profile.Name) == "" {
		return nil, ErrNoName
	}
	if _, err := domain.Zone(c.Profile.Zone); err != nil {
		return nil, err
	}
	if l := c.Profile.Location; l != nil && !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180) {
		return nil, ErrLocation
	}
	switch {
	case s.ID == "":
		return []Event{Registered{c.Clinic, c.Profile}}, nil
	case s.Profile.same(c.Profile):
		return nil, nil
	}
	return nil, ErrExists
}

func (p Profile) same(q Profile) bool {
	located := (p.Location == nil) == (q.Location == nil) && (p.Location == nil || *p.Location == *q.Location)
	return located && p.Name == q.Name && p.Zone == q.Zone && p.Address == q.Address
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Registered:
		s = State{ID: e.Clinic, Profile: e.Profile}
	}
	return s
}
