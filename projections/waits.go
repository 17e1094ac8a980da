package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/projections/engine"
)

// WaitsModel returns the read model of waits: what the queues have taught, every
// forecast that was made of somebody's wait, and what became of them.
func WaitsModel() engine.Model {
	return engine.Model{
		Name:     "waits",
		Version:  2,
		Interest: domain.Filter{Categories: []string{queue.Category}},
		Tables: []engine.Table{
			engine.NewSource("line", lineDDL, lineKeys, evolveLine, "wait"),
			engine.NewAdded[waitRow]("wait", waitDDL),
			engine.NewTable("outcome", outcomeDDL, outcomeKeys, evolveOutcome),
		},
	}
}

const lineDDL = `
create table line (
	line  text collate "C" not null primary key,
	watch text collate "C" not null
)`

// lineRow is what the forecasts of the queues of one practitioner or service go
// by.
type lineRow struct {
	Line  string `db:"line"`
	Watch string `db:"watch"` // queue.Watch as JSON: names nobody
}

const waitDDL = `
create table wait (
	wait     text collate "C" not null primary key,
	line     text collate "C" not null,
	day      text collate "C" not null,
	ticket   bigint      not null,
	position bigint      not null,
	clinic   text collate "C" not null,
	joining  boolean     not null,
	made_at  timestamptz not null,
	ahead    bigint      not null,
	band     bigint      not null,
	p50      timestamptz not null,
	p90      timestamptz not null,
	basis    text collate "C" not null
);
create index wait_line on wait (line, day, ticket, position desc);
create index wait_clinic on wait (clinic, day);
create index wait_day on wait (day)`

// waitRow is one forecast. It is never changed.
type waitRow struct {
	Wait     string          `db:"wait"` // the event's position and the ticket
	Line     string          `db:"line"`
	Day      domain.Day      `db:"day"`
	Ticket   int             `db:"ticket"`
	Position int64           `db:"position"` // of the event at which it was made
	Clinic   domain.ClinicID `db:"clinic"`
	Joining  bool            `db:"joining"` // it was made when the person joined
	MadeAt   time.Time       `db:"made_at"`
	Ahead    int             `db:"ahead"`
	Band     int             `db:"band"` // the hour band at the clinic
	P50      time.Time       `db:"p50"`
	P90      time.Time       `db:"p90"`
	Basis    queue.Basis     `db:"basis"`
}

const outcomeDDL = `
create table outcome (
	outcome text collate "C" not null primary key, -- line/day/ticket
	called  timestamptz[],
	gone    timestamptz[]
)`

// outcomeRow is when somebody was called or began, and when they were gone
// without: each perhaps several times, when they returned.
type outcomeRow struct {
	Outcome string      `db:"outcome"`
	Called  []time.Time `db:"called"`
	Gone    []time.Time `db:"gone"`
}

func lineKeys(r domain.Recorded) []string {
	entry, _ := aboutQueue(r)
	return key(entry.Line())
}

// aboutQueue returns whom an event of a queue is about, and when it happened.
func aboutQueue(r domain.Recorded) (queue.Entry, time.Time) {
	e, ok := r.Event.(queue.Event)
	if !ok {
		return queue.Entry{}, time.Time{}
	}
	return queue.About(e, r.RecordedAt)
}

func evolveLine(row lineRow, exists bool, r domain.Recorded, add func(string, waitRow)) (lineRow, bool) {
	var w queue.Watch
	if exists {
		if err := json.Unmarshal([]byte(row.Watch), &w); err != nil {
			panic(err)
		}
	}
	e, ok := r.Event.(queue.Event)
	if !ok {
		return row, exists
	}
	entry, _ := queue.About(e, r.RecordedAt)
	w, at, forecasts := w.After(e, r.RecordedAt)
	for _, f := range forecasts {
		id := fmt.Sprintf("%d.%d", r.Position, f.Ticket)
		add(id, waitRow{
			Wait: id, Line: row.Line, Day: entry.Day, Ticket: f.Ticket, Position: int64(r.Position), Clinic: f.Clinic, //nolint:gosec // positions are below 2^63
			Joining: f.Joining, MadeAt: at.UTC().Truncate(time.Microsecond), Ahead: f.Before, Band: f.Band, P50: f.P50.UTC(), P90: f.P90.UTC(), Basis: f.Basis,
		})
	}
	text, err := json.Marshal(w)
	if err != nil {
		panic(err)
	}
	row.Watch = string(text)
	return row, true
}

func outcomeKeys(r domain.Recorded) []string {
	switch r.Event.(type) {
	case queue.WasCalled, queue.HasStarted, queue.HasLeft, queue.WasMissed, queue.WasWithdrawn, queue.WasTransferred:
		entry, _ := aboutQueue(r)
		return []string{outcomeKey(entry.Line(), entry.Day, entry.Ticket)}
	}
	return nil
}

func outcomeKey(line string, day domain.Day, ticket int) string {
	return line + "/" + string(day) + "/" + strconv.Itoa(ticket)
}

func evolveOutcome(row outcomeRow, _ bool, r domain.Recorded) (outcomeRow, bool) {
	_, at := aboutQueue(r)
	at = at.UTC().Truncate(time.Microsecond)
	switch r.Event.(type) {
	case queue.WasCalled, queue.HasStarted:
		row.Called = append(slices.Clone(row.Called), at)
	default:
		row.Gone = append(slices.Clone(row.Gone), at)
	}
	return row, true
}

