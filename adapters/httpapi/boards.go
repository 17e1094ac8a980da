package httpapi

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// ClinicBoard is what a display in the waiting room of a clinic shows: no
// personal data of patients.
type ClinicBoard struct {
	ClinicID string              `json:"clinicId" example:"018f6b1e-0000-7000-8000-000000000001"`
	Date     string              `json:"date" format:"date" doc:"At the clinic" example:"2026-03-30"`
	Queues   []PractitionerBoard `json:"queues" nullable:"false" doc:"Of the practitioners who work there, by name; who waits elsewhere for them is left out"`
}

// PractitionerBoard is the part of a clinic's board that is about one queue.
type PractitionerBoard struct {
	PractitionerID string          `json:"practitionerId,omitempty" doc:"Absent = the queue is of a service" example:"018f6b1e-0000-7000-8000-000000000002"`
	ServiceID      string          `json:"serviceId,omitempty" doc:"The visit type whose queue it is; absent = the queue is of a practitioner" example:"018f6b1e-0000-7000-8000-000000000005"`
	Name           string          `json:"name" doc:"Of the practitioner or the service: ticket numbers are those of the queue" example:"Dr. Silva"`
	Called         []BoardEntry    `json:"called" nullable:"false" doc:"The latest first"`
	Waiting        []int           `json:"waiting" nullable:"false" doc:"Ticket numbers, in the order in which they are called"`
	Initials       []BoardInitials `json:"initials,omitempty" doc:"Of those who were called or wait, by ticket; only where the clinic's policy says boardShows: initials"`
}

// BoardShown is the message of a stream of boards.
type BoardShown[T any] struct {
	Position uint64 `json:"position" doc:"The board reflects every event up to this position"`
	Board    T      `json:"board" doc:"The whole board, in place of the one before"`
}

type clinicBoardInput struct {
	ReadParams
	AsOfParams
	ID   string `path:"id" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
	Date string `query:"date" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = today" example:"2026-03-30"`
}

type boardStreamInput struct {
	StreamParams
	ID       string `path:"practitionerId" doc:"The practitioner" example:"018f6b1e-0000-7000-8000-000000000002"`
	Date     string `query:"date" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = today, and from midnight on the next day" example:"2026-03-30"`
	ClinicID string `query:"clinicId" maxLength:"64" doc:"Whose clock says what day it is; absent = the practitioner's first"`
}

type clinicBoardStreamInput struct {
	StreamParams
	ID   string `path:"id" doc:"The clinic" example:"018f6b1e-0000-7000-8000-000000000001"`
	Date string `query:"date" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = today, and from midnight on the next day" example:"2026-03-30"`
}

func (a *api) boardRoutes() {
	refusals := []*domain.Error{clinic.ErrNotFound, domain.ErrBadDay, engine.ErrAway}
	const detail = "Ticket numbers only: no personal data."
	one(a, operation{
		id: "getClinicBoard", method: http.MethodGet, path: "/v1/clinics/{id}/board", tag: "Queues",
		summary: "Get what a display in the waiting room of a clinic shows", detail: detail + " With asOf: of those practitioners of then who still work there.",
		refusals: asOfRefusals(refusals...),
	}, a.clinicBoard)
	stream(a, operation{
		id: "streamClinicBoard", method: http.MethodGet, path: "/v1/clinics/{id}/board/stream", tag: "Queues",
		summary: "Follow what a display in the waiting room of a clinic shows", detail: detail, refusals: refusals,
	}, boardKinds[ClinicBoard](), a.clinicBoardStream)
	stream(a, operation{
		id: "streamQueueBoard", method: http.MethodGet, path: "/v1/queues/{practitionerId}/board/stream", tag: "Queues",
		summary: "Follow what a display in the waiting room shows", detail: detail, refusals: queueRefusals(),
	}, boardKinds[QueueBoard](), a.boardStream)
}

func boardKinds[T any]() []eventKind {
	return []eventKind{{"board", reflect.TypeFor[BoardShown[T]](), "The whole board: first, and whenever it has changed"}}
}

// everywhere lets every ticket of a queue be shown.
func everywhere(queue.Ticket) bool { return true }

// boardOf shows the tickets of a queue that are wanted, by their numbers.
func boardOf(day domain.Day, s queue.State, wanted func(queue.Ticket) bool) QueueBoard {
	board := QueueBoard{Date: string(day), Called: []BoardEntry{}, Waiting: []int{}}
	for _, t := range queue.Announced(s) {
		if wanted(t) {
			board.Called = append(board.Called, BoardEntry{t.Entry.Ticket, t.Desk, t.Room, t.CalledAt})
		}
	}
	for _, p := range queue.Order(s, time.Time{}) {
		if wanted(p.Ticket) {
			board.Waiting = append(board.Waiting, p.Entry.Ticket)
		}
	}
	return board
}

