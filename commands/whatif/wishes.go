package whatif

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
)

// asRecorded stands for what people wrote: a replay does not read it.
const asRecorded = "as recorded"

// wish is what somebody wanted.
type wish struct {
	visit  appointment.Visit // as it was wanted
	clinic domain.ClinicID
	slots  []seenSlot // those of the visit, as they really were
	gone   []bool     // whether they were really withdrawn
	by     appointment.Initiator
}

// wishOf returns the wish that a visit was.
func (r *replay) wishOf(v appointment.Visit, by appointment.Initiator) wish {
	w := wish{visit: v, clinic: v.Clinic, by: by}
	for _, id := range v.Slots {
		s, known := r.real.tally.slots[id]
		if !known {
			s = seenSlot{Place: Place{v.Practitioner, v.Clinic}, Period: v.Period}
		}
		w.slots, w.gone = append(w.slots, s), append(w.gone, s.withdrawn)
	}
	return w
}

// ask tries to have a wish: the same slots where they are on offer in this world,
// else the nearest slot of that practitioner on that day. It returns the rule that
// refused, "" when none did.
func (r *replay) ask(ctx context.Context, w wish, try func(slots []domain.SlotID) error) (rule string, err error) {
	slots, offered, err := r.offered(ctx, w)
	switch {
	case err != nil:
		return "", err
	case offered:
		return ruled(try(slots))
	}
	return r.nearest(ctx, w, try)
}

// offered returns the slots of a wish in this world, and whether all are there and
// none is withdrawn that really was not. A visit of a type names the first slot of
// each practitioner only: how many it takes is decided anew.
func (r *replay) offered(ctx context.Context, w wish) ([]domain.SlotID, bool, error) {
	var slots []domain.SlotID
	var seen []domain.PractitionerID
	for i, wanted := range w.slots {
		if w.visit.VisitType != "" && slices.Contains(seen, wanted.Practitioner) {
			continue
		}
		seen = append(seen, wanted.Practitioner)
		id, err := r.slotOf(ctx, w.visit.Slots[i], wanted)
		if errors.Is(err, schedule.ErrSlotGone) || err == nil && r.tally.slots[id].withdrawn && !w.gone[i] {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		slots = append(slots, id)
	}
	return slots, len(slots) > 0, nil
}

// slotOf returns the slot of this world that begins when the wanted one did, with
// the same practitioner at the same clinic. Errors: [schedule.ErrSlotGone].
func (r *replay) slotOf(ctx context.Context, id domain.SlotID, wanted seenSlot) (domain.SlotID, error) {
	if s, ok := r.tally.slots[id]; ok && s.Place == wanted.Place && s.Start.Equal(wanted.Start) {
		return id, nil
	}
	if wanted.Practitioner == "" {
		return "", schedule.ErrSlotGone
	}
	id, err := r.h.SlotAt(ctx, wanted.Practitioner, wanted.Start)
	if err == nil && r.tally.slots[id].Clinic != wanted.Clinic {
		err = schedule.ErrSlotGone
	}
	return id, err
}

// nearest tries the slots of the wanted practitioner on that day of the clinic,
// the nearest first and of two the earlier, until one can be had. A visit of
// several practitioners, or of several slots without a type, is not looked for.
func (r *replay) nearest(ctx context.Context, w wish, try func(slots []domain.SlotID) error) (rule string, err error) {
	if len(w.slots) == 0 || len(w.slots) > 1 && w.visit.VisitType == "" || w.slots[0].Practitioner != w.slots[len(w.slots)-1].Practitioner {
		return schedule.ErrSlotGone.Rule, nil
	}
	ids, err := r.sameDay(ctx, w.slots[0])
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		rule, err := ruled(try([]domain.SlotID{id}))
		if rule == "" {
			if err == nil {
				r.replays.Elsewhere++
			}
			return "", err
		}
	}
	return schedule.ErrSlotGone.Rule, nil
}

// sameDay returns the slots on offer of a practitioner on the clinic's day of a
// slot, the nearest first.
func (r *replay) sameDay(ctx context.Context, wanted seenSlot) ([]domain.SlotID, error) {
	place, err := r.h.Clinic(ctx, wanted.Clinic)
	if err != nil {
		return nil, saying(err, "the clinic %s", wanted.Clinic)
	}
	zone, err := domain.Zone(place.State.Zone)
	if err != nil {
		return nil, err
	}
	day := domain.LocalDay(wanted.Start, zone)
	var streams []domain.StreamName
	for n := -1; n <= 1; n++ {
		streams = append(streams, schedule.DayStream(wanted.Practitioner, domain.DayOf(wanted.Start).Add(n)))
	}
	loaded, err := r.world.Load(ctx, streams...)
	if err != nil {
		return nil, err
	}
	var slots []schedule.Slot
	for _, stream := range streams {
		for _, s := range domain.Replay(schedule.EvolveDay, schedule.Day{}, loaded[stream]).Kept() {
			if s.Clinic == wanted.Clinic && s.Start.After(r.clock) && domain.LocalDay(s.Start, zone) == day {
				slots = append(slots, s)
			}
		}
	}
	away := func(s schedule.Slot) time.Duration { return s.Start.Sub(wanted.Start).Abs() }
	slices.SortFunc(slots, func(a, b schedule.Slot) int { return cmp.Or(cmp.Compare(away(a), away(b)), a.Start.Compare(b.Start)) })
	ids := make([]domain.SlotID, len(slots))
	for i, s := range slots {
		ids[i] = s.ID
	}
	return ids, nil
}

// booking returns the booking of a wish in slots of this world.
func (r *replay) booking(w wish, slots []domain.SlotID) commands.Booking {
	b := commands.Booking{
		Appointment: w.visit.Appointment, Slots: slots, VisitType: domain.VisitTypeID(w.visit.VisitType), Uses: []commands.Use{},
		Patient: w.visit.Patient, By: w.by,
	}
	if w.visit.Overbooked {
		b.Beyond = asRecorded
	}
	var later time.Duration
	if len(w.slots) > 0 {
		later = r.tally.slots[slots[0]].Start.Sub(w.slots[0].Start)
	}
	for _, u := range w.visit.Uses {
		use := commands.Use{Resource: domain.ResourceID(u.ID)}
		if !u.Period.Equal(w.visit.Period) {
			use.Period = domain.Period{Start: u.Start.Add(later), End: u.End.Add(later)}
		}
		b.Uses = append(b.Uses, use)
	}
	return b
}

// book books a wish, or completes the hold that it has. A booking that waits for
// approval although it really did not is approved at once.
func (r *replay) book(ctx context.Context, actor string, w wish, approved bool) (rule string, err error) {
	var done commands.Answer[appointment.State]
	rule, err = r.ask(ctx, w, func(slots []domain.SlotID) (err error) {
		done, err = r.h.Book(ctx, r.request(actor), r.booking(w, slots))
		return err
	})
	if err != nil || rule != "" || !approved {
		return rule, err
	}
	return "", r.approve(ctx, done.State)
}

// approve approves what waits for approval.
func (r *replay) approve(ctx context.Context, s appointment.State) error {
	set, n := asking(s)
	if n == 0 {
		return nil
	}
	_, err := r.h.Approve(ctx, r.request(system), set.Appointment)
	_, err = ruled(err)
	return err
}

// move reschedules a visit.
func (r *replay) move(ctx context.Context, actor string, w wish, slots []domain.SlotID, by appointment.Initiator, note string) error {
	b := r.booking(w, slots)
	b.By = by
	_, err := r.h.Reschedule(ctx, r.request(actor), commands.Move{Booking: b, Note: note})
	return err
}
