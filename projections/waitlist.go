package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections/engine"
)

// WaitlistModel returns the read model of who waits for what, and of what was
// offered to whom.
func WaitlistModel() engine.Model {
	return engine.Model{
		Name:     "waitlist",
		Version:  1,
		Interest: domain.Filter{Categories: []string{waitlist.Category}},
		Tables: []engine.Table{
			engine.NewStreamTable("wish", wishDDL, waitlist.Category, wishKeys, evolveWish),
			engine.NewTable("asked", askedDDL, askedKeys, evolveAsked),
		},
	}
}

const wishDDL = `
create table wish (
	wish          text collate "C" not null primary key,
	patient       text collate "C" not null,
	status        text collate "C" not null,
	ended         text collate "C",
	place         bigint           not null, -- the position at which the patient joined
	since         timestamptz      not null,
	specialty     text collate "C",
	practitioners text[] collate "C",
	visit_type    text collate "C",
	clinics       text[] collate "C",
	town          text collate "C",
	district      text collate "C",
	times         text,
	earliest      text collate "C",
	latest        text collate "C",
	appointment   text collate "C",
	expires       timestamptz,
	offer_of      text collate "C",
	offer_set     bigint           not null,
	until         timestamptz,
	revision      bigint           not null
);
create index wish_open on wish (place) where status in ('waiting', 'offered');
create index wish_patient on wish (patient, place);
create index wish_place on wish (place)`

// wishRow is a wish and how it stands.
type wishRow struct {
	Wish          domain.WishID           `db:"wish"`
	Patient       domain.PatientID        `db:"patient"`
	Status        waitlist.Status         `db:"status"`
	Ended         waitlist.End            `db:"ended"`
	Place         int64                   `db:"place"`
	Since         time.Time               `db:"since"`
	Specialty     string                  `db:"specialty"`
	Practitioners []domain.PractitionerID `db:"practitioners"`
	VisitType     domain.VisitTypeID      `db:"visit_type"`
	Clinics       []domain.ClinicID       `db:"clinics"`
	Town          string                  `db:"town"`
	District      string                  `db:"district"`
	Times         string                  `db:"times"` // JSON; "" = any
	Earliest      domain.Day              `db:"earliest"`
	Latest        domain.Day              `db:"latest"`
	Appointment   domain.AppointmentID    `db:"appointment"`
	Expires       time.Time               `db:"expires"`
	OfferOf       domain.AppointmentID    `db:"offer_of"` // the appointment that is offered or was accepted
	OfferSet      int                     `db:"offer_set"`
	Until         time.Time               `db:"until"`
	Revision      domain.Revision         `db:"revision"`
}

func wishKeys(r domain.Recorded) []string {
	if _, ok := r.Event.(waitlist.Event); ok {
		return []string{r.Stream.ID()}
	}
	return nil
}

func evolveWish(row wishRow, exists bool, r domain.Recorded) (wishRow, bool) {
	event, ok := r.Event.(waitlist.Event)
	if _, joined := event.(waitlist.HasJoined); !ok || !exists && !joined {
		return row, exists
	}
	row.Revision = r.Revision
	switch e := event.(type) {
	case waitlist.HasJoined:
		row = row.of(e.Wish)
		row.Status, row.Place, row.Since, row.Expires = waitlist.Waiting, int64(r.Position), e.Since, e.Expires //nolint:gosec // positions are counted, and far from 2^63
	case waitlist.WasOffered:
		row.OfferOf, row.OfferSet, row.Until = e.Appointment, e.Set, e.Until
		row.Status = waitlist.Offered
	case waitlist.WasAccepted:
		row.Status, row.Until = waitlist.Accepted, time.Time{}
	case waitlist.HasPassed:
		row.OfferOf, row.OfferSet, row.Until = "", 0, time.Time{}
		if row.Status != waitlist.Ended {
			row.Status = waitlist.Waiting
		}
	case waitlist.HasEnded:
		row.Status, row.Ended = waitlist.Ended, e.Why
	case waitlist.WasMoved:
		row.Patient = e.Patient
	case waitlist.WasSkipped:
	}
	return row, true
}

func (row wishRow) of(w waitlist.Wish) wishRow {
	row.Patient, row.Specialty, row.Practitioners, row.VisitType = w.Patient, w.Specialty, w.Practitioners, w.VisitType
	row.Clinics, row.Town, row.District, row.Times = w.Clinics, w.Town, w.District, ""
	row.Earliest, row.Latest, row.Appointment = w.Earliest, w.Latest, w.Appointment
	if len(w.Times) > 0 {
		text, err := json.Marshal(w.Times)
		if err != nil {
			panic(err) // numbers
		}
		row.Times = string(text)
	}
	return row
}

