package projections

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// KPIGroup is what key figures are of. Fields that were not grouped by are "".
type KPIGroup struct {
	Period       string // a day, or an ISO 8601 week such as 2026-W10, of the clinic's calendar
	Clinic       domain.ClinicID
	Practitioner domain.PractitionerID
	Specialty    string // "" also of practitioners without any
}

func (g KPIGroup) compare(h KPIGroup) int {
	return cmp.Or(
		strings.Compare(g.Period, h.Period), cmp.Compare(g.Clinic, h.Clinic), cmp.Compare(g.Practitioner, h.Practitioner),
		strings.Compare(g.Specialty, h.Specialty),
	)
}

// KPI is the key figures of a group. Percentiles are by the nearest rank: the
// least of the values that so many per cent do not exceed (percentile_disc of
// SQL), so each is a value that there was. docs/kpis.md has the definitions at
// length, and their sources.
type KPI struct {
	KPIGroup
	Access      Access
	Fill        Fill
	Lead        Spread // from the booking of a visit's time to its start, of visits that were not cancelled
	NoShows     []Band // in the order of [Bands], those that have visits
	Utilisation Utilisation
	Wait        Spread // from coming to the first call, or to the begin of the service if that was earlier
	Requests    Requests
}

// Access is the third next available appointment (Institute for Healthcare
// Improvement, "Third Next Available Appointment"; AHRQ's measures of access): at the beginning
// of each day of a practitioner at a clinic, in how many days of the calendar
// the third place begins that is free then. The first and the second may be
// there because somebody has just cancelled; the third tells how access is.
type Access struct {
	Days      int     // of practitioners at clinics, that have begun and on which something was offered from then on
	BookedOut int     // those of them on which fewer than three places were free
	Average   float64 // of the others, in days, in hundredths; 0 when there are none
	Median    int     // of the others, in days
	P90       int     // of the others, in days
}

// Fill is how many of the places that cancellations gave back before their
// slots began, and that the clinic went on offering, were booked again.
type Fill struct{ Freed, Filled int }

// Spread is how long something took, in whole seconds.
type Spread struct {
	Count    int // 0 = nothing is known of the rest
	P50, P90 time.Duration
}

// Band is the visits with a lead time of so many days of the calendar whose
// patients came, or did not.
type Band struct {
	Name   string // of [Bands]
	Visits int    // whose patients came or did not
	Missed int    // those who did not
}

// Bands are the bands of lead times, in days from the day of the booking to the
// day of the visit, both of the clinic's calendar.
func Bands() []string { return []string{"0", "1-2", "3-7", "8-14", "15-30", "31+"} }

// bandStarts are the least days of each band.
const bandStarts = "array[0, 1, 3, 8, 15, 31]"

// Utilisation is how much of the time that was offered was booked. A slot of
// several places of which some are booked is booked for that share of its time;
// more than there were places, where staff overbook, count for more than it.
type Utilisation struct{ Offered, Booked time.Duration }

// Requests are the visits that had to be approved.
type Requests struct {
	Requested, Approved, Declined, Lapsed int // the rest was cancelled, or waits
	Approval                              Spread
}

// KPIFilter says which key figures. Days are of each clinic's calendar; a fact
// counts on the day on which its slot or visit began, its patient came, or it
// was requested.
type KPIFilter struct {
	First, Last  domain.Day
	Clinic       domain.ClinicID
	Practitioner domain.PractitionerID
	Specialty    string
	By           KPIDimensions
}

// KPIDimensions says what groups are made by.
type KPIDimensions struct{ Day, Week, Clinic, Practitioner, Specialty bool }

// The bounds of key figures.
const (
	MostKPIDays    = 371 // 53 weeks
	MostKPIDaysAll = 35  // of every clinic
	MostKPIGroups  = 1000
)

// The refusals of key figures.
var (
	ErrKPIRange  = domain.Refusal(domain.Invalid, "kpis.range", "key figures are of 1 to 371 days of one clinic or practitioner, or of 1 to 35 days of all; the last day is not before the first")
	ErrKPIGroups = domain.Refusal(domain.Refused, "kpis.groups", "there are more than 1000 groups: ask for fewer days, for one clinic or practitioner, or by less")
)

// KPIs answers key figures.
type KPIs struct{ views Viewer }

// NewKPIs returns the queries over the models kpis and appointments.
func NewKPIs(v Viewer) KPIs { return KPIs{v} }

