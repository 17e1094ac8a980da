package commands

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/domain/visittype"
)

var queues = aggregate[queue.State, queue.Command, queue.Event]{queue.Decide, queue.Evolve}

// Queue says which queue is meant.
type Queue struct {
	Practitioner domain.PractitionerID // or "clinic.visit type", until it is known which; "" of a service
	Service      string                // of the clinic: a visit type whose people any desk calls; "" of a practitioner
	Clinic       domain.ClinicID       // whose clock says what day it is, and where a walk-in is; "" = the practitioner's first
	Day          domain.Day            // "" = today
}

// ErrNotHere refuses a queue of a practitioner at a clinic of others.
var ErrNotHere = domain.Refusal(domain.Invalid, "queue.not-here", "the practitioner does not work at this clinic")

// Stream returns the stream of a queue whose day is known.
func (q Queue) Stream() domain.StreamName { return queue.Stream(q.Line(), q.Day) }

// Line names the queues of all days that the queue is one of.
func (q Queue) Line() string { return queue.LineOf(q.Practitioner, q.Clinic, q.Service) }

// Queue returns a queue as its stream says, and which one it is: the clinic and
// the day filled in. One that nobody has joined is empty. Errors:
// [practitioner.ErrNotFound], or of a service [visittype.ErrNotFound],
// [clinic.ErrNotFound], [ErrNotHere], [domain.ErrBadDay].
func (h *Handler) Queue(ctx context.Context, q Queue) (Queue, Answer[queue.State], error) {
	q, _, err := h.whichQueue(ctx, q)
	if err != nil {
		return q, Answer[queue.State]{}, err
	}
	loaded, err := h.Store.Load(ctx, q.Stream())
	recorded := loaded[q.Stream()]
	return q, answer(domain.Replay(queue.Evolve, queue.State{}, recorded), recorded), err
}

// ClinicQueues returns the queues of practitioners on a day at a clinic, "" being
// today, and that day. Errors: [clinic.ErrNotFound], [domain.ErrBadDay].
func (h *Handler) ClinicQueues(
	ctx context.Context, at domain.ClinicID, day domain.Day, of []domain.PractitionerID,
) (map[domain.PractitionerID]Answer[queue.State], domain.Day, error) {
	day, _, err := h.dayAt(ctx, at, day)
	if err != nil || len(of) == 0 {
		return nil, day, err
	}
	streams := make([]domain.StreamName, len(of))
	for i, id := range of {
		streams[i] = queue.Stream(id, day)
	}
	loaded, err := h.Store.Load(ctx, streams...)
	answers := map[domain.PractitionerID]Answer[queue.State]{}
	for i, id := range of {
		recorded := loaded[streams[i]]
		answers[id] = answer(domain.Replay(queue.Evolve, queue.State{}, recorded), recorded)
	}
	return answers, day, err
}

// whichQueue fills in the clinic and the day, and returns what day it is there.
func (h *Handler) whichQueue(ctx context.Context, q Queue) (_ Queue, today domain.Day, err error) {
	if _, _, service := queue.ParseLine(string(q.Practitioner)); service != "" || q.Service != "" {
		return h.whichService(ctx, q)
	}
	who, err := h.Practitioner(ctx, q.Practitioner)
	if err != nil {
		return q, "", err
	}
	if q.Clinic == "" {
		q.Clinic = who.State.Clinics[0] // everybody works somewhere
	}
	q.Day, today, err = h.dayAt(ctx, q.Clinic, q.Day)
	if err == nil && !slices.Contains(who.State.Clinics, q.Clinic) {
		err = ErrNotHere
	}
	return q, today, err
}

// whichService is whichQueue of a clinic's service.
func (h *Handler) whichService(ctx context.Context, q Queue) (_ Queue, today domain.Day, err error) {
	if q.Service == "" {
		var at domain.ClinicID
		if _, at, q.Service = queue.ParseLine(string(q.Practitioner)); q.Clinic != "" && q.Clinic != at {
			return q, "", ErrNotHere
		}
		q.Practitioner, q.Clinic = "", at
	}
	if q.Day, today, err = h.dayAt(ctx, q.Clinic, q.Day); err != nil {
		return q, "", err
	}
	service, err := h.VisitType(ctx, domain.VisitTypeID(q.Service))
	if err == nil && service.State.Clinic != q.Clinic {
		err = visittype.ErrNotFound
	}
	return q, today, err
}

