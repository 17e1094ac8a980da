package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/quota"
)

// Hold is what a frontend keeps while a person fills a form.
type Hold struct {
	ID        string      `json:"id" doc:"The appointment that it may become" example:"018f6b1e-0000-7000-8000-000000000004"`
	Token     string      `json:"token" doc:"Secret: who shows it owns the hold"`
	ExpiresAt time.Time   `json:"expiresAt" doc:"UTC; book or renew it before"`
	RenewTo   time.Time   `json:"renewTo" doc:"UTC; it cannot be renewed beyond"`
	Held      Appointment `json:"held" doc:"What is kept"`
}

// HoldBody is a wish to keep slots for a while.
type HoldBody struct {
	WishBody
	PatientID string `json:"patientId,omitempty" maxLength:"64" doc:"For whom, if it is known: the patient's time is kept, too"`
	Duration  string `json:"duration,omitempty" maxLength:"32" doc:"How long, at most PT15M; absent = as the clinic's policy says" example:"PT5M"`
	Session   string `json:"session,omitempty" maxLength:"100" doc:"The frontend's name for its visitor; each may hold 3 at a time"`
}

// KeptHold is a hold as its owner, who has the token, is shown it.
type KeptHold struct {
	ID        string      `json:"id" doc:"The appointment that it may become" example:"018f6b1e-0000-7000-8000-000000000004"`
	ExpiresAt time.Time   `json:"expiresAt" doc:"UTC; book or renew it before"`
	RenewTo   time.Time   `json:"renewTo" doc:"UTC; it cannot be renewed beyond"`
	Held      Appointment `json:"held" doc:"What is kept"`
}

type heldInput struct {
	ReadParams
	ID    string `path:"id" doc:"The hold" example:"018f6b1e-0000-7000-8000-000000000004"`
	Token string `header:"Slotbook-Hold-Token" required:"true" maxLength:"64" doc:"The hold's token; never in an address, which others log" example:"3q2-7wAAAAAAAAAAAAAAAAAA"`
}

type holdInput struct {
	CommandParams
	Body HoldBody
}

// OwnerBody says who owns a hold.
type OwnerBody struct {
	Token    string `json:"token" maxLength:"64" doc:"The hold's token" example:"3q2-7wAAAAAAAAAAAAAAAAAA"`
	Duration string `json:"duration,omitempty" maxLength:"32" doc:"How long from now, at most PT15M; absent = PT5M" example:"PT5M"`
}

