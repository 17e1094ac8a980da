package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/slot"
)

// MomentBody says when something happened.
type MomentBody struct {
	At time.Time `json:"at,omitzero" doc:"When it happened; absent = now" example:"2026-03-30T08:05:00Z"`
}

// at returns the zero instant for no body.
func (b *MomentBody) at() time.Time {
	if b == nil {
		return time.Time{}
	}
	return b.At
}

type momentInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body *MomentBody
}

type bareInput struct {
	CommandParams
	ID string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
}

// DeclineBody refuses a request.
type DeclineBody struct {
	Code   string `json:"code,omitempty" maxLength:"64" doc:"Why, in a word of the clinic's own that can be counted" example:"fully-booked"`
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"Why; sealed under the patient's key"`
}

type declineInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body *DeclineBody
}

// MoveBody says where an appointment is to be.
type MoveBody struct {
	WishBody
	Initiator string `json:"initiator" enum:"patient,practitioner,clinic" doc:"Who moves it" example:"patient"`
	Note      string `json:"note,omitempty" maxLength:"500" doc:"Why; late the clinic moves it with a note only. Sealed under the patient's key"`
}

type moveInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body MoveBody
}

// step declares a route that takes an appointment on in its life.
func step[I commandInput](
	a *api, verb, summary string, do func(context.Context, commands.Request, *I) (done[Appointment], error), refusals ...*domain.Error,
) {
	command(a, operation{
		id: verb + "Appointment", method: http.MethodPost, path: "/v1/appointments/{id}/" + verb, tag: "Appointments",
		summary: summary, refusals: append(refusals, appointment.ErrNotFound),
	}, do)
}

func (a *api) lifeRoutes() {
	step(a, "approve", "Book what was requested", a.approve, appointment.ErrNotRequested, appointment.ErrLapsed, slot.ErrWithdrawn)
	step(a, "decline", "Refuse what was requested", a.decline, appointment.ErrNotRequested, appointment.ErrLapsed)
	step(a, "arrive", "Note that the patient is there", a.arrive, appointment.ErrStatus, appointment.ErrTooEarly, appointment.ErrFuture)
	step(a, "check-in", "Note that the patient is in the room", a.checkIn, appointment.ErrStatus, appointment.ErrOrder, appointment.ErrFuture)
	step(a, "fulfil", "Note that the visit is done", a.fulfil, appointment.ErrStatus, appointment.ErrOrder, appointment.ErrFuture)
	step(a, "no-show", "Note that the patient did not come", a.miss, appointment.ErrStatus, appointment.ErrTooEarly)
	step(a, "undo", "Undo the last change of status", a.undo,
		claimRefusals(appointment.ErrNoChange, appointment.ErrApproved, appointment.ErrNotYours, appointment.ErrUndoLate)...)
	step(a, "reschedule", "Move an appointment: the new time is claimed before the old one is free; its rooms and devices move with it unless resources are named", a.move,
		wishRefusals(appointment.ErrStatus, appointment.ErrMoveLate, appointment.ErrMoves, appointment.ErrNoReason, appointment.ErrChanging,
			commands.ErrApproval)...)
}

func (a *api) approve(ctx context.Context, req commands.Request, in *bareInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Approve(ctx, req, domain.AppointmentID(in.ID)))
}

func (a *api) decline(ctx context.Context, req commands.Request, in *declineInput) (done[Appointment], error) {
	refusal := commands.Refusal{Appointment: domain.AppointmentID(in.ID)}
	if in.Body != nil {
		refusal.Code, refusal.Reason = in.Body.Code, in.Body.Reason
	}
	return a.changed(ctx)(a.Commands.Decline(ctx, req, refusal))
}

func (a *api) arrive(ctx context.Context, req commands.Request, in *momentInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Arrive(ctx, req, domain.AppointmentID(in.ID), in.Body.at()))
}

func (a *api) checkIn(ctx context.Context, req commands.Request, in *momentInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.CheckIn(ctx, req, domain.AppointmentID(in.ID), in.Body.at()))
}

func (a *api) fulfil(ctx context.Context, req commands.Request, in *momentInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Fulfil(ctx, req, domain.AppointmentID(in.ID), in.Body.at()))
}

func (a *api) miss(ctx context.Context, req commands.Request, in *bareInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Miss(ctx, req, domain.AppointmentID(in.ID)))
}

func (a *api) undo(ctx context.Context, req commands.Request, in *bareInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Undo(ctx, req, domain.AppointmentID(in.ID)))
}

func (a *api) move(ctx context.Context, req commands.Request, in *moveInput) (done[Appointment], error) {
	b, err := a.booking(ctx, req, "reschedule", in.Body.WishBody, "")
	if err != nil {
		return done[Appointment]{}, err
	}
	b.Appointment = domain.AppointmentID(in.ID)
	b.By = appointment.Initiator(in.Body.Initiator)
	answer, err := a.Commands.Reschedule(ctx, req, commands.Move{Booking: b, Note: in.Body.Note})
	if err != nil {
		return done[Appointment]{}, a.withAlternatives(ctx, commands.Instead{Booking: b, Move: true}, err)
	}
	return a.changed(ctx)(answer, nil)
}
