package webhooks_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/reactions"
)

func TestAnEventArrivesSignedInItsEnvelope(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	hook := s.subscribe(r, "appointment.*")
	e := s.books("c1")
	s.tell(e) // as after a crash
	m := r.next(t)
	require.Equal(t, e.ID, m.ID)
	require.Equal(t, "application/cloudevents+json", m.Header.Get("Content-Type"))
	require.Equal(t, "slotbook-test", m.Header.Get("User-Agent"))
	var envelope struct{ ID, Type, Subject, Sequence string }
	require.NoError(t, json.Unmarshal(m.Body, &envelope))
	require.Equal(t, []string{e.ID, "appointment.booked", string(e.Stream)}, []string{envelope.ID, envelope.Type, envelope.Subject})
	d := s.delivery(hook, e, ended)
	require.Equal(t, []any{reactions.DeliveryDelivered, 1, 204, ""}, []any{d.Status, d.Tries, d.Code, d.Error})
	require.Empty(t, r.got, "once for each event, however often it comes")
}

func TestPersonalTextIsInNoBody(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	s.subscribe(r)
	s.tell(s.record(patient.Stream("p1"), patient.Registered{
		Patient: "p1", Name: domain.Sealed{Person: "p1", Text: "Maria Souza"}, Email: domain.Sealed{Person: "p1", Text: "maria@example.org"},
	})...)
	body := string(r.next(t).Body)
	require.Contains(t, body, `"name":{"person":"p1"}`)
	require.NotContains(t, body, "box")
	require.NotContains(t, body, "Maria")
	require.NotContains(t, body, "maria@")
}

func TestWhatFailsIsTriedAgainWithTheSameID(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newReceiver(t).answers(func(w http.ResponseWriter, n int) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		default:
			w.WriteHeader(http.StatusOK)
		}
	})
	hook := s.subscribe(r)
	e := s.books("c1")
	for range 3 {
		require.Equal(t, e.ID, r.next(t).ID)
	}
	d := s.delivery(hook, e, ended)
	require.Equal(t, []any{reactions.DeliveryDelivered, 3, 200}, []any{d.Status, d.Tries, d.Code})
}

func TestWhatFailsForDaysIsGivenUpAndCanBeSentAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newReceiver(t).answers(func(w http.ResponseWriter, n int) {
		if n <= 4 {
			http.Redirect(w, &http.Request{Method: http.MethodPost}, "http://elsewhere.example/", http.StatusMovedPermanently)
		}
	})
	hook := s.subscribe(r)
	e := s.books("c1")
	d := s.delivery(hook, e, ended)
	require.Equal(t, []any{reactions.DeliveryFailed, 4, 301}, []any{d.Status, d.Tries, d.Code}, "a pause before each try but the first")
	require.Contains(t, d.Error, "redirects are not followed")
	require.Nil(t, d.DueAt)
	require.Equal(t, 1, s.webhook(hook).Failed)

	again, err := s.hooks.Redeliver(t.Context(), hook, e.ID)
	require.NoError(t, err)
	require.Equal(t, []any{reactions.DeliveryPending, 0}, []any{again.Status, again.Tries})
	require.Equal(t, reactions.DeliveryDelivered, s.delivery(hook, e, ended).Status)
	for range 5 {
		require.Equal(t, e.ID, r.next(t).ID)
	}
	_, err = s.hooks.Redeliver(t.Context(), hook, "nothing")
	require.ErrorIs(t, err, reactions.ErrNoDelivery)
}

func TestAReceiverSaysWhenItWantsToBeAskedAgain(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]func(time.Time) string{
		"in seconds":       func(time.Time) string { return "7200" },
		"until an instant": func(now time.Time) string { return now.Add(2 * time.Hour).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			r := newReceiver(t).answers(func(w http.ResponseWriter, _ int) {
				w.Header().Set("Retry-After", says(time.Now()))
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			hook := s.subscribe(r)
			e := s.books("c1")
			d := s.delivery(hook, e, func(d reactions.WebhookDelivery) bool { return d.Tries == 1 })
			require.Equal(t, reactions.DeliveryPending, d.Status)
			require.InDelta(t, 2*time.Hour, d.DueAt.Sub(*d.TriedAt), float64(2*time.Second))
			require.Eventually(t, func() bool {
				var due time.Duration
				require.NoError(t, s.pool.QueryRow(t.Context(), `
					select scheduled_at - now() from river.river_job
					where kind = 'webhook_delivery' and state = 'scheduled'
					union all select '0'::interval limit 1`).Scan(&due))
				return due > time.Hour
			}, waiting, tick, "the job waits as long")
			r.next(t)
			require.Empty(t, r.got)
		})
	}
}

