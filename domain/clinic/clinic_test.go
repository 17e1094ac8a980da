package clinic_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

func TestSetCalendar(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[clinic.State, clinic.Command, clinic.Event]{Decide: clinic.Decide, Evolve: clinic.Evolve}
	profile := clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon"}
	known := clinic.Registered{Clinic: "c", Profile: profile}
	hours := func(weekday, from, to int) domain.Hours {
		return domain.Hours{Weekday: weekday, From: domain.WallTime(from * 60), To: domain.WallTime(to * 60)}
	}
	set := func(c domain.Calendar) clinic.SetCalendar { return clinic.SetCalendar{Calendar: c} }
	week := domain.Calendar{Hours: []domain.Hours{hours(1, 8, 12), hours(1, 14, 18), hours(6, 20, 2)}}
	holidays := func(days ...domain.Day) (c domain.Calendar) {
		for _, d := range days {
			c.ClosingDays = append(c.ClosingDays, domain.ClosingDay{Day: d, Reason: "holiday"})
		}
		return c
	}
	now := func(zone string, c domain.Calendar) clinic.CalendarSet {
		return clinic.CalendarSet{Clinic: "c", Zone: zone, Calendar: c}
	}

	t.Run("gives a clinic several opening hours a weekday, past midnight too",
		spec.Given(known).When(set(week)).Then(now("Europe/Lisbon", week)))
	t.Run("opens it round the clock",
		spec.Given(known).When(set(domain.Calendar{Open24h: true})).Then(now("Europe/Lisbon", domain.Calendar{Open24h: true})))
	t.Run("closes it on dates, whatever their order",
		spec.Given(known).When(set(holidays("2026-12-25", "2026-06-10"))).Then(now("Europe/Lisbon", holidays("2026-06-10", "2026-12-25"))))
	t.Run("takes every restriction away",
		spec.Given(known, now("Europe/Lisbon", week)).When(set(domain.Calendar{})).Then(now("Europe/Lisbon", domain.Calendar{})))
	t.Run("moves it to another zone",
		spec.Given(known, now("Europe/Lisbon", week)).When(clinic.SetCalendar{Zone: "Atlantic/Azores", Calendar: week}).
			Then(now("Atlantic/Azores", week)))
	t.Run("a clinic that has moved is registered again as it was: nothing happens",
		spec.Given(known, now("Atlantic/Azores", week)).When(clinic.Register{Clinic: "c", Profile: profile}).Then())
	t.Run("is refused to a clinic that is not there",
		spec.Given().When(set(week)).ThenRefuse(clinic.ErrNotFound))
	t.Run("is refused in a zone that does not exist",
		spec.Given(known).When(clinic.SetCalendar{Zone: "Mars"}).ThenRefuse(domain.ErrBadZone))
	t.Run("is refused with hours round the clock",
		spec.Given(known).When(set(domain.Calendar{Open24h: true, Hours: week.Hours})).ThenRefuse(clinic.ErrOpen24h))
	t.Run("is refused on an eighth weekday",
		spec.Given(known).When(set(domain.Calendar{Hours: []domain.Hours{hours(7, 8, 12)}})).ThenRefuse(clinic.ErrHours))
	t.Run("is refused with hours that begin after the day",
		spec.Given(known).When(set(domain.Calendar{Hours: []domain.Hours{hours(1, 24, 12)}})).ThenRefuse(clinic.ErrHours))
	t.Run("is refused with more than 100 opening hours",
		spec.Given(known).When(set(domain.Calendar{Hours: make([]domain.Hours, 101)})).ThenRefuse(clinic.ErrHours))
	t.Run("is refused with hours that overlap past midnight",
		spec.Given(known).When(set(domain.Calendar{Hours: []domain.Hours{hours(6, 20, 2), hours(0, 1, 3)}})).ThenRefuse(clinic.ErrOverlap))
	t.Run("is refused with a closing day that no calendar has",
		spec.Given(known).When(set(holidays("2026-02-30"))).ThenRefuse(domain.ErrBadDay))
	t.Run("is refused with a closing day twice",
		spec.Given(known).When(set(holidays("2026-12-25", "2026-12-25"))).ThenRefuse(clinic.ErrClosingDays))
	t.Run("is refused with a closing day without a reason",
		spec.Given(known).When(set(domain.Calendar{ClosingDays: []domain.ClosingDay{{Day: "2026-12-25"}}})).ThenRefuse(clinic.ErrClosingDays))
	t.Run("is refused with more than 1000 closing days",
		spec.Given(known).When(set(domain.Calendar{ClosingDays: make([]domain.ClosingDay, 1001)})).ThenRefuse(clinic.ErrClosingDays))
}

