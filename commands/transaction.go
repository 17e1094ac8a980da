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

// DecisionTime is how long the protocol may take from its first event to its
// last: the deadline of a set while it is decided.
const DecisionTime = 10 * time.Second

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
	offer         bool // what is held is offered for the wish that waits
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
	asked    []domain.StreamName // streams that were loaded or taken for empty
	guess    bool                // what is likely known of streams need not be loaded
	guessed  bool                // some were not
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
	guess := true
	done, err := retry(ctx, h, func(ctx context.Context) (Answer[appointment.State], error) {
		a := &attempt{proposal: first, id: id, req: req, guess: guess}
		done, err := h.try(ctx, a, plan)
		guess, plan = false, again
		if a.mistaken(err) {
			a = &attempt{proposal: first, id: id, req: req}
			done, err = h.try(ctx, a, plan)
		}
		stored = stored || a.stored
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
		first, err := retry(ctx, h, func(ctx context.Context) (proposal, error) {
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

// mistaken reports whether what was guessed of a stream may be why a try has
// failed.
func (a *attempt) mistaken(err error) bool {
	if !a.guessed || a.stored || err == nil {
		return false
	}
	rule := domain.RuleOf(err)
	return errors.Is(err, ErrWrongRevision) || rule != nil && rule.Kind != domain.Unavailable
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
		if a.guessed {
			return none, ErrWrongRevision // no append would check it
		}
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
	single := a.guess && a.visit.Patient != "" && h.Store.Atomic() && h.likelyAt(0)(who)
	if a.visit.Patient != "" && !single {
		seldom = append(seldom, who)
	}
	a.asked = append(a.streams(), a.stream())
	names := slices.Clone(a.asked)
	if a.guess {
		names = slices.DeleteFunc(names, h.likelyAt(domain.NoStream))
		a.guessed = single || len(names) < len(a.asked)
	}
	loaded, err := h.loadKnown(ctx, names, seldom...)
	if err != nil {
		return err
	}
	switch {
	case single: // registered, and nothing since
		a.checks = append(a.checks, Write{Stream: who, Expected: 0})
	case a.visit.Patient != "":
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

// likelyAt tells of a stream whether it ends at a revision as far as this process
// knows.
func (h *Handler) likelyAt(end domain.Revision) func(domain.StreamName) bool {
	return func(stream domain.StreamName) bool {
		at, known := h.Store.LikelyEnd(stream)
		return known && at == end
	}
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
		Deadline: at.Add(DecisionTime), At: at, Policies: a.policies, Purpose: a.purpose,
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
		beside: a.beside(stream), offer: a.offer, until: a.until,
	}
}

// offeredFor returns for which wish the set is offered, "" for none.
func (a *attempt) offeredFor() domain.WishID {
	if !a.offer {
		return ""
	}
	return a.waits
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
