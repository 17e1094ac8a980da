package reactions

import (
	"context"
	"errors"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
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

// WaitlistConfig configures the reactions of the waiting list.
type WaitlistConfig struct {
	Handler *commands.Handler // its clock is business time
	Line    Line
	Offered func(domain.OfferID) // is told of every offer; nil = nobody
}

// Waitlist offers what has become free to who waits for it:
//
//	slot.released   -> the first in line who may have it is offered it
//	patient.merged  -> the wishes of the duplicate are those of who is kept
//	a set of claims ended, where the store takes one stream at a time -> what it still holds is released
//
// An offer that is declined or lapses releases its slot, which comes here as any
// other release does: so it is passed on, and so is what a swap frees.
type Waitlist struct{ WaitlistConfig }

// NewWaitlist returns the reactions of the waiting list.
func NewWaitlist(c WaitlistConfig) *Waitlist {
	if c.Offered == nil {
		c.Offered = func(domain.OfferID) {}
	}
	return &Waitlist{c}
}

// Wants returns the types of the events that [Waitlist.React] reacts to.
func (w *Waitlist) Wants() []string {
	types := []string{slot.Released{}.EventType(), patient.Merged{}.EventType()}
	if w.Handler.Store.Atomic() {
		return types
	}
	for _, e := range []domain.Event{
		appointment.WasBooked{}, appointment.WasReleased{}, appointment.HasLapsed{}, appointment.WasRefused{}, appointment.WasDeclined{}, appointment.WasCancelled{},
	} {
		types = append(types, e.EventType())
	}
	return types
}

// React reacts to one event. It may be handed the same event again, at any time
// and in several processes at once: what it has done it finds done. An error says
// that the event is to be handed over again.
func (w *Waitlist) React(ctx context.Context, r domain.Recorded) error {
	switch e := r.Event.(type) {
	case slot.Released:
		_, err := w.Freed(ctx, r.ID, e.Slot, r.Position)
		return err
	case patient.Merged:
		return w.merged(ctx, r, e.Patient)
	case appointment.Event:
		visit, _ := appointment.Of(e)
		return w.Handler.Tidy(ctx, commands.Request{Command: domain.NewID(r.ID, "tidy"), Actor: "system"}, visit.Appointment)
	}
	return nil
}

// Freed offers a slot that has become free to the first in line who may have it,
// and notes of those before them why they are passed over. The cause is the id of
// the event that freed it, and the line is as of that event's position at least.
// It returns the offer, "" when nobody waits or the slot is free no more.
func (w *Waitlist) Freed(ctx context.Context, cause string, id domain.SlotID, at domain.Position) (domain.OfferID, error) {
	if waits, err := w.Line.Anybody(ctx, at); err != nil || !waits {
		return "", err
	}
	free, any, err := w.Handler.Freed(ctx, id)
	if errors.Is(err, schedule.ErrSlotGone) {
		return "", nil
	}
	if err != nil || !any {
		return "", err
	}
	line, err := w.Line.Line(ctx, free, at)
	if err != nil || len(line) == 0 {
		return "", err
	}
	offer, err := w.Handler.OfferRound(ctx, commands.Round{Free: free, Cause: cause, Line: line})
	if offer != "" {
		w.Offered(offer)
	}
	return offer, err
}

// Forget ends the wishes of a patient who is to be forgotten, and declines what is
// offered for them. The cause is the id of the event that says so, and at its
// position.
func (w *Waitlist) Forget(ctx context.Context, cause string, id domain.PatientID, at domain.Position) error {
	wishes, err := w.Line.OfPatient(ctx, id, at)
	for _, wish := range wishes {
		req := commands.Request{Command: domain.NewID(cause, "waitlist", string(wish)), Actor: "system"}
		if _, failed := w.Handler.LeaveWaitlist(ctx, req, wish); failed != nil && !errors.Is(failed, waitlist.ErrAccepted) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// merged moves the wishes of a patient who is somebody else's duplicate.
func (w *Waitlist) merged(ctx context.Context, r domain.Recorded, id domain.PatientID) error {
	wishes, err := w.Line.OfPatient(ctx, id, r.Position)
	for _, wish := range wishes {
		req := commands.Request{Command: domain.NewID(r.ID, "waitlist", string(wish)), Actor: "system"}
		if _, failed := w.Handler.MoveWish(ctx, req, wish); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}
