package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// QueueTicket is somebody in a queue, as the API shows it.
type QueueTicket struct {
	Ticket         int       `json:"ticket" doc:"The number, unique in the queue" example:"7"`
	PractitionerID string    `json:"practitionerId,omitempty" doc:"Absent = the queue is of a service" example:"018f6b1e-0000-7000-8000-000000000002"`
	ServiceID      string    `json:"serviceId,omitempty" doc:"The visit type whose queue it is; absent = the queue is of a practitioner" example:"018f6b1e-0000-7000-8000-000000000005"`
	ClinicID       string    `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Date           string    `json:"date" format:"date" doc:"At the clinic" example:"2026-03-30"`
	Status         string    `json:"status" enum:"waiting,called,skipped,in-service,finished,left,noshow,transferred,withdrawn" doc:"left: without being seen; noshow: did not come when called; withdrawn: the arrival was undone, or the appointment cancelled" example:"waiting"`
	Position       int       `json:"position,omitempty" doc:"From 1, of who waits" example:"2"`
	Reason         string    `json:"reason,omitempty" doc:"Why at this position, by the clock of the clinic" example:"booked 10:20, arrived 10:05"`
	Waited         string    `json:"waited,omitempty" format:"duration" doc:"So far, in whole minutes, of who waits" example:"PT15M"`
	Since          time.Time `json:"since" doc:"When the person came, UTC" example:"2026-03-30T09:05:00Z"`
	BookedFor      time.Time `json:"bookedFor,omitzero" doc:"When the visit is to begin, UTC; absent = a walk-in" example:"2026-03-30T09:20:00Z"`
	Urgent         string    `json:"urgent,omitempty" enum:"emergency,pain,child,frail,agreed,other" doc:"Why the person goes before others; absent = not urgent" example:"pain"`
	UrgentBy       string    `json:"urgentBy,omitempty" doc:"Who said so" example:"local"`
	Desk           string    `json:"desk,omitempty" doc:"That has called" example:"2"`
	Room           string    `json:"room,omitempty" doc:"That the person was sent to" example:"B"`
	CalledAt       time.Time `json:"calledAt,omitzero" doc:"For the last time, UTC" example:"2026-03-30T09:21:00Z"`
	Calls          int       `json:"calls,omitempty" doc:"How often the person was called" example:"1"`
	CalledBy       string    `json:"calledBy,omitempty" doc:"Who called for the last time" example:"local"`
	OutOfTurn      string    `json:"outOfTurn,omitempty" enum:"emergency,pain,child,frail,agreed,other" doc:"Why the call was out of turn; absent = it was not" example:"agreed"`
	StartedAt      time.Time `json:"startedAt,omitzero" doc:"When the service began, UTC" example:"2026-03-30T09:22:00Z"`
	EndedAt        time.Time `json:"endedAt,omitzero" doc:"When nothing more was to come, UTC" example:"2026-03-30T09:40:00Z"`
	TransferredTo  string    `json:"transferredTo,omitempty" doc:"The practitioner, or clinicId.visitTypeId, whose queue the person is in now" example:"018f6b1e-0000-7000-8000-000000000006"`
	AppointmentID  string    `json:"appointmentId,omitempty" doc:"Absent = a walk-in" example:"018f6b1e-0000-7000-8000-000000000004"`
	PatientID      string    `json:"patientId,omitempty" doc:"Absent = nobody has said" example:"018f6b1e-0000-7000-8000-000000000003"`

	Expected *ExpectedWait `json:"expected,omitempty" doc:"By when who waits is called; absent while nobody knows, and once P90 has passed: it has turned out wrong, and nothing has happened since to go by"`
}

// QueueSheet is the queue of a practitioner's day.
type QueueSheet struct {
	PractitionerID string        `json:"practitionerId,omitempty" doc:"Absent = the queue is of a service" example:"018f6b1e-0000-7000-8000-000000000002"`
	ServiceID      string        `json:"serviceId,omitempty" doc:"The visit type whose queue it is; absent = the queue is of a practitioner" example:"018f6b1e-0000-7000-8000-000000000005"`
	Date           string        `json:"date" format:"date" doc:"At the clinic" example:"2026-03-30"`
	Waiting        int           `json:"waiting" doc:"How many people wait" example:"3"`
	Tickets        []QueueTicket `json:"tickets" nullable:"false" doc:"Who waits, in the order in which they are called; then the others, by ticket"`

	Summary *QueueSummary `json:"summary,omitempty" doc:"Of everybody who waits, in a sentence; absent in the queues of a clinic, and as of an earlier time"`
}

// ClinicQueues are the queues of a clinic's day.
type ClinicQueues struct {
	ClinicID string       `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Date     string       `json:"date" format:"date" doc:"At the clinic" example:"2026-03-30"`
	Waiting  int          `json:"waiting" doc:"How many people wait at the clinic" example:"5"`
	Queues   []QueueSheet `json:"queues" nullable:"false" doc:"Of the practitioners who work there, by name; then those of services that anybody has a ticket for. Who waits elsewhere is left out"`
}

