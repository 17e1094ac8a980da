package reactions_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/reactions"
)

// dying is a store that stores so many appends and no more.
type dying struct {
	*memory.Store
	appends int
}

func (d *dying) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	if d.appends--; d.appends < 0 {
		return 0, commands.ErrUnavailable
	}
	return d.Store.Append(ctx, writes...)
}

func TestWhatADeadProcessHeldIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: time.Now, StepByStep: true})
		h := staffed(t, commands.New(commands.Config{Store: store, Now: time.Now, NewID: uuid.NewString}), "UTC", 60)
		f := reactions.Finisher{Handler: h}
		running, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		from, err := store.Head(running)
		require.NoError(t, err)
		go func() { ended <- follow(running, store, from, f.Wants(), f.React) }()
		t.Cleanup(func() {
			stop()
			require.NoError(t, <-ended)
		})
		s := opened(t, store)[0]
		booked, err := h.Book(t.Context(), request(), commands.Booking{Appointment: domain.AppointmentID(domain.NewID("a")), Slots: []domain.SlotID{s.ID}, Patient: ana})
		require.NoError(t, err)
		short := commands.New(commands.Config{Store: &dying{store, 1}, Now: time.Now, NewID: uuid.NewString})
		_, err = short.Cancel(t.Context(), request(), commands.Cancellation{Appointment: booked.State.Sets[0].Appointment, Initiator: appointment.ByClinic})
		require.NoError(t, err, "it was the commit point")
		synctest.Wait()
		page, err := store.ReadAll(t.Context(), 0, domain.Filter{Types: []string{"slot.released", "occupancy.released"}}, 100)
		require.NoError(t, err)
		require.Len(t, page.Events, 2)
	})
}

func TestOnAStoreOfAppendsTogetherHardlyAnythingIsLeftToFinish(t *testing.T) {
	t.Parallel()
	h := commands.New(commands.Config{Store: newStore()})
	require.Equal(t, []string{"series.booked", "series.refused", "series.lapsed"}, reactions.Finisher{Handler: h}.Wants())
}
