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