// QueueBoard is what a display in the waiting room shows: no personal data, but
// for initials where the policy allows them.
type QueueBoard struct {
	Date    string       `json:"date" format:"date" doc:"At the clinic" example:"2026-03-30"`
	Called  []BoardEntry `json:"called" nullable:"false" doc:"The latest first"`
	Waiting []int        `json:"waiting" nullable:"false" doc:"Ticket numbers, in the order in which they are called"`

	Initials []BoardInitials `json:"initials,omitempty" doc:"Of those who were called or wait, by ticket; only where the clinic's policy says boardShows: initials"`
}

// BoardEntry is a ticket that was called.
type BoardEntry struct {
	Ticket   int       `json:"ticket" example:"7"`
	Desk     string    `json:"desk" example:"2"`
	Room     string    `json:"room,omitempty" example:"B"`
	CalledAt time.Time `json:"calledAt" doc:"UTC" example:"2026-03-30T09:21:00Z"`
}

// QueueOf says which queue is meant. It is exported because huma passes over
// what is not.
type QueueOf struct {
	Date     string `json:"date,omitempty" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = today" example:"2026-03-30"`
	ClinicID string `json:"clinicId,omitempty" maxLength:"64" doc:"Whose clock says what day it is; absent = the practitioner's first" example:"018f6b1e-0000-7000-8000-000000000001"`
}

func (q QueueOf) of(practitioner string) commands.Queue {
	return commands.Queue{Practitioner: domain.PractitionerID(practitioner), Clinic: domain.ClinicID(q.ClinicID), Day: domain.Day(q.Date)}
}

// WalkInBody says who came without an appointment.
type WalkInBody struct {
	QueueOf
	PatientID   string `json:"patientId,omitempty" maxLength:"64" doc:"Absent = not known yet" example:"018f6b1e-0000-7000-8000-000000000003"`
	VisitTypeID string `json:"visitTypeId,omitempty" maxLength:"64" doc:"What the person came for; absent = not said" example:"018f6b1e-0000-7000-8000-000000000005"`
}

// CallBody says which desk calls.
type CallBody struct {
	QueueOf
	Desk   string `json:"desk" maxLength:"40" doc:"Its name, as a board shows it" example:"2"`
	Ticket int    `json:"ticket,omitempty" minimum:"1" doc:"Out of turn; absent = whoever is next" example:"7"`
	Reason string `json:"reason,omitempty" enum:"emergency,pain,child,frail,agreed,other" doc:"Why out of turn" example:"agreed"`
}

// TicketBody names a ticket.
type TicketBody struct {
	QueueOf
	Ticket int `json:"ticket" minimum:"1" doc:"The number" example:"7"`
}

// UrgentBody says who is urgent.
type UrgentBody struct {
	TicketBody
	Reason string `json:"reason" enum:"emergency,pain,child,frail,agreed,other" example:"pain"`
}

// LeaveBody says who is gone.
type LeaveBody struct {
	TicketBody
	Missed bool `json:"missed,omitempty" doc:"The person did not come when called: a no-show, instead of somebody who has left"`
}

// TransferBody says who is to wait for another practitioner.
type TransferBody struct {
	TicketBody
	To string `json:"to" maxLength:"160" doc:"The practitioner, or a clinic's service: clinicId.visitTypeId" example:"018f6b1e-0000-7000-8000-000000000006"`
}

// RoomBody says who is to go to which room.
type RoomBody struct {
	TicketBody
	Room string `json:"room" maxLength:"40" doc:"Its name, as a board shows it" example:"B"`
}

