package commands

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/slot"
)

// decisionTime is how long the protocol may take from its first event to its
// last: the deadline of a set while it is decided.
const decisionTime = 10 * time.Second

// proposal is what a command wants to become of an appointment.
type proposal struct {
	wish
	purpose  appointment.Purpose
	existing bool   // the latest set is to be decided; else the next one is proposed
	reason   string // open text, sealed before it is stored
	policies []string
	refusal  error // of a rule that holds for new commands only, not for their repeats

	// The outcome: held or requested until a deadline, else booked.
	hold, request bool
	until         time.Time
	ceiling       time.Time // of a hold
}

// tentative reports whether the claims may have to be given back.
func (p proposal) tentative() bool { return p.hold || p.request }

// planner makes a proposal from what the appointment is now. It is called anew
// whenever a race was lost.
type planner func(ctx context.Context, h *Handler, s appointment.State) (proposal, error)

// attempt is one try at a proposal: what was loaded, and what was decided on it.
type attempt struct {
	proposal
	id       domain.AppointmentID
	req      Request
	own      []domain.Recorded // the appointment's stream
	state    appointment.State // with what this try has decided
	set      int
	loaded   map[domain.StreamName][]domain.Recorded
	proposed []NewEvent          // empty when a set goes on that is there
	merged   bool                // the patient is the duplicate of another one
	claims   []Write             // of the arbiters that do not have the claim yet
	frees    []Write             // of what a replaced set held elsewhere
	asked    []domain.StreamName // streams that were loaded, with events or without
	checks   []Write
}

func (a *attempt) stream() domain.StreamName { return appointment.Stream(a.id) }

// transact takes an appointment through the protocol. The history is the same
// on every store:
//
//	appointment  proposed ------------------------------> booked, held or requested   (the commit point)
//	occupancy              booked or held
//	slot                           booked or held
//
// one by one, in this order; or, where the store can, in one append, in which
// the claims come first, so that no prefix of the log shows a live set without
// its claims. What was interrupted is continued by a repeat of the same
// command, or undone by whoever is hindered by its claims once its deadline
// has passed.
func (h *Handler) transact(
	ctx context.Context, req Request, id domain.AppointmentID, first proposal, again planner,
) (Answer[appointment.State], error) {
	leave, err := h.turns.take(ctx, first.streams()...)
	if err != nil {
		return Answer[appointment.State]{}, ErrBusy
	}
	defer leave()
	return retry(ctx, func(ctx context.Context) (Answer[appointment.State], error) {
		return h.try(ctx, &attempt{proposal: first, id: id, req: req}, again)
	})
}

// transactOn is transact for a command whose proposal depends on what the
// appointment is.
func (h *Handler) transactOn(ctx context.Context, req Request, id domain.AppointmentID, make planner) (Answer[appointment.State], error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	return execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		var done Answer[appointment.State]
		repeated := false
		first, err := retry(ctx, func(ctx context.Context) (proposal, error) {
			a := &attempt{id: id, req: req}
			err := h.loadOwn(ctx, a)
			if err != nil {
				return proposal{}, err
			}
			if done, repeated, err = a.replayed(); repeated || err != nil {
				return proposal{}, err
			}
			return make(ctx, h, a.state)
		})
		if err != nil || repeated {
			return done, err
		}
		return h.transact(ctx, req, id, first, make)
	})
}

func (h *Handler) loadOwn(ctx context.Context, a *attempt) error {
	loaded, err := h.Store.Load(ctx, a.stream())
	a.own = loaded[a.stream()]
	a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
	return err
}

func (h *Handler) try(ctx context.Context, a *attempt, again planner) (Answer[appointment.State], error) {
	var none Answer[appointment.State]
	if err := h.loadAll(ctx, a); err != nil {
		return none, err
	}
	if done, ok, err := a.replayed(); ok || err != nil {
		return done, err
	}
	if again != nil {
		var err error
		if a.proposal, err = again(ctx, h, a.state); err != nil {
			return none, err
		}
	}
	if a.refusal != nil {
		return none, a.refusal
	}
	if a.merged && !a.existing {
		return none, patient.ErrMerged
	}
	if err := h.propose(a); err != nil {
		return none, err
	}
	if a.state.Fate(a.set) == claim.Live {
		return answer(a.state, a.own), nil // as it was wished already
	}
	if err := h.claimAll(ctx, a); err != nil {
		return none, h.abandon(ctx, a, err)
	}
	return h.commit(ctx, a)
}

