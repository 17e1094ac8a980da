package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/domain"
)

type storeCmd struct {
	Show  storeShowCmd  `cmd:"" default:"withargs" help:"Say which store this is."`
	Renew storeRenewCmd `cmd:"" help:"Begin another epoch, after an earlier state of the database was put in place by other means than slotbook restore: pg_restore, point-in-time recovery, a copy of the disk."`
}

type storeShowCmd struct{ operating }

// Run says which store this is.
func (c *storeShowCmd) Run(ctx context.Context, out output) (err error) {
	if c.elsewhere() {
		return c.showElsewhere(ctx, out)
	}
	url, done, err := c.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	var i postgres.Identity
	var position, floor domain.Position
	err = postgres.TakeSnapshot(ctx, url, func(s *postgres.Snapshot) error {
		i, position, floor = s.Identity, s.Position, s.Floor
		return nil
	})
	if err != nil {
		return err
	}
	return c.say(out.out, standingStore{i, uint64(position), uint64(floor)}, func(w io.Writer) {
		line(w, "store\t%s", i.ID)
		line(w, "epoch\t%s\tsince %s", i.Epoch, i.Since.Format(time.RFC3339))
		line(w, "position\t%d\tof the last event; the next one comes above %d", position, max(position, floor))
	})
}

// standingStore is a store as the program says it.
type standingStore struct {
	postgres.Identity
	Position uint64 `json:"position"`
	Floor    uint64 `json:"floor"`
}

type storeRenewCmd struct {
	operating
	Above uint64 `help:"The last position that anybody has seen of what was lost, where that is known. A million positions are left out at least." placeholder:"POSITION"`
}

// Run begins another epoch.
func (c *storeRenewCmd) Run(ctx context.Context, out output) (err error) {
	if c.elsewhere() {
		return c.renewElsewhere(ctx, out)
	}
	url, done, err := c.find(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	i, floor, err := postgres.Renew(ctx, url, domain.Position(c.Above))
	if err != nil {
		return err
	}
	return c.say(out.out, standingStore{Identity: i, Floor: uint64(floor)}, func(w io.Writer) {
		line(w, "epoch\t%s\tis new: start every process again", i.Epoch)
		line(w, "positions\tgo on above %d", floor)
		line(w, "read models\tare refused until slotbook projections rebuild --all")
	})
}

// showElsewhere says which store there is in KurrentDB.
func (c *storeShowCmd) showElsewhere(ctx context.Context, out output) error {
	return openLog(ctx, c.database, out, false, func(l *logbook) error {
		i, err := l.store.Identity(ctx)
		if err != nil {
			return err
		}
		position, err := l.store.Head(ctx)
		if err != nil {
			return err
		}
		return c.say(out.out, standingStore{Identity: i, Position: uint64(position)}, func(w io.Writer) {
			line(w, "store\t%s\tin KurrentDB", i.ID)
			line(w, "epoch\t%s\tsince %s", i.Epoch, i.Since.Format(time.RFC3339))
			line(w, "position\t%d\tof the last event", position)
		})
	})
}

// renewElsewhere begins another epoch in KurrentDB. Its positions are places in its
// own log: nothing can be left out.
func (c *storeRenewCmd) renewElsewhere(ctx context.Context, out output) error {
	if c.Above > 0 {
		return usageError{errors.New("--above: the positions of KurrentDB are its own")}
	}
	return openLog(ctx, c.database, out, false, func(l *logbook) error {
		store, ok := l.store.(kurrentStore)
		if !ok {
			return errors.New("the event store is not in KurrentDB")
		}
		renewed, err := store.Renew(ctx)
		if err != nil {
			return err
		}
		i := postgres.Identity(renewed)
		return c.say(out.out, standingStore{Identity: i}, func(w io.Writer) {
			line(w, "epoch\t%s\tis new: start every process again", i.Epoch)
			line(w, "read models\tare refused until slotbook projections rebuild --all")
		})
	})
}
