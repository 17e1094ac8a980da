// Package occupancy is the arbiter of what is not cut into slots: the time of
// a patient, a room or a device, one stream for each and each UTC day.
//
//	free --Claim(period)--> held or booked for that period --Release--> free
//
// A period that crosses midnight UTC is claimed on every day that it touches.
// Claims of different owners never overlap (I2).
package occupancy

import (
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Category is the category of occupancy streams.
const Category = "occupancy"

// Subject is whose time it is. Kind is "patient", later "room" or "device".
type Subject struct {
	Kind string `json:"kind"`
	ID   string `json:"subject"`
}

// Patient returns the subject of a patient's time.
func Patient(id domain.PatientID) Subject { return Subject{"patient", string(id)} }

// Stream returns the stream of the subject's UTC day.
func (s Subject) Stream(day domain.Day) domain.StreamName {
	return domain.Stream(Category, s.Kind+"."+s.ID+"."+string(day))
}

// SubjectOf returns whose time a stream is about.
func SubjectOf(stream domain.StreamName) Subject {
	kind, rest, _ := strings.Cut(stream.ID(), ".")
	id, _, _ := strings.Cut(rest, ".")
	return Subject{kind, id}
}

// DayOf returns which UTC day a stream is about.
func DayOf(stream domain.StreamName) domain.Day {
	id := stream.ID()
	return domain.Day(id[strings.LastIndexByte(id, '.')+1:])
}

// State is the subject's day: its claims in the order in which they were made.
type State struct {
	Claims []Taken // several periods of one claim are apart
	Firm   []Taken // those that were booked, not only held
}

// Taken is a claimed period, whole, also where it crosses the day's border.
type Taken struct {
	claim.Claim
	Appointment domain.AppointmentID `json:"appointment"`
	domain.Period
}

// same reports whether both are the same period of the same claim.
func (t Taken) same(u Taken) bool { return t.Claim == u.Claim && t.Period.Equal(u.Period) }

// Command is something to do to a subject's day.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Claim takes a period.
	Claim struct {
		Subject   Subject
		Taken     Taken
		Tentative bool        // the set is held or requested, not booked
		Fates     claim.Fates // of foreign claims, as far as looked up
	}
	// Release gives a claim's period back.
	Release struct {
		Subject Subject
		Claim   claim.Claim
	}
)

func (Claim) command()   {}
func (Release) command() {}

// Event is a fact about a subject's day.
//
//sumtype:decl
type Event interface {
	domain.Event
	occupancyEvent()
}

type (
	// Held says that a claim took a period for a set that is not decided yet.
	Held struct {
		Subject
		Taken
	}
	// Booked says that a claim took a period, or that one that was held is booked.
	Booked struct {
		Subject
		Taken
	}
	// Released says that the period is free again.
	Released struct {
		Subject
		Taken
	}
)

// EventType returns "occupancy.held".
func (Held) EventType() string { return "occupancy.held" }

// EventType returns "occupancy.booked".
func (Booked) EventType() string { return "occupancy.booked" }

// EventType returns "occupancy.released".
func (Released) EventType() string { return "occupancy.released" }

func (Held) occupancyEvent()     {}
func (Booked) occupancyEvent()   {}
func (Released) occupancyEvent() {}

// ErrTaken refuses a period that overlaps another owner's.
var ErrTaken = domain.Refusal(domain.Conflict, "occupancy.taken", "the patient, room or device is taken at that time")

// Decide returns what the command does. A refused claim is a [claim.Taken]
// over [ErrTaken] that names the foreign claims in the way.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Claim:
		return decideClaim(s, c)
	case Release:
		var events []Event
		for _, t := range s.Claims {
			if t.Claim == c.Claim {
				events = append(events, Released{c.Subject, t})
			}
		}
		return events, nil
	}
	return nil, nil
}

func decideClaim(s State, c Claim) ([]Event, error) {
	var events []Event
	var by []claim.Claim
	for _, t := range s.Claims {
		switch {
		case t.same(c.Taken):
			if c.Tentative || slices.ContainsFunc(s.Firm, t.same) {
				return nil, nil // the same appointment, set and period: the same claim
			}
			return []Event{Booked{c.Subject, t}}, nil
		case t.Owner == c.Taken.Owner || !t.Overlaps(c.Taken.Period):
		case c.Fates[t.Claim] == claim.Dead:
			events = append(events, Released{c.Subject, t})
		default:
			by = append(by, t.Claim)
		}
	}
	if len(by) > 0 {
		return nil, &claim.Taken{Rule: refusal(c.Subject), By: by}
	}
	if c.Tentative {
		return append(events, Held{c.Subject, c.Taken}), nil
	}
	return append(events, Booked{c.Subject, c.Taken}), nil
}

// refusal names the case at hand.
func refusal(s Subject) *domain.Error {
	if s.Kind == Patient("").Kind {
		return ErrTaken.Because("the patient has another appointment at that time")
	}
	return ErrTaken
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Held:
		s.Claims = append(slices.Clone(s.Claims), e.Taken)
	case Booked:
		if !slices.ContainsFunc(s.Claims, e.same) {
			s.Claims = append(slices.Clone(s.Claims), e.Taken)
		}
		s.Firm = append(slices.Clone(s.Firm), e.Taken)
	case Released:
		s.Claims = slices.DeleteFunc(slices.Clone(s.Claims), e.same)
		s.Firm = slices.DeleteFunc(slices.Clone(s.Firm), e.same)
	}
	return s
}
