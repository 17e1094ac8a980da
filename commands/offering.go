package commands

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// ErrNotEarlier refuses to offer somebody what is not earlier than what they have.
var ErrNotEarlier = domain.Refusal(domain.Refused, "waitlist.not-earlier", "what is free is not earlier than what the patient has")

// OfferOf returns the id of what one set of an appointment's claims offers.
func OfferOf(id domain.AppointmentID, set int) domain.OfferID {
	return domain.OfferID(string(id) + "." + strconv.Itoa(set))
}

// SetOf returns which set of its appointment an offer is, 0 when there is none of
// that id.
func SetOf(id domain.OfferID) int {
	_, n := offered(id)
	return n
}

// offered returns which set of which appointment an offer is; set 0 when there is
// none of that id.
func offered(id domain.OfferID) (domain.AppointmentID, int) {
	of, set, _ := strings.Cut(string(id), ".")
	n, err := strconv.Atoi(set)
	if err != nil || OfferOf(domain.AppointmentID(of), n) != id {
		return "", 0
	}
	return domain.AppointmentID(of), n
}

// Freed returns a slot as those who wait see it, and whether it has a place to
// offer. Errors: [schedule.ErrSlotGone], [ErrBusy].
func (h *Handler) Freed(ctx context.Context, id domain.SlotID) (waitlist.Free, bool, error) {
	now, err := h.Slot(ctx, id)
	if err != nil {
		return waitlist.Free{}, false, err
	}
	s := now.State
	free := waitlist.Free{Opening: waitlist.Opening{Slot: s.Slot, Practitioner: s.Practitioner, Clinic: s.Clinic, Period: s.Period}}
	who, err := h.Practitioner(ctx, s.Practitioner)
	if err != nil {
		return free, false, err
	}
	at, err := h.Clinic(ctx, s.Clinic)
	if err != nil {
		return free, false, err
	}
	free.Specialties, free.Town, free.District = who.State.Specialties, at.State.Town, at.State.District
	free.Zone, err = domain.Zone(at.State.Zone)
	return free, s.Free() > 0 && s.Start.After(h.Now()) && !at.State.Closed, err
}

// stillFree reports whether a slot has a place to offer.
func (h *Handler) stillFree(ctx context.Context, id domain.SlotID) (bool, error) {
	now, err := h.Slot(ctx, id)
	return now.State.Free() > 0 && now.State.Start.After(h.Now()), err
}

// Round is a place that has become free.
type Round struct {
	waitlist.Free
	Cause domain.Recorded // the event that freed it
	Line  []domain.WishID // who may want it: whoever joined first comes first
}

// OfferRound offers a place to the first in line who may have it, and notes of
// those before them which rule passed them over. It returns the offer, "" when
// there is nobody to offer it to or it is free no more. A round may be run again:
// it goes on where it was interrupted.
//
// Errors: [ErrBusy] while it is being decided whether somebody is offered
// something else, and those of the store: the round is to be run again.
func (h *Handler) OfferRound(ctx context.Context, r Round) (domain.OfferID, error) {
	for _, id := range r.Line {
		free, err := h.stillFree(ctx, r.Slot)
		if err != nil || !free {
			return "", err
		}
		offer, err := h.offerTo(ctx, r, id)
		if err != nil || offer != "" {
			return offer, err
		}
	}
	return "", nil
}

// offerTo offers the place to one of the line, or notes why not.
func (h *Handler) offerTo(ctx context.Context, r Round, id domain.WishID) (domain.OfferID, error) {
	now, err := h.Wish(ctx, id)
	if errors.Is(err, waitlist.ErrNotFound) {
		return "", nil
	}
	w := now.State
	if err != nil || w.Status == waitlist.Ended || w.Status == waitlist.Accepted || !w.Wants(r.Free) {
		return "", err
	}
	starts, err := h.startsOf(ctx, r, w)
	if err != nil {
		return "", err
	}
	var refusal error
	for _, start := range starts {
		offer, err := h.offerUnlessUndecided(ctx, r, w, start)
		if err == nil || !isRefusal(err) {
			return offer, err
		}
		if refusal == nil {
			refusal = err
		}
	}
	if refusal == nil {
		return "", nil // everything that it could be was offered before
	}
	return "", h.passOver(ctx, r, w, refusal)
}

