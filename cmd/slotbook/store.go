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
