// Package reactions holds the process managers: one event or one deadline in,
// commands out. Every command that they send is idempotent, so a reaction may
// run twice, in two processes at once, or late.
package reactions

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// OpenerConfig configures an opener.
type OpenerConfig struct {
	Handler       *commands.Handler
	Practitioners func(ctx context.Context) ([]domain.PractitionerID, error) // everybody who may have a schedule
	Settled       Settled                                                    // nil = it is remembered as long as the opener
	Every         time.Duration                                              // at most, between two looks at every horizon; 0 = 15 min
	Logger        *slog.Logger
}

// Settlement says that nothing is left to do for a schedule.
type Settlement struct {
	Revision domain.Revision // of the schedule
	Until    time.Time       // when its horizon moves; zero = never
}

// Settled remembers for whom nothing is left to do. It may forget anything:
// then days are looked at that need not be.
type Settled interface {
	Settlements(ctx context.Context, ids []domain.PractitionerID) (map[domain.PractitionerID]Settlement, error)
	Settle(ctx context.Context, settled map[domain.PractitionerID]Settlement) error
}

// remembered is what one process remembers.
type remembered map[domain.PractitionerID]Settlement

func (r remembered) Settlements(context.Context, []domain.PractitionerID) (map[domain.PractitionerID]Settlement, error) {
	return r, nil
}

func (r remembered) Settle(_ context.Context, settled map[domain.PractitionerID]Settlement) error {
	maps.Copy(r, settled)
	return nil
}

// Opener keeps the days open that schedules reach:
//
//	slot.released of a withdrawn slot --> open what waited for its time ([Opener.React])
//	clinic.calendar-set --> have the schedules there adopt it ([Opener.React])
//	a clinic's day ends, the process starts, at least every 15 minutes --> open the days that the horizons reach by now
//
// Nothing depends on its being punctual or alone: what it missed, the next
// look finds. A look asks how all schedules stand, and takes up those that
// have changed since the look before, whose horizon has moved, or that wait for
// something.
type Opener struct {
	OpenerConfig
	mu     sync.Mutex
	due    time.Time     // when the next look is due
	sooner chan struct{} // it is due sooner than before
}

// NewOpener returns an opener that does nothing until it runs.
func NewOpener(c OpenerConfig) *Opener {
	if c.Every == 0 {
		c.Every = 15 * time.Minute
	}
	if c.Settled == nil {
		c.Settled = remembered{}
	}
	return &Opener{OpenerConfig: c, sooner: make(chan struct{}, 1)}
}

// Run keeps days open until ctx ends. It returns nil then.
func (o *Opener) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		o.Look(ctx)
		o.restUntilDue(ctx)
	}
	return nil
}

// lookBy has the next look come at an instant, or earlier; the zero time says
// nothing.
func (o *Opener) lookBy(t time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.IsZero() || !o.due.IsZero() && !t.Before(o.due) {
		return
	}
	o.due = t
	select {
	case o.sooner <- struct{}{}:
	default: // somebody has said so
	}
}

// ClockMoved has Run see what time it is: a clock that is moved by hand passes
// the next look without a timer noticing.
func (o *Opener) ClockMoved() {
	select {
	case o.sooner <- struct{}{}:
	default: // somebody has said so
	}
}

// restUntilDue waits until a look is due, or ctx ends.
func (o *Opener) restUntilDue(ctx context.Context) {
	for ctx.Err() == nil {
		o.mu.Lock()
		left := o.due.Sub(o.Handler.Now())
		o.mu.Unlock()
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
		case <-o.sooner:
		case <-timer.C:
		}
		timer.Stop()
	}
}

const (
	afterFailure = time.Minute // a look that failed is made again
	atOnce       = 500         // schedules that are asked for together
)

