package projections

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// ListFreeSlots is the query of the list of free slots, and ListedModels the
// models that it is over.
const ListFreeSlots = judgedSlotQuery + free + `
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
	m, err := meant(ctx, e, s.Words, s.Named, s.Area)
	if err == nil {
		sql, args := s.sql(m, limited(s.Limit)+1)
		var rows pgx.Rows
		if rows, err = e.Query(ctx, sql, args); err == nil {
			rows.Close()
		}
	}
	return e.plans, err
}

// Explain returns the plans of every query of a search.
func (s ClinicSearch) Explain(ctx context.Context, r engine.Reader) (string, error) {
	e := &explaining{Reader: r}
	m, err := meant(ctx, e, s.Words, s.Named, Area{})
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

// PopularRank returns the rank of somebody who was booked at these times.
func PopularRank(times ...time.Time) int {
	var row popularRow
	for _, at := range times {
		row = row.booked(at)
	}
	return row.Rank
}