const askedDDL = `
create table asked (
	asked        text collate "C" not null primary key, -- slot/wish
	wish         text collate "C" not null,
	slot         text collate "C" not null,
	practitioner text collate "C" not null,
	clinic       text collate "C" not null,
	start        timestamptz      not null,
	"end"        timestamptz      not null,
	position     bigint           not null,
	at           timestamptz      not null,
	rule         text collate "C",
	offer_of     text collate "C",
	offer_set    bigint           not null,
	until        timestamptz,
	accepted     boolean          not null,
	ended        text collate "C",
	ended_at     timestamptz
);
create index asked_slot on asked (slot, position);
create index asked_wish on asked (wish, position)`

// askedRow is that somebody was offered a slot, or passed over for it and by
// which rule.
type askedRow struct {
	Asked        string                `db:"asked"`
	Wish         domain.WishID         `db:"wish"`
	Slot         domain.SlotID         `db:"slot"`
	Practitioner domain.PractitionerID `db:"practitioner"`
	Clinic       domain.ClinicID       `db:"clinic"`
	Start        time.Time             `db:"start"`
	End          time.Time             `db:"end"`
	Position     int64                 `db:"position"` // of the event that says so
	At           time.Time             `db:"at"`
	Rule         string                `db:"rule"`     // "" = they were offered it
	OfferOf      domain.AppointmentID  `db:"offer_of"` // "" = they were passed over
	OfferSet     int                   `db:"offer_set"`
	Until        time.Time             `db:"until"`
	Accepted     bool                  `db:"accepted"`
	Ended        string                `db:"ended"` // how the offer ended, unless it was accepted
	EndedAt      time.Time             `db:"ended_at"`
}

func askedKeys(r domain.Recorded) []string {
	of := func(slot domain.SlotID) []string { return []string{string(slot) + "/" + r.Stream.ID()} }
	switch e := r.Event.(type) {
	case waitlist.WasSkipped:
		return of(e.Slot)
	case waitlist.WasOffered:
		return of(e.Slot)
	case waitlist.WasAccepted:
		return of(e.Slot)
	case waitlist.HasPassed:
		return of(e.Slot)
	}
	return nil
}

// evolveAsked folds what came of asking somebody. An offer that they never had is
// none.
func evolveAsked(row askedRow, exists bool, r domain.Recorded) (askedRow, bool) {
	switch e := r.Event.(type) {
	case waitlist.WasSkipped:
		row = row.about(e.Wish, e.Opening, r)
		row.Rule = e.Rule
		return row, true
	case waitlist.WasOffered:
		row = row.about(e.Wish, e.Opening, r)
		row.OfferOf, row.OfferSet, row.Until = e.Appointment, e.Set, e.Until
		return row, true
	case waitlist.WasAccepted:
		row.Accepted = true
	case waitlist.HasPassed:
		row.Accepted, row.Ended, row.EndedAt = false, e.Why, r.RecordedAt
		return row, exists && e.Why != ""
	}
	return row, exists
}

func (row askedRow) about(w domain.WishID, o waitlist.Opening, r domain.Recorded) askedRow {
	return askedRow{
		Asked: row.Asked, Wish: w, Slot: o.Slot, Practitioner: o.Practitioner, Clinic: o.Clinic, Start: o.Start, End: o.End,
		Position: int64(r.Position), At: r.RecordedAt, //nolint:gosec // see evolveWish
	}
}

// PlaceCursor is a place in a list in the order of the log. The zero value is the
// beginning.
type PlaceCursor struct{ Place int64 }

// Waiting is a wish of a list.
type Waiting struct {
	waitlist.Wish
	Status   waitlist.Status
	End      waitlist.End
	Since    time.Time
	Expires  time.Time            // zero = never
	OfferOf  domain.AppointmentID // what is offered or was accepted, "" for nothing
	OfferSet int
	Until    time.Time // when what is offered ends; zero when nothing is
	Revision domain.Revision
	Place    int64 // the position at which the patient joined
}

// Cursor returns the wish's place in a list.
func (w Waiting) Cursor() PlaceCursor { return PlaceCursor{w.Place} }

