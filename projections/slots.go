package projections

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections/engine"
)

// SlotStatus is FHIR R4's Slot.status.
type SlotStatus string

// The statuses.
const (
	Free            SlotStatus = "free"             // a place can be had
	Busy            SlotStatus = "busy"             // every place is taken for good
	BusyTentative   SlotStatus = "busy-tentative"   // every place is taken, some only until a deadline
	BusyUnavailable SlotStatus = "busy-unavailable" // withdrawn by the clinic, or not to be booked now
	AnyStatus       SlotStatus = "any"              // of a filter only: all of these
)

// Slot is a slot as it is at the time of asking.
type Slot struct {
	ID           domain.SlotID
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Zone         string // the clinic's, an IANA name; empty while the clinic is unknown
	domain.Period
	Places int // in all
	Free   int // that can be had; 0 when the slot is unavailable
	Status SlotStatus
	Reason string // the rule that makes it unavailable; "" in any other status

	HeldUntil *time.Time // until when it is busy-tentative unless something happens; nil in any other status
}

// Cursor returns the slot's place in a list.
func (s Slot) Cursor() TimeCursor { return TimeCursor{s.Start, string(s.ID)} }

// SlotFilter says which slots a list has; zero fields do not narrow it.
type SlotFilter struct {
	Practitioners []domain.PractitionerID // any of these; empty = anybody
	Specialties   []string                // the practitioner has any of these; empty = whatever they have
	Area          Area                    // where the slot's clinic is
	VisitType     domain.VisitTypeID      // whose policy counts, too; it leaves no slot out by itself
	From          time.Time               // the first start
	To            time.Time               // starts lie before it
	Status        SlotStatus              // "" is Free
	After         TimeCursor
	Limit         int              // 0 is 50; at most 1000
	AsOf          *domain.Position // the list as it was when the log ended here; nil = as it is
	effort        effort
}

// Availability answers what is free.
type Availability struct {
	views   Viewer
	streams Streams // nil = nobody asks for lists as they were
}

// NewAvailability returns the queries over the models availability, directory,
// policies and appointments.
func NewAvailability(v Viewer) Availability { return Availability{views: v} }

// WithPast returns the queries with lists as they were, too, which are folded out
// of the streams.
func (a Availability) WithPast(streams Streams) Availability {
	a.streams = streams
	return a
}

// slotQuery gives every slot as its claims say that it is at a time. A claim
// counts until ClockSlack after its deadline: @expired is that much before the
// time.
const slotQuery = slotColumns + `
cross join (select '' as refusal) r
where true`

// judgedSlots returns the query of every slot as anybody can have it at a time,
// who wants a visit type or none: one that is free, but not to be booked now, is
// unavailable.
func judgedSlots(v domain.VisitTypeID) string { return slotColumns + judgedFor(v) + "\nwhere true" }

// freeSlots returns the query of the slots that anybody can have: those of
// judgedSlots that are free. What judges them is asked for once, and need not be
// worked out before the rest.
func freeSlots(v domain.VisitTypeID) string {
	return freeColumns + strings.Replace(judgedFor(v), "\n\toffset 0", "", 1) + "\nwhere true" + free
}

const (
	slotTerms = `
select s.slot as id, s.practitioner, s.clinic, coalesce(c.zone, '') as zone, s.start, s."end", s.places,
	case`

	slotPlaces = `
		when s.taken_by is null then coalesce(nullif(s.wanted, 0), s.places)
		else greatest(coalesce(nullif(s.wanted, 0), s.places) - (
			select count(distinct split_part(claim.owner, '/', 1))
			from unnest(s.taken_by, s.taken_until) as claim (owner, until)
			where claim.until > @expired
		), 0)
	end as free,`

	fromSlots = `
from slot s
left join clinic c on c.clinic = s.clinic`

	freeColumns = slotTerms + slotPlaces + ` 'free' as status, '' as reason, null::timestamptz as held_until` + fromSlots
)

const slotColumns = slotTerms + `
		when s.withdrawn or r.refusal <> '' then 0` + slotPlaces + `
	case
		when s.withdrawn then 'busy-unavailable'
		when s.full_until > @expired and s.full_until < @forever then 'busy-tentative'
		when s.full_until > @expired then 'busy'
		when r.refusal <> '' then 'busy-unavailable'
		else 'free'
	end as status,
	case
		when s.withdrawn then 'slot.withdrawn'
		when s.full_until > @expired then ''
		else r.refusal
	end as reason,
	case when not s.withdrawn and s.full_until > @expired and s.full_until < @forever then s.full_until end as held_until` + fromSlots

const (
	untaken = `
	and not s.withdrawn
	and (s.full_until is null or s.full_until <= @expired)`

	// The planner takes a case for true of half the rows, and an equality for
	// true of a few, which would make it read all rows and sort them.
	free = untaken + `
	and case r.refusal when '' then true else false end`
)

