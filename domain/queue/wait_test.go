package queue_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/queue"
)

// waits are the minutes from now of a forecast: by half and by most.
func waits(f queue.Forecast, now time.Time) [2]int {
	return [2]int{int(f.P50.Sub(now) / time.Minute), int(f.P90.Sub(now) / time.Minute)}
}

func planned(e queue.Entry, minutes int) queue.Entry {
	e.VisitType, e.Planned = "consult", minutes
	return e
}

func TestWithoutHistoryScheduledDurationsCountAndItSaysSo(t *testing.T) {
	t.Parallel()
	first, second := planned(booked(1, at(10, 0), at(9, 55)), 20), planned(booked(2, at(10, 20), at(10, 5)), 30)
	third := walkIn(3, at(10, 6))
	s := state(joined(first), called(first, "1", at(10, 0)), queue.HasStarted{Entry: first, At: at(10, 0)}, joined(second), joined(third))
	f := queue.Estimate(s, queue.Learned{}, 3, at(10, 6))
	require.Len(t, f, 2)
	require.Equal(t, queue.BySchedule, f[0].Basis)
	require.Equal(t, [2]int{14, 27}, waits(f[0], at(10, 6)), "what is left of 20 minutes")
	require.Equal(t, [2]int{44, 81}, waits(f[1], at(10, 6)), "and 30 minutes more")
	require.True(t, f[1].Joining)
	require.False(t, f[0].Joining)
}

func TestBeforeTheFirstCallOneBeginsWhenTheFirstIsDue(t *testing.T) {
	t.Parallel()
	f := queue.Estimate(state(joined(planned(booked(1, at(9, 0), at(8, 40)), 20))), queue.Learned{}, 1, at(8, 40))
	require.Equal(t, at(9, 0), f[0].Base)
}

// TestBeforeTheFirstCallTheRangeIsAVisitAtLeast forecasts for who comes first, on a
// day on which nobody is known to serve.
func TestBeforeTheFirstCallTheRangeIsAVisitAtLeast(t *testing.T) {
	t.Parallel()
	one, two := planned(walkIn(1, at(7, 0)), 20), walkIn(2, at(7, 0))
	s := state(joined(one), joined(two))
	f := queue.Estimate(s, queue.Learned{}, 2, at(7, 0))
	require.Equal(t, [2]int{0, 20}, waits(f[0], at(7, 0)))
	require.Equal(t, [2]int{20, 40}, waits(f[1], at(7, 0)))
	served := state(joined(one), called(one, "1", at(7, 0)), queue.HasFinished{Entry: one, At: at(7, 10)}, joined(two))
	require.Equal(t, [2]int{0, 2}, waits(queue.Estimate(served, queue.Learned{}, 0, at(7, 10))[0], at(7, 10)), "somebody serves")
}

func TestWhoeverServesAtTwoDesksHalvesTheWait(t *testing.T) {
	t.Parallel()
	one, two := planned(booked(1, at(10, 0), at(9, 55)), 20), planned(booked(2, at(10, 0), at(9, 56)), 20)
	three, four := planned(booked(3, at(10, 0), at(9, 57)), 20), planned(booked(4, at(10, 0), at(9, 58)), 20)
	s := state(joined(one), joined(two), joined(three), joined(four), called(one, "1", at(10, 0)), called(two, "2", at(10, 0)))
	f := queue.Estimate(s, queue.Learned{}, 0, at(10, 0))
	require.Equal(t, []time.Time{at(10, 20), at(10, 20)}, []time.Time{f[0].Base, f[1].Base})
}

func TestAVisitThatNobodyEndedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	one, two := planned(booked(1, at(8, 0), at(8, 0)), 20), planned(booked(2, at(10, 0), at(10, 0)), 20)
	s := state(joined(one), called(one, "1", at(8, 0)), joined(two))
	require.Equal(t, at(10, 0), queue.Estimate(s, queue.Learned{}, 2, at(10, 0))[0].Base)
}

// twenty is a watch of twenty visits of so many minutes each, one after the
// other.
func twenty(t *testing.T, minutes int) (queue.Watch, time.Time) {
	t.Helper()
	var w queue.Watch
	now := at(8, 0)
	happens := func(e queue.Event, at time.Time) { w, _, _ = w.After(e, at) }
	for n := range 21 {
		e := planned(walkIn(n+1, now), 60)
		happens(joined(e), now)
		if n > 0 { // the one before is still in service
			before := planned(walkIn(n, now), 60)
			now = now.Add(time.Duration(minutes) * time.Minute)
			happens(queue.HasFinished{Entry: before, At: now}, now)
		}
		happens(called(e, "1", now), now)
		happens(queue.HasStarted{Entry: e, At: now}, now)
	}
	return w, now
}

func TestRealDurationsCountOnceThereAreEnough(t *testing.T) {
	t.Parallel()
	w, now := twenty(t, 10)
	w, _, fresh := w.After(joined(planned(walkIn(22, now), 60)), now)
	require.Len(t, fresh, 1)
	require.Equal(t, queue.ByHistory, fresh[0].Basis)
	require.Equal(t, [2]int{10, 10}, waits(fresh[0], now), "not the 60 minutes that are planned")
	text, err := json.Marshal(w)
	require.NoError(t, err)
	require.NotContains(t, string(text), "silva", "names nobody")
	var again queue.Watch
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, w, again)
}

func TestAForecastIsNewOnlyWhenItSaysSomethingElse(t *testing.T) {
	t.Parallel()
	w, now := twenty(t, 10)
	w, _, _ = w.After(joined(planned(walkIn(22, now), 60)), now)
	_, _, fresh := w.After(queue.WasRecalled{Entry: walkIn(21, now), Desk: "1", At: now}, now)
	require.Empty(t, fresh)
}

func TestADayThatIsOverTeachesNothing(t *testing.T) {
	t.Parallel()
	w, now := twenty(t, 10)
	for n := range 2 {
		e := walkIn(1, now.AddDate(0, 0, n+1))
		e.Day = day.Add(n + 1)
		w, _, _ = w.After(joined(e), e.Since)
	}
	after, _, fresh := w.After(queue.HasFinished{Entry: walkIn(21, now), At: now}, now)
	require.Empty(t, fresh)
	require.Equal(t, w, after)
}

func TestAWatchIsBounded(t *testing.T) {
	t.Parallel()
	var w queue.Watch
	for n := range 300 {
		d := at(9, 0).AddDate(0, 0, n)
		e := planned(walkIn(1, d), 10)
		e.Day = day.Add(n)
		w, _, _ = w.After(joined(e), d)
		w, _, _ = w.After(called(e, "1", d), d)
		w, _, _ = w.After(queue.HasFinished{Entry: e, At: d.Add(10 * time.Minute)}, d)
	}
	require.Len(t, w.Days, 2)
	require.Len(t, w.Learned.Durations, 1)
	require.Len(t, w.Learned.Durations[0].Seconds, 30)
	require.Len(t, w.Learned.Residuals[0].Thousands, 60)
}
