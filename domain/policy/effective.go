package policy

import (
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Effective are the terms that a booking is decided under: every field says
// something. Of a count, 0 means no limit.
type Effective struct {
	MinNotice           time.Duration // before the start, to book
	Horizon             time.Duration // before the start, the earliest to book; 0 = any
	Approval            bool          // a booking is a request that somebody approves
	HoldTime            time.Duration // of a hold that does not ask
	CancelBefore        time.Duration // before the start, the latest for a patient to cancel
	RescheduleBefore    time.Duration // the same to move
	Reschedules         int           // of one appointment by its patient
	PractitionerDay     int           // appointments of a practitioner on a clinic-local day
	PractitionerWeek    int           // the same in an ISO week
	PatientDay          int           // appointments of a patient on a clinic-local day
	PatientPractitioner int           // active appointments of a patient with one practitioner
	PatientActive       int           // active appointments of a patient in all
	HoldsShare          int           // percent of a practitioner's day that unknown callers may hold
	UndoGrace           time.Duration // after a change of status, the latest to undo it
	NoShowAfter         time.Duration // after the end, when who has not come counts as a no-show; 0 = never
	BoardShows          Shown         // of who waits on the display in the waiting room
	OfferTime           time.Duration // of an offer to who waits, in waking hours
	OffersFrom          domain.WallTime
	OffersUntil         domain.WallTime // the waking hours, by the clinic's clock; empty when no hour is

	Revisions []Revision // of the policies that were looked at, those that nobody has set excepted
}

// Revision says which revision of a scope's policy a decision was made under.
type Revision struct {
	Scope
	Revision domain.Revision `json:"revision"`
}

// The defaults of the fields whose default is not zero.
const (
	defaultHoldTime   = 5  // minutes
	defaultHoldsShare = 50 // percent
	defaultUndoGrace  = 10 // minutes

	defaultOfferTime   = 120     // minutes
	defaultOffersFrom  = 8 * 60  // minutes after midnight
	defaultOffersUntil = 20 * 60 // minutes after midnight
)

// Resolve returns the terms in force: those of the visit type over those of the
// practitioner over those of the clinic, and defaults for what none of them
// says. A state that nobody has set says nothing. Revisions are the caller's.
func Resolve(visitType, practitioner, clinic State) Effective {
	t := visitType.Over(practitioner.Over(clinic.Terms))
	return Effective{
		MinNotice: minutes(t.MinNotice, 0), Horizon: minutes(t.Horizon, 0), Approval: said(t.Approval, false),
		HoldTime: minutes(t.HoldTime, defaultHoldTime), CancelBefore: minutes(t.CancelBefore, 0),
		RescheduleBefore: minutes(t.RescheduleBefore, 0), Reschedules: said(t.Reschedules, 0),
		PractitionerDay: said(t.PractitionerDay, 0), PractitionerWeek: said(t.PractitionerWeek, 0),
		PatientDay: said(t.PatientDay, 0), PatientPractitioner: said(t.PatientPractitioner, 0), PatientActive: said(t.PatientActive, 0),
		HoldsShare: said(t.HoldsShare, defaultHoldsShare), UndoGrace: minutes(t.UndoGrace, defaultUndoGrace), NoShowAfter: minutes(t.NoShowAfter, 0),
		BoardShows: said(t.BoardShows, ShowsTicket),
		OfferTime:  minutes(t.OfferTime, defaultOfferTime),
		OffersFrom: domain.WallTime(said(t.OffersFrom, defaultOffersFrom)), OffersUntil: domain.WallTime(said(t.OffersUntil, defaultOffersUntil)),
	}
}

// And returns the stricter of two terms, field by field: what a visit is decided
// under that several practitioners take part in. Limits of one practitioner's
// appointments are those of nobody then; see the terms of each.
func (e Effective) And(f Effective) Effective {
	return Effective{
		MinNotice: max(e.MinNotice, f.MinNotice), Horizon: fewer(e.Horizon, f.Horizon), Approval: e.Approval || f.Approval,
		HoldTime: min(e.HoldTime, f.HoldTime), CancelBefore: max(e.CancelBefore, f.CancelBefore),
		RescheduleBefore: max(e.RescheduleBefore, f.RescheduleBefore), Reschedules: fewer(e.Reschedules, f.Reschedules),
		PractitionerDay: fewer(e.PractitionerDay, f.PractitionerDay), PractitionerWeek: fewer(e.PractitionerWeek, f.PractitionerWeek),
		PatientDay: fewer(e.PatientDay, f.PatientDay), PatientPractitioner: fewer(e.PatientPractitioner, f.PatientPractitioner),
		PatientActive: fewer(e.PatientActive, f.PatientActive), HoldsShare: min(e.HoldsShare, f.HoldsShare),
		UndoGrace: min(e.UndoGrace, f.UndoGrace), NoShowAfter: max(e.NoShowAfter, f.NoShowAfter),
		BoardShows: max(e.BoardShows, f.BoardShows), // ticket is the greater text
		OfferTime:  min(e.OfferTime, f.OfferTime), OffersFrom: max(e.OffersFrom, f.OffersFrom), OffersUntil: min(e.OffersUntil, f.OffersUntil),
		Revisions: e.with(f.Revisions),
	}
}

// fewer returns the lower of two limits; 0 is none.
func fewer[T int | time.Duration](a, b T) T {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// with returns the revisions that either was decided under, each once.
func (e Effective) with(more []Revision) []Revision {
	all := slices.Clone(e.Revisions)
	for _, r := range more {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// ByDefault is the source of a field that no policy says anything of.
const ByDefault = "default"

// Sources returns, for each field of [Resolve] by its JSON name, the kind of
// scope that it is from, or [ByDefault].
func Sources(visitType, practitioner, clinic State) map[string]string {
	from := map[string]string{}
	for _, s := range []State{clinic, practitioner, visitType} { // the strongest last
		for name, says := range s.says() {
			switch {
			case says:
				from[name] = s.Kind
			case from[name] == "":
				from[name] = ByDefault
			}
		}
	}
	return from
}

// says returns whether each field says something, by its JSON name.
func (t Terms) says() map[string]bool {
	return map[string]bool{
		"minNotice": t.MinNotice != nil, "horizon": t.Horizon != nil, "approval": t.Approval != nil, "holdTime": t.HoldTime != nil,
		"cancelBefore": t.CancelBefore != nil, "rescheduleBefore": t.RescheduleBefore != nil, "reschedules": t.Reschedules != nil,
		"practitionerDay": t.PractitionerDay != nil, "practitionerWeek": t.PractitionerWeek != nil, "patientDay": t.PatientDay != nil,
		"patientPractitioner": t.PatientPractitioner != nil, "patientActive": t.PatientActive != nil, "holdsShare": t.HoldsShare != nil,
		"undoGrace": t.UndoGrace != nil, "noShowAfter": t.NoShowAfter != nil,
		"boardShows": t.BoardShows != nil, "offerTime": t.OfferTime != nil, "offersFrom": t.OffersFrom != nil,
		"offersUntil": t.OffersUntil != nil,
	}
}

func minutes(n *int, otherwise int) time.Duration {
	return time.Duration(said(n, otherwise)) * time.Minute
}

func said[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}
