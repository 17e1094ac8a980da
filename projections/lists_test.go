package projections_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func TestWhoComesWhen(t *testing.T) {
	t.Parallel()
	v, w := visit(visitA, pat, ana, 0, half(9, 0)), visit(visitB, quinn, bo, 1, half(11, 0))
	deadline := at(8, 10)
	listed := func(t *testing.T, e *engine.Engine, f projections.AppointmentFilter) []domain.AppointmentID {
		t.Helper()
		visits, err := projections.NewAppointments(e).List(t.Context(), f, at(8, 0), 0)
		require.NoError(t, err)
		var ids []domain.AppointmentID
		for _, a := range visits.Items {
			ids = append(ids, a.ID)
		}
		return ids
	}
	none := func(t *testing.T, e *engine.Engine) { require.Empty(t, listed(t, e, projections.AppointmentFilter{})) }

	t.Run("a booked visit says what was booked",
		given(clinicFact(centre, "Centre", "Europe/Lisbon"), proposed(v, 1, deadline), booked(v, 1)).
			Then(func(t *testing.T, e *engine.Engine) {
				visits, err := projections.NewAppointments(e).List(t.Context(), projections.AppointmentFilter{}, at(8, 0), 3)
				require.NoError(t, err)
				require.Len(t, visits.Items, 1)
				got := visits.Items[0]
				require.Equal(t, string(pat), got.Reason.Person)
				require.NotEmpty(t, got.Reason.Box)
				got.Reason = domain.Sealed{}
				require.Equal(t, projections.Appointment{
					ID: visitA, Status: appointment.Booked, Revision: 1, Patient: pat, Practitioner: ana, Clinic: centre, Zone: "Europe/Lisbon",
					Slots: v.Slots, Period: v.Period, BookedAt: projectionstest.RecordedAt(),
				}, got)
			}))
	t.Run("a visit that is only proposed is not listed", given(proposed(v, 1, deadline)).Then(none))
	t.Run("a visit that lost its race is not listed", given(proposed(v, 1, deadline), refused(v, 1)).Then(none))
	t.Run("a visit that was not completed in time is not listed", given(proposed(v, 1, deadline), lapsed(v, 1)).Then(none))
	t.Run("a visit that is booked at the second try is listed once",
		given(proposed(v, 1, deadline), refused(v, 1), proposed(v, 2, deadline), booked(v, 2)).
			Then(func(t *testing.T, e *engine.Engine) {
				require.Equal(t, []domain.AppointmentID{visitA}, listed(t, e, projections.AppointmentFilter{Status: appointment.Booked}))
			}))
	t.Run("a cancelled visit says who cancelled and why",
		given(proposed(v, 1, deadline), booked(v, 1), cancelled(v, 1)).Then(func(t *testing.T, e *engine.Engine) {
			visits, err := projections.NewAppointments(e).List(t.Context(), projections.AppointmentFilter{Status: appointment.Cancelled}, at(8, 0), 0)
			require.NoError(t, err)
			require.Len(t, visits.Items, 1)
			require.Equal(t, appointment.ByPatient, visits.Items[0].Initiator)
			require.NotEmpty(t, visits.Items[0].CancelReason.Box)
			require.Equal(t, projectionstest.RecordedAt(), visits.Items[0].CancelledAt)
			require.Empty(t, visits.Items[0].Zone, "the clinic is unknown here")
		}))
	t.Run("visits are found by patient, practitioner, clinic and time, and read on after a cursor",
		given(proposed(v, 1, deadline), booked(v, 1), proposed(w, 1, deadline), booked(w, 1)).
			Then(func(t *testing.T, e *engine.Engine) {
				a, b := []domain.AppointmentID{visitA}, []domain.AppointmentID{visitB}
				require.Equal(t, a, listed(t, e, projections.AppointmentFilter{Patient: pat}))
				require.Equal(t, b, listed(t, e, projections.AppointmentFilter{Practitioner: bo, Clinic: centre}))
				require.Equal(t, a, listed(t, e, projections.AppointmentFilter{Clinic: centre, To: at(10, 0)}))
				require.Equal(t, b, listed(t, e, projections.AppointmentFilter{From: at(9, 1)}))
				require.Equal(t, a, listed(t, e, projections.AppointmentFilter{Limit: 1}))
				require.Equal(t, b, listed(t, e, projections.AppointmentFilter{After: projections.TimeCursor{Start: v.Start, ID: string(visitA)}}))
			}))
}

