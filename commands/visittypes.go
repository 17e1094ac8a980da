package commands

import (
	"context"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/visittype"
)

var visitTypes = aggregate[visittype.State, visittype.Command, visittype.Event]{visittype.Decide, visittype.Evolve}

// DefineVisitType makes a visit type of a clinic known. Errors:
// [clinic.ErrNotFound], [clinic.ErrClosed], the refusals of package visittype, and those of every
// command.
func (h *Handler) DefineVisitType(ctx context.Context, req Request, c visittype.Define) (Answer[visittype.State], error) {
	return handle(ctx, h, req, visittype.Stream(c.VisitType), visitTypes, visittype.Command(c), clinicExists(c.Clinic))
}

// ChangeVisitType replaces the terms of a visit type. Errors: the refusals of
// package visittype, and those of every command.
func (h *Handler) ChangeVisitType(ctx context.Context, req Request, id domain.VisitTypeID, c visittype.Change) (Answer[visittype.State], error) {
	return handle(ctx, h, req, visittype.Stream(id), visitTypes, visittype.Command(c), unguarded)
}

// RetireVisitType ends the offer of a visit type. Errors:
// [visittype.ErrNotFound], and those of every command.
func (h *Handler) RetireVisitType(ctx context.Context, req Request, id domain.VisitTypeID) (Answer[visittype.State], error) {
	return handle(ctx, h, req, visittype.Stream(id), visitTypes, visittype.Command(visittype.Retire{}), unguarded)
}

// VisitType returns a visit type as its stream says, a retired one too. Errors:
// [visittype.ErrNotFound].
func (h *Handler) VisitType(ctx context.Context, id domain.VisitTypeID) (Answer[visittype.State], error) {
	return read(ctx, h, visittype.Stream(id), visittype.Evolve, visittype.ErrNotFound)
}

// clinicExists guards that there is such a clinic, and that it is not closed.
func clinicExists(id domain.ClinicID) guard {
	return func(ctx context.Context, h *Handler) ([]Write, error) {
		_, check, err := h.openClinic(ctx, id)
		return []Write{check}, err
	}
}
