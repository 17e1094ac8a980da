package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// clinicDay is a clinic with a practitioner and two patients: the ids, and a
// way to name the slots.
type clinicDay struct{ clinic, practitioner, maria, joao string }

func (d clinicDay) slot(n int) string { return d.practitioner + ".20260303." + strconv.Itoa(n) }

func (d clinicDay) schedule() string {
	return "/v1/practitioners/" + d.practitioner + "/schedules/" + d.clinic
}

const tuesdays = `{"weekly": [{"weekday": "tuesday", "from": "09:00", "to": "12:00", "slotDuration": "PT30M"}], "horizonDays": 2}`

// open registers a clinic whose practitioner has six slots on 3 March.
func (w *world) open(t testing.TB) clinicDay {
	t.Helper()
	id := func(path, body string) string {
		answer := w.call(t, http.MethodPost, path, body)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		var created struct{ ID string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &created))
		return created.ID
	}
	d := clinicDay{clinic: id("/v1/clinics", `{"name": "Central", "zone": "Europe/Lisbon"}`)}
	d.practitioner = id("/v1/practitioners", `{"name": "Dr. Ana Sousa", "clinicIds": ["`+d.clinic+`"], "specialties": ["cardiology"]}`)
	d.maria = id("/v1/patients", `{"name": "Maria Silva", "contact": {"phone": "+351 910 000 000"}}`)
	d.joao = id("/v1/patients", `{"name": "João Costa"}`)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, d.schedule(), tuesdays).Code)
	return d
}

func (w *world) book(t testing.TB, slot, patient string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return w.call(t, http.MethodPost, "/v1/appointments", `{"slotId": "`+slot+`", "patientId": "`+patient+`", "reason": "a secret reason"}`, headers...)
}

func TestOneOfManyGetsTheSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	codes := make([]int, 20)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() { codes[i] = w.book(t, d.slot(0), []string{d.maria, d.joao}[i%2]).Code })
	}
	all.Wait()
	slices.Sort(codes)
	require.Equal(t, http.StatusCreated, codes[0])
	for _, code := range codes[1:] {
		require.Equal(t, http.StatusConflict, code)
	}
}

func TestAPatientIsInOnePlaceAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, e := w.open(t), w.open(t)
	require.Equal(t, http.StatusCreated, w.book(t, d.slot(0), d.maria).Code)
	answer := w.book(t, e.slot(0), d.maria)
	require.Equal(t, "occupancy.taken", rule(t, answer))
	var p httpapi.Problem
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
	require.Equal(t, &httpapi.Resource{Kind: "patient", ID: d.maria}, p.Conflict)
	require.Len(t, p.Alternatives, 3)
	for _, free := range p.Alternatives {
		require.NotEqual(t, e.slot(0), free.ID)
	}
}

func TestANumberThatDoesNotFitIsNamedByItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	for _, call := range []struct {
		method, path, body string
		status             int
		location, message  string
	}{
		{
			http.MethodPut, "/v1/clinics/" + d.clinic + "/policy", `{"patientDay": 1.0}`, http.StatusUnprocessableEntity,
			"body.patientDay", "in digits alone",
		},
		{
			http.MethodPut, "/v1/clinics/" + d.clinic + "/policy", `{"patientDay": 99999999999999999999}`, http.StatusUnprocessableEntity,
			"body.patientDay", "fits into 64 bits",
		},
		{
			http.MethodPost, "/v1/visit-types",
			`{"clinicId": "` + d.clinic + `", "name": "Check-up", "duration": "PT30M", "fee": {"amount": 1e30, "currency": "EUR"}}`,
			http.StatusUnprocessableEntity, "body.fee.amount", "in digits alone",
		},
		{
			http.MethodPost, "/v1/clinics", `{"name": "Clinic", "zone": "UTC", "location": {"latitude": 1e400, "longitude": 1}}`,
			http.StatusBadRequest, "body.location.latitude", "the number is too large",
		},
	} {
		answer := w.call(t, call.method, call.path, call.body)
		require.Equal(t, call.status, answer.Code, call.body)
		var p httpapi.Problem
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &p))
		require.Len(t, p.Errors, 1, call.body)
		require.Equal(t, call.location, p.Errors[0].Location)
		require.Contains(t, p.Errors[0].Message, call.message)
		require.NotContains(t, answer.Body.String(), "Go struct", "nothing of the program's insides")
		require.NotContains(t, p.Detail, "validation failed")
	}
}

func TestARoomIsWantedForBothEndsOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	answer := w.call(t, http.MethodPost, "/v1/appointments",
		`{"slotId": "`+d.slot(0)+`", "patientId": "`+d.maria+`", "resources": [{"id": "room", "from": "2026-03-03T09:00:00Z"}]}`)
	require.Equal(t, "period.empty", rule(t, answer))
	require.Contains(t, answer.Body.String(), "from and to of a room or device are both named")
}

func TestAHoldOfNoTimeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	answer := w.call(t, http.MethodPost, "/v1/holds", `{"slotId": "`+d.slot(0)+`", "duration": "PT0S"}`)
	require.Equal(t, "hold.time", rule(t, answer), "and not held as long as the policy says")
}

func TestAWithdrawnSlotIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	afternoons := strings.NewReplacer("09:00", "10:00").Replace(tuesdays)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, d.schedule(), afternoons).Code)
	answer := w.book(t, d.slot(1), d.maria)
	require.Equal(t, http.StatusGone, answer.Code)
	require.Equal(t, "slot.withdrawn", rule(t, answer))
	require.Contains(t, answer.Body.String(), `"alternatives":[{"id":"`+d.slot(2)+`"`)
	require.Contains(t, w.call(t, http.MethodGet, "/v1/slots/"+d.slot(1), "").Body.String(), `"status":"busy-unavailable"`)
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const body = `{"name": "Central", "zone": "Europe/Lisbon"}`
	padded := body + strings.Repeat(" ", 1<<20-len(body))
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/clinics", padded).Code)
	answer := w.call(t, http.MethodPost, "/v1/clinics", padded+" ")
	require.Equal(t, http.StatusRequestEntityTooLarge, answer.Code)
	require.Equal(t, "request.too-large", rule(t, answer))
}

func TestBodiesAreNotDeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, body := range []string{strings.Repeat("[", 1<<20), strings.Repeat(`{"a":`, 200_000), strings.Repeat("[", 102) + strings.Repeat("]", 102)} {
		answer := w.call(t, http.MethodPost, "/v1/clinics", body)
		require.Equal(t, http.StatusBadRequest, answer.Code)
		require.Contains(t, answer.Body.String(), "100 deep")
	}
}

func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := w.call(t, http.MethodPost, "/v1/clinics", "{\"name\": \"Central \xff\", \"zone\": \"Europe/Lisbon\"}")
	require.Equal(t, http.StatusBadRequest, answer.Code)
	require.Equal(t, "request.malformed", rule(t, answer))
	require.Equal(t, "text.unstorable", rule(t, w.call(t, http.MethodGet, "/v1/patients?q=%ff", "")))
	require.Equal(t, "text.unstorable", rule(t, w.call(t, http.MethodGet, "/v1/clinics/%00", "")))
	require.Equal(t, "request.malformed", rule(t, w.call(t, http.MethodGet, "/v1/clinics?limit=%zz", "")))
	require.Equal(t, "text.unstorable", rule(t, w.call(t, http.MethodPost, "/v1/clinics", `{"name": {"a\u0000": 1}}`)))
}

func TestAHeaderThatNamesARequestIsGivenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"Idempotency-Key", "If-Match"} {
		twice := w.send(t, http.MethodPost, "/v1/patients", http.Header{"Content-Type": {"application/json"}, name: {"1", "2"}}, []byte(`{"name": "Ana"}`))
		require.Equal(t, "request.invalid", rule(t, twice))
		require.Contains(t, twice.Body.String(), "header."+name)
	}
}

func TestBrowsersOfKnownOriginsMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(origin string) http.Header {
		return w.call(t, http.MethodOptions, "/v1/appointments", "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "content-type,idempotency-key,if-match,slotbook-hold-token").Header()
	}
	require.Equal(t, "https://book.example.org", ask("https://book.example.org").Get("Access-Control-Allow-Origin"))
	require.Empty(t, ask("https://evil.example.org").Get("Access-Control-Allow-Origin"))
	answer := w.call(t, http.MethodGet, "/v1/clinics", "", "Origin", "https://book.example.org")
	require.Equal(t, "Etag, Location, Link, Retry-After, Slotbook-Position", answer.Header().Get("Access-Control-Expose-Headers"))
}

func TestAStoreThatIsDownIsUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	w.store.off.Store(true)
	for _, answer := range []*httptest.ResponseRecorder{
		w.book(t, d.slot(0), d.maria),
		w.call(t, http.MethodGet, "/v1/clinics/"+d.clinic, ""),
		w.call(t, http.MethodGet, "/v1/slots", ""),
	} {
		require.Equal(t, http.StatusServiceUnavailable, answer.Code)
		require.Equal(t, "store.unavailable", rule(t, answer))
		require.Equal(t, "1", answer.Header().Get("Retry-After"))
	}
	w.store.off.Store(false)
	require.Equal(t, http.StatusCreated, w.book(t, d.slot(0), d.maria).Code)
}

func TestOurFaultsSayNothingOutside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) {
		c.Head = func(context.Context) (domain.Position, error) { return 0, errors.New("disk on fire") }
	})
	answer := w.call(t, http.MethodGet, "/v1/clinics/1?minPosition=1", "")
	require.Equal(t, http.StatusInternalServerError, answer.Code)
	require.Equal(t, "internal", rule(t, answer))
	require.NotContains(t, answer.Body.String(), "fire")
	require.Contains(t, w.log.String(), "disk on fire")
	require.Equal(t, 1, strings.Count(w.log.String(), `"level":"ERROR"`))
}

func TestAPanicIsOneAnswerAndOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) {
		c.Head = func(context.Context) (domain.Position, error) { panic("a hole in the ground") }
	})
	answer := w.call(t, http.MethodGet, "/v1/clinics/1?minPosition=1", "")
	require.Equal(t, http.StatusInternalServerError, answer.Code)
	require.Equal(t, "internal", rule(t, answer))
	require.NotContains(t, answer.Body.String(), "hole")
	require.Equal(t, 1, strings.Count(w.log.String(), "a hole in the ground"))
}

func TestLogsAndMetricsKnowRoutesAndNoPersons(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	require.Equal(t, http.StatusCreated, w.book(t, d.slot(0), d.maria).Code)
	require.Equal(t, http.StatusConflict, w.book(t, d.slot(0), d.joao).Code)
	w.call(t, http.MethodGet, "/v1/patients?q=silva", "")
	w.call(t, http.MethodGet, "/v1/patients/"+d.maria, "")
	w.call(t, http.MethodGet, "/nowhere/silva", "")
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/holds", `{"slotId": "`+d.slot(1)+`"}`).Code)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, "/v1/holds?dryRun=true", `{"slotId": "`+d.slot(2)+`"}`).Code)
	for _, secret := range []string{"Maria", "ilva", "secret reason", "910 000", "910000000"} {
		require.NotContains(t, w.log.String(), secret)
	}
	require.Contains(t, w.log.String(), `"route":"/v1/patients/{id}","status":200`)
	require.Contains(t, w.log.String(), `"route":"/v1/appointments","status":409`)
	metrics := w.call(t, http.MethodGet, "/metrics", "").Body.String()
	require.Contains(t, metrics, `slotbook_http_request_duration_seconds_count{method="POST",route="/v1/appointments",status="409"} 1`)
	require.Contains(t, metrics, `slotbook_http_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 1`)
	require.Contains(t, metrics, `slotbook_refused_total{rule="slot.taken"} 1`)
	require.Contains(t, metrics, "slotbook_bookings_total 1\n")
	require.Contains(t, metrics, "slotbook_holds_total 1\n", "what was only tried is not counted")
}

