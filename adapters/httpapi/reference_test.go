package httpapi_test

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/reference"
)

// saidBy is what authorities say, for tests that are about HTTP.
type saidBy []reference.Entry

// authorities say a little of everything.
func authorities() saidBy {
	coded := func(kind reference.Kind, code, en, pt string) reference.Entry {
		return reference.Entry{Kind: kind, Code: code, Names: map[string]string{"en": en, "pt": pt}}
	}
	placed := func(kind reference.Kind, code, en, pt, town string, latitude, longitude float64) reference.Entry {
		e := coded(kind, code, en, pt)
		e.Country, e.Town, e.Latitude, e.Longitude = strings.ToUpper(code[:2]), town, &latitude, &longitude
		return e
	}
	old := coded(reference.Specialty, "leeching", "Leeching", "Sanguessugas")
	old.Withdrawn = true
	abandoned := placed(reference.Town, "pt-velha", "Velha", "Velha", "", 39, -8)
	abandoned.Withdrawn = true
	return saidBy{
		coded(reference.Specialty, "cardiology", "Cardiology", "Cardiologia"),
		coded(reference.Specialty, "dentistry", "General dentistry", "Medicina dentária"),
		coded(reference.Specialty, "dermatology", "Dermatology", "Dermatologia"),
		old,
		coded(reference.Qualification, "md", "Doctor of Medicine", "Doutor em Medicina"),
		coded(reference.Qualification, "phd", "Doctor of Philosophy", "Doutoramento"),
		placed(reference.Town, "pt-lisboa", "Lisbon", "Lisboa", "", 38.7223, -9.1393),
		placed(reference.Town, "pt-porto", "Porto", "Porto", "", 41.1496, -8.6110),
		placed(reference.Town, "br-sao-paulo", "São Paulo", "São Paulo", "", -23.5505, -46.6333),
		placed(reference.Town, "br-rio-de-janeiro", "Rio de Janeiro", "Rio de Janeiro", "", -22.9068, -43.1729),
		abandoned,
		placed(reference.District, "pt-lisboa-belem", "Belém", "Belém", "pt-lisboa", 38.6979, -9.2076),
		placed(reference.District, "pt-porto-bonfim", "Bonfim", "Bonfim", "pt-porto", 41.153, -8.596),
	}
}

// List lists entries.
func (s saidBy) List(_ context.Context, f reference.Filter) (found []reference.Entry, more bool, err error) {
	cursor := func(e reference.Entry) reference.Cursor {
		return reference.Cursor{Name: e.Name(f.Language), Code: e.Code}
	}
	order := func(a, b reference.Cursor) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Code, b.Code))
	}
	for _, e := range s {
		text := strings.ToLower(e.Code + "\n" + e.Names["en"] + "\n" + e.Names["pt"])
		if e.Kind == f.Kind && (f.Country == "" || e.Country == f.Country) && (f.Withdrawn || !e.Withdrawn) &&
			strings.Contains(text, strings.ToLower(f.Query)) && order(cursor(e), f.After) > 0 {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b reference.Entry) int { return order(cursor(a), cursor(b)) })
	if f.Limit > 0 && len(found) > f.Limit {
		return found[:f.Limit], true, nil
	}
	return found, false, nil
}

// Districts lists districts.
func (s saidBy) Districts(_ context.Context, towns []string) (found []reference.Entry, err error) {
	for _, e := range s {
		if e.Kind == reference.District && slices.Contains(towns, e.Town) {
			found = append(found, e)
		}
	}
	return found, nil
}

// Entries returns entries by their codes.
func (s saidBy) Entries(_ context.Context, kind reference.Kind, codes ...string) (map[string]reference.Entry, error) {
	found := map[string]reference.Entry{}
	for _, e := range s {
		if e.Kind == kind && slices.Contains(codes, e.Code) {
			found[e.Code] = e
		}
	}
	return found, nil
}

func TestReferenceDataIsReadInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.call(t, http.MethodGet, "/v1/specialties?lang=pt&limit=2", "")
	require.Contains(t, first.Body.String(), `"Cardiologia"`)
	next, _, _ := strings.Cut(strings.TrimPrefix(first.Header().Get("Link"), "<"), ">")
	second := w.call(t, http.MethodGet, next, "")
	require.Equal(t, 1, strings.Count(second.Body.String(), `"code"`))
	require.Contains(t, second.Body.String(), `"Medicina dentária"`)
	_, cursor, _ := strings.Cut(next, "cursor=")
	cursor, _, _ = strings.Cut(cursor, "&")
	for path, wanted := range map[string]string{
		"/v1/specialties?lang=en&cursor=" + cursor: "cursor.malformed",
		"/v1/specialties?lang=tlh":                 "request.invalid",
		"/v1/towns?country=portugal":               "request.invalid",
		"/v1/qualifications?colour=red":            "request.invalid",
		"/v1/qualifications?minPosition=9":         "position.unknown",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodGet, path, "")), path)
	}
}

func TestAClinicThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.open(t)
	for terms, wanted := range map[string]string{
		`"name": " "`:                                                                        "clinic.name",
		`"name": "A", "zone": "Mars"`:                                                        "zone.unknown",
		`"name": "A", "town": "pt-nowhere"`:                                                  "clinic.town",
		`"name": "A", "town": "pt-velha"`:                                                    "clinic.town",
		`"name": "A", "district": "pt-lisboa-belem"`:                                         "clinic.town",
		`"name": "A", "town": "pt-porto", "district": "pt-lisboa-belem"`:                     "clinic.town",
		`"name": "A", "town": "pt-porto", "country": "BR"`:                                   "clinic.town",
		`"name": "A", "town": "pt-porto", "location": {"latitude": 38.7, "longitude": -9.1}`: "clinic.implausible-place",
		`"name": "A", "location": {"latitude": 91, "longitude": 0}`:                          "request.invalid",
		`"name": "A", "country": "pt"`:                                                       "clinic.country",
		`"name": "A", "phone": "ask"`:                                                        "clinic.contact",
		`"name": "A", "email": "ask"`:                                                        "clinic.contact",
		`"name": "A", "site": "ftp://a.example"`:                                             "clinic.contact",
		`"name": "A", "ownership": "church"`:                                                 "request.invalid",
		`"name": "A", "address": "` + strings.Repeat("é", 300) + `"`:                         "clinic.too-long",
	} {
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPut, "/v1/clinics/"+d.clinic, "{"+terms+"}")), terms)
		if !strings.Contains(terms, "zone") {
			terms += `, "zone": "UTC"`
		}
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPost, "/v1/clinics", "{"+terms+"}")), terms)
	}
	require.Equal(t, "clinic.not-found", rule(t, w.call(t, http.MethodPut, "/v1/clinics/nowhere", `{"name": "A"}`)))
	require.Equal(t, "clinic.not-found", rule(t, w.call(t, http.MethodPost, "/v1/clinics/nowhere/close", "")))
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, "/v1/clinics/"+d.clinic+"/close", "").Code)
	for _, call := range []struct{ method, path, body string }{
		{http.MethodPut, "/v1/clinics/" + d.clinic, `{"name": "A"}`},
		{http.MethodPut, "/v1/clinics/" + d.clinic + "/calendar", `{}`},
		{http.MethodPut, d.schedule(), tuesdays},
		{http.MethodPost, "/v1/visit-types", `{"clinicId": "` + d.clinic + `", "name": "Check-up", "duration": "PT30M"}`},
		{http.MethodPost, "/v1/resources", `{"clinicId": "` + d.clinic + `", "kind": "room", "name": "Room 1"}`},
		{http.MethodPost, "/v1/practitioners", `{"clinicIds": ["` + d.clinic + `"], "name": "Dr. Ana"}`},
	} {
		answer := w.call(t, call.method, call.path, call.body)
		require.Equal(t, http.StatusGone, answer.Code, call.path)
		require.Equal(t, "clinic.closed", rule(t, answer), call.path)
	}
}

func TestAPractitionerThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, elsewhere := w.open(t), w.open(t)
	visit := func(clinic string) string {
		answer := w.call(t, http.MethodPost, "/v1/visit-types", `{"clinicId": "`+clinic+`", "name": "Check-up", "duration": "PT30M"}`)
		require.Equal(t, http.StatusCreated, answer.Code)
		return strings.TrimPrefix(answer.Header().Get("Location"), "/v1/visit-types/")
	}
	fee := func(id, amount string) string {
		return `"fees": [{"visitTypeId": "` + id + `", "amount": ` + amount + `, "currency": "EUR"}]`
	}
	for terms, wanted := range map[string]string{
		`"name": " "`:              "practitioner.name",
		`"clinicIds": []`:          "practitioner.clinics",
		`"clinicIds": ["nowhere"]`: "clinic.not-found",
		`"specialties": ["cardiology", "cardiology"]`:            "practitioner.specialties",
		`"specialties": ["zoology"]`:                             "practitioner.unknown-code",
		`"specialties": ["leeching"]`:                            "practitioner.unknown-code",
		`"qualifications": [{"code": "bachelor", "year": 2000}]`: "practitioner.unknown-code",
		`"qualifications": [{"code": "md", "year": 2027}]`:       "practitioner.qualifications",
		`"qualifications": [{"year": 2000}]`:                     "practitioner.qualifications",
		`"treatments": [""]`:                                     "practitioner.treatments",
		`"languages": ["pt-br"]`:                                 "practitioner.languages",
		fee("nothing", "1"):                                      "visit-type.not-found",
		fee(visit(elsewhere.clinic), "1"):                        "practitioner.elsewhere",
		fee(visit(d.clinic), "-1"):                               "practitioner.fees",
		`"councilNumber": "123"`:                                 "practitioner.council",
		`"councilNumber": "12345"`:                               "practitioner.council-state",
		`"introduction": "` + strings.Repeat("é", 2501) + `"`:    "practitioner.too-long",
	} {
		body := "{" + terms
		if !strings.Contains(terms, "clinicIds") {
			body += `, "clinicIds": ["` + d.clinic + `"]`
		}
		if !strings.Contains(terms, `"name"`) {
			body += `, "name": "Dr. Bo"`
		}
		body += "}"
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPost, "/v1/practitioners", body)), terms)
		require.Equal(t, wanted, rule(t, w.call(t, http.MethodPut, "/v1/practitioners/"+d.practitioner, body)), terms)
	}
	body := `{"name": "Dr. Bo", "clinicIds": ["` + d.clinic + `"]}`
	require.Equal(t, "practitioner.not-found", rule(t, w.call(t, http.MethodPut, "/v1/practitioners/nobody", body)))
	require.Equal(t, "practitioner.not-found", rule(t, w.call(t, http.MethodPost, "/v1/practitioners/nobody/council/follow", "")))
}
