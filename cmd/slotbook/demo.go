package main

import (
	"context"
	"errors"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/commands/demo"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
)

// The ids of the demo data are easy to type; the README names them.
const (
	demoLisbon = "c0000000-0000-4000-8000-000000000001"
	demoSeoul  = "c0000000-0000-4000-8000-000000000002"
	demoSilva  = "d0000000-0000-4000-8000-000000000001"
	demoCosta  = "d0000000-0000-4000-8000-000000000002"
	demoKim    = "d0000000-0000-4000-8000-000000000003"
	demoAna    = "a0000000-0000-4000-8000-000000000001"
	demoBoris  = "a0000000-0000-4000-8000-000000000002"
	demoMinjun = "a0000000-0000-4000-8000-000000000003"
)

// demoHorizon is how many days of the demo's practitioners are open.
const demoHorizon = 28

// loadDemo loads two clinics in two zones, three practitioners and three
// patients into an empty store. A load that was interrupted is finished; a
// store with other data is left alone.
func loadDemo(ctx context.Context, h *commands.Handler, store demoStore) error {
	wanted, err := wantsDemo(ctx, store)
	if err != nil || !wanted {
		return err
	}
	for _, load := range []func(context.Context, *commands.Handler) error{demoClinics, demoPractitioners, demoPatients, demoSchedules} {
		if err := load(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// demoStore is an event store that can be asked whether it is empty.
type demoStore interface {
	commands.Store
	Head(ctx context.Context) (domain.Position, error)
}

// wantsDemo reports whether the demo data is to be loaded: nothing is there, or
// a part of it only, the last practitioner's schedule being the last part.
func wantsDemo(ctx context.Context, store demoStore) (bool, error) {
	head, err := store.Head(ctx)
	if err != nil || head == 0 {
		return err == nil, err
	}
	begun, ended := clinic.Stream(demoLisbon), schedule.Stream(demoKim)
	loaded, err := store.Load(ctx, begun, ended)
	return err == nil && len(loaded[begun]) > 0 && len(loaded[ended]) == 0, err
}

// errRealStore refuses a clock that is moved by hand where the store was not begun
// by a demonstration: what it records would stand at times that never were.
var errRealStore = errors.New("--clock manual is for demonstrations: this store was begun without demo data, and its clock is the real one")

// demonstrates refuses a store whose first event is not of demo data.
func (a *app) demonstrates(ctx context.Context) error {
	var after domain.Position
	for {
		page, err := a.store.ReadAll(ctx, after, domain.Filter{}, 1)
		if err != nil {
			return err
		}
		if len(page.Events) > 0 {
			if first := page.Events[0].Metadata; first.Actor != demo.Actor && first.Command != demoRequest(demoLisbon).Command {
				return usageError{errRealStore}
			}
			return nil
		}
		if page.Next <= after {
			return nil
		}
		after = page.Next
	}
}

// demoRequest is the same for the same step, so that a step is done once.
func demoRequest(step string) commands.Request {
	return commands.Request{Command: domain.NewID("demo", step), Actor: "system"}
}

func demoClinics(ctx context.Context, h *commands.Handler) error {
	clinics := []clinic.Register{
		{Clinic: demoLisbon, Profile: clinic.Profile{Name: "Clínica Aurora", Zone: "Europe/Lisbon", Address: "Rua das Flores 12, Lisboa", Location: &clinic.Location{Latitude: 38.7105, Longitude: -9.1422}}},
		{Clinic: demoSeoul, Profile: clinic.Profile{Name: "한빛 의원", Zone: "Asia/Seoul", Address: "서울 종로구 세종대로 1", Location: &clinic.Location{Latitude: 37.5720, Longitude: 126.9769}}},
	}
	for _, c := range clinics {
		if _, err := h.RegisterClinic(ctx, demoRequest(string(c.Clinic)), c); err != nil {
			return err
		}
	}
	return nil
}

func demoPractitioners(ctx context.Context, h *commands.Handler) error {
	practitioners := []practitioner.Register{
		{Practitioner: demoSilva, Profile: practitioner.Profile{Name: "Dr. Inês Silva", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{demoLisbon}}},
		{Practitioner: demoCosta, Profile: practitioner.Profile{Name: "Dr. Rui Costa", Specialties: []string{"dermatology", "allergology"}, Clinics: []domain.ClinicID{demoLisbon}}},
		{Practitioner: demoKim, Profile: practitioner.Profile{Name: "김서연", Specialties: []string{"cardiology"}, Clinics: []domain.ClinicID{demoSeoul}}},
	}
	for _, p := range practitioners {
		if _, err := h.RegisterPractitioner(ctx, demoRequest(string(p.Practitioner)), p); err != nil {
			return err
		}
	}
	return nil
}

func demoPatients(ctx context.Context, h *commands.Handler) error {
	patients := []patient.Register{
		{Patient: demoAna, Name: "Ana Sousa", Email: "ana@example.org", Phone: "+351 210 000 001"},
		{Patient: demoBoris, Name: "Борис Жуков", Phone: "+351 210 000 002"},
		{Patient: demoMinjun, Name: "이민준", Phone: "+82 2 0000 0003"},
	}
	for _, p := range patients {
		if _, err := h.RegisterPatient(ctx, demoRequest(string(p.Patient)), p); err != nil {
			return err
		}
	}
	return nil
}

func demoSchedules(ctx context.Context, h *commands.Handler) error {
	lunch := []schedule.Break{{From: 12 * 60, To: 13 * 60}}
	sets := []schedule.Set{
		{Practitioner: demoSilva, Pattern: demoPattern(demoLisbon, schedule.Interval{From: 9 * 60, To: 17 * 60, SlotMinutes: 30, Capacity: 1, Breaks: lunch})},
		{Practitioner: demoCosta, Pattern: demoPattern(demoLisbon, schedule.Interval{From: 10 * 60, To: 13 * 60, SlotMinutes: 60, Capacity: 3})},
		{Practitioner: demoKim, Pattern: demoPattern(demoSeoul, schedule.Interval{From: 8*60 + 30, To: 18 * 60, SlotMinutes: 15, Capacity: 1, Breaks: lunch})},
	}
	for _, s := range sets {
		if _, _, err := h.SetSchedule(ctx, demoRequest("schedule "+string(s.Practitioner)), s); err != nil {
			return err
		}
	}
	return nil
}

// demoPattern repeats an interval on every weekday but Sunday.
func demoPattern(at domain.ClinicID, i schedule.Interval) schedule.Pattern {
	p := schedule.Pattern{Clinic: at, HorizonDays: demoHorizon}
	for weekday := time.Monday; weekday <= time.Saturday; weekday++ {
		i.Weekday = int(weekday)
		p.Weekly = append(p.Weekly, i)
	}
	return p
}
