package commands

import (
	"context"
	"errors"
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
	Opened    []schedule.Slot // new slots
	Withdrawn []domain.SlotID // slots that fit no longer; what is booked in them is displaced, not lost
	Waiting   []schedule.Want // wanted over time that a booked slot still owns; opened when it is released
	Overlaps  []schedule.Want // lost to a pattern that was configured earlier
}

// Schedule returns a practitioner's patterns as the stream says. Errors:
// [schedule.ErrNotFound].
func (h *Handler) Schedule(ctx context.Context, id domain.PractitionerID) (Answer[schedule.State], error) {
	return read(ctx, h, schedule.Stream(id), schedule.Evolve, schedule.ErrNotFound)
}

// SetSchedule replaces a practitioner's pattern at one clinic and makes the
// days that are open what the patterns now want. The zone is the clinic's,
// whatever the pattern says. A change that is interrupted is finished by a
// repeat of the command, or by [Handler.OpenDays].
//
// Errors: [practitioner.ErrNotFound], [practitioner.ErrElsewhere],
// [clinic.ErrNotFound], the refusals of package schedule, and those of every
// command.
func (h *Handler) SetSchedule(ctx context.Context, req Request, c schedule.Set) (Answer[schedule.State], Opening, error) {
	var opening Opening
	done, err := execute(h, req, func(h *Handler, req Request) (done Answer[schedule.State], err error) {
		k, _, err := profile(ctx, h, clinic.Stream(c.Pattern.Clinic), clinic.Evolve, clinic.ErrNotFound)
		if err != nil {
			return done, err
		}
		c.Pattern.Zone = k.Zone
		done, err = change(ctx, h, req, schedule.Stream(c.Practitioner), schedules, schedule.Command(c), worksAt(c))
		if err == nil {
			opening, err = h.OpenDays(ctx, req, c.Practitioner)
		}
		return done, err
	})
	return done, opening, err
}

// worksAt guards that the practitioner works at the clinic.
func worksAt(c schedule.Set) guard {
	return func(ctx context.Context, h *Handler) ([]Write, error) {
		p, isPractitioner, err := profile(ctx, h, practitioner.Stream(c.Practitioner), practitioner.Evolve, practitioner.ErrNotFound)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(p.Clinics, c.Pattern.Clinic) {
			return nil, practitioner.ErrElsewhere
		}
		_, isClinic, err := profile(ctx, h, clinic.Stream(c.Pattern.Clinic), clinic.Evolve, clinic.ErrNotFound)
		return []Write{isPractitioner, isClinic}, err
	}
}

// errUnfenced says that a day cannot be opened before it and its neighbours
// are fenced under the current schedule.
var errUnfenced = errors.New("a day is not fenced")