func TestAVisitWithTwoPractitioners(t *testing.T) {
	t.Parallel()
	v := visit(visitA, pat, ana, 0, half(9, 0))
	v.Slots = append(v.Slots, slotID(bo, 0))
	alone := visit(visitA, pat, ana, 1, half(10, 0))
	w := visit(visitB, quinn, bo, 1, half(8, 0))
	facts := []fact{proposed(v, 1, at(8, 10)), booked(v, 1), proposed(w, 1, at(8, 10)), booked(w, 1)}
	listed := func(t *testing.T, e *engine.Engine, f projections.AppointmentFilter) (ids []domain.AppointmentID) {
		t.Helper()
		visits, err := projections.NewAppointments(e).List(t.Context(), f, at(8, 0), 0)
		require.NoError(t, err)
		for _, a := range visits.Items {
			ids = append(ids, a.ID)
		}
		return ids
	}
	t.Run("is in the list of either, in the order of starts, once", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitA}, listed(t, e, projections.AppointmentFilter{Practitioner: ana}))
		require.Equal(t, []domain.AppointmentID{visitB, visitA}, listed(t, e, projections.AppointmentFilter{Practitioner: bo}))
		require.Equal(t, []domain.AppointmentID{visitA}, listed(t, e, projections.AppointmentFilter{
			Practitioner: bo, After: projections.TimeCursor{Start: w.Start, ID: string(visitB)},
		}))
	}))
	t.Run("is among those displaced of either", given(append(facts, displaced(v, 0, 1))...).Then(func(t *testing.T, e *engine.Engine) {
		require.Equal(t, []domain.AppointmentID{visitA}, listed(t, e, projections.AppointmentFilter{Practitioner: bo, Displaced: true}))
	}))
	t.Run("leaves the list of one who has no part in it any more",
		given(append(facts, proposed(alone, 2, at(8, 10)), moved(alone, 2, v))...).Then(func(t *testing.T, e *engine.Engine) {
			require.Equal(t, []domain.AppointmentID{visitB}, listed(t, e, projections.AppointmentFilter{Practitioner: bo}))
		}))
	t.Run("is found by two indexes", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		plan := explained(t, e, []string{"appointments"}, `
			select appointment, start
			from (
				select appointment, start from appointment where listed and practitioner = 'p'
				union all
				select appointment, start from appointment where listed and also @> array['p']
			) a
			order by start, appointment
			limit 50`)
		require.Contains(t, plan, "appointment_practitioner")
		require.Contains(t, plan, "appointment_also")
	}))
}

// explained returns the plan of a query over tables that are few rows long.
func explained(t *testing.T, e *engine.Engine, models []string, sql string, args ...any) (plan string) {
	t.Helper()
	_, err := e.View(t.Context(), 0, models, func(r engine.Reader) error {
		var set string
		require.NoError(t, r.QueryRow(t.Context(), "select set_config('enable_seqscan', 'off', true) || set_config('enable_sort', 'off', true)").Scan(&set))
		rows, _ := r.Query(t.Context(), "explain (costs off)"+sql, args...)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	require.NoError(t, err)
	return plan
}

func TestVisitsThatStartTogetherAreReadOneByOneInTheOrderOfTheirIDs(t *testing.T) {
	t.Parallel()
	ids := []domain.AppointmentID{visitA, visitB, visitC}
	slices.Sort(ids)
	var facts []fact
	for _, id := range slices.Backward(ids) {
		v := visit(id, pat, ana, 0, half(9, 0))
		facts = append(facts, proposed(v, 1, at(8, 10)), booked(v, 1))
	}
	t.Run("for everybody", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		f := projections.AppointmentFilter{Limit: 1}
		var seen []domain.AppointmentID
		for more := true; more; {
			visits, err := projections.NewAppointments(e).List(t.Context(), f, at(8, 0), 0)
			require.NoError(t, err)
			require.Len(t, visits.Items, 1)
			seen = append(seen, visits.Items[0].ID)
			f.After, more = visits.Items[0].Cursor(), visits.More
		}
		require.Equal(t, ids, seen)
	}))
	t.Run("by an index, not by sorting", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		_, err := e.View(t.Context(), 0, []string{"appointments"}, func(r engine.Reader) error {
			var set string
			err := r.QueryRow(t.Context(), "select set_config('enable_seqscan', 'off', true) || set_config('enable_sort', 'off', true)").Scan(&set)
			require.NoError(t, err)
			rows, _ := r.Query(t.Context(), `
				explain (costs off)
				select appointment
				from appointment
				where listed and start >= '2026-03-02T00:00:00Z'
				order by start, appointment
				limit 50`)
			plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.Contains(t, strings.Join(plan, "\n"), "appointment_start")
			return err
		})
		require.NoError(t, err)
	}))
}

