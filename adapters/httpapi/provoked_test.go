package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/series"
)

// stage is a clinic's day on which something is to be refused. Maria has its
// last slot where the command is about an appointment.
type stage struct {
	*world
	clinicDay
	t     *testing.T
	visit string // the path of Maria's appointment
	token string // of a hold
}

// made makes what cannot fail and returns its id.
func (s *stage) made(path, body string) string {
	s.t.Helper()
	answer := s.post(path, body)
	require.Less(s.t, answer.Code, 300, answer.Body.String())
	var made struct{ ID, Token string }
	require.NoError(s.t, json.Unmarshal(answer.Body.Bytes(), &made))
	s.token = made.Token
	return made.ID
}

func (s *stage) post(path, body string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.call(s.t, http.MethodPost, "/v1/"+path, body)
}

func (s *stage) books(n int, patient string) string {
	s.t.Helper()
	return s.made("appointments", `{"slotId": "`+s.slot(n)+`", "patientId": "`+patient+`"}`)
}

func (s *stage) policy(terms string) {
	s.t.Helper()
	answer := s.call(s.t, http.MethodPut, "/v1/practitioners/"+s.practitioner+"/policy", "{"+terms+"}")
	require.Equal(s.t, http.StatusOK, answer.Code, answer.Body.String())
}

func (s *stage) afternoonOnly() {
	s.t.Helper()
	answer := s.call(s.t, http.MethodPut, s.schedule(), strings.Replace(tuesdays, "09:00", "10:00", 1))
	require.Equal(s.t, http.StatusOK, answer.Code, answer.Body.String())
}

// interrupted leaves another set of an appointment in decision, as a process
// that died half-way does where a store takes one stream at a time.
func (s *stage) interrupted(id string, n int, patient string) {
	s.t.Helper()
	now, err := s.commands.Appointment(s.t.Context(), domain.AppointmentID(id))
	require.NoError(s.t, err)
	set, _ := now.State.Current()
	set.Slots, set.Patient = []domain.SlotID{domain.SlotID(s.slot(n))}, domain.PatientID(patient)
	event := appointment.WasProposed{Visit: set.Visit, Set: 2, Claims: set.Claims, Deadline: s.now().Add(10 * time.Second)}
	_, err = s.events.Append(s.t.Context(), commands.Write{
		Stream: appointment.Stream(domain.AppointmentID(id)), Expected: now.Revision,
		Events: []commands.NewEvent{{ID: uuid.NewString(), Event: event, Metadata: domain.Metadata{Command: "another", Actor: "local"}}},
	})
	require.NoError(s.t, err)
}

// seriesUnderWay leaves a visit whose series is about to be booked, as a process
// that died half-way does. It returns the visit.
func (s *stage) seriesUnderWay() string {
	s.t.Helper()
	now, err := s.commands.Appointment(s.t.Context(), domain.AppointmentID(strings.TrimPrefix(s.visit, "appointments/")))
	require.NoError(s.t, err)
	set, _ := now.State.Current()
	set.Appointment = "waiting"
	deadline := s.now().Add(10 * time.Second)
	visits := []series.Visit{{Slot: set.Slots[0], Appointment: "waiting", Set: 1}}
	for stream, event := range map[domain.StreamName]domain.Event{
		series.Stream("s"):            series.WasProposed{Series: "s", Visits: visits, Deadline: deadline},
		appointment.Stream("waiting"): appointment.WasProposed{Visit: set.Visit, Set: 1, Claims: set.Claims, Deadline: deadline, Series: "s"},
	} {
		_, err = s.events.Append(s.t.Context(), commands.Write{
			Stream: stream, Expected: domain.NoStream,
			Events: []commands.NewEvent{{ID: uuid.NewString(), Event: event, Metadata: domain.Metadata{Command: "another", Actor: "local"}}},
		})
		require.NoError(s.t, err)
	}
	return "waiting"
}

// hindrance stands in the way of whoever wants a slot for Maria. It returns
// the slots that are wanted.
type hindrance func(s *stage) (wanted string)

