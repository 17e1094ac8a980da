package httpapi_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// reacting is one reaction, the opener, of a log of 100 events.
type reacting struct {
	at     domain.Position
	parked []reactions.Parked
	asked  []string // for another try
}

func (r *reacting) List(context.Context) ([]reactions.Standing, error) {
	return []reactions.Standing{{Name: "opener", Position: r.at, Head: 100, Owner: "host/1", Parked: len(r.parked), MovedAt: time.Unix(0, 0)}}, nil
}

func (r *reacting) known(name string) error {
	if name != "opener" {
		return reactions.ErrUnknown
	}
	return nil
}

func (r *reacting) Parked(_ context.Context, name string) ([]reactions.Parked, error) {
	return r.parked, r.known(name)
}

func (r *reacting) Retry(_ context.Context, name string, events ...string) (int, error) {
	r.asked = events
	return len(events), r.known(name)
}

func (r *reacting) Discard(_ context.Context, name string, events ...string) (int, error) {
	before := len(r.parked)
	r.parked = slices.DeleteFunc(r.parked, func(p reactions.Parked) bool { return len(events) == 0 || slices.Contains(events, p.Event) })
	return before - len(r.parked), r.known(name)
}

func (r *reacting) Move(_ context.Context, name string, to domain.Position) error {
	if to > 100 {
		return reactions.ErrBeyond
	}
	r.at = to
	return r.known(name)
}

func TestReactionsAreOperatedOverHTTP(t *testing.T) {
	t.Parallel()
	is := &reacting{at: 7, parked: []reactions.Parked{{
		Reaction: "opener", Event: "e", Stream: "slot-1", Type: "slot.released", Position: 3, Error: "it cannot be", Tries: 6, ParkedAt: time.Unix(60, 0),
	}}}
	w := newWorld(t, func(c *httpapi.Config) { c.Reactions = is })
	const base = "/v1/admin/reactions"
	require.JSONEq(t, `{"items": [{"name": "opener", "position": 7, "head": 100, "owner": "host/1", "parked": 1, "movedAt": "1970-01-01T00:00:00Z"}]}`,
		w.call(t, http.MethodGet, base, "").Body.String())
	require.JSONEq(t, `{"items": [{"event": "e", "stream": "slot-1", "type": "slot.released", "position": 3, "error": "it cannot be", "tries": 6, "parkedAt": "1970-01-01T00:01:00Z"}]}`,
		w.call(t, http.MethodGet, base+"/opener/parked", "").Body.String())
	require.JSONEq(t, `{"retrying": 1}`, w.call(t, http.MethodPost, base+"/opener/parked/retry", `{"events": ["e"]}`).Body.String())
	require.Equal(t, []string{"e"}, is.asked)
	require.JSONEq(t, `{"discarded": 0}`, w.call(t, http.MethodPost, base+"/opener/parked/discard", `{"events": ["f"]}`).Body.String())
	require.JSONEq(t, `{"discarded": 1}`, w.call(t, http.MethodPost, base+"/opener/parked/discard", "").Body.String())
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, base+"/opener/move", `{"after": 100}`).Code)
	require.EqualValues(t, 100, is.at)
	require.Equal(t, "reaction.position-unknown", rule(t, w.call(t, http.MethodPost, base+"/opener/move", `{"after": 101}`)))
	require.Equal(t, "reaction.unknown", rule(t, w.call(t, http.MethodGet, base+"/nobody/parked", "")))
	for path, body := range map[string]string{"retry": "", "discard": ""} {
		require.Equal(t, "reaction.unknown", rule(t, w.call(t, http.MethodPost, base+"/nobody/parked/"+path, body)))
	}
	require.Equal(t, "reaction.unknown", rule(t, w.call(t, http.MethodPost, base+"/nobody/move", `{"after": 0}`)))
}
