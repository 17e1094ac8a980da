package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// A process that has looked around takes no stream for empty that has events,
// whoever appended them and when, and nearly every other one.
func TestAProcessFindsOutWhichStreamsHaveEvents(t *testing.T) {
	t.Parallel()
	pool, codec := openPool(t, postgrestest.Database(t)), eventcodec.New(&eventcodec.MemoryKeys{})
	other, store := run(t, pool, codec), run(t, pool, codec)
	appended := map[domain.StreamName]domain.Revision{}
	add := func(by *postgres.Store, group string) {
		var writes []commands.Write
		for i := range 40 {
			name := domain.StreamName(fmt.Sprintf("slot-%s.%d", group, i))
			w := write(string(name), domain.NoStream, resized(1))
			for range i % 3 {
				w.Events = append(w.Events, resized(2))
			}
			appended[name] = domain.Revision(len(w.Events) - 1)
			writes = append(writes, w)
		}
		_, err := by.Append(t.Context(), writes...)
		require.NoError(t, err)
	}
	look := func() {
		t.Helper()
		for i := range 2 { // it is alone
			_, err := store.Append(t.Context(), write("slot-own", domain.Any, resized(i)))
			require.NoError(t, err)
		}
		require.NoError(t, store.Survey(t.Context()))
		for name := range appended {
			require.False(t, store.LikelyEmpty(name), name)
		}
		empty := 0
		for i := range 1000 {
			if store.LikelyEmpty(domain.StreamName(fmt.Sprintf("slot-none.%d", i))) {
				empty++
			}
		}
		require.Greater(t, empty, 950)
	}

	require.False(t, store.LikelyEmpty("slot-none"), "it has not appended, and does not know whether others do")
	add(other, "before")
	look()
	add(store, "itself")
	add(other, "beside")
	require.True(t, store.LikelyEmpty("slot-beside.0"), "nobody has told it yet")
	_, err := store.Load(t.Context(), "slot-beside.1")
	require.NoError(t, err)
	require.False(t, store.LikelyEmpty("slot-beside.1"), "it has seen that one")
	_, err = store.Append(t.Context(), write("slot-beside.0", domain.NoStream, resized(3)))
	require.ErrorIs(t, err, commands.ErrWrongRevision)
	require.False(t, store.LikelyEmpty("slot-none"), "others append")
	look()

	one := write("slot-new", domain.NoStream, resized(1))
	require.True(t, store.LikelyEmpty("slot-new"))
	_, err = store.Append(t.Context(), one)
	require.NoError(t, err)
	require.False(t, store.LikelyEmpty("slot-new"))
}
