package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/referencedata"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// loaderVersion is raised with every change of what is loaded.
const loaderVersion = 1

// load is a size of read models that are filled once and asked often.
type load struct {
	Clinics, Practitioners, Patients int
	Slots                            bool // every practitioner has practiceSlots
}

// String says how much it is.
func (l load) String() string {
	text := fmt.Sprintf("%s clinics, %s practitioners", number(float64(l.Clinics)), number(float64(l.Practitioners)))
	if l.Slots {
		text += fmt.Sprintf(", %s slots, %s patients", number(float64(l.Practitioners*practiceSlots)), number(float64(l.Patients)))
	}
	return text
}

// database returns a name for the load that changes with whatever it depends on.
func (l load) database() string {
	known := fmt.Sprintf("%d %+v", loaderVersion, l)
	for _, m := range projections.All(nil, nil) {
		known += " " + m.Schema()
	}
	digest := sha256.Sum256([]byte(known))
	return fmt.Sprintf("load_%d_%s", l.Practitioners, hex.EncodeToString(digest[:6]))
}

// keeper returns the server that keeps loads between runs, in the folder of the
// caches, or the bench's own where nothing is to be kept or the folder is out of
// a server's reach.
func (b *bench) keeper(ctx context.Context) (server *pgembed.Server, closed func() error, err error) {
	none := func() error { return nil }
	if b.cache == "" {
		return b.server, none, nil
	}
	folder := filepath.Join(b.cache, "load")
	if err := os.MkdirAll(b.cache, 0o755); err != nil { //nolint:gosec // PostgreSQL may run as another user
		return nil, none, err
	}
	open := func() (*pgembed.Server, error) {
		return pgembed.Open(ctx, pgembed.Config{Folder: folder, Settings: serverSettings(b.folder)})
	}
	server, err = open()
	if errors.Is(err, pgembed.ErrOtherMajor) {
		if err := os.RemoveAll(folder); err != nil {
			return nil, none, err
		}
		server, err = open()
	}
	if errors.Is(err, pgembed.ErrUnreachableFolder) {
		_, err = fmt.Fprintf(b.out, "nothing is kept for the next run: %v\n", err)
		return b.server, none, err
	}
	if err != nil {
		return nil, none, err
	}
	return server, server.Close, nil
}

// loaded returns the address of a database that holds the load, filling it when
// it is not there.
func (b *bench) loaded(ctx context.Context, server *pgembed.Server, l load) (string, error) {
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing depends on its end
	name := l.database()
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&there); err != nil || there {
		return server.URL(name), err
	}
	began := time.Now()
	if err := makeRoom(ctx, conn, l); err != nil {
		return "", err
	}
	if err := l.fill(ctx, server.URL("loading")); err != nil {
		return "", fmt.Errorf("load %v: %w", l, err)
	}
	// The name says that the load is whole.
	if _, err := conn.Exec(ctx, "alter database loading rename to "+name); err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(b.out, "loaded %v in %.0f s\n", l, time.Since(began).Seconds())
	return server.URL(name), err
}

// makeRoom drops what an interrupted run has left, and what the load replaces,
// and makes the database "loading".
func makeRoom(ctx context.Context, conn *pgx.Conn, l load) error {
	rows, _ := conn.Query(ctx, "select datname from pg_database where datname = 'loading' or datname like $1", fmt.Sprintf(`load\_%d\_%%`, l.Practitioners))
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range old {
		if _, err := conn.Exec(ctx, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)"); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "create database loading")
	return err
}

// fill folds the population's log into the tables of the read models, with the
// engine and the folds that fill them in production. The indexes come last.
func (l load) fill(ctx context.Context, url string) error {
	if err := postgres.Migrate(ctx, url); err != nil {
		return err
	}
	pool, err := postgres.Pool(ctx, inHaste(url)+"&statement_timeout=0&maintenance_work_mem=512MB")
	if err != nil {
		return err
	}
	defer pool.Close()
	log, models, err := l.log(ctx, pool)
	if err != nil {
		return err
	}
	e := engine.New(engine.Config{
		Pool: pool, Log: log, Models: models, Owner: newID(), Now: time.Now, Batch: 20_000, CacheBytes: 512 << 20, Timeout: 10 * time.Minute,
	})
	if err := e.Prepare(ctx); err != nil {
		return err
	}
	later, err := withoutIndexes(ctx, pool)
	if err != nil {
		return err
	}
	if err := e.CatchUp(ctx); err != nil {
		return err
	}
	for _, sql := range append(later, "vacuum analyze") {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// log returns the log that is folded, and the read models that fold it.
func (l load) log(ctx context.Context, pool *pgxpool.Pool) (*replay, []engine.Model, error) {
	entries, err := referencedata.Builtin()
	if err != nil {
		return nil, nil, err
	}
	if err := postgres.NewReference(pool).Begin(ctx, entries); err != nil {
		return nil, nil, err
	}
	keys, err := postgres.NewKeys(pool, masterKey())
	if err != nil {
		return nil, nil, err
	}
	codec := eventcodec.New(keys)
	who, err := newPopulation(l.Clinics, l.Practitioners, l.Patients)
	if err != nil {
		return nil, nil, err
	}
	open := func(s domain.Sealed) string {
		text, err := codec.Open(ctx, s)
		if err != nil {
			panic(err)
		}
		return text
	}
	return newReplay(who, l.Slots, codec, keys), projections.All(open, keys.Fetch), nil
}

// withoutIndexes drops the indexes of the read models, but those of the keys,
// and returns how to make them again.
func withoutIndexes(ctx context.Context, pool *pgxpool.Pool) (again []string, err error) {
	rows, _ := pool.Query(ctx, `
		select i.indexdef, format('drop index %I.%I', i.schemaname, i.indexname)
		from pg_indexes i
		where i.schemaname in (select schema from slotbook.projection_checkpoint)
			and not exists (
				select
				from pg_constraint c
				where c.conname = i.indexname and c.connamespace = i.schemaname::regnamespace
			)
		order by i.schemaname, i.indexname`)
	var definition, drop string
	var drops []string
	_, err = pgx.ForEachRow(rows, []any{&definition, &drop}, func() error {
		again, drops = append(again, definition), append(drops, drop)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, sql := range drops {
		if _, err := pool.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	return again, nil
}
