package commands

import (
	"context"
	"errors"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// Arrive notes that the patient is there. At is when; zero is now. Errors:
// [appointment.ErrNotFound], [appointment.ErrStatus], [appointment.ErrFuture],
// [appointment.ErrTooEarly], and those of every command.
func (h *Handler) Arrive(ctx context.Context, req Request, id domain.AppointmentID, at time.Time) (Answer[appointment.State], error) {
	return h.live(ctx, req, id, appointment.Arrive{At: h.when(at), Now: h.now(), By: req.Actor})
}

// CheckIn begins the visit. Errors: [appointment.ErrNotFound],
// [appointment.ErrStatus], [appointment.ErrFuture], [appointment.ErrOrder], and those of every command.
func (h *Handler) CheckIn(ctx context.Context, req Request, id domain.AppointmentID, at time.Time) (Answer[appointment.State], error) {
	return h.live(ctx, req, id, appointment.CheckIn{At: h.when(at), Now: h.now(), By: req.Actor})
}

// Fulfil ends the visit. Errors: [appointment.ErrNotFound],
// [appointment.ErrStatus], [appointment.ErrFuture], [appointment.ErrOrder], and those of every command.
func (h *Handler) Fulfil(ctx context.Context, req Request, id domain.AppointmentID, at time.Time) (Answer[appointment.State], error) {
	return h.live(ctx, req, id, appointment.Fulfil{At: h.when(at), Now: h.now(), By: req.Actor})
}

// Miss notes that the patient did not come. Errors:
// [appointment.ErrNotFound], [appointment.ErrStatus],
// [appointment.ErrTooEarly], and those of every command.
func (h *Handler) Miss(ctx context.Context, req Request, id domain.AppointmentID) (Answer[appointment.State], error) {
	return h.live(ctx, req, id, appointment.Miss{At: h.now(), By: req.Actor})
}

// GiveUp notes that the patient of a booked set did not come by the time that the
// policy gave, by nobody's hand. Errors: [appointment.ErrNotFound],
// [appointment.ErrStatus], [appointment.ErrNotDue], and those of every command.
func (h *Handler) GiveUp(ctx context.Context, req Request, id domain.AppointmentID, set int) (Answer[appointment.State], error) {
	return h.live(ctx, req, id, appointment.GiveUp{Set: set, At: h.now()})
}

// Lapse ends a set whose deadline has passed, and frees what it claimed. What is
// decided by now is left alone. Errors: [appointment.ErrNotDue], and those of
// every command.
func (h *Handler) Lapse(ctx context.Context, req Request, id domain.AppointmentID, set int) (Answer[appointment.State], error) {
	return h.ending(ctx, req, id, func(h *Handler, _ appointment.State) (appointment.Command, error) {
		return appointment.Lapse{Set: set, At: h.now()}, nil
	})
}

// when returns the instant that the caller names, as events keep it; now when
// it names none.
func (h *Handler) when(at time.Time) time.Time {
	if at.IsZero() {
		return h.now()
	}
	return at.UTC().Truncate(time.Microsecond)
}

// live executes a step of a visit's life.
func (h *Handler) live(ctx context.Context, req Request, id domain.AppointmentID, c appointment.Command) (Answer[appointment.State], error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	return execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		done, err := h.stepOn(ctx, req, id, c)
		if errors.Is(err, appointment.ErrStatus) && h.late(ctx, id) {
			done, err = h.stepOn(ctx, req, id, c)
		}
		if set, _ := done.State.Current(); err == nil && done.State.Status.Over() && len(toCome(set)) > 0 {
			done.Position = max(done.Position, h.uncount(ctx, req, id))
		}
		return done, err
	})
}

// stepOn appends a step of a visit's life, and what follows for the queue: in one
// append where the store can, else one after the other. A repeat finishes what
// was interrupted.
func (h *Handler) stepOn(ctx context.Context, req Request, id domain.AppointmentID, c appointment.Command) (Answer[appointment.State], error) {
	return again(ctx, h, func(ctx context.Context) (done Answer[appointment.State], err error) {
		a := &attempt{id: id, req: req}
		loaded, err := h.Store.Load(ctx, a.stream())
		if err != nil {
			return done, err
		}
		a.own = loaded[a.stream()]
		a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
		upTo, err := replay(a.own, req)
		if err != nil {
			return done, err
		}
		if upTo > 0 {
			done = answer(domain.Replay(appointment.Evolve, appointment.State{}, a.own[:upTo]), a.own[:upTo])
			if upTo < len(a.own) {
				return done, nil // whoever came later has seen to the queue
			}
			return done, h.catchUp(ctx, req, a.state, false, &done)
		}
		if err := req.expect(a.own); err != nil {
			return done, err
		}
		events, err := appointment.Decide(a.state, c)
		if err != nil {
			return done, err
		}
		if len(events) == 0 {
			done = answer(a.state, a.own)
			return done, h.catchUp(ctx, req, a.state, false, &done)
		}
		return h.commitStep(ctx, a, events)
	})
}

func (h *Handler) commitStep(ctx context.Context, a *attempt, events []appointment.Event) (done Answer[appointment.State], err error) {
	done.State, done.Revision = domain.Fold(appointment.Evolve, a.state, events...), last(a.own)+domain.Revision(len(events))
	queued, err := h.queued(ctx, a.req, done.State, false)
	if err != nil {
		return done, err
	}
	done.Position, err = h.together(ctx, append([]Write{{a.stream(), last(a.own), stamp(h, a.req, events)}}, queued...))
	return done, err
}

// late reports whether the appointment is booked after all: its series had
// booked it, and its own stream did not say so yet.
func (h *Handler) late(ctx context.Context, id domain.AppointmentID) bool {
	a := &attempt{id: id}
	err := h.loadOwn(ctx, a)
	return err == nil && a.state.Status == appointment.Booked
}

// Undo takes the last change of status back; what was cancelled or declined has
// to claim everything again, and is booked or requested as it was. An approval is
// not undone. Errors: [appointment.ErrApproved], [appointment.ErrNotFound],
// [appointment.ErrNoChange], [appointment.ErrNotYours],
// [appointment.ErrUndoLate], for a visit that was over and counts again those of
// package quota, for a cancellation those of [Handler.Book], and those of every
// command.
func (h *Handler) Undo(ctx context.Context, req Request, id domain.AppointmentID) (Answer[appointment.State], error) {
	now, err := h.Appointment(ctx, id)
	if err != nil {
		return now, err
	}
	current, _ := now.State.Current()
	place, err := h.placeOf(ctx, current.Visit)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	undo := appointment.Undo{At: h.now(), By: req.Actor, Grace: place.UndoGrace}
	if now.State.Status != appointment.Cancelled {
		return h.revert(ctx, req, id, undo)
	}
	return h.transactOn(ctx, req, id, func(ctx context.Context, h *Handler, s appointment.State) (proposal, error) {
		if err := s.MayUndo(undo); err != nil {
			return proposal{}, err
		}
		if s.Status != appointment.Cancelled {
			return proposal{}, appointment.ErrNoChange // somebody else was faster
		}
		cancelled, _ := s.Current()
		w, place, err := h.again(ctx, cancelled.Visit)
		p := proposal{wish: w, purpose: appointment.ToRestore, policies: place.revisions(), giveUp: place.NoShowAfter}
		p.limits = place.limits(w.visit)
		if p.request = s.Change.From == appointment.Pending; p.request && err == nil {
			p.until, err = h.replyBy(ctx, w.visit)
		}
		return p, err
	})
}
