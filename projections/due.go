package projections

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/waitlist"
	"github.com/slotbook/slotbook/projections/engine"
)

// DueModel returns the read model of what is to be done at some instant.
func DueModel() engine.Model {
	return engine.Model{
		Name:     "due",
		Version:  2,
		Interest: domain.Filter{Categories: []string{appointment.Category, waitlist.Category}},
		Tables: []engine.Table{
			engine.NewStreamTable("due", dueDDL("due"), appointment.Category, dueKeys, evolveDue),
			engine.NewStreamTable("due_wish", dueDDL("due_wish"), waitlist.Category, dueWishKeys, evolveDueWish),
		},
	}
}

func dueDDL(table string) string {
	return `
create table ` + table + ` (
	due       text collate "C" not null primary key,
	deadline  text collate "C" not null,
	kind      text collate "C" not null,
	owner     text collate "C" not null,
	set       bigint           not null,
	due_at    timestamptz      not null,
	suspended boolean          not null
);
create index ` + table + `_at on ` + table + ` (due_at, due) where not suspended`
}

// dueRow is a deadline. An appointment has at most one of each sort: of the
// set that is in decision, of the one that is held or requested, and of a
// patient who is to come.
type dueRow struct {
	Due       string            `db:"due"`      // the owner and the sort
	Deadline  string            `db:"deadline"` // its id
	Kind      string            `db:"kind"`
	Owner     domain.StreamName `db:"owner"`
	Set       int               `db:"set"`
	DueAt     time.Time         `db:"due_at"`
	Suspended bool              `db:"suspended"` // it is not due unless what was noted last is undone
}

// The sorts of deadlines of an appointment.
const (
	dueDecision = "/decision"
	dueHold     = "/hold" // or request
	dueNoShow   = "/no-show"
)

func dueKeys(r domain.Recorded) []string {
	of := func(sorts ...string) []string {
		for i, sort := range sorts {
			sorts[i] = string(r.Stream) + sort
		}
		return sorts
	}
	switch r.Event.(type) {
	case appointment.WasProposed:
		return of(dueDecision)
	case appointment.WasRenewed:
		return of(dueHold)
	case appointment.WasHeld, appointment.WasRequested, appointment.WasRefused, appointment.HasLapsed, appointment.WasReleased,
		appointment.WasDeclined:
		return of(dueDecision, dueHold)
	case appointment.WasBooked, appointment.WasCancelled:
		return of(dueDecision, dueHold, dueNoShow)
	case appointment.HasArrived, appointment.WasCheckedIn, appointment.WasMissed, appointment.WasReverted:
		return of(dueNoShow)
	}
	return nil
}

func evolveDue(row dueRow, exists bool, r domain.Recorded) (dueRow, bool) {
	row.Owner = r.Stream
	hold := strings.HasSuffix(row.Due, dueHold)
	switch e := r.Event.(type) {
	case appointment.WasProposed:
		return row.lapsing(e.Set, e.Deadline), true
	case appointment.WasHeld:
		return row.lapsing(e.Set, e.Deadline), hold
	case appointment.WasRequested:
		return row.lapsing(e.Set, e.Deadline), hold
	case appointment.WasRenewed:
		return row.lapsing(e.Set, e.Deadline), exists
	case appointment.WasRefused:
		return row, exists && row.Set != e.Set
	case appointment.HasLapsed:
		return row, exists && row.Set != e.Set
	case appointment.WasReleased:
		return row, exists && row.Set != e.Set
	case appointment.WasBooked:
		if strings.HasSuffix(row.Due, dueNoShow) && !e.MissedAt.IsZero() {
			return row.at(appointment.DueNoShow, e.Set, e.MissedAt), true
		}
		return row, false
	case appointment.HasArrived:
		row.Suspended = true
		return row, exists
	case appointment.WasReverted:
		row.Suspended = row.Suspended && e.Status != appointment.Booked
		return row, exists
	}
	return row, false
}

