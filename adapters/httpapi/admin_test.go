package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
)

// idle operates no read model.
type idle struct{}

func (idle) Status(context.Context) ([]engine.Status, error) { return nil, nil }

func (idle) Start(context.Context, operations.Order) (operations.Job, error) {
	return operations.Job{}, operations.ErrUnknown
}

func (idle) Job(string) (operations.Job, <-chan struct{}, error) {
	return operations.Job{}, nil, operations.ErrNoJob
}

func (idle) Jobs() []operations.Job { return nil }

func (idle) Abandon(context.Context, ...string) error { return operations.ErrUnknown }

func (idle) Pause(context.Context, ...string) error { return operations.ErrUnknown }

func (idle) Resume(context.Context, ...string) error { return operations.ErrUnknown }

func (idle) Parked(context.Context, string) ([]engine.Parked, error) {
	return nil, operations.ErrUnknown
}

func (idle) Discard(context.Context, string, ...engine.Lot) (int, error) {
	return 0, operations.ErrUnknown
}

// TestReadModelsAreOperatedOverHTTP orders every sort of work on a read model
// and follows it to its end.
func TestReadModelsAreOperatedOverHTTP(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	booked := w.book(t, d.slot(2), d.maria)
	require.Equal(t, http.StatusCreated, booked.Code)
	const base = "/v1/admin/projections"
	finished := func(path, body string) httpapi.Job {
		t.Helper()
		answer := w.call(t, http.MethodPost, base+path, body)
		require.Equal(t, http.StatusAccepted, answer.Code, answer.Body.String())
		var j httpapi.Job
		require.Eventually(t, func() bool {
			now := w.call(t, http.MethodGet, answer.Header().Get("Location"), "")
			require.Equal(t, http.StatusOK, now.Code, now.Body.String())
			require.NoError(t, json.Unmarshal(now.Body.Bytes(), &j))
			return j.State == "done" || j.State == "failed"
		}, 30*time.Second, 10*time.Millisecond)
		return j
	}
	require.Equal(t, "projection.no-previous", rule(t, w.call(t, http.MethodPost, base+"/availability/rollback", "")))
	rebuilt := finished("/availability/rebuild", `{"keepParked": true}`)
	require.Equal(t, "done", rebuilt.State)
	require.Equal(t, "projection.not-begun", rule(t, w.call(t, http.MethodPost, base+"/availability/rebuild/abandon", "")))
	require.InDelta(t, 100, rebuilt.Percent, 0)
	require.Equal(t, "done", finished("/availability/rollback", "").State)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	stream := connect(t, server, "/v1/admin/jobs/"+rebuilt.ID+"/stream", "")
	var told httpapi.Job
	stream.change("job", &told)
	require.Equal(t, "done", told.State)
	_, more := stream.next()
	require.False(t, more, "the stream ends after the job")
	verified := finished("/availability/verify", "")
	require.Equal(t, "slot", verified.Verified[0].Tables[0].Table)
	require.True(t, verified.Verified[0].Tables[0].Same)
	require.Zero(t, finished("/availability/parked/retry", `{}`).Retried["availability"].Mended)

	var models httpapi.ReadModelList
	paused := w.call(t, http.MethodPost, base+"/availability/pause", "")
	require.NoError(t, json.Unmarshal(paused.Body.Bytes(), &models))
	require.NotNil(t, models.Items[0].PausedAt)
	cancelled := w.call(t, http.MethodPost, booked.Header().Get("Location")+"/cancel", `{"initiator": "patient"}`)
	behind := w.call(t, http.MethodGet, "/v1/slots?minPosition="+cancelled.Header().Get("Slotbook-Position"), "")
	require.Equal(t, "projection.behind", rule(t, behind))
	require.Equal(t, http.StatusOK, w.call(t, http.MethodPost, base+"/availability/resume", "").Code)
	require.Eventually(t, func() bool {
		return w.call(t, http.MethodGet, "/v1/slots?minPosition="+cancelled.Header().Get("Slotbook-Position"), "").Code == http.StatusOK
	}, 30*time.Second, 10*time.Millisecond)

	require.JSONEq(t, `{"items": []}`, w.call(t, http.MethodGet, base+"/availability/parked", "").Body.String())
	require.JSONEq(t, `{"discarded": 0}`, w.call(t, http.MethodPost, base+"/availability/parked/discard", `{"items": [{"table": "slot", "key": "x"}]}`).Body.String())
	for _, path := range []string{"/nothing/rebuild", "/nothing/pause", "/nothing/parked/retry"} {
		require.Equal(t, "projection.unknown", rule(t, w.call(t, http.MethodPost, base+path, "")))
	}
	require.Equal(t, "job.unknown", rule(t, w.call(t, http.MethodGet, "/v1/admin/jobs/nothing", "")))
	var jobs httpapi.JobList
	require.NoError(t, json.Unmarshal(w.call(t, http.MethodGet, "/v1/admin/jobs", "").Body.Bytes(), &jobs))
	require.Len(t, jobs.Items, 4)
	require.Equal(t, "retry", jobs.Items[0].Kind)
}

// interrupted has a read model whose rebuild was interrupted.
type interrupted struct{ idle }

func (interrupted) Status(context.Context) ([]engine.Status, error) {
	return []engine.Status{{Model: "due", Version: 2, Head: 9, Position: 9, Next: &engine.Next{Position: 4}}, {Model: "days", Position: 9, Head: 9}}, nil
}

func TestARebuildThatHasBegunIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Projections = interrupted{} })
	var models httpapi.ReadModelList
	require.NoError(t, json.Unmarshal(w.call(t, http.MethodGet, "/v1/admin/projections", "").Body.Bytes(), &models))
	require.Equal(t, &httpapi.Begun{Position: 4}, models.Items[0].Begun)
	require.Nil(t, models.Items[1].Begun)
}
