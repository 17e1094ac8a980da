package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

// workerOf is the variable of the environment that makes the test binary a
// process that runs consumers over a database.
const workerOf = "SLOTBOOK_TEST_BUS_WORKER"

func TestMain(m *testing.M) {
	if url := os.Getenv(workerOf); url != "" {
		if err := work(context.Background(), url); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	postgrestest.Main(m)
}

const consumers = 3

// work runs some consumers until it is killed. What each gets is told on the
// standard output; the handler of an event of a stream called "stuck" never
// ends in the process that is told so.
func work(ctx context.Context, url string) error {
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return err
	}
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	go func() { _ = store.Run(ctx) }() // it is killed with the process
	r := bus.NewRouter(bus.Config{Pool: pool, Log: store, Epoch: "one", Owner: fmt.Sprint(os.Getpid()), Now: time.Now, Lease: time.Second, Pause: time.Millisecond})
	for n := range consumers {
		r.Add(bus.Consumer{Name: fmt.Sprint(n), FromZero: true, Lanes: 2, Handle: func(ctx context.Context, e eventcodec.Stored) error {
			fmt.Println(n, e.ID, e.Position)
			if e.Stream.ID() == os.Getenv("STUCK") {
				<-ctx.Done()
			}
			return ctx.Err()
		}})
	}
	return r.Run(ctx)
}

// told is what a process says that a consumer got.
type told struct {
	worker   *exec.Cmd
	consumer int
	id       string
	position uint64
}

// worker starts a process.
func worker(t *testing.T, url, stuck string, all chan<- told) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerOf+"="+url, "STUCK="+stuck)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			x := told{worker: cmd}
			if _, err := fmt.Sscan(strings.TrimSpace(lines.Text()), &x.consumer, &x.id, &x.position); err == nil {
				all <- x
			}
		}
		_ = cmd.Wait() // it was killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead already
		<-ended
	})
	return cmd
}

// Three processes share three consumers. Whichever has the first is killed in
// the middle of a message; the others go on with it, and with whatever else it
// had.
func TestProcessesShareConsumersAndOneIsKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	url := s.pool.Config().ConnString()
	const events = 60
	var ids []string
	for n := range events {
		ids = append(ids, s.append(fmt.Sprint(n%4)))
	}
	all := make(chan told, 10_000)
	dying := worker(t, url, "stuck", all)
	got := map[string]int{} // how often, by consumer and id
	receive := func() told {
		x := next(t, all)
		got[fmt.Sprint(x.consumer, " ", x.id)]++
		return x
	}
	for range consumers * events {
		require.Same(t, dying, receive().worker, "whoever is alone has them all")
	}
	stuck := s.append("stuck")
	for range consumers {
		require.Equal(t, stuck, receive().id)
	}
	worker(t, url, "", all)
	worker(t, url, "", all)
	for range events {
		ids = append(ids, s.append(fmt.Sprint(len(ids)%4)))
	}
	ids = append(ids, stuck)
	require.NoError(t, dying.Process.Kill())
	complete := func() bool {
		for n := range consumers {
			for _, id := range ids {
				want := 1
				if id == stuck {
					want = 2
				}
				if got[fmt.Sprint(n, " ", id)] < want {
					return false
				}
			}
		}
		return true
	}
	for !complete() {
		receive()
	}
	require.Len(t, got, consumers*len(ids), "nothing came that is not in the log")
	require.Eventually(t, func() bool {
		standings, err := s.desk().List(t.Context())
		require.NoError(t, err)
		for _, is := range standings {
			if is.Position != is.Head {
				return false
			}
		}
		return len(standings) == consumers
	}, soon, tick)
}
