package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
)

// Appointment is an appointment as the API shows it.
type Appointment struct {
	ID             string    `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000004"`
	Status         string    `json:"status" enum:"proposed,booked,cancelled" doc:"FHIR R4 appointment status" example:"booked"`
	SlotID         string    `json:"slotId" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
	PatientID      string    `json:"patientId" example:"018f6b1e-0000-7000-8000-000000000003"`
	PractitionerID string    `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string    `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Start          time.Time `json:"start" doc:"UTC" example:"2026-03-30T08:00:00Z"`
	End            time.Time `json:"end" doc:"UTC" example:"2026-03-30T08:30:00Z"`
	LocalStart     time.Time `json:"localStart" doc:"In the zone of the clinic" example:"2026-03-30T09:00:00+01:00"`
	Zone           string    `json:"zone" doc:"IANA time zone of the clinic" example:"Europe/Lisbon"`
	Revision       int64     `json:"revision" doc:"The place of its last event in its history, from 0; the ETag names it" example:"1"`
	Reason         *string   `json:"reason,omitempty" doc:"Why the patient comes" example:"follow-up"`
	Erased         bool      `json:"erased,omitempty" doc:"The reason was erased with the patient's personal data"`
}

// Appointments answers who comes when: [projections.Appointments].
type Appointments interface {
	List(ctx context.Context, f projections.AppointmentFilter, least domain.Position) (projections.List[projections.Appointment], error)
}

// BookingBody is a wish for a slot.
type BookingBody struct {
	ID             string    `json:"id,omitempty" maxLength:"36" doc:"The id that the appointment shall have, a UUID in lower case; absent = one is made"`
	SlotID         string    `json:"slotId,omitempty" maxLength:"100" doc:"The slot; or else practitionerId and start" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
	PractitionerID string    `json:"practitionerId,omitempty" maxLength:"64" doc:"With start, instead of slotId"`
	Start          time.Time `json:"start,omitzero" doc:"With practitionerId, instead of slotId"`
	PatientID      string    `json:"patientId" maxLength:"64" example:"018f6b1e-0000-7000-8000-000000000003"`
	Reason         string    `json:"reason,omitempty" maxLength:"2000" doc:"Why the patient comes; sealed under the patient's key" example:"follow-up"`
}

type bookInput struct {
	CommandParams
	Body BookingBody
}

func (in bookInput) suppliedID() string { return in.Body.ID }

// CancellationBody ends an appointment.
type CancellationBody struct {
	Reason    string `json:"reason,omitempty" maxLength:"2000" doc:"Why; sealed under the patient's key" example:"no longer needed"`
	Initiator string `json:"initiator" enum:"patient,practitioner,clinic" doc:"Who cancels" example:"patient"`
}

type cancelInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body CancellationBody
}

