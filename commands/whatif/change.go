package whatif

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/visittype"
)

// terms returns what is laid over a policy.
func (c Change) terms(s policy.Scope) policy.Terms {
	if s.Kind == policy.OfClinic {
		return c.Policies[s].Over(c.EveryClinic)
	}
	return c.Policies[s]
}

// pattern returns a practitioner's pattern at a clinic. One that says no horizon
// has that of the pattern in whose place it is.
func (c Change) pattern(id domain.PractitionerID, was schedule.Pattern) schedule.Pattern {
	p, changed := c.Schedules[Place{id, was.Clinic}]
	if !changed {
		return was
	}
	p.Clinic, p.HorizonDays = was.Clinic, cmp.Or(p.HorizonDays, was.HorizonDays)
	return p
}

func (c Change) visitTerms(id domain.VisitTypeID, t visittype.Terms) visittype.Terms {
	v := c.VisitTypes[id]
	for _, field := range []struct {
		from *int
		to   *int
	}{{v.Duration, &t.Duration}, {v.BufferBefore, &t.BufferBefore}, {v.BufferAfter, &t.BufferAfter}} {
		if field.from != nil {
			*field.to = *field.from
		}
	}
	return t
}

// apply puts the change in force when the period begins, and finds another time
// for whom it displaces.
func (r *replay) apply(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.applyPolicies, r.applyVisitTypes, r.applyCalendars, r.applySchedules} {
		if err := step(ctx); err != nil {
			return err
		}
		if err := r.heed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// exists reports whether a stream holds anything in this world.
func (r *replay) exists(ctx context.Context, name domain.StreamName) (bool, error) {
	loaded, err := r.world.Load(ctx, name)
	return len(loaded[name]) > 0, err
}

// subject returns the stream of whose policy it is.
func subject(s policy.Scope) domain.StreamName {
	switch s.Kind {
	case policy.OfPractitioner:
		return practitioner.Stream(domain.PractitionerID(s.ID))
	case policy.OfVisitType:
		return visittype.Stream(domain.VisitTypeID(s.ID))
	}
	return clinic.Stream(domain.ClinicID(s.ID))
}

// known returns an error over [ErrUnknown] when the change names what has never
// existed in this world.
func (r *replay) known(ctx context.Context) error {
	names := map[domain.StreamName]string{}
	for s := range r.change.Policies {
		names[subject(s)] = s.Kind + " " + s.ID
	}
	for id := range r.change.Calendars {
		names[clinic.Stream(id)] = policy.OfClinic + " " + string(id)
	}
	for id := range r.change.VisitTypes {
		names[visittype.Stream(id)] = policy.OfVisitType + " " + string(id)
	}
	for at := range r.change.Schedules {
		names[practitioner.Stream(at.Practitioner)] = policy.OfPractitioner + " " + string(at.Practitioner)
		names[clinic.Stream(at.Clinic)] = policy.OfClinic + " " + string(at.Clinic)
		names[schedule.Stream(at.Practitioner)] = "schedule of the practitioner " + string(at.Practitioner)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		there, err := r.exists(ctx, name)
		if err == nil && !there {
			err = fmt.Errorf("the %s: %w", names[name], ErrUnknown)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyTo puts the change in force for what has just become known.
func (r *replay) applyTo(ctx context.Context, e domain.Event) error {
	var s policy.Scope
	switch e := e.(type) {
	case clinic.Registered:
		s = policy.Scope{Kind: policy.OfClinic, ID: string(e.Clinic)}
		if err := r.setCalendar(ctx, e.Clinic); err != nil {
			return err
		}
	case practitioner.Registered:
		s = policy.Scope{Kind: policy.OfPractitioner, ID: string(e.Practitioner)}
	case visittype.Defined:
		s = policy.Scope{Kind: policy.OfVisitType, ID: string(e.VisitType)}
	}
	if r.change.terms(s) == (policy.Terms{}) {
		return nil
	}
	return r.setPolicy(ctx, s, policy.Terms{})
}

// setCalendar puts a clinic's calendar in force, if the change has one.
func (r *replay) setCalendar(ctx context.Context, id domain.ClinicID) error {
	calendar, changed := r.change.Calendars[id]
	if !changed {
		return nil
	}
	_, err := r.h.SetClinicCalendar(ctx, r.request(system), id, clinic.SetCalendar{Calendar: calendar})
	return saying(err, "the calendar of the clinic %s", id)
}

func (r *replay) applyPolicies(ctx context.Context) error {
	scopes := map[policy.Scope]bool{}
	for s := range r.change.Policies {
		scopes[s] = true
	}
	if r.change.EveryClinic != (policy.Terms{}) {
		for id := range r.real.names {
			scopes[policy.Scope{Kind: policy.OfClinic, ID: string(id)}] = true
		}
	}
	order := func(a, b policy.Scope) int { return strings.Compare(a.Kind+a.ID, b.Kind+b.ID) }
	for _, s := range slices.SortedFunc(maps.Keys(scopes), order) {
		there, err := r.exists(ctx, subject(s))
		if err == nil && there { // what is not there yet comes later
			err = r.setPolicy(ctx, s, r.real.policies[s])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) applyVisitTypes(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(r.change.VisitTypes)) {
		now, err := r.h.VisitType(ctx, id)
		switch {
		case errors.Is(err, visittype.ErrNotFound):
			continue
		case err == nil:
			_, err = r.h.ChangeVisitType(ctx, r.request(system), id, visittype.Change{Terms: r.change.visitTerms(id, now.State.Terms)})
		}
		if err != nil {
			return saying(err, "the visit type %s", id)
		}
	}
	return nil
}

func (r *replay) applyCalendars(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(r.change.Calendars)) {
		there, err := r.exists(ctx, clinic.Stream(id))
		if err == nil && there {
			err = r.setCalendar(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	if len(r.change.Calendars) == 0 {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(r.looks)) {
		opening, err := r.h.OpenDays(ctx, r.request(system), id)
		if err != nil {
			return err
		}
		if err := r.resettle(ctx, opening.Displaced); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) applySchedules(ctx context.Context) error {
	order := func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Practitioner, b.Practitioner), cmp.Compare(a.Clinic, b.Clinic))
	}
	for _, at := range slices.SortedFunc(maps.Keys(r.change.Schedules), order) {
		opening, err := r.applySchedule(ctx, at)
		if err != nil {
			return err
		}
		if err := r.resettle(ctx, opening.Displaced); err != nil {
			return err
		}
		if err := r.lookAgain(ctx, at.Practitioner); err != nil {
			return err
		}
	}
	return nil
}

// applySchedule puts a practitioner's week at a clinic in force, if both are there.
func (r *replay) applySchedule(ctx context.Context, at Place) (commands.Opening, error) {
	for _, name := range []domain.StreamName{practitioner.Stream(at.Practitioner), clinic.Stream(at.Clinic)} {
		if there, err := r.exists(ctx, name); err != nil || !there {
			return commands.Opening{}, err
		}
	}
	was := schedule.Pattern{Clinic: at.Clinic}
	now, err := r.h.Schedule(ctx, at.Practitioner)
	if err != nil && !errors.Is(err, schedule.ErrNotFound) {
		return commands.Opening{}, err
	}
	if p, ok := now.State.Pattern(at.Clinic); ok {
		was = p
	}
	if r.change.pattern(at.Practitioner, was).HorizonDays == 0 {
		return commands.Opening{}, nil // it has the horizon of the pattern that is to come
	}
	_, opening, err := r.h.SetSchedule(ctx, r.request(system), schedule.Set{
		Practitioner: at.Practitioner, Pattern: r.change.pattern(at.Practitioner, was),
	})
	return opening, saying(err, "the schedule of the practitioner %s at the clinic %s", at.Practitioner, at.Clinic)
}

// resettle moves those whom the change displaces to the nearest slot of the day,
// or cancels their visits.
func (r *replay) resettle(ctx context.Context, ids []domain.AppointmentID) error {
	for _, id := range ids {
		if err := r.heed(ctx); err != nil {
			return err
		}
		s, err := r.tally.visit(ctx, id)
		if err == nil && isLive(s) {
			err = r.resettleOne(ctx, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) resettleOne(ctx context.Context, s appointment.State) error {
	current, _ := s.Current()
	w := wish{visit: current.Visit, clinic: current.Clinic}
	for _, id := range current.Slots {
		w.slots = append(w.slots, r.tally.slots[id])
	}
	r.replays.Displaced++
	rule, err := r.nearest(ctx, w, func(slots []domain.SlotID) error {
		return r.move(ctx, system, w, slots, appointment.ByClinic, asRecorded)
	})
	if err != nil || rule == "" {
		return err
	}
	_, err = r.h.Cancel(ctx, r.request(system), commands.Cancellation{
		Appointment: current.Appointment, Initiator: appointment.ByClinic, Code: appointment.Displaced, Reason: asRecorded,
	})
	_, err = ruled(err)
	return err
}
