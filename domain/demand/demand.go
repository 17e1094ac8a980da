// Package demand keeps what was wanted and could not be had: every refused
// hold, booking and reschedule. It guards nothing; planners count it.
//
//	demand-{clinic}.{utc day of the wish}   refused, refused, refused ...
package demand

import (
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Category is the category of demand streams.
const Category = "demand"

// Stream returns the stream of what was refused at a clinic on a UTC day.
func Stream(id domain.ClinicID, day domain.Day) domain.StreamName {
	return domain.Stream(Category, string(id)+"."+string(day))
}

// Refused says that a wish was refused. It holds no free text, and nobody's
// name.
type Refused struct {
	Clinic       domain.ClinicID       `json:"clinic"`
	Practitioner domain.PractitionerID `json:"practitioner"`
	Slot         domain.SlotID         `json:"slot"` // "" = none starts at that time
	VisitType    domain.VisitTypeID    `json:"visitType,omitempty"`
	Wish         string                `json:"wish"` // "book", "hold" or "reschedule"
	Rule         string                `json:"rule"` // which said no
	Start        time.Time             `json:"start"`
	At           time.Time             `json:"at"`
	Policies     []string              `json:"policies,omitempty"` // the revisions that were in force
}

// EventType returns "demand.refused".
func (Refused) EventType() string { return "demand.refused" }
