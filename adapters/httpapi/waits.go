package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// Waits answers how long people wait: [projections.Waits].
type Waits interface {
	Latest(ctx context.Context, lines []string, day domain.Day, asOf *domain.Position, least domain.Position) ([]projections.Wait, error)
	Accuracy(ctx context.Context, f projections.AccuracyFilter, least domain.Position) ([]projections.Accuracy, domain.Position, error)
}

// ExpectedWait is by when somebody who waits is called, as it was forecast at
// the latest event of the queue that changed it.
type ExpectedWait struct {
	P50    string    `json:"p50" format:"duration" doc:"From now: called by then with probability 0.5. In whole minutes; PT0M when that has passed" example:"PT12M"`
	P90    string    `json:"p90" format:"duration" doc:"From now: called by then with probability 0.9" example:"PT25M"`
	P50At  time.Time `json:"p50At" doc:"The same as an instant, UTC" example:"2026-03-30T09:32:00Z"`
	P90At  time.Time `json:"p90At" doc:"The same as an instant, UTC" example:"2026-03-30T09:45:00Z"`
	Basis  string    `json:"basis" enum:"schedule,durations,history" doc:"schedule: scheduled durations, for want of history; durations: real ones; history: and how far earlier forecasts were off" example:"history"`
	MadeAt time.Time `json:"madeAt" doc:"When this was forecast, UTC" example:"2026-03-30T09:20:00Z"`
}

// QueueSummary is the state of a queue in a sentence.
type QueueSummary struct {
	Waiting      int    `json:"waiting" doc:"How many people wait now" example:"3"`
	StillToCome  int    `json:"stillToCome" doc:"How many people are booked for this date and have not come yet" example:"4"`
	ExpectedWait string `json:"expectedWait,omitempty" format:"duration" doc:"Of the last of those who wait, from now, with probability 0.5; absent when nobody waits or nobody knows" example:"PT1H20M"`
	Language     string `json:"language" enum:"en,ko,pt,ru" example:"en"`
	Text         string `json:"text" example:"3 people are waiting for Dr. Ana Sousa. Expected wait: 1 hour 20 minutes. 4 more people are booked and still to come."`
}

// Spoken is the language of a sentence in an answer.
type Spoken struct {
	Language string `query:"lang" enum:"en,ko,pt,ru" doc:"The language of sentences; absent = as Accept-Language says, English when it says none of these" example:"pt"`
	Accept   string `header:"Accept-Language" maxLength:"1000" doc:"The languages that the reader likes" example:"pt-BR, en;q=0.5"`
}

// WaitAccuracy is how good forecasts of waits were.
type WaitAccuracy struct {
	Joining AccuracyOf `json:"joining" doc:"Of the forecasts made when people joined"`
	All     AccuracyOf `json:"all" doc:"Of all forecasts"`
}

// AccuracyOf is how good some forecasts were, in all and by what they have in
// common.
type AccuracyOf struct {
	Total   AccuracyShare   `json:"total"`
	ByBasis []AccuracyShare `json:"byBasis" nullable:"false"`
	ByHour  []AccuracyShare `json:"byHour" nullable:"false" doc:"By the two hours at the clinic in which they were made"`
}

// AccuracyShare is how good forecasts of one kind were.
type AccuracyShare struct {
	Basis        string  `json:"basis,omitempty" enum:"schedule,durations,history" doc:"What they went by"`
	Hour         *int    `json:"hour,omitempty" doc:"When the two hours begin, at the clinic" example:"10"`
	Forecasts    int     `json:"forecasts" doc:"How many there were" example:"120"`
	Settled      int     `json:"settled" doc:"Of whom was called since" example:"110"`
	Left         int     `json:"left" doc:"Of whom was gone before being called: they count neither as right nor as wrong" example:"4"`
	MedianError  string  `json:"medianError" format:"duration" doc:"Between P50 and the call, of the settled ones, in whole minutes" example:"PT6M"`
	AboveP90     float64 `json:"aboveP90" doc:"Per cent of the settled ones that were called later than P90; 10 is the aim" example:"9.6"`
	BelowP50     float64 `json:"belowP50" doc:"Per cent of the settled ones that were called before P50; 50 is the aim" example:"48.7"`
	WithinP50P90 float64 `json:"withinP50P90" doc:"Per cent of the settled ones that were called between P50 and P90; 40 is the aim" example:"41.7"`
}

