package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// StoredEvents reads the log as it is stored.
type StoredEvents interface {
	// ReadStored returns up to limit events after a position and up to another
	// one. There are no more when the page's Next is until.
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
	// PositionAt returns the position of the last event that was recorded at or
	// before an instant.
	PositionAt(ctx context.Context, at time.Time) (domain.Position, error)
	// Wait returns when there may be an event after the position, or with the
	// error of ctx when it ends.
	Wait(ctx context.Context, after domain.Position) error
}

// EventSelection says which events of the log are wanted.
type EventSelection struct {
	Category []string  `query:"category" maxItems:"100" nullable:"false" doc:"Of these categories of streams, the part of their names before the first hyphen, with commas between them" example:"appointment"`
	Type     []string  `query:"type" maxItems:"200" nullable:"false" doc:"Of these types, with commas between them; docs/events.md lists all" example:"appointment.booked"`
	Stream   []string  `query:"stream" maxItems:"100" nullable:"false" doc:"Of these streams, with commas between them" example:"appointment-018f6b1e-0000-7000-8000-000000000001"`
	From     time.Time `query:"from" doc:"Recorded at this instant or later" example:"2026-03-02T00:00:00Z"`
	To       time.Time `query:"to" doc:"Recorded before this instant" example:"2026-03-03T00:00:00Z"`
}

func (s EventSelection) selection() eventcodec.Selection {
	return eventcodec.Selection{
		Categories: s.Category, Types: s.Type,
		Streams: mapped(s.Stream, func(name string) domain.StreamName { return domain.StreamName(name) }),
	}
}

type eventsInput struct {
	ReadParams
	EventSelection
	After       uint64 `query:"after" doc:"Events after this position: after of the cursor of the answer before, or the sequence of the last event that you have; absent = from the first" example:"42"`
	LastEventID uint64 `header:"Last-Event-ID" doc:"The id of the last message of a stream that you have, as browsers send it by themselves; it counts before after"`
	Limit       int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"How many lines at most; a stream goes on"`
	Format      string `query:"format" enum:"ndjson,sse" doc:"Absent = as Accept says, ndjson when it says nothing"`
	Accept      string `header:"Accept" maxLength:"1000" doc:"text/event-stream for a stream"`
}

func (in *eventsInput) after() domain.Position {
	if in.LastEventID > 0 {
		return domain.Position(in.LastEventID)
	}
	return domain.Position(in.After)
}

// wantsStream reports whether a format and an Accept header are for server-sent
// events.
func wantsStream(format, accept string) bool {
	return format == "sse" || format == "" && prefers(accept, eventStream, ndjson)
}

// EventLine is an event in a CloudEvents 1.0 envelope: [eventcodec.Envelope].
type EventLine struct {
	SpecVersion     string    `json:"specversion" enum:"1.0" doc:"Of CloudEvents"`
	ID              string    `json:"id" doc:"Of the event; nothing else has it" example:"018f6b1e-0000-7000-8000-000000000001"`
	Source          string    `json:"source" format:"uri-reference" example:"urn:slotbook:events"`
	Type            string    `json:"type" doc:"What happened" example:"appointment.booked"`
	Subject         string    `json:"subject" doc:"The stream" example:"appointment-018f6b1e-0000-7000-8000-000000000001"`
	Time            time.Time `json:"time" doc:"When it was recorded, UTC; never before that of an earlier event" example:"2026-03-02T09:00:00.000001Z"`
	DataContentType string    `json:"datacontenttype" enum:"application/json"`
	Sequence        string    `json:"sequence" pattern:"^[0-9]{20}$" doc:"Its position in the log, with leading zeros" example:"00000000000000000042"`
	Revision        int64     `json:"revision" doc:"Its place in the stream, from 0" example:"1"`
	Actor           string    `json:"actor,omitempty" doc:"Who did it; system for what nobody asked for" example:"local"`
	Command         string    `json:"command,omitempty" doc:"The command that decided it"`
	Correlation     string    `json:"correlationid,omitempty" doc:"The conversation that the command belongs to"`
	Causation       string    `json:"causationid,omitempty" doc:"The event that caused the command"`
	Trace           string    `json:"traceparent,omitempty" doc:"The span that stored it, as W3C Trace Context says it; absent outside traces" example:"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`
	Data            EventData `json:"data" doc:"The event; personal text is sealed: whose it is, and a box"`
}

