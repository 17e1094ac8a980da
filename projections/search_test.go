package projections_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/review"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func TestWordsAreFolded(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"  Dr. José  D'Ávila ": {"dr", "jose", "d", "avila"},
		"Ёлкина Андрей":        {"елкина", "андрей"},
		"Straße STRASSE":       {"strasse"},
		"김철수 ㄱㅊㅅ":              {"김철수", "ᄀᄎᄉ"},
		"Łódź ﬁn İzmir Ærø":    {"lodz", "fin", "izmir", "aero"},
		"100% _ \\ '":          {"100"},
		"":                     nil,
	} {
		require.Equal(t, want, projections.Words(query), query)
	}
}

// profiled is a fact of a practitioner with a profile.
func profiled(id domain.PractitionerID, p practitioner.Profile) fact {
	return on(practitioner.Stream(id), practitioner.Registered{Practitioner: id, Profile: p})
}

func placed(id domain.ClinicID, p clinic.Profile) fact {
	p.Zone = "Europe/Lisbon"
	return on(clinic.Stream(id), clinic.Registered{Clinic: id, Profile: p})
}

func TestWhoIsFound(t *testing.T) {
	t.Parallel()
	named := []projections.Named{
		{Kind: "specialty", Code: "cardiology", Name: "Cardiology"},
		{Kind: "specialty", Code: "cardiology", Name: "순환기내과"},
		{Kind: "specialty", Code: "surgery", Name: "Хирургия"},
		{Kind: "qualification", Code: "md", Name: "Doctor of Medicine"},
	}
	facts := []fact{
		placed(centre, clinic.Profile{
			Name: "Clínica Central", Town: "pt-lisboa", District: "pt-lisboa-belem", Location: &clinic.Location{Latitude: 38.7, Longitude: -9.2},
		}),
		placed(harbor, clinic.Profile{Name: "Null Island", Town: "nowhere", Location: &clinic.Location{}}),
		profiled(ana, practitioner.Profile{
			Name: "Ana Ávila", Specialties: []string{"cardiology", "surgery"}, Clinics: []domain.ClinicID{centre, harbor}, Languages: []string{"pt-BR"},
			Treatments: []string{"Laser épilation"}, Qualifications: []practitioner.Qualification{{Code: "md", Year: 2000}, {Name: "Écho course", Year: 2001}},
		}),
		profiled(bo, practitioner.Profile{Name: "김철수", Specialties: []string{"surgery"}, Clinics: []domain.ClinicID{centre}, Languages: []string{"ko"}}),
		profiled(cy, practitioner.Profile{Name: "Фёдор Жук", Clinics: []domain.ClinicID{harbor}}),
	}
	found := func(t *testing.T, e *engine.Engine, s projections.PractitionerSearch) []projections.PractitionerFound {
		t.Helper()
		s.Names = projections.NewNames(named)
		list, err := projections.NewDirectory(e).FindPractitioners(t.Context(), s, 0)
		require.NoError(t, err)
		return list.Items
	}
	t.Run("by words, in any spelling, and the hits say where", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		for query, want := range map[string][]string{
			"avila":              {"Ana Ávila: name"},
			"ÁVI ana":            {"Ana Ávila: name"},
			"cardiologi":         {"Ana Ávila: specialty"},
			"kardiology":         {"Ana Ávila: specialty"},
			"внутренние":         nil,
			"내과":                 {"Ana Ávila: specialty"},
			"хирург":             {"Ana Ávila: specialty", "김철수: specialty"},
			"хирург cardio":      {"Ana Ávila: specialty"},
			"central":            {"Ana Ávila: clinic", "김철수: clinic"},
			"avilla cardiologia": {"Ana Ávila: name specialty"},
			"centrall avila":     {"Ana Ávila: name clinic"},
			"epilation":          {"Ana Ávila: treatment"},
			"echo medicine":      {"Ana Ávila: qualification"},
			"철수":                 {"김철수: name"},
			"김":                  {"김철수: name"},
			"ㄱㅊ":                 {"김철수: name"},
			"федор":              {"Фёдор Жук: name"},
			"Жуг":                nil,
			"ana nobody":         nil,
			"%":                  {"Ana Ávila: ", "Фёдор Жук: ", "김철수: "},
		} {
			var got []string
			for _, f := range found(t, e, projections.PractitionerSearch{Words: projections.Words(query)}) {
				got = append(got, f.Name+": "+strings.Join(f.Matched, " "))
			}
			require.Equal(t, want, got, query)
		}
	}))
	t.Run("by what they say of themselves, everything at once", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		names := func(s projections.PractitionerSearch) (all []string) {
			for _, f := range found(t, e, s) {
				all = append(all, f.Name)
			}
			return all
		}
		require.Equal(t, []string{"Ana Ávila", "김철수"}, names(projections.PractitionerSearch{Specialty: "surgery"}))
		require.Equal(t, []string{"Ana Ávila"}, names(projections.PractitionerSearch{Specialty: "surgery", Language: "PT"}))
		require.Equal(t, []string{"Ana Ávila"}, names(projections.PractitionerSearch{Treatment: "laser Epilation"}))
		require.Equal(t, []string{"Ana Ávila"}, names(projections.PractitionerSearch{Qualification: "md"}))
		require.Equal(t, []string{"Ana Ávila"}, names(projections.PractitionerSearch{Qualification: "echo COURSE"}))
		require.Empty(t, names(projections.PractitionerSearch{Qualification: "md", Language: "ko"}))
		require.Equal(t, []string{"Ana Ávila", "김철수"}, names(projections.PractitionerSearch{Area: projections.Area{Town: "pt-lisboa"}}))
		require.Empty(t, names(projections.PractitionerSearch{Area: projections.Area{Town: "pt-lisboa", Clinic: harbor}}), "one clinic is in the whole area")
	}))
	t.Run("near a place, zero and zero included", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		near := found(t, e, projections.PractitionerSearch{
			Sort: projections.ByDistance, Area: projections.Area{Near: &projections.Point{Latitude: 0, Longitude: 0.01}},
		})
		require.Len(t, near, 2)
		require.Equal(t, ana, near[0].ID)
		require.InDelta(t, 1111.95, *near[0].Distance, 0.01)
		far := found(t, e, projections.PractitionerSearch{
			Sort: projections.ByDistance, Area: projections.Area{Near: &projections.Point{Latitude: -38.7, Longitude: 170.8}, Radius: projections.MaxRadius},
		})
		require.Len(t, far, 3, "the whole Earth is within the greatest radius")
	}))
	t.Run("not where a clinic is closed for good", given(append(facts, on(clinic.Stream(harbor), clinic.WasClosed{Clinic: harbor}))...).Then(
		func(t *testing.T, e *engine.Engine) {
			require.Empty(t, found(t, e, projections.PractitionerSearch{Area: projections.Area{Near: &projections.Point{}}}))
			clinics, err := projections.NewDirectory(e).FindClinics(t.Context(), projections.ClinicSearch{}, at(8, 0), 0)
			require.NoError(t, err)
			require.Len(t, clinics.Items, 2)
		}))
}

