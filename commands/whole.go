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
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/series"
)

// The refusals of a series that is booked with every date or none.
var (
	// ErrSeriesRefused is the refusal when somebody else stands in the way, and
	// ErrSeriesRule the same rule when the first date would be refused anyway.
	ErrSeriesRefused = domain.Refusal(domain.Conflict, "series.refused", "a date of the series cannot be had, and so none is booked; refused lists each such date")
	ErrSeriesRule    = domain.Refusal(domain.Refused, ErrSeriesRefused.Rule, ErrSeriesRefused.Text)

	ErrSeriesApproval = domain.Refusal(domain.Refused, "series.approval", "where visits wait for approval a series is not booked with every date or none")
)

// errRoundOver says that a round can no longer be booked as it was proposed.
var errRoundOver = errors.New("the round cannot go on")

// SeriesRefused is the refusal of a series that is booked with every date or
// none. It unwraps to [ErrSeriesRefused] or [ErrSeriesRule].
type SeriesRefused struct {
	Series series.State // as it was wished; Missed has each date that cannot be had
	dates  []refusedDate
}

type refusedDate struct {
	series.Miss
	booking Booking
	err     error
}

// Error returns the rule's text.
func (r *SeriesRefused) Error() string { return r.Unwrap().Error() }

// Unwrap returns the rule, for errors.Is; its kind is that of the first date.
func (r *SeriesRefused) Unwrap() error {
	if domain.RuleOf(r.dates[0].err).Kind == domain.Refused {
		return ErrSeriesRule
	}
	return ErrSeriesRefused
}

// roundTime is how long a round of so many visits may take from its first event
// to its last, on a store that takes them one by one.
func roundTime(visits int) time.Duration { return DecisionTime + time.Duration(visits)*DecisionTime/20 }

// whole is one try at a series of which every date is booked or none.
type whole struct {
	SeriesBooking
	req      Request
	dates    []series.Date
	own      []domain.Recorded // the series' stream
	revision domain.Revision   // of the series' stream, with what this try has stored
	state    series.State
	goesOn   bool // with a round that is there
	deadline time.Time
	visits   []*dated
	checks   []Write
	refused  []refusedDate
	proposed []NewEvent // of the series; empty when a round goes on
}

// dated is the visit of one date.
type dated struct {
	*attempt
	date    series.Date
	booking Booking
}

// bookWhole books every date of a series or none. It is the protocol of one
// appointment over many, whose commit point is series.booked:
//
//	series       proposed ------------------------------------> booked
//	appointment            proposed                                     booked
//	claims                          booked
//
// one by one, visit after visit; or, where the store can, in one append, in
// which the claims come first and the series before its appointments. What was
// interrupted is continued by a repeat of the same command; whoever is hindered
// ends the series once its deadline has passed, or takes its visits for booked
// once it is.
func (h *Handler) bookWhole(ctx context.Context, req Request, b SeriesBooking, dates []series.Date) (Answer[series.State], error) {
	ctx, cancel := context.WithTimeout(ctx, max(h.Patience, roundTime(len(dates))))
	defer cancel()
	done, err := execute(h, req, func(h *Handler, req Request) (Answer[series.State], error) {
		return retry(ctx, h, func(ctx context.Context) (Answer[series.State], error) {
			return h.tryWhole(ctx, &whole{SeriesBooking: b, req: req, dates: dates})
		})
	})
	if refused, ok := errors.AsType[*SeriesRefused](err); ok {
		for _, r := range refused.dates {
			h.unmet(ctx, req, "book", r.booking, r.err)
		}
	}
	return done, err
}