// QueueCommand is what every command on a queue comes with.
type QueueCommand struct {
	CommandParams
	ID string `path:"practitionerId" doc:"The practitioner, or a clinic's service: clinicId.visitTypeId" example:"018f6b1e-0000-7000-8000-000000000002"`
}

type (
	walkInInput struct {
		QueueCommand
		Body *WalkInBody
	}
	callInput struct {
		QueueCommand
		Body CallBody
	}
	ticketInput struct {
		QueueCommand
		Body TicketBody
	}
	urgentInput struct {
		QueueCommand
		Body UrgentBody
	}
	leaveInput struct {
		QueueCommand
		Body LeaveBody
	}
	transferInput struct {
		QueueCommand
		Body TransferBody
	}
	roomInput struct {
		QueueCommand
		Body RoomBody
	}
)

// QueueRead is what every read of a queue comes with.
type QueueRead struct {
	ReadParams
	AsOfParams
	ID       string `path:"practitionerId" doc:"The practitioner, or a clinic's service: clinicId.visitTypeId" example:"018f6b1e-0000-7000-8000-000000000002"`
	Date     string `query:"date" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = today" example:"2026-03-30"`
	ClinicID string `query:"clinicId" maxLength:"64" doc:"Whose clock says what day it is; absent = the practitioner's first"`
}

func (q QueueRead) queue() commands.Queue { return QueueOf{q.Date, q.ClinicID}.of(q.ID) }

type queueInput struct {
	QueueRead
	Spoken
	PatientID string `query:"patientId" maxLength:"64" doc:"Only this patient; positions are those among everybody"`
	All       bool   `query:"all" doc:"Those too who are finished or gone"`
}

type boardInput struct{ QueueRead }

type queueTicketInput struct {
	QueueRead
	Ticket int `path:"ticket" minimum:"1" doc:"The number" example:"7"`
}

type clinicQueuesInput struct {
	ReadParams
	AsOfParams
	ID   string `path:"id" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
	Date string `query:"date" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = today" example:"2026-03-30"`
	All  bool   `query:"all" doc:"Those too who are finished or gone"`
}

// queueRefusals are the refusals of everything about a queue.
func queueRefusals(more ...*domain.Error) []*domain.Error {
	return append(more, practitioner.ErrNotFound, visittype.ErrNotFound, clinic.ErrNotFound, commands.ErrNotHere, domain.ErrBadDay)
}

// onTicket declares a route that does something to a ticket.
func onTicket[I commandInput](
	a *api, verb, summary, detail string, do func(context.Context, commands.Request, *I) (done[QueueTicket], error), refusals ...*domain.Error,
) {
	command(a, operation{
		id: verb + "Ticket", method: http.MethodPost, path: "/v1/queues/{practitionerId}/" + verb, tag: "Queues",
		summary: summary, detail: detail, refusals: queueRefusals(append(refusals, queue.ErrNoTicket, queue.ErrStatus)...),
	}, do)
}

func (a *api) queueRoutes() {
	a.waitRoutes()
	command(a, operation{
		id: "createTicket", method: http.MethodPost, path: "/v1/queues/{practitionerId}/tickets", tag: "Queues", creates: true,
		summary:  "Give a ticket to somebody without an appointment",
		detail:   "Whoever is booked joins by arriving: POST /v1/appointments/{id}/arrive.",
		refusals: queueRefusals(queue.ErrAlready, queue.ErrNotToday, clinic.ErrClosed, patient.ErrNotFound),
	}, a.walkIn)
	onTicket(a, "call", "Call whoever is next to a desk",
		"No two desks call one person. A desk that has called somebody who has not come in yet has that one again.", a.call,
		queue.ErrEmpty, queue.ErrDesk, queue.ErrDeskBusy, queue.ErrReason)
	onTicket(a, "recall", "Call whoever was called once more", "", a.aboutTicket(a.Commands.RecallTicket))
	onTicket(a, "skip", "Pass over somebody", "The ticket stays, and may return.", a.aboutTicket(a.Commands.SkipTicket))
	onTicket(a, "return", "Have somebody wait again",
		"In the place of the ticket: nobody is later for having been skipped.", a.aboutTicket(a.Commands.ReturnTicket))
	onTicket(a, "start", "Begin somebody's service", "", a.aboutTicket(a.Commands.StartTicket))
	onTicket(a, "finish", "End somebody's service", "It says nothing of an appointment: that is fulfilled by itself, and ends the service too.",
		a.aboutTicket(a.Commands.FinishTicket))
	onTicket(a, "urgent", "Have somebody go before those who are not urgent", "", a.markUrgent)
	onTicket(a, "leave", "Note that somebody is gone without being seen", "", a.leave)
	onTicket(a, "transfer", "Send somebody to another practitioner's queue", "Answers the ticket there.", a.transfer, queue.ErrSame)
	onTicket(a, "room", "Send somebody to a room, and free the desk", "", a.toRoom, queue.ErrDesk)
	a.queueReads()
}

