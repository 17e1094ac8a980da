package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Saved is what a restore has to know of the store that was saved.
type Saved struct {
	Store  string          // its id
	Schema int             // version of its schema
	Seen   domain.Position // the last position that anybody may have seen
}

// Restore loads a store into an empty database, all or nothing: load is called
// with a transaction, and its error undoes everything. The store gets another
// epoch, and a floor above every position that was seen. The database ends at
// the schema that this program needs. It returns the new epoch and the floor.
// Errors: [ErrNotEmpty].
func Restore(ctx context.Context, url string, from Saved, load func(l *Loading) error) (Identity, domain.Position, error) {
	conn, err := Connect(ctx, url)
	if err != nil {
		return Identity{}, 0, explain(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return Identity{}, 0, fmt.Errorf("restore: %w", err)
	}
	// The connection's end gives the lock back.
	if err := beginAt(ctx, conn, from.Schema); err != nil {
		return Identity{}, 0, err
	}
	var i Identity
	var floor domain.Position
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		i, floor, err = restoreTx(ctx, tx, from, load)
		return err
	})
	if err != nil {
		return Identity{}, 0, err
	}
	if err := runMigrations(ctx, conn, SchemaVersion()); err != nil {
		return i, floor, fmt.Errorf("everything was restored, but the schema is not up to date yet; run: slotbook migrate: %w", err)
	}
	_, err = conn.Exec(ctx, "analyze slotbook.events, slotbook.person_key, slotbook.reference, slotbook.picture")
	return i, floor, err
}

// beginAt makes the schema of the version that was saved in an empty database:
// what later migrations do to rows, they do after these are there.
func beginAt(ctx context.Context, conn *pgx.Conn, schema int) error {
	if schema > SchemaVersion() {
		return errors.New("the backup was made by a newer version of the program")
	}
	there, err := schemaOf(ctx, conn)
	switch {
	case err != nil:
		return err
	case there > SchemaVersion():
		return errNewerSchema
	}
	if err := isEmpty(ctx, conn); err != nil {
		return err
	}
	if there > schema {
		if _, err := conn.Exec(ctx, "drop schema slotbook cascade"); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, "create schema if not exists slotbook"); err != nil {
		return err
	}
	return runMigrations(ctx, conn, schema)
}

// isEmpty returns [ErrNotEmpty] where a precious table has a row.
func isEmpty(ctx context.Context, from querier) error {
	for _, name := range preciousTables() {
		var there, used bool
		err := from.QueryRow(ctx, "select to_regclass($1) is not null", qualified(name)).Scan(&there)
		if err == nil && there {
			err = from.QueryRow(ctx, "select exists (select from "+qualified(name)+")").Scan(&used)
		}
		if err != nil {
			return err
		}
		if used {
			return ErrNotEmpty
		}
	}
	return nil
}

func restoreTx(ctx context.Context, tx pgx.Tx, from Saved, load func(l *Loading) error) (Identity, domain.Position, error) {
	if _, err := tx.Exec(ctx, unhurried+plainText, pgx.QueryExecModeSimpleProtocol); err != nil {
		return Identity{}, 0, err
	}
	if _, err := tx.Exec(ctx, "select from slotbook.log_head for update"); err != nil {
		return Identity{}, 0, err
	}
	if _, err := tx.Exec(ctx, "lock table slotbook.events, slotbook.person_key in share row exclusive mode"); err != nil {
		return Identity{}, 0, err
	}
	if err := isEmpty(ctx, tx); err != nil {
		return Identity{}, 0, err
	}
	if err := load(&Loading{tx}); err != nil {
		return Identity{}, 0, err
	}
	i, floor, err := renewTx(ctx, tx, from.Store, from.Seen)
	if err != nil {
		return Identity{}, 0, err
	}
	// Read models that a process has made of the empty log are of this one, too.
	_, err = tx.Exec(ctx, "update slotbook.projection_checkpoint set store_epoch = $1 where position = 0", i.Epoch)
	return i, floor, err
}

// Loading takes the rows of a restore.
type Loading struct{ tx pgx.Tx }

// Copy takes rows of a precious table, as [Snapshot.Copy] wrote them.
func (l *Loading) Copy(ctx context.Context, table string, columns []string, rows io.Reader) error {
	if !slices.Contains(preciousTables(), table) {
		return fmt.Errorf("the backup has a table %q, which this version of the program does not know", table)
	}
	sql := fmt.Sprintf("copy %s (%s) from stdin", qualified(table), quoted(columns))
	_, err := l.tx.Conn().PgConn().CopyFrom(ctx, rows, sql)
	return err
}
