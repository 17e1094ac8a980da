package projections_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain/queue"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// walkIn is the n-th to come to Ana's queue.
func walkIn(n int, since time.Time) queue.Entry {
	return queue.Entry{ID: "w", Ticket: n, Practitioner: ana, Day: "2026-03-02", Clinic: centre, Since: since, Planned: 20, Offset: 60}
}

func inQueue(e queue.Event) fact { return on(queue.Stream(ana, "2026-03-02"), e) }

// aMorning is a queue of four: the first is called and served, the second
// called, the third leaves, the fourth waits.
func aMorning() []fact {
	first, second, third, fourth := walkIn(1, at(9, 0)), walkIn(2, at(9, 5)), walkIn(3, at(9, 6)), walkIn(4, at(9, 7))
	return []fact{
		inQueue(queue.HasJoined{Entry: first}),
		inQueue(queue.WasCalled{Entry: first, Desk: "1", At: at(9, 1)}),
		inQueue(queue.HasStarted{Entry: first, At: at(9, 2)}),
		inQueue(queue.HasJoined{Entry: second}),
		inQueue(queue.HasJoined{Entry: third}),
		inQueue(queue.HasJoined{Entry: fourth}),
		inQueue(queue.HasFinished{Entry: first, At: at(9, 42)}),
		inQueue(queue.WasCalled{Entry: second, Desk: "1", At: at(9, 43)}),
		inQueue(queue.HasLeft{Entry: third, At: at(9, 50)}),
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	t.Run("are forecast for who waits", given(aMorning()...).Then(func(t *testing.T, e *engine.Engine) {
		waits, err := projections.NewWaits(e).Latest(t.Context(), []string{string(ana)}, "2026-03-02", nil, 9)
		require.NoError(t, err)
		require.Len(t, waits, 4)
		require.Equal(t, projections.Wait{
			Line: string(ana), Ticket: 4, MadeAt: at(9, 50), P50: at(10, 3), P90: at(10, 15), Basis: queue.BySchedule,
		}, waits[3])
		none, err := projections.NewWaits(e).Latest(t.Context(), []string{string(bo)}, "2026-03-02", nil, 0)
		require.NoError(t, err)
		require.Empty(t, none)
	}))
	t.Run("are judged by what became of them", given(aMorning()...).Then(func(t *testing.T, e *engine.Engine) {
		judged := func(f projections.AccuracyFilter) []projections.Accuracy {
			rows, _, err := projections.NewWaits(e).Accuracy(t.Context(), f, 0)
			require.NoError(t, err)
			return rows
		}
		joining := func(rows []projections.Accuracy) (of []projections.Accuracy) {
			for _, r := range rows {
				if r.Joining {
					of = append(of, r)
				}
			}
			return of
		}
		made := projections.Accuracy{Joining: true, Band: -1, Made: 4, Settled: 2, Left: 1, MedianError: 60, AboveP90: 1, BelowP50: 0}
		basis, band := made, made
		basis.Basis, band.Band = queue.BySchedule, 10 // at the clinic
		require.Equal(t, []projections.Accuracy{made, basis, band}, joining(judged(projections.AccuracyFilter{})))
		require.Len(t, judged(projections.AccuracyFilter{Clinic: centre, Line: string(ana), From: "2026-03-02", To: "2026-03-02"}), 6)
		for _, f := range []projections.AccuracyFilter{{Clinic: harbor}, {Line: string(bo)}, {From: "2026-03-03"}, {To: "2026-03-01"}} {
			require.Empty(t, judged(f))
		}
	}))
	first := walkIn(1, at(9, 0))
	back := []fact{
		inQueue(queue.HasJoined{Entry: first}), inQueue(queue.HasLeft{Entry: first, At: at(9, 10)}),
		inQueue(queue.HasReturned{Entry: first, At: at(9, 30)}), inQueue(queue.WasCalled{Entry: first, Desk: "1", At: at(9, 31)}),
	}
	t.Run("of who left and returned are two", given(back...).Then(func(t *testing.T, e *engine.Engine) {
		rows, _, err := projections.NewWaits(e).Accuracy(t.Context(), projections.AccuracyFilter{}, 0)
		require.NoError(t, err)
		require.Equal(t, []int{2, 1, 1}, []int{rows[0].Made, rows[0].Settled, rows[0].Left})
	}))
}
