package commands

import (
	"context"
	"strings"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/slot"
)

// Move is a wish to have an appointment at another time.
type Move struct {
	Booking        // where to; the patient stays, and so do the visit type, rooms and devices unless others are named: no Uses, not nil, are none
	Note    string // why: open text, sealed before it is stored; late the clinic moves with one only
}

// Reschedule moves an appointment: it claims the new time before it frees the
// old, in one commit, so that nobody ends with none or two. The appointment
// keeps its identity. Where visits wait for approval only staff move them.
// Errors: [appointment.ErrNotFound], [appointment.ErrStatus],
// [appointment.ErrMoveLate], [appointment.ErrMoves],
// [appointment.ErrNoReason], [appointment.ErrChanging], [ErrApproval], and
// those of [Handler.Book].
func (h *Handler) Reschedule(ctx context.Context, req Request, m Move) (Answer[appointment.State], error) {
	done, err := h.transactOn(ctx, req, m.Appointment, func(ctx context.Context, h *Handler, s appointment.State) (proposal, error) {
		return h.planMove(ctx, m, s)
	})
	h.unmet(ctx, req, "reschedule", m.Booking, err)
	return done, err
}

func (h *Handler) planMove(ctx context.Context, m Move, s appointment.State) (proposal, error) {
	current, n := s.Current()
	if n == 0 {
		return proposal{}, appointment.ErrNotFound
	}
	before, err := h.placeOf(ctx, current.Visit)
	if err != nil {
		return proposal{}, err
	}
	m.Patient = current.Patient
	if m.VisitType == "" {
		m.VisitType = domain.VisitTypeID(current.VisitType)
	}
	if m.Uses == nil {
		m.follows = &current.Visit
	}
	w, place, err := h.wish(ctx, m.Booking)
	if err != nil {
		return proposal{}, err
	}
	displaced, err := h.displaced(ctx, current)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{
		wish: w, purpose: appointment.ToMove, by: m.By, note: strings.TrimSpace(m.Note), mends: displaced,
		policies: place.revisions(), giveUp: place.NoShowAfter,
	}
	p.limits = place.limits(w.visit)
	err = s.MayMove(appointment.Moving{
		By: m.By, At: h.Now(), NotAfter: current.Start.Add(-before.RescheduleBefore), Limit: before.Reschedules,
		Reasoned: p.note != "", Displaced: displaced,
	})
	if err != nil {
		return p, err
	}
	p.refusal = w.refusal(m.By)
	if p.refusal == nil && m.By == appointment.ByPatient {
		p.refusal = place.refusal(w.visit, h.Now())
	}
	if p.refusal == nil && m.By == appointment.ByPatient && place.Approval {
		p.refusal = ErrApproval
	}
	return p, nil
}

// displaced reports whether the clinic has withdrawn a slot of a live set.
func (h *Handler) displaced(ctx context.Context, set appointment.Set) (bool, error) {
	if set.Fate != claim.Live {
		return false, nil
	}
	streams := make([]domain.StreamName, len(set.Slots))
	for i, id := range set.Slots {
		streams[i] = slot.Stream(id)
	}
	loaded, err := h.Store.Load(ctx, streams...)
	if err != nil {
		return false, err
	}
	for _, stream := range streams {
		if domain.Replay(slot.Evolve, slot.State{}, loaded[stream]).Withdrawn {
			return true, nil
		}
	}
	return false, nil
}
