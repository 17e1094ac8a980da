package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/slotbook/slotbook/adapters/export"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

type eventsExportCmd struct {
	operating
	To         string `required:"" help:"The folder: empty, or that of an earlier export with the same options, which goes on." placeholder:"FOLDER"`
	Format     string `enum:"ndjson,csv,parquet" default:"ndjson" help:"ndjson, csv or parquet."`
	Partition  string `enum:"type,day" default:"type" help:"A file for each event type, or for each UTC day on which events were recorded; CSV and Parquet have one for each type of each day."`
	AsOf       moment `help:"Up to a position, or an instant; without it up to now, or to where the interrupted export in the folder was to go." placeholder:"POSITION|TIME"`
	Pseudonyms bool   `help:"Let a keyed hash stand for each person, the same everywhere under one master key; without it persons are left out. Personal text always is."`
	Facts      string `help:"Export the rows of a read model as they were, instead of events, a file for each table." placeholder:"MODEL"`
}

// Run exports, and says what lies in the folder.
func (c *eventsExportCmd) Run(ctx context.Context, out output) error {
	if c.Facts != "" {
		return c.exportFacts(ctx, out)
	}
	return openLog(ctx, c.database, out, c.Pseudonyms, func(l *logbook) error {
		until, err := c.until(ctx, l)
		if err != nil {
			return err
		}
		p := newProgress(out.err, "export", c.JSON, 1)
		m, err := export.Run(ctx, export.Config{
			Log: l.store, Codec: l.codec, Folder: c.To, Format: export.Format(c.Format), Partition: export.Partition(c.Partition),
			Until: until, Pseudonyms: c.pseudonyms(l.master),
			Progress: func(at, until domain.Position, events int) {
				p.tell(engine.Progress{Model: "export", Position: at, Target: until, Events: events})
			},
		})
		p.end()
		return c.tell(out, m, err)
	})
}

// pseudonyms returns the key of the hashes that stand for persons, nil when
// they are left out.
func (c *eventsExportCmd) pseudonyms(master []byte) []byte {
	if !c.Pseudonyms {
		return nil
	}
	return derive(master, "pseudonyms of exports")
}

// until returns the position up to which is exported.
func (c *eventsExportCmd) until(ctx context.Context, l *logbook) (domain.Position, error) {
	if c.AsOf.given {
		return l.last(ctx, c.AsOf)
	}
	if until, ok := export.Interrupted(c.To); ok {
		return until, nil
	}
	return l.store.Head(ctx)
}

func (c *eventsExportCmd) tell(out output, m export.Manifest, err error) error {
	if errors.Is(err, export.ErrFolder) || errors.Is(err, export.ErrBeyond) || errors.Is(err, export.ErrFacts) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	answer := map[string]any{"folder": c.To, "position": m.Position, "rows": m.Rows, "files": len(m.Files), "chain": m.Chain}
	return c.say(out.out, answer, func(w io.Writer) {
		line(w, "%d rows in %d files up to position %d\tchain %s", m.Rows, len(m.Files), m.Position, m.Chain)
	})
}

// exportFacts exports a read model as it was.
func (c *eventsExportCmd) exportFacts(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		if _, err := (choosing{Names: []string{c.Facts}}).models(a); err != nil {
			return err
		}
		if !export.Exportable(c.Facts) {
			return usageError{export.ErrFacts}
		}
		l := &logbook{store: a.store}
		master, err := c.masterKey()
		if err != nil {
			return err
		}
		until, err := c.until(ctx, l)
		if err != nil {
			return err
		}
		p := newProgress(out.err, "export", c.JSON, 1)
		defer p.end()
		schema, err := a.engine.AsOf(ctx, engine.Build{Progress: p.tell}, c.Facts, until)
		if err != nil {
			return err
		}
		tables, err := a.engine.Columns(c.Facts)
		if err != nil {
			return err
		}
		facts := export.Facts{Model: c.Facts, Folder: c.To, Format: export.Format(c.Format), Position: until, Pseudonyms: c.pseudonyms(master)}
		for _, t := range tables {
			facts.Tables = append(facts.Tables, export.FactTable{
				Name: t.Table, Columns: t.Columns, Types: t.Types,
				Rows: func(f func(json.RawMessage) error) error { return a.engine.Rows(ctx, schema, t.Table, t.Columns[0], f) },
			})
		}
		m, err := export.RunFacts(facts)
		if err = c.tell(out, m, err); err != nil {
			return err
		}
		if err := a.engine.DropAsOf(ctx, c.Facts, until); err != nil {
			return fmt.Errorf("the tables of the export stay: %w", err)
		}
		return nil
	})
}
