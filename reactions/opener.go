// Package reactions holds the process managers: one event or one deadline in,
// commands out. Every command that they send is idempotent, so a reaction may
// run twice, in two processes at once, or late.
package reactions

import (
	"context"
	"log/slog"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
)

// Log is the event store as a reaction follows it.
type Log interface {
	ReadAll(ctx context.Context, after domain.Position, f domain.Filter, limit int) (domain.Page, error)
	Head(ctx context.Context) (domain.Position, error)
	Wait(ctx context.Context, after domain.Position) error
}

// OpenerConfig configures an opener.
type OpenerConfig struct {
	Log           Log
	Handler       *commands.Handler
	Practitioners func(ctx context.Context) ([]domain.PractitionerID, error) // everybody who may have a schedule
	Every         time.Duration                                              // between two looks at every horizon; 0 = 15 min
	Logger        *slog.Logger
}

// Opener keeps the days open that schedules reach:
//
//	slot.released of a withdrawn slot --> open what waited for its time
//	the clock, and the process's start --> open the days that the horizons reach by now
//
// Nothing depends on its being punctual or alone: what it missed, the next
// look finds.
type Opener struct {
	OpenerConfig
}

// NewOpener returns an opener that does nothing until it runs.
func NewOpener(c OpenerConfig) *Opener {
	if c.Every == 0 {
		c.Every = 15 * time.Minute
	}
	return &Opener{OpenerConfig: c}
}

// Run keeps days open until ctx ends. It returns nil then.
func (o *Opener) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.follow(ctx)
	}()
	ticker := time.NewTicker(o.Every)
	defer ticker.Stop()
	for {
		o.openAll(ctx)
		select {
		case <-ctx.Done():
			<-done
			return nil
		case <-ticker.C:
		}
	}
}

// openAll looks at every practitioner's horizon.
func (o *Opener) openAll(ctx context.Context) {
	everybody, err := o.Practitioners(ctx)
	if err != nil {
		o.failed(ctx, err)
		return
	}
	for _, id := range everybody {
		if ctx.Err() != nil {
			return
		}
		req := commands.Request{Command: o.Handler.NewID(), Actor: "system"}
		opening, err := o.Handler.OpenDays(ctx, req, id)
		if err != nil {
			o.failed(ctx, err)
			continue
		}
		if n := len(opening.Opened); n > 0 {
			o.Logger.InfoContext(ctx, "days opened", "practitioner", id, "slots", n)
		}
	}
}

// follow opens what waited for a slot that is released from now on.
func (o *Opener) follow(ctx context.Context) {
	var at domain.Position
	for started := false; ctx.Err() == nil; {
		var err error
		if started {
			at, err = o.next(ctx, at)
		} else {
			at, err = o.Log.Head(ctx)
			started = err == nil
		}
		if err != nil {
			o.failed(ctx, err)
			rest(ctx, time.Second) // a store that is away is not asked in a loop
		}
	}
}

// gather is how long events are gathered before they are read: nothing that
// waits for a release waits for milliseconds.
const gather = 200 * time.Millisecond

func (o *Opener) next(ctx context.Context, at domain.Position) (domain.Position, error) {
	if err := o.Log.Wait(ctx, at); err != nil {
		return at, err
	}
	rest(ctx, gather)
	page, err := o.Log.ReadAll(ctx, at, domain.Filter{Types: []string{slot.Released{}.EventType()}}, 500)
	if err != nil {
		return at, err
	}
	for _, r := range page.Events {
		if released, ok := r.Event.(slot.Released); ok {
			if err := o.released(ctx, r, released); err != nil {
				o.failed(ctx, err) // the next look at every horizon finds what waits
			}
		}
	}
	return page.Next, nil
}

func (o *Opener) released(ctx context.Context, r domain.Recorded, e slot.Released) error {
	now, err := o.Handler.Slot(ctx, e.Slot)
	if err != nil || !now.State.Withdrawn {
		return err
	}
	req := commands.Request{Command: domain.NewID(r.ID, "opener"), Actor: "system"}
	_, err = o.Handler.OpenDays(ctx, req, e.Practitioner)
	return err
}

func (o *Opener) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		o.Logger.WarnContext(ctx, "days not opened; the next look finds them", "error", err)
	}
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
