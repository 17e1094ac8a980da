package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/visittype"
	"github.com/slotbook/slotbook/projections"
)

type foldedCatalogue struct{ *folded }

// VisitTypes lists visit types.
func (l foldedCatalogue) VisitTypes(
	ctx context.Context, f projections.VisitTypeFilter, least domain.Position,
) (projections.List[projections.VisitType], error) {
	var all []projections.VisitType
	head, err := l.read(ctx, least, func(e domain.Event) error {
		defined, ok := e.(visittype.Defined)
		if !ok {
			return nil
		}
		now, err := l.commands.VisitType(ctx, defined.VisitType)
		v := projections.VisitType{
			ID: now.State.ID, Clinic: now.State.Clinic, Name: now.State.Name, Duration: now.State.Duration,
			BufferBefore: now.State.BufferBefore, BufferAfter: now.State.BufferAfter, Specialty: now.State.Specialty, Retired: now.State.Retired,
		}
		if fee := now.State.Fee; fee != nil {
			v.FeeAmount, v.FeeCurrency = fee.Amount, fee.Currency
		}
		all = append(all, v)
		return err
	})
	return cut(all, func(v projections.VisitType) bool {
		return byName(v.Cursor(), f.After) > 0 && (f.Clinic == "" || f.Clinic == v.Clinic) && (f.Specialty == "" || f.Specialty == v.Specialty) &&
			(f.Retired || !v.Retired)
	}, f.Limit, head, func(a, b projections.VisitType) int { return byName(a.Cursor(), b.Cursor()) }), err
}

// Resources lists rooms and devices.
func (l foldedCatalogue) Resources(
	ctx context.Context, f projections.ResourceFilter, least domain.Position,
) (projections.List[projections.Resource], error) {
	var all []projections.Resource
	head, err := l.read(ctx, least, func(e domain.Event) error {
		added, ok := e.(resource.Added)
		if !ok {
			return nil
		}
		now, err := l.commands.Resource(ctx, added.Resource)
		s := now.State
		all = append(all, projections.Resource{ID: s.ID, Clinic: s.Clinic, Kind: s.Kind, Name: s.Name, Retired: s.Retired})
		return err
	})
	return cut(all, func(r projections.Resource) bool {
		return byName(r.Cursor(), f.After) > 0 && (f.Clinic == "" || f.Clinic == r.Clinic) && (f.Kind == "" || f.Kind == r.Kind) &&
			(f.Retired || !r.Retired)
	}, f.Limit, head, func(a, b projections.Resource) int { return byName(a.Cursor(), b.Cursor()) }), err
}

func TestAVisitTypeThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	body := func(terms string) string { return `{"clinicId": "` + d.clinic + `", ` + terms + `}` }
	for terms, wanted := range map[string]string{
		`"name": " ", "duration": "PT30M"`:                                                         "visit-type.name",
		`"name": "Check-up", "duration": "half an hour"`:                                           "duration.malformed",
		`"name": "Check-up", "duration": "PT4M"`:                                                   "visit-type.duration",
		`"name": "Check-up", "duration": "PT30M1S"`:                                                "visit-type.duration",
		`"name": "Check-up", "duration": "PT24H1M"`:                                                "visit-type.duration",
		`"name": "Check-up", "duration": "PT30M", "bufferBefore": "PT241M"`:                        "visit-type.buffer",
		`"name": "Check-up", "duration": "PT30M", "bufferAfter": "PT30S"`:                          "visit-type.buffer",
		`"name": "Check-up", "duration": "PT30M", "bufferAfter": "soon"`:                           "duration.malformed",
		`"name": "Check-up", "duration": "PT30M", "fee": {"amount": -1, "currency": "EUR"}`:        "visit-type.fee",
		`"name": "Check-up", "duration": "PT30M", "fee": {"amount": 1, "currency": "eur"}`:         "visit-type.fee",
		`"name": "Check-up", "duration": "PT30M", "fee": {"amount": 1}`:                            "request.invalid",
		`"name": "Check-up", "duration": "PT30M", "specialty": " "`:                                "visit-type.specialty",
		`"name": "Check-up", "duration": "PT30M", "colour": "red"`:                                 "request.invalid",
		`"name": "Check-up", "duration": "PT30M", "fee": {"amount": 1, "currency": "EUR", "a": 1}`: "request.invalid",
	} {
		answer := w.call(t, http.MethodPost, "/v1/visit-types", body(terms))
		require.Equal(t, http.StatusUnprocessableEntity, answer.Code, terms)
		require.Equal(t, wanted, rule(t, answer), terms)
	}
	for _, call := range []struct{ method, path, body, rule string }{
		{http.MethodPost, "/v1/visit-types", `{"clinicId": "nowhere", "name": "Check-up", "duration": "PT30M"}`, "clinic.not-found"},
		{http.MethodPut, "/v1/visit-types/nothing", `{"name": "Check-up", "duration": "PT30M"}`, "visit-type.not-found"},
		{http.MethodPost, "/v1/visit-types/nothing/retire", "", "visit-type.not-found"},
		{http.MethodGet, "/v1/visit-types/nothing", "", "visit-type.not-found"},
		{http.MethodPost, "/v1/resources", `{"clinicId": "nowhere", "kind": "room", "name": "Room 1"}`, "clinic.not-found"},
		{http.MethodPost, "/v1/resources", `{"clinicId": "` + d.clinic + `", "kind": "garden", "name": "Room 1"}`, "request.invalid"},
		{http.MethodPost, "/v1/resources", `{"clinicId": "` + d.clinic + `", "kind": "room", "name": " "}`, "resource.name"},
		{http.MethodPut, "/v1/resources/nothing", `{"name": "Surgery"}`, "resource.not-found"},
		{http.MethodPost, "/v1/resources/nothing/retire", "", "resource.not-found"},
		{http.MethodGet, "/v1/resources/nothing", "", "resource.not-found"},
	} {
		require.Equal(t, call.rule, rule(t, w.call(t, call.method, call.path, call.body)), call.path)
	}
}

func TestAPolicyThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	mine := "/v1/clinics/" + d.clinic + "/policy"
	for body, wanted := range map[string]string{
		`{"minNotice": "tomorrow"}`:                 "duration.malformed",
		`{"minNotice": "P366D"}`:                    "policy.duration",
		`{"undoGrace": "PT90S"}`:                    "policy.duration",
		`{"holdTime": "PT16M"}`:                     "policy.duration",
		`{"patientDay": -1}`:                        "policy.limit",
		`{"minNotice": "PT1H", "horizon": "PT30M"}`: "policy.window",
		`{"holdsShare": 0}`:                         "policy.limit",
		`{"boardShows": "names"}`:                   "policy.board",
		`{"patientMonth": 1}`:                       "request.invalid",
		`{"approval": "yes"}`:                       "request.invalid",
		`{"patientDay": 9000000000}`:                "policy.limit",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPut, mine, body)), body)
	}
	for path, wanted := range map[string]string{
		"clinics": "clinic.not-found", "practitioners": "practitioner.not-found", "visit-types": "visit-type.not-found",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPut, "/v1/"+path+"/nobody/policy", `{}`)))
		require.Equal(t, "policy.not-found", rule(t, w.call(t, http.MethodGet, "/v1/"+path+"/nobody/policy", "")))
	}
	effective := "/v1/policies/effective"
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, effective, "").Code, "the defaults")
	require.Equal(t, "clinic.not-found", rule(t, w.call(t, http.MethodGet, effective+"?clinicId=nowhere", "")))
	require.Equal(t, "practitioner.not-found", rule(t, w.call(t, http.MethodGet, effective+"?practitionerId=nobody&clinicId="+d.clinic, "")))
	require.Equal(t, "visit-type.not-found", rule(t, w.call(t, http.MethodGet, effective+"?visitTypeId=nothing&clinicId="+d.clinic, "")))
}

// TestAPolicyThatIsGotMayBePut gets a policy and puts it: nothing happens.
func TestAPolicyThatIsGotMayBePut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := "/v1/practitioners/" + w.open(t).practitioner + "/policy"
	for _, put := range []string{
		`{}`,
		`{"minNotice": "PT0M", "approval": false, "patientDay": 0}`,
		`{"minNotice": "PT2H", "horizon": "P60D", "approval": true, "holdTime": "PT5M", "cancelBefore": "P1D", "rescheduleBefore": "PT12H30M",
			"reschedules": 2, "practitionerDay": 16, "practitionerWeek": 70, "patientDay": 2, "patientPractitioner": 3, "patientActive": 5,
			"holdsShare": 40, "undoGrace": "PT1M", "noShowAfter": "PT1H"}`,
	} {
		require.Equal(t, http.StatusOK, w.call(t, http.MethodPut, mine, put).Code)
		got := w.call(t, http.MethodGet, mine, "")
		require.Equal(t, strings.Count(put, ":"), strings.Count(got.Body.String(), ":"), "what was said, and nothing else")
		before, err := w.store.Head(t.Context())
		require.NoError(t, err)
		again := w.call(t, http.MethodPut, mine, got.Body.String(), "If-Match", got.Header().Get("ETag"))
		require.Equal(t, http.StatusOK, again.Code, again.Body.String())
		require.JSONEq(t, got.Body.String(), again.Body.String())
		after, err := w.store.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
	stale := w.call(t, http.MethodPut, mine, `{}`, "If-Match", `"0"`)
	require.Equal(t, "revision.stale", rule(t, stale))
}

// TestTheCatalogueIsRead asks the real read models for what was just defined.
func TestTheCatalogueIsRead(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	for _, name := range []string{"First visit", "Check-up"} {
		answer := w.call(t, http.MethodPost, "/v1/visit-types", `{"clinicId": "`+d.clinic+`", "name": "`+name+`", "duration": "PT30M", "bufferAfter": "PT5M",
			"fee": {"amount": 6500, "currency": "EUR"}, "specialty": "cardiology"}`)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		seen := "&minPosition=" + answer.Header().Get("Slotbook-Position")
		listed := w.call(t, http.MethodGet, "/v1/visit-types?specialty=cardiology&clinicId="+d.clinic+seen, "")
		require.Contains(t, listed.Body.String(), strings.TrimSpace(answer.Body.String()), "a list shows what the command answered")
	}
	last := w.call(t, http.MethodPost, "/v1/resources", `{"clinicId": "`+d.clinic+`", "kind": "device", "name": "Laser"}`)
	require.Equal(t, http.StatusCreated, last.Code, last.Body.String())
	seen := "&minPosition=" + last.Header().Get("Slotbook-Position")
	require.Contains(t, w.call(t, http.MethodGet, "/v1/resources?kind=device"+seen, "").Body.String(), strings.TrimSpace(last.Body.String()))
	whole := items(t, w.call(t, http.MethodGet, "/v1/visit-types?clinicId="+d.clinic+seen, ""))
	require.Len(t, whole, 2)
	require.Equal(t, whole, w.pages(t, "/v1/visit-types?limit=1&clinicId="+d.clinic+seen))
}
