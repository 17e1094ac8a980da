package httpapi_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
)

// chronicle is a random history, with what was answered at many moments of it.
type chronicle struct {
	*stage
	random *rand.Rand
	asked  []string // what is asked at every moment
	visits []string
	holds  []heldSlot
	blocks []string
	told   []moment
}

type heldSlot struct{ id, token string }

// moment is what was answered at a moment.
type moment struct {
	position domain.Position
	at       time.Time
	fresh    bool // the last event was recorded at this very moment
	answers  []map[string]any
}

func newChronicle(t *testing.T, seed uint64) *chronicle {
	t.Helper()
	c := &chronicle{stage: newThirds(t), random: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // a test
	c.policy(`"practitionerDay": 3`)                                             // so that everything is counted
	queue := "/v1/queues/" + c.practitioner
	const tuesday = "from=2026-03-03T00:00:00Z&to=2026-03-04T00:00:00Z"
	c.asked = []string{
		"/v1/slots?status=any&limit=100&practitionerId=" + c.practitioner,
		"/v1/slots?limit=4&clinicId=" + c.clinic,
		"/v1/slots?status=busy-unavailable&specialty=cardiology&" + tuesday,
		"/v1/slots?specialty=dentistry",
		"/v1/slots/next?limit=10",
		"/v1/slots/days?from=2026-03-03&limit=3&status=any",
		"/v1/slots/days?limit=2&practitionerId=" + c.practitioner,
		"/v1/slots/" + c.slot(0),
		"/v1/slots/" + c.slot(4),
		"/v1/appointments?patientId=" + c.maria,
		"/v1/appointments?includeDependents=true&patientId=" + c.joao,
		"/v1/appointments?practitionerId=" + c.practitioner + "&" + tuesday,
		"/v1/appointments?displaced=true&clinicId=" + c.clinic,
		queue + "?all=true",
		queue + "/board",
		queue + "/tickets/1",
		"/v1/clinics/" + c.clinic + "/queue",
		"/v1/clinics/" + c.clinic + "/board",
		"/v1/practitioners/" + c.practitioner + "/day?date=2026-03-03",
		"/v1/practitioners/" + c.practitioner + "/day?open=true&clinicId=" + c.clinic,
	}
	return c
}

// ask asks the same of now, or of then.
func (c *chronicle) ask(position domain.Position, asOf string) (answers []map[string]any) {
	c.t.Helper()
	for _, path := range c.asked {
		if asOf != "" {
			path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "asOf=" + url.QueryEscape(asOf)
		}
		got := c.call(c.t, http.MethodGet, path, "", "Slotbook-Min-Position", strconv.FormatUint(uint64(position), 10))
		answer := map[string]any{"path": got.Code}
		require.NoError(c.t, json.Unmarshal(got.Body.Bytes(), &answer), path)
		delete(answer, "next") // names the question
		delete(answer, "instance")
		unforeseen(answer)
		require.Less(c.t, got.Code, 405, "%s: %s", path, got.Body)
		answers = append(answers, answer)
	}
	return answers
}

// unforeseen leaves out what is of now only.
func unforeseen(answer any) {
	switch v := answer.(type) {
	case map[string]any:
		delete(v, "alternatives")
		for _, field := range v {
			unforeseen(field)
		}
	case []any:
		for _, item := range v {
			unforeseen(item)
		}
	}
}

// note keeps what is answered now.
func (c *chronicle) note() {
	c.t.Helper()
	head, err := c.events.Head(c.t.Context())
	require.NoError(c.t, err)
	last, err := c.store.RecordedAt(c.t.Context(), head)
	require.NoError(c.t, err)
	c.told = append(c.told, moment{head, c.now(), last.Equal(c.now()), c.ask(head, "")})
}

func (c *chronicle) any(of ...string) string { return of[c.random.IntN(len(of))] }

// act does something, or tries to.
func (c *chronicle) act() {
	slot, who := c.slot(c.random.IntN(9)), c.any(c.maria, c.joao)
	block := "practitioners/" + c.practitioner + "/blocks"
	switch n := c.random.IntN(24); {
	case n < 6:
		c.begun("appointments", `{"slotId": "`+slot+`", "patientId": "`+who+`"}`)
	case n < 9:
		c.begun("holds", `{"slotId": "`+slot+`"}`)
	case n < 11 && len(c.holds) > 0:
		h := c.holds[len(c.holds)-1]
		c.begun("appointments", `{"holdId": "`+h.id+`", "token": "`+h.token+`", "patientId": "`+who+`"}`)
	case n < 13 && len(c.visits) > 0:
		c.post("appointments/"+c.any(c.visits...)+"/cancel", `{"initiator": "patient"}`)
	case n < 15 && len(c.visits) > 0:
		c.post("appointments/"+c.any(c.visits...)+"/reschedule", `{"slotId": "`+slot+`", "initiator": "patient"}`)
	case n == 15:
		c.policy(c.any(`"minNotice": "PT26H"`, `"horizon": "PT26H"`, ``))
	case n == 16:
		c.policy(`"practitionerDay": ` + c.any("2", "3", "9") + `, "practitionerWeek": ` + c.any("2", "9"))
	case n == 17 && len(c.blocks) == 0:
		answer := c.post(block, `{"from": "2026-03-03T09:00:00Z", "to": "2026-03-03T10:10:00Z", "reason": "ill"}`)
		require.Equal(c.t, http.StatusCreated, answer.Code, answer.Body.String())
		c.blocks = append(c.blocks, decoded[struct{ ID string }](c.t, answer.Body.Bytes()).ID)
	case n == 18 && len(c.blocks) > 0:
		c.call(c.t, http.MethodDelete, "/v1/"+block+"/"+c.blocks[0], "")
		c.blocks = nil
	case n > 21:
		c.post("queues/"+c.practitioner+"/tickets", "")
	case n > 19:
		c.post("queues/"+c.practitioner+c.any("/call", "/urgent", "/leave"), c.any(`{"desk": "1"}`, `{"ticket": 1, "reason": "pain"}`, `{"ticket": 2}`))
	default:
		capacity := `"slotDuration": "PT20M", "capacity": ` + c.any("1", "2", "3")
		c.call(c.t, http.MethodPut, c.schedule(), strings.Replace(thirds, `"slotDuration": "PT20M"`, capacity, 1))
	}
}

func (c *chronicle) begun(path, body string) {
	answer := c.post(path, body)
	var made struct{ ID, Token string }
	_ = json.Unmarshal(answer.Body.Bytes(), &made)
	switch {
	case answer.Code >= 300:
	case path == "holds":
		c.holds = append(c.holds, heldSlot{made.ID, made.Token})
	default:
		c.visits = append(c.visits, made.ID)
		if len(c.visits) <= 3 {
			c.asked = append(c.asked, c.ofVisit(made.ID))
		}
	}
}

func (c *chronicle) ofVisit(id string) string { return "/v1/appointments/" + id }

// TestWhatIsSeenOfThePastIsWhatWasSeenThen lives through random histories, in
// which holds lapse, slots are withdrawn and quotas fill, and asks afterwards
// what was answered at each moment.
func TestWhatIsSeenOfThePastIsWhatWasSeenThen(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("history ", seed), func(t *testing.T) {
			t.Parallel()
			c := newChronicle(t, seed)
			for range 16 {
				c.setNow(c.now().Add(time.Duration(1+c.random.IntN(300)) * time.Second))
				c.act()
				c.note()
				c.setNow(c.now().Add(time.Duration(1+c.random.IntN(10)) * time.Minute))
				if c.random.IntN(3) == 0 {
					c.note()
				}
			}
			head, err := c.events.Head(t.Context())
			require.NoError(t, err)
			for _, then := range c.told {
				c.asked = c.asked[:len(then.answers)]
				require.Equal(t, then.answers, c.ask(head, then.at.Format(time.RFC3339Nano)), "at %s", then.at)
				if then.fresh {
					require.Equal(t, then.answers, c.ask(head, strconv.FormatUint(uint64(then.position), 10)), "at position %d", then.position)
				}
			}
		})
	}
}

