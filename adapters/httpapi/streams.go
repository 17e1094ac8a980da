package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// StreamConfig bounds the streams of live updates of a process.
type StreamConfig struct {
	Most      int              // streams at one time; 0 = 500
	Heartbeat time.Duration    // silence after which a stream says where it is; 0 = 15 s
	WriteTime time.Duration    // how long a client may take to read a message before it is cut; 0 = 10 s
	Now       func() time.Time // the machine's clock: of the ends of writes, and how long requests take; required
}

func (c *StreamConfig) check() error {
	const most, heartbeat, writing = 500, 15 * time.Second, 10 * time.Second
	if c.Now == nil {
		return errors.New("httpapi: Streams.Now is required")
	}
	if c.Most == 0 {
		c.Most = most
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = heartbeat
	}
	if c.WriteTime == 0 {
		c.WriteTime = writing
	}
	return nil
}

var errStreams = domain.Refusal(domain.Unavailable, "stream.full", "as many streams are open as this process takes; try again later")

// StreamParams are the parameters of every stream.
type StreamParams struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"100" doc:"The id of the last message that you have seen, as browsers send it by themselves: what has changed since comes first; everything, when that is too long ago or the id is of another store"`
	After       string `query:"after" maxLength:"64" pattern:"^([0-9a-f]{1,16}\\.)?[0-9]{1,20}$" doc:"The same as Last-Event-ID, which counts before it; also a position, as lists and commands answer it" example:"42"`
}

func (p StreamParams) seen() string {
	if p.LastEventID != "" {
		return p.LastEventID
	}
	return p.After
}

type streamInput interface{ seen() string }

// message is one message of a stream.
type message struct {
	event string
	data  any
}

// stretch is what a stream says together: the messages of one position.
type stretch struct {
	messages []message
	position domain.Position
}

// feed is what a stream tells. It is used by one goroutine.
type feed interface {
	// begin returns what comes first, which may be nothing.
	begin(ctx context.Context) (stretch, error)
	// next waits for what comes next; [projections.ErrEnding] says that nothing
	// will.
	next(ctx context.Context) (stretch, error)
	// position is up to where everything was told.
	position() domain.Position
	close()
}

// eventKind is a sort of message, for the document.
type eventKind struct {
	name string
	data reflect.Type
	text string
}

// stream declares a route that goes on telling what changes, as server-sent
// events. What is wrong with the request is a problem as everywhere: the stream
// begins when its first message is known.
func stream[I streamInput](
	a *api, op operation, kinds []eventKind, open func(ctx context.Context, in *I, seen domain.Position) (feed, error),
) {
	h := a.operation(op, slices.Concat(op.refusals, streamRefusals()), nil)
	h.Responses["200"] = a.streamResponse(kinds)
	a.streams[op.method+" "+op.path] = func(*http.Request) bool { return true }
	huma.Register(a.huma, h, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		return a.streamed(ctx, func(ctx context.Context) (feed, string, error) {
			store, err := a.Live.Store(ctx)
			if err != nil {
				return nil, "", err
			}
			f, err := open(ctx, in, seenIn(store, (*in).seen()))
			return f, store + ".", err
		})
	})
}

// streamRefusals are those of every stream.
func streamRefusals() []*domain.Error {
	return append(storeRefusals(), errStreams, projections.ErrEnding, engine.ErrNotYet, engine.ErrAway)
}

// opening opens a feed. The ids of its messages are positions after a prefix.
type opening func(ctx context.Context) (f feed, prefix string, err error)

// streamed answers with a stream, while there are not too many.
func (a *api) streamed(ctx context.Context, open opening) (*huma.StreamResponse, error) {
	select {
	case a.open <- struct{}{}:
	default:
		return nil, refused(ctx, errStreams)
	}
	a.metrics.streams.Inc()
	closed := func() {
		a.metrics.streams.Dec()
		<-a.open
	}
	first, f, prefix, err := begun(ctx, open)
	if err != nil {
		closed()
		return nil, refused(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer closed()
		defer f.close()
		a.tell(hctx, prefix, first, f)
	}}, nil
}

// begun opens a feed, and returns what comes first.
func begun(ctx context.Context, open opening) (first stretch, f feed, prefix string, err error) {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f, prefix, err = open(ctx); err != nil {
		return first, nil, "", err
	}
	if first, err = f.begin(ctx); err != nil {
		f.close()
	}
	return first, f, prefix, err
}

// seenIn returns the position that an id names in a store; 0 for none, and for
// one of another store.
func seenIn(store, id string) domain.Position {
	of, digits, named := strings.Cut(id, ".")
	if !named {
		of, digits = store, id
	}
	position, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || of != store {
		return 0
	}
	return domain.Position(position)
}

func (a *api) streamResponse(kinds []eventKind) *huma.Response {
	var messages []*huma.Schema
	for _, k := range kinds {
		messages = append(messages, &huma.Schema{
			Title: k.name, Type: huma.TypeObject, Description: k.text, Required: []string{"event", "data"},
			Properties: map[string]*huma.Schema{
				"id":    {Type: huma.TypeString, Description: "For Last-Event-ID; only of the last message of a position"},
				"event": {Type: huma.TypeString, Enum: []any{k.name}},
				"data":  a.huma.OpenAPI().Components.Schemas.Schema(k.data, true, ""),
			},
		})
	}
	return &huma.Response{
		Description: "Server-sent events, until either side ends. After 15 seconds of silence there is a message with an id and no data",
		Content: map[string]*huma.MediaType{eventStream: {Schema: &huma.Schema{
			Type: huma.TypeArray, Description: "The messages, as they come", Items: &huma.Schema{OneOf: messages},
		}}},
	}
}

const eventStream = "text/event-stream"

// tell writes a stream until its client has gone or does not read, or the feed
// ends.
func (a *api) tell(hctx huma.Context, prefix string, first stretch, f feed) {
	r, w := humamux.Unwrap(hctx)
	ctx, x := r.Context(), exchangeOf(r.Context())
	t := &teller{w: w, control: http.NewResponseController(w), limits: a.Streams, prefix: prefix}
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("X-Accel-Buffering", "no")  // for proxies that would gather
	_ = t.control.SetReadDeadline(time.Time{}) // the request has been read; the server's limit would end the stream
	if x.method == http.MethodHead {
		return
	}
	err := t.begin(first)
	for err == nil {
		waiting, cancel := context.WithTimeout(ctx, a.Streams.Heartbeat)
		s, ended := f.next(waiting)
		silent := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case ended == nil:
			err = t.send(s)
		case silent:
			err = t.send(stretch{position: f.position()})
		default:
			if ctx.Err() == nil && !errors.Is(ended, projections.ErrEnding) {
				x.note(problemOf(ctx, ended))
			}
			err = t.willEnd(ended)
		}
	}
	x.position = f.position()
}

// teller writes messages.
type teller struct {
	w       http.ResponseWriter
	control *http.ResponseController
	limits  StreamConfig
	prefix  string // of ids
	text    bytes.Buffer
}

// begin has clients try again two seconds after the stream was lost.
func (t *teller) begin(first stretch) error {
	t.text.WriteString("retry: 2000\n\n")
	return t.send(first)
}

// send writes the messages of a position, the last one with its id; an id
// alone where there is none.
func (t *teller) send(s stretch) error {
	for i, m := range s.messages {
		t.text.WriteString("event: " + m.event + "\ndata: ")
		if err := format.Marshal(&t.text, m.data); err != nil { // one line: line breaks in JSON are escaped
			return err
		}
		t.text.WriteByte('\n')
		if i < len(s.messages)-1 {
			t.text.WriteByte('\n')
		}
	}
	t.text.WriteString("id: " + t.prefix + position(s.position) + "\n\n")
	defer t.text.Reset()
	if err := t.control.SetWriteDeadline(t.limits.Now().Add(t.limits.WriteTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := t.w.Write(t.text.Bytes()); err != nil {
		return err
	}
	return t.control.Flush()
}

// willEnd leaves the server time to write the end, and returns why it is.
func (t *teller) willEnd(why error) error {
	return errors.Join(why, t.control.SetWriteDeadline(t.limits.Now().Add(t.limits.WriteTime)))
}

// bounded gives every request an end, but for streams.
func (a *api) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x := exchangeOf(r.Context()); a.Timeout > 0 && !a.goesOn(x.route, r) {
			ctx, cancel := context.WithTimeout(r.Context(), a.Timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// goesOn reports whether a request is for a stream.
func (a *api) goesOn(route string, r *http.Request) bool {
	forStream := a.streams[http.MethodGet+" "+route]
	return forStream != nil && forStream(r)
}