func TestAReceiverThatIsGoneIsDisabled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := newReceiver(t).answers(func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusGone) })
	hook := s.subscribe(r)
	first := s.books("c1")
	d := s.delivery(hook, first, ended)
	require.Equal(t, []any{reactions.DeliveryFailed, 410}, []any{d.Status, d.Code})
	is := s.webhook(hook)
	require.NotNil(t, is.DisabledAt)
	require.Equal(t, reactions.DisabledGone, is.DisabledReason)
	_, err := s.hooks.Redeliver(t.Context(), hook, first.ID)
	require.ErrorIs(t, err, reactions.ErrWebhookDisabled)
	_, err = s.hooks.Replay(t.Context(), hook, 0)
	require.ErrorIs(t, err, reactions.ErrWebhookDisabled)
	missed := s.record("demand-c1.20260302", demand.Refused{Clinic: "c1"})[0]
	require.Eventually(t, func() bool { // other processes see it within a second
		missed = s.books("c1")
		all, err := s.hooks.Deliveries(t.Context(), hook, "", 0, 1)
		require.NoError(t, err)
		return all[0].Event != missed.ID
	}, time.Minute, 10*time.Millisecond)

	is.Wish.Disabled = false
	is, err = s.hooks.Change(t.Context(), hook, is.Wish)
	require.NoError(t, err)
	require.Nil(t, is.DisabledAt)
	r.answers(nil)
	_, err = s.hooks.Replay(t.Context(), hook, missed.Position-1)
	require.NoError(t, err)
	require.Equal(t, reactions.DeliveryDelivered, s.delivery(hook, missed, ended).Status)
}

func TestWhatIsOnItsWayToADisabledWebhookIsCancelled(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *webhooks.Config) { c.Pauses = []time.Duration{20 * time.Millisecond, time.Minute} })
	hold := make(chan struct{})
	r := newReceiver(t).answers(func(w http.ResponseWriter, _ int) {
		<-hold
		w.WriteHeader(http.StatusBadGateway)
	})
	hook := s.subscribe(r)
	e := s.books("c1")
	r.next(t)
	wish := s.webhook(hook).Wish
	wish.Disabled = true
	_, err := s.hooks.Change(t.Context(), hook, wish)
	require.NoError(t, err)
	close(hold)
	d := s.delivery(hook, e, ended)
	require.Equal(t, []any{reactions.DeliveryCancelled, 1}, []any{d.Status, d.Tries})
	require.Empty(t, r.got)
}

func TestASecretIsRotatedWithoutAMessageThatNobodyCanVerify(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	hook, old, err := s.hooks.Create(t.Context(), reactions.WebhookWish{URL: r.URL})
	require.NoError(t, err)
	is, young, err := s.hooks.Rotate(t.Context(), hook.ID, time.Hour)
	require.NoError(t, err)
	require.NotEqual(t, old, young)
	require.WithinDuration(t, time.Now().Add(time.Hour), *is.OldSecretUntil, time.Minute)
	s.books("c1")
	m := r.next(t)
	require.NoError(t, verify(t, old, m))
	require.NoError(t, verify(t, young, m))

	is, latest, err := s.hooks.Rotate(t.Context(), hook.ID, 0)
	require.NoError(t, err)
	require.Nil(t, is.OldSecretUntil)
	s.books("c1")
	m = r.next(t)
	require.Error(t, verify(t, old, m))
	require.Error(t, verify(t, young, m), "an overlap of nothing is none: the secret was stolen")
	require.NoError(t, verify(t, latest, m))
	var kept string
	require.NoError(t, s.pool.QueryRow(t.Context(), "select encode(secret, 'escape') from slotbook.webhook").Scan(&kept))
	require.NotContains(t, kept, "whsec_")
}

func verify(t *testing.T, secret reactions.WebhookSecret, m message) error {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(string(secret))
	require.NoError(t, err)
	return v.Verify(m.Body, m.Header)
}

func TestAnAnswerIsReadUpToABound(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *webhooks.Config) { c.Timeout = 300 * time.Millisecond; c.Pauses = []time.Duration{} })
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	silent := newReceiver(t)
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	silent.answers(func(http.ResponseWriter, int) { <-hold })
	talks := s.subscribe(&receiver{Server: endless})
	waits := s.subscribe(silent)
	e := s.books("c1")
	require.Equal(t, reactions.DeliveryDelivered, s.delivery(talks, e, ended).Status, "its code was good")
	d := s.delivery(waits, e, ended)
	require.Equal(t, []any{reactions.DeliveryFailed, 0}, []any{d.Status, d.Code})
	require.NotContains(t, d.Error, silent.URL, "an address may hold a secret")
}