func TestWhoStandsHow(t *testing.T) {
	t.Parallel()
	v := visit(visitA, pat, ana, 0, half(9, 0))
	facts := []fact{
		clinicFact(centre, "Centre", "UTC"), practitionerFact(ana, "Ana", []domain.ClinicID{centre}), practitionerFact(bo, "Bo", []domain.ClinicID{centre}),
		proposed(v, 1, at(8, 10)), booked(v, 1), about(v, appointment.WasFulfilled{Visit: v, Set: 1, At: v.End}),
		on(review.Stream(visitA), reviewOf(visitA, ana, 5)), on(review.Stream(visitB), reviewOf(visitB, ana, 2)),
		on(review.Stream(visitC), reviewOf(visitC, bo, 4)),
	}
	stands := func(want string, more ...fact) func(*testing.T) {
		return given(append(facts, more...)...).Then(func(t *testing.T, e *engine.Engine) {
			list, err := projections.NewDirectory(e).FindPractitioners(t.Context(), projections.PractitionerSearch{Sort: projections.ByRating}, 0)
			require.NoError(t, err)
			var got []string
			for _, f := range list.Items {
				got = append(got, fmt.Sprintf("%s %d/%d", f.Name, f.Stars, f.Reviews))
			}
			require.Equal(t, want, strings.Join(got, ", "))
		})
	}
	first := reviewOf(visitA, ana, 5).Visit
	undone := about(v, appointment.WasReverted{Visit: v, Set: 1, Status: appointment.CheckedIn, At: at(12, 0)})
	t.Run("by the average of all reviews", stands("Bo 4/1, Ana 7/2"))
	t.Run("as the last edit has it", stands("Bo 4/1, Ana 3/2", on(review.Stream(visitA), review.WasEdited{Visit: first, Stars: 1})))
	t.Run("without what was withdrawn", stands("Bo 4/1, Ana 2/1", on(review.Stream(visitA), review.WasWithdrawn{Visit: first})))
	t.Run("without what is hidden", stands("Bo 4/1, Ana 2/1", on(review.Stream(visitA), review.WasHidden{Visit: first, Reason: review.Spam})))
	t.Run("with what is shown again", stands("Bo 4/1, Ana 7/2",
		on(review.Stream(visitA), review.WasHidden{Visit: first, Reason: review.Spam}), on(review.Stream(visitA), review.WasShown{Visit: first})))
	t.Run("without what did not take place after all", stands("Bo 4/1, Ana 2/1", undone))
	t.Run("until it did", stands("Bo 4/1, Ana 7/2", undone, about(v, appointment.WasFulfilled{Visit: v, Set: 1, At: v.End})))
	t.Run("booked most first", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		list, err := projections.NewDirectory(e).FindPractitioners(t.Context(), projections.PractitionerSearch{Sort: projections.ByPopular}, 0)
		require.NoError(t, err)
		require.Equal(t, []domain.PractitionerID{ana, bo}, []domain.PractitionerID{list.Items[0].ID, list.Items[1].ID})
	}))
}

