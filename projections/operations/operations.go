// Package operations does long work on read models as jobs: rebuilding,
// verifying, rolling back, and folding anew what is parked.
//
//	order -> would the disk suffice? -> engine, with progress -> outcome
//
// [Desk.Do] waits for the outcome, as a command line does; [Desk.Start] does not,
// as HTTP does: [Desk.Run] does the work, and [Desk.Job] says how far it is.
// Jobs are known to their process alone. One that its process did not end is
// started again, and goes on where it was.
package operations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// Kind is a sort of work.
type Kind string

// The sorts of work.
const (
	Rebuild  Kind = "rebuild"
	Verify   Kind = "verify"
	Rollback Kind = "rollback"
	Retry    Kind = "retry"
)

// Order is what is to be done.
type Order struct {
	Kind       Kind
	Models     []string
	Lots       []engine.Lot // of a retry: these only; none = all that is parked
	KeepParked bool         // a rebuild goes on past what cannot be folded
}

// Outcome is what came of an order, whatever its sort.
type Outcome struct {
	Reports []engine.Report           // of a verification
	Retried map[string]engine.Retried // of a retry, by model
}

// Clean reports whether nothing differs and nothing is parked.
func (o Outcome) Clean() bool {
	for _, r := range o.Reports {
		if len(r.Differs()) > 0 || len(r.Parked) > 0 {
			return false
		}
	}
	for _, r := range o.Retried {
		if len(r.Parked) > 0 {
			return false
		}
	}
	return true
}

// The refusals.
var (
	ErrDisk    = domain.Refusal(domain.Refused, "projection.disk", "a rebuild needs more disk than is free")
	ErrBusy    = domain.Refusal(domain.Conflict, "projection.busy", "the process is at another job of this read model")
	ErrUnknown = domain.Refusal(domain.NotFound, "projection.unknown", "there is no such read model")
	ErrNoJob   = domain.Refusal(domain.NotFound, "job.unknown", "this process has no such job")
)

// Config configures a desk.
type Config struct {
	Engine     *engine.Engine                               // required
	Models     []string                                     // that there are; required
	Free       func(context.Context) (bytes int64, ok bool) // that the database's disk has left; not ok = nobody knows. Required
	Now        func() time.Time                             // the clock; required
	NewID      func() string                                // of a job; required
	Logger     *slog.Logger                                 // gets a line when a job begins and ends; required
	MostBehind uint64                                       // positions that live models may be behind before a build waits for them; 0 = 2,000
}

// Desk takes orders. It is safe for concurrent use.
type Desk struct {
	config Config
	queue  chan *job

	mu   sync.Mutex
	jobs []*job // the latest last
}

// New returns a desk.
func New(c Config) *Desk {
	if c.MostBehind == 0 {
		c.MostBehind = 2_000
	}
	return &Desk{config: c, queue: make(chan *job, maxJobs)}
}

// Plan says what a rebuild of the models will take, and refuses one that the
// disk is too small for with [ErrDisk].
func (d *Desk) Plan(ctx context.Context, models ...string) ([]engine.Plan, error) {
	if err := d.known(models); err != nil {
		return nil, err
	}
	plans, err := d.config.Engine.Plan(ctx, models...)
	if err != nil {
		return nil, err
	}
	var need int64
	for _, p := range plans {
		need += p.Bytes
	}
	if free, ok := d.config.Free(ctx); ok && free < need {
		return plans, fmt.Errorf("%w: %d bytes for %d free", ErrDisk, need, free)
	}
	return plans, nil
}

func (d *Desk) known(models []string) error {
	for _, m := range models {
		if !slices.Contains(d.config.Models, m) {
			return ErrUnknown
		}
	}
	return nil
}

// Do does what is ordered and returns what came of it.
func (d *Desk) Do(ctx context.Context, o Order, tell func(engine.Progress)) (Outcome, error) {
	if err := d.known(o.Models); err != nil {
		return Outcome{}, err
	}
	how := engine.Build{KeepParked: o.KeepParked, Progress: tell, MostBehind: d.config.MostBehind}
	switch o.Kind {
	case Rebuild:
		if _, err := d.Plan(ctx, o.Models...); err != nil {
			return Outcome{}, err
		}
		return Outcome{}, d.config.Engine.Rebuild(ctx, how, o.Models...)
	case Rollback:
		return Outcome{}, each(o.Models, func(m string) error { return d.config.Engine.Rollback(ctx, how, m) })
	case Verify:
		var out Outcome
		err := each(o.Models, func(m string) error {
			report, err := d.config.Engine.Verify(ctx, how, m)
			if err == nil {
				out.Reports = append(out.Reports, report)
			}
			return err
		})
		return out, err
	case Retry:
		out := Outcome{Retried: map[string]engine.Retried{}}
		err := each(o.Models, func(m string) (err error) {
			out.Retried[m], err = d.config.Engine.Retry(ctx, how, m, o.Lots...)
			return err
		})
		return out, err
	}
	return Outcome{}, fmt.Errorf("there is no work %q", o.Kind)
}

// each does something for every model, whether or not it failed for others.
func each(models []string, do func(model string) error) error {
	failed := make([]error, len(models))
	for i, m := range models {
		failed[i] = do(m)
	}
	return errors.Join(failed...)
}