func (a *api) clinicBoard(ctx context.Context, in *clinicBoardInput) (single[ClinicBoard], error) {
	a, err := a.asOf(ctx, in.AsOfParams)
	if err != nil {
		return single[ClinicBoard]{}, err
	}
	if a.was != nil {
		body, err := a.pastBoard(ctx, domain.ClinicID(in.ID), domain.Day(in.Date), in.atLeast())
		return single[ClinicBoard]{body: body, position: *a.was}, err
	}
	view, err := a.viewClinic(ctx, domain.ClinicID(in.ID), domain.Day(in.Date), in.atLeast())
	if err != nil {
		return single[ClinicBoard]{}, err
	}
	body, err := view.show(ctx)
	return single[ClinicBoard]{body: body, position: view.position}, err
}

// pastBoard returns the board of a clinic's day as it was.
func (a *api) pastBoard(ctx context.Context, id domain.ClinicID, day domain.Day, least domain.Position) (ClinicBoard, error) {
	of, _, err := a.linesOf(ctx, id, least)
	if err != nil {
		return ClinicBoard{}, err
	}
	states, day, err := a.Commands.ClinicQueues(ctx, id, day, of)
	board := ClinicBoard{ClinicID: string(id), Date: string(day), Queues: []PractitionerBoard{}}
	if err != nil {
		return board, err
	}
	for _, who := range of {
		l, now := boardLine{who: who}, states[who].State
		q := commands.Queue{Practitioner: who}
		if _, _, service := queue.ParseLine(string(who)); service != "" {
			q.Service, l.service = service, service
		}
		if l.service != "" && len(now.Tickets) == 0 {
			continue
		}
		if l.name, err = a.queueName(ctx, q); err != nil {
			return board, err
		}
		part, err := a.partOf(ctx, l, id, day, now)
		if err != nil {
			return board, err
		}
		board.Queues = append(board.Queues, part)
	}
	return board, nil
}

// boardView is a board with what it shows.
type boardView[T any] struct {
	day      domain.Day
	at       domain.ClinicID // whose clock says what day it is
	queues   map[domain.StreamName]projections.QueueNow
	show     func(ctx context.Context) (T, error) // what the queues are by now
	position domain.Position
}

// viewQueue reads the board of a practitioner's day.
func (a *api) viewQueue(ctx context.Context, q commands.Queue) (*boardView[QueueBoard], error) {
	q, answer, err := a.Commands.Queue(ctx, q)
	if err != nil {
		return nil, err
	}
	v := &boardView[QueueBoard]{day: q.Day, at: q.Clinic, queues: map[domain.StreamName]projections.QueueNow{
		q.Stream(): {State: answer.State, Revision: answer.Revision, Position: answer.Position},
	}}
	v.show = func(ctx context.Context) (QueueBoard, error) {
		now := v.queues[q.Stream()].State
		board := boardOf(q.Day, now, everywhere)
		board.Initials, err = a.initials(ctx, q.Clinic, now, everywhere)
		return board, err
	}
	return v, nil
}

// viewClinic reads the board of a clinic's day. Who works there is as of a
// position at least.
func (a *api) viewClinic(ctx context.Context, id domain.ClinicID, day domain.Day, least domain.Position) (*boardView[ClinicBoard], error) {
	_, day, err := a.Commands.ClinicQueues(ctx, id, day, nil)
	if err != nil {
		return nil, err
	}
	f := projections.PractitionerSearch{Area: projections.Area{Clinic: id}, Limit: 1000}
	rows, err := a.Directory.FindPractitioners(ctx, f, least)
	if err != nil {
		return nil, err
	}
	lines := mapped(rows.Items, func(p projections.PractitionerFound) boardLine { return boardLine{who: p.ID, name: p.Name} })
	services, err := a.Catalogue.VisitTypes(ctx, projections.VisitTypeFilter{Clinic: id, Limit: 1000}, least)
	if err != nil {
		return nil, err
	}
	for _, v := range services.Items {
		lines = append(lines, boardLine{domain.PractitionerID(queue.LineOf("", id, string(v.ID))), string(v.ID), v.Name})
	}
	streams := mapped(lines, func(l boardLine) domain.StreamName { return queue.Stream(l.who, day) })
	v := &boardView[ClinicBoard]{day: day, at: id, position: rows.Position}
	if v.queues, err = a.Live.Queues(ctx, streams); err != nil {
		return nil, err
	}
	v.show = func(ctx context.Context) (ClinicBoard, error) {
		board := ClinicBoard{ClinicID: string(id), Date: string(day), Queues: []PractitionerBoard{}}
		for i, l := range lines {
			now := v.queues[streams[i]].State
			if l.service != "" && len(now.Tickets) == 0 {
				continue
			}
			one, err := a.partOf(ctx, l, id, day, now)
			if err != nil {
				return board, err
			}
			board.Queues = append(board.Queues, one)
		}
		return board, nil
	}
	return v, nil
}

