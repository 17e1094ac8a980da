package commands

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// system is the actor of what a command does for others on its way.
const system = "system"

// verdicts is what was found out about foreign claims, and which event of the
// owner says so.
type verdicts struct {
	stream domain.StreamName // the arbiter's
	fates  claim.Fates
	cause  map[claim.Claim]string
	until  time.Time              // the first deadline of those that are pending
	ends   map[claim.Claim]string // of what was offered, as [waitlist.Release] says
}

func (h *Handler) verdicts(stream domain.StreamName) *verdicts {
	return &verdicts{stream: stream, fates: claim.Fates{}, cause: map[claim.Claim]string{}, ends: map[claim.Claim]string{}}
}

// claim decides one claim. Whoever is refused by a foreign claim looks its
// owner up and decides again: no claim stream judges time. It returns a
// [Conflict] when the claim is refused for good.
func (h *Handler) claim(ctx context.Context, req Request, a arbiter, recorded []domain.Recorded) (Write, error) {
	v := h.verdicts(a.stream)
	a.ends = v.ends
	for {
		events, err := a.decide(recorded, v.fates)
		if err == nil {
			return Write{a.stream, last(recorded), h.stampClaim(req, events, v)}, nil
		}
		conflict := &Conflict{err, a.stream, last(recorded), v.until}
		taken, ok := errors.AsType[*claim.Taken](err)
		if !ok {
			return Write{}, conflict
		}
		learned, err := h.lookUp(ctx, taken.By, v)
		if err != nil {
			return Write{}, err
		}
		if !learned && (a.beyond == "" || a.insist || a.stream.Category() != slot.Category) {
			return Write{}, conflict
		}
		a.insist = !learned
	}
}

// lookUp finds out the fate of claims that nobody has looked up yet, and ends
// sets whose deadline has passed. It reports whether it learned anything.
func (h *Handler) lookUp(ctx context.Context, claims []claim.Claim, v *verdicts) (bool, error) {
	var owners []domain.StreamName
	for _, c := range claims {
		if v.fates[c] == claim.Unknown {
			owners = append(owners, c.Owner)
		}
	}
	if len(owners) == 0 {
		return false, nil
	}
	loaded, err := h.Store.Load(ctx, owners...)
	if err != nil {
		return false, err
	}
	for _, c := range claims {
		if v.fates[c] != claim.Unknown {
			continue
		}
		var err error
		if loaded[c.Owner], err = h.judge(ctx, c, loaded[c.Owner], v); err != nil {
			return false, err
		}
	}
	return true, nil
}

// judge finds the fate of one claim, and returns what its owner's stream holds
// then. A pending set past its deadline is ended first; a race lost there is the
// command's race lost. A set that its owner does not know is taken for live: what
// is not understood is not released.
func (h *Handler) judge(ctx context.Context, c claim.Claim, owner []domain.Recorded, v *verdicts) ([]domain.Recorded, error) {
	state := domain.Replay(appointment.Evolve, appointment.State{}, owner)
	fate := state.Fate(c.Set)
	if fate == claim.Unknown {
		v.fates[c] = claim.Live
		return owner, nil
	}
	cause := ""
	if _, n := state.Waiting(); n == c.Set {
		decided, err := h.decidedBySeries(ctx, state, h.Now())
		if err != nil {
			return owner, err
		}
		cause = decided.cause
		state = domain.Fold(appointment.Evolve, state, decided.events...)
		if fate = state.Fate(c.Set); fate == claim.Pending {
			v.wait(state.Sets[c.Set-1].Deadline)
		}
	} else if fate == claim.Pending {
		events, err := appointment.Decide(state, appointment.Lapse{Set: c.Set, At: h.Now()})
		switch {
		case errors.Is(err, appointment.ErrNotDue):
			v.wait(state.Sets[c.Set-1].Deadline)
		case err != nil:
			return owner, err
		default:
			state = domain.Fold(appointment.Evolve, state, events...)
			fate = state.Fate(c.Set)
			if owner, err = h.help(ctx, c, owner, events); err != nil {
				return owner, err
			}
		}
	}
	apart, err := h.apart(ctx, v.stream, state.Sets[c.Set-1])
	if err != nil {
		return owner, err
	}
	if apart || h.uncounted(v.stream, state, c.Set) {
		fate = claim.Dead
	}
	if v.stream.Category() == waitlist.Category && state.Sets[c.Set-1].WasLive {
		fate = claim.Live // what was booked once has fulfilled its wish for good
	}
	v.fates[c], v.cause[c], v.ends[c] = fate, cmp.Or(cause, lastOf(owner, c.Set)), endOf(state.Sets[c.Set-1])
	return owner, nil
}