type appointmentsInput struct {
	ListParams
	PatientID      string    `query:"patientId" maxLength:"64" doc:"Only of this patient"`
	PractitionerID string    `query:"practitionerId" maxLength:"64" doc:"Only of this practitioner"`
	ClinicID       string    `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	From           time.Time `query:"from" doc:"Starting at this instant or later; absent = from the first" example:"2026-03-30T00:00:00Z"`
	To             time.Time `query:"to" doc:"Starting before this instant; absent = no end" example:"2026-04-06T00:00:00Z"`
	Status         string    `query:"status" enum:"booked,cancelled" doc:"Only with this status"`
}

// errWhichSlot refuses a booking that does not say which slot, or says it twice.
var errWhichSlot = domain.Refusal(domain.Invalid, "appointment.slot", "a booking names either slotId, or practitionerId and start")

func (a *api) appointmentRoutes() {
	command(a, operation{
		id: "bookAppointment", method: http.MethodPost, path: "/v1/appointments", tag: "Appointments", creates: true,
		summary: "Book a slot for a patient",
		detail: "When the slot is taken or withdrawn, or the patient is taken at that time, the answer says what stands in the way and " +
			"lists the nearest free slots of the same practitioner.",
		refusals: []*domain.Error{
			errWhichSlot, domain.ErrBadID, schedule.ErrSlotGone, patient.ErrNotFound, clinic.ErrNotFound, appointment.ErrExists,
			appointment.ErrPast, appointment.ErrLapsed, slot.ErrTaken, slot.ErrWithdrawn, occupancy.ErrTaken,
		},
	}, a.book)
	command(a, operation{
		id: "cancelAppointment", method: http.MethodPost, path: "/v1/appointments/{id}/cancel", tag: "Appointments",
		summary: "Cancel an appointment", detail: "Cancelling what is cancelled changes nothing and succeeds.",
		refusals: []*domain.Error{appointment.ErrNotFound, appointment.ErrBadInitiator},
	}, a.cancel)
	one(a, operation{
		id: "getAppointment", method: http.MethodGet, path: "/v1/appointments/{id}", tag: "Appointments",
		summary: "Get an appointment as it is now", refusals: []*domain.Error{appointment.ErrNotFound},
	}, a.appointment)
	list(a, operation{
		id: "listAppointments", method: http.MethodGet, path: "/v1/appointments", tag: "Appointments",
		summary: "List appointments by start", refusals: []*domain.Error{domain.ErrBadPeriod},
	}, a.appointments)
}

func (a *api) book(ctx context.Context, req commands.Request, in *bookInput) (done[Appointment], error) {
	b, err := a.booking(ctx, req, in.Body)
	if err != nil {
		return done[Appointment]{}, err
	}
	answer, err := a.Commands.Book(ctx, req, b)
	if err != nil {
		return done[Appointment]{}, a.withAlternatives(ctx, b.Slot, err)
	}
	if !answer.Replayed && !req.DryRun {
		a.metrics.bookings.Inc()
	}
	body, err := a.appointmentOf(ctx, answer)
	return finish(answer, body, "/v1/appointments/"+body.ID), err
}

// booking finds out which slot is meant and which id the appointment gets.
func (a *api) booking(ctx context.Context, req commands.Request, body BookingBody) (commands.Booking, error) {
	b := commands.Booking{
		Appointment: domain.AppointmentID(body.ID), Slot: domain.SlotID(body.SlotID), Patient: domain.PatientID(body.PatientID), Reason: body.Reason,
	}
	byStart := body.PractitionerID != "" && !body.Start.IsZero()
	if byStart == (body.SlotID != "") || !byStart && (body.PractitionerID != "" || !body.Start.IsZero()) {
		return b, errWhichSlot
	}
	if body.ID == "" {
		b.Appointment = domain.AppointmentID(a.newID(req, "appointment"))
	} else if err := domain.CheckID(body.ID); err != nil {
		return b, err
	}
	var err error
	if byStart {
		b.Slot, err = a.Commands.SlotAt(ctx, domain.PractitionerID(body.PractitionerID), body.Start)
	}
	return b, err
}

// nearest is how many free slots a refused booking is offered.
const nearest = 3

// withAlternatives adds the nearest free slots to the refusal of a slot. That
// they cannot be had is no reason to hide the refusal.
func (a *api) withAlternatives(ctx context.Context, id domain.SlotID, refusal error) error {
	if _, ok := errors.AsType[*commands.Conflict](refusal); !ok || errors.Is(refusal, commands.ErrStale) {
		return refusal
	}
	p := problemOf(ctx, refusal)
	p.Alternatives = []Slot{}
	wanted, err := a.Commands.Slot(ctx, id)
	if err != nil {
		return p
	}
	s := wanted.State
	wish := projections.Wish{Practitioner: s.Practitioner, Clinic: s.Clinic, Start: s.Start, Duration: s.End.Sub(s.Start)}
	free, err := a.Slots.Nearest(ctx, wish, a.Now(), nearest+1) // one more: the list may still show the refused slot
	if err != nil {
		return p
	}
	for _, f := range free {
		if shown, err := a.slotOf(ctx, f); err == nil && f.ID != id && len(p.Alternatives) < nearest {
			p.Alternatives = append(p.Alternatives, shown)
		}
	}
	return p
}

func (a *api) cancel(ctx context.Context, req commands.Request, in *cancelInput) (done[Appointment], error) {
	answer, err := a.Commands.Cancel(ctx, req, commands.Cancellation{
		Appointment: domain.AppointmentID(in.ID), Initiator: appointment.Initiator(in.Body.Initiator), Reason: in.Body.Reason,
	})
	if err != nil {
		return done[Appointment]{}, err
	}
	body, err := a.appointmentOf(ctx, answer)
	return finish(answer, body, ""), err
}

func (a *api) appointment(ctx context.Context, in *byIDInput) (single[Appointment], error) {
	answer, err := a.Commands.Appointment(ctx, domain.AppointmentID(in.ID))
	if err != nil {
		return single[Appointment]{}, err
	}
	body, err := a.appointmentOf(ctx, answer)
	return single[Appointment]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) appointmentOf(ctx context.Context, answer commands.Answer[appointment.State]) (Appointment, error) {
	current, _ := answer.State.Current()
	return a.showAppointment(ctx, projections.Appointment{
		ID: current.Appointment, Status: answer.State.Status, Revision: answer.Revision, Patient: current.Patient,
		Practitioner: current.Practitioner, Clinic: current.Clinic, Slots: current.Slots, Period: current.Period, Reason: answer.State.Reason,
	})
}

func (a *api) showAppointment(ctx context.Context, v projections.Appointment) (Appointment, error) {
	zone, err := a.rowZone(ctx, v.Zone, v.Clinic)
	if err != nil {
		return Appointment{}, err
	}
	reason, err := open(ctx, a.Codec, v.Reason)
	shown := Appointment{
		ID: string(v.ID), Status: string(v.Status), PatientID: string(v.Patient), PractitionerID: string(v.Practitioner),
		ClinicID: string(v.Clinic), Start: v.Start.UTC(), End: v.End.UTC(), LocalStart: v.Start.In(zone), Zone: zone.String(),
		Revision: int64(v.Revision), Reason: reason, Erased: reason == nil && !v.Reason.IsZero(),
	}
	if len(v.Slots) > 0 {
		shown.SlotID = string(v.Slots[0])
	}
	return shown, err
}

func (a *api) appointments(
	ctx context.Context, in *appointmentsInput, p page[projections.TimeCursor],
) (found[Appointment, projections.TimeCursor], error) {
	f := projections.AppointmentFilter{
		Patient: domain.PatientID(in.PatientID), Practitioner: domain.PractitionerID(in.PractitionerID), Clinic: domain.ClinicID(in.ClinicID),
		From: in.From, To: in.To, Status: appointment.Status(in.Status), After: p.after, Limit: p.limit,
	}
	if !f.To.IsZero() && !f.From.Before(f.To) {
		return found[Appointment, projections.TimeCursor]{}, errPeriod
	}
	rows, err := a.Appointments.List(ctx, f, in.atLeast())
	return shown(rows, err, func(v projections.Appointment) (Appointment, error) { return a.showAppointment(ctx, v) })
}