func TestWhoWorksWhere(t *testing.T) {
	t.Parallel()
	t.Run("a clinic that moved is listed in its new zone", given(
		clinicFact(harbor, "Harbor", "Asia/Tokyo"), on(clinic.Stream(harbor), clinic.CalendarSet{Clinic: harbor, Zone: "Asia/Seoul"}),
	).Then(func(t *testing.T, e *engine.Engine) {
		found, _, err := projections.NewDirectory(e).Clinic(t.Context(), harbor, 0)
		require.NoError(t, err)
		require.Equal(t, projections.Clinic{ID: harbor, Name: "Harbor", Zone: "Asia/Seoul"}, found)
	}))
	t.Run("clinics are listed by name and found by id", given(
		clinicFact(harbor, "Harbor", "Asia/Tokyo"),
		on(clinic.Stream(centre), clinic.Registered{Clinic: centre, Profile: clinic.Profile{
			Name: "Centre", Zone: "Europe/Lisbon", Address: "1 Main St", Location: &clinic.Location{Latitude: 38.7, Longitude: -9.1},
		}}),
	).Then(func(t *testing.T, e *engine.Engine) {
		d := projections.NewDirectory(e)
		first, err := d.FindClinics(t.Context(), projections.ClinicSearch{Limit: 1}, at(8, 0), 0)
		require.NoError(t, err)
		require.True(t, first.More)
		require.EqualValues(t, 2, first.Position)
		require.Equal(t, []projections.Clinic{{
			ID: centre, Name: "Centre", Zone: "Europe/Lisbon", Address: "1 Main St", Latitude: new(38.7), Longitude: new(-9.1),
		}}, profiles(first.Items))
		rest, err := d.FindClinics(t.Context(), projections.ClinicSearch{After: first.Items[0].Cursor()}, at(8, 0), 0)
		require.NoError(t, err)
		require.Equal(t, []projections.Clinic{{ID: harbor, Name: "Harbor", Zone: "Asia/Tokyo"}}, profiles(rest.Items))
		found, _, err := d.Clinic(t.Context(), harbor, 0)
		require.NoError(t, err)
		require.Equal(t, "Harbor", found.Name)
		_, _, err = d.Clinic(t.Context(), "nowhere", 0)
		require.ErrorIs(t, err, clinic.ErrNotFound)
	}))
	t.Run("a practitioner is listed as they are now", given(
		practitionerFact(ana, "Ana", []domain.ClinicID{centre}, "surgery"),
		on(practitioner.Stream(ana), practitioner.Changed{Practitioner: ana, Profile: practitioner.Profile{
			Name: "Dr. Ana", Clinics: []domain.ClinicID{harbor}, Introduction: "Hello.", Treatments: []string{"Laser"}, Languages: []string{"pt-BR"},
			Qualifications: []practitioner.Qualification{{Code: "md", Year: 2004, Institute: "USP"}},
			Fees:           []practitioner.Fee{{VisitType: "v1", Amount: 9000, Currency: "BRL"}}, Council: practitioner.Council{Number: "12345", State: "SP"},
		}}),
		on(practitioner.Stream(ana), practitioner.CouncilMoved{Practitioner: ana, Council: practitioner.Council{Number: "12345", State: "RJ"}, CouncilKey: "k"}),
		on(practitioner.Stream(bo), practitioner.CouncilLapsed{Practitioner: bo, Key: "k", Set: 1}),
		on(practitioner.Stream(ana), practitioner.PictureShown{Practitioner: ana, Picture: "a1"}),
		on(practitioner.Stream(ana), practitioner.PictureRemoved{Practitioner: ana}),
		on(practitioner.Stream(ana), practitioner.PictureShown{Practitioner: ana, Picture: "b2"}),
	).Then(func(t *testing.T, e *engine.Engine) {
		all, err := projections.NewDirectory(e).Practitioners(t.Context(), projections.PractitionerFilter{}, 0)
		require.NoError(t, err)
		require.Equal(t, []projections.Practitioner{{
			ID: ana, Name: "Dr. Ana", Clinics: []domain.ClinicID{harbor}, Introduction: "Hello.", Treatments: []string{"Laser"}, Languages: []string{"pt-BR"},
			Council: practitioner.Council{Number: "12345", State: "RJ"}, Qualifications: []practitioner.Qualification{{Code: "md", Year: 2004, Institute: "USP"}},
			Fees: []practitioner.Fee{{VisitType: "v1", Amount: 9000, Currency: "BRL"}}, Picture: "b2",
		}}, all.Items)
	}))
	t.Run("a clinic is listed as it is now", given(
		clinicFact(harbor, "Harbor", "Europe/Lisbon"),
		on(clinic.Stream(harbor), clinic.Changed{Clinic: harbor, Profile: clinic.Profile{
			Name: "Pier", Zone: "Atlantic/Azores", Address: "Cais 1", Location: &clinic.Location{Latitude: 37.7, Longitude: -25.6}, Town: "pt-ponta-delgada",
			District: "pt-ponta-delgada-sao-jose", PostalCode: "9500-001", Country: "PT", Phone: "+351 1", Email: "a@pier.example", Site: "https://pier.example",
			Description: "By the sea.", Ownership: clinic.OfState,
		}}),
		on(clinic.Stream(harbor), clinic.WasClosed{Clinic: harbor}),
		on(clinic.Stream(centre), clinic.NameLapsed{Clinic: centre, Key: "k", Set: 1}),
	).Then(func(t *testing.T, e *engine.Engine) {
		all, err := projections.NewDirectory(e).FindClinics(t.Context(), projections.ClinicSearch{}, at(8, 0), 0)
		require.NoError(t, err)
		require.Equal(t, []projections.Clinic{{
			ID: harbor, Name: "Pier", Zone: "Atlantic/Azores", Address: "Cais 1", Latitude: new(37.7), Longitude: new(-25.6), Town: "pt-ponta-delgada",
			District: "pt-ponta-delgada-sao-jose", PostalCode: "9500-001", Country: "PT", Phone: "+351 1", Email: "a@pier.example",
			Site: "https://pier.example", Description: "By the sea.", Ownership: "state", Closed: true,
		}}, profiles(all.Items))
	}))
	t.Run("practitioners are found by clinic, specialty and id", given(clinicDay()...).Then(func(t *testing.T, e *engine.Engine) {
		d := projections.NewDirectory(e)
		named := func(f projections.PractitionerFilter) (names []string) {
			list, err := d.Practitioners(t.Context(), f, 0)
			require.NoError(t, err)
			for _, p := range list.Items {
				names = append(names, p.Name)
			}
			return names
		}
		require.Equal(t, []string{"Ana", "Bo", "Cy", "Dee"}, named(projections.PractitionerFilter{}))
		require.Equal(t, []string{"Dee"}, named(projections.PractitionerFilter{Clinic: harbor}))
		require.Equal(t, []string{"Ana", "Bo"}, named(projections.PractitionerFilter{Clinic: centre, Specialty: "dermatology"}))
		require.Equal(t, []string{"Cy", "Dee"}, named(projections.PractitionerFilter{After: projections.NameCursor{Name: "Bo", ID: string(bo)}}))
		found, _, err := d.Practitioner(t.Context(), bo, 0)
		require.NoError(t, err)
		require.Equal(t, projections.Practitioner{
			ID: bo, Name: "Bo", Specialties: []string{"dermatology", "surgery"}, Clinics: []domain.ClinicID{centre},
		}, found)
		_, _, err = d.Practitioner(t.Context(), "nobody", 0)
		require.ErrorIs(t, err, practitioner.ErrNotFound)
	}))
}

