package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
)

// decodeLines has the OpenAPI document checked line by line.
func decodeLines(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	lines := []any{}
	for decoder := json.NewDecoder(body); ; {
		var line any
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return lines, nil
		} else if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
}

// logLines are the events of an answer and its cursor.
func logLines(t *testing.T, answer *httptest.ResponseRecorder) ([]httpapi.EventLine, httpapi.EventCursor) {
	t.Helper()
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	lines := strings.Split(strings.TrimSuffix(answer.Body.String(), "\n"), "\n")
	events := make([]httpapi.EventLine, len(lines)-1)
	for i := range events {
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &events[i]))
	}
	var last httpapi.EventCursorLine
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	return events, last.Cursor
}

// TestTheLogIsReadInStretches goes through the log of the PostgreSQL store
// cursor by cursor: nothing is missing and nothing comes twice, also of what
// happens on the way.
func TestTheLogIsReadInStretches(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	read := func(query string) ([]httpapi.EventLine, httpapi.EventCursor) {
		t.Helper()
		return logLines(t, w.call(t, http.MethodGet, "/v1/events"+query, ""))
	}
	whole, end := read("")
	require.False(t, end.More)
	require.EqualValues(t, end.Head, end.After)
	var ids []string
	for cursor, more := end, 0; more < 2; {
		if len(ids) == 0 {
			cursor.After = 0
		}
		var some []httpapi.EventLine
		some, cursor = read(fmt.Sprintf("?limit=3&after=%d", cursor.After))
		for _, e := range some {
			ids = append(ids, e.ID)
		}
		if !cursor.More {
			if more++; more == 1 {
				require.Len(t, ids, len(whole))
				require.Equal(t, http.StatusCreated, w.book(t, d.slot(0), d.maria).Code)
			}
		}
	}
	after, _ := read("")
	require.Greater(t, len(after), len(whole))
	require.Len(t, ids, len(after))
	for i, e := range after {
		require.Equal(t, e.ID, ids[i])
		require.Equal(t, fmt.Sprintf("%020d", i+1), e.Sequence)
	}

	booked, cursor := read("?type=appointment.booked,appointment.proposed&category=appointment")
	require.Len(t, booked, 2)
	require.Equal(t, cursor.Head, cursor.After, "the cursor moves over what was not asked for")
	require.NotContains(t, booked[0].Subject, "slot-")
	one, _ := read("?stream=" + booked[0].Subject + "&after=" + booked[0].Sequence)
	require.Len(t, one, 1, "a sequence is a position")
	require.Equal(t, booked[1].ID, one[0].ID)
	at := booked[0].Time.Format("2006-01-02T15:04:05.000000Z")
	from, _ := read("?from=" + at)
	to, last := read("?to=" + at)
	require.Len(t, append(to, from...), len(after), "from is included, to is not")
	require.EqualValues(t, len(to), last.After)
	require.False(t, last.More)
}

func TestPersonalTextOfTheLogIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/patients", `{"name": "Maria Silva"}`).Code)
	events, _ := logLines(t, w.call(t, http.MethodGet, "/v1/events", ""))
	require.Len(t, events, 1)
	box, ok := events[0].Data["name"].(map[string]any)
	require.True(t, ok, "personal text is sealed")
	require.NotContains(t, fmt.Sprint(box), "Maria")
	require.Equal(t, "patient-"+fmt.Sprint(box["person"]), events[0].Subject)
	require.Equal(t, domain.StreamName(events[0].Subject).Category(), "patient")
}

// TestTheLogIsFollowed goes through the log as a client that is cut off again
// and again while things happen: it has every event once and in order, byte for
// byte as the lines have it.
func TestTheLogIsFollowed(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	server := served(t, w)
	lines := func(query string) []string {
		body := strings.TrimSuffix(w.call(t, http.MethodGet, "/v1/events"+query, "").Body.String(), "\n")
		all := strings.Split(body, "\n")
		return all[:len(all)-1]
	}
	for _, query := range []string{"", "category=appointment,slot&type=appointment.booked,slot.booked"} {
		var had []string
		s := connect(t, server, "/v1/events?format=sse&"+query, "")
		for n := range 6 {
			if n%2 == 0 && query == "" {
				require.Equal(t, http.StatusCreated, w.book(t, d.slot(n/2), d.maria).Code)
			}
			for wanted := lines("?" + query); len(had) < len(wanted) && len(had)%7 != n+1; {
				m, ok := s.next()
				require.True(t, ok)
				if m.event != "" {
					had = append(had, m.data)
				}
			}
			s.hang()
			require.NotEmpty(t, s.last)
			s = connect(t, server, "/v1/events?format=sse&after=1&"+query, s.last)
		}
		for wanted := lines("?" + query); len(had) < len(wanted); {
			m, ok := s.next()
			require.True(t, ok)
			if m.event != "" {
				require.Equal(t, "event", m.event)
				had = append(had, m.data)
			}
		}
		require.Equal(t, lines("?"+query), had)
		s.hang()
	}
}

