package kurrent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/kurrent"
	"github.com/slotbook/slotbook/adapters/kurrent/kurrenttest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
)

// quick are time-outs that a test can wait for.
var quick = kurrent.Config{Answer: 300 * time.Millisecond, Patience: 600 * time.Millisecond}

func quickly(address string) kurrent.Config {
	c := quick
	c.Address = address
	return c
}

func stream() domain.StreamName { return slot.Stream(domain.SlotID(uuid.NewString())) }

func event(places int) commands.NewEvent {
	return commands.NewEvent{
		ID:       uuid.Must(uuid.NewV7()).String(),
		Event:    slot.Resized{Terms: slot.Terms{Slot: "a"}, Places: places},
		Metadata: domain.Metadata{Command: "c", Actor: "local"},
	}
}

func write(to domain.StreamName, expected domain.Revision, events ...commands.NewEvent) commands.Write {
	return commands.Write{Stream: to, Expected: expected, Events: events}
}

// once lets the first call of a method go wrong.
func once(m kurrenttest.Method, f kurrenttest.Fault) func(kurrenttest.Call) kurrenttest.Fault {
	return first(1, m, f)
}

func first(n int32, m kurrenttest.Method, f kurrenttest.Fault) func(kurrenttest.Call) kurrenttest.Fault {
	var count atomic.Int32
	return func(c kurrenttest.Call) kurrenttest.Fault {
		if c.Method == m && count.Add(1) <= n {
			return f
		}
		return kurrenttest.None
	}
}

// places are what a stream's events say.
func places(t *testing.T, s *kurrent.Store, name domain.StreamName) []int {
	t.Helper()
	loaded, err := s.Load(t.Context(), name)
	require.NoError(t, err)
	var all []int
	for _, r := range loaded[name] {
		e, ok := r.Event.(slot.Resized)
		require.True(t, ok)
		all = append(all, e.Places)
	}
	return all
}

// client returns the client itself, for what operators do.
func client(t *testing.T, address string) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(address)
	require.NoError(t, err)
	config.Logger = esdb.NoopLogging()
	c, err := esdb.NewClient(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// Trap 1, 6: what a lost race looks like.
func TestALostRaceIsToldAsSuchWhateverWasExpected(t *testing.T) {
	t.Parallel()
	store, name := open(t, kurrent.Config{Address: address(t)}), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1)))
	require.NoError(t, err)
	for _, expected := range []domain.Revision{domain.NoStream, 1, 7} {
		_, err = store.Append(t.Context(), write(name, expected, event(2)))
		require.ErrorIs(t, err, commands.ErrWrongRevision, "expected %d", expected)
	}
	_, err = store.Append(t.Context(), write(stream(), 0, event(2)))
	require.ErrorIs(t, err, commands.ErrWrongRevision, "a revision of a stream that is not there")
	require.Equal(t, []int{1}, places(t, store, name))
}

// Trap 2, 10: NoStream succeeds on a stream that was deleted softly, and numbering
// goes on.
func TestAStreamWhoseBeginningIsGoneIsNotLoaded(t *testing.T) {
	t.Parallel()
	where := address(t)
	store, name := open(t, kurrent.Config{Address: where}), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1), event(2)))
	require.NoError(t, err)
	_, err = client(t, where).DeleteStream(t.Context(), prefixOf(t, where)+string(name), esdb.DeleteStreamOptions{})
	require.NoError(t, err)

	loaded, err := store.Load(t.Context(), name)
	require.NoError(t, err)
	require.Empty(t, loaded, "it reads as one that is not there")
	position, err := store.Append(t.Context(), write(name, domain.NoStream, event(3)))
	require.NoError(t, err)
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, head, position)
	_, err = store.Load(t.Context(), name)
	require.ErrorIs(t, err, kurrent.ErrCutOff, "half an aggregate would decide wrongly")

	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, page.Events, 3, "the whole log still has what was deleted")
	require.Equal(t, domain.Revision(2), page.Events[2].Revision)
}