func (h *Handler) tryWhole(ctx context.Context, w *whole) (Answer[series.State], error) {
	var none Answer[series.State]
	if done, found, err := h.replayedWhole(ctx, w); found || err != nil {
		return done, err
	}
	if err := h.planRound(ctx, w); err != nil {
		return none, err
	}
	leave, err := h.turns.take(ctx, w.streams()...)
	if err != nil {
		return none, ErrBusy
	}
	defer leave()
	err = h.decideRound(ctx, w)
	switch {
	case errors.Is(err, errRoundOver):
		return none, cmp.Or(h.endRound(ctx, w, appointment.ErrChanging.Rule), ErrWrongRevision)
	case err != nil:
		return none, err
	case len(w.refused) > 0:
		return none, h.refuseWhole(ctx, w)
	}
	if h.Store.Atomic() && !w.goesOn {
		if done, err := h.commitAtOnce(ctx, w); !errors.Is(err, ErrTooLarge) {
			return done, err
		}
	}
	return h.commitInSteps(ctx, w)
}

// replayedWhole answers a repeat of a command that has come to its end, and
// finishes what it left to do.
func (h *Handler) replayedWhole(ctx context.Context, w *whole) (Answer[series.State], bool, error) {
	stream := series.Stream(w.Series)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return Answer[series.State]{}, false, err
	}
	w.own = loaded[stream]
	w.revision, w.state = last(w.own), domain.Replay(series.Evolve, series.State{}, w.own)
	upTo, err := replay(w.own, w.req)
	if err == nil && upTo == 0 {
		err = w.req.expect(w.own)
	}
	switch {
	case err != nil || len(w.own) == 0:
		return Answer[series.State]{}, false, err
	case upTo == 0:
		return Answer[series.State]{}, false, series.ErrExists
	case w.state.Status == series.Booked, w.state.Status == series.Reported:
		done := answer(w.state, w.own)
		done.Position = max(done.Position, h.finishVisits(ctx, w.state.Visits))
		return done, true, nil
	}
	at := h.now()
	w.goesOn = w.state.Status == series.Proposed && at.Before(w.state.Deadline)
	return Answer[series.State]{}, false, nil
}

// finishVisits notes on the appointments of a series that was booked that they
// are, and returns the position of the last one. Its failure is nobody's.
func (h *Handler) finishVisits(ctx context.Context, visits []series.Visit) domain.Position {
	var position domain.Position
	for _, v := range visits {
		if visit, err := h.Appointment(ctx, v.Appointment); err == nil {
			position = max(position, visit.Position)
		}
	}
	return position
}

// planRound plans a booking for each date, and notes the dates that cannot be
// had whatever the arbiters say.
func (h *Handler) planRound(ctx context.Context, w *whole) error {
	w.deadline = h.now().Add(roundTime(len(w.dates)))
	if w.goesOn {
		w.deadline = w.state.Deadline
	}
	for _, date := range w.dates {
		d := &dated{date: date, booking: Booking{
			Appointment: w.appointment(date.Day), VisitType: w.VisitType, Patient: w.Patient, Reason: w.Reason, By: w.By,
		}}
		p, err := h.planDate(ctx, w, d)
		if p.request {
			return ErrSeriesApproval
		}
		if err != nil {
			if err := w.refuse(d, err); err != nil {
				return err
			}
			continue
		}
		d.attempt = &attempt{proposal: p, id: d.booking.Appointment, req: w.req.on(date.Day)}
		w.visits = append(w.visits, d)
	}
	return nil
}

func (h *Handler) planDate(ctx context.Context, w *whole, d *dated) (proposal, error) {
	if d.date.Skipped {
		return proposal{}, series.ErrNoSuchTime
	}
	if visit, there := w.visitOn(d.date.Day); there {
		d.booking.Slots = visit.All()
	} else {
		id, err := h.slotOn(ctx, w.SeriesBooking, d.date)
		if err != nil {
			return proposal{}, err
		}
		d.booking.Slots = []domain.SlotID{id}
	}
	p, err := h.planBooking(ctx, d.booking)
	if err == nil {
		err = p.refusal
	}
	return p, err
}

// visitOn returns the visit that a round which goes on has on a day.
func (w *whole) visitOn(day domain.Day) (series.Visit, bool) {
	i := slices.IndexFunc(w.state.Visits, func(v series.Visit) bool { return v.Day == day })
	if !w.goesOn || i < 0 {
		return series.Visit{}, false
	}
	return w.state.Visits[i], true
}

