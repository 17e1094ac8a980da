package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/domain"
)

// logbook is the log as those read it who only read.
type logbook struct {
	store  eventStore
	codec  *eventcodec.Codec // opens sealed text only if it was asked for
	master []byte            // the master key, nil if it was not asked for
}

// openLog hands the log of the database that is there to use, and changes
// nothing in it. Sealed text can be opened only with keys.
func openLog(ctx context.Context, d database, out output, keys bool, use func(l *logbook) error) (err error) {
	url, done, err := d.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := postgres.Check(ctx, url); err != nil {
		return usageError{err}
	}
	pool, err := postgres.Pool(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := hasLog(ctx, pool); err != nil {
		return err
	}
	l := &logbook{codec: eventcodec.New(nil)}
	if keys {
		if l.master, err = d.masterKey(); err != nil {
			return err
		}
		personal, err := postgres.NewKeys(pool, l.master)
		if err != nil {
			return err
		}
		if err := personal.Check(ctx); errors.Is(err, postgres.ErrOtherMaster) {
			return usageError{err}
		} else if err != nil {
			return err
		}
		l.codec = eventcodec.New(personal)
	}
	if l.store, err = openEventStore(ctx, d.EventStore, false, pool, l.codec, out.logger()); err != nil {
		return err
	}
	defer closeEventStore(l.store)
	return use(l)
}

// hasLog refuses a database that Slotbook has never used: an empty proof would
// be no proof.
func hasLog(ctx context.Context, pool *pgxpool.Pool) error {
	var there bool
	if err := pool.QueryRow(ctx, `select to_regclass('slotbook.events') is not null`).Scan(&there); err != nil {
		return err
	}
	if !there {
		return usageError{errors.New("the database holds no Slotbook log")}
	}
	return nil
}

// moment is a position of the log, or an instant in RFC 3339. The zero value is
// none.
type moment struct {
	position domain.Position
	instant  time.Time
	given    bool
}

// String returns the moment as it is given.
func (m moment) String() string {
	if m.instant.IsZero() {
		return strconv.FormatUint(uint64(m.position), 10)
	}
	return m.instant.Format(time.RFC3339)
}

// UnmarshalText reads a moment.
func (m *moment) UnmarshalText(text []byte) error {
	m.given = true
	if n, err := strconv.ParseUint(string(text), 10, 63); err == nil {
		m.position = domain.Position(n)
		return nil
	}
	var err error
	if m.instant, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errors.New("it is neither a position nor a time such as 2026-03-02T09:00:00Z")
	}
	return nil
}

// last returns the position of the last event up to the moment: recorded at or
// before an instant.
func (l *logbook) last(ctx context.Context, m moment) (domain.Position, error) {
	if m.instant.IsZero() {
		return m.position, nil
	}
	return l.store.PositionAt(ctx, m.instant)
}

// before returns the position of the last event before the moment.
func (l *logbook) before(ctx context.Context, m moment) (domain.Position, error) {
	if m.instant.IsZero() {
		return max(m.position, 1) - 1, nil
	}
	return l.store.PositionAt(ctx, m.instant.Add(-1).Truncate(time.Microsecond))
}

// readAtOnce is how many events are read together.
const readAtOnce = 2000

// read hands every wanted event after a position and up to another one to f.
func (l *logbook) read(ctx context.Context, after, until domain.Position, want eventcodec.Selection, f func(eventcodec.Stored) error) error {
	for after < until {
		page, err := l.store.ReadStored(ctx, after, until, want, readAtOnce)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := f(e); err != nil {
				return err
			}
		}
		if page.Next == after {
			return nil // the log ends before
		}
		after = page.Next
	}
	return nil
}

// errNoEvent says that there is nothing to show.
func errNoEvent(what string) error { return fmt.Errorf("there is no event %s", what) }
