package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slotbook/slotbook/adapters/referencedata"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/reference"
)

// population is who there is: clinics in the towns of the reference data, those
// who work there, and those who come. All of it follows from a number of its
// own: the n-th is the same in every run.
type population struct {
	clinics, practitioners, patients int
	towns, specialties, learnt       []reference.Entry
	districts                        map[string][]reference.Entry // by the code of their town
	zones                            map[string]*time.Location    // by country
}

// newPopulation returns a population of that many.
func newPopulation(clinics, practitioners, patients int) (population, error) {
	p := population{clinics: clinics, practitioners: practitioners, patients: patients, districts: map[string][]reference.Entry{}}
	p.zones = map[string]*time.Location{}
	for country, name := range zoneNames {
		var err error
		if p.zones[country], err = domain.Zone(name); err != nil {
			return p, err
		}
	}
	entries, err := referencedata.Builtin()
	for _, e := range entries {
		switch e.Kind {
		case reference.Town:
			p.towns = append(p.towns, e)
		case reference.District:
			p.districts[e.Town] = append(p.districts[e.Town], e)
		case reference.Specialty:
			p.specialties = append(p.specialties, e)
		case reference.Qualification:
			p.learnt = append(p.learnt, e)
		}
	}
	return p, err
}

// luck is what chance holds for the n-th of a kind.
type luck struct{ *rand.Rand }

func chance(kind string, n int) luck {
	seed := uint64(len(kind))
	for _, b := range []byte(kind) {
		seed = seed*31 + uint64(b)
	}
	return luck{rand.New(rand.NewPCG(seed, uint64(n)))} //nolint:gosec // the same in every run
}

// of reports what happens so often, in percent.
func (l luck) of(percent int) bool { return l.IntN(100) < percent }

// pick returns one of the items, the first ones more often.
func pick[T any](l luck, items []T) T {
	x := l.Float64()
	return items[int(x*x*float64(len(items)))]
}

func clinicID(n int) domain.ClinicID {
	return domain.ClinicID(domain.NewID("load", "clinic", strconv.Itoa(n)))
}

func practitionerID(n int) domain.PractitionerID {
	return domain.PractitionerID(domain.NewID("load", "practitioner", strconv.Itoa(n)))
}

func patientID(n int) domain.PatientID {
	return domain.PatientID(domain.NewID("load", "patient", strconv.Itoa(n)))
}

// town returns where the n-th clinic is.
func (p population) town(n int) reference.Entry { return pick(chance("town", n), p.towns) }

// zoneNames is by country: the zone that most of it has.
var zoneNames = map[string]string{"BR": "America/Sao_Paulo", "KR": "Asia/Seoul", "PT": "Europe/Lisbon", "RU": "Europe/Moscow"}

// clinicFacts are the events of the n-th clinic.
func (p population) clinicFacts(n int) []fact {
	id, l := clinicID(n), chance("clinic", n)
	profile := p.clinicProfile(n)
	facts := []fact{{clinic.Stream(id), clinic.Registered{Clinic: id, Profile: profile}}}
	if l.of(3) {
		facts = append(facts, fact{clinic.Stream(id), clinic.CalendarSet{Clinic: id, Zone: profile.Zone, Calendar: domain.Calendar{Open24h: true}}})
	}
	if l.of(20) {
		s := policy.Scope{Kind: policy.OfClinic, ID: string(id)}
		terms := policy.Terms{MinNotice: new(60 * (1 + l.IntN(24))), Horizon: new((14 + l.IntN(60)) * 24 * 60)}
		facts = append(facts, fact{s.Stream(), policy.WasSet{Scope: s, Terms: terms}})
	}
	return facts
}

