package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/kurrent"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// eventStore is the store of events, as the parts of the program need it.
type eventStore interface {
	commands.Store
	ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error)
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
	FindStored(ctx context.Context, id string) (eventcodec.Stored, bool, error)
	Head(ctx context.Context) (domain.Position, error)
	Wait(ctx context.Context, after domain.Position) error
	PositionAt(ctx context.Context, at time.Time) (domain.Position, error)
	RecordedAt(ctx context.Context, p domain.Position) (time.Time, error)
	RecordedAfter(ctx context.Context, p domain.Position) (time.Time, error)
	Names(ctx context.Context, p domain.Position) (bool, error)
	Identity(ctx context.Context) (postgres.Identity, error)
	ClockSkew(ctx context.Context) (time.Duration, error)
	Run(ctx context.Context) error
}

// inPostgres is the name of the event store that is in the database.
const inPostgres = "postgres"

// Validate refuses an event store that nobody knows.
func (d database) Validate() error {
	if d.EventStore == inPostgres || d.EventStore == "" {
		return nil
	}
	if _, err := kurrent.Parse(d.EventStore); err != nil {
		return fmt.Errorf("--event-store: it is neither postgres nor an address of KurrentDB: %w", err)
	}
	return nil
}

// elsewhere reports whether events are kept in KurrentDB.
func (d database) elsewhere() bool { return kurrent.Is(d.EventStore) }

// here refuses what a command does with the events in the database, where they are
// not there.
func (d database) here(command, instead string) error {
	if d.elsewhere() {
		return usageError{fmt.Errorf("%s works on the events in PostgreSQL only: %s (docs/kurrentdb.md)", command, instead)}
	}
	return nil
}

// holdsEvents refuses a database whose events are elsewhere, whatever is said about
// them.
func holdsEvents(ctx context.Context, url string) error {
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	belongs, err := postgres.Elsewhere(ctx, pool)
	if err == nil && belongs != "" {
		err = usageError{fmt.Errorf("the events of this database are in the event store %s, and not in it (docs/kurrentdb.md)", belongs)}
	}
	return err
}

// openEventStore opens the event store, and refuses one that the database does not
// belong to. A new database belongs to the store from then on, if it is to be kept.
func openEventStore(ctx context.Context, where string, keep bool, pool *pgxpool.Pool, codec *eventcodec.Codec, logger *slog.Logger) (eventStore, error) {
	own, err := postgres.New(postgres.Config{Pool: pool, Codec: codec, Logger: logger})
	if err != nil {
		return nil, err
	}
	belongs, err := postgres.Elsewhere(ctx, pool)
	if err != nil {
		return nil, err
	}
	if !kurrent.Is(where) {
		if belongs != "" {
			return nil, usageError{fmt.Errorf("the events of this database are not in it, but in the event store %s: give its address with --event-store", belongs)}
		}
		return own, nil
	}
	s, err := kurrent.New(kurrent.Config{Address: where, Codec: codec, Logger: logger})
	if err != nil {
		return nil, usageError{err}
	}
	store := kurrentStore{s, own}
	if err := store.belongsTo(ctx, pool, belongs, keep); err != nil {
		s.Close()
		return nil, err
	}
	return store, nil
}

// namedPast answers about instants, and knows no positions but those of the store's
// own events: one of another store is refused, and not taken for a time.
type namedPast struct{ eventStore }

// RecordedAt returns when the event at a position was recorded. Errors:
// [engine.ErrPositionUnknown].
func (p namedPast) RecordedAt(ctx context.Context, at domain.Position) (time.Time, error) {
	known, err := p.Names(ctx, at)
	if err == nil && !known {
		err = engine.ErrPositionUnknown.Because("no event of this store has the position: it may be of another one")
	}
	if err != nil {
		return time.Time{}, err
	}
	return p.eventStore.RecordedAt(ctx, at)
}

// closeEventStore ends the connection of a store that nobody runs.
func closeEventStore(s eventStore) {
	if k, ok := s.(kurrentStore); ok {
		k.Close()
	}
}

// kurrentStore is a store in KurrentDB, with a database beside it for everything
// but events.
type kurrentStore struct {
	*kurrent.Store
	beside *postgres.Store
}

// Identity returns which store this is.
func (s kurrentStore) Identity(ctx context.Context) (postgres.Identity, error) {
	i, err := s.Store.Identity(ctx)
	return postgres.Identity(i), err
}

// ClockSkew returns how far the database's clock is ahead of this machine's. What
// the event store's clock says is not asked for: nothing is compared with it.
func (s kurrentStore) ClockSkew(ctx context.Context) (time.Duration, error) {
	return s.beside.ClockSkew(ctx)
}

// belongsTo checks that the database belongs to the store, or is new.
func (s kurrentStore) belongsTo(ctx context.Context, pool *pgxpool.Pool, belongs string, keep bool) error {
	if belongs == "" { // asked first: a store gets its identity from whoever copies to it
		head, err := s.beside.Head(ctx)
		if err != nil {
			return err
		}
		if head > 0 {
			return usageError{errors.New("the database has events of its own: bring them to the event store first, with slotbook events copy")}
		}
	}
	i, err := s.Identity(ctx)
	switch {
	case err != nil || belongs == i.ID:
		return err
	case belongs != "":
	case keep:
		return postgres.Belong(ctx, pool, i.ID)
	default:
		return nil
	}
	return usageError{fmt.Errorf("the database belongs to the event store %s, and this one is %s", belongs, i.ID)}
}
