package projections

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/projections/engine"
)

// The refusals of a search over time.
var (
	ErrOpenAt = domain.Refusal(domain.Refused, "search.open-at", "nothing is open for booking that late yet, so nobody knows who will be there: weekday tells who works on such a day")
	errStarts = domain.ErrBadPeriod.Because("a period begins before it ends")
)

// ByEarliest is the order of who has a free slot first, and then of the slot's
// id. Who has none is not found.
const ByEarliest Sort = "earliest"

// Starting is when a slot is to start.
type Starting struct {
	From time.Time // zero, or in the past: the time of asking
	To   time.Time // starts lie before it; zero: no end
}

func (s Starting) check(now time.Time) error {
	if !s.To.IsZero() && !s.from(now).Before(s.To) && !s.From.Before(s.To) {
		return errStarts
	}
	return nil
}

// from returns the first start that can be free.
func (s Starting) from(now time.Time) time.Time {
	if s.From.After(now) {
		return s.From
	}
	return now
}

// here returns the condition that slot s of a known practitioner is of a clinic
// in the area, where there is one: a case, since the planner is not to take
// the index by clinic for it, which has everybody's slots.
func (q *query) here() string {
	if area := q.clinics(); area != "" {
		return "\n\t\tand case when s.clinic = any(" + area + ") then true else false end"
	}
	return ""
}

// there returns the condition that a row, by its alias, is of a clinic in the
// area, where there is one.
func (q *query) there(alias string) string {
	if area := q.clinics(); area != "" {
		return "\n\t\tand " + alias + ".clinic = any(" + area + ")"
	}
	return ""
}

// clinics returns those of the area, as an array; "" of everywhere.
func (q *query) clinics() string {
	if q.with != "" {
		return "array(select a.clinic from area a)"
	}
	if _, ok := q.args["area"]; ok {
		return "@area::text[]"
	}
	return ""
}

// openBySlot returns the condition that a slot of practitioner p that is not
// withdrawn, booked or not, covers @open_at. Of those that began before it only
// the last can, for a practitioner's slots do not overlap until they are
// withdrawn.
func (q *query) openBySlot() string {
	return `(
	select s."end"
	from slot s
	where s.practitioner = p.practitioner and s.start <= @open_at and s.start > @open_after and not s.withdrawn` + q.here() + `
	order by s.start desc, s.slot desc
	limit 1
) > @open_at`
}

// worksOn returns the condition that practitioner p has hours on @weekday, a
// bit, by a pattern that is in force or will be. Offset 0 has it looked up for
// each practitioner that is looked at, and not for all of them first.
func (q *query) worksOn() string {
	return `exists (
	select
	from working_week w
	join clinic wc on wc.clinic = w.clinic and not wc.closed
	where w.practitioner = p.practitioner and w.weekdays & @weekday <> 0
		and (w.valid_until is null or w.valid_until >= to_char(@now at time zone wc.zone, 'YYYY-MM-DD'))` + q.there("w") + `
	offset 0
)`
}

// openClinic is the condition that clinic p is open at @open_at: it says so
// itself, or says nothing and a slot of anybody there covers the instant.
const openClinic = `not p.closed and (p.clinic = any(@open::text[]) or not exists (
	select
	from calendar h
	where h.clinic = p.clinic
	offset 0
) and exists (
	select
	from slot s
	where s.clinic = p.clinic and s.start <= @open_at and s.start > @open_after and s."end" > @open_at and not s.withdrawn
	offset 0
))`

// openAt adds what the conditions of openness go by.
func (q *query) openAt(at time.Time, condition string) {
	q.narrow(true, condition, "open_at", at)
	q.args["open_after"] = at.Add(-schedule.MaxSlotMinutes * time.Minute)
}

// lastQuery gives the slot that starts last of all.
const lastQuery = `
select s.start
from slot s
order by s.start desc, s.slot desc
limit 1`

// opened returns [ErrOpenAt] for an instant that lies behind every slot.
func opened(ctx context.Context, r engine.Reader, at time.Time) error {
	rows, err := r.Query(ctx, lastQuery)
	if err != nil {
		return err
	}
	last, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err == nil && len(last) > 0 && !at.Before(last[0].Add(schedule.MaxSlotMinutes*time.Minute)) {
		err = ErrOpenAt
	}
	return err
}

// asked adds what the judgement of slots goes by.
func (q *query) asked(now time.Time, visitType domain.VisitTypeID, s Starting) {
	q.args["now"], q.args["expired"], q.args["forever"] = now, now.Add(-appointment.ClockSlack), forever()
	q.visitType = visitType
	q.args["visit_type"], q.args["free_from"] = string(visitType), s.from(now)
	if !s.To.IsZero() {
		q.args["free_to"] = s.To
	}
}

