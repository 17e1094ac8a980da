package commands

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/schedule"
)

// survey is a practitioner's schedule, what was loaded for its days and
// clinics, and the days on which there may be something to do.
type survey struct {
	practitioner domain.PractitionerID
	now          time.Time
	plan         plan
	first        domain.Day // of the days below: yesterday
	days         []schedule.Day
	revisions    []domain.Revision // of the days' streams
	wants        []schedule.Wants
	adopted      []schedule.Event // what the schedule has to adopt of its clinics first
	unsettled    []domain.Day
}

// surveyed is a survey of a schedule that has adopted what its clinics have
// changed.
func (h *Handler) surveyed(ctx context.Context, req Request, id domain.PractitionerID) (survey, error) {
	return again(ctx, h, func(ctx context.Context) (survey, error) {
		s, err := h.surveys(ctx, id)
		if err != nil || len(s[0].adopted) == 0 {
			return s[0], err
		}
		if _, err := h.Store.Append(ctx, Write{schedule.Stream(id), s[0].plan.revision, stamp(h, req, s[0].adopted)}); err != nil {
			return survey{}, err
		}
		s, err = h.surveys(ctx, id)
		return s[0], err
	})
}

// surveys surveys the schedules of practitioners, in their order, in two round
// trips. It loads the days and clinics after the schedules: what it finds of
// them is never older than what the schedules have adopted.
func (h *Handler) surveys(ctx context.Context, ids ...domain.PractitionerID) ([]survey, error) {
	all, now := make([]survey, len(ids)), h.Now().UTC()
	names := make([]domain.StreamName, len(ids))
	for i, id := range ids {
		names[i] = schedule.Stream(id)
	}
	loaded, err := h.Store.Load(ctx, names...)
	if err != nil {
		return all, err
	}
	first := domain.DayOf(now).Add(-1)
	var more []domain.StreamName
	for i, id := range ids {
		s := survey{practitioner: id, now: now, plan: h.planOf(loaded[names[i]]), first: first}
		s.days = make([]schedule.Day, s.plan.state.Days()+1)
		for n := range s.days {
			more = append(more, schedule.DayStream(id, first.Add(n)))
		}
		more = append(more, clinicsOf(s.plan.state)...)
		all[i] = s
	}
	slices.Sort(more)
	if loaded, err = h.Store.Load(ctx, slices.Compact(more)...); err != nil {
		return all, err
	}
	for i := range all {
		if err := all[i].look(loaded); err != nil {
			return all, err
		}
	}
	return all, nil
}

// look finds the days on which there may be something to do.
func (s *survey) look(loaded map[domain.StreamName][]domain.Recorded) (err error) {
	if s.adopted, err = adoptions(s.plan.state, loaded); err != nil {
		return err
	}
	if s.wants, err = s.plan.state.Wanted(s.first, len(s.days), s.now); err != nil {
		return err
	}
	s.revisions = make([]domain.Revision, len(s.days))
	for n := range s.days {
		day := s.first.Add(n)
		recorded := loaded[schedule.DayStream(s.practitioner, day)]
		d := domain.Replay(schedule.EvolveDay, schedule.Day{}, recorded)
		s.days[n], s.revisions[n] = d, last(recorded)
		ahead := n > 0 && (s.plan.wantsFence(d, day) || len(d.Waiting) > 0 || d.Lacks(s.wants[n].Slots))
		if ahead || d.Fenced {
			s.unsettled = append(s.unsettled, day)
		}
	}
	return nil
}

// fresh reports whether all that is to do is to open days that nobody has
// opened, on a store that can open them at once: then what the survey has seen
// suffices. A schedule that is changed meanwhile fences these days, or finds
// them open; either way somebody's append is at the wrong revision.
func (s *survey) fresh() bool {
	for _, day := range s.unsettled {
		n := s.index(day)
		if n == 0 || n == len(s.days)-1 || s.days[n].Opened || s.plan.wantsFence(s.days[n], day) {
			return false
		}
	}
	return true
}