func TestAProfile(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[clinic.State, clinic.Command, clinic.Event]{Decide: clinic.Decide, Evolve: clinic.Evolve}
	profile := clinic.Profile{
		Name: "Sunrise", Zone: "Europe/Lisbon", Address: "Rua 1", Location: &clinic.Location{Latitude: 38.6979, Longitude: -9.2076}, Town: "pt-lisboa",
		District: "pt-lisboa-belem", PostalCode: "1300-001", Country: "PT", Phone: "+351 210 000 001", Email: "info@sunrise.example",
		Site: "https://sunrise.example/pt", Description: "By the river.", Ownership: clinic.Private,
	}
	lisbon := clinic.Place{
		Country: "PT", Town: "pt-lisboa", District: "pt-lisboa-belem", Location: &clinic.Location{Latitude: 38.7223, Longitude: -9.1393},
	}
	known := clinic.Registered{Clinic: "c", Profile: clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon"}}
	full := clinic.Changed{Clinic: "c", Profile: profile, NameKey: "k"}
	place := func(change func(*clinic.Place)) clinic.Change {
		p := lisbon
		change(&p)
		return clinic.Change{Profile: profile, Place: p, NameKey: "k"}
	}
	with := func(change func(*clinic.Profile)) clinic.Change {
		p := profile
		change(&p)
		return clinic.Change{Profile: p, Place: lisbon, NameKey: "k"}
	}
	as := func(what string, rule error, change func(*clinic.Profile)) {
		t.Run("is refused "+what, spec.Given(known).When(with(change)).ThenRefuse(rule))
	}

	t.Run("is changed as a whole", spec.Given(known).When(with(func(*clinic.Profile) {})).Then(full))
	t.Run("keeps its zone when none is named", spec.Given(known).When(with(func(p *clinic.Profile) { p.Zone = "" })).Then(full))
	t.Run("has the country of its town", spec.Given(known).When(with(func(p *clinic.Profile) { p.Country = "" })).Then(full))
	t.Run("is registered with its place",
		spec.Given().When(clinic.Register{Clinic: "c", Profile: profile, Place: lisbon, NameKey: "k"}).
			Then(clinic.Registered{Clinic: "c", Profile: profile, NameKey: "k"}))
	t.Run("that has changed is registered again as it was: nothing happens",
		spec.Given(known, full).When(clinic.Register{Clinic: "c", Profile: known.Profile}).Then())
	t.Run("keeps a town that the authority has withdrawn",
		spec.Given(known, full).When(clinic.Change{
			Profile: func() clinic.Profile { p := profile; p.Phone = "1"; return p }(), Place: func() clinic.Place { p := lisbon; p.Gone = true; return p }(), NameKey: "k",
		}).Then(clinic.Changed{Clinic: "c", NameKey: "k", Profile: func() clinic.Profile { p := profile; p.Phone = "1"; return p }()}))
	t.Run("is compared with nothing where there is no reference data",
		spec.Given(known).When(clinic.Change{Profile: profile, Place: clinic.Place{Unknown: true}, NameKey: "k"}).Then(full))

	t.Run("is refused to a clinic that is not there", spec.Given().When(with(func(*clinic.Profile) {})).ThenRefuse(clinic.ErrNotFound))
	t.Run("is refused in a town that does not exist",
		spec.Given(known).When(place(func(p *clinic.Place) { *p = clinic.Place{} })).ThenRefuse(clinic.ErrTown))
	t.Run("is refused in a district of another town",
		spec.Given(known).When(place(func(p *clinic.Place) { p.District = "" })).ThenRefuse(clinic.ErrTown))
	t.Run("is refused in a town that the authority has withdrawn",
		spec.Given(known).When(place(func(p *clinic.Place) { p.Gone = true })).ThenRefuse(clinic.ErrTown))
	t.Run("is refused more than 50 km from its town",
		spec.Given(known).When(with(func(p *clinic.Profile) { p.Location = &clinic.Location{Latitude: 39.18, Longitude: -9.1393} })).ThenRefuse(clinic.ErrImplausible))
	t.Run("is accepted a little less than 50 km from it", func(t *testing.T) {
		t.Parallel()
		near := with(func(p *clinic.Profile) { p.Location = &clinic.Location{Latitude: 39.17, Longitude: -9.1393} })
		events, err := clinic.Decide(clinic.Evolve(clinic.State{}, known), near)
		require.NoError(t, err)
		require.Len(t, events, 1)
	})
	as("in a country that is not its town's", clinic.ErrTown, func(p *clinic.Profile) { p.Country = "ES" })
	as("in a country that is a word", clinic.ErrCountry, func(p *clinic.Profile) { p.Country = "Pt" })
	as("without a name", clinic.ErrNoName, func(p *clinic.Profile) { p.Name = "" })
	as("with a phone number of letters", clinic.ErrContact, func(p *clinic.Profile) { p.Phone = "call us" })
	as("with a phone number without digits", clinic.ErrContact, func(p *clinic.Profile) { p.Phone = "+" })
	as("with an e-mail address without an @", clinic.ErrContact, func(p *clinic.Profile) { p.Email = "info" })
	as("with two e-mail addresses", clinic.ErrContact, func(p *clinic.Profile) { p.Email = "a@b.example, c@d.example" })
	as("with a site that is not of the web", clinic.ErrContact, func(p *clinic.Profile) { p.Site = "javascript:alert(1)" })
	as("with another ownership", clinic.ErrOwnership, func(p *clinic.Profile) { p.Ownership = "church" })
	as("with a description that is a book", clinic.ErrTooLong, func(p *clinic.Profile) { p.Description = strings.Repeat("x", 5001) })
	as("with an address that is a page", clinic.ErrTooLong, func(p *clinic.Profile) { p.Address = strings.Repeat("x", 501) })
}

func TestClose(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[clinic.State, clinic.Command, clinic.Event]{Decide: clinic.Decide, Evolve: clinic.Evolve}
	known := clinic.Registered{Clinic: "c", Profile: clinic.Profile{Name: "Sunrise", Zone: "Europe/Lisbon"}, NameKey: "k"}
	closed := clinic.WasClosed{Clinic: "c"}

	t.Run("ends a clinic", spec.Given(known).When(clinic.Close{}).Then(closed))
	t.Run("is refused to a clinic that is not there", spec.Given().When(clinic.Close{}).ThenRefuse(clinic.ErrNotFound))
	t.Run("leaves no more changes",
		spec.Given(known, closed).When(clinic.Change{Profile: clinic.Profile{Name: "Sunset"}}).ThenRefuse(clinic.ErrClosed))
	t.Run("leaves no more calendars", spec.Given(known, closed).When(clinic.SetCalendar{}).ThenRefuse(clinic.ErrClosed))
	t.Run("leaves the clinic closed on every day", func(t *testing.T) {
		t.Parallel()
		s := domain.Fold(clinic.Evolve, clinic.State{}, clinic.Event(known), clinic.Event(closed))
		require.Empty(t, s.Calendar.Openings("2026-03-02", "2026-03-08", time.UTC))
		require.Empty(t, s.NameKey, "and without its name")
	})
	t.Run("a claim of a name that came to nothing is noted",
		spec.Given(known).When(clinic.LapseName{Clinic: "c", Key: "other", Set: 2}).Then(clinic.NameLapsed{Clinic: "c", Key: "other", Set: 2}))
	t.Run("a claim of a name that the clinic has is not",
		spec.Given(known).When(clinic.LapseName{Clinic: "c", Key: "k", Set: 1}).Then())
	t.Run("a clinic can be registered after a claim lapsed",
		spec.Given(clinic.NameLapsed{Clinic: "c", Key: "k", Set: 1}).When(clinic.Register{Clinic: "c", Profile: known.Profile, NameKey: "k"}).Then(known))
}
