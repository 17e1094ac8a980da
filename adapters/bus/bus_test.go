package bus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/demand"
	"github.com/slotbook/slotbook/reactions"
)

// site is a store that consumers follow.
type site struct {
	t     *testing.T
	store *postgres.Store
	pool  *pgxpool.Pool
	lease time.Duration // of run; short, so that what is refused is tried again soon
}

func newSite(t *testing.T) *site {
	t.Helper()
	store, pool := open(t)
	return &site{t: t, store: store, pool: pool, lease: 300 * time.Millisecond}
}

// append appends an event to a stream and returns its id.
func (s *site) append(stream string) string {
	s.t.Helper()
	id := uuid.NewString()
	_, err := s.store.Append(s.t.Context(), commands.Write{Stream: domain.Stream("demand", stream), Expected: domain.Any, Events: []commands.NewEvent{
		{ID: id, Event: demand.Refused{Rule: "r"}, Metadata: domain.Metadata{Command: "c", Actor: "test"}},
	}})
	require.NoError(s.t, err)
	return id
}

func (s *site) subscriber(c bus.Consumer, owner string) *bus.Subscriber {
	return bus.NewSubscriber(bus.SubscriberConfig{
		Pool: s.pool, Log: s.store, Epoch: "one", Owner: owner, Now: time.Now, Lease: time.Second, Pause: time.Millisecond,
		Consumer: func(string) (bus.Consumer, error) { return c, nil },
	})
}

func (s *site) desk() bus.Desk { return bus.Desk{Pool: s.pool, Log: s.store, Epoch: "one"} }

// run runs a router with a consumer until what it returns is called.
func (s *site) run(c bus.Consumer, registry prometheus.Registerer) (stop func()) {
	s.t.Helper()
	r := bus.NewRouter(bus.Config{
		Pool: s.pool, Log: s.store, Epoch: "one", Owner: "router", Now: time.Now, Lease: s.lease, Pause: time.Millisecond, Metrics: registry,
	})
	r.Add(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-ended)
	})
	s.t.Cleanup(stop)
	return stop
}

// standing returns how the only consumer is doing.
func (s *site) standing() reactions.Standing {
	s.t.Helper()
	all, err := s.desk().List(s.t.Context())
	require.NoError(s.t, err)
	if len(all) == 0 {
		return reactions.Standing{}
	}
	require.Len(s.t, all, 1)
	return all[0]
}

func (s *site) parked() []reactions.Parked {
	s.t.Helper()
	all, err := s.desk().Parked(s.t.Context(), "")
	require.NoError(s.t, err)
	return all
}

const (
	soon = 20 * time.Second
	tick = 2 * time.Millisecond
)

// next returns what comes next on a channel.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case x, ok := <-ch:
		require.True(t, ok, "nothing comes any more")
		return x
	case <-time.After(soon):
		require.Fail(t, "nothing comes")
		panic("unreachable")
	}
}

// telling is a consumer that tells what it gets.
func telling(got chan<- eventcodec.Stored) bus.Consumer {
	return bus.Consumer{Name: "teller", FromZero: true, Handle: func(_ context.Context, e eventcodec.Stored) error {
		got <- e
		return nil
	}}
}

func TestTheCheckpointMovesWhenAMessageIsAcknowledged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := s.append("a"), s.append("a")
	sub := s.subscriber(bus.Consumer{Name: "one", FromZero: true}, "p")
	messages, err := sub.Subscribe(t.Context(), "one")
	require.NoError(t, err)
	m := next(t, messages)
	require.Equal(t, first, m.UUID)
	require.Equal(t, "demand-a", m.Metadata["stream"])
	require.Equal(t, "c", m.Metadata["correlation_id"], "a conversation begins with its command")
	require.Zero(t, s.standing().Position)
	m.Ack()
	require.Eventually(t, func() bool { return s.standing().Position > 0 }, soon, tick)
	m = next(t, messages)
	require.Equal(t, second, m.UUID)
	m.Nack()
	again := next(t, messages)
	require.Equal(t, second, again.UUID, "what is not acknowledged comes again")
	require.NoError(t, sub.Close())
	require.Less(t, s.standing().Position, s.standing().Head)

	sub = s.subscriber(bus.Consumer{Name: "one", FromZero: true}, "q")
	messages, err = sub.Subscribe(t.Context(), "one")
	require.NoError(t, err)
	m = next(t, messages)
	require.Equal(t, second, m.UUID, "and comes to whoever goes on")
	m.Ack()
	require.Eventually(t, func() bool { return s.standing().Position == s.standing().Head }, soon, tick)
	require.NoError(t, sub.Close())
	require.Empty(t, s.standing().Owner, "whoever stops lets go")
}

