package projections

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// figures are the key figures by group.
type figures map[KPIGroup]*KPI

func (f figures) of(g KPIGroup) *KPI {
	if f[g] == nil {
		f[g] = &KPI{KPIGroup: g}
	}
	return f[g]
}

// kpiPart is one query over the facts of one table.
type kpiPart struct {
	from    string // joins the facts f to the days d
	where   string
	instant string // at which a practitioner has the specialties that count
	columns string // what is counted
	band    string // what is counted apart, "" for nothing
	// values returns what the columns are scanned into, the band first, and what
	// then notes them.
	values func() (into []any, note func(k *KPI))
}

// add adds what the query found.
func (p kpiPart) add(f figures, rows pgx.Rows) error {
	var g KPIGroup
	into, note := p.values()
	into = append([]any{&g.Period, &g.Clinic, &g.Practitioner, &g.Specialty}, into...)
	_, err := pgx.ForEachRow(rows, into, func() error {
		note(f.of(g))
		return nil
	})
	return err
}

// sql returns the query of a part. Each fact belongs to one day of its clinic,
// and is found by an index over the clinic or practitioner and its instant.
func (f KPIFilter) sql(p kpiPart) string {
	dimension := func(wanted bool, column string) string {
		if wanted {
			return column
		}
		return "''"
	}
	specialties, where := "cross join (select '') s (specialty)", p.where
	if f.By.Specialty || f.Specialty != "" {
		specialties = `left join practised h on h.practitioner = f.practitioner
cross join lateral unnest(coalesce(
	nullif(string_to_array(h.specialties[greatest(width_bucket(` + p.instant + `, h.since), 1)], E'\n'), '{}'), array['']
)) s (specialty)`
	}
	if f.Practitioner != "" {
		where += "\n\tand f.practitioner = @practitioner"
	}
	if f.Specialty != "" {
		where += "\n\tand s.specialty = @specialty"
	}
	band, groups := "", "1, 2, 3, 4"
	if p.band != "" {
		band, groups = p.band+", ", "1, 2, 3, 4, 5"
	}
	return `
select d.period, ` + dimension(f.By.Clinic, "d.clinic") + `, ` + dimension(f.By.Practitioner, "f.practitioner") + `,
	` + dimension(f.By.Specialty, "s.specialty") + `, ` + band + p.columns + `
from unnest(@clinics::text[], @days::text[], @zones::text[], @periods::text[], @starts::timestamptz[], @ends::timestamptz[])
	as d (clinic, day, zone, period, starts, ends)
` + p.from + `
` + specialties + `
where ` + where + `
group by ` + groups + `
order by ` + groups + `
limit @most`
}

// kpiParts returns the queries of which key figures are made.
func kpiParts() []kpiPart {
	return []kpiPart{accessPart(), offeredPart(), leadPart(), noShowPart(), waitPart(), requestPart()}
}

// spread are the columns of a [Spread] of seconds.
func spread(seconds string) string {
	return `count(` + seconds + `),
	coalesce(percentile_disc(0.5) within group (order by ` + seconds + `), 0),
	coalesce(percentile_disc(0.9) within group (order by ` + seconds + `), 0)`
}

// took is the whole seconds between two instants, not less than none.
func took(from, to string) string {
	return `greatest(floor(extract(epoch from ` + to + ` - ` + from + `)), 0)::bigint`
}

type spreadValues struct{ count, p50, p90 int64 }

func (v *spreadValues) into() []any { return []any{&v.count, &v.p50, &v.p90} }

func (v *spreadValues) spread() Spread {
	return Spread{int(v.count), time.Duration(v.p50) * time.Second, time.Duration(v.p90) * time.Second}
}

// accessPart looks at the beginning of every day of every practitioner at every
// clinic for the third place that was free then, and was to begin then or
// later. Nothing is open for longer than [schedule.MaxHorizonDays], so no more
// than that is looked through.
func accessPart() kpiPart {
	const open = `
	where o.practitioner = f.practitioner
		and o.clinic = d.clinic
		and o.start >= d.starts
		and o.start < d.starts + interval '368 days'`
	const free = `o.free[width_bucket(d.starts, o.changed)]::integer`
	return kpiPart{
		from: `join practised f on f.clinics @> array[d.clinic]
left join lateral (
	select (o.start at time zone d.zone)::date - d.day::date as third
	from slot o
	cross join lateral generate_series(1, ` + free + `)` + open + `
		and (o.full_since is null or o.full_since > d.starts)
	order by o.start, o.slot
	offset 2
	limit 1
) t on true`,
		where: `d.starts <= @now
	and exists (
		select from slot o` + open + `
		and ` + free + ` >= 0
	)`,
		instant: `d.starts`,
		columns: `count(*), count(*) filter (where t.third is null), coalesce(round(avg(t.third), 2), 0)::float8,
	coalesce(percentile_disc(0.5) within group (order by t.third), 0),
	coalesce(percentile_disc(0.9) within group (order by t.third), 0)`,
		values: func() ([]any, func(*KPI)) {
			var v Access
			return []any{&v.Days, &v.BookedOut, &v.Average, &v.Median, &v.P90}, func(k *KPI) { k.Access = v }
		},
	}
}