// loadAll loads the appointment and its arbiters, and sees to it that those
// whom the visit names exist.
func (h *Handler) loadAll(ctx context.Context, a *attempt) error {
	where, who := clinic.Stream(a.visit.Clinic), patient.Stream(a.visit.Patient)
	seldom := []domain.StreamName{where}
	if a.visit.Patient != "" {
		seldom = append(seldom, who)
	}
	a.asked = append(a.streams(), a.stream())
	loaded, err := h.loadKnown(ctx, slices.Clone(a.asked), seldom...)
	if err != nil {
		return err
	}
	if a.visit.Patient != "" {
		check, err := exists(loaded, who, patient.ErrNotFound)
		if err != nil {
			return err
		}
		a.checks = append(a.checks, check)
		a.merged = domain.Replay(patient.Evolve, patient.State{}, loaded[who]).MergedInto != ""
	}
	check, err := exists(loaded, where, clinic.ErrNotFound)
	if err != nil {
		return err
	}
	a.loaded, a.checks, a.own = loaded, append(a.checks, check), loaded[a.stream()]
	a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
	return nil
}

// loadMore loads streams that turned out to matter.
func (h *Handler) loadMore(ctx context.Context, a *attempt, names []domain.StreamName) error {
	missing := slices.DeleteFunc(slices.Clone(names), func(name domain.StreamName) bool {
		_, there := a.loaded[name]
		return there || slices.Contains(a.asked, name)
	})
	if len(missing) == 0 {
		return nil
	}
	loaded, err := h.Store.Load(ctx, missing...)
	maps.Copy(a.loaded, loaded)
	a.asked = append(a.asked, missing...)
	return err
}

// replayed answers a repeat of a command that has come to its end. One that was
// interrupted goes on, and a refusal is decided again.
func (a *attempt) replayed() (Answer[appointment.State], bool, error) {
	upTo, err := replay(a.own, a.req)
	if err == nil && upTo == 0 {
		err = a.req.expect(a.own)
	}
	if err != nil || upTo == 0 {
		return Answer[appointment.State]{}, false, err
	}
	switch a.own[upTo-1].Event.(type) {
	case appointment.WasProposed, appointment.WasRefused, appointment.HasLapsed:
		return Answer[appointment.State]{}, false, nil
	}
	return answer(domain.Replay(appointment.Evolve, appointment.State{}, a.own[:upTo]), a.own[:upTo]), true, nil
}

func (h *Handler) propose(a *attempt) error {
	if !a.existing {
		at := h.now()
		events, err := appointment.Decide(a.state, appointment.Propose{
			Visit: a.visit, Claims: a.streams(), Reason: domain.Open(string(a.visit.Patient), a.reason),
			Deadline: at.Add(decisionTime), At: at, Policies: a.policies, Purpose: a.purpose,
		})
		if err != nil {
			return err
		}
		a.state = domain.Fold(appointment.Evolve, a.state, events...)
		a.proposed = stamp(h, a.req, events)
	}
	_, a.set = a.state.Latest()
	return nil
}

// now returns the business time as events keep it: UTC, microseconds.
func (h *Handler) now() time.Time { return h.Now().UTC().Truncate(time.Microsecond) }

// arbiters returns the arbiters of the attempt's set. A set that goes on keeps
// the claims that it was proposed with.
func (a *attempt) arbiters() []arbiter {
	latest, _ := a.state.Latest()
	all := make([]arbiter, len(latest.Claims))
	for i, stream := range latest.Claims {
		all[i] = arbiter{a.wish, stream, claim.Claim{Owner: a.stream(), Set: a.set}, a.tentative()}
	}
	return all
}