func (a *api) queueReads() {
	one(a, operation{
		id: "getQueue", method: http.MethodGet, path: "/v1/queues/{practitionerId}", tag: "Queues",
		summary: "Get the queue of a practitioner's day", refusals: asOfRefusals(queueRefusals()...),
		detail: "Urgent people first; then everybody when they are due: booked people at their time, or when they came if that was later, walk-ins " +
			"half an hour after they came.",
	}, a.queue)
	one(a, operation{
		id: "getTicket", method: http.MethodGet, path: "/v1/queues/{practitionerId}/tickets/{ticket}", tag: "Queues",
		summary: "Get where somebody is in a queue", refusals: asOfRefusals(queueRefusals(queue.ErrNoTicket)...),
	}, a.queueTicket)
	one(a, operation{
		id: "getQueueBoard", method: http.MethodGet, path: "/v1/queues/{practitionerId}/board", tag: "Queues",
		summary: "Get what a display in the waiting room shows", detail: "Ticket numbers; initials, too, where the clinic's policy says so.", refusals: asOfRefusals(queueRefusals()...),
	}, a.board)
	one(a, operation{
		id: "getClinicQueues", method: http.MethodGet, path: "/v1/clinics/{id}/queue", tag: "Queues",
		summary:  "Get the queues of a clinic's day",
		detail:   "With asOf: of those practitioners of then who still work there.",
		refusals: asOfRefusals(clinic.ErrNotFound, domain.ErrBadDay, engine.ErrAway),
	}, a.clinicQueues)
}

func (a *api) walkIn(ctx context.Context, req commands.Request, in *walkInInput) (done[QueueTicket], error) {
	var b WalkInBody
	if in.Body != nil {
		b = *in.Body
	}
	d, err := a.ticketed(ctx)(a.Commands.JoinQueue(ctx, req, b.of(in.ID), commands.WalkIn{Patient: domain.PatientID(b.PatientID), VisitType: domain.VisitTypeID(b.VisitTypeID)}))
	d.location = "/v1/queues/" + in.ID + "/tickets/" + strconv.Itoa(d.body.Ticket) + "?date=" + d.body.Date
	return d, err
}

func (a *api) call(ctx context.Context, req commands.Request, in *callInput) (done[QueueTicket], error) {
	c := commands.Calling{Desk: in.Body.Desk, Ticket: in.Body.Ticket, Reason: queue.Reason(in.Body.Reason)}
	return a.ticketed(ctx)(a.Commands.CallNext(ctx, req, in.Body.of(in.ID), c))
}

// aboutTicket serves a command that needs nothing but the ticket.
func (a *api) aboutTicket(
	do func(context.Context, commands.Request, commands.Queue, int) (commands.Answer[queue.State], queue.Place, error),
) func(context.Context, commands.Request, *ticketInput) (done[QueueTicket], error) {
	return func(ctx context.Context, req commands.Request, in *ticketInput) (done[QueueTicket], error) {
		return a.ticketed(ctx)(do(ctx, req, in.Body.of(in.ID), in.Body.Ticket))
	}
}

func (a *api) markUrgent(ctx context.Context, req commands.Request, in *urgentInput) (done[QueueTicket], error) {
	return a.ticketed(ctx)(a.Commands.MarkUrgent(ctx, req, in.Body.of(in.ID), in.Body.Ticket, queue.Reason(in.Body.Reason)))
}

