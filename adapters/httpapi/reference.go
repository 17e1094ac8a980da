package httpapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/reference"
)

// Reference answers what authorities say.
type Reference interface {
	List(ctx context.Context, f reference.Filter) (entries []reference.Entry, more bool, err error)
	Districts(ctx context.Context, towns []string) ([]reference.Entry, error)
	Entries(ctx context.Context, kind reference.Kind, codes ...string) (map[string]reference.Entry, error)
}

// Coded is a specialty or a qualification as the API shows it.
type Coded struct {
	Code      string            `json:"code" doc:"Stable; what profiles name" example:"cardiology"`
	Name      string            `json:"name" doc:"In the language asked for, or in English" example:"Cardiology"`
	Names     map[string]string `json:"names" doc:"By language" example:"{\"en\": \"Cardiology\"}"`
	Withdrawn bool              `json:"withdrawn" doc:"The authority has it no longer; profiles may still name it"`
}

// Town is a town as the API shows it.
type Town struct {
	Code      string            `json:"code" doc:"Stable; what profiles name" example:"pt-lisboa"`
	Name      string            `json:"name" doc:"In the language asked for, or in English" example:"Lisbon"`
	Names     map[string]string `json:"names" doc:"By language" example:"{\"en\": \"Lisbon\"}"`
	Country   string            `json:"country" doc:"ISO 3166-1" example:"PT"`
	Location  Location          `json:"location" doc:"Of its centre"`
	Districts []TownPart        `json:"districts" nullable:"false" doc:"In the order of their codes"`
	Withdrawn bool              `json:"withdrawn" doc:"The authority has it no longer; profiles may still name it"`
}

// TownPart is a district of a town.
type TownPart struct {
	Code     string            `json:"code" doc:"Stable; what profiles name" example:"pt-lisboa-belem"`
	Name     string            `json:"name" doc:"In the language asked for, or in English" example:"Belém"`
	Names    map[string]string `json:"names" doc:"By language" example:"{\"en\": \"Belém\"}"`
	Location Location          `json:"location" doc:"Of its centre"`
}

// OfferedSpecialty is a specialty on offer as the API shows it.
type OfferedSpecialty struct {
	Coded
	Practitioners int `json:"practitioners" doc:"How many have it" example:"12"`
}

// CodedParams are the parameters of a list of what authorities say.
type CodedParams struct {
	ListParams
	Language  string `query:"lang" enum:"en,ko,pt,ru" default:"en" doc:"The language of name, which the order is by; English where a name is missing" example:"pt"`
	Query     string `query:"q" maxLength:"100" doc:"Only those with this in a name of any language, or in the code; upper and lower case are the same" example:"cardio"`
	Withdrawn bool   `query:"withdrawn" doc:"List withdrawn ones, too"`
}

type townsInput struct {
	CodedParams
	Country string `query:"country" pattern:"^[A-Z]{2}$" doc:"Only those of this country: ISO 3166-1" example:"PT"`
}

type offeredInput struct {
	ListParams
	ID       string `path:"id" maxLength:"64" doc:"The town: a code of /v1/towns" example:"pt-lisboa"`
	Language string `query:"lang" enum:"en,ko,pt,ru" default:"en" doc:"The language of name, which the order is by; English where a name is missing" example:"pt"`
}

func (a *api) referenceRoutes() {
	list(a, operation{
		id: "listSpecialties", method: http.MethodGet, path: "/v1/specialties", tag: "Reference data", summary: "List specialties by name",
	}, a.coded(reference.Specialty))
	list(a, operation{
		id: "listQualifications", method: http.MethodGet, path: "/v1/qualifications", tag: "Reference data", summary: "List qualifications by name",
	}, a.coded(reference.Qualification))
	list(a, operation{
		id: "listTowns", method: http.MethodGet, path: "/v1/towns", tag: "Reference data", summary: "List towns by name, with their districts",
	}, a.towns)
	list(a, operation{
		id: "listSpecialtiesOfTown", method: http.MethodGet, path: "/v1/towns/{id}/specialties", tag: "Reference data",
		summary: "List the specialties on offer in a town by name", refusals: []*domain.Error{reference.ErrNoTown},
		detail: "Those of the practitioners who work at a clinic there that is not closed for good, with how many they are.",
	}, a.offered)
}

