package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// likelyAt reports whether a store takes a stream for one that ends at a revision.
func likelyAt(store *postgres.Store, end domain.Revision, stream domain.StreamName) bool {
	at, known := store.LikelyEnd(stream)
	return known && at == end
}

// A process that has looked around takes no stream for empty that has events,
// whoever appended them and when, and nearly every other one; nor one of several
// events for one of a single event, and nearly every one of those.
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
		singles, likely := 0, 0
		for name, end := range appended {
			require.False(t, likelyAt(store, domain.NoStream, name), name)
			if end > 0 {
				require.False(t, likelyAt(store, 0, name), name)
				continue
			}
			if singles++; likelyAt(store, 0, name) {
				likely++
			}
		}
		require.GreaterOrEqual(t, likely, singles*9/10)
		empty := 0
		for i := range 1000 {
			name := domain.StreamName(fmt.Sprintf("slot-none.%d", i))
			if likelyAt(store, domain.NoStream, name) {
				require.False(t, likelyAt(store, 0, name), name)
				empty++
			}
		}
		require.Greater(t, empty, 950)
	}

	require.False(t, likelyAt(store, domain.NoStream, "slot-none"), "it has not appended, and does not know whether others do")
	add(other, "before")
	look()
	add(store, "itself")
	add(other, "beside")
	require.True(t, likelyAt(store, domain.NoStream, "slot-beside.0"), "nobody has told it yet")
	_, err := store.Load(t.Context(), "slot-beside.1")
	require.NoError(t, err)
	require.False(t, likelyAt(store, domain.NoStream, "slot-beside.1"), "it has seen that one")
	_, err = store.Append(t.Context(), write("slot-beside.0", domain.NoStream, resized(3)))
	require.ErrorIs(t, err, commands.ErrWrongRevision)
	require.False(t, likelyAt(store, domain.NoStream, "slot-none"), "others append")
	look()

	for from := range domain.Revision(2) { // another process makes it longer than one
		name := domain.StreamName(fmt.Sprintf("slot-later.%d", from))
		appended[name] = 1
		_, err = store.Append(t.Context(), write(string(name), domain.NoStream, resized(1)))
		require.NoError(t, err)
		require.Equal(t, from == 0, likelyAt(store, 0, "slot-later.0"), "nobody has told it yet")
		_, err = other.Append(t.Context(), write(string(name), 0, resized(2)))
		require.NoError(t, err)
		_, err = store.Append(t.Context(), write(string(name), 0, resized(3)))
		require.ErrorIs(t, err, commands.ErrWrongRevision)
	}
	look()

	one := write("slot-new", domain.NoStream, resized(1))
	require.True(t, likelyAt(store, domain.NoStream, "slot-new"))
	_, err = store.Append(t.Context(), one)
	require.NoError(t, err)
	require.False(t, likelyAt(store, domain.NoStream, "slot-new"))
}

// What a process takes for a stream of one event, the database looks at with the
// append: of a batch, who is wrong about it is refused, and nobody else is.
func TestAStreamIsNotTakenForOneThatHasAnEventUnseen(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	pool, codec := openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{})
	before, store := run(t, pool, codec), run(t, pool, codec)
	for _, single := range []string{"slot-checked", "slot-continued"} {
		_, err := before.Append(t.Context(), write(single, domain.NoStream, resized(1)))
		require.NoError(t, err)
	}
	for i := range 2 { // it is alone
		_, err := store.Append(t.Context(), write("slot-own", domain.Any, resized(i)))
		require.NoError(t, err)
	}
	require.NoError(t, store.Survey(t.Context()))
	store.TakeForWritten("slot-ghost")
	require.True(t, store.Alone())
	for _, name := range []domain.StreamName{"slot-checked", "slot-continued", "slot-ghost"} {
		require.True(t, likelyAt(store, 0, name), "so it believes")
	}

	release := lockHead(t, url)
	first := later(t.Context(), store, write("slot-first", domain.NoStream, resized(1)))
	watch(t, url)(someoneWaits)
	checked := later(t.Context(), store, write("slot-checked", 0), write("slot-a", domain.NoStream, resized(2)))
	continued := later(t.Context(), store, write("slot-continued", 0, resized(3)))
	wrong := later(t.Context(), store, write("slot-ghost", 0), write("slot-b", domain.NoStream, resized(4)))
	require.Eventually(t, func() bool { return store.QueuedAppends() == 3 }, 20*time.Second, time.Millisecond)
	release()
	for _, succeeds := range []func() (domain.Position, error){first, checked, continued} {
		_, err := succeeds()
		require.NoError(t, err)
	}
	_, err := wrong()
	require.ErrorIs(t, err, commands.ErrWrongRevision)

	require.False(t, likelyAt(store, 0, "slot-ghost"), "it has been told")
	require.False(t, likelyAt(store, 0, "slot-continued"))
	loaded, err := store.Load(t.Context(), "slot-a", "slot-b", "slot-checked", "slot-continued", "slot-ghost")
	require.NoError(t, err)
	require.Len(t, loaded, 3)
	require.Len(t, loaded["slot-continued"], 2)
}
