// Package postgrestest gives tests fresh PostgreSQL databases.
//
// SLOTBOOK_TEST_DATABASE_URL names a server to use; its user must be allowed
// to create databases. Without it one embedded server per test binary is
// started on first use, with durability switched off: it survives the crash of
// a process, not of the machine; its files lie in memory where there is plenty.
// A package that uses it has
//
//	func TestMain(m *testing.M) { postgrestest.Main(m) }
//
// Databases are cloned from a migrated template, which takes some 25 ms. The
// template is named by a hash of the migrations and made once per server.
package postgrestest

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
)

// patience bounds everything that this package does: the first use starts a
// server, on a machine that may be busy with other tests.
const patience = 2 * time.Minute

// templateLock is the advisory lock under which a template is made.
const templateLock = 0x510700_0002

// server is the one server of the test binary. It is a global because a test
// binary has no other place that outlives its tests.
var server struct {
	once     sync.Once
	err      error
	embedded *pgembed.Server // nil when the environment names a server
	folder   string          // of the embedded server
	url      string          // of the maintenance database
	pool     *pgxpool.Pool   // its connections
	template string

	mu       sync.Mutex
	prepared map[string]*template // by the names that tests gave
}

// template is a database that tests have prepared, for others to be cloned from.
type template struct {
	once sync.Once
	name string
	err  error
}

// Main runs the tests of a package, stops the embedded server when one was
// started, and exits.
func Main(m *testing.M) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the test database:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Database returns the URL of a fresh, migrated database. It is dropped when
// the test ends.
func Database(t testing.TB) string {
	t.Helper()
	return database(t, func() string { return server.template })
}

// EmptyDatabase returns the URL of a fresh database that is not migrated. It
// is dropped when the test ends.
func EmptyDatabase(t testing.TB) string {
	t.Helper()
	return database(t, func() string { return "template0" })
}

// Prepared returns the URL of a fresh, migrated database that prepare has made
// ready. Tests of one binary that give the same name share what was prepared: it
// is done once, and cloned. prepare leaves no connection open.
func Prepared(t testing.TB, name string, prepare func(ctx context.Context, url string) error) string {
	t.Helper()
	return database(t, func() string {
		server.mu.Lock()
		if server.prepared == nil {
			server.prepared = map[string]*template{}
		}
		made := server.prepared[name]
		if made == nil {
			made = &template{name: freshName()}
			server.prepared[name] = made
		}
		server.mu.Unlock()
		made.once.Do(func() { made.err = made.make(t.Context(), prepare) })
		if made.err != nil {
			t.Fatalf("prepare a database: %v", made.err)
		}
		return made.name
	})
}

func (m *template) make(ctx context.Context, prepare func(ctx context.Context, url string) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := execute(ctx, clone(m.name, server.template)); err != nil {
		return err
	}
	return prepare(ctx, withDatabase(server.url, m.name))
}

func clone(name, template string) string {
	return fmt.Sprintf("create database %s template %s strategy file_copy", name, template)
}

func drop(name string) string { return fmt.Sprintf("drop database if exists %s with (force)", name) }

func freshName() string { return "slotbook_test_" + strings.ToLower(rand.Text()[:12]) }

func database(t testing.TB, template func() string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server.once.Do(func() { server.err = start(ctx) })
	if server.err != nil {
		t.Fatalf("no database for tests: %v", server.err)
	}
	name := freshName()
	if err := execute(ctx, clone(name, template())); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := execute(ctx, drop(name)); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return withDatabase(server.url, name)
}

// start finds or starts the server and makes sure of the template.
func start(ctx context.Context) error {
	server.url = os.Getenv("SLOTBOOK_TEST_DATABASE_URL")
	if server.url == "" {
		if err := startEmbedded(ctx); err != nil {
			return err
		}
	}
	var err error
	if server.pool, err = pgxpool.New(context.WithoutCancel(ctx), server.url); err != nil {
		return err
	}
	server.template = "slotbook_template_" + postgres.SchemaHash()
	if err := makeTemplate(ctx); err != nil {
		return fmt.Errorf("template database: %w", err)
	}
	return nil
}

