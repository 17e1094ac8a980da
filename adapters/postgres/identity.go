package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Identity says which store a database holds, and which history of it.
type Identity struct {
	ID    string    `json:"store"` // stays the same for ever, also when a backup is restored elsewhere
	Epoch string    `json:"epoch"` // another one after every restore
	Since time.Time `json:"since"` // when the epoch began
}

// Identity returns which store this is. Errors: [commands.ErrUnavailable].
func (s *Store) Identity(ctx context.Context) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patienceOfRead)
	defer cancel()
	i, err := identity(ctx, s.config.Pool)
	if err != nil {
		return Identity{}, unavailable(err)
	}
	return i, nil
}

// querier is a connection, a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func identity(ctx context.Context, from querier) (Identity, error) {
	var i Identity
	err := from.QueryRow(ctx, `
		select id::text, epoch::text, begun_at
		from slotbook.store
		where one = 1`).Scan(&i.ID, &i.Epoch, &i.Since)
	i.Since = i.Since.UTC()
	return i, err
}

// spare is how many positions are left out at least when an epoch begins: the
// log may have gone on after the state that was put in place was saved.
const spare = 1_000_000

// FloorAbove returns a floor that lies above a position by at least [spare], and
// is a multiple of it.
func FloorAbove(p domain.Position) domain.Position { return (p/spare + 2) * spare }

// ErrNoStore says that a database has no store in it, or one of an older program.
var ErrNoStore = errors.New("the database holds no Slotbook store of this version; run: slotbook migrate")

// Renew begins another epoch: for whoever has put an earlier state of the
// database in place by other means than a restore of ours. The next event comes
// above every position that there is, and above the given one, which somebody
// may have seen before. Read models are refused then until they are rebuilt, and
// processes that run say that they have to be started again. It returns the new
// epoch and the floor under all positions to come.
func Renew(ctx context.Context, url string, seen domain.Position) (Identity, domain.Position, error) {
	conn, err := Connect(ctx, url)
	if err != nil {
		return Identity{}, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	var i Identity
	var floor domain.Position
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := hasStore(ctx, tx); err != nil {
			return err
		}
		if i, err = identity(ctx, tx); err != nil {
			return err
		}
		i, floor, err = renewTx(ctx, tx, i.ID, seen)
		return err
	})
	return i, floor, err
}

func hasStore(ctx context.Context, from querier) error {
	var there bool
	err := from.QueryRow(ctx, "select to_regclass('slotbook.store') is not null").Scan(&there)
	if err == nil && !there {
		err = ErrNoStore
	}
	return err
}

// renewTx begins another epoch of a store, above every position that was seen.
func renewTx(ctx context.Context, tx pgx.Tx, store string, seen domain.Position) (Identity, domain.Position, error) {
	if _, err := tx.Exec(ctx, "select from slotbook.log_head for update"); err != nil { // nobody appends meanwhile
		return Identity{}, 0, err
	}
	var above domain.Position
	err := tx.QueryRow(ctx, `
		select greatest(floor, coalesce((select max(position) from slotbook.events), 0), $1)
		from slotbook.log_head`, int64(seen)).Scan(&above) //nolint:gosec // positions fit
	if err != nil {
		return Identity{}, 0, err
	}
	floor := FloorAbove(above)
	if _, err := tx.Exec(ctx, "update slotbook.log_head set floor = $1", int64(floor)); err != nil { //nolint:gosec // positions fit
		return Identity{}, 0, err
	}
	i := Identity{ID: store}
	err = tx.QueryRow(ctx, `
		update slotbook.store
		set id = $1, epoch = $2, begun_at = clock_timestamp()
		returning epoch::text, begun_at`, store, uuid.NewString()).Scan(&i.Epoch, &i.Since)
	i.Since = i.Since.UTC()
	return i, floor, err
}