// firstFree returns the query of the first slot of practitioner p that can be
// booked and starts when it is to.
func (q *query) firstFree() string {
	return freeSlots(q.visitType) + `
	and s.practitioner = p.practitioner` + q.starts() + q.here() + `
	order by s.start, s.slot
	limit 1`
}

// nextFree are the columns of a slot f, as [earliestRow] has them, and outOf
// names them where they are taken out of what was found.
const (
	nextFree = `, f.id as slot, f.clinic as at, f.zone, f.start, f."end", f.places, f.free, f.status, f.reason, f.held_until`
	outOf    = `, f.slot, f.at, f.zone, f.start, f."end", f.places, f.free, f.status, f.reason, f.held_until`
)

// starts returns the condition that slot s starts when it is to.
func (q *query) starts() string {
	if _, ok := q.args["free_to"]; ok {
		return "\n\t\tand s.start >= @free_from and s.start < @free_to"
	}
	return "\n\t\tand s.start >= @free_from"
}

// effort is how practitioners are found among many, and their first free slots.
type effort struct {
	few   int // so few that each one's first free slot is looked up
	ahead int // how many slots are walked through in the order of time before everybody is looked up
	near  int // how many clinics of an area a practitioner's are compared with one by one; with more, those of the practitioner are looked up
}

func (e effort) orUsual() effort {
	if e == (effort{}) {
		return effort{few: 500, ahead: 20_000, near: 300}
	}
	return e
}

// soonest returns the query of the practitioners p of the conditions in the
// order of their first free slots f, with more columns of either. It looks
// everybody up, or walks through the next slots t. That walk is to keep its
// order and to end early: so practitioners are looked up slot by slot, and
// nothing tells the planner that the slots t and f are the same.
func (q *query) soonest(walk bool, after TimeCursor, columns string) string {
	from, where, order := "practitioner p", slices.Clone(q.where), "f.start, f.id"
	beyond := func(string) string { return "" }
	if after.ID != "" {
		q.args["after"], q.args["after_id"] = after.Start, after.ID
		beyond = func(place string) string {
			return fmt.Sprintf("(%s) > (@after, @after_id)", place)
		}
	}
	switch {
	case walk:
		from = "(" + q.nextSlots(beyond("s.start, s.slot")) + "\n) t\ncross join lateral (select * from practitioner p where p.practitioner = t.practitioner offset 0) p"
		where = append(where, "f.id is not distinct from t.slot", "not t.withdrawn", "(t.full_until is null or t.full_until <= @expired)")
		order = "t.start, t.slot"
	case after.ID != "":
		where = append(where, beyond("f.start, f.id"))
	}
	return "select p.practitioner" + nextFree + columns + "\nfrom " + from + q.joins +
		"\ncross join lateral (" + q.firstFree() + "\n) f" + (&query{where: where}).conditions() +
		"\norder by " + order + "\nlimit @limit"
}

// nextSlots returns the query of the slots that start next, as many as are
// walked through.
func (q *query) nextSlots(beyond string) string {
	if beyond != "" {
		beyond = "\n\t\tand " + beyond
	}
	return `
	select s.slot, s.practitioner, s.start, s.withdrawn, s.full_until
	from slot s
	where true` + q.starts() + q.there("s") + beyond + `
	order by s.start, s.slot
	limit @ahead`
}

// many is the condition that more practitioners may meet the conditions than are
// looked up one by one; "" when there are none.
func (q *query) many(few int) string {
	if len(q.where) == 0 && q.joins == "" {
		return ""
	}
	return fmt.Sprintf("(select count(*) > %d from (select\nfrom practitioner p%s%s%s) m)", few, q.joins, q.conditions(), first(few+1))
}

// walked reads the rows of a query of the soonest, which looks everybody up where
// they are few. Where many may be wanted it walks through the next slots, and
// looks everybody up where that does not find enough.
func walked[T any](ctx context.Context, r engine.Reader, q *query, with effort, sql func(walk bool) string) ([]T, error) {
	many := q.many(with.few)
	walk := many == ""
	if !walk {
		rows, otherwise, err := plainly(ctx, r, many, sql(false), q.args)
		if err == nil && !otherwise {
			return pgx.CollectRows(rows, pgx.RowToStructByName[T])
		}
		if err == nil {
			err = r.QueryRow(ctx, "select "+many, q.args).Scan(&walk)
		}
		if err != nil {
			return nil, err
		}
	}
	q.args["ahead"] = with.ahead
	for {
		text, err := q.unlimited(ctx, r, sql(walk))
		if err != nil {
			return nil, err
		}
		rows, err := r.Query(ctx, text, q.args)
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
		if err != nil || !walk || len(found) == q.args["limit"] {
			return found, err
		}
		walk = false
	}
}
