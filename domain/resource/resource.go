// Package resource is a room or a device of a clinic.
//
//	(nothing) --Add--> in use --Rename--> in use, another name
//	                      |
//	                    Retire
//	                      v
//	                   retired: booked no more
package resource

import (
	"slices"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of the streams of resources.
const Category = "resource"

// Stream returns the stream of a resource.
func Stream(id domain.ResourceID) domain.StreamName { return domain.Stream(Category, string(id)) }

// The kinds of resources.
const (
	Room   = "room"
	Device = "device"
)

// Occupancy is the arbiter of a resource's time. A resource has one arbiter for
// ever, fixed when it is added.
const Occupancy = "occupancy"

// State is the resource; the zero value is one that does not exist.
type State struct {
	ID      domain.ResourceID
	Clinic  domain.ClinicID
	Kind    string // [Room] or [Device]
	Name    string
	Arbiter string // [Occupancy]
	Retired bool
}

// Command is something to do to a resource.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Add makes a resource known.
	Add struct {
		Resource domain.ResourceID
		Clinic   domain.ClinicID
		Kind     string
		Name     string
	}
	// Rename gives it another name.
	Rename struct{ Name string }
	// Retire takes it out of use for good. What is booked stays as it is.
	Retire struct{}
)

func (Add) command()    {}
func (Rename) command() {}
func (Retire) command() {}

// Event is a fact about a resource.
//
//sumtype:decl
type Event interface {
	domain.Event
	resourceEvent()
}

type (
	// Added says that a clinic has a resource.
	Added struct {
		Resource domain.ResourceID `json:"resource"`
		Clinic   domain.ClinicID   `json:"clinic"`
		Kind     string            `json:"kind"`
		Name     string            `json:"name"`
		Arbiter  string            `json:"arbiter"`
	}
	// Renamed says how it is called from now on.
	Renamed struct {
		Resource domain.ResourceID `json:"resource"`
		Clinic   domain.ClinicID   `json:"clinic"`
		Name     string            `json:"name"`
	}
	// WasRetired says that it is out of use.
	WasRetired struct {
		Resource domain.ResourceID `json:"resource"`
		Clinic   domain.ClinicID   `json:"clinic"`
	}
)

// EventType returns "resource.added".
func (Added) EventType() string { return "resource.added" }

// EventType returns "resource.renamed".
func (Renamed) EventType() string { return "resource.renamed" }

// EventType returns "resource.retired".
func (WasRetired) EventType() string { return "resource.retired" }

func (Added) resourceEvent()      {}
func (Renamed) resourceEvent()    {}
func (WasRetired) resourceEvent() {}

// The refusals of a resource.
var (
	ErrNotFound = domain.Refusal(domain.NotFound, "resource.not-found", "there is no such room or device")
	ErrExists   = domain.Refusal(domain.Conflict, "resource.exists", "a room or device with this id exists already and says something else")
	ErrRetired  = domain.Refusal(domain.Gone, "resource.retired", "the room or device is out of use")
	ErrKind     = domain.Refusal(domain.Invalid, "resource.kind", "a resource is a room or a device")
	ErrNoName   = domain.Refusal(domain.Invalid, "resource.name", "a room or device has a name")
)

// Decide returns what the command does to the resource. That the clinic exists
// is for the caller to see to.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Add:
		return add(s, c)
	case Rename:
		return rename(s, c)
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

func add(s State, c Add) ([]Event, error) {
	switch {
	case !slices.Contains([]string{Room, Device}, c.Kind):
		return nil, ErrKind
	case domain.Blank(c.Name):
		return nil, ErrNoName
	case s.ID == "":
		return []Event{Added{c.Resource, c.Clinic, c.Kind, c.Name, Occupancy}}, nil
	case s.Clinic == c.Clinic && s.Kind == c.Kind && s.Name == c.Name:
		return nil, nil
	}
	return nil, ErrExists
}

func rename(s State, c Rename) ([]Event, error) {
	switch {
	case s.ID == "":
		return nil, ErrNotFound
	case s.Retired:
		return nil, ErrRetired
	case domain.Blank(c.Name):
		return nil, ErrNoName
	case s.Name == c.Name:
		return nil, nil
	}
	return []Event{Renamed{s.ID, s.Clinic, c.Name}}, nil
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Added:
		return State{ID: e.Resource, Clinic: e.Clinic, Kind: e.Kind, Name: e.Name, Arbiter: e.Arbiter}
	case Renamed:
		s.Name = e.Name
	case WasRetired:
		s.Retired = true
	}
	return s
}
