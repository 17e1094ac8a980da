package commands

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
)

// decisionTime is how long a direct booking may take from its first event to
// its last: the deadline of its set.
const decisionTime = 10 * time.Second

// Booking is a wish for one slot.
type Booking struct {
	Appointment domain.AppointmentID
	Slot        domain.SlotID
	Patient     domain.PatientID
	Reason      string // open text, sealed before it is stored
}

// Conflict is a refusal by an arbiter: which stream refused, at which
// revision. It unwraps to the rule.
type Conflict struct {
	Err      error
	Stream   domain.StreamName
	Revision domain.Revision
}

// Error returns the rule's text.
func (c *Conflict) Error() string { return c.Err.Error() }

// Unwrap returns the rule, for errors.Is.
func (c *Conflict) Unwrap() error { return c.Err }

// attempt is one try at a booking: what was loaded, and what was decided on it.
type attempt struct {
	req      Request
	visit    appointment.Visit
	capacity int
	needs    []domain.StreamName // the arbiters' streams, sorted
	own      []domain.Recorded   // the appointment's stream
	state    appointment.State   // with what this try has decided
	set      int
	proposed []NewEvent // empty when an interrupted booking goes on
	claims   []Write    // of the arbiters that do not have the claim yet
	checks   []Write
}

// Book books a slot for a patient. The history is the same on every store:
//
//	appointment  proposed ----------------------> booked   (the commit point)
//	occupancy              booked
//	slot                           booked
//
// one by one, in this order; or, where the store can, in one append, in which
// the claims come first, so that no prefix of the log shows a live set without
// its claims. A booking
// that was interrupted is continued by a repeat of the same command, or undone
// by whoever is hindered by its claims once its deadline has passed.
//
// Errors: [schedule.ErrSlotGone], [patient.ErrNotFound], the refusals of package
// appointment; a [Conflict] over [slot.ErrTaken], [slot.ErrWithdrawn] or
// [occupancy.ErrTaken]; and those of every command.
func (h *Handler) Book(ctx context.Context, req Request, b Booking) (Answer[appointment.State], error) {
	ctx, cancel := context.WithTimeout(ctx, h.Patience)
	defer cancel()
	return execute(h, req, func(h *Handler, req Request) (Answer[appointment.State], error) {
		return h.bookInTurn(ctx, req, b)
	})
}

func (h *Handler) bookInTurn(ctx context.Context, req Request, b Booking) (Answer[appointment.State], error) {
	o, err := retry(ctx, func(ctx context.Context) (opened, error) { return h.openedSlot(ctx, b.Slot) })
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	visit := appointment.Visit{
		Appointment: b.Appointment, Patient: b.Patient, Practitioner: o.terms.Practitioner, Clinic: o.terms.Clinic,
		Slots: []domain.SlotID{b.Slot}, Period: o.terms.Period,
	}
	needs := streams(arbiters(visit, 0, 0))
	leave, err := h.turns.take(ctx, needs...)
	if err != nil {
		return Answer[appointment.State]{}, ErrBusy
	}
	defer leave()
	return retry(ctx, func(ctx context.Context) (Answer[appointment.State], error) {
		return h.book(ctx, &attempt{req: req, visit: visit, capacity: o.capacity, needs: needs}, b.Reason)
	})
}

func (h *Handler) book(ctx context.Context, a *attempt, reason string) (Answer[appointment.State], error) {
	loaded, err := h.loadBooking(ctx, a)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	if done, ok, err := a.replayed(); ok || err != nil {
		return done, err
	}
	if err := h.propose(a, reason); err != nil {
		return Answer[appointment.State]{}, err
	}
	if a.state.Fate(a.set) == claim.Live {
		return answer(a.state, a.own), nil // the same visit, booked by another command
	}
	if err := h.claimAll(ctx, a, loaded); err != nil {
		return Answer[appointment.State]{}, h.abandon(ctx, a, err)
	}
	return h.commit(ctx, a)
}

// loadBooking loads the appointment and its arbiters, and sees to it that
// those whom the visit names exist.
func (h *Handler) loadBooking(ctx context.Context, a *attempt) (map[domain.StreamName][]domain.Recorded, error) {
	own, who, where := appointment.Stream(a.visit.Appointment), patient.Stream(a.visit.Patient), clinic.Stream(a.visit.Clinic)
	loaded, err := h.loadKnown(ctx, slices.Concat(a.needs, []domain.StreamName{own}), who, where)
	if err != nil {
		return nil, err
	}
	isPatient, err := exists(loaded, who, patient.ErrNotFound)
	if err != nil {
		return nil, err
	}
	isClinic, err := exists(loaded, where, clinic.ErrNotFound)
	if err != nil {
		return nil, err
	}
	a.checks = []Write{isPatient, isClinic}
	a.own = loaded[own]
	a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
	return loaded, nil
}

