package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/projections"
)

// foldedWaits forecasts waits from the streams themselves; it keeps no score.
type foldedWaits struct{ *folded }

func (l foldedWaits) Latest(ctx context.Context, lines []string, day domain.Day, asOf *domain.Position, _ domain.Position) (waits []projections.Wait, err error) {
	for _, line := range lines {
		stream := domain.Stream(queue.Category, line+"."+string(day[:4]+day[5:7]+day[8:]))
		loaded, err := l.store.Load(ctx, stream)
		if err != nil {
			return nil, err
		}
		var w queue.Watch
		for _, r := range loaded[stream] {
			if asOf != nil && r.Position > *asOf {
				break
			}
			e, _ := r.Event.(queue.Event)
			now, at, fresh := w.After(e, r.RecordedAt)
			w = now
			for _, f := range fresh {
				waits = append(waits, projections.Wait{Line: line, Ticket: f.Ticket, MadeAt: at, P50: f.P50, P90: f.P90, Basis: f.Basis})
			}
		}
	}
	return waits, nil
}

func (foldedWaits) Accuracy(context.Context, projections.AccuracyFilter, domain.Position) ([]projections.Accuracy, domain.Position, error) {
	return nil, 0, nil
}

func decoded[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(body, &v))
	return v
}

func TestAQueueIsToldInASentenceInTheLanguageOfItsReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	path := "/v1/queues/" + d.practitioner
	ask := func(query string, headers ...string) httpapi.QueueSummary {
		answer := w.call(t, http.MethodGet, path+query, "", headers...)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return *decoded[httpapi.QueueSheet](t, answer.Body.Bytes()).Summary
	}
	require.Equal(t, "0 people are waiting for Dr. Ana Sousa.", ask("").Text)
	for range 3 {
		require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, path+"/tickets", "").Code)
	}
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, path+"/call", `{"desk": "1"}`).Code)
	english := ask("")
	require.Equal(t, "2 people are waiting for Dr. Ana Sousa. Expected wait: 30 minutes.", english.Text)
	require.Equal(t, "PT30M", english.ExpectedWait)
	require.Equal(t, "2 pessoas esperam por Dr. Ana Sousa. Espera prevista: 30 minutos.", ask("?lang=pt").Text)
	require.Equal(t, "В очереди к Dr. Ana Sousa: 2 человека. Ожидаемое время: 30 минут.", ask("", "Accept-Language", "de, ru;q=0.8, en;q=0.5").Text)
	require.Equal(t, "ko", ask("?lang=ko", "Accept-Language", "ru").Language, "the parameter before the header")
	require.Equal(t, "en", ask("", "Accept-Language", "x, ;;").Language)
}

func TestWhatAQueueAnswersSaysWhenSomebodyIsCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	path := "/v1/queues/" + d.practitioner
	w.call(t, http.MethodPost, path+"/tickets", "")
	joined := decoded[httpapi.QueueTicket](t, w.call(t, http.MethodPost, path+"/tickets", "").Body.Bytes())
	require.Equal(t, &httpapi.ExpectedWait{
		P50: "PT15M", P90: "PT30M", P50At: at("2026-03-03T09:15:00Z"), P90At: at("2026-03-03T09:30:00Z"), Basis: "schedule", MadeAt: at("2026-03-03T09:00:00Z"),
	}, joined.Expected)
	w.setNow(at("2026-03-03T09:20:00Z"))
	later := decoded[httpapi.QueueTicket](t, w.call(t, http.MethodGet, path+"/tickets/2", "").Body.Bytes())
	require.Equal(t, []string{"PT0M", "PT10M"}, []string{later.Expected.P50, later.Expected.P90}, "the instants stand, and no wait is negative")
	require.Equal(t, joined.Expected.P50At, later.Expected.P50At)
	whole := decoded[httpapi.ClinicQueues](t, w.call(t, http.MethodGet, "/v1/clinics/"+d.clinic+"/queue", "").Body.Bytes())
	require.Equal(t, later.Expected, whole.Queues[0].Tickets[1].Expected)
	w.setNow(at("2026-03-03T09:30:01Z"))
	sheet := decoded[httpapi.QueueSheet](t, w.call(t, http.MethodGet, path, "").Body.Bytes())
	require.Nil(t, sheet.Tickets[1].Expected, "who waits still has been told wrong")
	require.Equal(t, "2 people are waiting for Dr. Ana Sousa.", sheet.Summary.Text)
	w.call(t, http.MethodPost, path+"/call", `{"desk": "1"}`)
	called := decoded[httpapi.QueueTicket](t, w.call(t, http.MethodGet, path+"/tickets/1", "").Body.Bytes())
	require.Nil(t, called.Expected, "who is called waits no more")
}

// Forecasts and how good they were come from the read model, which has what a
// command did by the time that it answers.
func TestForecastsAreKeptAndJudged(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	path := "/v1/queues/" + d.practitioner
	for range 2 {
		answer := w.call(t, http.MethodPost, path+"/tickets", "")
		require.Equal(t, "schedule", decoded[httpapi.QueueTicket](t, answer.Body.Bytes()).Expected.Basis)
	}
	w.call(t, http.MethodPost, path+"/call", `{"desk": "1"}`)
	w.setNow(at("2026-03-03T09:40:00Z"))
	last := w.call(t, http.MethodPost, path+"/leave", `{"ticket": 2}`)
	judged := func(query string) httpapi.WaitAccuracy {
		answer := w.call(t, http.MethodGet, "/v1/queues/accuracy"+query, "", "Slotbook-Min-Position", last.Header().Get("Slotbook-Position"))
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return decoded[httpapi.WaitAccuracy](t, answer.Body.Bytes())
	}
	share := httpapi.AccuracyShare{Forecasts: 2, Settled: 1, Left: 1, MedianError: "PT0M", WithinP50P90: 100}
	of := judged("?clinicId=" + d.clinic + "&practitionerId=" + d.practitioner + "&from=2026-03-03&to=2026-03-03").Joining
	require.Equal(t, share, of.Total)
	share.Basis = "schedule"
	require.Equal(t, []httpapi.AccuracyShare{share}, of.ByBasis)
	require.Equal(t, 8, *of.ByHour[0].Hour)
	require.Zero(t, judged("?to=2026-03-02").All.Total.Forecasts)
	for _, query := range []string{"?from=x", "?to=2026-02-30"} {
		require.Equal(t, "day.malformed", rule(t, w.call(t, http.MethodGet, "/v1/queues/accuracy"+query, "")))
	}
}
