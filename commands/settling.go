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
		turn, err := h.turnOf(ctx, set, n)
		if err != nil {
			return err
		}
		decided.events, err = appointment.Decide(a.state, appointment.Settle{Set: n, Fate: claim.Live, ExpectedAt: turn})
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

// turnOf returns when the patient's turn is in a session of several, nil in any
// other visit, of a set whose claims are held.
func (h *Handler) turnOf(ctx context.Context, s appointment.Set, n int) (*time.Time, error) {
	w := wish{visit: s.Visit, opened: map[domain.SlotID]opened{}}
	for _, id := range s.Slots {
		o, err := h.openedSlot(ctx, id)
		if err != nil {
			return nil, err
		}
		w.opened[id] = o
	}
	if len(s.Slots) != 1 || w.opened[s.Slots[0]].capacity < 2 {
		return nil, nil //nolint:nilnil // no turn is no error
	}
	loaded, err := h.Store.Load(ctx, slot.Stream(s.Slots[0]))
	a := &attempt{proposal: proposal{wish: w}, id: s.Appointment, set: n, loaded: loaded}
	return a.turn(), err
}