// dayAt returns a day, "" being today, and what day it is at a clinic.
func (h *Handler) dayAt(ctx context.Context, id domain.ClinicID, day domain.Day) (meant, today domain.Day, err error) {
	zone, err := h.zoneAt(ctx, id)
	if err != nil {
		return day, "", err
	}
	today = domain.LocalDay(h.Now(), zone)
	if day == "" {
		return today, today, nil
	}
	day, err = domain.ParseDay(string(day))
	return day, today, err
}

func (h *Handler) zoneAt(ctx context.Context, id domain.ClinicID) (*time.Location, error) {
	at, err := h.Clinic(ctx, id)
	if err != nil {
		return nil, err
	}
	return domain.Zone(at.State.Zone)
}

// queueing executes a command on a queue. The ticket that it is about is found
// in the state afterwards; its place is as of now.
func (h *Handler) queueing(
	ctx context.Context, req Request, q Queue, make func(h *Handler, q Queue, today domain.Day) (queue.Command, error),
	of func(queue.State) (queue.Ticket, bool),
) (Answer[queue.State], queue.Place, error) {
	var none Answer[queue.State]
	q, today, err := h.whichQueue(ctx, q)
	if err != nil {
		return none, queue.Place{}, err
	}
	command, err := make(h, q, today)
	if err != nil {
		return none, queue.Place{}, err
	}
	done, err := handle(ctx, h, req, q.Stream(), queues, command, unguarded)
	ticket, _ := of(done.State)
	return done, queue.PlaceOf(done.State, ticket.Entry.Ticket, h.now()), err
}

// WalkIn is somebody who came without an appointment.
type WalkIn struct {
	Patient   domain.PatientID   // "" = not known yet
	VisitType domain.VisitTypeID // what they came for; "" = not said
}

// JoinQueue gives somebody without an appointment a ticket. Errors: those of
// [Handler.Queue], [clinic.ErrClosed], [patient.ErrNotFound],
// [visittype.ErrNotFound], [queue.ErrAlready], [queue.ErrNotToday], and those of
// every command.
func (h *Handler) JoinQueue(ctx context.Context, req Request, q Queue, who WalkIn) (Answer[queue.State], queue.Place, error) {
	id := domain.NewID(req.Command, "queue-entry")
	return h.queueing(ctx, req, q, func(h *Handler, q Queue, today domain.Day) (queue.Command, error) {
		planned, err := h.mayJoin(ctx, q, who)
		if err != nil {
			return nil, err
		}
		zone, err := h.zoneAt(ctx, q.Clinic)
		entry := queue.Entry{
			ID: id, Practitioner: q.Practitioner, Service: q.Service, Day: q.Day, Clinic: q.Clinic, Patient: who.Patient, Since: h.now(),
			VisitType: string(who.VisitType), Planned: planned, Offset: offset(h.now(), zone),
		}
		return queue.Join{Entry: entry, Today: today, By: req.Actor}, err
	}, func(s queue.State) (queue.Ticket, bool) { return s.Latest(id) })
}

// mayJoin returns how long the visit is to take, in minutes; 0 when nobody says.
func (h *Handler) mayJoin(ctx context.Context, q Queue, who WalkIn) (planned int, err error) {
	if _, _, err := h.openClinic(ctx, q.Clinic); err != nil {
		return 0, err
	}
	if who.Patient != "" {
		if _, _, err := profile(ctx, h, patient.Stream(who.Patient), patient.Evolve, patient.ErrNotFound); err != nil {
			return 0, err
		}
	}
	if who.VisitType == "" {
		return 0, nil
	}
	visitType, err := h.VisitType(ctx, who.VisitType)
	return visitType.State.Duration, err
}

