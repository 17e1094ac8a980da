package commands

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

var schedules = aggregate[schedule.State, schedule.Command, schedule.Event]{schedule.Decide, schedule.Evolve}

// Opening reports what became of the days that a schedule reaches.
type Opening struct {
	Opened     []schedule.Slot        // new slots
	Withdrawn  []domain.SlotID        // slots that fit no longer; what is booked in them is displaced, not lost
	Waiting    []schedule.Want        // wanted over time that a booked slot still owns; opened when it is released
	Overlaps   []schedule.Want        // lost to a pattern that was configured earlier, and not before
	Reinstated []domain.SlotID        // withdrawn before, and on the schedule again with those who are in them
	Displaced  []domain.AppointmentID // appointments that withdrawn slots had, each once
}

// Schedule returns a practitioner's patterns as the stream says. Errors:
// [schedule.ErrNotFound].
func (h *Handler) Schedule(ctx context.Context, id domain.PractitionerID) (Answer[schedule.State], error) {
	return read(ctx, h, schedule.Stream(id), schedule.Evolve, schedule.ErrNotFound)
}

// SetSchedule replaces a practitioner's pattern at one clinic and makes the
// days that are open what the patterns now want. The zone and the calendar are
// the clinic's, whatever the command says. A change that is interrupted is
// finished by a repeat of the command, or by [Handler.OpenDays].
//
// Errors: [practitioner.ErrNotFound], [practitioner.ErrElsewhere],
// [clinic.ErrNotFound], [clinic.ErrClosed], the refusals of package schedule, and those of every
// command.
func (h *Handler) SetSchedule(ctx context.Context, req Request, c schedule.Set) (Answer[schedule.State], Opening, error) {
	k, err := h.Clinic(ctx, c.Pattern.Clinic)
	if err != nil {
		return Answer[schedule.State]{}, Opening{}, err
	}
	if k.State.Closed {
		return Answer[schedule.State]{}, Opening{}, clinic.ErrClosed
	}
	c.Pattern.Zone, c.Calendar, c.Revision = k.State.Zone, k.State.Calendar, k.Revision
	return h.reschedule(ctx, req, c.Practitioner, c, c.Pattern.Clinic)
}

// SetException makes the hours of one date different, and the days that are
// open what the schedule now wants.
//
// Errors: [practitioner.ErrNotFound], [practitioner.ErrElsewhere], the
// refusals of package schedule, and those of every command.
func (h *Handler) SetException(ctx context.Context, req Request, c schedule.SetException) (Answer[schedule.State], Opening, error) {
	return h.reschedule(ctx, req, c.Practitioner, c, c.Exception.Clinic)
}

// RemoveException makes a date like others again. Errors: those of
// [Handler.SetException], and [schedule.ErrNoException].
func (h *Handler) RemoveException(ctx context.Context, req Request, c schedule.RemoveException) (Answer[schedule.State], Opening, error) {
	return h.reschedule(ctx, req, c.Practitioner, c, "")
}

// Block closes time at once: free slots in it are withdrawn, and what is booked
// in it is displaced. Errors: [practitioner.ErrNotFound], [schedule.ErrBlock],
// and those of every command.
func (h *Handler) Block(ctx context.Context, req Request, c schedule.BlockTime) (Answer[schedule.State], Opening, error) {
	return h.reschedule(ctx, req, c.Practitioner, c, "")
}

// Unblock opens the time of a block again. Errors: [practitioner.ErrNotFound],
// [schedule.ErrNoBlock], and those of every command.
func (h *Handler) Unblock(ctx context.Context, req Request, c schedule.Unblock) (Answer[schedule.State], Opening, error) {
	return h.reschedule(ctx, req, c.Practitioner, c, "")
}

// reschedule changes a practitioner's schedule, and then the days.
func (h *Handler) reschedule(
	ctx context.Context, req Request, id domain.PractitionerID, c schedule.Command, at domain.ClinicID,
) (Answer[schedule.State], Opening, error) {
	var opening Opening
	done, err := execute(h, req, func(h *Handler, req Request) (Answer[schedule.State], error) {
		done, err := change(ctx, h, req, schedule.Stream(id), schedules, c, worksAt(id, at))
		if err == nil {
			opening, err = h.OpenDays(ctx, req, id)
		}
		return done, err
	})
	return done, opening, err
}

// worksAt guards that there is such a practitioner, and that the clinic, if
// one is named, is where they work. What a clinic says besides is compared when
// the days are opened.
func worksAt(id domain.PractitionerID, at domain.ClinicID) guard {
	return func(ctx context.Context, h *Handler) ([]Write, error) {
		p, check, err := profile(ctx, h, practitioner.Stream(id), practitioner.Evolve, practitioner.ErrNotFound)
		if err == nil && at != "" && !slices.Contains(p.Clinics, at) {
			err = practitioner.ErrElsewhere
		}
		return []Write{check}, err
	}
}

// errUnfenced says that a day cannot be opened before it and its neighbours
// are fenced under the current schedule.
var errUnfenced = errors.New("a day is not fenced")

