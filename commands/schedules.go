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
	Planned   []Planned       // what a dry run would have stored
}

func (o *Opening) add(p Opening) {
	o.Opened = append(o.Opened, p.Opened...)
	o.Withdrawn = append(o.Withdrawn, p.Withdrawn...)
	o.Waiting = append(o.Waiting, p.Waiting...)
	o.Overlaps = append(o.Overlaps, p.Overlaps...)
	o.Planned = append(o.Planned, p.Planned...)
}

// SetSchedule replaces a practitioner's pattern at one clinic and makes the
// days that are open what the patterns now want. The zone is the clinic's,
// whatever the pattern says. Repeating the command finishes a change that was
// interrupted.
//
// Errors: [practitioner.ErrNotFound], [practitioner.ErrElsewhere],
// [clinic.ErrNotFound], the refusals of package schedule, and those of every
// command.
func (h *Handler) SetSchedule(ctx context.Context, req Request, c schedule.Set) (Answer[schedule.State], Opening, error) {
	worksThere := func(ctx context.Context) ([]Write, error) {
		p, isPractitioner, err := profile(ctx, h, practitioner.Stream(c.Practitioner), practitioner.Evolve, practitioner.ErrNotFound)
		if err != nil {
			return nil, err
		}
		_, isClinic, err := profile(ctx, h, clinic.Stream(c.Pattern.Clinic), clinic.Evolve, clinic.ErrNotFound)
		if err == nil && !slices.Contains(p.Clinics, c.Pattern.Clinic) {
			err = practitioner.ErrElsewhere
		}
		return []Write{isPractitioner, isClinic}, err
	}
	k, _, err := profile(ctx, h, clinic.Stream(c.Pattern.Clinic), clinic.Evolve, clinic.ErrNotFound)
	if err != nil {
		return Answer[schedule.State]{}, Opening{}, err
	}
	c.Pattern.Zone = k.Zone
	done, err := handle(ctx, h, req, schedule.Stream(c.Practitioner), schedules, schedule.Command(c), worksThere)
	if err != nil {
		return done, Opening{}, err
	}
	now := h.Now()
	days := make([]domain.Day, schedule.MaxHorizonDays+2)
	for n := range days {
		days[n] = domain.DayOf(now).Add(n)
	}
	opening, err := h.alignDays(ctx, req, c.Practitioner, days, &done)
	done.Planned = append(done.Planned, opening.Planned...)
	return done, opening, err
}

// Schedule returns a practitioner's patterns as the stream says. Errors:
// [schedule.ErrNotFound].
func (h *Handler) Schedule(ctx context.Context, id domain.PractitionerID) (Answer[schedule.State], error) {
	return read(ctx, h, schedule.Stream(id), schedule.Evolve, schedule.ErrNotFound)
}

// OpenDays opens the days that a practitioner's schedule reaches by now, and
// mends what an interrupted change left. It does nothing when all is open.
func (h *Handler) OpenDays(ctx context.Context, req Request, id domain.PractitionerID) (Opening, error) {
	stream := schedule.Stream(id)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return Opening{}, err
	}
	current := answer(domain.Replay(schedule.Evolve, schedule.State{}, loaded[stream]), loaded[stream])
	return h.alignDays(ctx, req, id, current.State.Days(h.Now()), &current)
}

// OpenReleased opens what waited for a period of a practitioner's time.
func (h *Handler) OpenReleased(ctx context.Context, req Request, id domain.PractitionerID, p domain.Period) (Opening, error) {
	return h.alignDays(ctx, req, id, p.Days(), nil)
}

// alignDays makes each day what the schedule wants of it, in order: an opener
// that still has an older schedule then loses on every day. Given the current
// schedule, or the one that a dry run plans, days that are as it wants them
// are passed over; without, every day is looked at.
func (h *Handler) alignDays(
	ctx context.Context, req Request, id domain.PractitionerID, days []domain.Day, current *Answer[schedule.State],
) (Opening, error) {
	touched, err := h.daysToAlign(ctx, id, days, current)
	if err != nil {
		return Opening{}, err
	}
	var all Opening
	for _, day := range touched {
		opening, err := again(ctx, h, func(ctx context.Context) (Opening, error) {
			a := &alignment{req: req, practitioner: id, day: day, now: h.Now().UTC()}
			if req.DryRun {
				a.planned = current
			}
			return h.align(ctx, a)
		})
		if err != nil {
			return all, err
		}
		all.add(opening)
	}
	return all, nil
}

// daysToAlign leaves out the days that were wholly opened under the current
// schedule and wait for nothing, and those that were never opened and that the schedule
// does not reach.
func (h *Handler) daysToAlign(
	ctx context.Context, id domain.PractitionerID, days []domain.Day, current *Answer[schedule.State],
) ([]domain.Day, error) {
	if current == nil {
		return days, nil
	}
	names := make([]domain.StreamName, len(days))
	for i, day := range days {
		names[i] = schedule.DayStream(id, day)
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return nil, err
	}
	reached := current.State.Days(h.Now())
	return slices.DeleteFunc(slices.Clone(days), func(day domain.Day) bool {
		d := domain.Replay(schedule.EvolveDay, schedule.Day{}, loaded[schedule.DayStream(id, day)])
		if !d.Opened {
			return !slices.Contains(reached, day)
		}
		return d.Schedule == current.Revision && len(d.Waiting) == 0 && !d.Partial
	}), nil
}

// alignment is one try at making one day what the schedule wants of it.
type alignment struct {
	req          Request
	practitioner domain.PractitionerID
	day          domain.Day
	now          time.Time
	planned      *Answer[schedule.State] // the schedule of a dry run

	schedule  domain.Revision
	state     schedule.Day
	revision  domain.Revision // of the day's stream
	near      []schedule.Slot // of the neighbouring days, as far as they touch what is wanted
	wanted    []schedule.Want
	overlaps  []schedule.Want
	partial   bool
	kept      []domain.SlotID
	withdrawn []domain.SlotID
	owned     []domain.Period
	writes    []Write // of slots
}

