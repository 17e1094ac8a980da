package commands

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/visittype"
)

var policies = aggregate[policy.State, policy.Command, policy.Event]{policy.Decide, policy.Evolve}

// SetPolicy replaces the terms of a clinic's, a practitioner's or a visit
// type's policy. A booking that begins in the next second may still be
// decided under the terms before.
//
// Errors: [clinic.ErrNotFound], [practitioner.ErrNotFound] or
// [visittype.ErrNotFound] for the policy of nobody, the refusals of package
// policy, and those of every command.
func (h *Handler) SetPolicy(ctx context.Context, req Request, c policy.Set) (Answer[policy.State], error) {
	done, err := handle(ctx, h, req, c.Scope.Stream(), policies, policy.Command(c), scopeExists(c.Scope))
	h.policies.drop(c.Scope.Stream())
	return done, err
}

// scopeExists guards that there is somebody whose policy it is.
func scopeExists(s policy.Scope) guard {
	return func(ctx context.Context, h *Handler) ([]Write, error) {
		var check Write
		var err error
		switch s.Kind {
		case policy.OfClinic:
			return clinicExists(domain.ClinicID(s.ID))(ctx, h)
		case policy.OfPractitioner:
			_, check, err = profile(ctx, h, practitioner.Stream(domain.PractitionerID(s.ID)), practitioner.Evolve, practitioner.ErrNotFound)
		case policy.OfVisitType:
			_, check, err = profile(ctx, h, visittype.Stream(domain.VisitTypeID(s.ID)), visittype.Evolve, visittype.ErrNotFound)
		default:
			err = policy.ErrScope
		}
		return []Write{check}, err
	}
}

// Policy returns a policy as its stream says. Errors: [policy.ErrNotFound] when
// nobody has set it.
func (h *Handler) Policy(ctx context.Context, s policy.Scope) (Answer[policy.State], error) {
	return read(ctx, h, s.Stream(), policy.Evolve, policy.ErrNotFound)
}

// InForce are the terms that a booking would be decided under.
type InForce struct {
	policy.Effective
	Sources  map[string]string // which kind of scope each field is from, by its JSON name, or [policy.ByDefault]
	Position domain.Position   // of the last event that they reflect
}

// EffectivePolicy returns the terms in force as the streams say. An empty id
// leaves its policy out. Errors:
// [clinic.ErrNotFound], [practitioner.ErrNotFound], [visittype.ErrNotFound].
func (h *Handler) EffectivePolicy(
	ctx context.Context, c domain.ClinicID, p domain.PractitionerID, v domain.VisitTypeID,
) (InForce, error) {
	scopes, known := scopesOf(c, p, v), knownOf(c, p, v)
	var names []domain.StreamName
	for i, s := range scopes {
		names = append(names, known[i].stream, s.Stream())
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return InForce{}, err
	}
	for i, k := range known {
		if scopes[i].ID != "" && len(loaded[k.stream]) == 0 {
			return InForce{}, k.missing
		}
	}
	var in InForce
	var seen [3]seenPolicy
	for i, s := range scopes {
		recorded := loaded[s.Stream()]
		seen[i] = seenIn(recorded)
		in.Position = max(in.Position, answer(seen[i].state, recorded).Position)
	}
	in.Effective = resolve(seen)
	in.Sources = policy.Sources(seen[0].state, seen[1].state, seen[2].state)
	return in, nil
}

type knownBy struct {
	stream  domain.StreamName
	missing error // when there is no such stream
}

// knownOf returns where those of [scopesOf] are known.
func knownOf(c domain.ClinicID, p domain.PractitionerID, v domain.VisitTypeID) [3]knownBy {
	return [3]knownBy{
		{visittype.Stream(v), visittype.ErrNotFound}, {practitioner.Stream(p), practitioner.ErrNotFound}, {clinic.Stream(c), clinic.ErrNotFound},
	}
}

// policyAge is how old a policy may be that a booking is decided under.
const policyAge = time.Second

// seenPolicy is a policy as it was at a time.
type seenPolicy struct {
	state    policy.State
	revision domain.Revision // [domain.NoStream] when nobody has set it
	at       time.Time
}

func seenIn(recorded []domain.Recorded) seenPolicy {
	return seenPolicy{state: domain.Replay(policy.Evolve, policy.State{}, recorded), revision: last(recorded)}
}

// termsFor returns the terms that a booking is decided under, with the
// revisions that they come from. They may be a second old: nothing guards
// them. An empty id leaves its policy out.
func (h *Handler) termsFor(
	ctx context.Context, c domain.ClinicID, p domain.PractitionerID, v domain.VisitTypeID,
) (policy.Effective, error) {
	scopes := scopesOf(c, p, v)
	seen, unknown := h.seen(scopes)
	if len(unknown) == 0 {
		return resolve(seen), nil
	}
	now := h.Now()
	loaded, err := h.Store.Load(ctx, unknown...)
	if err != nil {
		return policy.Effective{}, err
	}
	for i, s := range scopes {
		if name := s.Stream(); slices.Contains(unknown, name) {
			seen[i] = seenIn(loaded[name])
			seen[i].at = now
			h.policies.store(name, seen[i])
		}
	}
	return resolve(seen), nil
}

// seen returns the policies that were seen a moment ago, and the streams of the
// others.
func (h *Handler) seen(scopes [3]policy.Scope) (seen [3]seenPolicy, unknown []domain.StreamName) {
	now := h.Now()
	for i, s := range scopes {
		if s.ID == "" {
			seen[i].revision = domain.NoStream
			continue
		}
		known, ok := h.policies.load(s.Stream())
		if age := now.Sub(known.at); ok && 0 <= age && age < policyAge {
			seen[i] = known
		} else {
			unknown = append(unknown, s.Stream())
		}
	}
	return seen, unknown
}

// scopesOf returns whose policies decide, the strongest first.
func scopesOf(c domain.ClinicID, p domain.PractitionerID, v domain.VisitTypeID) [3]policy.Scope {
	return [3]policy.Scope{
		{Kind: policy.OfVisitType, ID: string(v)}, {Kind: policy.OfPractitioner, ID: string(p)}, {Kind: policy.OfClinic, ID: string(c)},
	}
}

// resolve returns the terms that the policies make together, the strongest
// first.
func resolve(seen [3]seenPolicy) policy.Effective {
	e := policy.Resolve(seen[0].state, seen[1].state, seen[2].state)
	for _, s := range seen {
		if s.revision != domain.NoStream {
			e.Revisions = append(e.Revisions, policy.Revision{Scope: s.state.Scope, Revision: s.revision})
		}
	}
	return e
}
