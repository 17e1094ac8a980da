package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections"
)

// Waitlist answers who waits, and who was asked: [projections.Waitlist].
type Waitlist interface {
	Wishes(ctx context.Context, f projections.WishFilter, least domain.Position) (projections.List[projections.Waiting], error)
	Asked(ctx context.Context, f projections.AskedFilter, least domain.Position) (projections.List[projections.Asked], error)
}

// WaitingBody is what a patient waits for. What is absent does not matter.
type WaitingBody struct {
	PatientID       string        `json:"patientId" maxLength:"64" example:"018f6b1e-0000-7000-8000-000000000003"`
	Specialty       string        `json:"specialty,omitempty" maxLength:"64" doc:"Code of the reference data" example:"cardiology"`
	PractitionerIDs []string      `json:"practitionerIds,omitempty" nullable:"false" maxItems:"100" doc:"Any of them"`
	VisitTypeID     string        `json:"visitTypeId,omitempty" maxLength:"64" doc:"It says the clinic, and the specialty unless that is said here" example:"018f6b1e-0000-7000-8000-000000000005"`
	ClinicIDs       []string      `json:"clinicIds,omitempty" nullable:"false" maxItems:"100" doc:"Any of them"`
	Town            string        `json:"town,omitempty" maxLength:"64" doc:"Code of the reference data"`
	District        string        `json:"district,omitempty" maxLength:"64" doc:"Code of the reference data"`
	Times           []WaitingTime `json:"times,omitempty" nullable:"false" maxItems:"100" doc:"When a visit may begin: in any of them; absent = at any time"`
	Earliest        string        `json:"earliest,omitempty" maxLength:"32" doc:"The first date, by the clinic's calendar" example:"2026-03-03"`
	Latest          string        `json:"latest,omitempty" maxLength:"32" doc:"The last date; when it is over the patient waits no more" example:"2026-04-30"`
	AppointmentID   string        `json:"appointmentId,omitempty" maxLength:"64" doc:"The appointment that the patient has and wants earlier: it says the practitioner, the visit type and the clinic as far as they are not said here" example:"018f6b1e-0000-7000-8000-000000000004"`
}

// WaitingTime is a time of day, by the clinic's clock.
type WaitingTime struct {
	Weekdays []string `json:"weekdays,omitempty" nullable:"false" maxItems:"7" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"Absent = every day"`
	From     string   `json:"from" maxLength:"5" doc:"HH:MM" example:"08:00"`
	To       string   `json:"to" maxLength:"5" doc:"HH:MM, before which the visit begins; 24:00 ends a day" example:"12:00"`
}

// Waiting is a wish of the waiting list.
type Waiting struct {
	ID string `json:"id" example:"018f6b1e-0000-7000-8000-000000000006"`
	WaitingBody
	Status  string     `json:"status" enum:"waiting,offered,accepted,ended" doc:"accepted: the wish is fulfilled" example:"waiting"`
	Ended   string     `json:"ended,omitempty" enum:"left,expired,nothing-to-bring-forward" doc:"Why the patient waits no more: they left; the latest date is over; what was to be earlier is over"`
	Since   time.Time  `json:"since" doc:"UTC. Who joined first is asked first" example:"2026-03-02T08:00:00Z"`
	OfferID string     `json:"offerId,omitempty" doc:"What is offered, or was accepted"`
	Until   *time.Time `json:"until,omitempty" doc:"UTC: when what is offered passes to the next" example:"2026-03-02T10:00:00Z"`
}