// startsOf returns with which slots what is wished may begin so that it takes the
// one that is free: that one first, then those before. What was offered for the
// wish before is left out.
func (h *Handler) startsOf(ctx context.Context, r Round, w waitlist.State) ([]domain.SlotID, error) {
	starts := []domain.SlotID{r.Slot}
	if w.VisitType != "" {
		what, _, err := profile(ctx, h, visittype.Stream(w.VisitType), visittype.Evolve, visittype.ErrNotFound)
		if err != nil {
			return nil, err
		}
		for day := domain.DayOf(r.Start); day >= domain.DayOf(r.Start.Add(-what.Whole())); day = day.Add(-1) {
			slots, err := h.openDay(ctx, r.Practitioner, day)
			if err != nil {
				return nil, err
			}
			for _, s := range slices.Backward(slots) {
				if s.ID != r.Slot && s.Start.Before(r.Start) && s.Start.Add(what.Whole()).After(r.Start) {
					starts = append(starts, s.ID)
				}
			}
		}
	}
	return slices.DeleteFunc(starts, func(id domain.SlotID) bool { return slices.Contains(w.Had, id) }), nil
}

// isRefusal reports whether an error says that something may not be, rather than
// that nobody can say.
func isRefusal(err error) bool {
	rule := domain.RuleOf(err)
	return rule != nil && rule.Kind != domain.Internal && rule.Kind != domain.Unavailable && rule.Kind != domain.Limited
}

// passOver notes which rule passed somebody over, unless the place is free no
// more: then they were not passed over, there was nothing to have. A wish for
// something earlier than what is over ends.
func (h *Handler) passOver(ctx context.Context, r Round, w waitlist.State, refusal error) error {
	free, err := h.stillFree(ctx, r.Slot)
	if err != nil || !free {
		return err
	}
	var c waitlist.Command = waitlist.Skip{Opening: r.Opening, Rule: domain.RuleOf(refusal).Rule}
	if w.Appointment != "" {
		has, err := h.Appointment(ctx, w.Appointment)
		if err != nil {
			return err
		}
		if has.State.Status.Over() {
			c = waitlist.Expire{At: h.now(), End: waitlist.NoLonger}
		}
	}
	req := CausedBy(r.Cause, "waitlist", "skip", string(w.ID))
	_, err = handle(ctx, h, req, waitlist.Stream(w.ID), wishes, c, unguarded)
	return err
}

// offerUnlessUndecided offers a place. While it is being decided whether the
// patient is offered something else, it waits.
func (h *Handler) offerUnlessUndecided(ctx context.Context, r Round, w waitlist.State, start domain.SlotID) (domain.OfferID, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	req := CausedBy(r.Cause, "waitlist", "offer", string(w.ID), string(start))
	for waited := false; ; waited = true {
		done, err := h.Offer(ctx, req, w.ID, start)
		if err == nil {
			return offerIn(done.State, w.ID), nil
		}
		undecided, failed := h.undecided(ctx, err)
		switch {
		case waited && ctx.Err() != nil: // whatever this try was interrupted at
			return "", ErrBusy
		case failed != nil:
			return "", failed // and not the refusal, which may be of what is undecided
		case !undecided:
			return "", err
		}
		if pause(ctx) != nil {
			return "", ErrBusy
		}
	}
}

// undecided reports whether what stands in the way of an offer is another one
// that is not made yet, and may never be.
func (h *Handler) undecided(ctx context.Context, refusal error) (bool, error) {
	conflict, ok := errors.AsType[*Conflict](refusal)
	taken, foreign := errors.AsType[*claim.Taken](refusal)
	if !ok || !foreign || !errors.Is(refusal, quota.ErrOffers) && !errors.Is(refusal, waitlist.ErrHasOffer) || conflict.Until.IsZero() {
		return false, nil
	}
	for _, c := range taken.By {
		loaded, err := h.Store.Load(ctx, c.Owner)
		if err != nil {
			return false, err
		}
		s := domain.Replay(appointment.Evolve, appointment.State{}, loaded[c.Owner])
		if c.Set <= len(s.Sets) && s.Sets[c.Set-1].Fate == claim.Pending && s.Sets[c.Set-1].Phase == appointment.InDecision {
			return true, nil
		}
	}
	return false, nil
}

