package commands

import (
	"context"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// Cancellation ends an appointment.
type Cancellation struct {
	Appointment domain.AppointmentID
	Initiator   appointment.Initiator
	Code        appointment.Code
	Reason      string // open text, sealed before it is stored
}

// Cancel cancels an appointment and frees what it claimed. The commit point is
// the appointment's own event; from then on its claims are dead, whether or
// not their releases are stored already.
//
// Errors: [appointment.ErrNotFound], [appointment.ErrBadInitiator],
// [appointment.ErrBadCode], [appointment.ErrStatus],
// [appointment.ErrCancelLate], [appointment.ErrNoReason],
// [appointment.ErrHeld], and those of every
// command.
func (h *Handler) Cancel(ctx context.Context, req Request, c Cancellation) (Answer[appointment.State], error) {
	return h.ending(ctx, req, c.Appointment, func(h *Handler, s appointment.State) (appointment.Command, error) {
		current, n := s.Current()
		command := appointment.Cancel{
			Initiator: c.Initiator, Code: c.Code, Reason: domain.Open(string(current.Patient), c.Reason), At: h.now(), By: req.Actor,
		}
		if n == 0 {
			return command, nil
		}
		place, err := h.placeOf(ctx, current.Visit)
		if err != nil {
			return command, err
		}
		command.NotAfter = current.Start.Add(-place.CancelBefore)
		if command.At.After(command.NotAfter) {
			command.Displaced, err = h.displaced(ctx, current)
		}
		return command, err
	})
}

// ender makes the command that ends an appointment.
type ender func(h *Handler, s appointment.State) (appointment.Command, error)

// ending executes a command that ends an appointment's sets, with the releases of
// their claims where the store can, else before them.
func (h *Handler) ending(ctx context.Context, req Request, id domain.AppointmentID, make ender) (Answer[appointment.State], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		return again(ctx, h, func(ctx context.Context) (Answer[appointment.State], error) { return h.tryEnd(ctx, req, id, make) })
	})
}

func (h *Handler) tryEnd(ctx context.Context, req Request, id domain.AppointmentID, make ender) (Answer[appointment.State], error) {
	a := &attempt{id: id, req: req}
	var none Answer[appointment.State]
	if err := h.loadOwn(ctx, a); err != nil {
		return none, err
	}
	upTo, err := replay(a.own, req)
	if err != nil {
		return none, err
	}
	if upTo > 0 {
		done := answer(domain.Replay(appointment.Evolve, appointment.State{}, a.own[:upTo]), a.own[:upTo])
		done.Position = max(done.Position, h.tidy(ctx, req, a.state))
		return done, h.catchUp(ctx, req, a.state, false, &done)
	}
	if err := req.expect(a.own); err != nil {
		return none, err
	}
	command, err := make(h, a.state)
	if err != nil {
		return none, err
	}
	events, err := appointment.Decide(a.state, command)
	if err != nil {
		return none, err
	}
	if len(events) == 0 {
		done := answer(a.state, a.own)
		done.Position = max(done.Position, h.tidy(ctx, req, a.state))
		return done, h.catchUp(ctx, req, a.state, false, &done)
	}
	return h.commitEnd(ctx, a, events)
}

func (h *Handler) commitEnd(ctx context.Context, a *attempt, events []appointment.Event) (Answer[appointment.State], error) {
	done := Answer[appointment.State]{
		State: domain.Fold(appointment.Evolve, a.state, events...), Revision: last(a.own) + domain.Revision(len(events)),
	}
	own := Write{a.stream(), last(a.own), stamp(h, a.req, events)}
	later := true
	if h.Store.Atomic() {
		var err error
		a.loaded = map[domain.StreamName][]domain.Recorded{}
		if later, err = h.freeAll(ctx, a, done.State); err != nil {
			return done, err
		}
	}
	queued, err := h.queued(ctx, a.req, done.State, false)
	if err != nil {
		return done, err
	}
	done.Position, err = h.together(ctx, slices.Concat([]Write{own}, a.frees, queued))
	if err == nil && later {
		done.Position = max(done.Position, h.tidy(ctx, a.req, done.State))
	}
	return done, err
}
