package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

const (
	rowCatchUp = "projections, catching up"
	rowRebuild = "projections, rebuilding"
)

// measureProjections compares how fast the read models are made of a history,
// in events a second, with how fast COPY puts the resulting rows into equal
// tables, in rows a second.
func measureProjections(ctx context.Context, b *bench) ([]row, error) {
	d, err := b.recorded(ctx)
	if err != nil {
		return nil, err
	}
	defer d.close()
	p := &projecting{database: d}
	if p.head, err = d.store.Head(ctx); err != nil {
		return nil, err
	}
	if _, err := p.catchUp(ctx); err != nil { // for the rows to copy
		return nil, err
	}
	if err := p.readTables(ctx); err != nil {
		return nil, err
	}
	r, err := compare(ctx, b.rounds, []measure{p.copyAll}, []measure{p.catchUp, p.rebuild})
	if err != nil {
		return nil, err
	}
	base := fmt.Sprintf("rows/s by COPY of the %d resulting rows", p.rows)
	return []row{
		r.row(rowCatchUp, "events/s", 0, base, 0, 0.35),
		r.row(rowRebuild, "events/s", 1, base, 0, 0.6),
	}, nil
}

// recorded returns a store that holds the history.
func (b *bench) recorded(ctx context.Context) (*database, error) {
	url, err := b.database(ctx, "projections")
	if err != nil {
		return nil, err
	}
	writer, err := openStore(ctx, inHaste(url))
	if err != nil {
		return nil, err
	}
	defer writer.close()
	if err := historyOf(b.days).write(ctx, writer.store); err != nil {
		return nil, fmt.Errorf("write the history: %w", err)
	}
	if _, err := writer.pool.Exec(ctx, "vacuum analyze slotbook.events"); err != nil {
		return nil, err
	}
	return openStore(ctx, url)
}

// projecting makes read models from one log again and again.
type projecting struct {
	*database
	head   domain.Position // as many events are in the log
	engine *engine.Engine
	tables []table
	rows   int
}

// table is a derived table as COPY gets it.
type table struct {
	name    pgx.Identifier
	columns []string
	rows    [][]any
}

func (p *projecting) models() []engine.Model {
	return projections.All(func(s domain.Sealed) string {
		text, err := p.codec.Open(context.Background(), s)
		if err != nil {
			return ""
		}
		return text
	}, nil)
}

// catchUp makes all read models from nothing, batch by batch.
func (p *projecting) catchUp(ctx context.Context) (float64, error) {
	if err := p.dropAll(ctx); err != nil {
		return 0, err
	}
	p.engine = engine.New(engine.Config{
		Pool: p.pool, Log: p.store, Models: p.models(), Owner: newID(), Now: time.Now, Batch: 5000,
	})
	if err := p.engine.Prepare(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	err := p.engine.CatchUp(ctx)
	return float64(p.head) / time.Since(began).Seconds(), err
}

func (p *projecting) dropAll(ctx context.Context) error {
	for _, m := range p.models() {
		for _, schema := range []string{m.Schema(), m.Schema() + "_prev"} {
			_, err := p.pool.Exec(ctx, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade")
			if err != nil {
				return err
			}
		}
	}
	_, err := p.pool.Exec(ctx, "delete from slotbook.projection_checkpoint")
	return err
}

// rebuild makes all read models anew beside those that are live, and puts them
// in their place.
func (p *projecting) rebuild(ctx context.Context) (float64, error) {
	var names []string
	for _, m := range p.models() {
		names = append(names, m.Name)
	}
	began := time.Now()
	err := p.engine.Rebuild(ctx, engine.Build{}, names...)
	return float64(p.head) / time.Since(began).Seconds(), err
}

// readTables reads the rows of all derived tables.
func (p *projecting) readTables(ctx context.Context) error {
	for _, m := range p.models() {
		names, err := p.query(ctx, "select tablename from pg_tables where schemaname = $1 order by tablename", m.Schema())
		if err != nil {
			return err
		}
		for _, name := range names {
			t := table{name: pgx.Identifier{m.Schema(), name}}
			rows, err := p.pool.Query(ctx, "select * from "+t.name.Sanitize())
			if err != nil {
				return err
			}
			for _, f := range rows.FieldDescriptions() {
				t.columns = append(t.columns, f.Name)
			}
			t.rows, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
			if err != nil {
				return err
			}
			p.tables, p.rows = append(p.tables, t), p.rows+len(t.rows)
		}
	}
	return nil
}

func (p *projecting) query(ctx context.Context, sql string, args ...any) ([]string, error) {
	rows, _ := p.pool.Query(ctx, sql, args...) // CollectRows returns the error
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// copyAll copies the rows into new tables with the same columns and indexes.
func (p *projecting) copyAll(ctx context.Context) (float64, error) {
	var took time.Duration
	for _, t := range p.tables {
		_, err := p.pool.Exec(ctx, "create table copied (like "+t.name.Sanitize()+" including all)")
		if err != nil {
			return 0, err
		}
		began := time.Now()
		if _, err := p.pool.CopyFrom(ctx, pgx.Identifier{"copied"}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return 0, err
		}
		took += time.Since(began)
		if _, err := p.pool.Exec(ctx, "drop table copied"); err != nil {
			return 0, err
		}
	}
	return float64(p.rows) / took.Seconds(), nil
}
