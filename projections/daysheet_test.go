package projections_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// sheetIs says how a day sheet looks: "HH:MM kind free/places" for a slot, and
// whose turn it is in it.
func sheetIs(f projections.DayFilter, now time.Time, want ...string) func(*testing.T, *engine.Engine) {
	names := map[domain.PatientID]string{pat: "pat", quinn: "quinn", "": "nobody"}
	return func(t *testing.T, e *engine.Engine) {
		t.Helper()
		sheet, err := projections.NewDaySheets(e).Day(t.Context(), f, now, 0)
		require.NoError(t, err)
		var lines []string
		for _, x := range sheet.Entries {
			line := x.Start.Format("15:04 ") + string(x.Kind)
			if x.Places > 0 {
				line += fmt.Sprintf(" %d/%d", x.Free, x.Places)
			}
			if x.Appointment != "" {
				line += " " + names[x.Patient] + " " + string(x.Status)
			}
			if !x.ExpectedAt.IsZero() {
				line += " at " + x.ExpectedAt.Format("15:04")
			}
			if !x.Deadline.IsZero() {
				line += " until " + x.Deadline.Format("15:04")
			}
			if x.Overbooked {
				line += " overbooked"
			}
			lines = append(lines, line)
		}
		require.Equal(t, want, lines)
	}
}

func TestADaySheet(t *testing.T) {
	t.Parallel()
	nine, ten := half(9, 0), half(10, 0)
	v, w := visit(visitA, pat, ana, 0, nine), visit(visitB, quinn, ana, 0, nine)
	open := day(ana, centre, 1, nine, ten)
	lisbon := clinicFact(centre, "Centre", "Europe/Lisbon")
	deadline, now := at(8, 10), at(8, 0)
	f := projections.DayFilter{Practitioner: ana, Day: "2026-03-02"}

	t.Run("an open day is free", given(lisbon, open).Then(sheetIs(f, now, "09:00 free 1/1", "10:00 free 1/1")))
	t.Run("a booked slot says who comes",
		given(lisbon, open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1)).
			Then(sheetIs(f, now, "09:00 booked 0/1 pat booked", "10:00 free 1/1")))
	t.Run("what is about to be booked is held, whoever wants it",
		given(lisbon, open, proposed(v, 1, deadline), claimed(v, 0, 1, 1)).Then(sheetIs(f, now, "09:00 held 0/1", "10:00 free 1/1")))
	t.Run("a cancelled visit is not on the sheet",
		given(lisbon, open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1), cancelled(v, 1)).
			Then(sheetIs(f, now, "09:00 free 1/1", "10:00 free 1/1")))
	nobody := v
	nobody.Patient = ""
	t.Run("a hold is held until it has lapsed, and free then",
		given(lisbon, open, proposed(nobody, 1, deadline), holding(nobody, 0, 1, 1), held(nobody, 1, deadline)).
			Then(func(t *testing.T, e *engine.Engine) {
				over := deadline.Add(appointment.ClockSlack)
				sheetIs(f, over.Add(-time.Microsecond), "09:00 held 0/1 nobody pending until 08:10", "10:00 free 1/1")(t, e)
				sheetIs(f, over, "09:00 free 1/1", "10:00 free 1/1")(t, e)
			}))
	t.Run("a request waits for its answer",
		given(lisbon, open, proposed(v, 1, deadline), holding(v, 0, 1, 1), requested(v, 1, deadline)).
			Then(sheetIs(f, now, "09:00 requested 0/1 pat pending until 08:10", "10:00 free 1/1")))
	t.Run("a withdrawn slot is blocked, or displaces who is in it",
		given(lisbon, open, proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1), displaced(v, 0, 1), withdrawn(ana, 1, ten)).
			Then(sheetIs(f, now, "09:00 displaced 0/1 pat booked", "10:00 blocked 0/1")))

	first, second := v, w
	turns := []time.Time{at(9, 0), at(9, 15)}
	first.ExpectedAt, second.ExpectedAt = &turns[1], &turns[0]
	t.Run("a session is one entry for the slot, and one for each turn in their order",
		given(lisbon, day(ana, centre, 3, nine), proposed(v, 1, deadline), claimed(v, 0, 1, 3), booked(first, 1),
			proposed(w, 1, deadline), claimed(w, 0, 1, 3), booked(second, 1)).
			Then(sheetIs(f, now, "09:00 free 1/3", "09:00 booked quinn booked at 09:00", "09:00 booked pat booked at 09:15")))
	beyond := w
	beyond.Overbooked = true
	last := v // the later turn, of the appointment that comes first by its id
	last.Overbooked = true
	t.Run("who has no turn comes after those who have",
		given(lisbon, day(ana, centre, 1, nine), proposed(w, 1, deadline), claimed(w, 0, 1, 1), booked(second, 1),
			proposed(last, 1, deadline), claimed(v, 0, 1, 2), booked(last, 1)).
			Then(sheetIs(f, now, "09:00 booked 0/2", "09:00 booked quinn booked at 09:00", "09:00 booked pat booked overbooked")))
	t.Run("who was taken in beyond the places is shown with the others",
		given(lisbon, day(ana, centre, 1, nine), proposed(v, 1, deadline), claimed(v, 0, 1, 1), booked(v, 1),
			proposed(beyond, 1, deadline), claimed(w, 0, 1, 2), booked(beyond, 1)).
			Then(sheetIs(f, now, "09:00 booked 0/2", "09:00 booked pat booked", "09:00 booked quinn booked overbooked")))
}

func TestTheDayOfADaySheetIsThatOfEachClinic(t *testing.T) {
	t.Parallel()
	late := domain.Period{Start: at(15, 0), End: at(15, 30)} // midnight in Tokyo
	opened := on(schedule.DayStream(ana, "2026-03-02"), schedule.DayOpened{Practitioner: ana, Day: "2026-03-02", Slots: []schedule.Slot{
		{ID: slotID(ana, 0), Clinic: centre, Capacity: 1, Period: late}, {ID: slotID(ana, 1), Clinic: harbor, Capacity: 1, Period: half(15, 30)},
	}})
	facts := []fact{clinicFact(centre, "Centre", "Europe/Lisbon"), clinicFact(harbor, "Harbor", "Asia/Tokyo"), opened}
	sheet := func(day domain.Day, at domain.ClinicID, want ...string) func(*testing.T, *engine.Engine) {
		return sheetIs(projections.DayFilter{Practitioner: ana, Day: day, Clinic: at}, late.Start, want...)
	}
	t.Run("a practitioner of two clinics has two calendars", given(facts...).Then(func(t *testing.T, e *engine.Engine) {
		sheet("2026-03-02", "", "15:00 free 1/1")(t, e)
		sheet("2026-03-03", "", "15:30 free 1/1")(t, e)
		sheet("2026-03-03", centre)(t, e)
		sheet("2026-03-03", harbor, "15:30 free 1/1")(t, e)
	}))
	t.Run("a day without slots has no entries", given(facts...).Then(sheet("2026-03-05", "")))
}
