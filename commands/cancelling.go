package commands

import (
	"context"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
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
// [appointment.ErrCancelLate], [appointment.ErrNoReason], and those of every
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
		command.NotAfter = current.Start.Add(-place.CancelBefore)
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
		h.tidy(ctx, req, a.state, ended(a.state)...)
		return answer(domain.Replay(appointment.Evolve, appointment.State{}, a.own[:upTo]), a.own[:upTo]), nil
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
		h.tidy(ctx, req, a.state, ended(a.state)...)
		return answer(a.state, a.own), nil
	}
	return h.commitEnd(ctx, a, events)
}

// ended returns the sets of a cancelled appointment; those of another are left
// alone.
func ended(s appointment.State) []int {
	if s.Status != appointment.Cancelled || len(s.Sets) == 0 {
		return nil
	}
	return []int{len(s.Sets)}
}

func (h *Handler) commitEnd(ctx context.Context, a *attempt, events []appointment.Event) (Answer[appointment.State], error) {
	done := Answer[appointment.State]{
		State: domain.Fold(appointment.Evolve, a.state, events...), Revision: last(a.own) + domain.Revision(len(events)),
	}
	var dying []int
	for i, s := range a.state.Sets {
		if done.State.Sets[i].Fate == claim.Dead && (s.Fate != claim.Dead || i+1 == len(a.state.Sets)) {
			dying = append(dying, i+1)
		}
	}
	own := Write{a.stream(), last(a.own), stamp(h, a.req, events)}
	var err error
	if h.Store.Atomic() {
		a.loaded = map[domain.StreamName][]domain.Recorded{}
		later, err := h.freeAll(ctx, a, dying)
		if err != nil {
			return done, err
		}
		done.Position, err = h.Store.Append(ctx, slices.Concat([]Write{own}, a.frees)...)
		if err == nil && later {
			h.tidy(ctx, a.req, done.State, dying...)
		}
		return done, err
	}
	if done.Position, err = h.Store.Append(ctx, own); err == nil {
		h.tidy(ctx, a.req, done.State, dying...)
	}
	return done, err
}
