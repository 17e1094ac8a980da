package reactions

import (
	"context"
	"errors"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/waitlist"
)

// Line knows who waits. What it answers reflects at least the position that it
// is asked for; it may know less than what has happened since, since whatever is
// decided is decided on the streams.
type Line interface {
	// Anybody reports whether anybody waits for anything.
	Anybody(ctx context.Context, least domain.Position) (bool, error)
	// Line returns who waits for what is free: who joined first comes first.
	Line(ctx context.Context, free waitlist.Free, least domain.Position) ([]domain.WishID, error)
	// OfPatient returns the wishes of a patient that have not ended.
	OfPatient(ctx context.Context, id domain.PatientID, least domain.Position) ([]domain.WishID, error)
}

// Waitlist offers what has become free to who waits for it:
//
//	slot.released   -> the first in line who may have it is offered it
//	patient.merged  -> the wishes of the duplicate are those of who is kept
//
// An offer that is declined or lapses releases its slot, which comes here as any
// other release does: so it is passed on, and so is what a swap frees.
type Waitlist struct {
	Handler *commands.Handler // its clock is business time
	Line    Line
}

// Wants returns the types of the events that [Waitlist.React] reacts to.
func (w Waitlist) Wants() []string {
	return []string{slot.Released{}.EventType(), patient.Merged{}.EventType()}
}

// React reacts to one event. It may be handed the same event again, at any time
// and in several processes at once: what it has done it finds done. An error says
// that the event is to be handed over again.
func (w Waitlist) React(ctx context.Context, r domain.Recorded) error {
	switch e := r.Event.(type) {
	case slot.Released:
		return w.freed(ctx, r, e.Slot)
	case patient.Merged:
		return w.merged(ctx, r, e.Patient)
	}
	return nil
}

// freed offers a slot that an event has freed to the first in line who may have
// it, and notes of those before them why they are passed over. The line is as of
// that event at least.
func (w Waitlist) freed(ctx context.Context, cause domain.Recorded, id domain.SlotID) error {
	if waits, err := w.Line.Anybody(ctx, cause.Position); err != nil || !waits {
		return err
	}
	free, has, err := w.Handler.Freed(ctx, id)
	if errors.Is(err, schedule.ErrSlotGone) {
		return nil
	}
	if err != nil || !has {
		return err
	}
	line, err := w.Line.Line(ctx, free, cause.Position)
	if err == nil && len(line) > 0 {
		_, err = w.Handler.OfferRound(ctx, commands.Round{Free: free, Cause: cause, Line: line})
	}
	return err
}

// merged moves the wishes of a patient who is somebody else's duplicate.
func (w Waitlist) merged(ctx context.Context, r domain.Recorded, id domain.PatientID) error {
	wishes, err := w.Line.OfPatient(ctx, id, r.Position)
	for _, wish := range wishes {
		req := commands.CausedBy(r, "waitlist", string(wish))
		if _, failed := w.Handler.MoveWish(ctx, req, wish); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}
