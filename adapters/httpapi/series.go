package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
)

// Series is a visit that comes again, as the API shows it.
type Series struct {
	ID             string         `json:"id" doc:"Opaque" example:"018f6b1e-0000-7000-8000-000000000007"`
	PatientID      string         `json:"patientId" example:"018f6b1e-0000-7000-8000-000000000003"`
	PractitionerID string         `json:"practitionerId" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string         `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Zone           string         `json:"zone" doc:"IANA time zone of the wall time" example:"Europe/Lisbon"`
	Status         string         `json:"status" enum:"accepted,booked,proposed,refused,lapsed" doc:"accepted: with a report of each date; booked: with every date; proposed: about to be; refused, lapsed: with no date" example:"booked"`
	Visits         []SeriesVisit  `json:"visits" nullable:"false" doc:"The dates that are booked, each an appointment of its own"`
	Refused        []SeriesMissed `json:"refused" nullable:"false" doc:"The dates that could not be had, and why"`
}

// SeriesVisit is a date that is booked.
type SeriesVisit struct {
	Date          string    `json:"date" doc:"In the clinic's zone" example:"2026-03-30"`
	Start         time.Time `json:"start" doc:"UTC" example:"2026-03-30T08:00:00Z"`
	AppointmentID string    `json:"appointmentId" example:"018f6b1e-0000-7000-8000-000000000004"`
	SlotID        string    `json:"slotId" example:"018f6b1e-0000-7000-8000-000000000002.20260330.0"`
}

// SeriesMissed is a date that could not be had.
type SeriesMissed struct {
	Date        string    `json:"date" doc:"In the clinic's zone" example:"2026-04-06"`
	Start       time.Time `json:"start" doc:"UTC" example:"2026-04-06T08:00:00Z"`
	Rule        string    `json:"rule" doc:"Which rule refused it, as in /problems" example:"slot.taken"`
	Alternative *Slot     `json:"alternative,omitempty" doc:"The nearest free slot; only in the answer to the booking"`
}

