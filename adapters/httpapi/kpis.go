package httpapi

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/reference"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// KPIs answers key figures: [projections.KPIs].
type KPIs interface {
	Figures(ctx context.Context, f projections.KPIFilter, now time.Time, least domain.Position) ([]projections.KPI, domain.Position, error)
}

// KPIList is the key figures of some groups.
type KPIList struct {
	Items    []KPI  `json:"items" nullable:"false" doc:"By period, clinic, practitioner and specialty; groups without anything to count are left out"`
	Position uint64 `json:"position" doc:"The figures reflect every event up to this position"`
}

// KPI is the key figures of a group.
type KPI struct {
	Period             string         `json:"period,omitempty" doc:"A day, or an ISO 8601 week, of the clinic's calendar; absent when not grouped by" example:"2026-W10"`
	ClinicID           string         `json:"clinicId,omitempty" doc:"Absent when not grouped by, as the next" example:"018f6b1e-0000-7000-8000-000000000001"`
	PractitionerID     string         `json:"practitionerId,omitempty" example:"018f6b1e-0000-7000-8000-000000000002"`
	Specialty          string         `json:"specialty,omitempty" doc:"That practitioners had at the time; absent when not grouped by, and of those who had none" example:"cardiology"`
	ThirdNextAvailable KPIAccess      `json:"thirdNextAvailable" doc:"In how many days the third place begins that was free at the beginning of a day"`
	FillRate           KPIFill        `json:"fillRate" doc:"Of the places that cancellations gave back before they began, how many were booked again"`
	LeadTime           KPISpread      `json:"leadTime" doc:"From the booking of a visit's time to its start, of visits that were not cancelled"`
	NoShow             KPINoShow      `json:"noShow" doc:"Of the visits whose patients came or did not"`
	Utilisation        KPIUtilisation `json:"utilisation" doc:"Of the time that was offered, how much was booked"`
	Wait               KPISpread      `json:"wait" doc:"From when patients came until they were first called, or went in"`
	Requests           KPIRequests    `json:"requests" doc:"Of visits that have to be approved, by the day of the request"`
}

// KPIAccess is the third next available appointment.
type KPIAccess struct {
	Days      int      `json:"days" doc:"How many days of practitioners were looked at: those with anything on offer" example:"5"`
	BookedOut int      `json:"bookedOut" doc:"Those on which fewer than three places were free, which are not among the next" example:"0"`
	Average   *float64 `json:"average" nullable:"true" doc:"Days of the calendar; null when there is nothing, as the next" example:"2.4"`
	Median    *int     `json:"median" nullable:"true" example:"2"`
	P90       *int     `json:"p90" nullable:"true" example:"4"`
}

// KPIFill is how many freed places were filled.
type KPIFill struct {
	Freed  int      `json:"freed" doc:"Places" example:"4"`
	Filled int      `json:"filled" example:"3"`
	Rate   *float64 `json:"rate" nullable:"true" doc:"filled / freed, to four digits; null of nothing" example:"0.75"`
}

// KPISpread is how long something took.
type KPISpread struct {
	Count int     `json:"count" doc:"How many it was measured of" example:"21"`
	P50   *string `json:"p50" nullable:"true" doc:"The median by the nearest rank, ISO 8601; null of nothing" example:"PT52H10M"`
	P90   *string `json:"p90" nullable:"true" doc:"What nine of ten did not exceed" example:"PT170H"`
}

// KPINoShow is how many patients did not come.
type KPINoShow struct {
	Visits int       `json:"visits" doc:"Whose patients came or did not" example:"20"`
	Missed int       `json:"missed" doc:"Whose patients did not" example:"1"`
	Rate   *float64  `json:"rate" nullable:"true" doc:"missed / visits, to four digits; null of nothing" example:"0.05"`
	Bands  []KPIBand `json:"bands" nullable:"false" doc:"By lead time; those without visits are left out"`
}

// KPIBand is the same of visits that were booked so long before.
type KPIBand struct {
	Days   string   `json:"days" enum:"0,1-2,3-7,8-14,15-30,31+" doc:"From the day of the booking to the day of the visit, of the clinic's calendar" example:"3-7"`
	Visits int      `json:"visits" example:"20"`
	Missed int      `json:"missed" example:"1"`
	Rate   *float64 `json:"rate" nullable:"true" example:"0.05"`
}

// KPIUtilisation is how much of what was offered was booked.
type KPIUtilisation struct {
	Offered string   `json:"offered" doc:"ISO 8601" example:"PT20H"`
	Booked  string   `json:"booked" example:"PT15H"`
	Rate    *float64 `json:"rate" nullable:"true" doc:"booked / offered, to four digits, above 1 where staff overbook; null of nothing" example:"0.75"`
}

// KPIRequests is what became of requests.
type KPIRequests struct {
	Requested int       `json:"requested" example:"6"`
	Approved  int       `json:"approved" example:"4"`
	Declined  int       `json:"declined" example:"1"`
	Lapsed    int       `json:"lapsed" example:"0"`
	Approval  KPISpread `json:"approval" doc:"From the request to the approval"`
}