// offerIn returns what an appointment offers for a wish, "" when it offers nothing.
func offerIn(s appointment.State, id domain.WishID) domain.OfferID {
	if set, n := s.Latest(); n > 0 && set.Wish == id {
		return OfferOf(set.Appointment, n)
	}
	return ""
}

// Offer offers a slot for a wish of the waiting list, with those that follow it
// as far as the visit type needs them: for a limited time it is kept for the
// patient. Who has an appointment that is to be had earlier keeps that meanwhile.
//
// Errors: [waitlist.ErrNotFound], [waitlist.ErrEnded], [waitlist.ErrHasOffer],
// [quota.ErrOffers], [ErrNotEarlier], those of [Handler.Reschedule] for who has
// an appointment, and those of [Handler.Book].
func (h *Handler) Offer(ctx context.Context, req Request, id domain.WishID, start domain.SlotID) (Answer[appointment.State], error) {
	now, err := h.Wish(ctx, id)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	w := now.State
	of := w.Appointment
	if of == "" {
		of = domain.AppointmentID(domain.NewID("offer", string(id), string(start)))
	}
	return h.transactOn(ctx, req, of, func(ctx context.Context, h *Handler, s appointment.State) (proposal, error) {
		p, err := h.planOffer(ctx, w, Booking{Appointment: of, Slots: []domain.SlotID{start}, By: appointment.ByPatient}, s)
		if err != nil {
			return p, err
		}
		place, err := h.placeOf(ctx, p.visit)
		at := h.now()
		p.hold, p.offer, p.waits = true, true, id
		p.until = waitlist.Until(at, place.OfferTime, place.OffersFrom, place.OffersUntil, place.zone)
		if p.visit.Start.Before(p.until) {
			p.until = p.visit.Start
		}
		p.ceiling = p.until
		p.limits[quota.Quota{Rule: quota.Offers, Subject: string(p.visit.Patient), Bucket: quota.Active}.Stream()] = 1
		return p, err
	})
}

// planOffer plans what is offered: a booking for who has nothing, else a move. The
// rules are those of patients who do it themselves.
func (h *Handler) planOffer(ctx context.Context, w waitlist.State, b Booking, s appointment.State) (proposal, error) {
	if w.Appointment != "" {
		p, err := h.planMove(ctx, Move{Booking: b}, s)
		current, _ := s.Current()
		switch _, n := s.OnOffer(h.Now()); {
		case err != nil:
		case n > 0:
			err = quota.ErrOffers
		case !p.visit.Start.Before(current.Start):
			err = ErrNotEarlier
		}
		return p, err
	}
	who, err := h.kept(ctx, w.Patient)
	if err != nil {
		return proposal{}, err
	}
	b.Patient, b.VisitType = who, w.VisitType
	wanted, place, err := h.wish(ctx, b)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{wish: wanted, policies: place.revisions(), giveUp: place.NoShowAfter}
	if p.refusal = place.refusal(wanted.visit, h.Now()); p.refusal == nil {
		p.refusal = wanted.refusal(b.By)
	}
	p.limits = place.limits(wanted.visit)
	return p, nil
}

// kept returns under which id a patient is known.
func (h *Handler) kept(ctx context.Context, id domain.PatientID) (domain.PatientID, error) {
	who, _, err := profile(ctx, h, patient.Stream(id), patient.Evolve, patient.ErrNotFound)
	if who.MergedInto != "" {
		id = who.MergedInto
	}
	return id, err
}

// OfferState is what is offered, and what has become of it.
type OfferState string

// What may have become of it. How it ended its wish says, too.
const (
	OfferOpen      OfferState = "open"
	OfferAccepted  OfferState = "accepted"
	OfferDeclined  OfferState = waitlist.Declined
	OfferLapsed    OfferState = waitlist.Lapsed
	OfferRefused   OfferState = waitlist.NotApproved
	OfferWithdrawn OfferState = waitlist.Withdrawn
	OfferDisplaced OfferState = waitlist.Displaced
)

