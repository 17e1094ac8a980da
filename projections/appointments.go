package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
)

// AppointmentsModel returns the read model of visits.
func AppointmentsModel() engine.Model {
	return engine.Model{
		Name:     "appointments",
		Version:  7,
		Interest: domain.Filter{Categories: []string{appointment.Category, series.Category, slot.Category}},
		Tables:   []engine.Table{engine.NewStreamTable("appointment", appointmentDDL, appointment.Category, appointmentKeys, evolveAppointment)},
	}
}

const appointmentDDL = `
create table appointment (
	appointment   text collate "C" not null primary key,
	listed        boolean          not null,
	status        text collate "C" not null,
	revision      bigint           not null,
	patient       text collate "C",          -- null while a hold names nobody
	practitioner  text collate "C" not null,
	also          text[] collate "C",        -- the other practitioners; null when there is none, as nearly always
	clinic        text collate "C" not null,
	slots         text[],
	start         timestamptz      not null,
	"end"         timestamptz      not null,
	set           bigint           not null,
	visit_type    text collate "C",
	uses          text[],
	reason        text,
	initiator     text collate "C",
	cancel_code   text collate "C",
	cancel_reason text,
	deadline      timestamptz,
	expected_at   timestamptz,
	overbooked    boolean          not null,
	displaced     boolean          not null,
	withdrawn     text[] collate "C",
	moves         bigint           not null,
	booked_at     timestamptz,
	cancelled_at  timestamptz,
	arrived_at    timestamptz,
	started_at    timestamptz,
	finished_at   timestamptz
) with (fillfactor = 90);
create index appointment_patient on appointment (patient, start, appointment);
create index appointment_practitioner on appointment (practitioner, start, appointment);
create index appointment_also on appointment using gin (also) where also is not null;
create index appointment_clinic on appointment (clinic, start, appointment);
create index appointment_start on appointment (start, appointment);
create index appointment_displaced on appointment (start, appointment) where displaced`

// appointmentRow is a visit. Listed says that it was requested or live once: a
// protocol that never came so far, and a hold, is in no list.
type appointmentRow struct {
	Appointment  domain.AppointmentID  `db:"appointment"`
	Listed       bool                  `db:"listed"`
	Status       appointment.Status    `db:"status"`
	Revision     domain.Revision       `db:"revision"`
	Patient      domain.PatientID      `db:"patient"`      // "" of a hold for nobody yet
	Practitioner domain.PractitionerID `db:"practitioner"` // of the first slot
	Also         []string              `db:"also"`         // the practitioners of the other slots
	Clinic       domain.ClinicID       `db:"clinic"`
	Slots        []domain.SlotID       `db:"slots"`
	Start        time.Time             `db:"start"`
	End          time.Time             `db:"end"`
	Set          int                   `db:"set"`
	VisitType    string                `db:"visit_type"`
	Uses         []string              `db:"uses"` // of rooms and devices: see [UseText]
	Reason       domain.Sealed         `db:"reason"`
	Initiator    appointment.Initiator `db:"initiator"`
	CancelCode   string                `db:"cancel_code"`
	CancelReason domain.Sealed         `db:"cancel_reason"`
	Deadline     time.Time             `db:"deadline"`    // of what is held or requested
	ExpectedAt   time.Time             `db:"expected_at"` // the patient's turn in a session
	Overbooked   bool                  `db:"overbooked"`
	Displaced    bool                  `db:"displaced"` // a slot of its set was withdrawn
	Withdrawn    []string              `db:"withdrawn"` // set/slot of the claims whose slot was
	Moves        int                   `db:"moves"`
	BookedAt     time.Time             `db:"booked_at"`
	CancelledAt  time.Time             `db:"cancelled_at"`
	ArrivedAt    time.Time             `db:"arrived_at"`
	StartedAt    time.Time             `db:"started_at"`
	FinishedAt   time.Time             `db:"finished_at"`
}

func appointmentKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case appointment.Event:
		visit, _ := appointment.Of(e)
		return []string{string(visit.Appointment)}
	case slot.Withdrawn:
		return visitsOf(e.Displaced)
	case slot.Reinstated:
		return visitsOf(e.Holders)
	case series.WasBooked:
		keys := make([]string, len(e.Visits))
		for i, v := range e.Visits {
			keys[i] = string(v.Appointment)
		}
		return keys
	}
	return nil
}