// ofStatus returns the condition that a slot has the status. It repeats what
// judgedSlots says, in a form that costs little for the slots that are left
// out.
func ofStatus(status SlotStatus) string {
	switch status {
	case "", Free:
		return free
	case Busy:
		return "\n\tand not s.withdrawn\n\tand s.full_until >= @forever"
	case BusyTentative:
		return "\n\tand not s.withdrawn\n\tand s.full_until > @expired\n\tand s.full_until < @forever"
	case BusyUnavailable:
		return "\n\tand (s.withdrawn or (s.full_until is null or s.full_until <= @expired) and r.refusal <> '')"
	case AnyStatus:
		return ""
	}
	return "\n\tand false"
}

// judgedModels returns the models that judgedSlots is over.
func judgedModels() []string {
	return []string{"availability", "directory", "policies", "appointments"}
}

func slotArguments(now time.Time) pgx.NamedArgs {
	return pgx.NamedArgs{"forever": forever(), "expired": now.Add(-appointment.ClockSlack), "now": now, "visit_type": ""}
}

// List returns the slots of the filter as they are at an instant, in the order
// of start and id. With AsOf the instant is that of the position, and a page
// that would take more than [MostPast] slots is refused.
// Errors: [ErrNear], [ErrRadius], [ErrPastTooBroad].
func (a Availability) List(ctx context.Context, f SlotFilter, now time.Time, least domain.Position) (List[Slot], error) {
	limit := limited(f.Limit)
	var slots []Slot
	was, err := a.past(ctx, f, least)
	if err != nil {
		return List[Slot]{}, fmt.Errorf("list slots: %w", err)
	}
	at, err := a.looked(ctx, f, was, least, judgedModels(), func(r engine.Reader) error {
		rows, err := f.list(ctx, r, now, limit+1, was == nil)
		if err != nil {
			return err
		}
		slots, err = collectSlots(rows)
		return err
	})
	if err == nil && len(slots) <= limit {
		err = was.whole()
	}
	if err != nil {
		return List[Slot]{}, fmt.Errorf("list slots: %w", err)
	}
	return list(slots, limit, at), nil
}

// looked runs read over the models; over how the rows were, when there is a past.
func (a Availability) looked(
	ctx context.Context, f SlotFilter, was *past, least domain.Position, models []string, read func(r engine.Reader) error,
) (domain.Position, error) {
	if err := f.Area.Check(); err != nil {
		return 0, err
	}
	return was.view(ctx, a.views, least, models, read)
}

// view is looked with the clinics of the filter's area, nil for everywhere.
func (a Availability) view(
	ctx context.Context, f SlotFilter, was *past, least domain.Position, models []string, read func(r engine.Reader, area []string) error,
) (domain.Position, error) {
	return a.looked(ctx, f, was, least, models, func(r engine.Reader) error {
		m, err := meant(ctx, r, nil, nil, f.elsewhere())
		if err != nil {
			return err
		}
		return read(r, m.area)
	})
}

// elsewhere returns the area as far as the slots do not tell it themselves: a
// clinic alone needs no look at the directory.
func (f SlotFilter) elsewhere() Area {
	if f.Area == (Area{Clinic: f.Area.Clinic}) {
		return Area{}
	}
	return f.Area
}

// sql returns the query of the slots of the filter, without an order.
func (f SlotFilter) sql(area []string, now time.Time) (string, pgx.NamedArgs) {
	args := slotArguments(now)
	args["visit_type"] = string(f.VisitType)
	return f.ofStatus() + f.where(area, args), args
}

// ofStatus returns the query of the slots that have the status of the filter.
func (f SlotFilter) ofStatus() string {
	if f.Status == "" || f.Status == Free {
		return freeSlots(f.VisitType)
	}
	return judgedSlots(f.VisitType) + ofStatus(f.Status)
}

// where returns the conditions of the filter on slots s, but for the status.
func (f SlotFilter) where(area []string, args pgx.NamedArgs) (sql string) {
	narrow := func(wanted bool, name string, value any, condition string) {
		if wanted {
			sql, args[name] = sql+"\n\tand "+condition, value
		}
	}
	switch len(f.Practitioners) {
	case 0:
	case 1: // an equality, whose index gives the slots in their order
		narrow(true, "practitioner", f.Practitioners[0], "s.practitioner = @practitioner")
	default:
		narrow(true, "practitioners", f.Practitioners, "s.practitioner = any(@practitioners)")
	}
	narrow(f.Area.Clinic != "", "clinic", f.Area.Clinic, "s.clinic = @clinic")
	narrow(area != nil, "area", area, "s.clinic = any(@area::text[])")
	narrow(len(f.Specialties) > 0, "specialties", f.Specialties, `s.practitioner in (
		select p.practitioner
		from practitioner p
		where p.specialties && @specialties::text[]
	)`)
	narrow(!f.From.IsZero(), "from", f.From, "s.start >= @from")
	narrow(!f.To.IsZero(), "to", f.To, "s.start < @to")
	narrow(f.After.ID != "", "after", f.After.Start, "(s.start, s.slot) > (@after, @after_id)")
	args["after_id"] = f.After.ID
	return sql
}