func (a *api) leave(ctx context.Context, req commands.Request, in *leaveInput) (done[QueueTicket], error) {
	return a.ticketed(ctx)(a.Commands.LeaveQueue(ctx, req, in.Body.of(in.ID), in.Body.Ticket, in.Body.Missed))
}

func (a *api) transfer(ctx context.Context, req commands.Request, in *transferInput) (done[QueueTicket], error) {
	return a.ticketed(ctx)(a.Commands.TransferTicket(ctx, req, in.Body.of(in.ID), in.Body.Ticket, domain.PractitionerID(in.Body.To)))
}

func (a *api) toRoom(ctx context.Context, req commands.Request, in *roomInput) (done[QueueTicket], error) {
	return a.ticketed(ctx)(a.Commands.MoveToRoom(ctx, req, in.Body.of(in.ID), in.Body.Ticket, in.Body.Room))
}

// ticketed turns what a command on a queue answered into what its route does.
func (a *api) ticketed(ctx context.Context) func(commands.Answer[queue.State], queue.Place, error) (done[QueueTicket], error) {
	return func(answer commands.Answer[queue.State], p queue.Place, err error) (done[QueueTicket], error) {
		if err != nil {
			return done[QueueTicket]{}, err
		}
		body, err := a.ticketOf(ctx, p)
		if err == nil {
			err = a.withWait(ctx, &body, p, answer.Position)
		}
		return finish(answer, body, ""), err
	}
}

func (a *api) queue(ctx context.Context, in *queueInput) (single[QueueSheet], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[QueueSheet]{}, err
	}
	q, answer, err := a.Commands.Queue(ctx, in.queue())
	if err != nil {
		return single[QueueSheet]{}, err
	}
	body, err := a.sheet(ctx, q, answer.State, func(t queue.Ticket) bool {
		return (in.All || t.Status.Open()) && (in.PatientID == "" || string(t.Patient) == in.PatientID)
	})
	if err != nil {
		return single[QueueSheet]{}, err
	}
	body.Waiting = len(queue.Order(answer.State, a.Now()))
	of, err := a.forecasts(ctx, []string{q.Line()}, q.Day, answer.Position)
	if err != nil {
		return single[QueueSheet]{}, err
	}
	a.withWaits(body.Tickets, of[q.Line()])
	body.Summary, err = a.summary(ctx, q, answer.State, of[q.Line()], in.Spoken)
	return single[QueueSheet]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) queueTicket(ctx context.Context, in *queueTicketInput) (single[QueueTicket], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[QueueTicket]{}, err
	}
	_, answer, err := a.Commands.Queue(ctx, in.queue())
	if err != nil {
		return single[QueueTicket]{}, err
	}
	if _, ok := answer.State.Ticket(in.Ticket); !ok {
		return single[QueueTicket]{}, queue.ErrNoTicket
	}
	place := queue.PlaceOf(answer.State, in.Ticket, a.Now())
	body, err := a.ticketOf(ctx, place)
	if err == nil {
		err = a.withWait(ctx, &body, place, answer.Position)
	}
	return single[QueueTicket]{body, etag(answer.Revision), answer.Position}, err
}

func (a *api) board(ctx context.Context, in *boardInput) (single[QueueBoard], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[QueueBoard]{}, err
	}
	q, answer, err := a.Commands.Queue(ctx, in.queue())
	board := boardOf(q.Day, answer.State, everywhere)
	if err == nil {
		board.Initials, err = a.initials(ctx, q.Clinic, answer.State, everywhere)
	}
	return single[QueueBoard]{board, etag(answer.Revision), answer.Position}, err
}

