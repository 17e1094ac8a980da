package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/projections"
)

// told is a message of a stream.
type told struct {
	event, data, id string
}

// streaming is a client of a stream.
type streaming struct {
	t      testing.TB
	answer *http.Response
	lines  *bufio.Scanner
	hang   context.CancelFunc
	last   string // the last id
}

// connect opens a stream of a server, and sees it accepted.
func connect(t testing.TB, server *httptest.Server, target, last string) *streaming {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+target, nil)
	require.NoError(t, err)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := server.Client().Do(r) //nolint:bodyclose // it ends with its context
	require.NoError(t, err)
	s := &streaming{t: t, answer: answer, lines: bufio.NewScanner(answer.Body), hang: cancel, last: last}
	s.lines.Buffer(nil, 1<<22)
	if answer.StatusCode != http.StatusOK {
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Failf(t, "refused", "%s: %s", target, body)
	}
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	return s
}

// next returns the next message, or false at the end.
func (s *streaming) next() (m told, ok bool) {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "id":
			m.id, s.last = value, value
		case "":
			if m.data != "" || m.id != "" {
				return m, true
			}
		}
	}
	return m, false
}

// seenSlots is what a client knows of a list.
type seenSlots map[string]httpapi.Slot

// take takes in a message.
func (p seenSlots) take(t testing.TB, m told) {
	t.Helper()
	switch m.event {
	case "snapshot":
		var all httpapi.SlotsSnapshot
		require.NoError(t, json.Unmarshal([]byte(m.data), &all))
		clear(p)
		for _, s := range all.Slots {
			p[s.ID] = s
		}
	case "change":
		var one httpapi.SlotChanged
		require.NoError(t, json.Unmarshal([]byte(m.data), &one))
		if delete(p, one.Slot.ID); one.Listed {
			p[one.Slot.ID] = one.Slot
		}
	default:
		require.Empty(t, m.data)
	}
}

// change reads on to the next message that is one.
func (s *streaming) change(event string, into any) {
	s.t.Helper()
	for {
		m, ok := s.next()
		require.True(s.t, ok, "the stream has ended")
		if m.event == "" {
			continue
		}
		require.Equal(s.t, event, m.event, m.data)
		require.NoError(s.t, json.Unmarshal([]byte(m.data), into))
		return
	}
}

func served(t testing.TB, w *world) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	return server
}

// newWatched is a world whose list shows a clinic's day, and its server.
func newWatched(t *testing.T) (*stage, *httptest.Server) {
	t.Helper()
	s := &stage{t: t, world: newFoldedWorld(t)}
	s.clinicDay = s.open(t)
	asked[ids](t, s.world, "/v1/slots")
	return s, served(t, s.world)
}

func TestAStreamTellsOfAllSlotsFirstAndThenOfThoseThatChange(t *testing.T) {
	t.Parallel()
	w, server := newWatched(t)
	s := connect(t, server, "/v1/slots/stream?practitionerId="+w.practitioner, "")
	var all httpapi.SlotsSnapshot
	s.change("snapshot", &all)
	require.Len(t, all.Slots, 6)
	require.Positive(t, all.Position)
	require.Regexp(t, fmt.Sprintf(`^[0-9a-f]{8}\.%d$`, all.Position), s.last)

	twice := "/v1/slots/stream?practitionerId=nobody&practitionerId=" + w.practitioner
	connect(t, server, twice, "").change("snapshot", &all)
	require.Len(t, all.Slots, 6, "any of several")
	require.Len(t, asked[ids](t, w.world, strings.Replace(twice, "/stream", "", 1)).Items, 6)

	var one httpapi.SlotChanged
	visit := w.books(1, w.maria)
	s.change("change", &one)
	require.Equal(t, w.slot(1), one.Slot.ID)
	require.Equal(t, "busy", one.Slot.Status)
	require.False(t, one.Listed, "the list has free slots only")
	require.Greater(t, one.Position, all.Position)
	require.Nil(t, one.Slot.HeldUntil)

	require.Equal(t, http.StatusOK, w.post("appointments/"+visit+"/cancel", `{"initiator": "patient"}`).Code)
	s.change("change", &one)
	require.True(t, one.Listed)
	require.Equal(t, "free", one.Slot.Status)

	hold := w.made("holds", `{"slotId": "`+w.slot(2)+`"}`)
	require.NotEmpty(t, hold)
	s.change("change", &one)
	require.Equal(t, "busy-tentative", one.Slot.Status)
	require.Equal(t, w.now().Add(5*time.Minute), *one.Slot.HeldUntil, "until when the client counts down")
}

