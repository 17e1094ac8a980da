package postgres_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// log is everything that a store reads after a position: what its followers get.
func log(t *testing.T, s *postgres.Store, after domain.Position, f domain.Filter, limit int) (events []domain.Recorded, stored []eventcodec.Stored) {
	t.Helper()
	for at := after; ; {
		page, err := s.ReadAll(t.Context(), at, f, limit)
		require.NoError(t, err)
		events = append(events, page.Events...)
		if at = page.Next; len(page.Events) < limit {
			break
		}
	}
	for at := after; ; {
		page, err := s.ReadStored(t.Context(), at, math.MaxInt64, eventcodec.Selection{Categories: f.Categories, Types: f.Types}, limit)
		require.NoError(t, err)
		stored = append(stored, page.Events...)
		if at = page.Next; len(page.Events) < limit {
			return events, stored
		}
	}
}

// TestWhatAProcessKeepsIsWhatTheDatabaseHas compares what followers get from a
// process that appended, now and then after another one, with what a process gets
// that knows nothing.
func TestWhatAProcessKeepsIsWhatTheDatabaseHas(t *testing.T) {
	t.Parallel()
	url, keys := postgrestest.Database(t), &eventcodec.MemoryKeys{}
	first, second := run(t, openPool(t, url), eventcodec.New(keys)), run(t, openPool(t, url), eventcodec.New(keys))
	fresh := run(t, openPool(t, url), eventcodec.New(keys))
	dice, kept := rand.New(rand.NewPCG(11, 4711)), 0 //nolint:gosec // a test's
	for n := range 40 {
		store := first
		if dice.IntN(6) == 0 {
			store = second
		}
		var writes []commands.Write
		for stream := range 1 + dice.IntN(4) {
			var events []commands.NewEvent
			for range 1 + dice.IntN(3) {
				events = append(events, resized(dice.IntN(9)))
			}
			name := domain.StreamName(fmt.Sprintf("%s-%d.%d", []string{"slot", "occupancy"}[dice.IntN(2)], n, stream))
			writes = append(writes, commands.Write{Stream: name, Expected: domain.NoStream, Events: events})
		}
		head, err := store.Append(t.Context(), writes...)
		require.NoError(t, err)
		after := domain.Position(dice.IntN(int(head) + 1)) //nolint:gosec // small
		f, limit := domain.Filter{Bare: dice.IntN(2) == 0}, 4+dice.IntN(12)
		if dice.IntN(2) == 0 {
			f.Categories = []string{"occupancy"}
		}
		kept += first.Kept(after)
		events, stored := log(t, first, after, f, limit)
		wantEvents, wantStored := log(t, fresh, after, f, limit)
		require.Equal(t, wantEvents, events)
		require.Equal(t, wantStored, stored)
	}
	require.Greater(t, kept, 100, "else nothing was tried")
}

// TestALogThatEndsEarlierIsReadAsItIs is about a server that took over without the
// last events, and went on otherwise.
func TestALogThatEndsEarlierIsReadAsItIs(t *testing.T) {
	t.Parallel()
	url, keys := postgrestest.Database(t), &eventcodec.MemoryKeys{}
	store, fresh := run(t, openPool(t, url), eventcodec.New(keys)), run(t, openPool(t, url), eventcodec.New(keys))
	for n := range 6 {
		_, err := store.Append(t.Context(), write("slot-1", domain.Revision(n-1), resized(n)))
		require.NoError(t, err)
	}
	require.Equal(t, 4, store.Kept(2))
	execute(t, url, `
		set session_replication_role = replica;
		delete from slotbook.events where position > 3;
		select pg_terminate_backend(pid)
		from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and query ~ '^\s*(insert into slotbook.events|commit)'`)
	require.Equal(t, 4, store.Kept(2), "it has not noticed yet")
	same := func() (events []domain.Recorded) {
		events, stored := log(t, store, 2, domain.Filter{}, 10)
		wantEvents, wantStored := log(t, fresh, 2, domain.Filter{}, 10)
		require.Equal(t, wantEvents, events)
		require.Equal(t, wantStored, stored)
		return events
	}
	require.Len(t, same(), 1)
	for n := range 3 {
		_, err := fresh.Append(t.Context(), write("slot-2", domain.Revision(n-1), resized(7)))
		require.NoError(t, err)
	}
	require.Equal(t, domain.StreamName("slot-2"), same()[3].Stream, "others are where those were that are kept")
	_, err := store.Append(t.Context(), write("slot-3", domain.NoStream, resized(1)))
	require.NoError(t, err)
	require.Len(t, same(), 5)
}

// TestAReadOfStreamsTakesOneConnection reads where there is no second one.
func TestAReadOfStreamsTakesOneConnection(t *testing.T) {
	t.Parallel()
	store := run(t, openPool(t, postgrestest.Database(t)+"&pool_max_conns=1"), eventcodec.New(&eventcodec.MemoryKeys{}))
	_, err := store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1)))
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			page, err := store.ReadStored(t.Context(), 0, math.MaxInt64, eventcodec.Selection{Streams: []domain.StreamName{"slot-1"}}, 10)
			assert.NoError(t, err)
			assert.Len(t, page.Events, 1)
		})
	}
	all.Wait()
}

// TestWhatIsStoredAgainElsewhereIsReadWhereItIs is about a server that took over
// without the last two events, and got the last one again behind another one.
func TestWhatIsStoredAgainElsewhereIsReadWhereItIs(t *testing.T) {
	t.Parallel()
	url, keys := postgrestest.Database(t), &eventcodec.MemoryKeys{}
	store, fresh := run(t, openPool(t, url), eventcodec.New(keys)), run(t, openPool(t, url), eventcodec.New(keys))
	last := write("slot-2", domain.NoStream, resized(2))
	for _, w := range []commands.Write{write("slot-1", domain.NoStream, resized(1)), last} {
		_, err := store.Append(t.Context(), w)
		require.NoError(t, err)
	}
	execute(t, url, `
		set session_replication_role = replica;
		delete from slotbook.events;
		select pg_terminate_backend(pid)
		from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and query ~ '^\s*(insert into slotbook.events|commit)'`)
	for _, w := range []commands.Write{write("slot-3", domain.NoStream, resized(3)), last} {
		_, err := fresh.Append(t.Context(), w)
		require.NoError(t, err)
	}
	events, _ := log(t, store, 0, domain.Filter{}, 10)
	want, _ := log(t, fresh, 0, domain.Filter{}, 10)
	require.Equal(t, want, events)
}
