package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/stretchr/testify/require"
)

// A second process is this test binary, running one of these tests with this
// variable naming the database.
const childDatabase = "SLOTBOOK_TEST_CHILD_DATABASE"

// child runs one test of this binary in a process of its own and returns its
// input and output.
func child(t *testing.T, test, url string) (*exec.Cmd, io.Writer, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), childDatabase+"="+url)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, input, bufio.NewScanner(output)
}

// readUntil reads the child's output up to a line.
func readUntil(t *testing.T, lines *bufio.Scanner, line string) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == line {
			return
		}
	}
	t.Fatalf("the other process ended without the line %q", line)
}

const eachProcess = 150

// appendMany appends to one stream that others append to as well.
func appendMany(t *testing.T, store *postgres.Store, first int) {
	t.Helper()
	for n := first; n < first+eachProcess; n++ {
		e := resized(n)
		for {
			loaded, err := store.Load(t.Context(), "slot-shared")
			require.NoError(t, err)
			last := domain.Revision(len(loaded["slot-shared"]) - 1)
			_, err = store.Append(t.Context(), write("slot-shared", last, e), write(fmt.Sprintf("slot-own%d", n), domain.NoStream, resized(n)))
			if err == nil {
				break
			}
			require.ErrorIs(t, err, commands.ErrWrongRevision)
		}
	}
}

// Two processes race for one stream: revisions and positions have no gap, and
// a follower in one of them sees all of it in order.
func TestTwoProcessesShareTheLog(t *testing.T) {
	if url := os.Getenv(childDatabase); url != "" {
		appendMany(t, run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{})), eachProcess)
		return
	}
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	cmd, _, lines := child(t, t.Name(), url)
	appendMany(t, store, 0)
	readUntil(t, lines, "PASS")
	var read []domain.Recorded
	for after := domain.Position(0); len(read) < 4*eachProcess; {
		require.NoError(t, store.Wait(t.Context(), after))
		page, err := store.ReadAll(t.Context(), after, domain.Filter{}, 50)
		require.NoError(t, err)
		read, after = append(read, page.Events...), page.Next
	}
	require.NoError(t, cmd.Wait())
	revisions := map[domain.StreamName]domain.Revision{}
	for i, r := range read {
		require.EqualValues(t, i+1, r.Position)
		require.Equal(t, revisions[r.Stream], r.Revision)
		revisions[r.Stream]++
	}
	require.EqualValues(t, 2*eachProcess, revisions["slot-shared"])
}

// A process that is stopped while it holds the lock holds the others up for
// less than 3 s. When it goes on, it finds its transaction gone, and stores its
// append then.
func TestAProcessIsStoppedUnderTheLock(t *testing.T) {
	if url := os.Getenv(childDatabase); url != "" {
		stopUnderLock(t, url)
		return
	}
	t.Parallel()
	url := postgrestest.Database(t)
	store := run(t, openPool(t, url), eventcodec.New(&eventcodec.MemoryKeys{}))
	cmd, input, lines := child(t, t.Name(), url)
	defer cmd.Process.Kill() //nolint:errcheck // for when the test fails half-way
	readUntil(t, lines, "locked")
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for i := range 3 {
		_, err := store.Append(ctx, write(fmt.Sprintf("slot-%d", i), domain.NoStream, resized(i)))
		require.NoError(t, err)
	}
	loaded, err := store.Load(t.Context(), "slot-stopped")
	require.NoError(t, err)
	require.Empty(t, loaded)
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	_, err = io.WriteString(input, "go on\n")
	require.NoError(t, err)
	readUntil(t, lines, "PASS")
	require.NoError(t, cmd.Wait())
	loaded, err = store.Load(t.Context(), "slot-stopped")
	require.NoError(t, err)
	require.Len(t, loaded["slot-stopped"], 2)
}

// stopUnderLock appends, and waits between lock and commit to be told to go on.
func stopUnderLock(t *testing.T, url string) {
	t.Helper()
	store, err := postgres.New(postgres.Config{Pool: openPool(t, url), Codec: eventcodec.New(&eventcodec.MemoryKeys{})})
	require.NoError(t, err)
	var once sync.Once
	store.PauseUnderLock(func() {
		once.Do(func() {
			fmt.Println("locked")
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // its end will do, too
		})
	})
	start(t, store)
	_, err = store.Append(t.Context(), write("slot-stopped", domain.NoStream, resized(1), resized(2)))
	require.NoError(t, err)
}
