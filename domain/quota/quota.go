// Package quota is the arbiter of how much is too much: the appointments of a
// practitioner or a patient on a day, for example, one stream for each subject
// and each bucket of time.
//
//	room left --Claim--> one more counted --Release--> room again
//
// The maximum comes with each claim from the policy in force; a lower one
// refuses newcomers only. Claims of one owner count once.
package quota

import (
	"errors"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
)

// Category is the category of quota streams.
const Category = "quota"

// Quota is what is counted, for whom and when.
type Quota struct {
	Rule    string `json:"rule"`    // what is counted: one of the rules below
	Subject string `json:"subject"` // for whom: an id, or several with dots between
	Bucket  string `json:"bucket"`  // when: a clinic-local day, an ISO week, or "active"; no dot
}

// The rules that have a quota.
const (
	PractitionerDay     = "practitioner-day"     // appointments of a practitioner on a clinic-local day
	PractitionerWeek    = "practitioner-week"    // the same in an ISO week
	PatientDay          = "patient-day"          // appointments of a patient on a clinic-local day
	PatientPractitioner = "patient-practitioner" // active appointments of a patient with one practitioner
	PatientActive       = "patient-active"       // active appointments of a patient in all
	Holds               = "holds"                // what unknown callers hold of a practitioner's day
	Offers              = "offers"               // what is offered to a patient from the waiting list
)

// Active is the bucket of what is counted for as long as it is to come.
const Active = "active"

// Stream returns the quota's stream.
func (q Quota) Stream() domain.StreamName {
	return domain.Stream(Category, q.Rule+"."+q.Subject+"."+q.Bucket)
}

// Parse returns the quota that a stream counts, and whether it is a quota's.
func Parse(stream domain.StreamName) (Quota, bool) {
	rule, rest, ok := strings.Cut(stream.ID(), ".")
	end := strings.LastIndexByte(rest, '.')
	if stream.Category() != Category || !ok || end < 0 {
		return Quota{}, false
	}
	return Quota{rule, rest[:end], rest[end+1:]}, true
}

// holder begins the subject of what a patient holds.
const holder = "patient."

// Patient returns for which patient something is counted, "" when it is for
// nobody's alone.
func (q Quota) Patient() domain.PatientID {
	switch q.Rule {
	case PatientDay, PatientActive, PatientPractitioner, Offers:
		id, _, _ := strings.Cut(q.Subject, ".")
		return domain.PatientID(id)
	case Holds:
		if id, ok := strings.CutPrefix(q.Subject, holder); ok {
			return domain.PatientID(id)
		}
	}
	return ""
}

// For returns the quota with another patient in the place of its own.
func (q Quota) For(id domain.PatientID) Quota {
	q.Subject = strings.Replace(q.Subject, string(q.Patient()), string(id), 1)
	return q
}

// HeldBy returns the subject of what a patient holds.
func HeldBy(id domain.PatientID) string { return holder + string(id) }

// State is what is counted, in the order in which it was claimed.
type State struct{ Claims []Counted }

// Counted is a claim with the appointment that it is for.
type Counted struct {
	claim.Claim
	Appointment domain.AppointmentID `json:"appointment"`
}

// Command is something to do to a quota.
//
//sumtype:decl
type Command interface{ command() }

type (
	// Claim counts an appointment.
	Claim struct {
		Quota   Quota
		Counted Counted
		Maximum int         // owners that are counted at most; 0 = no limit
		Fates   claim.Fates // of foreign claims, as far as looked up
		Beside  []Counted   // what counts for the same subject and is told elsewhere
	}
	// Release counts a claim no longer.
	Release struct {
		Quota Quota
		Claim claim.Claim
	}
)

func (Claim) command()   {}
func (Release) command() {}

// Event is a fact about a quota.
//
//sumtype:decl
type Event interface {
	domain.Event
	quotaEvent()
}

type (
	// Booked says that a claim is counted.
	Booked struct {
		Quota
		Counted
		Maximum int `json:"maximum"` // under which the claim was decided; 0 = no limit
	}
	// Released says that it is counted no longer.
	Released struct {
		Quota
		Counted
	}
)

// EventType returns "quota.booked".
func (Booked) EventType() string { return "quota.booked" }

// EventType returns "quota.released".
func (Released) EventType() string { return "quota.released" }

func (Booked) quotaEvent()   {}
func (Released) quotaEvent() {}