func (s *survey) index(day domain.Day) int {
	return int(day.Start().Sub(s.first.Start()) / (24 * time.Hour))
}

// openFresh opens the days of a survey that is fresh.
func (h *Handler) openFresh(ctx context.Context, req Request, s survey, all *Opening) error {
	const atOnce = 31
	for days := range slices.Chunk(s.unsettled, atOnce) {
		opening, writes, err := h.decideFresh(ctx, req, &s, days)
		if err == nil {
			err = h.appendAll(ctx, writes)
		}
		if err != nil {
			return err
		}
		all.add(opening)
	}
	return nil
}

// decideFresh returns what opening days does. What it opens on a day, the next
// days know.
func (h *Handler) decideFresh(ctx context.Context, req Request, s *survey, days []domain.Day) (Opening, []Write, error) {
	var all Opening
	var writes []Write
	for _, day := range days {
		n := s.index(day)
		a := &alignment{
			req: req, practitioner: s.practitioner, day: day, now: s.now, plan: s.plan, revision: s.revisions[n],
			wanted: s.wants[n].Slots, overlaps: s.wants[n].Overlaps,
			days: map[domain.Day]schedule.Day{day.Add(-1): s.days[n-1], day: s.days[n], day.Add(1): s.days[n+1]},
		}
		write, err := h.decideOpening(ctx, a)
		if err != nil {
			return all, nil, err
		}
		s.days[n] = a.days[day]
		writes = append(writes, write...)
		all.add(a.opening)
	}
	return all, writes, nil
}

// Each reports what became of one of many.
type Each func(id domain.PractitionerID, opening Opening, err error)

// OpenEverybody is [Handler.OpenDays] for many practitioners, in any order and
// a few at once, with few round trips for those whose days are all new. It
// tells of each when it is done, of one after the other, and returns when all
// are, or when ctx ends.
func (h *Handler) OpenEverybody(ctx context.Context, actor string, ids []domain.PractitionerID, done Each) {
	const together, atOnce = 8, 4
	chunks := make(chan []domain.PractitionerID)
	var working sync.WaitGroup
	var telling sync.Mutex
	tell := func(id domain.PractitionerID, opening Opening, err error) {
		telling.Lock()
		defer telling.Unlock()
		done(id, opening, err)
	}
	for range atOnce {
		working.Go(func() {
			for some := range chunks {
				h.openSome(ctx, actor, some, tell)
			}
		})
	}
	for some := range slices.Chunk(ids, together) {
		if ctx.Err() != nil {
			break
		}
		chunks <- some
	}
	close(chunks)
	working.Wait()
}

// openSome opens what is fresh in one append, and the rest one by one.
func (h *Handler) openSome(ctx context.Context, actor string, ids []domain.PractitionerID, done Each) {
	fresh := h.openFreshOf(ctx, actor, ids)
	for _, id := range ids {
		opening, ok := fresh[id]
		var err error
		if !ok {
			opening, err = h.OpenDays(ctx, Request{Command: h.NewID(), Actor: actor}, id)
		}
		done(id, opening, err)
	}
}

// openFreshOf opens the days of those whose surveys are fresh. Where anything
// is in the way, it opens nobody's.
func (h *Handler) openFreshOf(ctx context.Context, actor string, ids []domain.PractitionerID) map[domain.PractitionerID]Opening {
	if !h.Store.Atomic() {
		return nil
	}
	surveys, err := h.surveys(ctx, ids...)
	if err != nil {
		return nil
	}
	openings := map[domain.PractitionerID]Opening{}
	var writes []Write
	for _, s := range surveys {
		if len(s.adopted) > 0 || !s.fresh() {
			continue
		}
		opening, more, err := h.decideFresh(ctx, Request{Command: h.NewID(), Actor: actor}, &s, s.unsettled)
		if err != nil {
			return nil
		}
		openings[s.practitioner], writes = opening, append(writes, more...)
	}
	if len(writes) > 0 {
		if _, err := h.Store.Append(ctx, writes...); err != nil {
			return nil
		}
	}
	return openings
}