// offset returns how far a zone's clock is from UTC at an instant, in minutes.
func offset(at time.Time, zone *time.Location) int {
	if zone == nil {
		return 0
	}
	_, seconds := at.In(zone).Zone()
	return seconds / 60
}

// Calling is a desk that calls.
type Calling struct {
	Desk   string
	Ticket int          // out of turn; 0 = whoever is next
	Reason queue.Reason // why out of turn
}

// CallNext calls whoever is next to a desk: an event of the queue's stream at the
// revision at which it was decided, so no two desks call one person. A desk that
// has called somebody who has not come in yet has that one again. Errors: those of
// [Handler.Queue], [queue.ErrEmpty], [queue.ErrDesk], [queue.ErrDeskBusy], of a
// ticket out of turn [queue.ErrNoTicket], [queue.ErrStatus] and
// [queue.ErrReason], and those of every command.
func (h *Handler) CallNext(ctx context.Context, req Request, q Queue, c Calling) (Answer[queue.State], queue.Place, error) {
	return h.queueing(ctx, req, q, func(h *Handler, _ Queue, _ domain.Day) (queue.Command, error) {
		return queue.Call{Desk: c.Desk, Ticket: c.Ticket, Reason: c.Reason, At: h.now(), By: req.Actor}, nil
	}, func(s queue.State) (queue.Ticket, bool) { return s.At(c.Desk) })
}

// ticket executes a command about one ticket.
func (h *Handler) ticket(
	ctx context.Context, req Request, q Queue, n int, make func(at time.Time) queue.Command,
) (Answer[queue.State], queue.Place, error) {
	return h.queueing(ctx, req, q, func(h *Handler, _ Queue, _ domain.Day) (queue.Command, error) {
		return make(h.now()), nil
	}, func(s queue.State) (queue.Ticket, bool) { return s.Ticket(n) })
}

// RecallTicket calls whoever was called once more. Errors: those of
// [Handler.Queue], [queue.ErrNoTicket], [queue.ErrStatus], and those of every
// command; so are those of the commands about one ticket that follow.
func (h *Handler) RecallTicket(ctx context.Context, req Request, q Queue, n int) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command { return queue.Recall{Ticket: n, At: at, By: req.Actor} })
}

// SkipTicket passes over somebody.
func (h *Handler) SkipTicket(ctx context.Context, req Request, q Queue, n int) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command { return queue.Skip{Ticket: n, At: at, By: req.Actor} })
}

// ReturnTicket has somebody wait again.
func (h *Handler) ReturnTicket(ctx context.Context, req Request, q Queue, n int) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command { return queue.Return{Ticket: n, At: at, By: req.Actor} })
}

// MarkUrgent has somebody go before those who are not. Errors also:
// [queue.ErrReason].
func (h *Handler) MarkUrgent(ctx context.Context, req Request, q Queue, n int, why queue.Reason) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command {
		return queue.MarkUrgent{Ticket: n, Reason: why, At: at, By: req.Actor}
	})
}

// StartTicket begins somebody's service.
func (h *Handler) StartTicket(ctx context.Context, req Request, q Queue, n int) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command { return queue.Start{Ticket: n, At: at, By: req.Actor} })
}

// FinishTicket ends somebody's service. It says nothing of their appointment.
func (h *Handler) FinishTicket(ctx context.Context, req Request, q Queue, n int) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command { return queue.Finish{Ticket: n, At: at, By: req.Actor} })
}

// LeaveQueue notes that somebody is gone without being seen, or was missed when
// called.
func (h *Handler) LeaveQueue(ctx context.Context, req Request, q Queue, n int, missed bool) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command {
		return queue.Leave{Ticket: n, Missed: missed, At: at, By: req.Actor}
	})
}

// MoveToRoom sends somebody who was called or is in service to a room, and frees
// the desk. Errors also: [queue.ErrDesk].
func (h *Handler) MoveToRoom(ctx context.Context, req Request, q Queue, n int, room string) (Answer[queue.State], queue.Place, error) {
	return h.ticket(ctx, req, q, n, func(at time.Time) queue.Command {
		return queue.Move{Ticket: n, Room: room, At: at, By: req.Actor}
	})
}

