package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// traced appends facts as the same command, in a trace.
func (w world) traced(trace string, facts ...projectionstest.Fact) {
	w.Helper()
	for i, f := range facts {
		_, err := w.log.Append(w.Context(), commands.Write{Stream: f.Stream, Expected: domain.Any, Events: []commands.NewEvent{{
			ID: domain.NewID(trace, fmt.Sprint(w.head(), i)), Event: f.Event, Metadata: domain.Metadata{Command: "c", Actor: "local", Trace: trace},
		}}})
		require.NoError(w, err)
	}
}

func TestALiveModelTellsWhatItTookInOfATrace(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	w.traced("trace", book(2, "pat"), boring(1))
	w.append(book(3, "pat"))
	w.traced("another", book(4, "pat"))
	c := w.config("test")
	c.Models[0].Interest = domain.Filter{Categories: []string{slot.Category}}
	var mu sync.Mutex
	var told []engine.Batch
	c.Took = func(b engine.Batch) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, b)
	}
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	require.Len(t, told, 1)
	require.Equal(t, "ledger", told[0].Model)
	require.Equal(t, 4, told[0].Events)
	require.False(t, told[0].Ended.Before(told[0].Began))
	var traces []string
	for _, r := range told[0].Traced {
		traces = append(traces, r.Metadata.Trace)
	}
	require.Equal(t, []string{"trace", "another"}, traces, "of those that it has an interest in")

	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	require.Len(t, told, 1, "what is folded again is not told again")
	w.append(book(5, "pat"))
	require.NoError(t, e.CatchUp(t.Context()))
	require.Len(t, told, 1, "events outside traces are nobody's concern")
	w.right(e)
}

func TestTheLagIsHowLongTheOldestEventHasBeenWaiting(t *testing.T) {
	w := newWorld(t, book(1, "pat"))
	c := w.config("test")
	now := projectionstest.RecordedAt()
	c.Now = func() time.Time { return now.Add(8 * time.Hour) } // after a quiet night
	asked := 0
	c.Waiting = func(_ context.Context, after domain.Position) (time.Time, error) {
		asked++
		require.EqualValues(t, 1, after)
		return now.Add(8*time.Hour - 2*time.Second), nil
	}
	e := w.engine(c)
	require.NoError(t, e.CatchUp(t.Context()))
	statuses, err := e.Status(t.Context())
	require.NoError(t, err)
	require.Zero(t, statuses[0].Lag)
	require.Zero(t, asked, "nothing waits for a model at the head")
	w.append(book(2, "pat"))
	statuses, err = e.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, statuses[0].Lag)
}

func TestARebuildThatHasBegunIsSeen(t *testing.T) {
	w := newWorld(t, bookings(50)...)
	e := w.engine(w.config("test"))
	require.NoError(t, e.CatchUp(t.Context()))
	next := func() *engine.Next {
		statuses, err := e.Status(t.Context())
		require.NoError(t, err)
		return statuses[0].Next
	}
	require.Nil(t, next())
	ctx, kill := context.WithCancel(t.Context())
	var running *engine.Next
	err := e.Rebuild(ctx, engine.Build{Progress: func(engine.Progress) {
		if running == nil {
			running = next()
			kill()
		}
	}}, "ledger")
	require.ErrorIs(t, err, context.Canceled)
	require.NotNil(t, running)
	require.True(t, running.Running)
	w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() + interval '1 hour' where schema like '%\\_next'")
	require.ErrorIs(t, e.Abandon(t.Context(), "ledger"), engine.ErrGoesOn)
	w.exec("update slotbook.projection_checkpoint set lease_until = clock_timestamp() - interval '1 second' where schema like '%\\_next'")
	require.NotNil(t, next())
	require.False(t, next().Running, "nobody is at it any more")
	require.NoError(t, e.Abandon(t.Context(), "ledger"))
	require.Nil(t, next())
	require.Zero(t, w.number("select count(*) from pg_namespace where nspname ~ '_next'"))
	require.ErrorIs(t, e.Abandon(t.Context(), "ledger"), engine.ErrNotBegun)
	require.NoError(t, e.Rebuild(t.Context(), engine.Build{}, "ledger"))
	require.Nil(t, next())
}