func first(s *stage) string { return `"slotId": "` + s.slot(0) + `"` }

func limited(terms string, who func(s *stage) string) hindrance {
	return func(s *stage) string {
		s.policy(terms)
		s.books(1, who(s))
		return first(s)
	}
}

func anotherMaria(s *stage) string { return s.maria }
func anotherJoao(s *stage) string  { return s.joao }

// claims are the hindrances of everything that claims slots.
var claims = map[string]hindrance{
	"clinic.closed": func(s *stage) string {
		wanted := first(s)
		s.made("clinics/"+s.clinic+"/close", "")
		return wanted
	},
	"appointment.past": func(s *stage) string {
		s.setNow(at("2026-03-03T09:00:00Z"))
		return first(s)
	},
	"slot.taken": func(s *stage) string {
		s.books(0, s.joao)
		return first(s)
	},
	"slot.withdrawn": func(s *stage) string {
		s.afternoonOnly()
		return first(s)
	},
	"occupancy.taken": func(s *stage) string {
		elsewhere := s.open(s.t)
		s.made("appointments", `{"slotId": "`+elsewhere.slot(0)+`", "patientId": "`+s.maria+`"}`)
		return first(s)
	},
	"quota.practitioner-day":     limited(`"practitionerDay": 1`, anotherJoao),
	"quota.practitioner-week":    limited(`"practitionerWeek": 1`, anotherJoao),
	"quota.patient-day":          limited(`"patientDay": 1`, anotherMaria),
	"quota.patient-practitioner": limited(`"patientPractitioner": 1`, anotherMaria),
	"quota.patient-active":       limited(`"patientActive": 1`, anotherMaria),
}

// newcomers are the hindrances of what begins an appointment.
var newcomers = map[string]hindrance{
	"patient.merged": func(s *stage) string {
		s.made("patients/"+s.maria+"/merge", `{"into": "`+s.joao+`"}`)
		return first(s)
	},
}

// wishes are the hindrances of everything that names slots.
var wishes = map[string]hindrance{
	"appointment.slot": func(s *stage) string { return first(s) + `, "slotIds": ["` + s.slot(0) + `"]` },
	"period.empty": func(s *stage) string {
		return first(s) + `, "resources": [{"id": "` + s.room(s.clinic) + `", "from": "2026-03-03T09:30:00Z", "to": "2026-03-03T09:00:00Z"}]`
	},
	"appointment.resource-time": func(s *stage) string {
		return first(s) + `, "resources": [{"id": "` + s.room(s.clinic) + `", "from": "2026-03-03T09:00:00Z", "to": "9999-01-01T00:00:00Z"}]`
	},
	"slot.not-found":       func(s *stage) string { return `"slotId": "` + s.slot(99) + `"` },
	"visit-type.not-found": func(s *stage) string { return first(s) + `, "visitTypeId": "nothing"` },
	"visit-type.retired": func(s *stage) string {
		id := s.visitType("PT30M")
		require.Equal(s.t, http.StatusOK, s.post("visit-types/"+id+"/retire", "").Code)
		return first(s) + `, "visitTypeId": "` + id + `"`
	},
	"resource.not-found": func(s *stage) string { return first(s) + `, "resources": [{"id": "nothing"}]` },
	"resource.retired": func(s *stage) string {
		id := s.room(s.clinic)
		require.Equal(s.t, http.StatusOK, s.post("resources/"+id+"/retire", "").Code)
		return first(s) + `, "resources": [{"id": "` + id + `"}]`
	},
	"appointment.slots": func(s *stage) string { return `"slotIds": ["` + s.slot(0) + `", "` + s.slot(0) + `"]` },
	"appointment.gap":   func(s *stage) string { return `"slotIds": ["` + s.slot(0) + `", "` + s.slot(2) + `"]` },
	"appointment.session": func(s *stage) string {
		e := s.open(s.t)
		threes := strings.Replace(tuesdays, `"slotDuration"`, `"capacity": 3, "slotDuration"`, 1)
		e.practitioner = s.made("practitioners", `{"name": "Dr. Rui Lopes", "clinicIds": ["`+e.clinic+`"]}`)
		require.Equal(s.t, http.StatusOK, s.call(s.t, http.MethodPut, e.schedule(), threes).Code)
		return `"slotIds": ["` + e.slot(0) + `", "` + e.slot(1) + `"]`
	},
	"appointment.no-room": func(s *stage) string {
		return `"slotId": "` + s.slot(5) + `", "visitTypeId": "` + s.visitType("PT1H") + `"`
	},
	"appointment.specialty": func(s *stage) string {
		id := s.made("visit-types", `{"clinicId": "`+s.clinic+`", "name": "X-ray", "duration": "PT30M", "specialty": "radiology"}`)
		return first(s) + `, "visitTypeId": "` + id + `"`
	},
	"appointment.elsewhere": func(s *stage) string {
		return first(s) + `, "resources": [{"id": "` + s.room(s.open(s.t).clinic) + `"}]`
	},
	"policy.notice": func(s *stage) string {
		s.policy(`"minNotice": "P2D"`)
		return first(s)
	},
	"policy.horizon": func(s *stage) string {
		s.policy(`"horizon": "PT1H"`)
		return first(s)
	},
}

