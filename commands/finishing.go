package commands

import (
	"context"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/series"
)

// Atomic reports whether the handler's store takes several writes at once. Where
// it does, hardly any command leaves something to finish.
func (h *Handler) Atomic() bool { return h.Store.Atomic() }

// Finish does what is left to do of commands on an appointment that died after
// their commit point: what its series has decided is noted, what dead sets still
// hold is given back, quotas of what is over count it no more, and the queue
// agrees with it. It returns the position of the last event that it stored, 0
// when there was nothing to do. Nothing depends on it: whoever meets such
// things does the same. Errors: those of the store, and [ErrBusy].
func (h *Handler) Finish(ctx context.Context, req Request, id domain.AppointmentID) (domain.Position, error) {
	return again(ctx, h, func(ctx context.Context) (domain.Position, error) {
		a := &attempt{id: id, req: req}
		if err := h.loadOwn(ctx, a); err != nil || len(a.own) == 0 {
			return 0, err
		}
		var claims []owedClaim
		for _, n := range dead(a.state) {
			claims = append(claims, owedBy(a.state.Sets[n-1], n)...)
		}
		position, err := h.releaseAll(ctx, req, claims)
		if err != nil {
			return position, err
		}
		if set, _ := a.state.Current(); a.state.Status.Over() && len(toCome(set)) > 0 {
			position = max(position, h.uncount(ctx, req, id))
		}
		done := Answer[appointment.State]{Position: position}
		err = h.catchUp(ctx, req, a.state, false, &done)
		return done.Position, err
	})
}

// FinishSeries has the appointments of a series say what it has decided, and
// finishes each as [Handler.Finish] does.
func (h *Handler) FinishSeries(ctx context.Context, req Request, id domain.SeriesID) (domain.Position, error) {
	var position domain.Position
	loaded, err := h.Store.Load(ctx, series.Stream(id))
	if err != nil {
		return 0, err
	}
	state := domain.Replay(series.Evolve, series.State{}, loaded[series.Stream(id)])
	for _, v := range state.Visits {
		stored, err := h.Finish(ctx, req, v.Appointment)
		if err != nil {
			return position, err
		}
		position = max(position, stored)
	}
	return position, nil
}
