package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

type asOfCmd struct {
	operating
	Name string `arg:"" help:"The read model."`
	At   moment `required:"" help:"A position of the log, or an instant." placeholder:"POSITION|TIME"`
	Keep bool   `help:"Keep the tables for SQL, and say in which schema they are."`
}

// Run builds the read model as it was, and prints it or keeps it.
func (c *asOfCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		if _, err := (choosing{Names: []string{c.Name}}).models(a); err != nil {
			return err
		}
		at, err := a.positionOf(ctx, c.At)
		if err != nil {
			return err
		}
		p := newProgress(out.err, "as of", c.JSON, 1)
		schema, err := a.engine.AsOf(ctx, engine.Build{Progress: p.tell}, c.Name, at)
		p.end()
		if err != nil {
			return err
		}
		if c.Keep {
			return c.say(out.out, map[string]any{"schema": schema, "position": at}, func(w io.Writer) { line(w, "%s", schema) })
		}
		// Who reads may have had enough: the tables go all the same.
		reading, stop := signal.NotifyContext(ctx, syscall.SIGPIPE)
		defer stop()
		err = printTables(reading, a.engine, out.out, c.Name, schema)
		if errors.Is(err, syscall.EPIPE) || reading.Err() != nil && ctx.Err() == nil {
			err = nil
		}
		return errors.Join(err, a.engine.DropAsOf(context.WithoutCancel(ctx), c.Name, at))
	})
}

// positionOf returns the position of the last event up to a moment. An instant
// that is still to come, or at which there was no event yet, is a [usageError].
func (a *app) positionOf(ctx context.Context, m moment) (domain.Position, error) {
	if m.instant.IsZero() {
		return m.position, nil
	}
	if m.instant.After(a.clock()) {
		return 0, usageError{fmt.Errorf("%s is still to come: give a time that has passed", m)}
	}
	at, err := a.store.PositionAt(ctx, m.instant)
	if err == nil && at == 0 {
		err = usageError{fmt.Errorf("no event had been recorded yet at %s", m)}
	}
	return at, err
}

// printTables prints every row of a read model with its table's name.
func printTables(ctx context.Context, e *engine.Engine, w io.Writer, name, schema string) error {
	tables, keys, err := e.Tables(name)
	if err != nil {
		return err
	}
	for i, table := range tables {
		err := e.Rows(ctx, schema, table, keys[i], func(row json.RawMessage) error {
			_, err := fmt.Fprintf(w, "{\"table\":%q,\"row\":%s}\n", table, row)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type diffCmd struct {
	operating
	Name string `arg:"" help:"The read model."`
	From moment `arg:"" help:"The earlier position of the log, or instant."`
	To   moment `arg:"" help:"The later one."`
}

// Run prints what differs, one JSON object a row.
func (c *diffCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		if _, err := (choosing{Names: []string{c.Name}}).models(a); err != nil {
			return err
		}
		from, err := a.positionOf(ctx, c.From)
		if err != nil {
			return err
		}
		to, err := a.positionOf(ctx, c.To)
		if err != nil {
			return err
		}
		p := newProgress(out.err, "diff", c.JSON, 1)
		defer p.end()
		lines := json.NewEncoder(out.out)
		err = a.engine.Diff(ctx, engine.Build{Progress: p.tell}, c.Name, from, to, func(d engine.Difference) error { return lines.Encode(d) })
		if err != nil {
			return err
		}
		for _, at := range []domain.Position{from, to} {
			if err := a.engine.DropAsOf(ctx, c.Name, at); err != nil {
				return err
			}
		}
		return nil
	})
}