func TestErasedTextIsNull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	booked := w.book(t, d.slot(0), d.maria)
	require.Equal(t, http.StatusCreated, booked.Code)
	appointment := booked.Header().Get("Location")
	w.keys.Destroy(d.maria)
	require.JSONEq(t, `{"id": "`+d.maria+`", "name": null, "erased": true}`, w.call(t, http.MethodGet, "/v1/patients/"+d.maria, "").Body.String())
	require.Contains(t, w.call(t, http.MethodGet, "/v1/patients", "").Body.String(), `"name":null,"erased":true`)
	for _, path := range []string{appointment, "/v1/appointments"} {
		answer := w.call(t, http.MethodGet, path, "").Body.String()
		require.Contains(t, answer, `"erased":true`)
		require.NotContains(t, answer, "reason")
	}
	history := w.call(t, http.MethodGet, appointment+"/history", "").Body.String()
	require.Contains(t, history, `"reason":null`)
	require.Contains(t, history, `"erased":true`)
}

func TestListsAreReadInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	for _, list := range []string{"/v1/slots?practitionerId=" + d.practitioner, "/v1/patients?q=a", "/v1/clinics?minPosition=1"} {
		whole := items(t, w.call(t, http.MethodGet, list, ""))
		require.NotEmpty(t, whole)
		require.Equal(t, whole, w.pages(t, list+"&limit=1"), list)
	}
	cursor := w.call(t, http.MethodGet, "/v1/patients?limit=1", "").Body.String()
	cursor = regexp.MustCompile(`"next":"([^"]+)"`).FindStringSubmatch(cursor)[1]
	require.Equal(t, "cursor.malformed", rule(t, w.call(t, http.MethodGet, "/v1/clinics?cursor="+cursor, "")), "the cursor of another list")
}

// pages returns the ids of a list that is read on as its Link says.
func (w *world) pages(t testing.TB, next string) []string {
	t.Helper()
	var ids []string
	for next != "" {
		answer := w.call(t, http.MethodGet, next, "")
		require.Equal(t, http.StatusOK, answer.Code, next)
		ids = append(ids, items(t, answer)...)
		next, _, _ = strings.Cut(strings.TrimPrefix(answer.Header().Get("Link"), "<"), ">")
	}
	return ids
}

func items(t testing.TB, answer *httptest.ResponseRecorder) []string {
	t.Helper()
	var list struct{ Items []struct{ ID string } }
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &list))
	ids := make([]string, len(list.Items))
	for i, item := range list.Items {
		ids[i] = item.ID
	}
	return ids
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/v1/clinics/"+d.clinic, nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, `"0"`, answer.Header.Get("ETag"))
}

func TestAnActorMayBeTurnedAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) {
		c.Actor = func(*http.Request) (string, error) {
			return "", domain.Refusal(domain.Forbidden, "actor.unknown", "nobody knows you")
		}
	})
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v1/clinics", nil))
	require.Equal(t, http.StatusForbidden, answer.Code)
	require.Equal(t, "actor.unknown", rule(t, answer))
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/livez", "").Code)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	var reason error
	var notes []string
	w := newWorld(t, func(c *httpapi.Config) { c.Ready = func(context.Context) ([]string, error) { return notes, reason } })
	answer := w.call(t, http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusOK, answer.Code)
	require.JSONEq(t, `{"status":"ready"}`, answer.Body.String())
	notes = []string{"slots: paused"}
	require.JSONEq(t, `{"status":"ready","notes":["slots: paused"]}`, w.call(t, http.MethodGet, "/readyz", "").Body.String())
	reason = errors.New("the read models are being built")
	answer = w.call(t, http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "process.not-ready", rule(t, answer))
	require.Contains(t, w.log.String(), "the read models are being built")
}

