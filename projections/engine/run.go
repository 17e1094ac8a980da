package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slotbook/slotbook/domain"
)

// projector keeps one live read model.
type projector struct {
	*builder
	engine *Engine
	turn   chan struct{} // held by whoever works with the builder

	stopped atomic.Pointer[string] // why, after a step that met what only a newer program knows
	took    atomic.Int64           // how long the last batch took, in nanoseconds
}

// Run keeps every model that this process can get hold of at the head of the
// log until ctx ends, then finishes its batch and lets go of its models. A
// model that another process holds is taken over when that one stops or dies.
//
// Run returns nil when ctx ends. An event type that this program does not know
// was written by a newer one: a model whose interest it is stops there and is
// let go, as [Status] says, until this process or a newer one gets beyond it.
// The other models go on. Any other fault is logged and tried again.
func (e *Engine) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	for _, p := range e.projectors {
		wait.Go(func() { p.run(ctx) })
	}
	wait.Go(func() { e.tidyUp(ctx) })
	wait.Wait()
	return nil
}

func (p *projector) run(ctx context.Context) {
	defer p.letGo(ctx)
	log, pause, standing := p.engine.config.Logger.With("model", p.schema), p.engine.config.Lease/5, ""
	for ctx.Err() == nil {
		_, went, err := p.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if now := describe(err); now != standing {
			standing = now
			log.Log(ctx, severity(err), standing, reason(err)...)
		}
		switch {
		case upgradeRunning(err), errors.Is(err, ErrRebuild):
			sleep(ctx, p.engine.config.Lease)
		case errors.Is(err, errLost):
		case err != nil:
			sleep(ctx, pause)
		case went == arrived:
			p.rest(ctx)
			p.idle(ctx)
		case went == nowhere:
			p.idle(ctx)
		}
	}
}

// progress is how far a step took a model.
type progress int

const (
	nowhere progress = iota // nothing new is there, or an error
	arrived                 // it took all that was there
	onwards                 // there may be more
)

// beat is how often the models at the head take what has arrived, at most. What
// comes alone is taken at once; what comes in a stream is worth gathering: a
// transaction costs as much as some hundred events in it. The longer the last
// batches took, the longer the beat: they are to take no more than 15 % of the
// time together, as far as the longest beat allows.
func (e *Engine) beat() time.Duration {
	const shortest, longest = 50 * time.Millisecond, 200 * time.Millisecond
	var took time.Duration
	for _, p := range e.projectors {
		took += time.Duration(p.took.Load())
	}
	beat := shortest
	for beat < longest && took > beat*15/100 {
		beat *= 2
	}
	return beat
}

// rest waits for the next beat. It is the same moment for all models, so that
// they share the page that they read then.
func (p *projector) rest(ctx context.Context) {
	beat := p.engine.beat()
	sinceBeat := time.Duration(p.engine.config.Now().UnixNano()) % beat
	sleep(ctx, beat-sinceBeat)
}

// describe says how a model stands after a step; it is logged when it changes.
func describe(err error) string {
	switch {
	case err == nil:
		return "read model kept by this process"
	case upgradeRunning(err):
		return "read model stopped: a newer version of the program is running"
	case errors.Is(err, ErrRebuild):
		return "read model refused: rebuild it"
	case errors.Is(err, errElsewhere):
		return "read model kept by another process"
	case errors.Is(err, ErrPaused):
		return "read model paused"
	case errors.Is(err, errLost):
		return "read model lost"
	}
	return "read model stalled"
}

func severity(err error) slog.Level {
	if err == nil || errors.Is(err, errElsewhere) || errors.Is(err, errLost) || errors.Is(err, ErrPaused) {
		return slog.LevelInfo
	}
	return slog.LevelError
}

// reason is the attribute that says why, unless the line has said it.
func reason(err error) []any {
	if severity(err) == slog.LevelInfo {
		return nil
	}
	return []any{"error", err}
}

func upgradeRunning(err error) bool {
	rule := domain.RuleOf(err)
	return rule != nil && rule.Rule == "upgrade.running"
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step takes the model over one page of the log, getting hold of it first
// when need be. It returns where the model is then, and how it got there.
func (p *projector) step(ctx context.Context) (at domain.Position, went progress, err error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, nowhere, ctx.Err()
	}
	defer func() { <-p.turn }()
	defer func() {
		if went == nowhere {
			p.engine.pages.leave(p.builder)
		}
		p.note(err)
	}()
	if p.epoch == 0 {
		if err := p.acquire(ctx); err != nil {
			return 0, nowhere, err
		}
	}
	page, err := p.page(ctx)
	if upgradeRunning(err) {
		return 0, nowhere, errors.Join(err, p.release(context.WithoutCancel(ctx)))
	}
	if err != nil || page.Next <= p.position {
		return p.position, nowhere, err
	}
	went, err = p.advance(ctx, page)
	return p.position, went, err
}