// EventCursorLine is the last line of a stretch of the log.
type EventCursorLine struct {
	Cursor EventCursor `json:"cursor"`
}

// EventCursor says where to read on.
type EventCursor struct {
	After uint64 `json:"after" doc:"Ask for what comes after this position next: everything up to here was looked at" example:"42"`
	Head  uint64 `json:"head" doc:"The position of the last event when the answer began" example:"1200"`
	More  bool   `json:"more" doc:"There is more to be read already"`
}

const ndjson = "application/x-ndjson"

// eventsPath is where the log is read.
const eventsPath = "/v1/events"

func (a *api) eventRoutes() {
	h := a.operation(operation{
		id: "readEvents", method: http.MethodGet, path: eventsPath, tag: "Events", summary: "Read the log",
		detail: "One event a line, in the order in which they happened, each in a CloudEvents 1.0 envelope; the last line is a cursor. " +
			"An answer without one was cut off: what it holds is right, and sequence of its last event says where to go on. " +
			"Whoever goes on after each cursor misses nothing and gets nothing twice; at the end of the log, asking again later goes on. " +
			"With Accept: text/event-stream it does not end: what is recorded later comes as it is recorded, and Last-Event-ID goes on after " +
			"what was seen.",
	}, slices.Concat(readRefusals(), streamRefusals()), nil)
	h.Responses["200"] = a.eventsResponse()
	a.streams[http.MethodGet+" "+eventsPath] = func(r *http.Request) bool {
		return wantsStream(r.URL.Query().Get("format"), r.Header.Get("Accept"))
	}
	huma.Register(a.huma, h, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		if wantsStream(in.Format, in.Accept) {
			return a.streamed(ctx, func(ctx context.Context) (feed, string, error) {
				r, err := a.eventsAfter(ctx, in.after(), in.EventSelection, in.atLeast())
				return &eventFeed{api: a, eventReader: r, chosen: in.EventSelection}, "", err
			})
		}
		r, err := a.eventsAfter(ctx, in.after(), in.EventSelection, in.atLeast())
		if err != nil {
			return nil, refused(ctx, err)
		}
		first, err := r.next(ctx, in.Limit)
		if err != nil {
			return nil, refused(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) { a.tellEvents(hctx, r, first, in.Limit-len(first)) }}, nil
	})
}

// eventsResponse describes the log as lines and as a stream.
func (a *api) eventsResponse() *huma.Response {
	schema := func(t reflect.Type) *huma.Schema { return a.huma.OpenAPI().Components.Schemas.Schema(t, true, "") }
	response := a.streamResponse([]eventKind{
		{"event", reflect.TypeFor[EventLine](), "An event; its id is its position"},
		{"cursor", reflect.TypeFor[EventCursor](), "Nothing comes any more before the instant to, and the stream ends: whoever would connect again closes it then"},
	})
	response.Description = "Lines of JSON: events, then a cursor. As a stream: server-sent events, until either side ends; after 15 seconds of " +
		"silence there is a message with an id and no data"
	response.Content[ndjson] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeArray, Description: "The lines",
		Items: &huma.Schema{OneOf: []*huma.Schema{schema(reflect.TypeFor[EventLine]()), schema(reflect.TypeFor[EventCursorLine]())}},
	}}
	return response
}