func prefixOf(t *testing.T, where string) string {
	t.Helper()
	a, err := kurrent.Parse(where)
	require.NoError(t, err)
	return a.Prefix
}

// Trap 2, 10: a tombstone.
func TestAStreamDeletedForGoodRefusesEverything(t *testing.T) {
	t.Parallel()
	where := address(t)
	store, name := open(t, kurrent.Config{Address: where}), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1)))
	require.NoError(t, err)
	_, err = client(t, where).TombstoneStream(t.Context(), prefixOf(t, where)+string(name), esdb.TombstoneStreamOptions{})
	require.NoError(t, err)
	for _, expected := range []domain.Revision{domain.NoStream, domain.Any, 0} {
		_, err = store.Append(t.Context(), write(name, expected, event(2)))
		require.ErrorIs(t, err, kurrent.ErrDeleted)
	}
	_, err = store.Load(t.Context(), name)
	require.ErrorIs(t, err, kurrent.ErrDeleted)
	_, err = store.Append(t.Context(), write(stream(), domain.NoStream, event(3)))
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
	require.NoError(t, err)
	require.Len(t, page.Events, 2, "the tombstone is no event of ours, and the log goes on behind it")
}

// Trap 10: a limit on a stream cuts off its beginning.
func TestAStreamWithALimitIsNotLoaded(t *testing.T) {
	t.Parallel()
	where := address(t)
	store, name := open(t, kurrent.Config{Address: where}), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1), event(2), event(3)))
	require.NoError(t, err)
	var limit esdb.StreamMetadata
	limit.SetMaxCount(2)
	_, err = client(t, where).SetStreamMetadata(t.Context(), prefixOf(t, where)+string(name), esdb.AppendToStreamOptions{}, limit)
	require.NoError(t, err)
	_, err = store.Load(t.Context(), name)
	require.ErrorIs(t, err, kurrent.ErrCutOff)
}

// Trap 3, 4: an append that has no answer is sent again as it was.
func TestAnAppendWithoutAnAnswerIsStoredOnce(t *testing.T) {
	t.Parallel()
	faults := map[string]kurrenttest.Fault{
		"dropped before": kurrenttest.DropBefore, "dropped after": kurrenttest.DropAfter,
		"timed out before": kurrenttest.AbortBefore, "timed out after": kurrenttest.AbortAfter,
		"never answered": kurrenttest.HangAfter, "not ready": kurrenttest.NotReady, "another leads": kurrenttest.NotLeader,
	}
	for name, fault := range faults {
		for _, expected := range []domain.Revision{domain.NoStream, 0, domain.Any} {
			t.Run(fmt.Sprintf("%s, expected %d", name, expected), func(t *testing.T) {
				t.Parallel()
				server := double(t, kurrenttest.Config{})
				config := quickly(server.URL())
				config.Patience = time.Minute
				store, name := open(t, config), stream()
				want := []int{1, 2, 3}
				if expected == 0 {
					_, err := store.Append(t.Context(), write(name, domain.NoStream, event(0)))
					require.NoError(t, err)
					want = []int{0, 1, 2, 3}
				}
				server.Interfere(once(kurrenttest.Append, fault))
				position, err := store.Append(t.Context(), write(name, expected, event(1), event(2), event(3)))
				require.NoError(t, err)
				require.Equal(t, want, places(t, store, name))
				head, err := store.Head(t.Context())
				require.NoError(t, err)
				require.Equal(t, head, position)
			})
		}
	}
}

// Trap 3: Any relies on a cache of recent ids, which an election empties.
func TestAnAppendUnderAnyIsStoredOnceWhenTheServerHasForgottenIt(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store, name := open(t, kurrent.Config{Address: server.URL()}), stream()
	server.Interfere(func() func(kurrenttest.Call) kurrenttest.Fault {
		var done atomic.Bool
		return func(c kurrenttest.Call) kurrenttest.Fault {
			if c.Method == kurrenttest.Append && done.CompareAndSwap(false, true) {
				return kurrenttest.AbortAfter
			}
			server.ForgetIDs()
			return kurrenttest.None
		}
	}())
	sending := write(name, domain.Any, event(1), event(2))
	position, err := store.Append(t.Context(), sending)
	require.NoError(t, err)
	again, err := store.Append(t.Context(), sending)
	require.NoError(t, err)
	require.Equal(t, position, again)
	require.Equal(t, []int{1, 2}, places(t, store, name))
}

