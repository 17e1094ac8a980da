package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Two processes append to the same streams in any order, expecting what is
// there, what was there, or what is not there yet. Whatever each of them knows
// or believes to know, every append is decided by what the log holds, and the
// positions have no gap.
func TestWhatAProcessKnowsNeverDecidesWrongly(t *testing.T) {
	t.Parallel()
	pool, codec := openPool(t, postgrestest.Database(t)), eventcodec.New(&eventcodec.MemoryKeys{})
	stores := []*postgres.Store{run(t, pool, codec), run(t, pool, codec)}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
	revisions, position, foreseen, unread, assumed := map[string]domain.Revision{}, domain.Position(0), 0, 0, 0
	writers := map[string]map[*postgres.Store]bool{} // of each stream
	for i := range 100 {
		stream := fmt.Sprintf("slot-%d", i)
		at, err := stores[1].Append(t.Context(), write(stream, domain.NoStream, resized(i)))
		require.NoError(t, err)
		position, revisions[stream], writers[stream] = at, 0, map[*postgres.Store]bool{stores[1]: true}
	}
	for n := range 600 {
		said := fmt.Sprintf("seed %d, step %d", seed, n)
		store := stores[0]
		if random.IntN(8) == 0 {
			store = stores[1]
		}
		var writes []commands.Write
		right, events := true, 0
		if random.IntN(4) == 0 {
			require.NoError(t, store.Survey(t.Context()), said)
		}
		for _, i := range random.Perm(5)[:1+random.IntN(3)] {
			stream := fmt.Sprintf("slot-%d", i)
			switch random.IntN(6) {
			case 0:
				stream = fmt.Sprintf("slot-%d", random.IntN(100)) // often of one event
			case 1, 2:
				stream = fmt.Sprintf("slot-%d", random.IntN(2000)) // new, or seldom seen
			}
			if slices.ContainsFunc(writes, func(w commands.Write) bool { return string(w.Stream) == stream }) {
				continue
			}
			end, there := revisions[stream]
			if !there {
				end = domain.NoStream
			}
			empty, single := likelyAt(store, domain.NoStream, domain.StreamName(stream)), likelyAt(store, 0, domain.StreamName(stream))
			require.False(t, empty && single, "%s: %s", said, stream)
			if single && end == 0 && !writers[stream][store] {
				assumed++
			}
			if empty && !there {
				unread++
			}
			if empty {
				require.False(t, there && writers[stream][store], "%s: %s was taken for empty by who has written it", said, stream)
			} else if !single && random.IntN(2) == 0 {
				loaded, err := store.Load(t.Context(), domain.StreamName(stream))
				require.NoError(t, err, said)
				require.Len(t, loaded[domain.StreamName(stream)], int(end)+1, said)
			}
			w := write(stream, end)
			if single && end != 0 { // it has not heard of what another one appended
				w.Expected, right = 0, false
			} else if random.IntN(6) == 0 {
				w.Expected = max(domain.NoStream, end-1+domain.Revision(2*random.IntN(2)))
				right = right && w.Expected == end
			}
			for range random.IntN(3) {
				w.Events = append(w.Events, resized(n))
			}
			events += len(w.Events)
			writes = append(writes, w)
		}
		if store.Alone() {
			foreseen++
		}
		at, err := store.Append(t.Context(), writes...)
		if !right {
			require.ErrorIs(t, err, commands.ErrWrongRevision, said)
			continue
		}
		require.NoError(t, err, said)
		position += domain.Position(events)
		require.Equal(t, position, at, said)
		for _, w := range writes {
			if len(w.Events) > 0 {
				if writers[string(w.Stream)] == nil {
					writers[string(w.Stream)] = map[*postgres.Store]bool{}
				}
				writers[string(w.Stream)][store] = true
				revisions[string(w.Stream)] = w.Expected + domain.Revision(len(w.Events))
			}
		}
	}
	require.Greater(t, foreseen, 100, "the short way was hardly taken")
	require.Greater(t, unread, 50, "no stream was seen to be empty without a look")
	require.Greater(t, assumed, 20, "no stream was taken for one of a single event without a look")
	require.Less(t, foreseen, 590, "nobody else appended in between")
}
