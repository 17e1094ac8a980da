package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

// History is what happened to a thing.
type History struct {
	Items []HistoryEvent `json:"items" nullable:"false" doc:"Every event, in order"`
}

// HistoryEvent is one thing that happened.
type HistoryEvent struct {
	Type     string    `json:"type" doc:"What happened" example:"appointment.booked"`
	Revision int64     `json:"revision" doc:"Its place in this history, from 0" example:"1"`
	Position uint64    `json:"position" doc:"Its place among everything that happened" example:"42"`
	Time     time.Time `json:"time" doc:"When it was stored, UTC" example:"2026-03-02T10:00:00Z"`
	Actor    string    `json:"actor" doc:"Who did it; system for what nobody asked for" example:"local"`
	Data     EventData `json:"data" doc:"What changed; erased text is null"`
	Erased   bool      `json:"erased,omitempty" doc:"Text of this event was erased with a patient's personal data"`
}

func (a *api) historyRoutes() {
	one(a, operation{
		id: "getAppointmentHistory", method: http.MethodGet, path: "/v1/appointments/{id}/history", tag: "Appointments",
		summary: "Get everything that happened to an appointment", refusals: []*domain.Error{appointment.ErrNotFound},
	}, a.appointmentHistory)
}

func (a *api) appointmentHistory(ctx context.Context, in *byIDInput) (single[History], error) {
	recorded, err := a.Commands.History(ctx, domain.AppointmentID(in.ID))
	if err != nil {
		return single[History]{}, err
	}
	h := History{Items: make([]HistoryEvent, len(recorded))}
	for i, r := range recorded {
		if h.Items[i], err = a.historyEvent(ctx, r); err != nil {
			return single[History]{}, err
		}
	}
	last := recorded[len(recorded)-1]
	return single[History]{h, etag(last.Revision), last.Position}, nil
}

func (a *api) historyEvent(ctx context.Context, r domain.Recorded) (HistoryEvent, error) {
	encoded, err := json.Marshal(r.Event)
	if err != nil {
		return HistoryEvent{}, err
	}
	data, erased, err := disclose(ctx, a.Codec, encoded)
	return HistoryEvent{
		Type: r.Event.EventType(), Revision: int64(r.Revision), Position: uint64(r.Position), Time: r.RecordedAt.UTC(),
		Actor: r.Metadata.Actor, Data: data, Erased: erased,
	}, err
}
