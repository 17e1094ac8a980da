package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
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

// thirds is a week of Tuesdays cut into slots of twenty minutes, two weeks long.
var thirds = strings.NewReplacer("PT30M", "PT20M", `"horizonDays": 2`, `"horizonDays": 15`).Replace(tuesdays)

// newThirds is a stage whose practitioner has nine slots on 3 March, and nine
// on the tenth.
func newThirds(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, world: newFoldedWorld(t)}
	s.clinicDay = s.open(t)
	s.practitioner = s.made("practitioners", `{"name": "Dr. Rui Lopes", "clinicIds": ["`+s.clinic+`"]}`)
	require.Equal(t, http.StatusOK, s.call(t, http.MethodPut, s.schedule(), thirds).Code)
	return s
}

// wanting is an hour of a visit type, two slots with buffers, or three slots.
func (s *stage) wanting() map[string]func(slot string) string {
	hour := s.made("visit-types", `{"clinicId": "`+s.clinic+`", "name": "Hour", "duration": "PT1H"}`)
	buffered := s.made("visit-types",
		`{"clinicId": "`+s.clinic+`", "name": "Buffered", "duration": "PT50M", "bufferBefore": "PT5M", "bufferAfter": "PT5M"}`)
	typed := func(id string) func(string) string {
		return func(slot string) string { return `"slotId": "` + slot + `", "visitTypeId": "` + id + `"` }
	}
	return map[string]func(string) string{
		"an hour": typed(hour), "a visit with buffers": typed(buffered),
		"three slots": func(slot string) string {
			all := []string{slot}
			for range 2 {
				day, n, _ := cutLast(all[len(all)-1])
				all = append(all, day+strconv.Itoa(n+1))
			}
			return `"slotIds": ["` + strings.Join(all, `", "`) + `"]`
		},
	}
}

func cutLast(slot string) (day string, n int, err error) {
	i := strings.LastIndexByte(slot, '.') + 1
	n, err = strconv.Atoi(slot[i:])
	return slot[:i], n, err
}

// instead posts what another visit stands in the way of, and returns which
// slots are offered, in lists that show everything that has happened.
func (s *stage) instead(path, body string) []string {
	s.t.Helper()
	asked[ids](s.t, s.world, "/v1/slots")
	answer := s.post(path, body)
	require.Equal(s.t, "slot.taken", rule(s.t, answer))
	var shown struct{ Alternatives []struct{ ID string } }
	require.NoError(s.t, json.Unmarshal(answer.Body.Bytes(), &shown))
	var found []string
	for _, a := range shown.Alternatives {
		found = append(found, a.ID)
	}
	return found
}

func TestAlternativesCanBeHad(t *testing.T) {
	t.Parallel()
	wanting := newThirds(t).wanting()
	for name := range wanting {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newThirds(t)
			want := s.wanting()[name]
			taken := s.made("appointments", `{`+want(s.slot(3))+`, "patientId": "`+s.joao+`"}`)
			next := s.practitioner + ".20260310.0"
			found := s.instead("appointments", `{`+want(s.slot(4))+`, "patientId": "`+s.maria+`"}`)
			require.Equal(t, []string{s.slot(6), s.slot(0), next}, found)
			for _, slot := range found {
				answer := s.post("appointments?dryRun=true", `{`+want(slot)+`, "patientId": "`+s.maria+`"}`)
				require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
			}
			require.Equal(t, found, s.instead("holds", `{`+want(s.slot(4))+`}`))
			hers := s.made("appointments", `{`+want(s.slot(6))+`, "patientId": "`+s.maria+`"}`)
			found = s.instead("appointments/"+hers+"/reschedule", `{`+want(s.slot(4))+`, "initiator": "patient"}`)
			require.Equal(t, []string{s.slot(0), next}, found[:2])

			s.made("practitioners/"+s.practitioner+"/blocks", `{"from": "2026-03-03T10:00:00Z", "to": "2026-03-03T10:01:00Z", "reason": "late"}`)
			displaced := asked[struct {
				Items []struct {
					ID           string
					Alternatives []struct{ ID string }
				}
			}](t, s.world, "/v1/appointments?displaced=true")
			require.Len(t, displaced.Items, 1)
			require.Equal(t, taken, displaced.Items[0].ID)
			require.True(t, asked[httpapi.Appointment](t, s.world, "/v1/appointments/"+taken).Displaced)
			require.False(t, asked[httpapi.Appointment](t, s.world, "/v1/appointments/"+hers).Displaced)
			require.Len(t, displaced.Items[0].Alternatives, 3)
			for _, a := range displaced.Items[0].Alternatives {
				answer := s.post("appointments/"+taken+"/reschedule?dryRun=true", `{`+want(a.ID)+`, "initiator": "clinic", "note": "late"}`)
				require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
			}
		})
	}
}

