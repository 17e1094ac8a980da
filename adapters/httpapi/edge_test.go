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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
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

func TestBrowsersOfKnownOriginsMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(origin string) http.Header {
		return w.call(t, http.MethodOptions, "/v1/appointments", "", "Origin", origin, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "content-type,idempotency-key,if-match").Header()
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
	for _, secret := range []string{"Maria", "ilva", "secret reason", "910"} {
		require.NotContains(t, w.log.String(), secret)
	}
	require.Contains(t, w.log.String(), `"route":"/v1/patients/{id}","status":200`)
	require.Contains(t, w.log.String(), `"route":"/v1/appointments","status":409`)
	metrics := w.call(t, http.MethodGet, "/metrics", "").Body.String()
	require.Contains(t, metrics, `slotbook_http_request_duration_seconds_count{method="POST",route="/v1/appointments",status="409"} 1`)
	require.Contains(t, metrics, `slotbook_http_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 1`)
	require.Contains(t, metrics, `slotbook_refused_total{rule="slot.taken"} 1`)
	require.Contains(t, metrics, "slotbook_bookings_total 1\n")
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
	w := newWorld(t, func(c *httpapi.Config) { c.Ready = func(context.Context) error { return reason } })
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/readyz", "").Code)
	reason = errors.New("the read models are being built")
	answer := w.call(t, http.MethodGet, "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "process.not-ready", rule(t, answer))
	require.Contains(t, w.log.String(), "the read models are being built")
}

// TestEveryRuleIsListed compares /problems with the refusals that the source
// declares.
func TestEveryRuleIsListed(t *testing.T) {
	t.Parallel()
	inside := []string{ // never leave the program: they are between commands and their helpers
		"appointment.not-due",
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
	examples := regexp.MustCompile(`(?s)<pre>curl -s (?:-X (\w+) )?'http://127\.0\.0\.1:8080([^']+)'(.*?)</pre>`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, examples)
	for _, e := range examples {
		method, body := e[1], ""
		if method == "" {
			method = http.MethodGet
		}
		if m := regexp.MustCompile(`(?s)-d '(.*)'`).FindStringSubmatch(e[3]); m != nil {
			body = m[1]
		}
		answer := w.call(t, method, e[2], body)
		require.NotContains(t, answer.Body.String(), "request.", "%s %s %s", method, e[2], body)
		require.Less(t, answer.Code, 500)
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

func TestDurationsAreMeasuredByTheGivenClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setNow(at("2026-03-02T09:00:00Z").Add(time.Hour))
	w.call(t, http.MethodGet, "/livez", "")
	require.Contains(t, w.log.String(), `"duration":0`)
}
