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

// opened is a slot as its day opened it, which never changes but for the number
// of places: that is the one that the handler saw last, and whoever decides a
// claim compares it with the slot's own stream.
type opened struct {
	terms    slot.Terms
	capacity int // places that are wanted
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
		if known, ok := h.terms.load(s.ID); ok {
			o = known // it may have been resized
		} else {
			h.terms.store(s.ID, o)
		}
		if s.ID == id {
			found, err = o, nil
		}
	}
	return found, err
}

// resize notes how many places a slot has by its stream, and reports whether it
// was a session before and is none now, or the other way round.
func (h *Handler) resize(o opened, recorded []domain.Recorded) bool {
	for _, r := range slices.Backward(recorded) {
		if e, ok := r.Event.(slot.Resized); ok {
			was := o.capacity
			if o.capacity = cmp.Or(e.Wanted, e.Places); o.capacity != was {
				h.terms.store(o.terms.Slot, o)
			}
			return (was > 1) != (o.capacity > 1)
		}
	}
	return false
}

// look is resize for a slot whose stream was not loaded yet.
func (h *Handler) look(ctx context.Context, o opened) (bool, error) {
	stream := slot.Stream(o.terms.Slot)
	loaded, err := h.Store.Load(ctx, stream)
	return err == nil && h.resize(o, loaded[stream]), err
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

// Slot returns a slot as it is now. Errors: [schedule.ErrSlotGone], [ErrBusy].
func (h *Handler) Slot(ctx context.Context, id domain.SlotID) (Answer[Slot], error) {
	return again(ctx, h, func(ctx context.Context) (Answer[Slot], error) { return h.slotNow(ctx, id) })
}

func (h *Handler) slotNow(ctx context.Context, id domain.SlotID) (Answer[Slot], error) {
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
	if err == nil && s.Taken < len(state.Claims) {
		err = h.unchanged(ctx, stream, last(loaded[stream]))
	}
	return answer(s, loaded[stream]), err
}

// unchanged sees to it that what was found out about a stream's claims is about
// the stream as it is: whose claim was dead by then may have got another one
// since the stream was loaded, as when a hold is booked. It returns
// [ErrWrongRevision] when there is more to read.
func (h *Handler) unchanged(ctx context.Context, stream domain.StreamName, since domain.Revision) error {
	loaded, err := h.Store.Load(ctx, stream)
	if err == nil && last(loaded[stream]) != since {
		err = ErrWrongRevision
	}
	return err
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

// Appointment returns an appointment as its stream says. What the stream waits
// for although its series has decided it is noted there first, so that the
// revision of the answer is one that the appointment has. Errors:
// [appointment.ErrNotFound].
func (h *Handler) Appointment(ctx context.Context, id domain.AppointmentID) (Answer[appointment.State], error) {
	done, err := read(ctx, h, appointment.Stream(id), appointment.Evolve, appointment.ErrNotFound)
	if _, waiting := done.State.Waiting(); err != nil || waiting == 0 {
		return done, err
	}
	return again(ctx, h, func(ctx context.Context) (Answer[appointment.State], error) {
		a := &attempt{id: id}
		err := h.loadFor(ctx, a, time.Time{}) // a read ends no series that is overdue
		return answer(a.state, a.own), err
	})
}

// Displaced reports whether the clinic has withdrawn a slot of an appointment
// that is still to come, so that it is to be moved or cancelled.
func (h *Handler) Displaced(ctx context.Context, s appointment.State) (bool, error) {
	current, _ := s.Current()
	if s.Status != appointment.Booked && s.Status != appointment.Arrived {
		return false, nil
	}
	return h.displaced(ctx, current)
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
