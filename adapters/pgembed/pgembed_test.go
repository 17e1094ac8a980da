package pgembed_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/pgembed"
)

// ownerFolder tells this test program to be the process that owns a server in that folder, and nothing else.
const ownerFolder = "PGEMBED_TEST_OWNER_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(ownerFolder); folder != "" {
		os.Exit(ownServer(folder))
	}
	os.Exit(m.Run())
}

// ownServer opens the folder, says so, and stays until it is killed or its input ends.
func ownServer(folder string) int {
	server, err := pgembed.Open(context.Background(), pgembed.Config{Folder: folder})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(server.Owned())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return 1
	}
	if err := server.Close(); err != nil {
		return 1
	}
	return 0
}

func TestAFreshFolderGetsAServer(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(newFolder(t), "not", "there", "yet")
	server := open(t, pgembed.Config{Folder: folder, Settings: map[string]string{"work_mem": "7MB", "max_connections": "20"}})
	require.True(t, server.Owned())
	require.FileExists(t, filepath.Join(folder, "log"))

	t.Run("that answers with its settings", func(t *testing.T) {
		db := connect(t, server)
		require.Equal(t, "slotbook", one[string](t, db, "select current_user::text"))
		require.Equal(t, "UTF8", one[string](t, db, "show server_encoding"))
		require.Equal(t, "on", one[string](t, db, "show fsync"))
		require.Equal(t, "on", one[string](t, db, "show synchronous_commit"))
		require.Equal(t, "UTC", one[string](t, db, "show timezone"))
		require.Equal(t, "7MB", one[string](t, db, "show work_mem"), "a setting of the caller's")
		require.Equal(t, "20", one[string](t, db, "show max_connections"), "a default that the caller overrides")
		require.Equal(t, "15min", one[string](t, db, "show checkpoint_timeout"), "a default")
	})
	t.Run("that searches text in every script", func(t *testing.T) {
		db := connect(t, server)
		for _, extension := range []string{"pg_trgm", "unaccent", "btree_gist", "cube", "earthdistance", "pgcrypto"} {
			_, err := db.Exec(t.Context(), "create extension "+extension)
			require.NoError(t, err)
		}
		require.NotEmpty(t, one[[]string](t, db, "select show_trgm('한글')"))
		require.NotEmpty(t, one[[]string](t, db, "select show_trgm('Жук')"))
		require.Equal(t, "áçж", one[string](t, db, "select lower('ÁÇЖ')"))
		require.True(t, one[bool](t, db, "select 'ÁRVORE' ilike 'árvore'"))
	})
	t.Run("that takes nobody without the password", func(t *testing.T) {
		password, err := os.Stat(filepath.Join(folder, "password"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), password.Mode().Perm())
		address, err := url.Parse(server.URL("postgres"))
		require.NoError(t, err)
		address.User = url.UserPassword("slotbook", "guessed")
		_, err = pgx.Connect(t.Context(), address.String())
		require.ErrorContains(t, err, "password authentication failed")
	})
}

func TestASecondOpenSharesTheServer(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	first := open(t, pgembed.Config{Folder: folder})
	second := open(t, pgembed.Config{Folder: folder})
	require.False(t, second.Owned())
	require.Equal(t, first.URL("postgres"), second.URL("postgres"))
	require.ErrorIs(t, second.Kill(), pgembed.ErrNotOwned)
	require.ErrorIs(t, second.Restart(t.Context()), pgembed.ErrNotOwned)

	require.NoError(t, second.Close())
	require.Equal(t, 1, one[int](t, connect(t, first), "select 1"), "closing a shared server leaves it running")
}