// WishFilter says which wishes a list has; zero fields do not narrow it.
type WishFilter struct {
	Patient      domain.PatientID
	Practitioner domain.PractitionerID // wishes that name this one
	Clinic       domain.ClinicID       // wishes that name this one
	Ended        bool                  // also those that are fulfilled or have ended
	After        PlaceCursor
	Limit        int // 0 is 50; at most 1000
}

// Waitlist answers who waits, and who was asked.
type Waitlist struct{ views Viewer }

// NewWaitlist returns the queries over the model waitlist.
func NewWaitlist(v Viewer) Waitlist { return Waitlist{v} }

// wishes selects what a list has of a wish.
const wishes = `
select wish, patient, status, coalesce(ended, '') as ended, place, since, coalesce(specialty, '') as specialty, practitioners,
	coalesce(visit_type, '') as visit_type, clinics, coalesce(town, '') as town, coalesce(district, '') as district,
	coalesce(times, '') as times, coalesce(earliest, '') as earliest, coalesce(latest, '') as latest,
	coalesce(appointment, '') as appointment, coalesce(expires, '0001-01-01T00:00:00Z') as expires, coalesce(offer_of, '') as offer_of,
	offer_set, coalesce(until, '0001-01-01T00:00:00Z') as until, revision
from wish`

// Wishes returns the wishes of the filter: who joined first comes first.
func (w Waitlist) Wishes(ctx context.Context, f WishFilter, least domain.Position) (List[Waiting], error) {
	limit := limited(f.Limit)
	sql, args := wishes+"\nwhere place > @after", pgx.NamedArgs{"after": f.After.Place}
	narrow := func(wanted bool, name string, value any, condition string) {
		if wanted {
			sql, args[name] = sql+"\n\tand "+condition, value
		}
	}
	narrow(f.Patient != "", "patient", f.Patient, "patient = @patient")
	narrow(f.Practitioner != "", "practitioner", f.Practitioner, "@practitioner = any(practitioners)")
	narrow(f.Clinic != "", "clinic", f.Clinic, "@clinic = any(clinics)")
	if !f.Ended {
		sql += "\n\tand status in ('waiting', 'offered')"
	}
	found, at, err := w.wishes(ctx, sql+"\norder by place"+first(limit+1), args, least)
	if err != nil {
		return List[Waiting]{}, fmt.Errorf("list wishes: %w", err)
	}
	return list(found, limit, at), nil
}

// Anybody reports whether anybody waits for anything.
func (w Waitlist) Anybody(ctx context.Context, least domain.Position) (waits bool, err error) {
	_, err = w.views.View(ctx, least, []string{"waitlist"}, func(reader engine.Reader) error {
		return reader.QueryRow(ctx, "select exists (select 1 from wish where status in ('waiting', 'offered'))").Scan(&waits)
	})
	if err != nil {
		return false, fmt.Errorf("whether anybody waits: %w", err)
	}
	return waits, nil
}

// Line returns who waits for what is free, and may be offered it or passed over:
// who joined first comes first.
func (w Waitlist) Line(ctx context.Context, free waitlist.Free, least domain.Position) ([]domain.WishID, error) {
	found, _, err := w.wishes(ctx, wishes+`
where status in ('waiting', 'offered')
	and (practitioners is null or @practitioner = any(practitioners))
	and (clinics is null or @clinic = any(clinics))
	and (specialty is null or specialty = any(@specialties))
	and (town is null or town = @town)
	and (earliest is null or earliest <= @day)
	and (latest is null or latest >= @day)
order by place`, pgx.NamedArgs{
		"practitioner": free.Practitioner, "clinic": free.Clinic, "specialties": append([]string{}, free.Specialties...), "town": free.Town,
		"day": string(domain.LocalDay(free.Start, free.Zone)),
	}, least)
	if err != nil {
		return nil, fmt.Errorf("who waits: %w", err)
	}
	var line []domain.WishID
	for _, wish := range found {
		if wish.Wants(free) {
			line = append(line, wish.ID)
		}
	}
	return line, nil
}

// OfPatient returns the wishes of a patient that have not ended.
func (w Waitlist) OfPatient(ctx context.Context, id domain.PatientID, least domain.Position) ([]domain.WishID, error) {
	found, _, err := w.wishes(ctx, wishes+`
where patient = @patient
	and status in ('waiting', 'offered')
order by place`, pgx.NamedArgs{"patient": id}, least)
	if err != nil {
		return nil, fmt.Errorf("wishes of a patient: %w", err)
	}
	ids := make([]domain.WishID, len(found))
	for i, wish := range found {
		ids[i] = wish.ID
	}
	return ids, nil
}

