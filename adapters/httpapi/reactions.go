package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// Reactions operates what follows the log with a checkpoint of its own.
type Reactions interface {
	List(ctx context.Context) ([]reactions.Standing, error)
	// Parked lists what a reaction has parked. Errors: [reactions.ErrUnknown].
	Parked(ctx context.Context, name string) ([]reactions.Parked, error)
	// Retry and Discard return of how many events; none named = all. Errors:
	// [reactions.ErrUnknown].
	Retry(ctx context.Context, name string, events ...string) (int, error)
	Discard(ctx context.Context, name string, events ...string) (int, error)
	// Move has a reaction go on after a position. Errors: [reactions.ErrUnknown],
	// [reactions.ErrBeyond].
	Move(ctx context.Context, name string, to domain.Position) error
}

// Reaction is how a reaction is doing.
type Reaction struct {
	Name     string    `json:"name" example:"opener"`
	Position uint64    `json:"position" doc:"Every event up to here was handled, or is parked"`
	Head     uint64    `json:"head" doc:"The position of the last event"`
	Owner    string    `json:"owner,omitempty" doc:"The process that runs it; absent when none does"`
	Parked   int       `json:"parked" doc:"Events that it could not handle"`
	MovedAt  time.Time `json:"movedAt" doc:"When its position was last written"`
	Refused  string    `json:"refused,omitempty" doc:"Why it does not run before an operator says where to go on"`
}

// ReactionList is how all reactions are doing.
type ReactionList struct {
	Items []Reaction `json:"items" nullable:"false"`
}

// ParkedEvent is an event that a reaction could not handle.
type ParkedEvent struct {
	Event    string     `json:"event" doc:"Its id"`
	Stream   string     `json:"stream"`
	Type     string     `json:"type" example:"slot.released"`
	Position uint64     `json:"position"`
	Error    string     `json:"error" doc:"Of the last try"`
	Tries    int        `json:"tries" doc:"So far"`
	ParkedAt time.Time  `json:"parkedAt" doc:"When the last try had failed"`
	RetryAt  *time.Time `json:"retryAt,omitempty" doc:"When somebody asked for another try; absent when nobody has since the last one"`
}

// ParkedEventList is what a reaction could not handle, in the order of the log.
type ParkedEventList struct {
	Items []ParkedEvent `json:"items" nullable:"false"`
}

// ParkedBody names parked events.
type ParkedBody struct {
	Events []string `json:"events" minItems:"1" maxItems:"1000" nullable:"false" doc:"Ids of events" example:"018f6b1e-0000-7000-8000-000000000001"`
}

// GoOnBody says where a reaction goes on.
type GoOnBody struct {
	After uint64 `json:"after" maximum:"9223372036854775807" doc:"It gets what comes after this position next; 0 = everything" example:"42"`
}

// RetryingEvents says how many events are tried again.
type RetryingEvents struct {
	Retrying int `json:"retrying" doc:"Parked events that the process which runs the reaction tries within seconds"`
}

// DiscardedEvents says how many events were forgotten.
type DiscardedEvents struct {
	Discarded int `json:"discarded" doc:"Parked events that the reaction never sees again"`
}

// ReactionPath names a reaction.
type ReactionPath struct {
	Name string `path:"name" maxLength:"100" doc:"The reaction" example:"opener"`
}

type (
	reactionInput       struct{ ReactionPath }
	reactionEventsInput struct {
		ReactionPath
		Body *ParkedBody
	}
	reactionMoveInput struct {
		ReactionPath
		Body GoOnBody
	}
)

func (in *reactionEventsInput) events() []string {
	if in.Body == nil {
		return nil
	}
	return in.Body.Events
}

func (a *api) reactionRoutes() {
	const base, tag = "/v1/admin/reactions", "Operations"
	unknown := []*domain.Error{reactions.ErrUnknown}
	ask(a, operation{
		id: "listReactions", method: http.MethodGet, path: base, tag: tag, summary: "Say how every reaction is doing",
	}, func(ctx context.Context, _ *struct{}) (ReactionList, error) { return a.reactionList(ctx) })
	ask(a, operation{
		id: "listParkedEvents", method: http.MethodGet, path: base + "/{name}/parked", tag: tag, refusals: unknown,
		summary: "List the events that a reaction could not handle, however often it tried",
	}, a.parkedEvents)
	ask(a, operation{
		id: "retryParkedEvents", method: http.MethodPost, path: base + "/{name}/parked/retry", tag: tag, refusals: unknown,
		summary: "Have parked events tried again by the process that runs the reaction; without a body, all",
	}, func(ctx context.Context, in *reactionEventsInput) (RetryingEvents, error) {
		n, err := a.Reactions.Retry(ctx, in.Name, in.events()...)
		return RetryingEvents{n}, err
	})
	ask(a, operation{
		id: "discardParkedEvents", method: http.MethodPost, path: base + "/{name}/parked/discard", tag: tag, refusals: unknown,
		summary: "Forget that events are parked; without a body, all",
	}, func(ctx context.Context, in *reactionEventsInput) (DiscardedEvents, error) {
		n, err := a.Reactions.Discard(ctx, in.Name, in.events()...)
		return DiscardedEvents{n}, err
	})
	ask(a, operation{
		id: "moveReaction", method: http.MethodPost, path: base + "/{name}/move", tag: tag,
		summary: "Have a reaction go on elsewhere in the log: going back, it gets events again", refusals: append(unknown, reactions.ErrBeyond),
	}, func(ctx context.Context, in *reactionMoveInput) (ReactionList, error) {
		if err := a.Reactions.Move(ctx, in.Name, domain.Position(in.Body.After)); err != nil {
			return ReactionList{}, err
		}
		return a.reactionList(ctx)
	})
}

func (a *api) reactionList(ctx context.Context) (ReactionList, error) {
	standings, err := a.Reactions.List(ctx)
	return ReactionList{mapped(standings, func(s reactions.Standing) Reaction {
		return Reaction{s.Name, uint64(s.Position), uint64(s.Head), s.Owner, s.Parked, s.MovedAt.UTC(), s.Refused}
	})}, err
}

func (a *api) parkedEvents(ctx context.Context, in *reactionInput) (ParkedEventList, error) {
	parked, err := a.Reactions.Parked(ctx, in.Name)
	return ParkedEventList{mapped(parked, func(p reactions.Parked) ParkedEvent {
		return ParkedEvent{p.Event, string(p.Stream), p.Type, uint64(p.Position), p.Error, p.Tries, p.ParkedAt.UTC(), p.RetryAt}
	})}, err
}