// Offer is what somebody of the waiting list is offered.
type Offer struct {
	ID             string    `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000004.1"`
	WaitingID      string    `json:"waitingId" doc:"Their wish" example:"018f6b1e-0000-7000-8000-000000000006"`
	PatientID      string    `json:"patientId" example:"018f6b1e-0000-7000-8000-000000000003"`
	Status         string    `json:"status" enum:"open,accepted,declined,lapsed,not-approved,withdrawn,displaced" doc:"withdrawn: the appointment that it was for was cancelled or moved; displaced: the clinic has withdrawn the time" example:"open"`
	Until          time.Time `json:"until" doc:"UTC: it may be accepted before" example:"2026-03-02T10:00:00Z"`
	AppointmentID  string    `json:"appointmentId" doc:"What it becomes; where they have it already, and want it earlier, it is at its time until the offer is accepted" example:"018f6b1e-0000-7000-8000-000000000004"`
	SlotID         string    `json:"slotId" doc:"The first slot" example:"018f6b1e-0000-7000-8000-000000000002.20260303.0"`
	PractitionerID string    `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string    `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Start          time.Time `json:"start" doc:"UTC" example:"2026-03-03T09:00:00Z"`
	End            time.Time `json:"end" doc:"UTC" example:"2026-03-03T09:30:00Z"`
	LocalStart     time.Time `json:"localStart" doc:"In the zone of the clinic" example:"2026-03-03T09:00:00Z"`
	Zone           string    `json:"zone" example:"Europe/Lisbon"`
}

// AskedFor is that somebody was offered a slot, or passed over for it.
type AskedFor struct {
	WaitingID      string    `json:"waitingId" example:"018f6b1e-0000-7000-8000-000000000006"`
	PatientID      string    `json:"patientId" example:"018f6b1e-0000-7000-8000-000000000003"`
	SlotID         string    `json:"slotId" example:"018f6b1e-0000-7000-8000-000000000002.20260303.0"`
	PractitionerID string    `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string    `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Start          time.Time `json:"start" doc:"UTC" example:"2026-03-03T09:00:00Z"`
	At             time.Time `json:"at" doc:"UTC: when they were asked, or passed over" example:"2026-03-02T08:00:00Z"`
	OfferID        string    `json:"offerId,omitempty" doc:"What they were offered; absent = they were passed over"`
	Outcome        string    `json:"outcome" enum:"open,accepted,declined,lapsed,not-approved,withdrawn,displaced,passed-over" example:"passed-over"`
	Rule           string    `json:"rule,omitempty" doc:"By which they were passed over: see /problems" example:"occupancy.taken"`
}

type waitInput struct {
	CommandParams
	Body WaitingBody
}

type offerCommand struct {
	CommandParams
	ID string `path:"id" doc:"The offer" example:"018f6b1e-0000-7000-8000-000000000004.1"`
}

type offerInput struct {
	ReadParams
	ID string `path:"id" doc:"The offer" example:"018f6b1e-0000-7000-8000-000000000004.1"`
}

type waitingCommand struct {
	CommandParams
	ID string `path:"id" doc:"The wish" example:"018f6b1e-0000-7000-8000-000000000006"`
}

type waitlistInput struct {
	ListParams
	PatientID      string `query:"patientId" maxLength:"64" doc:"Only of this patient"`
	PractitionerID string `query:"practitionerId" maxLength:"64" doc:"Only those that name this practitioner"`
	ClinicID       string `query:"clinicId" maxLength:"64" doc:"Only those that name this clinic"`
	Ended          bool   `query:"ended" doc:"Those too that are fulfilled, or have ended"`
}

type askedInput struct {
	ListParams
	PatientID string `query:"patientId" maxLength:"64" doc:"Only this patient"`
	WaitingID string `query:"waitingId" maxLength:"64" doc:"Only for this wish"`
	SlotID    string `query:"slotId" maxLength:"128" doc:"Only for this slot"`
}

