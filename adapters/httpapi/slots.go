package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
)

// Slot is a slot as the API shows it.
type Slot struct {
	ID             string    `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
	PractitionerID string    `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string    `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Start          time.Time `json:"start" doc:"UTC" example:"2026-03-30T08:00:00Z"`
	End            time.Time `json:"end" doc:"UTC; the slot ends before this instant" example:"2026-03-30T08:30:00Z"`
	LocalStart     time.Time `json:"localStart" doc:"In the zone of the clinic" example:"2026-03-30T09:00:00+01:00"`
	Zone           string    `json:"zone" doc:"IANA time zone of the clinic" example:"Europe/Lisbon"`
	Status         string    `json:"status" enum:"free,busy,busy-tentative,busy-unavailable" doc:"FHIR R4 slot status; busy-unavailable: withdrawn, or nobody is booked into it now, as reason says" example:"free"`
	Reason         string    `json:"reason,omitempty" enum:"slot.withdrawn,appointment.past,policy.notice,policy.horizon,quota.practitioner-day,quota.practitioner-week" doc:"The rule that makes it busy-unavailable, as in /problems. Staff may book what a notice or horizon keeps from patients" example:"policy.notice"`
	Capacity       int       `json:"capacity" doc:"Places" example:"1"`
	Free           int       `json:"free" doc:"Places that can be booked" example:"1"`

	HeldUntil *time.Time `json:"heldUntil,omitempty" doc:"Of a busy-tentative slot: when it lapses, and is free 2 seconds later at the latest, unless it is confirmed"`
}

// Slots answers what is free: [projections.Availability].
type Slots interface {
	List(ctx context.Context, f projections.SlotFilter, now time.Time, least domain.Position) (projections.List[projections.Slot], error)
	Next(ctx context.Context, f projections.SlotFilter, now time.Time, least domain.Position) (projections.List[projections.Slot], error)
	Days(ctx context.Context, f projections.SlotFilter, s projections.Stretch, now time.Time, least domain.Position) (projections.List[projections.SlotDay], error)
	Nearest(ctx context.Context, w projections.Wish, now time.Time, n int) ([]projections.Slot, error)
}

// SlotParams say whose slots are wanted, and where.
type SlotParams struct {
	AreaParams
	Practitioners []string `query:"practitionerId,explode" maxItems:"50" nullable:"false" doc:"Only of this practitioner; given several times, of any of them"`
	ClinicID      string   `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	Specialties   []string `query:"specialty,explode" maxItems:"50" nullable:"false" doc:"Only of practitioners with this specialty, a code of /v1/specialties, and refused when it is none; given several times, with any of them" example:"[\"cardiology\"]"`
	VisitTypeID   string   `query:"visitTypeId" maxLength:"64" doc:"What sort of visit is wanted: its policy counts, too. That there are as many slots in a row as it takes is not looked at"`
}

// FromParams say when slots are to start.
type FromParams struct {
	From time.Time `query:"from" doc:"Starting at this instant or later; absent = now" example:"2026-03-30T00:00:00Z"`
	To   time.Time `query:"to" doc:"Starting before this instant; absent = no end" example:"2026-04-06T00:00:00Z"`
}

// StatusParams say which slots are listed.
type StatusParams struct {
	Status string `query:"status" enum:"free,busy,busy-tentative,busy-unavailable,any" default:"free" doc:"Only with this status"`
}

type slotsInput struct {
	ListParams
	AsOfParams
	SlotParams
	FromParams
	StatusParams
}

type nextSlotsInput struct {
	ListParams
	AsOfParams
	SlotParams
	FromParams
}

type slotDaysInput struct {
	ReadParams
	AsOfParams
	SlotParams
	StatusParams
	From   string `query:"from" maxLength:"10" doc:"YYYY-MM-DD: the first date, where the clinic of each slot is; absent = the first that has a slot from now on" example:"2026-03-30"`
	Limit  int    `query:"limit" minimum:"1" maximum:"31" default:"7" doc:"How many dates"`
	PerDay int    `query:"perDay" minimum:"1" maximum:"200" default:"50" doc:"How many slots of a date at most"`
	Cursor string `query:"cursor" maxLength:"2048" doc:"Where to go on: next of the answer before; the filters are repeated as they were, only limit may change" example:"eyJsIjoic2xvdHMifQ"`
}

func (in slotDaysInput) list() ListParams { return ListParams{in.ReadParams, in.Limit, in.Cursor} }

