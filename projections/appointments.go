package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections/engine"
)

// AppointmentsModel returns the read model of visits.
func AppointmentsModel() engine.Model {
	return engine.Model{
		Name:     "appointments",
		Version:  1,
		Interest: domain.Filter{Categories: []string{appointment.Category}},
		Tables:   []engine.Table{engine.NewTable("appointment", appointmentDDL, appointmentKeys, evolveAppointment)},
	}
}

const appointmentDDL = `
create table appointment (
	appointment   text collate "C" not null primary key,
	listed        boolean          not null,
	status        text collate "C" not null,
	revision      bigint           not null,
	patient       text collate "C" not null,
	practitioner  text collate "C" not null,
	clinic        text collate "C" not null,
	slots         text[],
	start         timestamptz      not null,
	"end"         timestamptz      not null,
	set           bigint           not null,
	reason        text,
	initiator     text collate "C",
	cancel_reason text,
	booked_at     timestamptz,
	cancelled_at  timestamptz
) with (fillfactor = 90);
create index appointment_patient on appointment (patient, start, appointment);
create index appointment_practitioner on appointment (practitioner, start, appointment);
create index appointment_clinic on appointment (clinic, start, appointment);
create index appointment_start on appointment (start, appointment)`

// appointmentRow is a visit. Listed says that it was live once: a protocol
// that never came so far is in no list.
type appointmentRow struct {
	Appointment  domain.AppointmentID  `db:"appointment"`
	Listed       bool                  `db:"listed"`
	Status       appointment.Status    `db:"status"`
	Revision     domain.Revision       `db:"revision"`
	Patient      domain.PatientID      `db:"patient"`
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	Slots        []domain.SlotID       `db:"slots"`
	Start        time.Time             `db:"start"`
	End          time.Time             `db:"end"`
	Set          int                   `db:"set"`
	Reason       domain.Sealed         `db:"reason"`
	Initiator    appointment.Initiator `db:"initiator"`
	CancelReason domain.Sealed         `db:"cancel_reason"`
	BookedAt     time.Time             `db:"booked_at"`
	CancelledAt  time.Time             `db:"cancelled_at"`
}

func appointmentKeys(r domain.Recorded) []string {
	if e, ok := r.Event.(appointment.Event); ok {
		visit, _ := visitOf(e)
		return []string{string(visit.Appointment)}
	}
	return nil
}

func evolveAppointment(a appointmentRow, exists bool, r domain.Recorded) (appointmentRow, bool) {
	event, ok := r.Event.(appointment.Event)
	if _, proposed := event.(appointment.WasProposed); !ok || !exists && !proposed {
		return a, exists
	}
	a.Revision = r.Revision
	switch e := event.(type) {
	case appointment.WasProposed:
		if !a.Listed {
			a = a.of(e.Visit, e.Set)
			a.Status, a.Reason = appointment.Proposed, e.Reason
		}
	case appointment.WasBooked:
		a = a.of(e.Visit, e.Set)
		a.Status, a.Listed, a.BookedAt = appointment.Booked, true, r.RecordedAt
	case appointment.WasRefused, appointment.HasLapsed:
		if !a.Listed {
			a.Status = appointment.Cancelled
		}
	case appointment.WasCancelled:
		a = a.of(e.Visit, e.Set)
		a.Status, a.Listed, a.CancelledAt = appointment.Cancelled, true, r.RecordedAt
		a.Initiator, a.CancelReason = e.Initiator, e.Reason
	}
	return a, true
}

func (a appointmentRow) of(v appointment.Visit, set int) appointmentRow {
	a.Patient, a.Practitioner, a.Clinic, a.Set = v.Patient, v.Practitioner, v.Clinic, set
	a.Start, a.End, a.Slots = v.Start, v.End, nil
	if len(v.Slots) > 0 {
		a.Slots = v.Slots
	}
	return a
}

