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
