package reactions

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// Agenda is what is due, and when to ask again.
type Agenda struct {
	Due   []domain.Deadline // what was due first comes first
	Next  time.Time         // when more is due, in business time; zero = nothing is
	Retry time.Time         // when something that is due may be tried again, by the machine's clock; zero = nothing is
}

// Attempts keeps the tries at deadlines, for all processes. Its times are the
// machines'.
type Attempts interface {
	// Take takes those of the deadlines that nobody else has, and returns how
	// often each has been tried by its id. They stay taken until an instant.
	Take(ctx context.Context, due []domain.Deadline, now, until time.Time) (map[string]int, error)
	// Settle says that nothing is left to do for a deadline.
	Settle(ctx context.Context, id, outcome string, now time.Time) error
	// PutOff says that a try has failed, and when the next one may come.
	PutOff(ctx context.Context, id, why string, next time.Time) error
}

// What became of a try at a deadline.
const (
	DeadlineDone    = "done"
	DeadlineRefused = "refused" // there was nothing to do any more
	DeadlineFailed  = "failed"  // it is tried again
)

// DeadlinesConfig configures a worker of deadlines.
type DeadlinesConfig struct {
	// Due returns some of what is due at an instant of business time, without
	// what is settled or may not be tried yet by the machine's clock.
	Due      func(ctx context.Context, at, now time.Time) (Agenda, error)
	Attempts Attempts
	Handler  *commands.Handler          // sends what is due; its clock is business time
	Now      func() time.Time           // the machine's clock, for tries
	Every    time.Duration              // at most, between two looks; 0 = 30 s
	Tried    func(kind, outcome string) // is told of every try; nil = nobody
	Logger   *slog.Logger               // of what has failed
}

// Deadlines does what is due because time has passed:
//
//	a hold, a request or an offer that nobody has confirmed in time -> it is ended, and what it claimed is free
//	a booked patient who has not come, where a policy says          -> a no-show
//	a wish of the waiting list whose latest date is over            -> it is ended
//
// Nothing depends on its being punctual or alone. It looks when the next
// deadline comes, and every so often for those that were set since. Several
// processes share what is due; what fails is tried again after 1 s, 2 s and so
// on, up to 10 minutes. What a rule refuses is settled: there is nothing to do
// any more.
type Deadlines struct {
	DeadlinesConfig
	moved chan struct{} // the business clock was
}

// NewDeadlines returns a worker that does nothing until it runs.
func NewDeadlines(c DeadlinesConfig) *Deadlines {
	if c.Every == 0 {
		c.Every = 30 * time.Second
	}
	if c.Tried == nil {
		c.Tried = func(string, string) {}
	}
	return &Deadlines{DeadlinesConfig: c, moved: make(chan struct{}, 1)}
}

// ClockMoved has Run look at once: a clock that is moved by hand passes
// deadlines without a timer noticing.
func (d *Deadlines) ClockMoved() {
	select {
	case d.moved <- struct{}{}:
	default: // somebody has said so
	}
}

// Run does what is due until ctx ends. It returns nil then.
func (d *Deadlines) Run(ctx context.Context) error {
	var before time.Time
	for ctx.Err() == nil {
		now := d.Handler.Now()
		agenda := d.look(ctx)
		if now.Equal(before) {
			agenda.Next = time.Time{} // the clock stands still: whoever moves it says so
		}
		before = now
		d.rest(ctx, agenda)
	}
	return nil
}

// rest waits until there may be something to do, the clock is moved, or ctx
// ends.
func (d *Deadlines) rest(ctx context.Context, agenda Agenda) {
	left := d.Every
	if !agenda.Next.IsZero() {
		left = min(left, agenda.Next.Sub(d.Handler.Now()))
	}
	if !agenda.Retry.IsZero() {
		left = min(left, agenda.Retry.Sub(d.Now()))
	}
	timer := time.NewTimer(max(left, shortest))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-d.moved:
	case <-timer.C:
	}
}

const (
	leftAlone   = 2 * time.Minute       // what a process has taken and never settled
	shortest    = 50 * time.Millisecond // between two looks, whatever the agenda says
	firstPause  = time.Second           // after a first failure
	longest     = 10 * time.Minute      // after many
	doublingsTo = 10                    // of the first pause it takes to be longer than that
)

// look does everything that is due, and returns when there is more.
func (d *Deadlines) look(ctx context.Context) Agenda {
	for ctx.Err() == nil {
		now := d.Now()
		agenda, err := d.Due(ctx, d.Handler.Now(), now)
		if err != nil {
			d.failed(ctx, err)
			return Agenda{}
		}
		if len(agenda.Due) == 0 {
			return agenda
		}
		tries, err := d.Attempts.Take(ctx, agenda.Due, now, now.Add(leftAlone))
		if err != nil {
			d.failed(ctx, err)
			return Agenda{}
		}
		if len(tries) == 0 {
			return Agenda{Retry: now.Add(firstPause)} // another process is at it
		}
		for _, x := range agenda.Due {
			if n := tries[x.ID()]; n > 0 && ctx.Err() == nil {
				d.attend(ctx, x, n)
			}
		}
	}
	return Agenda{}
}

// attend does what is due for the n-th time.
func (d *Deadlines) attend(ctx context.Context, x domain.Deadline, n int) {
	err := d.send(ctx, x)
	rule := domain.RuleOf(err)
	outcome := DeadlineFailed
	switch {
	case err == nil:
		outcome = DeadlineDone
		err = d.Attempts.Settle(ctx, x.ID(), outcome, d.Now())
	case rule != nil && settles(rule.Kind):
		outcome = DeadlineRefused
		err = d.Attempts.Settle(ctx, x.ID(), rule.Rule, d.Now())
	case ctx.Err() != nil:
		return // it stays taken for a while
	default:
		d.failed(ctx, err)
		err = d.Attempts.PutOff(ctx, x.ID(), err.Error(), d.Now().Add(pause(n)))
	}
	d.Tried(x.Kind, outcome)
	if err != nil {
		d.failed(ctx, err)
	}
}

// send sends the command for what is due. It is the same whoever sends it.
func (d *Deadlines) send(ctx context.Context, x domain.Deadline) error {
	req := commands.Request{Command: x.ID(), Actor: appointment.Automatic}
	id := domain.AppointmentID(x.Owner.ID())
	var err error
	switch x.Kind {
	case appointment.DueLapse:
		_, err = d.Handler.Lapse(ctx, req, id, x.Set)
	case appointment.DueNoShow:
		_, err = d.Handler.GiveUp(ctx, req, id, x.Set)
	case waitlist.DueExpire:
		_, err = d.Handler.ExpireWish(ctx, req, domain.WishID(x.Owner.ID()))
	default:
		err = fmt.Errorf("nobody knows what to do about a deadline of the kind %q", x.Kind)
	}
	return err
}

// settles reports whether a refusal of this kind would be the same later.
func settles(k domain.Kind) bool {
	return k != domain.Internal && k != domain.Unavailable && k != domain.Limited
}

// pause returns how long to leave alone what has failed n times.
func pause(n int) time.Duration {
	return min(longest, firstPause<<min(n-1, doublingsTo))
}

func (d *Deadlines) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		d.Logger.WarnContext(ctx, "deadline not met; it is tried again", "error", err)
	}
}
