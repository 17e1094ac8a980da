package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/domain"
)

// Status is how a model is doing.
type Status struct {
	Model    string
	Version  int
	Position domain.Position // the tables hold every event up to here
	Head     domain.Position // of the log
	// Behind is how many positions lie between the two; events, in a log whose
	// positions are dense.
	Behind uint64
	// Lag is how long ago the first event was recorded that the model lacks, and
	// zero at the head. Where [Config.Waiting] does not tell that, it is at most
	// how long ago the last event was recorded that the model has seen.
	Lag           time.Duration
	Owner         string    // of the process that holds the model; empty when none does
	Parked        int       // rows and streams that could not be folded
	ParkedStreams int       // those of them that are streams
	Paused        time.Time // since when it does not move because somebody said so; zero = it moves
	// Previous is whether what the last rebuild replaced is there to roll back to.
	Previous bool
	// Rebuild says why nobody moves the model or reads it until it is rebuilt: it
	// is of another epoch of the store, or beyond the end of the log. Empty when
	// it is neither.
	Rebuild string
	// Stopped says why this process has let go of the model: it met what only a
	// newer program knows. Empty when it has not; it looks again now and then.
	Stopped string
	// Next is how far a rebuild is that has begun beside the live tables and has
	// not taken their place; nil when there is none.
	Next *Next
}

// Next is a rebuild that has begun.
type Next struct {
	Position domain.Position // its tables hold every event up to here
	Running  bool            // a process is at it; else it waits to be begun again
}

// Status returns how every model is doing, in the order of Config.Models.
func (e *Engine) Status(ctx context.Context) ([]Status, error) {
	head, err := e.config.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	statuses := make([]Status, 0, len(e.config.Models))
	waiting := map[domain.Position]time.Time{}
	for i := range e.config.Models {
		s, err := e.statusOf(ctx, i, head, waiting)
		if err != nil {
			return nil, err
		}
		statuses = append(statuses, s)
	}
	return statuses, nil
}

// statusOf returns the status of the i-th model.
func (e *Engine) statusOf(ctx context.Context, i int, head domain.Position, waiting map[domain.Position]time.Time) (Status, error) {
	m := e.config.Models[i]
	s := Status{Model: m.Name, Version: m.Version, Head: head}
	if why := e.projectors[i].stopped.Load(); why != nil {
		s.Stopped = *why
	}
	var seen, paused *time.Time
	var ours bool
	var next *domain.Position
	var building bool
	err := e.config.Pool.QueryRow(ctx, `
		select c.position, c.recorded_at,
			case when c.lease_until >= clock_timestamp() then coalesce(c.owner, '') else '' end,
			(select count(*) from slotbook.projection_parked p where p.schema = c.schema),
			(select count(*) from slotbook.projection_parked p where p.schema = c.schema and p."table" = ''),
			c.paused_at,
			exists (select from slotbook.projection_checkpoint p where p.schema = $2 and coalesce(p.store_epoch, $3) = $3),
			coalesce(c.store_epoch, $3) = $3,
			n.position, coalesce(n.lease_until >= clock_timestamp(), false)
		from slotbook.projection_checkpoint c
		left join slotbook.projection_checkpoint n on n.schema = $4
		where c.schema = $1`, m.Schema(), m.Schema()+prevSuffix, e.config.Epoch, m.Schema()+nextSuffix).
		Scan(&s.Position, &seen, &s.Owner, &s.Parked, &s.ParkedStreams, &paused, &s.Previous, &ours, &next, &building)
	if err == nil {
		s.Rebuild, err = e.judge(ctx, s.Position, head, ours)
	}
	if err != nil {
		return s, fmt.Errorf("status of %s: %w", m.Schema(), err)
	}
	if paused != nil {
		s.Paused = paused.UTC()
	}
	if next != nil {
		s.Next = &Next{*next, building}
	}
	if s.Position < head {
		s.Behind = uint64(head - s.Position)
		if s.Lag, err = e.lag(ctx, s.Position, seen, waiting); err != nil {
			return s, fmt.Errorf("lag of %s: %w", m.Schema(), err)
		}
	}
	return s, nil
}

// lag returns how long the first event after a position has been waiting. What is
// found out is kept for models that are in the same place.
func (e *Engine) lag(ctx context.Context, after domain.Position, seen *time.Time, known map[domain.Position]time.Time) (time.Duration, error) {
	since, ok := known[after]
	switch {
	case ok:
	case e.config.Waiting != nil:
		var err error
		if since, err = e.config.Waiting(ctx, after); err != nil {
			return 0, err
		}
		known[after] = since
	case seen != nil:
		since = *seen
	}
	if since.IsZero() {
		return 0, nil
	}
	return max(0, e.config.Now().Sub(since)), nil
}

// Parked returns what could not be folded into the model's live tables, in the
// order of table and key.
func (e *Engine) Parked(ctx context.Context, name string) ([]Parked, error) {
	m, err := e.model(name)
	if err != nil {
		return nil, err
	}
	return parkedIn(ctx, e.config.Pool, m.Schema())
}

// ReadBack compares every row that this process has in memory with the row
// that the database gives back; the first difference is an error. It is for
// tests of read models: a row that comes back different, such as a time with
// nanoseconds, is a defect of its fold.
func (e *Engine) ReadBack(ctx context.Context, name string) error {
	for _, p := range e.projectors {
		if p.model.Name != name {
			continue
		}
		p.turn <- struct{}{}
		defer func() { <-p.turn }()
		return p.readBack(ctx)
	}
	return fmt.Errorf("there is no read model %q", name)
}

func (b *builder) readBack(ctx context.Context) error {
	for _, f := range b.folders {
		rows, err := b.engine.config.Pool.Query(ctx, f.statements().all, pgx.QueryResultFormats{pgx.BinaryFormatCode})
		if err != nil {
			return err
		}
		err = f.readBack(rows)
		rows.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
