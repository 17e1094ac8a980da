package projections

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/projections/engine"
)

// PoliciesModel returns the read model of what clinics, practitioners and visit
// types allow, as far as lists of slots go by it, and of what is counted for
// practitioners. Which terms are in force, the
// query finds out: those of the visit type before those of the practitioner
// before those of the clinic.
func PoliciesModel() engine.Model {
	return engine.Model{
		Name:     "policies",
		Version:  2, // who has limits
		Interest: domain.Filter{Categories: []string{policy.Category, quota.Category}},
		Tables: []engine.Table{
			engine.NewTable("policy", policyDDL, policyKeys, evolvePolicy),
			engine.NewTable("quota", quotaDDL, quotaKeys, evolveQuota),
		},
	}
}

const policyDDL = `
create table policy (
	scope             text collate "C" not null primary key, -- kind.id
	min_notice        bigint           not null,             -- minutes, as the horizon; -1 says nothing, as below
	horizon           bigint           not null,
	practitioner_day  bigint           not null,
	practitioner_week bigint           not null
);
create index policy_limit on policy (scope) where practitioner_day > 0 or practitioner_week > 0`

type policyRow struct {
	Scope            string `db:"scope"`
	MinNotice        int    `db:"min_notice"`
	Horizon          int    `db:"horizon"`
	PractitionerDay  int    `db:"practitioner_day"`
	PractitionerWeek int    `db:"practitioner_week"`
}

func policyKeys(r domain.Recorded) []string {
	if e, ok := r.Event.(policy.WasSet); ok {
		return []string{e.Kind + "." + e.ID}
	}
	return nil
}

func evolvePolicy(p policyRow, exists bool, r domain.Recorded) (policyRow, bool) {
	e, ok := r.Event.(policy.WasSet)
	if !ok {
		return p, exists
	}
	return policyRow{
		e.Kind + "." + e.ID, orNothing(e.MinNotice), orNothing(e.Horizon), orNothing(e.PractitionerDay), orNothing(e.PractitionerWeek),
	}, true
}

// orNothing tells a term of 0 from one that says nothing.
func orNothing(term *int) int {
	if term == nil {
		return -1
	}
	return *term
}

const quotaDDL = `
create table quota (
	quota   text collate "C" not null primary key, -- rule.practitioner.bucket
	counted text[] collate "C"
)`

// quotaRow is a quota of a practitioner with what is counted: appointment/set.
// What a claim is worth, the query finds out of the appointment.
type quotaRow struct {
	Quota   string   `db:"quota"`
	Counted []string `db:"counted"`
}

func quotaKeys(r domain.Recorded) []string {
	q, ok := quota.Parse(r.Stream)
	if ok && (q.Rule == quota.PractitionerDay || q.Rule == quota.PractitionerWeek) {
		return []string{r.Stream.ID()}
	}
	return nil
}

func evolveQuota(q quotaRow, exists bool, r domain.Recorded) (quotaRow, bool) {
	switch e := r.Event.(type) {
	case quota.Booked:
		if c := countedText(e.Counted); !slices.Contains(q.Counted, c) {
			q.Counted = append(slices.Clone(q.Counted), c)
		}
		q.Quota = r.Stream.ID()
		return q, true
	case quota.Released:
		gone := countedText(e.Counted)
		q.Counted = slices.DeleteFunc(slices.Clone(q.Counted), func(c string) bool { return c == gone })
		return q, exists && len(q.Counted) > 0
	}
	return q, exists
}

func countedText(c quota.Counted) string { return string(c.Appointment) + "/" + strconv.Itoa(c.Set) }

// judged joins to slots s at clinics c the refusal of the policy, or that they
// have started: the rule by which a booking is refused now whoever the patient
// is, or nothing. It says what the write path says by the same terms. The visits of
// a practitioner's day or week are counted only where there is a limit. Offset
// 0 has it worked out once for a row, and not wherever it is mentioned.
const judged = `
left join policy pc on pc.scope = 'clinic.' || s.clinic
left join policy pp on pp.scope = 'practitioner.' || s.practitioner` + ofVisitType + `
cross join lateral (
	select
		coalesce(nullif(pv.min_notice, -1), nullif(pp.min_notice, -1), nullif(pc.min_notice, -1), 0) * interval '1 minute' as notice,
		coalesce(nullif(pv.horizon, -1), nullif(pp.horizon, -1), nullif(pc.horizon, -1), 0) * interval '1 minute' as horizon,
		coalesce(nullif(pv.practitioner_day, -1), nullif(pp.practitioner_day, -1), nullif(pc.practitioner_day, -1), 0) as a_day,
		coalesce(nullif(pv.practitioner_week, -1), nullif(pp.practitioner_week, -1), nullif(pc.practitioner_week, -1), 0) as a_week
) terms
cross join lateral (
	select case
		when s.start <= @now then 'appointment.past'
		when s.start < @now + terms.notice then 'policy.notice'
		when terms.horizon > interval '0' and s.start > @now + terms.horizon then 'policy.horizon'` + limits + `
		else ''
	end as refusal
	offset 0
) r`

