package commands

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// opened is a slot as its day opened it. It never changes: what changes about
// a slot is in the slot's own stream.
type opened struct {
	terms    slot.Terms
	capacity int
}

// openedSlot returns a slot's terms. Errors: [schedule.ErrSlotGone].
func (h *Handler) openedSlot(ctx context.Context, id domain.SlotID) (opened, error) {
	if o, ok := h.terms.load(id); ok {
		return o, nil
	}
	practitioner, day, err := schedule.DayOfSlot(id)
	if err != nil {
		return opened{}, err
	}
	slots, err := h.openDay(ctx, practitioner, day)
	if err != nil {
		return opened{}, err
	}
	found, err := opened{}, error(schedule.ErrSlotGone)
	for _, s := range slots {
		o := opened{slot.Terms{Slot: s.ID, Practitioner: practitioner, Clinic: s.Clinic, Period: s.Period}, s.Capacity}
		h.terms.store(s.ID, o)
		if s.ID == id {
			found, err = o, nil
		}
	}
	return found, err
}

func (h *Handler) openDay(ctx context.Context, practitioner domain.PractitionerID, day domain.Day) ([]schedule.Slot, error) {
	loaded, err := h.Store.Load(ctx, schedule.DayStream(practitioner, day))
	if err != nil {
		return nil, err
	}
	return dayOf(loaded, practitioner, day).Slots, nil
}

// dayOf returns a practitioner's day out of what was loaded.
func dayOf(loaded map[domain.StreamName][]domain.Recorded, id domain.PractitionerID, day domain.Day) schedule.Day {
	return domain.Replay(schedule.EvolveDay, schedule.Day{}, loaded[schedule.DayStream(id, day)])
}

// SlotAt returns the slot of a practitioner that starts at an instant, the one
// opened last when there were several. Errors: [schedule.ErrSlotGone].
func (h *Handler) SlotAt(ctx context.Context, practitioner domain.PractitionerID, start time.Time) (domain.SlotID, error) {
	slots, err := h.openDay(ctx, practitioner, domain.DayOf(start))
	if err != nil {
		return "", err
	}
	for i := len(slots) - 1; i >= 0; i-- {
		if slots[i].Start.Equal(start) {
			return slots[i].ID, nil
		}
	}
	return "", schedule.ErrSlotGone
}

// Slot is a slot as its streams say now.
type Slot struct {
	slot.Terms
	Places    int // in force
	Wanted    int // what newcomers are refused by: fewer than Places while more are taken
	Taken     int // by claims that are live, or pending in time
	Withdrawn bool
	Until     time.Time // the first deadline of those that are pending; zero when none is
}

// Free returns how many places can be booked.
func (s Slot) Free() int {
	if s.Withdrawn {
		return 0
	}
	return max(0, s.Wanted-s.Taken)
}

// Slot returns a slot as it is now. Errors: [schedule.ErrSlotGone].
func (h *Handler) Slot(ctx context.Context, id domain.SlotID) (Answer[Slot], error) {
	o, err := h.openedSlot(ctx, id)
	if err != nil {
		return Answer[Slot]{}, err
	}
	stream := slot.Stream(id)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return Answer[Slot]{}, err
	}
	state := domain.Replay(slot.Evolve, slot.State{}, loaded[stream])
	s := Slot{Terms: o.terms, Places: o.capacity, Withdrawn: state.Withdrawn}
	if state.Places > 0 {
		s.Places = state.Places
	}
	s.Wanted = cmp.Or(state.Wanted, s.Places)
	reader, _ := h.rehearse() // a read ends no set that is overdue; it only counts as if it did
	s.Taken, s.Until, err = reader.countLive(ctx, stream, state.Claims)
	return answer(s, loaded[stream]), err
}

// countLive counts the owners whose claims on a slot are live, or pending in
// time, and ends the sets that are overdue. It also returns the first deadline
// of those that are pending.
func (h *Handler) countLive(ctx context.Context, stream domain.StreamName, holders []slot.Holder) (int, time.Time, error) {
	v := h.verdicts(stream)
	holders, err := h.undead(ctx, holders, v)
	owners := map[domain.StreamName]bool{}
	for _, holder := range holders {
		owners[holder.Owner] = true
	}
	return len(owners), v.until, err
}

// undead returns the holders whose claims are live, or pending in time, and
// ends the sets that are overdue.
func (h *Handler) undead(ctx context.Context, holders []slot.Holder, v *verdicts) ([]slot.Holder, error) {
	claims := make([]claim.Claim, len(holders))
	for i, holder := range holders {
		claims[i] = holder.Claim
	}
	if _, err := h.lookUp(ctx, claims, v); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(holders), func(x slot.Holder) bool { return v.fates[x.Claim] == claim.Dead }), nil
}

// Appointment returns an appointment as its stream says. Errors:
// [appointment.ErrNotFound].
func (h *Handler) Appointment(ctx context.Context, id domain.AppointmentID) (Answer[appointment.State], error) {
	return read(ctx, h, appointment.Stream(id), appointment.Evolve, appointment.ErrNotFound)
}

// Displaced reports whether the clinic has withdrawn a slot of an appointment
// that is still to come, so that it is to be moved or cancelled.
func (h *Handler) Displaced(ctx context.Context, s appointment.State) (bool, error) {
	current, set := s.Current()
	if s.Status != appointment.Booked && s.Status != appointment.Arrived {
		return false, nil
	}
	names := make([]domain.StreamName, len(current.Slots))
	for i, id := range current.Slots {
		names[i] = slot.Stream(id)
	}
	loaded, err := h.Store.Load(ctx, names...)
	own := claim.Claim{Owner: appointment.Stream(current.Appointment), Set: set}
	return slices.ContainsFunc(names, func(name domain.StreamName) bool {
		state := domain.Replay(slot.Evolve, slot.State{}, loaded[name])
		_, held := state.Place(own)
		return state.Withdrawn && held
	}), err
}

// History returns every event of an appointment, in order. Errors:
// [appointment.ErrNotFound].
func (h *Handler) History(ctx context.Context, id domain.AppointmentID) ([]domain.Recorded, error) {
	stream := appointment.Stream(id)
	loaded, err := h.Store.Load(ctx, stream)
	if err == nil && len(loaded[stream]) == 0 {
		err = appointment.ErrNotFound
	}
	return loaded[stream], err
}
