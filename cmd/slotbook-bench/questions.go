package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/projections"
)

// queries are those of all loads. One more is a line here: what is asked, by
// chance, and the SQL with what it takes.
func (a *asking) queries() []query {
	return slices.Concat(a.searches(), a.soonest(), a.lists())
}

// searches are the questions for practitioners.
func (a *asking) searches() []query {
	type search = projections.PractitionerSearch
	return []query{
		a.practitioners("practitioners by text", func(l luck) search {
			return a.words(a.familyName(l) + " " + a.specialtyName(l))
		}, func(ctx context.Context, s search) ([]string, error) { return a.barePractitionersByWords(ctx, s.Words) }),
		a.practitioners("practitioners by text, mistyped", func(l luck) search {
			return a.words(mistyped(l, a.familyName(l)))
		}, func(ctx context.Context, s search) ([]string, error) { return a.barePractitionersByWords(ctx, s.Words) }),
		a.practitioners("practitioners by specialty and town", func(l luck) search {
			n := l.IntN(a.Practitioners)
			return search{Specialty: a.practitionerProfile(n).Specialties[0], Area: projections.Area{Town: a.town(a.worksAt(n)[0]).Code}}
		}, func(ctx context.Context, s search) ([]string, error) {
			return bareQuery(ctx, a, barePractitioner.id, bareBySpecialtyAndTown, s.Area.Town, s.Specialty)
		}),
		a.practitioners("practitioners by distance", func(l luck) search {
			return search{Area: a.near(l), Sort: projections.ByDistance}
		}, func(ctx context.Context, s search) ([]string, error) { return a.barePractitionersNear(ctx, s.Area) }),
		a.practitioners("practitioners by rating", func(l luck) search {
			return search{Specialty: pick(l, a.specialties).Code, Sort: projections.ByRating}
		}, func(ctx context.Context, s search) ([]string, error) {
			return bareQuery(ctx, a, barePractitioner.id, bareByRating, s.Specialty)
		}),
		a.practitioners("practitioners by popularity", func(l luck) search {
			return search{Area: projections.Area{Town: pick(l, a.towns).Code}, Sort: projections.ByPopular}
		}, func(ctx context.Context, s search) ([]string, error) {
			return bareQuery(ctx, a, barePractitioner.id, bareByPopularity, s.Area.Town)
		}),
	}
}

// soonest are the questions for who is free first.
func (a *asking) soonest() []query {
	return []query{
		a.practitioners("practitioners by earliest", func(l luck) projections.PractitionerSearch {
			return projections.PractitionerSearch{Specialty: pick(l, a.specialties).Code, Sort: projections.ByEarliest, Now: loadedAt()}
		}, func(ctx context.Context, s projections.PractitionerSearch) ([]string, error) {
			return bareQuery(ctx, a, bareEarliest.id, bareByEarliest, loadedAt(), s.Specialty)
		}),
	}
}

