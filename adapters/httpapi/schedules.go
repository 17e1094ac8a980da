package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
)

// ScheduleBody is a practitioner's week at a clinic.
type ScheduleBody struct {
	Weekly      []IntervalBody `json:"weekly" nullable:"false" maxItems:"100" doc:"When the practitioner sees people; empty = never"`
	HorizonDays int            `json:"horizonDays" minimum:"1" maximum:"365" doc:"How many days are open for booking, today included" example:"28"`
	Zone        string         `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone of the wall times: always the clinic's; may be left out"`
	ValidFrom   string         `json:"validFrom,omitempty" format:"date" doc:"The clinic's date from which the week counts; absent = always" example:"2026-03-01"`
	ValidUntil  string         `json:"validUntil,omitempty" format:"date" doc:"The last date on which it counts; absent = no end" example:"2026-12-31"`
}

// IntervalBody is one stretch of a weekday, in the clinic's wall time.
type IntervalBody struct {
	Weekday string `json:"weekday" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"On which it begins" example:"monday"`
	StretchBody
}

// StretchBody is one stretch of a date, in the clinic's wall time.
type StretchBody struct {
	From         string      `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" doc:"Wall time, 00:00 to 23:59" example:"09:00"`
	To           string      `json:"to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" doc:"Wall time, 00:00 to 24:00; at or before from = on the next day" example:"17:00"`
	SlotDuration string      `json:"slotDuration" maxLength:"32" doc:"ISO 8601, from 5 minutes to 24 hours, in whole minutes" example:"PT30M"`
	Capacity     int         `json:"capacity,omitempty" minimum:"1" maximum:"1000" default:"1" doc:"Places of one slot" example:"1"`
	Breaks       []BreakBody `json:"breaks,omitempty" nullable:"false" maxItems:"50" doc:"When nobody is seen, in order"`
}

// BreakBody is a stretch in which nobody is seen.
type BreakBody struct {
	From string `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" example:"12:00"`
	To   string `json:"to" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" example:"13:00"`
}

