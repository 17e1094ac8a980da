package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// hooked keeps webhooks in memory and delivers nothing. Each has two
// deliveries.
type hooked struct {
	now func() time.Time
	all []reactions.Webhook
}

func (h *hooked) Create(_ context.Context, wish reactions.WebhookWish) (reactions.Webhook, reactions.WebhookSecret, error) {
	w := reactions.Webhook{ID: fmt.Sprintf("aaaaaaaa-0000-7000-8000-%012d", len(h.all)+1), CreatedAt: h.now(), After: 7}
	if err := h.apply(&w, wish); err != nil {
		return w, "", err
	}
	h.all = append(h.all, w)
	return w, "whsec_first", nil
}

func (h *hooked) apply(w *reactions.Webhook, wish reactions.WebhookWish) error {
	switch {
	case !strings.HasPrefix(wish.URL, "https://"):
		return reactions.ErrWebhookURL
	case strings.Contains(wish.URL, "127.0.0.1"):
		return reactions.ErrWebhookAddress
	case slices.Contains(wish.Types, "appointment.bocked"):
		return reactions.ErrWebhookType
	}
	now := h.now()
	w.Wish, w.ChangedAt, w.DisabledAt, w.DisabledReason = wish, now, nil, ""
	if wish.Disabled {
		w.DisabledAt, w.DisabledReason = &now, reactions.DisabledByOperator
	}
	return nil
}

func (h *hooked) find(id string) (*reactions.Webhook, error) {
	i := slices.IndexFunc(h.all, func(w reactions.Webhook) bool { return w.ID == id })
	if i < 0 {
		return &reactions.Webhook{}, reactions.ErrNoWebhook
	}
	return &h.all[i], nil
}

func (h *hooked) Change(_ context.Context, id string, wish reactions.WebhookWish) (reactions.Webhook, error) {
	w, err := h.find(id)
	if err == nil {
		err = h.apply(w, wish)
	}
	return *w, err
}

func (h *hooked) List(context.Context) ([]reactions.Webhook, error) { return h.all, nil }

func (h *hooked) Webhook(_ context.Context, id string) (reactions.Webhook, error) {
	w, err := h.find(id)
	return *w, err
}

func (h *hooked) Delete(_ context.Context, id string) (reactions.Webhook, error) {
	w, err := h.find(id)
	was := *w
	h.all = slices.DeleteFunc(h.all, func(w reactions.Webhook) bool { return w.ID == id })
	return was, err
}

func (h *hooked) Rotate(_ context.Context, id string, overlap time.Duration) (reactions.Webhook, reactions.WebhookSecret, error) {
	w, err := h.find(id)
	if until := h.now().Add(overlap); overlap > 0 {
		w.OldSecretUntil = &until
	}
	return *w, "whsec_second", err
}

func (h *hooked) Deliveries(_ context.Context, id, status string, before domain.Position, limit int) ([]reactions.WebhookDelivery, error) {
	if _, err := h.find(id); err != nil {
		return nil, err
	}
	now := h.now()
	all := []reactions.WebhookDelivery{
		{Event: "e2", Position: 12, Type: "appointment.cancelled", Stream: "appointment-a1", Status: reactions.DeliveryPending, Tries: 1, Code: 503, Error: "the receiver answered 503", EnqueuedAt: now, TriedAt: &now, DueAt: &now},
		{Event: "e1", Position: 9, Type: "appointment.booked", Stream: "appointment-a1", Status: reactions.DeliveryDelivered, Tries: 1, Code: 204, EnqueuedAt: now, TriedAt: &now, DoneAt: &now},
	}
	all = slices.DeleteFunc(all, func(d reactions.WebhookDelivery) bool {
		return status != "" && d.Status != status || before != 0 && d.Position >= before
	})
	return all[:min(limit, len(all))], nil
}

func (h *hooked) Redeliver(ctx context.Context, id, event string) (reactions.WebhookDelivery, error) {
	all, err := h.Deliveries(ctx, id, "", 0, 10)
	if err != nil {
		return reactions.WebhookDelivery{}, err
	}
	if w, _ := h.find(id); w.DisabledAt != nil {
		return reactions.WebhookDelivery{}, reactions.ErrWebhookDisabled
	}
	for _, d := range all {
		if d.Event == event {
			return reactions.WebhookDelivery{Event: event, Position: d.Position, Type: d.Type, Stream: d.Stream, Status: reactions.DeliveryPending, EnqueuedAt: h.now(), DueAt: d.TriedAt}, nil
		}
	}
	return reactions.WebhookDelivery{}, reactions.ErrNoDelivery
}

