package commands

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/reference"
	"github.com/slotbook/slotbook/domain/visittype"
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
// package practitioner, [name.ErrCouncil] for the council number of another
// practitioner, [clinic.ErrNotFound] and [clinic.ErrClosed],
// [visittype.ErrNotFound] for a fee of what does not exist, and those of every
// command.
func (h *Handler) RegisterPractitioner(ctx context.Context, req Request, c practitioner.Register) (Answer[practitioner.State], error) {
	stream := practitioner.Stream(c.Practitioner)
	return named(ctx, h, req, stream, namedPractitioners(), func(ctx context.Context, h *Handler) (_ practitioner.Command, checks []Write, err error) {
		c.Known, checks, err = h.knownOf(ctx, c.Profile, nil)
		return c, checks, err
	})
}

// ChangePractitioner replaces a practitioner's profile. What is scheduled at a
// clinic that it names no longer stays. Errors: those of
// [Handler.RegisterPractitioner]; a closed clinic may stay.
func (h *Handler) ChangePractitioner(
	ctx context.Context, req Request, id domain.PractitionerID, c practitioner.Change,
) (Answer[practitioner.State], error) {
	stream := practitioner.Stream(id)
	return named(ctx, h, req, stream, namedPractitioners(), func(ctx context.Context, h *Handler) (_ practitioner.Command, checks []Write, err error) {
		now, err := h.Practitioner(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		c.Known, checks, err = h.knownOf(ctx, c.Profile, now.State.Clinics)
		return c, checks, err
	})
}

// ShowPicture makes a stored picture that of a practitioner; picture is its
// SHA-256 in hexadecimal. Errors: [practitioner.ErrNotFound], and those of every
// command.
func (h *Handler) ShowPicture(ctx context.Context, req Request, id domain.PractitionerID, picture string) (Answer[practitioner.State], error) {
	return handle(ctx, h, req, practitioner.Stream(id), practitioners, practitioner.Command(practitioner.ShowPicture{Picture: picture}), unguarded)
}

// RemovePicture leaves a practitioner without a picture. Errors:
// [practitioner.ErrNotFound], and those of every command.
func (h *Handler) RemovePicture(ctx context.Context, req Request, id domain.PractitionerID) (Answer[practitioner.State], error) {
	return handle(ctx, h, req, practitioner.Stream(id), practitioners, practitioner.Command(practitioner.RemovePicture{}), unguarded)
}

// FollowClinics makes a practitioner's council number that of the state where
// the clinics are by now. Errors: [practitioner.ErrNotFound], [name.ErrCouncil],
// and those of every command.
func (h *Handler) FollowClinics(ctx context.Context, req Request, id domain.PractitionerID) (Answer[practitioner.State], error) {
	stream := practitioner.Stream(id)
	return named(ctx, h, req, stream, namedPractitioners(), func(ctx context.Context, h *Handler) (practitioner.Command, []Write, error) {
		now, err := h.Practitioner(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		known, checks, err := h.placed(ctx, now.State.Profile, now.State.Clinics)
		return practitioner.Follow{Known: known}, checks, err
	})
}

func namedPractitioners() namedAggregate[practitioner.State, practitioner.Command, practitioner.Event] {
	return namedAggregate[practitioner.State, practitioner.Command, practitioner.Event]{practitioners, councilName}
}

func councilName(s practitioner.State) name.Name {
	return name.Name{Kind: name.Council, Key: s.CouncilKey}
}

// knownOf returns what is known of what a profile names, and the checks that it
// stays so. The clinics that the practitioner has worked at may be closed.
func (h *Handler) knownOf(ctx context.Context, p practitioner.Profile, before []domain.ClinicID) (practitioner.Known, []Write, error) {
	known, checks, err := h.placed(ctx, p, before)
	if err != nil {
		return known, nil, err
	}
	for _, f := range p.Fees {
		v, check, err := profile(ctx, h, visittype.Stream(f.VisitType), visittype.Evolve, visittype.ErrNotFound)
		if err == nil && !slices.Contains(p.Clinics, v.Clinic) {
			err = practitioner.ErrElsewhere
		}
		if err != nil {
			return known, nil, err
		}
		checks = append(checks, check)
	}
	known.Year = h.Now().UTC().Year()
	known.Unknown, err = h.unknown(ctx, coded(p))
	return known, checks, err
}

// placed returns in which state a practitioner's council number is.
func (h *Handler) placed(ctx context.Context, p practitioner.Profile, before []domain.ClinicID) (known practitioner.Known, checks []Write, err error) {
	for _, id := range p.Clinics {
		at, check, err := h.openClinic(ctx, id)
		if stays := errors.Is(err, clinic.ErrClosed) && slices.Contains(before, id); err != nil && !stays {
			return known, nil, err
		}
		if !slices.ContainsFunc(checks, func(w Write) bool { return w.Stream == check.Stream }) {
			checks = append(checks, check)
		}
		if known.State == "" && (at.Country == "" || at.Country == "BR") {
			known.State = practitioner.StateOf(at.PostalCode)
		}
	}
	if p.Council.Number != "" && known.State != "" {
		known.CouncilKey = h.nameKey(name.Council, p.Council.Number, known.State)
	}
	return known, checks, nil
}

// coded returns the codes of a profile.
func coded(p practitioner.Profile) map[reference.Kind][]string {
	var qualifications []string
	for _, q := range p.Qualifications {
		if q.Code != "" {
			qualifications = append(qualifications, q.Code)
		}
	}
	return map[reference.Kind][]string{reference.Specialty: p.Specialties, reference.Qualification: qualifications}
}

// unknown returns those of the codes that the reference data has not, or no more.
func (h *Handler) unknown(ctx context.Context, named map[reference.Kind][]string) (codes []string, err error) {
	if h.Said == nil {
		return nil, nil
	}
	for kind, named := range named {
		if named = slices.DeleteFunc(slices.Clone(named), func(code string) bool { return code == "" }); len(named) == 0 {
			continue
		}
		found, err := h.Said.Entries(ctx, kind, named...)
		if err != nil {
			return nil, err
		}
		for _, code := range named {
			if e, ok := found[code]; !ok || e.Withdrawn {
				codes = append(codes, code)
			}
		}
	}
	return codes, nil
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
	answer, err := read(ctx, h, practitioner.Stream(id), practitioner.Evolve, practitioner.ErrNotFound)
	if err == nil && answer.State.ID == "" {
		err = practitioner.ErrNotFound // all that the stream has is a claim that lapsed
	}
	return answer, err
}

// openClinic returns a clinic that is not closed, as it is now, and the check
// that it stays as it was read. Errors: [clinic.ErrNotFound], [clinic.ErrClosed].
func (h *Handler) openClinic(ctx context.Context, id domain.ClinicID) (clinic.State, Write, error) {
	now, err := h.Clinic(ctx, id)
	if err == nil && now.State.Closed {
		err = clinic.ErrClosed
	}
	return now.State, Write{Stream: clinic.Stream(id), Expected: now.Revision}, err
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