func TestARefusedDateOfASeriesHasAnAlternativeThatCanBeHad(t *testing.T) {
	t.Parallel()
	s := newThirds(t)
	hour := s.made("visit-types", `{"clinicId": "`+s.clinic+`", "name": "Hour", "duration": "PT1H"}`)
	for visitType, want := range map[string]string{``: s.slot(2), `, "visitTypeId": "` + hour + `"`: s.slot(4)} {
		taken := s.made("appointments", `{"slotId": "`+s.slot(3)+`", "patientId": "`+s.joao+`"}`)
		asked[ids](t, s.world, "/v1/slots")
		answer := s.post("series", `{"practitionerId": "`+s.practitioner+`", "clinicId": "`+s.clinic+`", "patientId": "`+s.maria+
			`", "first": "2026-03-03", "time": "10:00", "count": 1`+visitType+`}`)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		var booked struct {
			Refused []struct{ Alternative struct{ ID string } }
		}
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &booked))
		require.Len(t, booked.Refused, 1)
		require.Equal(t, want, booked.Refused[0].Alternative.ID)
		s.made("appointments/"+taken+"/cancel", `{"initiator": "patient"}`)
	}
}

// TestTheListOfFreeSlotsAndTheBookingAgree asks of every slot whether it is
// listed as free, whether it is free by itself, and whether it can be booked.
func TestTheListOfFreeSlotsAndTheBookingAgree(t *testing.T) {
	t.Parallel()
	for reason, terms := range map[string]string{
		"policy.notice": `"minNotice": "PT26H"`, "policy.horizon": `"horizon": "PT26H"`,
		"quota.practitioner-day": `"practitionerDay": 1`, "quota.practitioner-week": `"practitionerWeek": 1`,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			s := newThirds(t)
			if strings.HasPrefix(reason, "quota") {
				s.policy(terms)
			}
			s.books(0, s.joao)
			s.policy(terms)
			s.setNow(s.now().Add(2 * time.Second)) // a policy may be a second old
			listed := map[string]httpapi.Slot{}
			for _, slot := range asked[struct{ Items []httpapi.Slot }](t, s.world, "/v1/slots?status=any&limit=100&practitionerId="+s.practitioner).Items {
				listed[slot.ID] = slot
			}
			require.Len(t, listed, 18)
			unavailable := 0
			for id, slot := range listed {
				one := asked[httpapi.Slot](t, s.world, "/v1/slots/"+id)
				require.Equal(t, slot, one)
				answer := s.post("appointments?dryRun=true", `{"slotId": "`+id+`", "patientId": "`+s.maria+`"}`)
				require.Equal(t, slot.Status == "free", answer.Code == http.StatusOK, answer.Body.String())
				if slot.Status == "busy-unavailable" {
					unavailable++
					require.Equal(t, reason, slot.Reason)
					require.Equal(t, reason, rule(t, answer))
					require.Zero(t, slot.Free)
				}
			}
			require.Positive(t, unavailable)
			require.Len(t, asked[ids](t, s.world, "/v1/slots?limit=100&practitionerId="+s.practitioner).Items, 17-unavailable)
		})
	}
}