type setScheduleInput struct {
	CommandParams
	ID       string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID string `path:"clinicId" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
	Body     ScheduleBody
}

type scheduleInput struct {
	ReadParams
	ID       string `path:"id" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	ClinicID string `path:"clinicId" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
}

// errOtherZone refuses a schedule in a zone that is not its clinic's.
var errOtherZone = domain.Refusal(domain.Invalid, "schedule.zone", "a schedule is in the zone of its clinic; zone names that or is left out")

// Schedule is what became of the days that a schedule reaches.
type Schedule struct {
	PractitionerID string `json:"practitionerId"`
	ClinicID       string `json:"clinicId"`
	Opening
}

// Opening is what became of the days that a change of a schedule reaches.
type Opening struct {
	Opened     Report[OpenedSlot] `json:"opened" doc:"New slots"`
	Withdrawn  Report[string]     `json:"withdrawn" doc:"Slots that fit no longer; what is booked in them stays booked"`
	Waiting    Report[WantedSlot] `json:"waiting" doc:"Wanted over time that a booked slot still owns; opened when it is released"`
	Overlaps   Report[WantedSlot] `json:"overlaps" doc:"Not opened, because something that was configured earlier has the time; what lost its time before this change is not listed"`
	Reinstated *Report[string]    `json:"reinstated,omitempty" doc:"Slots that were withdrawn before and are wanted again: what is booked in them is displaced no longer"`
	Displaced  Report[string]     `json:"displaced" doc:"Appointments in slots that were withdrawn now: they stay booked until somebody moves or cancels them"`
}

// Report counts things and lists the first of them.
type Report[T any] struct {
	Count int  `json:"count" doc:"How many there are"`
	Items []T  `json:"items" nullable:"false" doc:"The first 200"`
	Cut   bool `json:"cut,omitempty" doc:"There are more than items lists"`
}

// maxReported is how many items a report lists.
const maxReported = 200

// OpenedSlot is a slot that a schedule opened.
type OpenedSlot struct {
	ID string `json:"id"`
	WantedSlot
}

// WantedSlot is a slot that a schedule asks for.
type WantedSlot struct {
	ClinicID   string    `json:"clinicId"`
	Start      time.Time `json:"start" doc:"UTC"`
	End        time.Time `json:"end" doc:"UTC"`
	LocalStart time.Time `json:"localStart" doc:"In the zone of the clinic"`
	Capacity   int       `json:"capacity"`
}

func (a *api) scheduleRoutes() {
	command(a, operation{
		id: "setSchedule", method: http.MethodPut, path: "/v1/practitioners/{id}/schedules/{clinicId}", tag: "Practitioners",
		summary: "Set a practitioner's weekly schedule at a clinic",
		detail: "Replaces the schedule and makes the open days what it asks for. Wall times are the clinic's: a time that the clocks skip is " +
			"the first instant after the gap, one that they repeat its first occurrence. A dry run lists every event: the schedule's own, " +
			"those of the days that would be opened or changed, and those of the slots that would be withdrawn. Putting what is there " +
			"already changes nothing.",
		refusals: []*domain.Error{
			practitioner.ErrNotFound, practitioner.ErrElsewhere, clinic.ErrNotFound, clinic.ErrClosed, domain.ErrBadZone, domain.ErrBadWallTime, errDuration, errOtherZone,
			schedule.ErrInterval, schedule.ErrIntervals, schedule.ErrDuration, schedule.ErrCapacity, schedule.ErrBreak, schedule.ErrOverlap,
			schedule.ErrHorizon, schedule.ErrValidity, domain.ErrBadDay,
		},
	}, a.setSchedule)
	one(a, operation{
		id: "getSchedule", method: http.MethodGet, path: "/v1/practitioners/{id}/schedules/{clinicId}", tag: "Practitioners",
		summary: "Get a practitioner's weekly schedule at a clinic",
		detail: "The schedule as it was put, to be changed and put again. The ETag is the revision of all schedules of the practitioner, " +
			"those at other clinics included.",
		refusals: []*domain.Error{schedule.ErrNotFound},
	}, a.schedule)
	a.exceptionRoutes()
}

func (a *api) setSchedule(ctx context.Context, req commands.Request, in *setScheduleInput) (done[Schedule], error) {
	if err := a.checkZone(ctx, in); err != nil {
		return done[Schedule]{}, err
	}
	pattern, err := in.Body.Pattern()
	if err != nil {
		return done[Schedule]{}, err
	}
	pattern.Clinic = domain.ClinicID(in.ClinicID)
	answer, opening, err := a.Commands.SetSchedule(ctx, req, schedule.Set{Practitioner: domain.PractitionerID(in.ID), Pattern: pattern})
	if err != nil {
		return done[Schedule]{}, err
	}
	shown, err := a.openingOf(ctx, &answer, opening)
	return finish(answer, Schedule{in.ID, in.ClinicID, shown}, ""), err
}

// Pattern returns the pattern that the body says, without its clinic. Errors:
// [domain.ErrBadWallTime], [schedule.ErrDuration], and that of a malformed
// duration.
func (b ScheduleBody) Pattern() (schedule.Pattern, error) {
	p := schedule.Pattern{HorizonDays: b.HorizonDays, ValidFrom: domain.Day(b.ValidFrom), ValidUntil: domain.Day(b.ValidUntil)}
	for _, w := range b.Weekly {
		interval, err := intervalOf(w)
		if err != nil {
			return p, err
		}
		p.Weekly = append(p.Weekly, interval)
	}
	return p, nil
}

func (a *api) checkZone(ctx context.Context, in *setScheduleInput) error {
	if in.Body.Zone == "" {
		return nil
	}
	k, err := a.Commands.Clinic(ctx, domain.ClinicID(in.ClinicID))
	if err == nil && k.State.Zone != in.Body.Zone {
		err = errOtherZone
	}
	return err
}

// schedule answers a pattern in the words in which it is put.
func (a *api) schedule(ctx context.Context, in *scheduleInput) (single[ScheduleBody], error) {
	answer, err := a.Commands.Schedule(ctx, domain.PractitionerID(in.ID))
	if err != nil {
		return single[ScheduleBody]{}, err
	}
	pattern, ok := answer.State.Pattern(domain.ClinicID(in.ClinicID))
	if !ok {
		return single[ScheduleBody]{}, schedule.ErrNotFound
	}
	return single[ScheduleBody]{showPattern(pattern), etag(answer.Revision), answer.Position}, nil
}

func showPattern(p schedule.Pattern) ScheduleBody {
	return ScheduleBody{mapped(p.Weekly, showInterval), p.HorizonDays, p.Zone, string(p.ValidFrom), string(p.ValidUntil)}
}

func showInterval(i schedule.Interval) IntervalBody {
	return IntervalBody{showWeekday(i.Weekday), showStretch(i)}
}

func showWeekday(n int) string { return strings.ToLower(time.Weekday(n).String()) }

func showStretch(i schedule.Interval) StretchBody {
	return StretchBody{
		From: i.From.String(), To: i.To.String(), SlotDuration: formatDuration(time.Duration(i.SlotMinutes) * time.Minute), Capacity: i.Capacity,
		Breaks: mapped(i.Breaks, func(b schedule.Break) BreakBody { return BreakBody{b.From.String(), b.To.String()} }),
	}
}

func intervalOf(b IntervalBody) (schedule.Interval, error) {
	i, err := stretchOf(b.StretchBody)
	weekday, _ := domain.ParseWeekday(b.Weekday) // the OpenAPI document lists the names
	i.Weekday = int(weekday)
	return i, err
}

func stretchOf(b StretchBody) (schedule.Interval, error) {
	length, err := parseDuration(b.SlotDuration)
	if err != nil {
		return schedule.Interval{}, err
	}
	if length%time.Minute != 0 {
		return schedule.Interval{}, schedule.ErrDuration
	}
	i := schedule.Interval{SlotMinutes: int(length / time.Minute), Capacity: b.Capacity}
	if i.From, i.To, err = wallTimes(b.From, b.To); err != nil {
		return i, err
	}
	for _, brk := range b.Breaks {
		from, to, err := wallTimes(brk.From, brk.To)
		if err != nil {
			return i, err
		}
		i.Breaks = append(i.Breaks, schedule.Break{From: from, To: to})
	}
	return i, nil
}

func wallTimes(from, to string) (f, t domain.WallTime, err error) {
	if f, err = domain.ParseWallTime(from); err == nil {
		t, err = domain.ParseWallTime(to)
	}
	return f, t, err
}

// openingOf shows what became of the days, and moves the answer's position to
// where lists show it: the days came after the schedule's own event.
func (a *api) openingOf(ctx context.Context, answer *commands.Answer[schedule.State], o commands.Opening) (Opening, error) {
	var s Opening
	var err error
	if answer.Position, err = a.Head(ctx); err != nil {
		return s, err
	}
	local := func(w schedule.Want) WantedSlot {
		zone, e := a.scheduleZone(answer.State, w.Clinic)
		if e != nil {
			err, zone = e, time.UTC
		}
		return WantedSlot{string(w.Clinic), w.Start.UTC(), w.End.UTC(), w.Start.In(zone), w.Capacity}
	}
	s.Opened = report(o.Opened, func(x schedule.Slot) OpenedSlot {
		return OpenedSlot{string(x.ID), local(schedule.Want{Clinic: x.Clinic, Capacity: x.Capacity, Period: x.Period})}
	})
	slotID := func(id domain.SlotID) string { return string(id) }
	s.Withdrawn = report(o.Withdrawn, slotID)
	if len(o.Reinstated) > 0 {
		s.Reinstated = new(report(o.Reinstated, slotID))
	}
	s.Waiting, s.Overlaps = report(o.Waiting, local), report(o.Overlaps, local)
	s.Displaced = report(o.Displaced, func(id domain.AppointmentID) string { return string(id) })
	return s, err
}

// scheduleZone returns the zone in which a schedule was cut into slots.
func (a *api) scheduleZone(s schedule.State, id domain.ClinicID) (*time.Location, error) {
	p, _ := s.Pattern(id) // what is opened has one
	return a.zone(p.Zone)
}

func report[A, B any](items []A, f func(A) B) Report[B] {
	shown := items[:min(len(items), maxReported)]
	return Report[B]{Count: len(items), Items: mapped(shown, f), Cut: len(items) > maxReported}
}
