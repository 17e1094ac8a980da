package practitioner_test

import (
	"testing"

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