// boardLine is a queue of a clinic's board: of a practitioner, or of a service.
type boardLine struct {
	who     domain.PractitionerID // whose line it is, for a service its own
	service string
	name    string
}

// partOf shows a queue on the board of a clinic: those who wait there.
func (a *api) partOf(ctx context.Context, l boardLine, at domain.ClinicID, day domain.Day, now queue.State) (PractitionerBoard, error) {
	here := func(t queue.Ticket) bool { return t.Clinic == at }
	one := boardOf(day, now, here)
	initials, err := a.initials(ctx, at, now, here)
	part := PractitionerBoard{ServiceID: l.service, Name: l.name, Called: one.Called, Waiting: one.Waiting, Initials: initials}
	if l.service == "" {
		part.PractitionerID = string(l.who)
	}
	return part, err
}

func (a *api) boardStream(ctx context.Context, in *boardStreamInput, _ domain.Position) (feed, error) {
	q := QueueOf{in.Date, in.ClinicID}.of(in.ID)
	return newBoardFeed(ctx, a, in.Date == "", func(ctx context.Context, _ domain.Position) (*boardView[QueueBoard], error) {
		return a.viewQueue(ctx, q)
	})
}

func (a *api) clinicBoardStream(ctx context.Context, in *clinicBoardStreamInput, _ domain.Position) (feed, error) {
	return newBoardFeed(ctx, a, in.Date == "", func(ctx context.Context, least domain.Position) (*boardView[ClinicBoard], error) {
		return a.viewClinic(ctx, domain.ClinicID(in.ID), domain.Day(in.Date), least)
	})
}

// boardFeed tells of a board: always of the whole, so that it does not matter
// what somebody has seen before.
type boardFeed[T any] struct {
	api   *api
	today bool                                                                    // of whatever day it is
	read  func(ctx context.Context, least domain.Position) (*boardView[T], error) // everything, as of a position at least
	watch *projections.QueueWatch
	view  *boardView[T]
	told  T
	stale bool // everything is to be read again
	least domain.Position
}

func newBoardFeed[T any](
	ctx context.Context, a *api, today bool, read func(context.Context, domain.Position) (*boardView[T], error),
) (feed, error) {
	watch, err := a.Live.WatchQueues(ctx)
	if err != nil {
		return nil, err
	}
	return &boardFeed[T]{api: a, today: today, read: read, watch: watch}, nil
}

func (f *boardFeed[T]) position() domain.Position { return f.watch.Position() }

func (f *boardFeed[T]) close() { f.watch.Close() }

func (f *boardFeed[T]) begin(ctx context.Context) (stretch, error) {
	if err := f.reread(ctx); err != nil {
		return stretch{}, err
	}
	var err error
	f.told, err = f.view.show(ctx)
	return f.tell(), err
}

// reread reads everything. What changes while it does is told: where it is
// not known yet that a queue is watched, as something that was missed.
func (f *boardFeed[T]) reread(ctx context.Context) error {
	view, err := f.read(ctx, f.least)
	if err != nil {
		return err
	}
	f.view, f.stale = view, false
	streams := make([]domain.StreamName, 0, len(view.queues))
	for name := range maps.Keys(view.queues) {
		streams = append(streams, name)
	}
	f.watch.Of(streams...)
	return nil
}

func (f *boardFeed[T]) tell() stretch {
	shown := BoardShown[T]{uint64(f.watch.Position()), f.told}
	return stretch{[]message{{"board", shown}}, f.watch.Position()}
}

// next waits until the board is another.
func (f *boardFeed[T]) next(ctx context.Context) (stretch, error) {
	for {
		over, err := f.over(ctx)
		if err == nil && (over || f.stale) {
			err = f.reread(ctx)
		}
		if err != nil {
			return stretch{}, err
		}
		now, err := f.view.show(ctx)
		if err != nil {
			return stretch{}, err
		}
		if !reflect.DeepEqual(now, f.told) {
			f.told = now
			return f.tell(), nil
		}
		if err := f.follow(ctx); err != nil {
			return stretch{}, err
		}
	}
}

// over reports whether the day that is shown has ended for who follows today.
func (f *boardFeed[T]) over(ctx context.Context) (bool, error) {
	if !f.today {
		return false, nil
	}
	zone, err := f.api.zoneOf(ctx, f.view.at)
	return err == nil && domain.LocalDay(f.api.Now(), zone) != f.view.day, err
}

// follow waits for news and takes them in.
func (f *boardFeed[T]) follow(ctx context.Context) error {
	news, err := f.watch.Next(ctx)
	if err != nil {
		return err
	}
	for name, now := range news.Queues {
		if known, ok := f.view.queues[name]; !ok || known.Revision < now.Revision {
			f.view.queues[name] = now
		}
	}
	if news.Staff {
		f.least = news.Position // the directory is to know them
	}
	f.stale = news.Again || news.Staff
	return nil
}
