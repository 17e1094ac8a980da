package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	// Rows are the keys of rows that differ, at most [MostNamed], sorted.
	Rows []string
}

// MostNamed is how many rows of a table a [Report] names.
const MostNamed = 100

// Digest stands for the rows of a table, whatever their order. A row belongs to
// one of 256 buckets by its key.
type Digest struct {
	Rows    int64
	Buckets [256]string // the sum of a 64-bit hash of each row; empty when there is none
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
// meanwhile: their digests and their position are those of one moment. Where
// digests differ, the rows of the buckets that do are compared, at a later
// moment, and named. While one verification of a model goes on, a second is an
// error.
func (e *Engine) Verify(ctx context.Context, how Build, name string) (Report, error) {
	m, err := e.model(name)
	if err != nil {
		return Report{}, err
	}
	how.KeepParked = true
	var report Report
	err = e.beside(m, verifySuffix, how, func(b *builder) (err error) {
		report, err = b.verify(ctx)
		return b.cleared(ctx, err)
	})
	if err != nil {
		err = fmt.Errorf("verify %s: %w", name, err)
	}
	return report, err
}

// cleared drops the tables of a build that nobody wants any more, if it has them.
func (b *builder) cleared(ctx context.Context, err error) error {
	if b.epoch == 0 {
		return err
	}
	return errors.Join(err, b.engine.drop(context.WithoutCancel(ctx), b.schema))
}

func (b *builder) verify(ctx context.Context) (Report, error) {
	report := Report{Model: b.model.Name, Version: b.model.Version}
	if err := b.begins(ctx); err != nil {
		return report, err
	}
	live, err := b.engine.live(ctx, b.engine.config.Pool, b.model, "")
	if err != nil {
		return report, err
	}
	if err := b.runTo(ctx, live); err != nil {
		return report, err
	}
	if err := b.compare(ctx, &report); err != nil {
		return report, err
	}
	for i, c := range report.Tables {
		if c.Live == c.Fresh {
			continue
		}
		if report.Tables[i].Rows, err = b.name(ctx, c, b.model.Tables[i], report.Parked); err != nil {
			return report, err
		}
	}
	return report, nil
}

// begins makes empty tables. What an interrupted build has left is of no use.
func (b *builder) begins(ctx context.Context) error {
	if err := b.engine.create(ctx, b.model, b.schema); err != nil {
		return err
	}
	if err := b.await(ctx); err != nil || b.stored == 0 {
		return err
	}
	if err := b.engine.drop(ctx, b.schema); err != nil {
		return err
	}
	return b.begins(ctx)
}

// compare reads the live side, takes the fresh one to the same position, and
// reads that.
func (b *builder) compare(ctx context.Context, report *Report) error {
	err := b.atOnce(ctx, &report.Position, func(read Reader) (err error) {
		if report.Parked, err = parkedIn(ctx, read, b.model.Schema()); err != nil {
			return err
		}
		for _, t := range b.model.Tables {
			live, err := digest(ctx, read, b.model.Schema(), t, report.Parked)
			if err != nil {
				return err
			}
			report.Tables = append(report.Tables, Compared{Table: t.tableName(), Live: live})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.runTo(ctx, report.Position); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, b.engine.config.Pool, func(tx pgx.Tx) error {
		for i, t := range b.model.Tables {
			var err error
			if report.Tables[i].Fresh, err = digest(ctx, tx, b.schema, t, report.Parked); err != nil {
				return err
			}
		}
		return nil
	})
}

// atOnce reads the live tables as they are at one moment.
func (b *builder) atOnce(ctx context.Context, at *domain.Position, read func(Reader) error) error {
	v, err := b.engine.newView([]string{b.model.Name})
	if err != nil {
		return err
	}
	*at, err = v.once(ctx, b.engine, 0, read)
	return err
}

// unlimited lifts the pool's limit for one statement: a digest may take as long
// as the table is large.
func unlimited(ctx context.Context, read querier) error {
	var lifted string
	return read.QueryRow(ctx, "select set_config('statement_timeout', '0', true)").Scan(&lifted)
}

// parkedKeys returns the keys of a table's parked rows.
func parkedKeys(parked []Parked, table string) []string {
	keys := []string{}
	for _, p := range parked {
		if p.Table == table {
			keys = append(keys, p.Key)
		}
	}
	return keys
}

// The bucket of a row, by its key.
const bucketOf = "(hashtextextended(t.%q::text, 0) & 255)::int"

// digest sums a hash over all rows but the parked ones, by bucket.
func digest(ctx context.Context, read querier, schema string, t Table, parked []Parked) (Digest, error) {
	var d Digest
	if err := unlimited(ctx, read); err != nil {
		return d, err
	}
	rows, err := read.Query(ctx, fmt.Sprintf(`
		select `+bucketOf+` as bucket, count(*), sum(hashtextextended(t::text, 0))::text
		from %q.%q t
		where t.%q <> all($1)
		group by bucket`, t.key(), schema, t.tableName(), t.key()), parkedKeys(parked, t.tableName()))
	if err != nil {
		return d, err
	}
	var bucket int
	var count int64
	var sum string
	_, err = pgx.ForEachRow(rows, []any{&bucket, &count, &sum}, func() error {
		d.Rows += count
		d.Buckets[bucket] = sum
		return nil
	})
	return d, err
}

// name returns the keys of rows that differ in the buckets that do.
func (b *builder) name(ctx context.Context, c Compared, t Table, parked []Parked) ([]string, error) {
	var buckets []int
	for i := range c.Live.Buckets {
		if c.Live.Buckets[i] != c.Fresh.Buckets[i] {
			buckets = append(buckets, i)
		}
	}
	var at domain.Position
	var live, fresh map[string]int64
	err := b.atOnce(ctx, &at, func(read Reader) (err error) {
		live, err = hashes(ctx, read, b.model.Schema(), t, buckets, parked)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := b.runTo(ctx, at); err != nil {
		return nil, err
	}
	err = pgx.BeginFunc(ctx, b.engine.config.Pool, func(tx pgx.Tx) (err error) {
		fresh, err = hashes(ctx, tx, b.schema, t, buckets, parked)
		return err
	})
	var differ []string
	for key, hash := range live {
		if other, there := fresh[key]; !there || other != hash {
			differ = append(differ, key)
		}
	}
	for key := range fresh {
		if _, there := live[key]; !there {
			differ = append(differ, key)
		}
	}
	slices.Sort(differ)
	return differ[:min(len(differ), MostNamed)], err
}

// hashes returns a hash of each row in some buckets, by key.
func hashes(ctx context.Context, read querier, schema string, t Table, buckets []int, parked []Parked) (map[string]int64, error) {
	if err := unlimited(ctx, read); err != nil {
		return nil, err
	}
	rows, err := read.Query(ctx, fmt.Sprintf(`
		select t.%[1]q, hashtextextended(t::text, 0)
		from %[2]q.%[3]q t
		where `+fmt.Sprintf(bucketOf, t.key())+` = any($1) and t.%[1]q <> all($2)`, t.key(), schema, t.tableName()),
		buckets, parkedKeys(parked, t.tableName()))
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	var key string
	var hash int64
	_, err = pgx.ForEachRow(rows, []any{&key, &hash}, func() error {
		all[key] = hash
		return nil
	})
	return all, err
}
