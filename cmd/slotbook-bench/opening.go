package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/reactions"
)

const (
	rowOpening      = "opening days"
	rowOpeningAgain = "opening days again, nothing new"
)

const (
	openedDays = 14
)

// measureOpening compares how fast the handler opens days, in events a second,
// with how fast COPY puts the same events into an equal table; and how long it
// takes to open them with how long it takes to find that nothing is left to do.
func measureOpening(ctx context.Context, b *bench) ([]row, error) {
	url, err := b.database(ctx, "opening")
	if err != nil {
		return nil, err
	}
	o := &opening{world: world{First: domain.DayOf(time.Now()).Add(1), Practitioners: b.openers}}
	if o.database, err = openStore(ctx, url); err != nil {
		return nil, err
	}
	defer o.close()
	if err := o.prepare(ctx); err != nil {
		return nil, err
	}
	r, err := compare(ctx, b.rounds, []measure{o.copyRows}, []measure{o.open})
	if err != nil {
		return nil, err
	}
	opened := r.row(rowOpening, "events/s", 0, fmt.Sprintf("events/s by COPY of the %d events", len(o.rows)), 0, 0.4)
	r, err = compare(ctx, b.rounds, []measure{o.everybody}, []measure{o.again})
	if err != nil {
		return nil, err
	}
	again := r.row(rowOpeningAgain, "people/s", 0, "people/s whose days are opened", 0, 10)
	return []row{opened, again}, nil
}

// opening opens the days of practitioners who are new in every run: events are
// never deleted.
type opening struct {
	*database
	world
	runs  int             // so far
	start domain.Position // before the first day of the run
	rows  [][]any         // the events of a run, as COPY gets them
}

// prepare opens days once for the rows to copy, and makes a table like that of
// the events.
func (o *opening) prepare(ctx context.Context) error {
	if _, err := o.open(ctx); err != nil {
		return err
	}
	rows, err := o.pool.Query(ctx, `
		select position, stream, revision, event_id, type, data::text, metadata::text, recorded_at
		from slotbook.events
		where position > $1
		order by position`, o.start)
	if err != nil {
		return err
	}
	if o.rows, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() }); err != nil {
		return err
	}
	_, err = o.pool.Exec(ctx, `create table copied (like slotbook.events including all)`)
	return err
}

// newcomers registers the practitioners of the next run with their schedules.
func (o *opening) newcomers(ctx context.Context) error {
	o.runs++
	err := fill(ctx, o.store, bundled(func(yield func([]commands.Write) bool) {
		for n := range o.Practitioners {
			if !yield([]commands.Write{o.scheduled(o.nth(n))}) {
				return
			}
		}
	}))
	if err == nil {
		o.start, err = o.store.Head(ctx)
	}
	return err
}

// nth is the number of a practitioner of the run among those of all.
func (o *opening) nth(n int) int { return o.runs*o.Practitioners + n }

// scheduled is a pattern of as many slots on every day as the world has.
func (o *opening) scheduled(n int) commands.Write {
	id := o.practitioner(n)
	p := schedule.Pattern{Clinic: o.clinic(n), Zone: "Europe/Lisbon", HorizonDays: openedDays + 1}
	for weekday := range 7 {
		p.Weekly = append(p.Weekly, schedule.Interval{
			Weekday: weekday, From: 8 * 60, To: 8*60 + slotsPerDay*slotMinutes, SlotMinutes: slotMinutes, Capacity: 1,
		})
	}
	return writing(schedule.Stream(id), domain.NoStream, newID(), schedule.WasSet{Practitioner: id, Pattern: p})
}

// open opens the days of newcomers, in events a second.
func (o *opening) open(ctx context.Context) (float64, error) {
	if err := o.newcomers(ctx); err != nil {
		return 0, err
	}
	took, err := o.openAll(ctx)
	if err != nil {
		return 0, err
	}
	events, err := o.events(ctx)
	if err == nil && events < o.Practitioners*openedDays {
		err = fmt.Errorf("%d events for %d days of %d practitioners", events, openedDays, o.Practitioners)
	}
	return float64(events) / took.Seconds(), err
}

func (o *opening) events(ctx context.Context) (n int, err error) {
	err = o.pool.QueryRow(ctx, `select count(*) from slotbook.events where position > $1`, o.start).Scan(&n)
	return n, err
}

// openAll has an opener of its own, which remembers nothing, open everybody's
// days as they are wanted at the end of the day before the first.
func (o *opening) openAll(ctx context.Context) (time.Duration, error) {
	now := o.First.Start().Add(-time.Hour)
	var failed failures
	opener := reactions.NewOpener(reactions.OpenerConfig{
		Handler: commands.New(commands.Config{
			Store: o.store, Now: func() time.Time { return now }, NewID: newID, Patience: time.Minute,
		}),
		Practitioners: func(context.Context) ([]domain.PractitionerID, error) { return o.newest(), nil },
		Settled:       postgres.Settled{Pool: o.pool}, Logger: slog.New(slog.NewTextHandler(&failed, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	began := time.Now()
	opener.Look(ctx)
	return time.Since(began), failed.error()
}

// newest are the practitioners of the run.
func (o *opening) newest() []domain.PractitionerID {
	ids := make([]domain.PractitionerID, o.Practitioners)
	for n := range ids {
		ids[n] = o.practitioner(o.nth(n))
	}
	return ids
}

// failures collects what an opener logs as a warning.
type failures struct{ strings.Builder }

func (f *failures) error() error {
	if f.Len() == 0 {
		return nil
	}
	return errors.New(f.String())
}

// everybody opens the days of newcomers, in practitioners a second.
func (o *opening) everybody(ctx context.Context) (float64, error) {
	if err := o.newcomers(ctx); err != nil {
		return 0, err
	}
	took, err := o.openAll(ctx)
	return float64(o.Practitioners) / took.Seconds(), err
}

// again looks at everybody's days, which are open, in practitioners a second.
func (o *opening) again(ctx context.Context) (float64, error) {
	before, err := o.events(ctx)
	if err != nil {
		return 0, err
	}
	took, err := o.openAll(ctx)
	if err != nil {
		return 0, err
	}
	after, err := o.events(ctx)
	if err == nil && after != before {
		err = fmt.Errorf("%d events were appended although nothing was new", after-before)
	}
	return float64(o.Practitioners) / took.Seconds(), err
}

// copyRows puts the rows into the equal table, in events a second.
func (o *opening) copyRows(ctx context.Context) (float64, error) {
	if _, err := o.pool.Exec(ctx, `truncate copied`); err != nil {
		return 0, err
	}
	began := time.Now()
	_, err := o.pool.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{
		"position", "stream", "revision", "event_id", "type", "data", "metadata", "recorded_at",
	}, pgx.CopyFromRows(o.rows))
	return float64(len(o.rows)) / time.Since(began).Seconds(), err
}