func TestAPolicyChangesTheWholeList(t *testing.T) {
	t.Parallel()
	w, server := newWatched(t)
	s := connect(t, server, "/v1/slots/stream", "")
	var all httpapi.SlotsSnapshot
	s.change("snapshot", &all)
	require.Len(t, all.Slots, 6)
	w.policy(`"minNotice": "P2D"`)
	s.change("snapshot", &all)
	require.Empty(t, all.Slots)
}

func TestAFullDayTakesTheOtherSlotsOffTheList(t *testing.T) {
	t.Parallel()
	w, server := newWatched(t)
	w.policy(`"practitionerDay": 1`)
	asked[ids](t, w.world, "/v1/slots")
	s := connect(t, server, "/v1/slots/stream", "")
	p := seenSlots{}
	w.books(1, w.maria)
	for first := true; first || len(p) > 0; first = false {
		m, ok := s.next()
		require.True(t, ok)
		p.take(t, m)
	}
	require.Empty(t, asked[ids](t, w.world, "/v1/slots").Items)
}

// TestAStreamThatIsTakenUpAgainLosesNothing books, cancels and holds at random
// while clients come and go at random; what they know is the list in the end.
func TestAStreamThatIsTakenUpAgainLosesNothing(t *testing.T) {
	t.Parallel()
	w, server := newWatched(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // for a test
	for _, status := range []string{"free", "any"} {
		target := "/v1/slots/stream?status=" + status
		p, s, visits := seenSlots{}, connect(t, server, target, ""), map[int]string{}
		read := func() {
			m, ok := s.next()
			require.True(t, ok)
			p.take(t, m)
		}
		read()
		for range 40 {
			if n := random.IntN(6); visits[n] != "" {
				require.Equal(t, http.StatusOK, w.post("appointments/"+visits[n]+"/cancel", `{"initiator": "patient"}`).Code)
				visits[n] = ""
			} else {
				visits[n] = w.books(n, w.maria)
			}
			switch random.IntN(4) {
			case 0:
				s.hang()
				s = connect(t, server, target, s.last)
			case 1:
				read()
			}
		}
		list := asked[httpapi.List[httpapi.Slot]](t, w.world, "/v1/slots?status="+status)
		for position := uint64(0); position < list.Position; {
			m, ok := s.next()
			require.True(t, ok)
			p.take(t, m)
			_, err := fmt.Sscanf(s.last[strings.IndexByte(s.last, '.')+1:], "%d", &position)
			require.NoError(t, err)
			if m.id == "" {
				position = 0
			}
		}
		known := make([]httpapi.Slot, 0, len(p))
		for _, slot := range p {
			known = append(known, slot)
		}
		slices.SortFunc(known, func(a, b httpapi.Slot) int { return strings.Compare(a.ID, b.ID) })
		require.Equal(t, list.Items, known)
		for n, id := range visits {
			if id != "" {
				require.Equal(t, http.StatusOK, w.post("appointments/"+id+"/cancel", `{"initiator": "patient"}`).Code, n)
			}
		}
	}
}

func TestWhoCannotGoOnBeginsAnew(t *testing.T) {
	t.Parallel()
	w, server := newWatched(t)
	s := connect(t, server, "/v1/slots/stream", "")
	var all httpapi.SlotsSnapshot
	s.change("snapshot", &all)
	seen := s.last
	w.books(0, w.maria)

	var one httpapi.SlotChanged
	connect(t, server, "/v1/slots/stream", seen).change("change", &one)
	connect(t, server, fmt.Sprintf("/v1/slots/stream?after=%d", all.Position), "").change("change", &one)
	connect(t, server, "/v1/slots/stream", "00000000."+strings.Split(seen, ".")[1]).change("snapshot", &all)
	connect(t, server, "/v1/slots/stream", seen+"000000").change("snapshot", &all)
	connect(t, server, "/v1/slots/stream", "what?").change("snapshot", &all)

	events := make([]commands.NewEvent, 500)
	for n := range 21 {
		for i := range events {
			events[i] = commands.NewEvent{
				ID: uuid.NewString(), Event: demand.Refused{Rule: "slot.taken"}, Metadata: domain.Metadata{Command: "another", Actor: "local"},
			}
		}
		_, err := w.events.Append(t.Context(), commands.Write{Stream: domain.StreamName(fmt.Sprintf("demand-x.%d", n)), Expected: domain.Any, Events: events})
		require.NoError(t, err)
	}
	asked[ids](t, w.world, "/v1/slots")
	connect(t, server, "/v1/slots/stream", seen).change("snapshot", &all)
	require.Len(t, all.Slots, 5)
}

func TestASilentStreamSaysWhereItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Streams.Heartbeat = time.Millisecond })
	d := w.open(t)
	s := connect(t, served(t, w), "/v1/slots/stream", "")
	var all httpapi.SlotsSnapshot
	s.change("snapshot", &all)
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/clinics", `{"name": "Elsewhere", "zone": "Europe/Lisbon"}`).Code)
	head, err := w.events.Head(t.Context())
	require.NoError(t, err)
	for {
		m, ok := s.next()
		require.True(t, ok)
		require.Empty(t, m.data, "nothing that was asked for has changed")
		if strings.HasSuffix(m.id, fmt.Sprintf(".%d", head)) {
			break
		}
	}
	require.NotEmpty(t, d.clinic)
}

func TestTheEndOfAProcessEndsItsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	server := served(t, w)
	s := connect(t, server, "/v1/slots/stream", "")
	_, ok := s.next()
	require.True(t, ok)
	w.endLive()
	_, ok = s.next()
	require.False(t, ok)
	require.NoError(t, s.lines.Err(), "the end is written")
	require.Equal(t, "stream.ending", rule(t, w.call(t, http.MethodGet, "/v1/slots/stream", "")))
}

// piped listens to connections in memory, which hold nothing that is not read.
type piped chan net.Conn

func (p piped) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (piped) Close() error   { return nil }
func (piped) Addr() net.Addr { return &net.TCPAddr{} }

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Streams.WriteTime, c.Streams.Most = 20*time.Millisecond, 1 })
	w.open(t)
	listener, ended := make(piped), make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.handler.ServeHTTP(rw, r)
	})}
	go func() { _ = server.Serve(listener) }() // ends with the listener
	defer close(listener)
	mine, theirs := net.Pipe()
	listener <- theirs
	_, err := mine.Write([]byte("GET /v1/slots/stream HTTP/1.1\r\nHost: example.com\r\n\r\n"))
	require.NoError(t, err)
	<-ended
	connect(t, served(t, w), "/v1/slots/stream", "")
}

func TestAStreamThatCannotBeIsRefusedBeforeItBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Streams.Most = 1 })
	d := w.open(t)
	server := served(t, w)
	for target, wanted := range map[string]string{
		"/v1/slots/stream?status=gone":                                                "request.invalid",
		"/v1/slots/stream?specialities=x":                                             "request.invalid",
		"/v1/slots/stream?after=soon":                                                 "request.invalid",
		"/v1/slots/stream?from=2026-03-04T00:00:00Z&to=2026-03-03T00:00:00Z":          "period.empty",
		"/v1/queues/nobody/board/stream":                                              "practitioner.not-found",
		"/v1/queues/" + d.practitioner + "/board/stream?date=x":                       "day.malformed",
		"/v1/queues/" + d.practitioner + "/board/stream?clinicId=nowhere":             "clinic.not-found",
		"/v1/queues/" + d.practitioner + "/board/stream?clinicId=" + w.open(t).clinic: "queue.not-here",
		"/v1/clinics/nowhere/board/stream":                                            "clinic.not-found",
		"/v1/clinics/nowhere/board":                                                   "clinic.not-found",
		"/v1/clinics/" + d.clinic + "/board?date=x":                                   "day.malformed",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodGet, target, "")), target)
	}
	require.Empty(t, w.call(t, http.MethodHead, "/v1/slots/stream", "").Body.String(), "HEAD ends")
	open := connect(t, server, "/v1/slots/stream", "")
	full := w.call(t, http.MethodGet, "/v1/slots/stream", "")
	require.Equal(t, "stream.full", rule(t, full))
	require.Equal(t, http.StatusServiceUnavailable, full.Code)
	require.NotEmpty(t, full.Header().Get("Retry-After"))
	open.hang()
}

