package httpapi

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/reference"
	"github.com/slotbook/slotbook/projections"
)

// FoundPractitioner is a practitioner whom a search found.
type FoundPractitioner struct {
	Practitioner
	Matched  []string `json:"matched,omitempty" nullable:"false" enum:"name,specialty,clinic,treatment,qualification" doc:"Where the words of q were found" example:"[\"name\"]"`
	Distance *float64 `json:"distance,omitempty" doc:"Metres from near to the nearest clinic where the practitioner works" example:"1250.5"`
	Rating   Average  `json:"rating"`
	NextFree *Slot    `json:"nextFree,omitempty" doc:"The slot that sort=earliest goes by"`
}

// FoundClinic is a clinic that a search found.
type FoundClinic struct {
	Clinic
	Open24h     bool     `json:"open24h,omitempty" doc:"Open round the clock"`
	Bookable    bool     `json:"bookable" doc:"There is a free slot from now on; policies may still keep a visit from being booked"`
	Specialties []string `json:"specialties" nullable:"false" doc:"Codes of those on offer: of the practitioners who work there"`
	Matched     []string `json:"matched,omitempty" nullable:"false" enum:"name,address,specialty" doc:"Where the words of q were found" example:"[\"name\"]"`
	Distance    *float64 `json:"distance,omitempty" doc:"Metres from near" example:"1250.5"`
	Rating      Average  `json:"rating"`
}

// Average is how something is rated, in short.
type Average struct {
	Average *float64 `json:"average" nullable:"true" doc:"Of the stars, in hundredths; null when there are no reviews" example:"4.33"`
	Count   int      `json:"count" doc:"How many reviews the public sees" example:"3"`
}

// SearchParams are the parameters of every search.
type SearchParams struct {
	ListParams
	AreaParams
}

// AreaParams say where something is to be.
type AreaParams struct {
	Town     string `query:"town" maxLength:"64" doc:"Only in this town: a code of /v1/towns, and refused when it is none" example:"pt-lisboa"`
	District string `query:"district" maxLength:"64" doc:"Only in this district: a code of /v1/towns, and refused when it is none" example:"pt-lisboa-belem"`
	Near     string `query:"near" maxLength:"64" doc:"Only within radius of this place: its latitude and longitude in degrees" example:"38.7,-9.1"`
	Radius   int    `query:"radius" doc:"How far away from near, in metres, 1 to 20100000; absent = 50000" example:"5000"`
}

type practitionersInput struct {
	SearchParams
	Query         string    `query:"q" maxLength:"200" doc:"Only those who have every one of these words, 8 at most, in their name, a specialty in any language, a clinic's name, a treatment or a qualification. Case and accents do not matter, nor does one typing error in most words of five letters or more; the beginning of a word will do, and of Hangul the initial consonants. Blank = no filter; without a letter or digit it is refused" example:"cardio"`
	ClinicID      string    `query:"clinicId" maxLength:"64" doc:"Only those who work at this clinic"`
	Specialty     string    `query:"specialty" maxLength:"100" doc:"Only those with this specialty: a code of /v1/specialties, and refused when it is none" example:"cardiology"`
	Qualification string    `query:"qualification" maxLength:"200" doc:"Only those with this one: a code of /v1/qualifications, or the name of one without" example:"md"`
	Treatment     string    `query:"treatment" maxLength:"200" doc:"Only those with this one" example:"Laser"`
	Language      string    `query:"language" pattern:"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$" maxLength:"35" doc:"Only those who speak it: BCP 47; pt finds pt-BR, too" example:"pt"`
	MinRating     float64   `query:"minRating" minimum:"1" maximum:"5" doc:"Only those whose average is at least this" example:"4"`
	OpenAt        time.Time `query:"openAt" doc:"Only those at work at this instant, booked or not, at a clinic of the area asked for: one of their slots covers it. Breaks, the minute that ends their hours, days off, absences, closing days and changed hours count as they are; a day that is not open for booking yet counts as closed" example:"2026-03-30T10:00:00+01:00"`
	Weekday       string    `query:"weekday" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"Only those with hours on this weekday by a weekly schedule that has not ended, at a clinic of the area asked for" example:"monday"`
	AvailableFrom time.Time `query:"availableFrom" doc:"Only those with a free slot, as GET /v1/slots shows it, that starts at this instant or later, at a clinic of the area asked for; absent with availableTo = now" example:"2026-03-30T00:00:00Z"`
	AvailableTo   time.Time `query:"availableTo" doc:"Only those with a free slot that starts before this instant; absent with availableFrom = no end" example:"2026-04-06T00:00:00Z"`
	Sort          string    `query:"sort" enum:"relevance,distance,earliest,rating,popular" default:"relevance" doc:"relevance: what q fits best first, and then by name; distance: the nearest first, with near; earliest: whose next free slot starts first, from now on or as availableFrom and availableTo have it, and only who has one; rating: the best average first; popular: who is booked most these days first, a booking counting half as much every ten days. Then by id"`
}