func TestPausesAreMadeDifferentByChance(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for range 100 {
		d := webhooks.Around(time.Hour)
		require.GreaterOrEqual(t, d, 48*time.Minute)
		require.LessOrEqual(t, d, 72*time.Minute)
		seen[d] = true
	}
	require.Greater(t, len(seen), 50)
}

func TestAReplaySendsThePastFromAnyPosition(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	var ids []string
	var first domain.Position
	for i := range 5 {
		e := s.books("c1")
		s.record("demand-c1.20260302", demand.Refused{Clinic: "c1"})
		if ids = append(ids, e.ID); i == 2 {
			first = e.Position
		}
	}
	hook := s.subscribe(r, "appointment.booked")
	received := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			got[r.next(t).ID]++
		}
		return got
	}
	latest := s.books("c1")
	require.Equal(t, map[string]int{latest.ID: 1}, received(1), "what was recorded before is not sent by itself")
	is, err := s.hooks.Replay(t.Context(), hook, first-1)
	require.NoError(t, err)
	require.NotNil(t, is.Replay)
	require.Equal(t, map[string]int{ids[2]: 1, ids[3]: 1, ids[4]: 1, latest.ID: 1}, received(4))
	settled := func() bool { is := s.webhook(hook); return is.Replay == nil && is.Pending == 0 }
	require.Eventually(t, settled, waiting, tick, "what was received is noted after it was answered")
	_, err = s.hooks.Replay(t.Context(), hook, 0)
	require.NoError(t, err)
	require.Len(t, received(6), 6, "also what was received")
	require.Empty(t, r.got)
	require.Eventually(t, settled, waiting, tick)
	all, err := s.hooks.Deliveries(t.Context(), hook, reactions.DeliveryDelivered, 0, 100)
	require.NoError(t, err)
	require.Len(t, all, 6)
	require.Equal(t, latest.ID, all[0].Event, "the latest event first")
}

func TestTwoProcessesShareTheDeliveries(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	other := s.process(quick)
	stop := s.follow(other.Run)
	s.subscribe(r)
	const events = 60
	want := map[string]int{}
	for i := range events {
		want[s.books("c1").ID] = 1
		if i == events/2 {
			stop()
		}
	}
	got := map[string]int{}
	for range events {
		got[r.next(t).ID]++
	}
	require.Equal(t, want, got)
}

func TestDeliveriesOfLongAgoAreForgotten(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	hook, gone := s.subscribe(r), s.subscribe(newReceiver(t))
	e := s.books("c1")
	s.delivery(hook, e, ended)
	s.delivery(gone, e, ended)
	_, err := s.hooks.Delete(t.Context(), gone)
	require.NoError(t, err)
	_, err = s.hooks.Webhook(t.Context(), gone)
	require.ErrorIs(t, err, reactions.ErrNoWebhook)
	forgotten, err := s.hooks.Tidy(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, forgotten, "that of the webhook that is gone")
	late := s.process(quick, func(c *webhooks.Config) { c.Now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) } })
	forgotten, err = late.Tidy(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, forgotten)
}

func TestADeliveryOfAnotherHistoryIsGivenUp(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	hook := s.subscribe(r)
	e := s.books("c1")
	e.ID = uuid.NewString()
	s.tell(e)
	d := s.delivery(hook, e, ended)
	require.Equal(t, []any{reactions.DeliveryFailed, 1}, []any{d.Status, d.Tries})
	require.Contains(t, d.Error, "no such event")
}

func TestASlowReceiverDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *webhooks.Config) { c.Timeout, c.Workers = time.Minute, 10 })
	hold := make(chan struct{})
	slow := newReceiver(t).answers(func(http.ResponseWriter, int) { <-hold })
	t.Cleanup(func() { close(hold) })
	s.subscribe(slow, "appointment.booked")
	for range 50 {
		s.books("c1")
	}
	slow.next(t)
	quick := newReceiver(t)
	s.subscribe(quick, "demand.refused")
	s.tell(s.record("demand-c1.20260302", demand.Refused{Clinic: "c1"})...)
	quick.next(t)
	require.LessOrEqual(t, len(slow.got), 7, "eight at once")
}
