package commands

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// plan is a practitioner's schedule as it was loaded.
type plan struct {
	state    schedule.State
	revision domain.Revision
	setAt    time.Time // when the revision was recorded, by the business clock
}

// planOf takes a schedule that the store's clock has recorded in the future for
// set just now: a business clock may be behind.
func (h *Handler) planOf(recorded []domain.Recorded) plan {
	p := plan{state: domain.Replay(schedule.Evolve, schedule.State{}, recorded), revision: last(recorded)}
	if n := len(recorded); n > 0 {
		p.setAt = recorded[n-1].RecordedAt
	}
	if now := h.Now(); now.Before(p.setAt) {
		p.setAt = now
	}
	return p
}

// wantsFence reports whether an opener with an older schedule may still open
// what the day now wants no longer: it is for an older revision than the one
// that changed it, or was never opened and lay within reach when the schedule
// was changed. Before a first pattern there is no such opener.
func (p plan) wantsFence(d schedule.Day, day domain.Day) bool {
	since, changed := p.state.FenceSince(day)
	if d.Opened {
		return d.Schedule < since
	}
	return changed && day < domain.DayOf(p.setAt).Add(p.state.Days())
}

// alignment is one try at one step of making a day what the schedule wants.
type alignment struct {
	req          Request
	practitioner domain.PractitionerID
	day          domain.Day
	now          time.Time

	plan     plan
	wanted   []schedule.Want
	overlaps []schedule.Want
	occupied []domain.SlotID             // of those that the day has withdrawn
	days     map[domain.Day]schedule.Day // the day and its neighbours
	revision domain.Revision             // of the day's stream
	opening  Opening
}

func (h *Handler) loadDays(ctx context.Context, a *alignment, days ...domain.Day) error {
	own := schedule.Stream(a.practitioner)
	names := []domain.StreamName{own}
	for _, day := range days {
		names = append(names, schedule.DayStream(a.practitioner, day))
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return err
	}
	a.plan = h.planOf(loaded[own])
	a.days = map[domain.Day]schedule.Day{}
	for _, day := range days {
		a.days[day] = dayOf(loaded, a.practitioner, day)
	}
	a.revision = last(loaded[schedule.DayStream(a.practitioner, a.day)])
	wants, err := a.plan.state.Wanted(a.day, 1, a.now)
	if err == nil {
		a.wanted, a.overlaps = wants[0].Slots, wants[0].Overlaps
	}
	return err
}

// decide lets the day decide and returns the write, none when nothing happens.
func (h *Handler) decide(a *alignment, fence bool, owned []domain.Period) ([]schedule.DayOpened, []Write, error) {
	events, err := schedule.DecideDay(a.days[a.day], schedule.Open{
		Practitioner: a.practitioner, Day: a.day, Schedule: a.plan.revision, Fence: fence, Now: a.now, Wanted: a.wanted,
		Overlaps: a.overlaps, Owned: owned, Occupied: a.occupied,
	})
	if errors.Is(err, schedule.ErrOvertaken) {
		return nil, nil, ErrWrongRevision // somebody has seen a schedule that we have not
	}
	if err != nil || len(events) == 0 {
		return nil, nil, err
	}
	return events, []Write{{schedule.DayStream(a.practitioner, a.day), a.revision, stamp(h, a.req, events)}}, nil
}

// fence withdraws from a day what fits no longer, and tells its slots also what
// the day has taken back. The day's event says so first, at its exact revision;
// the slots follow, and are made to follow by whoever comes next should this
// process die.
func (h *Handler) fence(ctx context.Context, a *alignment) error {
	if err := h.loadDays(ctx, a, a.day); err != nil {
		return err
	}
	var writes []Write
	if d := a.days[a.day]; a.day >= domain.DayOf(a.now) && (d.Opened || a.plan.wantsFence(d, a.day)) {
		events, decided, err := h.decide(a, true, nil)
		if err != nil {
			return err
		}
		writes = decided
		for _, e := range events {
			a.days[a.day] = schedule.EvolveDay(a.days[a.day], e)
			a.opening.Withdrawn = e.Withdrawn
		}
	}
	changes, holders, err := h.slotChanges(ctx, a)
	if err != nil {
		return err
	}
	if holders, err = h.undead(ctx, holders, h.verdicts("")); err != nil {
		return err
	}
	for _, holder := range holders {
		a.opening.Displaced = append(a.opening.Displaced, holder.Appointment)
	}
	return h.appendAll(ctx, append(writes, changes...))
}

// slotChanges returns what a day's slots have to be told: that they are
// withdrawn or reinstated, or how many places are wanted; and who is displaced
// by that.
func (h *Handler) slotChanges(ctx context.Context, a *alignment) (writes []Write, displaced []slot.Holder, err error) {
	d := a.days[a.day]
	loaded, err := h.loadSlots(ctx, d.Slots)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range d.Slots {
		recorded := loaded[slot.Stream(s.ID)]
		state := domain.Replay(slot.Evolve, slot.State{}, recorded)
		command := a.slotCommand(d, s, state)
		if command == nil {
			continue
		}
		events, err := slot.Decide(state, command)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range events {
			if withdrawn, ok := e.(slot.Withdrawn); ok {
				displaced = append(displaced, withdrawn.Displaced...)
			}
		}
		if len(events) > 0 {
			writes = append(writes, Write{slot.Stream(s.ID), last(recorded), stamp(h, a.req, events)})
		}
	}
	return writes, displaced, nil
}

