package demo

import (
	"context"
	"errors"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
)

// pick returns a slot of a practitioner on a day that is open, one that we have
// booked only seldom, or none.
func (y *year) pick(ctx context.Context, who domain.PractitionerID, booked bool) (schedule.Slot, bool, error) {
	for range 3 {
		slots, err := y.slots(ctx, who, y.today().Add(y.dice.IntN(y.horizon)))
		if err != nil {
			return schedule.Slot{}, false, err
		}
		for range 2 * min(1, len(slots)) {
			s := slots[y.dice.IntN(len(slots))]
			if full := y.taken[s.ID] >= s.Capacity; full == booked || y.chance(10) {
				return s, true, nil
			}
		}
	}
	return schedule.Slot{}, false, nil
}

func (y *year) somebody() domain.PatientID { return y.patients[y.dice.IntN(len(y.patients))] }

// booking is a wish of somebody for a slot.
func (y *year) booking(s schedule.Slot) commands.Booking {
	b := commands.Booking{
		Appointment: domain.AppointmentID(y.id("appointment", y.commands)), Slots: []domain.SlotID{s.ID}, Patient: y.somebody(),
		Reason: "it hurts", By: appointment.ByPatient,
	}
	at := lisbon
	if s.Clinic == y.clinic(newYork) {
		at = newYork
	}
	if y.chance(30) {
		b.VisitType = y.visitType(at, y.dice.IntN(visitTypes))
	}
	if y.chance(20) {
		b.Uses = []commands.Use{{Resource: y.room(at, y.dice.IntN(visitTypes))}}
	}
	return b
}

// wish is somebody who wants a visit.
func wish(ctx context.Context, y *year) error {
	kind := y.dice.IntN(100)
	s, ok, err := y.pick(ctx, y.practitioner(y.dice.IntN(practitioners)), kind >= 92)
	if err != nil || !ok {
		return err
	}
	b := y.booking(s)
	switch {
	case kind < 45:
		return y.book(ctx, b, "booked")
	case kind < 84:
		return y.hold(ctx, b)
	case kind < 92:
		b.By = appointment.ByClinic
		return y.book(ctx, b, "booked by the clinic")
	}
	b.By, b.Beyond, b.VisitType = appointment.ByClinic, "it cannot wait", ""
	return y.book(ctx, b, "overbooked")
}

func (y *year) book(ctx context.Context, b commands.Booking, what string) error {
	answer, err := y.h.Book(ctx, y.request(), b)
	if err == nil && answer.State.Status == appointment.Pending {
		what = "requested"
	}
	if done, err := y.done(what, err); !done {
		return err
	}
	y.goesOn(answer.State)
	return nil
}

// hold keeps a slot; then the form is completed, given up, or forgotten.
func (y *year) hold(ctx context.Context, b commands.Booking) error {
	held := commands.Holding{Booking: b}
	if y.chance(50) {
		held.Patient = "" // the form will say
	}
	answer, err := y.h.Hold(ctx, y.request(), held)
	if done, err := y.done("held", err); !done {
		return err
	}
	set, n := answer.State.Latest()
	token := y.h.Token(b.Appointment, n)
	complete := func(ctx context.Context, y *year) error { return y.complete(ctx, b, token) }
	switch y.dice.IntN(6) {
	case 0:
		y.at(set.Deadline.Add(3*time.Second), takeOver(b.Slots[0], "lapsed hold taken over"))
	case 1:
		y.after(time.Minute, func(ctx context.Context, y *year) error {
			_, err := y.h.Release(ctx, y.request(), b.Appointment, token)
			_, err = y.done("hold released", err)
			return err
		})
	case 2:
		y.after(3*time.Minute, func(ctx context.Context, y *year) error {
			_, err := y.h.Renew(ctx, y.request(), b.Appointment, token, 10*time.Minute)
			y.after(5*time.Minute, complete)
			_, err = y.done("hold renewed", err)
			return err
		})
	default:
		y.after(2*time.Minute, complete)
	}
	return nil
}