// Trap 3: the same id with another correct revision would be written again.
func TestTheSameEventIsNotStoredTwiceInOneStream(t *testing.T) {
	t.Parallel()
	store, name, e := open(t, kurrent.Config{Address: address(t)}), stream(), event(1)
	_, err := store.Append(t.Context(), write(name, domain.NoStream, e))
	require.NoError(t, err)
	_, err = store.Append(t.Context(), write(name, 0, e))
	require.ErrorIs(t, err, commands.ErrWrongRevision)
	require.Equal(t, []int{1}, places(t, store, name))
}

// Trap 4: when the answer never comes, the caller is told that nothing is known.
func TestAnAppendThatIsNeverAnsweredHasAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store, name := open(t, quickly(server.URL())), stream()
	server.Interfere(first(1000, kurrenttest.Append, kurrenttest.HangAfter))
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	sending := write(name, domain.NoStream, event(1))
	_, err := store.Append(ctx, sending)
	require.ErrorIs(t, err, commands.ErrUnknownOutcome)
	server.Interfere(nil)
	_, err = store.Append(t.Context(), sending)
	require.NoError(t, err)
	require.Equal(t, []int{1}, places(t, store, name))
}

// A server that others get answers from is not left because somebody is in a hurry.
func TestAnImpatientCallerLeavesTheConnectionToTheOthers(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store := open(t, kurrent.Config{Address: server.URL()})
	_, err := store.Head(t.Context())
	require.NoError(t, err)
	was := store.Held()
	require.NotNil(t, was)
	server.Interfere(func(kurrenttest.Call) kurrenttest.Fault { return kurrenttest.HangAfter })
	for name, impatient := range map[string]func(ctx context.Context) error{
		"read": func(ctx context.Context) error { _, err := store.ReadAll(ctx, 0, domain.Filter{}, 10); return err },
		"append": func(ctx context.Context) error {
			_, err := store.Append(ctx, write(stream(), domain.Any, event(1)))
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		require.Error(t, impatient(ctx), name)
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, name)
		cancel()
		require.Same(t, was, store.Held(), name)
	}
}

func TestAReadThatNeverEndsIsBegunAgainOnAnotherConnection(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	config := quickly(server.URL())
	config.Patience = time.Minute
	store, name := open(t, config), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1)))
	require.NoError(t, err)
	was := store.Held()
	server.Interfere(once(kurrenttest.Read, kurrenttest.HangAfter))
	require.Equal(t, []int{1}, places(t, store, name))
	require.Eventually(t, func() bool { return store.Held() != was }, time.Minute, time.Millisecond)
}

func TestAnAppendThatWasNotTakenIsUnavailable(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store := open(t, quickly(server.URL()))
	server.Node(0).Stop()
	_, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(1)))
	require.ErrorIs(t, err, commands.ErrUnavailable)
	_, err = store.Load(t.Context(), stream())
	require.ErrorIs(t, err, commands.ErrUnavailable)
}

// Trap 5: an append that is too large.
func TestAnOversizedAppendIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{MaxAppendSize: 2000})
	config := kurrent.Config{Address: server.URL(), MaxAppendBytes: 2000}
	store := open(t, config)
	_, err := store.Identity(t.Context())
	require.NoError(t, err)
	calls := server.Calls()
	large := event(1)
	large.Event = slot.Resized{Terms: slot.Terms{Slot: domain.SlotID(strings.Repeat("x", 2000))}}
	_, err = store.Append(t.Context(), write(stream(), domain.NoStream, large))
	require.ErrorIs(t, err, commands.ErrTooLarge)
	require.LessOrEqual(t, server.Calls()-calls, 1, "nothing but the look for news was sent")

	config.MaxAppendBytes = 1 << 20
	store = open(t, config)
	_, err = store.Append(t.Context(), write(stream(), domain.NoStream, large))
	require.ErrorIs(t, err, commands.ErrTooLarge, "and so is one that only the server finds too large, at once")
}