func (a *alignment) slotCommand(d schedule.Day, s schedule.Slot, state slot.State) slot.Command {
	terms := slot.Terms{Slot: s.ID, Practitioner: a.practitioner, Clinic: s.Clinic, Period: s.Period}
	times, i := d.Withdrawals(s.ID), slices.IndexFunc(a.wanted, s.Is)
	switch {
	case slices.Contains(d.Withdrawn, s.ID):
		return slot.Withdraw{Terms: terms, Times: times}
	case state.Withdrawn && i < 0:
		return slot.Reinstate{Terms: terms, Times: times}
	case state.Withdrawn:
		return slot.Reinstate{Terms: terms, Times: times, Capacity: a.wanted[i].Capacity}
	}
	untouched := state.Places == 0 && i >= 0 && a.wanted[i].Capacity == s.Capacity
	if i < 0 || untouched {
		return nil
	}
	return slot.Resize{Terms: terms, Capacity: a.wanted[i].Capacity}
}

func (h *Handler) loadSlots(ctx context.Context, slots []schedule.Slot) (map[domain.StreamName][]domain.Recorded, error) {
	names := make([]domain.StreamName, len(slots))
	for i, s := range slots {
		names[i] = slot.Stream(s.ID)
	}
	return h.Store.Load(ctx, names...)
}

// open opens what a day wants over time that nothing owns.
func (h *Handler) open(ctx context.Context, a *alignment) error {
	if err := h.loadDays(ctx, a, a.day.Add(-1), a.day, a.day.Add(1)); err != nil {
		return err
	}
	for day, d := range a.days {
		if a.plan.wantsFence(d, day) && day >= domain.DayOf(a.now) {
			return errUnfenced
		}
	}
	writes, err := h.decideOpening(ctx, a)
	if err != nil {
		return err
	}
	return h.appendAll(ctx, writes)
}

// decideOpening decides what a day opens, and notes it.
func (h *Handler) decideOpening(ctx context.Context, a *alignment) ([]Write, error) {
	owned, err := h.owned(ctx, a)
	if err != nil {
		return nil, err
	}
	events, writes, err := h.decide(a, false, owned)
	if err != nil {
		return nil, err
	}
	a.opening = Opening{Waiting: a.days[a.day].Waiting, Overlaps: a.days[a.day].NewlyLost(a.overlaps)}
	for _, e := range events {
		a.days[a.day] = schedule.EvolveDay(a.days[a.day], e)
		a.opening.Opened, a.opening.Reinstated, a.opening.Waiting = e.Slots, e.Reinstated, e.Waiting
	}
	return writes, nil
}

// doubtful is a slot of which its own stream has to say whether it owns its
// time: one that its day has withdrawn at some time.
type doubtful struct {
	schedule.Slot
	own       bool // of the day that is to be opened
	withdrawn bool // now, by its day
	times     int  // how often it was withdrawn, by its day
}

// owned returns the time that neighbouring days own, and notes which of the
// day's own withdrawn slots still own theirs. It is too early to say,
// [errUnfenced], while a slot has not been told what its day decided: somebody
// could still book it.
func (h *Handler) owned(ctx context.Context, a *alignment) ([]domain.Period, error) {
	owned, doubts := a.owned()
	if len(doubts) == 0 {
		return owned, nil
	}
	slots := make([]schedule.Slot, len(doubts))
	for i, d := range doubts {
		slots[i] = d.Slot
	}
	loaded, err := h.loadSlots(ctx, slots)
	if err != nil {
		return nil, err
	}
	for _, d := range doubts {
		state := domain.Replay(slot.Evolve, slot.State{}, loaded[slot.Stream(d.ID)])
		if state.Withdrawn != d.withdrawn || state.Times != d.times {
			return nil, errUnfenced
		}
		if !d.withdrawn {
			continue
		}
		live, _, err := h.countLive(ctx, slot.Stream(d.ID), state.Claims)
		switch {
		case err != nil:
			return nil, err
		case live > 0 && d.own:
			a.occupied = append(a.occupied, d.ID)
		case live > 0:
			owned = append(owned, d.Period)
		}
	}
	return owned, nil
}

// owned returns the time that neighbouring days own for sure, and the slots
// that are doubtful.
func (a *alignment) owned() (owned []domain.Period, doubts []doubtful) {
	reach := a.reach()
	for day, d := range a.days {
		for _, s := range d.Slots {
			own, withdrawn, times := day == a.day, slices.Contains(d.Withdrawn, s.ID), d.Withdrawals(s.ID)
			near := reach.Overlaps(s.Period) && slices.ContainsFunc(a.wanted, func(w schedule.Want) bool { return w.Overlaps(s.Period) })
			switch {
			case !near && !own:
			case withdrawn, own && times > 0:
				doubts = append(doubts, doubtful{s, own, withdrawn, times})
			case !own:
				owned = append(owned, s.Period)
			}
		}
	}
	return owned, doubts
}

// reach returns the period from the first to the last thing wanted.
func (a *alignment) reach() (reach domain.Period) {
	for _, w := range a.wanted {
		reach = spanning(reach, w.Period)
	}
	return reach
}

// appendAll stores the writes at once where the store can, else in order; so
// also when they are too much for one append.
func (h *Handler) appendAll(ctx context.Context, writes []Write) error {
	if len(writes) == 0 {
		return nil
	}
	if h.Store.Atomic() {
		_, err := h.Store.Append(ctx, writes...)
		if !errors.Is(err, ErrTooLarge) || len(writes) == 1 {
			return err
		}
	}
	for _, w := range writes {
		if _, err := h.Store.Append(ctx, w); err != nil {
			return err
		}
	}
	return nil
}