// lists are the questions for clinics, slots, visits and patients.
func (a *asking) lists() []query {
	return []query{
		a.clinicsFound("clinics by text", func(l luck) projections.ClinicSearch {
			s := a.words(a.clinicWord(l))
			return projections.ClinicSearch{Words: s.Words, Names: s.Names}
		}, "", nil),
		a.clinicsFound("clinics near", func(l luck) projections.ClinicSearch {
			return projections.ClinicSearch{Area: a.near(l), Sort: projections.ByDistance}
		}, bareClinicsNear, func(s projections.ClinicSearch) []any { return append(around(s.Area), loadedAt()) }),
		a.slots("slots of a practitioner in a week", func(l luck) projections.SlotFilter {
			return projections.SlotFilter{Practitioners: []domain.PractitionerID{a.anybody(l)}, From: loadedAt(), To: loadedAt().AddDate(0, 0, 7)}
		}, "s.practitioner = $2 and s.start >= $3 and s.start < $4", func(f projections.SlotFilter) []any { return []any{f.Practitioners[0], f.From, f.To} }),
		a.slots("slots of a specialty from now on", func(l luck) projections.SlotFilter {
			return projections.SlotFilter{Specialties: []string{pick(l, a.specialties).Code}, From: loadedAt()}
		}, "s.practitioner in (select p.practitioner from practitioner p where p.specialties @> array[$2::text]) and s.start >= $3",
			func(f projections.SlotFilter) []any { return []any{f.Specialties[0], f.From} }),
		a.slots("slots of a clinic on a day", func(l luck) projections.SlotFilter {
			day := loadedAt().AddDate(0, 0, l.IntN(20))
			return projections.SlotFilter{Area: projections.Area{Clinic: clinicID(l.IntN(a.Clinics))}, From: day, To: day.AddDate(0, 0, 1)}
		}, "s.clinic = $2 and s.start >= $3 and s.start < $4", func(f projections.SlotFilter) []any { return []any{f.Area.Clinic, f.From, f.To} }),
		a.slots("slots near", func(l luck) projections.SlotFilter {
			return projections.SlotFilter{Area: a.near(l), From: loadedAt()}
		}, bareNearSlots, func(f projections.SlotFilter) []any { return append(around(f.Area), f.From) }),
		a.nearest("nearest alternatives"),
		a.visits("appointments of a patient", func(l luck) projections.AppointmentFilter {
			return projections.AppointmentFilter{Patient: patientID(l.IntN(a.Patients))}
		}, `a.patient in (select $2::text union all select m.patient from patient m where m.merged_into = $2)`,
			func(f projections.AppointmentFilter) []any { return []any{f.Patient} }),
		a.visits("day list of a practitioner", func(l luck) projections.AppointmentFilter {
			n, day := a.working(l)
			return projections.AppointmentFilter{Practitioner: practitionerID(n), From: day.Start(), To: day.Start().AddDate(0, 0, 1)}
		}, `(a.practitioner = $2 or a.also @> array[$2]) and a.start >= $3 and a.start < $4`,
			func(f projections.AppointmentFilter) []any { return []any{f.Practitioner, f.From, f.To} }),
		a.daySheet("day sheet of a practitioner"),
		a.patientsFound("patients by a part of the name", func(l luck) string {
			name, _ := patientName(l.IntN(a.Patients))
			letters := []rune(name)
			return string(letters[:max(2, len(letters)*2/3)])
		}),
		a.patientsFound("patients by telephone number", func(l luck) string {
			_, phone := patientName(l.IntN(a.Patients))
			return phone[len(phone)-7:]
		}),
	}
}

// drawn returns one question for each variant, drawn by chance when the first
// is asked.
func drawn[S any](name string, draw func(luck) S) func(n int) S {
	all := sync.OnceValue(func() (all []S) {
		for n := range variants {
			all = append(all, draw(chance(name, n)))
		}
		return all
	})
	return func(n int) S { return all()[n] }
}

func (a *asking) anybody(l luck) domain.PractitionerID {
	return practitionerID(l.IntN(a.Practitioners))
}

// working returns a day on which somebody works.
func (a *asking) working(l luck) (practitioner int, on domain.Day) {
	n := l.IntN(a.Practitioners)
	return n, a.works(n, l.IntN(practiceWeeks), l.IntN(practiceDays))
}

func (a *asking) words(q string) projections.PractitionerSearch {
	return projections.PractitionerSearch{Words: projections.Words(q), Names: a.names}
}

// familyName returns a word of somebody's name.
func (a *asking) familyName(l luck) string {
	parts := strings.Fields(a.practitionerProfile(l.IntN(a.Practitioners)).Name)
	return parts[len(parts)*2/3]
}

// specialtyName returns the beginning of a name of a specialty.
func (a *asking) specialtyName(l luck) string {
	name := []rune(pick(l, a.specialties).Names[pick(l, []string{"en", "pt", "ru", "ko"})])
	return strings.Fields(string(name[:len(name)-len(name)/4]))[0]
}

// clinicWord returns a word of a clinic's name.
func (a *asking) clinicWord(l luck) string {
	parts := strings.Fields(a.clinicProfile(l.IntN(a.Clinics)).Name)
	return parts[len(parts)-2]
}

