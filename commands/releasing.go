package commands

import (
	"context"
	"errors"
	"slices"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// abandon ends a set that an earlier, interrupted try left pending when its
// claims cannot be had any more. A set that is not stored needs no ending, and
// one that is held or requested is not this command's to end.
func (h *Handler) abandon(ctx context.Context, a *attempt, because error) error {
	if len(a.proposed) > 0 || a.existing > 0 {
		return because
	}
	return h.refuse(ctx, a, Write{Stream: a.stream(), Expected: last(a.own)}, because)
}

// refuse ends the stored set and gives its claims back, if because is an
// arbiter's refusal; any other error leaves the set pending, for a repeat of
// the command to continue or for its deadline to end.
func (h *Handler) refuse(ctx context.Context, a *attempt, own Write, because error) error {
	conflict, ok := errors.AsType[*Conflict](because)
	if !ok || a.existing > 0 {
		return because
	}
	events, err := appointment.Decide(a.state, appointment.Refuse{Set: a.set, Rule: domain.RuleOf(conflict).Rule})
	if err != nil {
		return err
	}
	own.Events = stamp(h, a.req, events)
	if _, err := h.Store.Append(ctx, own); err != nil {
		return err
	}
	h.tidy(ctx, a.req, domain.Fold(appointment.Evolve, a.state, events...))
	return because
}

// tidy gives back what dead sets still hold, and returns the position of the
// last release, 0 when there was none. It comes after the commit point, so that
// its failure is nobody's: dead claims count for nothing, and whoever meets one
// releases it.
func (h *Handler) tidy(ctx context.Context, req Request, s appointment.State) domain.Position {
	var claims []owedClaim
	for _, n := range dead(s) {
		claims = append(claims, owedBy(s.Sets[n-1], n)...)
	}
	position, _ := h.releaseAll(ctx, req, claims) // see above
	return position
}

// tidyUp is tidy for an appointment whose state is not known, after a command
// that has failed.
func (h *Handler) tidyUp(ctx context.Context, req Request, id domain.AppointmentID) {
	a := &attempt{id: id, req: req}
	if h.loadOwn(ctx, a) == nil { // see tidy
		h.tidy(ctx, req, a.state)
	}
}

// owedClaim is a claim to be given back.
type owedClaim struct {
	stream domain.StreamName
	claim  claim.Claim
	why    string // as [waitlist.Release] says
}

func owedBy(s appointment.Set, n int) []owedClaim {
	var claims []owedClaim
	for _, stream := range claimsOf(s) {
		claims = append(claims, owedClaim{stream, claim.Claim{Owner: appointment.Stream(s.Appointment), Set: n}, endOf(s)})
	}
	return claims
}

// claimsOf returns what a dead set has to give back: all that it claimed, but not
// a wish of the waiting list that it has fulfilled.
func claimsOf(s appointment.Set) []domain.StreamName {
	if s.Wish == "" || !s.WasLive {
		return s.Claims
	}
	return slices.DeleteFunc(slices.Clone(s.Claims), func(stream domain.StreamName) bool { return stream.Category() == waitlist.Category })
}

// endOf returns how what was offered has ended, as [waitlist.Release] says.
func endOf(s appointment.Set) string {
	switch {
	case s.Phase == appointment.InDecision:
		return ""
	case s.Phase == appointment.OnRequest && !s.Released && s.Code == "":
		return waitlist.NotApproved
	case s.Lapsed:
		return waitlist.Lapsed
	case s.Released && s.Code == "":
		return waitlist.Declined
	case s.Code == appointment.Displaced:
		return waitlist.Displaced
	}
	return waitlist.Withdrawn
}

// owed returns the streams that dead sets may have claims on.
func owed(s appointment.State) []domain.StreamName {
	var streams []domain.StreamName
	for _, n := range dead(s) {
		streams = append(streams, claimsOf(s.Sets[n-1])...)
	}
	slices.Sort(streams)
	return slices.Compact(streams)
}

// releaseAll appends the releases of claims until none is left or the caller's
// patience ends. It returns the position of the last one.
func (h *Handler) releaseAll(ctx context.Context, req Request, claims []owedClaim) (domain.Position, error) {
	var position domain.Position
	for len(claims) > 0 {
		writes, err := h.releases(ctx, req, claims)
		if err != nil || len(writes) == 0 {
			return position, err
		}
		lost := false
		for _, w := range writes {
			stored, err := h.Store.Append(ctx, w)
			if err != nil && !errors.Is(err, ErrWrongRevision) {
				return position, err
			}
			position, lost = max(position, stored), lost || err != nil
		}
		if !lost {
			return position, nil
		}
		if err := pause(ctx); err != nil {
			return position, err
		}
	}
	return position, nil
}

// releases returns the writes that give claims back, one for each stream and
// none for a claim that is not held.
func (h *Handler) releases(ctx context.Context, req Request, claims []owedClaim) ([]Write, error) {
	var streams []domain.StreamName
	for _, c := range claims {
		if !slices.Contains(streams, c.stream) {
			streams = append(streams, c.stream)
		}
	}
	loaded, err := h.Store.Load(ctx, streams...)
	if err != nil {
		return nil, err
	}
	var writes []Write
	for _, c := range claims {
		recorded := loaded[c.stream]
		events, err := release(c.stream, recorded, c.claim, c.why)
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			continue
		}
		i := slices.IndexFunc(writes, func(w Write) bool { return w.Stream == c.stream })
		if i < 0 {
			i, writes = len(writes), append(writes, Write{Stream: c.stream, Expected: last(recorded)})
		}
		writes[i].Events = append(writes[i].Events, stamp(h, req, events)...)
		loaded[c.stream] = after(recorded, events)
	}
	return writes, nil
}

// after returns what will be recorded once the events are, as far as deciding
// needs it.
func after(recorded []domain.Recorded, events []domain.Event) []domain.Recorded {
	all := slices.Clone(recorded)
	for _, e := range events {
		all = append(all, domain.Recorded{Event: e, Revision: last(all) + 1})
	}
	return all
}