// TestEveryRuleIsListed compares /problems with the refusals that the source
// declares.
func TestEveryRuleIsListed(t *testing.T) {
	t.Parallel()
	inside := []string{ // never leave the program: they are between commands and their helpers, or the document's enumerations say it before
		"appointment.not-due", "series.not-due", "series.lapsed", "policy.scope", "appointment.initiator", "appointment.code",
		"waitlist.exists", "waitlist.not-due",
	}
	w := newWorld(t)
	listed := w.call(t, http.MethodGet, "/problems", "").Body.String()
	declared := regexp.MustCompile(`domain\.Refusal\(domain\.\w+, "([^"]+)"|= Refusal\(\w+, "([^"]+)"`)
	found := 0
	for _, root := range []string{"../../domain", "../../commands", "../../projections"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
				if name := m[1] + m[2]; !slices.Contains(inside, name) {
					require.Contains(t, listed, `"rule":"`+name+`"`, "%s declares it, and no route lists it among its refusals", path)
					found++
				}
			}
			return err
		}))
	}
	require.Greater(t, found, 30)
}

func TestPagesForPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	docs := w.call(t, http.MethodGet, "/docs", "")
	require.Equal(t, "text/html; charset=utf-8", docs.Header().Get("Content-Type"))
	require.Equal(t, strings.Count(w.call(t, http.MethodGet, "/openapi.json", "").Body.String(), `"operationId"`), strings.Count(docs.Body.String(), "<pre>curl"))
	problems := w.call(t, http.MethodGet, "/problems", "", "Accept", "text/html,application/xhtml+xml")
	require.Contains(t, problems.Body.String(), "every place of the slot is taken")
	for _, page := range []string{docs.Body.String(), problems.Body.String()} {
		require.NotRegexp(t, `(src|href)="?(https?:)?//`, page, "pages load nothing from elsewhere")
		require.NotContains(t, page, "<script")
	}
}

// TestTheCurlExamplesOfTheDocumentationWork sends every example body to its
// operation: it must fit the document.
func TestTheCurlExamplesOfTheDocumentationWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.call(t, http.MethodGet, "/docs", "").Body.String()
	page = strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&", "&#43;", "+").Replace(page)
	examples := regexp.MustCompile(`(?s)<pre>curl -sN? (?:-X (\w+) )?'http://example\.com([^']+)'(.*?)</pre>`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, examples)
	for _, e := range examples {
		method, body := e[1], ""
		if method == "" {
			method = http.MethodGet
		}
		if strings.Contains(e[0], "curl -sN") {
			method = http.MethodHead // a stream does not end
		}
		if m := regexp.MustCompile(`(?s)-d '(.*)'`).FindStringSubmatch(e[3]); m != nil {
			body = m[1]
		}
		var headers []string
		for _, m := range regexp.MustCompile(`-H '(Slotbook-[^:]+): ([^']+)'`).FindAllStringSubmatch(e[3], -1) {
			headers = append(headers, m[1], m[2])
		}
		answer := w.call(t, method, e[2], body, headers...)
		require.NotContains(t, answer.Body.String(), "request.", "%s %s %s", method, e[2], body)
		require.Less(t, answer.Code, 500, "%s %s", method, e[2])
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := httpapi.New(httpapi.Config{})
	require.ErrorContains(t, err, "required")
	registry := prometheus.NewRegistry()
	var c httpapi.Config
	newWorld(t, func(given *httpapi.Config) { given.Metrics = registry; c = *given })
	_, err = httpapi.New(c)
	require.Error(t, err, "two handlers cannot share their metrics")
}

// TestDurationsAreThoseOfTheMachine moves the business time on during a request.
func TestDurationsAreThoseOfTheMachine(t *testing.T) {
	t.Parallel()
	w := handWorld(t)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, "/v1/demo/clock", `{"advance": "P30D"}`).Code)
	var line struct{ Duration time.Duration }
	require.NoError(t, json.Unmarshal(w.log.Bytes(), &line))
	require.Positive(t, line.Duration)
	require.Less(t, line.Duration, 24*time.Hour)
}

