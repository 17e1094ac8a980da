package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
)

// asked asks the real read models, as they are by now, and decodes the
// answer.
func asked[T any](t *testing.T, w *world, target string) (answer T) {
	t.Helper()
	head, err := w.events.Head(t.Context())
	require.NoError(t, err)
	got := w.call(t, http.MethodGet, target, "", "Slotbook-Min-Position", strconv.FormatUint(uint64(head), 10))
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	require.NoError(t, json.Unmarshal(got.Body.Bytes(), &answer))
	return answer
}

type ids struct{ Items []struct{ ID string } }

func TestAVisitIsInTheListsOfEachOfItsPractitioners(t *testing.T) {
	t.Parallel()
	s := &stage{t: t, world: newFoldedWorld(t)}
	s.clinicDay = s.open(t)
	second := s.made("practitioners", `{"name": "Dr. Rui Lopes", "clinicIds": ["`+s.clinic+`"]}`)
	rui := clinicDay{clinic: s.clinic, practitioner: second}
	require.Equal(t, http.StatusOK, s.call(t, http.MethodPut, rui.schedule(), tuesdays).Code)
	id := s.made("appointments", `{"slotIds": ["`+s.slot(0)+`", "`+rui.slot(0)+`"], "patientId": "`+s.maria+`"}`)
	found := asked[ids](t, s.world, "/v1/appointments?practitionerId="+second)
	require.Len(t, found.Items, 1)
	require.Equal(t, id, found.Items[0].ID)

	s.made("practitioners/"+second+"/blocks", `{"from": "2026-03-03T08:00:00Z", "to": "2026-03-03T18:00:00Z", "reason": "ill"}`)
	require.Len(t, asked[ids](t, s.world, "/v1/appointments?displaced=true&practitionerId="+second).Items, 1)
	answer := s.post("practitioners/"+second+"/absences",
		`{"from": "2026-03-03T08:00:00Z", "to": "2026-03-03T18:00:00Z", "action": "cancel", "code": "practitioner-unavailable"}`)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	require.Contains(t, answer.Body.String(), `"cancelled":1`)
	now, err := s.commands.Appointment(t.Context(), domain.AppointmentID(id))
	require.NoError(t, err)
	require.EqualValues(t, "cancelled", now.State.Status)
}
