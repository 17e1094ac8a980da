package commands

import (
	"cmp"
	"context"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/reference"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/domain/waitlist"
)

var wishes = aggregate[waitlist.State, waitlist.Command, waitlist.Event]{waitlist.Decide, waitlist.Evolve}

// ErrNotTheirs refuses a wish for something earlier than what the patient does
// not have.
var ErrNotTheirs = domain.Refusal(domain.Refused, "waitlist.appointment", "what is to be had earlier is an appointment of the patient that is booked")

// JoinWaitlist has a patient wait. What the wish leaves open its visit type says,
// or the appointment that is to be had earlier. Errors: the refusals of package
// waitlist, [ErrNotTheirs], [patient.ErrNotFound], [patient.ErrMerged],
// [clinic.ErrNotFound], [practitioner.ErrNotFound], [visittype.ErrNotFound],
// [visittype.ErrRetired], [ErrElsewhere], and those of every command.
func (h *Handler) JoinWaitlist(ctx context.Context, req Request, w waitlist.Wish) (Answer[waitlist.State], error) {
	join := waitlist.Join{Wish: w, At: h.now()}
	a := wishes
	a.decide = func(s waitlist.State, _ waitlist.Command) ([]waitlist.Event, error) { return waitlist.Decide(s, join) }
	return handle(ctx, h, req, waitlist.Stream(w.ID), a, waitlist.Command(join), func(ctx context.Context, h *Handler) (checks []Write, err error) {
		join.Wish = w
		join.Zone, checks, err = h.completeWish(ctx, &join.Wish)
		return checks, err
	})
}

// completeWish fills in what a wish leaves open, and returns the zone of its
// dates. The checks are that what it names is still there.
func (h *Handler) completeWish(ctx context.Context, w *waitlist.Wish) (zone string, checks []Write, err error) {
	who, check, err := profile(ctx, h, patient.Stream(w.Patient), patient.Evolve, patient.ErrNotFound)
	checks = append(checks, check)
	if err == nil && who.MergedInto != "" {
		err = patient.ErrMerged
	}
	if err == nil {
		err = h.knows(ctx, *w)
	}
	if err == nil && w.Appointment != "" {
		err = h.sooner(ctx, w)
	}
	if err == nil && w.VisitType != "" {
		check, err = h.wishedType(ctx, w)
		checks = append(checks, check)
	}
	if err != nil {
		return "", nil, err
	}
	at, more, err := h.wishedPlaces(ctx, w)
	return cmp.Or(at, lastZone), append(checks, more...), err
}

// knows returns [waitlist.ErrUnknown] for a wish that names what does not exist:
// nothing would ever be offered.
func (h *Handler) knows(ctx context.Context, w waitlist.Wish) error {
	unknown, err := h.unknown(ctx, map[reference.Kind][]string{
		reference.Specialty: {w.Specialty}, reference.Town: {w.Town}, reference.District: {w.District},
	})
	if err == nil && len(unknown) > 0 {
		err = waitlist.ErrUnknown
	}
	return err
}

// lastZone is where a day ends last: whose wish names no clinic and nobody who
// works at one.
const lastZone = "Etc/GMT+12"

// sooner completes a wish for something earlier.
func (h *Handler) sooner(ctx context.Context, w *waitlist.Wish) error {
	now, err := h.Appointment(ctx, w.Appointment)
	if err != nil {
		return err
	}
	visit, _ := now.State.Current()
	if now.State.Status != appointment.Booked || visit.Patient != w.Patient {
		return ErrNotTheirs
	}
	w.VisitType = cmp.Or(w.VisitType, domain.VisitTypeID(visit.VisitType))
	if w.Specialty == "" && len(w.Practitioners) == 0 {
		w.Practitioners = []domain.PractitionerID{visit.Practitioner}
	}
	if len(w.Clinics) == 0 && w.Town == "" && w.District == "" {
		w.Clinics = []domain.ClinicID{visit.Clinic}
	}
	return nil
}

// wishedType completes a wish by its visit type, which is one clinic's.
func (h *Handler) wishedType(ctx context.Context, w *waitlist.Wish) (Write, error) {
	offered, check, err := profile(ctx, h, visittype.Stream(w.VisitType), visittype.Evolve, visittype.ErrNotFound)
	switch {
	case err != nil:
		return check, err
	case offered.Retired:
		return check, visittype.ErrRetired
	case len(w.Clinics) > 0 && (len(w.Clinics) > 1 || w.Clinics[0] != offered.Clinic):
		return check, ErrElsewhere
	}
	w.Clinics = []domain.ClinicID{offered.Clinic}
	w.Specialty = cmp.Or(w.Specialty, offered.Specialty)
	return check, nil
}