// offeredPart counts what was offered, how much of it was booked, and what
// became of the places that cancellations gave back.
func offeredPart() kpiPart {
	const seconds = `extract(epoch from f."end" - f.start)`
	return kpiPart{
		from:    `join slot f on f.clinic = d.clinic and f.start >= d.starts and f.start < d.ends`,
		where:   `not f.withdrawn`,
		instant: `f.start`,
		columns: `sum(` + seconds + `)::bigint, round(sum(` + seconds + ` * f.booked / coalesce(nullif(f.wanted, 0), f.places)))::bigint,
	sum(f.freed)::bigint, sum(f.filled)::bigint`,
		values: func() ([]any, func(*KPI)) {
			var offered, booked int64
			var fill Fill
			return []any{&offered, &booked, &fill.Freed, &fill.Filled}, func(k *KPI) {
				k.Utilisation = Utilisation{time.Duration(offered) * time.Second, time.Duration(booked) * time.Second}
				k.Fill = fill
			}
		},
	}
}

const visitsOfDays = `join appointment f on f.clinic = d.clinic and f.start >= d.starts and f.start < d.ends`

// leadPart measures from the booking of the time that a visit had in the end.
func leadPart() kpiPart {
	return kpiPart{
		from:    visitsOfDays,
		where:   `f.status in ('booked', 'arrived', 'checked-in', 'fulfilled', 'noshow') and f.booked_at is not null`,
		instant: `f.start`,
		columns: spread(took("f.booked_at", "f.start")),
		values: func() ([]any, func(*KPI)) {
			var v spreadValues
			return v.into(), func(k *KPI) { k.Lead = v.spread() }
		},
	}
}

// noShowPart counts who came and who did not, by the days of the calendar
// between booking and visit.
func noShowPart() kpiPart {
	const days = `(f.start at time zone d.zone)::date - (f.booked_at at time zone d.zone)::date`
	return kpiPart{
		from:    visitsOfDays,
		where:   `f.status in ('arrived', 'checked-in', 'fulfilled', 'noshow') and f.booked_at is not null`,
		instant: `f.start`,
		band:    `greatest(width_bucket(` + days + `, ` + bandStarts + `), 1)`,
		columns: `count(*), count(*) filter (where f.status = 'noshow')`,
		values: func() ([]any, func(*KPI)) {
			var band, visits, missed int
			return []any{&band, &visits, &missed}, func(k *KPI) {
				k.NoShows = append(k.NoShows, Band{Bands()[band-1], visits, missed})
			}
		},
	}
}

// waitPart measures from when somebody came to the first call, or to the begin
// of the service when that was earlier or nobody called.
func waitPart() kpiPart {
	return kpiPart{
		from:    `join waited f on f.clinic = d.clinic and f.since >= d.starts and f.since < d.ends`,
		where:   `(f.called_at is not null or f.started_at is not null)`,
		instant: `f.since`,
		columns: spread(took("f.since", "least(f.called_at, f.started_at)")),
		values: func() ([]any, func(*KPI)) {
			var v spreadValues
			return v.into(), func(k *KPI) { k.Wait = v.spread() }
		},
	}
}

// requestPart measures from a request to its approval.
func requestPart() kpiPart {
	return kpiPart{
		from:    `join requested f on f.clinic = d.clinic and f.requested_at >= d.starts and f.requested_at < d.ends`,
		where:   `true`,
		instant: `f.requested_at`,
		columns: `count(*), count(*) filter (where f.answer = 'approved'), count(*) filter (where f.answer = 'declined'),
	count(*) filter (where f.answer = 'lapsed'), ` + spread(`case when f.answer = 'approved' then `+took("f.requested_at", "f.answered_at")+` end`),
		values: func() ([]any, func(*KPI)) {
			var v Requests
			var approval spreadValues
			return append([]any{&v.Requested, &v.Approved, &v.Declined, &v.Lapsed}, approval.into()...), func(k *KPI) {
				k.Requests = v
				k.Requests.Approval = approval.spread()
			}
		},
	}
}
