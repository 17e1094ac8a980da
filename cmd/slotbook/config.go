package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/adapters/analytics"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
)

// output is where the program writes: answers to out, logs and errors to err.
type output struct{ out, err io.Writer }

func (o output) logger() *slog.Logger { return slog.New(slog.NewTextHandler(o.err, nil)) }

// database says where the data is. It is part of every command that needs it.
type database struct {
	DatabaseURL string `env:"SLOTBOOK_DATABASE_URL" help:"PostgreSQL 15 or later, postgres://...; empty = an embedded one in the data folder." placeholder:"URL"`
	DataDir     string `env:"SLOTBOOK_DATA_DIR" default:"${datadir}" help:"Folder of the embedded PostgreSQL and of the key file. Commands with the same folder share the database." placeholder:"DIR"`
	EventStore  string `env:"SLOTBOOK_EVENT_STORE" default:"postgres" help:"Where events are kept: postgres, or the address of KurrentDB or EventStoreDB such as esdb://host:2113?tls=true (also kurrentdb://, and either with +discover)." placeholder:"postgres|ADDRESS"`
	MasterKey   string `env:"SLOTBOOK_MASTER_KEY" help:"64 hexadecimal digits that wrap every person's key; empty = a key file in the data folder, made on the first start." placeholder:"HEX"`
}

// defaultDataDir is the user's state folder (XDG Base Directory
// Specification), and /var/lib/slotbook for root, whose home the user that
// PostgreSQL runs as may not enter.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/slotbook"
	}
	if state := os.Getenv("XDG_STATE_HOME"); state != "" {
		return filepath.Join(state, "slotbook")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".local", "state", "slotbook")
}

// databaseName is the database inside the embedded PostgreSQL.
const databaseName = "slotbook"

// open returns the address of a database that fits, migrated, and the embedded
// server that it is on, which the caller closes; nil when it is another one.
// Errors are usage errors.
func (d database) open(ctx context.Context) (url string, server *pgembed.Server, err error) {
	if d.DatabaseURL != "" {
		url, err = d.DatabaseURL, prepare(ctx, d.DatabaseURL)
	} else {
		url, server, err = d.embedded(ctx)
	}
	if err != nil {
		return "", nil, usageError{err}
	}
	return url, server, nil
}

// prepare checks and migrates a database, with what analysts may read in it.
func prepare(ctx context.Context, url string) error {
	if err := postgres.Check(ctx, url); err != nil {
		return err
	}
	if err := postgres.Migrate(ctx, url); err != nil {
		return err
	}
	_, err := installAnalytics(ctx, url)
	return err
}

// installAnalytics makes what analysts may read in a database.
func installAnalytics(ctx context.Context, url string) (analytics.Standing, error) {
	conn, err := postgres.Connect(ctx, url)
	if err != nil {
		return analytics.Standing{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to lose
	return analytics.Install(ctx, conn)
}

// find returns the address of a database that is there already, and what to
// call when it is not needed any more. It creates nothing. Errors are usage
// errors.
func (d database) find(ctx context.Context) (url string, done func() error, err error) {
	if d.DatabaseURL != "" {
		return d.DatabaseURL, func() error { return nil }, nil
	}
	if _, err := os.Stat(filepath.Join(d.DataDir, "postgres", "data", "PG_VERSION")); err != nil {
		return "", nil, usageError{fmt.Errorf("there is no database in the folder %s", d.DataDir)}
	}
	server, err := pgembed.Open(ctx, pgembed.Config{Folder: filepath.Join(d.DataDir, "postgres")})
	if err != nil {
		return "", nil, usageError{err}
	}
	return server.URL(databaseName), server.Close, nil
}

// prepared brings a database that is there already up to date, and hands its
// address to use.
func (d database) prepared(ctx context.Context, use func(url string) error) (err error) {
	url, done, err := d.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := prepare(ctx, url); err != nil {
		return usageError{err}
	}
	return use(url)
}

// embedded starts the data folder's PostgreSQL, or uses the one that runs, and
// prepares the database in it.
func (d database) embedded(ctx context.Context) (string, *pgembed.Server, error) {
	if err := makeFolder(d.DataDir); err != nil {
		return "", nil, err
	}
	server, err := pgembed.Open(ctx, pgembed.Config{Folder: filepath.Join(d.DataDir, "postgres")})
	if err != nil {
		return "", nil, err
	}
	url := server.URL(databaseName)
	err = prepareEmbedded(ctx, server)
	// One that runs may have been about to end, with the process that started it.
	for tries := 0; err != nil && !server.Owned() && tries < 3; tries++ {
		if err = server.Reopen(ctx); err == nil {
			err = prepareEmbedded(ctx, server)
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, server.Close())
	}
	return url, server, nil
}

func prepareEmbedded(ctx context.Context, server *pgembed.Server) error {
	if err := createDatabase(ctx, server.URL("postgres")); err != nil {
		return err
	}
	return prepare(ctx, server.URL(databaseName))
}

// makeFolder creates the data folder. It can be searched by others, since the
// user that PostgreSQL runs as may be another one; what is secret in it has
// modes of its own.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return fmt.Errorf("the data folder cannot be made: %w", err)
	}
	return nil
}

