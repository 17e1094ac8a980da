package commands

import (
	"context"
	"strings"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/reference"
)

var (
	clinics       = aggregate[clinic.State, clinic.Command, clinic.Event]{clinic.Decide, clinic.Evolve}
	practitioners = aggregate[practitioner.State, practitioner.Command, practitioner.Event]{practitioner.Decide, practitioner.Evolve}
)

// RegisterClinic makes a clinic known. Errors: the refusals of package clinic,
// [name.ErrClinic] for the name and address of another clinic,
// [domain.ErrBadZone], and those of every command.
func (h *Handler) RegisterClinic(ctx context.Context, req Request, c clinic.Register) (Answer[clinic.State], error) {
	return named(ctx, h, req, clinic.Stream(c.Clinic), namedClinics(), func(ctx context.Context, h *Handler) (_ clinic.Command, _ []Write, err error) {
		c.NameKey = h.clinicKey(c.Profile)
		c.Place, err = h.place(ctx, c.Profile)
		return c, nil, err
	})
}

// ChangeClinic replaces what a clinic says of itself. Errors: the refusals of
// package clinic, [name.ErrClinic] for the name and address of another clinic,
// [domain.ErrBadZone], and those of every command.
func (h *Handler) ChangeClinic(ctx context.Context, req Request, id domain.ClinicID, c clinic.Change) (Answer[clinic.State], error) {
	return named(ctx, h, req, clinic.Stream(id), namedClinics(), func(ctx context.Context, h *Handler) (_ clinic.Command, _ []Write, err error) {
		c.NameKey = h.clinicKey(c.Profile)
		c.Place, err = h.place(ctx, c.Profile)
		return c, nil, err
	})
}

// CloseClinic ends a clinic for good: it takes no new bookings or schedules,
// and its name and address are free for another. What is booked stays until it
// is cancelled or over. Errors: [clinic.ErrNotFound], and those of every
// command.
func (h *Handler) CloseClinic(ctx context.Context, req Request, id domain.ClinicID) (Answer[clinic.State], error) {
	return named(ctx, h, req, clinic.Stream(id), namedClinics(), func(context.Context, *Handler) (clinic.Command, []Write, error) {
		return clinic.Close{}, nil, nil
	})
}

func namedClinics() namedAggregate[clinic.State, clinic.Command, clinic.Event] {
	return namedAggregate[clinic.State, clinic.Command, clinic.Event]{clinics, clinicName}
}

func clinicName(s clinic.State) name.Name { return name.Name{Kind: name.Clinic, Key: s.NameKey} }

// clinicKey returns the key of a clinic's name and address, "" without an
// address: then there may be several of the name.
func (h *Handler) clinicKey(p clinic.Profile) string {
	if strings.TrimSpace(p.Address) == "" {
		return ""
	}
	return h.nameKey(name.Clinic, p.Name, p.Address, p.Town)
}

// Authorities answer what profiles may name.
type Authorities interface {
	// Entries returns those entries of a kind that exist among the codes,
	// withdrawn ones too, by their code. Errors: [ErrUnavailable].
	Entries(ctx context.Context, kind reference.Kind, codes ...string) (map[string]reference.Entry, error)
}

// place returns what the reference data says of where a profile is.
func (h *Handler) place(ctx context.Context, p clinic.Profile) (clinic.Place, error) {
	if h.Said == nil || p.Town == "" && p.District == "" {
		return clinic.Place{Unknown: h.Said == nil}, nil
	}
	towns, err := h.Said.Entries(ctx, reference.Town, p.Town)
	if err != nil {
		return clinic.Place{}, err
	}
	town := towns[p.Town]
	place := clinic.Place{Country: town.Country, Town: town.Code, Gone: town.Withdrawn}
	if town.Latitude != nil && town.Longitude != nil {
		place.Location = &clinic.Location{Latitude: *town.Latitude, Longitude: *town.Longitude}
	}
	if p.District == "" {
		return place, nil
	}
	districts, err := h.Said.Entries(ctx, reference.District, p.District)
	if d := districts[p.District]; d.Town == p.Town {
		place.District, place.Gone = d.Code, place.Gone || d.Withdrawn
	}
	return place, err
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
			_, check, err := h.openClinic(ctx, id)
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
	answer, err := read(ctx, h, clinic.Stream(id), clinic.Evolve, clinic.ErrNotFound)
	if err == nil && answer.State.ID == "" {
		err = clinic.ErrNotFound // all that the stream has is a claim that lapsed
	}
	return answer, err
}

// Practitioner returns a practitioner as the stream says. Errors:
// [practitioner.ErrNotFound].
func (h *Handler) Practitioner(ctx context.Context, id domain.PractitionerID) (Answer[practitioner.State], error) {
	return read(ctx, h, practitioner.Stream(id), practitioner.Evolve, practitioner.ErrNotFound)
}

// openClinic returns a clinic that is not closed, and the check that it is as
// it was read. Errors: [clinic.ErrNotFound], [clinic.ErrClosed].
func (h *Handler) openClinic(ctx context.Context, id domain.ClinicID) (clinic.State, Write, error) {
	s, check, err := profile(ctx, h, clinic.Stream(id), clinic.Evolve, clinic.ErrNotFound)
	switch {
	case err != nil:
	case s.ID == "":
		err = clinic.ErrNotFound
	case s.Closed:
		err = clinic.ErrClosed
	}
	return s, check, err
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
