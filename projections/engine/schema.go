package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The suffixes of a model's schemas besides the live one.
const (
	nextSuffix   = "_next"   // being built by a rebuild
	prevSuffix   = "_prev"   // what the last rebuild replaced
	verifySuffix = "_verify" // built for a comparison
	retrySuffix  = "_retry"  // the rows that were parked, folded anew
	outSuffix    = "_out"    // the live one in the moment of a swap
)

// prepareLock is the advisory lock under which schemas are made.
const prepareLock = 0x510700_0003

// Prepare makes the schemas and checkpoints that the models lack. Several
// processes may prepare at once.
func (e *Engine) Prepare(ctx context.Context) error {
	for _, m := range e.config.Models {
		if err := e.create(ctx, m, m.Schema()); err != nil {
			return fmt.Errorf("prepare %s: %w", m.Schema(), err)
		}
	}
	return nil
}

// create makes the model's tables in a schema, with a checkpoint at zero,
// unless they are there.
func (e *Engine) create(ctx context.Context, m Model, schema string) error {
	return pgx.BeginFunc(ctx, e.config.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(prepareLock)); err != nil {
			return err
		}
		if err := e.dropForeign(ctx, tx, m, schema); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into slotbook.projection_checkpoint (schema, model, version, position, epoch, store_epoch, lease_until)
			values ($1, $2, $3, 0, 0, $4, clock_timestamp())
			on conflict (schema) do nothing`, schema, m.Name, m.Version, e.config.Epoch)
		if err != nil {
			return err
		}
		return createTables(ctx, tx, m, schema)
	})
}

// dropForeign drops what a build beside the live tables has made from another
// epoch of the store: it is of no use. Live tables stay, for whoever reads them.
func (e *Engine) dropForeign(ctx context.Context, tx pgx.Tx, m Model, schema string) error {
	if schema == m.Schema() {
		return nil
	}
	var foreign bool
	err := tx.QueryRow(ctx, `
		select exists (select from slotbook.projection_checkpoint where schema = $1 and store_epoch <> $2)`,
		schema, e.config.Epoch).Scan(&foreign)
	if err != nil || !foreign {
		return err
	}
	return dropTx(ctx, tx, schema)
}

func createTables(ctx context.Context, tx pgx.Tx, m Model, schema string) error {
	var there bool
	err := tx.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", schema).Scan(&there)
	if err != nil || there {
		return err
	}
	sql := fmt.Sprintf("create schema %[1]q; set local search_path = %[1]q, public;", schema)
	for _, t := range m.Tables {
		sql += t.definition() + ";"
	}
	_, err = tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// drop removes a schema with its checkpoint and what was parked in it.
func (e *Engine) drop(ctx context.Context, schema string) error {
	return pgx.BeginFunc(ctx, e.config.Pool, func(tx pgx.Tx) error { return dropTx(ctx, tx, schema) })
}

func dropTx(ctx context.Context, tx pgx.Tx, schema string) error {
	_, dropped := tx.Exec(ctx, fmt.Sprintf("drop schema if exists %q cascade", schema))
	if dropped != nil {
		return dropped
	}
	_, unparked := tx.Exec(ctx, "delete from slotbook.projection_parked where schema = $1", schema)
	_, forgotten := tx.Exec(ctx, "delete from slotbook.projection_checkpoint where schema = $1", schema)
	return errors.Join(unparked, forgotten)
}