// claimAll decides every claim before anything is stored, so that an ordinary
// refusal leaves nothing behind.
func (h *Handler) claimAll(ctx context.Context, a *attempt) error {
	all := a.arbiters()
	if err := h.loadMore(ctx, a, names(all)); err != nil {
		return err
	}
	for _, arbiter := range all {
		write, err := h.claim(ctx, a.req, arbiter, a.loaded[arbiter.stream])
		if err != nil {
			return err
		}
		if len(write.Events) > 0 {
			a.claims = append(a.claims, write)
		}
	}
	return nil
}

func names(all []arbiter) []domain.StreamName {
	streams := make([]domain.StreamName, len(all))
	for i, a := range all {
		streams[i] = a.stream
	}
	return streams
}

// replaced returns the sets that end when the attempt's set is booked.
func (a *attempt) replaced() []int {
	var sets []int
	for i, s := range a.state.Sets {
		if i+1 != a.set && s.Fate != claim.Dead && !a.tentative() {
			sets = append(sets, i+1)
		}
	}
	return sets
}

// commit stores what was decided.
func (h *Handler) commit(ctx context.Context, a *attempt) (Answer[appointment.State], error) {
	events, err := h.decideCommit(a)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	replaced := a.replaced()
	own := Write{Stream: a.stream(), Expected: last(a.own), Events: a.proposed}
	outcome := stamp(h, a.req, events)
	done := Answer[appointment.State]{State: domain.Fold(appointment.Evolve, a.state, events...)}
	done.Revision = last(a.own) + domain.Revision(len(a.proposed)+len(outcome))
	if !h.Store.Atomic() {
		done.Position, err = h.step(ctx, a, own)
		if err == nil {
			h.tidy(ctx, a.req, done.State, replaced...)
		}
		return done, err
	}
	later, err := h.freeAll(ctx, a, replaced)
	if err != nil {
		return done, err
	}
	own.Events = slices.Concat(own.Events, outcome)
	done.Position, err = h.append(ctx, slices.Concat(a.claims, []Write{own}, a.frees), a.checks)
	if err == nil && later {
		h.tidy(ctx, a.req, done.State, replaced...)
	}
	return done, err
}

