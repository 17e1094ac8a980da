package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Report says whether a model's tables are what the log makes of them.
type Report struct {
	Model    string
	Version  int
	Position domain.Position // up to which was compared
	Tables   []Compared
	Parked   []Parked // live; rows listed here are not compared
}

// Compared is one table of a [Report].
type Compared struct {
	Table string
	Live  Digest
	Fresh Digest
}

// Digest stands for the rows of a table, whatever their order.
type Digest struct {
	Rows int64
	Sum  string // of a 64-bit hash of each row
}

// Differs returns the names of the tables that are not what the log makes of
// them; none is the proof that the model is right.
func (r Report) Differs() []string {
	var tables []string
	for _, c := range r.Tables {
		if c.Live != c.Fresh {
			tables = append(tables, c.Table)
		}
	}
	return tables
}

// Verify folds the whole log anew into a scratch schema, up to where the live
// tables are, and compares both by one digest. The live tables go on moving
// meanwhile: their digests and their position are those of one moment. While one
// verification of a model goes on, a second is an error.
func (e *Engine) Verify(ctx context.Context, name string) (Report, error) {
	m, err := e.model(name)
	if err != nil {
		return Report{}, err
	}
	b := e.openBeside(m, verifySuffix)
	report, err := b.verify(ctx, m)
	if err != nil {
		err = fmt.Errorf("verify %s: %w", name, err)
	}
	if b.epoch != 0 {
		err = errors.Join(err, e.drop(context.WithoutCancel(ctx), b.schema))
	}
	b.forget()
	return report, err
}

func (b *builder) verify(ctx context.Context, m Model) (Report, error) {
	report := Report{Model: m.Name, Version: m.Version}
	if err := b.scratch(ctx, m); err != nil {
		return report, err
	}
	if err := b.engine.compare(ctx, m, &report); err != nil {
		return report, err
	}
	if err := b.runTo(ctx, report.Position, true); err != nil {
		return report, err
	}
	return report, pgx.BeginFunc(ctx, b.engine.config.Pool, func(tx pgx.Tx) error {
		for i := range report.Tables {
			var err error
			if report.Tables[i].Fresh, err = digest(ctx, tx, m, b.schema, report.Tables[i].Table, report.Parked); err != nil {
				return err
			}
		}
		return nil
	})
}

// scratch makes empty tables and takes them near to where the live ones are.
func (b *builder) scratch(ctx context.Context, m Model) error {
	if err := b.engine.create(ctx, m, b.schema); err != nil {
		return err
	}
	if err := b.acquire(ctx); err != nil {
		return err
	}
	if b.stored > 0 { // a verification was interrupted; how, nobody knows
		if err := b.engine.drop(ctx, b.schema); err != nil {
			return err
		}
		return b.scratch(ctx, m)
	}
	var live domain.Position
	err := b.engine.config.Pool.QueryRow(ctx, `
		select position
		from slotbook.projection_checkpoint
		where schema = $1`, m.Schema()).Scan(&live)
	if err != nil {
		return err
	}
	return b.runTo(ctx, live, true)
}

// compare reads the live side.
func (e *Engine) compare(ctx context.Context, m Model, report *Report) error {
	v, err := e.newView([]string{m.Name})
	if err != nil {
		return err
	}
	report.Position, err = v.once(ctx, e, 0, func(read Reader) (err error) {
		if report.Parked, err = parkedIn(ctx, read, m.Schema()); err != nil {
			return err
		}
		for _, t := range m.Tables {
			live, err := digest(ctx, read, m, m.Schema(), t.tableName(), report.Parked)
			if err != nil {
				return err
			}
			report.Tables = append(report.Tables, Compared{Table: t.tableName(), Live: live})
		}
		return nil
	})
	return err
}

// digest sums a hash over all rows but the parked ones. It may take as long as
// the table is large: the pool's limit for one statement is lifted.
func digest(ctx context.Context, read querier, m Model, schema, table string, parked []Parked) (Digest, error) {
	var lifted string
	if err := read.QueryRow(ctx, "select set_config('statement_timeout', '0', true)").Scan(&lifted); err != nil {
		return Digest{}, err
	}
	keys := []string{}
	for _, p := range parked {
		if p.Table == table {
			keys = append(keys, p.Key)
		}
	}
	key := ""
	for _, t := range m.Tables {
		if t.tableName() == table {
			key = t.key()
		}
	}
	var d Digest
	err := read.QueryRow(ctx, fmt.Sprintf(`
		select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text
		from %q.%q t
		where %q <> all($1)`, schema, table, key), keys).Scan(&d.Rows, &d.Sum)
	return d, err
}