// visitsOf returns the appointments of a slot's holders, each once.
func visitsOf(holders []slot.Holder) []string {
	var keys []string
	for _, h := range holders {
		if key := string(h.Appointment); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func evolveAppointment(a appointmentRow, exists bool, r domain.Recorded) (appointmentRow, bool) {
	switch e := r.Event.(type) {
	case slot.Withdrawn:
		return a.lost(e).displaced(), exists
	case slot.Reinstated:
		return a.regained(e.Slot).displaced(), exists
	}
	if booked, ok := r.Event.(series.WasBooked); ok {
		return a.bookedBy(booked, r.RecordedAt), exists
	}
	event, ok := r.Event.(appointment.Event)
	if _, proposed := event.(appointment.WasProposed); !ok || !exists && !proposed {
		return a, exists
	}
	a.Revision = r.Revision
	if _, set := appointment.Of(event); set < a.Set && !a.Listed {
		return a, true // of a set that another has taken the place of
	}
	return a.decided(event, r.RecordedAt).lived(event).displaced(), true
}

// lost notes which sets of the visit had a slot that was taken off the
// schedule: one that is about to be booked, too, may have lost its slot.
func (a appointmentRow) lost(e slot.Withdrawn) appointmentRow {
	for _, h := range e.Displaced {
		if text := claimedSlot(h.Set, e.Slot); h.Appointment == a.Appointment && !slices.Contains(a.Withdrawn, text) {
			a.Withdrawn = append(slices.Clone(a.Withdrawn), text)
		}
	}
	return a
}

// bookedBy notes that the visit's series is booked, and the visit with it,
// whether or not its own stream says so yet.
func (a appointmentRow) bookedBy(e series.WasBooked, at time.Time) appointmentRow {
	for _, v := range e.Visits {
		if v.Appointment == a.Appointment && v.Set == a.Set && a.Status == appointment.Proposed {
			a.Status, a.Listed, a.BookedAt = appointment.Booked, true, at
		}
	}
	return a
}

// regained notes that a slot is on the schedule again.
func (a appointmentRow) regained(id domain.SlotID) appointmentRow {
	kept := slices.DeleteFunc(slices.Clone(a.Withdrawn), func(text string) bool { return strings.HasSuffix(text, "/"+string(id)) })
	if a.Withdrawn = kept; len(kept) == 0 {
		a.Withdrawn = nil
	}
	return a
}

func claimedSlot(set int, id domain.SlotID) string { return strconv.Itoa(set) + "/" + string(id) }

// displaced notes whether the visit is where a slot was taken off the schedule.
func (a appointmentRow) displaced() appointmentRow {
	a.Displaced = slices.ContainsFunc(a.Withdrawn, func(text string) bool { return strings.HasPrefix(text, strconv.Itoa(a.Set)+"/") })
	return a
}

// decided folds what the protocol decides.
func (a appointmentRow) decided(event appointment.Event, at time.Time) appointmentRow {
	switch e := event.(type) {
	case appointment.WasProposed:
		if !a.Listed {
			a = a.of(e.Visit, e.Set)
			a.Status, a.Deadline = appointment.Proposed, time.Time{}
		}
		if a.Reason.IsZero() {
			a.Reason = e.Reason
		}
	case appointment.WasHeld:
		if e.Wish == "" || !a.Listed || a.Status == appointment.Cancelled {
			a.Status, a.Deadline = appointment.Pending, e.Deadline // else it is offered beside what they have
		}
	case appointment.WasRenewed:
		a.Deadline = e.Deadline
	case appointment.WasRequested:
		a = a.of(e.Visit, e.Set)
		a.Status, a.Deadline, a.Listed = appointment.Pending, e.Deadline, true
		a.CancelledAt, a.Initiator, a.CancelCode, a.CancelReason = time.Time{}, "", "", domain.Sealed{}
	case appointment.WasBooked:
		if a.Status == appointment.Booked && e.Set == a.Set {
			at = a.BookedAt // by its series
		}
		if a.Status == appointment.Booked && e.Set != a.Set {
			a.Moves++
		}
		a = a.of(e.Visit, e.Set)
		a.Status, a.Listed, a.Deadline = appointment.Booked, true, time.Time{}
		a.BookedAt, a.CancelledAt = at, time.Time{}
		a.ArrivedAt, a.StartedAt, a.FinishedAt = time.Time{}, time.Time{}, time.Time{}
		a.Initiator, a.CancelCode, a.CancelReason = "", "", domain.Sealed{}
	case appointment.WasRefused, appointment.HasLapsed, appointment.WasReleased:
		a = a.died(event, at)
	case appointment.WasDeclined:
		a = a.died(event, at)
		a.Initiator, a.CancelCode, a.CancelReason = appointment.ByPractitioner, e.Code, e.Reason
	case appointment.WasCancelled:
		a = a.of(e.Visit, e.Set)
		a.Status, a.Listed, a.CancelledAt, a.Deadline = appointment.Cancelled, true, at, time.Time{}
		a.Initiator, a.CancelCode, a.CancelReason = e.Initiator, string(e.Code), e.Reason
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasFulfilled, appointment.WasMissed, appointment.WasReverted:
	}
	return a
}

// died ends the visit with its set; a set that was to take its place dies alone.
func (a appointmentRow) died(event appointment.Event, at time.Time) appointmentRow {
	if _, set := appointment.Of(event); set != a.Set || a.Status != appointment.Proposed && a.Status != appointment.Pending {
		return a
	}
	a.Status, a.Deadline = appointment.Cancelled, time.Time{}
	if a.Listed {
		a.CancelledAt = at
	}
	return a
}

// lived folds what happens to a visit that is booked.
func (a appointmentRow) lived(event appointment.Event) appointmentRow {
	switch e := event.(type) {
	case appointment.HasArrived:
		a.Status, a.ArrivedAt = appointment.Arrived, e.At
	case appointment.WasCheckedIn:
		a.Status, a.StartedAt = appointment.CheckedIn, e.At
	case appointment.WasFulfilled:
		a.Status, a.FinishedAt = appointment.Fulfilled, e.At
	case appointment.WasMissed:
		a.Status = appointment.NoShow
	case appointment.WasReverted:
		a = a.reverted(e.Status)
	case appointment.WasProposed, appointment.WasHeld, appointment.WasRenewed, appointment.WasReleased, appointment.WasRequested,
		appointment.WasDeclined, appointment.WasBooked, appointment.WasRefused, appointment.HasLapsed, appointment.WasCancelled:
	}
	return a
}

func (a appointmentRow) reverted(to appointment.Status) appointmentRow {
	switch a.Status {
	case appointment.Arrived:
		a.ArrivedAt = time.Time{}
	case appointment.CheckedIn:
		a.StartedAt = time.Time{}
	case appointment.Fulfilled:
		a.FinishedAt = time.Time{}
	case appointment.Proposed, appointment.Pending, appointment.Booked, appointment.Cancelled, appointment.NoShow:
	}
	a.Status = to
	return a
}

func (a appointmentRow) of(v appointment.Visit, set int) appointmentRow {
	a.Patient, a.Practitioner, a.Clinic, a.Set = v.Patient, v.Practitioner, v.Clinic, set
	a.Start, a.End, a.VisitType, a.Overbooked = v.Start, v.End, v.VisitType, v.Overbooked
	a.Slots, a.Also, a.Uses, a.ExpectedAt = nil, nil, nil, time.Time{}
	if len(v.Slots) > 0 {
		a.Slots = v.Slots
	}
	for _, id := range v.Slots {
		other, _, err := schedule.DayOfSlot(id)
		if err == nil && other != v.Practitioner && !slices.Contains(a.Also, string(other)) {
			a.Also = append(a.Also, string(other))
		}
	}
	for _, u := range v.Uses {
		a.Uses = append(a.Uses, UseText(u))
	}
	if v.ExpectedAt != nil {
		a.ExpectedAt = *v.ExpectedAt
	}
	return a
}

// UseText returns the use of a room or device as a list has it: kind, id and
// ISO 8601 interval, such as "room.r1 2026-03-02T09:00:00Z/2026-03-02T09:30:00Z".
func UseText(u appointment.Use) string {
	return u.Kind + "." + u.ID + " " + u.Start.UTC().Format(time.RFC3339Nano) + "/" + u.End.UTC().Format(time.RFC3339Nano)
}

// ParseUse is the inverse of [UseText].
func ParseUse(text string) (appointment.Use, error) {
	what, when, _ := strings.Cut(text, " ")
	kind, id, _ := strings.Cut(what, ".")
	from, to, _ := strings.Cut(when, "/")
	start, err := time.Parse(time.RFC3339Nano, from)
	end, failed := time.Parse(time.RFC3339Nano, to)
	return appointment.Use{Kind: kind, ID: id, Period: domain.Period{Start: start, End: end}}, errors.Join(err, failed)
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
	VisitType    string
	Uses         []string              // of rooms and devices: see [UseText]
	Reason       domain.Sealed         // why the patient comes
	Initiator    appointment.Initiator // who cancelled, or ""
	CancelCode   string
	CancelReason domain.Sealed
	Deadline     time.Time // until when a request is to be answered; zero when it is none
	ExpectedAt   time.Time // the patient's turn in a session; zero in any other visit
	Overbooked   bool
	Displaced    bool // the clinic has withdrawn its slot: it is to be moved or cancelled
	Moves        int
	BookedAt     time.Time // zero when it was never booked
	CancelledAt  time.Time // zero when it is not cancelled
	ArrivedAt    time.Time // zero when it did not happen, as the next two
	StartedAt    time.Time
	FinishedAt   time.Time
}

// Cursor returns the visit's place in a list.
func (a Appointment) Cursor() TimeCursor { return TimeCursor{a.Start, string(a.ID)} }

// AppointmentFilter says which visits a list has; zero fields do not narrow it.
type AppointmentFilter struct {
	Patient      domain.PatientID      // and those merged into them
	Family       bool                  // with Patient: the patient's dependents, too
	Practitioner domain.PractitionerID // any of the visit's
	Clinic       domain.ClinicID
	From         time.Time // the first start
	To           time.Time // starts lie before it
	Status       appointment.Status
	Displaced    bool // only those to be moved or cancelled
	After        TimeCursor
	Limit        int              // 0 is 50; at most 1000
	AsOf         *domain.Position // the list as it was when the log ended here; nil = as it is
}

// Appointments answers who comes when.
type Appointments struct {
	views   Viewer
	streams Streams // nil = nobody asks for lists as they were
}

// NewAppointments returns the queries over the models appointments, directory
// and patients.
func NewAppointments(v Viewer) Appointments { return Appointments{views: v} }

// WithPast returns the queries with lists as they were, too, which are folded out
// of the streams.
func (a Appointments) WithPast(streams Streams) Appointments {
	a.streams = streams
	return a
}

// appointmentQuery gives every visit as it is at a time. A request that nobody
// has answered ends ClockSlack after its deadline: @expired is that much before
// the time. The zone is looked up for the rows of the answer alone: a join is
// planned for as many as could be found, and reads every clinic.
const appointmentQuery = `
select a.appointment as id, a.status, a.revision, coalesce(a.patient, '') as patient, a.practitioner, a.clinic,
	coalesce((select c.zone from clinic c where c.clinic = a.clinic), '') as zone,
	a.slots, a.start, a."end", coalesce(a.visit_type, '') as visit_type, a.uses, coalesce(a.reason, 'null')::json as reason,
	coalesce(a.initiator, '') as initiator, coalesce(a.cancel_code, '') as cancel_code,
	coalesce(a.cancel_reason, 'null')::json as cancel_reason, coalesce(a.deadline, '0001-01-01T00:00:00Z') as deadline,
	coalesce(a.expected_at, '0001-01-01T00:00:00Z') as expected_at, a.overbooked, a.displaced and a.lives as displaced, a.moves,
	coalesce(a.booked_at, '0001-01-01T00:00:00Z') as booked_at, coalesce(a.cancelled_at, '0001-01-01T00:00:00Z') as cancelled_at,
	coalesce(a.arrived_at, '0001-01-01T00:00:00Z') as arrived_at, coalesce(a.started_at, '0001-01-01T00:00:00Z') as started_at,
	coalesce(a.finished_at, '0001-01-01T00:00:00Z') as finished_at
from (` + appointmentNow + `
) a
where true`

const appointmentNow = `
	select appointment, revision, patient, practitioner, clinic, slots, start, "end", visit_type, uses, reason, initiator, cancel_code,
		cancel_reason, deadline, expected_at, overbooked, displaced, moves, booked_at, cancelled_at, arrived_at, started_at, finished_at,
		case when status = 'pending' and deadline <= @expired then 'cancelled' else status end as status,
		status in ('booked', 'arrived') as lives
	from appointment
	where listed`

// ofPractitioner is appointmentNow of the visits that a practitioner has a part
// in. The many in which it is the first, and the few in which it is another,
// come each from an index of their own; how few the planner does not know without
// the practitioner, and would plan each list anew.
const ofPractitioner = appointmentNow + `
		and practitioner = @practitioner
	union all` + appointmentNow + `
		and also @> array[@practitioner::text]`

// List returns the visits of the filter in the order of start and id. Visits
// that never came to be booked, because a race was lost or the time to complete
// them ran out, are not listed. With AsOf the instant is that of the position, and what
// would take more than [MostPast] slots or visits is refused: [ErrPastTooBroad].
func (a Appointments) List(ctx context.Context, f AppointmentFilter, now time.Time, least domain.Position) (List[Appointment], error) {
	sql, args, limit := appointmentQuery, pgx.NamedArgs{"expired": now.Add(-appointment.ClockSlack)}, limited(f.Limit)
	narrow := func(wanted bool, name string, value any, condition string) {
		if wanted {
			sql, args[name] = sql+"\n\tand "+condition, value
		}
	}
	narrow(f.Patient != "" && !f.Family, "patient", f.Patient, "a.patient in ("+PatientAndMerged+")")
	narrow(f.Patient != "" && f.Family, "patient", f.Patient, "a.patient in ("+PatientAndFamily+")")
	if f.Practitioner != "" {
		sql, args["practitioner"] = strings.Replace(sql, appointmentNow, ofPractitioner, 1), f.Practitioner
	}
	narrow(f.Clinic != "", "clinic", f.Clinic, "a.clinic = @clinic")
	narrow(f.Status != "", "status", f.Status, "a.status = @status")
	narrow(f.Displaced, "displaced", true, "a.displaced and a.lives")
	narrow(!f.From.IsZero(), "from", f.From, "a.start >= @from")
	narrow(!f.To.IsZero(), "to", f.To, "a.start < @to")
	narrow(f.After.ID != "", "after", f.After.Start, "(a.start, a.appointment) > (@after, @after_id)")
	args["after_id"] = f.After.ID
	was, err := a.past(ctx, f, least)
	if err != nil {
		return List[Appointment]{}, fmt.Errorf("list appointments: %w", err)
	}
	var visits []Appointment
	at, err := was.view(ctx, a.views, least, []string{"appointments", "directory", "patients"}, func(r engine.Reader) (err error) {
		rows, _ := r.Last(ctx, sql+"\norder by a.start, a.appointment"+first(limit+1), plannedOnce(f.Practitioner != "", args)...)
		visits, err = pgx.CollectRows(rows, pgx.RowToStructByName[Appointment])
		return err
	})
	if err != nil {
		return List[Appointment]{}, fmt.Errorf("list appointments: %w", err)
	}
	for i := range visits {
		visits[i] = visits[i].utc()
	}
	return list(visits, limit, at), nil
}

// utc returns the visit with its instants in UTC.
func (a Appointment) utc() Appointment {
	a.Period = domain.Period{Start: a.Start.UTC(), End: a.End.UTC()}
	for _, t := range []*time.Time{&a.Deadline, &a.ExpectedAt, &a.BookedAt, &a.CancelledAt, &a.ArrivedAt, &a.StartedAt, &a.FinishedAt} {
		*t = t.UTC()
	}
	return a
}