func TestAConsumerHasOneOwnerAndTheOneBeforeMovesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.append("a")
	}
	sub := s.subscriber(bus.Consumer{Name: "one", FromZero: true}, "p")
	a, err := sub.Acquire(t.Context(), "one", "a")
	require.NoError(t, err)
	_, err = sub.Acquire(t.Context(), "one", "b")
	require.ErrorIs(t, err, bus.ErrElsewhere)
	require.NoError(t, a.Move(t.Context(), 1))
	_, err = s.pool.Exec(t.Context(), "update slotbook.reaction_checkpoint set lease_until = clock_timestamp() - interval '1 ms'")
	require.NoError(t, err)
	b, err := sub.Acquire(t.Context(), "one", "b")
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Position())
	require.ErrorIs(t, a.Move(t.Context(), 3), bus.ErrLost)
	require.EqualValues(t, 1, s.standing().Position)
	require.NoError(t, b.Move(t.Context(), 2))
	require.NoError(t, b.Move(t.Context(), 1), "a checkpoint never goes back by itself")
	require.EqualValues(t, 2, s.standing().Position)

	_, err = s.pool.Exec(t.Context(), "update slotbook.reaction_checkpoint set position = 1")
	require.NoError(t, err)
	require.ErrorIs(t, b.Move(t.Context(), 3), bus.ErrLost, "a server took over that does not have the last of it")
	require.EqualValues(t, 1, s.standing().Position)
}

// The first process loses its database, as one that is cut off or stands still.
func TestAnotherProcessTakesOverFromOneThatSaysNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ids := []string{s.append("a"), s.append("a")}
	own, err := postgres.Pool(t.Context(), s.pool.Config().ConnString())
	require.NoError(t, err)
	dying := *s
	dying.pool = own
	a := dying.subscriber(bus.Consumer{Name: "one", FromZero: true}, "a")
	fromA, err := a.Subscribe(t.Context(), "one")
	require.NoError(t, err)
	atA := next(t, fromA)
	b := s.subscriber(bus.Consumer{Name: "one", FromZero: true}, "b")
	fromB, err := b.Subscribe(t.Context(), "one")
	require.NoError(t, err)
	own.Close()
	atB := next(t, fromB)
	require.Equal(t, atA.UUID, atB.UUID, "what nobody has acknowledged comes again")
	<-atA.Context().Done() // the one before knows by itself
	atB.Ack()
	require.Equal(t, ids[1], next(t, fromB).UUID)
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}

func TestTheOrderOfAStreamIsKeptOnSeveralLanes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lease = soon // who loses it on a slow machine gets events again
	const streams, each = 8, 25
	for range each {
		for n := range streams {
			s.append(strconv.Itoa(n))
		}
	}
	var mu sync.Mutex
	at, most, open := map[domain.StreamName]domain.Revision{}, 0, 0
	done := make(chan struct{}, streams*each)
	s.run(bus.Consumer{Name: "lanes", FromZero: true, Lanes: 4, Handle: func(_ context.Context, e eventcodec.Stored) error {
		mu.Lock()
		defer mu.Unlock()
		if open++; rand.N(5) == 0 {
			open--
			return errors.New("at times")
		}
		most = max(most, open)
		mu.Unlock()
		time.Sleep(time.Duration(rand.N(300)) * time.Microsecond) // so that lanes overlap
		mu.Lock()
		open--
		assert.Equal(t, at[e.Stream], e.Revision)
		at[e.Stream]++
		done <- struct{}{}
		return nil
	}}, nil)
	for range streams * each {
		next(t, done)
	}
	require.Greater(t, most, 1)
	require.Eventually(t, func() bool { return s.standing().Position == s.standing().Head }, soon, tick)
}

func TestANewConsumerBeginsWhereItDeclares(t *testing.T) {
	t.Parallel()
	for _, fromZero := range []bool{true, false} {
		t.Run(fmt.Sprint("from zero ", fromZero), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			before := s.append("a")
			got := make(chan eventcodec.Stored, 10)
			c := telling(got)
			c.FromZero = fromZero
			s.run(c, nil)
			require.Eventually(t, func() bool { return s.standing().Owner != "" }, soon, tick)
			after := s.append("a")
			if fromZero {
				require.Equal(t, before, next(t, got).ID)
			}
			require.Equal(t, after, next(t, got).ID)
		})
	}
}

