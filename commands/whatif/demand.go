package whatif

import (
	"context"
	"slices"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
)

// decidable are the rules whose refusals are decided again: they do not depend on
// whose wish it was, which nobody has written down.
func decidable() []*domain.Error {
	return []*domain.Error{
		slot.ErrTaken, slot.ErrWithdrawn, schedule.ErrSlotGone, commands.ErrNotice, commands.ErrHorizon, commands.ErrNoRoom,
		quota.ErrPractitionerDay, quota.ErrPractitionerWeek, clinic.ErrClosed, visittype.ErrRetired,
	}
}

// loosened reports whether a limit of what one patient may have is higher here
// than it really was.
func (r *replay) loosened(ctx context.Context, e demand.Refused) (bool, error) {
	limit := map[string]func(policy.Effective) int{
		quota.ErrPatientDay.Rule:          func(t policy.Effective) int { return t.PatientDay },
		quota.ErrPatientPractitioner.Rule: func(t policy.Effective) int { return t.PatientPractitioner },
		quota.ErrPatientActive.Rule:       func(t policy.Effective) int { return t.PatientActive },
	}[e.Rule]
	if limit == nil {
		return false, nil
	}
	here, err := r.h.EffectivePolicy(ctx, e.Clinic, e.Practitioner, e.VisitType)
	if rule, fault := ruled(err); rule != "" || fault != nil {
		return false, fault
	}
	was, is := limit(r.real.effective(e.Clinic, e.Practitioner, e.VisitType)), limit(here.Effective)
	return was > 0 && (is == 0 || is > was), nil
}

// unmet replays a wish that was refused, with a patient of whom nothing else is
// known. What depends on whose wish it was is refused again.
func (r *replay) unmet(ctx context.Context, m moment, e demand.Refused) error {
	again := slices.ContainsFunc(decidable(), func(rule *domain.Error) bool { return rule.Rule == e.Rule })
	if !again {
		var err error
		if again, err = r.loosened(ctx, e); err != nil {
			return err
		}
	}
	if !again || e.Wish == "reschedule" || !e.Start.After(m.at) {
		r.replays.Stood++
		r.tally.refuse(e.Clinic, e.Rule)
		return nil
	}
	r.replays.AskedAgain++
	rule, err := r.askAgain(ctx, m, e)
	if err != nil {
		return err
	}
	r.refused(e.Clinic, rule)
	r.compare(m, e.Clinic, e.Rule, outcomeOf(rule))
	return nil
}

func (r *replay) askAgain(ctx context.Context, m moment, e demand.Refused) (rule string, err error) {
	w := r.wishFor(m, e)
	if err := r.introduce(ctx, w.visit.Patient); err != nil {
		return "", err
	}
	var done commands.Answer[appointment.State]
	try := func(slots []domain.SlotID) (err error) {
		done, err = r.grant(ctx, e.Wish, r.booking(w, slots))
		return err
	}
	slots, offered, err := r.offered(ctx, w)
	switch {
	case err != nil:
		return "", err
	case offered:
		rule, err = ruled(try(slots))
	case e.Rule == schedule.ErrSlotGone.Rule || e.Rule == slot.ErrWithdrawn.Rule:
		rule = e.Rule // as it was: nobody knows whether another time would have done
	default:
		rule, err = r.nearest(ctx, w, try)
	}
	if err != nil || rule != "" {
		return rule, err
	}
	r.replays.Granted++
	current, _ := done.State.Current()
	r.comes(current)
	return "", r.approve(ctx, done.State)
}

// wishFor returns the wish that was refused.
func (r *replay) wishFor(m moment, e demand.Refused) wish {
	s, known := r.real.tally.slots[e.Slot]
	if !known {
		s = seenSlot{Place: Place{e.Practitioner, e.Clinic}, Period: domain.Period{Start: e.Start, End: e.Start}}
	}
	return wish{
		visit: appointment.Visit{
			Appointment: domain.AppointmentID(domain.NewID("what if", "appointment", m.ID)),
			Patient:     domain.PatientID(domain.NewID("what if", "patient", m.ID)),
			VisitType:   string(e.VisitType), Slots: []domain.SlotID{e.Slot},
		},
		clinic: e.Clinic, slots: []seenSlot{s}, gone: []bool{s.withdrawn}, by: r.wishedBy(e),
	}
}

// wishedBy returns whose wish was refused: that of staff when the notice and the
// horizon, which hold for patients, really stood in the way and did not refuse it.
func (r *replay) wishedBy(e demand.Refused) appointment.Initiator {
	terms, ahead := r.real.effective(e.Clinic, e.Practitioner, e.VisitType), e.Start.Sub(e.At)
	stands := ahead < terms.MinNotice || terms.Horizon > 0 && ahead > terms.Horizon
	if stands && e.Wish == "book" && e.Rule != commands.ErrNotice.Rule && e.Rule != commands.ErrHorizon.Rule {
		return appointment.ByClinic
	}
	return appointment.ByPatient
}

// introduce makes a patient known who has no name.
func (r *replay) introduce(ctx context.Context, id domain.PatientID) error {
	_, err := r.world.Append(ctx, commands.Write{
		Stream: patient.Stream(id), Expected: domain.NoStream,
		Events: []commands.NewEvent{{ID: r.id("id"), Event: patient.Registered{Patient: id}, Metadata: domain.Metadata{Actor: system}}},
	})
	return err
}

// grant books what was refused; what was to be held is completed at once.
func (r *replay) grant(ctx context.Context, wanted string, b commands.Booking) (commands.Answer[appointment.State], error) {
	if wanted != "hold" {
		return r.h.Book(ctx, r.request(system), b)
	}
	who := b.Patient
	b.Patient = ""
	held, err := r.h.Hold(ctx, r.request(system), commands.Holding{Booking: b, Session: string(who)})
	if err != nil {
		return held, err
	}
	_, n := holding(held.State)
	return r.h.Complete(ctx, r.request(system), commands.Completion{
		Appointment: b.Appointment, Token: r.h.Token(b.Appointment, n), Patient: who,
	})
}
