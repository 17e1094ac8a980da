package commands

import (
	"context"
	"errors"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
)

// settlement is what a series has decided about an appointment that waits for
// it: the appointment's events, none while nothing is decided, and the id of the
// series' event that decided it.
type settlement struct {
	events []appointment.Event
	cause  string
}

// decidedBySeries finds out what has become of the set that waits for its
// series. A series past its deadline is ended first, at the exact revision of
// its own stream; a race lost there is the command's race lost.
func (h *Handler) decidedBySeries(ctx context.Context, s appointment.State, at time.Time) (settlement, error) {
	set, n := s.Waiting()
	stream := series.Stream(set.Series)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil || len(loaded[stream]) == 0 {
		return settlement{}, err // what is not understood is not released
	}
	recorded := loaded[stream]
	state, cause := domain.Replay(series.Evolve, series.State{}, recorded), recorded[len(recorded)-1].ID
	if state.Fate(set.Appointment, n) == claim.Pending {
		events, err := series.Decide(state, series.Lapse{At: at})
		if errors.Is(err, series.ErrNotDue) {
			return settlement{}, nil
		}
		if err != nil {
			return settlement{}, err
		}
		event := NewEvent{h.NewID(), events[0], helping(cause)}
		if _, err := h.Store.Append(ctx, Write{stream, last(recorded), []NewEvent{event}}); err != nil {
			return settlement{}, err
		}
		state, cause = domain.Fold(series.Evolve, state, events...), event.ID
	}
	settle := appointment.Settle{Set: n, Fate: state.Fate(set.Appointment, n), Rule: state.Rule}
	events, err := appointment.Decide(s, settle)
	return settlement{events, cause}, err
}

// settleWaiting notes on the appointment's stream what its series has decided,
// if it does not say so yet, and loads it again.
func (h *Handler) settleWaiting(ctx context.Context, a *attempt, at time.Time) error {
	set, n := a.state.Waiting()
	if n == 0 {
		return nil
	}
	decided, err := h.decidedBySeries(ctx, a.state, at)
	if err != nil || len(decided.events) == 0 {
		return err
	}
	if domain.Fold(appointment.Evolve, a.state, decided.events...).Fate(n) == claim.Live {
		settle, err := h.bookingOf(ctx, set, n)
		if err != nil {
			return err
		}
		decided.events, err = appointment.Decide(a.state, settle)
		if err != nil {
			return err
		}
	}
	event := NewEvent{h.NewID(), decided.events[0], helping(decided.cause)}
	event.Metadata.Command = domain.NewID(decided.cause, "help", string(a.id)) // one event of the series, many appointments
	if _, err := h.Store.Append(ctx, Write{a.stream(), last(a.own), []NewEvent{event}}); err != nil {
		return err
	}
	loaded, err := h.Store.Load(ctx, a.stream())
	if err != nil {
		return err
	}
	a.own = loaded[a.stream()]
	a.state = domain.Replay(appointment.Evolve, appointment.State{}, a.own)
	return nil
}

// bookingOf returns how a set, whose claims are held, is noted as booked.
func (h *Handler) bookingOf(ctx context.Context, s appointment.Set, n int) (appointment.Settle, error) {
	w, place, err := h.again(ctx, s.Visit)
	if err != nil {
		return appointment.Settle{}, err
	}
	var slots []domain.StreamName
	for _, id := range s.Slots {
		slots = append(slots, slot.Stream(id))
	}
	loaded, err := h.Store.Load(ctx, slots...)
	a := &attempt{proposal: proposal{wish: w, giveUp: place.NoShowAfter}, id: s.Appointment, set: n, loaded: loaded}
	settle := appointment.Settle{Set: n, Fate: claim.Live, ExpectedAt: a.turn()}
	if a.giveUp > 0 {
		settle.MissedAt = s.End.Add(a.giveUp)
	}
	return settle, err
}