func (y *year) complete(ctx context.Context, b commands.Booking, token string) error {
	answer, err := y.h.Complete(ctx, y.request(), commands.Completion{Appointment: b.Appointment, Token: token, Patient: b.Patient})
	if done, err := y.done("hold completed", err); !done {
		return err
	}
	y.goesOn(answer.State)
	return nil
}

// takeOver is somebody else who wants what has lapsed: it is then that its end
// is noted.
func takeOver(id domain.SlotID, what string) act {
	return func(ctx context.Context, y *year) error {
		b := commands.Booking{
			Appointment: domain.AppointmentID(y.id("appointment", y.commands)), Slots: []domain.SlotID{id}, Patient: y.somebody(), By: appointment.ByClinic,
		}
		return y.book(ctx, b, what)
	}
}

// goesOn puts on the agenda what comes after a booking or a request.
func (y *year) goesOn(s appointment.State) {
	set, _ := s.Current()
	for _, id := range set.Slots {
		y.taken[id]++
	}
	if s.Status == appointment.Pending {
		y.requested(s)
		return
	}
	now, id := y.Clock.Now(), set.Appointment
	switch n := y.dice.IntN(100); {
	case n < 14:
		y.at(y.between(now, set.Start), func(ctx context.Context, y *year) error { return y.move(ctx, set.Visit, appointment.ByPatient) })
	case n < 32:
		y.at(y.between(now, set.Start), func(ctx context.Context, y *year) error { return y.cancel(ctx, set.Visit, appointment.ByPatient, "") })
	case n < 42:
		y.at(set.End.Add(time.Minute), func(ctx context.Context, y *year) error {
			_, err := y.h.Miss(ctx, y.request(), id)
			_, err = y.done("no-show", err)
			return err
		})
	default:
		y.at(set.Start.Add(-10*time.Minute), func(ctx context.Context, y *year) error { return y.attend(ctx, set.Visit) })
	}
}

// requested is answered by the practitioner, or by nobody until it lapses.
func (y *year) requested(s appointment.State) {
	set, _ := s.Latest()
	id, answered := set.Appointment, y.between(y.Clock.Now(), set.Deadline)
	switch n := y.dice.IntN(100); {
	case n < 50:
		y.at(answered, func(ctx context.Context, y *year) error {
			answer, err := y.h.Approve(ctx, y.request(), id)
			if done, err := y.done("request approved", err); !done {
				return err
			}
			y.goesOn(answer.State)
			return nil
		})
	case n < 70:
		y.at(answered, func(ctx context.Context, y *year) error {
			_, err := y.h.Decline(ctx, y.request(), commands.Refusal{Appointment: id, Code: "other", Reason: "another specialty"})
			_, err = y.done("request declined", err)
			return err
		})
	default:
		y.at(set.Deadline.Add(3*time.Second), takeOver(set.Slots[0], "lapsed request taken over"))
	}
}

// move reschedules a visit; who finds no other time keeps the old one.
func (y *year) move(ctx context.Context, v appointment.Visit, by appointment.Initiator) error {
	s, ok, err := y.pick(ctx, v.Practitioner, false)
	if err != nil || !ok {
		return err
	}
	answer, err := y.h.Reschedule(ctx, y.request(), commands.Move{
		Booking: commands.Booking{Appointment: v.Appointment, Slots: []domain.SlotID{s.ID}, By: by}, Note: "the practitioner is away",
	})
	if errors.Is(err, commands.ErrElsewhere) { // the slot is at the practitioner's other clinic
		_, err = y.done("rescheduled", err)
		return err
	}
	done, err := y.done("rescheduled", err)
	if done {
		y.free(v)
		y.after(time.Second, reopen(v))
		y.goesOn(answer.State)
	}
	return err
}

func (y *year) free(v appointment.Visit) {
	for _, id := range v.Slots {
		y.taken[id]--
	}
}