type kpisInput struct {
	ReadParams
	From           string   `query:"from" required:"true" maxLength:"10" doc:"The first day, YYYY-MM-DD of each clinic's calendar, or an ISO 8601 week for its Monday" example:"2026-W10"`
	To             string   `query:"to" required:"true" maxLength:"10" doc:"The last day, or a week for its Sunday. At most 371 days of one clinic or practitioner, 35 of all" example:"2026-W13"`
	ClinicID       string   `query:"clinicId" maxLength:"64" doc:"Only of this clinic"`
	PractitionerID string   `query:"practitionerId" maxLength:"64" doc:"Only of this practitioner"`
	Specialty      string   `query:"specialty" maxLength:"100" doc:"Only of practitioners who had this specialty at the time" example:"cardiology"`
	By             []string `query:"by" enum:"week,day,clinic,practitioner,specialty" maxItems:"5" nullable:"false" doc:"What groups are made by, separated by commas; absent = week. A practitioner of several specialties is in the group of each" example:"week,clinic"`
}

type kpisOutput struct {
	Position string `header:"Slotbook-Position" doc:"The same as position"`
	Body     KPIList
}

func (a *api) kpiRoutes() {
	refusals := append(readRefusals(), engine.ErrAway, errUnknownCode, projections.ErrKPIRange, projections.ErrKPIGroups, projections.ErrBadWeek, domain.ErrBadDay)
	h := a.operation(operation{
		id: "getKPIs", method: http.MethodGet, path: "/v1/kpis", tag: "Key figures",
		summary: "Get the key figures of clinics and practitioners",
		detail: "Figures of the past are those of any past day or week, and change only by what is recorded about it. Those of today, and of what is " +
			"to come, are as it is now. docs/kpis.md defines each.",
	}, refusals, nil)
	huma.Register(a.huma, h, func(ctx context.Context, in *kpisInput) (*kpisOutput, error) {
		f, err := in.filter()
		if err == nil {
			err = a.knows(ctx, "specialty", reference.Specialty, in.Specialty)
		}
		if err != nil {
			return nil, refused(ctx, err)
		}
		figures, at, err := a.KPIs.Figures(ctx, f, a.Now(), in.atLeast())
		if err != nil {
			return nil, refused(ctx, err)
		}
		exchangeOf(ctx).position = at
		return &kpisOutput{position(at), KPIList{Items: mapped(figures, kpiOf), Position: uint64(at)}}, nil
	})
}

func (in *kpisInput) filter() (projections.KPIFilter, error) {
	first, err := dayOrWeek(in.From, 0)
	if err != nil {
		return projections.KPIFilter{}, err
	}
	const sunday = 6
	last, err := dayOrWeek(in.To, sunday)
	by := func(dimension string) bool { return slices.Contains(in.By, dimension) }
	return projections.KPIFilter{
		First: first, Last: last, Clinic: domain.ClinicID(in.ClinicID), Practitioner: domain.PractitionerID(in.PractitionerID), Specialty: in.Specialty,
		By: projections.KPIDimensions{
			Day: by("day"), Week: by("week") || len(in.By) == 0, Clinic: by("clinic"), Practitioner: by("practitioner"), Specialty: by("specialty"),
		},
	}, err
}

// dayOrWeek reads a day, or the n-th day of a week, from 0.
func dayOrWeek(text string, n int) (domain.Day, error) {
	if !strings.Contains(text, "W") {
		return domain.ParseDay(text)
	}
	monday, err := projections.ParseWeek(text)
	if err != nil {
		return "", err
	}
	return monday.Add(n), nil
}

func kpiOf(k projections.KPI) KPI {
	shown := KPI{
		Period: k.Period, ClinicID: string(k.Clinic), PractitionerID: string(k.Practitioner), Specialty: k.Specialty,
		ThirdNextAvailable: accessOf(k.Access), FillRate: KPIFill{k.Fill.Freed, k.Fill.Filled, share(k.Fill.Filled, k.Fill.Freed)},
		LeadTime: spreadOf(k.Lead), NoShow: KPINoShow{Bands: []KPIBand{}}, Wait: spreadOf(k.Wait),
		Utilisation: KPIUtilisation{
			formatDuration(k.Utilisation.Offered), formatDuration(k.Utilisation.Booked), share(k.Utilisation.Booked, k.Utilisation.Offered),
		},
		Requests: KPIRequests{k.Requests.Requested, k.Requests.Approved, k.Requests.Declined, k.Requests.Lapsed, spreadOf(k.Requests.Approval)},
	}
	for _, b := range k.NoShows {
		shown.NoShow.Visits += b.Visits
		shown.NoShow.Missed += b.Missed
		shown.NoShow.Bands = append(shown.NoShow.Bands, KPIBand{b.Name, b.Visits, b.Missed, share(b.Missed, b.Visits)})
	}
	shown.NoShow.Rate = share(shown.NoShow.Missed, shown.NoShow.Visits)
	return shown
}

func accessOf(a projections.Access) KPIAccess {
	shown := KPIAccess{Days: a.Days, BookedOut: a.BookedOut}
	if a.Days > a.BookedOut {
		shown.Average, shown.Median, shown.P90 = &a.Average, &a.Median, &a.P90
	}
	return shown
}

func spreadOf(s projections.Spread) KPISpread {
	shown := KPISpread{Count: s.Count}
	if s.Count > 0 {
		shown.P50, shown.P90 = new(formatDuration(s.P50)), new(formatDuration(s.P90))
	}
	return shown
}

// share returns a part of a whole to four digits, nil of nothing.
func share[N int | time.Duration](part, whole N) *float64 {
	if whole == 0 {
		return nil
	}
	const digits = 10_000
	return new(math.Round(digits*float64(part)/float64(whole)) / digits)
}