// eventReader reads what is wanted of the log, stretch by stretch. It is used
// by one goroutine.
type eventReader struct {
	log   StoredEvents
	want  eventcodec.Selection
	at    domain.Position // everything up to here was looked at
	until domain.Position // where the wanted time ends, or the log ended
	head  domain.Position // where the log ended when that was looked at
	over  bool            // nothing will be recorded any more in the wanted time
}

// eventsAfter returns a reader of what follows a position. Errors:
// [engine.ErrPositionUnknown] for a position that there is not yet.
func (a *api) eventsAfter(ctx context.Context, after domain.Position, s EventSelection, least domain.Position) (*eventReader, error) {
	head, err := a.Head(ctx)
	if err != nil {
		return nil, err
	}
	if max(after, least) > head {
		return nil, engine.ErrPositionUnknown
	}
	r := &eventReader{log: a.Events, want: s.selection(), at: after}
	if !s.From.IsZero() {
		before, err := a.Events.PositionAt(ctx, before(s.From))
		if err != nil {
			return nil, err
		}
		r.at = max(r.at, min(before, head))
	}
	return r, r.reach(ctx, head, s.To)
}

// reach has the reader read on up to where the log ends now, or before an
// instant if there is one.
func (r *eventReader) reach(ctx context.Context, head domain.Position, to time.Time) error {
	r.head, r.until = head, head
	if to.IsZero() {
		return nil
	}
	last, err := r.log.PositionAt(ctx, before(to))
	r.until, r.over = max(r.at, min(last, head)), last < head
	return err
}

// before returns the last instant before another that events are recorded at:
// they have microseconds.
func before(t time.Time) time.Time { return t.Add(-1).Truncate(time.Microsecond) }

// The bounds of one answer: how many events are read at once, and how often the
// log is looked at for them.
const (
	eventsAtOnce = 500
	eventLooks   = 100
)

// next returns the events that follow, at most so many. None: there are no
// more, or for now enough was looked at.
func (r *eventReader) next(ctx context.Context, most int) ([]eventcodec.Stored, error) {
	for range eventLooks {
		if r.at >= r.until || most <= 0 {
			return nil, nil
		}
		page, err := r.log.ReadStored(ctx, r.at, r.until, r.want, min(most, eventsAtOnce))
		if err != nil {
			return nil, err
		}
		r.at = page.Next
		if len(page.Events) > 0 {
			return page.Events, nil
		}
	}
	return nil, nil
}

// cursor says where to read on.
func (r *eventReader) cursor() EventCursor {
	return EventCursor{After: uint64(r.at), Head: uint64(r.head), More: r.at < r.until}
}

// tellEvents writes events and the cursor. When the log cannot be read on, the
// cursor says how far it was read.
func (a *api) tellEvents(hctx huma.Context, r *eventReader, page []eventcodec.Stored, left int) {
	request, w := humamux.Unwrap(hctx)
	ctx, x := request.Context(), exchangeOf(request.Context())
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Slotbook-Position", position(r.head))
	x.position = r.head
	control := http.NewResponseController(w)
	var err error
	for len(page) > 0 && err == nil {
		if err = writeEvents(w, page); err != nil {
			return // who asked has gone
		}
		_ = control.Flush() // who asked may have gone; the next write says so
		page, err = r.next(ctx, left)
		left -= len(page)
	}
	if err != nil {
		x.note(problemOf(ctx, err))
	}
	_ = format.Marshal(w, EventCursorLine{r.cursor()}) // who asked may have gone
	_, _ = w.Write([]byte("\n"))
}

// writeEvents writes events as lines.
func writeEvents(w http.ResponseWriter, page []eventcodec.Stored) error {
	var lines []byte
	for _, e := range page {
		envelope, err := e.Envelope()
		if err != nil {
			return err
		}
		line, err := envelope.Line()
		if err != nil {
			return err
		}
		lines = append(lines, line...)
	}
	_, err := w.Write(lines)
	return err
}