func (a *api) clinicQueues(ctx context.Context, in *clinicQueuesInput) (single[ClinicQueues], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[ClinicQueues]{}, err
	}
	id := domain.ClinicID(in.ID)
	of, at, err := a.linesOf(ctx, id, in.atLeast())
	if err != nil {
		return single[ClinicQueues]{}, err
	}
	states, day, err := a.Commands.ClinicQueues(ctx, id, domain.Day(in.Date), of)
	if err != nil {
		return single[ClinicQueues]{}, err
	}
	body := ClinicQueues{ClinicID: in.ID, Date: string(day), Queues: []QueueSheet{}}
	waits, err := a.clinicForecasts(ctx, states, day)
	if err != nil {
		return single[ClinicQueues]{}, err
	}
	for _, who := range of {
		practitioner, _, service := queue.ParseLine(string(who))
		if service != "" && len(states[who].State.Tickets) == 0 {
			continue
		}
		q := commands.Queue{Practitioner: practitioner, Service: service, Clinic: id, Day: day}
		sheet, err := a.sheet(ctx, q, states[who].State, func(t queue.Ticket) bool {
			return t.Clinic == id && (in.All || t.Status.Open())
		})
		if err != nil {
			return single[ClinicQueues]{}, err
		}
		a.withWaits(sheet.Tickets, waits[string(who)])
		body.Waiting += sheet.Waiting
		body.Queues = append(body.Queues, sheet)
	}
	return single[ClinicQueues]{body: body, position: at}, nil
}

// linesOf returns whose queues a clinic has: the practitioners who work there, by
// name, and then its services.
func (a *api) linesOf(ctx context.Context, id domain.ClinicID, least domain.Position) ([]domain.PractitionerID, domain.Position, error) {
	f := projections.PractitionerSearch{Area: projections.Area{Clinic: id}, Limit: 1000}
	rows, err := a.Directory.FindPractitioners(ctx, f, least)
	if err != nil {
		return nil, 0, err
	}
	of := mapped(rows.Items, func(p projections.PractitionerFound) domain.PractitionerID { return p.ID })
	if a.was != nil {
		rows.Position = *a.was
	}
	if of, err = a.workedThere(ctx, id, of); err != nil {
		return nil, 0, err
	}
	services, err := a.serviceLines(ctx, id)
	return append(of, services...), rows.Position, err
}

// workedThere returns those practitioners who worked at a clinic then.
func (a *api) workedThere(ctx context.Context, id domain.ClinicID, now []domain.PractitionerID) (then []domain.PractitionerID, err error) {
	if a.was == nil {
		return now, nil
	}
	for _, who := range now {
		p, err := a.Commands.Practitioner(ctx, who)
		if err != nil && !errors.Is(err, practitioner.ErrNotFound) {
			return nil, err
		}
		if slices.Contains(p.State.Clinics, id) {
			then = append(then, who)
		}
	}
	return then, nil
}

// sheet shows the tickets of a queue that are wanted.
func (a *api) sheet(ctx context.Context, q commands.Queue, s queue.State, wanted func(queue.Ticket) bool) (QueueSheet, error) {
	sheet := QueueSheet{PractitionerID: string(q.Practitioner), ServiceID: q.Service, Date: string(q.Day), Tickets: []QueueTicket{}}
	places := queue.Order(s, a.Now())
	for _, t := range s.Tickets {
		if t.Status != queue.Waiting {
			places = append(places, queue.PlaceOf(s, t.Entry.Ticket, a.Now()))
		}
	}
	for _, p := range places {
		if !wanted(p.Ticket) {
			continue
		}
		if p.Status == queue.Waiting {
			sheet.Waiting++
		}
		shown, err := a.ticketOf(ctx, p)
		if err != nil {
			return sheet, err
		}
		sheet.Tickets = append(sheet.Tickets, shown)
	}
	return sheet, nil
}

func (a *api) ticketOf(ctx context.Context, p queue.Place) (QueueTicket, error) {
	t := QueueTicket{
		Ticket: p.Entry.Ticket, PractitionerID: string(p.Practitioner), ServiceID: p.Service, ClinicID: string(p.Clinic), Date: string(p.Day),
		Status: string(p.Status),
		Since:  p.Since, BookedFor: p.Due, Urgent: string(p.Urgent), UrgentBy: p.UrgentBy, Desk: p.Desk, Room: p.Room, CalledAt: p.CalledAt, Calls: p.Calls,
		CalledBy: p.CalledBy, OutOfTurn: string(p.Jumped),
		StartedAt: p.Began, EndedAt: p.Ended, TransferredTo: string(p.To), AppointmentID: string(p.Appointment), PatientID: string(p.Patient),
	}
	if p.Status != queue.Waiting {
		return t, nil
	}
	zone, err := a.zoneOf(ctx, p.Clinic)
	if err == nil {
		t.Position, t.Reason, t.Waited = p.Position, p.Why(zone), formatDuration(p.Waited.Truncate(time.Minute))
	}
	return t, err
}
