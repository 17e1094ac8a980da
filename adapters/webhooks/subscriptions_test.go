package webhooks_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/reactions"
)

func TestAnEventSaysOfWhichClinicItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stream, data string
		clinics      []string
		elsewhere    string
	}{
		{"appointment-a1", `{"appointment":"a1","clinic":"c1"}`, []string{"c1"}, ""},
		{"practitioner-d1", `{"practitioner":"d1","clinics":["c1","c2"]}`, []string{"c1", "c2"}, ""},
		{"clinic-c1", `{"calendar":[]}`, []string{"c1"}, ""},
		{"policy-clinic.c1", `{"kind":"clinic","id":"c1"}`, []string{"c1"}, ""},
		{"policy-practitioner.d1", `{"kind":"practitioner","id":"d1"}`, nil, ""},
		{"series-s1", `{"series":"s1"}`, nil, "series-s1"},
		{"occupancy-patient.p1.2026-03-02", `{"owner":"appointment-a1"}`, nil, "appointment-a1"},
		{"quota-practitioner-day.d1.2026-03-02", `{"owner":"series-s1"}`, nil, "series-s1"},
		{"patient-p1", `{"patient":"p1"}`, nil, ""},
		{"schedule-d1", `{"practitioner":"d1","clinic":""}`, nil, ""},
		{"schedule-d1", `not an object`, nil, ""},
		{"schedule-d1", `{"clinic":7,"clinics":"c1","owner":[]}`, nil, ""},
	} {
		clinics, elsewhere := webhooks.ClinicsOf(eventcodec.Stored{Stream: domain.StreamName(c.stream), Encoded: eventcodec.Encoded{Data: []byte(c.data)}})
		require.Equal(t, c.clinics, clinics, c.stream)
		require.EqualValues(t, c.elsewhere, elsewhere, c.stream)
	}
}

func TestASubscriptionGetsWhatItAskedForAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all, bookings, ours := newReceiver(t), newReceiver(t), newReceiver(t)
	s.subscribe(all)
	s.subscribe(bookings, "appointment.booked", "appointment.booked", "clinic.*")
	hook, secret, err := s.hooks.Create(t.Context(), reactions.WebhookWish{URL: ours.URL, Clinic: "c1", Description: "theirs"})
	require.NoError(t, err)
	ours.secret(string(secret))
	require.Equal(t, "theirs", hook.Wish.Description)

	a := domain.AppointmentID(uuid.NewString())
	proposed := s.record(appointment.Stream(a), appointment.WasProposed{Visit: appointment.Visit{Appointment: a, Clinic: "c1"}})[0]
	claimed := s.record("occupancy-patient.p1.2026-03-02", occupancy.Booked{Taken: occupancy.Taken{Claim: claim.Claim{Owner: appointment.Stream(a), Set: 1}}})[0]
	nobodys := s.record(patient.Stream("p1"), patient.Registered{Patient: "p1"})[0]
	s.tell(proposed, claimed, nobodys)
	theirs, here := s.books("c2"), s.books("c1")
	require.Equal(t, ids(proposed, claimed, nobodys, theirs, here), received(t, all, 5))
	require.Equal(t, ids(theirs, here), received(t, bookings, 2))
	require.Equal(t, ids(proposed, claimed, here), received(t, ours, 3), "a claim is of the clinic of its appointment")
	require.Empty(t, len(all.got)+len(bookings.got)+len(ours.got))
}

func TestALookAtTheSubscriptionsWritesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.subscribe(newReceiver(t), "clinic.*")
	config := s.pool.Config()
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	reading, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(reading.Close)
	other := s.process(quick, func(c *webhooks.Config) { c.Pool = reading })
	require.NoError(t, other.React(t.Context(), s.books("c1")), "which nobody wants")
}

func TestASubscriptionWhoseMakerHasDiedBeginsWithTheNextEvent(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	s.subscribe(r)
	before := s.record(patient.Stream("p1"), patient.Registered{Patient: "p1"})[0]
	_, err := s.pool.Exec(t.Context(), "update slotbook.webhook set after_position = $1", int64(math.MaxInt64))
	require.NoError(t, err)
	first := s.books("c1")
	s.tell(before)
	second := s.books("c1")
	require.Equal(t, ids(first, second), received(t, r, 2))
	require.Empty(t, r.got)
}

func ids(events ...eventcodec.Stored) map[string]int {
	all := map[string]int{}
	for _, e := range events {
		all[e.ID]++
	}
	return all
}

func received(t *testing.T, r *receiver, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		got[r.next(t).ID]++
	}
	return got
}

func TestATypeThatNoEventHasIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	wish := reactions.WebhookWish{URL: "https://receiver.example/"}
	hook, _, err := s.hooks.Create(t.Context(), wish)
	require.NoError(t, err)
	for _, name := range []string{"appointment.bocked", "*", "appointment*", "appointment.b*", "nothing.*", ""} {
		wish.Types = []string{name}
		_, _, err := s.hooks.Create(t.Context(), wish)
		require.ErrorIs(t, err, reactions.ErrWebhookType, name)
		_, err = s.hooks.Change(t.Context(), hook.ID, wish)
		require.ErrorIs(t, err, reactions.ErrWebhookType, name)
	}
}

func TestAWebhookThatThereIsNot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, id := range []string{"nothing", uuid.NewString()} {
		_, err := s.hooks.Webhook(t.Context(), id)
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
		_, err = s.hooks.Change(t.Context(), id, reactions.WebhookWish{URL: "https://receiver.example/"})
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
		_, err = s.hooks.Delete(t.Context(), id)
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
		_, _, err = s.hooks.Rotate(t.Context(), id, 0)
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
		_, err = s.hooks.Deliveries(t.Context(), id, "", 0, 10)
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
		_, err = s.hooks.Redeliver(t.Context(), id, uuid.NewString())
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
		_, err = s.hooks.Replay(t.Context(), id, 0)
		require.ErrorIs(t, err, reactions.ErrNoWebhook)
	}
	all, err := s.hooks.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.hooks.List(ended)
	require.ErrorIs(t, err, commands.ErrUnavailable)
}

func TestASecretUnderAnotherMasterKeyIsNotUsed(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	hook := s.subscribe(r)
	_, err := s.pool.Exec(t.Context(), "update slotbook.webhook set secret = secret || '\\x00'")
	require.NoError(t, err)
	s.books("c1")
	require.Eventually(t, func() bool {
		var failed int
		require.NoError(t, s.pool.QueryRow(t.Context(), `
			select count(*) from river.river_job
			where state in ('retryable', 'available') and errors[1]->>'error' like '%rotate it%'`).Scan(&failed))
		return failed == 1
	}, waiting, tick)
	require.Empty(t, r.got)
	_, secret, err := s.hooks.Rotate(t.Context(), hook, time.Hour)
	require.NoError(t, err)
	r.secret(string(secret))
	r.next(t)
	_, err = webhooks.New(webhooks.Config{Key: []byte("short")})
	require.ErrorContains(t, err, "32")
}
