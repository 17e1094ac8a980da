package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Elsewhere returns the identity of the event store that the database belongs to,
// where its events are kept elsewhere; "" where they are in it.
func Elsewhere(ctx context.Context, pool *pgxpool.Pool) (store string, err error) {
	err = pool.QueryRow(ctx, `
		select store
		from slotbook.elsewhere
		where one = 1`).Scan(&store)
	pg, refused := errors.AsType[*pgconn.PgError](err)
	if errors.Is(err, pgx.ErrNoRows) || refused && pg.Code == "42P01" {
		err = nil // of an older program, which knew no other store
	}
	return store, err
}

// Belong notes which event store the database belongs to from now on; "" is its
// own.
func Belong(ctx context.Context, pool *pgxpool.Pool, store string) error {
	if store == "" {
		_, err := pool.Exec(ctx, "delete from slotbook.elsewhere")
		return err
	}
	_, err := pool.Exec(ctx, `
		insert into slotbook.elsewhere (one, store)
		values (1, $1)
		on conflict (one) do update
		set store = excluded.store, since = clock_timestamp()
		where elsewhere.store <> excluded.store`, store)
	return err
}