// Appointment is a visit of a list.
type Appointment struct {
	ID           domain.AppointmentID
	Status       appointment.Status
	Revision     domain.Revision // of its stream, when the row was folded
	Patient      domain.PatientID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Zone         string // the clinic's, an IANA name; empty while the clinic is unknown
	Slots        []domain.SlotID
	domain.Period
	Reason       domain.Sealed         // why the patient comes
	Initiator    appointment.Initiator // who cancelled, or ""
	CancelReason domain.Sealed
	BookedAt     time.Time // zero when it was never booked
	CancelledAt  time.Time // zero when it is not cancelled
}

// Cursor returns the visit's place in a list.
func (a Appointment) Cursor() TimeCursor { return TimeCursor{a.Start, string(a.ID)} }

// AppointmentFilter says which visits a list has; zero fields do not narrow it.
type AppointmentFilter struct {
	Patient      domain.PatientID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	From         time.Time // the first start
	To           time.Time // starts lie before it
	Status       appointment.Status
	After        TimeCursor
	Limit        int // 0 is 50; at most 1000
}

// Appointments answers who comes when.
type Appointments struct{ views Viewer }

// NewAppointments returns the queries over the models appointments and directory.
func NewAppointments(v Viewer) Appointments { return Appointments{v} }

const appointmentQuery = `
select a.appointment as id, a.status, a.revision, a.patient, a.practitioner, a.clinic, coalesce(c.zone, '') as zone,
	a.slots, a.start, a."end", coalesce(a.reason, 'null')::json as reason, coalesce(a.initiator, '') as initiator,
	coalesce(a.cancel_reason, 'null')::json as cancel_reason,
	coalesce(a.booked_at, '0001-01-01T00:00:00Z') as booked_at, coalesce(a.cancelled_at, '0001-01-01T00:00:00Z') as cancelled_at
from appointment a
left join clinic c on c.clinic = a.clinic
where a.listed`

// List returns the visits of the filter in the order of start and id. Visits
// that never came to be booked, because a race was lost or the time to complete
// them ran out, are not listed.
func (a Appointments) List(ctx context.Context, f AppointmentFilter, least domain.Position) (List[Appointment], error) {
	sql, args, limit := appointmentQuery, pgx.NamedArgs{}, limited(f.Limit)
	narrow := func(wanted bool, name string, value any, condition string) {
		if wanted {
			sql, args[name] = sql+"\n\tand "+condition, value
		}
	}
	narrow(f.Patient != "", "patient", f.Patient, "a.patient = @patient")
	narrow(f.Practitioner != "", "practitioner", f.Practitioner, "a.practitioner = @practitioner")
	narrow(f.Clinic != "", "clinic", f.Clinic, "a.clinic = @clinic")
	narrow(f.Status != "", "status", f.Status, "a.status = @status")
	narrow(!f.From.IsZero(), "from", f.From, "a.start >= @from")
	narrow(!f.To.IsZero(), "to", f.To, "a.start < @to")
	narrow(f.After.ID != "", "after", f.After.Start, "(a.start, a.appointment) > (@after, @after_id)")
	args["after_id"], args["limit"] = f.After.ID, limit+1
	var visits []Appointment
	at, err := a.views.View(ctx, least, []string{"appointments", "directory"}, func(r engine.Reader) (err error) {
		rows, _ := r.Query(ctx, sql+"\norder by a.start, a.appointment\nlimit @limit", args)
		visits, err = pgx.CollectRows(rows, pgx.RowToStructByName[Appointment])
		return err
	})
	if err != nil {
		return List[Appointment]{}, fmt.Errorf("list appointments: %w", err)
	}
	for i, v := range visits {
		visits[i].Period = domain.Period{Start: v.Start.UTC(), End: v.End.UTC()}
		visits[i].BookedAt, visits[i].CancelledAt = v.BookedAt.UTC(), v.CancelledAt.UTC()
	}
	return list(visits, limit, at), nil
}