type ownerInput struct {
	CommandParams
	ID   string `path:"id" doc:"The hold" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body OwnerBody
}

func (a *api) holdRoutes() {
	command(a, operation{
		id: "hold", method: http.MethodPost, path: "/v1/holds", tag: "Holds", creates: true,
		summary: "Keep slots while a person fills a form",
		detail: "Nobody else can have them meanwhile. What is neither booked nor renewed in time is free again by itself. " +
			"POST /v1/appointments with holdId and token books it.",
		refusals: wishRefusals(patient.ErrNotFound, patient.ErrMerged, errDuration, commands.ErrHoldTime, quota.ErrHolds),
	}, a.hold)
	one(a, operation{
		id: "getHold", method: http.MethodGet, path: "/v1/holds/{id}", tag: "Holds",
		summary:  "What is on hold, for its owner",
		refusals: append(ownerRefusals(), appointment.ErrLapsed, appointment.ErrNotHeld),
	}, a.held)
	command(a, operation{
		id: "renewHold", method: http.MethodPost, path: "/v1/holds/{id}/renew", tag: "Holds",
		summary: "Keep what is on hold a little longer",
		refusals: append(ownerRefusals(), errDuration, commands.ErrHoldTime, appointment.ErrLapsed, appointment.ErrNotHeld,
			appointment.ErrCeiling),
	}, a.renew)
	command(a, operation{
		id: "releaseHold", method: http.MethodPost, path: "/v1/holds/{id}/release", tag: "Holds",
		summary:  "Give back what is on hold",
		detail:   "What is not on hold any more, or was booked meanwhile, stays as it is, and is shown: giving it back changes nothing and succeeds.",
		refusals: ownerRefusals(),
	}, a.release)
}

func ownerRefusals() []*domain.Error {
	return []*domain.Error{appointment.ErrNotFound, commands.ErrToken}
}

func (a *api) hold(ctx context.Context, req commands.Request, in *holdInput) (done[Hold], error) {
	b, err := a.booking(ctx, req, "hold", in.Body.WishBody, "")
	if err != nil {
		return done[Hold]{}, err
	}
	wish := commands.Holding{Booking: b, Session: in.Body.Session}
	wish.Patient = domain.PatientID(in.Body.PatientID)
	if wish.For, err = lasting(in.Body.Duration, 0); err != nil {
		return done[Hold]{}, err
	}
	if wish.For == 0 && in.Body.Duration != "" { // 0 is to the command what is not said
		return done[Hold]{}, commands.ErrHoldTime
	}
	answer, err := a.Commands.Hold(ctx, req, wish)
	if err != nil {
		return done[Hold]{}, a.withAlternatives(ctx, commands.Instead{Booking: wish.Booking}, err)
	}
	if !answer.Replayed && !req.DryRun {
		a.metrics.holds.Inc()
	}
	body, err := a.holdOf(ctx, answer)
	return finish(answer, body, "/v1/appointments/"+body.ID), err
}

// lasting reads a duration that may be absent.
func lasting(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	return parseDuration(text)
}

// holdOf shows the set that is on hold, also when a booking of it was tried
// since and came to nothing.
func (a *api) holdOf(ctx context.Context, answer commands.Answer[appointment.State]) (Hold, error) {
	kept, n, err := answer.State.Holding(time.Time{}) // as it was when it was answered
	if err != nil {
		return Hold{}, err
	}
	answer.State.Sets = answer.State.Sets[:n]
	held, err := a.appointmentOf(ctx, answer)
	return Hold{
		ID: held.ID, Token: a.Commands.Token(kept.Appointment, n), ExpiresAt: kept.Deadline.UTC(), RenewTo: kept.Ceiling.UTC(), Held: held,
	}, err
}

func (a *api) held(ctx context.Context, in *heldInput) (single[KeptHold], error) {
	answer, err := a.Commands.Held(ctx, domain.AppointmentID(in.ID), in.Token)
	if err != nil {
		return single[KeptHold]{}, err
	}
	h, err := a.holdOf(ctx, answer)
	return single[KeptHold]{KeptHold{h.ID, h.ExpiresAt, h.RenewTo, h.Held}, etag(answer.Revision), answer.Position}, err
}

func (a *api) renew(ctx context.Context, req commands.Request, in *ownerInput) (done[Hold], error) {
	const usual = 5 * time.Minute
	by, err := lasting(in.Body.Duration, usual)
	if err != nil {
		return done[Hold]{}, err
	}
	answer, err := a.Commands.Renew(ctx, req, domain.AppointmentID(in.ID), in.Body.Token, by)
	if err != nil {
		return done[Hold]{}, err
	}
	body, err := a.holdOf(ctx, answer)
	return finish(answer, body, ""), err
}

func (a *api) release(ctx context.Context, req commands.Request, in *ownerInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Release(ctx, req, domain.AppointmentID(in.ID), in.Body.Token))
}

// errHeldAsItIs refuses to book something else than what is on hold.
var errHeldAsItIs = domain.Refusal(domain.Invalid, "hold.fixed",
	"what is on hold is booked as it is: with holdId a booking names the token, patientId, reason and by only")

// complete books what is on hold.
func (a *api) complete(ctx context.Context, req commands.Request, body BookingBody) (done[Appointment], error) {
	w := body.WishBody
	if body.HoldID == "" || body.Token == "" || w.SlotID != "" || len(w.SlotIDs) > 0 || w.PractitionerID != "" || !w.Start.IsZero() {
		return done[Appointment]{}, errWhichSlot
	}
	if w.VisitTypeID != "" || w.Resources != nil || body.Overbook != "" || body.ID != "" && body.ID != body.HoldID {
		return done[Appointment]{}, errHeldAsItIs
	}
	answer, err := a.Commands.Complete(ctx, req, commands.Completion{
		Appointment: domain.AppointmentID(body.HoldID), Token: body.Token, Patient: domain.PatientID(body.PatientID), Reason: body.Reason,
		By: appointment.Initiator(body.By),
	})
	if err != nil {
		return done[Appointment]{}, err
	}
	return a.booked(ctx, req, answer)
}
