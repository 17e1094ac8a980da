package operations_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// newDesk returns a desk over the directory of one clinic, on a disk with so many
// bytes.
func newDesk(t *testing.T, free int64) *operations.Desk {
	t.Helper()
	t.Parallel()
	centre := projectionstest.Fact{Stream: clinic.Stream("c"), Event: clinic.Registered{Clinic: "c", Profile: clinic.Profile{Name: "Centre", Zone: "UTC"}}}
	e := engine.New(engine.Config{
		Pool: projectionstest.Pool(t), Log: projectionstest.Log(t, eventcodec.New(&eventcodec.MemoryKeys{}), centre),
		Models: []engine.Model{projections.DirectoryModel(), projections.HoursModel()}, Owner: "test", Now: time.Now,
	})
	require.NoError(t, e.Prepare(t.Context()))
	require.NoError(t, e.CatchUp(t.Context()))
	var ids atomic.Int64
	return operations.New(operations.Config{
		Engine: e, Models: []string{"directory", "hours"}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		NewID: func() string { return strconv.FormatInt(ids.Add(1), 10) },
		Free:  func(context.Context) (int64, bool) { return free, true },
	})
}

func TestARebuildThatTheDiskIsTooSmallForIsRefusedBeforeItBegins(t *testing.T) {
	d := newDesk(t, 1000)
	order := operations.Order{Kind: operations.Rebuild, Models: []string{"directory"}}
	_, err := d.Do(t.Context(), order, nil)
	require.ErrorIs(t, err, operations.ErrDisk)
	_, err = d.Start(t.Context(), order)
	require.ErrorIs(t, err, operations.ErrDisk)
	plans, err := d.Plan(t.Context(), "directory")
	require.ErrorIs(t, err, operations.ErrDisk)
	require.Positive(t, plans[0].Bytes, "what it would take is told all the same")
	require.Empty(t, d.Jobs())
}

func TestAReadModelHasOneJobAtATime(t *testing.T) {
	d := newDesk(t, 1<<40)
	rebuild := operations.Order{Kind: operations.Rebuild, Models: []string{"directory"}}
	first, err := d.Start(t.Context(), rebuild)
	require.NoError(t, err)
	_, err = d.Start(t.Context(), operations.Order{Kind: operations.Verify, Models: []string{"directory"}})
	require.ErrorIs(t, err, operations.ErrBusy)
	_, err = d.Start(t.Context(), operations.Order{Kind: operations.Verify, Models: []string{"nothing"}})
	require.ErrorIs(t, err, operations.ErrUnknown)
	_, err = d.Start(t.Context(), operations.Order{Kind: operations.Rollback, Models: []string{"hours"}})
	require.ErrorIs(t, err, engine.ErrNoPrevious)
	second, err := d.Start(t.Context(), operations.Order{Kind: operations.Verify, Models: []string{"hours"}})
	require.NoError(t, err)

	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	for _, id := range []string{first.ID, second.ID} {
		require.Equal(t, operations.Done, finished(t, d, id).State)
	}
	require.Equal(t, second.ID, d.Jobs()[0].ID, "the latest first")
	require.True(t, d.Jobs()[0].Outcome.Clean())
	_, _, err = d.Job("nothing")
	require.ErrorIs(t, err, operations.ErrNoJob)
	again, err := d.Start(t.Context(), rebuild)
	require.NoError(t, err, "the first is done")
	require.Equal(t, operations.Done, finished(t, d, again.ID).State)
	end()
	require.NoError(t, <-ended)
}

// finished waits until a job has ended.
func finished(t *testing.T, d *operations.Desk, id string) operations.Job {
	t.Helper()
	for {
		j, changed, err := d.Job(id)
		require.NoError(t, err)
		if j.State == operations.Done || j.State == operations.Failed {
			return j
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the job did not end")
		}
	}
}