// Trap 7: positions are byte offsets.
func TestPositionsGrowAndAreNotCounted(t *testing.T) {
	t.Parallel()
	store := open(t, kurrent.Config{Address: address(t)})
	for i := range 10 {
		_, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(i), event(i)))
		require.NoError(t, err)
	}
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 100)
	require.NoError(t, err)
	require.Len(t, page.Events, 20)
	for i, r := range page.Events[1:] {
		require.Greater(t, r.Position, page.Events[i].Position+1, "with gaps that mean nothing")
	}
}

// Trap 8: reads begin at their position, subscriptions behind it; and a position at
// which no event begins is no place to read from.
func TestReadingOnBeginsBehindAnyPosition(t *testing.T) {
	t.Parallel()
	where := address(t)
	store := open(t, kurrent.Config{Address: where})
	for i := range 5 {
		_, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(i)))
		require.NoError(t, err)
	}
	all, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 100)
	require.NoError(t, err)
	for i, r := range all.Events {
		for _, at := range []domain.Position{r.Position - 1, r.Position, r.Position + 1} {
			fresh := open(t, kurrent.Config{Address: where})
			page, err := fresh.ReadAll(t.Context(), at, domain.Filter{}, 100)
			require.NoError(t, err)
			want := all.Events[i+1:]
			if at < r.Position {
				want = all.Events[i:]
			}
			require.Equal(t, ids(want), ids(page.Events), "after %d", at)
			recorded, err := fresh.RecordedAt(t.Context(), at)
			require.NoError(t, err)
			if at >= r.Position {
				require.Equal(t, r.RecordedAt, recorded)
			}
		}
	}
}

func ids(recorded []domain.Recorded) []string {
	all := make([]string, len(recorded))
	for i, r := range recorded {
		all[i] = r.ID
	}
	return all
}

// Trap 9: the server's own events.
func TestSystemEventsAreNotSeen(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store := open(t, kurrent.Config{Address: server.URL()})
	identity, err := store.Identity(t.Context())
	require.NoError(t, err)
	server.WriteSystemEvents(500)
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head, "nothing of ours is there yet, the store's identity left aside")
	position, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(1)))
	require.NoError(t, err)
	server.WriteSystemEvents(5000)
	for range 2 {
		head, err = store.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, position, head)
		page, err := store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, position, page.Next)
	}
	again, err := open(t, kurrent.Config{Address: server.URL()}).Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, identity, again)
	for _, name := range []domain.StreamName{"$slot-1", "$$slot-1", "slotbook", ""} {
		_, err = store.Append(t.Context(), write(name, domain.Any, event(1)))
		require.ErrorIs(t, err, commands.ErrUnstorable, "%q", name)
	}
}

// Where the log ended once is no place to read from when the server has removed its
// statistics.
func TestReadingOnSurvivesAScavenge(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{Quiet: true})
	store := open(t, kurrent.Config{Address: server.URL()})
	last, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(1)))
	require.NoError(t, err)
	server.WriteSystemEvents(10)
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, head)
	server.Scavenge()
	other := open(t, kurrent.Config{Address: server.URL()})
	for range 2 {
		page, err := store.ReadAll(t.Context(), last, domain.Filter{}, 10)
		require.NoError(t, err)
		require.Empty(t, page.Events)
	}
	next, err := other.Append(t.Context(), write(stream(), domain.NoStream, event(2)))
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), last, domain.Filter{}, 10)
	require.NoError(t, err)
	require.Equal(t, next, page.Next)
}

