package practitioner_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/practitioner"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[practitioner.State, practitioner.Command, practitioner.Event]{
		Decide: practitioner.Decide, Evolve: practitioner.Evolve,
	}
	profile := practitioner.Profile{Name: "Dr. Silva", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{"c"}}
	with := func(change func(*practitioner.Profile)) practitioner.Register {
		p := profile
		change(&p)
		return practitioner.Register{Practitioner: "p", Profile: p}
	}
	known := practitioner.Registered{Practitioner: "p", Profile: profile}

	t.Run("makes a practitioner known",
		spec.Given().When(with(func(*practitioner.Profile) {})).Then(known))
	t.Run("is refused without a name",
		spec.Given().When(with(func(p *practitioner.Profile) { p.Name = "" })).ThenRefuse(practitioner.ErrNoName))
	t.Run("is refused without a clinic",
		spec.Given().When(with(func(p *practitioner.Profile) { p.Clinics = nil })).ThenRefuse(practitioner.ErrNoClinic))
	t.Run("names each clinic once",
		spec.Given().When(with(func(p *practitioner.Profile) { p.Clinics = []domain.ClinicID{"c", "c"} })).ThenRefuse(practitioner.ErrNoClinic))
	t.Run("names each specialty once",
		spec.Given().When(with(func(p *practitioner.Profile) { p.Specialties = []string{"x", "x"} })).ThenRefuse(practitioner.ErrSpecialty))
	t.Run("of a known id with another profile is refused",
		spec.Given(known).When(with(func(p *practitioner.Profile) { p.Name = "Dr. Souza" })).ThenRefuse(practitioner.ErrExists))
}

func TestAProfile(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[practitioner.State, practitioner.Command, practitioner.Event]{Decide: practitioner.Decide, Evolve: practitioner.Evolve}
	profile := practitioner.Profile{
		Name: "Dr. Ana", Specialties: []string{"cardiology", "surgery"}, Clinics: []domain.ClinicID{"c"}, Introduction: "Hello.",
		Qualifications: []practitioner.Qualification{{Code: "md", Year: 2008, Institute: "USP"}, {Name: "Lasers", Year: 2016}},
		Treatments:     []string{"Laser"}, Languages: []string{"pt-BR", "zh-Hant-TW", "es-419", "en"},
		Fees: []practitioner.Fee{{VisitType: "v", Amount: 0, Currency: "BRL"}}, Council: practitioner.Council{Number: "12345"},
	}
	in := func(state string) practitioner.Known {
		return practitioner.Known{State: state, CouncilKey: "k" + state, Year: 2026}
	}
	placed := profile
	placed.Council.State = "SP"
	known := practitioner.Registered{Practitioner: "p", Profile: practitioner.Profile{Name: "Dr. Ana", Clinics: profile.Clinics}}
	full := practitioner.Changed{Practitioner: "p", Profile: placed, CouncilKey: "kSP"}
	refused := func(what string, rule error, change func(*practitioner.Profile)) {
		p := profile
		change(&p)
		t.Run("is refused "+what, spec.Given(known).When(practitioner.Change{Profile: p, Known: in("SP")}).ThenRefuse(rule))
	}

	t.Run("is changed as a whole", spec.Given(known).When(practitioner.Change{Profile: profile, Known: in("SP")}).Then(full))
	t.Run("is registered as a whole", spec.Given().When(practitioner.Register{Practitioner: "p", Profile: profile, Known: in("SP")}).
		Then(practitioner.Registered{Practitioner: "p", Profile: placed, CouncilKey: "kSP"}))
	t.Run("that has changed is registered again as it was: nothing happens",
		spec.Given(known, full).When(practitioner.Register{Practitioner: "p", Profile: known.Profile, Known: practitioner.Known{Year: 2026}}).Then())
	t.Run("keeps a code that the authority has withdrawn", spec.Given(known, full).When(practitioner.Change{
		Profile: profile, Known: practitioner.Known{State: "SP", CouncilKey: "kSP", Year: 2026, Unknown: []string{"surgery", "md"}},
	}).Then())
	t.Run("is refused with a code that nobody knows", spec.Given(known).When(practitioner.Change{
		Profile: profile, Known: practitioner.Known{State: "SP", Year: 2026, Unknown: []string{"surgery"}},
	}).ThenRefuse(practitioner.ErrUnknown))
	t.Run("is refused to who is not there", spec.Given().When(practitioner.Change{Profile: profile, Known: in("SP")}).ThenRefuse(practitioner.ErrNotFound))
	t.Run("has a council number only where a clinic is in Brazil",
		spec.Given(known).When(practitioner.Change{Profile: profile, Known: in("")}).ThenRefuse(practitioner.ErrNoState))
	refused("without a name", practitioner.ErrNoName, func(p *practitioner.Profile) { p.Name = "" })
	refused("without a clinic", practitioner.ErrNoClinic, func(p *practitioner.Profile) { p.Clinics = nil })
	refused("with a specialty twice", practitioner.ErrSpecialty, func(p *practitioner.Profile) { p.Specialties = []string{"a", "a"} })
	refused("with a book of an introduction", practitioner.ErrTooLong, func(p *practitioner.Profile) { p.Introduction = strings.Repeat("x", 5001) })
	refused("with an empty treatment", practitioner.ErrTreatments, func(p *practitioner.Profile) { p.Treatments = []string{" "} })
	for _, language := range []string{"portuguese", "PT", "pt-br", "pt_BR", "p", "zh-hant", "pt-BR-x"} {
		refused("in the language "+language, practitioner.ErrLanguage, func(p *practitioner.Profile) { p.Languages = []string{language} })
	}
	for what, q := range map[string]practitioner.Qualification{
		"without a code or a name": {Year: 2000}, "with a code and a name": {Code: "md", Name: "MD", Year: 2000}, "of the future": {Code: "md", Year: 2027},
		"of long ago": {Code: "md", Year: 1899},
	} {
		refused("with a qualification "+what, practitioner.ErrQualification, func(p *practitioner.Profile) { p.Qualifications = []practitioner.Qualification{q} })
	}
	refused("with a qualification twice", practitioner.ErrQualification, func(p *practitioner.Profile) {
		p.Qualifications = []practitioner.Qualification{{Code: "md", Year: 2000}, {Code: "md", Year: 2000}}
	})
	refused("with a long institute", practitioner.ErrTooLong, func(p *practitioner.Profile) {
		p.Qualifications = []practitioner.Qualification{{Code: "md", Year: 2000, Institute: strings.Repeat("x", 201)}}
	})
	for what, f := range map[string]practitioner.Fee{
		"below nothing": {VisitType: "v", Amount: -1, Currency: "BRL"}, "in no currency": {VisitType: "v", Currency: "brl"}, "of nothing": {Currency: "BRL"},
	} {
		refused("with a fee "+what, practitioner.ErrFees, func(p *practitioner.Profile) { p.Fees = []practitioner.Fee{f} })
	}
	refused("with two fees of a visit type", practitioner.ErrFees, func(p *practitioner.Profile) { p.Fees = append(p.Fees, p.Fees[0]) })
	for _, number := range []string{"123", "12345678", "12a45"} {
		refused("with the council number "+number, practitioner.ErrCouncil, func(p *practitioner.Profile) { p.Council.Number = number })
	}

	t.Run("has a council number that follows the clinics", spec.Given(known, full).When(practitioner.Follow{Known: in("RJ")}).
		Then(practitioner.CouncilMoved{Practitioner: "p", Council: practitioner.Council{Number: "12345", State: "RJ"}, CouncilKey: "kRJ"}))
	t.Run("keeps its council number out of Brazil", spec.Given(known, full).When(practitioner.Follow{}).Then())
	t.Run("without a council number follows nobody", spec.Given(known).When(practitioner.Follow{Known: in("RJ")}).Then())
	t.Run("of nobody follows nobody", spec.Given().When(practitioner.Follow{}).ThenRefuse(practitioner.ErrNotFound))
	t.Run("a claim of a council number that came to nothing is noted",
		spec.Given(known).When(practitioner.LapseCouncil{Practitioner: "p", Key: "k", Set: 2}).Then(practitioner.CouncilLapsed{Practitioner: "p", Key: "k", Set: 2}))
	require.Equal(t, 2008, profile.Since())
	require.Zero(t, known.Profile.Since())
}

