package commands_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
)

// unaware is a store of a process that takes every stream for empty, and counts
// what it loads.
type unaware struct {
	commands.Store
	loaded map[domain.StreamName]int
}

func (*unaware) LikelyEmpty(domain.StreamName) bool { return true }

func (s *unaware) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	for _, name := range streams {
		s.loaded[name]++
	}
	return s.Store.Load(ctx, streams...)
}

// What a process takes for empty it need not load, and what it is wrong about
// changes nothing: not who gets a slot, not what a repeat is answered, and not
// what a dry run says.
func TestATakenSlotIsRefusedByWhoTakesItForEmpty(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0]
		store := &unaware{w.store, map[domain.StreamName]int{}}
		h, req, wish := w.handler(store), w.request(), w.booking(w.ana, s.ID)

		first, err := h.Book(w.ctx, req, wish)
		require.NoError(t, err)
		require.False(t, first.Replayed)
		require.Zero(t, store.loaded[slot.Stream(s.ID)], "it was not looked at")

		again, err := h.Book(w.ctx, req, wish)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, first.Revision, again.Revision)

		before := len(w.log())
		_, err = h.Book(w.ctx, w.request(), w.booking(w.boris, s.ID))
		require.ErrorIs(t, err, slot.ErrTaken)
		dry := w.request()
		dry.DryRun = true
		_, err = h.Book(w.ctx, dry, w.booking(w.boris, s.ID))
		require.ErrorIs(t, err, slot.ErrTaken)
		if w.store.Atomic() {
			require.Len(t, w.log(), before, "a refusal leaves nothing behind")
		}
		require.Equal(t, 1, w.audit().Live())
	})
}