// ofVisitType is how judged knows the policy of a visit type.
const ofVisitType = "\nleft join policy pv on pv.scope = 'visit-type.' || @visit_type"

// judgedAlike is judged for those who ask for no visit type: the same, looking
// for the policy of none.
var judgedAlike = regexp.MustCompile(`nullif\(pv\.\w+, -1\), `).ReplaceAllString(strings.Replace(judged, ofVisitType, "", 1), "")

// judgedFor returns judged for those who ask for a visit type, or "" for none.
func judgedFor(v domain.VisitTypeID) string {
	if v == "" {
		return judgedAlike
	}
	return judged
}

// limits are what judged says of visits that are counted. They are seldom set,
// and the planner takes them for so dear that it makes detours around them: see
// unlimited.
const limits = `
		when terms.a_day > 0 and terms.a_day <= ` + visitsOfDay + ` then 'quota.practitioner-day'
		when terms.a_week > 0 and terms.a_week <= ` + visitsOfWeek + ` then 'quota.practitioner-week'`

// limitsSet is whether anybody has set limits.
const limitsSet = "exists (select from policy where practitioner_day > 0 or practitioner_week > 0)"

// plainly runs the last query of a view, of judged slots without limits, where a
// condition does not hold and nobody has set any.
func plainly(ctx context.Context, r engine.Reader, unless, sql string, args pgx.NamedArgs) (rows pgx.Rows, otherwise bool, err error) {
	if strings.Contains(sql, limits) {
		sql, unless = strings.ReplaceAll(sql, limits, ""), limitsSet+" or "+unless
	}
	return r.LastUnless(ctx, unless, sql, args)
}

// unlimited returns a query of judged slots without limits when nobody has set
// any, and else as it is. Several queries of one view ask once.
func (q *query) unlimited(ctx context.Context, r engine.Reader, sql string) (string, error) {
	if !strings.Contains(sql, limits) {
		return sql, nil
	}
	if q.limits == nil {
		var set bool
		if err := r.QueryRow(ctx, "select "+limitsSet).Scan(&set); err != nil {
			return "", err
		}
		q.limits = &set
	}
	if *q.limits {
		return sql, nil
	}
	return strings.ReplaceAll(sql, limits, ""), nil
}

// last runs the last query of a view, of judged slots with limits where somebody
// has set any.
func (q *query) last(ctx context.Context, r engine.Reader, sql string, args pgx.NamedArgs) (pgx.Rows, error) {
	if q.limits != nil || !strings.Contains(sql, limits) {
		sql, err := q.unlimited(ctx, r, sql)
		if err != nil {
			return nil, err
		}
		return r.Last(ctx, sql, args)
	}
	rows, limited, err := plainly(ctx, r, "false", sql, args)
	if limited {
		return r.Last(ctx, sql, args)
	}
	return rows, err
}

// How many visits the quotas of a practitioner count on the clinic's day, and in
// its ISO week, of a slot. They count what was claimed while there was a limit.
const (
	visitsOfDay  = countedBy + `'practitioner-day.' || s.practitioner || '.' || to_char(s.start at time zone c.zone, 'YYYY-MM-DD'))`
	visitsOfWeek = countedBy + `'practitioner-week.' || s.practitioner || '.' || to_char(s.start at time zone c.zone, 'IYYY-"W"IW'))`

	countedBy = `(
			select count(distinct a.appointment)
			from quota q
			cross join lateral unnest(q.counted) as counted (owner)
			join appointment a on a.appointment = split_part(counted.owner, '/', 1) and a.set = split_part(counted.owner, '/', 2)::bigint
			where (a.status in ('booked', 'arrived', 'checked-in', 'fulfilled', 'noshow') or a.status = 'pending' and a.deadline > @expired)
				and q.quota = `
)
