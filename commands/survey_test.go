package commands_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

// everybody opens the days of both practitioners.
func (w *world) everybody(h *commands.Handler) map[domain.PractitionerID]commands.Opening {
	openings := map[domain.PractitionerID]commands.Opening{}
	h.OpenEverybody(w.ctx, "system", []domain.PractitionerID{w.silva, w.souza}, func(id domain.PractitionerID, opening commands.Opening, err error) {
		require.NoError(w.t, err)
		openings[id] = opening
	})
	require.Len(w.t, openings, 2, "each is told of once")
	return openings
}

func TestEverybodysDaysAreOpenedAsOnesOwn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		night := w.weekdays("22:00", "02:00", 30, 1, 2) // the slots of one day lie beside those of the next
		for _, p := range []domain.PractitionerID{w.silva, w.souza} {
			w.set(p, night)
		}
		w.clock.advance(7 * 24 * time.Hour)
		openings := w.everybody(w.h)
		require.Len(t, openings[w.silva].Opened, 2*8)
		require.Len(t, openings[w.souza].Opened, 2*8)
		noOverlap(w)
		require.Zero(t, w.everybody(w.h)[w.silva], "all is open")
		w.audit()
	})
}

func TestWhatIsAllNewIsOpenedInOneAppend(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	for _, p := range []domain.PractitionerID{w.silva, w.souza} {
		w.open(p, 1)
	}
	w.clock.advance(14 * 24 * time.Hour)
	counted := &counting{Store: w.store}
	require.Len(t, w.everybody(w.handler(counted))[w.souza].Opened, 6)
	require.Equal(t, counting{Store: w.store, loads: 2, appends: 1}, *counted)
}

func TestOneWhoseScheduleChangesMeanwhileIsOpenedUnderTheNewOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	for _, p := range []domain.PractitionerID{w.silva, w.souza} {
		w.open(p, 1)
	}
	w.clock.advance(14 * 24 * time.Hour)
	var once sync.Once
	slow := &pausing{Store: w.store, at: 1, pause: func() {
		once.Do(func() { w.set(w.silva, w.weekdays("13:00", "15:00", 30, 1, 1)) })
	}}
	openings := w.everybody(w.handler(slow))
	require.Empty(t, openings[w.silva].Opened, "the change has opened hers")
	require.Len(t, openings[w.souza].Opened, 6)
	noOverlap(w)
	var afternoon []schedule.Slot
	for _, r := range w.log() {
		if opened, ok := r.Event.(schedule.DayOpened); ok && opened.Practitioner == w.silva && opened.Day == domain.DayOf(w.clock.now()) {
			afternoon = append(afternoon, opened.Slots...)
		}
	}
	require.Len(t, afternoon, 4, "no slot of the morning was opened under the old schedule")
}