func TestWhichClinicsAreFound(t *testing.T) {
	t.Parallel()
	always := on(clinic.Stream(centre), clinic.CalendarSet{Clinic: centre, Zone: "Europe/Lisbon", Calendar: domain.Calendar{Open24h: true}})
	facts := []fact{
		placed(centre, clinic.Profile{
			Name: "Clínica Central", Address: "Rua Augusta 1", Town: "pt-lisboa", Location: &clinic.Location{Latitude: 38.7, Longitude: -9.2},
			Ownership: clinic.OfState,
		}),
		placed(harbor, clinic.Profile{Name: "Pier", Address: "Cais 1", Location: &clinic.Location{}, Ownership: clinic.Private}), always,
		practitionerFact(ana, "Ana", []domain.ClinicID{centre}, "surgery", "cardiology"), practitionerFact(bo, "Bo", []domain.ClinicID{centre, harbor}, "surgery"),
		day(ana, centre, 1, half(9, 0)),
	}
	t.Run("by words and by what they are", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		names := func(s projections.ClinicSearch) (all []string) {
			s.Names = projections.NewNames([]projections.Named{{Kind: "specialty", Code: "surgery", Name: "Cirurgia"}, {Kind: "specialty", Code: "cardiology", Name: "Cardiologia"}})
			list, err := projections.NewDirectory(e).FindClinics(t.Context(), s, at(8, 0), 0)
			require.NoError(t, err)
			for _, f := range list.Items {
				all = append(all, strings.TrimSpace(f.Name+" "+strings.Join(f.Matched, " ")))
			}
			return all
		}
		require.Equal(t, []string{"Clínica Central name"}, names(projections.ClinicSearch{Words: []string{"clinica"}}))
		require.Equal(t, []string{"Clínica Central name address"}, names(projections.ClinicSearch{Words: []string{"augusto", "central"}}))
		require.Equal(t, []string{"Clínica Central specialty", "Pier specialty"}, names(projections.ClinicSearch{Words: []string{"cirurgia"}}))
		require.Equal(t, []string{"Clínica Central"}, names(projections.ClinicSearch{Specialty: "cardiology"}))
		require.Equal(t, []string{"Clínica Central"}, names(projections.ClinicSearch{Ownership: clinic.OfState}))
		require.Equal(t, []string{"Clínica Central"}, names(projections.ClinicSearch{Open24h: new(true)}))
		require.Equal(t, []string{"Pier"}, names(projections.ClinicSearch{Open24h: new(false), Ownership: clinic.Private}))
		require.Empty(t, names(projections.ClinicSearch{Open24h: new(false), Ownership: clinic.OfState}))
		everywhere := projections.Area{Near: &projections.Point{}, Radius: projections.MaxRadius}
		require.Equal(t, []string{"Pier", "Clínica Central"}, names(projections.ClinicSearch{Area: everywhere, Sort: projections.ByDistance}))
	}))
	t.Run("with what is on offer, and whether it can be booked", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		for now, bookable := range map[time.Time]bool{at(8, 0): true, at(9, 1): false} {
			list, err := projections.NewDirectory(e).FindClinics(t.Context(), projections.ClinicSearch{}, now, 0)
			require.NoError(t, err)
			require.Equal(t, []string{"cardiology", "surgery"}, list.Items[0].Specialties)
			require.Equal(t, bookable, list.Items[0].Bookable)
			require.Equal(t, []string{"surgery"}, list.Items[1].Specialties)
			require.False(t, list.Items[1].Bookable)
		}
	}))
	t.Run("what cannot be asked is refused", given().Then(func(t *testing.T, e *engine.Engine) {
		d := projections.NewDirectory(e)
		for _, c := range []struct {
			area projections.Area
			sort projections.Sort
			want error
		}{
			{projections.Area{Near: &projections.Point{Latitude: -90.1}}, "", projections.ErrNear},
			{projections.Area{Near: &projections.Point{Longitude: math.NaN()}}, "", projections.ErrNear},
			{projections.Area{Radius: 1}, "", projections.ErrRadius},
			{projections.Area{Near: &projections.Point{}, Radius: -1}, "", projections.ErrRadius},
			{projections.Area{Near: &projections.Point{}, Radius: projections.MaxRadius + 1}, "", projections.ErrRadius},
			{projections.Area{}, projections.ByDistance, projections.ErrSort},
		} {
			_, err := d.FindClinics(t.Context(), projections.ClinicSearch{Area: c.area, Sort: c.sort}, at(8, 0), 0)
			require.ErrorIs(t, err, c.want)
			_, err = d.FindPractitioners(t.Context(), projections.PractitionerSearch{Area: c.area, Sort: c.sort}, 0)
			require.ErrorIs(t, err, c.want)
		}
		_, err := d.FindClinics(t.Context(), projections.ClinicSearch{Words: make([]string, projections.MaxWords+1)}, at(8, 0), 0)
		require.ErrorIs(t, err, projections.ErrWords)
	}))
}