// lapsing is the row of a set that whoever likes may end from then on.
func (row dueRow) lapsing(set int, deadline time.Time) dueRow {
	return row.at(appointment.DueLapse, set, deadline.Add(appointment.ClockSlack))
}

func (row dueRow) at(kind string, set int, at time.Time) dueRow {
	row.Kind, row.Set, row.DueAt, row.Suspended = kind, set, at, false
	row.Deadline = row.deadline().ID()
	return row
}

func (row dueRow) deadline() domain.Deadline {
	return domain.Deadline{Kind: row.Kind, Owner: row.Owner, Set: row.Set, At: row.DueAt.UTC()}
}

func dueWishKeys(r domain.Recorded) []string {
	switch r.Event.(type) {
	case waitlist.HasJoined, waitlist.WasAccepted, waitlist.HasPassed, waitlist.HasEnded:
		return []string{string(r.Stream)}
	}
	return nil
}

// evolveDueWish folds when a wish ends because its latest date is over. It is not
// due once what was offered is accepted, unless that comes to nothing.
func evolveDueWish(row dueRow, exists bool, r domain.Recorded) (dueRow, bool) {
	row.Owner = r.Stream
	switch e := r.Event.(type) {
	case waitlist.HasJoined:
		return row.at(waitlist.DueExpire, 0, e.Expires), !e.Expires.IsZero()
	case waitlist.WasAccepted:
		row.Suspended = true
	case waitlist.HasPassed:
		row.Suspended = false
	case waitlist.HasEnded:
		return row, false
	}
	return row, exists
}

// deadlines is what is due at some instant, unless what is suspended stays so.
const deadlines = `
with due as not materialized (
	select due, deadline, kind, owner, set, due_at
	from due
	where not suspended
	union all
	select due, deadline, kind, owner, set, due_at
	from due_wish
	where not suspended
)`

// Agenda is what is due at an instant, and when to ask again.
type Agenda struct {
	Due   []domain.Deadline // what was due first comes first
	Next  time.Time         // when more is due, in business time; zero = nothing is
	Retry time.Time         // when something that is due may be tried again, by the machine's clock; zero = nothing is
}

// Due answers what is due.
type Due struct{ views Viewer }

// NewDue returns the queries over the model due.
func NewDue(v Viewer) Due { return Due{v} }

// At returns what is due at an instant of business time and may be tried now, by
// the machine's clock: what is settled, with somebody, or failed a moment ago
// is left out.
func (d Due) At(ctx context.Context, at, now time.Time, limit int, least domain.Position) (Agenda, error) {
	args := pgx.NamedArgs{"at": at, "now": now, "limit": limited(limit)}
	var agenda Agenda
	_, err := d.views.View(ctx, least, []string{"due"}, func(reader engine.Reader) error {
		rows, _ := reader.Query(ctx, deadlines+`
select kind, owner, set, due_at as at
from due
where due_at <= @at
	and not exists (
		select 1
		from slotbook.deadline_attempt a
		where a.deadline = due.deadline and (a.settled_at is not null or a.next_try > @now)
	)
order by due_at, due
limit @limit`, args)
		due, err := pgx.CollectRows(rows, pgx.RowToStructByName[domain.Deadline])
		if err != nil {
			return err
		}
		var next, retry *time.Time
		agenda = Agenda{Due: due}
		err = reader.QueryRow(ctx, deadlines+`
select
	(select min(due_at) from due where due_at > @at),
	(select min(a.next_try)
		from due
		join slotbook.deadline_attempt a on a.deadline = due.deadline
		where due.due_at <= @at and a.settled_at is null and a.next_try > @now)`, args).Scan(&next, &retry)
		agenda.Next, agenda.Retry = known(next), known(retry)
		return err
	})
	if err != nil {
		return Agenda{}, fmt.Errorf("what is due: %w", err)
	}
	for i := range agenda.Due {
		agenda.Due[i].At = agenda.Due[i].At.UTC()
	}
	return agenda, nil
}

// known returns an instant in UTC, zero for none.
func known(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