type clinicsInput struct {
	SearchParams
	Query      string    `query:"q" maxLength:"200" doc:"Only those that have every one of these words, 8 at most, in their name, their address or a specialty on offer in any language. Case and accents do not matter, nor does one typing error in most words of five letters or more; the beginning of a word will do, and of Hangul the initial consonants. Blank = no filter; without a letter or digit it is refused" example:"central"`
	Specialty  string    `query:"specialty" maxLength:"100" doc:"Only those with somebody of this specialty: a code of /v1/specialties, and refused when it is none" example:"cardiology"`
	StateOwned string    `query:"stateOwned" enum:"true,false" doc:"true: only those of the state; false: only private ones"`
	Open24h    string    `query:"open24h" enum:"true,false" doc:"true: only those open round the clock; false: only the others"`
	OpenAt     time.Time `query:"openAt" doc:"Only those open at this instant by their calendar, or, where that says neither round the clock nor hours, by a slot of anybody there that covers it" example:"2026-03-30T10:00:00+01:00"`
	Sort       string    `query:"sort" enum:"relevance,distance,rating" default:"relevance" doc:"relevance: what q fits best first, and then by name; distance: the nearest first, with near; rating: the best average first. Then by id"`
}

// errNoWord refuses a question that nothing could be found by.
var errNoWord = domain.Refusal(domain.Invalid, "search.no-word", "q has no letter and no digit to look for: leave it out for no filter")

// areaRefusals are those of whatever is looked for in an area and by specialty.
func areaRefusals(more ...*domain.Error) []*domain.Error {
	return append(more, projections.ErrNear, projections.ErrRadius, errUnknownCode)
}

// searchRefusals are the refusals of every search.
func searchRefusals() []*domain.Error {
	return areaRefusals(projections.ErrSort, projections.ErrWords, errNoWord)
}

// searchesOverTime are the refusals of a search for practitioners.
func searchesOverTime() []*domain.Error {
	return append(searchRefusals(), projections.ErrOpenAt, domain.ErrBadPeriod)
}

// searched reads where a search is to look, once there are such places and
// specialties.
func (a *api) searched(ctx context.Context, p AreaParams, specialties ...string) (projections.Area, error) {
	if err := a.knows(ctx, "specialty", reference.Specialty, specialties...); err != nil {
		return projections.Area{}, err
	}
	if err := a.knows(ctx, "town", reference.Town, p.Town); err != nil {
		return projections.Area{}, err
	}
	if err := a.knows(ctx, "district", reference.District, p.District); err != nil {
		return projections.Area{}, err
	}
	return p.area(ctx)
}

// area reads where a search is to look.
func (p AreaParams) area(ctx context.Context) (projections.Area, error) {
	area := projections.Area{Town: p.Town, District: p.District, Radius: float64(p.Radius)}
	query, _ := url.ParseQuery(exchangeOf(ctx).query) // it has been parsed before
	if query.Get("radius") != "" && p.Radius == 0 {
		return area, projections.ErrRadius
	}
	if p.Near == "" {
		return area, nil
	}
	north, east, _ := strings.Cut(p.Near, ",")
	latitude, err := strconv.ParseFloat(strings.TrimSpace(north), 64)
	if err != nil {
		return area, projections.ErrNear
	}
	longitude, err := strconv.ParseFloat(strings.TrimSpace(east), 64)
	if err != nil {
		return area, projections.ErrNear
	}
	area.Near = &projections.Point{Latitude: latitude, Longitude: longitude}
	return area, nil
}

// wordsOf returns the words of q: none when it is blank. One of which nothing is
// left, such as a question mark, is refused.
func wordsOf(q string) ([]string, error) {
	words := projections.Words(q)
	if len(words) == 0 && strings.TrimSpace(q) != "" {
		return nil, errNoWord
	}
	return words, nil
}

// words returns the words of q, and what they may be part of the names of.
func (a *api) words(ctx context.Context, q string) (words []string, names *projections.Names, err error) {
	if words, err = wordsOf(q); len(words) == 0 {
		return nil, nil, err
	}
	names, err = a.names.get(ctx, a.Reference, a.Now())
	return words, names, err
}

// names are the names of the reference data, as they were a moment ago. The zero
// value is ready.
type names struct {
	mu    sync.Mutex
	until time.Time // then they are asked for again
	all   []projections.Named
	names *projections.Names
}

// namesKept is how long what was loaded anew may go unseen.
const namesKept = 5 * time.Second

func (n *names) get(ctx context.Context, from Reference, now time.Time) (*projections.Names, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names != nil && now.Before(n.until) {
		return n.names, nil
	}
	var all []projections.Named
	for _, kind := range []reference.Kind{reference.Specialty, reference.Qualification} {
		entries, _, err := from.List(ctx, reference.Filter{Kind: kind, Withdrawn: true})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			for _, language := range slices.Sorted(maps.Keys(e.Names)) {
				all = append(all, projections.Named{Kind: string(kind), Code: e.Code, Name: e.Names[language]})
			}
		}
	}
	if n.names == nil || !slices.Equal(all, n.all) {
		n.all, n.names = all, projections.NewNames(all)
	}
	n.until = now.Add(namesKept)
	return n.names, nil
}

