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
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
)

// Appointment is an appointment as the API shows it.
type Appointment struct {
	ID             string      `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000004"`
	Status         string      `json:"status" enum:"proposed,pending,booked,arrived,checked-in,fulfilled,cancelled,noshow" doc:"FHIR R4 appointment status" example:"booked"`
	SlotID         string      `json:"slotId" doc:"The first of slotIds" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
	SlotIDs        []string    `json:"slotIds" nullable:"false" doc:"Every slot that the visit takes"`
	PatientID      string      `json:"patientId" doc:"Empty for a hold of nobody yet" example:"018f6b1e-0000-7000-8000-000000000003"`
	PractitionerID string      `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string      `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	VisitTypeID    string      `json:"visitTypeId,omitempty" example:"018f6b1e-0000-7000-8000-000000000005"`
	Resources      []UsedThing `json:"resources,omitempty" nullable:"false" doc:"Rooms and devices of the visit"`
	Start          time.Time   `json:"start" doc:"UTC" example:"2026-03-30T08:00:00Z"`
	End            time.Time   `json:"end" doc:"UTC" example:"2026-03-30T08:30:00Z"`
	LocalStart     time.Time   `json:"localStart" doc:"In the zone of the clinic" example:"2026-03-30T09:00:00+01:00"`
	Zone           string      `json:"zone" doc:"IANA time zone of the clinic" example:"Europe/Lisbon"`
	Revision       int64       `json:"revision" doc:"The place of its last event in its history, from 0; the ETag names it" example:"1"`
	Reason         *string     `json:"reason,omitempty" doc:"Why the patient comes" example:"follow-up"`
	Erased         bool        `json:"erased,omitempty" doc:"The reason was erased with the patient's personal data"`
	Deadline       *time.Time  `json:"deadline,omitempty" doc:"Until when a request is to be answered, or a hold to be booked"`
	ExpectedAt     *time.Time  `json:"expectedAt,omitempty" doc:"In a session of several patients: when this one's turn is"`
	Overbooked     bool        `json:"overbooked,omitempty" doc:"Staff took it in beyond what there is"`
	Displaced      bool        `json:"displaced,omitempty" doc:"The clinic has withdrawn its slot: it is to be moved or cancelled; absent in the answers of commands"`
	Reschedules    int         `json:"reschedules,omitempty" doc:"How often it was moved"`
	ArrivedAt      *time.Time  `json:"arrivedAt,omitempty" doc:"When the patient came"`
	StartedAt      *time.Time  `json:"startedAt,omitempty" doc:"When the patient went into the room"`
	FinishedAt     *time.Time  `json:"finishedAt,omitempty" doc:"When the visit was done"`
	Alternatives   []Slot      `json:"alternatives,omitzero" nullable:"false" doc:"The nearest free slots, in the list of displaced appointments"`
}

// UsedThing is a room or a device of a visit.
type UsedThing struct {
	Kind string    `json:"kind" enum:"room,device"`
	ID   string    `json:"id" example:"018f6b1e-0000-7000-8000-000000000006"`
	From time.Time `json:"from" doc:"UTC" example:"2026-03-30T08:00:00Z"`
	To   time.Time `json:"to" doc:"UTC; it is used before this instant" example:"2026-03-30T08:15:00Z"`
}

// Appointments answers who comes when: [projections.Appointments].
type Appointments interface {
	List(ctx context.Context, f projections.AppointmentFilter, now time.Time, least domain.Position) (projections.List[projections.Appointment], error)
}

// WishBody says which slots are wanted.
type WishBody struct {
	SlotID         string      `json:"slotId,omitempty" maxLength:"100" doc:"The slot, or the first of them; or else practitionerId and start" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
	SlotIDs        []string    `json:"slotIds,omitempty" maxItems:"50" nullable:"false" doc:"Instead of slotId: several slots at one clinic, of one practitioner or of several who see the patient together or in turn; those of each in a row, in order, without a gap"`
	PractitionerID string      `json:"practitionerId,omitempty" maxLength:"64" doc:"With start, instead of slotId"`
	Start          time.Time   `json:"start,omitzero" doc:"With practitionerId, instead of slotId"`
	VisitTypeID    string      `json:"visitTypeId,omitempty" maxLength:"64" doc:"What sort of visit; it takes as many slots in a row as it needs"`
	Resources      []UsageBody `json:"resources,omitempty" maxItems:"20" nullable:"false" doc:"Rooms and devices that the visit needs"`
}