func TestWhatKeepsFailingIsParkedAndLaterEventsGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bad := s.append("a")
	good := s.append("a")
	got := make(chan eventcodec.Stored, 100)
	var mended sync.Map
	registry := prometheus.NewRegistry()
	s.run(bus.Consumer{Name: "one", FromZero: true, Tries: 3, Handle: func(_ context.Context, e eventcodec.Stored) error {
		got <- e
		if _, ok := mended.Load(e.ID); e.ID == bad && !ok {
			return errors.New("it cannot be")
		}
		return nil
	}}, registry)
	for range 3 {
		require.Equal(t, bad, next(t, got).ID)
	}
	require.Equal(t, good, next(t, got).ID)
	parked := s.parked()
	require.Len(t, parked, 1)
	require.WithinDuration(t, time.Now(), parked[0].ParkedAt, time.Minute)
	parked[0].ParkedAt = time.Time{}
	require.Equal(t, reactions.Parked{Reaction: "one", Event: bad, Stream: "demand-a", Type: "demand.refused", Position: 1, Error: "it cannot be", Tries: 3}, parked[0])
	require.Equal(t, 1, s.standing().Parked)

	n, err := s.desk().Retry(t.Context(), "one", bad)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Eventually(t, func() bool { return s.parked()[0].Tries == 6 }, soon, tick)
	require.Nil(t, s.parked()[0].RetryAt, "nobody tries again unasked")

	mended.Store(bad, true)
	_, err = s.desk().Retry(t.Context(), "one")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(s.parked()) == 0 }, soon, tick)
	require.Equal(t, 4.0, value(t, registry, "slotbook_reaction_retries_total"), "of two times three tries two are not the first")
	require.Equal(t, 2, testutil.CollectAndCount(registry, "slotbook_reactions_total"))
}

// value returns what a metric without further labels counts.
func value(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}

func TestWhatIsParkedIsFoundWhereTheLogWasCopiedTo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.append("a")
	var mended atomic.Bool
	s.run(bus.Consumer{Name: "one", FromZero: true, Tries: 1, Handle: func(context.Context, eventcodec.Stored) error {
		if !mended.Load() {
			return errors.New("it cannot be")
		}
		return nil
	}}, nil)
	require.Eventually(t, func() bool { return len(s.parked()) == 1 }, soon, tick)
	_, err := s.pool.Exec(t.Context(), "update slotbook.reaction_parked set position = position + 1000") // as it was in another store
	require.NoError(t, err)
	mended.Store(true)
	_, err = s.desk().Retry(t.Context(), "one", id)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(s.parked()) == 0 }, 5*time.Second, tick)
}

func TestWhatIsParkedMayBeForgotten(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 3 {
		s.append("a")
	}
	s.run(bus.Consumer{Name: "one", FromZero: true, Tries: 1, Handle: func(context.Context, eventcodec.Stored) error { panic("no") }}, nil)
	require.Eventually(t, func() bool { return len(s.parked()) == 3 }, soon, tick)
	require.Equal(t, "panic: no", s.parked()[0].Error)
	n, err := s.desk().Discard(t.Context(), "one", s.parked()[0].Event)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = s.desk().Discard(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Empty(t, s.parked())
	n, err = s.desk().Discard(t.Context(), "one")
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = s.desk().Retry(t.Context(), "nobody")
	require.ErrorIs(t, err, reactions.ErrUnknown)
	_, err = s.desk().Parked(t.Context(), "nobody")
	require.ErrorIs(t, err, reactions.ErrUnknown)
}

func TestATryThatTakesTooLongIsEndedAndMadeAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.append("a")
	tries := make(chan error, 10)
	first := true
	s.run(bus.Consumer{Name: "one", FromZero: true, Timeout: 5 * time.Millisecond, Handle: func(ctx context.Context, _ eventcodec.Stored) error {
		if first {
			first = false
			<-ctx.Done()
			tries <- ctx.Err()
			return ctx.Err()
		}
		tries <- nil
		return nil
	}}, nil)
	require.ErrorIs(t, next(t, tries), context.DeadlineExceeded)
	require.NoError(t, next(t, tries))
	require.Empty(t, s.parked())
}