func (h *hooked) Replay(_ context.Context, id string, after domain.Position) (reactions.Webhook, error) {
	w, err := h.find(id)
	if err == nil && w.DisabledAt != nil {
		err = reactions.ErrWebhookDisabled
	}
	if err == nil {
		w.Replay = &reactions.WebhookReplay{Position: after, Until: 12}
	}
	return *w, err
}

const receiverURL = `"url": "https://receiver.example/"`

func TestWebhooksRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const base = "/v1/admin/webhooks"
	hook := decoded[httpapi.WebhookWithSecret](t, w.call(t, http.MethodPost, base, "{"+receiverURL+"}").Body.Bytes())
	off := decoded[httpapi.WebhookWithSecret](t, w.call(t, http.MethodPost, base, "{"+receiverURL+`, "disabled": true}`).Body.Bytes())
	for body, wanted := range map[string]string{
		`{"url": "ftp://receiver.example/"}`:                    "webhook.url-invalid",
		`{"url": "https://127.0.0.1/"}`:                         "webhook.address-refused",
		"{" + receiverURL + `, "types":["appointment.bocked"]}`: "webhook.type-unknown",
		"{" + receiverURL + `, "clinicId": "nowhere"}`:          "clinic.not-found",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPost, base, body)), body)
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPut, base+"/"+hook.ID, body)), body)
	}
	for _, c := range []struct{ method, path, body, wanted string }{
		{http.MethodGet, "/nothing", "", "webhook.not-found"},
		{http.MethodPut, "/nothing", "{" + receiverURL + "}", "webhook.not-found"},
		{http.MethodDelete, "/nothing", "", "webhook.not-found"},
		{http.MethodPost, "/nothing/rotate", "", "webhook.not-found"},
		{http.MethodGet, "/nothing/deliveries", "", "webhook.not-found"},
		{http.MethodPost, "/nothing/deliveries/e1/redeliver", "", "webhook.not-found"},
		{http.MethodPost, "/nothing/replay", `{"after": 0}`, "webhook.not-found"},
		{http.MethodPost, "/" + hook.ID + "/rotate", `{"overlap": "a day"}`, "webhook.overlap-invalid"},
		{http.MethodPost, "/" + hook.ID + "/rotate", `{"overlap": "PT721H"}`, "webhook.overlap-invalid"},
		{http.MethodPost, "/" + hook.ID + "/replay", `{}`, "webhook.replay-unclear"},
		{http.MethodPost, "/" + hook.ID + "/replay", `{"after": 0, "since": "2026-03-01T00:00:00Z"}`, "webhook.replay-unclear"},
		{http.MethodPost, "/" + hook.ID + "/replay", `{"after": 999}`, "position.unknown"},
		{http.MethodPost, "/" + hook.ID + "/deliveries/e9/redeliver", "", "webhook.delivery-not-found"},
		{http.MethodPost, "/" + off.ID + "/deliveries/e1/redeliver", "", "webhook.disabled"},
		{http.MethodPost, "/" + off.ID + "/replay", `{"after": 0}`, "webhook.disabled"},
		{http.MethodGet, "/" + hook.ID + "/deliveries?cursor=e9", "", "cursor.malformed"},
	} {
		require.Equal(t, c.wanted, rule(t, w.call(t, c.method, base+c.path, c.body)), "%s %s %s", c.method, c.path, c.body)
	}
	reading := newWorld(t, func(c *httpapi.Config) { c.ReadOnly = true })
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "", "{" + receiverURL + "}"},
		{http.MethodPut, "/x", "{" + receiverURL + "}"},
		{http.MethodDelete, "/x", ""},
		{http.MethodPost, "/x/rotate", ""},
		{http.MethodPost, "/x/deliveries/e1/redeliver", ""},
		{http.MethodPost, "/x/replay", `{"after": 0}`},
	} {
		require.Equal(t, "process.read-only", rule(t, reading.call(t, c.method, base+c.path, c.body)), "%s %s", c.method, c.path)
	}
}

func TestAReplayBeginsSinceAnInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := decoded[httpapi.WebhookWithSecret](t, w.call(t, http.MethodPost, "/v1/admin/webhooks", "{"+receiverURL+"}").Body.Bytes())
	w.open(t)
	then, err := w.events.Head(t.Context())
	require.NoError(t, err)
	before := w.now()
	w.setNow(before.Add(time.Hour))
	w.open(t)
	answer := decoded[httpapi.Webhook](t, w.call(t, http.MethodPost, "/v1/admin/webhooks/"+hook.ID+"/replay", `{"since": "`+before.Format(time.RFC3339)+`"}`).Body.Bytes())
	require.EqualValues(t, then, answer.Replay.Position)
}