// UsageBody is a wish for a room or a device.
type UsageBody struct {
	ID   string    `json:"id" maxLength:"64" doc:"The resource" example:"018f6b1e-0000-7000-8000-000000000006"`
	From time.Time `json:"from,omitzero" doc:"With to: for this part of the visit only"`
	To   time.Time `json:"to,omitzero" doc:"With from"`
}

// BookingBody is a wish for an appointment.
type BookingBody struct {
	WishBody
	ID        string `json:"id,omitempty" maxLength:"36" doc:"The id that the appointment shall have, a UUID in lower case; absent = one is made"`
	PatientID string `json:"patientId,omitempty" maxLength:"64" doc:"Required, except for a hold that names its patient" example:"018f6b1e-0000-7000-8000-000000000003"`
	Reason    string `json:"reason,omitempty" maxLength:"2000" doc:"Why the patient comes; sealed under the patient's key" example:"follow-up"`
	HoldID    string `json:"holdId,omitempty" maxLength:"36" doc:"With token: book what is on hold, instead of naming slots"`
	Token     string `json:"token,omitempty" maxLength:"64" doc:"The hold's token"`
	By        string `json:"by,omitempty" enum:"patient,practitioner,clinic" doc:"Whose wish it is; that of staff needs no approval. Absent = the patient's"`
	Overbook  string `json:"overbook,omitempty" maxLength:"500" doc:"Why staff take the patient in where no place is left; sealed under the patient's key"`
}

type bookInput struct {
	CommandParams
	Body BookingBody
}

func (in bookInput) suppliedID() string { return in.Body.ID }

// CancellationBody ends an appointment.
type CancellationBody struct {
	Reason    string `json:"reason,omitempty" maxLength:"2000" doc:"Why; sealed under the patient's key" example:"no longer needed"`
	Code      string `json:"code,omitempty" enum:"no-longer-needed,patient-unavailable,practitioner-unavailable,displaced,mistake,other" doc:"Why, in a way that can be counted"`
	Initiator string `json:"initiator" enum:"patient,practitioner,clinic" doc:"Who cancels" example:"patient"`
}

type cancelInput struct {
	CommandParams
	ID   string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
	Body CancellationBody
}

type appointmentInput struct {
	ReadParams
	AsOfParams
	ID string `path:"id" doc:"The appointment" example:"018f6b1e-0000-7000-8000-000000000004"`
}

