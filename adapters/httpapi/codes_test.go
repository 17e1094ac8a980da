package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain/reference"
)

// growing are authorities that are loaded anew, and count how often somebody looks
// a code up.
type growing struct {
	saidBy
	more   atomic.Pointer[saidBy]
	looked atomic.Int64
}

func (g *growing) Entries(ctx context.Context, kind reference.Kind, codes ...string) (map[string]reference.Entry, error) {
	g.looked.Add(1)
	if more := g.more.Load(); more != nil {
		return more.Entries(ctx, kind, codes...)
	}
	return g.saidBy.Entries(ctx, kind, codes...)
}

func TestAFilterByACodeThatDoesNotExistIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	for path, want := range map[string]httpapi.Fault{
		"/v1/practitioners?specialty=cardiolgy":                 {Location: "query.specialty", Message: "there is no such specialty; near are cardiology"},
		"/v1/practitioners?town=lisbon":                         {Location: "query.town", Message: "there is no such town; near are pt-lisboa"},
		"/v1/practitioners?district=belem":                      {Location: "query.district", Message: "there is no such district; near are pt-lisboa-belem"},
		"/v1/clinics?specialty=md":                              {Location: "query.specialty", Message: "there is no such specialty"},
		"/v1/clinics?town=nowhere":                              {Location: "query.town", Message: "there is no such town"},
		"/v1/slots?specialty=cardiology&specialty=derma":        {Location: "query.specialty", Message: "there is no such specialty; near are dermatology"},
		"/v1/slots?district=pt-lisboa":                          {Location: "query.district", Message: "there is no such district; near are pt-lisboa-belem"},
		"/v1/slots/next?specialty=nonsense":                     {Location: "query.specialty", Message: "there is no such specialty"},
		"/v1/slots/days?town=nowhere":                           {Location: "query.town", Message: "there is no such town"},
		"/v1/slots/stream?specialty=nonsense":                   {Location: "query.specialty", Message: "there is no such specialty"},
		"/v1/kpis?from=2026-W10&to=2026-W10&specialty=nonsense": {Location: "query.specialty", Message: "there is no such specialty"},
		"/v1/slots?specialty=nonsense&asOf=1":                   {Location: "query.specialty", Message: "there is no such specialty"},
	} {
		answer := w.call(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusUnprocessableEntity, answer.Code, path)
		var problem httpapi.Problem
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &problem))
		require.Equal(t, "filter.unknown-code", problem.Rule, path)
		require.Equal(t, []httpapi.Fault{want}, problem.Errors, path)
	}
}

// TestAFilterThatNobodyFitsIsAnEmptyList asks for what is no code of a closed
// list, and for codes that are in use no more.
func TestAFilterThatNobodyFitsIsAnEmptyList(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	seen := "&minPosition=" + w.book(t, d.slot(2), d.maria).Header().Get("Slotbook-Position")
	require.Contains(t, w.call(t, http.MethodGet, "/v1/practitioners?clinicId="+d.clinic+seen, "").Body.String(), d.practitioner)
	require.Contains(t, w.call(t, http.MethodGet, "/v1/slots?clinicId="+d.clinic+seen, "").Body.String(), d.slot(1))
	for _, path := range []string{
		"/v1/practitioners?qualification=nonsense", "/v1/practitioners?treatment=nonsense", "/v1/practitioners?language=tlh",
		"/v1/practitioners?clinicId=nonsense", "/v1/slots?practitionerId=nonsense", "/v1/slots?clinicId=nonsense",
		"/v1/waitlist?clinicId=nonsense", "/v1/waitlist?patientId=nonsense", "/v1/visit-types?specialty=nonsense",
		"/v1/practitioners?specialty=leeching", "/v1/clinics?town=pt-velha", "/v1/slots?specialty=leeching",
	} {
		answer := w.call(t, http.MethodGet, path+seen, "")
		require.Equal(t, http.StatusOK, answer.Code, path)
		require.Contains(t, answer.Body.String(), `"items":[]`, path)
	}
}

// TestACodeIsLookedUpOnceAndAgainWhenItIsMissing asks for a code that another
// process loads meanwhile.
func TestACodeIsLookedUpOnceAndAgainWhenItIsMissing(t *testing.T) {
	t.Parallel()
	said := &growing{saidBy: authorities()}
	w := newWorld(t, func(c *httpapi.Config) { c.Reference = said })
	w.open(t)
	for range 3 {
		require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/v1/slots?specialty=cardiology", "").Code)
	}
	require.EqualValues(t, 1, said.looked.Load(), "what exists is remembered")
	require.Equal(t, "filter.unknown-code", rule(t, w.call(t, http.MethodGet, "/v1/practitioners?specialty=oncology", "")))
	said.more.Store(&saidBy{{Kind: reference.Specialty, Code: "oncology", Names: map[string]string{"en": "Oncology"}}})
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/v1/practitioners?specialty=oncology", "").Code)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/v1/slots?specialty=cardiology", "").Code)
	require.EqualValues(t, 3, said.looked.Load())
}

func TestAQuestionWithoutAWordIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	for _, list := range []string{"practitioners", "clinics", "patients"} {
		everybody := w.call(t, http.MethodGet, "/v1/"+list, "").Body.String()
		for _, q := range []string{"%F0%9F%99%82", "%3F%21", "...", "%20-%20", "%CC%81"} {
			require.Equal(t, "search.no-word", rule(t, w.call(t, http.MethodGet, "/v1/"+list+"?q="+q, "")), q)
		}
		for _, q := range []string{"", "%20%20", "%E3%80%80"} {
			require.Equal(t, everybody, w.call(t, http.MethodGet, "/v1/"+list+"?q="+q, "").Body.String(), "%s?q=%q", list, q)
		}
	}
}