func profiles(found []projections.ClinicFound) (clinics []projections.Clinic) {
	for _, f := range found {
		clinics = append(clinics, f.Clinic)
	}
	return clinics
}

func TestWhoIsRegistered(t *testing.T) {
	t.Parallel()
	t.Run("patients are found by a part of the name or of the number, in any spelling", given(
		patientFact(quinn, "Quinn 100% O'Neil", "+351 21 555-0199"),
		patientFact(pat, "Pat Ävila", "(555) 0100"),
	).Then(func(t *testing.T, e *engine.Engine) {
		found := func(f projections.PatientFilter) (ids []domain.PatientID) {
			list, err := projections.NewPatients(e).Search(t.Context(), f, 0)
			require.NoError(t, err)
			for _, p := range list.Items {
				require.NotEmpty(t, p.Name.Box)
				ids = append(ids, p.ID)
			}
			return ids
		}
		require.Equal(t, []domain.PatientID{pat, quinn}, found(projections.PatientFilter{}))
		require.Equal(t, []domain.PatientID{pat}, found(projections.PatientFilter{Query: "ÄVI"}))
		require.Equal(t, []domain.PatientID{pat}, found(projections.PatientFilter{Query: "avila"}))
		require.Equal(t, []domain.PatientID{pat}, found(projections.PatientFilter{Query: "pät  AV"}))
		require.Equal(t, []domain.PatientID{quinn}, found(projections.PatientFilter{Query: "quinn 100%"}))
		require.Equal(t, []domain.PatientID{quinn}, found(projections.PatientFilter{Query: "o neil"}))
		require.Equal(t, []domain.PatientID{quinn}, found(projections.PatientFilter{Query: "351 215"}))
		require.Equal(t, []domain.PatientID{pat, quinn}, found(projections.PatientFilter{Query: "555-01"}))
		for _, nobody := range []string{"_", "%", "pat%v", "'"} {
			require.Empty(t, found(projections.PatientFilter{Query: nobody}), nobody)
		}
		list, err := projections.NewPatients(e).Search(t.Context(), projections.PatientFilter{Limit: 1}, 0)
		require.NoError(t, err)
		require.True(t, list.More)
		require.Equal(t, []domain.PatientID{quinn}, found(projections.PatientFilter{After: list.Items[0].Cursor()}))
	}))
}