type accuracyInput struct {
	ReadParams
	ClinicID       string `query:"clinicId" maxLength:"64" doc:"Only at this clinic"`
	PractitionerID string `query:"practitionerId" maxLength:"160" doc:"Only of this practitioner, or of a clinic's service: clinicId.service"`
	From           string `query:"from" maxLength:"10" doc:"YYYY-MM-DD at the clinic; absent = from the beginning" example:"2026-03-01"`
	To             string `query:"to" maxLength:"10" doc:"YYYY-MM-DD at the clinic, and this day too; absent = to the end" example:"2026-03-31"`
}

// waitRoutes come before those of queues: accuracy is no practitioner's id.
func (a *api) waitRoutes() {
	one(a, operation{
		id: "getQueueAccuracy", method: http.MethodGet, path: "/v1/queues/accuracy", tag: "Queues",
		summary: "Get how good the forecasts of waits were",
		detail: "Every forecast of a wait is kept with what became of it. One in ten people should be called later than P90 said, and half of " +
			"them before P50.",
		refusals: []*domain.Error{domain.ErrBadDay, engine.ErrAway},
	}, a.accuracy)
}

func (a *api) accuracy(ctx context.Context, in *accuracyInput) (single[WaitAccuracy], error) {
	f := projections.AccuracyFilter{Clinic: domain.ClinicID(in.ClinicID), Line: in.PractitionerID}
	for _, d := range []struct {
		text string
		day  *domain.Day
	}{{in.From, &f.From}, {in.To, &f.To}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.day, err = domain.ParseDay(d.text); err != nil {
			return single[WaitAccuracy]{}, err
		}
	}
	rows, at, err := a.Waits.Accuracy(ctx, f, in.atLeast())
	body := WaitAccuracy{accuracyOf(rows, true), accuracyOf(rows, false)}
	return single[WaitAccuracy]{body: body, position: at}, err
}

func accuracyOf(rows []projections.Accuracy, joining bool) AccuracyOf {
	of := AccuracyOf{Total: shareOf(projections.Accuracy{}), ByBasis: []AccuracyShare{}, ByHour: []AccuracyShare{}}
	for _, r := range rows {
		share := shareOf(r)
		switch {
		case r.Joining != joining:
		case r.Basis != "":
			share.Basis = string(r.Basis)
			of.ByBasis = append(of.ByBasis, share)
		case r.Band >= 0:
			share.Hour = &r.Band
			of.ByHour = append(of.ByHour, share)
		default:
			of.Total = share
		}
	}
	return of
}

func shareOf(r projections.Accuracy) AccuracyShare {
	percent := func(n int) float64 {
		const tenths = 1000
		return float64((n*tenths*2+r.Settled)/max(2*r.Settled, 1)) / 10
	}
	return AccuracyShare{
		Forecasts: r.Made, Settled: r.Settled, Left: r.Left, AboveP90: percent(r.AboveP90), BelowP50: percent(r.BelowP50),
		WithinP50P90: percent(r.Settled - r.AboveP90 - r.BelowP50),
		MedianError:  formatDuration((time.Duration(r.MedianError) * time.Second).Round(time.Minute)),
	}
}

// expected is what is shown of a forecast now: nothing of one that has turned out
// wrong.
func expected(w projections.Wait, now time.Time) *ExpectedWait {
	if refuted(w, now) {
		return nil
	}
	from := func(at time.Time) string { return formatDuration(max(0, at.Sub(now)).Round(time.Minute)) }
	return &ExpectedWait{from(w.P50), from(w.P90), w.P50, w.P90, string(w.Basis), w.MadeAt}
}

// refuted reports whether somebody waits still who was to be called by now with
// probability 0.9.
func refuted(w projections.Wait, now time.Time) bool { return now.After(w.P90) }

// forecasts returns the forecasts of queues of a day by line and ticket; none
// while the read models are away or behind: a queue is shown without them.
func (a *api) forecasts(ctx context.Context, lines []string, day domain.Day, least domain.Position) (map[string]map[int]projections.Wait, error) {
	rows, err := a.Waits.Latest(ctx, lines, day, a.was, least)
	if rule := new(domain.Error); errors.As(err, &rule) && rule.Kind == domain.Unavailable {
		return nil, nil
	}
	of := map[string]map[int]projections.Wait{}
	for _, w := range rows {
		if of[w.Line] == nil {
			of[w.Line] = map[int]projections.Wait{}
		}
		of[w.Line][w.Ticket] = w
	}
	return of, err
}