// TestWhatIsGotMayBePut gets schedules and puts them: nothing happens.
func TestWhatIsGotMayBePut(t *testing.T) {
	t.Parallel()
	for _, put := range []string{
		tuesdays,
		`{"weekly": [], "horizonDays": 365}`,
		`{"weekly": [
			{"weekday": "sunday", "from": "00:00", "to": "24:00", "slotDuration": "P1D", "capacity": 1000},
			{"weekday": "monday", "from": "09:00", "to": "17:30", "slotDuration": "PT90M", "breaks": [{"from": "10:30", "to": "11:00"}, {"from": "12:30", "to": "13:00"}]},
			{"weekday": "monday", "from": "18:00", "to": "19:00", "slotDuration": "PT5M"}
		], "horizonDays": 3, "zone": "Europe/Lisbon"}`,
	} {
		w := newWorld(t)
		d := w.open(t)
		require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, d.schedule(), put).Code)
		before, err := w.store.Head(t.Context())
		require.NoError(t, err)
		got := w.call(t, http.MethodGet, d.schedule(), "")
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		again := w.call(t, http.MethodPut, d.schedule(), got.Body.String(), "If-Match", got.Header().Get("ETag"))
		require.Equal(t, http.StatusOK, again.Code, again.Body.String())
		require.Contains(t, again.Body.String(), `"opened":{"count":0,`)
		require.Equal(t, got.Header().Get("ETag"), again.Header().Get("ETag"))
		after, err := w.store.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.JSONEq(t, got.Body.String(), w.call(t, http.MethodGet, d.schedule(), "").Body.String())
	}
}

// TestADryRunOfAScheduleListsEveryEvent compares what was planned with what
// then happens.
func TestADryRunOfAScheduleListsEveryEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	later := strings.NewReplacer("09:00", "10:00").Replace(tuesdays)
	dry := w.call(t, http.MethodPut, d.schedule()+"?dryRun=true", later)
	require.Equal(t, http.StatusOK, dry.Code, dry.Body.String())
	var planned struct{ Events []httpapi.PlannedEvent }
	require.NoError(t, json.Unmarshal(dry.Body.Bytes(), &planned))
	before, err := w.store.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, d.schedule(), later).Code)
	page, err := w.store.ReadAll(t.Context(), before, domain.Filter{}, 1000)
	require.NoError(t, err)
	var wanted, happened []string
	for _, e := range planned.Events {
		wanted = append(wanted, e.Stream+" "+e.Type)
	}
	for _, e := range page.Events {
		happened = append(happened, string(e.Stream)+" "+e.Event.EventType())
	}
	require.ElementsMatch(t, happened, wanted)
	require.Contains(t, wanted, "schedule-"+d.practitioner+".2026-03-03 schedule.day-opened")
	require.Contains(t, wanted, "slot-"+d.slot(0)+" slot.withdrawn")
}

func TestACursorIsForTheFiltersThatItWasMadeFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	next := func(target string) string {
		var list struct{ Next string }
		require.NoError(t, json.Unmarshal(w.call(t, http.MethodGet, target, "").Body.Bytes(), &list))
		require.NotEmpty(t, list.Next)
		return list.Next
	}
	cursor := next("/v1/slots?practitionerId=" + d.practitioner + "&limit=2")
	for _, same := range []string{
		"practitionerId=" + d.practitioner, "limit=3&practitionerId=" + d.practitioner, "practitionerId=" + d.practitioner + "&minPosition=1&clinicId=",
	} {
		require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/v1/slots?"+same+"&cursor="+cursor, "").Code, same)
	}
	for _, other := range []string{"", "clinicId=" + d.clinic, "practitionerId=" + d.practitioner + "&status=any", "practitionerId=" + d.clinic} {
		answer := w.call(t, http.MethodGet, "/v1/slots?"+other+"&cursor="+cursor, "")
		require.Equal(t, "cursor.malformed", rule(t, answer), other)
	}
	require.Equal(t, []string{d.maria}, w.pages(t, "/v1/patients?limit=1&q=mari%61"), "a Link works as it is")
	require.Equal(t, http.StatusCreated, w.call(t, http.MethodPost, "/v1/patients", `{"name": "Adão"}`).Code)
	cursor = next("/v1/patients?limit=1&q=%C3%A3o")
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/v1/patients?q=a%CC%83o&cursor="+cursor, "").Code, "the same filter, typed in another way")
}

func TestTheLongestNameFitsACursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, letter := range []string{"\U0001F600", "<", "\u2028"} {
		for _, last := range []string{"1", "2"} {
			answer := w.call(t, http.MethodPost, "/v1/clinics", `{"name": "`+strings.Repeat(letter, 199)+last+`", "zone": "Europe/Lisbon"}`)
			require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		}
	}
	require.Len(t, w.pages(t, "/v1/clinics?limit=1"), 6)
}

// TestListsOfADatabaseThatIsAwayAreUnavailable reads the real read models where
// nobody listens.
func TestListsOfADatabaseThatIsAwayAreUnavailable(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=5")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	read := engine.New(engine.Config{Pool: pool, Owner: "test", Now: time.Now, Models: projections.All(func(domain.Sealed) string { return "" }, nil)})
	w := newWorld(t, func(c *httpapi.Config) {
		c.Slots, c.Appointments = projections.NewAvailability(read), projections.NewAppointments(read)
		c.Directory, c.Patients, c.Reviews = projections.NewDirectory(read), projections.NewPatients(read), projections.NewReviews(read)
		c.Catalogue = projections.NewCatalogue(read)
	})
	for _, list := range []string{"slots", "appointments", "clinics", "practitioners", "patients", "visit-types", "resources", "reviews"} {
		answer := w.call(t, http.MethodGet, "/v1/"+list, "")
		require.Equal(t, http.StatusServiceUnavailable, answer.Code, answer.Body.String())
		require.Equal(t, "projection.unavailable", rule(t, answer))
		require.Equal(t, "1", answer.Header().Get("Retry-After"))
		require.NotContains(t, answer.Body.String(), "127.0.0.1")
	}
	require.Contains(t, w.log.String(), "127.0.0.1:1", "the log says why")
}

func TestTheExamplesNameTheHostOfTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := func(host string, headers ...string) string {
		r := httptest.NewRequest(http.MethodGet, "/docs", nil)
		r.Host = host
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, r)
		require.Equal(t, http.StatusOK, answer.Code)
		return regexp.MustCompile("&#39;(https?://.*?)/v1/").FindStringSubmatch(answer.Body.String())[1]
	}
	require.Equal(t, "http://book.example.org:8443", page("book.example.org:8443"))
	require.Equal(t, "http://[::1]:8080", page("[::1]:8080"))
	require.Equal(t, "https://book.example.org", page("book.example.org", "X-Forwarded-Proto", "https"))
	for _, host := range []string{"", "a'; rm -rf /; '", "<script>", "a.example/b", "a b", "a:b", "-x", "a$(b)", "a\nb", strings.Repeat("a", 300)} {
		require.Equal(t, "http://127.0.0.1:8080", page(host), host)
	}
}

func TestTheDocumentationSaysWhatMayBeSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.call(t, http.MethodGet, "/docs", "").Body.String()
	for _, text := range []string{
		"at least 1, at most 200, default 50", "at most 255 characters", "default free", "free | busy | busy-tentative | busy-unavailable | any",
		"matches ^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", "at most 100 items", "byte for byte", "%2B",
		`href="/livez"`, `href="/readyz"`, `href="/metrics"`, `href="/problems"`, `href="/openapi.json"`,
	} {
		require.True(t, strings.Contains(page, text), text)
	}
	root := w.call(t, http.MethodGet, "/", "")
	require.Equal(t, http.StatusFound, root.Code)
	require.Equal(t, "/docs", root.Header().Get("Location"))
}
