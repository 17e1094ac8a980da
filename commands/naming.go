package commands

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/name"
	"github.com/slotbook/slotbook/domain/practitioner"
)

// namedAggregate is an aggregate whose things have a name of which there is
// one. A name without a key is none.
type namedAggregate[S, C any, E domain.Event] struct {
	aggregate[S, C, E]
	name func(S) name.Name
}

// preparation returns the command of a try, with what was looked up for it, and
// check-only writes: what else must still be so.
type preparation[C any] func(ctx context.Context, h *Handler) (C, []Write, error)

// named executes a command that changes one stream, and what its thing is
// called. Where the store can, all streams are appended to at once. Where it
// cannot, they go in this order:
//
//	the new name   name.taken
//	own                         clinic.changed   (the commit point)
//	the old name                                 name.released
//
// A claim whose owner does not have the name counts for nothing from its
// deadline on, and whoever meets it releases it.
func named[S, C any, E domain.Event](
	ctx context.Context, h *Handler, req Request, stream domain.StreamName, a namedAggregate[S, C, E], prepare preparation[C],
) (Answer[S], error) {
	return execute(h, req, func(h *Handler, req Request) (Answer[S], error) {
		return again(ctx, h, func(ctx context.Context) (Answer[S], error) { return namedOnce(ctx, h, req, stream, a, prepare) })
	})
}

func namedOnce[S, C any, E domain.Event](
	ctx context.Context, h *Handler, req Request, stream domain.StreamName, a namedAggregate[S, C, E], prepare preparation[C],
) (Answer[S], error) {
	now, recorded, repeated, err := begin(ctx, h, req, stream, a.aggregate)
	if repeated || err != nil {
		return now, err
	}
	command, checks, err := prepare(ctx, h)
	if err != nil {
		return Answer[S]{}, err
	}
	own, done, err := decide(h, req, stream, a.aggregate, now.State, recorded, command)
	if err != nil || len(own.Events) == 0 {
		return done, err
	}
	done.Position, err = h.rename(ctx, req, own, a.name(now.State), a.name(done.State), checks)
	return done, err
}

// rename stores what was decided on the owner's stream, and moves its claim
// from one name to another.
func (h *Handler) rename(ctx context.Context, req Request, own Write, from, to name.Name, checks []Write) (domain.Position, error) {
	defer h.forget([]Write{own})
	if from == to {
		return h.append(ctx, []Write{own}, checks)
	}
	mine := claim.Claim{Owner: own.Stream, Set: int(own.Expected) + 1 + len(own.Events)}
	takes, err := h.takeName(ctx, req, to, mine)
	if err != nil {
		return 0, err
	}
	if h.Store.Atomic() {
		frees, err := h.freeName(ctx, req, from, mine)
		if err != nil {
			return 0, err
		}
		return h.append(ctx, append(append(takes, frees...), own), checks)
	}
	for _, w := range takes {
		if _, err := h.Store.Append(ctx, w); err != nil {
			return 0, err
		}
	}
	position, err := h.append(ctx, []Write{own}, checks)
	if err == nil {
		h.tidyName(ctx, req, from, mine)
	}
	return position, err
}

// tidyName gives back a name after the commit point, so that its failure is
// nobody's.
func (h *Handler) tidyName(ctx context.Context, req Request, from name.Name, next claim.Claim) {
	frees, err := h.freeName(ctx, req, from, next)
	if err != nil {
		return
	}
	for _, w := range frees {
		_, _ = h.Store.Append(ctx, w) // see above
	}
}