func TestTheStateOfAPostalCode(t *testing.T) {
	t.Parallel()
	for code, state := range map[string]string{
		"01310-100": "SP", "19999999": "SP", "22041-001": "RJ", "29010-000": "ES", "40010-000": "BA", "49010-000": "SE", "68899-999": "PA", "68900-000": "AP",
		"69005-000": "AM", "69301-000": "RR", "69400-000": "AM", "69900-000": "AC", "70040-010": "DF", "72800-000": "GO", "73000-000": "DF", "74000-000": "GO",
		"76801-000": "RO", "77001-000": "TO", "78005-000": "MT", "79002-000": "MS", "80010-000": "PR", "88010-000": "SC", "90010-000": "RS",
		"00999-999": "", "1300-001": "", "ABCDE-000": "", "": "",
	} {
		require.Equal(t, state, practitioner.StateOf(code), code)
	}
}

func TestAPicture(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[practitioner.State, practitioner.Command, practitioner.Event]{Decide: practitioner.Decide, Evolve: practitioner.Evolve}
	known := practitioner.Registered{Practitioner: "p", Profile: practitioner.Profile{Name: "Dr. Ana", Clinics: []domain.ClinicID{"c"}}}
	shown, removed := practitioner.PictureShown{Practitioner: "p", Picture: "a1"}, practitioner.PictureRemoved{Practitioner: "p"}
	show := practitioner.ShowPicture{Picture: "a1"}

	t.Run("is shown", spec.Given(known).When(show).Then(shown))
	t.Run("that is shown already changes nothing", spec.Given(known, shown).When(show).Then())
	t.Run("takes the place of another",
		spec.Given(known, shown).When(practitioner.ShowPicture{Picture: "b2"}).Then(practitioner.PictureShown{Practitioner: "p", Picture: "b2"}))
	t.Run("is removed", spec.Given(known, shown).When(practitioner.RemovePicture{}).Then(removed))
	t.Run("that there is not is removed already", spec.Given(known, shown, removed).When(practitioner.RemovePicture{}).Then())
	t.Run("is shown again", spec.Given(known, shown, removed).When(show).Then(shown))
	t.Run("is of somebody", spec.Given().When(show).ThenRefuse(practitioner.ErrNotFound))
	t.Run("of nobody is not removed", spec.Given().When(practitioner.RemovePicture{}).ThenRefuse(practitioner.ErrNotFound))
}