// OpenDays makes every day what the practitioner's schedule wants of it by
// now: what a clinic has changed is adopted, days that a horizon reaches are
// opened, what waited for time that is free is opened, and a change that was
// interrupted is finished. It does nothing when all is as it should be.
//
//	adopt:           each clinic's zone and calendar    (schedule.clinic-adopted)
//	fence each day:  withdraw what fits no longer       (schedule.day-opened, slot.withdrawn)
//	open each day:   over time that no slot owns        (schedule.day-opened, slot.reinstated)
//
// Days on which nothing can have changed are left alone. The others are all
// fenced before the first is opened, so that two schedules never give the same
// time to slots on either side of a day's end.
func (h *Handler) OpenDays(ctx context.Context, req Request, id domain.PractitionerID) (Opening, error) {
	var all Opening
	for range maxRounds {
		s, err := h.surveyed(ctx, req, id)
		if err != nil {
			return all, err
		}
		if h.Store.Atomic() && s.fresh() {
			err = h.openFresh(ctx, req, s, &all)
		} else {
			err = h.alignAll(ctx, req, s, &all)
		}
		if !errors.Is(err, errUnfenced) && !errors.Is(err, ErrWrongRevision) {
			return all, err
		}
		if pause(ctx) != nil { // the schedule was changed meanwhile
			break
		}
	}
	return all, ErrBusy
}

// maxRounds is how often OpenDays begins anew because the schedule was changed
// meanwhile.
const maxRounds = 50

// alignAll fences all days, and then opens them. Where a day takes slots back,
// it goes over them again: the slots have to be told, and the day to be done.
func (h *Handler) alignAll(ctx context.Context, req Request, s survey, all *Opening) error {
	for {
		before := len(all.Reinstated)
		if err := h.eachDay(ctx, req, s, h.fence, all); err != nil {
			return err
		}
		if err := h.eachDay(ctx, req, s, h.open, all); err != nil || len(all.Reinstated) == before {
			return err
		}
	}
}

func (h *Handler) eachDay(
	ctx context.Context, req Request, s survey, step func(context.Context, *alignment) error, all *Opening,
) error {
	all.Waiting = nil
	for _, day := range s.unsettled {
		opening, err := again(ctx, h, func(ctx context.Context) (Opening, error) {
			a := &alignment{req: req, practitioner: s.practitioner, day: day, now: h.Now().UTC()}
			err := step(ctx, a)
			return a.opening, err
		})
		if err != nil {
			return err
		}
		all.add(opening)
	}
	return nil
}

func (o *Opening) add(p Opening) {
	o.Opened = append(o.Opened, p.Opened...)
	o.Withdrawn = append(o.Withdrawn, p.Withdrawn...)
	o.Waiting = append(o.Waiting, p.Waiting...)
	o.Overlaps = append(o.Overlaps, p.Overlaps...)
	o.Reinstated = append(o.Reinstated, p.Reinstated...)
	for _, visit := range p.Displaced {
		if !slices.Contains(o.Displaced, visit) {
			o.Displaced = append(o.Displaced, visit)
		}
	}
}

// clinicsOf returns the streams of the clinics at which a schedule has
// patterns.
func clinicsOf(s schedule.State) []domain.StreamName {
	names := make([]domain.StreamName, len(s.Patterns))
	for i, p := range s.Patterns {
		names[i] = clinic.Stream(p.Clinic)
	}
	return names
}

// adoptions returns how a schedule adopts what its clinics say, nothing when
// it has.
func adoptions(s schedule.State, loaded map[domain.StreamName][]domain.Recorded) ([]schedule.Event, error) {
	var all []schedule.Event
	for _, p := range s.Patterns {
		recorded := loaded[clinic.Stream(p.Clinic)]
		if len(recorded) == 0 {
			continue
		}
		k := domain.Replay(clinic.Evolve, clinic.State{}, recorded)
		events, err := schedule.Decide(s, schedule.Adopt{
			Practitioner: s.Practitioner, Clinic: p.Clinic, Zone: k.Zone, Calendar: k.Calendar, Revision: last(recorded),
		})
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}

// Standing is how a practitioner's schedule stands, as far as its own stream
// and its clinics say.
type Standing struct {
	Revision domain.Revision // of the schedule; [domain.NoStream] when there is none
	Stale    bool            // a clinic says what the schedule has not adopted
	NextDay  time.Time       // when a horizon next reaches a day further; zero = never
}

// Standings returns how the schedules of practitioners stand, in their order:
// with [Handler.OpenDays] it says who is worth a look. It takes two round trips
// however many they are.
func (h *Handler) Standings(ctx context.Context, ids ...domain.PractitionerID) ([]Standing, error) {
	names := make([]domain.StreamName, len(ids))
	for i, id := range ids {
		names[i] = schedule.Stream(id)
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return nil, err
	}
	plans, places := make([]plan, len(ids)), map[domain.StreamName]bool{}
	for i, name := range names {
		plans[i] = h.planOf(loaded[name])
		for _, place := range clinicsOf(plans[i].state) {
			places[place] = true
		}
	}
	if len(places) > 0 {
		if loaded, err = h.Store.Load(ctx, slices.Sorted(maps.Keys(places))...); err != nil {
			return nil, err
		}
	}
	standings, now := make([]Standing, len(ids)), h.Now()
	for i, p := range plans {
		adopted, err := adoptions(p.state, loaded)
		if err != nil {
			return nil, err
		}
		standings[i] = Standing{p.revision, len(adopted) > 0, p.state.NextDay(now)}
	}
	return standings, nil
}

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
