package projections

import (
	"slices"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/projections/engine"
)

// KPIsModel returns the read model of the facts that key figures are counted
// from, besides those that the models of slots and appointments have: who
// waited, what was requested, and what clinics and practitioners were at the
// time. [KPIs] has the figures and their definitions.
func KPIsModel() engine.Model {
	return engine.Model{
		Name:    "kpis",
		Version: 2,
		Interest: domain.Filter{
			Categories: []string{
				appointment.Category, clinic.Category, practitioner.Category, queue.Category,
			},
			Types: kpiTypes(),
		},
		Tables: []engine.Table{
			engine.NewTable("waited", waitedDDL, waitedKeys, evolveWaited),
			engine.NewStreamTable("requested", requestedDDL, appointment.Category, requestedKeys, evolveRequested),
			engine.NewTable("zoned", zonedDDL, zonedKeys, evolveZoned),
			engine.NewTable("practised", practisedDDL, practisedKeys, evolvePractised),
		},
	}
}

func kpiTypes() []string {
	var types []string
	for _, e := range []domain.Event{
		appointment.WasRequested{},
		appointment.WasDeclined{},
		appointment.WasBooked{},
		appointment.HasLapsed{},
		appointment.WasCancelled{},
		appointment.HasArrived{},
		appointment.WasCheckedIn{},
		appointment.WasReverted{},
		queue.HasJoined{},
		queue.WasCalled{},
		queue.HasReturned{},
		queue.HasStarted{},
		queue.WasWithdrawn{},
		clinic.Registered{},
		clinic.Changed{},
		clinic.CalendarSet{},
		practitioner.Registered{},
		practitioner.Changed{},
	} {
		types = append(types, e.EventType())
	}
	return types
}

const waitedDDL = `
create table waited (
	entry        text collate "C" not null primary key,
	practitioner text collate "C" not null,
	clinic       text collate "C" not null,
	since        timestamptz      not null,
	called_at    timestamptz,
	started_at   timestamptz
) with (fillfactor = 80);
create index waited_clinic on waited (clinic, since, entry);
create index waited_practitioner on waited (practitioner, clinic, since, entry)`

// waitedRow is somebody who came: who is booked, under the appointment, or a
// walk-in, under the entry of the queue. Whoever was sent to another queue is
// the same entry there. An arrival that was undone leaves no row.
type waitedRow struct {
	Entry        string                `db:"entry"`
	Practitioner domain.PractitionerID `db:"practitioner"` // in whose queue it is; once called, in whose it was
	Clinic       domain.ClinicID       `db:"clinic"`
	Since        time.Time             `db:"since"`
	CalledAt     time.Time             `db:"called_at"`  // the first time
	StartedAt    time.Time             `db:"started_at"` // when the service began
}

func waitedKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case queue.Event:
		return key(entryOf(e).ID)
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasReverted, appointment.WasCancelled:
		return key(r.Stream.ID())
	}
	return nil
}

// entryOf returns who it is about, of the events that count.
func entryOf(e queue.Event) queue.Entry {
	switch e := e.(type) {
	case queue.HasJoined:
		return e.Entry
	case queue.WasCalled:
		return e.Entry
	case queue.HasReturned:
		return e.Entry
	case queue.HasStarted:
		return e.Entry
	case queue.WasWithdrawn:
		return e.Entry
	case queue.WasMarkedUrgent, queue.WasRecalled, queue.WasSkipped, queue.HasFinished, queue.HasLeft, queue.WasMissed, queue.WasTransferred,
		queue.WasMoved:
	}
	return queue.Entry{}
}

// evolveWaited folds what the queue and the appointment say of who waits. Both
// say the same where both do; an arrival without a queue counts, too.
func evolveWaited(w waitedRow, exists bool, r domain.Recorded) (waitedRow, bool) {
	if e, ok := r.Event.(queue.Event); ok {
		entry := entryOf(e)
		if !exists {
			w.Since = entry.Since
		}
		if w.CalledAt.IsZero() {
			w.Practitioner, w.Clinic = entry.Practitioner, entry.Clinic
		}
	}
	switch e := r.Event.(type) {
	case queue.WasCalled:
		if w.CalledAt.IsZero() {
			w.CalledAt = e.At
		}
	case queue.HasStarted:
		return w.started(e.At), true
	case queue.HasReturned:
		w.StartedAt = time.Time{}
	case queue.WasWithdrawn:
		return w, false
	case appointment.HasArrived:
		if !exists {
			w.Practitioner, w.Clinic, w.Since = e.Practitioner, e.Clinic, e.At
		}
	case appointment.WasCheckedIn:
		return w.started(e.At), exists
	case appointment.WasReverted:
		return w.reverted(e.Status), exists && e.Status != appointment.Booked
	case appointment.WasCancelled:
		return w, exists && (!w.CalledAt.IsZero() || !w.StartedAt.IsZero())
	}
	return w, true
}