func (p population) clinicProfile(n int) clinic.Profile {
	l, town := chance("clinic profile", n), p.town(n)
	words := wordsOf[town.Country]
	at, district := town, ""
	if all := p.districts[town.Code]; len(all) > 0 {
		at = pick(l, all)
		district = at.Code
	}
	const spread = 0.03 // degrees, about 3 km
	profile := clinic.Profile{
		Name: pick(l, words.houses) + " " + pick(l, words.saints) + " " + strconv.Itoa(1+n/len(p.towns)), Zone: zoneNames[town.Country],
		Address: fmt.Sprintf("%s %d, %s", pick(l, words.streets), 1+l.IntN(300), town.Names[words.language]),
		Town:    town.Code, District: district, Country: town.Country, Phone: fmt.Sprintf("+351 21%07d", n),
		Email: fmt.Sprintf("clinic%d@example.org", n), Site: fmt.Sprintf("https://clinic%d.example.org", n), Ownership: clinic.Private,
		Location: &clinic.Location{Latitude: *at.Latitude + spread*l.NormFloat64(), Longitude: *at.Longitude + spread*l.NormFloat64()},
	}
	if l.of(30) {
		profile.Ownership = clinic.OfState
	}
	if l.of(50) {
		profile.Description = strings.Repeat(words.introduction+" ", 1+l.IntN(3))
	}
	return profile
}

// worksAt returns the clinics of the n-th practitioner, by number.
func (p population) worksAt(n int) []int {
	first := n % p.clinics
	if l := chance("second clinic", n); l.of(15) && p.clinics > 1 {
		return []int{first, (first + 1 + l.IntN(p.clinics-1)) % p.clinics}
	}
	return []int{first}
}

func (p population) practitionerFacts(n int) []fact {
	id := practitionerID(n)
	return []fact{{practitioner.Stream(id), practitioner.Registered{Practitioner: id, Profile: p.practitionerProfile(n)}}}
}

func (p population) practitionerProfile(n int) practitioner.Profile {
	l, country := chance("practitioner", n), p.town(p.worksAt(n)[0]).Country
	words := wordsOf[country]
	profile := practitioner.Profile{Name: words.person(l), Languages: slices.Clone(words.speaks)}
	for _, c := range p.worksAt(n) {
		profile.Clinics = append(profile.Clinics, clinicID(c))
	}
	for range 1 + max(0, l.IntN(5)-3) {
		if s := pick(l, p.specialties).Code; !slices.Contains(profile.Specialties, s) {
			profile.Specialties = append(profile.Specialties, s)
		}
	}
	for i := range 1 + l.IntN(3) {
		q := practitioner.Qualification{Code: pick(l, p.learnt).Code, Year: 1980 + l.IntN(40), Institute: pick(l, words.saints)}
		if i == 2 && l.of(30) {
			q.Code, q.Name = "", pick(l, treatments)+" "+words.introduction[:strings.IndexByte(words.introduction, ' ')]
		}
		profile.Qualifications = append(profile.Qualifications, q)
	}
	if l.of(40) {
		profile.Treatments = []string{pick(l, treatments)}
	}
	if l.of(30) {
		profile.Languages = append(profile.Languages, "en")
	}
	if l.of(50) {
		profile.Introduction = strings.Repeat(words.introduction+" ", 1+l.IntN(4))
	}
	if l.of(25) {
		profile.Fees = []practitioner.Fee{{VisitType: "first", Amount: int64(4000 + 500*l.IntN(10)), Currency: "EUR"}}
	}
	return profile
}

// patientName returns the name and the telephone number of the n-th patient.
func patientName(n int) (name, phone string) {
	l := chance("patient", n)
	return wordsOf[pick(l, []string{"PT", "BR", "RU", "KR"})].person(l), fmt.Sprintf("+351 9%08d", l.IntN(100_000_000))
}

func patientFacts(n int) []fact {
	id := patientID(n)
	name, phone := patientName(n)
	sealed := func(text string) domain.Sealed { return domain.Open(string(id), text) }
	return []fact{{patient.Stream(id), patient.Registered{
		Patient: id, Name: sealed(name), Email: sealed(fmt.Sprintf("patient%d@example.org", n)), Phone: sealed(phone),
	}}}
}
