package transfer_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/kurrent"
	"github.com/slotbook/slotbook/adapters/kurrent/kurrenttest"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/adapters/transfer"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// store is a store that can be copied from and to.
type store interface {
	commands.Store
	transfer.Target
	Run(ctx context.Context) error
}

func inPostgres(t *testing.T) store {
	t.Helper()
	pool, err := postgres.Pool(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	return running(t, s)
}

func inKurrent(t *testing.T) store {
	t.Helper()
	address := os.Getenv("SLOTBOOK_TEST_KURRENTDB")
	if address == "" {
		server, err := kurrenttest.Start(kurrenttest.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Close()) })
		address = server.URL()
	}
	separator := map[bool]string{true: "&", false: "?"}[strings.Contains(address, "?")]
	address += separator + "streamPrefix=t" + strings.ReplaceAll(uuid.NewString(), "-", "") + "."
	s, err := kurrent.New(kurrent.Config{Address: address, Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	_, err = s.Identity(t.Context())
	require.NoError(t, err)
	return running(t, s)
}

func running(t *testing.T, s store) store {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return s
}

// fill appends events to many streams, some to the same.
func fill(t *testing.T, s store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		events := make([]commands.NewEvent, 1+i%3)
		for n := range events {
			events[n] = commands.NewEvent{
				ID:       uuid.Must(uuid.NewV7()).String(),
				Event:    slot.Resized{Terms: slot.Terms{Slot: "ü \"<&>\u2028"}, Places: i},
				Metadata: domain.Metadata{Command: fmt.Sprint(i), Actor: "local", Trace: "00-1-1-01"},
			}
		}
		name := domain.StreamName(fmt.Sprintf("slot-%d", i%17))
		_, err := s.Append(t.Context(), commands.Write{Stream: name, Expected: domain.Any, Events: events})
		require.NoError(t, err)
	}
}

// all returns every event of a store as it is stored, its position left out.
func all(t *testing.T, s store) []eventcodec.Stored {
	t.Helper()
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	var read []eventcodec.Stored
	for after := domain.Position(0); after < head; {
		page, err := s.ReadStored(t.Context(), after, head, eventcodec.Selection{}, 100)
		require.NoError(t, err)
		require.NotEqual(t, after, page.Next)
		after = page.Next
		for _, e := range page.Events {
			e.Position = 0
			read = append(read, e)
		}
	}
	return read
}

// ways are the directions of a copy.
var ways = map[string]func(t *testing.T) (from, to store){
	"from postgres to kurrent": func(t *testing.T) (store, store) { t.Helper(); return inPostgres(t), inKurrent(t) },
	"from kurrent to postgres": func(t *testing.T) (store, store) { t.Helper(); return inKurrent(t), inPostgres(t) },
}

func TestACopyIsTheSameInBothDirections(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := way(t)
			fill(t, from, 0, 100)
			report, err := transfer.Run(t.Context(), transfer.Config{From: from, To: to, Page: 7})
			require.NoError(t, err)
			want := all(t, from)
			require.Equal(t, want, all(t, to), "ids, streams, revisions, bytes and times of recording")
			require.Equal(t, len(want), report.Events)
			require.Equal(t, len(want), report.Copied)
			require.Equal(t, 17, report.Streams)

			again, err := transfer.Run(t.Context(), transfer.Config{From: from, To: to})
			require.NoError(t, err)
			require.Zero(t, again.Copied, "twice is once")
			fill(t, from, 100, 120)
			_, err = transfer.Run(t.Context(), transfer.Config{From: from, To: to})
			require.NoError(t, err)
			fill(t, to, 120, 140)
			_, err = transfer.Run(t.Context(), transfer.Config{From: to, To: from})
			require.NoError(t, err, "and back, with what has happened there since")
			require.Equal(t, all(t, to), all(t, from))
		})
	}
}

func TestAnInterruptedCopyGoesOn(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := way(t)
			fill(t, from, 0, 60)
			copied := 0
			for tries := 0; ; tries++ {
				ctx, cancel := context.WithCancel(t.Context())
				pages := 0
				report, err := transfer.Run(ctx, transfer.Config{From: from, To: to, Page: 5, Progress: func(domain.Position, domain.Position, int) {
					if pages++; pages == 4 {
						cancel()
					}
				}})
				cancel()
				copied += report.Copied
				if err == nil {
					require.Greater(t, tries, 2)
					break
				}
				require.ErrorIs(t, err, context.Canceled)
			}
			require.Equal(t, all(t, from), all(t, to))
			require.Len(t, all(t, from), copied, "nothing was copied twice")
		})
	}
}

func TestWhatIsNoCopyIsRefused(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := way(t)
			fill(t, from, 0, 3)
			fill(t, to, 0, 2)
			_, err := transfer.Run(t.Context(), transfer.Config{From: from, To: to})
			require.ErrorIs(t, err, transfer.ErrDiffers)
		})
	}
}

// growing is a source to which somebody still writes.
type growing struct {
	store
	t *testing.T
	n *int
}

func (g growing) Head(ctx context.Context) (domain.Position, error) {
	*g.n++
	fill(g.t, g.store, *g.n, *g.n+1)
	return g.store.Head(ctx)
}

func TestASourceThatGrowsIsNoFence(t *testing.T) {
	t.Parallel()
	from, to := inPostgres(t), inKurrent(t)
	_, err := transfer.Run(t.Context(), transfer.Config{From: growing{from, t, new(int)}, To: to})
	require.ErrorIs(t, err, transfer.ErrGrows)
}

// altered is a target that does not keep what it gets.
type altered struct{ store }

func (a altered) Import(ctx context.Context, events []eventcodec.Stored) error {
	changed := append([]eventcodec.Stored(nil), events...)
	changed[len(changed)-1].RecordedAt = changed[len(changed)-1].RecordedAt.Add(time.Second)
	return a.store.Import(ctx, changed)
}

func TestTheFenceFindsWhatWasAltered(t *testing.T) {
	t.Parallel()
	from, to := inPostgres(t), inKurrent(t)
	fill(t, from, 0, 3)
	_, err := transfer.Run(t.Context(), transfer.Config{From: from, To: altered{to}})
	require.ErrorIs(t, err, transfer.ErrDiffers)
}

func TestOnlyTheNextEventOfAStreamIsTaken(t *testing.T) {
	t.Parallel()
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := way(t)
			fill(t, from, 0, 40)
			events := all(t, from)
			require.ErrorIs(t, to.Import(t.Context(), events[len(events)-1:]), commands.ErrWrongRevision)
		})
	}
}
