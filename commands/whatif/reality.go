package whatif

import (
	"context"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
)

// reality is what the log says: what came of the wishes, and what the worlds need
// to know of the time before the period.
type reality struct {
	past      *past
	tally     *tally
	policies  map[policy.Scope]policy.Terms
	names     map[domain.ClinicID]string
	schedules map[domain.PractitionerID]bool // those who have one
	ahead     map[domain.AppointmentID]bool  // those that were booked, held or requested before the period and reach into it
}

func newReality(p *past, from time.Time) *reality {
	return &reality{
		past: p, tally: newTally(p, from), policies: map[policy.Scope]policy.Terms{}, names: map[domain.ClinicID]string{},
		schedules: map[domain.PractitionerID]bool{}, ahead: map[domain.AppointmentID]bool{},
	}
}

// remember takes an event from before the period.
func (r *reality) remember(m moment) {
	r.note(m)
	soon := func(v appointment.Visit, until time.Time) {
		if until.Add(appointment.ClockSlack).After(r.tally.from) {
			r.ahead[v.Appointment] = true
		}
	}
	switch e := m.Event.(type) {
	case appointment.WasBooked:
		soon(e.Visit, e.End)
		soon(e.Visit, e.MissedAt)
	case appointment.WasHeld:
		soon(e.Visit, e.Deadline)
	case appointment.WasRenewed:
		soon(e.Visit, e.Deadline)
	case appointment.WasRequested:
		soon(e.Visit, e.Deadline)
	case appointment.Event:
	default:
		r.tally.slot(e)
	}
}

// note takes what holds until something else is said.
func (r *reality) note(m moment) {
	switch e := m.Event.(type) {
	case policy.WasSet:
		r.policies[e.Scope] = e.Terms
	case clinic.Registered:
		r.names[e.Clinic] = e.Name
	case clinic.Changed:
		r.names[e.Clinic] = e.Name
	case schedule.WasSet:
		r.schedules[e.Practitioner] = true
	}
}

// begin loads what reaches into the period.
func (r *reality) begin(ctx context.Context) error {
	names := make([]domain.StreamName, 0, len(r.ahead))
	for id := range r.ahead {
		names = append(names, appointment.Stream(id))
	}
	if err := r.past.fetch(ctx, names); err != nil {
		return err
	}
	for id := range r.ahead {
		if _, err := r.tally.visit(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// take counts an event of the period, and returns the appointment that it is about
// as it was before.
func (r *reality) take(ctx context.Context, m moment) (appointment.State, error) {
	r.note(m)
	if e, ok := m.Event.(demand.Refused); ok {
		r.tally.refuse(e.Clinic, e.Rule)
	}
	return r.tally.add(ctx, m.at, m.Event)
}

// effective returns the terms that were in force for a visit.
func (r *reality) effective(c domain.ClinicID, p domain.PractitionerID, v domain.VisitTypeID) policy.Effective {
	of := func(kind, id string) policy.State {
		s := policy.Scope{Kind: kind, ID: id}
		return policy.State{Scope: s, Terms: r.policies[s]}
	}
	return policy.Resolve(of(policy.OfVisitType, string(v)), of(policy.OfPractitioner, string(p)), of(policy.OfClinic, string(c)))
}
