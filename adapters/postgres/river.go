package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// RiverSchema is the schema of River's tables, which hold jobs: deliveries to
// webhooks. River makes and changes them itself. Nothing in them is needed that
// [Operational] tables do not say, and backups leave them out.
const RiverSchema = "river"

// riverVersion is the number of River's last migration that this program needs.
const riverVersion = 8

// migrateRiver makes or changes River's tables, under the lock of [Migrate]. A
// later version of River's is left as it is.
func migrateRiver(ctx context.Context, conn *pgx.Conn, url string) error {
	there, err := riverVersionOf(ctx, conn)
	if err != nil || there >= riverVersion {
		return err
	}
	if _, err := conn.Exec(ctx, "create schema if not exists "+RiverSchema); err != nil {
		return err
	}
	pool, err := Pool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: RiverSchema})
	if err != nil {
		return fmt.Errorf("river: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: riverVersion}); err != nil {
		return fmt.Errorf("river: %w", err)
	}
	return nil
}

// riverVersionOf returns the number of River's last migration in a database, 0
// for none.
func riverVersionOf(ctx context.Context, from querier) (int, error) {
	var there bool
	err := from.QueryRow(ctx, "select to_regclass($1) is not null", RiverSchema+".river_migration").Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	var version int
	err = from.QueryRow(ctx, "select coalesce(max(version), 0) from "+RiverSchema+".river_migration where line = 'main'").Scan(&version)
	return version, err
}
