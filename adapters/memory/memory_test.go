package memory_test

import (
	"testing"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/eventstoretest"
	"github.com/slotbook/slotbook/adapters/memory"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/stretchr/testify/require"
)

func TestContract(t *testing.T) {
	for name, stepByStep := range map[string]bool{"atomic": false, "step by step": true} {
		t.Run(name, func(t *testing.T) {
			eventstoretest.Run(t, func(*testing.T) (eventstoretest.Store, *eventcodec.Codec) {
				codec := eventcodec.New(&eventcodec.MemoryKeys{})
				return memory.New(memory.Config{Codec: codec, Now: time.Now, StepByStep: stepByStep}), codec
			})
		})
	}
}

func TestStepByStepRefusesSeveralWrites(t *testing.T) {
	store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: time.Now, StepByStep: true})
	require.False(t, store.Atomic())
	_, err := store.Append(t.Context(), commands.Write{Stream: "a-1", Expected: domain.Any}, commands.Write{Stream: "a-2", Expected: domain.Any})
	require.Error(t, err)
}

// Recorded time never decreases along positions, also when the clock is set back.
func TestRecordedTimeDoesNotGoBackWithTheClock(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 1999, time.UTC)
	readings := []time.Time{noon, noon.Add(-time.Hour), noon.Add(-time.Minute), noon.Add(time.Minute)}
	store := memory.New(memory.Config{Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Now: func() time.Time {
		now := readings[0]
		readings = readings[1:]
		return now
	}})
	for _, id := range []string{"1", "2", "3", "4"} {
		_, err := store.Append(t.Context(), commands.Write{Stream: "slot-1", Expected: domain.Any, Events: []commands.NewEvent{{ID: id, Event: slot.Withdrawn{}}}})
		require.NoError(t, err)
	}
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
	require.NoError(t, err)
	var got []time.Time
	for _, r := range page.Events {
		got = append(got, r.RecordedAt)
	}
	cut := noon.Truncate(time.Microsecond)
	require.Equal(t, []time.Time{cut, cut, cut, cut.Add(time.Minute)}, got)
}