func (a *api) waitlistRoutes() {
	for _, passedOver := range []*domain.Error{quota.ErrOffers, waitlist.ErrHasOffer, commands.ErrNotEarlier} {
		a.rules[passedOver.Rule] = ruleOf(passedOver) // listAsked answers them, and no route is refused by them
	}
	command(a, operation{
		id: "joinWaitlist", method: http.MethodPost, path: "/v1/waitlist", tag: "Waiting list", creates: true,
		summary: "Wait for an appointment, or for an earlier one",
		detail: "When a slot becomes free it is offered, for a limited time, to who joined first of those who want it and may have it; then to the " +
			"next. A patient has one offer at a time. Who has an appointment keeps it until they accept an earlier one.",
		refusals: []*domain.Error{
			waitlist.ErrNothing, waitlist.ErrTimes, waitlist.ErrDates, waitlist.ErrUnknown, commands.ErrNotTheirs, patient.ErrNotFound, patient.ErrMerged,
			clinic.ErrNotFound, practitioner.ErrNotFound, visittype.ErrNotFound, visittype.ErrRetired, commands.ErrElsewhere,
			appointment.ErrNotFound, domain.ErrBadWallTime, domain.ErrBadDay,
		},
	}, a.joinWaitlist)
	list(a, operation{
		id: "listWaitlist", method: http.MethodGet, path: "/v1/waitlist", tag: "Waiting list",
		summary: "List who waits: who joined first comes first",
	}, a.waitlist)
	list(a, operation{ // before the wishes: asked is no wish's id
		id: "listAsked", method: http.MethodGet, path: "/v1/waitlist/asked", tag: "Waiting list",
		summary: "List who was offered a slot, and who was passed over and why",
		detail: "In the order in which it happened. Who wanted a slot that somebody after them was offered is either here as passed over, with the " +
			"rule, or was offered it before.",
	}, a.asked)
	one(a, operation{
		id: "getWaiting", method: http.MethodGet, path: "/v1/waitlist/{id}", tag: "Waiting list",
		summary: "Get what a patient waits for", refusals: []*domain.Error{waitlist.ErrNotFound},
	}, a.waiting)
	command(a, operation{
		id: "leaveWaitlist", method: http.MethodDelete, path: "/v1/waitlist/{id}", tag: "Waiting list",
		summary: "Wait no more", detail: "What is offered is declined.",
		refusals: []*domain.Error{waitlist.ErrNotFound, waitlist.ErrAccepted},
	}, a.leaveWaitlist)
	list(a, operation{
		id: "listOffers", method: http.MethodGet, path: "/v1/offers", tag: "Waiting list",
		summary: "List what was offered from the waiting list",
	}, a.offers)
	one(a, operation{
		id: "getOffer", method: http.MethodGet, path: "/v1/offers/{id}", tag: "Waiting list",
		summary: "Get an offer", refusals: []*domain.Error{appointment.ErrNoOffer},
	}, a.offer)
	command(a, operation{
		id: "acceptOffer", method: http.MethodPost, path: "/v1/offers/{id}/accept", tag: "Waiting list",
		summary: "Accept an offer",
		detail: "The appointment is booked; who had a later one has this instead, in one step. Where visits wait for approval it is requested. " +
			"What that frees is offered to the next.",
		refusals: []*domain.Error{appointment.ErrNoOffer, appointment.ErrOfferOver, appointment.ErrStatus, waitlist.ErrEnded, commands.ErrApproval, clinic.ErrClosed},
	}, a.acceptOffer)
	command(a, operation{
		id: "declineOffer", method: http.MethodPost, path: "/v1/offers/{id}/decline", tag: "Waiting list",
		summary: "Decline an offer", detail: "The patient goes on waiting, at the same place, and is not offered this slot again.",
		refusals: []*domain.Error{appointment.ErrNoOffer, appointment.ErrOfferOver, appointment.ErrOfferTaken},
	}, a.declineOffer)
}

func (a *api) joinWaitlist(ctx context.Context, req commands.Request, in *waitInput) (done[Waiting], error) {
	wish, err := in.Body.wish()
	if err != nil {
		return done[Waiting]{}, err
	}
	wish.ID = domain.WishID(a.newID(req, "wish"))
	answer, err := a.Commands.JoinWaitlist(ctx, req, wish)
	return finish(answer, waitingOf(answer.State), "/v1/waitlist/"+string(wish.ID)), err
}

