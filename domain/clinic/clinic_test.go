package clinic_test

import (
	"testing"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/domaintest"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[clinic.State, clinic.Command, clinic.Event]{Decide: clinic.Decide, Evolve: clinic.Evolve}
	profile := clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon", Location: &clinic.Location{}}
	with := func(change func(*clinic.Profile)) clinic.Register {
		p := profile
		change(&p)
		return clinic.Register{Clinic: "c", Profile: p}
	}
	known := clinic.Registered{Clinic: "c", Profile: profile}

	t.Run("makes a clinic known, also where the equator meets Greenwich",
		spec.Given().When(with(func(*clinic.Profile) {})).Then(known))
	t.Run("is refused without a name",
		spec.Given().When(with(func(p *clinic.Profile) { p.Name = " " })).ThenRefuse(clinic.ErrNoName))
	t.Run("is refused without a zone",
		spec.Given().When(with(func(p *clinic.Profile) { p.Zone = "" })).ThenRefuse(domain.ErrBadZone))
	t.Run("is refused off the map",
		spec.Given().When(with(func(p *clinic.Profile) { p.Location = &clinic.Location{Latitude: 90.1} })).ThenRefuse(clinic.ErrLocation))
	t.Run("of a known id with another profile is refused",
		spec.Given(known).When(with(func(p *clinic.Profile) { p.Name = "Sunset" })).ThenRefuse(clinic.ErrExists))
}
