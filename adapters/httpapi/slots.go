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
	Nearest(ctx context.Context, w projections.Wish, now time.Time, n int) ([]projections.Slot, error)
}

type slotsInput struct {
	ListParams
	Practitioners []string  `query:"practitionerId,explode" maxItems:"50" nullable:"false" doc:"Only of this practitioner; given several times, of any of them"`
	ClinicID      string    `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	Specialty     string    `query:"specialty" maxLength:"100" doc:"Only of practitioners with this specialty" example:"cardiology"`
	VisitTypeID   string    `query:"visitTypeId" maxLength:"64" doc:"What sort of visit is wanted: its policy counts, too. That there are as many slots in a row as it takes is not looked at"`
	From          time.Time `query:"from" doc:"Starting at this instant or later; absent = now" example:"2026-03-30T00:00:00Z"`
	To            time.Time `query:"to" doc:"Starting before this instant; absent = no end" example:"2026-04-06T00:00:00Z"`
	Status        string    `query:"status" enum:"free,busy,busy-tentative,busy-unavailable,any" default:"free" doc:"Only with this status"`
}

type slotInput struct {
	ReadParams
	ID string `path:"id" doc:"The slot" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
}

func (a *api) slotRoutes() {
	list(a, operation{
		id: "listSlots", method: http.MethodGet, path: "/v1/slots", tag: "Slots",
		summary: "List slots by start, the free ones unless told otherwise",
		detail: "Free are those that somebody could book now: those that the policy keeps from patients by its notice, its horizon, or the " +
			"most visits of a practitioner's day or week are busy-unavailable, and reason says why. Limits of a patient, and what a visit " +
			"takes besides the slot, are not looked at; GET /v1/slots/why looks at everything.",
		refusals: []*domain.Error{domain.ErrBadPeriod},
	}, a.slots)
	one(a, operation{
		id: "getSlot", method: http.MethodGet, path: "/v1/slots/{id}", tag: "Slots",
		summary: "Get a slot as it is now", refusals: []*domain.Error{schedule.ErrSlotGone},
	}, a.slot)
}

func (a *api) slots(ctx context.Context, in *slotsInput, p page[projections.TimeCursor]) (found[Slot, projections.TimeCursor], error) {
	now := a.Now()
	f := projections.SlotFilter{
		Practitioners: mapped(in.Practitioners, func(id string) domain.PractitionerID { return domain.PractitionerID(id) }),
		Clinic:        domain.ClinicID(in.ClinicID), Specialty: in.Specialty,
		VisitType: domain.VisitTypeID(in.VisitTypeID),
		From:      in.From, To: in.To, Status: projections.SlotStatus(in.Status), After: p.after, Limit: p.limit,
	}
	if f.From.IsZero() {
		f.From = now
	}
	if !f.To.IsZero() && !f.From.Before(f.To) {
		return found[Slot, projections.TimeCursor]{}, errPeriod
	}
	rows, err := a.Slots.List(ctx, f, now, in.atLeast())
	return shown(rows, err, func(s projections.Slot) (Slot, error) { return a.slotOf(ctx, s) })
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
