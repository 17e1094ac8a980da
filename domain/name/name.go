// Package name is the arbiter of what there is one of: a clinic of one name at
// one address, a council number. The stream of a name is called after a keyed
// hash of it, so that no name stands in the log's index.
//
//	free --Claim--> taken --Release--> free
//
// The owner's stream says whether a claim counts: its set is how many events
// that stream has once the owner has the name. An owner that has fewer may
// still come to have it, until the claim's deadline.
package name

import (
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Category is the category of the streams of names.
const Category = "name"

// Name is one name of a kind.
type Name struct {
	Kind string `json:"kind"` // one of the kinds below
	Key  string `json:"key"`  // a keyed hash of the name; no dot
}

// The kinds of names.
const (
	Clinic  = "clinic"  // the name and address of a clinic
	Council = "council" // the council number of a practitioner
)

// Stream returns the name's stream.
func (n Name) Stream() domain.StreamName { return domain.Stream(Category, n.Kind+"."+n.Key) }

// Parse returns the name that a stream is of.
func Parse(stream domain.StreamName) Name {
	kind, key, _ := strings.Cut(stream.ID(), ".")
	return Name{kind, key}
}

// State is who has a name; the zero value is a free one.
type State struct {
	Claim    claim.Claim // of no owner: the name is free
	Deadline time.Time   // from then on the claim counts only if its owner has the name
}

// Command is something to do to a name.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Claim takes a name.
	Claim struct {
		Name     Name
		Claim    claim.Claim
		Deadline time.Time
		Fates    claim.Fates // of the foreign claim, if it was looked up
	}
	// Release gives a claim back.
	Release struct {
		Name  Name
		Claim claim.Claim
	}
)

func (Claim) command()   {}
func (Release) command() {}

// Event is a fact about a name.
//
//sumtype:decl
type Event interface {
	domain.Event
	nameEvent()
}

type (
	// Taken says that a claim took the name.
	Taken struct {
		Name
		Claim    claim.Claim `json:"claim"`
		Deadline time.Time   `json:"deadline"`
	}
	// Released says that the name is free again.
	Released struct {
		Name
		Claim claim.Claim `json:"claim"`
	}
)

// EventType returns "name.taken".
func (Taken) EventType() string { return "name.taken" }

// EventType returns "name.released".
func (Released) EventType() string { return "name.released" }

func (Taken) nameEvent()    {}
func (Released) nameEvent() {}

// The refusals of a name.
var (
	ErrClinic  = domain.Refusal(domain.Conflict, "clinic.name-taken", "another clinic has this name at this address")
	ErrCouncil = domain.Refusal(domain.Conflict, "practitioner.council-taken", "another practitioner has this council number")
)

// Decide returns what the command does to the name. A claim that meets a foreign
// one is refused with a [claim.Taken], unless that one is known to be dead:
// then it is released on the way.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Claim:
		return c.decide(s)
	case Release:
		if s.Claim != c.Claim {
			return nil, nil
		}
		return []Event{Released{c.Name, c.Claim}}, nil
	}
	return nil, nil
}

func (c Claim) decide(s State) ([]Event, error) {
	taken := Taken{c.Name, c.Claim, c.Deadline}
	switch {
	case s.Claim == c.Claim:
		return nil, nil
	case s.Claim.Owner == "", s.Claim.Owner == c.Claim.Owner:
		return []Event{taken}, nil
	case c.Fates[s.Claim] == claim.Dead:
		return []Event{Released{c.Name, s.Claim}, taken}, nil
	}
	rule := ErrClinic
	if c.Name.Kind == Council {
		rule = ErrCouncil
	}
	return nil, &claim.Taken{Rule: rule, By: []claim.Claim{s.Claim}}
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Taken:
		s = State{e.Claim, e.Deadline}
	case Released:
		s = State{}
	}
	return s
}
