package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
)

type projectionsParkedCmd struct {
	List    parkedListCmd    `cmd:"" default:"withargs" help:"List what is parked, in all read models or in one."`
	Show    parkedShowCmd    `cmd:"" help:"Show one row or stream that is parked, with the error."`
	Retry   parkedRetryCmd   `cmd:"" help:"Fold what is parked again from the beginning of the log."`
	Discard parkedDiscardCmd `cmd:"" help:"Forget that something is parked: its rows stay as they are and go on with the next events."`
}

// parkedIn is something parked, and where.
type parkedIn struct {
	Model string `json:"model"`
	engine.Parked
}

type parkedListCmd struct {
	operating
	Name string `arg:"" optional:"" help:"The read model; all, if there is none." placeholder:"NAME"`
}

// Run lists what is parked.
func (c *parkedListCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		models, err := choosing{Names: nonempty(c.Name), All: c.Name == ""}.models(a)
		if err != nil {
			return err
		}
		all := []parkedIn{}
		for _, m := range models {
			parked, err := a.desk.Parked(ctx, m)
			if err != nil {
				return err
			}
			for _, p := range parked {
				all = append(all, parkedIn{m, p})
			}
		}
		return c.say(out.out, all, func(w io.Writer) {
			if len(all) == 0 {
				line(w, "nothing is parked")
				return
			}
			line(w, "MODEL\tTABLE\tKEY\tPOSITION\tEVENTS\tERROR")
			for _, p := range all {
				line(w, "%s\t%s\t%s\t%d\t%d\t%s", p.Model, tableOf(p.Table), p.Key, p.Position, p.Count, p.Error)
			}
		})
	})
}

// tableOf names the table of something parked; a stream is in all of them.
func tableOf(table string) string {
	if table == "" {
		return "(stream)"
	}
	return table
}

func nonempty(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// lotArgs names something parked.
type lotArgs struct {
	Name  string `arg:"" help:"The read model."`
	Key   string `arg:"" optional:"" help:"The key of the row, or the stream; everything that is parked in the read model, if there is none." placeholder:"KEY"`
	Table string `help:"The row's table; without it KEY is a stream, or the key of a row in the model's only table that has it parked." placeholder:"TABLE"`
}

// lots returns what is meant, which has to be parked.
func (l lotArgs) lots(ctx context.Context, a *app) ([]engine.Parked, error) {
	if _, err := (choosing{Names: []string{l.Name}}).models(a); err != nil {
		return nil, err
	}
	parked, err := a.desk.Parked(ctx, l.Name)
	if err != nil || l.Key == "" {
		return parked, err
	}
	var meant []engine.Parked
	for _, p := range parked {
		if p.Key == l.Key && (l.Table == "" || l.Table == p.Table) {
			meant = append(meant, p)
		}
	}
	switch {
	case len(meant) == 0:
		return nil, usageError{fmt.Errorf("%s has no %q parked", l.Name, l.Key)}
	case len(meant) > 1:
		return nil, usageError{fmt.Errorf("%q is parked in several tables: say --table", l.Key)}
	}
	return meant, nil
}

func asLots(parked []engine.Parked) []engine.Lot {
	lots := make([]engine.Lot, len(parked))
	for i, p := range parked {
		lots[i] = engine.Lot{Table: p.Table, Key: p.Key}
	}
	return lots
}

type parkedShowCmd struct {
	operating
	lotArgs
}

// Run shows what is parked.
func (c *parkedShowCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		parked, err := c.lots(ctx, a)
		if err != nil {
			return err
		}
		return c.say(out.out, parked, func(w io.Writer) {
			for _, p := range parked {
				line(w, "table\t%s", tableOf(p.Table))
				line(w, "key\t%s", p.Key)
				line(w, "position\t%d\tof the first event that was not folded", p.Position)
				line(w, "events\t%d\tthat were not folded", p.Count)
				line(w, "error\t%s", p.Error)
			}
		})
	})
}

type parkedRetryCmd struct {
	operating
	lotArgs
}

// Run retries, and ends with status 1 when something is parked still.
func (c *parkedRetryCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		parked, err := c.lots(ctx, a)
		if err != nil {
			return err
		}
		if len(parked) == 0 {
			return c.say(out.out, map[string]any{"mended": 0}, func(w io.Writer) { line(w, "nothing is parked") })
		}
		outcome, err := c.do(ctx, a, out, operations.Order{Kind: operations.Retry, Models: []string{c.Name}, Lots: asLots(parked)})
		if err != nil {
			return err
		}
		done := outcome.Retried[c.Name]
		answer := map[string]any{"mended": done.Mended, "parked": done.Parked}
		err = c.say(out.out, answer, func(w io.Writer) {
			line(w, "%d mended, %d parked still", done.Mended, len(done.Parked))
			for _, p := range done.Parked {
				line(w, "%s\t%s\t%s", tableOf(p.Table), p.Key, p.Error)
			}
		})
		if err == nil && !outcome.Clean() {
			err = errFound
		}
		return err
	})
}

type parkedDiscardCmd struct {
	operating
	lotArgs
}

// Run discards.
func (c *parkedDiscardCmd) Run(ctx context.Context, out output) error {
	if c.Key == "" {
		return usageError{errors.New("name what to discard: it is forgotten, and only a retry of everything would find it again")}
	}
	return c.open(ctx, out, func(a *app) error {
		parked, err := c.lots(ctx, a)
		if err != nil {
			return err
		}
		n, err := a.desk.Discard(ctx, c.Name, asLots(parked)...)
		if err != nil {
			return err
		}
		return c.say(out.out, map[string]any{"discarded": n}, func(w io.Writer) {
			line(w, "%d discarded; slotbook projections verify %s says what its rows lack", n, c.Name)
		})
	})
}