// Look looks at everybody's schedule once, and opens the days that are to be
// open. What fails is logged, and looked at again soon by [Opener.Run].
func (o *Opener) Look(ctx context.Context) {
	o.mu.Lock()
	o.due = time.Time{}
	o.mu.Unlock()
	o.lookBy(o.Handler.Now().Add(o.Every))
	everybody, err := o.Practitioners(ctx)
	if err != nil {
		o.failed(ctx, err)
		return
	}
	looked := 0
	for some := range slices.Chunk(everybody, atOnce) {
		slots, err := o.lookAt(ctx, some)
		if err != nil {
			o.failed(ctx, err)
		}
		if looked += len(some); slots > 0 {
			o.Logger.InfoContext(ctx, "days opened", "slots", slots, "practitioners", looked, "of", len(everybody))
		}
	}
}

// lookAt opens the days of those who are not settled, and returns how many
// slots these have. It takes the schedules up in any order, so that several
// processes, which all look when a day ends, do not all begin with the same.
func (o *Opener) lookAt(ctx context.Context, ids []domain.PractitionerID) (slots int, err error) {
	standings, err := o.Handler.Standings(ctx, ids...)
	if err != nil {
		return 0, err
	}
	known, err := o.Settled.Settlements(ctx, ids)
	if err != nil {
		return 0, err
	}
	due, now := map[domain.PractitionerID]commands.Standing{}, o.Handler.Now()
	for i, s := range standings {
		if s.Revision == domain.NoStream {
			continue
		}
		o.lookBy(s.NextDay)
		was, ok := known[ids[i]]
		moved := !was.Until.IsZero() && !now.Before(was.Until)
		if !ok || moved || s.Stale || was.Revision != s.Revision {
			due[ids[i]] = s
		}
	}
	settled := map[domain.PractitionerID]Settlement{}
	open := slices.Collect(maps.Keys(due)) // in any order
	o.Handler.OpenEverybody(ctx, "system", open, func(id domain.PractitionerID, opening commands.Opening, err error) {
		if err != nil {
			o.failed(ctx, err)
			return
		}
		slots += len(opening.Opened)
		if len(opening.Waiting) == 0 { // what waits may also be given back by a claim that nobody releases
			settled[id] = Settlement{due[id].Revision, due[id].NextDay}
		}
		if n := len(opening.Displaced); n > 0 {
			o.Logger.WarnContext(ctx, "appointments displaced", "practitioner", id, "appointments", n)
		}
	})
	if len(settled) == 0 {
		return slots, nil
	}
	return slots, o.Settled.Settle(ctx, settled)
}

// Wants returns the types of events that [Opener.React] reacts to.
func (o *Opener) Wants() []string {
	return []string{
		slot.Released{}.EventType(), clinic.CalendarSet{}.EventType(), clinic.Changed{}.EventType(), clinic.WasClosed{}.EventType(), schedule.WasSet{}.EventType(),
	}
}

// React opens what waited for a slot that is released, and has [Opener.Run] look
// when a clinic's calendar or the end of a day is news. It is called with the
// events of the log as they are recorded. Errors: those of
// [commands.Handler.OpenDays].
func (o *Opener) React(ctx context.Context, r domain.Recorded) error {
	switch e := r.Event.(type) {
	case slot.Released:
		return o.released(ctx, r, e)
	case clinic.CalendarSet, clinic.Changed, clinic.WasClosed:
		o.lookBy(o.Handler.Now())
	case schedule.WasSet: // its command opens the days of today
		o.lookBy(schedule.Evolve(schedule.State{}, e).NextDay(o.Handler.Now()))
	}
	return nil
}

func (o *Opener) released(ctx context.Context, r domain.Recorded, e slot.Released) error {
	now, err := o.Handler.Slot(ctx, e.Slot)
	if err != nil || !now.State.Withdrawn {
		return err
	}
	_, err = o.Handler.OpenDays(ctx, commands.CausedBy(r, "opener"), e.Practitioner)
	return err
}

func (o *Opener) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		o.lookBy(o.Handler.Now().Add(afterFailure))
		o.Logger.WarnContext(ctx, "days not opened; the next look finds them", "error", err)
	}
}
