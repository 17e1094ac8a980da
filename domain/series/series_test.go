package series_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/claim"
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
		"after all days":   func(r *series.Recurrence) { r.First = "9999-12-31" },
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

var (
	now      = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	deadline = now.Add(10 * time.Second)
	spec     = domaintest.Spec[series.State, series.Command, series.Event]{Decide: series.Decide, Evolve: series.Evolve}
	wished   = series.State{
		ID: "s", Patient: "ana", Practitioner: "p", Clinic: "c", Recurrence: weekly("2026-03-02", 540, "UTC", 2),
		Visits: []series.Visit{{Day: "2026-03-02", Slot: "x", Appointment: "a", Set: 1}, {Day: "2026-03-09", Slot: "y", Appointment: "b", Set: 1}},
	}
	proposed = series.WasProposed{
		Series: "s", Patient: "ana", Practitioner: "p", Clinic: "c", Recurrence: wished.Recurrence, Visits: wished.Visits, Deadline: deadline,
	}
	booked  = series.WasBooked{Series: "s", Visits: wished.Visits}
	refused = series.WasRefused{Series: "s", Visits: wished.Visits, Rule: "slot.taken"}
	lapsed  = series.HasLapsed{Series: "s", Visits: wished.Visits}
)

func TestPropose(t *testing.T) {
	t.Parallel()
	propose := series.Propose{Series: wished, Deadline: deadline, At: now}
	late := series.Propose{Series: wished, Deadline: deadline.Add(time.Minute), At: deadline}
	next := proposed
	next.Deadline = late.Deadline
	other := propose
	other.Series.Patient = "boris"
	t.Run("begins a round", spec.Given().When(propose).Then(proposed))
	t.Run("goes on with the round that is there", spec.Given(proposed).When(propose).Then())
	t.Run("ends a round whose time is up, and begins the next", spec.Given(proposed).When(late).Then(lapsed, next))
	t.Run("begins the next round after a date was lost", spec.Given(proposed, refused).When(propose).Then(proposed))
	t.Run("begins the next round after the first has lapsed", spec.Given(proposed, lapsed).When(propose).Then(proposed))
	t.Run("of what is booked changes nothing", spec.Given(proposed, booked).When(propose).Then())
	t.Run("of another series under the same id is refused", spec.Given(proposed).When(other).ThenRefuse(series.ErrExists))
	t.Run("of a series that was accepted with a report is refused",
		spec.Given(series.Accepted{Series: "s", Patient: "ana"}).When(propose).ThenRefuse(series.ErrExists))
}

func TestBook(t *testing.T) {
	t.Parallel()
	book := series.Book{At: deadline.Add(-time.Second)}
	t.Run("books every date", spec.Given(proposed).When(book).Then(booked))
	t.Run("is refused when its time is up, by its owner's own clock", spec.Given(proposed).When(series.Book{At: deadline}).ThenRefuse(series.ErrLapsed))
	t.Run("is refused once somebody has ended it", spec.Given(proposed, lapsed).When(book).ThenRefuse(series.ErrLapsed))
	t.Run("is refused once a date was lost", spec.Given(proposed, refused).When(book).ThenRefuse(series.ErrLapsed))
	t.Run("of nothing is refused", spec.Given().When(book).ThenRefuse(series.ErrLapsed))
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	refuse := series.Refuse{Rule: "slot.taken"}
	t.Run("ends the round", spec.Given(proposed).When(refuse).Then(refused))
	t.Run("does not undo what is booked", spec.Given(proposed, booked).When(refuse).Then())
}

func TestLapse(t *testing.T) {
	t.Parallel()
	lapse := series.Lapse{At: deadline.Add(claim.ClockSlack)}
	t.Run("ends a round two seconds after its deadline", spec.Given(proposed).When(lapse).Then(lapsed))
	t.Run("is nobody's to do before", spec.Given(proposed).When(series.Lapse{At: deadline.Add(time.Second)}).ThenRefuse(series.ErrNotDue))
	t.Run("does not undo what is booked", spec.Given(proposed, booked).When(lapse).Then())
}

func TestTheFateOfAVisitIsThatOfItsSeries(t *testing.T) {
	t.Parallel()
	second := proposed
	second.Visits = []series.Visit{{Day: "2026-03-02", Slot: "x", Appointment: "a", Set: 2}}
	for _, c := range []struct {
		name    string
		history []series.Event
		set     int
		want    claim.Fate
	}{
		{"pending while the series is", []series.Event{proposed}, 1, claim.Pending},
		{"live once it is booked", []series.Event{proposed, booked}, 1, claim.Live},
		{"dead once it was refused", []series.Event{proposed, refused}, 1, claim.Dead},
		{"dead once it has lapsed", []series.Event{proposed, lapsed}, 1, claim.Dead},
		{"dead, of an earlier round, whatever becomes of the next", []series.Event{proposed, lapsed, second, booked}, 1, claim.Dead},
		{"that of the round that it is of", []series.Event{proposed, lapsed, second, booked}, 2, claim.Live},
		{"not the series' to say when it was accepted with a report", []series.Event{series.Accepted{Series: "s", Visits: wished.Visits}}, 1, claim.Unknown},
		{"unknown of nothing", nil, 1, claim.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, domain.Fold(series.Evolve, series.State{}, c.history...).Fate("a", c.set))
		})
	}
}