func TestAMomentThatNobodyKnowsIsRefused(t *testing.T) {
	t.Parallel()
	s := newThirds(t)
	visit := s.books(0, s.maria)
	all := []string{
		"/v1/slots", "/v1/slots/next", "/v1/slots/days", "/v1/slots/" + s.slot(0), "/v1/appointments", "/v1/appointments/" + visit,
		"/v1/queues/" + s.practitioner, "/v1/queues/" + s.practitioner + "/tickets/1", "/v1/queues/" + s.practitioner + "/board",
		"/v1/clinics/" + s.clinic + "/queue", "/v1/clinics/" + s.clinic + "/board", "/v1/practitioners/" + s.practitioner + "/day",
	}
	for _, path := range all {
		for asOf, want := range map[string]string{
			"yesterday": "as-of.invalid", "0": "as-of.invalid", "-1": "as-of.invalid", "2026-03-02": "as-of.invalid",
			"2026-03-02T08:00:00.000001Z": "as-of.future", "99999": "position.unknown",
		} {
			require.Equal(t, want, rule(t, s.call(t, http.MethodGet, path+"?asOf="+asOf, "")), path)
		}
	}
	for _, path := range []string{"/v1/clinics", "/v1/practitioners", "/v1/slots/stream", "/v1/clinics/" + s.clinic + "/board/stream"} {
		require.Equal(t, "request.invalid", rule(t, s.call(t, http.MethodGet, path+"?asOf=1", "")), path)
	}
	before := s.call(t, http.MethodGet, "/v1/slots?status=any&asOf=2026-03-02T07:59:59Z", "")
	require.Equal(t, http.StatusOK, before.Code)
	require.Contains(t, before.Body.String(), `"items":[]`)
	require.Equal(t, "slot.not-found", rule(t, s.call(t, http.MethodGet, "/v1/slots/"+s.slot(0)+"?asOf=1", "")))
}