func (a *api) practitioners(
	ctx context.Context, in *practitionersInput, p page[projections.SearchCursor],
) (found[FoundPractitioner, projections.SearchCursor], error) {
	var none found[FoundPractitioner, projections.SearchCursor]
	area, err := a.searched(ctx, in.AreaParams, in.Specialty)
	if err != nil {
		return none, err
	}
	area.Clinic = domain.ClinicID(in.ClinicID)
	words, names, err := a.words(ctx, in.Query)
	if err != nil {
		return none, err
	}
	rows, err := a.Directory.FindPractitioners(ctx, projections.PractitionerSearch{
		Words: words, Names: names, Specialty: in.Specialty, Qualification: in.Qualification, Treatment: in.Treatment, Language: in.Language,
		Area: area, MinRating: in.MinRating, OpenAt: in.OpenAt, Weekday: weekdayOf(in.Weekday), Free: in.free(), Now: a.Now(),
		Sort: projections.Sort(in.Sort), After: p.after, Limit: p.limit,
	}, in.atLeast())
	return shown(rows, err, func(f projections.PractitionerFound) (FoundPractitioner, error) {
		shown := FoundPractitioner{
			Practitioner: a.practitionerOf(practitioner.State{ID: f.ID, Picture: f.Picture, Profile: practitioner.Profile{
				Name: f.Name, Specialties: f.Specialties, Clinics: f.Clinics, Introduction: f.Introduction, Qualifications: f.Qualifications,
				Treatments: f.Treatments, Languages: f.Languages, Fees: f.Fees, Council: f.Council,
			}}),
			Matched: f.Matched, Distance: tenths(f.Distance), Rating: averageOf(f.Stars, f.Reviews),
		}
		if f.NextFree == nil {
			return shown, nil
		}
		next, err := a.slotOf(ctx, *f.NextFree)
		shown.NextFree = &next
		return shown, err
	})
}

// free returns when a free slot is to start, nil when nobody asked.
func (in *practitionersInput) free() *projections.Starting {
	if in.AvailableFrom.IsZero() && in.AvailableTo.IsZero() {
		return nil
	}
	return &projections.Starting{From: in.AvailableFrom, To: in.AvailableTo}
}

func weekdayOf(name string) *time.Weekday {
	if d, ok := domain.ParseWeekday(name); ok {
		return &d
	}
	return nil
}

func (a *api) clinics(
	ctx context.Context, in *clinicsInput, p page[projections.SearchCursor],
) (found[FoundClinic, projections.SearchCursor], error) {
	var none found[FoundClinic, projections.SearchCursor]
	area, err := a.searched(ctx, in.AreaParams, in.Specialty)
	if err != nil {
		return none, err
	}
	words, names, err := a.words(ctx, in.Query)
	if err != nil {
		return none, err
	}
	s := projections.ClinicSearch{
		Words: words, Names: names, Specialty: in.Specialty, OpenAt: in.OpenAt, Area: area, Sort: projections.Sort(in.Sort), After: p.after, Limit: p.limit,
		Ownership: map[string]string{"true": clinic.OfState, "false": clinic.Private}[in.StateOwned],
	}
	if in.Open24h != "" {
		s.Open24h = new(in.Open24h == "true")
	}
	rows, err := a.Directory.FindClinics(ctx, s, a.Now(), in.atLeast())
	return shown(rows, err, func(f projections.ClinicFound) (FoundClinic, error) { return foundClinic(f), nil })
}

func foundClinic(f projections.ClinicFound) FoundClinic {
	s := clinic.State{ID: f.ID, Closed: f.Closed, Profile: clinic.Profile{
		Name: f.Name, Zone: f.Zone, Address: f.Address, Town: f.Town, District: f.District, PostalCode: f.PostalCode, Country: f.Country,
		Phone: f.Phone, Email: f.Email, Site: f.Site, Description: f.Description, Ownership: f.Ownership,
	}}
	if f.Latitude != nil && f.Longitude != nil {
		s.Location = &clinic.Location{Latitude: *f.Latitude, Longitude: *f.Longitude}
	}
	return FoundClinic{
		Clinic: clinicOf(s), Open24h: f.Open24h, Bookable: f.Bookable, Specialties: append([]string{}, f.Specialties...), Matched: f.Matched,
		Distance: tenths(f.Distance), Rating: averageOf(f.Stars, f.Reviews),
	}
}

// tenths rounds metres to what is worth showing.
func tenths(metres *float64) *float64 {
	if metres == nil {
		return nil
	}
	return new(float64(int64(*metres*10+0.5)) / 10)
}

// averageOf rounds half up, as [projections.Rating] does.
func averageOf(stars, reviews int) Average {
	if reviews == 0 {
		return Average{}
	}
	return Average{new(float64((stars*200+reviews)/(reviews*2)) / 100), reviews}
}
