package commands

import (
	"context"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/quota"
)

// toCome returns the quotas that count a set for as long as its visit is to come.
func toCome(s appointment.Set) []domain.StreamName {
	return slices.DeleteFunc(slices.Clone(s.Claims), func(stream domain.StreamName) bool {
		q, ok := quota.Parse(stream)
		return !ok || q.Bucket != quota.Active || q.Rule == quota.Holds || q.Rule == quota.Offers
	})
}

// uncount gives back the quotas of what is to come, once it has come, and
// returns the position of the last release. Its failure is nobody's: a claim of
// what is over counts for nothing. What has been undone meanwhile stays counted.
func (h *Handler) uncount(ctx context.Context, req Request, id domain.AppointmentID) domain.Position {
	position, _ := retry(ctx, h, func(ctx context.Context) (domain.Position, error) { // see above
		a := &attempt{id: id, req: req}
		if err := h.loadOwn(ctx, a); err != nil || !a.state.Status.Over() {
			return 0, err
		}
		set, n := a.state.Current()
		var claims []owedClaim
		for _, stream := range toCome(set) {
			claims = append(claims, owedClaim{stream: stream, claim: claim.Claim{Owner: a.stream(), Set: n}})
		}
		writes, err := h.releases(ctx, req, claims)
		if err != nil || len(writes) == 0 {
			return 0, err
		}
		if h.Store.Atomic() {
			return h.Store.Append(ctx, append(writes, Write{Stream: a.stream(), Expected: last(a.own)})...)
		}
		position, err := h.inTurn(ctx, writes)
		if err == nil {
			err = h.countAgain(ctx, req, id)
		}
		return position, err
	})
	return position
}

// inTurn appends one write after the other.
func (h *Handler) inTurn(ctx context.Context, writes []Write) (position domain.Position, err error) {
	for _, w := range writes {
		if position, err = h.Store.Append(ctx, w); err != nil {
			return position, err
		}
	}
	return position, nil
}

// revert undoes a change of status that is no cancellation.
func (h *Handler) revert(ctx context.Context, req Request, id domain.AppointmentID, undo appointment.Undo) (Answer[appointment.State], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		return again(ctx, h, func(ctx context.Context) (Answer[appointment.State], error) { return h.tryRevert(ctx, req, id, undo) })
	})
}

// tryRevert counts a visit that was over as one to come again, and then takes
// the change back: in one append where the store can. A claim whose undoing dies
// is one of what is over, and counts for nothing.
func (h *Handler) tryRevert(ctx context.Context, req Request, id domain.AppointmentID, undo appointment.Undo) (Answer[appointment.State], error) {
	a := &attempt{id: id, req: req}
	var done Answer[appointment.State]
	if err := h.loadOwn(ctx, a); err != nil {
		return done, err
	}
	if done, repeated, err := a.replayed(); repeated || err != nil {
		if repeated && done.Revision == last(a.own) {
			err = h.catchUp(ctx, req, a.state, true, &done)
		}
		return done, err
	}
	events, err := appointment.Decide(a.state, undo)
	if err != nil || len(events) == 0 {
		return answer(a.state, a.own), err
	}
	if a.state.Status.Over() {
		if err := h.recount(ctx, a); err != nil {
			return done, err
		}
	}
	own := Write{a.stream(), last(a.own), stamp(h, req, events)}
	done.State, done.Revision = domain.Fold(appointment.Evolve, a.state, events...), own.Expected+domain.Revision(len(events))
	queued, err := h.queued(ctx, req, done.State, a.state.Status != appointment.NoShow)
	if err != nil {
		return done, err
	}
	writes := slices.Concat(a.claims, []Write{own}, queued)
	if h.Store.Atomic() {
		done.Position, err = h.append(ctx, writes, a.checks)
		return done, err
	}
	if done.Position, err = h.inTurn(ctx, writes); err == nil && len(a.claims) > 0 {
		_ = h.countAgain(ctx, req, id) // it is undone: what is still to be done is nobody's failure
	}
	return done, err
}

// recount claims the quotas of what is to come once more, unless the time of
// the visit has passed. A claim that has not been given back is made anew, so
// that whoever is about to release it finds another revision.
func (h *Handler) recount(ctx context.Context, a *attempt) error {
	set, n := a.state.Current()
	streams := toCome(set)
	if len(streams) == 0 || h.isPast(set) {
		return nil
	}
	place, err := h.placeOf(ctx, set.Visit)
	if err != nil {
		return err
	}
	a.wish, a.set = wish{visit: set.Visit, limits: place.limits(set.Visit)}, n
	who, check, err := profile(ctx, h, patient.Stream(set.Patient), patient.Evolve, patient.ErrNotFound)
	if err == nil {
		err = h.oneself(ctx, a, who)
	}
	if err != nil {
		return err
	}
	a.checks = append(a.checks, check)
	return h.claimQuotas(ctx, a, streams)
}

// isPast reports whether the time of a set has passed: it is not to come, whatever
// its status.
func (h *Handler) isPast(s appointment.Set) bool {
	return !h.Now().Before(s.End.Add(appointment.ClockSlack))
}

// claimQuotas decides the claims of the attempt's set on quotas, made anew
// where they are there and there is a limit.
func (h *Handler) claimQuotas(ctx context.Context, a *attempt, streams []domain.StreamName) (err error) {
	names := slices.Clone(streams)
	for _, stream := range streams {
		names = append(names, a.siblings(stream)...)
	}
	slices.Sort(names)
	if a.loaded, err = h.Store.Load(ctx, slices.Compact(names)...); err != nil {
		return err
	}
	for _, stream := range streams {
		recorded := a.loaded[stream]
		var back []domain.Event
		if a.limits != nil {
			if back, err = release(stream, recorded, claim.Claim{Owner: a.stream(), Set: a.set}, ""); err != nil {
				return err
			}
		}
		w, err := h.claim(ctx, a.req, a.arbiter(stream), after(recorded, back))
		if err != nil {
			return err
		}
		w.Expected, w.Events = last(recorded), slices.Concat(stamp(h, a.req, back), w.Events)
		a.claims = append(a.claims, w)
	}
	return nil
}

// countAgain counts a visit that is to come where a release came late on a store
// that takes one stream at a time: whatever the limit, it is booked.
func (h *Handler) countAgain(ctx context.Context, req Request, id domain.AppointmentID) error {
	_, err := retry(ctx, h, func(ctx context.Context) (domain.Position, error) {
		a := &attempt{id: id, req: req}
		if err := h.loadOwn(ctx, a); err != nil {
			return 0, err
		}
		set, n := a.state.Current()
		if a.state.Status.Over() || h.isPast(set) {
			return 0, nil
		}
		a.wish, a.set = wish{visit: set.Visit}, n
		if err := h.claimQuotas(ctx, a, toCome(set)); err != nil {
			return 0, err
		}
		return h.inTurn(ctx, slices.DeleteFunc(a.claims, func(w Write) bool { return len(w.Events) == 0 }))
	})
	return err
}
