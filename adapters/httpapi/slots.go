package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
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
	Status         string    `json:"status" enum:"free,busy,busy-tentative,busy-unavailable" doc:"FHIR R4 slot status" example:"free"`
	Capacity       int       `json:"capacity" doc:"Places" example:"1"`
	Free           int       `json:"free" doc:"Places that can be booked" example:"1"`
}

// Slots answers what is free: [projections.Availability].
type Slots interface {
	List(ctx context.Context, f projections.SlotFilter, now time.Time, least domain.Position) (projections.List[projections.Slot], error)
	Nearest(ctx context.Context, w projections.Wish, now time.Time, n int) ([]projections.Slot, error)
}

type slotsInput struct {
	ListParams
	PractitionerID string    `query:"practitionerId" maxLength:"64" doc:"Only of this practitioner"`
	ClinicID       string    `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	Specialty      string    `query:"specialty" maxLength:"100" doc:"Only of practitioners with this specialty" example:"cardiology"`
	From           time.Time `query:"from" doc:"Starting at this instant or later; absent = now" example:"2026-03-30T00:00:00Z"`
	To             time.Time `query:"to" doc:"Starting before this instant; absent = no end" example:"2026-04-06T00:00:00Z"`
	Status         string    `query:"status" enum:"free,busy,busy-tentative,busy-unavailable,any" default:"free" doc:"Only with this status"`
}

type slotInput struct {
	ReadParams
	ID string `path:"id" doc:"The slot" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
}

func (a *api) slotRoutes() {
	list(a, operation{
		id: "listSlots", method: http.MethodGet, path: "/v1/slots", tag: "Slots",
		summary:  "List slots by start, the free ones unless told otherwise",
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
		Practitioner: domain.PractitionerID(in.PractitionerID), Clinic: domain.ClinicID(in.ClinicID), Specialty: in.Specialty,
		From: in.From, To: in.To, Status: projections.SlotStatus(in.Status), After: p.after, Limit: p.limit,
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
	}, nil
}

// slot answers with an ETag that changes with every event of the slot, and
// when a booking that was never completed gives its place back by lapsing.
func (a *api) slot(ctx context.Context, in *slotInput) (single[Slot], error) {
	answer, err := a.Commands.Slot(ctx, domain.SlotID(in.ID))
	if err != nil {
		return single[Slot]{}, err
	}
	s := answer.State
	body, err := a.slotOf(ctx, projections.Slot{
		ID: s.Slot, Practitioner: s.Practitioner, Clinic: s.Clinic, Period: s.Period, Status: slotStatus(s), Places: s.Places, Free: s.Free(),
	})
	return single[Slot]{body, fmt.Sprintf(`"%d.%d"`, answer.Revision+1, s.Taken), answer.Position}, err
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