// Trap 12: only subscriptions filter; several stores share a server by a prefix.
func TestStoresOnOneServerDoNotSeeOneAnother(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	one := open(t, kurrent.Config{Address: server.URL() + "&streamPrefix=one."})
	two := open(t, kurrent.Config{Address: server.URL() + "&streamPrefix=two."})
	name := stream()
	for range 3 {
		_, err := one.Append(t.Context(), write(name, domain.Any, event(1)))
		require.NoError(t, err)
	}
	position, err := two.Append(t.Context(), write(name, domain.NoStream, event(2)))
	require.NoError(t, err)
	_, err = one.Append(t.Context(), write(stream(), domain.Any, event(3)))
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 1}, places(t, one, name))
	require.Equal(t, []int{2}, places(t, two, name))
	head, err := two.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, position, head)
	a, err := one.Identity(t.Context())
	require.NoError(t, err)
	b, err := two.Identity(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, a.ID, b.ID)
}

// Trap 13: whoever wants little must not read the same again after a restart.
func TestNextMovesOverWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store := open(t, kurrent.Config{Address: server.URL()})
	var last domain.Position
	for i := range 300 {
		var err error
		last, err = store.Append(t.Context(), write(stream(), domain.NoStream, event(i)))
		require.NoError(t, err)
	}
	page, err := store.ReadAll(t.Context(), 0, domain.Filter{Categories: []string{"nothing"}}, 10)
	require.NoError(t, err)
	require.Empty(t, page.Events)
	require.Equal(t, last, page.Next, "the checkpoint of a reader whose filter skips everything is the end")
}

// Trap 13, 15: a subscription that was dropped goes on from where the server said
// it was, also where the filter skipped everything.
func TestADroppedSubscriptionGoesOnFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store := open(t, kurrent.Config{Address: server.URL()})
	var subscriptions atomic.Int32
	server.Interfere(func(c kurrenttest.Call) kurrenttest.Fault {
		if c.Method == kurrenttest.Subscribe && subscriptions.Add(1) < 20 {
			return kurrenttest.DropEach
		}
		return kurrenttest.None
	})
	server.Node(0).Stop()
	require.NoError(t, server.Node(0).Start())
	other := open(t, kurrent.Config{Address: server.URL()})
	for i := range 30 {
		position, err := other.Append(t.Context(), write(stream(), domain.NoStream, event(i)))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		require.NoError(t, store.Wait(ctx, position-1), "news of event %d", i)
		cancel()
		server.WriteSystemEvents(40)
	}
	require.Greater(t, subscriptions.Load(), int32(1))
}

// Trap 14: CaughtUp is a hint; delivery may repeat itself.
func TestNewsComesWhateverTheSubscriptionSays(t *testing.T) {
	t.Parallel()
	for _, fault := range []kurrenttest.Fault{kurrenttest.Twice, kurrenttest.SlowConsumer, kurrenttest.Denied} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			t.Parallel()
			server := double(t, kurrenttest.Config{})
			server.Interfere(func(c kurrenttest.Call) kurrenttest.Fault {
				if c.Method == kurrenttest.Subscribe {
					return fault
				}
				return kurrenttest.None
			})
			store, other := open(t, kurrent.Config{Address: server.URL()}), open(t, kurrent.Config{Address: server.URL()})
			for i := range 3 {
				position, err := other.Append(t.Context(), write(stream(), domain.NoStream, event(i)))
				require.NoError(t, err)
				require.NoError(t, store.Wait(t.Context(), position-1), "the store looks by itself, too")
				head, err := store.Head(t.Context())
				require.NoError(t, err)
				require.Equal(t, position, head)
			}
		})
	}
}