// wish returns what the body says. Errors: [domain.ErrBadWallTime],
// [domain.ErrBadDay].
func (b WaitingBody) wish() (waitlist.Wish, error) {
	w := waitlist.Wish{
		Patient: domain.PatientID(b.PatientID), Specialty: b.Specialty, VisitType: domain.VisitTypeID(b.VisitTypeID),
		Town: b.Town, District: b.District, Appointment: domain.AppointmentID(b.AppointmentID),
	}
	for _, id := range b.PractitionerIDs {
		w.Practitioners = append(w.Practitioners, domain.PractitionerID(id))
	}
	for _, id := range b.ClinicIDs {
		w.Clinics = append(w.Clinics, domain.ClinicID(id))
	}
	for _, t := range b.Times {
		var times waitlist.Times
		for _, name := range t.Weekdays {
			weekday, _ := domain.ParseWeekday(name) // the OpenAPI document lists the names
			times.Weekdays = append(times.Weekdays, int(weekday))
		}
		var err error
		if times.From, err = domain.ParseWallTime(t.From); err != nil {
			return w, err
		}
		if times.To, err = domain.ParseWallTime(t.To); err != nil {
			return w, err
		}
		w.Times = append(w.Times, times)
	}
	for _, d := range []struct {
		text string
		day  *domain.Day
	}{{b.Earliest, &w.Earliest}, {b.Latest, &w.Latest}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.day, err = domain.ParseDay(d.text); err != nil {
			return w, err
		}
	}
	return w, nil
}

func showWish(w waitlist.Wish) WaitingBody {
	return WaitingBody{
		PatientID: string(w.Patient), Specialty: w.Specialty, VisitTypeID: string(w.VisitType), Town: w.Town, District: w.District,
		PractitionerIDs: texts(w.Practitioners), ClinicIDs: texts(w.Clinics), Earliest: string(w.Earliest), Latest: string(w.Latest),
		AppointmentID: string(w.Appointment),
		Times: mapped(w.Times, func(t waitlist.Times) WaitingTime {
			return WaitingTime{mapped(t.Weekdays, showWeekday), t.From.String(), t.To.String()}
		}),
	}
}

// texts returns ids as text.
func texts[T ~string](ids []T) []string {
	return mapped(ids, func(id T) string { return string(id) })
}

func waitingOf(s waitlist.State) Waiting {
	w := Waiting{ID: string(s.ID), WaitingBody: showWish(s.Wish), Status: string(s.Status), Ended: string(s.End), Since: s.Since.UTC()}
	if s.Offer.Appointment != "" {
		w.OfferID = string(commands.OfferOf(s.Offer.Appointment, s.Offer.Set))
	}
	if s.Status == waitlist.Offered {
		w.Until = instant(s.Offer.Until)
	}
	return w
}

