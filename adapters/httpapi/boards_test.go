package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
)

func TestABoardShowsInitialsOnlyWhereThePolicySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	w.setNow(at("2026-03-03T09:00:00Z"))
	path := "/v1/queues/" + d.practitioner
	for _, who := range []string{"", `{"patientId": "` + d.maria + `"}`, `{"patientId": "` + d.joao + `"}`} {
		require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, path+"/tickets", who).Code)
	}
	w.call(t, http.MethodPost, path+"/call", `{"desk": "1"}`)
	w.call(t, http.MethodPost, path+"/call", `{"desk": "2"}`)
	board := func() httpapi.QueueBoard {
		answer := w.call(t, http.MethodGet, path+"/board", "")
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return decoded[httpapi.QueueBoard](t, answer.Body.Bytes())
	}
	require.Empty(t, board().Initials)
	policy := "/v1/clinics/" + d.clinic + "/policy"
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, policy, `{"boardShows": "initials"}`).Code)
	require.Equal(t, []httpapi.BoardInitials{{Ticket: 2, Initials: "M. S."}, {Ticket: 3, Initials: "J. C."}}, board().Initials)
	w.keys.Destroy(d.maria)
	require.Equal(t, []httpapi.BoardInitials{{Ticket: 3, Initials: "J. C."}}, board().Initials, "who was erased is a number")
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, policy, `{"boardShows": "ticket"}`).Code)
	require.Empty(t, board().Initials)
}

// TestTheBoardOfAClinicAsItWasHasWhatItHasGivenUpSince looks back after a service
// is offered no more and a practitioner has another name.
func TestTheBoardOfAClinicAsItWasHasWhatItHasGivenUpSince(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	id, path := d.service(t, w)
	joined := w.call(t, http.MethodPost, path+"/tickets", "")
	require.Equal(t, http.StatusCreated, joined.Code, joined.Body.String())
	date := decoded[httpapi.QueueTicket](t, joined.Body.Bytes()).Date
	board := func(query string) httpapi.ClinicBoard {
		answer := w.call(t, http.MethodGet, "/v1/clinics/"+d.clinic+"/board?date="+date+query, "")
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return decoded[httpapi.ClinicBoard](t, answer.Body.Bytes())
	}
	then := board("&minPosition=" + joined.Header().Get("Slotbook-Position"))
	require.Len(t, then.Queues, 2)
	require.Equal(t, []int{1}, then.Queues[1].Waiting)

	require.Less(t, w.call(t, http.MethodPost, "/v1/visit-types/"+id+"/retire", "").Code, 300)
	renamed := w.call(t, http.MethodPut, "/v1/practitioners/"+d.practitioner, `{"name": "Dr. Else", "clinicIds": ["`+d.clinic+`"]}`)
	require.Equal(t, http.StatusOK, renamed.Code, renamed.Body.String())
	seen := "&minPosition=" + renamed.Header().Get("Slotbook-Position")
	now := board(seen)
	require.Len(t, now.Queues, 1)
	require.Equal(t, "Dr. Else", now.Queues[0].Name)
	require.Equal(t, then, board(seen+"&asOf="+joined.Header().Get("Slotbook-Position")))
}
