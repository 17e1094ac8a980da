package series_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/domaintest"
	"github.com/slotbook/slotbook/domain/series"
)

func weekly(first domain.Day, at domain.WallTime, zone string, count int) series.Recurrence {
	return series.Recurrence{First: first, At: at, Zone: zone, EveryWeeks: 1, Count: count}
}

func starts(t *testing.T, r series.Recurrence) (all []string, skipped []bool) {
	t.Helper()
	dates, err := r.Dates()
	require.NoError(t, err)
	for _, d := range dates {
		all, skipped = append(all, d.Start.UTC().Format(time.RFC3339)), append(skipped, d.Skipped)
	}
	return all, skipped
}

// A series keeps its wall time across both changes of the clock.
func TestASeriesKeepsItsWallTime(t *testing.T) {
	t.Parallel()
	spring, _ := starts(t, weekly("2026-03-22", 9*60, "Europe/Lisbon", 3))
	require.Equal(t, []string{"2026-03-22T09:00:00Z", "2026-03-29T08:00:00Z", "2026-04-05T08:00:00Z"}, spring)
	autumn, _ := starts(t, weekly("2026-10-18", 9*60, "Europe/Lisbon", 2))
	require.Equal(t, []string{"2026-10-18T08:00:00Z", "2026-10-25T09:00:00Z"}, autumn)
}

// A wall time that the clock skips is marked on that date only; one that it
// shows twice is the first.
func TestSkippedAndRepeatedWallTimes(t *testing.T) {
	t.Parallel()
	_, skipped := starts(t, weekly("2026-03-22", 90, "Europe/Lisbon", 3)) // 01:30 is skipped on 29 March
	require.Equal(t, []bool{false, true, false}, skipped)
	twice, _ := starts(t, weekly("2026-10-25", 90, "Europe/Lisbon", 1))
	require.Equal(t, []string{"2026-10-25T00:30:00Z"}, twice)
}

func TestASeriesEndsByCountOrByDay(t *testing.T) {
	t.Parallel()
	until := series.Recurrence{First: "2026-03-02", At: 540, Zone: "UTC", EveryWeeks: 2, Until: "2026-04-13"}
	all, _ := starts(t, until)
	require.Equal(t, []string{"2026-03-02T09:00:00Z", "2026-03-16T09:00:00Z", "2026-03-30T09:00:00Z", "2026-04-13T09:00:00Z"}, all)
	until.Until, until.EveryWeeks = "2036-01-01", 1
	all, _ = starts(t, until)
	require.Len(t, all, series.MaxDates)
}

func TestWhatIsNoRecurrence(t *testing.T) {
	t.Parallel()
	good := weekly("2026-03-02", 540, "UTC", 3)
	for name, change := range map[string]func(*series.Recurrence){
		"no end":           func(r *series.Recurrence) { r.Count = 0 },
		"two ends":         func(r *series.Recurrence) { r.Until = "2026-04-01" },
		"ends before":      func(r *series.Recurrence) { r.Count, r.Until = 0, "2026-03-01" },
		"never again":      func(r *series.Recurrence) { r.EveryWeeks = 0 },
		"once in a decade": func(r *series.Recurrence) { r.EveryWeeks = 520 },
		"too often":        func(r *series.Recurrence) { r.Count = 105 },
		"no day":           func(r *series.Recurrence) { r.First = "monday" },
		"after midnight":   func(r *series.Recurrence) { r.At = 24 * 60 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good
			change(&r)
			_, err := r.Dates()
			require.ErrorIs(t, err, series.ErrRecurrence)
		})
	}
	good.Zone = "Nowhere"
	_, err := good.Dates()
	require.ErrorIs(t, err, domain.ErrBadZone)
}

func TestAccept(t *testing.T) {
	t.Parallel()
	spec := domaintest.Spec[series.State, series.Command, series.Event]{Decide: series.Decide, Evolve: series.Evolve}
	s := series.State{
		ID: "s", Patient: "ana", Practitioner: "p", Clinic: "c", Recurrence: weekly("2026-03-02", 540, "UTC", 2),
		Visits: []series.Visit{{Day: "2026-03-02", Slot: "x", Appointment: "a"}}, Missed: []series.Miss{{Day: "2026-03-09", Rule: "slot.taken"}},
	}
	accepted := series.Accepted{
		Series: "s", Patient: "ana", Practitioner: "p", Clinic: "c", Recurrence: s.Recurrence, Visits: s.Visits, Missed: s.Missed,
	}
	other := s
	other.Patient = "boris"
	t.Run("says what became of the dates", spec.Given().When(series.Accept{Series: s}).Then(accepted))
	t.Run("of another series under the same id is refused", spec.Given(accepted).When(series.Accept{Series: other}).ThenRefuse(series.ErrExists))
}
