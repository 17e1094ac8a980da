package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// postedTo is a receiver on this machine: what it gets, it hands to the test,
// and it answers when the test does not hold it.
func postedTo(t *testing.T, hold <-chan struct{}) (url string, got <-chan *http.Request, bodies <-chan string) {
	t.Helper()
	requests, texts := make(chan *http.Request, 1000), make(chan string, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		requests <- r
		texts <- string(body)
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, requests, texts
}

// next waits for what comes.
func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case x := <-from:
		return x
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// Two processes share the deliveries. The one that is in the middle of one is
// killed; the other one makes it, with the same id.
func TestDeliveriesSurviveTheDeathOfWhoeverMakesThem(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	hold := make(chan struct{})
	address, got, bodies := postedTo(t, hold)
	start := func() *server {
		return serve(t, "--database-url", url, "--webhook-allow", "127.0.0.1", "--webhook-timeout", "10s")
	}
	one, other := start(), start()
	clinic, slots := clinicWith(one, 1, 1)
	made := one.post("/v1/admin/webhooks", map[string]any{"url": address, "types": []string{"appointment.booked"}, "clinicId": clinic})
	require.Equal(t, http.StatusCreated, made.status, made.text)
	require.Equal(t, http.StatusCreated, one.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": one.patient("Ana Lima")}).status)
	first := next(t, got)
	body := next(t, bodies)
	require.Contains(t, body, `"type":"appointment.booked"`)
	require.NotContains(t, body, "Ana")
	verifier, err := standardwebhooks.NewWebhook(made.field("secret"))
	require.NoError(t, err)
	require.NoError(t, verifier.Verify([]byte(body), first.Header))

	if !strings.Contains(delivering(t, url), fmt.Sprintf("/%d/", one.cmd.Process.Pid)) {
		one, other = other, one
	}
	one.kill()
	close(hold)
	again := next(t, got)
	require.Equal(t, body, next(t, bodies))
	require.Equal(t, first.Header.Get("webhook-id"), again.Header.Get("webhook-id"))
	path := "/v1/admin/webhooks/" + made.field("id")
	require.Eventually(t, func() bool { return strings.Contains(other.get(path+"/deliveries").text, `"status":"delivered"`) }, time.Minute, 50*time.Millisecond)
	require.Empty(t, got)

	list := on(t, url, "webhooks", "list")
	require.Contains(t, list.out, address)
	require.Contains(t, list.out, "appointment.booked")
	require.Zero(t, on(t, url, "webhooks", "replay", made.field("id"), "--after", "0").status)
	require.Equal(t, first.Header.Get("webhook-id"), next(t, got).Header.Get("webhook-id"))
	require.Zero(t, other.stop())
}

// delivering returns the process that makes the only delivery.
func delivering(t *testing.T, url string) (by string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	require.NoError(t, conn.QueryRow(t.Context(), `
		select attempted_by[array_length(attempted_by, 1)] from river.river_job
		where kind = 'webhook_delivery' and state = 'running'`).Scan(&by))
	return by
}

func TestWebhooksFromTheCommandLine(t *testing.T) {
	t.Parallel()
	url := postgrestest.EmptyDatabase(t)
	s := serve(t, "--database-url", url)
	require.Equal(t, "there are no webhooks\n", on(t, url, "webhooks", "list").out)
	refused := s.post("/v1/admin/webhooks", map[string]any{"url": "https://127.0.0.1:8443/"})
	require.Equal(t, "/problems/webhook.address-refused", refused.field("type"), "nothing is allowed by itself")
	made := s.post("/v1/admin/webhooks", map[string]any{"url": "https://receiver.invalid/", "disabled": true})
	require.Equal(t, http.StatusCreated, made.status, made.text)
	var all []hooked
	require.NoError(t, json.Unmarshal([]byte(on(t, url, "webhooks", "list", "--json").out), &all))
	require.Equal(t, []hooked{{ID: made.field("id"), URL: "https://receiver.invalid/", Types: []string{}, Disabled: "operator"}}, all)
	require.Contains(t, on(t, url, "webhooks", "list").out, "disabled")
	for _, wrong := range [][]string{
		{"webhooks", "replay", made.field("id"), "--after", "0"},
		{"webhooks", "replay", "nothing", "--after", "0"},
		{"webhooks", "replay", made.field("id")},
		{"serve", "--webhook-allow", "localhost"},
		{"serve", "--webhook-allow", "10.0.0.0/40"},
		{"serve", "--webhook-timeout", "5m"},
	} {
		require.Equal(t, 2, on(t, url, wrong...).status, "%v", wrong)
	}
	require.Zero(t, s.stop())
}
