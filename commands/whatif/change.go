package whatif

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
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

// unless returns an error over [ErrUnknown] for what the stream of does not exist.
func (r *replay) unless(ctx context.Context, exists domain.StreamName, what, id string) error {
	loaded, err := r.world.Load(ctx, exists)
	if err == nil && len(loaded[exists]) == 0 {
		err = fmt.Errorf("the %s %s: %w", what, id, ErrUnknown)
	}
	return err
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
		if err := r.setPolicy(ctx, s, r.real.policies[s]); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) applyVisitTypes(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(r.change.VisitTypes)) {
		now, err := r.h.VisitType(ctx, id)
		if err == nil {
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
		if err := r.unless(ctx, clinic.Stream(id), "clinic", string(id)); err != nil {
			return err
		}
		set := clinic.SetCalendar{Calendar: r.change.Calendars[id]}
		if _, err := r.h.SetClinicCalendar(ctx, r.request(system), id, set); err != nil {
			return saying(err, "the calendar of the clinic %s", id)
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
		loaded, err := r.world.Load(ctx, schedule.Stream(at.Practitioner))
		if err != nil {
			return err
		}
		state := domain.Replay(schedule.Evolve, schedule.State{}, loaded[schedule.Stream(at.Practitioner)])
		was, _ := state.Pattern(at.Clinic)
		was.Clinic = at.Clinic
		_, opening, err := r.h.SetSchedule(ctx, r.request(system), schedule.Set{
			Practitioner: at.Practitioner, Pattern: r.change.pattern(at.Practitioner, was),
		})
		if err != nil {
			return saying(err, "the schedule of the practitioner %s at the clinic %s", at.Practitioner, at.Clinic)
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

// resettle moves those whom the change displaces to the nearest slot of the day,
// or cancels their visits.
func (r *replay) resettle(ctx context.Context, ids []domain.AppointmentID) error {
	for _, id := range ids {
		if err := r.heed(ctx); err != nil {
			return err
		}
		s, err := r.tally.visit(ctx, id)
		if err != nil {
			return err
		}
		if !isLive(s) {
			continue
		}
		current, _ := s.Current()
		w := wish{visit: current.Visit, clinic: current.Clinic}
		for _, slot := range current.Slots {
			w.slots = append(w.slots, r.tally.slots[slot])
		}
		r.replays.Displaced++
		rule, err := r.nearest(ctx, w, func(slots []domain.SlotID) error {
			return r.move(ctx, system, w, slots, appointment.ByClinic, asRecorded)
		})
		if err != nil || rule == "" {
			if err != nil {
				return err
			}
			continue
		}
		_, err = r.h.Cancel(ctx, r.request(system), commands.Cancellation{
			Appointment: id, Initiator: appointment.ByClinic, Code: appointment.Displaced, Reason: asRecorded,
		})
		if _, err = ruled(err); err != nil {
			return err
		}
	}
	return nil
}