func (w Waitlist) wishes(ctx context.Context, sql string, args pgx.NamedArgs, least domain.Position) ([]Waiting, domain.Position, error) {
	var rows []wishRow
	at, err := w.views.View(ctx, least, []string{"waitlist"}, func(reader engine.Reader) (err error) {
		found, _ := reader.Last(ctx, sql, args)
		rows, err = pgx.CollectRows(found, pgx.RowToStructByName[wishRow])
		return err
	})
	all := make([]Waiting, len(rows))
	for i, row := range rows {
		if err == nil {
			all[i], err = row.shown()
		}
	}
	return all, at, err
}

func (row wishRow) shown() (Waiting, error) {
	w := Waiting{
		Wish: waitlist.Wish{
			ID: row.Wish, Patient: row.Patient, Specialty: row.Specialty, Practitioners: row.Practitioners, VisitType: row.VisitType,
			Clinics: row.Clinics, Town: row.Town, District: row.District, Earliest: row.Earliest, Latest: row.Latest, Appointment: row.Appointment,
		},
		Status: row.Status, End: row.Ended, Since: row.Since.UTC(), Expires: row.Expires.UTC(), OfferOf: row.OfferOf, OfferSet: row.OfferSet,
		Until: row.Until.UTC(), Revision: row.Revision, Place: row.Place,
	}
	if row.Times == "" {
		return w, nil
	}
	return w, json.Unmarshal([]byte(row.Times), &w.Times)
}

// Asked is that somebody was offered a slot, or passed over for it.
type Asked struct {
	Wish         domain.WishID
	Patient      domain.PatientID
	Slot         domain.SlotID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Start        time.Time
	End          time.Time
	Position     int64
	At           time.Time            // when they were asked, or passed over
	Rule         string               // by which they were passed over; "" = they were offered it
	OfferOf      domain.AppointmentID // "" = they were passed over
	OfferSet     int
	Until        time.Time // when the offer ends
	Accepted     bool
	Ended        string    // how the offer ended, unless it was accepted
	EndedAt      time.Time // zero while it has not
}

// Cursor returns its place in a list.
func (a Asked) Cursor() PlaceCursor { return PlaceCursor{a.Position} }

// AskedFilter says who was asked; zero fields do not narrow it.
type AskedFilter struct {
	Patient domain.PatientID
	Wish    domain.WishID
	Slot    domain.SlotID
	Offers  bool // without those who were passed over
	After   PlaceCursor
	Limit   int // 0 is 50; at most 1000
}

// Asked returns who was offered what, or passed over and by which rule, in the
// order in which it happened.
func (w Waitlist) Asked(ctx context.Context, f AskedFilter, least domain.Position) (List[Asked], error) {
	limit := limited(f.Limit)
	sql, args := `
select wish, w.patient, slot, practitioner, clinic, start, "end", position, at, coalesce(rule, '') as rule,
	coalesce(a.offer_of, '') as offer_of, a.offer_set, coalesce(a.until, '0001-01-01T00:00:00Z') as until, accepted,
	coalesce(a.ended, '') as ended, coalesce(ended_at, '0001-01-01T00:00:00Z') as ended_at
from asked a
join wish w using (wish)
where position > @after`, pgx.NamedArgs{"after": f.After.Place}
	narrow := func(wanted bool, name string, value any, condition string) {
		if wanted {
			sql, args[name] = sql+"\n\tand "+condition, value
		}
	}
	narrow(f.Patient != "", "patient", f.Patient, "w.patient = @patient")
	narrow(f.Wish != "", "wish", f.Wish, "wish = @wish")
	narrow(f.Slot != "", "slot", f.Slot, "slot = @slot")
	if f.Offers {
		sql += "\n\tand a.offer_of is not null"
	}
	var asked []Asked
	at, err := w.views.View(ctx, least, []string{"waitlist"}, func(reader engine.Reader) (err error) {
		rows, _ := reader.Last(ctx, sql+"\norder by position"+first(limit+1), args)
		asked, err = pgx.CollectRows(rows, pgx.RowToStructByName[Asked])
		return err
	})
	if err != nil {
		return List[Asked]{}, fmt.Errorf("list who was asked: %w", err)
	}
	for i := range asked {
		for _, t := range []*time.Time{&asked[i].Start, &asked[i].End, &asked[i].At, &asked[i].Until, &asked[i].EndedAt} {
			*t = t.UTC()
		}
	}
	return list(asked, limit, at), nil
}