// A booking weighs half as much every ten days: the order of two histories is
// that of the sums, whenever one looks.
func TestPopularityFades(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		history := rapid.SliceOfN(rapid.IntRange(0, 90), 1, 40)
		a, b := history.Draw(t, "a"), history.Draw(t, "b")
		sum := func(days []int) (total float64) {
			for _, d := range days {
				total += math.Exp2(float64(d-90) / 10)
			}
			return total
		}
		rank := func(days []int) int {
			times := make([]time.Time, len(days))
			for i, d := range days {
				times[i] = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, d)
			}
			slices.SortFunc(times, time.Time.Compare)
			return projections.PopularRank(times...)
		}
		if x, y := sum(a), sum(b); math.Abs(x-y) > 1e-3*max(x, y) {
			require.Equal(t, x > y, rank(a) < rank(b), "%v %v", a, b)
		}
	})
}

// vocabulary are words that no typing error makes each other; a query for a key
// finds the word. Those of three letters and more are found inside others.
var vocabularyNames = projections.NewNames([]projections.Named{
	{Kind: "specialty", Code: "cardiology", Name: "Cardiology"}, {Kind: "specialty", Code: "surgery", Name: "Surgery"},
})

var vocabulary = map[string]string{
	"alexandra": "alexandra", "alexandr": "alexandra", "alexanbra": "alexandra", "oliveira": "oliveira", "olivera": "oliveira", "жуковская": "жуковская",
	"жуковска": "жуковская", "김": "김민준", "김민준": "김민준", "민준": "김민준", "schmidt": "schmidt", "mid": "schmidt", "sc": "schmidt", "dt": "",
}

var listedWords = []string{"alexandra", "oliveira", "жуковская", "김민준", "schmidt"}

// crowd is random practitioners and clinics, and what is found among them.
type crowd struct {
	clinics       []clinic.Registered
	closed        map[domain.ClinicID]bool
	practitioners []practitioner.Registered
	ratings       map[domain.PractitionerID][]int
}

