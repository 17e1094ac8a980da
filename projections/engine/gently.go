package engine

import (
	"context"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// giveWay waits while a live model is too far behind, keeping the lease.
func (b *builder) giveWay(ctx context.Context) error {
	for b.how.MostBehind > 0 {
		behind, err := b.engine.behind(ctx)
		if err != nil || behind <= b.how.MostBehind {
			return err
		}
		if b.how.Progress != nil {
			b.how.Progress(Progress{Model: b.model.Name, Position: b.position, Target: b.position, Waiting: true})
		}
		sleep(ctx, 50*time.Millisecond)
		if err := b.keep(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// behind returns how many positions the live model is behind that is farthest,
// of those that a process keeps, and remembers whether there is one.
func (e *Engine) behind(ctx context.Context) (uint64, error) {
	head, err := e.config.Log.Head(ctx)
	if err != nil {
		return 0, err
	}
	schemas := make([]string, len(e.config.Models))
	for i, m := range e.config.Models {
		schemas[i] = m.Schema()
	}
	ctx, cancel := context.WithTimeout(ctx, e.config.Timeout)
	defer cancel()
	var at *domain.Position
	err = e.config.Pool.QueryRow(ctx, `
		select min(position)
		from slotbook.projection_checkpoint
		where schema = any($1) and lease_until >= clock_timestamp()`, schemas).Scan(&at)
	if err != nil {
		return 0, err
	}
	e.kept.Store(at != nil)
	if at == nil || *at >= head {
		return 0, nil
	}
	return uint64(head - *at), nil
}

// gently does a piece of a build's work. While a process keeps the live models,
// which is to say while people book, builds take turns, and each rests twice as
// long as it has worked before the next goes on: all of them together then leave
// others most of the processors and of the disk.
func (b *builder) gently(ctx context.Context, work func() error) error {
	if !b.engine.gentle(b.how) {
		return work()
	}
	for {
		if err := b.keep(ctx); err != nil {
			return err
		}
		select {
		case b.engine.turn <- struct{}{}:
			return b.engine.inTurn(ctx, work)
		case <-ctx.Done():
			return ctx.Err()
		case <-b.renewal():
		}
	}
}

// gentle reports whether a build takes turns.
func (e *Engine) gentle(how Build) bool { return how.MostBehind > 0 && e.kept.Load() }

// inTurn does a piece of work, rests, and then gives the turn away, which it
// has.
func (e *Engine) inTurn(ctx context.Context, work func() error) error {
	defer func() { <-e.turn }()
	began := e.config.Now()
	err := work()
	if err == nil {
		const rests = 2                                                    // times as long as it has worked
		sleep(ctx, min(rests*e.config.Now().Sub(began), e.config.Lease/3)) // nobody renews a lease meanwhile
	}
	return err
}

// readGently reads a page for builds that share it.
func (e *Engine) readGently(ctx context.Context, how Build, after domain.Position, filter domain.Filter) (page domain.Page, err error) {
	if !e.gentle(how) {
		return e.read(ctx, after, filter)
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return domain.Page{}, ctx.Err()
	}
	err = e.inTurn(ctx, func() error {
		page, err = e.read(ctx, after, filter)
		return err
	})
	return page, err
}

// renewal is told when the lease is to be renewed at the latest.
func (b *builder) renewal() <-chan time.Time { return time.After(b.engine.config.Lease / 3) }