// Trap 15, 20: another leader.
func TestAnElectionLosesNothing(t *testing.T) {
	t.Parallel()
	cluster := double(t, kurrenttest.Config{Nodes: 3})
	store := open(t, kurrent.Config{Address: cluster.URL(), Patience: time.Minute})
	name := stream()
	var elections, writing sync.WaitGroup
	stop := make(chan struct{})
	elections.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
				cluster.Elect(i % 3)
			}
		}
	})
	for w := range 4 {
		writing.Go(func() {
			for i := range 10 {
				if _, err := store.Append(t.Context(), write(name, domain.Any, event(10*w+i))); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	elections.Wait()
	got := places(t, store, name)
	slices.Sort(got)
	require.Len(t, slices.Compact(got), 40, "each once")
}

// Trap 20: a connection to a follower.
func TestAFollowerSendsAppendsToTheLeader(t *testing.T) {
	t.Parallel()
	cluster := double(t, kurrenttest.Config{Nodes: 3})
	_, follower, _ := strings.Cut(strings.TrimSuffix(cluster.URL(), "?tls=false"), ",")
	follower, _, _ = strings.Cut(follower, ",")
	store, name := open(t, kurrent.Config{Address: "kurrentdb://" + follower + "?tls=false"}), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1)))
	require.NoError(t, err)
	require.Equal(t, []int{1}, places(t, store, name))
}

// Trap 18: what the client cannot do without.
func TestTheDoubleSpeaksAsTheClientNeeds(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	c := client(t, server.URL())
	version, err := c.GetServerVersion()
	require.NoError(t, err)
	require.Equal(t, 24, version.Major)
	before := time.Now().Add(-time.Second)
	_, err = c.AppendToStream(t.Context(), "a-1", esdb.AppendToStreamOptions{}, esdb.EventData{EventType: "x", Data: []byte("{}"), ContentType: esdb.ContentTypeJson})
	require.NoError(t, err)
	read, err := c.ReadStream(t.Context(), "a-1", esdb.ReadStreamOptions{}, 10)
	require.NoError(t, err)
	e, err := read.Recv()
	require.NoError(t, err)
	require.WithinRange(t, e.Event.CreatedDate, before, time.Now().Add(time.Second))
	require.Equal(t, e.Event.Position.Commit, e.Event.Position.Prepare)
}

// Trap 19: a client whose discovery failed is of no use any more.
func TestTheStoreComesBackWithTheServer(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store, name := open(t, quickly(server.URL())), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1)))
	require.NoError(t, err)
	for range 3 {
		server.Node(0).Stop()
		for range 3 {
			_, err = store.Load(t.Context(), name)
			require.ErrorIs(t, err, commands.ErrUnavailable)
		}
		require.NoError(t, server.Node(0).Start())
		require.Eventually(t, func() bool {
			_, err := store.Load(t.Context(), name)
			return err == nil
		}, 20*time.Second, 10*time.Millisecond)
	}
	_, err = store.Append(t.Context(), write(name, 0, event(2)))
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, places(t, store, name))
}

// Trap 22: calls that begin while the client is replaced panic inside it.
func TestCallsSurviveTheReplacementOfTheClient(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	config := quickly(server.URL())
	config.Patience = time.Minute
	store := open(t, config)
	var n atomic.Int64
	server.Interfere(func(kurrenttest.Call) kurrenttest.Fault {
		if n.Add(1)%5 == 0 {
			return kurrenttest.NotReady
		}
		return kurrenttest.None
	})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			name := stream()
			for range 5 {
				if _, err := store.Append(t.Context(), write(name, domain.Any, event(i))); err != nil {
					t.Errorf("append: %v", err)
				}
				if loaded, err := store.Load(t.Context(), name); err != nil || len(loaded[name]) == 0 {
					t.Errorf("load: %v, %v", loaded, err)
				}
			}
		})
	}
	all.Wait()
}

