package main

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections"
)

// The bare SQL is what somebody writes who has these tables and wants this
// answer, and knows PostgreSQL: in one statement, or in two where the planner
// makes much more of them.

// barePractitioner is a practitioner of a search, in the order of its columns.
type barePractitioner struct {
	ID           string
	Name         string
	Specialties  []string
	Clinics      []string
	Introduction string
	Treatments   []string
	Languages    []string
	Council      string
	State        string
	Details      struct {
		Qualifications []practitioner.Qualification
		Fees           []practitioner.Fee
	}
	Picture  string
	Reviews  int
	Stars    int
	Matched  []string
	Distance *float64
}

func (p barePractitioner) id() string { return p.ID }

const (
	bareProfile = `
select p.practitioner, p.name, p.specialties, p.clinics, coalesce(p.introduction, ''), p.treatments, p.languages, coalesce(p.council, ''),
	coalesce(p.state, ''), p.details::json, coalesce(p.picture, ''), coalesce(r.count, 0), coalesce(r.stars, 0)`

	bareUnmatched = bareProfile + `, '{}'::text[], null::float8
from practitioner p
left join rated_practitioner r on r.subject = p.practitioner
`

	bareInTown = `exists (
	select
	from clinic c
	where c.clinic = any(p.clinics) and c.town = $1 and not c.closed
)`

	bareBySpecialtyAndTown = bareUnmatched + `
where p.specialties @> array[$2::text] and ` + bareInTown + `
order by p.name, p.practitioner
limit 51`

	bareByRating = bareProfile + `, '{}'::text[], null::float8
from rated_practitioner r
join practitioner p on p.practitioner = r.subject
where p.specialties @> array[$1::text]
order by r.rank, p.practitioner
limit 51`

	bareByPopularity = bareUnmatched + `
join popular b on b.subject = p.practitioner
where ` + bareInTown + `
order by b.rank, p.practitioner
limit 51`

	// $1 is a place on a sphere of radius 1, and $2 how far away it may be.
	bareNear = `
with near as (
	select c.clinic, 2 * 6371008.8 * asin(least(c.place <-> cube($1::float8[]), 2) / 2) as distance
	from (
		select clinic, closed, ` + barePlace + ` as place
		from clinic
	) c
	where not c.closed and c.place <@ cube_enlarge(cube($1::float8[]), $2, 3) and c.place <-> cube($1::float8[]) <= $2
)`

	barePlace = `case when latitude is not null then cube(array[
			cos(radians(latitude)) * cos(radians(longitude)), cos(radians(latitude)) * sin(radians(longitude)), sin(radians(latitude))
		]) end`

	bareDistances = bareNear + `
select clinic, distance
from near`

	bareByDistance = bareProfile + `, '{}'::text[], d.distance
from (
	select p.practitioner, min(near.distance) as distance
	from unnest($1::text[], $2::float8[]) as near (clinic, distance)
	join practitioner p on p.clinics @> array[near.clinic]
	group by p.practitioner
	order by round(1000 * min(near.distance)), p.practitioner
	limit 51
) d
join practitioner p on p.practitioner = d.practitioner
left join rated_practitioner r on r.subject = p.practitioner
order by round(1000 * d.distance), p.practitioner`
)