// replayed answers a repeat of a command whose booking was live. One that was
// interrupted goes on, and a refusal is decided again.
func (a *attempt) replayed() (Answer[appointment.State], bool, error) {
	upTo, err := replay(a.own, a.req)
	if err == nil && upTo == 0 {
		err = a.req.expect(a.own)
	}
	if err != nil || upTo == 0 {
		return Answer[appointment.State]{}, false, err
	}
	state := domain.Replay(appointment.Evolve, appointment.State{}, a.own[:upTo])
	return answer(state, a.own[:upTo]), state.Decided, nil
}

func (h *Handler) propose(a *attempt, reason string) error {
	at := h.Now().UTC().Truncate(time.Microsecond)
	events, err := appointment.Decide(a.state, appointment.Propose{
		Visit: a.visit, Claims: a.needs, Reason: domain.Open(string(a.visit.Patient), reason),
		Deadline: at.Add(decisionTime), At: at,
	})
	if err != nil {
		return err
	}
	a.state = domain.Fold(appointment.Evolve, a.state, events...)
	a.proposed = stamp(h, a.req, events)
	_, a.set = a.state.Current()
	return nil
}

// claimAll decides every claim before anything is stored, so that an ordinary
// refusal leaves nothing behind.
func (h *Handler) claimAll(ctx context.Context, a *attempt, loaded map[domain.StreamName][]domain.Recorded) error {
	for _, arbiter := range arbiters(a.visit, a.set, a.capacity) {
		write, err := h.claim(ctx, a.req, arbiter, loaded[arbiter.stream()])
		if err != nil {
			return err
		}
		if len(write.Events) > 0 {
			a.claims = append(a.claims, write)
		}
	}
	return nil
}

// commit stores what was decided.
func (h *Handler) commit(ctx context.Context, a *attempt) (Answer[appointment.State], error) {
	events, err := h.decideCommit(a)
	if err != nil {
		return Answer[appointment.State]{}, err
	}
	own := Write{Stream: appointment.Stream(a.visit.Appointment), Expected: last(a.own), Events: a.proposed}
	booked := stamp(h, a.req, events)
	done := Answer[appointment.State]{State: domain.Fold(appointment.Evolve, a.state, events...)}
	done.Revision = last(a.own) + domain.Revision(len(a.proposed)+len(booked))
	if h.Store.Atomic() {
		own.Events = slices.Concat(own.Events, booked)
		done.Position, err = h.append(ctx, append(a.claims, own), a.checks)
	} else {
		done.Position, err = h.step(ctx, a, own)
	}
	return done, err
}

// decideCommit judges the deadline by this process's clock, right before the
// append. Too late is a race lost against the clock: the next try ends the
// set and opens another.
func (h *Handler) decideCommit(a *attempt) ([]appointment.Event, error) {
	events, err := appointment.Decide(a.state, appointment.Commit{Set: a.set, At: h.Now()})
	if errors.Is(err, appointment.ErrLapsed) {
		return nil, ErrWrongRevision
	}
	return events, err
}

// step stores a booking one append at a time: proposed, the claims, booked.
func (h *Handler) step(ctx context.Context, a *attempt, own Write) (domain.Position, error) {
	if len(own.Events) > 0 {
		if _, err := h.Store.Append(ctx, own); err != nil {
			return 0, err
		}
	}
	own.Expected += domain.Revision(len(own.Events))
	for _, write := range a.claims {
		if err := h.settle(ctx, a, write); err != nil {
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
func (h *Handler) settle(ctx context.Context, a *attempt, write Write) error {
	for {
		_, err := h.Store.Append(ctx, write)
		if !errors.Is(err, ErrWrongRevision) {
			return err
		}
		loaded, err := h.Store.Load(ctx, write.Stream)
		if err != nil {
			return err
		}
		i := slices.Index(a.needs, write.Stream)
		write, err = h.claim(ctx, a.req, arbiters(a.visit, a.set, a.capacity)[i], loaded[write.Stream])
		if err != nil || len(write.Events) == 0 {
			return err
		}
	}
}

// abandon ends a set that an earlier, interrupted try left pending when its
// claims cannot be had any more. A set that is not stored needs no ending.
func (h *Handler) abandon(ctx context.Context, a *attempt, because error) error {
	if len(a.proposed) > 0 {
		return because
	}
	return h.refuse(ctx, a, Write{Stream: appointment.Stream(a.visit.Appointment), Expected: last(a.own)}, because)
}

// refuse ends the stored set and gives its claims back, if because is an
// arbiter's refusal; any other error leaves the set pending, for a repeat of
// the command to continue or for its deadline to end.
func (h *Handler) refuse(ctx context.Context, a *attempt, own Write, because error) error {
	conflict, ok := errors.AsType[*Conflict](because)
	if !ok {
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
	_ = h.releaseAll(ctx, a.req, a.visit, a.set) // the set is dead: what is left is released by whoever meets it
	return because
}
