package projections

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// ListFreeSlots is the query of the list of free slots, and ListedModels the
// models that it is over.
var ListFreeSlots = freeSlots("") + `
	and s.start >= @now
order by s.start, s.slot
limit 50`

// For tests that look at the plan of a query.
var (
	ListedModels  = judgedModels
	SlotArguments = slotArguments
)

// Explain returns the plans of every query of a search.
func (s PractitionerSearch) Explain(ctx context.Context, r engine.Reader) (string, error) {
	e := &explaining{Reader: r}
	_, _, err := s.read(ctx, e, limited(s.Limit)+1)
	return e.plans, err
}

// With returns the search with another effort to find the first free slots.
func (s PractitionerSearch) With(few, ahead, near int) PractitionerSearch {
	s.effort = effort{few, ahead, near}
	return s
}

// With returns the filter with another effort to find the first free slots.
func (f SlotFilter) With(few, ahead, near int) SlotFilter {
	f.effort = effort{few, ahead, near}
	return f
}

// Explain returns the plans of every query of a search.
func (s ClinicSearch) Explain(ctx context.Context, r engine.Reader) (string, error) {
	e := &explaining{Reader: r}
	m, err := s.meant(ctx, e)
	if err == nil {
		sql, args := s.sql(m, time.Unix(0, 0), limited(s.Limit)+1)
		var rows pgx.Rows
		if rows, err = e.Query(ctx, sql, args); err == nil {
			rows.Close()
		}
	}
	if err == nil {
		err = offers(ctx, e, []clinicFoundRow{{Clinic: Clinic{ID: "c7"}}, {Clinic: Clinic{ID: "c8"}}}, map[domain.ClinicID][]string{})
	}
	return e.plans, err
}

// Explain returns the plans of the lists of the filter: all slots, the next of
// each practitioner, and a week of them.
func (f SlotFilter) Explain(ctx context.Context, r engine.Reader) (string, error) {
	e := &explaining{Reader: r}
	m, err := meant(ctx, e, nil, nil, f.elsewhere())
	if err == nil {
		var rows pgx.Rows
		if rows, err = f.list(ctx, e, f.From, 51, true); err == nil {
			rows.Close()
			err = rows.Err()
		}
	}
	if err == nil {
		_, err = f.next(ctx, e, m.area, f.From, 51)
	}
	if err == nil {
		_, _, err = f.days(ctx, e, m.area, Stretch{Days: 7, Most: 50}, f.From)
	}
	return e.plans, err
}

// explaining is a reader that notes the plan of every query.
type explaining struct {
	engine.Reader
	plans string
}

func (e *explaining) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, _ := e.Reader.Query(ctx, "explain (costs off)\n"+sql, args...)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	e.plans += strings.Join(lines, "\n") + "\n\n"
	return e.Reader.Query(ctx, sql, args...)
}

func (e *explaining) Last(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return e.Query(ctx, sql, args...)
}

func (e *explaining) LastUnless(ctx context.Context, condition, sql string, args ...any) (rows pgx.Rows, holds bool, err error) {
	if rows, err = e.Query(ctx, "select "+condition, args...); err == nil {
		holds, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	}
	if err != nil || holds {
		return nil, holds, err
	}
	rows, err = e.Query(ctx, sql, args...)
	return rows, false, err
}

// PopularRank returns the rank of somebody who was booked at these times.
func PopularRank(times ...time.Time) int {
	var row popularRow
	for _, at := range times {
		row = row.booked(at)
	}
	return row.Rank
}

// Picked returns what somebody who listens takes out of what was touched.
func Picked(f SlotFilter, within []domain.ClinicID, touched []TouchedSlot) []Slot {
	picked := []Slot{}
	for _, s := range touched {
		if f.holds(s, within) && f.lists(s.Status) {
			picked = append(picked, s.Slot)
		}
	}
	return picked
}

// Room is how many changes are kept for a listener.
const Room = room

// Listened hands changes to a listener who reads none of them before they are
// all there, then one more when those were read, and returns what was heard.
func Listened(ctx context.Context, unread []domain.Position, then domain.Position) []string {
	h := newHub[struct{}](nil, nil)
	l := &listener[struct{}]{hub: h, changes: make(chan change[struct{}], room)}
	h.listeners[l] = true
	var heard []string
	hear := func() {
		c, err := l.next(ctx)
		if errors.Is(err, errMissed) {
			heard = append(heard, "missed")
			return
		}
		heard = append(heard, strconv.FormatUint(uint64(c.Position), 10))
	}
	for _, p := range unread {
		h.publish(change[struct{}]{Position: p})
	}
	hear()
	h.publish(change[struct{}]{Position: then})
	hear()
	return heard
}
