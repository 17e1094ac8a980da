package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
)

// Snapshot is everything precious of a store as it was at one moment.
type Snapshot struct {
	Identity
	Schema   int             // version of the database's schema
	Position domain.Position // of the last event
	Floor    domain.Position // under all positions to come
	KeyCheck []byte          // what the master key opens and no other; empty where nothing was ever sealed
	Tables   []SnapshotTable

	tx pgx.Tx
}

// SnapshotTable is a precious table.
type SnapshotTable struct {
	Name    string
	Columns []string
	Rows    int64
}

// TakeSnapshot hands use everything precious of the store at an address, as it is
// at one moment, while whoever works with it goes on. It changes nothing. Errors:
// [ErrNoStore].
func TakeSnapshot(ctx context.Context, url string, use func(s *Snapshot) error) error {
	conn, err := Connect(ctx, url)
	if err != nil {
		return explain(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, unhurried+plainText, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		s := &Snapshot{tx: tx}
		if err := s.look(ctx); err != nil {
			return err
		}
		return use(s)
	})
}

// unhurried lets a transaction take the time that it needs.
const unhurried = `
	set local statement_timeout = 0;
	set local lock_timeout = 0;
	set local idle_in_transaction_session_timeout = 0;`

// plainText makes COPY write what every later version reads in the same way.
const plainText = `
	set local client_encoding = 'UTF8';
	set local datestyle = 'ISO';
	set local intervalstyle = 'postgres';
	set local timezone = 'UTC';
	set local bytea_output = 'hex';
	set local extra_float_digits = 1;`

func (s *Snapshot) look(ctx context.Context) (err error) {
	if err := hasStore(ctx, s.tx); err != nil {
		return err
	}
	if s.Schema, err = schemaOf(ctx, s.tx); err != nil {
		return err
	}
	switch needed := SchemaVersion(); {
	case s.Schema > needed:
		return errNewerSchema
	case s.Schema < needed:
		return ErrNoStore
	}
	if s.Identity, err = identity(ctx, s.tx); err != nil {
		return err
	}
	err = s.tx.QueryRow(ctx, `
		select floor,
			coalesce((select max(position) from slotbook.events), 0),
			(select wrapped from slotbook.person_key where person = $1)
		from slotbook.log_head`, noPerson).Scan(&s.Floor, &s.Position, &s.KeyCheck)
	if err != nil {
		return err
	}
	for _, name := range preciousTables() {
		t, err := s.describe(ctx, name)
		if err != nil {
			return err
		}
		s.Tables = append(s.Tables, t)
	}
	return nil
}

func (s *Snapshot) describe(ctx context.Context, name string) (SnapshotTable, error) {
	t := SnapshotTable{Name: name}
	rows, _ := s.tx.Query(ctx, `
		select attname::text
		from pg_attribute
		where attrelid = ('slotbook.' || quote_ident($1))::regclass and attnum > 0 and not attisdropped and attgenerated = ''
		order by attnum`, name)
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return t, err
	}
	t.Columns = columns
	err = s.tx.QueryRow(ctx, "select count(*) from "+qualified(name)).Scan(&t.Rows)
	return t, err
}

// Copy writes the rows of a table, as COPY does in text, one Write for each or
// for several.
func (s *Snapshot) Copy(ctx context.Context, t SnapshotTable, w io.Writer) error {
	sql := fmt.Sprintf("copy %s (%s) to stdout", qualified(t.Name), quoted(t.Columns))
	_, err := s.tx.Conn().PgConn().CopyTo(ctx, w, sql)
	return err
}

func qualified(table string) string { return pgx.Identifier{"slotbook", table}.Sanitize() }

func quoted(columns []string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = pgx.Identifier{c}.Sanitize()
	}
	return strings.Join(names, ", ")
}

// KeyCheck returns what the store's master key opens and no other; empty where
// nothing was ever sealed.
func KeyCheck(ctx context.Context, pool *pgxpool.Pool) ([]byte, error) {
	var check []byte
	err := pool.QueryRow(ctx, `
		select wrapped
		from slotbook.person_key
		where person = $1`, noPerson).Scan(&check)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return check, err
}

// Opens reports whether a master key is the one that a check was made with; see
// [Snapshot].
func Opens(master, check []byte) bool {
	keys, err := NewKeys(nil, master)
	if err != nil {
		return false
	}
	_, err = keys.unwrap(noPerson, check)
	return err == nil
}

// ErrNotEmpty says that a database is not one that a backup may be restored into.
var ErrNotEmpty = errors.New("the database has been used: a backup is restored into an empty one")
