package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// Past answers what was the last event at an instant, and when an event was
// recorded: the event store.
type Past interface {
	PositionAt(ctx context.Context, at time.Time) (domain.Position, error)
	RecordedAt(ctx context.Context, p domain.Position) (time.Time, error)
}

// AsOfParams say when something is looked at.
type AsOfParams struct {
	AsOf string `query:"asOf" maxLength:"64" doc:"As it was then: a position, or an RFC 3339 instant, which is the last position recorded until then; absent = as it is" example:"2026-03-30T08:00:00Z"`
}

// The refusals of a wish to see how things were.
var (
	errAsOf   = domain.Refusal(domain.Invalid, "as-of.invalid", "asOf is an RFC 3339 instant, such as 2026-03-30T08:00:00Z, or a position from 1 on")
	errFuture = domain.Refusal(domain.Invalid, "as-of.future", "asOf lies in the future: nobody knows how things will be")
)

// asOfRefusals are those of everything that can be seen as it was.
func asOfRefusals(more ...*domain.Error) []*domain.Error { return append(more, errAsOf, errFuture) }

// pastListRefusals are those of lists that can be seen as they were.
func pastListRefusals(more ...*domain.Error) []*domain.Error {
	return asOfRefusals(append(more, projections.ErrPastTooBroad)...)
}

// asOf returns the API as it was: its clock stands at the instant, and what it
// reads ends at the position. Without asOf it is the API of now.
func (a *api) asOf(ctx context.Context, p AsOfParams) (*api, error) {
	if p.AsOf == "" {
		return a, nil
	}
	last, now, err := a.moment(ctx, p.AsOf)
	if err != nil {
		return nil, err
	}
	was := &api{Config: a.Config, metrics: a.metrics, rules: a.rules, cursors: a.cursors, codes: a.codes, was: &last}
	was.Now, was.Commands = func() time.Time { return now }, a.Commands.AsOf(last, now)
	return was, nil
}

// moment returns the position and the instant that asOf means. A position has
// the instant at which its event was recorded.
func (a *api) moment(ctx context.Context, text string) (domain.Position, time.Time, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		last := domain.Position(n)
		head, err := a.Head(ctx)
		switch {
		case err != nil:
			return 0, time.Time{}, err
		case last == 0:
			return 0, time.Time{}, errAsOf
		case last > head:
			return 0, time.Time{}, engine.ErrPositionUnknown
		}
		at, err := a.Past.RecordedAt(ctx, last)
		return last, at, err
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return 0, time.Time{}, errAsOf
	case at.After(a.Now()):
		return 0, time.Time{}, errFuture
	}
	last, err := a.Past.PositionAt(ctx, at)
	return last, at.UTC(), err
}