func TestACallOnAClosedStoreFails(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store, err := kurrent.New(kurrent.Config{Address: server.URL(), Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	store.Close()
	_, err = store.Load(t.Context(), stream())
	require.Error(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = store.Append(ctx, write(stream(), domain.NoStream, event(1)))
	require.ErrorIs(t, err, commands.ErrUnavailable, "nothing was sent")
	require.NoError(t, ctx.Err(), "it is told at once")
}

// Trap 23: a read that breaks off is not the end of the stream.
func TestAReadThatBreaksOffIsNotTheWhole(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	store, name := open(t, quickly(server.URL())), stream()
	_, err := store.Append(t.Context(), write(name, domain.NoStream, event(1), event(2), event(3)))
	require.NoError(t, err)
	server.Interfere(once(kurrenttest.Read, kurrenttest.DropAfter))
	require.Equal(t, []int{1, 2, 3}, places(t, store, name), "it is read again")
	server.Interfere(func(c kurrenttest.Call) kurrenttest.Fault {
		if c.Method == kurrenttest.Read {
			return kurrenttest.DropAfter
		}
		return kurrenttest.None
	})
	_, err = store.Load(t.Context(), name)
	require.ErrorIs(t, err, commands.ErrUnavailable)
	_, err = store.ReadAll(t.Context(), 0, domain.Filter{}, 10)
	require.ErrorIs(t, err, commands.ErrUnavailable)
}

func TestRefusedCredentialsAreToldAsSuch(t *testing.T) {
	t.Parallel()
	server := double(t, kurrenttest.Config{})
	server.Interfere(func(kurrenttest.Call) kurrenttest.Fault { return kurrenttest.Denied })
	store := open(t, kurrent.Config{Address: server.URL()})
	_, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(1)))
	require.ErrorIs(t, err, commands.ErrUnavailable)
	require.ErrorContains(t, err, "credentials")
	_, err = store.Load(t.Context(), stream())
	require.ErrorContains(t, err, "credentials")
}

func TestAnAddressThatWouldNotDoWhatItSaysIsRefused(t *testing.T) {
	t.Parallel()
	for address, why := range map[string]string{
		"postgres://localhost":                      "begins with",
		"esdb://localhost:2113?tls=maybe":           "tls",
		"esdb://admin:changeit@localhost?tls=false": "TLS",
		"esdb://localhost?nodePreference=follower":  "leader",
		"esdb://localhost?streamPrefix=a-b":         "hyphen",
		"esdb://localhost?streamPrefix=$a":          "$",
		"esdb://localhost?streamPrefix=clinic":      "dot", // it begins those of clinic2, too
		"esdb://localhost?streamPrefix=a.b.":        "dot", // and a. begins this one
	} {
		_, err := kurrent.Parse(address)
		require.ErrorContains(t, err, why, address)
	}
	for _, address := range []string{
		"esdb://localhost", "kurrentdb://localhost:2113?tls=false", "kurrentdb+discover://db.example:2113", "esdb+discover://db.example",
		"esdb://a:2113,b:2113,c:2113?tls=false&streamPrefix=x.", "esdb://admin:changeit@localhost:2113?tlsVerifyCert=false",
	} {
		_, err := kurrent.Parse(address)
		require.NoError(t, err, address)
		require.True(t, kurrent.Is(address))
	}
	require.False(t, kurrent.Is("postgres"))
}

func TestANewEpochIsAnotherIdentityOfTheSameStore(t *testing.T) {
	t.Parallel()
	store := open(t, kurrent.Config{Address: address(t)})
	var all sync.WaitGroup
	identities := make([]kurrent.Identity, 8)
	for i := range identities {
		all.Go(func() {
			var err error
			if identities[i], err = store.Identity(t.Context()); err != nil {
				t.Errorf("identity: %v", err)
			}
		})
	}
	all.Wait()
	for _, i := range identities {
		require.Equal(t, identities[0], i, "many who begin at once agree")
	}
	renewed, err := store.Renew(t.Context())
	require.NoError(t, err)
	require.Equal(t, identities[0].ID, renewed.ID)
	require.NotEqual(t, identities[0].Epoch, renewed.Epoch)
	now, err := store.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, renewed, now)
}

