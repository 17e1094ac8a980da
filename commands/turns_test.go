package commands

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

func TestTurnsComeInTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line turns
		leave, err := line.take(t.Context(), "a", "b")
		require.NoError(t, err)
		var order []int
		for n := range 5 {
			go func() {
				leave, err := line.take(t.Context(), "b", "a", "b")
				if err == nil {
					order = append(order, n)
					leave()
				}
			}()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2, 3, 4}, order)
		require.Empty(t, line.lines, "nothing is kept of streams that nobody wants")
	})
}

func TestWhoGivesUpLetsTheNextGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var line turns
		leave, err := line.take(t.Context(), "a")
		require.NoError(t, err)
		impatient, giveUp := context.WithCancel(t.Context())
		go func() {
			_, err := line.take(impatient, "a")
			if err == nil {
				t.Error("it was not its turn")
			}
		}()
		synctest.Wait()
		done := false
		go func() {
			leave, err := line.take(t.Context(), "a")
			done = err == nil
			leave()
		}()
		synctest.Wait()
		giveUp()
		synctest.Wait()
		require.False(t, done)
		leave()
		synctest.Wait()
		require.True(t, done)
		require.Empty(t, line.lines)
	})
}

// aDay is a store that knows one day.
type aDay struct {
	Store
	slots []schedule.Slot
}

func (d aDay) Load(_ context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	return map[domain.StreamName][]domain.Recorded{streams[0]: {{Event: schedule.DayOpened{Slots: d.slots}}}}, nil
}

func TestACacheThatIsFullForgetsNothingThatWasJustFound(t *testing.T) {
	t.Parallel()
	p := domain.PractitionerID(domain.NewID("p"))
	var day aDay
	for n := range 6 {
		day.slots = append(day.slots, schedule.Slot{ID: schedule.SlotID(p, "2026-06-01", n), Capacity: 1})
	}
	h := New(Config{Store: day})
	for n := range cacheSize - 3 {
		h.terms.store(domain.SlotID(fmt.Sprint(n)), opened{})
	}
	found, err := h.openedSlot(t.Context(), day.slots[0].ID)
	require.NoError(t, err)
	require.Equal(t, day.slots[0].ID, found.terms.Slot)
	require.LessOrEqual(t, len(h.terms.entries), cacheSize)
}