func TestOfManyThatOpenAtOnceOneStartsTheServer(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	servers := make([]*pgembed.Server, 6)
	var group sync.WaitGroup
	for i := range servers {
		group.Go(func() {
			server, err := pgembed.Open(t.Context(), pgembed.Config{Folder: folder})
			if err != nil {
				t.Error(err)
				return
			}
			servers[i] = server
			t.Cleanup(func() {
				if err := server.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
	group.Wait()
	require.False(t, t.Failed())
	owners := 0
	for _, server := range servers {
		if server.Owned() {
			owners++
		}
		require.Equal(t, servers[0].URL("postgres"), server.URL("postgres"))
		require.Equal(t, 1, one[int](t, connect(t, server), "select 1"))
	}
	require.Equal(t, 1, owners)
}

func TestCloseStopsTheServerAndTheNextOpenFindsDataAndPort(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	first := open(t, pgembed.Config{Folder: folder})
	write(t, connect(t, first))
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "twice is once")
	_, err := pgx.Connect(t.Context(), first.URL("postgres"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	second := open(t, pgembed.Config{Folder: folder})
	require.True(t, second.Owned())
	require.Equal(t, first.URL("postgres"), second.URL("postgres"))
	requireWritten(t, connect(t, second))
}

func TestAKilledServerRestartsOnItsPortWithItsData(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	server := open(t, pgembed.Config{Folder: folder})
	before := server.URL("postgres")
	db := connect(t, server)
	write(t, db)

	require.NoError(t, server.Kill())
	require.NoError(t, server.Kill(), "twice is once")
	require.Error(t, db.Ping(t.Context()))
	require.FileExists(t, filepath.Join(folder, "data", "postmaster.pid"), "a crash leaves the file of the dead server")

	require.NoError(t, server.Restart(t.Context()))
	require.Equal(t, before, server.URL("postgres"))
	requireWritten(t, connect(t, server))

	require.NoError(t, server.Restart(t.Context()), "a running server stops first")
	require.Equal(t, before, server.URL("postgres"))
	requireWritten(t, connect(t, server))
}

func TestDataSurvivesSIGKILLOfTheServersProcessGroup(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	server := open(t, pgembed.Config{Folder: folder})
	write(t, connect(t, server))
	// A backend that is busy does not notice at once that its postmaster is gone.
	busy := connect(t, server)
	noticed := make(chan struct{})
	go func() {
		defer close(noticed)
		// Whether it gets its answer out is up to chance.
		_, _ = busy.Exec(context.Background(), "select count(*) from generate_series(1, 3000000)")
	}()

	require.NoError(t, syscall.Kill(-postmasterPID(t, folder), syscall.SIGKILL))
	require.NoError(t, server.Restart(t.Context()))
	requireWritten(t, connect(t, server))
	<-noticed
}

func TestCloseTellsOfAServerThatEndedByItself(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	server, err := pgembed.Open(t.Context(), pgembed.Config{Folder: folder})
	require.NoError(t, err)
	db := connect(t, server)
	require.NoError(t, syscall.Kill(postmasterPID(t, folder), syscall.SIGKILL))
	_, err = db.WaitForNotification(t.Context())
	require.Error(t, err, "the connection ends with the server")
	require.ErrorContains(t, server.Close(), "ended by itself")
	require.NoError(t, server.Close(), "once told")
}

func TestAServerWhoseOwnerIsKilledIsStartedAgain(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	owner := startOwner(t, folder)
	shared := open(t, pgembed.Config{Folder: folder})
	require.False(t, shared.Owned(), "the other process owns it")
	db := connect(t, shared)
	write(t, db)

	require.NoError(t, owner.Process.Kill())
	require.Error(t, owner.Wait())
	if _, err := db.WaitForNotification(t.Context()); err == nil {
		t.Fatal("the server has outlived its owner")
	}
	server := open(t, pgembed.Config{Folder: folder})
	require.True(t, server.Owned())
	requireWritten(t, connect(t, server))
}

func TestOfThoseThatShareAServerOneReopensIt(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	owner := startOwner(t, folder)
	shared := []*pgembed.Server{open(t, pgembed.Config{Folder: folder}), open(t, pgembed.Config{Folder: folder})}
	before := shared[0].URL("postgres")
	write(t, connect(t, shared[0]))
	for _, server := range shared {
		require.True(t, server.Running())
		require.NoError(t, server.Reopen(t.Context()), "what runs is left alone")
		require.False(t, server.Owned())
	}

	require.NoError(t, owner.Process.Kill())
	require.Error(t, owner.Wait())
	require.Eventually(t, func() bool { return !shared[0].Running() }, time.Minute, time.Millisecond)
	var group sync.WaitGroup
	for _, server := range shared {
		group.Go(func() {
			if err := server.Reopen(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.NotEqual(t, shared[0].Owned(), shared[1].Owned(), "one of them owns it")
	for _, server := range shared {
		require.True(t, server.Running())
		require.Equal(t, before, server.URL("postgres"))
		requireWritten(t, connect(t, server))
	}
}

func TestAnOwnerReopensAServerThatWasKilled(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	server := open(t, pgembed.Config{Folder: folder})
	write(t, connect(t, server))
	require.NoError(t, server.Reopen(t.Context()), "what runs is left alone")
	requireWritten(t, connect(t, server))
	require.NoError(t, syscall.Kill(postmasterPID(t, folder), syscall.SIGKILL))
	require.Eventually(t, func() bool { return !server.Running() }, time.Minute, time.Millisecond)
	require.NoError(t, server.Reopen(t.Context()))
	require.True(t, server.Running())
	require.True(t, server.Owned())
	requireWritten(t, connect(t, server))
}

func TestAServerWhosePortIsTakenIsNotReopened(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	first := open(t, pgembed.Config{Folder: folder})
	shared := open(t, pgembed.Config{Folder: folder})
	before := shared.URL("postgres")
	address, err := url.Parse(before)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.False(t, first.Running())
	taken, err := net.Listen("tcp", address.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	require.ErrorIs(t, shared.Reopen(t.Context()), pgembed.ErrPortTaken)

	elsewhere := open(t, pgembed.Config{Folder: folder})
	require.NotEqual(t, before, elsewhere.URL("postgres"), "a new start takes another port")
	require.False(t, shared.Running(), "what runs there is out of its reach")
	require.ErrorIs(t, shared.Reopen(t.Context()), pgembed.ErrPortTaken)
	require.Equal(t, before, shared.URL("postgres"))
	require.NoError(t, elsewhere.Close())

	require.NoError(t, taken.Close())
	require.NoError(t, shared.Reopen(t.Context()))
	require.Equal(t, 1, one[int](t, connect(t, shared), "select 1"))
}

func TestDataThatIsGoneIsNotReplacedByNone(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	server := open(t, pgembed.Config{Folder: folder})
	require.NoError(t, server.Kill())
	require.NoError(t, os.RemoveAll(filepath.Join(folder, "data")))
	require.ErrorContains(t, server.Reopen(t.Context()), "is gone")
	require.NoDirExists(t, filepath.Join(folder, "data"))
}

func TestDataOfAnotherMajorVersionIsRefused(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	require.NoError(t, os.Mkdir(filepath.Join(folder, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "password"), []byte("secret\n"), 0o600))
	if os.Geteuid() == 0 {
		// Data belongs to the user of the server, never to root.
		require.NoError(t, os.Chown(filepath.Join(folder, "data"), 65534, 65534))
	}
	_, err := pgembed.Open(t.Context(), pgembed.Config{Folder: folder})
	require.ErrorIs(t, err, pgembed.ErrOtherMajor)
	require.ErrorContains(t, err, "was written by PostgreSQL 9, and only PostgreSQL ")
	require.ErrorContains(t, err, "so install version 9 or move the folder away to start empty")
}

func TestAFolderThatTheServersUserCannotEnterIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root hands the server to another user")
	}
	closed := filepath.Join(newFolder(t), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	_, err := pgembed.Open(t.Context(), pgembed.Config{Folder: filepath.Join(closed, "deep", "cluster")})
	require.ErrorIs(t, err, pgembed.ErrUnreachableFolder)
	require.ErrorContains(t, err, "cannot enter "+closed+" (mode 0700), so choose a folder outside")
	left, err := os.ReadDir(closed)
	require.NoError(t, err)
	require.Empty(t, left, "a refusal creates nothing")
}

func TestLostPasswordIsAClearError(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	require.NoError(t, open(t, pgembed.Config{Folder: folder}).Close())
	require.NoError(t, os.Remove(filepath.Join(folder, "password")))
	_, err := pgembed.Open(t.Context(), pgembed.Config{Folder: folder})
	require.ErrorContains(t, err, "password is missing although there is data")
}

func TestWrongConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config pgembed.Config
		says   string
	}{
		"no folder":        {pgembed.Config{}, "a folder for the cluster is required"},
		"a port":           {pgembed.Config{Folder: newFolder(t), Settings: map[string]string{"port": "1"}}, "the setting port cannot be given"},
		"no binaries":      {pgembed.Config{Folder: newFolder(t), Bin: newFolder(t)}, "no PostgreSQL found in the folder of binaries"},
		"unknown setting":  {pgembed.Config{Folder: newFolder(t), Settings: map[string]string{"tea": "green"}}, `unrecognized configuration parameter "tea"`},
		"folder is a file": {pgembed.Config{Folder: "/dev/null"}, "is not a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pgembed.Open(t.Context(), c.config)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestALongFolderIsServedWithoutAUnixSocket(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(newFolder(t), strings.Repeat("long", 30))
	db := connect(t, open(t, pgembed.Config{Folder: folder}))
	require.Empty(t, one[string](t, db, "show unix_socket_directories"))
}

func TestAStartThatIsGivenUpLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := pgembed.Open(ctx, pgembed.Config{Folder: folder})
	require.Error(t, err)
	require.True(t, open(t, pgembed.Config{Folder: folder}).Owned())
}

// newFolder is t.TempDir, which root's server can enter as well: the testing package keeps its folders to this user.
func newFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(folder), 0o755))
	return folder
}

// open opens a server that the test closes at its end.
func open(t *testing.T, c pgembed.Config) *pgembed.Server {
	t.Helper()
	server, err := pgembed.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

func connect(t *testing.T, server *pgembed.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	require.NoError(t, err)
	// The server may have been killed by then.
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func one[T any](t *testing.T, db *pgx.Conn, query string) T {
	t.Helper()
	var value T
	require.NoError(t, db.QueryRow(t.Context(), query).Scan(&value))
	return value
}

func write(t *testing.T, db *pgx.Conn) {
	t.Helper()
	_, err := db.Exec(t.Context(), "create table kept as select 42 as answer")
	require.NoError(t, err)
}

func requireWritten(t *testing.T, db *pgx.Conn) {
	t.Helper()
	require.Equal(t, 42, one[int](t, db, "select answer from kept"))
}

func postmasterPID(t *testing.T, folder string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	return pid
}

// startOwner starts another process that owns a server in the folder, and waits until it does.
func startOwner(t *testing.T, folder string) *exec.Cmd {
	t.Helper()
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerFolder+"="+folder)
	owner.Stderr = os.Stderr
	_, err := owner.StdinPipe()
	require.NoError(t, err)
	said, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "true\n", line)
	return owner
}