// wait notes the deadline of a claim that may still lapse.
func (v *verdicts) wait(until time.Time) {
	if v.until.IsZero() || until.Before(v.until) {
		v.until = until
	}
}

// uncounted reports whether a quota no longer counts a set that is live or
// pending: holds count until they are booked or requested, and what is to come
// until it is over.
func (h *Handler) uncounted(stream domain.StreamName, s appointment.State, n int) bool {
	q, ok := quota.Parse(stream)
	set := s.Sets[n-1]
	switch {
	case !ok:
		return false
	case q.Rule == quota.Holds, q.Rule == quota.Offers:
		return set.Fate == claim.Live || set.Phase == appointment.OnRequest
	}
	over := s.Status.Over() || !h.Now().Before(set.End.Add(appointment.ClockSlack))
	return set.Fate == claim.Live && q.Bucket == quota.Active && over
}

// lastOf returns the id of the last event about a set.
func lastOf(owner []domain.Recorded, set int) string {
	for _, r := range slices.Backward(owner) {
		if e, ok := r.Event.(appointment.Event); ok {
			if _, n := appointment.Of(e); n == set {
				return r.ID
			}
		}
	}
	return ""
}

// help appends what follows for a set from an event that is there already. It
// returns what the owner's stream holds then, as far as deciding needs it.
func (h *Handler) help(
	ctx context.Context, c claim.Claim, owner []domain.Recorded, events []appointment.Event,
) ([]domain.Recorded, error) {
	event := NewEvent{h.NewID(), events[0], helping(lastOf(owner, c.Set))}
	if _, err := h.Store.Append(ctx, Write{c.Owner, last(owner), []NewEvent{event}}); err != nil {
		return owner, err
	}
	grown := after(owner, []domain.Event{event.Event})
	grown[len(grown)-1].ID = event.ID
	return grown, nil
}

func helping(cause string) domain.Metadata {
	return domain.Metadata{Command: domain.NewID(cause, "help"), Actor: system, Causation: cause}
}

// stampClaim gives the claim's own event the command's origin, and the
// releases of dead claims that of the event that killed them.
func (h *Handler) stampClaim(req Request, events []domain.Event, v *verdicts) []NewEvent {
	stamped := stamp(h, req, events)
	for i, e := range events {
		switch e := e.(type) {
		case slot.Released:
			stamped[i].Metadata = v.origin(e.Claim, stamped[i].Metadata)
		case occupancy.Released:
			stamped[i].Metadata = v.origin(e.Claim, stamped[i].Metadata)
		case quota.Released:
			stamped[i].Metadata = v.origin(e.Claim, stamped[i].Metadata)
		case waitlist.HasPassed:
			stamped[i].Metadata = v.origin(e.Claim, stamped[i].Metadata)
		}
	}
	return stamped
}

// origin returns the metadata of a release: that of the event that killed the
// claim, or, where the command gives its own claim back, the command's.
func (v *verdicts) origin(c claim.Claim, own domain.Metadata) domain.Metadata {
	if cause, foreign := v.cause[c]; foreign {
		return helping(cause)
	}
	return own
}
