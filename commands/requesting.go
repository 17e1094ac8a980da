package commands

import (
	"context"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/schedule"
)

// replyBy returns until when a request for a visit has to be answered: in time
// for each of its practitioners.
func (h *Handler) replyBy(ctx context.Context, v appointment.Visit) (time.Time, error) {
	streams := []domain.StreamName{schedule.Stream(v.Practitioner)}
	for _, other := range others(v) {
		streams = append(streams, schedule.Stream(other))
	}
	loaded, err := h.Store.Load(ctx, streams...)
	if err != nil {
		return time.Time{}, err
	}
	until, now := v.Start, h.now() // nobody answers later
	for _, stream := range streams {
		state := domain.Replay(schedule.Evolve, schedule.State{}, loaded[stream])
		if by := state.ReplyBy(v.Clinic, now, v.Start); by.Before(until) {
			until = by
		}
	}
	return until, nil
}

// Approve books what was requested. Errors: [appointment.ErrNotFound],
// [appointment.ErrNotRequested], [appointment.ErrLapsed], and those of every
// command.
func (h *Handler) Approve(ctx context.Context, req Request, id domain.AppointmentID) (Answer[appointment.State], error) {
	return h.transactOn(ctx, req, id, func(ctx context.Context, h *Handler, s appointment.State) (proposal, error) {
		if _, err := appointment.Decide(s, appointment.Approve{At: h.Now()}); err != nil {
			return proposal{}, err
		}
		requested, n := s.Latest()
		w, place, err := h.again(ctx, requested.Visit)
		return proposal{wish: w, existing: n, policies: place.revisions(), giveUp: place.NoShowAfter}, err
	})
}

// Refusal declines a request.
type Refusal struct {
	Appointment domain.AppointmentID
	Code        string
	Reason      string // open text, sealed before it is stored
}

// Decline refuses what was requested, and frees what it claimed. Errors:
// [appointment.ErrNotFound], [appointment.ErrNotRequested],
// [appointment.ErrLapsed], and those of every command.
func (h *Handler) Decline(ctx context.Context, req Request, r Refusal) (Answer[appointment.State], error) {
	return h.ending(ctx, req, r.Appointment, func(h *Handler, s appointment.State) (appointment.Command, error) {
		latest, _ := s.Latest()
		return appointment.Decline{
			Code: r.Code, Reason: domain.Open(string(latest.Patient), r.Reason), By: req.Actor, At: h.now(),
		}, nil
	})
}
