package operations

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/slotbook/slotbook/projections/engine"
)

// maxJobs is how many jobs a process remembers.
const maxJobs = 100

// State is where a job is.
type State string

// The states of a job.
const (
	Waiting State = "waiting" // for the job before it
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// Job is work and how far it is.
type Job struct {
	ID      string
	Order   Order
	State   State
	Ordered time.Time
	Began   time.Time // zero while it waits
	Ended   time.Time // zero until it has ended
	// Progress is the last that each model's build has told.
	Progress map[string]engine.Progress
	Events   int // folded so far, over all models
	Outcome  Outcome
	Err      error     // why it failed
	At       time.Time // when all this was so
}

// job is a job that goes on.
type job struct {
	Job
	changed chan struct{} // closed and replaced whenever it is further
}

// Start takes an order for [Desk.Run]. What cannot be done is refused at once.
//
// Errors: [ErrUnknown], [ErrDisk], [ErrBusy], [engine.ErrNoPrevious].
func (d *Desk) Start(ctx context.Context, o Order) (Job, error) {
	if err := d.known(o.Models); err != nil {
		return Job{}, err
	}
	if err := d.possible(ctx, o); err != nil {
		return Job{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.jobs {
		if j.State != Done && j.State != Failed && slices.ContainsFunc(o.Models, func(m string) bool { return slices.Contains(j.Order.Models, m) }) {
			return Job{}, ErrBusy
		}
	}
	if len(d.jobs) >= maxJobs {
		d.jobs = d.jobs[1:]
	}
	j := &job{
		Job:     Job{ID: d.config.NewID(), Order: o, State: Waiting, Ordered: d.config.Now(), Progress: map[string]engine.Progress{}},
		changed: make(chan struct{}),
	}
	select {
	case d.queue <- j:
	default:
		return Job{}, ErrBusy
	}
	d.jobs = append(d.jobs, j)
	return d.copied(j), nil
}

// possible refuses what is known to fail.
func (d *Desk) possible(ctx context.Context, o Order) error {
	switch o.Kind {
	case Rebuild:
		_, err := d.Plan(ctx, o.Models...)
		return err
	case Rollback:
		statuses, err := d.config.Engine.Status(ctx)
		if err == nil && slices.ContainsFunc(statuses, func(s engine.Status) bool { return slices.Contains(o.Models, s.Model) && !s.Previous }) {
			err = engine.ErrNoPrevious
		}
		return err
	case Verify, Retry:
	}
	return nil
}

// Run does what is ordered, one job after the other, until ctx ends. A job that
// is cut off fails.
func (d *Desk) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-d.queue:
			d.work(ctx, j)
		}
	}
}

func (d *Desk) work(ctx context.Context, j *job) {
	d.change(j, func() { j.State, j.Began = Running, d.config.Now() })
	log := d.config.Logger.With("job", j.ID, "kind", j.Order.Kind, "models", j.Order.Models)
	log.Info("job began")
	out, err := d.Do(ctx, j.Order, func(p engine.Progress) {
		d.change(j, func() {
			j.Progress[p.Model] = p
			j.Events += p.Events
		})
	})
	if err != nil {
		log.Error("job failed", "error", err)
	} else {
		log.Info("job done", "clean", out.Clean())
	}
	d.change(j, func() {
		j.State, j.Ended, j.Outcome, j.Err = Done, d.config.Now(), out, err
		if err != nil {
			j.State = Failed
		}
	})
}

func (d *Desk) change(j *job, how func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how()
	close(j.changed)
	j.changed = make(chan struct{})
}

// Job returns a job of this process as it is now, and a channel that is closed
// when it is further.
//
// Errors: [ErrNoJob].
func (d *Desk) Job(id string) (Job, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.jobs {
		if j.ID == id {
			return d.copied(j), j.changed, nil
		}
	}
	return Job{}, nil, ErrNoJob
}

// Jobs returns the jobs of this process, the latest first.
func (d *Desk) Jobs() []Job {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Job, 0, len(d.jobs))
	for _, j := range slices.Backward(d.jobs) {
		all = append(all, d.copied(j))
	}
	return all
}

// copied is called under the lock.
func (d *Desk) copied(j *job) Job {
	c := j.Job
	c.At = d.config.Now()
	c.Progress = maps.Clone(c.Progress)
	return c
}

// Status returns how every read model is doing.
func (d *Desk) Status(ctx context.Context) ([]engine.Status, error) {
	return d.config.Engine.Status(ctx)
}

// Pause keeps models from moving; see [engine.Engine.Pause].
func (d *Desk) Pause(ctx context.Context, models ...string) error {
	if err := d.known(models); err != nil {
		return err
	}
	return d.config.Engine.Pause(ctx, models...)
}

// Resume lets models move again.
func (d *Desk) Resume(ctx context.Context, models ...string) error {
	if err := d.known(models); err != nil {
		return err
	}
	return d.config.Engine.Resume(ctx, models...)
}

// Abandon drops what rebuilds that were interrupted have made; see
// [engine.Engine.Abandon].
func (d *Desk) Abandon(ctx context.Context, models ...string) error {
	if err := d.known(models); err != nil {
		return err
	}
	return each(models, func(m string) error { return d.config.Engine.Abandon(ctx, m) })
}

// Parked returns what is parked in a model's live tables.
func (d *Desk) Parked(ctx context.Context, model string) ([]engine.Parked, error) {
	if err := d.known([]string{model}); err != nil {
		return nil, err
	}
	return d.config.Engine.Parked(ctx, model)
}

// Discard forgets what is parked; see [engine.Engine.Discard].
func (d *Desk) Discard(ctx context.Context, model string, lots ...engine.Lot) (int, error) {
	if err := d.known([]string{model}); err != nil {
		return 0, err
	}
	return d.config.Engine.Discard(ctx, model, lots...)
}