func (a *api) coded(kind reference.Kind) func(context.Context, *CodedParams, page[reference.Cursor]) (found[Coded, reference.Cursor], error) {
	return func(ctx context.Context, in *CodedParams, p page[reference.Cursor]) (found[Coded, reference.Cursor], error) {
		entries, f, err := referenced[Coded](ctx, a, in, reference.Filter{Kind: kind}, p)
		for _, e := range entries {
			f.items = append(f.items, Coded{e.Code, e.Name(in.Language), e.Names, e.Withdrawn})
		}
		return f, err
	}
}

func (a *api) towns(ctx context.Context, in *townsInput, p page[reference.Cursor]) (found[Town, reference.Cursor], error) {
	entries, f, err := referenced[Town](ctx, a, &in.CodedParams, reference.Filter{Kind: reference.Town, Country: in.Country}, p)
	if err != nil || len(entries) == 0 {
		return f, err
	}
	districts, err := a.Reference.Districts(ctx, mapped(entries, func(e reference.Entry) string { return e.Code }))
	parts := map[string][]TownPart{}
	for _, d := range districts {
		parts[d.Town] = append(parts[d.Town], TownPart{d.Code, d.Name(in.Language), d.Names, locationOf(d)})
	}
	for _, e := range entries {
		f.items = append(f.items, Town{
			Code: e.Code, Name: e.Name(in.Language), Names: e.Names, Country: e.Country, Location: locationOf(e),
			Districts: append([]TownPart{}, parts[e.Code]...), Withdrawn: e.Withdrawn,
		})
	}
	return f, err
}

// offered sorts and cuts by itself: there are never more specialties than the
// reference data has.
func (a *api) offered(ctx context.Context, in *offeredInput, p page[reference.Cursor]) (found[OfferedSpecialty, reference.Cursor], error) {
	answer := found[OfferedSpecialty, reference.Cursor]{items: []OfferedSpecialty{}}
	towns, _, err := a.Reference.List(ctx, reference.Filter{Kind: reference.Town, Query: in.ID, Withdrawn: true})
	if err == nil && !slices.ContainsFunc(towns, func(e reference.Entry) bool { return e.Code == in.ID }) {
		err = reference.ErrNoTown
	}
	if err != nil {
		return answer, err
	}
	offered, at, err := a.Directory.Offered(ctx, in.ID, in.atLeast())
	if err != nil {
		return answer, err
	}
	answer.position = at
	how := map[string]int{}
	for _, o := range offered {
		how[o.Specialty] = o.Practitioners
	}
	entries, _, err := a.Reference.List(ctx, reference.Filter{Kind: reference.Specialty, Language: in.Language, Withdrawn: true, After: p.after})
	for _, e := range entries {
		switch {
		case how[e.Code] == 0:
		case len(answer.items) == p.limit:
			last := answer.items[p.limit-1]
			answer.next = &reference.Cursor{Name: last.Name, Code: last.Code}
			return answer, err
		default:
			answer.items = append(answer.items, OfferedSpecialty{Coded{e.Code, e.Name(in.Language), e.Names, e.Withdrawn}, how[e.Code]})
		}
	}
	return answer, err
}

// referenced reads a list of entries. What is not in the log reflects all of
// it, so that the list's position is the log's end.
func referenced[T any](
	ctx context.Context, a *api, in *CodedParams, f reference.Filter, p page[reference.Cursor],
) ([]reference.Entry, found[T, reference.Cursor], error) {
	f.Language, f.Query, f.Withdrawn, f.After, f.Limit = in.Language, in.Query, in.Withdrawn, p.after, p.limit
	answer := found[T, reference.Cursor]{items: []T{}}
	if err := a.known(ctx, in.atLeast()); err != nil {
		return nil, answer, err
	}
	var err error
	if answer.position, err = a.Head(ctx); err != nil {
		return nil, answer, err
	}
	entries, more, err := a.Reference.List(ctx, f)
	if more {
		last := entries[len(entries)-1]
		answer.next = &reference.Cursor{Name: last.Name(in.Language), Code: last.Code}
	}
	return entries, answer, err
}

func locationOf(e reference.Entry) (at Location) {
	if e.Latitude != nil && e.Longitude != nil {
		at = Location{*e.Latitude, *e.Longitude}
	}
	return at
}