func drawCrowd(t *rapid.T) crowd {
	c := crowd{closed: map[domain.ClinicID]bool{}, ratings: map[domain.PractitionerID][]int{}}
	words := func(label string, most int) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(listedWords), 1, most).Draw(t, label), " ")
	}
	some := func(label string, of ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(of), 0, 2, rapid.ID).Draw(t, label)
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "clinics") {
		p := clinic.Profile{Name: words("clinic", 1), Zone: "UTC", Town: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "town")}
		if rapid.Bool().Draw(t, "located") {
			p.Location = &clinic.Location{Latitude: rapid.Float64Range(-90, 90).Draw(t, "latitude"), Longitude: rapid.Float64Range(-180, 180).Draw(t, "longitude")}
		}
		if i > 0 && rapid.Bool().Draw(t, "in the same house") {
			p.Location = c.clinics[i-1].Location
		}
		id := domain.ClinicID(fmt.Sprintf("c%d", i))
		c.clinics = append(c.clinics, clinic.Registered{Clinic: id, Profile: p})
		c.closed[id] = rapid.IntRange(0, 4).Draw(t, "closed") == 0
	}
	for i := range rapid.IntRange(1, 25).Draw(t, "practitioners") {
		p := practitioner.Profile{
			Name: words("name", 2), Specialties: some("specialties", "cardiology", "surgery"), Treatments: some("treatments", listedWords...),
			Languages: some("languages", "pt-BR", "en", "ko"),
		}
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(c.clinics)-1), 1, 3, rapid.ID).Draw(t, "works at") {
			p.Clinics = append(p.Clinics, c.clinics[n%len(c.clinics)].Clinic)
		}
		id := domain.PractitionerID(fmt.Sprintf("p%02d", i))
		c.practitioners = append(c.practitioners, practitioner.Registered{Practitioner: id, Profile: p})
		c.ratings[id] = rapid.SliceOfN(rapid.IntRange(1, 5), 0, 3).Draw(t, "stars")
	}
	return c
}

func (c crowd) facts() (facts []fact) {
	for _, r := range c.clinics {
		facts = append(facts, on(clinic.Stream(r.Clinic), r))
		if c.closed[r.Clinic] {
			facts = append(facts, on(clinic.Stream(r.Clinic), clinic.WasClosed{Clinic: r.Clinic}))
		}
	}
	for _, r := range c.practitioners {
		facts = append(facts, on(practitioner.Stream(r.Practitioner), r))
		for i, stars := range c.ratings[r.Practitioner] {
			id := domain.AppointmentID(fmt.Sprintf("%s-%d", r.Practitioner, i))
			facts = append(facts, on(review.Stream(id), reviewOf(id, r.Practitioner, stars)))
		}
	}
	return facts
}

func holds(text, query string) bool {
	return slices.ContainsFunc(strings.Fields(text), func(w string) bool { return w == vocabulary[query] })
}

// distance is the haversine formula.
func distance(a, b clinic.Location) float64 {
	const degree = math.Pi / 180
	x, y := math.Sin((a.Latitude-b.Latitude)*degree/2), math.Sin((a.Longitude-b.Longitude)*degree/2)
	return 2 * 6_371_008.8 * math.Asin(math.Sqrt(min(1, x*x+math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*y*y)))
}

// wanted reports whether the search finds a practitioner, and how far away.
func (c crowd) wanted(p practitioner.Registered, s projections.PractitionerSearch) (nearest float64, ok bool) {
	nearest = math.Inf(1)
	inArea := s.Area == projections.Area{}
	for _, at := range c.clinics {
		if !slices.Contains(p.Clinics, at.Clinic) || c.closed[at.Clinic] || s.Area.Town != "" && s.Area.Town != at.Town {
			continue
		}
		if s.Area.Near == nil {
			inArea = true
			continue
		}
		if at.Location == nil {
			continue
		}
		if d := distance(*at.Location, clinic.Location(*s.Area.Near)); d <= s.Area.Radius {
			inArea, nearest = true, min(nearest, d)
		}
	}
	for _, w := range s.Words {
		found := holds(p.Name, w) || slices.ContainsFunc(p.Treatments, func(text string) bool { return holds(text, w) }) ||
			w == "cardio" && slices.Contains(p.Specialties, "cardiology") ||
			slices.ContainsFunc(c.clinics, func(at clinic.Registered) bool { return slices.Contains(p.Clinics, at.Clinic) && holds(at.Name, w) })
		inArea = inArea && found
	}
	speaks := func(l string) bool { return strings.HasPrefix(strings.ToLower(l), s.Language) }
	average, _ := c.average(p.Practitioner)
	return nearest, inArea && (s.Specialty == "" || slices.Contains(p.Specialties, s.Specialty)) &&
		(s.Language == "" || slices.ContainsFunc(p.Languages, speaks)) && float64(average) >= s.MinRating*100
}

