package commands

import (
	"context"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
)

var (
	clinics       = aggregate[clinic.State, clinic.Command, clinic.Event]{clinic.Decide, clinic.Evolve}
	practitioners = aggregate[practitioner.State, practitioner.Command, practitioner.Event]{practitioner.Decide, practitioner.Evolve}
)

// RegisterClinic makes a clinic known. Errors: the refusals of package clinic,
// [domain.ErrBadZone], and those of every command.
func (h *Handler) RegisterClinic(ctx context.Context, req Request, c clinic.Register) (Answer[clinic.State], error) {
	return handle(ctx, h, req, clinic.Stream(c.Clinic), clinics, clinic.Command(c), unguarded)
}

// SetClinicCalendar replaces when a clinic is open, and its zone. Practitioners'
// schedules adopt it by [Handler.OpenDays]. Errors: the refusals of package
// clinic, [domain.ErrBadZone], [domain.ErrBadDay], and those of every command.
func (h *Handler) SetClinicCalendar(ctx context.Context, req Request, id domain.ClinicID, c clinic.SetCalendar) (Answer[clinic.State], error) {
	return handle(ctx, h, req, clinic.Stream(id), clinics, clinic.Command(c), unguarded)
}

// RegisterPractitioner makes a practitioner known. Errors: the refusals of
// package practitioner, [clinic.ErrNotFound] for a clinic that does not exist,
// and those of every command.
func (h *Handler) RegisterPractitioner(ctx context.Context, req Request, c practitioner.Register) (Answer[practitioner.State], error) {
	clinicsExist := func(ctx context.Context, h *Handler) (checks []Write, err error) {
		for _, id := range c.Profile.Clinics {
			_, check, err := profile(ctx, h, clinic.Stream(id), clinic.Evolve, clinic.ErrNotFound)
			if err != nil {
				return nil, err
			}
			checks = append(checks, check)
		}
		return checks, nil
	}
	return handle(ctx, h, req, practitioner.Stream(c.Practitioner), practitioners, practitioner.Command(c), clinicsExist)
}

// Clinic returns a clinic as its stream says. Errors: [clinic.ErrNotFound].
func (h *Handler) Clinic(ctx context.Context, id domain.ClinicID) (Answer[clinic.State], error) {
	return read(ctx, h, clinic.Stream(id), clinic.Evolve, clinic.ErrNotFound)
}

// Practitioner returns a practitioner as the stream says. Errors:
// [practitioner.ErrNotFound].
func (h *Handler) Practitioner(ctx context.Context, id domain.PractitionerID) (Answer[practitioner.State], error) {
	return read(ctx, h, practitioner.Stream(id), practitioner.Evolve, practitioner.ErrNotFound)
}

// read returns the state of one stream as it is now.
func read[S any, E domain.Event](
	ctx context.Context, h *Handler, stream domain.StreamName, evolve func(S, E) S, missing error,
) (Answer[S], error) {
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return Answer[S]{}, err
	}
	if len(loaded[stream]) == 0 {
		return Answer[S]{}, missing
	}
	var initial S
	return answer(domain.Replay(evolve, initial, loaded[stream]), loaded[stream]), nil
}
