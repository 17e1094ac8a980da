package postgres_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/stretchr/testify/require"
)

// resized returns a new event with a number to tell it apart.
func resized(number int) commands.NewEvent {
	return commands.NewEvent{ID: uuid.Must(uuid.NewV7()).String(), Event: slot.Resized{Places: number}}
}

func write(stream string, expected domain.Revision, events ...commands.NewEvent) commands.Write {
	return commands.Write{Stream: domain.StreamName(stream), Expected: expected, Events: events}
}

// later appends in the background.
func later(ctx context.Context, store *postgres.Store, w ...commands.Write) func() (domain.Position, error) {
	type result struct {
		position domain.Position
		err      error
	}
	done := make(chan result, 1)
	go func() {
		position, err := store.Append(ctx, w...)
		done <- result{position, err}
	}()
	return func() (domain.Position, error) {
		r := <-done
		return r.position, r.err
	}
}

// lockHead holds the head lock on a connection of its own until release.
func lockHead(t *testing.T, url string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "begin; select from slotbook.log_head where id = 1 for update")
	require.NoError(t, err)
	return func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }
}

// watch returns a function that waits until a query returns true.
func watch(t *testing.T, url string) func(query string, arguments ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return func(query string, arguments ...any) {
		t.Helper()
		require.Eventually(t, func() bool {
			var met bool
			require.NoError(t, conn.QueryRow(t.Context(), query, arguments...).Scan(&met))
			return met
		}, 20*time.Second, time.Millisecond)
	}
}

const someoneWaits = `
	select exists (
		select from pg_stat_activity
		where datname = current_database()
			and wait_event_type = 'Lock'
	)`

const whoWaits = `
	select pid
	from pg_stat_activity
	where datname = current_database()
		and wait_event_type = 'Lock'
	limit 1`

// While somebody else holds the lock, requests queue up. When it is released,
// each gets its own right answer, and no loser fails a neighbour.
func TestRequestsQueueWhileTheLockIsHeld(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	written := write("slot-written", domain.NoStream, resized(1), resized(2))
	position, err := store.Append(t.Context(), written)
	require.NoError(t, err)

	release := lockHead(t, url)
	first := later(t.Context(), store, write("slot-first", domain.NoStream, resized(1)))
	watch(t, url)(someoneWaits)
	exact := later(t.Context(), store, write("slot-written", 1, resized(3)))
	under := later(t.Context(), store, write("slot-any", domain.Any, resized(4)))
	again := later(t.Context(), store, written)
	loser := later(t.Context(), store, write("slot-written", domain.NoStream, resized(5)))
	both := later(t.Context(), store, write("slot-x", domain.NoStream, resized(6)), write("slot-y", 7, resized(7)))
	release()

	for _, succeeds := range []func() (domain.Position, error){first, exact, under} {
		got, err := succeeds()
		require.NoError(t, err)
		require.Greater(t, got, position)
	}
	got, err := again()
	require.NoError(t, err)
	require.Equal(t, position, got)
	for _, loses := range []func() (domain.Position, error){loser, both} {
		_, err = loses()
		require.ErrorIs(t, err, commands.ErrWrongRevision)
	}
	loaded, err := store.Load(t.Context(), "slot-written", "slot-any", "slot-first", "slot-x", "slot-y")
	require.NoError(t, err)
	require.Len(t, loaded, 3)
	require.Len(t, loaded["slot-written"], 3)
}