// average is in hundredths.
func (c crowd) average(id domain.PractitionerID) (average, count int) {
	for _, stars := range c.ratings[id] {
		average += stars
		count++
	}
	if count > 0 {
		average = int(math.Round(float64(average*100) / float64(count)))
	}
	return average, count
}

// find is the search by brute force. The order by relevance is not known, but
// without words.
func (c crowd) find(s projections.PractitionerSearch) (ids []domain.PractitionerID) {
	type hit struct {
		practitioner.Registered
		away float64
	}
	var hits []hit
	for _, p := range c.practitioners {
		if away, ok := c.wanted(p, s); ok {
			hits = append(hits, hit{p, away})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		order := 0
		switch s.Sort {
		case projections.ByDistance:
			order = cmp.Compare(math.Round(a.away*1000), math.Round(b.away*1000))
		case projections.ByRating:
			x, n := c.average(a.Practitioner)
			y, m := c.average(b.Practitioner)
			order = cmp.Or(cmp.Compare(y, x), cmp.Compare(m, n))
		case projections.ByRelevance:
			order = strings.Compare(a.Name, b.Name)
		case projections.ByPopular:
		}
		return cmp.Or(order, strings.Compare(string(a.Practitioner), string(b.Practitioner)))
	})
	for _, h := range hits {
		ids = append(ids, h.Practitioner)
	}
	return ids
}

func drawSearch(t *rapid.T) projections.PractitionerSearch {
	s := projections.PractitionerSearch{
		Names: vocabularyNames,
		Sort:  rapid.SampledFrom([]projections.Sort{projections.ByRelevance, projections.ByRating, projections.ByDistance}).Draw(t, "sort"),
		Limit: rapid.IntRange(1, 7).Draw(t, "limit"),
	}
	queries := []string{"cardio"}
	for q := range vocabulary {
		queries = append(queries, q)
	}
	slices.Sort(queries)
	s.Words = rapid.SliceOfNDistinct(rapid.SampledFrom(queries), 0, 2, rapid.ID).Draw(t, "words")
	often := func(label string, of ...string) string {
		return rapid.SampledFrom(append(of, "", "", "")).Draw(t, label)
	}
	s.Specialty, s.Language, s.Area.Town = often("specialty", "cardiology", "surgery"), often("language", "pt", "ko"), often("town", "a", "b")
	s.MinRating = rapid.SampledFrom([]float64{0, 0, 0, 3, 4.5}).Draw(t, "at least")
	if s.Sort == projections.ByDistance || rapid.IntRange(0, 3).Draw(t, "near") == 0 {
		s.Area.Near = &projections.Point{Latitude: rapid.Float64Range(-90, 90).Draw(t, "latitude"), Longitude: rapid.Float64Range(-180, 180).Draw(t, "longitude")}
		s.Area.Radius = rapid.SampledFrom([]float64{1000, 3e6, 1e7, projections.MaxRadius}).Draw(t, "radius")
	}
	return s.With(0, 0, drawNear(t))
}

// drawNear draws how many clinics count as few.
func drawNear(t *rapid.T) int { return rapid.SampledFrom([]int{1, 2, 4, 100}).Draw(t, "few clinics") }

// TestASearchFindsWhatLookingAtEverybodyFinds compares the search, read in
// pages, with a look at every practitioner.
func TestASearchFindsWhatLookingAtEverybodyFinds(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		t.Run(fmt.Sprint("crowd ", n), func(t *testing.T) {
			t.Parallel()
			c := rapid.Custom(drawCrowd).Example(n)
			e := engine.New(engine.Config{
				Pool: projectionstest.Pool(t), Log: projectionstest.Log(t, eventcodec.New(&eventcodec.MemoryKeys{}), c.facts()...),
				Models: projections.All(func(domain.Sealed) string { return "" }, nil), Owner: "test", Now: projectionstest.RecordedAt,
			})
			require.NoError(t, e.Prepare(t.Context()))
			require.NoError(t, e.CatchUp(t.Context()))
			rapid.Check(t, func(rt *rapid.T) {
				s := drawSearch(rt)
				want, got := c.find(s), allFound(t, e, s)
				if s.Sort == projections.ByRelevance && len(s.Words) > 0 {
					slices.Sort(want)
					slices.Sort(got)
				}
				if !slices.Equal(want, got) {
					rt.Fatalf("wanted %v, got %v: %+v", want, got, s)
				}
			})
		})
	}
}