// endless is a list without an end.
type endless struct{ foldedSlots }

func (endless) List(_ context.Context, f projections.SlotFilter, _ time.Time, _ domain.Position) (projections.List[projections.Slot], error) {
	slots := make([]projections.Slot, f.Limit)
	for i := range slots {
		slots[i].ID = domain.SlotID(fmt.Sprint(i))
	}
	return projections.List[projections.Slot]{Items: slots, More: true, Position: 1}, nil
}

func TestAStreamOfTooManySlotsIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) {
		c.Slots = endless{c.Slots.(foldedSlots)} //nolint:forcetypeassert // newWorld has made it
	})
	require.Equal(t, "stream.too-broad", rule(t, w.call(t, http.MethodGet, "/v1/slots/stream", "")))
}

func TestABoardIsToldWheneverItChanges(t *testing.T) {
	t.Parallel()
	w, server := newWatched(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	own := connect(t, server, "/v1/queues/"+w.practitioner+"/board/stream", "")
	all := connect(t, server, "/v1/clinics/"+w.clinic+"/board/stream", "")
	var board httpapi.BoardShown[httpapi.QueueBoard]
	var clinic httpapi.BoardShown[httpapi.ClinicBoard]
	own.change("board", &board)
	all.change("board", &clinic)
	require.Empty(t, board.Board.Waiting)
	require.Len(t, clinic.Board.Queues, 1)

	require.Equal(t, http.StatusCreated, w.post("queues/"+w.practitioner+"/tickets", `{"patientId": "`+w.maria+`"}`).Code)
	own.change("board", &board)
	require.Equal(t, []int{1}, board.Board.Waiting)
	all.change("board", &clinic)
	require.Equal(t, []int{1}, clinic.Board.Queues[0].Waiting)

	require.Equal(t, http.StatusOK, w.post("queues/"+w.practitioner+"/call", `{"desk": "2"}`).Code)
	own.change("board", &board)
	require.Equal(t, "2", board.Board.Called[0].Desk)
	require.Empty(t, board.Board.Waiting)
	all.change("board", &clinic)
	require.Equal(t, board.Board.Called, clinic.Board.Queues[0].Called)
	require.Equal(t, clinic.Board, asked[httpapi.ClinicBoard](t, w.world, "/v1/clinics/"+w.clinic+"/board"))

	w.made("practitioners", `{"name": "Dr. Rui Lopes", "clinicIds": ["`+w.clinic+`"]}`)
	all.change("board", &clinic)
	require.Len(t, clinic.Board.Queues, 2)

	w.setNow(at("2026-03-04T09:00:00Z"))
	w.made("practitioners", `{"name": "Dr. Eva Reis", "clinicIds": ["`+w.clinic+`"]}`)
	for clinic.Board.Date != "2026-03-04" {
		all.change("board", &clinic)
	}
	require.Empty(t, clinic.Board.Queues[0].Called, "it is another day")
}

func TestAStreamTellsWhatAnotherProcessDid(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	asked[ids](t, w, "/v1/slots")
	s := connect(t, served(t, w), "/v1/slots/stream?clinicId="+d.clinic, "")
	var all httpapi.SlotsSnapshot
	s.change("snapshot", &all)

	keys, err := postgres.NewKeys(w.pool, slices.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	store, err := postgres.New(postgres.Config{Pool: w.pool, Codec: eventcodec.New(keys)})
	require.NoError(t, err)
	follow(t, store.Run)
	other := commands.New(commands.Config{Store: store, Now: w.now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() }})
	_, err = other.Book(t.Context(), commands.Request{Command: uuid.NewString(), Actor: "local"}, commands.Booking{
		Appointment: domain.AppointmentID(uuid.NewString()), Slots: []domain.SlotID{domain.SlotID(d.slot(3))}, Patient: domain.PatientID(d.maria),
	})
	require.NoError(t, err)
	var one httpapi.SlotChanged
	s.change("change", &one)
	require.Equal(t, d.slot(3), one.Slot.ID)
	require.False(t, one.Listed)
}