// Figures returns the key figures of every group that has any, by period,
// clinic, practitioner and specialty. Practitioners count under the specialties
// that they had at the time, and days are those of the zone that the clinic was
// in at the time, so that what is past changes only by what is recorded about
// it. Errors: [ErrKPIRange], [ErrKPIGroups], [domain.ErrBadDay].
func (k KPIs) Figures(ctx context.Context, f KPIFilter, now time.Time, least domain.Position) ([]KPI, domain.Position, error) {
	if err := f.check(); err != nil {
		return nil, 0, err
	}
	figures := figures{}
	at, err := k.views.View(ctx, least, []string{"kpis", "appointments", "availability"}, func(r engine.Reader) error {
		args, err := f.arguments(ctx, r, now)
		if err != nil {
			return err
		}
		for _, part := range kpiParts() {
			rows, _ := r.Query(ctx, f.sql(part), args)
			if err := part.add(figures, rows); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("key figures: %w", err)
	}
	if len(figures) > MostKPIGroups {
		return nil, 0, ErrKPIGroups
	}
	groups := slices.SortedFunc(maps.Keys(figures), KPIGroup.compare)
	all := make([]KPI, len(groups))
	for i, g := range groups {
		all[i] = *figures[g]
	}
	return all, at, nil
}

func (f KPIFilter) check() error {
	for _, day := range []domain.Day{f.First, f.Last} {
		if _, err := domain.ParseDay(string(day)); err != nil {
			return err
		}
	}
	most := MostKPIDays
	if f.Clinic == "" && f.Practitioner == "" {
		most = MostKPIDaysAll
	}
	if f.Last < f.First || f.Last > f.First.Add(most-1) || f.First < "1900-01-01" || f.Last > "9000-01-01" {
		return ErrKPIRange
	}
	return nil
}

// arguments returns those of every part: above all the days of each clinic, with
// the instants between which they are.
func (f KPIFilter) arguments(ctx context.Context, r engine.Reader, now time.Time) (pgx.NamedArgs, error) {
	rows, _ := r.Query(ctx, `
select clinic, since, zones
from zoned
where (@clinic = '' or clinic = @clinic)
	and (@practitioner = '' or clinic = any((select clinics from practised where practitioner = @practitioner)::text[]))
order by clinic`, pgx.NamedArgs{"clinic": f.Clinic, "practitioner": f.Practitioner})
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[zonedRow])
	if err != nil {
		return nil, err
	}
	var clinics, days, zones, periods []string
	var starts, ends []time.Time
	for _, z := range all {
		of, err := z.days(f.First, f.Last)
		if err != nil {
			return nil, err
		}
		for _, d := range of {
			clinics, days, zones = append(clinics, string(z.Clinic)), append(days, string(d.day)), append(zones, d.zone)
			starts, ends, periods = append(starts, d.start), append(ends, d.end), append(periods, f.By.period(d.day))
		}
	}
	return pgx.NamedArgs{
		"clinics": clinics, "days": days, "zones": zones, "periods": periods, "starts": starts, "ends": ends,
		"practitioner": f.Practitioner, "specialty": f.Specialty, "now": now, "most": len(Bands())*MostKPIGroups + 1,
	}, nil
}

// calendarDay is a day of a clinic's calendar.
type calendarDay struct {
	day        domain.Day
	zone       string
	start, end time.Time
}

// days returns the days of the clinic's calendar, each in the zone that the
// clinic was in when it began.
func (z zonedRow) days(first, last domain.Day) ([]calendarDay, error) {
	var days []calendarDay
	n := 0
	for day := first; day <= last.Add(1); day = day.Add(1) {
		start, err := begins(day, z.Zones[n])
		for err == nil && n+1 < len(z.Zones) && !start.Before(z.Since[n+1]) {
			n++
			start, err = begins(day, z.Zones[n])
		}
		if err != nil {
			return nil, err
		}
		if i := len(days) - 1; i >= 0 {
			start = later(start, days[i].start)
			days[i].end = start
		}
		days = append(days, calendarDay{day: day, zone: z.Zones[n], start: start})
	}
	return days[:len(days)-1], nil
}

func begins(day domain.Day, name string) (time.Time, error) {
	zone, err := domain.Zone(name)
	if err != nil {
		return time.Time{}, err
	}
	return domain.WallTime(0).On(day, zone).UTC(), nil
}

func later(t, u time.Time) time.Time {
	if t.Before(u) {
		return u
	}
	return t
}

// period returns the name of the period that a day belongs to.
func (by KPIDimensions) period(day domain.Day) string {
	switch {
	case by.Day:
		return string(day)
	case by.Week:
		return WeekOf(day)
	}
	return ""
}

// WeekOf returns the ISO 8601 week of a day, such as 2026-W10.
func WeekOf(day domain.Day) string {
	year, week := day.Start().ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}

// ErrBadWeek refuses text that is not a week.
var ErrBadWeek = domain.Refusal(domain.Invalid, "week.malformed", "a week is one of ISO 8601, written YYYY-Www")

// ParseWeek returns the Monday of an ISO 8601 week such as 2026-W10, or
// [ErrBadWeek].
func ParseWeek(text string) (domain.Day, error) {
	var year, week int
	if _, err := fmt.Sscanf(text, "%04d-W%02d", &year, &week); err != nil || year < 1 || week < 1 {
		return "", ErrBadWeek
	}
	fourth := domain.DayOf(time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC)) // is in the first week
	monday := fourth.Add(7*(week-1) - (int(fourth.Weekday())+6)%7)
	if WeekOf(monday) != text {
		return "", ErrBadWeek
	}
	return monday, nil
}