// mistyped swaps two letters of a word, inside of it.
func mistyped(l luck, text string) string {
	letters := []rune(text)
	if len(letters) < 5 {
		return text
	}
	i := 2 + l.IntN(len(letters)-4)
	letters[i], letters[i+1] = letters[i+1], letters[i]
	return string(letters)
}

// near returns a place in a town, and a radius of 5 km around it.
func (a *asking) near(l luck) projections.Area {
	town := pick(l, a.towns)
	return projections.Area{Near: &projections.Point{Latitude: *town.Latitude + 0.01*l.NormFloat64(), Longitude: *town.Longitude}, Radius: 5000}
}

// bareQuery answers with one statement.
func bareQuery[R any](ctx context.Context, a *asking, id func(R) string, sql string, args ...any) ([]string, error) {
	rows, _ := a.bare.Query(ctx, sql, args...)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[R])
	return idsOf(found[:min(len(found), 50)], id), err
}

func idsOf[R any](found []R, id func(R) string) []string {
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = id(f)
	}
	return ids
}

func (a *asking) practitioners(
	name string, draw func(luck) projections.PractitionerSearch, bare func(context.Context, projections.PractitionerSearch) ([]string, error),
) query {
	all, directory := drawn(name, draw), projections.NewDirectory(a.engine)
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			list, err := directory.FindPractitioners(ctx, all(n), 0)
			return idsOf(list.Items, func(p projections.PractitionerFound) string { return string(p.ID) }), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) { return bare(ctx, all(n)) },
		path: func(n int) string {
			s := all(n)
			v := areaValues(s.Area)
			set(v, "q", strings.Join(s.Words, " "), "specialty", s.Specialty, "sort", string(s.Sort))
			return "/v1/practitioners?" + v.Encode()
		},
	}
}

func (a *asking) clinicsFound(name string, draw func(luck) projections.ClinicSearch, sql string, args func(projections.ClinicSearch) []any) query {
	all, directory := drawn(name, draw), projections.NewDirectory(a.engine)
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			list, err := directory.FindClinics(ctx, all(n), loadedAt(), 0)
			return idsOf(list.Items, func(c projections.ClinicFound) string { return string(c.ID) }), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) {
			if sql == "" {
				return a.bareClinicsByWord(ctx, all(n).Words[0])
			}
			return bareQuery(ctx, a, func(c bareClinic) string { return c.ID }, sql, args(all(n))...)
		},
		path: func(n int) string {
			v := areaValues(all(n).Area)
			set(v, "q", strings.Join(all(n).Words, " "), "sort", string(all(n).Sort))
			return "/v1/clinics?" + v.Encode()
		},
	}
}

func areaValues(area projections.Area) url.Values {
	v := url.Values{}
	set(v, "town", area.Town)
	if at := area.Near; at != nil {
		set(v, "near", fmt.Sprintf("%f,%f", at.Latitude, at.Longitude), "radius", fmt.Sprintf("%.0f", area.Radius))
	}
	return v
}

// set sets the values that are not empty, each behind its name.
func set(v url.Values, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
}

func (a *asking) slots(name string, draw func(luck) projections.SlotFilter, where string, args func(projections.SlotFilter) []any) query {
	all, availability := drawn(name, draw), projections.NewAvailability(a.engine)
	sql := bareSlots + "\n\tand " + where + "\norder by s.start, s.slot\nlimit 51"
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			list, err := availability.List(ctx, all(n), loadedAt(), 0)
			return idsOf(list.Items, slotID), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) {
			return a.bareSlots(ctx, sql, append([]any{loadedAt()}, args(all(n))...))
		},
		path: func(n int) string {
			f, v := all(n), areaValues(all(n).Area)
			if len(f.Practitioners) > 0 {
				v.Set("practitionerId", string(f.Practitioners[0]))
			}
			if len(f.Specialties) > 0 {
				v.Set("specialty", f.Specialties[0])
			}
			set(v, "clinicId", string(f.Area.Clinic), "from", f.From.Format(time.RFC3339))
			if !f.To.IsZero() {
				v.Set("to", f.To.Format(time.RFC3339))
			}
			return "/v1/slots?" + v.Encode()
		},
	}
}