// align withdraws what no longer fits, finds out what is still occupied, and
// opens the rest at the day's exact revision.
func (h *Handler) align(ctx context.Context, a *alignment) (Opening, error) {
	if err := h.loadDay(ctx, a); err != nil {
		return Opening{}, err
	}
	if err := h.sortOut(ctx, a); err != nil {
		return Opening{}, err
	}
	events, err := schedule.DecideDay(a.state, schedule.Open{
		Practitioner: a.practitioner, Day: a.day, Schedule: a.schedule, Wanted: a.wanted, Overlaps: a.overlaps,
		Withdrawn: a.withdrawn, Kept: a.kept, Owned: a.owned, Partial: a.partial,
	})
	if errors.Is(err, schedule.ErrOvertaken) {
		return Opening{}, ErrWrongRevision // somebody opened the day under a schedule that we have not seen
	}
	if err != nil {
		return Opening{}, err
	}
	opening := Opening{Withdrawn: a.withdrawn, Overlaps: a.overlaps, Waiting: a.state.Waiting}
	writes := a.writes
	for _, e := range events {
		opening.Opened, opening.Waiting = append(opening.Opened, e.Slots...), e.Waiting
		writes = append(writes, Write{schedule.DayStream(a.practitioner, a.day), a.revision, stamp(h, a.req, []domain.Event{e})})
	}
	if a.req.DryRun {
		opening.Planned = plan(writes...)
		return opening, nil
	}
	return opening, h.appendAll(ctx, writes)
}

// appendAll stores the writes at once where the store can, else in order.
func (h *Handler) appendAll(ctx context.Context, writes []Write) error {
	if len(writes) == 0 {
		return nil
	}
	if h.Store.Atomic() {
		_, err := h.Store.Append(ctx, writes...)
		return err
	}
	for _, w := range writes {
		if _, err := h.Store.Append(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) loadDay(ctx context.Context, a *alignment) error {
	before, on, after := schedule.DayStream(a.practitioner, a.day.Add(-1)), schedule.DayStream(a.practitioner, a.day), schedule.DayStream(a.practitioner, a.day.Add(1))
	own := schedule.Stream(a.practitioner)
	loaded, err := h.Store.Load(ctx, own, before, on, after)
	if err != nil {
		return err
	}
	state := domain.Replay(schedule.Evolve, schedule.State{}, loaded[own])
	a.schedule = last(loaded[own])
	if a.planned != nil {
		state, a.schedule = a.planned.State, a.planned.Revision
	}
	a.wanted, a.overlaps = state.Wanted(a.day, a.now)
	a.partial = state.Partial(a.day, a.now)
	a.state = domain.Replay(schedule.EvolveDay, schedule.Day{}, loaded[on])
	a.revision = last(loaded[on])
	for _, name := range []domain.StreamName{before, after} {
		for _, s := range domain.Replay(schedule.EvolveDay, schedule.Day{}, loaded[name]).Slots {
			if slices.ContainsFunc(a.wanted, func(w schedule.Want) bool { return w.Overlaps(s.Period) }) {
				a.near = append(a.near, s)
			}
		}
	}
	return nil
}

// sortOut decides for every slot of the day whether it stays, and finds out
// which time is owned. Slots that have started stay.
func (h *Handler) sortOut(ctx context.Context, a *alignment) error {
	all := slices.Concat(a.state.Slots, a.near)
	names := make([]domain.StreamName, len(all))
	for i, s := range all {
		names[i] = slot.Stream(s.ID)
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return err
	}
	for i, s := range all {
		recorded := loaded[names[i]]
		state := domain.Replay(slot.Evolve, slot.State{}, recorded)
		if i < len(a.state.Slots) && !state.Withdrawn {
			command, stays := a.fit(s, state)
			if err := h.change(a, s, command, state, recorded); err != nil {
				return err
			}
			state.Withdrawn = !stays
			if stays {
				a.kept = append(a.kept, s.ID)
			}
		}
		owns := !state.Withdrawn
		if !owns && len(state.Claims) > 0 {
			live, err := h.countLive(ctx, a.req, state.Claims)
			if err != nil {
				return err
			}
			owns = live > 0
		}
		if owns {
			a.owned = append(a.owned, s.Period)
		}
	}
	return nil
}

// fit returns what has to be done to a slot that is open, if anything, and
// whether it stays.
func (a *alignment) fit(s schedule.Slot, state slot.State) (slot.Command, bool) {
	terms := slot.Terms{Slot: s.ID, Practitioner: a.practitioner, Clinic: s.Clinic, Period: s.Period}
	if s.Start.Before(a.now) {
		return nil, true
	}
	i := slices.IndexFunc(a.wanted, s.Is)
	if i < 0 {
		a.withdrawn = append(a.withdrawn, s.ID)
		return slot.Withdraw{Terms: terms}, false
	}
	places := s.Capacity
	if state.Places > 0 {
		places = state.Places
	}
	if places == a.wanted[i].Capacity {
		return nil, true
	}
	return slot.Resize{Terms: terms, Capacity: a.wanted[i].Capacity}, true
}

func (h *Handler) change(a *alignment, s schedule.Slot, c slot.Command, state slot.State, recorded []domain.Recorded) error {
	if c == nil {
		return nil
	}
	events, err := slot.Decide(state, c)
	if err != nil || len(events) == 0 {
		return err
	}
	a.writes = append(a.writes, Write{slot.Stream(s.ID), last(recorded), stamp(h, a.req, events)})
	return nil
}