func allFound(t *testing.T, e *engine.Engine, s projections.PractitionerSearch) (ids []domain.PractitionerID) {
	t.Helper()
	for more := true; more; {
		page, err := projections.NewDirectory(e).FindPractitioners(t.Context(), s, 0)
		require.NoError(t, err)
		require.True(t, len(page.Items) == s.Limit || !page.More)
		for _, f := range page.Items {
			require.Equal(t, s.Area.Near == nil, f.Distance == nil)
			ids = append(ids, f.ID)
			s.After = f.Cursor()
		}
		more = page.More
	}
	return ids
}

// TestASearchReadsNoTableFromEndToEnd looks at the plans over a few thousand
// practitioners and clinics.
func TestASearchReadsNoTableFromEndToEnd(t *testing.T) {
	t.Parallel()
	pool := projectionstest.Pool(t)
	models := projections.All(func(domain.Sealed) string { return "" }, nil)
	e := engine.New(engine.Config{
		Pool: pool, Log: projectionstest.Log(t, eventcodec.New(&eventcodec.MemoryKeys{})), Models: models, Owner: "test", Now: projectionstest.RecordedAt,
	})
	require.NoError(t, e.Prepare(t.Context()))
	for _, sql := range []string{
		"set search_path to directory_v4, standing_v1, availability_v6, hours_v1, public;" + `
		insert into clinic (clinic, name, zone, latitude, longitude, town, ownership, closed, open24h, in_name, search)
		select 'c' || n, 'Clinic ' || n, 'UTC', -60 + n % 120, -180 + n % 360, 'town' || n % 300, case n % 50 when 0 then 'state' end, false, n % 500 = 0,
			' clinic ' || md5(n::text) || ' ', ' clinic ' || md5(n::text) || ' '
		from generate_series(1, 4000) n;
		insert into practitioner (practitioner, name, specialties, clinics, details, search, in_name, speaks, learnt, treats)
		select 'p' || n, md5(n::text), array['s' || n % 90], array['c' || n % 4000 + 1, 'c' || (n * 7) % 4000 + 1], '{}', ' ' || md5(n::text) || ' ',
			' ' || md5(n::text) || ' ', array['l' || n % 40], array['q' || n % 60], array['t' || n % 70]
		from generate_series(1, 8000) n;
		insert into rated_practitioner (subject, count, stars, rank)
		select 'p' || n, 0, 0, -(n * 37 % 500) * 1000000
		from generate_series(1, 8000) n;
		insert into rated_clinic (subject, count, stars, rank)
		select 'c' || n, 0, 0, -(n * 37 % 500) * 1000000
		from generate_series(1, 4000) n;
		insert into popular (subject, weight, day, rank)
		select 'p' || n, 0, 0, -(n * 37 % 5000)
		from generate_series(1, 8000) n;
		insert into slot (slot, practitioner, clinic, start, "end", places, wanted, withdrawn, booked, freed, filled)
		select 's' || n, 'p' || n % 8000, 'c' || n % 4000 + 1, timestamptz '2026-03-02' + n * interval '1 minute', timestamptz '2026-03-02' + n * interval '2 minutes',
			1, 0, false, 0, 0, 0
		from generate_series(1, 20000) n;
		insert into working_week (week, practitioner, clinic, weekdays)
		select 'p' || n, 'p' || n, 'c' || n % 4000 + 1, n % 128
		from generate_series(1, 8000) n`,
		"analyze",
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	now := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	monday, week := time.Monday, &projections.Starting{To: now.AddDate(0, 0, 7)}
	near := projections.Area{Near: &projections.Point{Latitude: 10, Longitude: 20}, Radius: 50_000}
	after := projections.SearchCursor{Rank: -100_000_000, Name: "a", ID: "p7"}
	searches := map[string]interface {
		Explain(ctx context.Context, r engine.Reader) (string, error)
	}{
		"by name":                 projections.PractitionerSearch{},
		"by name, further on":     projections.PractitionerSearch{After: after},
		"by a word":               projections.PractitionerSearch{Words: []string{"a1b2c3"}},
		"by two words":            projections.PractitionerSearch{Words: []string{"a1b2c3", "d4"}},
		"by a specialty":          projections.PractitionerSearch{Specialty: "s7"},
		"by a qualification":      projections.PractitionerSearch{Qualification: "q7"},
		"by a treatment":          projections.PractitionerSearch{Treatment: "t7"},
		"by a language":           projections.PractitionerSearch{Language: "l7"},
		"by a clinic":             projections.PractitionerSearch{Area: projections.Area{Clinic: "c7"}},
		"by a town":               projections.PractitionerSearch{Area: projections.Area{Town: "town7"}},
		"near, of many":           projections.PractitionerSearch{Area: near, Sort: projections.ByDistance}.With(500, 20_000, 1),
		"of a specialty near":     projections.PractitionerSearch{Specialty: "s7", Area: near},
		"near":                    projections.PractitionerSearch{Area: near, Sort: projections.ByDistance},
		"rated best":              projections.PractitionerSearch{Sort: projections.ByRating},
		"rated best, further on":  projections.PractitionerSearch{Sort: projections.ByRating, After: after},
		"rated well":              projections.PractitionerSearch{MinRating: 4.9, Sort: projections.ByRating},
		"popular":                 projections.PractitionerSearch{Sort: projections.ByPopular},
		"everything":              projections.PractitionerSearch{Words: []string{"a1b2c3"}, Specialty: "s7", Area: near, Sort: projections.ByRating, MinRating: 2},
		"clinics by name":         projections.ClinicSearch{},
		"clinics by a word":       projections.ClinicSearch{Words: []string{"a1b2c3"}},
		"clinics by a specialty":  projections.ClinicSearch{Specialty: "s7"},
		"clinics by a town":       projections.ClinicSearch{Area: projections.Area{Town: "town7"}},
		"clinics near":            projections.ClinicSearch{Area: near, Sort: projections.ByDistance},
		"clinics rated best":      projections.ClinicSearch{Sort: projections.ByRating},
		"clinics round the clock": projections.ClinicSearch{Open24h: new(true)},
		"at work":                 projections.PractitionerSearch{OpenAt: now},
		"at work in a clinic":     projections.PractitionerSearch{OpenAt: now, Area: projections.Area{Clinic: "c7"}},
		"on Mondays":              projections.PractitionerSearch{Weekday: &monday, Now: now},
		"available":               projections.PractitionerSearch{Free: week, Now: now},
		"earliest":                projections.PractitionerSearch{Sort: projections.ByEarliest, Now: now},
		"earliest, further on":    projections.PractitionerSearch{Sort: projections.ByEarliest, Now: now, After: projections.SearchCursor{Rank: int(now.UnixMicro()), Name: "s7", ID: "p7"}},
		"earliest of a specialty": projections.PractitionerSearch{Sort: projections.ByEarliest, Now: now, Specialty: "s7"},
		"earliest near":           projections.PractitionerSearch{Sort: projections.ByEarliest, Now: now, Area: near, Free: week},
		"next slots":              projections.SlotFilter{From: now},
		"slots of a town":         projections.SlotFilter{From: now, Area: projections.Area{Town: "town7"}},
		"next slots of a town":    projections.SlotFilter{From: now, Area: projections.Area{Town: "town7"}, Specialties: []string{"s7", "s8"}},
		"days of a practitioner":  projections.SlotFilter{Practitioners: []domain.PractitionerID{"p7"}},
		"clinics that are open":   projections.ClinicSearch{OpenAt: now},
		"clinics of the state":    projections.ClinicSearch{Ownership: "state"},
	}
	for name, s := range searches {
		_, err := e.View(t.Context(), 0, []string{"directory", "standing", "availability", "policies", "appointments", "hours"}, func(r engine.Reader) error {
			plan, err := s.Explain(t.Context(), r)
			for _, table := range []string{"clinic", "practitioner", "rated_practitioner", "rated_clinic", "popular", "slot", "working_week"} {
				assert.NotContains(t, plan, "Seq Scan on "+table+" ", name+"\n"+plan)
			}
			return err
		})
		require.NoError(t, err, name)
	}
}
