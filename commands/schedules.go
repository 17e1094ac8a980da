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