func TestAPageOfThePastGoesOnInThePast(t *testing.T) {
	t.Parallel()
	s := newThirds(t)
	head, err := s.events.Head(t.Context())
	require.NoError(t, err)
	s.books(3, s.maria)
	list := fmt.Sprintf("/v1/slots?practitionerId=%s&asOf=%d", s.practitioner, head)
	whole := items(t, s.call(t, http.MethodGet, list+"&limit=100", ""))
	require.Len(t, whole, 18)
	require.Equal(t, whole, s.pages(t, list+"&limit=4"))
	var first struct{ Next string }
	require.NoError(t, json.Unmarshal(s.call(t, http.MethodGet, list+"&limit=4", "").Body.Bytes(), &first))
	now := "/v1/slots?limit=4&practitionerId=" + s.practitioner + "&cursor=" + url.QueryEscape(first.Next)
	require.Equal(t, http.StatusBadRequest, s.call(t, http.MethodGet, now, "").Code, "the cursor is for no other moment")
}

func TestNoMoreThanAThousandSlotsAreFoldedForAnAnswer(t *testing.T) {
	t.Parallel()
	s := newThirds(t)
	many := strings.NewReplacer("PT20M", "PT5M", "12:00", "20:00", `"horizonDays": 15`, `"horizonDays": 90`).Replace(thirds)
	answer := s.call(t, http.MethodPut, s.schedule(), many)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	head, err := s.events.Head(t.Context())
	require.NoError(t, err)
	asOf := fmt.Sprintf("asOf=%d", head)
	for _, path := range []string{
		"/v1/slots?status=busy&", "/v1/slots?status=any&specialty=dentistry&", "/v1/slots/next?", "/v1/slots/days?status=busy&", "/v1/appointments?",
	} {
		require.Equal(t, "as-of.too-broad", rule(t, s.call(t, http.MethodGet, path+asOf, "")), path)
	}
	for _, path := range []string{
		"/v1/slots?", "/v1/slots?to=2026-03-04T00:00:00Z&status=busy&", "/v1/slots/next?limit=1&", "/v1/slots/days?from=2026-03-03&limit=1&perDay=10&",
		"/v1/appointments?patientId=" + s.maria + "&",
	} {
		answer := s.call(t, http.MethodGet, path+asOf, "")
		require.Equal(t, http.StatusOK, answer.Code, "%s: %s", path, answer.Body)
	}
}
