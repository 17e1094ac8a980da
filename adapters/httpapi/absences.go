package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// AbsenceBody is a period in which a practitioner sees nobody.
type AbsenceBody struct {
	From   time.Time `json:"from" doc:"Visits that overlap the period are meant" example:"2026-03-30T08:00:00Z"`
	To     time.Time `json:"to" doc:"The period ends before this instant, at most 366 days after from" example:"2026-03-31T08:00:00Z"`
	Code   string    `json:"code" enum:"no-longer-needed,patient-unavailable,practitioner-unavailable,displaced,mistake,other" doc:"Why, in a way that can be counted; the block says it, too" example:"practitioner-unavailable"`
	Reason string    `json:"reason,omitempty" maxLength:"2000" doc:"Why, for the patients whose visit is cancelled; sealed under each one's key"`
	Action string    `json:"action" enum:"cancel,displace" doc:"displace leaves the visits booked, to be moved one by one" example:"cancel"`
}

type absenceInput struct {
	CommandParams
	ReadParams
	ID   string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Body AbsenceBody
}

// Absence is what became of the visits of a period.
type Absence struct {
	PractitionerID string              `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	BlockID        string              `json:"blockId" doc:"The block that closes the period" example:"018f6b1e-0000-7000-8000-000000000009"`
	Withdrawn      int                 `json:"withdrawn" doc:"Slots that were closed by this request"`
	Complete       bool                `json:"complete" doc:"false: something failed on the way, and the same request, repeated under its Idempotency-Key, finishes it"`
	Cancelled      int                 `json:"cancelled"`
	Displaced      int                 `json:"displaced"`
	Refused        int                 `json:"refused"`
	Appointments   []AbsentAppointment `json:"appointments" nullable:"false" doc:"Each one by start, what an earlier run of the same request did included"`
}

// AbsentAppointment is what became of one visit.
type AbsentAppointment struct {
	ID        string     `json:"id" example:"018f6b1e-0000-7000-8000-000000000004"`
	PatientID string     `json:"patientId" example:"018f6b1e-0000-7000-8000-000000000003"`
	Start     *time.Time `json:"start,omitempty" doc:"UTC; absent when the visit was not looked at any more"`
	Outcome   string     `json:"outcome" enum:"cancelled,displaced,refused"`
	Rule      string     `json:"rule,omitempty" doc:"What refused it, as in /problems" example:"appointment.past"`
}

func (a *api) absenceRoutes() {
	command(a, operation{
		id: "addAbsence", method: http.MethodPost, path: "/v1/practitioners/{id}/absences", tag: "Practitioners",
		summary: "Close a period of a practitioner, and cancel the visits in it or leave them displaced",
		detail: "Ask with dryRun=true first. The period is blocked, which closes what is free; then each visit is cancelled by a command of its " +
			"own. The answer says of each visit what became of it, also of those that could not be cancelled. A repeat under the same " +
			"Idempotency-Key finishes what was interrupted and does nothing twice. Unblocking opens the period again.",
		refusals: []*domain.Error{
			practitioner.ErrNotFound, domain.ErrBadPeriod, domain.ErrBadZone, schedule.ErrBlock, commands.ErrAbsenceLarge,
			engine.ErrPositionUnknown, engine.ErrNotYet, engine.ErrRebuild, engine.ErrAway,
		},
	}, a.absence)
}

func (a *api) absence(ctx context.Context, req commands.Request, in *absenceInput) (done[Absence], error) {
	c := commands.Absence{
		Practitioner: domain.PractitionerID(in.ID), Period: domain.Period{Start: in.Body.From.UTC(), End: in.Body.To.UTC()},
		Code: appointment.Code(in.Body.Code), Reason: in.Body.Reason, Displace: in.Body.Action == "displace",
	}
	if !c.Start.Before(c.End) {
		return done[Absence]{}, errPeriod
	}
	if err := a.visitsOf(ctx, &c, in.atLeast()); err != nil {
		return done[Absence]{}, err
	}
	answer, err := a.Commands.Absent(ctx, req, c)
	if err != nil {
		return done[Absence]{}, err
	}
	if answer.Position, err = a.Head(ctx); err != nil { // the days came after the block
		return done[Absence]{}, err
	}
	return finish(answer, showAbsence(in.ID, answer.State), ""), nil
}

// longestVisit is how long before the period a visit in it may begin; those
// longer are found by their slots.
const longestVisit = 24 * time.Hour

// visitsOf adds the practitioner's visits in the period as they are by now.
func (a *api) visitsOf(ctx context.Context, c *commands.Absence, least domain.Position) error {
	head, err := a.Head(ctx)
	if err != nil {
		return err
	}
	const page = 1000
	f := projections.AppointmentFilter{Practitioner: c.Practitioner, From: c.Start.Add(-longestVisit), To: c.End, Limit: page}
	for more := true; more && len(c.Appointments) <= commands.MaxAbsent; {
		rows, err := a.Appointments.List(ctx, f, a.Now(), max(least, head))
		if err != nil {
			return err
		}
		for _, v := range rows.Items {
			switch {
			case !v.Overlaps(c.Period):
			case v.Status == appointment.Cancelled:
				c.Earlier = append(c.Earlier, v.ID)
			case v.Status != appointment.Fulfilled && v.Status != appointment.NoShow:
				c.Appointments = append(c.Appointments, v.ID)
			}
			f.After = v.Cursor()
		}
		more = rows.More
	}
	return nil
}

func showAbsence(practitioner string, s commands.Absences) Absence {
	shown := Absence{PractitionerID: practitioner, BlockID: s.Block, Withdrawn: s.Withdrawn, Complete: s.Complete, Appointments: []AbsentAppointment{}}
	for _, v := range s.Visits {
		item := AbsentAppointment{
			ID: string(v.Appointment.Appointment), PatientID: string(v.Appointment.Patient), Start: instant(v.Appointment.Start),
			Outcome: string(v.Outcome),
		}
		switch v.Outcome {
		case commands.OutcomeCancelled:
			shown.Cancelled++
		case commands.OutcomeDisplaced:
			shown.Displaced++
		case commands.OutcomeRefused:
			shown.Refused++
			item.Rule = internal.Rule
			if v.Refusal != nil {
				item.Rule = v.Refusal.Rule
			}
		}
		shown.Appointments = append(shown.Appointments, item)
	}
	return shown
}
