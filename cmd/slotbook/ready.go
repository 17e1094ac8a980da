package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// The limits of readiness that nobody sets.
const (
	readyClock  = time.Second // between this machine's clock and the database's
	readyBehind = 10_000      // positions that a read model may lack before a process is ready for the first time
)

var (
	errStarting = domain.Refusal(domain.Unavailable, "process.starting", "the process is still starting")
	errClock    = domain.Refusal(domain.Unavailable, "clock.skewed", "this machine's clock differs from the database's by more than a second")
	errReplaced = domain.Refusal(domain.Unavailable, "store.replaced", "the store was restored or replaced after this process began: start it again")
	errBehind   = domain.Refusal(domain.Unavailable, "projection.behind", "a read model has not caught up yet")
)

// ready tells why this process should get no traffic, or else what an operator
// should know all the same.
func (a *app) ready(ctx context.Context) ([]string, error) {
	if err := a.fit(ctx); err != nil {
		return nil, err
	}
	statuses, err := a.engine.Status(ctx)
	if err != nil {
		return nil, err
	}
	return a.standing(statuses)
}

// fit tells why this process should get no traffic, whatever its read models are
// like.
func (a *app) fit(ctx context.Context) error {
	if !a.begun.Load() {
		return errStarting
	}
	skew, err := a.store.ClockSkew(ctx)
	if err != nil {
		return err
	}
	if skew.Abs() > readyClock {
		return errClock
	}
	now, err := a.store.Identity(ctx)
	if err == nil && (now.ID != a.identity.ID || now.Epoch != a.identity.Epoch) {
		err = errReplaced
	}
	return err
}

// standing judges the read models, once the process has begun. It becomes ready
// when they have come to where the log ended then, those too that it makes anew, of another
// version than the processes before it, and close to the head; from then on only
// the time counts that an event has been waiting for them, so that a takeover by
// another process, or a burst of events, takes no process out of service.
func (a *app) standing(statuses []engine.Status) ([]string, error) {
	built, most := a.found, uint64(readyBehind)
	if !a.counted() {
		most *= bytesOfAnEvent
	}
	if a.arrived.Load() {
		built, most = 0, 0
	}
	notes, err := judge(statuses, a.readyLag, built, most)
	if err == nil {
		a.arrived.Store(true)
	}
	return notes, err
}

// bytesOfAnEvent is about what an event takes in a log whose positions are bytes.
const bytesOfAnEvent = 500

// counted reports whether positions count events, so that the difference of two of
// them is a number of events.
func (a *app) counted() bool {
	_, elsewhere := a.store.(kurrentStore)
	return !elsewhere
}

// judge tells which read models keep a process from being ready: those that have
// to be rebuilt, those for which an event has been waiting longer than the limit,
// or more events than most, and those not yet built so far; 0 = no limit. Where another process keeps a
// model, that it stopped here is only worth a note; and somebody knows what they
// do who has paused one.
func judge(statuses []engine.Status, lag time.Duration, built domain.Position, most uint64) (notes []string, err error) {
	var rebuild, late []string
	for _, s := range statuses {
		behind := fmt.Sprintf("%d positions and %s behind", s.Behind, s.Lag.Round(time.Second))
		switch {
		case s.Rebuild != "":
			rebuild = append(rebuild, s.Model)
		case !s.Paused.IsZero():
			notes = append(notes, fmt.Sprintf("%s is paused since %s, %s", s.Model, s.Paused.Format(time.RFC3339), behind))
		case lag > 0 && s.Lag > lag, most > 0 && s.Behind > most, s.Position < built && s.Stopped == "":
			late = append(late, s.Model+" is "+behind+stopped(s))
		case s.Stopped != "":
			notes = append(notes, s.Model+" is kept by another process"+stopped(s))
		}
	}
	switch {
	case len(rebuild) > 0:
		return notes, engine.ErrRebuild.Because(engine.ErrRebuild.Text + ": " + strings.Join(rebuild, ", "))
	case len(late) > 0:
		return notes, errBehind.Because("read models have not caught up yet: " + strings.Join(late, "; "))
	}
	return notes, nil
}

func stopped(s engine.Status) string {
	if s.Stopped == "" {
		return ""
	}
	return " (it stopped here, for a newer version of the program has written events that this one does not know)"
}
