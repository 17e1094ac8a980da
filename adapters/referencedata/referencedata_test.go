package referencedata_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/referencedata"
	"github.com/slotbook/slotbook/domain/reference"
)

func TestWhatComesWithTheProgram(t *testing.T) {
	t.Parallel()
	entries, err := referencedata.Builtin()
	require.NoError(t, err)
	count, towns := map[reference.Kind]int{}, map[string]reference.Entry{}
	for _, e := range entries {
		count[e.Kind]++
		for _, language := range reference.Languages() {
			require.NotEmpty(t, e.Names[language], "%s in %s", e.Code, language)
		}
		if e.Kind == reference.Town {
			towns[e.Code] = e
		}
	}
	require.GreaterOrEqual(t, count[reference.Specialty], 90)
	require.GreaterOrEqual(t, count[reference.Qualification], 25)
	require.GreaterOrEqual(t, count[reference.Town], 40)
	require.GreaterOrEqual(t, count[reference.District], 20)
	for _, e := range entries {
		if e.Kind == reference.District {
			town := towns[e.Town]
			require.Less(t, math.Abs(*e.Latitude-*town.Latitude), 0.3, e.Code)
			require.Less(t, math.Abs(*e.Longitude-*town.Longitude), 0.3, e.Code)
		}
	}
}

func TestNamesOfOneKindDiffer(t *testing.T) {
	t.Parallel()
	entries, err := referencedata.Builtin()
	require.NoError(t, err)
	seen := map[string]string{}
	for _, e := range entries {
		for _, language := range reference.Languages() {
			key := string(e.Kind) + e.Town + language + e.Names[language]
			require.Empty(t, seen[key], "%s and %s are both %s", seen[key], e.Code, e.Names[language])
			seen[key] = e.Code
		}
	}
}

func TestAFileIsReadAsCSVOrJSON(t *testing.T) {
	t.Parallel()
	want := []reference.Entry{
		{Kind: "specialty", Code: "cardiology", Names: map[string]string{"en": "Cardiology", "ru": "Кардиология"}},
		{Kind: "town", Code: "pt-lisboa", Names: map[string]string{"en": "Lisbon"}, Country: "PT", Latitude: new(38.7), Longitude: new(-9.1)},
	}
	for name, data := range map[string]string{
		"a.csv":  "\ufeffcode,kind,en,ru,country,latitude,longitude\ncardiology,specialty,Cardiology,Кардиология,,,\npt-lisboa,town,Lisbon,,PT,38.7,-9.1\n",
		"a.JSON": `[{"kind": "specialty", "code": "cardiology", "names": {"en": "Cardiology", "ru": "Кардиология"}}, {"kind": "town", "code": "pt-lisboa", "names": {"en": "Lisbon"}, "country": "PT", "latitude": 38.7, "longitude": -9.1}]`,
	} {
		got, err := referencedata.Read(referencedata.File{Name: name, Data: []byte(data)})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestWhatIsWrongInAFileIsSaidWithItsLineAndField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data, says string }{
		{"a.csv", "", "a.csv line 1: the names of the columns are missing"},
		{"a.csv", "kind,code,en,colour\n", "a.csv line 1, colour: there is no such column; there are kind, code, en, ko, pt, ru, country, town, latitude, longitude"},
		{"a.csv", "kind,code,en,en\n", "a.csv line 1, en: the column is there twice"},
		{"a.csv", "kind,en\n", "a.csv line 1, code: the column is missing"},
		{"a.csv", "kind,code,en\nspecialty,a\n", "a.csv line 2: wrong number of fields"},
		{"a.csv", "kind,code,en,latitude\ntown,a,A,north\n", `a.csv line 2, latitude: "north" is not a number`},
		{
			"a.csv", "kind,code,en\nspecialty,a,A\nspecialty,B,B\nspecialty,a,A\n",
			"a.csv line 3, code: \"B\" is not a code: small letters, digits and single hyphens between them, at most 64 bytes\na.csv line 4, code: \"a\" is there twice",
		},
		{"a.json", "{}", "a.json line 1: the file is not an array"},
		{"a.json", "[\n {\"kind\": \"specialty\"\n, \"colour\": 1}\n]", `a.json line 2: unknown field "colour"`},
		{"a.json", "[\n {\"code\": 1}\n]", "a.json line 2, code: it is a number instead of a string"},
		{
			"a.json", "[\n {\"kind\": \"specialty\", \"code\": \"a\", \"names\": {\"en\": \"A\"}},\n {\"kind\": \"specialty\", \"code\": \"b\"}]",
			"a.json line 3, names.en: the English name is missing",
		},
		{"a.json", "[\n", "a.json line 2: the array does not end"},
		{"a.json", "[] 1", "a.json line 1: there is more after the array"},
		{"a.txt", "", "a.txt is neither a .csv nor a .json file"},
		{"a.csv", "\xff", "a.csv is not in UTF-8"},
	} {
		_, err := referencedata.Read(referencedata.File{Name: c.name, Data: []byte(c.data)})
		require.EqualError(t, err, c.says)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.csv", []byte("kind,code,en\nspecialty,a,A\n"))
	f.Add("a.json", []byte(`[{"kind": "specialty", "code": "a", "names": {"en": "A"}}]`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		entries, err := referencedata.Read(referencedata.File{Name: name, Data: data})
		if err == nil && len(reference.Check(entries)) > 0 {
			t.Fatal("read what cannot be loaded")
		}
	})
}