// OpenDays makes every day what the practitioner's schedule wants of it by
// now: days that a horizon reaches are opened, what waited for time that is
// free is opened, and a change that was interrupted is finished. It does
// nothing when all is as it should be.
//
//	fence each day:  withdraw what fits no longer       (schedule.day-opened, slot.withdrawn)
//	open each day:   over time that no slot owns        (schedule.day-opened)
//
// All days are fenced before the first is opened, so that two schedules never
// give the same time to slots on either side of a day's end.
func (h *Handler) OpenDays(ctx context.Context, req Request, id domain.PractitionerID) (Opening, error) {
	var all Opening
	for range maxRounds {
		all.Waiting, all.Overlaps = nil, nil
		days, err := h.unsettled(ctx, id)
		if err != nil {
			return all, err
		}
		err = h.eachDay(ctx, req, id, days, h.fence, &all)
		if err == nil {
			err = h.eachDay(ctx, req, id, days, h.open, &all)
		}
		if !errors.Is(err, errUnfenced) {
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

func (h *Handler) eachDay(
	ctx context.Context, req Request, id domain.PractitionerID, days []domain.Day,
	step func(context.Context, *alignment) error, all *Opening,
) error {
	for _, day := range days {
		opening, err := again(ctx, h, func(ctx context.Context) (Opening, error) {
			a := &alignment{req: req, practitioner: id, day: day, now: h.Now().UTC()}
			err := step(ctx, a)
			return a.opening, err
		})
		if err != nil {
			return err
		}
		all.Opened = append(all.Opened, opening.Opened...)
		all.Withdrawn = append(all.Withdrawn, opening.Withdrawn...)
		all.Waiting = append(all.Waiting, opening.Waiting...)
		all.Overlaps = append(all.Overlaps, opening.Overlaps...)
	}
	return nil
}

// unsettled returns the days on which there may be something to do.
func (h *Handler) unsettled(ctx context.Context, id domain.PractitionerID) ([]domain.Day, error) {
	loaded, err := h.Store.Load(ctx, schedule.Stream(id))
	if err != nil {
		return nil, err
	}
	p, now := planOf(loaded[schedule.Stream(id)]), h.Now()
	today := domain.DayOf(now)
	days := append([]domain.Day{today.Add(-1)}, p.state.ReachedFrom(now)...)
	names := make([]domain.StreamName, len(days))
	for i, day := range days {
		names[i] = schedule.DayStream(id, day)
	}
	if loaded, err = h.Store.Load(ctx, names...); err != nil {
		return nil, err
	}
	var unsettled []domain.Day
	for _, day := range days {
		d := dayOf(loaded, id, day)
		wanted, _, err := p.state.Wanted(day, now)
		if err != nil {
			return nil, err
		}
		ahead := day >= today && (p.wantsFence(d, day) || len(d.Waiting) > 0 || d.Lacks(wanted))
		if ahead || d.Fenced {
			unsettled = append(unsettled, day)
		}
	}
	return unsettled, nil
}

// plan is a practitioner's schedule as it was loaded.
type plan struct {
	state    schedule.State
	revision domain.Revision
	setAt    time.Time // when the revision was recorded
}

func planOf(recorded []domain.Recorded) plan {
	p := plan{state: domain.Replay(schedule.Evolve, schedule.State{}, recorded), revision: last(recorded)}
	if n := len(recorded); n > 0 {
		p.setAt = recorded[n-1].RecordedAt
	}
	return p
}

// wantsFence reports whether an opener with an older schedule may still open
// the day: it is for an older revision, or was never opened and lay within
// reach when the schedule was changed. Before a first change there is none.
func (p plan) wantsFence(d schedule.Day, day domain.Day) bool {
	if d.Opened {
		return d.Schedule < p.revision
	}
	reached := p.state.ReachedFrom(p.setAt)
	return p.revision > 0 && day <= reached[len(reached)-1]
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
	a.plan = planOf(loaded[own])
	a.days = map[domain.Day]schedule.Day{}
	for _, day := range days {
		a.days[day] = dayOf(loaded, a.practitioner, day)
	}
	a.revision = last(loaded[schedule.DayStream(a.practitioner, a.day)])
	a.wanted, a.overlaps, err = a.plan.state.Wanted(a.day, a.now)
	return err
}

// decide lets the day decide and returns the write, none when nothing happens.
func (h *Handler) decide(a *alignment, fence bool, owned []domain.Period) ([]schedule.DayOpened, []Write, error) {
	events, err := schedule.DecideDay(a.days[a.day], schedule.Open{
		Practitioner: a.practitioner, Day: a.day, Schedule: a.plan.revision, Fence: fence, Now: a.now, Wanted: a.wanted,
		Overlaps: a.overlaps, Owned: owned,
	})
	if errors.Is(err, schedule.ErrOvertaken) {
		return nil, nil, ErrWrongRevision // somebody has seen a schedule that we have not
	}
	if err != nil || len(events) == 0 {
		return nil, nil, err
	}
	return events, []Write{{schedule.DayStream(a.practitioner, a.day), a.revision, stamp(h, a.req, events)}}, nil
}

// fence withdraws from a day what fits no longer. The day's event says so
// first, at its exact revision; the slots follow, and are made to follow by
// whoever comes next should this process die.
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
	changes, err := h.slotChanges(ctx, a)
	if err != nil {
		return err
	}
	return h.appendAll(ctx, append(writes, changes...))
}

// slotChanges returns what a day's slots have to be told: that they are
// withdrawn, or how many places are wanted.
func (h *Handler) slotChanges(ctx context.Context, a *alignment) ([]Write, error) {
	d := a.days[a.day]
	loaded, err := h.loadSlots(ctx, d.Slots)
	if err != nil {
		return nil, err
	}
	var writes []Write
	for _, s := range d.Slots {
		recorded := loaded[slot.Stream(s.ID)]
		state := domain.Replay(slot.Evolve, slot.State{}, recorded)
		command := a.slotCommand(d, s, state)
		if command == nil {
			continue
		}
		events, err := slot.Decide(state, command)
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			writes = append(writes, Write{slot.Stream(s.ID), last(recorded), stamp(h, a.req, events)})
		}
	}
	return writes, nil
}

func (a *alignment) slotCommand(d schedule.Day, s schedule.Slot, state slot.State) slot.Command {
	terms := slot.Terms{Slot: s.ID, Practitioner: a.practitioner, Clinic: s.Clinic, Period: s.Period}
	if slices.Contains(d.Withdrawn, s.ID) {
		return slot.Withdraw{Terms: terms}
	}
	i := slices.IndexFunc(a.wanted, s.Is)
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
	owned, err := h.owned(ctx, a)
	if err != nil {
		return err
	}
	events, writes, err := h.decide(a, false, owned)
	if err != nil {
		return err
	}
	a.opening = Opening{Waiting: a.days[a.day].Waiting, Overlaps: a.overlaps}
	for _, e := range events {
		a.opening.Opened, a.opening.Waiting = e.Slots, e.Waiting
	}
	return h.appendAll(ctx, writes)
}

// owned returns the time that may not be opened besides the day's own slots:
// of withdrawn slots that are still occupied, and of the slots of neighbouring
// days.
func (h *Handler) owned(ctx context.Context, a *alignment) ([]domain.Period, error) {
	var owned []domain.Period
	var withdrawn []schedule.Slot
	for day, d := range a.days {
		for _, s := range d.Slots {
			near := slices.ContainsFunc(a.wanted, func(w schedule.Want) bool { return w.Overlaps(s.Period) })
			switch {
			case slices.Contains(d.Withdrawn, s.ID) && (near || day == a.day):
				withdrawn = append(withdrawn, s)
			case near && day != a.day:
				owned = append(owned, s.Period)
			}
		}
	}
	loaded, err := h.loadSlots(ctx, withdrawn)
	if err != nil {
		return nil, err
	}
	for _, s := range withdrawn {
		state := domain.Replay(slot.Evolve, slot.State{}, loaded[slot.Stream(s.ID)])
		if !state.Withdrawn {
			return nil, errUnfenced // somebody could still book it
		}
		live, _, err := h.countLive(ctx, slot.Stream(s.ID), state.Claims)
		if err != nil {
			return nil, err
		}
		if live > 0 {
			owned = append(owned, s.Period)
		}
	}
	return owned, nil
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