// freeAll decides the releases of sets that end. Where the new set claims on
// the same stream, the release has to come later: no prefix of the log shows a
// live set without its claims.
func (h *Handler) freeAll(ctx context.Context, a *attempt, sets []int) (later bool, err error) {
	for _, n := range sets {
		old := a.state.Sets[n-1]
		if err := h.loadMore(ctx, a, old.Claims); err != nil {
			return false, err
		}
		for _, stream := range old.Claims {
			if slices.ContainsFunc(slices.Concat(a.claims, a.frees), func(w Write) bool { return w.Stream == stream }) {
				later = true
				continue
			}
			events, err := release(stream, a.loaded[stream], claim.Claim{Owner: a.stream(), Set: n})
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
	var command appointment.Command = appointment.Commit{Set: a.set, At: h.now(), ExpectedAt: a.turn()}
	switch {
	case a.hold:
		command = appointment.Hold{Set: a.set, Until: a.until, Ceiling: a.ceiling, At: h.now()}
	case a.request:
		command = appointment.Request{Set: a.set, Until: a.until, At: h.now()}
	}
	events, err := appointment.Decide(a.state, command)
	if errors.Is(err, appointment.ErrLapsed) && !a.existing {
		return nil, ErrWrongRevision
	}
	return events, err
}

// turn returns when the patient's turn is in a session of several, nil in any
// other visit: as many turns after the start as the place says.
func (a *attempt) turn() *time.Time {
	if len(a.visit.Slots) != 1 || a.visit.Overbooked {
		return nil
	}
	o, stream := a.opened[a.visit.Slots[0]], slot.Stream(a.visit.Slots[0])
	if o.capacity < 2 {
		return nil
	}
	state := domain.Replay(slot.Evolve, slot.State{}, a.loaded[stream])
	for _, w := range a.claims {
		if w.Stream == stream {
			for _, e := range w.Events {
				if event, ok := e.Event.(slot.Event); ok {
					state = slot.Evolve(state, event)
				}
			}
		}
	}
	place, held := state.Place(claim.Claim{Owner: a.stream(), Set: a.set})
	if !held {
		return nil
	}
	length := o.terms.End.Sub(o.terms.Start) / time.Duration(o.capacity)
	at := o.terms.Start.Add(time.Duration(place) * length.Truncate(time.Second))
	return &at
}

// step stores an attempt one append at a time: proposed, the claims, the outcome.
func (h *Handler) step(ctx context.Context, a *attempt, own Write) (domain.Position, error) {
	if len(own.Events) > 0 {
		if _, err := h.Store.Append(ctx, own); err != nil {
			return 0, err
		}
	}
	own.Expected += domain.Revision(len(own.Events))
	for i := range a.claims {
		if err := h.settle(ctx, a, &a.claims[i]); err != nil {
			return 0, h.refuse(ctx, a, own, err)
		}
	}
	events, err := h.decideCommit(a)
	if err != nil {
		return 0, err
	}
	own.Events = stamp(h, a.req, events)
	return h.Store.Append(ctx, own)
}

// settle appends one claim, deciding again as long as races are lost.
func (h *Handler) settle(ctx context.Context, a *attempt, write *Write) error {
	for {
		_, err := h.Store.Append(ctx, *write)
		if !errors.Is(err, ErrWrongRevision) {
			return err
		}
		loaded, err := h.Store.Load(ctx, write.Stream)
		if err != nil {
			return err
		}
		a.loaded[write.Stream] = loaded[write.Stream]
		arbiter := arbiter{a.wish, write.Stream, claim.Claim{Owner: a.stream(), Set: a.set}, a.tentative()}
		*write, err = h.claim(ctx, a.req, arbiter, loaded[write.Stream])
		if err != nil || len(write.Events) == 0 {
			return err
		}
	}
}

// abandon ends a set that an earlier, interrupted try left pending when its
// claims cannot be had any more. A set that is not stored needs no ending, and
// one that is held or requested is not this command's to end.
func (h *Handler) abandon(ctx context.Context, a *attempt, because error) error {
	if len(a.proposed) > 0 || a.existing {
		return because
	}
	return h.refuse(ctx, a, Write{Stream: a.stream(), Expected: last(a.own)}, because)
}

// refuse ends the stored set and gives its claims back, if because is an
// arbiter's refusal; any other error leaves the set pending, for a repeat of
// the command to continue or for its deadline to end.
func (h *Handler) refuse(ctx context.Context, a *attempt, own Write, because error) error {
	conflict, ok := errors.AsType[*Conflict](because)
	if !ok || a.existing {
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
	h.tidy(ctx, a.req, a.state, a.set)
	return because
}

// tidy gives back what dead sets still hold. It comes after the commit point,
// so that its failure is nobody's: dead claims count for nothing, and whoever
// meets one releases it.
func (h *Handler) tidy(ctx context.Context, req Request, s appointment.State, sets ...int) {
	for _, n := range sets {
		_ = h.releaseAll(ctx, req, s.Sets[n-1], n) // see above
	}
}

// releases returns the writes that give a set's claims back, none for a claim
// that is not held.
func (h *Handler) releases(ctx context.Context, req Request, s appointment.Set, n int) ([]Write, error) {
	loaded, err := h.Store.Load(ctx, s.Claims...)
	if err != nil {
		return nil, err
	}
	var writes []Write
	for _, stream := range s.Claims {
		recorded := loaded[stream]
		events, err := release(stream, recorded, claim.Claim{Owner: appointment.Stream(s.Appointment), Set: n})
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			writes = append(writes, Write{stream, last(recorded), stamp(h, req, events)})
		}
	}
	return writes, nil
}

// releaseAll appends the releases of a dead set one by one, until none is left.
func (h *Handler) releaseAll(ctx context.Context, req Request, s appointment.Set, n int) error {
	for {
		writes, err := h.releases(ctx, req, s, n)
		if err != nil || len(writes) == 0 {
			return err
		}
		for _, w := range writes {
			if _, err := h.Store.Append(ctx, w); err != nil && !errors.Is(err, ErrWrongRevision) {
				return err
			}
		}
	}
}