func slotID(s projections.Slot) string { return string(s.ID) }

func (a *asking) bareSlots(ctx context.Context, sql string, args []any) ([]string, error) {
	rows, _ := a.bare.Query(ctx, sql, args...)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[projections.Slot])
	return idsOf(found[:min(len(found), 50)], slotID), err
}

func (a *asking) nearest(name string) query {
	availability := projections.NewAvailability(a.engine)
	all := drawn(name, func(l luck) projections.Wish {
		n := l.IntN(a.Practitioners)
		return projections.Wish{
			Practitioner: practitionerID(n), Clinic: clinicID(a.worksAt(n)[0]), Start: loadedAt().Add(time.Duration(l.IntN(20*24*60)) * time.Minute),
		}
	})
	const few = 3
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			slots, err := availability.Nearest(ctx, all(n), loadedAt(), few)
			return idsOf(slots, slotID), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) {
			w := all(n)
			return a.bareSlots(ctx, bareNearest, []any{loadedAt(), w.Practitioner, w.Clinic, w.Start, few})
		},
	}
}

func (a *asking) visits(name string, draw func(luck) projections.AppointmentFilter, where string, args func(projections.AppointmentFilter) []any) query {
	all, appointments := drawn(name, draw), projections.NewAppointments(a.engine)
	sql := bareVisits + "\n\tand " + where + "\norder by a.start, a.appointment\nlimit 51"
	id := func(v projections.Appointment) string { return string(v.ID) }
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			list, err := appointments.List(ctx, all(n), loadedAt(), 0)
			return idsOf(list.Items, id), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) {
			rows, _ := a.bare.Query(ctx, sql, append([]any{loadedAt().Add(-appointment.ClockSlack)}, args(all(n))...)...)
			found, err := pgx.CollectRows(rows, pgx.RowToStructByName[projections.Appointment])
			return idsOf(found[:min(len(found), 50)], id), err
		},
		path: func(n int) string {
			f, v := all(n), url.Values{}
			set(v, "patientId", string(f.Patient), "practitionerId", string(f.Practitioner))
			if !f.From.IsZero() {
				set(v, "from", f.From.Format(time.RFC3339), "to", f.To.Format(time.RFC3339))
			}
			return "/v1/appointments?" + v.Encode()
		},
	}
}

func (a *asking) daySheet(name string) query {
	sheets := projections.NewDaySheets(a.engine)
	all := drawn(name, func(l luck) projections.DayFilter {
		n, day := a.working(l)
		return projections.DayFilter{Practitioner: practitionerID(n), Day: day}
	})
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			sheet, err := sheets.Day(ctx, all(n), loadedAt(), 0)
			return idsOf(sheet.Entries, func(e projections.DayEntry) string { return string(e.Slot) + " " + string(e.Appointment) }), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) {
			id := func(e bareEntry) string { return e.Slot + " " + e.Appointment }
			return bareQuery(ctx, a, id, bareDay, loadedAt().Add(-appointment.ClockSlack), all(n).Practitioner, string(all(n).Day))
		},
	}
}

func (a *asking) patientsFound(name string, draw func(luck) string) query {
	all, patients := drawn(name, draw), projections.NewPatients(a.engine)
	return query{
		name: name,
		ours: func(ctx context.Context, n int) ([]string, error) {
			list, err := patients.Search(ctx, projections.PatientFilter{Query: all(n)}, 0)
			return idsOf(list.Items, func(p projections.Patient) string { return string(p.ID) }), err
		},
		bare: func(ctx context.Context, n int) ([]string, error) {
			return bareQuery(ctx, a, func(p barePatient) string { return p.ID }, barePatients, "%"+strings.Join(projections.Words(all(n)), " ")+"%")
		},
		path: func(n int) string { return "/v1/patients?" + url.Values{"q": {all(n)}}.Encode() },
	}
}