func (a *api) waiting(ctx context.Context, in *byIDInput) (single[Waiting], error) {
	answer, err := a.Commands.Wish(ctx, domain.WishID(in.ID))
	return single[Waiting]{waitingOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func (a *api) leaveWaitlist(ctx context.Context, req commands.Request, in *waitingCommand) (done[Waiting], error) {
	answer, err := a.Commands.LeaveWaitlist(ctx, req, domain.WishID(in.ID))
	return finish(answer, waitingOf(answer.State), ""), err
}

func (a *api) waitlist(ctx context.Context, in *waitlistInput, p page[projections.PlaceCursor]) (found[Waiting, projections.PlaceCursor], error) {
	rows, err := a.Waitlist.Wishes(ctx, projections.WishFilter{
		Patient: domain.PatientID(in.PatientID), Practitioner: domain.PractitionerID(in.PractitionerID), Clinic: domain.ClinicID(in.ClinicID),
		Ended: in.Ended, After: p.after, Limit: p.limit,
	}, in.atLeast())
	return shown(rows, err, func(w projections.Waiting) (Waiting, error) {
		s := waitlist.State{Wish: w.Wish, Status: w.Status, End: w.End, Since: w.Since}
		s.Offer.Appointment, s.Offer.Set, s.Offer.Until = w.OfferOf, w.OfferSet, w.Until
		return waitingOf(s), nil
	})
}

func (a *api) asked(ctx context.Context, in *askedInput, p page[projections.PlaceCursor]) (found[AskedFor, projections.PlaceCursor], error) {
	rows, err := a.Waitlist.Asked(ctx, in.filter(p), in.atLeast())
	return shown(rows, err, func(x projections.Asked) (AskedFor, error) {
		to := AskedFor{
			WaitingID: string(x.Wish), PatientID: string(x.Patient), SlotID: string(x.Slot), PractitionerID: string(x.Practitioner),
			ClinicID: string(x.Clinic), Start: x.Start, At: x.At, Outcome: "passed-over", Rule: x.Rule,
		}
		if x.OfferOf != "" {
			to.OfferID, to.Outcome = string(commands.OfferOf(x.OfferOf, x.OfferSet)), a.outcomeOf(x)
		}
		return to, nil
	})
}

func (in askedInput) filter(p page[projections.PlaceCursor]) projections.AskedFilter {
	return projections.AskedFilter{
		Patient: domain.PatientID(in.PatientID), Wish: domain.WishID(in.WaitingID), Slot: domain.SlotID(in.SlotID), After: p.after, Limit: p.limit,
	}
}

// outcomeOf returns what has become of an offer by now.
func (a *api) outcomeOf(x projections.Asked) string {
	return string(commands.WhatBecameOf(x.Ended, x.Accepted, x.Until, a.Now()))
}

func (a *api) offers(ctx context.Context, in *askedInput, p page[projections.PlaceCursor]) (found[Offer, projections.PlaceCursor], error) {
	filter := in.filter(p)
	filter.Offers = true
	rows, err := a.Waitlist.Asked(ctx, filter, in.atLeast())
	return shown(rows, err, func(x projections.Asked) (Offer, error) {
		zone, err := a.zoneOf(ctx, x.Clinic)
		if err != nil {
			return Offer{}, err
		}
		return Offer{
			ID: string(commands.OfferOf(x.OfferOf, x.OfferSet)), WaitingID: string(x.Wish), PatientID: string(x.Patient),
			Status: a.outcomeOf(x), Until: x.Until, AppointmentID: string(x.OfferOf), SlotID: string(x.Slot),
			PractitionerID: string(x.Practitioner), ClinicID: string(x.Clinic), Start: x.Start, End: x.End,
			LocalStart: x.Start.In(zone), Zone: zone.String(),
		}, nil
	})
}

func (a *api) offer(ctx context.Context, in *offerInput) (single[Offer], error) {
	answer, n, err := a.Commands.OfferNow(ctx, domain.OfferID(in.ID))
	if err != nil {
		return single[Offer]{}, err
	}
	body, err := a.showOffer(ctx, answer.State, n)
	return single[Offer]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) acceptOffer(ctx context.Context, req commands.Request, in *offerCommand) (done[Offer], error) {
	answer, err := a.Commands.AcceptOffer(ctx, req, domain.OfferID(in.ID))
	return a.answeredOffer(ctx, in.ID, answer, err)
}

func (a *api) declineOffer(ctx context.Context, req commands.Request, in *offerCommand) (done[Offer], error) {
	answer, err := a.Commands.DeclineOffer(ctx, req, domain.OfferID(in.ID))
	return a.answeredOffer(ctx, in.ID, answer, err)
}

func (a *api) answeredOffer(ctx context.Context, id string, answer commands.Answer[appointment.State], err error) (done[Offer], error) {
	if err != nil {
		return done[Offer]{}, err
	}
	body, err := a.showOffer(ctx, answer.State, commands.SetOf(domain.OfferID(id)))
	return finish(answer, body, ""), err
}

func (a *api) showOffer(ctx context.Context, s appointment.State, n int) (Offer, error) {
	set, err := s.Offered(n)
	if err != nil {
		return Offer{}, err
	}
	zone, err := a.zoneOf(ctx, set.Clinic)
	if err != nil {
		return Offer{}, err
	}
	return Offer{
		ID: string(commands.OfferOf(set.Appointment, n)), WaitingID: string(set.Wish), PatientID: string(set.Patient),
		Status: string(commands.StateOfOffer(set, a.Now())), Until: set.Ceiling.UTC(), AppointmentID: string(set.Appointment),
		SlotID: string(set.Slots[0]), PractitionerID: string(set.Practitioner), ClinicID: string(set.Clinic),
		Start: set.Start.UTC(), End: set.End.UTC(), LocalStart: set.Start.In(zone), Zone: zone.String(),
	}, nil
}
