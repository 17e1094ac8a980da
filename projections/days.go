package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// Stretch is days that follow each other.
type Stretch struct {
	First domain.Day // "" = the first that has a slot
	Days  int        // how many, 1 or more
	Most  int        // slots of one day
}

// SlotDay is a date with the slots that start on it where their clinics are.
type SlotDay struct {
	Day   domain.Day
	Slots []Slot // in the order of start and id
	More  bool   // the day has more than these
}

// Cursor returns the day itself.
func (d SlotDay) Cursor() domain.Day { return d.Day }

// Days returns every date of the stretch with its slots of the filter, those
// without any included. There is more when a later date has a slot. Without a
// slot from a stretch that does not say where it begins there are no days.
// AsOf is as in [Availability.List]; whether a later date has a slot is not
// looked for beyond [MostPast] slots: there may be more then.
// Errors: [ErrNear], [ErrRadius], [ErrPastTooBroad].
func (a Availability) Days(ctx context.Context, f SlotFilter, s Stretch, now time.Time, least domain.Position) (List[SlotDay], error) {
	var days []SlotDay
	more := false
	stretch := f
	if s.First != "" {
		stretch.From = s.First.Start().Add(-dayBegins)
	}
	was, err := a.past(ctx, stretch, least)
	if err != nil {
		return List[SlotDay]{}, fmt.Errorf("list days of slots: %w", err)
	}
	at, err := a.view(ctx, f, was, least, append(judgedModels(), "hours"), func(r engine.Reader, area []string) (err error) {
		days, more, err = f.days(ctx, r, area, s, now)
		return err
	})
	if err == nil && was.whole() != nil {
		more = true
		if len(days) == 0 || was.until.Before(days[len(days)-1].Day.Add(1).Start().Add(dayEnds)) {
			err = was.whole()
		}
	}
	if err != nil {
		return List[SlotDay]{}, fmt.Errorf("list days of slots: %w", err)
	}
	return List[SlotDay]{days, more, at}, nil
}

func (f SlotFilter) days(ctx context.Context, r engine.Reader, area []string, s Stretch, now time.Time) (days []SlotDay, more bool, err error) {
	first, read := s.First, s.Days
	if first == "" {
		slots, err := f.firstOf(ctx, r, area, now, "")
		if err != nil || len(slots) == 0 {
			return nil, false, err
		}
		// No slot is on an earlier date; where it is later than that, the stretch
		// begins with days without slots.
		first, read = domain.DayOf(slots[0].Start.Add(-dayEnds)), s.Days+2
	}
	if days, err = f.dated(ctx, r, area, Stretch{first, read, s.Most}, now); err != nil {
		return nil, false, err
	}
	for s.First == "" && len(days) > s.Days && len(days[0].Slots) == 0 {
		days = days[1:]
	}
	days = days[:s.Days]
	later, err := f.firstOf(ctx, r, area, now, days[len(days)-1].Day.Add(1))
	return days, len(later) > 0, err
}

// A date begins and ends this far from that of UTC at most.
const (
	dayBegins = 14 * time.Hour // before
	dayEnds   = 12 * time.Hour // behind
)

// localDate is the date of a slot where its clinic is.
const localDate = `(s.start at time zone coalesce(c.zone, 'UTC'))::date`

// firstOf returns the first slot of the filter that starts on a date or a later
// one, if there is any.
func (f SlotFilter) firstOf(ctx context.Context, r engine.Reader, area []string, now time.Time, from domain.Day) ([]Slot, error) {
	sql, args := f.sql(area, now)
	if from != "" {
		sql += "\n\tand s.start >= @earliest\n\tand " + localDate + " >= @first::text::date"
		args["earliest"], args["first"] = from.Start().Add(-dayBegins), string(from)
	}
	return querySlots(ctx, r, sql+"\norder by s.start, s.slot\nlimit 1", args)
}

// datesQuery gives the instants between which it is a date anywhere where there
// is a clinic, of dates that follow each other.
const datesQuery = `
select min((d.day)::timestamp at time zone z.zone) as begins, max((d.day + 1)::timestamp at time zone z.zone) as ends
from (select @first::text::date + n as day from generate_series(0, @days::int - 1) as n) d
cross join (select zone from zone union select 'UTC') z
group by d.day
order by d.day`

// dated returns each date of a stretch with its slots. Each date is a query of
// its own, with instants that the planner sees: it reads the slots in their
// order then, and ends early.
func (f SlotFilter) dated(ctx context.Context, r engine.Reader, area []string, s Stretch, now time.Time) ([]SlotDay, error) {
	rows, err := r.Query(ctx, datesQuery, pgx.NamedArgs{"first": string(s.First), "days": s.Days})
	if err != nil {
		return nil, err
	}
	bounds, err := pgx.CollectRows(rows, pgx.RowToStructByName[struct{ Begins, Ends time.Time }])
	if err != nil {
		return nil, err
	}
	days := make([]SlotDay, len(bounds))
	for i, b := range bounds {
		sql, args := f.sql(area, now)
		day := s.First.Add(i)
		args["date"], args["begins"], args["ends"], args["limit"] = string(day), b.Begins, b.Ends, s.Most+1
		slots, err := querySlots(ctx, r, sql+onDate, args)
		if err != nil {
			return nil, err
		}
		days[i] = SlotDay{Day: day, Slots: slots[:min(len(slots), s.Most)], More: len(slots) > s.Most}
	}
	return days, nil
}

// onDate keeps the slots of a date. The planner takes a case for true of half
// the rows; of those between the instants most are on the date.
const onDate = `
	and s.start >= @begins
	and s.start < @ends
	and case when ` + localDate + ` = @date::text::date then true else false end
order by s.start, s.slot
limit @limit`