type appointmentsInput struct {
	ListParams
	AsOfParams
	PatientID      string    `query:"patientId" maxLength:"64" doc:"Only of this patient, and of those merged into them"`
	Dependents     bool      `query:"includeDependents" doc:"With patientId: of the patient's dependents, too"`
	PractitionerID string    `query:"practitionerId" maxLength:"64" doc:"Only of this practitioner"`
	ClinicID       string    `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	From           time.Time `query:"from" doc:"Starting at this instant or later; absent = from the first" example:"2026-03-30T00:00:00Z"`
	To             time.Time `query:"to" doc:"Starting before this instant; absent = no end" example:"2026-04-06T00:00:00Z"`
	Status         string    `query:"status" enum:"pending,booked,arrived,checked-in,fulfilled,cancelled,noshow" doc:"Only with this status"`
	Displaced      bool      `query:"displaced" doc:"Only those whose slot was withdrawn, each with the nearest free slots, but for those of an earlier time"`
}

// errWhichSlot refuses a booking that does not say which slot, or says it twice.
var errWhichSlot = domain.Refusal(domain.Invalid, "appointment.slot",
	"a booking names either slotId, or slotIds, or practitionerId and start, or holdId and token")

// errUseTime refuses a room or a device for a part of the visit that is none.
var errUseTime = domain.ErrBadPeriod.Because("from and to of a room or device are both named, from before to, or neither is")

// wishRefusals are those of everything that names slots.
func wishRefusals(more ...*domain.Error) []*domain.Error {
	return append(claimRefusals(more...), errWhichSlot, domain.ErrBadPeriod, schedule.ErrSlotGone, visittype.ErrNotFound, visittype.ErrRetired,
		resource.ErrNotFound, resource.ErrRetired, commands.ErrNoSlots, commands.ErrGap, commands.ErrSession, commands.ErrNoRoom, commands.ErrUseTime,
		commands.ErrSpecialty,
		commands.ErrElsewhere, commands.ErrNotice, commands.ErrHorizon)
}

// claimRefusals are those of everything that claims slots.
func claimRefusals(more ...*domain.Error) []*domain.Error {
	return append(more, clinic.ErrClosed, appointment.ErrPast, slot.ErrTaken, slot.ErrWithdrawn, occupancy.ErrTaken,
		quota.ErrPractitionerDay, quota.ErrPractitionerWeek, quota.ErrPatientDay, quota.ErrPatientPractitioner, quota.ErrPatientActive)
}

func (a *api) appointmentRoutes() {
	command(a, operation{
		id: "bookAppointment", method: http.MethodPost, path: "/v1/appointments", tag: "Appointments", creates: true,
		summary: "Book slots for a patient, or request them where the clinic approves",
		detail: "When the slot is taken or withdrawn, or the patient is taken at that time, the answer says what stands in the way and " +
			"lists the nearest free slots that the visit can have instead, those of the same practitioner first. With holdId and token it books what is on hold. Where the policy wants " +
			"approval the status is pending, and deadline says until when it is answered: 20 minutes of the practitioner's working hours, or 15 from " +
			"when they next begin, and never after the start.",
		refusals: wishRefusals(domain.ErrBadID, patient.ErrNotFound, patient.ErrMerged, commands.ErrStaffOnly, commands.ErrNoPatient, commands.ErrToken, errHeldAsItIs,
			appointment.ErrNotFound, appointment.ErrNotHeld, appointment.ErrExists, appointment.ErrLapsed, appointment.ErrChanging),
	}, a.book)
	command(a, operation{
		id: "cancelAppointment", method: http.MethodPost, path: "/v1/appointments/{id}/cancel", tag: "Appointments",
		summary: "Cancel an appointment", detail: "Cancelling what is cancelled changes nothing and succeeds.",
		refusals: []*domain.Error{
			appointment.ErrNotFound, appointment.ErrStatus, appointment.ErrCancelLate, appointment.ErrNoReason, appointment.ErrChanging, appointment.ErrHeld,
		},
	}, a.cancel)
	one(a, operation{
		id: "getAppointment", method: http.MethodGet, path: "/v1/appointments/{id}", tag: "Appointments",
		summary: "Get an appointment as it is now, or was", refusals: asOfRefusals(appointment.ErrNotFound),
	}, a.appointment)
	list(a, operation{
		id: "listAppointments", method: http.MethodGet, path: "/v1/appointments", tag: "Appointments",
		summary: "List appointments by start", refusals: pastListRefusals(domain.ErrBadPeriod),
	}, a.appointments)
}

func (a *api) book(ctx context.Context, req commands.Request, in *bookInput) (done[Appointment], error) {
	if in.Body.HoldID != "" || in.Body.Token != "" {
		return a.complete(ctx, req, in.Body)
	}
	b, err := a.booking(ctx, req, "book", in.Body.WishBody, in.Body.ID)
	if err != nil {
		return done[Appointment]{}, err
	}
	if in.Body.PatientID == "" {
		return done[Appointment]{}, commands.ErrNoPatient
	}
	b.Patient, b.Reason, b.By = domain.PatientID(in.Body.PatientID), in.Body.Reason, appointment.Initiator(in.Body.By)
	b.Beyond = in.Body.Overbook
	answer, err := a.Commands.Book(ctx, req, b)
	if err != nil {
		return done[Appointment]{}, a.withAlternatives(ctx, commands.Instead{Booking: b}, err)
	}
	return a.booked(ctx, req, answer)
}

func (a *api) booked(ctx context.Context, req commands.Request, answer commands.Answer[appointment.State]) (done[Appointment], error) {
	if !answer.Replayed && !req.DryRun {
		a.metrics.bookings.Inc()
	}
	body, err := a.appointmentOf(ctx, answer)
	return finish(answer, body, "/v1/appointments/"+body.ID), err
}

// booking finds out which slots are meant and which id the appointment gets. The
// wish is what it is for: "book", "hold" or "reschedule".
func (a *api) booking(ctx context.Context, req commands.Request, wish string, body WishBody, id string) (commands.Booking, error) {
	b := commands.Booking{Appointment: domain.AppointmentID(id), VisitType: domain.VisitTypeID(body.VisitTypeID)}
	slots, named, err := body.slots()
	if err != nil {
		return b, err
	}
	if id == "" {
		b.Appointment = domain.AppointmentID(a.newID(req, "appointment"))
	} else if err := domain.CheckID(id); err != nil {
		return b, err
	}
	if body.Resources != nil {
		b.Uses = []commands.Use{} // none, which is not to say nothing
	}
	for _, u := range body.Resources {
		use := commands.Use{Resource: domain.ResourceID(u.ID)}
		if !u.From.IsZero() || !u.To.IsZero() {
			if use.Period, err = domain.NewPeriod(u.From, u.To); err != nil {
				return b, errUseTime
			}
		}
		b.Uses = append(b.Uses, use)
	}
	if b.Slots = slots; !named {
		b.Slots[0], err = a.Commands.WantedAt(ctx, req, wish, b.VisitType, domain.PractitionerID(body.PractitionerID), body.Start)
	}
	return b, err
}

// slots returns the slots that a wish names, and false when it names a
// practitioner and a start instead.
func (w WishBody) slots() (slots []domain.SlotID, named bool, err error) {
	byStart := w.PractitionerID != "" && !w.Start.IsZero()
	half := !byStart && (w.PractitionerID != "" || !w.Start.IsZero())
	switch {
	case !half && byStart && w.SlotID == "" && len(w.SlotIDs) == 0:
		return make([]domain.SlotID, 1), false, nil
	case !half && !byStart && w.SlotID != "" && len(w.SlotIDs) == 0:
		return []domain.SlotID{domain.SlotID(w.SlotID)}, true, nil
	case !half && !byStart && w.SlotID == "" && len(w.SlotIDs) > 0:
		return mapped(w.SlotIDs, func(id string) domain.SlotID { return domain.SlotID(id) }), true, nil
	}
	return nil, false, errWhichSlot
}

// nearest is how many free slots a refused booking is offered.
const nearest = 3

// How many free slots are asked whether they can be booked: for one answer, and
// for each item of a list.
const (
	tries     = 40
	itemTries = 15
)

// withAlternatives adds to the refusal of a slot the nearest ones that the visit
// can have. That they cannot be found is no reason to hide the refusal.
func (a *api) withAlternatives(ctx context.Context, w commands.Instead, refusal error) error {
	if _, ok := errors.AsType[*commands.Conflict](refusal); !ok || errors.Is(refusal, commands.ErrStale) {
		return refusal
	}
	p := problemOf(ctx, refusal)
	p.Alternatives = []Slot{}
	wanted, err := a.Commands.Slot(ctx, w.Slots[0])
	if err != nil {
		return p
	}
	if w.Move && w.VisitType == "" {
		now, err := a.Commands.Appointment(ctx, w.Appointment)
		if err != nil {
			return p
		}
		current, _ := now.State.Current()
		w.VisitType = domain.VisitTypeID(current.VisitType)
	}
	s := wanted.State
	p.Alternatives = a.near(ctx, w, projections.Wish{Practitioner: s.Practitioner, Clinic: s.Clinic, Start: s.Start}, tries)
	return p
}

// near returns the nearest free slots with which a visit can begin, out of so
// many that are asked. None is no reason to fail.
func (a *api) near(ctx context.Context, w commands.Instead, wish projections.Wish, most int) []Slot {
	found := []Slot{}
	wish.VisitType, wish.Staff = w.VisitType, w.By == appointment.ByPractitioner || w.By == appointment.ByClinic
	free, err := a.Slots.Nearest(ctx, wish, a.Now(), most)
	if err != nil {
		return found
	}
	for _, f := range free {
		if err := a.Commands.MayHave(ctx, w, f.ID); domain.RuleOf(err) == nil && err != nil {
			return found
		} else if err != nil {
			continue
		}
		if shown, err := a.slotOf(ctx, f); err == nil {
			found = append(found, shown)
		}
		if len(found) == nearest {
			break
		}
	}
	return found
}

// nearestTo returns the nearest free slots that an appointment can be moved to.
func (a *api) nearestTo(ctx context.Context, v projections.Appointment) []Slot {
	w := commands.Instead{Move: true, Booking: commands.Booking{
		Appointment: v.ID, Slots: v.Slots, VisitType: domain.VisitTypeID(v.VisitType), Patient: v.Patient,
	}}
	return a.near(ctx, w, projections.Wish{Practitioner: v.Practitioner, Clinic: v.Clinic, Start: v.Start}, itemTries)
}

func (a *api) cancel(ctx context.Context, req commands.Request, in *cancelInput) (done[Appointment], error) {
	return a.changed(ctx)(a.Commands.Cancel(ctx, req, commands.Cancellation{
		Appointment: domain.AppointmentID(in.ID), Initiator: appointment.Initiator(in.Body.Initiator), Code: appointment.Code(in.Body.Code),
		Reason: in.Body.Reason,
	}))
}

// changed shows what became of an appointment that was there.
func (a *api) changed(ctx context.Context) func(commands.Answer[appointment.State], error) (done[Appointment], error) {
	return func(answer commands.Answer[appointment.State], err error) (done[Appointment], error) {
		if err != nil {
			return done[Appointment]{}, err
		}
		body, err := a.appointmentOf(ctx, answer)
		return finish(answer, body, ""), err
	}
}

func (a *api) appointment(ctx context.Context, in *appointmentInput) (single[Appointment], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[Appointment]{}, err
	}
	answer, err := a.Commands.Appointment(ctx, domain.AppointmentID(in.ID))
	if err != nil {
		return single[Appointment]{}, err
	}
	body, err := a.appointmentOf(ctx, answer)
	if err == nil {
		body.Displaced, err = a.Commands.Displaced(ctx, answer.State)
	}
	return single[Appointment]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) appointmentOf(ctx context.Context, answer commands.Answer[appointment.State]) (Appointment, error) {
	s := answer.State
	current, _ := s.Current()
	v := projections.Appointment{
		ID: current.Appointment, Status: s.Status, Revision: answer.Revision, Patient: current.Patient,
		Practitioner: current.Practitioner, Clinic: current.Clinic, Slots: current.Slots, Period: current.Period, Reason: s.Reason,
		VisitType: current.VisitType, Overbooked: current.Overbooked, Moves: s.Moves,
		ArrivedAt: s.Arrived, StartedAt: s.Started, FinishedAt: s.Finished,
	}
	if s.Status == appointment.Pending {
		v.Deadline = current.Deadline
		if a.Now().After(v.Deadline.Add(appointment.ClockSlack)) {
			v.Status = appointment.Cancelled
		}
	}
	if current.ExpectedAt != nil {
		v.ExpectedAt = *current.ExpectedAt
	}
	for _, u := range current.Uses {
		v.Uses = append(v.Uses, projections.UseText(u))
	}
	return a.showAppointment(ctx, v)
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
		Revision: int64(v.Revision), Reason: reason, Erased: reason == nil && !v.Reason.IsZero(), VisitTypeID: v.VisitType,
		Deadline: instant(v.Deadline), ExpectedAt: instant(v.ExpectedAt), Overbooked: v.Overbooked, Displaced: v.Displaced,
		Reschedules: v.Moves, ArrivedAt: instant(v.ArrivedAt), StartedAt: instant(v.StartedAt), FinishedAt: instant(v.FinishedAt),
		SlotIDs: mapped(v.Slots, func(id domain.SlotID) string { return string(id) }),
	}
	for _, u := range v.Uses {
		use, err := projections.ParseUse(u)
		if err != nil {
			return shown, err
		}
		shown.Resources = append(shown.Resources, UsedThing{use.Kind, use.ID, use.Start.UTC(), use.End.UTC()})
	}
	if len(v.Slots) > 0 {
		shown.SlotID = string(v.Slots[0])
	}
	return shown, err
}

// instant returns nil for the zero instant.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *api) appointments(
	ctx context.Context, in *appointmentsInput, p page[projections.TimeCursor],
) (found[Appointment, projections.TimeCursor], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return found[Appointment, projections.TimeCursor]{}, err
	}
	f := projections.AppointmentFilter{
		Patient: domain.PatientID(in.PatientID), Practitioner: domain.PractitionerID(in.PractitionerID), Clinic: domain.ClinicID(in.ClinicID),
		Family: in.Dependents, From: in.From, To: in.To, Status: appointment.Status(in.Status), Displaced: in.Displaced, After: p.after, Limit: p.limit,
		AsOf: a.was,
	}
	if !f.To.IsZero() && !f.From.Before(f.To) {
		return found[Appointment, projections.TimeCursor]{}, errPeriod
	}
	rows, err := a.Appointments.List(ctx, f, a.Now(), in.atLeast())
	return shown(rows, err, func(v projections.Appointment) (Appointment, error) {
		item, err := a.showAppointment(ctx, v)
		if err == nil && in.Displaced && a.was == nil {
			item.Alternatives = a.nearestTo(ctx, v)
		}
		return item, err
	})
}
