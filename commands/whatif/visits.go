package whatif

import (
	"context"
	"strings"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/quota"
)

// The outcomes that are compared, beside rules.
const (
	had    = "had"    // what was wanted
	absent = "absent" // there is nothing here that it could be done to
)

// visit replays what somebody did about an appointment. Before is how it really was
// then.
func (r *replay) visit(ctx context.Context, m moment, event appointment.Event, before appointment.State) error {
	v, n := appointment.Of(event)
	now, err := r.tally.visit(ctx, v.Appointment)
	if err != nil {
		return err
	}
	outcome := "" // of steps that are not compared: whatever is done is done later, perhaps
	if offered(event, before) {
		return nil // what comes of it is replayed as if it had been wished
	}
	switch e := event.(type) {
	case appointment.WasHeld:
		outcome, err = r.hold(ctx, m, e, before)
	case appointment.WasRenewed:
		outcome, err = r.renewHold(ctx, m, e, now)
	case appointment.WasReleased:
		outcome, err = r.release(ctx, m, now)
	case appointment.WasRequested:
		outcome, err = r.accepted(ctx, m, e.Visit, purposeOf(before, n), appointment.WasBooked{Visit: e.Visit}, now, false)
	case appointment.WasBooked:
		outcome, err = r.accepted(ctx, m, e.Visit, purposeOf(before, n), e, now, true)
	case appointment.WasDeclined:
		outcome, err = r.decline(ctx, m, e, now)
	case appointment.WasCancelled:
		outcome, err = r.cancel(ctx, m, e, now)
	case appointment.HasArrived:
		err = r.live(before, now, e.At, m, r.h.Arrive)
	case appointment.WasCheckedIn:
		err = r.live(before, now, e.At, m, r.h.CheckIn)
	case appointment.WasFulfilled:
		err = r.live(before, now, e.At, m, r.h.Fulfil)
	case appointment.WasMissed:
		r.missed(before, now, m)
	case appointment.WasReverted:
		if isLive(now) {
			_, err = r.h.Undo(ctx, r.request(m.Metadata.Actor), v.Appointment)
			_, err = ruled(err)
		}
	case appointment.WasProposed, appointment.WasRefused, appointment.HasLapsed:
		return nil // what a command does on its way; and deadlines pass here by themselves
	}
	if err == nil && outcome != "" {
		r.compare(m, v.Clinic, had, outcome)
	}
	return err
}

// purpose is what a set was booked or requested for.
type purpose int

const (
	toBook     purpose = iota
	toComplete         // a hold
	toApprove          // a request
	toMove             // a visit that is booked
	toRestore          // one that was cancelled or declined
)

func purposeOf(before appointment.State, n int) purpose {
	_, held := holding(before)
	switch {
	case n > 0 && n <= len(before.Sets) && before.Sets[n-1].Phase == appointment.OnRequest:
		return toApprove
	case before.Status == appointment.Cancelled && before.Ended > 0:
		return toRestore
	case isLive(before):
		return toMove
	case held > 0:
		return toComplete
	}
	return toBook
}

// accepted replays what came to be booked, or requested.
func (r *replay) accepted(
	ctx context.Context, m moment, v appointment.Visit, why purpose, e appointment.WasBooked, now appointment.State, booked bool,
) (rule string, err error) {
	w := r.wishOf(v, e.By)
	actor := m.Metadata.Actor
	switch why {
	case toApprove:
		if _, n := asking(now); n == 0 {
			return absent, nil
		}
		_, err = r.h.Approve(ctx, r.request(actor), v.Appointment)
		rule, err = ruled(err)
	case toRestore:
		if now.Status != appointment.Cancelled || now.Ended == 0 {
			return absent, nil
		}
		_, err = r.h.Undo(ctx, r.request(actor), v.Appointment)
		rule, err = ruled(err)
	case toMove:
		if now.Status != appointment.Booked {
			return absent, nil
		}
		rule, err = r.ask(ctx, w, func(slots []domain.SlotID) error { return r.move(ctx, actor, w, slots, movedBy(e), noteOf(e)) })
		r.refused(v.Clinic, rule)
	case toComplete:
		return r.complete(ctx, m, w, now, booked)
	case toBook:
		if _, n := holding(now); n > 0 {
			return r.complete(ctx, m, w, now, booked) // here it is still on hold
		}
		rule, err = r.book(ctx, actor, w, booked)
		r.refused(v.Clinic, rule)
	}
	return outcomeOf(rule), err
}

