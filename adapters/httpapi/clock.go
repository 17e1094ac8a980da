package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slotbook/slotbook/domain"
)

// Clock is a business time that stands still until somebody moves it.
type Clock interface {
	Now() time.Time
	// Forward moves the clock and returns what it shows then. An instant that
	// lies in its past leaves it alone and reports false.
	Forward(to time.Time) (now time.Time, ok bool)
}

// The refusals of the clock.
var (
	errClockBack = domain.Refusal(domain.Refused, "clock.backwards", "the clock of a demonstration never goes backwards")
	errClockMove = domain.Refusal(domain.Invalid, "clock.move", "the clock is moved by advance or to now, one of the two, and not beyond the year 9000")
)

// lastYear is where the clock ends: RFC 3339 has no year after 9999, and what
// lies ahead of the clock has to be written, too.
const lastYear = 9000

// ClockTime is what the clock of a demonstration shows.
type ClockTime struct {
	Now time.Time `json:"now" doc:"The business time" example:"2026-06-01T09:10:00Z"`
}

// ClockBody says how the clock of a demonstration moves.
type ClockBody struct {
	Advance string     `json:"advance,omitempty" maxLength:"64" doc:"ISO 8601 duration by which the clock goes on" example:"PT10M"`
	Now     *time.Time `json:"now,omitempty" doc:"What the clock shows from now on, not before what it shows already" example:"2026-06-01T09:10:00Z"`
}

type (
	moveClockInput struct{ Body ClockBody }
	clockOutput    struct{ Body ClockTime }
)

// clockRoutes exist only where the clock is moved by hand.
func (a *api) clockRoutes() {
	if a.Clock == nil {
		return
	}
	huma.Register(a.huma, a.operation(operation{
		id: "getClock", method: http.MethodGet, path: "/v1/demo/clock", tag: "Demo", summary: "Get the business time",
		detail: "Only where the clock of a demonstration is moved by hand.",
	}, nil, nil), func(context.Context, *struct{}) (*clockOutput, error) {
		return &clockOutput{ClockTime{a.Clock.Now()}}, nil
	})
	huma.Register(a.huma, a.operation(operation{
		id: "moveClock", method: http.MethodPost, path: "/v1/demo/clock", tag: "Demo", summary: "Move the business time forward",
		detail: "Holds lapse, requests run out and days end accordingly. Only where the clock of a demonstration is moved by hand.",
	}, []*domain.Error{errClockBack, errClockMove, errDuration}, commandEdge()), func(ctx context.Context, in *moveClockInput) (*clockOutput, error) {
		now, err := a.moveClock(in.Body)
		if err != nil {
			return nil, refused(ctx, err)
		}
		return &clockOutput{ClockTime{now}}, nil
	})
}

func (a *api) moveClock(b ClockBody) (time.Time, error) {
	if (b.Advance == "") == (b.Now == nil) {
		return time.Time{}, errClockMove
	}
	to := a.Clock.Now()
	if b.Now != nil {
		to = *b.Now
	} else {
		d, err := parseDuration(b.Advance)
		if err != nil {
			return time.Time{}, err
		}
		to = to.Add(d)
	}
	if to.UTC().Year() > lastYear {
		return time.Time{}, errClockMove
	}
	now, ok := a.Clock.Forward(to)
	if !ok {
		return time.Time{}, errClockBack
	}
	a.zones.clinics.Clear() // they are kept by this clock
	return now, nil
}