// advance folds the page, and those that other models have read behind it, and
// writes all in one transaction. An error leaves the projector without its hold
// on the schema.
func (p *projector) advance(ctx context.Context, page domain.Page) (progress, error) {
	began, events := p.engine.config.Now(), 0
	var err error
	var traced []domain.Recorded
	for more := true; more && err == nil; {
		events += len(page.Events)
		traced = p.traced(traced, page)
		if err = p.fold(ctx, page); events >= p.engine.config.Batch {
			break
		}
		page, more = p.engine.pages.kept(p.position)
	}
	if err == nil {
		err = p.flush(ctx)
	}
	ended := p.engine.config.Now()
	p.took.Store(int64(ended.Sub(began)))
	if err == nil && len(traced) > 0 {
		p.engine.config.Took(Batch{p.model.Name, began, ended, events, traced})
	}
	switch {
	case err != nil:
		p.forget()
		return nowhere, err
	case events < p.engine.config.Batch:
		return arrived, nil
	}
	return onwards, nil
}

// traced adds the events of a page that somebody wants to see in their traces.
func (p *projector) traced(to []domain.Recorded, page domain.Page) []domain.Recorded {
	if p.engine.config.Took == nil {
		return to
	}
	for _, r := range page.Events {
		if r.Metadata.Trace == "" || r.Position <= p.position {
			continue
		}
		if _, unreadable := r.Event.(domain.Undecodable); !unreadable && p.model.Interest.Wants(r.Stream, r.Event.EventType()) {
			to = append(to, r)
		}
	}
	return to
}

// page returns the next page: the one that all models share, unless that ends
// at an event that this program does not know. Who wants it is then found by
// each model alone.
func (p *projector) page(ctx context.Context) (domain.Page, error) {
	page, err := p.engine.pages.next(ctx, p.builder, p.position)
	if upgradeRunning(err) {
		f := own(p.model)
		f.Bare = p.engine.config.Took == nil
		return p.engine.read(ctx, p.position, f)
	}
	return page, err
}

// note keeps why the model has stopped, until it goes on, here or elsewhere.
func (p *projector) note(err error) {
	switch {
	case upgradeRunning(err):
		why := err.Error()
		p.stopped.Store(&why)
	case err == nil, errors.Is(err, errElsewhere):
		p.stopped.Store(nil)
	}
}

// idle waits at the head for news, renewing the lease meanwhile.
func (p *projector) idle(ctx context.Context) {
	at, epoch := p.standing()
	waiting, cancel := context.WithTimeout(ctx, p.engine.config.Lease/3)
	defer cancel()
	err := p.engine.config.Log.Wait(waiting, at)
	if err == nil || ctx.Err() != nil {
		return
	}
	if waiting.Err() == nil {
		p.engine.config.Logger.Warn("waiting for the log failed", "error", err)
		sleep(ctx, p.engine.config.Lease/5)
	}
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.epoch == epoch && epoch != 0 {
		if err := p.renew(ctx); err != nil && !errors.Is(err, errLost) && ctx.Err() == nil {
			p.engine.config.Logger.Warn("lease not renewed", "model", p.schema, "error", err)
		}
	}
}

func (p *projector) standing() (domain.Position, int64) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	return p.position, p.epoch
}

// letGo ends the hold on the model, so that another process need not wait for
// the lease to end.
func (p *projector) letGo(ctx context.Context) {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	p.engine.pages.leave(p.builder)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.engine.config.Lease)
	defer cancel()
	if err := p.release(ctx); err != nil && !errors.Is(err, errLost) {
		p.engine.config.Logger.Warn("read model not let go", "model", p.schema, "error", err)
	}
}

// CatchUp takes every model to where the head of the log is now, and returns
// when they are there. A model that another process holds is waited for.
// CatchUp and Run may work at once.
func (e *Engine) CatchUp(ctx context.Context) error {
	head, err := e.config.Log.Head(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for _, p := range e.projectors {
		wait.Go(func() {
			if err := p.catchUp(ctx, head); err != nil {
				cancel(fmt.Errorf("catch up %s: %w", p.schema, err))
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

func (p *projector) catchUp(ctx context.Context, head domain.Position) error {
	defer p.engine.pages.leave(p.builder)
	for {
		at, went, err := p.step(ctx)
		switch {
		case errors.Is(err, errElsewhere):
			if at, err = p.elsewhere(ctx); err != nil {
				return err
			}
			if at < head {
				sleep(ctx, p.engine.config.Lease/100)
			}
		case errors.Is(err, errLost):
			continue
		case err != nil:
			return err
		case went == nowhere && at < head:
			return fmt.Errorf("the log ends at position %d, before its head %d", at, head)
		}
		if at >= head {
			return nil
		}
	}
}

// elsewhere returns where the process that holds the model has taken it.
func (p *projector) elsewhere(ctx context.Context) (domain.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, p.engine.config.Timeout)
	defer cancel()
	var at domain.Position
	err := p.engine.config.Pool.QueryRow(ctx, `
		select position
		from slotbook.projection_checkpoint
		where schema = $1`, p.schema).Scan(&at)
	return at, err
}