func (s *stage) room(clinic string) string {
	return s.made("resources", `{"clinicId": "`+clinic+`", "kind": "room", "name": "Room 1"}`)
}

func (s *stage) visitType(duration string) string {
	return s.made("visit-types", `{"clinicId": "`+s.clinic+`", "name": "Check-up", "duration": "`+duration+`"}`)
}

// provoked says how each refusal of a route beyond those of wishes and claims
// comes about: what the route is asked to do with Maria's appointment.
var provoked = map[string]map[string]func(s *stage) *httptest.ResponseRecorder{
	"bookAppointment": {
		"id.malformed": func(s *stage) *httptest.ResponseRecorder { return s.wish("appointments", first(s)+`, "id": "X"`) },
		"patient.not-found": func(s *stage) *httptest.ResponseRecorder {
			return s.post("appointments", "{"+first(s)+`, "patientId": "nobody"}`)
		},
		"appointment.staff-only": func(s *stage) *httptest.ResponseRecorder {
			return s.wish("appointments", first(s)+`, "overbook": "please"`)
		},
		"appointment.patient": func(s *stage) *httptest.ResponseRecorder { return s.post("appointments", "{"+first(s)+"}") },
		"hold.token":          func(s *stage) *httptest.ResponseRecorder { return s.completes(s.holds(), "another's", "") },
		"hold.fixed": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			for _, more := range []string{
				`"visitTypeId": "nothing"`, `"resources": [{"id": "nothing"}]`, `"overbook": "in pain"`, `"id": "` + uuid.NewString() + `"`,
			} {
				answer := s.post("appointments", `{"holdId": "`+id+`", "token": "`+s.token+`", "patientId": "`+s.maria+`", `+more+`}`)
				require.Equal(s.t, "hold.fixed", rule(s.t, answer), more)
			}
			return s.post("appointments", `{"holdId": "`+id+`", "token": "`+s.token+`", "patientId": "`+s.maria+`", "resources": []}`)
		},
		"appointment.not-found": func(s *stage) *httptest.ResponseRecorder {
			return s.completes("nothing", "a token", s.maria)
		},
		"hold.not-held": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			require.Equal(s.t, http.StatusCreated, s.completes(id, s.token, s.maria).Code)
			return s.completes(id, s.token, s.joao)
		},
		"appointment.exists": func(s *stage) *httptest.ResponseRecorder {
			return s.wish("appointments", first(s)+`, "id": "`+strings.TrimPrefix(s.visit, "appointments/")+`"`)
		},
		"appointment.lapsed": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			s.setNow(s.now().Add(5 * time.Minute))
			return s.completes(id, s.token, s.maria)
		},
		"appointment.changing": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			s.interrupted(id, 0, s.joao)
			return s.completes(id, s.token, s.maria)
		},
	},
	"hold": {
		"patient.not-found": func(s *stage) *httptest.ResponseRecorder {
			return s.post("holds", "{"+first(s)+`, "patientId": "nobody"}`)
		},
		"duration.malformed": func(s *stage) *httptest.ResponseRecorder {
			return s.post("holds", "{"+first(s)+`, "duration": "soon"}`)
		},
		"hold.time": func(s *stage) *httptest.ResponseRecorder {
			return s.post("holds", "{"+first(s)+`, "duration": "PT16M"}`)
		},
		"hold.too-many": func(s *stage) *httptest.ResponseRecorder {
			for n := range 3 {
				s.made("holds", `{"slotId": "`+s.slot(n+1)+`", "patientId": "`+s.joao+`"}`)
			}
			return s.post("holds", "{"+first(s)+`, "patientId": "`+s.joao+`"}`)
		},
	},
	"getHold": {
		"appointment.not-found": func(s *stage) *httptest.ResponseRecorder { return s.shows("nothing", "a token") },
		"hold.token":            func(s *stage) *httptest.ResponseRecorder { return s.shows(s.holds(), "another's") },
		"appointment.lapsed": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			s.setNow(s.now().Add(5 * time.Minute))
			return s.shows(id, s.token)
		},
		"hold.not-held": func(s *stage) *httptest.ResponseRecorder {
			id, token := s.holds(), s.token
			require.Equal(s.t, http.StatusCreated, s.completes(id, token, s.maria).Code)
			return s.shows(id, token)
		},
	},
	"renewHold": {
		"appointment.not-found": func(s *stage) *httptest.ResponseRecorder {
			return s.post("holds/nothing/renew", `{"token": "a token"}`)
		},
		"hold.token": func(s *stage) *httptest.ResponseRecorder { return s.renews(s.holds(), `"token": "another's"`) },
		"duration.malformed": func(s *stage) *httptest.ResponseRecorder {
			return s.renews(s.holds(), `"token": "`+s.token+`", "duration": "soon"`)
		},
		"hold.time": func(s *stage) *httptest.ResponseRecorder {
			return s.renews(s.holds(), `"token": "`+s.token+`", "duration": "PT16M"`)
		},
		"appointment.lapsed": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			s.setNow(s.now().Add(5 * time.Minute))
			return s.renews(id, `"token": "`+s.token+`"`)
		},
		"hold.not-held": func(s *stage) *httptest.ResponseRecorder {
			id, token := s.holds(), s.token
			require.Equal(s.t, http.StatusCreated, s.completes(id, token, s.maria).Code)
			return s.renews(id, `"token": "`+token+`"`)
		},
		"hold.ceiling": func(s *stage) *httptest.ResponseRecorder {
			id := s.holds()
			for range 6 {
				s.setNow(s.now().Add(4 * time.Minute))
				require.Equal(s.t, http.StatusOK, s.renews(id, `"token": "`+s.token+`", "duration": "PT15M"`).Code)
				if s.now().After(at("2026-03-02T08:14:00Z")) {
					break
				}
			}
			s.setNow(s.now().Add(time.Minute))
			return s.renews(id, `"token": "`+s.token+`", "duration": "PT15M"`)
		},
	},
	"releaseHold": {
		"appointment.not-found": func(s *stage) *httptest.ResponseRecorder {
			return s.post("holds/nothing/release", `{"token": "a token"}`)
		},
		"hold.token": func(s *stage) *httptest.ResponseRecorder {
			return s.post("holds/"+s.holds()+"/release", `{"token": "another's"}`)
		},
	},
	"cancelAppointment": {
		"appointment.changing": func(s *stage) *httptest.ResponseRecorder {
			return s.post("appointments/"+s.seriesUnderWay()+"/cancel", `{"initiator": "patient"}`)
		},
		"appointment.not-found": func(s *stage) *httptest.ResponseRecorder {
			return s.post("appointments/nothing/cancel", `{"initiator": "patient"}`)
		},
		"appointment.status": func(s *stage) *httptest.ResponseRecorder {
			s.lives("arrive", "check-in")
			return s.post(s.visit+"/cancel", `{"initiator": "clinic", "code": "other"}`)
		},
		"hold.not-yours": func(s *stage) *httptest.ResponseRecorder {
			return s.post("appointments/"+s.holds()+"/cancel", `{"initiator": "patient"}`)
		},
		"appointment.cancel-late": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"cancelBefore": "P2D"`)
			return s.post(s.visit+"/cancel", `{"initiator": "patient"}`)
		},
		"appointment.reason": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"cancelBefore": "P2D"`)
			return s.post(s.visit+"/cancel", `{"initiator": "clinic"}`)
		},
	},
	"approveAppointment": with(answered("approve"), "slot.withdrawn", func(s *stage) *httptest.ResponseRecorder {
		s.policy(`"approval": true`)
		id := s.books(0, s.joao)
		s.afternoonOnly()
		return s.post("appointments/"+id+"/approve", "")
	}),
	"declineAppointment": answered("decline"),
	"arriveAppointment": {
		"appointment.not-found": nowhere("arrive"), "appointment.status": after("arrive", "no-show"),
		"appointment.too-early": func(s *stage) *httptest.ResponseRecorder {
			return s.post(s.visit+"/arrive", `{"at": "2026-03-02T08:00:00Z"}`)
		},
		"appointment.future": tomorrow("arrive"),
	},
	"check-inAppointment": {
		"appointment.not-found": nowhere("check-in"), "appointment.status": after("check-in"),
		"appointment.order": func(s *stage) *httptest.ResponseRecorder {
			s.lives("arrive")
			return s.post(s.visit+"/check-in", `{"at": "2026-03-03T09:00:00Z"}`)
		},
		"appointment.future": tomorrow("check-in", "arrive"),
	},
	"fulfilAppointment": {
		"appointment.not-found": nowhere("fulfil"), "appointment.status": after("fulfil"),
		"appointment.order": func(s *stage) *httptest.ResponseRecorder {
			s.lives("arrive", "check-in")
			return s.post(s.visit+"/fulfil", `{"at": "2026-03-03T09:00:00Z"}`)
		},
		"appointment.future": tomorrow("fulfil", "arrive", "check-in"),
	},
	"no-showAppointment": {
		"appointment.not-found": nowhere("no-show"), "appointment.status": after("no-show", "arrive", "check-in"),
		"appointment.too-early": func(s *stage) *httptest.ResponseRecorder { return s.post(s.visit+"/no-show", "") },
	},
	"undoAppointment": {
		"appointment.not-found": nowhere("undo"), "undo.nothing": after("undo"),
		"undo.approved": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"approval": true`)
			id := s.books(0, s.joao)
			require.Equal(s.t, http.StatusOK, s.post("appointments/"+id+"/approve", "").Code)
			return s.post("appointments/"+id+"/undo", "")
		},
		"undo.not-yours": func(s *stage) *httptest.ResponseRecorder {
			s.lives("arrive")
			return s.call(s.t, http.MethodPost, "/v1/"+s.visit+"/undo", "", "X-Actor", "another")
		},
		"undo.late": func(s *stage) *httptest.ResponseRecorder {
			s.lives("arrive")
			s.setNow(s.now().Add(11 * time.Minute))
			return s.post(s.visit+"/undo", "")
		},
	},
	"rescheduleAppointment": {
		"appointment.not-found": func(s *stage) *httptest.ResponseRecorder {
			s.visit = "appointments/nothing"
			return s.moves(first(s))
		},
		"appointment.status": func(s *stage) *httptest.ResponseRecorder {
			s.made(s.visit+"/cancel", `{"initiator": "patient"}`)
			return s.moves(first(s))
		},
		"appointment.reschedule-late": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"rescheduleBefore": "P2D"`)
			return s.moves(first(s))
		},
		"appointment.reschedules": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"reschedules": 1`)
			require.Equal(s.t, http.StatusOK, s.moves(first(s)).Code)
			return s.moves(`"slotId": "` + s.slot(1) + `"`)
		},
		"appointment.reason": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"rescheduleBefore": "P2D"`)
			return s.post(s.visit+"/reschedule", "{"+first(s)+`, "initiator": "clinic"}`)
		},
		"policy.approval": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"approval": true`)
			return s.moves(first(s))
		},
		"appointment.changing": func(s *stage) *httptest.ResponseRecorder {
			s.interrupted(strings.TrimPrefix(s.visit, "appointments/"), 1, s.maria)
			return s.moves(first(s))
		},
	},
}

func nowhere(verb string) func(s *stage) *httptest.ResponseRecorder {
	return func(s *stage) *httptest.ResponseRecorder { return s.post("appointments/nothing/"+verb, "") }
}

// after does something to the appointment for which its life has gone too far,
// or not far enough.
func after(verb string, before ...string) func(s *stage) *httptest.ResponseRecorder {
	return func(s *stage) *httptest.ResponseRecorder {
		s.lives(before...)
		return s.post(s.visit+"/"+verb, "")
	}
}

// tomorrow notes something that has not happened yet.
func tomorrow(verb string, before ...string) func(s *stage) *httptest.ResponseRecorder {
	return func(s *stage) *httptest.ResponseRecorder {
		s.lives(before...)
		return s.post(s.visit+"/"+verb, `{"at": "2026-03-04T11:35:00Z"}`)
	}
}

// answered are the refusals of an answer to a request.
func answered(verb string) map[string]func(s *stage) *httptest.ResponseRecorder {
	return map[string]func(s *stage) *httptest.ResponseRecorder{
		"appointment.not-found": nowhere(verb), "appointment.not-requested": after(verb),
		"appointment.lapsed": func(s *stage) *httptest.ResponseRecorder {
			s.policy(`"approval": true`)
			id := s.books(0, s.joao)
			s.setNow(at("2026-03-03T09:00:00Z"))
			return s.post("appointments/"+id+"/"+verb, "")
		},
	}
}

// with adds a refusal to those of a route.
func with(
	all map[string]func(s *stage) *httptest.ResponseRecorder, rule string, how func(s *stage) *httptest.ResponseRecorder,
) map[string]func(s *stage) *httptest.ResponseRecorder {
	all[rule] = how
	return all
}

// lives takes Maria's appointment, at half past eleven, through its life.
func (s *stage) lives(verbs ...string) {
	s.t.Helper()
	for _, verb := range verbs {
		s.setNow(at("2026-03-03T11:35:00Z"))
		answer := s.post(s.visit+"/"+verb, "")
		require.Equal(s.t, http.StatusOK, answer.Code, answer.Body.String())
	}
}

func (s *stage) holds() string { s.t.Helper(); return s.made("holds", "{"+first(s)+"}") }

func (s *stage) shows(id, token string) *httptest.ResponseRecorder {
	return s.call(s.t, http.MethodGet, "/v1/holds/"+id, "", "Slotbook-Hold-Token", token)
}

func (s *stage) renews(id, body string) *httptest.ResponseRecorder {
	return s.post("holds/"+id+"/renew", "{"+body+"}")
}

func (s *stage) completes(id, token, patient string) *httptest.ResponseRecorder {
	return s.post("appointments", `{"holdId": "`+id+`", "token": "`+token+`", "patientId": "`+patient+`"}`)
}

func (s *stage) wish(path, wanted string) *httptest.ResponseRecorder {
	return s.post(path, "{"+wanted+`, "patientId": "`+s.maria+`"}`)
}

func (s *stage) moves(wanted string) *httptest.ResponseRecorder {
	return s.post(s.visit+"/reschedule", "{"+wanted+`, "initiator": "patient"}`)
}

func (s *stage) undoes(h hindrance) *httptest.ResponseRecorder {
	s.policy(`"undoGrace": "P2D"`)
	id := s.books(0, s.maria)
	s.made("appointments/"+id+"/cancel", `{"initiator": "patient"}`)
	h(s)
	return s.post("appointments/"+id+"/undo", "")
}

// hindered are the ways to be hindered on the routes that want slots.
func hindered(all map[string]map[string]func(s *stage) *httptest.ResponseRecorder) {
	add := func(operation string, from map[string]hindrance, ask func(s *stage, h hindrance) *httptest.ResponseRecorder) {
		for rule, h := range from {
			all[operation][rule] = func(s *stage) *httptest.ResponseRecorder { return ask(s, h) }
		}
	}
	for _, from := range []map[string]hindrance{claims, wishes, newcomers} {
		add("bookAppointment", from, func(s *stage, h hindrance) *httptest.ResponseRecorder { return s.wish("appointments", h(s)) })
		add("hold", from, func(s *stage, h hindrance) *httptest.ResponseRecorder { return s.wish("holds", h(s)) })
	}
	for _, from := range []map[string]hindrance{claims, wishes} {
		add("rescheduleAppointment", from, func(s *stage, h hindrance) *httptest.ResponseRecorder { return s.moves(h(s)) })
	}
	add("undoAppointment", claims, func(s *stage, h hindrance) *httptest.ResponseRecorder { return s.undoes(h) })
}

// TestEveryRefusalOfAnAppointmentIsProvoked provokes every refusal that the
// document lists for these routes, and finds no other.
func TestEveryRefusalOfAnAppointmentIsProvoked(t *testing.T) {
	t.Parallel()
	hindered(provoked)
	for operation, listed := range refusalsOf(t) {
		if provoked[operation] == nil {
			continue
		}
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			var known []string
			next := stages(t)
			for name, provoke := range provoked[operation] {
				known = append(known, name)
				answer := provoke(next())
				require.Equal(t, name, rule(t, answer), "%s: %s", operation, answer.Body)
				if answer.Code == http.StatusTooManyRequests {
					require.Equal(t, "1", answer.Header().Get("Retry-After"))
				}
			}
			require.ElementsMatch(t, listed, known)
		})
	}
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return stages(t)()
}

// stages returns what makes one stage after the other. They share a world until
// one moves its clock; each has an actor of its own, and X-Actor names another.
func stages(t *testing.T) func() *stage {
	t.Helper()
	var w *world
	var opens time.Time
	made := 0
	return func() *stage {
		t.Helper()
		made++
		if w == nil || !w.now().Equal(opens) {
			w = newWorld(t, func(c *httpapi.Config) {
				c.Actor = func(r *http.Request) (string, error) {
					return fmt.Sprint("actor ", made, r.Header.Get("X-Actor")), nil
				}
			})
			opens = w.now()
		}
		s := &stage{t: t, world: w, clinicDay: w.open(t)}
		s.visit = "appointments/" + s.books(5, s.maria)
		return s
	}
}

// refusalsOf returns the rules that the committed document lists for each
// operation, those of every command left out.
func refusalsOf(t *testing.T) map[string][]string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct{ Description string }
		}
	}
	text, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &document))
	all := map[string][]string{}
	for _, path := range document.Paths {
		for _, o := range path {
			for _, response := range o.Responses {
				for _, m := range regexp.MustCompile("`([a-z.-]+)` - ").FindAllStringSubmatch(response.Description, -1) {
					all[o.OperationID] = append(all[o.OperationID], m[1])
				}
			}
		}
	}
	common := append(slices.Clone(all["retireResource"]), all["getAppointment"]...)
	for operation := range all {
		all[operation] = slices.DeleteFunc(slices.Clone(all[operation]), func(r string) bool {
			return slices.Contains(common, r) && !strings.HasSuffix(r, ".not-found")
		})
	}
	return all
}

func TestAHoldIsShownAsItIsKeptWhileABookingOfItIsTried(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.holds()
	token := s.token
	s.interrupted(id, 0, s.joao)
	for _, answer := range []*httptest.ResponseRecorder{s.shows(id, token), s.renews(id, `"token": "`+token+`", "duration": "PT6M"`)} {
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		var shown httpapi.Hold
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &shown))
		require.Empty(t, shown.Held.PatientID, "the hold knows no patient yet")
		require.Contains(t, []string{"", token}, shown.Token)
		require.True(t, shown.RenewTo.After(shown.ExpiresAt))
	}
}