func startEmbedded(ctx context.Context) error {
	folder, err := makeFolder()
	if err != nil {
		return err
	}
	server.folder = folder
	// The server may run as another user than the test, who has to enter.
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	server.embedded, err = pgembed.Open(ctx, pgembed.Config{
		Folder: folder,
		Settings: map[string]string{
			"autovacuum_naptime": "1h", // no database lives as long
			"fsync":              "off",
			"full_page_writes":   "off",
			"max_wal_senders":    "0", // which minimal asks for
			"shared_buffers":     "64MB",
			"wal_level":          "minimal",
		},
	})
	if err != nil {
		return err
	}
	server.url = server.embedded.URL("postgres")
	return unstretched(ctx, server.url)
}

// unstretched has the server keep the password of its user so that a connection
// costs one round of hashing instead of 4,096 (RFC 5802; with the race detector
// that takes longer than all else). The rounds protect short passwords; this one
// has more bits than can be tried.
func unstretched(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	salt := []byte(rand.Text())
	salted, err := pbkdf2.Key(sha256.New, password, salt, 1, sha256.Size)
	if err != nil {
		return err
	}
	keyed := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	client, base64 := sha256.Sum256(keyed("Client Key")), base64.StdEncoding.EncodeToString
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("alter role %s password 'SCRAM-SHA-256$1:%s$%s:%s'",
		pgx.Identifier{u.User.Username()}.Sanitize(), base64(salt), base64(client[:]), base64(keyed("Server Key"))))
	return errors.Join(err, conn.Close(ctx))
}

// inMemory is a file system in memory; a test binary takes less than a tenth of
// plenty.
const (
	inMemory = "/dev/shm"
	plenty   = 4 << 30
)

// makeFolder makes the folder of the embedded server: in memory, where files
// are made in half the time, when it has plenty.
func makeFolder() (string, error) {
	if room, known := pgembed.RoomFor(inMemory); known && room >= plenty {
		if err := tidy(); err != nil {
			return "", err
		}
		if folder, err := os.MkdirTemp(inMemory, fmt.Sprintf("slotbook-test-%d-", os.Getpid())); err == nil {
			return folder, nil
		}
	}
	return os.MkdirTemp("", "slotbook-test-")
}

// tidy removes the folders in memory of processes that were killed.
func tidy() error {
	// Glob fails on a malformed pattern only.
	folders, _ := filepath.Glob(inMemory + "/slotbook-test-*-*")
	for _, folder := range folders {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(folder), "slotbook-test-%d-", &pid); err != nil {
			continue
		}
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			if err := os.RemoveAll(folder); err != nil {
				return err
			}
		}
	}
	return nil
}

func stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if server.embedded == nil {
		for _, made := range server.prepared {
			err = errors.Join(err, execute(ctx, drop(made.name)))
		}
	}
	if server.pool != nil {
		server.pool.Close()
	}
	if server.embedded != nil {
		err = errors.Join(err, server.embedded.Close())
	}
	if server.folder != "" {
		err = errors.Join(err, os.RemoveAll(server.folder))
	}
	return err
}

// makeTemplate makes the template unless it is there. It appears complete or
// not at all: it is migrated under another name.
func makeTemplate(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, server.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return err
	}
	var there bool
	err = conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", server.template).Scan(&there)
	if err != nil || there {
		return err
	}
	unfinished := server.template + "_unfinished"
	for _, sql := range []string{
		"drop database if exists " + unfinished,
		"create database " + unfinished + " template template0",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if err := postgres.Migrate(ctx, withDatabase(server.url, unfinished)); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "alter database "+unfinished+" rename to "+server.template)
	return err
}

func execute(ctx context.Context, sql string) error {
	_, err := server.pool.Exec(ctx, sql)
	return err
}

func withDatabase(address, name string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // a server address that is no URL fails to connect, with a message of its own
	}
	u.Path = "/" + name
	return u.String()
}
