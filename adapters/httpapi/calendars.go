package httpapi

import (
	"context"
	"net/http"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
)

// Calendar is when a clinic is open.
type Calendar struct {
	ClinicID string `json:"clinicId"`
	CalendarBody
}

// CalendarBody is when a clinic is open, and where its clock hangs.
type CalendarBody struct {
	Zone        string       `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone; absent = it stays" example:"Europe/Lisbon"`
	Open24h     bool         `json:"open24h,omitempty" doc:"Open round the clock; then there are no hours"`
	Hours       []HoursBody  `json:"hours,omitempty" nullable:"false" maxItems:"100" doc:"When the clinic is open; absent = no restriction" example:"[{\"weekday\": \"monday\", \"from\": \"08:00\", \"to\": \"20:00\"}]"`
	ClosingDays []ClosingDay `json:"closingDays,omitempty" nullable:"false" maxItems:"1000" doc:"When it is closed all the same"`
}

// HoursBody is one stretch of a weekday, in the clinic's wall time.
type HoursBody struct {
	Weekday string `json:"weekday" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"On which it begins" example:"monday"`
	From    string `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" doc:"Wall time, 00:00 to 23:59" example:"08:00"`
	To      string `json:"to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" doc:"Wall time, 00:00 to 24:00; at or before from = on the next day" example:"20:00"`
}

// ClosingDay is a date on which a clinic is closed.
type ClosingDay struct {
	Date   string `json:"date" format:"date" doc:"In the zone of the clinic" example:"2026-12-25"`
	Reason string `json:"reason" maxLength:"200" doc:"Why" example:"Christmas"`
}

type setCalendarInput struct {
	CommandParams
	ID   string `path:"id" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
	Body CalendarBody
}

func (a *api) calendarRoutes() {
	command(a, operation{
		id: "setCalendar", method: http.MethodPut, path: "/v1/clinics/{id}/calendar", tag: "Clinics",
		summary: "Set when a clinic is open, and its zone",
		detail: "Replaces the whole calendar. Slots outside the opening hours or on closing days are withdrawn a moment later, and what is " +
			"booked in them stays booked, displaced. In another zone the wall times of schedules are other instants; visits keep their instants.",
		refusals: []*domain.Error{
			clinic.ErrNotFound, clinic.ErrClosed, clinic.ErrHours, clinic.ErrOverlap, clinic.ErrOpen24h, clinic.ErrClosingDays, domain.ErrBadZone, domain.ErrBadDay,
			domain.ErrBadWallTime,
		},
	}, a.setCalendar)
	one(a, operation{
		id: "getCalendar", method: http.MethodGet, path: "/v1/clinics/{id}/calendar", tag: "Clinics",
		summary: "Get when a clinic is open", refusals: []*domain.Error{clinic.ErrNotFound},
	}, a.calendar)
}

func (a *api) setCalendar(ctx context.Context, req commands.Request, in *setCalendarInput) (done[Calendar], error) {
	calendar, err := in.Body.Calendar()
	if err != nil {
		return done[Calendar]{}, err
	}
	c := clinic.SetCalendar{Zone: in.Body.Zone, Calendar: calendar}
	id := domain.ClinicID(in.ID)
	answer, err := a.Commands.SetClinicCalendar(ctx, req, id, c)
	a.zones.clinics.Delete(id)
	return finish(answer, showCalendar(id, answer.State.Zone, answer.State.Calendar), ""), err
}

// Calendar returns the calendar that the body says. Errors: [domain.ErrBadWallTime].
func (b CalendarBody) Calendar() (domain.Calendar, error) {
	c := domain.Calendar{Open24h: b.Open24h}
	for _, h := range b.Hours {
		from, to, err := wallTimes(h.From, h.To)
		if err != nil {
			return c, err
		}
		weekday, _ := domain.ParseWeekday(h.Weekday) // the OpenAPI document lists the names
		c.Hours = append(c.Hours, domain.Hours{Weekday: int(weekday), From: from, To: to})
	}
	for _, d := range b.ClosingDays {
		c.ClosingDays = append(c.ClosingDays, domain.ClosingDay{Day: domain.Day(d.Date), Reason: d.Reason})
	}
	return c, nil
}

func (a *api) calendar(ctx context.Context, in *byIDInput) (single[Calendar], error) {
	answer, err := a.Commands.Clinic(ctx, domain.ClinicID(in.ID))
	body := showCalendar(domain.ClinicID(in.ID), answer.State.Zone, answer.State.Calendar)
	return single[Calendar]{body, etag(answer.Revision), answer.Position}, err
}

func showCalendar(id domain.ClinicID, zone string, c domain.Calendar) Calendar {
	return Calendar{string(id), CalendarBody{
		Zone: zone, Open24h: c.Open24h,
		Hours: mapped(c.Hours, func(h domain.Hours) HoursBody {
			return HoursBody{showWeekday(h.Weekday), h.From.String(), h.To.String()}
		}),
		ClosingDays: mapped(c.ClosingDays, func(d domain.ClosingDay) ClosingDay { return ClosingDay{string(d.Day), d.Reason} }),
	}}
}