func movedBy(e appointment.WasBooked) appointment.Initiator {
	if e.By == "" {
		return appointment.ByPatient
	}
	return e.By
}

func noteOf(e appointment.WasBooked) string {
	if e.Note.IsZero() {
		return ""
	}
	return asRecorded
}

func outcomeOf(rule string) string {
	if rule == "" {
		return had
	}
	return rule
}

func (r *replay) refused(id domain.ClinicID, rule string) {
	if rule != "" {
		r.tally.refuse(id, rule)
	}
}

// offered reports whether an event makes or ends an offer of the waiting list.
func offered(e appointment.Event, before appointment.State) bool {
	if held, ok := e.(appointment.WasHeld); ok {
		return held.Wish != ""
	}
	released, ok := e.(appointment.WasReleased)
	return ok && released.Set <= len(before.Sets) && before.Sets[released.Set-1].Wish != ""
}

// hold replays a hold. One that lasted as long as the policy said lasts as long as
// it says here.
func (r *replay) hold(ctx context.Context, m moment, e appointment.WasHeld, before appointment.State) (string, error) {
	held := commands.Holding{For: e.Deadline.Sub(e.Ceiling.Add(-commands.HoldCeiling)), Session: sessionOf(before, e.Set)}
	if held.For == r.real.effective(e.Clinic, e.Practitioner, domain.VisitTypeID(e.VisitType)).HoldTime {
		held.For = 0
	}
	w := r.wishOf(e.Visit, "")
	rule, err := r.ask(ctx, w, func(slots []domain.SlotID) error {
		held.Booking = r.booking(w, slots)
		_, err := r.h.Hold(ctx, r.request(m.Metadata.Actor), held)
		return err
	})
	r.refused(e.Clinic, rule)
	return outcomeOf(rule), err
}

// sessionOf returns a name for the session that made a hold: the same for the same
// session, "" when none was named.
func sessionOf(before appointment.State, set int) string {
	if set < 1 || set > len(before.Sets) {
		return ""
	}
	for _, stream := range before.Sets[set-1].Claims {
		if q, ok := quota.Parse(stream); ok && q.Rule == quota.Holds {
			if name, session := strings.CutPrefix(q.Subject, "session."); session {
				return name
			}
		}
	}
	return ""
}

// complete replays the completion of a hold. Whoever comes after it has lapsed here
// books the same slots anew; whoever was refused the hold asks no more.
func (r *replay) complete(ctx context.Context, m moment, w wish, now appointment.State, booked bool) (string, error) {
	id := w.visit.Appointment
	rule := appointment.ErrLapsed.Rule
	if _, n := holding(now); n > 0 {
		done, err := r.h.Complete(ctx, r.request(m.Metadata.Actor), commands.Completion{
			Appointment: id, Token: r.h.Token(id, n), Patient: w.visit.Patient, By: w.by,
		})
		if rule, err = ruled(err); err != nil {
			return "", err
		}
		if rule == "" && booked {
			return had, r.approve(ctx, done.State)
		}
	} else if len(now.Sets) == 0 {
		return absent, nil
	}
	if rule == appointment.ErrLapsed.Rule {
		again, err := r.book(ctx, m.Metadata.Actor, w, booked)
		if err != nil {
			return "", err
		}
		rule = again
	}
	r.refused(w.clinic, rule)
	return outcomeOf(rule), nil
}