// TransferTicket sends somebody to the queue of another practitioner of the same
// clinic and day, and returns the ticket there: in one append where the store can, else first
// away and then there; a repeat finishes what was interrupted. Errors: those of
// [Handler.Queue], also for the other practitioner, [queue.ErrNoTicket],
// [queue.ErrStatus], [queue.ErrSame], and those of every command.
func (h *Handler) TransferTicket(
	ctx context.Context, req Request, q Queue, n int, to domain.PractitionerID,
) (Answer[queue.State], queue.Place, error) {
	q, _, err := h.whichQueue(ctx, q)
	if err != nil {
		return Answer[queue.State]{}, queue.Place{}, err
	}
	within, err := h.clinicsOf(ctx, string(to))
	if err != nil {
		return Answer[queue.State]{}, queue.Place{}, err
	}
	var there queue.Place
	done, err := execute(h, req, func(h *Handler, req Request) (Answer[queue.State], error) {
		return again(ctx, h, func(ctx context.Context) (done Answer[queue.State], err error) {
			done, there, err = h.tryTransfer(ctx, req, q, queue.Transfer{Ticket: n, To: to, At: h.now(), By: req.Actor}, within)
			return done, err
		})
	})
	return done, there, err
}

// clinicsOf returns the clinics at which people may wait in a line.
func (h *Handler) clinicsOf(ctx context.Context, line string) ([]domain.ClinicID, error) {
	id, at, service := queue.ParseLine(line)
	if service == "" {
		who, err := h.Practitioner(ctx, id)
		return who.State.Clinics, err
	}
	_, _, err := h.whichService(ctx, Queue{Clinic: at, Service: service})
	return []domain.ClinicID{at}, err
}

func (h *Handler) tryTransfer(
	ctx context.Context, req Request, q Queue, c queue.Transfer, within []domain.ClinicID,
) (Answer[queue.State], queue.Place, error) {
	there := queue.Stream(c.To, q.Day)
	loaded, err := h.Store.Load(ctx, q.Stream(), there)
	if err != nil {
		return Answer[queue.State]{}, queue.Place{}, err
	}
	own := loaded[q.Stream()]
	done := answer(domain.Replay(queue.Evolve, queue.State{}, own), own)
	upTo, err := replay(own, req)
	if err == nil && upTo == 0 {
		err = req.expect(own)
	}
	if err != nil {
		return done, queue.Place{}, err
	}
	events, err := queue.Decide(done.State, c)
	if who, _ := done.State.Ticket(c.Ticket); len(events) > 0 && !slices.Contains(within, who.Clinic) {
		err = ErrNotHere
	}
	if err != nil {
		return done, queue.Place{}, err
	}
	var writes []Write
	if len(events) > 0 {
		writes = append(writes, Write{q.Stream(), last(own), stamp(h, req, events)})
		done.State, done.Revision = domain.Fold(queue.Evolve, done.State, events...), last(own)+1
	}
	gone, _ := done.State.Ticket(c.Ticket)
	target, received := receive(loaded[there], gone, c)
	if len(received) > 0 {
		writes = append(writes, Write{there, last(loaded[there]), stamp(h, req, received)})
	}
	if len(writes) > 0 {
		done.Replayed = false
		done.Position, err = h.together(ctx, writes)
	}
	came, _ := target.From(queue.Origin{Practitioner: domain.PractitionerID(q.Line()), Ticket: c.Ticket})
	return done, queue.PlaceOf(target, came.Entry.Ticket, c.At), err
}

