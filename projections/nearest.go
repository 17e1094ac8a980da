package projections

import (
	"context"
	"fmt"
	"time"

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
// than 30 days from the wanted start.
func (a Availability) Nearest(ctx context.Context, w Wish, now time.Time, n int) ([]Slot, error) {
	args := slotArguments(now)
	args["practitioner"], args["clinic"], args["start"] = w.Practitioner, w.Clinic, w.Start
	args["visit_type"] = string(w.VisitType)
	query := judgedSlotQuery
	if w.Staff {
		query = slotQuery
	}
	var nearest []Slot
	_, err := a.views.View(ctx, 0, judgedModels(), func(r engine.Reader) error {
		nearest = nil
		query, err := unlimited(ctx, r, query)
		if err != nil {
			return err
		}
		for _, suits := range []string{samePractitioner, sameClinic, elsewhere} {
			slots, err := querySlots(ctx, r, around(query+suits, n), args)
			if err != nil {
				return err
			}
			if nearest = append(nearest, slots...); len(nearest) >= n {
				nearest = nearest[:n]
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("nearest slots: %w", err)
	}
	return nearest, nil
}

// The groups that Nearest tries in turn.
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