// cancel ends a visit, and perhaps somebody takes that back.
func (y *year) cancel(ctx context.Context, v appointment.Visit, by appointment.Initiator, code appointment.Code) error {
	_, err := y.h.Cancel(ctx, y.request(), commands.Cancellation{Appointment: v.Appointment, Initiator: by, Code: code, Reason: "something came up"})
	done, err := y.done("cancelled", err)
	if !done {
		return err
	}
	y.free(v)
	y.after(time.Second, reopen(v))
	if by == appointment.ByPatient && y.chance(30) {
		y.after(5*time.Minute, func(ctx context.Context, y *year) error {
			answer, err := y.h.Undo(ctx, y.request(), v.Appointment)
			done, err := y.done("cancellation undone", err)
			if done {
				y.goesOn(answer.State)
			}
			return err
		})
	}
	return nil
}

// attend is a visit that takes place.
func (y *year) attend(ctx context.Context, v appointment.Visit) error {
	id := v.Appointment
	_, err := y.h.Arrive(ctx, y.request(), id, time.Time{})
	if done, err := y.done("arrived", err); !done {
		return err
	}
	if y.chance(5) { // the wrong one, at the desk
		y.after(time.Minute, func(ctx context.Context, y *year) error {
			_, err := y.h.Undo(ctx, y.request(), id)
			y.after(time.Minute, func(ctx context.Context, y *year) error {
				_, err := y.h.Arrive(ctx, y.request(), id, time.Time{})
				_, err = y.done("arrived", err)
				return err
			})
			_, err = y.done("arrival undone", err)
			return err
		})
	}
	y.at(v.Start.Add(2*time.Minute), func(ctx context.Context, y *year) error {
		_, err := y.h.CheckIn(ctx, y.request(), id, time.Time{})
		_, err = y.done("checked in", err)
		return err
	})
	y.at(v.End.Add(time.Minute), func(ctx context.Context, y *year) error {
		_, err := y.h.Fulfil(ctx, y.request(), id, time.Time{})
		done, err := y.done("fulfilled", err)
		if done && y.chance(20) {
			y.after(time.Hour, review(id))
		}
		return err
	})
	return nil
}

func review(id domain.AppointmentID) act {
	return func(ctx context.Context, y *year) error {
		_, err := y.h.WriteReview(ctx, y.request(), commands.Reviewing{Appointment: id, Stars: 1 + y.dice.IntN(5), Text: "as one would wish"})
		_, err = y.done("reviewed", err)
		return err
	}
}

// displaced takes care of the visits whose slots were withdrawn.
func (y *year) displaced(o commands.Opening) {
	for _, id := range o.Displaced {
		y.after(time.Duration(5+y.dice.IntN(60))*time.Minute, func(ctx context.Context, y *year) error {
			y.report.Done["displaced"]++
			answer, err := y.h.Appointment(ctx, id)
			if err != nil {
				return err
			}
			current, _ := answer.State.Current()
			if y.chance(50) {
				return y.move(ctx, current.Visit, appointment.ByClinic)
			}
			return y.cancel(ctx, current.Visit, appointment.ByClinic, appointment.Displaced)
		})
	}
}

// lookAhead opens what lies ahead, and books a part of it.
func (y *year) lookAhead(ctx context.Context) error {
	if y.Ahead <= y.horizon {
		return nil
	}
	y.horizon = y.Ahead
	for who := range practitioners {
		for _, at := range places(who) {
			answer, err := y.h.Schedule(ctx, y.practitioner(who))
			if err != nil {
				return err
			}
			p, _ := answer.State.Pattern(y.clinic(at))
			if err := y.setSchedule(ctx, who, at, p.Weekly); err != nil {
				return err
			}
		}
	}
	for range y.Ahead * y.Wishes / 4 {
		s, ok, err := y.pick(ctx, y.practitioner(y.dice.IntN(practitioners)), false)
		if err != nil {
			return err
		}
		if ok {
			if err := y.book(ctx, y.booking(s), "booked ahead"); err != nil {
				return err
			}
		}
	}
	return nil
}