// barePractitionersNear finds the clinics first, and then who works there: the
// planner is to see how many they are.
func (a *asking) barePractitionersNear(ctx context.Context, area projections.Area) ([]string, error) {
	rows, _ := a.bare.Query(ctx, bareDistances, around(area)...)
	var clinics []string
	var distances []float64
	var clinic string
	var distance float64
	_, err := pgx.ForEachRow(rows, []any{&clinic, &distance}, func() error {
		clinics, distances = append(clinics, clinic), append(distances, distance)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return bareQuery(ctx, a, barePractitioner.id, bareByDistance, clinics, distances)
}

// around returns the arguments of bareNear.
func around(area projections.Area) []any {
	const earth = 6371008.8 // metres
	latitude, longitude := area.Near.Latitude*math.Pi/180, area.Near.Longitude*math.Pi/180
	return []any{
		[]float64{math.Cos(latitude) * math.Cos(longitude), math.Cos(latitude) * math.Sin(longitude), math.Sin(latitude)},
		2 * math.Sin(area.Radius/earth/2),
	}
}

// bareMeant finds what a word may mean: codes of specialties and
// qualifications, and clinics.
const bareMeant = `
select
	array(select distinct code from named where kind = 'specialty' and (name like $2 or $3 and name %> $1)),
	array(select distinct code from named where kind = 'qualification' and (name like $2 or $3 and name %> $1)),
	array(select clinic from clinic where in_name like $2 or $3 and in_name %> $1)`

// bareWord is the condition that a practitioner has the word, how well it fits,
// and where it is found. The arguments of each word are numbered on.
var bareWord = struct{ condition, points, name, specialty, clinic, treatment, qualification string }{
	condition: `(p.search like $2 or $4 and p.search %> $1 or p.specialties && $5::text[] or p.learnt && $6::text[] or p.clinics && $7::text[])`,
	points: `case when p.in_name like '% ' || $1 || ' %' then 100 when p.in_name like $3 then 80 when p.in_name like $2 then 60
		when p.specialties && $5 then 50 when p.search like $2 or p.clinics && $7 or p.learnt && $6 then 40 else 10 end`,
	name: `p.in_name like $2 or $4 and p.in_name %> $1`, specialty: `p.specialties && $5`, clinic: `p.clinics && $7`,
	treatment:     `p.in_treatments like $2 or $4 and p.in_treatments %> $1`,
	qualification: `p.learnt && $6 or p.in_qualifications like $2 or $4 and p.in_qualifications %> $1`,
}

const wordArguments = 7

// numbered joins a piece of SQL for each word.
func numbered(sql, between string, words int) string {
	all := make([]string, words)
	for w := range all {
		var numbers []string
		for i := range wordArguments {
			numbers = append(numbers, "$"+string(rune('1'+i)), "$"+strconv.Itoa(w*wordArguments+i+1))
		}
		all[w] = strings.NewReplacer(numbers...).Replace(sql)
	}
	return strings.Join(all, between)
}

// barePractitionersByWords takes two statements for a word and one more: the
// planner is to see what the words mean.
func (a *asking) barePractitionersByWords(ctx context.Context, words []string) ([]string, error) {
	args, err := a.bareArguments(ctx, words)
	if err != nil {
		return nil, err
	}
	n := len(words)
	where := func(sql, name string) string {
		return "case when " + numbered(sql, " or ", n) + " then '" + name + "' end"
	}
	sql := bareProfile + `, array_remove(array[` + strings.Join([]string{
		where(bareWord.name, "name"), where(bareWord.specialty, "specialty"), where(bareWord.clinic, "clinic"),
		where(bareWord.treatment, "treatment"), where(bareWord.qualification, "qualification"),
	}, ", ") + `], null), null::float8
from (
	select p.*, ` + numbered(bareWord.points, " + ", n) + ` as points
	from practitioner p
	where ` + numbered(bareWord.condition, " and ", n) + `
	order by points desc, p.name, p.practitioner
	limit 51
) p
left join rated_practitioner r on r.subject = p.practitioner
order by p.points desc, p.name, p.practitioner`
	return bareQuery(ctx, a, barePractitioner.id, sql, args...)
}

// bareArguments looks up what the words mean and returns the arguments of
// bareWord.
func (a *asking) bareArguments(ctx context.Context, words []string) (args []any, err error) {
	for _, w := range words {
		letters := len([]rune(w))
		like := "%" + w + "%"
		if letters < 3 {
			like = "% " + w + "%"
		}
		var specialties, learnt, clinics []string
		if err := a.bare.QueryRow(ctx, bareMeant, w, like, letters >= 4).Scan(&specialties, &learnt, &clinics); err != nil {
			return nil, err
		}
		args = append(args, w, like, "% "+w+"%", letters >= 4, specialties, learnt, clinics)
	}
	return args, nil
}

// bareClinic is a clinic of a search, in the order of its columns.
type bareClinic struct {
	ID, Name, Zone, Address string
	Latitude, Longitude     *float64

	Town, District, PostalCode, Country, Phone, Email, Site, Description, Ownership string

	Closed, Open24h, Bookable bool
	Specialties, Matched      []string
	Reviews, Stars            int
	Distance                  *float64
}

const (
	bareHouse = `
select p.clinic, p.name, p.zone, coalesce(p.address, ''), p.latitude, p.longitude, coalesce(p.town, ''), coalesce(p.district, ''),
	coalesce(p.postal_code, ''), coalesce(p.country, ''), coalesce(p.phone, ''), coalesce(p.email, ''), coalesce(p.site, ''),
	coalesce(p.description, ''), coalesce(p.ownership, ''), p.closed, p.open24h,
	not p.closed and exists (
		select
		from slot s
		where s.clinic = p.clinic and s.start >= $3 and not s.withdrawn and (s.full_until is null or s.full_until <= $3)
	),
	o.specialties`

	bareOffers = `
left join (
	select c.clinic, array_agg(distinct s.specialty order by s.specialty) as specialties
	from practitioner w
	cross join unnest(w.clinics) as c (clinic)
	cross join unnest(w.specialties) as s (specialty)
	where w.clinics && array(select clinic from found)
	group by c.clinic
) o on o.clinic = p.clinic`

	bareClinicsNear = bareNear + `, found as (
	select *
	from near
	order by round(1000 * distance), clinic
	limit 51
)` + bareHouse + `, '{}'::text[], coalesce(r.count, 0), coalesce(r.stars, 0), found.distance
from found
join clinic p on p.clinic = found.clinic
left join rated_clinic r on r.subject = p.clinic` + bareOffers + `
order by round(1000 * found.distance), p.clinic`

	bareClinicsByWord = `
with found as (
	select p.*, case when p.in_name like '% ' || $1 || ' %' then 100 when p.in_name like $5 then 80 when p.in_name like $2 then 60
		when p.clinic = any($6) then 50 when p.in_address like $2 then 40 else 10 end as points
	from clinic p
	where p.search like $2 or $4 and p.search %> $1 or p.clinic = any($6)
	order by points desc, p.name, p.clinic
	limit 51
)` + bareHouse + `,
	array_remove(array[
		case when p.in_name like $2 or $4 and p.in_name %> $1 then 'name' end,
		case when p.in_address like $2 or $4 and p.in_address %> $1 then 'address' end,
		case when p.clinic = any($6::text[]) then 'specialty' end
	], null), coalesce(r.count, 0), coalesce(r.stars, 0), null::float8
from found p
left join rated_clinic r on r.subject = p.clinic` + bareOffers + `
order by p.points desc, p.name, p.clinic`

	bareOffering = `
select array(
	select distinct unnest(p.clinics)
	from practitioner p
	where p.specialties && array(select code from named where kind = 'specialty' and (name like $2 or $3 and name %> $1))
)`
)

func (a *asking) bareClinicsByWord(ctx context.Context, word string) ([]string, error) {
	letters := len([]rune(word))
	like := "%" + word + "%"
	if letters < 3 {
		like = "% " + word + "%"
	}
	var offering []string
	if err := a.bare.QueryRow(ctx, bareOffering, word, like, letters >= 4).Scan(&offering); err != nil {
		return nil, err
	}
	id := func(c bareClinic) string { return c.ID }
	return bareQuery(ctx, a, id, bareClinicsByWord, word, like, loadedAt(), letters >= 4, "% "+word+"%", offering)
}

// bareSlots are the free slots, as of $1: those of no policy's notice or
// horizon. Nobody has a limit of visits here.
const bareSlots = `
select s.slot as id, s.practitioner, s.clinic, coalesce(c.zone, '') as zone, s.start, s."end", s.places,
	s.places - (select count(*) from unnest(s.taken_until) as until where until > $1::timestamptz - interval '2 seconds')::int as free,
	'free' as status, '' as reason, null::timestamptz as held_until
from slot s
left join clinic c on c.clinic = s.clinic
left join policy pc on pc.scope = 'clinic.' || s.clinic
left join policy pp on pp.scope = 'practitioner.' || s.practitioner
where not s.withdrawn
	and (s.full_until is null or s.full_until <= $1::timestamptz - interval '2 seconds')
	and s.start > $1
	and s.start >= $1 + coalesce(nullif(pp.min_notice, -1), nullif(pc.min_notice, -1), 0) * interval '1 minute'
	and (coalesce(nullif(pp.horizon, -1), nullif(pc.horizon, -1), 0) = 0
		or s.start <= $1 + coalesce(nullif(pp.horizon, -1), nullif(pc.horizon, -1)) * interval '1 minute')`

// bareNearSlots is the condition of slots that are not farther from the place $2
// than $3, from $4 on.
const bareNearSlots = `s.clinic in (
		select c.clinic
		from (
			select clinic, closed, ` + barePlace + ` as place
			from clinic
		) c
		where not c.closed and c.place <@ cube_enlarge(cube($2::float8[]), $3, 3) and c.place <-> cube($2::float8[]) <= $3
	)
	and s.start >= $4`

// bareEarliest is a practitioner with the first free slot.
type bareEarliest struct {
	barePractitioner
	Slot, Clinic, Zone string
	Start, End         time.Time
	Places, Free       int
	Status, Reason     string
	HeldUntil          *time.Time
}

func (e bareEarliest) id() string { return e.ID }

// bareByEarliest are the practitioners of the specialty $2 by their first free
// slot as of $1, with that slot.
const bareByEarliest = bareProfile + `, '{}'::text[], null::float8,
	f.id, f.clinic, f.zone, f.start, f."end", f.places, f.free, f.status, f.reason, f.held_until
from practitioner p
left join rated_practitioner r on r.subject = p.practitioner
cross join lateral (
	select f.*
	from (` + bareSlots + `
			and s.practitioner = p.practitioner
		order by s.start, s.slot
		limit 1) f
) f
where p.specialties @> array[$2::text]
order by f.start, f.id
limit 51`

// bareNearest are the $5 free slots nearest to $4, of the practitioner $2, then
// of colleagues at the clinic $3, then of those elsewhere. What comes first is
// enough for most: the rest is not run.
var bareNearest = func() string {
	const shares = `
	and s.practitioner <> $2
	and s.practitioner in (
		select p.practitioner
		from practitioner p
		where p.specialties && (select w.specialties from practitioner w where w.practitioner = $2)
	)`
	around := func(where string) string {
		return `
(
	select *
	from (
		(` + bareSlots + where + ` and s.start >= $4 and s.start < $4 + interval '30 days' order by s.start, s.slot limit $5)
		union all
		(` + bareSlots + where + ` and s.start < $4 and s.start > $4 - interval '30 days' order by s.start desc, s.slot limit $5)
	) n
	order by greatest(start - $4, $4 - start), start, id
	limit $5
)`
	}
	return around("\n\tand s.practitioner = $2") + "\nunion all" + around("\n\tand s.clinic = $3"+shares) +
		"\nunion all" + around("\n\tand s.clinic <> $3"+shares) + "\nlimit $5"
}()

// bareVisits are the visits that are listed, as of $1.
const bareVisits = `
select a.appointment as id, case when a.status = 'pending' and a.deadline <= $1 then 'cancelled' else a.status end as status,
	a.revision, coalesce(a.patient, '') as patient, a.practitioner, a.clinic, coalesce(c.zone, '') as zone,
	a.slots, a.start, a."end", coalesce(a.visit_type, '') as visit_type, a.uses, coalesce(a.reason, 'null')::json as reason,
	coalesce(a.initiator, '') as initiator, coalesce(a.cancel_code, '') as cancel_code,
	coalesce(a.cancel_reason, 'null')::json as cancel_reason, coalesce(a.deadline, '0001-01-01T00:00:00Z') as deadline,
	coalesce(a.expected_at, '0001-01-01T00:00:00Z') as expected_at, a.overbooked,
	a.displaced and a.status in ('booked', 'arrived') as displaced, a.moves,
	coalesce(a.booked_at, '0001-01-01T00:00:00Z') as booked_at, coalesce(a.cancelled_at, '0001-01-01T00:00:00Z') as cancelled_at,
	coalesce(a.arrived_at, '0001-01-01T00:00:00Z') as arrived_at, coalesce(a.started_at, '0001-01-01T00:00:00Z') as started_at,
	coalesce(a.finished_at, '0001-01-01T00:00:00Z') as finished_at
from appointment a
left join clinic c on c.clinic = a.clinic
where a.listed`

// bareEntry is a line of a day sheet, in the order of its columns.
type bareEntry struct {
	Slot, Clinic, Zone   string
	Start, End           time.Time
	Places, Free         int
	Withdrawn            bool
	FullUntil            *time.Time
	Appointment, Patient string
	VisitType, Status    string
	Listed, Displaced    *bool
	ExpectedAt, Deadline *time.Time
	Overbooked           *bool
}

// bareDay is the day $3 of the practitioner $2, as of $1: the slots, and who is
// in them.
const bareDay = `
select s.slot, s.clinic, coalesce(c.zone, ''), s.start, s."end", s.places,
	greatest(coalesce(nullif(s.wanted, 0), s.places) - (select count(*) from unnest(s.taken_until) as until where until > $1)::int, 0),
	s.withdrawn, s.full_until, coalesce(a.appointment, ''), coalesce(a.patient, ''), coalesce(a.visit_type, ''), coalesce(a.status, ''),
	a.listed, a.displaced, a.expected_at, a.deadline, a.overbooked
from slot s
left join clinic c on c.clinic = s.clinic
left join lateral (
	select distinct a.*
	from unnest(s.taken_by) as claim (owner)
	join appointment a on a.appointment = substr(split_part(claim.owner, '/', 1), length('appointment-') + 1)
	where s.slot = any(a.slots)
		and (a.status in ('booked', 'arrived', 'checked-in', 'fulfilled', 'noshow') or a.status = 'pending' and a.deadline > $1)
) a on true
where s.practitioner = $2
	and s.start >= $3::date - interval '26 hours'
	and s.start < $3::date + interval '50 hours'
	and (s.start at time zone coalesce(c.zone, 'UTC'))::date = $3::date
order by s.start, s.slot, a.appointment`

// barePatient is a patient of a search, in the order of its columns.
type barePatient struct {
	ID                   string
	Name, Email, Phone   domain.Sealed
	Search               string
	Guardian, MergedInto string
}

const barePatients = `
select patient, coalesce(name, 'null')::json, coalesce(email, 'null')::json, coalesce(phone, 'null')::json, search, coalesce(guardian, ''),
	coalesce(merged_into, '')
from patient
where search like $1 and merged_into is null
order by search, patient
limit 51`