// takeName returns the write that claims a name. Whoever is refused by a foreign
// claim looks its owner up and decides again. It returns a [Conflict] that names
// the owner when the name is another's for good.
func (h *Handler) takeName(ctx context.Context, req Request, n name.Name, c claim.Claim) ([]Write, error) {
	if n.Key == "" {
		return nil, nil
	}
	stream := n.Stream()
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return nil, err
	}
	state, wants := domain.Replay(name.Evolve, name.State{}, loaded[stream]), name.Claim{
		Name: n, Claim: c, Deadline: h.Now().UTC().Truncate(time.Microsecond).Add(DecisionTime), Fates: claim.Fates{},
	}
	for {
		events, err := name.Decide(state, wants)
		if err == nil {
			return []Write{{stream, last(loaded[stream]), stamp(h, req, events)}}, nil
		}
		if wants.Fates[state.Claim] != claim.Unknown {
			return nil, err
		}
		fate, owner, judged := h.judgeName(ctx, n, state)
		if judged != nil {
			return nil, judged
		}
		if wants.Fates[state.Claim] = fate; fate != claim.Dead {
			conflict := &Conflict{Err: err, Stream: state.Claim.Owner, Revision: owner}
			if fate == claim.Pending {
				conflict.Until = state.Deadline
			}
			return nil, conflict
		}
	}
}

// freeName returns the write that gives a name back whose owner goes on to the
// next one; nothing when it is not the owner's, or was taken again since.
func (h *Handler) freeName(ctx context.Context, req Request, n name.Name, next claim.Claim) ([]Write, error) {
	if n.Key == "" {
		return nil, nil
	}
	stream := n.Stream()
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return nil, err
	}
	state := domain.Replay(name.Evolve, name.State{}, loaded[stream])
	if state.Claim.Owner != next.Owner || state.Claim.Set >= next.Set {
		return nil, nil
	}
	events, err := name.Decide(state, name.Release{Name: n, Claim: state.Claim})
	return []Write{{stream, last(loaded[stream]), stamp(h, req, events)}}, err
}

// judgeName finds out what the claim of a name is worth, and where its owner's
// stream ends. A claim that is past its deadline, and whose owner may still come
// to have the name, is ended on the owner's stream first; a race lost there is
// the command's race lost.
func (h *Handler) judgeName(ctx context.Context, n name.Name, s name.State) (claim.Fate, domain.Revision, error) {
	owner := s.Claim.Owner
	loaded, err := h.Store.Load(ctx, owner)
	if err != nil {
		return claim.Unknown, 0, err
	}
	end := last(loaded[owner])
	has, lapse, err := ownerOf(n, s.Claim, loaded[owner])
	switch {
	case err != nil:
		return claim.Unknown, 0, err
	case has:
		return claim.Live, end, nil
	case int(end)+1 >= s.Claim.Set:
		return claim.Dead, end, nil
	case h.Now().Before(s.Deadline.Add(appointment.ClockSlack)):
		return claim.Pending, end, nil
	}
	request := Request{Command: domain.NewID(string(n.Stream()), string(owner), "lapse"), Actor: system}
	_, err = h.Store.Append(ctx, Write{owner, end, stamp(h, request, lapse)})
	return claim.Dead, end + 1, err
}

var errNoOwner = errors.New("a name is claimed for what has no names")

// ownerOf reports whether an owner has a name, and what would end a claim of it.
func ownerOf(n name.Name, c claim.Claim, recorded []domain.Recorded) (has bool, lapse []domain.Event, err error) {
	if c.Owner.Category() == clinic.Category {
		s := domain.Replay(clinic.Evolve, clinic.State{}, recorded)
		events, err := clinic.Decide(s, clinic.LapseName{Clinic: domain.ClinicID(c.Owner.ID()), Key: n.Key, Set: c.Set})
		return clinicName(s) == n, facts(events), err
	}
	if c.Owner.Category() == practitioner.Category {
		s := domain.Replay(practitioner.Evolve, practitioner.State{}, recorded)
		events, err := practitioner.Decide(s, practitioner.LapseCouncil{Practitioner: domain.PractitionerID(c.Owner.ID()), Key: n.Key, Set: c.Set})
		return councilName(s) == n, facts(events), err
	}
	return false, nil, errNoOwner
}

// nameKey returns the keyed hash that names a name's stream: upper and lower
// case and the width of spaces make no difference.
func (h *Handler) nameKey(kind string, parts ...string) string {
	mac := hmac.New(sha256.New, h.NameKey)
	for _, part := range append([]string{kind}, parts...) {
		mac.Write([]byte(strings.ToLower(strings.Join(strings.Fields(part), " "))))
		mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