// receive returns the other queue with the ticket that somebody has there, and
// the events that it lacks.
func receive(recorded []domain.Recorded, gone queue.Ticket, c queue.Transfer) (queue.State, []queue.Event) {
	state := domain.Replay(queue.Evolve, queue.State{}, recorded)
	entry := gone.Entry.On(string(c.To))
	events, _ := queue.Decide(state, queue.Receive{ // it is never refused
		Entry: entry, From: queue.Origin{Practitioner: domain.PractitionerID(gone.Line()), Ticket: gone.Ticket}, Urgent: gone.Urgent, UrgentAt: gone.UrgentAt,
		UrgentBy: gone.UrgentBy, By: c.By,
	})
	return domain.Fold(queue.Evolve, state, events...), events
}

// together appends all writes at once where the store can, else one after the
// other.
func (h *Handler) together(ctx context.Context, writes []Write) (domain.Position, error) {
	if h.Store.Atomic() {
		return h.Store.Append(ctx, writes...)
	}
	return h.inTurn(ctx, writes)
}

// catchUp has the queue agree with an appointment whose own event was stored
// before, where the store could not take both at once.
func (h *Handler) catchUp(ctx context.Context, req Request, s appointment.State, undoes bool, done *Answer[appointment.State]) error {
	if h.Store.Atomic() {
		return nil
	}
	writes, err := h.queued(ctx, req, s, undoes)
	if err != nil || len(writes) == 0 {
		return err
	}
	position, err := h.Store.Append(ctx, writes...)
	done.Position = max(done.Position, position)
	return err
}

// queued returns what a queue has to note of an appointment that is so now:
// nothing when its patient has not come, unless that was undone. Whoever was
// transferred is followed to where they are.
func (h *Handler) queued(ctx context.Context, req Request, s appointment.State, undoes bool) ([]Write, error) {
	is, at := h.standing(s)
	set, n := s.Current()
	if n == 0 || is == "" || s.Arrived.IsZero() && !undoes {
		return nil, nil
	}
	zone, err := h.zoneAt(ctx, set.Clinic)
	if err != nil {
		return nil, err
	}
	entry := entryOf(set, s.Arrived, domain.LocalDay(set.Start, zone))
	entry.Offset = offset(set.Start, zone)
	for seen := map[string]bool{}; !seen[entry.Line()]; {
		seen[entry.Line()] = true
		stream := queue.Stream(entry.Line(), entry.Day)
		loaded, err := h.Store.Load(ctx, stream)
		if err != nil {
			return nil, err
		}
		recorded := loaded[stream]
		state := domain.Replay(queue.Evolve, queue.State{}, recorded)
		if t, ok := state.Latest(entry.ID); ok && t.Status == queue.Transferred {
			entry = entry.On(string(t.To))
			continue
		}
		if upTo, err := replay(recorded, req); err != nil || upTo > 0 {
			return nil, err
		}
		events, err := queue.Decide(state, queue.Follow{Entry: entry, Is: is, Undoes: undoes, At: at, By: req.Actor})
		if err != nil || len(events) == 0 {
			return nil, err
		}
		return []Write{{stream, last(recorded), stamp(h, req, events)}}, nil
	}
	return nil, nil
}

// standing returns where an appointment says that its patient is, and since when.
func (h *Handler) standing(s appointment.State) (queue.Status, time.Time) {
	switch s.Status {
	case appointment.Arrived:
		return queue.Waiting, s.Arrived
	case appointment.CheckedIn:
		return queue.InService, s.Started
	case appointment.Fulfilled:
		return queue.Finished, s.Finished
	case appointment.Booked, appointment.Cancelled, appointment.NoShow:
		return queue.Withdrawn, h.now()
	case appointment.Proposed, appointment.Pending:
	}
	return "", time.Time{}
}

func entryOf(set appointment.Set, since time.Time, day domain.Day) queue.Entry {
	due, planned := set.Start, set.End.Sub(set.Start)
	if set.ExpectedAt != nil {
		due, planned = *set.ExpectedAt, 0 // a turn in a session: how long it is, nobody says
	}
	return queue.Entry{
		ID: string(set.Appointment), Practitioner: set.Practitioner, Day: day, Clinic: set.Clinic,
		Appointment: set.Appointment, Patient: set.Patient, Due: due, Since: since, VisitType: set.VisitType, Planned: int(planned / time.Minute),
	}
}