// refuse notes the refusal of one date. Any other error is returned.
func (w *whole) refuse(d *dated, err error) error {
	rule := domain.RuleOf(err)
	if rule == nil || !refusesDate(rule.Kind) {
		return err
	}
	w.refused = append(w.refused, refusedDate{series.Miss{Day: d.date.Day, Start: d.date.Start, Rule: rule.Rule}, d.booking, err})
	return nil
}

// streams returns the arbiters' streams of every visit.
func (w *whole) streams() []domain.StreamName {
	var names []domain.StreamName
	for _, d := range w.visits {
		names = append(names, d.streams()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// decideRound decides every claim of every date before anything is stored, so
// that an ordinary refusal leaves nothing behind. Each date is decided as if
// those before it were stored: they count for quotas, and none overlaps another.
func (h *Handler) decideRound(ctx context.Context, w *whole) error {
	loaded, err := h.loadRound(ctx, w)
	if err != nil {
		return err
	}
	for _, d := range w.visits {
		d.loaded = loaded
		err := h.proposeVisit(w, d)
		if err == nil {
			err = h.claimAll(ctx, d.attempt)
		}
		if err != nil {
			if err := w.refuse(d, err); err != nil {
				return err
			}
			continue
		}
		for _, write := range d.claims {
			loaded[write.Stream] = after(loaded[write.Stream], eventsOf(write))
		}
	}
	if len(w.refused) > 0 || w.goesOn {
		return nil
	}
	events, err := series.Decide(w.state, series.Propose{Series: w.wished(), Deadline: w.deadline, At: h.now()})
	w.proposed, w.state = stamp(h, w.req, events), domain.Fold(series.Evolve, w.state, events...)
	return err
}

func eventsOf(w Write) []domain.Event {
	events := make([]domain.Event, len(w.Events))
	for i, e := range w.Events {
		events[i] = e.Event
	}
	return events
}

// loadRound loads the appointments and their arbiters, and sees to it that the
// clinic and the patient exist.
func (h *Handler) loadRound(ctx context.Context, w *whole) (map[domain.StreamName][]domain.Recorded, error) {
	asked := w.streams()
	for _, d := range w.visits {
		asked = append(asked, d.stream())
	}
	where, who := clinic.Stream(w.Clinic), patient.Stream(w.Patient)
	loaded, err := h.loadKnown(ctx, slices.Clone(asked), where, who)
	if err != nil {
		return nil, err
	}
	there, err := exists(loaded, where, clinic.ErrNotFound)
	if err != nil {
		return nil, err
	}
	comes, err := exists(loaded, who, patient.ErrNotFound)
	if err != nil {
		return nil, err
	}
	if domain.Replay(patient.Evolve, patient.State{}, loaded[who]).MergedInto != "" {
		return nil, patient.ErrMerged
	}
	w.checks = []Write{there, comes}
	for _, d := range w.visits {
		d.asked, d.own = asked, loaded[d.stream()]
		d.state = domain.Replay(appointment.Evolve, appointment.State{}, d.own)
	}
	return loaded, nil
}

// proposeVisit finds the set of one visit that the series is to decide: one
// that is there, or the next. What an earlier round left waiting ends first.
func (h *Handler) proposeVisit(w *whole, d *dated) error {
	visit, planned := w.visitOn(d.date.Day)
	if planned && !slices.Equal(visit.All(), d.visit.Slots) {
		return errRoundOver
	}
	waiting, n := d.state.Waiting()
	if planned && n > 0 && n == visit.Set {
		if d.set = n; !waiting.Same(d.visit) {
			return errRoundOver
		}
		return nil
	}
	events, err := w.proposing(h.now(), d)
	if err != nil {
		return err
	}
	d.state = domain.Fold(appointment.Evolve, d.state, events...)
	d.proposed = stamp(h, d.req, events)
	_, d.set = d.state.Latest()
	switch _, n := d.state.Waiting(); {
	case n == 0:
		return appointment.ErrExists // it is booked, by itself
	case planned && n != visit.Set:
		return errRoundOver
	}
	return nil
}

func (w *whole) proposing(at time.Time, d *dated) ([]appointment.Event, error) {
	var before []appointment.Event
	if old, n := d.state.Waiting(); n > 0 && old.Series == w.Series {
		var err error
		if before, err = appointment.Decide(d.state, appointment.Settle{Set: n, Fate: claim.Dead, Rule: w.state.Rule}); err != nil {
			return nil, err
		}
	}
	events, err := appointment.Decide(domain.Fold(appointment.Evolve, d.state, before...), appointment.Propose{
		Visit: d.visit, Claims: d.streams(), Reason: domain.Open(string(w.Patient), w.Reason), Deadline: w.deadline, At: at,
		Policies: d.policies, Series: w.Series,
	})
	return append(before, events...), err
}

// wished returns the series as this try would book it.
func (w *whole) wished() series.State {
	s := series.State{
		ID: w.Series, Patient: w.Patient, Practitioner: w.Practitioner, Clinic: w.Clinic, Recurrence: w.Recurrence,
	}
	for _, d := range w.visits {
		v := series.Visit{Day: d.date.Day, Start: d.date.Start, Slot: d.visit.Slots[0], Appointment: d.id, Set: d.set}
		if len(d.visit.Slots) > 1 {
			v.Slots = d.visit.Slots
		}
		s.Visits = append(s.Visits, v)
	}
	return s
}

// refuseWhole returns the refusal with its dates, and ends what an earlier try
// has stored. What stands in the way may be the same command in another process:
// then the race for the series' stream was lost.
func (h *Handler) refuseWhole(ctx context.Context, w *whole) error {
	stream := series.Stream(w.Series)
	if loaded, err := h.Store.Load(ctx, stream); err != nil || last(loaded[stream]) != w.revision {
		return cmp.Or(err, ErrWrongRevision)
	}
	slices.SortFunc(w.refused, func(a, b refusedDate) int { return a.Start.Compare(b.Start) })
	refusal := &SeriesRefused{Series: w.wished(), dates: w.refused}
	refusal.Series.Visits = nil
	for _, r := range w.refused {
		refusal.Series.Missed = append(refusal.Series.Missed, r.Miss)
	}
	if w.state.Status == series.Proposed {
		if err := h.endRound(ctx, w, w.refused[0].Rule); err != nil {
			return err
		}
	}
	return refusal
}

// endRound ends the round that is stored, and gives its claims back.
func (h *Handler) endRound(ctx context.Context, w *whole, rule string) error {
	events, err := series.Decide(w.state, series.Refuse{Rule: rule})
	if err != nil {
		return err
	}
	if _, err := h.Store.Append(ctx, Write{series.Stream(w.Series), w.revision, stamp(h, w.req, events)}); err != nil {
		return err
	}
	for _, v := range w.state.Visits {
		h.tidyUp(ctx, w.req.on(v.Day), v.Appointment)
	}
	return nil
}

// booking returns the series' events that are left to store. It judges the
// deadline by this process's clock, right before the append: too late is a race
// lost against the clock.
func (h *Handler) booking(w *whole) ([]series.Event, error) {
	events, err := series.Decide(w.state, series.Book{At: h.now()})
	if err != nil {
		return nil, ErrWrongRevision
	}
	return events, nil
}

// booked returns the event that says of a visit what the series decided.
func (h *Handler) booked(d *dated) ([]appointment.Event, error) {
	return appointment.Decide(d.state, appointment.Settle{Set: d.set, Fate: claim.Live, ExpectedAt: d.turn(), MissedAt: d.missedAt()})
}

// commitAtOnce stores everything in one append. Errors: [ErrTooLarge] when it is
// more than a store takes.
func (h *Handler) commitAtOnce(ctx context.Context, w *whole) (Answer[series.State], error) {
	events, err := h.booking(w)
	if err != nil {
		return Answer[series.State]{}, err
	}
	own := slices.Concat(w.proposed, stamp(h, w.req, events))
	done := Answer[series.State]{State: domain.Fold(series.Evolve, w.state, events...), Revision: w.revision + domain.Revision(len(own))}
	var writes, checks []Write
	for _, d := range w.visits {
		writes, checks = joined(writes, d.claims), joined(checks, d.wish.checks)
	}
	writes = append(writes, Write{series.Stream(w.Series), w.revision, own})
	for _, d := range w.visits {
		booked, err := h.booked(d)
		if err != nil {
			return done, err
		}
		writes = append(writes, Write{d.stream(), last(d.own), slices.Concat(d.proposed, stamp(h, d.req, booked))})
	}
	if !fit(writes) {
		return done, ErrTooLarge
	}
	done.Position, err = h.append(ctx, writes, joined(checks, w.checks))
	if err == nil {
		done.Position = max(done.Position, h.tidyVisits(ctx, w))
	}
	return done, err
}

// fit reports whether the writes are no more than one append takes.
func fit(writes []Write) bool {
	n := 0
	for _, w := range writes {
		n += len(w.Events)
	}
	return n <= MaxAppendEvents
}

// joined adds writes, each stream's to those that it has already: they were
// decided one after the other.
func joined(all, more []Write) []Write {
	for _, w := range more {
		if i := slices.IndexFunc(all, func(x Write) bool { return x.Stream == w.Stream }); i >= 0 {
			all[i].Events = slices.Concat(all[i].Events, w.Events)
		} else {
			all = append(all, w)
		}
	}
	return all
}

// commitInSteps stores a round one append at a time. What is lost half-way ends
// the round, and the next try decides anew which dates cannot be had.
func (h *Handler) commitInSteps(ctx context.Context, w *whole) (Answer[series.State], error) {
	done := Answer[series.State]{}
	if len(w.proposed) > 0 {
		if _, err := h.Store.Append(ctx, Write{series.Stream(w.Series), w.revision, w.proposed}); err != nil {
			return done, err
		}
		w.revision += domain.Revision(len(w.proposed))
	}
	for _, d := range w.visits {
		err := h.claimVisit(ctx, d)
		if conflict, ok := errors.AsType[*Conflict](err); ok {
			return done, cmp.Or(h.endRound(ctx, w, domain.RuleOf(conflict).Rule), ErrWrongRevision)
		}
		if err != nil {
			return done, err
		}
	}
	events, err := h.booking(w)
	if err != nil {
		return done, err
	}
	done.State, done.Revision = domain.Fold(series.Evolve, w.state, events...), w.revision+domain.Revision(len(events))
	done.Position, err = h.Store.Append(ctx, Write{series.Stream(w.Series), w.revision, stamp(h, w.req, events)})
	if err == nil {
		done.Position = max(done.Position, h.bookVisits(ctx, w), h.tidyVisits(ctx, w))
	}
	return done, err
}

// claimVisit proposes one visit and takes its claims.
func (h *Handler) claimVisit(ctx context.Context, d *dated) error {
	if len(d.proposed) > 0 {
		if _, err := h.Store.Append(ctx, Write{d.stream(), last(d.own), d.proposed}); err != nil {
			return err
		}
	}
	for i := range d.claims {
		if err := h.settle(ctx, d.attempt, &d.claims[i]); err != nil {
			return err
		}
	}
	return nil
}

// bookVisits says of each visit that it is booked, and returns the position of
// the last one. It comes after the commit point, so that its failure is
// nobody's: whoever meets such a visit asks its series.
func (h *Handler) bookVisits(ctx context.Context, w *whole) domain.Position {
	var position domain.Position
	for _, d := range w.visits {
		events, err := h.booked(d)
		if err != nil {
			continue
		}
		write := Write{d.stream(), last(d.own) + domain.Revision(len(d.proposed)), stamp(h, d.req, events)}
		if stored, err := h.Store.Append(ctx, write); err == nil {
			position = max(position, stored)
		}
	}
	return position
}

// tidyVisits gives back what the visits of earlier rounds still hold.
func (h *Handler) tidyVisits(ctx context.Context, w *whole) domain.Position {
	var position domain.Position
	for _, d := range w.visits {
		position = max(position, h.tidy(ctx, d.req, d.state))
	}
	return position
}
