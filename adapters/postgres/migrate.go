package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock under which the schema is made. It keeps
// processes apart that start on an empty database at once.
const migrationLock = 0x510700_0001

// Migrate brings the database to the schema that this program needs, in the
// PostgreSQL schema slotbook, and River's in [RiverSchema]. Of several processes that migrate at once one
// does the work; the others wait and find it done. It never goes back: a
// database that a newer program has migrated is an error.
func Migrate(ctx context.Context, url string) error {
	conn, err := Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	// The connection's end gives the lock back.
	if _, err := conn.Exec(ctx, "create schema if not exists slotbook"); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := runMigrations(ctx, conn, SchemaVersion()); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := migrateRiver(ctx, conn, url); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// errNewerSchema says that this program is too old for the database.
var errNewerSchema = errors.New("a newer version of the program has migrated this database")

// runMigrations takes the schema up to a version.
func runMigrations(ctx context.Context, conn *pgx.Conn, to int) error {
	migrator, err := migrate.NewMigrator(ctx, conn, "slotbook.schema_version")
	if err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := migrator.LoadMigrations(files); err != nil {
		return err
	}
	err = migrator.MigrateTo(ctx, int32(to)) //nolint:gosec // some dozens
	if _, newer := errors.AsType[migrate.BadVersionError](err); newer {
		return tooNew(ctx, conn)
	}
	return err
}

// tooNew returns errNewerSchema with what to do.
func tooNew(ctx context.Context, conn *pgx.Conn) error {
	found, err := schemaOf(ctx, conn)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w to schema %d, and this one knows %d: run that version, or restore a backup of before", errNewerSchema, found, SchemaVersion())
}

// SchemaVersion returns the version of the schema that this program needs: the
// number of its last migration.
func SchemaVersion() int {
	paths, _ := fs.Glob(migrations, "migrations/*.sql") // only a bad pattern fails
	return len(paths)
}

// schemaOf returns the version of the schema that a database has, 0 for none.
func schemaOf(ctx context.Context, from querier) (int, error) {
	var there bool
	err := from.QueryRow(ctx, "select to_regclass('slotbook.schema_version') is not null").Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	var version int
	err = from.QueryRow(ctx, "select coalesce(max(version), 0) from slotbook.schema_version").Scan(&version)
	return version, err
}

// SchemaHash returns a short name of the migrations that this program knows:
// equal programs give equal names. Test databases are shared by it.
func SchemaHash() string {
	h := sha256.New()
	paths, _ := fs.Glob(migrations, "migrations/*.sql") // only a bad pattern fails
	for _, path := range paths {
		text, _ := migrations.ReadFile(path) // embedded, and just listed
		fmt.Fprintf(h, "%s\x00%s\x00", path, text)
	}
	fmt.Fprintf(h, "river %d", riverVersion)
	return hex.EncodeToString(h.Sum(nil)[:6])
}