func (w waitedRow) started(at time.Time) waitedRow {
	if w.StartedAt.IsZero() {
		w.StartedAt = at
	}
	return w
}

func (w waitedRow) reverted(to appointment.Status) waitedRow {
	if to == appointment.Arrived {
		w.StartedAt = time.Time{}
	}
	return w
}

const requestedDDL = `
create table requested (
	request      text collate "C" not null primary key,
	practitioner text collate "C" not null,
	clinic       text collate "C" not null,
	requested_at timestamptz      not null,
	answered_at  timestamptz,
	answer       text collate "C"
);
create index requested_clinic on requested (clinic, requested_at, request);
create index requested_practitioner on requested (practitioner, clinic, requested_at, request)`

// requestedRow is a set of an appointment that waited for approval.
type requestedRow struct {
	Request      string                `db:"request"` // appointment/set
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	RequestedAt  time.Time             `db:"requested_at"` // when it was recorded, as the next
	AnsweredAt   time.Time             `db:"answered_at"`
	Answer       string                `db:"answer"` // approved, declined, lapsed, cancelled; "" = none yet
}

func requestedKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case appointment.WasRequested, appointment.WasBooked, appointment.WasDeclined, appointment.HasLapsed, appointment.WasCancelled:
		visit, set := appointment.Of(e.(appointment.Event)) //nolint:forcetypeassert // all of these are
		return key(claimedSlot(set, domain.SlotID(visit.Appointment)))
	}
	return nil
}

func evolveRequested(q requestedRow, exists bool, r domain.Recorded) (requestedRow, bool) {
	answer := ""
	switch e := r.Event.(type) {
	case appointment.WasRequested:
		if !exists {
			q.Practitioner, q.Clinic, q.RequestedAt = e.Practitioner, e.Clinic, r.RecordedAt
		}
		return q, true
	case appointment.WasBooked:
		answer = "approved"
	case appointment.WasDeclined:
		answer = "declined"
	case appointment.HasLapsed:
		answer = "lapsed"
	case appointment.WasCancelled:
		answer = "cancelled"
	}
	if exists && q.Answer == "" {
		q.Answer, q.AnsweredAt = answer, r.RecordedAt
	}
	return q, exists
}

const zonedDDL = `
create table zoned (
	clinic text collate "C" not null primary key,
	since  timestamptz[],
	zones  text[] collate "C"
)`

// zonedRow is which zone a clinic was in when: zones[i] since since[i], and
// the first one before that, too.
type zonedRow struct {
	Clinic domain.ClinicID `db:"clinic"`
	Since  []time.Time     `db:"since"` // when it was recorded
	Zones  []string        `db:"zones"` // IANA names
}

func zonedKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case clinic.Registered, clinic.Changed, clinic.CalendarSet:
		return clinicKeys(domain.Recorded{Event: e})
	}
	return nil
}

func evolveZoned(z zonedRow, exists bool, r domain.Recorded) (zonedRow, bool) {
	zone := ""
	switch e := r.Event.(type) {
	case clinic.Registered:
		zone, exists = e.Zone, true
	case clinic.Changed:
		zone = e.Zone
	case clinic.CalendarSet:
		zone = e.Zone
	}
	if n := len(z.Zones); exists && zone != "" && (n == 0 || z.Zones[n-1] != zone) {
		z.Since, z.Zones = append(slices.Clone(z.Since), r.RecordedAt), append(slices.Clone(z.Zones), zone)
	}
	return z, exists
}

const practisedDDL = `
create table practised (
	practitioner text collate "C" not null primary key,
	clinics      text[] collate "C",
	since        timestamptz[],
	specialties  text[] collate "C"
)`

// practisedRow is what a practitioner was when: specialties[i] since since[i],
// and the first ones before that, too.
type practisedRow struct {
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinics      []string              `db:"clinics"`     // where the practitioner ever was
	Since        []time.Time           `db:"since"`       // when it was recorded
	Specialties  []string              `db:"specialties"` // each all codes, one a line
}

func practisedKeys(r domain.Recorded) []string {
	switch e := r.Event.(type) {
	case practitioner.Registered:
		return key(string(e.Practitioner))
	case practitioner.Changed:
		return key(string(e.Practitioner))
	}
	return nil
}

func evolvePractised(p practisedRow, exists bool, r domain.Recorded) (practisedRow, bool) {
	var profile practitioner.Profile
	switch e := r.Event.(type) {
	case practitioner.Registered:
		profile, exists = e.Profile, true
	case practitioner.Changed:
		profile = e.Profile
	}
	for _, id := range profile.Clinics {
		if !slices.Contains(p.Clinics, string(id)) {
			p.Clinics = append(slices.Clone(p.Clinics), string(id))
		}
	}
	now := strings.Join(profile.Specialties, "\n")
	if n := len(p.Specialties); n == 0 || p.Specialties[n-1] != now {
		p.Since, p.Specialties = append(slices.Clone(p.Since), r.RecordedAt), append(slices.Clone(p.Specialties), now)
	}
	return p, exists
}