// SlotDay is a date with its slots as the API shows it.
type SlotDay struct {
	Date  string `json:"date" format:"date" doc:"Where the clinic of each slot is" example:"2026-03-30"`
	Slots []Slot `json:"slots" nullable:"false" doc:"Those that start on the date, by start; none is an empty list"`
	More  bool   `json:"more" doc:"There are more than perDay; GET /v1/slots lists all"`
}

type slotInput struct {
	ReadParams
	AsOfParams
	ID string `path:"id" doc:"The slot" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
}

func (a *api) slotRoutes() {
	list(a, operation{
		id: "listSlots", method: http.MethodGet, path: "/v1/slots", tag: "Slots",
		summary: "List slots by start, the free ones unless told otherwise",
		detail: "Free are those that somebody could book now: those that the policy keeps from patients by its notice, its horizon, or the " +
			"most visits of a practitioner's day or week are busy-unavailable, and reason says why. Limits of a patient, and what a visit " +
			"takes besides the slot, are not looked at; GET /v1/slots/why looks at everything.",
		refusals: slotsRefusals(),
	}, a.slots)
	list(a, operation{
		id: "listNextSlots", method: http.MethodGet, path: "/v1/slots/next", tag: "Slots",
		summary: "List the next free slot of each practitioner by start",
		detail: "One slot for each practitioner who has one: the first that somebody could book, as GET /v1/slots lists it, and that is as asked " +
			"for. With limit=1 it is the very next. Of the practitioners who have left a clinic it is not looked for there.",
		refusals: slotsRefusals(),
	}, a.nextSlots)
	list(a, operation{
		id: "listSlotDays", method: http.MethodGet, path: "/v1/slots/days", tag: "Slots",
		summary: "List slots by date, the free ones unless told otherwise",
		detail: "Every date from the first on, as many as limit says, those without slots included, so that a calendar can be drawn. A slot is " +
			"on the date on which it starts where its clinic is: at one instant it may be two dates. Goes on while a later date has a slot.",
		refusals: pastListRefusals(areaRefusals(domain.ErrBadDay)...),
	}, a.slotDays)
	one(a, operation{
		id: "getSlot", method: http.MethodGet, path: "/v1/slots/{id}", tag: "Slots",
		summary: "Get a slot as it is now, or was", refusals: asOfRefusals(schedule.ErrSlotGone),
	}, a.slot)
}

func slotsRefusals() []*domain.Error {
	return pastListRefusals(areaRefusals(domain.ErrBadPeriod)...)
}

func (a *api) slots(ctx context.Context, in *slotsInput, p page[projections.TimeCursor]) (found[Slot, projections.TimeCursor], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return found[Slot, projections.TimeCursor]{}, err
	}
	f, err := in.filter(ctx, a, in.FromParams, a.Now())
	if err != nil {
		return found[Slot, projections.TimeCursor]{}, err
	}
	f.Status, f.After, f.Limit, f.AsOf = projections.SlotStatus(in.Status), p.after, p.limit, a.was
	rows, err := a.Slots.List(ctx, f, a.Now(), in.atLeast())
	return shown(rows, err, func(s projections.Slot) (Slot, error) { return a.slotOf(ctx, s) })
}

func (a *api) nextSlots(ctx context.Context, in *nextSlotsInput, p page[projections.TimeCursor]) (found[Slot, projections.TimeCursor], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return found[Slot, projections.TimeCursor]{}, err
	}
	f, err := in.filter(ctx, a, in.FromParams, a.Now())
	if err != nil {
		return found[Slot, projections.TimeCursor]{}, err
	}
	f.After, f.Limit, f.AsOf = p.after, p.limit, a.was
	rows, err := a.Slots.Next(ctx, f, a.Now(), in.atLeast())
	return shown(rows, err, func(s projections.Slot) (Slot, error) { return a.slotOf(ctx, s) })
}

func (a *api) slotDays(ctx context.Context, in *slotDaysInput, p page[domain.Day]) (found[SlotDay, domain.Day], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return found[SlotDay, domain.Day]{}, err
	}
	first, now := p.after, a.Now()
	var from FromParams
	switch {
	case first != "":
		first = first.Add(1)
	case in.From != "":
		if first, err = domain.ParseDay(in.From); err != nil {
			return found[SlotDay, domain.Day]{}, err
		}
	default:
		from.From = now
	}
	f, err := in.filter(ctx, a, from, time.Time{})
	if err != nil {
		return found[SlotDay, domain.Day]{}, err
	}
	f.Status, f.AsOf = projections.SlotStatus(in.Status), a.was
	rows, err := a.Slots.Days(ctx, f, projections.Stretch{First: first, Days: in.Limit, Most: in.PerDay}, now, in.atLeast())
	return shown(rows, err, func(d projections.SlotDay) (SlotDay, error) {
		day := SlotDay{Date: string(d.Day), Slots: make([]Slot, len(d.Slots)), More: d.More}
		for i, s := range d.Slots {
			if day.Slots[i], err = a.slotOf(ctx, s); err != nil {
				return day, err
			}
		}
		return day, nil
	})
}

// filter returns what is asked for; slots start at usual or later when nothing
// else is said.
func (in SlotParams) filter(ctx context.Context, a *api, when FromParams, usual time.Time) (projections.SlotFilter, error) {
	area, err := a.searched(ctx, in.AreaParams, in.Specialties...)
	area.Clinic = domain.ClinicID(in.ClinicID)
	f := projections.SlotFilter{
		Practitioners: mapped(in.Practitioners, func(id string) domain.PractitionerID { return domain.PractitionerID(id) }),
		Specialties:   in.Specialties, Area: area, VisitType: domain.VisitTypeID(in.VisitTypeID), From: when.From, To: when.To,
	}
	if f.From.IsZero() {
		f.From = usual
	}
	if err == nil && !f.To.IsZero() && !f.From.Before(f.To) {
		err = errPeriod
	}
	return f, err
}

func (a *api) slotOf(ctx context.Context, s projections.Slot) (Slot, error) {
	zone, err := a.rowZone(ctx, s.Zone, s.Clinic)
	if err != nil {
		return Slot{}, err
	}
	return Slot{
		ID: string(s.ID), PractitionerID: string(s.Practitioner), ClinicID: string(s.Clinic), Start: s.Start.UTC(), End: s.End.UTC(),
		LocalStart: s.Start.In(zone), Zone: zone.String(), Status: string(s.Status), Capacity: s.Places, Free: s.Free,
		Reason: s.Reason, HeldUntil: s.HeldUntil,
	}, nil
}

// slot answers with an ETag that changes with every event of the slot, when a
// booking that was never completed gives its place back by lapsing, and with
// what the policy says.
func (a *api) slot(ctx context.Context, in *slotInput) (single[Slot], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[Slot]{}, err
	}
	answer, err := a.Commands.Slot(ctx, domain.SlotID(in.ID))
	if err != nil {
		return single[Slot]{}, err
	}
	s := answer.State
	row := projections.Slot{
		ID: s.Slot, Practitioner: s.Practitioner, Clinic: s.Clinic, Period: s.Period, Status: slotStatus(s), Places: s.Places, Free: s.Free(),
	}
	if row.Status == projections.BusyTentative {
		row.HeldUntil = &s.Until
	}
	tag := fmt.Sprintf("%d.%d", answer.Revision+1, s.Taken)
	if row, err = a.judged(ctx, row); err != nil {
		return single[Slot]{}, err
	}
	if row.Reason != "" && !s.Withdrawn {
		tag += "." + row.Reason
	}
	body, err := a.slotOf(ctx, row)
	return single[Slot]{body, `"` + tag + `"`, answer.Position}, err
}

// closing are the rules by which nobody, or no patient, can have a free slot.
func closing() []*domain.Error {
	return []*domain.Error{
		appointment.ErrPast, commands.ErrNotice, commands.ErrHorizon, quota.ErrPractitionerDay, quota.ErrPractitionerWeek,
	}
}

// judged returns a slot with what the policy says of it, as lists show it.
func (a *api) judged(ctx context.Context, s projections.Slot) (projections.Slot, error) {
	if s.Status == projections.BusyUnavailable {
		s.Reason = slot.ErrWithdrawn.Rule
	}
	if s.Status != projections.Free {
		return s, nil
	}
	err := a.Commands.MayBook(ctx, commands.Question{}, s.ID)
	rule := domain.RuleOf(err)
	switch {
	case err != nil && rule == nil:
		return s, err
	case slices.ContainsFunc(closing(), func(r *domain.Error) bool { return errors.Is(err, r) }):
		s.Status, s.Free, s.Reason = projections.BusyUnavailable, 0, rule.Rule
	}
	return s, nil
}

func slotStatus(s commands.Slot) projections.SlotStatus {
	switch {
	case s.Withdrawn:
		return projections.BusyUnavailable
	case s.Free() > 0:
		return projections.Free
	case !s.Until.IsZero():
		return projections.BusyTentative
	}
	return projections.Busy
}