func TestAStreamOfTheLogTellsWhatIsRecordedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Streams.Heartbeat = 20 * time.Millisecond })
	server := served(t, w)
	s := connect(t, server, "/v1/events?format=sse&category=patient", "")
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/patients", `{"name": "Maria Silva"}`).Code)
	var e httpapi.EventLine
	s.change("event", &e)
	require.Equal(t, "patient.registered", e.Type)
	require.Equal(t, "1", s.last)

	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/clinics", `{"name": "Elsewhere", "zone": "Europe/Lisbon"}`).Code)
	head, err := w.events.Head(t.Context())
	require.NoError(t, err)
	for s.last != fmt.Sprint(head) {
		m, ok := s.next()
		require.True(t, ok)
		require.Empty(t, m.data, "the id moves over what was not asked for")
	}

	w.endLive()
	for ok := true; ok; {
		_, ok = s.next()
	}
	require.NoError(t, s.lines.Err(), "the end is written")
	require.Equal(t, "stream.ending", rule(t, w.call(t, http.MethodGet, "/v1/events?format=sse", "")))
}

func TestAStreamOfAPeriodOfTheLogEndsWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := served(t, w)
	patient := func(name string) {
		require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/patients", `{"name": "`+name+`"}`).Code)
	}
	patient("Before")
	period := "/v1/events?format=sse&from=2026-03-02T09:00:00Z&to=2026-03-02T10:00:00Z"
	s := connect(t, server, period, "")
	patient("Early")
	for _, now := range []string{"2026-03-02T09:00:00Z", "2026-03-02T09:59:59Z", "2026-03-02T10:00:00Z"} {
		w.setNow(at(now))
		patient("Maria")
	}
	var e httpapi.EventLine
	for _, want := range []string{"3", "4"} {
		s.change("event", &e)
		require.Equal(t, want, s.last)
	}
	var c httpapi.EventCursor
	s.change("cursor", &c)
	require.Equal(t, httpapi.EventCursor{After: 4, Head: 5}, c)
	_, ok := s.next()
	require.False(t, ok)
	again := connect(t, server, period, s.last)
	again.change("cursor", &c)
	require.EqualValues(t, 4, c.After)
}

func TestAcceptChoosesHowTheLogIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Streams.Most, c.Timeout = 1, time.Hour })
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/patients", `{"name": "Maria Silva"}`).Code)
	for accept, want := range map[string]string{
		"": "application/x-ndjson", "*/*": "application/x-ndjson", "application/x-ndjson, text/event-stream": "application/x-ndjson",
		"text/event-stream": "text/event-stream", "text/event-stream;q=0": "application/x-ndjson",
	} {
		answer := w.call(t, http.MethodHead, "/v1/events", "", "Accept", accept)
		require.Equal(t, http.StatusOK, answer.Code, accept)
		require.Equal(t, want, answer.Header().Get("Content-Type"), accept)
	}
	require.Equal(t, "application/x-ndjson", w.call(t, http.MethodGet, "/v1/events?format=ndjson", "", "Accept", "text/event-stream").Header().Get("Content-Type"))
	require.Equal(t, "position.unknown", rule(t, w.call(t, http.MethodGet, "/v1/events?format=sse", "", "Last-Event-ID", "2")))
	require.Equal(t, "request.invalid", rule(t, w.call(t, http.MethodGet, "/v1/events?format=sse", "", "Last-Event-ID", "x")))
	connect(t, served(t, w), "/v1/events?format=sse", "")
	require.Equal(t, "stream.full", rule(t, w.call(t, http.MethodGet, "/v1/events?format=sse", "")))
}
