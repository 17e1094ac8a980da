package commands

import (
	"context"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/review"
)

var reviews = aggregate[review.State, review.Command, review.Event]{review.Decide, review.Evolve}

// Reviewing is what a patient says of a visit.
type Reviewing struct {
	Appointment domain.AppointmentID
	Stars       int           // 1 to 5
	Text        string        // open text, sealed before it is stored; "" is none
	Same        domain.Sealed // the review's text when the caller has found it to be Text already: it is kept as it is
}

// WriteReview writes the review of an appointment, or edits it. Where the store
// can, the appointment is checked to be as it was in the same append. Errors:
// [appointment.ErrNotFound], the refusals of package review, and those of every
// command.
func (h *Handler) WriteReview(ctx context.Context, req Request, r Reviewing) (Answer[review.State], error) {
	var write review.Write
	visited := func(ctx context.Context, h *Handler) (checks []Write, err error) {
		var check Write
		write, check, err = h.visited(ctx, r)
		return []Write{check}, err
	}
	a := reviews
	a.decide = func(s review.State, _ review.Command) ([]review.Event, error) { return review.Decide(s, write) }
	return handle(ctx, h, req, review.Stream(r.Appointment), a, review.Command(write), visited)
}

// visited returns the command that the appointment makes of a review.
func (h *Handler) visited(ctx context.Context, r Reviewing) (review.Write, Write, error) {
	stream := appointment.Stream(r.Appointment)
	loaded, err := h.Store.Load(ctx, stream)
	if err != nil {
		return review.Write{}, Write{}, err
	}
	state := domain.Replay(appointment.Evolve, appointment.State{}, loaded[stream])
	check, err := exists(loaded, stream, appointment.ErrNotFound)
	visit, _ := state.Current()
	text := r.Same
	if text.IsZero() {
		text = domain.Open(string(visit.Patient), r.Text)
	}
	return review.Write{
		Visit: review.Visit{Appointment: r.Appointment, Patient: visit.Patient, Practitioner: visit.Practitioner, Clinic: visit.Clinic},
		Stars: r.Stars, Text: text, Fulfilled: string(state.Status) == "fulfilled",
	}, check, err
}

// WithdrawReview takes the review of an appointment back. Errors:
// [review.ErrNotFound], and those of every command.
func (h *Handler) WithdrawReview(ctx context.Context, req Request, id domain.AppointmentID) (Answer[review.State], error) {
	return handle(ctx, h, req, review.Stream(id), reviews, review.Command(review.Withdraw{}), unguarded)
}

// HideReview keeps the review of an appointment from the public. Errors:
// [review.ErrNotFound], [review.ErrReason], and those of every command.
func (h *Handler) HideReview(ctx context.Context, req Request, id domain.AppointmentID, why review.Reason) (Answer[review.State], error) {
	return handle(ctx, h, req, review.Stream(id), reviews, review.Command(review.Hide{Reason: why}), unguarded)
}

// ShowReview lets the public see the review of an appointment again. Errors:
// [review.ErrNotFound], and those of every command.
func (h *Handler) ShowReview(ctx context.Context, req Request, id domain.AppointmentID) (Answer[review.State], error) {
	return handle(ctx, h, req, review.Stream(id), reviews, review.Command(review.Show{}), unguarded)
}

// Review returns the review of an appointment as its stream says. Errors:
// [review.ErrNotFound], also when the visit did not take place after all.
func (h *Handler) Review(ctx context.Context, id domain.AppointmentID) (Answer[review.State], error) {
	found, err := read(ctx, h, review.Stream(id), review.Evolve, review.ErrNotFound)
	if err != nil {
		return found, err
	}
	visit, err := h.Appointment(ctx, id)
	if err == nil && visit.State.Status != appointment.Fulfilled {
		err = review.ErrNotFound
	}
	return found, err
}
