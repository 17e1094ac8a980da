package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
)

func TestAQueueCommandThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, elsewhere := w.open(t), w.open(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	queue := "/v1/queues/" + d.practitioner
	for range 2 {
		require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, queue+"/tickets", "").Code)
	}
	known := `{"patientId": "` + d.maria + `"}`
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, queue+"/tickets", known).Code)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, queue+"/call", `{"desk": "1"}`).Code)
	for _, call := range []struct{ path, body, rule string }{
		{queue + "/tickets", known, "queue.already"},
		{queue + "/tickets", `{"date": "2026-03-04"}`, "queue.not-today"},
		{queue + "/tickets", `{"date": "2026-02-30"}`, "day.malformed"},
		{queue + "/tickets", `{"patientId": "nobody"}`, "patient.not-found"},
		{queue + "/tickets", `{"clinicId": "nowhere"}`, "clinic.not-found"},
		{queue + "/tickets", `{"visitTypeId": "nothing"}`, "visit-type.not-found"},
		{queue + "/tickets", `{"clinicId": "` + elsewhere.clinic + `"}`, "queue.not-here"},
		{"/v1/queues/nobody/tickets", "", "practitioner.not-found"},
		{queue + "/call", `{"desk": " "}`, "queue.desk"},
		{queue + "/call", `{"desk": "1", "ticket": 2, "reason": "agreed"}`, "queue.desk-busy"},
		{queue + "/call", `{"desk": "2", "ticket": 3}`, "queue.reason"},
		{queue + "/call", `{"desk": "2", "ticket": 3, "reason": "beauty"}`, "request.invalid"},
		{queue + "/call", `{"desk": "2", "ticket": 9, "reason": "agreed"}`, "queue.no-ticket"},
		{queue + "/call", `{"desk": "2", "ticket": 1, "reason": "agreed"}`, "queue.status"},
		{queue + "/call", `{"desk": "2", "date": "2026-03-02"}`, "queue.empty"},
		{queue + "/transfer", `{"ticket": 2, "to": "nobody"}`, "practitioner.not-found"},
		{queue + "/transfer", `{"ticket": 2, "to": "` + elsewhere.practitioner + `"}`, "queue.not-here"},
		{queue + "/transfer", `{"ticket": 2, "to": "` + d.practitioner + `"}`, "queue.same"},
		{queue + "/room", `{"ticket": 1, "room": " "}`, "queue.desk"},
		{queue + "/room", `{"ticket": 2, "room": "B"}`, "queue.status"},
		{queue + "/recall", `{"ticket": 2}`, "queue.status"},
		{queue + "/return", `{"ticket": 9}`, "queue.no-ticket"},
		{queue + "/start", `{"ticket": 2}`, "queue.status"},
		{queue + "/finish", `{"ticket": 2}`, "queue.status"},
		{queue + "/leave", `{"ticket": 2, "missed": true}`, "queue.status"},
		{queue + "/urgent", `{"ticket": 1, "reason": "pain"}`, "queue.status"},
		{queue + "/skip", `{"ticket": 9}`, "queue.no-ticket"},
	} {
		require.Equal(t, call.rule, rule(t, w.call(t, http.MethodPost, call.path, call.body)), call.path+" "+call.body)
	}
	for path, wanted := range map[string]string{
		"/v1/queues/nobody":                         "practitioner.not-found",
		queue + "?date=tomorrow":                    "day.malformed",
		queue + "?clinicId=nowhere":                 "clinic.not-found",
		queue + "/tickets/9":                        "queue.no-ticket",
		"/v1/queues/nobody/board":                   "practitioner.not-found",
		"/v1/clinics/nowhere/queue":                 "clinic.not-found",
		"/v1/clinics/" + d.clinic + "/queue?date=x": "day.malformed",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodGet, path, "")), path)
	}
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, "/v1/clinics/"+d.clinic+"/close", "").Code)
	require.Equal(t, "clinic.closed", rule(t, w.call(t, http.MethodPost, queue+"/tickets", "")))
}

func TestAPatientIsToldTheirPositionAmongEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	path := "/v1/queues/" + d.practitioner
	for _, who := range []string{"", `{"patientId": "` + d.joao + `"}`, `{"patientId": "` + d.maria + `"}`} {
		require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, path+"/tickets", who).Code)
	}
	position := func() httpapi.QueueSheet {
		return decoded[httpapi.QueueSheet](t, w.call(t, http.MethodGet, path+"?patientId="+d.maria, "").Body.Bytes())
	}
	hers := position()
	require.Len(t, hers.Tickets, 1)
	require.Equal(t, []int{3, 3}, []int{hers.Tickets[0].Position, hers.Waiting})
	require.Equal(t, "PT30M", hers.Tickets[0].Expected.P50)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, path+"/urgent", `{"ticket": 3, "reason": "pain"}`).Code)
	hers = position()
	require.Equal(t, 1, hers.Tickets[0].Position)
	require.Equal(t, "PT0M", hers.Tickets[0].Expected.P50)
	w.call(t, http.MethodPost, path+"/call", `{"desk": "1"}`)
	require.Zero(t, position().Tickets[0].Position, "who is called waits no more")
	w.call(t, http.MethodPost, path+"/leave", `{"ticket": 3}`)
	require.Empty(t, position().Tickets)
	all := decoded[httpapi.QueueSheet](t, w.call(t, http.MethodGet, path+"?all=true&patientId="+d.maria, "").Body.Bytes())
	require.Equal(t, "left", all.Tickets[0].Status)
}