func TestAnEventIsFoundByItsID(t *testing.T) {
	t.Parallel()
	store, e := open(t, kurrent.Config{Address: address(t)}), event(7)
	_, err := store.Append(t.Context(), write(stream(), domain.NoStream, event(1), e, event(2)))
	require.NoError(t, err)
	found, ok, err := store.FindStored(t.Context(), e.ID)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, e.ID, found.ID)
	_, ok, err = store.FindStored(t.Context(), uuid.NewString())
	require.NoError(t, err)
	require.False(t, ok)
	require.False(t, errors.Is(err, commands.ErrUnavailable))
}

// Trap 22: the client panics when it is closed at the wrong moment, and trap 18: on
// a message that it does not know.
func TestAPanicOfTheClientIsAnError(t *testing.T) {
	t.Parallel()
	_, err := kurrent.Apart(t.Context(), func() (int, error) { panic("send on closed channel") })
	require.ErrorIs(t, err, kurrent.ErrPanic)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	held := make(chan struct{})
	_, err = kurrent.Apart(ctx, func() (int, error) { <-held; return 0, nil })
	require.ErrorIs(t, err, context.Canceled, "nobody waits for a client that never answers")
	close(held)
}

func TestACopiedEventKeepsItsTimeOfRecording(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 29, 1, 59, 59, 999_999_000, time.UTC)
	for _, metadata := range []string{`{"command":"c","actor":"local"}`, `{}`, `{"a":{"b":"}"}}`} {
		with := kurrent.WithTime([]byte(metadata), at)
		require.True(t, json.Valid(with), "%s", with)
		back, when, copied := kurrent.WithoutTime(with)
		require.True(t, copied)
		require.Equal(t, metadata, string(back))
		require.Equal(t, at, when)
		same, _, copied := kurrent.WithoutTime([]byte(metadata))
		require.False(t, copied)
		require.Equal(t, metadata, string(same))
	}
}

// Trap 7: an event has one position only where it was not written in a transaction
// of the old TCP protocol.
func TestAnEventOfATransactionIsRefused(t *testing.T) {
	t.Parallel()
	store := open(t, kurrent.Config{Address: address(t)})
	_, err := store.PositionOf(&esdb.RecordedEvent{Position: esdb.Position{Commit: 20, Prepare: 10}})
	require.ErrorIs(t, err, kurrent.ErrTransaction)
}

func TestPositionsOfACopyLieAboveThoseOfItsSource(t *testing.T) {
	t.Parallel()
	where := address(t)
	const above = 7_000_000
	store := open(t, kurrent.Config{Address: where})
	identity, err := store.IdentityAbove(t.Context(), above)
	require.NoError(t, err)
	name := stream()
	var last domain.Position
	for i := range 3 {
		last, err = store.Append(t.Context(), write(name, domain.Revision(i-1), event(i)))
		require.NoError(t, err)
		require.Greater(t, last, domain.Position(above))
	}
	other := open(t, kurrent.Config{Address: where})
	same, err := other.IdentityAbove(t.Context(), 99*above)
	require.NoError(t, err)
	require.Equal(t, identity, same, "it is what it was made as")
	for _, s := range []*kurrent.Store{store, other} {
		head, err := s.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, last, head)
		page, err := s.ReadAll(t.Context(), 0, domain.Filter{}, 2)
		require.NoError(t, err)
		require.Len(t, page.Events, 2)
		page, err = s.ReadAll(t.Context(), page.Next, domain.Filter{}, 2)
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, last, page.Next)
		require.NoError(t, s.Wait(t.Context(), last-1))
		_, err = s.ReadAll(t.Context(), 17, domain.Filter{}, 2)
		require.ErrorIs(t, err, kurrent.ErrForeign, "a checkpoint of the source")
		_, err = s.ReadStored(t.Context(), above, last, eventcodec.Selection{}, 2)
		require.ErrorIs(t, err, kurrent.ErrForeign)
		for p, want := range map[domain.Position]bool{0: false, above: false, 17: false, last: true, last - 1: false, last + 1: false} {
			named, err := s.Names(t.Context(), p)
			require.NoError(t, err)
			require.Equal(t, want, named, "position %d", p)
		}
	}
}