// The refusals of a full quota, one for each rule.
var (
	ErrPractitionerDay     = domain.Refusal(domain.Conflict, "quota.practitioner-day", "the practitioner has as many appointments on that day as the policy allows")
	ErrPractitionerWeek    = domain.Refusal(domain.Conflict, "quota.practitioner-week", "the practitioner has as many appointments in that week as the policy allows")
	ErrPatientDay          = domain.Refusal(domain.Conflict, "quota.patient-day", "the patient has as many appointments on that day as the policy allows")
	ErrPatientPractitioner = domain.Refusal(domain.Conflict, "quota.patient-practitioner", "the patient has as many appointments with this practitioner as the policy allows")
	ErrPatientActive       = domain.Refusal(domain.Conflict, "quota.patient-active", "the patient has as many appointments to come as the policy allows")
	ErrHolds               = domain.Refusal(domain.Limited, "hold.too-many", "as much is on hold already as this caller may hold")
	ErrOffers              = domain.Refusal(domain.Conflict, "waitlist.other-offer", "something else is offered to the patient from the waiting list")
)

// errRule says that a claim's rule is none of those above: a fault of the caller.
var errRule = errors.New("no quota has this rule")

// refusals has the refusal of every rule.
var refusals = map[string]*domain.Error{
	PractitionerDay: ErrPractitionerDay, PractitionerWeek: ErrPractitionerWeek, PatientDay: ErrPatientDay,
	PatientPractitioner: ErrPatientPractitioner, PatientActive: ErrPatientActive, Holds: ErrHolds,
	Offers: ErrOffers,
}

// Decide returns what the command does. A refused claim is a [claim.Taken]
// over the refusal of the quota's rule that names the foreign claims counted.
func Decide(s State, c Command) ([]Event, error) {
	switch c := c.(type) {
	case Claim:
		return decideClaim(s, c)
	case Release:
		for _, counted := range s.Claims {
			if counted.Claim == c.Claim {
				return []Event{Released{c.Quota, counted}}, nil
			}
		}
	}
	return nil, nil
}

func decideClaim(s State, c Claim) ([]Event, error) {
	if s.Held(c.Counted.Claim) {
		return nil, nil // the same appointment and set: the same claim
	}
	rule, known := refusals[c.Quota.Rule]
	if !known {
		return nil, errRule
	}
	if c.full(s, c.Fates) {
		return nil, &claim.Taken{Rule: rule, By: c.inTheWay(s)}
	}
	return append(releaseDead(s, c), Booked{c.Quota, c.Counted, c.Maximum}), nil
}

// full reports whether as many other owners as the maximum have claims that
// the fates do not call dead.
func (c Claim) full(s State, fates claim.Fates) bool {
	others := map[domain.StreamName]bool{}
	for _, counted := range c.all(s) {
		if counted.Owner != c.Counted.Owner && fates[counted.Claim] != claim.Dead {
			others[counted.Owner] = true
		}
	}
	return c.Maximum > 0 && len(others) >= c.Maximum
}

// all returns what is counted, here and elsewhere.
func (c Claim) all(s State) []Counted {
	if len(c.Beside) == 0 {
		return s.Claims
	}
	return slices.Concat(s.Claims, c.Beside)
}

func (c Claim) inTheWay(s State) []claim.Claim {
	var by []claim.Claim
	for _, counted := range c.all(s) {
		if counted.Owner != c.Counted.Owner && c.Fates[counted.Claim] != claim.Dead {
			by = append(by, counted.Claim)
		}
	}
	return by
}

// releaseDead releases as many dead claims as stand in the way.
func releaseDead(s State, c Claim) []Event {
	var events []Event
	for _, counted := range s.Claims {
		if !c.full(s, nil) {
			break
		}
		if counted.Owner != c.Counted.Owner && c.Fates[counted.Claim] == claim.Dead {
			e := Released{c.Quota, counted}
			s, events = Evolve(s, e), append(events, e)
		}
	}
	return events
}

// Held reports whether the claim is counted.
func (s State) Held(c claim.Claim) bool {
	return slices.ContainsFunc(s.Claims, func(counted Counted) bool { return counted.Claim == c })
}

// Evolve returns the state after the event.
func Evolve(s State, e Event) State {
	switch e := e.(type) {
	case Booked:
		s.Claims = append(slices.Clone(s.Claims), e.Counted)
	case Released:
		s.Claims = slices.DeleteFunc(slices.Clone(s.Claims), func(c Counted) bool { return c.Claim == e.Claim })
	}
	return s
}
