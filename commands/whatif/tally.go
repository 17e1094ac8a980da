package whatif

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// tally counts what happens in a world, the real one or another, from its events.
type tally struct {
	past    *past
	from    time.Time // when the period begins: slots that begin before are left out
	slots   map[domain.SlotID]seenSlot
	visits  map[domain.AppointmentID]appointment.State // of which anything was heard
	clinics map[domain.ClinicID]*counts
}

// seenSlot is a slot as its events say.
type seenSlot struct {
	Place
	domain.Period
	places    int
	withdrawn bool
}

// counts is what is counted of a clinic.
type counts struct {
	figures Figures
	waits   []time.Duration // from when a visit was booked or requested to its start
}

func newTally(p *past, from time.Time) *tally {
	return &tally{
		past: p, from: from, slots: map[domain.SlotID]seenSlot{}, visits: map[domain.AppointmentID]appointment.State{},
		clinics: map[domain.ClinicID]*counts{},
	}
}

func (t *tally) at(id domain.ClinicID) *counts {
	c := t.clinics[id]
	if c == nil {
		c = &counts{figures: Figures{Refused: map[string]int{}}}
		t.clinics[id] = c
	}
	return c
}

// refuse counts a wish that a rule has refused.
func (t *tally) refuse(id domain.ClinicID, rule string) { t.at(id).figures.Refused[rule]++ }

// slot takes what an event says of slots.
func (t *tally) slot(e domain.Event) {
	change := func(id domain.SlotID, change func(s *seenSlot)) {
		if s, ok := t.slots[id]; ok {
			change(&s)
			t.slots[id] = s
		}
	}
	switch e := e.(type) {
	case schedule.DayOpened:
		for _, s := range e.Slots {
			if !s.Start.Before(t.from) {
				t.slots[s.ID] = seenSlot{Place: Place{e.Practitioner, s.Clinic}, Period: s.Period, places: s.Capacity}
			}
		}
		for _, id := range e.Withdrawn {
			change(id, func(s *seenSlot) { s.withdrawn = true })
		}
		for _, id := range e.Reinstated {
			change(id, func(s *seenSlot) { s.withdrawn = false })
		}
	case slot.Withdrawn:
		change(e.Slot, func(s *seenSlot) { s.withdrawn = true })
	case slot.Reinstated:
		change(e.Slot, func(s *seenSlot) { s.withdrawn = false })
	case slot.Resized:
		change(e.Slot, func(s *seenSlot) { s.places = e.Places })
	case slot.Overbooked:
		change(e.Slot, func(s *seenSlot) { s.places = e.Places })
	}
}

// visit returns what is known of an appointment.
func (t *tally) visit(ctx context.Context, id domain.AppointmentID) (appointment.State, error) {
	if s, ok := t.visits[id]; ok {
		return s, nil
	}
	recorded, err := t.past.of(ctx, appointment.Stream(id))
	s := domain.Replay(appointment.Evolve, appointment.State{}, recorded)
	if err == nil {
		t.visits[id] = s
	}
	return s, err
}

// add counts an event of the period, and returns the appointment that it is about
// as it was before.
func (t *tally) add(ctx context.Context, at time.Time, event domain.Event) (appointment.State, error) {
	e, ok := event.(appointment.Event)
	if !ok {
		t.slot(event)
		return appointment.State{}, nil
	}
	v, _ := appointment.Of(e)
	before, err := t.visit(ctx, v.Appointment)
	if err != nil {
		return before, err
	}
	t.count(at, before, e)
	t.visits[v.Appointment] = appointment.Evolve(before, e)
	return before, nil
}

// count counts a step of an appointment.
func (t *tally) count(at time.Time, before appointment.State, e appointment.Event) {
	v, set := appointment.Of(e)
	c := t.at(v.Clinic)
	switch e.(type) {
	case appointment.WasRequested:
		t.accept(c, at, v, before)
	case appointment.WasBooked:
		if t.accept(c, at, v, before); isLive(before) {
			c.figures.Moved++
		}
	case appointment.HasLapsed:
		if set <= len(before.Sets) && before.Sets[set-1].Phase != appointment.InDecision && before.Sets[set-1].Wish == "" {
			c.figures.Lapsed++
		}
	case appointment.WasCancelled:
		if wasAccepted(before) {
			c.figures.Cancelled++
		}
	case appointment.WasDeclined:
		c.figures.Declined++
	case appointment.WasMissed:
		c.figures.NoShows++
	case appointment.WasReverted:
		if before.Status == appointment.NoShow {
			c.figures.NoShows--
		}
	case appointment.WasProposed, appointment.WasHeld, appointment.WasRenewed, appointment.WasReleased, appointment.WasRefused,
		appointment.HasArrived, appointment.WasCheckedIn, appointment.WasFulfilled:
	}
}

// accept counts the first time that an appointment is booked or requested.
func (t *tally) accept(c *counts, at time.Time, v appointment.Visit, before appointment.State) {
	if !wasAccepted(before) {
		c.figures.Booked++
		c.waits = append(c.waits, v.Start.Sub(at))
	}
}

// wasAccepted reports whether an appointment was booked or requested once.
func wasAccepted(s appointment.State) bool {
	return slices.ContainsFunc(s.Sets, func(t appointment.Set) bool {
		return t.Phase == appointment.OnRequest || t.Fate == claim.Live
	}) || s.Decided
}

func isLive(s appointment.State) bool {
	return slices.ContainsFunc(s.Sets, func(t appointment.Set) bool { return t.Fate == claim.Live })
}

// holding returns the hold of an appointment that nobody has ended, and its
// number; 0 when there is none.
func holding(s appointment.State) (appointment.Set, int) {
	for i, t := range s.Sets {
		if t.Phase == appointment.OnHold && t.Fate == claim.Pending {
			return t, i + 1
		}
	}
	return appointment.Set{}, 0
}

// asking returns the request of an appointment that nobody has answered, and its
// number; 0 when there is none.
func asking(s appointment.State) (appointment.Set, int) {
	for i, t := range s.Sets {
		if t.Phase == appointment.OnRequest && t.Fate == claim.Pending {
			return t, i + 1
		}
	}
	return appointment.Set{}, 0
}

// close counts what only the end of the period tells: what was on offer in it,
// and what of that was taken.
func (t *tally) close(end time.Time) {
	for _, s := range t.slots {
		if t.counts(s, end) && !s.withdrawn {
			t.at(s.Clinic).figures.Offered += s.End.Sub(s.Start) * time.Duration(s.places)
		}
	}
	for _, v := range t.visits {
		t.closeVisit(v, end)
	}
	for _, c := range t.clinics {
		c.figures.Waits = waitsOf(c.waits)
	}
}

func (t *tally) counts(s seenSlot, end time.Time) bool {
	return !s.Start.Before(t.from) && s.Start.Before(end)
}

func (t *tally) closeVisit(v appointment.State, end time.Time) {
	for _, phase := range []func(appointment.State) (appointment.Set, int){holding, asking} {
		if set, n := phase(v); n > 0 && set.Deadline.Before(end) && !isLive(v) {
			t.at(set.Clinic).figures.Lapsed++ // nobody has noted it
		}
	}
	if !isLive(v) {
		return
	}
	current, _ := v.Current()
	displaced := false
	for _, id := range current.Slots {
		s, ok := t.slots[id]
		switch {
		case !ok || !t.counts(s, end):
		case s.withdrawn:
			displaced = true
		default:
			t.at(s.Clinic).figures.Taken += s.End.Sub(s.Start)
		}
	}
	if displaced {
		t.at(current.Clinic).figures.Displaced++
	}
}