// A request that the database refuses, whatever the checks before it have let
// through, fails alone: here a stream name that no index takes.
func TestOnlyTheCulpritOfABatchFails(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	random := make([]byte, 10_000)
	_, _ = rand.Read(random) // never fails
	poison := "slot-" + hex.EncodeToString(random)

	release := lockHead(t, url)
	var pending []func() (domain.Position, error)
	pending = append(pending, later(t.Context(), store, write("slot-first", domain.NoStream, resized(1))))
	watch(t, url)(someoneWaits)
	for i := range 100 {
		name := fmt.Sprintf("slot-%d", i)
		if i == 50 {
			name = poison
		}
		pending = append(pending, later(t.Context(), store, write(name, domain.NoStream, resized(i), resized(i))))
	}
	release()
	failed := 0
	for _, result := range pending {
		if _, err := result(); err != nil {
			failed++
			require.Nil(t, domain.RuleOf(err), "it is nobody's rule")
		}
	}
	require.Equal(t, 1, failed)
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1+2*99, head, "positions have no gap")
	_, err = store.Append(t.Context(), write(poison, domain.NoStream, resized(1)))
	require.Error(t, err)
	_, err = store.Append(t.Context(), write("slot-after", domain.NoStream, resized(1)))
	require.NoError(t, err)
}

// Who waits longer than lock_timeout for the lock tries again, on a new
// connection, and succeeds when the lock is free.
func TestALockThatIsHeldForLong(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	release := lockHead(t, url)
	waiting := later(t.Context(), store, write("slot-1", domain.NoStream, resized(1), resized(2)))
	until := watch(t, url)
	until(someoneWaits)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // the test is over
	var first int
	require.NoError(t, conn.QueryRow(t.Context(), whoWaits).Scan(&first))
	until("select coalesce(("+whoWaits+"), $1) <> $1", first)
	release()
	_, err = waiting()
	require.NoError(t, err)
	loaded, err := store.Load(t.Context(), "slot-1")
	require.NoError(t, err)
	require.Len(t, loaded["slot-1"], 2)
}

// When patience ends before the lock is free, or the caller leaves, nothing is
// stored, and the answer says so.
func TestALockThatIsHeldForTooLong(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	store, err := postgres.New(postgres.Config{Pool: openPool(t, url), Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Patience: time.Nanosecond})
	require.NoError(t, err)
	start(t, store)
	release := lockHead(t, url)
	refused := later(t.Context(), store, write("slot-1", domain.NoStream, resized(1), resized(2)))
	watch(t, url)(someoneWaits)
	ctx, cancel := context.WithCancel(t.Context())
	left := later(ctx, store, write("slot-2", domain.NoStream, resized(1)))
	cancel()
	_, err = left()
	require.ErrorIs(t, err, commands.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	_, err = refused()
	require.ErrorIs(t, err, commands.ErrUnavailable)
	require.NotContains(t, domain.RuleOf(err).Text, "lock")
	release()
	_, err = store.Append(t.Context(), write("slot-3", domain.NoStream, resized(1)))
	require.NoError(t, err)
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, head)
}

// proxied is a store behind a proxy that can do harm.
type proxied struct {
	*postgres.Store
	proxy *toxiproxy.Proxy
	pool  *pgxpool.Pool
	url   string // of the database, past the proxy
}

func behindProxy(t *testing.T) proxied {
	t.Helper()
	return impatient(t, 0)
}

// impatient is behindProxy with another patience than the default.
func impatient(t *testing.T, patience time.Duration) proxied {
	t.Helper()
	address := postgrestest.Database(t)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "database", "127.0.0.1:0", parsed.Host)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	parsed.Host = proxy.Listen
	pool := openPool(t, parsed.String())
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Patience: patience})
	require.NoError(t, err)
	return proxied{store, proxy, pool, address}
}

func (p proxied) harm(t *testing.T, toxic string) {
	t.Helper()
	_, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(t, err)
}

func (p proxied) heal(t *testing.T) {
	t.Helper()
	require.NoError(t, p.proxy.Toxics.RemoveToxic(t.Context(), "harm"))
}

const (
	cutAnswers      = `{"name": "harm", "type": "limit_data", "stream": "downstream", "attributes": {"bytes": 0}}`
	withholdAnswers = `{"name": "harm", "type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`
)

const isStored = "select exists (select from slotbook.events where stream = $1)"

