package commands

import (
	"context"
	"slices"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// Instead is a visit that another time is looked for.
type Instead struct {
	Booking      // of the slots that were wanted, or that the appointment has; none = one slot, whichever
	Move    bool // the appointment is there, and is to be moved
}

// MayHave decides for real, as a dry run, whether a visit can be had when it
// begins with another slot: with as many slots in a row, and with those of
// further practitioners at the same distance. It asks as staff where an
// appointment is to be moved. Errors: those of [Handler.Book] and of
// [Handler.Reschedule].
func (h *Handler) MayHave(ctx context.Context, w Instead, from domain.SlotID) error {
	b, err := h.beginning(ctx, w.Booking, from)
	if err != nil {
		return err
	}
	req := Request{Command: h.NewID(), Actor: system, DryRun: true}
	if w.Move {
		b.By = appointment.ByClinic
		_, err = h.Reschedule(ctx, req, Move{Booking: b, Note: "another time is looked for"})
		return err
	}
	b.Appointment = domain.AppointmentID(h.NewID())
	_, err = h.Book(ctx, req, b)
	return err
}

// beginning returns a booking that begins with another slot.
func (h *Handler) beginning(ctx context.Context, b Booking, from domain.SlotID) (Booking, error) {
	b.Beyond = ""
	if len(b.Slots) == 0 {
		b.Slots = []domain.SlotID{from}
		return b, nil
	}
	to, err := h.openedSlot(ctx, from)
	if err != nil {
		return b, err
	}
	parts, err := h.partsOf(ctx, b.Slots)
	if err != nil {
		return b, err
	}
	by := to.terms.Start.Sub(parts[0].Start)
	b.Uses = slices.Clone(b.Uses)
	for i, u := range b.Uses {
		if !u.Period.Start.IsZero() {
			b.Uses[i].Period = later(u.Period, by)
		}
	}
	if b.Slots = nil; b.VisitType != "" && len(parts) == 1 {
		b.Slots = []domain.SlotID{from} // the type says how many
		return b, nil
	}
	parts[0].practitioner = to.terms.Practitioner
	for _, p := range parts {
		slots, err := h.covering(ctx, p.practitioner, later(p.Period, by))
		if err != nil {
			return b, err
		}
		b.Slots = append(b.Slots, slots...)
	}
	return b, nil
}

// part is what a visit takes of one practitioner.
type part struct {
	practitioner domain.PractitionerID
	domain.Period
}

// partsOf returns what slots take of each practitioner, in their order.
func (h *Handler) partsOf(ctx context.Context, slots []domain.SlotID) ([]part, error) {
	var parts []part
	for _, id := range slots {
		o, err := h.openedSlot(ctx, id)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(parts, func(p part) bool { return p.practitioner == o.terms.Practitioner })
		if i < 0 {
			parts = append(parts, part{o.terms.Practitioner, o.terms.Period})
			continue
		}
		parts[i].Period = spanning(parts[i].Period, o.terms.Period)
	}
	return parts, nil
}

// covering returns a practitioner's slots that together are a period.
func (h *Handler) covering(ctx context.Context, id domain.PractitionerID, p domain.Period) ([]domain.SlotID, error) {
	var slots []domain.SlotID
	for at := p.Start; !at.Equal(p.End); {
		found, err := h.SlotAt(ctx, id, at)
		if err != nil {
			return nil, noRoom(err)
		}
		o, err := h.openedSlot(ctx, found)
		if err != nil {
			return nil, err
		}
		if slots, at = append(slots, found), o.terms.End; at.After(p.End) {
			return nil, ErrNoRoom
		}
	}
	return slots, nil
}

func later(p domain.Period, by time.Duration) domain.Period {
	return domain.Period{Start: p.Start.Add(by), End: p.End.Add(by)}
}