// list runs the last query of a view: the first slots of the filter. Those in an
// area of few clinics are read clinic by clinic where the tables are, whose
// indexes give the next of each.
func (f SlotFilter) list(ctx context.Context, r engine.Reader, now time.Time, limit int, tables bool) (pgx.Rows, error) {
	if tables && f.elsewhere() != (Area{}) && len(f.Practitioners) == 0 && len(f.Specialties) == 0 {
		rows, broad, err := f.clinicByClinic(ctx, r, now, limit)
		if err != nil || !broad {
			return rows, err
		}
	}
	m, err := meant(ctx, r, nil, nil, f.elsewhere())
	if err != nil {
		return nil, err
	}
	sql, args := f.sql(m.area, now)
	return (&query{}).last(ctx, r, sql+"\norder by s.start, s.slot"+first(limit), args)
}

// clinicByClinic runs the last query of a view, when the area has few clinics
// and nobody has set limits: the next slots of each clinic, and of those the
// first.
func (f SlotFilter) clinicByClinic(ctx context.Context, r engine.Reader, now time.Time, limit int) (rows pgx.Rows, broad bool, err error) {
	const few = 60
	q := &query{args: slotArguments(now)}
	q.args["visit_type"] = string(f.VisitType)
	area, box, _ := q.area(f.Area, "a")
	clinics := "\nfrom clinic a\nwhere not a.closed" + area + box
	next := `
select s.slot, s.start` + fromSlots + judgedFor(f.VisitType) + `
where s.clinic = a.clinic` + ofStatus(f.Status) + f.where(nil, q.args) + "\norder by s.start, s.slot" + first(limit)
	sql := f.ofStatus() + `
	and s.slot = any(array(
		select n.slot
		from (select a.clinic` + clinics + `) a
		cross join lateral (` + next + `) n
		order by n.start, n.slot` + first(limit) + `
	))
order by s.start, s.slot`
	return plainly(ctx, r, fmt.Sprintf("(select count(*) > %d from (select%s%s) a)", few, clinics, first(few+1)), sql, q.args)
}

// Next returns the first slot of each practitioner that somebody can book, of
// the filter without its status, in the order of start and id.
// AsOf is as in [Availability.List].
// Errors: [ErrNear], [ErrRadius], [ErrPastTooBroad].
func (a Availability) Next(ctx context.Context, f SlotFilter, now time.Time, least domain.Position) (List[Slot], error) {
	limit := limited(f.Limit)
	var slots []Slot
	all := f
	all.After = TimeCursor{} // whoever was listed before has later slots, too
	was, err := a.past(ctx, all, least)
	if err != nil {
		return List[Slot]{}, fmt.Errorf("list next slots: %w", err)
	}
	at, err := a.view(ctx, f, was, least, judgedModels(), func(r engine.Reader, area []string) (err error) {
		slots, err = f.next(ctx, r, area, now, limit+1)
		return err
	})
	if err == nil && len(slots) <= limit {
		err = was.whole()
	}
	if err != nil {
		return List[Slot]{}, fmt.Errorf("list next slots: %w", err)
	}
	return list(slots, limit, at), nil
}

func (f SlotFilter) next(ctx context.Context, r engine.Reader, area []string, now time.Time, limit int) ([]Slot, error) {
	q := &query{args: pgx.NamedArgs{"limit": limit}}
	if area == nil && f.Area.Clinic != "" {
		area = []string{string(f.Area.Clinic)}
	}
	q.narrow(area != nil, "p.clinics && @area::text[]", "area", area)
	q.narrow(len(f.Practitioners) > 0, "p.practitioner = any(@practitioners)", "practitioners", f.Practitioners)
	q.narrow(len(f.Specialties) > 0, "p.specialties && @specialties::text[]", "specialties", f.Specialties)
	q.asked(now, f.VisitType, Starting{f.From, f.To})
	slots, err := walked[Slot](ctx, r, q, f.effort.orUsual(), func(walk bool) string {
		return `
select f.slot as id, f.practitioner, f.at as clinic, f.zone, f.start, f."end", f.places, f.free, f.status, f.reason, f.held_until
from (` + q.soonest(walk, f.After, "") + "\n) f\norder by f.start, f.slot"
	})
	return inUTC(slots), err
}

func querySlots(ctx context.Context, r engine.Reader, sql string, args pgx.NamedArgs) ([]Slot, error) {
	sql, err := (&query{}).unlimited(ctx, r, sql)
	if err != nil {
		return nil, err
	}
	rows, _ := r.Query(ctx, sql, args)
	return collectSlots(rows)
}

func collectSlots(rows pgx.Rows) ([]Slot, error) {
	slots, err := pgx.CollectRows(rows, pgx.RowToStructByName[Slot])
	return inUTC(slots), err
}

func inUTC(slots []Slot) []Slot {
	for i, s := range slots {
		slots[i] = s.inUTC()
	}
	return slots
}
