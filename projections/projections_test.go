package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// The clinic of these tests has two dermatologists, Ana and Bo, and a dentist,
// Cy; Dee is a dermatologist elsewhere. Times are on the second of March 2026.
const (
	centre domain.ClinicID       = "c0000000-0000-4000-8000-000000000001"
	harbor domain.ClinicID       = "c0000000-0000-4000-8000-000000000002"
	ana    domain.PractitionerID = "a0000000-0000-4000-8000-000000000001"
	bo     domain.PractitionerID = "a0000000-0000-4000-8000-000000000002"
	cy     domain.PractitionerID = "a0000000-0000-4000-8000-000000000003"
	dee    domain.PractitionerID = "a0000000-0000-4000-8000-000000000004"
	pat    domain.PatientID      = "b0000000-0000-4000-8000-000000000001"
	quinn  domain.PatientID      = "b0000000-0000-4000-8000-000000000002"
	visitA domain.AppointmentID  = "d0000000-0000-4000-8000-000000000001"
	visitB domain.AppointmentID  = "d0000000-0000-4000-8000-000000000002"
	visitC domain.AppointmentID  = "d0000000-0000-4000-8000-000000000003"
)

type fact = projectionstest.Fact

func on(stream domain.StreamName, e domain.Event) fact { return fact{Stream: stream, Event: e} }

func at(hour, minute int) time.Time { return time.Date(2026, 3, 2, hour, minute, 0, 0, time.UTC) }

func half(hour, minute int) domain.Period {
	return domain.Period{Start: at(hour, minute), End: at(hour, minute).Add(30 * time.Minute)}
}

func clinicFact(id domain.ClinicID, name, zone string) fact {
	return on(clinic.Stream(id), clinic.Registered{Clinic: id, Profile: clinic.Profile{Name: name, Zone: zone}})
}

func practitionerFact(id domain.PractitionerID, name string, clinics []domain.ClinicID, specialties ...string) fact {
	return on(practitioner.Stream(id), practitioner.Registered{
		Practitioner: id, Profile: practitioner.Profile{Name: name, Specialties: specialties, Clinics: clinics},
	})
}

// day opens half-hours of a capacity, numbered from 0.
func day(id domain.PractitionerID, at domain.ClinicID, capacity int, periods ...domain.Period) fact {
	opened := schedule.DayOpened{Practitioner: id, Day: "2026-03-02"}
	for n, p := range periods {
		opened.Slots = append(opened.Slots, schedule.Slot{ID: slotID(id, n), Clinic: at, Capacity: capacity, Period: p})
	}
	return on(schedule.DayStream(id, "2026-03-02"), opened)
}

func slotID(id domain.PractitionerID, n int) domain.SlotID {
	return schedule.SlotID(id, "2026-03-02", n)
}

func terms(id domain.PractitionerID, n int, p domain.Period) slot.Terms {
	return slot.Terms{Slot: slotID(id, n), Practitioner: id, Clinic: centre, Period: p}
}

func visit(id domain.AppointmentID, who domain.PatientID, with domain.PractitionerID, n int, p domain.Period) appointment.Visit {
	return appointment.Visit{
		Appointment: id, Patient: who, Practitioner: with, Clinic: centre, Slots: []domain.SlotID{slotID(with, n)}, Period: p,
	}
}

func holder(v appointment.Visit, set int) slot.Holder {
	return slot.Holder{
		Claim: claim.Claim{Owner: appointment.Stream(v.Appointment), Set: set}, Appointment: v.Appointment, Patient: v.Patient,
	}
}

func proposed(v appointment.Visit, set int, deadline time.Time) fact {
	return on(appointment.Stream(v.Appointment), appointment.WasProposed{
		Visit: v, Set: set, Deadline: deadline, Reason: domain.Open(string(v.Patient), "a rash"),
	})
}

func booked(v appointment.Visit, set int) fact {
	return on(appointment.Stream(v.Appointment), appointment.WasBooked{Visit: v, Set: set})
}

func refused(v appointment.Visit, set int) fact {
	return on(appointment.Stream(v.Appointment), appointment.WasRefused{Visit: v, Set: set, Rule: "slot.taken"})
}

func lapsed(v appointment.Visit, set int) fact {
	return on(appointment.Stream(v.Appointment), appointment.HasLapsed{Visit: v, Set: set})
}

func cancelled(v appointment.Visit, set int) fact {
	return on(appointment.Stream(v.Appointment), appointment.WasCancelled{
		Visit: v, Set: set, Initiator: appointment.ByPatient, Reason: domain.Open(string(v.Patient), "feels better"),
	})
}

func claimed(v appointment.Visit, n, set, places int) fact {
	t := terms(v.Practitioner, n, v.Period)
	return on(slot.Stream(t.Slot), slot.Booked{Terms: t, Holder: holder(v, set), Places: places})
}

func released(v appointment.Visit, n, set int) fact {
	t := terms(v.Practitioner, n, v.Period)
	return on(slot.Stream(t.Slot), slot.Released{Terms: t, Holder: holder(v, set)})
}

func withdrawn(id domain.PractitionerID, n int, p domain.Period) fact {
	t := terms(id, n, p)
	return on(slot.Stream(t.Slot), slot.Withdrawn{Terms: t})
}

func resized(id domain.PractitionerID, n int, p domain.Period, places int) fact {
	t := terms(id, n, p)
	return on(slot.Stream(t.Slot), slot.Resized{Terms: t, Places: places})
}

// wanted resizes a slot of which fewer places are wanted than are in force.
func wanted(id domain.PractitionerID, n int, p domain.Period, places, fewer int) fact {
	t := terms(id, n, p)
	return on(slot.Stream(t.Slot), slot.Resized{Terms: t, Places: places, Wanted: fewer})
}

func patientFact(id domain.PatientID, name, phone string) fact {
	person := string(id)
	return on(patient.Stream(id), patient.Registered{
		Patient: id, Name: domain.Open(person, name), Phone: domain.Open(person, phone),
	})
}

func given(facts ...fact) projectionstest.Sentence {
	models := func(open func(domain.Sealed) string) []engine.Model { return projections.All(open, nil) }
	return projectionstest.Given(models, facts...)
}

// slotsAre says how a list of slots looks: "number status free/places" each.
func slotsAre(f projections.SlotFilter, now time.Time, want ...string) func(*testing.T, *engine.Engine) {
	return func(t *testing.T, e *engine.Engine) {
		t.Helper()
		slots, err := projections.NewAvailability(e).List(t.Context(), f, now, 0)
		require.NoError(t, err)
		require.Equal(t, want, lines(slots.Items))
	}
}