// The database commits, but the answer never arrives: the store finds out by
// the event ids and answers success, and the events are there once.
func TestTheAnswerToACommitIsCutOff(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]int{"one event, the short way": 1, "two events": 2} {
		for expected, revision := range map[string]domain.Revision{"exact": domain.NoStream, "any": domain.Any} {
			t.Run(name+", "+expected, func(t *testing.T) {
				t.Parallel()
				p := behindProxy(t)
				var once sync.Once
				short := events == 1 && revision != domain.Any
				p.PauseUnderLock(func() {
					if !short {
						once.Do(func() { p.harm(t, cutAnswers) })
					}
				})
				start(t, p.Store)
				if short {
					_, err := p.Append(t.Context(), write("slot-warm", domain.NoStream, resized(0)))
					require.NoError(t, err)
					p.harm(t, cutAnswers)
				}
				made := []commands.NewEvent{resized(1), resized(2)}[:events]
				result := later(t.Context(), p.Store, write("slot-1", revision, made...))
				watch(t, p.url)(isStored, "slot-1")
				p.heal(t)
				position, err := result()
				require.NoError(t, err)
				head, err := p.Head(t.Context())
				require.NoError(t, err)
				require.Equal(t, head, position)
				loaded, err := p.Load(t.Context(), "slot-1")
				require.NoError(t, err)
				require.Len(t, loaded["slot-1"], events)
			})
		}
	}
}

// Who queues behind an append with an open outcome is told when patience ends;
// the open one waits until its outcome is known.
func TestPatienceBehindAnOpenOutcome(t *testing.T) {
	t.Parallel()
	p := impatient(t, time.Nanosecond)
	start(t, p.Store)
	_, err := p.Append(t.Context(), write("slot-warm", domain.NoStream, resized(0)))
	require.NoError(t, err)
	p.harm(t, cutAnswers)
	open := later(t.Context(), p.Store, write("slot-open", domain.NoStream, resized(1)))
	watch(t, p.url)(isStored, "slot-open")
	_, err = p.Append(t.Context(), write("slot-behind", domain.NoStream, resized(2)))
	require.ErrorIs(t, err, commands.ErrUnavailable)
	p.heal(t)
	position, err := open()
	require.NoError(t, err)
	require.EqualValues(t, 2, position)
	loaded, err := p.Load(t.Context(), "slot-behind")
	require.NoError(t, err)
	require.Empty(t, loaded)
}

// The caller's time ends while the answer is withheld: the outcome is unknown,
// and the same append sent again finds it out.
func TestTheCallerLeavesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	p := behindProxy(t)
	start(t, p.Store)
	_, err := p.Append(t.Context(), write("slot-warm", domain.NoStream, resized(0)))
	require.NoError(t, err)
	p.harm(t, withholdAnswers)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := write("slot-1", domain.NoStream, resized(1))
	result := later(ctx, p.Store, w)
	watch(t, p.url)(isStored, "slot-1")
	cancel()
	_, err = result()
	require.ErrorIs(t, err, commands.ErrUnknownOutcome)
	require.ErrorIs(t, err, context.Canceled)
	p.heal(t)
	position, err := p.Append(t.Context(), w)
	require.NoError(t, err)
	require.EqualValues(t, 2, position)
}

// A database that is away: loads fail at once, appends after their patience.
func TestTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	pool := openPool(t, "postgres://nobody@127.0.0.1:1/none?sslmode=disable")
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Patience: 50 * time.Millisecond})
	require.NoError(t, err)
	start(t, store)
	_, err = store.Load(t.Context(), "slot-1")
	require.ErrorIs(t, err, commands.ErrUnavailable)
	_, err = store.Append(t.Context(), write("slot-1", domain.NoStream, resized(1)))
	require.ErrorIs(t, err, commands.ErrUnavailable)
	require.NotContains(t, domain.RuleOf(err).Text, "127.0.0.1")
	_, err = store.ReadAll(t.Context(), 0, domain.Filter{}, 1)
	require.ErrorIs(t, err, commands.ErrUnavailable)
	_, err = store.Head(t.Context())
	require.ErrorIs(t, err, commands.ErrUnavailable)
	_, err = store.ClockSkew(t.Context())
	require.ErrorIs(t, err, commands.ErrUnavailable)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, store.Wait(ctx, 0), context.DeadlineExceeded)
}

