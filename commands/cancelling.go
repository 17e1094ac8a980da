package commands

import (
	"context"
	"errors"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// Cancellation ends an appointment.
type Cancellation struct {
	Appointment domain.AppointmentID
	Initiator   appointment.Initiator
	Reason      string // open text, sealed before it is stored
}

// Cancel cancels an appointment and frees what it claimed. The commit point is
// the appointment's own event; from then on its claims are dead, whether or
// not their releases are stored already.
//
// Errors: [appointment.ErrNotFound], [appointment.ErrBadInitiator], and those
// of every command.
func (h *Handler) Cancel(ctx context.Context, req Request, c Cancellation) (Answer[appointment.State], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		return again(ctx, h, func(ctx context.Context) (Answer[appointment.State], error) { return h.cancel(ctx, req, c) })
	})
}

func (h *Handler) cancel(ctx context.Context, req Request, c Cancellation) (Answer[appointment.State], error) {
	own := appointment.Stream(c.Appointment)
	loaded, err := h.Store.Load(ctx, own)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	recorded := loaded[own]
	state := domain.Replay(appointment.Evolve, appointment.State{}, recorded)
	upTo, err := replay(recorded, req)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	if upTo > 0 {
		h.tidy(ctx, req, state)
		return answer(domain.Replay(appointment.Evolve, appointment.State{}, recorded[:upTo]), recorded[:upTo]), nil
	}
	if err := req.expect(recorded); err != nil {
		return Answer[appointment.State]{}, err
	}
	current, _ := state.Current()
	events, err := appointment.Decide(state, appointment.Cancel{
		Initiator: c.Initiator, Reason: domain.Open(string(current.Patient), c.Reason),
	})
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	if len(events) == 0 {
		h.tidy(ctx, req, state)
		return answer(state, recorded), nil
	}
	return h.commitCancel(ctx, req, state, Write{own, last(recorded), stamp(h, req, events)}, events)
}

// commitCancel stores a cancellation: with the releases where the store can,
// else before them.
func (h *Handler) commitCancel(
	ctx context.Context, req Request, state appointment.State, own Write, events []appointment.Event,
) (Answer[appointment.State], error) {
	done := Answer[appointment.State]{
		State: domain.Fold(appointment.Evolve, state, events...), Revision: own.Expected + domain.Revision(len(events)),
	}
	writes := []Write{own}
	if h.Store.Atomic() {
		current, set := state.Current()
		releases, err := h.releases(ctx, req, current.Visit, set)
		if err != nil {
			return done, err
		}
		writes = append(writes, releases...)
	}
	var err error
	if done.Position, err = h.Store.Append(ctx, writes...); err != nil {
		return done, err
	}
	if !h.Store.Atomic() {
		h.tidy(ctx, req, done.State)
	}
	return done, nil
}

// tidy gives back what a dead set still holds; the sets of an appointment that
// is not cancelled are left alone. It comes after the commit point, so that
// its failure is nobody's: dead claims count for nothing, and whoever meets
// one releases it.
func (h *Handler) tidy(ctx context.Context, req Request, state appointment.State) {
	if state.Status == appointment.Cancelled {
		current, set := state.Current()
		_ = h.releaseAll(ctx, req, current.Visit, set) // see above
	}
}

// releases returns the writes that give a set's claims back, none for a claim
// that is not held.
func (h *Handler) releases(ctx context.Context, req Request, v appointment.Visit, set int) ([]Write, error) {
	all := arbiters(v, set, 0)
	loaded, err := h.Store.Load(ctx, streams(all)...)
	if err != nil {
		return nil, err
	}
	var writes []Write
	for _, a := range all {
		recorded := loaded[a.stream()]
		events, err := a.release(recorded)
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			writes = append(writes, Write{a.stream(), last(recorded), stamp(h, req, events)})
		}
	}
	return writes, nil
}

// releaseAll appends the releases of a dead set one by one, until none is left.
func (h *Handler) releaseAll(ctx context.Context, req Request, v appointment.Visit, set int) error {
	for {
		writes, err := h.releases(ctx, req, v, set)
		if err != nil || len(writes) == 0 {
			return err
		}
		for _, w := range writes {
			if _, err := h.Store.Append(ctx, w); err != nil && !errors.Is(err, ErrWrongRevision) {
				return err
			}
		}
	}
}