func (r *replay) renewHold(ctx context.Context, m moment, e appointment.WasRenewed, now appointment.State) (string, error) {
	_, n := holding(now)
	if n == 0 {
		return absent, nil
	}
	by := min(max(e.Deadline.Sub(r.clock), time.Second), commands.LongestHold)
	_, err := r.h.Renew(ctx, r.request(m.Metadata.Actor), e.Appointment, r.h.Token(e.Appointment, n), by)
	rule, err := ruled(err)
	return outcomeOf(rule), err
}

func (r *replay) release(ctx context.Context, m moment, now appointment.State) (string, error) {
	set, n := holding(now)
	if n == 0 {
		return absent, nil
	}
	_, err := r.h.Release(ctx, r.request(m.Metadata.Actor), set.Appointment, r.h.Token(set.Appointment, n))
	rule, err := ruled(err)
	return outcomeOf(rule), err
}

// decline replays a refusal. What was not asked here is not declined: the patient
// comes.
func (r *replay) decline(ctx context.Context, m moment, e appointment.WasDeclined, now appointment.State) (string, error) {
	if _, n := asking(now); n == 0 {
		if isLive(now) {
			current, _ := now.Current()
			r.comes(current)
		}
		return absent, nil
	}
	_, err := r.h.Decline(ctx, r.request(m.Metadata.Actor), commands.Refusal{Appointment: e.Appointment, Code: e.Code})
	rule, err := ruled(err)
	return outcomeOf(rule), err
}

// comes has the patient of a visit come in time, nothing being known of it.
func (r *replay) comes(set appointment.Set) {
	r.at(set.Start, func(ctx context.Context, r *replay) error {
		_, err := r.h.Arrive(ctx, r.request(system), set.Appointment, time.Time{})
		_, err = ruled(err)
		return err
	})
}

// cancel replays a cancellation. A patient who may not cancel here does not come.
func (r *replay) cancel(ctx context.Context, m moment, e appointment.WasCancelled, now appointment.State) (string, error) {
	if now.Status == "" || now.Status == appointment.Cancelled {
		return absent, nil
	}
	c := commands.Cancellation{Appointment: e.Appointment, Initiator: e.Initiator, Code: e.Code}
	if !e.Reason.IsZero() {
		c.Reason = asRecorded
	}
	_, err := r.h.Cancel(ctx, r.request(m.Metadata.Actor), c)
	rule, err := ruled(err)
	if rule == appointment.ErrCancelLate.Rule && isLive(now) {
		current, _ := now.Current()
		r.away[e.Appointment] = true
		r.replays.NotCancelled++
		r.at(current.End.Add(time.Minute), miss(e.Appointment, m.Metadata.Actor))
	}
	return outcomeOf(rule), err
}

// miss notes that somebody has not come.
func miss(id domain.AppointmentID, actor string) act {
	return func(ctx context.Context, r *replay) error {
		_, err := r.h.Miss(ctx, r.request(actor), id)
		_, err = ruled(err)
		return err
	}
}

// missed notes that somebody has not come, as was really noted by hand; deadlines
// pass here by themselves.
func (r *replay) missed(before, now appointment.State, m moment) {
	if m.Metadata.Actor == system || !isLive(now) {
		return
	}
	was, _ := before.Current()
	is, _ := now.Current()
	r.at(m.at.Add(is.Start.Sub(was.Start)), miss(is.Appointment, m.Metadata.Actor))
}

// step is a command about the life of a visit.
type step func(ctx context.Context, req commands.Request, id domain.AppointmentID, at time.Time) (commands.Answer[appointment.State], error)

// live replays a step of a visit's life: as long after the start as it really was.
func (r *replay) live(before, now appointment.State, at time.Time, m moment, do step) error {
	is, _ := now.Current()
	if !isLive(now) || r.away[is.Appointment] {
		return nil
	}
	was, _ := before.Current()
	later := is.Start.Sub(was.Start)
	at = at.Add(later)
	r.at(m.at.Add(later), func(ctx context.Context, r *replay) error {
		_, err := do(ctx, r.request(m.Metadata.Actor), is.Appointment, at)
		_, err = ruled(err)
		return err
	})
	return nil
}