// After Run has ended nothing hangs.
func TestAStoreThatHasStopped(t *testing.T) {
	t.Parallel()
	store, err := postgres.New(postgres.Config{Pool: openPool(t, postgrestest.Database(t)), Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	queued := later(t.Context(), store, write("slot-1", domain.NoStream, resized(1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, store.Run(ctx))
	if _, err = queued(); err != nil { // it may have been served on the way out
		require.ErrorIs(t, err, commands.ErrUnavailable)
	}
	_, err = store.Append(t.Context(), write("slot-2", domain.NoStream, resized(1)))
	require.ErrorIs(t, err, commands.ErrUnavailable)
	_, err = store.Load(t.Context(), "slot-1")
	require.ErrorIs(t, err, commands.ErrUnavailable)
}

// The database crashes and comes back while appends go on: what was answered
// is there, each once, and nobody is left waiting.
func TestTheDatabaseCrashesUnderLoad(t *testing.T) {
	t.Parallel()
	server, address := ownServer(t)
	require.NoError(t, postgres.Migrate(t.Context(), address))
	store := run(t, openPool(t, address), eventcodec.New(&eventcodec.MemoryKeys{}))
	const writers = 8
	ctx, crash := context.WithCancel(t.Context())
	defer crash()
	var all sync.WaitGroup
	counts := make([]int, writers)
	for i := range writers {
		all.Go(func() { counts[i] = appendUntil(ctx, t, store, fmt.Sprintf("slot-%d", i)) })
	}
	for range 2 {
		before, err := store.Head(t.Context())
		require.NoError(t, err)
		require.NoError(t, store.Wait(t.Context(), before+20))
		require.NoError(t, server.Kill())
		require.NoError(t, server.Restart(t.Context()))
		require.Eventually(t, func() bool { _, err := store.Head(t.Context()); return err == nil }, 20*time.Second, time.Millisecond)
	}
	crash()
	all.Wait()
	total := 0
	for i, n := range counts {
		name := domain.StreamName(fmt.Sprintf("slot-%d", i))
		loaded, err := store.Load(t.Context(), name)
		require.NoError(t, err)
		require.Len(t, loaded[name], n)
		for k, r := range loaded[name] {
			require.Equal(t, slot.Resized{Places: k}, r.Event)
		}
		total += n
	}
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, total, head)
}

// appendUntil appends one event after the other, each until it is stored, and
// returns how many. Each takes the next revision, so that a lost or a doubled
// event would end it.
func appendUntil(ctx context.Context, t *testing.T, store *postgres.Store, stream string) (n int) {
	for ctx.Err() == nil {
		w := write(stream, domain.Revision(n-1), resized(n))
		for {
			_, err := store.Append(context.WithoutCancel(ctx), w)
			if err == nil {
				break
			}
			if !errors.Is(err, commands.ErrUnavailable) && !errors.Is(err, commands.ErrUnknownOutcome) {
				t.Errorf("append %d: %v", n, err)
				return n
			}
		}
		n++
	}
	return n
}

// ownServer starts a server of the test's own, to be crashed.
func ownServer(t *testing.T) (*pgembed.Server, string) {
	t.Helper()
	folder, err := os.MkdirTemp("", "slotbook-crash-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o755))
	server, err := pgembed.Open(t.Context(), pgembed.Config{Folder: folder, Settings: map[string]string{"fsync": "off", "shared_buffers": "32MB"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() }) // the test may end between crash and restart
	return server, server.URL("postgres")
}