func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("the embedded PostgreSQL does not answer: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on its end
	var exists bool
	err = conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, databaseName).Scan(&exists)
	if err == nil && !exists {
		_, err = conn.Exec(ctx, `create database `+databaseName)
	}
	if isDuplicate(err) {
		return nil // another process was faster
	}
	return err
}

// masterKey returns the key that wraps the keys of persons.
func (d database) masterKey() ([]byte, error) {
	text := d.MasterKey
	if text == "" {
		var err error
		if text, err = d.keyFile(); err != nil {
			return nil, err
		}
	}
	return parseKey(text)
}

// keyless reports whether no master key is here: one would be made.
func (d database) keyless() bool {
	_, err := os.Stat(d.keyPath())
	return d.MasterKey == "" && errors.Is(err, os.ErrNotExist)
}

// unmade takes back a key file that was made, when it turns out that the database
// was first used with another key: somebody would take it for that.
func (d database) unmade(made bool, err error) error {
	if !made || !errors.Is(err, postgres.ErrOtherMaster) {
		return err
	}
	_ = os.Remove(d.keyPath()) // it opens nothing
	return usageError{fmt.Errorf("this database was first used with a master key, and none is here: give it as SLOTBOOK_MASTER_KEY, or put its file into %s", d.DataDir)}
}

// knownKey is [database.masterKey] for those who make no key file: where there is
// none the key is nil.
func (d database) knownKey() ([]byte, error) {
	if d.MasterKey != "" {
		return parseKey(d.MasterKey)
	}
	text, err := os.ReadFile(d.keyPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("the key file cannot be read: %w", err)}
	}
	return parseKey(string(text))
}

func (d database) keyPath() string { return filepath.Join(d.DataDir, "master.key") }

// fingerprint names a master key without telling it; "" for none.
func fingerprint(master []byte) string {
	if master == nil {
		return ""
	}
	return hex.EncodeToString(derive(master, "fingerprint")[:8])
}

func parseKey(text string) ([]byte, error) {
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != 32 {
		return nil, usageError{errors.New("the master key is not 64 hexadecimal digits")}
	}
	return key, nil
}

// keyFile reads the key file, or makes it. A file that another process makes
// at the same time wins.
func (d database) keyFile() (string, error) {
	if err := makeFolder(d.DataDir); err != nil {
		return "", usageError{err}
	}
	path := d.keyPath()
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return "", err
	}
	err := d.writeKey(fresh)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", usageError{fmt.Errorf("the key file cannot be made: %w", err)}
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own folder
	if err != nil {
		return "", usageError{fmt.Errorf("the key file cannot be read: %w", err)}
	}
	return string(text), nil
}

// writeKey makes the key file, unless there is one: [os.ErrExist].
func (d database) writeKey(key []byte) error {
	file, err := os.OpenFile(d.keyPath(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = file.WriteString(hex.EncodeToString(key) + "\n")
		err = errors.Join(err, file.Sync(), file.Close())
	}
	return err
}

// derive returns a key for one purpose.
func derive(master []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, master)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
