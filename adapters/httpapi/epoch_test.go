package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// A store that was restored is another epoch: a cursor from before names a
// place that may not be there any more.
func TestACursorOfAnotherEpochIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Epoch = "first" })
	w.open(t)
	next, _, _ := strings.Cut(strings.TrimPrefix(w.call(t, http.MethodGet, "/v1/slots?limit=1", "").Header().Get("Link"), "<"), ">")
	require.NotEmpty(t, next)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, next, "").Code)
	restored := newWorld(t, func(c *httpapi.Config) { c.Epoch = "second" })
	restored.open(t)
	answer := restored.call(t, http.MethodGet, next, "")
	require.Equal(t, http.StatusUnprocessableEntity, answer.Code)
	require.Equal(t, "cursor.outdated", rule(t, answer))
}

// outdated lists slots whose tables were built from another epoch.
type outdated struct{ httpapi.Slots }

// List refuses.
func (outdated) List(context.Context, projections.SlotFilter, time.Time, domain.Position) (projections.List[projections.Slot], error) {
	return projections.List[projections.Slot]{}, engine.ErrRebuild
}

func TestAListOfAnotherEpochSaysThatItHasToBeRebuilt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Slots = outdated{c.Slots} })
	answer := w.call(t, http.MethodGet, "/v1/slots", "")
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "projection.rebuild", rule(t, answer))
}

func TestAProcessThatOnlyReadsRefusesCommandsButForDryRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.ReadOnly = true })
	clinic := `{"name": "Sunrise", "zone": "Europe/Lisbon"}`
	answer := w.call(t, http.MethodPost, "/v1/clinics", clinic)
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.Equal(t, "process.read-only", rule(t, answer))
	require.NotEmpty(t, answer.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, "/v1/clinics?dryRun=true", clinic).Code)
	require.Equal(t, http.StatusOK, w.call(t, http.MethodGet, "/v1/clinics", "").Code)
}
