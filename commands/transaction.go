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
	existing int    // the number of the set that is to be decided; 0 = the next one, which is proposed
	reason   string // open text, sealed before it is stored
	by       appointment.Initiator
	note     string // why it is moved: open text, sealed before it is stored
	mends    bool   // it is moved because the clinic has withdrawn its slot
	policies []string
	refusal  error // of a rule that holds for new commands only, not for their repeats

	stateless bool // it does not depend on what the appointment is

	// The outcome: held or requested until a deadline, else booked.
	hold, request bool
	until         time.Time
	ceiling       time.Time     // of a hold
	giveUp        time.Duration // after the end of what is booked, when who has not come counts as a no-show; 0 = never
}

// tentative reports whether the claims may have to be given back.
func (p proposal) tentative() bool { return p.hold || p.request }

// planner makes a proposal from what the appointment is now. It is called anew
// whenever a race was lost, since what the plan came from may be old.
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
	persons  []domain.PatientID  // under which the patient is known besides
	claims   []Write             // of the arbiters that do not have the claim yet
	frees    []Write             // of what a replaced set held elsewhere
	asked    []domain.StreamName // streams that were loaded, with events or without
	checks   []Write
	stored   bool // something of it is in the store already
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
	stored, plan := false, again
	if first.stateless {
		plan = nil // it is new
	}
	done, err := retry(ctx, func(ctx context.Context) (Answer[appointment.State], error) {
		a := &attempt{proposal: first, id: id, req: req}
		done, err := h.try(ctx, a, plan)
		stored, plan = stored || a.stored, again
		return done, err
	})
	if err != nil && stored {
		h.tidyUp(ctx, req, id)
	}
	return done, err
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
				done.Position = max(done.Position, h.tidy(ctx, req, a.state))
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

func (h *Handler) loadOwn(ctx context.Context, a *attempt) error { return h.loadFor(ctx, a, h.Now()) }

// loadFor is loadOwn where a series that the appointment waits for is overdue
// by that time; the zero time ends none.
func (h *Handler) loadFor(ctx context.Context, a *attempt, at time.Time) error {
	loaded, err := h.Store.Load(ctx, a.stream())
	if err != nil {
		return err
	}
	a.own = loaded[a.stream()]
	a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
	return h.settleWaiting(ctx, a, at)
}

func (h *Handler) try(ctx context.Context, a *attempt, again planner) (Answer[appointment.State], error) {
	var none Answer[appointment.State]
	if err := h.loadAll(ctx, a); err != nil {
		return none, err
	}
	if done, ok, err := a.replayed(); ok || err != nil {
		done.Position = max(done.Position, h.tidy(ctx, a.req, a.state))
		return done, err
	}
	if again != nil {
		var err error
		if a.proposal, err = again(ctx, h, a.state); err != nil {
			return none, err
		}
		a.wish = a.also(a.persons)
	}
	if a.refusal != nil {
		return none, h.unlessResized(ctx, a)
	}
	if a.merged && a.existing == 0 && (a.purpose == appointment.ToBook || a.purpose == appointment.ToComplete) {
		return none, patient.ErrMerged // what a duplicate has may be moved
	}
	if err := h.propose(a); err != nil {
		return none, err
	}
	if a.state.Fate(a.set) == claim.Live {
		if err := a.displaced(); err != nil {
			return none, err
		}
		done := answer(a.state, a.own) // as it was wished already
		done.Position = max(done.Position, h.tidy(ctx, a.req, a.state))
		return done, nil
	}
	if err := h.claimAll(ctx, a); err != nil {
		return none, h.abandon(ctx, a, err)
	}
	return h.commit(ctx, a)
}

// displaced refuses a move to where the appointment is already, when the clinic
// has withdrawn a slot of it: nothing would be mended.
func (a *attempt) displaced() error {
	if a.purpose != appointment.ToMove {
		return nil
	}
	for _, id := range a.visit.Slots {
		stream := slot.Stream(id)
		if domain.Replay(slot.Evolve, slot.State{}, a.loaded[stream]).Withdrawn {
			return &Conflict{slot.ErrWithdrawn, stream, last(a.loaded[stream]), time.Time{}}
		}
	}
	return nil
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
		if err := h.oneself(ctx, a, domain.Replay(patient.Evolve, patient.State{}, loaded[who])); err != nil {
			return err
		}
	}
	check, err := exists(loaded, where, clinic.ErrNotFound)
	if err != nil {
		return err
	}
	a.loaded, a.checks, a.own = loaded, append(a.checks, check), loaded[a.stream()]
	a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
	return h.settleWaiting(ctx, a, h.Now())
}

