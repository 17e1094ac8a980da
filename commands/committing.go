package commands

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/slot"
)

// commit stores what was decided.
func (h *Handler) commit(ctx context.Context, a *attempt) (Answer[appointment.State], error) {
	events, err := h.decideCommit(a)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	own := Write{Stream: a.stream(), Expected: last(a.own), Events: a.proposed}
	if !h.Store.Atomic() {
		done, err := h.step(ctx, a, own)
		if err == nil {
			done.Position = max(done.Position, h.tidy(ctx, a.req, done.State))
		}
		return done, err
	}
	done := Answer[appointment.State]{State: domain.Fold(appointment.Evolve, a.state, events...)}
	own.Events = slices.Concat(own.Events, stamp(h, a.req, events))
	done.Revision = own.Expected + domain.Revision(len(own.Events))
	later, err := h.freeAll(ctx, a, done.State)
	if err != nil {
		return done, err
	}
	done.Position, err = h.append(ctx, slices.Concat(a.claims, []Write{own}, a.frees), slices.Concat(a.checks, a.wish.checks))
	if err == nil && later {
		done.Position = max(done.Position, h.tidy(ctx, a.req, done.State))
	}
	return done, err
}

// freeAll decides the releases of what is dead once the attempt is stored. Where
// the new set claims on the same stream, the release has to come later: no
// prefix of the log shows a live set without its claims.
func (h *Handler) freeAll(ctx context.Context, a *attempt, then appointment.State) (later bool, err error) {
	if err := h.loadMore(ctx, a, owed(then)); err != nil {
		return false, err
	}
	for _, n := range dead(then) {
		old := then.Sets[n-1]
		for _, stream := range claimsOf(old) {
			if slices.ContainsFunc(slices.Concat(a.claims, a.frees), func(w Write) bool { return w.Stream == stream }) {
				later = true
				continue
			}
			events, err := release(stream, a.loaded[stream], claim.Claim{Owner: a.stream(), Set: n}, endOf(old))
			if err != nil {
				return false, err
			}
			if len(events) > 0 {
				a.frees = append(a.frees, Write{stream, last(a.loaded[stream]), stamp(h, a.req, events)})
			}
		}
	}
	return later, nil
}

// decideCommit judges the deadline by this process's clock, right before the
// append. Too late to decide a set of one's own is a race lost against the
// clock: the next try ends the set and opens another.
func (h *Handler) decideCommit(a *attempt) ([]appointment.Event, error) {
	var command appointment.Command = appointment.Commit{
		Set: a.set, At: h.now(), ExpectedAt: a.turn(), MissedAt: a.missedAt(), Overbooked: a.overbooked(),
		By: a.by, Note: domain.Open(string(a.visit.Patient), a.note), Mends: a.mends,
	}
	switch {
	case a.hold:
		command = appointment.Hold{Set: a.set, Until: a.until, Ceiling: a.ceiling, At: h.now(), Wish: a.offeredFor()}
	case a.request:
		command = appointment.Request{Set: a.set, Until: a.until, At: h.now()}
	}
	events, err := appointment.Decide(a.state, command)
	if errors.Is(err, appointment.ErrLapsed) && a.existing == 0 {
		return nil, ErrWrongRevision
	}
	return events, err
}

// missedAt returns when a patient who has not come counts as a no-show, zero
// for never.
func (a *attempt) missedAt() time.Time {
	if a.giveUp == 0 {
		return time.Time{}
	}
	return a.state.Sets[a.set-1].End.Add(a.giveUp)
}

// turn returns when the patient's turn is in a session of several, nil in any
// other visit.
func (a *attempt) turn() *time.Time {
	if len(a.visit.Slots) != 1 || a.overbooked() || a.opened[a.visit.Slots[0]].capacity < 2 {
		return nil
	}
	if at, shared := a.slotState(a.visit.Slots[0]).Turn(claim.Claim{Owner: a.stream(), Set: a.set}); shared {
		return &at
	}
	return nil
}

// overbooked reports whether staff have added a place for the visit.
func (a *attempt) overbooked() bool {
	if a.beyond == "" {
		return false
	}
	return slices.ContainsFunc(a.visit.Slots, func(id domain.SlotID) bool { return a.slotState(id).Added(a.id) })
}

// slotState returns a slot as it is with what this try has decided.
func (a *attempt) slotState(id domain.SlotID) slot.State {
	stream := slot.Stream(id)
	state := domain.Replay(slot.Evolve, slot.State{}, a.loaded[stream])
	for _, w := range a.claims {
		if w.Stream != stream {
			continue
		}
		for _, e := range w.Events {
			if event, ok := e.Event.(slot.Event); ok {
				state = slot.Evolve(state, event)
			}
		}
	}
	return state
}

// step stores an attempt one append at a time: proposed, the claims, the outcome.
func (h *Handler) step(ctx context.Context, a *attempt, own Write) (done Answer[appointment.State], err error) {
	if len(own.Events) > 0 {
		if _, err := h.Store.Append(ctx, own); err != nil {
			return done, err
		}
	}
	a.stored = true
	own.Expected += domain.Revision(len(own.Events))
	for i := range a.claims {
		if err := h.settle(ctx, a, &a.claims[i]); err != nil {
			return done, h.refuse(ctx, a, own, err)
		}
	}
	events, err := h.decideCommit(a)
	if err != nil {
		return done, err
	}
	own.Events = stamp(h, a.req, events)
	done.State, done.Revision = domain.Fold(appointment.Evolve, a.state, events...), own.Expected+domain.Revision(len(events))
	done.Position, err = h.Store.Append(ctx, own)
	return done, err
}

// settle appends one claim, deciding again as long as races are lost and the
// caller's patience lasts.
func (h *Handler) settle(ctx context.Context, a *attempt, write *Write) error {
	for {
		_, err := h.Store.Append(ctx, *write)
		if !errors.Is(err, ErrWrongRevision) {
			return err
		}
		if pause(ctx) != nil {
			return ErrBusy
		}
		loaded, err := h.Store.Load(ctx, write.Stream)
		if err != nil {
			return err
		}
		a.loaded[write.Stream] = loaded[write.Stream]
		*write, err = h.claim(ctx, a.req, a.arbiter(write.Stream), loaded[write.Stream])
		if err != nil || len(write.Events) == 0 {
			return err
		}
	}
}
