package httpapi

import (
	"context"
	"net/http"
	"reflect"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
)

// SlotsSnapshot is the message of a stream that has the whole list.
type SlotsSnapshot struct {
	Position uint64 `json:"position" doc:"The slots reflect every event up to this position"`
	Slots    []Slot `json:"slots" nullable:"false" doc:"By start and id. What was told before counts for nothing"`
}

// SlotChanged is the message of a stream about one slot.
type SlotChanged struct {
	Position uint64 `json:"position" doc:"The slot reflects every event up to this position"`
	Listed   bool   `json:"listed" doc:"The list has the slot, in place of what it had under this id; false = the list does not have it, by its status"`
	Slot     Slot   `json:"slot" doc:"As it is now, whatever the filter says of its status"`
}

type slotStreamInput struct {
	StreamParams
	SlotParams
	FromParams
	StatusParams
}

func (a *api) streamRoutes() {
	stream(a, operation{
		id: "streamSlots", method: http.MethodGet, path: "/v1/slots/stream", tag: "Slots",
		summary: "Follow a list of slots while it changes",
		detail: "The same slots as GET /v1/slots lists, at most 2,000: first all of them in one snapshot, then each one that has changed. What is told of a " +
			"slot replaces what was told before, and may be told twice. Time passes without a message: a slot's heldUntil and start say when it " +
			"is free again, or past.",
		refusals: areaRefusals(domain.ErrBadPeriod, projections.ErrTooBroad),
	}, []eventKind{
		{"snapshot", reflect.TypeFor[SlotsSnapshot](), "All slots; the first message, and again when too much has changed to be told one by one"},
		{"change", reflect.TypeFor[SlotChanged](), "One slot has changed"},
	}, a.slotStream)
	a.boardRoutes()
}

func (a *api) slotStream(ctx context.Context, in *slotStreamInput, seen domain.Position) (feed, error) {
	f, err := in.filter(ctx, a, in.FromParams, a.Now())
	if err != nil {
		return nil, err
	}
	f.Status = projections.SlotStatus(in.Status)
	watch, err := a.Live.WatchSlots(ctx, f, seen)
	if err != nil {
		return nil, err
	}
	return &slotFeed{a, watch}, nil
}

// slotFeed tells of slots.
type slotFeed struct {
	api   *api
	watch *projections.SlotWatch
}

func (f *slotFeed) begin(ctx context.Context) (stretch, error) { return f.tell(ctx, f.watch.Begin) }

func (f *slotFeed) next(ctx context.Context) (stretch, error) { return f.tell(ctx, f.watch.Next) }

func (f *slotFeed) position() domain.Position { return f.watch.Position() }

func (f *slotFeed) close() { f.watch.Close() }

func (f *slotFeed) tell(ctx context.Context, ask func(context.Context) (projections.SlotNews, error)) (stretch, error) {
	news, err := ask(ctx)
	if err != nil {
		return stretch{}, err
	}
	s, snapshot := stretch{position: news.Position}, SlotsSnapshot{uint64(news.Position), []Slot{}}
	for _, c := range news.Slots {
		slot, err := f.api.slotOf(ctx, c.Slot)
		if err != nil {
			return s, err
		}
		if news.Whole {
			snapshot.Slots = append(snapshot.Slots, slot)
			continue
		}
		s.messages = append(s.messages, message{"change", SlotChanged{uint64(news.Position), c.Listed, slot}})
	}
	if news.Whole {
		s.messages = []message{{"snapshot", snapshot}}
	}
	return s, nil
}
