package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
)

// handClock is the clock of a world, moved over HTTP.
type handClock struct{ w *world }

func (c handClock) Now() time.Time { return c.w.now() }

func (c handClock) Forward(to time.Time) (time.Time, bool) {
	if to.Before(c.w.now()) {
		return c.w.now(), false
	}
	c.w.setNow(to.UTC())
	return to.UTC(), true
}

func handWorld(t *testing.T) *world {
	t.Helper()
	var clock handClock
	w := newWorld(t, func(c *httpapi.Config) { c.Clock = &clock })
	clock.w = w
	return w
}

func TestTheClockOfADemonstrationIsMovedOverHTTP(t *testing.T) {
	t.Parallel()
	const address = "/v1/demo/clock"
	w := handWorld(t)
	require.JSONEq(t, `{"now": "2026-03-02T08:00:00Z"}`, w.call(t, http.MethodGet, address, "").Body.String())
	require.JSONEq(t, `{"now": "2026-03-02T08:10:00Z"}`, w.call(t, http.MethodPost, address, `{"advance": "PT10M"}`).Body.String())
	require.JSONEq(t, `{"now": "2026-03-03T00:00:00Z"}`, w.call(t, http.MethodPost, address, `{"now": "2026-03-03T01:00:00+01:00"}`).Body.String())
	require.Equal(t, at("2026-03-03T00:00:00Z"), w.now())
	for body, refusal := range map[string]string{
		`{"now": "2026-03-02T23:59:59Z"}`: "clock.backwards",
		`{"now": "9999-12-31T23:59:59Z"}`: "clock.move",
		`{}`:                              "clock.move",
		`{"advance": "PT1M", "now": "2026-03-04T00:00:00Z"}`: "clock.move",
		`{"advance": "ten minutes"}`:                         "duration.malformed",
		`{"now": "tomorrow"}`:                                "request.invalid",
	} {
		answer := w.call(t, http.MethodPost, address, body)
		require.Equal(t, http.StatusUnprocessableEntity, answer.Code, body)
		require.Equal(t, refusal, rule(t, answer), body)
	}
	require.Equal(t, at("2026-03-03T00:00:00Z"), w.now())
	document := w.call(t, http.MethodGet, "/openapi.json", "").Body.String()
	require.Contains(t, document, `"`+address+`"`)
	require.Contains(t, document, `clock.backwards`)
}

func TestARealClockIsNotMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, http.StatusNotFound, w.call(t, http.MethodGet, "/v1/demo/clock", "").Code)
	require.Equal(t, http.StatusNotFound, w.call(t, http.MethodPost, "/v1/demo/clock", `{"advance": "PT1M"}`).Code)
	require.NotContains(t, w.call(t, http.MethodGet, "/openapi.json", "").Body.String(), "demo/clock")
}