// A rule says the same again; what is away comes back.
func TestARefusalIsParkedAtOnceAndWhatIsAwayNever(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	refused := s.append("a")
	waiting := s.append("b")
	got := make(chan string, 100)
	away := 20
	s.run(bus.Consumer{Name: "one", FromZero: true, Tries: 2, Handle: func(_ context.Context, e eventcodec.Stored) error {
		got <- e.ID
		if e.ID == refused {
			return domain.Refusal(domain.Refused, "test.rule", "no")
		}
		if away--; away >= 0 {
			return commands.ErrUnavailable
		}
		return nil
	}}, nil)
	require.Equal(t, refused, next(t, got))
	for range 21 {
		require.Equal(t, waiting, next(t, got))
	}
	require.Len(t, s.parked(), 1)
	require.Equal(t, 1, s.parked()[0].Tries)
}

func TestWhatIsTriedForeverIsNeverParked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.append("a")
	tries := make(chan int, 100)
	n := 0
	s.run(bus.Consumer{Name: "one", FromZero: true, Tries: bus.Forever, Handle: func(context.Context, eventcodec.Stored) error {
		n++
		tries <- n
		if n < 20 {
			return errors.New("the broker is away")
		}
		return nil
	}}, nil)
	for range 20 {
		next(t, tries)
	}
	require.Eventually(t, func() bool { return s.standing().Position == s.standing().Head }, soon, tick)
	require.Empty(t, s.parked())
}

func TestAnEventOfANewerVersionIsLeftToIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.append("a")
	asked := make(chan struct{}, 100)
	old := telling(nil)
	old.Handle = func(context.Context, eventcodec.Stored) error {
		asked <- struct{}{}
		return commands.ErrUpgradeRunning
	}
	s.run(old, nil)
	next(t, asked)
	got := make(chan eventcodec.Stored, 1)
	s.run(telling(got), nil) // the newer version
	next(t, got)
	require.Empty(t, s.parked())
}

func TestACheckpointOfAnotherEpochIsRefusedUntilAnOperatorMovesIt(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"another epoch":  "update slotbook.reaction_checkpoint set store_epoch = 'two'",
		"beyond the end": "update slotbook.reaction_checkpoint set position = 4711",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			got := make(chan eventcodec.Stored, 10)
			first := s.append("a")
			stop := s.run(telling(got), nil)
			require.Equal(t, first, next(t, got).ID)
			stop()
			second := s.append("a")
			_, err := s.pool.Exec(t.Context(), spoil)
			require.NoError(t, err)
			_, err = s.subscriber(telling(got), "p").Acquire(t.Context(), "teller", "a")
			require.ErrorIs(t, err, reactions.ErrOtherEpoch)
			require.NotEmpty(t, s.standing().Refused)
			s.run(telling(got), nil)

			require.ErrorIs(t, s.desk().Move(t.Context(), "nobody", 1), reactions.ErrUnknown)
			require.ErrorIs(t, s.desk().Move(t.Context(), "teller", 3), reactions.ErrBeyond)
			require.NoError(t, s.desk().Move(t.Context(), "teller", 1))
			require.Equal(t, second, next(t, got).ID)
			require.Empty(t, s.standing().Refused)
		})
	}
}

func TestAConsumerThatIsMovedBackGetsEventsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := make(chan eventcodec.Stored, 10)
	id := s.append("a")
	s.run(telling(got), nil)
	require.Equal(t, id, next(t, got).ID)
	require.NoError(t, s.desk().Move(t.Context(), "teller", 0))
	require.Equal(t, id, next(t, got).ID, "by the process that has it")
}

func TestAConsumerThatIsForgottenIsNewWhenItRunsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := make(chan eventcodec.Stored, 10)
	id := s.append("a")
	stop := s.run(telling(got), nil)
	require.Equal(t, id, next(t, got).ID)
	require.ErrorIs(t, s.desk().Forget(t.Context(), "teller"), reactions.ErrRunning)
	stop()
	require.NoError(t, s.desk().Forget(t.Context(), "teller"))
	require.ErrorIs(t, s.desk().Forget(t.Context(), "teller"), reactions.ErrUnknown)
	s.run(telling(got), nil)
	require.Equal(t, id, next(t, got).ID)
}

func TestTwoConsumersOfOneNamePanic(t *testing.T) {
	t.Parallel()
	r := bus.NewRouter(bus.Config{Now: time.Now})
	r.Add(telling(nil))
	require.Panics(t, func() { r.Add(telling(nil)) })
	require.Equal(t, []string{"teller"}, r.Names())
}

func TestARouterWithoutConsumersEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, bus.NewRouter(bus.Config{Now: time.Now}).Run(ctx))
}