// oneself notes under which other ids the patient is known.
func (h *Handler) oneself(ctx context.Context, a *attempt, s patient.State) error {
	others, checks, err := h.others(ctx, s)
	a.merged, a.persons, a.checks = s.MergedInto != "", others, append(a.checks, checks...)
	a.wish = a.also(others)
	return err
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

// propose finds the set that is to be decided: one that is there, or the next.
func (h *Handler) propose(a *attempt) error {
	if a.set = a.existing; a.set > 0 {
		return nil
	}
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
	if _, a.set = a.state.Latest(); a.state.Fate(a.set) == claim.Dead {
		_, a.set = a.state.Current() // what is wished is live, and a later set has failed
	}
	return nil
}

// now returns the business time as events keep it: UTC, microseconds.
func (h *Handler) now() time.Time { return h.Now().UTC().Truncate(time.Microsecond) }

func (a *attempt) arbiter(stream domain.StreamName) arbiter {
	return arbiter{
		wish: a.wish, stream: stream, claim: claim.Claim{Owner: a.stream(), Set: a.set}, tentative: a.tentative(), hold: a.hold,
		beside: a.beside(stream),
	}
}

// claimAll decides every claim before anything is stored, so that an ordinary
// refusal leaves nothing behind. A set that goes on keeps the claims that it was
// proposed with.
func (h *Handler) claimAll(ctx context.Context, a *attempt) error {
	streams := a.state.Sets[a.set-1].Claims
	if err := h.loadMore(ctx, a, streams); err != nil {
		return err
	}
	if h.resized(a) {
		return ErrWrongRevision // the plan is old
	}
	for _, stream := range streams {
		write, err := h.claim(ctx, a.req, a.arbiter(stream), a.loaded[stream])
		if err != nil {
			return err
		}
		if len(write.Events) > 0 {
			a.claims = append(a.claims, write)
		}
	}
	return nil
}

// unlessResized returns the refusal of the plan, or that a race was lost where
// the plan takes a session for a slot of one, or the other way round.
func (h *Handler) unlessResized(ctx context.Context, a *attempt) error {
	streams := make([]domain.StreamName, len(a.visit.Slots))
	for i, id := range a.visit.Slots {
		streams[i] = slot.Stream(id)
	}
	if err := h.loadMore(ctx, a, streams); err != nil {
		return err
	}
	if h.resized(a) {
		return ErrWrongRevision
	}
	return a.refusal
}

// resized reports whether the plan takes a session for a slot of one, or the
// other way round, because the number of places has changed since the handler
// saw the slot; it has seen it now.
func (h *Handler) resized(a *attempt) bool {
	old := false
	for _, id := range a.visit.Slots {
		old = h.resize(a.opened[id], a.loaded[slot.Stream(id)]) || old
	}
	return old
}

// dead returns the sets that count for nothing, and may still have claims: those
// that were replaced, and those that have failed.
func dead(s appointment.State) []int {
	var sets []int
	for i, set := range s.Sets {
		if set.Fate == claim.Dead {
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
	var command appointment.Command = appointment.Commit{
		Set: a.set, At: h.now(), ExpectedAt: a.turn(), MissedAt: a.missedAt(), Overbooked: a.overbooked(),
		By: a.by, Note: domain.Open(string(a.visit.Patient), a.note), Mends: a.mends,
	}
	switch {
	case a.hold:
		command = appointment.Hold{Set: a.set, Until: a.until, Ceiling: a.ceiling, At: h.now()}
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
}

func owedBy(s appointment.Set, n int) []owedClaim {
	claims := make([]owedClaim, len(s.Claims))
	for i, stream := range s.Claims {
		claims[i] = owedClaim{stream, claim.Claim{Owner: appointment.Stream(s.Appointment), Set: n}}
	}
	return claims
}

// owed returns the streams that dead sets may have claims on.
func owed(s appointment.State) []domain.StreamName {
	var streams []domain.StreamName
	for _, n := range dead(s) {
		streams = append(streams, s.Sets[n-1].Claims...)
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
		events, err := release(c.stream, recorded, c.claim)
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
