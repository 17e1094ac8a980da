// Package reference is what authorities say, and nobody decides here:
// specialties, qualifications, towns and their districts. It is loaded from
// files and kept outside the log:
//
//	(nothing) --loaded--> in use --gone from its file--> withdrawn --back--> in use
//
// A withdrawn code is never deleted, since profiles may name it.
package reference

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slotbook/slotbook/domain"
)

// ErrNoTown refuses the code of no town.
var ErrNoTown = domain.Refusal(domain.NotFound, "town.not-found", "the reference data has no such town")

// Kind is a sort of entries.
type Kind string

// The kinds. Towns and districts are of a country, the others of the world.
const (
	Specialty     Kind = "specialty"
	Qualification Kind = "qualification"
	Town          Kind = "town"
	District      Kind = "district"
)

// Languages returns the languages that names may be in; the first is never
// missing.
func Languages() []string { return []string{"en", "ko", "pt", "ru"} }

// Entry is one line of what an authority says.
type Entry struct {
	Kind      Kind              `json:"kind"`
	Code      string            `json:"code"`  // stable, unique in its kind
	Names     map[string]string `json:"names"` // by language; English is never missing
	Country   string            `json:"country,omitempty"`
	Town      string            `json:"town,omitempty"`      // the code of a district's town
	Latitude  *float64          `json:"latitude,omitempty"`  // WGS 84 degrees, of towns and districts
	Longitude *float64          `json:"longitude,omitempty"` // WGS 84 degrees, of towns and districts
	Withdrawn bool              `json:"-"`
}

// Name returns the name in a language, or the English one.
func (e Entry) Name(language string) string {
	if name := e.Names[language]; name != "" {
		return name
	}
	return e.Names[Languages()[0]]
}

// same reports whether two entries of one code say the same.
func (e Entry) same(f Entry) bool {
	return maps.Equal(e.Names, f.Names) && e.Country == f.Country && e.Town == f.Town && e.Withdrawn == f.Withdrawn &&
		equal(e.Latitude, f.Latitude) && equal(e.Longitude, f.Longitude)
}

func equal(a, b *float64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// Filter says which entries of a kind a list has; zero fields do not narrow it,
// but withdrawn ones are listed only when asked for.
type Filter struct {
	Kind      Kind
	Language  string // of the names that the order is by; "" = English
	Query     string // a part of a name, in any language, or of the code; upper and lower case are the same
	Country   string // ISO 3166-1 alpha-2
	Withdrawn bool   // list withdrawn ones, too
	After     Cursor
	Limit     int // 0 = no limit
}

// Cursor is a place in a list: by the name in the list's language, then by
// code. The zero value is the beginning.
type Cursor struct{ Name, Code string }

// Fault is what is wrong with an entry.
type Fault struct {
	Entry int    // counted from 0
	Field string // such as "code" or "names.en"
	Text  string // what is wrong
}

// The limits of an entry, in bytes.
const (
	MaxCode = 64
	MaxName = 200
)

// Check returns what is wrong with entries that are to be loaded together: of
// each entry the first fault. A district's town is among them.
func Check(entries []Entry) []Fault {
	var faults []Fault
	seen, towns := map[[2]string]bool{}, map[string]string{}
	for _, e := range entries {
		if e.Kind == Town {
			towns[e.Code] = e.Country
		}
	}
	for i, e := range entries {
		field, text := e.fault()
		key := [2]string{string(e.Kind), e.Code}
		switch country, known := towns[e.Town]; {
		case text != "":
		case seen[key]:
			field, text = "code", fmt.Sprintf("%q is there twice", e.Code)
		case e.Kind == District && (!known || country != e.Country):
			field, text = "town", fmt.Sprintf("there is no town %q of the same country in these files", e.Town)
		}
		seen[key] = true
		if text != "" {
			faults = append(faults, Fault{i, field, text})
		}
	}
	return faults
}

// fault returns the field that is wrong with an entry by itself, and what is.
func (e Entry) fault() (field, text string) {
	switch {
	case !slices.Contains([]Kind{Specialty, Qualification, Town, District}, e.Kind):
		return "kind", fmt.Sprintf("%q is not one of specialty, qualification, town, district", e.Kind)
	case !isCode(e.Code):
		return "code", fmt.Sprintf("%q is not a code: small letters, digits and single hyphens between them, at most %d bytes", e.Code, MaxCode)
	case e.Names[Languages()[0]] == "":
		return "names.en", "the English name is missing"
	}
	for _, language := range slices.Sorted(maps.Keys(e.Names)) {
		name := e.Names[language]
		if !slices.Contains(Languages(), language) {
			return "names." + language, "names are in one of " + strings.Join(Languages(), ", ")
		}
		if strings.TrimSpace(name) != name || name == "" || len(name) > MaxName {
			return "names." + language, fmt.Sprintf("a name has 1 to %d bytes, and no spaces around it", MaxName)
		}
	}
	return e.placeFault()
}

func (e Entry) placeFault() (field, text string) {
	placed := e.Kind == Town || e.Kind == District
	switch {
	case !placed && e.Country != "":
		return "country", "only towns and districts have one"
	case placed && !isCountry(e.Country):
		return "country", fmt.Sprintf("%q is not a country: two capital letters as in ISO 3166-1", e.Country)
	case e.Kind != District && e.Town != "":
		return "town", "only districts have one"
	case !placed && e.Latitude != nil:
		return "latitude", "only towns and districts have one"
	case !placed && e.Longitude != nil:
		return "longitude", "only towns and districts have one"
	case placed && (e.Latitude == nil || !(*e.Latitude >= -90 && *e.Latitude <= 90)):
		return "latitude", "it is a number between -90 and 90"
	case placed && (e.Longitude == nil || !(*e.Longitude >= -180 && *e.Longitude <= 180)):
		return "longitude", "it is a number between -180 and 180"
	}
	return "", ""
}

func isCode(code string) bool {
	if len(code) > MaxCode {
		return false
	}
	for part := range strings.SplitSeq(code, "-") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

func isCountry(code string) bool {
	return len(code) == 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// Changes is what a load does to what is there.
type Changes struct {
	Added     []Entry
	Changed   []Entry // back from being withdrawn, too
	Withdrawn []Entry
	Unchanged int
}

// Compare returns what loading entries does. They are all that there is of each
// kind that they hold, and of towns and districts all of each country: what is
// missing there is withdrawn.
func Compare(there, entries []Entry) Changes {
	type key struct {
		Kind
		code string
	}
	type scope struct {
		Kind
		country string
	}
	before, loaded, covered := map[key]Entry{}, map[key]bool{}, map[scope]bool{}
	for _, e := range there {
		before[key{e.Kind, e.Code}] = e
	}
	var c Changes
	for _, e := range entries {
		was, known := before[key{e.Kind, e.Code}]
		loaded[key{e.Kind, e.Code}] = true
		covered[scope{e.Kind, e.Country}] = true
		if e.Kind == Town {
			covered[scope{District, e.Country}] = true
		}
		switch {
		case !known:
			c.Added = append(c.Added, e)
		case was.same(e):
			c.Unchanged++
		default:
			c.Changed = append(c.Changed, e)
		}
	}
	for _, e := range there {
		if !e.Withdrawn && covered[scope{e.Kind, e.Country}] && !loaded[key{e.Kind, e.Code}] {
			e.Withdrawn = true
			c.Withdrawn = append(c.Withdrawn, e)
		}
	}
	return c
}