// wishedPlaces sees to it that the clinics and practitioners of a wish exist, and
// returns the zone of the first one.
func (h *Handler) wishedPlaces(ctx context.Context, w *waitlist.Wish) (zone string, checks []Write, err error) {
	at := w.Clinics
	for _, id := range w.Practitioners {
		who, check, err := profile(ctx, h, practitioner.Stream(id), practitioner.Evolve, practitioner.ErrNotFound)
		if err != nil {
			return "", nil, err
		}
		checks = append(checks, check)
		if len(w.Clinics) == 0 && len(who.Clinics) > 0 && len(at) == 0 {
			at = who.Clinics[:1]
		}
	}
	for _, id := range at {
		place, check, err := profile(ctx, h, clinic.Stream(id), clinic.Evolve, clinic.ErrNotFound)
		if err != nil {
			return "", nil, err
		}
		checks, zone = append(checks, check), cmp.Or(zone, place.Zone)
	}
	return zone, checks, nil
}

// Wish returns a wish as its stream says. Errors: [waitlist.ErrNotFound].
func (h *Handler) Wish(ctx context.Context, id domain.WishID) (Answer[waitlist.State], error) {
	return read(ctx, h, waitlist.Stream(id), waitlist.Evolve, waitlist.ErrNotFound)
}

// LeaveWaitlist ends a wish, and declines what is offered for it. Errors:
// [waitlist.ErrNotFound], [waitlist.ErrAccepted], and those of every command.
func (h *Handler) LeaveWaitlist(ctx context.Context, req Request, id domain.WishID) (Answer[waitlist.State], error) {
	return h.endWish(ctx, req, id, waitlist.Leave{})
}

// ExpireWish ends a wish whose latest date is over. Errors:
// [waitlist.ErrNotFound], [waitlist.ErrNotDue], and those of every command.
func (h *Handler) ExpireWish(ctx context.Context, req Request, id domain.WishID) (Answer[waitlist.State], error) {
	return h.endWish(ctx, req, id, waitlist.Expire{At: h.now(), End: waitlist.HasExpired})
}

// endWish ends a wish, and then what is offered for it: from the end on nobody can
// accept that, so that it is not the command's failure when it lapses instead.
func (h *Handler) endWish(ctx context.Context, req Request, id domain.WishID, c waitlist.Command) (Answer[waitlist.State], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[waitlist.State], error) {
		done, err := change(ctx, h, req, waitlist.Stream(id), wishes, c, unguarded)
		if err != nil || done.State.Offer.Appointment == "" {
			return done, err
		}
		offer := done.State.Offer
		declined, err := h.DeclineOffer(ctx, Request{Command: domain.NewID(req.Command, "offer"), Actor: req.Actor}, OfferOf(offer.Appointment, offer.Set))
		if err == nil {
			done.Position = max(done.Position, declined.Position)
		}
		return done, nil
	})
}

// MoveWish gives a wish to the patient whom its own was merged into. Nothing
// happens where that is nobody. Errors: [waitlist.ErrNotFound], and those of every
// command.
func (h *Handler) MoveWish(ctx context.Context, req Request, id domain.WishID) (Answer[waitlist.State], error) {
	now, err := h.Wish(ctx, id)
	if err != nil {
		return now, err
	}
	var kept domain.PatientID
	return handle(ctx, h, req, waitlist.Stream(id), aggregate[waitlist.State, waitlist.Command, waitlist.Event]{
		decide: func(s waitlist.State, _ waitlist.Command) ([]waitlist.Event, error) {
			return waitlist.Decide(s, waitlist.Move{Patient: cmp.Or(kept, s.Patient)})
		},
		evolve: waitlist.Evolve,
	}, waitlist.Command(waitlist.Move{}), func(ctx context.Context, h *Handler) ([]Write, error) {
		who, err := h.Patient(ctx, now.State.Patient)
		kept = who.State.MergedInto
		return []Write{{Stream: patient.Stream(now.State.Patient), Expected: who.Revision}}, err
	})
}
