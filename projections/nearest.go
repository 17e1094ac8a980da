package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// Wish is a time that somebody wanted.
type Wish struct {
	Practitioner domain.PractitionerID
	Clinic       domain.ClinicID
	Start        time.Time
	VisitType    domain.VisitTypeID // whose policy counts, too
	Staff        bool               // who wants it is staff: the policy does not count
}

// Nearest returns up to n slots that are free and to be booked now, that start after now, those that suit
// best first: of the same practitioner, then of others at the same clinic who
// share a specialty with the practitioner (anybody there, when the practitioner
// has none), then of others elsewhere who share one; among each, by the distance of
// the start from the wanted one, then by start and id. It looks no further
// than 30 days from the wanted start. Others are looked for only when the
// practitioner has too few, and then a moment later.
func (a Availability) Nearest(ctx context.Context, w Wish, now time.Time, n int) ([]Slot, error) {
	args := slotArguments(now)
	args["practitioner"], args["clinic"], args["start"] = w.Practitioner, w.Clinic, w.Start
	args["visit_type"] = string(w.VisitType)
	slots := judgedSlots(w.VisitType)
	if w.Staff {
		slots = slotQuery
	}
	nearest, err := a.first(ctx, around(slots+samePractitioner, n), args)
	if err == nil && len(nearest) < n {
		var others []Slot
		others, err = a.first(ctx, around(slots+sameClinic, n), args)
		nearest = append(nearest, others...)
	}
	if err == nil && len(nearest) < n {
		var others []Slot
		others, err = a.first(ctx, around(slots+elsewhere, n), args)
		nearest = append(nearest, others...)
	}
	if err != nil {
		return nil, fmt.Errorf("nearest slots: %w", err)
	}
	return nearest[:min(n, len(nearest))], nil
}

// first returns the slots of a query that is a view by itself.
func (a Availability) first(ctx context.Context, sql string, args pgx.NamedArgs) (slots []Slot, err error) {
	_, err = a.views.View(ctx, 0, judgedModels(), func(r engine.Reader) error {
		rows, err := (&query{}).last(ctx, r, sql, args)
		if err != nil {
			return err
		}
		slots, err = collectSlots(rows)
		return err
	})
	return slots, err
}

// The groups of Nearest, in their order.
const (
	samePractitioner = `
	and s.practitioner = @practitioner`

	colleagues = `
	and s.practitioner <> @practitioner
	and exists (
		select
		from practitioner p
		left join practitioner wanted on wanted.practitioner = @practitioner
		where p.practitioner = s.practitioner and `

	sameClinic = `
	and s.clinic = @clinic` + colleagues + `(wanted.specialties is null or p.specialties && wanted.specialties)
	)`

	elsewhere = `
	and s.clinic <> @clinic` + colleagues + `p.specialties && wanted.specialties
	)`
)

// around returns the first n free slots of a query that start nearest to @start,
// read from there in both directions.
func around(slots string, n int) string {
	return `
select *
from (
	(` + slots + free + `
	and s.start > @now
	and s.start >= @start
	and s.start < @start + interval '30 days'
	order by s.start, s.slot` + first(n) + `)
	union all
	(` + slots + free + `
	and s.start > @now
	and s.start < @start
	and s.start > @start - interval '30 days'
	order by s.start desc, s.slot` + first(n) + `)
) near
order by greatest(start - @start, @start - start), start, id` + first(n)
}
