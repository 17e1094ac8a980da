package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
)

// service defines a visit type of the clinic, and returns its queue's path.
func (d clinicDay) service(t *testing.T, w *world) (id, path string) {
	t.Helper()
	answer := w.call(t, http.MethodPost, "/v1/visit-types", `{"clinicId": "`+d.clinic+`", "name": "Blood sample", "duration": "PT10M"}`)
	require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
	var created struct{ ID string }
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &created))
	return created.ID, "/v1/queues/" + d.clinic + "." + created.ID
}

func TestAServiceOfAClinicHasAQueueOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	id, path := d.service(t, w)
	w.setNow(at("2026-03-03T09:00:00Z"))
	ticket := func(method, path, body string) httpapi.QueueTicket {
		answer := w.call(t, method, path, body)
		require.Less(t, answer.Code, 300, answer.Body.String())
		return decoded[httpapi.QueueTicket](t, answer.Body.Bytes())
	}
	joined := ticket(http.MethodPost, path+"/tickets", `{"visitTypeId": "`+id+`"}`)
	require.Equal(t, []string{id, "", d.clinic}, []string{joined.ServiceID, joined.PractitionerID, joined.ClinicID})
	ticket(http.MethodPost, path+"/tickets", `{"patientId": "`+d.maria+`"}`)
	third := ticket(http.MethodPost, path+"/tickets", "")
	require.Equal(t, "PT20M", third.Expected.P50, "two of ten minutes are ahead")
	require.Equal(t, 1, ticket(http.MethodPost, path+"/call", `{"desk": "1"}`).Ticket)
	require.Equal(t, 2, ticket(http.MethodPost, path+"/call", `{"desk": "2"}`).Ticket)
	ticket(http.MethodPost, path+"/finish", `{"ticket": 1}`)
	sheet := decoded[httpapi.QueueSheet](t, w.call(t, http.MethodGet, path, "").Body.Bytes())
	require.Contains(t, sheet.Summary.Text, "1 person is waiting for Blood sample.")
	board := decoded[httpapi.QueueBoard](t, w.call(t, http.MethodGet, path+"/board", "").Body.Bytes())
	require.Equal(t, []int{3}, board.Waiting)
	there := ticket(http.MethodPost, path+"/transfer", `{"ticket": 3, "to": "`+d.practitioner+`"}`)
	require.Equal(t, []string{d.practitioner, ""}, []string{there.PractitionerID, there.ServiceID})
	back := ticket(http.MethodPost, "/v1/queues/"+d.practitioner+"/transfer", `{"ticket": 1, "to": "`+d.clinic+`.`+id+`"}`)
	require.Equal(t, []string{id, ""}, []string{back.ServiceID, back.PractitionerID})
	require.Equal(t, 4, back.Ticket)
	whole := decoded[httpapi.ClinicQueues](t, w.call(t, http.MethodGet, "/v1/clinics/"+d.clinic+"/queue", "").Body.Bytes())
	require.Len(t, whole.Queues, 2)
	require.Equal(t, id, whole.Queues[1].ServiceID)
	require.Equal(t, 1, whole.Waiting)
}

func TestAServiceThatThereIsNotHasNoQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, other := w.open(t), w.open(t)
	id, path := d.service(t, w)
	w.setNow(at("2026-03-03T09:00:00Z"))
	for path, wanted := range map[string]string{
		"/v1/queues/" + d.clinic + ".nothing":   "visit-type.not-found",
		"/v1/queues/" + other.clinic + "." + id: "visit-type.not-found",
		"/v1/queues/nowhere." + id:              "clinic.not-found",
		path + "?clinicId=" + other.clinic:      "queue.not-here",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodGet, path, "")), path)
	}
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, path+"/tickets", "").Code)
	for to, wanted := range map[string]string{
		d.clinic + "." + id: "queue.same", d.clinic + ".nothing": "visit-type.not-found", other.practitioner: "queue.not-here",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPost, path+"/transfer", `{"ticket": 1, "to": "`+to+`"}`)), to)
	}
}
