package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/referencedata"
	"github.com/slotbook/slotbook/domain/reference"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// askers is how many clients ask at once.
const askers = 16

// variants is how many different questions a query is measured with, by turns.
const variants = 40

// slowest is how many times the bare SQL's median a query may take.
const slowest = 1.5

// query is a question that people ask all day, in many variants, and how the
// bare SQL answers it: in the fewest statements that give the same answer,
// through pgx into a struct, without a snapshot, a position or a cursor. Both
// return the ids of what they found, which are the same.
type query struct {
	name string
	ours func(ctx context.Context, n int) ([]string, error)
	bare func(ctx context.Context, n int) ([]string, error)
	path func(n int) string // the same over HTTP; nil = there is no such route
}

// asking is what queries are put to.
type asking struct {
	*database
	population
	load
	engine *engine.Engine
	bare   *pgxpool.Pool // with the tables of the read models on its search path
	named  []projections.Named
	names  *projections.Names
}

// openAsking opens a load.
func openAsking(ctx context.Context, url string, l load) (*asking, error) {
	a := &asking{load: l}
	var err error
	if a.database, err = openStore(ctx, url); err != nil {
		return nil, err
	}
	if err := a.prepare(ctx); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *asking) prepare(ctx context.Context) error {
	var err error
	if a.population, err = newPopulation(a.Clinics, a.Practitioners, a.Patients); err != nil {
		return err
	}
	models := projections.All(nil, nil)
	a.engine = engine.New(engine.Config{Pool: a.pool, Log: a.store, Models: models, Owner: newID(), Now: time.Now})
	entries, err := referencedata.Builtin()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Kind != reference.Specialty && e.Kind != reference.Qualification {
			continue
		}
		for _, name := range e.Names {
			a.named = append(a.named, projections.Named{Kind: string(e.Kind), Code: e.Code, Name: name})
		}
	}
	a.names = projections.NewNames(a.named)
	path := ""
	for _, m := range models {
		path += m.Schema() + ","
	}
	a.bare, err = postgres.Pool(ctx, a.url+"&search_path="+path+"public")
	if err == nil {
		err = a.createNames(ctx)
	}
	return err
}

// createNames makes the table in which the bare SQL looks up what a word may
// mean.
func (a *asking) createNames(ctx context.Context) error {
	_, err := a.bare.Exec(ctx, `
		drop table if exists public.named;
		create table public.named (kind text, code text, name text)`)
	if err != nil {
		return err
	}
	_, err = a.bare.CopyFrom(ctx, pgx.Identifier{"public", "named"}, []string{"kind", "code", "name"},
		pgx.CopyFromSlice(len(a.named), func(i int) ([]any, error) {
			n := a.named[i]
			return []any{n.Kind, n.Code, " " + strings.Join(projections.Words(n.Name), " ") + " "}, nil
		}))
	if err == nil {
		_, err = a.bare.Exec(ctx, "analyze public.named")
	}
	return err
}

func (a *asking) close() {
	if a.bare != nil {
		a.bare.Close()
	}
	a.database.close()
}

// agree asks every variant once both ways and compares the answers.
func (q query) agree(ctx context.Context) error {
	found := 0
	for n := range variants {
		ours, err := q.ours(ctx, n)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		bare, err := q.bare(ctx, n)
		if err != nil {
			return fmt.Errorf("%s in bare SQL: %w", q.name, err)
		}
		if !slices.Equal(ours, bare) {
			return fmt.Errorf("%s, variant %d: the read models answer\n%v\nand the bare SQL\n%v", q.name, n, ours, bare)
		}
		found += len(ours)
	}
	if found == 0 {
		return fmt.Errorf("%s: nobody ever finds anything", q.name)
	}
	return nil
}

// latencies are those of a measure: sorted, of all its runs.
type latencies []time.Duration

func (l latencies) milliseconds(percent int) float64 {
	if len(l) == 0 {
		return 0
	}
	return milliseconds(l[min(len(l)-1, len(l)*percent/100)])
}

// asked returns a measure of the median of one run, in milliseconds, and where
// the latencies of all its runs gather.
func (b *bench) asked(ask func(ctx context.Context, n int) error) (measure, *latencies) {
	all := &latencies{}
	return func(ctx context.Context) (float64, error) {
		run, err := askMany(ctx, b.asking, ask)
		*all = append(*all, run...)
		slices.Sort(*all)
		return run.milliseconds(50), err
	}, all
}

// askMany lets clients ask all variants by turns, for a while and each at least
// once.
func askMany(ctx context.Context, window time.Duration, ask func(ctx context.Context, n int) error) (latencies, error) {
	each, failures := make([]latencies, askers), make([]error, askers)
	var all sync.WaitGroup
	end := time.Now().Add(window)
	for c := range askers {
		all.Go(func() {
			for n := c; failures[c] == nil && (n == c || time.Now().Before(end)); n++ {
				began := time.Now()
				failures[c] = ask(ctx, n%variants)
				each[c] = append(each[c], time.Since(began))
			}
		})
	}
	all.Wait()
	run := slices.Concat(each...)
	slices.Sort(run)
	return run, errors.Join(failures...)
}

// measure compares the query with the bare SQL, or asks it alone, and asks it
// over HTTP, too.
func (q query) measure(ctx context.Context, b *bench, s *site, alone bool) ([]row, error) {
	candidate, taken := b.asked(quietly(q.ours))
	var measured row
	if alone {
		if err := repeatedly(ctx, b.rounds, candidate); err != nil {
			return nil, err
		}
		measured = row{Name: q.name, Value: taken.milliseconds(50), P99: taken.milliseconds(99), Unit: "ms"}
	} else {
		if err := q.agree(ctx); err != nil {
			return nil, err
		}
		base, slow := b.asked(quietly(q.bare))
		r, err := compare(ctx, b.rounds, []measure{base}, []measure{candidate})
		if err != nil {
			return nil, err
		}
		measured = r.row(q.name, "ms", 0, "bare SQL", 0, 0)
		measured.AtMost, measured.P99, measured.AgainstP99 = slowest, taken.milliseconds(99), slow.milliseconds(99)
	}
	if q.path == nil {
		return []row{measured}, nil
	}
	over, took := b.asked(s.get(q))
	if _, err := over(ctx); err != nil { // once: nothing is compared with it
		return nil, err
	}
	return []row{measured, {Name: q.overHTTP(), Value: took.milliseconds(50), P99: took.milliseconds(99), Unit: "ms"}}, nil
}

func quietly(ask func(context.Context, int) ([]string, error)) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		_, err := ask(ctx, n)
		return err
	}
}

func repeatedly(ctx context.Context, times int, m measure) error {
	for range times {
		if _, err := m(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (q query) overHTTP() string { return q.name + ", over HTTP" }