// WhatBecameOf returns what has become of an offer at an instant: how it ended, if
// it has, as [waitlist.HasPassed] says; else whether it was accepted, and until when
// it may be.
func WhatBecameOf(ended string, accepted bool, until, at time.Time) OfferState {
	switch {
	case ended != "":
		return OfferState(ended)
	case accepted:
		return OfferAccepted
	case !at.Before(until):
		return OfferLapsed
	}
	return OfferOpen
}

// StateOfOffer returns what has become of a set that was offered, at an instant.
func StateOfOffer(s appointment.Set, at time.Time) OfferState {
	ended := ""
	if s.Fate != claim.Pending && !s.WasLive {
		ended = endOf(s)
	}
	return WhatBecameOf(ended, s.WasLive || s.Phase == appointment.OnRequest, s.Deadline, at)
}

// OfferNow returns the appointment of an offer, and which of its sets it is.
// Errors: [appointment.ErrNoOffer].
func (h *Handler) OfferNow(ctx context.Context, id domain.OfferID) (Answer[appointment.State], int, error) {
	of, n := offered(id)
	answer, err := h.Appointment(ctx, of)
	if errors.Is(err, appointment.ErrNotFound) {
		err = appointment.ErrNoOffer
	}
	if err == nil {
		_, err = answer.State.Offered(n)
	}
	return answer, n, err
}

// AcceptOffer books what is offered; the appointment that it is earlier than is
// swapped for it in the same event. Where the policy wants approval it is
// requested. Errors: [appointment.ErrNoOffer], [appointment.ErrOfferOver],
// [appointment.ErrStatus], [waitlist.ErrEnded], [ErrApproval], and those of every
// command.
func (h *Handler) AcceptOffer(ctx context.Context, req Request, id domain.OfferID) (Answer[appointment.State], error) {
	of, n := offered(id)
	return h.transactOn(ctx, req, of, func(ctx context.Context, h *Handler, s appointment.State) (proposal, error) {
		return h.planAcceptance(ctx, s, n)
	})
}

func (h *Handler) planAcceptance(ctx context.Context, s appointment.State, n int) (proposal, error) {
	set, err := s.Offered(n)
	if err != nil {
		return proposal{}, err
	}
	current, live := s.Current()
	if set.Fate != claim.Live && (set.Fate != claim.Pending || set.Phase != appointment.OnRequest && !h.Now().Before(set.Deadline)) {
		return proposal{}, appointment.ErrOfferOver
	}
	w, place, err := h.again(ctx, set.Visit)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{wish: w, existing: n, by: appointment.ByPatient, policies: place.revisions(), giveUp: place.NoShowAfter}
	p.limits, p.request = place.limits(w.visit), place.Approval || set.Phase == appointment.OnRequest && set.Fate == claim.Pending
	if s.Fate(live) == claim.Live && live != n {
		p.purpose, p.request = appointment.ToMove, false
		if p.mends, err = h.displaced(ctx, current); err == nil && place.Approval {
			p.refusal = ErrApproval
		}
		return p, err
	}
	if p.request {
		p.until, err = h.replyBy(ctx, w.visit)
	}
	return p, err
}

// DeclineOffer gives back what is offered. The patient goes on waiting. Errors:
// [appointment.ErrNoOffer], [appointment.ErrOfferTaken],
// [appointment.ErrOfferOver], and those of every command.
func (h *Handler) DeclineOffer(ctx context.Context, req Request, id domain.OfferID) (Answer[appointment.State], error) {
	return h.endOffer(ctx, req, id, "")
}

// DisplaceOffer ends an offer of time that the clinic has withdrawn. Errors: as of
// [Handler.DeclineOffer].
func (h *Handler) DisplaceOffer(ctx context.Context, req Request, id domain.OfferID) (Answer[appointment.State], error) {
	return h.endOffer(ctx, req, id, appointment.Displaced)
}

func (h *Handler) endOffer(ctx context.Context, req Request, id domain.OfferID, code appointment.Code) (Answer[appointment.State], error) {
	of, n := offered(id)
	return h.ending(ctx, req, of, func(h *Handler, _ appointment.State) (appointment.Command, error) {
		return appointment.EndOffer{Set: n, Code: code, At: h.now()}, nil
	})
}