func TestTheReadModelsHaveAFixedOrder(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range projections.All(func(domain.Sealed) string { return "" }, nil) {
		names = append(names, m.Schema())
	}
	require.Equal(t, []string{
		"availability_v6", "appointments_v7", "directory_v4", "patients_v3", "catalogue_v1", "reviews_v1", "standing_v1", "due_v2", "policies_v2",
		"waits_v2", "hours_v1", "kpis_v2", "waitlist_v1",
	}, names)
}

// A hold for nobody yet is in no list, and when it is booked with its patient,
// by the next set, it is that patient's.
func TestAHoldForNobodyYet(t *testing.T) {
	t.Parallel()
	nobodys := visit(visitA, "", ana, 0, half(9, 0))
	pats := visit(visitA, pat, ana, 0, half(9, 0))
	held := fact{Stream: appointment.Stream(visitA), Event: appointment.WasHeld{Visit: nobodys, Set: 1, Deadline: at(8, 10), Ceiling: at(8, 30)}}
	t.Run("is not listed", given(proposed(nobodys, 1, at(8, 1)), held).Then(func(t *testing.T, e *engine.Engine) {
		visits, err := projections.NewAppointments(e).List(t.Context(), projections.AppointmentFilter{}, at(8, 5), 2)
		require.NoError(t, err)
		require.Empty(t, visits.Items)
	}))
	second := fact{Stream: appointment.Stream(visitA), Event: appointment.WasBooked{Visit: pats, Set: 2, Replaces: 1}}
	t.Run("becomes the patient's", given(proposed(nobodys, 1, at(8, 1)), held, proposed(pats, 2, at(8, 6)), second).Then(func(t *testing.T, e *engine.Engine) {
		visits, err := projections.NewAppointments(e).List(t.Context(), projections.AppointmentFilter{Patient: pat}, at(8, 7), 4)
		require.NoError(t, err)
		require.Len(t, visits.Items, 1)
		require.Equal(t, appointment.Booked, visits.Items[0].Status)
	}))
}