// SeriesBody is a wish for a visit that comes again.
type SeriesBody struct {
	PractitionerID string `json:"practitionerId" maxLength:"64" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID       string `json:"clinicId" maxLength:"64" doc:"In whose zone the time is" example:"018f6b1e-0000-7000-8000-000000000001"`
	PatientID      string `json:"patientId" maxLength:"64" example:"018f6b1e-0000-7000-8000-000000000003"`
	First          string `json:"first" maxLength:"10" doc:"The first date" example:"2026-03-30"`
	Time           string `json:"time" maxLength:"5" doc:"On the clinic's wall, whatever the clocks do meanwhile" example:"09:00"`
	EveryWeeks     int    `json:"everyWeeks,omitempty" minimum:"1" maximum:"52" doc:"Weeks from one visit to the next; absent = 1"`
	Count          int    `json:"count,omitempty" minimum:"1" maximum:"104" doc:"How many visits; or else until" example:"4"`
	Until          string `json:"until,omitempty" maxLength:"10" doc:"The last date that may be one; or else count"`
	VisitTypeID    string `json:"visitTypeId,omitempty" maxLength:"64" doc:"What sort of visit"`
	Reason         string `json:"reason,omitempty" maxLength:"2000" doc:"Why the patient comes; sealed under the patient's key"`
	By             string `json:"by,omitempty" enum:"patient,practitioner,clinic" doc:"Whose wish it is; absent = the patient's"`
	Mode           string `json:"mode,omitempty" enum:"report,all" doc:"report: book what can be had, and say of the rest why not; all: book every date or none; absent = report" example:"all"`
}

type seriesInput struct {
	CommandParams
	Body SeriesBody
}

func (a *api) seriesRoutes() {
	command(a, operation{
		id: "bookSeries", method: http.MethodPost, path: "/v1/series", tag: "Series", creates: true,
		summary: "Book a visit that comes again",
		detail: "Every date that can be had is booked, as an appointment of its own; the others are listed with the rule that refused them and the " +
			"nearest free slot. In the mode all, every date is booked or none: the problem then lists the dates in the same way, and its status is 422 when " +
			"the first of them would be refused with nobody else there, else 409. A date whose wall time the clock skips is refused, one that it shows twice is the first.",
		refusals: []*domain.Error{
			clinic.ErrNotFound, patient.ErrNotFound, visittype.ErrNotFound, practitioner.ErrNotFound, practitioner.ErrElsewhere, series.ErrRecurrence, series.ErrExists, domain.ErrBadWallTime,
			series.ErrNoSuchTime, commands.ErrNoSlot, // of single dates, in the report
			patient.ErrMerged, commands.ErrSeriesApproval, commands.ErrSeriesRule, commands.ErrSeriesRefused,
		},
	}, a.bookSeries)
	one(a, operation{
		id: "getSeries", method: http.MethodGet, path: "/v1/series/{id}", tag: "Series",
		summary: "Get a series as it was accepted", refusals: []*domain.Error{series.ErrNotFound},
	}, a.series)
}

func (a *api) bookSeries(ctx context.Context, req commands.Request, in *seriesInput) (done[Series], error) {
	at, err := domain.ParseWallTime(in.Body.Time)
	if err != nil {
		return done[Series]{}, err
	}
	wish := commands.SeriesBooking{
		Series: domain.SeriesID(a.newID(req, "series")), Practitioner: domain.PractitionerID(in.Body.PractitionerID),
		Clinic: domain.ClinicID(in.Body.ClinicID), Patient: domain.PatientID(in.Body.PatientID), Reason: in.Body.Reason,
		VisitType: domain.VisitTypeID(in.Body.VisitTypeID), By: appointment.Initiator(in.Body.By),
		Recurrence: series.Recurrence{
			First: domain.Day(in.Body.First), At: at, EveryWeeks: max(1, in.Body.EveryWeeks), Count: in.Body.Count, Until: domain.Day(in.Body.Until),
		},
		Whole: in.Body.Mode == "all",
	}
	answer, err := a.Commands.BookSeries(ctx, req, wish)
	if refused, ok := errors.AsType[*commands.SeriesRefused](err); ok {
		p := problemOf(ctx, err)
		p.Refused = a.missed(ctx, refused.Series, wish)
		return done[Series]{}, p
	}
	if err != nil {
		return done[Series]{}, err
	}
	body := seriesOf(answer.State)
	body.Refused = a.missed(ctx, answer.State, wish)
	return finish(answer, body, "/v1/series/"+body.ID), err
}

// missed shows the dates that cannot be had, with what is free instead.
func (a *api) missed(ctx context.Context, s series.State, wish commands.SeriesBooking) []SeriesMissed {
	return mapped(s.Missed, func(m series.Miss) SeriesMissed {
		return SeriesMissed{string(m.Day), m.Start.UTC(), m.Rule, a.instead(ctx, s, wish, m)}
	})
}

// instead returns the free slot that is nearest to a date that was refused and
// can be had instead of the slot of that date, if there was one.
func (a *api) instead(ctx context.Context, s series.State, wish commands.SeriesBooking, missed series.Miss) *Slot {
	w := commands.Instead{Booking: commands.Booking{VisitType: wish.VisitType, Patient: wish.Patient, By: wish.By}}
	if id, err := a.Commands.SlotAt(ctx, s.Practitioner, missed.Start); err == nil {
		w.Slots = []domain.SlotID{id}
	}
	free := a.near(ctx, w, projections.Wish{Practitioner: s.Practitioner, Clinic: s.Clinic, Start: missed.Start}, itemTries)
	if len(free) == 0 {
		return nil
	}
	return &free[0]
}

func (a *api) series(ctx context.Context, in *byIDInput) (single[Series], error) {
	answer, err := a.Commands.Series(ctx, domain.SeriesID(in.ID))
	return single[Series]{seriesOf(answer.State), etag(answer.Revision), answer.Position}, err
}

func seriesOf(s series.State) Series {
	if s.Status != series.Reported && s.Status != series.Booked {
		s.Visits = nil // none is booked
	}
	return Series{
		ID: string(s.ID), PatientID: string(s.Patient), PractitionerID: string(s.Practitioner), ClinicID: string(s.Clinic), Zone: s.Zone, Status: string(s.Status),
		Visits: mapped(s.Visits, func(v series.Visit) SeriesVisit {
			return SeriesVisit{string(v.Day), v.Start.UTC(), string(v.Appointment), string(v.Slot)}
		}),
		Refused: mapped(s.Missed, func(m series.Miss) SeriesMissed {
			return SeriesMissed{Date: string(m.Day), Start: m.Start.UTC(), Rule: m.Rule}
		}),
	}
}
