package reference_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/reference"
)

func specialty(code, name string) reference.Entry {
	return reference.Entry{Kind: reference.Specialty, Code: code, Names: map[string]string{"en": name}}
}

func placed(kind reference.Kind, code, country, town string) reference.Entry {
	return reference.Entry{
		Kind: kind, Code: code, Names: map[string]string{"en": code}, Country: country, Town: town, Latitude: new(38.7), Longitude: new(-9.1),
	}
}

func TestWhatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	with := func(e reference.Entry, change func(*reference.Entry)) reference.Entry {
		change(&e)
		return e
	}
	lisbon := placed(reference.Town, "pt-lisboa", "PT", "")
	for what, c := range map[string]struct {
		entry reference.Entry
		field string
	}{
		"a kind that is none":                {reference.Entry{Kind: "colour", Code: "red"}, "kind"},
		"a code in capitals":                 {specialty("Cardiology", "x"), "code"},
		"a code that ends in a hyphen":       {specialty("cardio-", "x"), "code"},
		"no code":                            {specialty("", "x"), "code"},
		"a long code":                        {specialty(strings.Repeat("a", 65), "x"), "code"},
		"no English name":                    {specialty("a", ""), "names.en"},
		"a name with spaces around it":       {specialty("a", " x"), "names.en"},
		"a long name":                        {specialty("a", strings.Repeat("x", 201)), "names.en"},
		"another language":                   {with(specialty("a", "x"), func(e *reference.Entry) { e.Names["de"] = "x" }), "names.de"},
		"a specialty of a country":           {with(specialty("a", "x"), func(e *reference.Entry) { e.Country = "PT" }), "country"},
		"a specialty of a town":              {with(specialty("a", "x"), func(e *reference.Entry) { e.Town = "b" }), "town"},
		"a specialty with a latitude":        {with(specialty("a", "x"), func(e *reference.Entry) { e.Latitude = new(1.0) }), "latitude"},
		"a specialty with a longitude":       {with(specialty("a", "x"), func(e *reference.Entry) { e.Longitude = new(1.0) }), "longitude"},
		"a town without a country":           {with(lisbon, func(e *reference.Entry) { e.Country = "pt" }), "country"},
		"a town without a latitude":          {with(lisbon, func(e *reference.Entry) { e.Latitude = nil }), "latitude"},
		"a town off the map":                 {with(lisbon, func(e *reference.Entry) { e.Longitude = new(181.0) }), "longitude"},
		"a town of a town":                   {with(lisbon, func(e *reference.Entry) { e.Town = "pt-porto" }), "town"},
		"a district of no town":              {placed(reference.District, "d", "PT", ""), "town"},
		"a district of a town elsewhere":     {placed(reference.District, "d", "BR", "pt-porto"), "town"},
		"a code that is there a second time": {placed(reference.Town, "pt-porto", "PT", ""), "code"},
	} {
		faults := reference.Check([]reference.Entry{placed(reference.Town, "pt-porto", "PT", ""), c.entry})
		require.Len(t, faults, 1, what)
		require.Equal(t, 1, faults[0].Entry, what)
		require.Equal(t, c.field, faults[0].Field, what)
	}
	require.Empty(t, reference.Check([]reference.Entry{
		placed(reference.District, "d", "PT", "pt-lisboa"), lisbon, specialty("a", "x"), {Kind: reference.Qualification, Code: "a", Names: map[string]string{"en": "x"}},
	}))
}

func TestALoadSaysWhatChanges(t *testing.T) {
	t.Parallel()
	a, b, porto := specialty("a", "A"), specialty("b", "B"), placed(reference.Town, "pt-porto", "PT", "")
	district, rio := placed(reference.District, "d", "PT", "pt-porto"), placed(reference.Town, "br-rio", "BR", "")
	there := []reference.Entry{a, b, porto, district, rio}

	first := reference.Compare(nil, there)
	require.Equal(t, reference.Changes{Added: there}, first)
	require.Equal(t, reference.Changes{Unchanged: 5}, reference.Compare(there, there), "twice is once")

	renamed := specialty("b", "Bee")
	gone := a
	gone.Withdrawn = true
	require.Equal(t, reference.Changes{Changed: []reference.Entry{renamed}, Withdrawn: []reference.Entry{gone}},
		reference.Compare(there, []reference.Entry{renamed}), "what is of another kind stays")
	require.Equal(t, reference.Changes{Changed: []reference.Entry{a}, Unchanged: 1},
		reference.Compare([]reference.Entry{gone, b}, []reference.Entry{a, b}), "a withdrawn code comes back")

	closed := district
	closed.Withdrawn = true
	require.Equal(t, reference.Changes{Unchanged: 1, Withdrawn: []reference.Entry{closed}},
		reference.Compare(there, []reference.Entry{porto}), "towns of another country stay")
	require.Equal(t, "A", a.Name("ru"), "a name that is missing is in English")
}

func TestWhatIsNearACodeThatDoesNotExist(t *testing.T) {
	t.Parallel()
	entries := []reference.Entry{
		specialty("cardiology", "Cardiology"), specialty("pediatric-cardiology", "Pediatric cardiology"), specialty("neurology", "Neurology"),
		specialty("ent", "Ear, nose and throat"), specialty("urology", "Urology"), specialty("uro", "Kidneys"),
	}
	for code, want := range map[string][]string{
		"cardiolgy":  {"cardiology"},
		"Cardiology": {"cardiology", "pediatric-cardiology"},
		"cardio":     {"cardiology", "pediatric-cardiology"},
		"nose":       {"ent"},
		"ENT":        {"ent"},
		"ant":        nil,
		"urologies":  nil,
		"urologie":   {"urology"},
		"nonsense":   nil,
		"":           nil,
		"logy":       {"cardiology", "neurology", "pediatric-cardiology"},
	} {
		require.Equal(t, want, reference.Near(code, entries), code)
	}
}