// clinicForecasts returns the forecasts of a clinic's queues of a day.
func (a *api) clinicForecasts(
	ctx context.Context, queues map[domain.PractitionerID]commands.Answer[queue.State], day domain.Day,
) (map[string]map[int]projections.Wait, error) {
	var lines []string
	var least domain.Position
	for who, answer := range queues {
		lines, least = append(lines, string(who)), max(least, answer.Position)
	}
	return a.forecasts(ctx, lines, day, least)
}

// withWaits adds to tickets of one queue when those who wait are called.
func (a *api) withWaits(tickets []QueueTicket, of map[int]projections.Wait) {
	for i, t := range tickets {
		if w, ok := of[t.Ticket]; ok && t.Status == string(queue.Waiting) {
			tickets[i].Expected = expected(w, a.Now())
		}
	}
}

// withWait adds to a ticket of a queue when it is called.
func (a *api) withWait(ctx context.Context, t *QueueTicket, p queue.Place, least domain.Position) error {
	if p.Status != queue.Waiting {
		return nil
	}
	of, err := a.forecasts(ctx, []string{p.Line()}, p.Day, least)
	if w, ok := of[p.Line()][t.Ticket]; ok {
		t.Expected = expected(w, a.Now())
	}
	return err
}

// summary says how a queue is.
func (a *api) summary(ctx context.Context, q commands.Queue, s queue.State, of map[int]projections.Wait, in Spoken) (*QueueSummary, error) {
	told := QueueSummary{Language: in.language()}
	var last time.Time
	for _, p := range queue.Order(s, a.Now()) {
		told.Waiting++
		if w, ok := of[p.Ticket.Ticket]; ok && !refuted(w, a.Now()) && w.P50.After(last) {
			last = w.P50
		}
	}
	wait := max(0, last.Sub(a.Now())).Round(time.Minute)
	known := !last.IsZero()
	if known {
		told.ExpectedWait = formatDuration(wait)
	}
	name, err := a.queueName(ctx, q)
	if err != nil {
		return nil, err
	}
	if told.StillToCome, err = a.stillToCome(ctx, q); err != nil {
		return nil, err
	}
	told.Text = sentences(told.Language, name, told.Waiting, told.StillToCome, wait, known)
	return &told, nil
}

// stillToCome returns how many are booked for the queue's date and have not come;
// nobody while the read models are away.
func (a *api) stillToCome(ctx context.Context, q commands.Queue) (int, error) {
	zone, err := a.zoneOf(ctx, q.Clinic)
	if err != nil || q.Practitioner == "" {
		return 0, err
	}
	midnight := func(d domain.Day) time.Time {
		year, month, day := d.Start().Date()
		return time.Date(year, month, day, 0, 0, 0, 0, zone)
	}
	list, err := a.Appointments.List(ctx, projections.AppointmentFilter{
		Practitioner: q.Practitioner, From: midnight(q.Day), To: midnight(q.Day.Add(1)), Status: appointment.Booked, Limit: 1000, AsOf: a.was,
	}, a.Now(), 0)
	if rule := new(domain.Error); errors.As(err, &rule) && rule.Kind == domain.Unavailable {
		return 0, nil
	}
	return len(list.Items), err
}

// queueName returns for whom or for what a queue waits, as people say.
func (a *api) queueName(ctx context.Context, q commands.Queue) (string, error) {
	if q.Service != "" {
		service, err := a.Commands.VisitType(ctx, domain.VisitTypeID(q.Service))
		return service.State.Name, err
	}
	who, err := a.Commands.Practitioner(ctx, q.Practitioner)
	return who.State.Name, err
}

// serviceLines returns the lines of the services that a clinic offers, and of the
// past those too that it has given up since.
func (a *api) serviceLines(ctx context.Context, id domain.ClinicID) ([]domain.PractitionerID, error) {
	types, err := a.Catalogue.VisitTypes(ctx, projections.VisitTypeFilter{Clinic: id, Retired: a.was != nil, Limit: 1000}, 0)
	return mapped(types.Items, func(v projections.VisitType) domain.PractitionerID {
		return domain.PractitionerID(queue.LineOf("", id, string(v.ID)))
	}), err
}