// Wait is the latest forecast of somebody who waits.
type Wait struct {
	Line   string
	Ticket int
	MadeAt time.Time
	P50    time.Time // called by then with probability 0.5
	P90    time.Time // and with probability 0.9
	Basis  queue.Basis
}

// Waits answers how long people wait, and how good the forecasts of it were.
type Waits struct{ views Viewer }

// NewWaits returns the queries over the model waits.
func NewWaits(v Viewer) Waits { return Waits{v} }

// Latest returns the latest forecast of everybody who has a ticket in the queues
// of a day: what was said of who does not wait any more, too. With asOf it is the
// latest that had been made when the log ended there.
func (w Waits) Latest(ctx context.Context, lines []string, day domain.Day, asOf *domain.Position, least domain.Position) ([]Wait, error) {
	var found []Wait
	last := domain.Position(math.MaxInt64)
	if asOf != nil {
		last, least = *asOf, max(least, *asOf)
	}
	_, err := w.views.View(ctx, least, []string{"waits"}, func(r engine.Reader) (err error) {
		rows, _ := r.Query(ctx, `
select distinct on (line, ticket) line, ticket, made_at, p50, p90, basis
from wait
where line = any(@lines) and day = @day and position <= @last
order by line, ticket, position desc`, pgx.NamedArgs{"lines": lines, "day": day, "last": int64(last)}) //nolint:gosec // positions are below 2^63
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[Wait])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("forecasts of waits: %w", err)
	}
	for i := range found {
		found[i].MadeAt, found[i].P50, found[i].P90 = found[i].MadeAt.UTC(), found[i].P50.UTC(), found[i].P90.UTC()
	}
	return found, nil
}

// AccuracyFilter says which forecasts are judged; zero fields do not narrow it.
type AccuracyFilter struct {
	Clinic domain.ClinicID
	Line   string // a practitioner, or "clinic.service"
	From   domain.Day
	To     domain.Day // and this day, too
}

// Accuracy is how good forecasts of waits were.
type Accuracy struct {
	Joining     bool        // of those alone that were made when people joined
	Basis       queue.Basis // of those alone with this basis; "" = all
	Band        int         // of those alone of the hour band that begins at this hour; -1 = all
	Made        int         // forecasts
	Settled     int         // of whom was called or served
	Left        int         // of whom was gone before
	MedianError int         // seconds between P50 and the call, of the settled ones
	AboveP90    int         // called later than P90, of the settled ones; a tenth is wanted
	BelowP50    int         // called before P50, of the settled ones; a half is wanted
}

// Accuracy returns how good the forecasts of some days were: first in all, then
// by basis, then by hour band, of all of them and of those made at joining.
// Without any the list is empty.
func (w Waits) Accuracy(ctx context.Context, f AccuracyFilter, least domain.Position) ([]Accuracy, domain.Position, error) {
	var found []Accuracy
	at, err := w.views.View(ctx, least, []string{"waits"}, func(r engine.Reader) (err error) {
		rows, _ := r.Query(ctx, accuracyQuery(f), pgx.NamedArgs{"clinic": f.Clinic, "line": f.Line, "from": f.From, "to": f.To})
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[Accuracy])
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("accuracy of waits: %w", err)
	}
	return found, at, nil
}

// accuracyQuery names only the conditions that there are, so that an index
// serves them.
func accuracyQuery(f AccuracyFilter) string {
	where := ""
	for _, c := range []struct {
		given bool
		sql   string
	}{
		{f.Clinic != "", "\n\t\tand w.clinic = @clinic"},
		{f.Line != "", "\n\t\tand w.line = @line"},
		{f.From != "", "\n\t\tand w.day >= @from"},
		{f.To != "", "\n\t\tand w.day <= @to"},
	} {
		if c.given {
			where += c.sql
		}
	}
	return `
with said as (
	select w.joining, w.basis, w.band, w.p50, w.p90,
		(select min(c) from unnest(o.called) c where c >= w.made_at) as called_at,
		(select min(g) from unnest(o.gone) g where g >= w.made_at) as gone_at
	from wait w
	left join outcome o on o.outcome = w.line || '/' || w.day || '/' || w.ticket
	where true` + where + `
), settled as (
	select joining, basis, band, p50, p90,
		case when called_at <= coalesce(gone_at, called_at) then called_at end as called_at,
		coalesce(gone_at < coalesce(called_at, 'infinity'), false) as is_gone
	from said
)
select which.joining, coalesce(basis, '') as basis, coalesce(band, -1) as band,
	count(*) as made,
	count(called_at) as settled,
	count(*) filter (where is_gone) as "left",
	coalesce(percentile_disc(0.5) within group (order by abs(extract(epoch from called_at - p50))::bigint) filter (where called_at is not null), 0)
		as median_error,
	count(*) filter (where called_at > p90) as above_p90,
	count(*) filter (where called_at < p50) as below_p50
from settled
join (values (false), (true)) which (joining) on settled.joining or not which.joining
group by grouping sets ((which.joining), (which.joining, basis), (which.joining, band))
order by which.joining, grouping(band) desc, grouping(basis) desc, basis, band`
}
