package postgres

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/domain"
)

// newsOf returns news of a log that ends where end says.
func newsOf(end func() domain.Position) *news {
	n := newNews(nil, nil, slog.New(slog.DiscardHandler))
	n.last = func(context.Context) (domain.Position, error) { return end(), nil }
	return n
}

// A notification makes the log be looked at, at once and once; what it says is
// not believed, and what is known already is not looked for.
func TestANotificationIsAHint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var end, looks atomic.Int64
		n := newsOf(func() domain.Position { looks.Add(1); return domain.Position(end.Load()) })
		ctx, cancel := context.WithCancel(t.Context())
		go n.poll(ctx)
		synctest.Wait()
		end.Store(5)
		begin := time.Now()
		n.heard("1000")
		require.NoError(t, n.wait(ctx, 4))
		require.Zero(t, time.Since(begin))
		n.heard("5")
		n.heard("4")
		n.heard("nonsense")
		synctest.Wait()
		require.EqualValues(t, 2, looks.Load())
		cancel()
		require.Error(t, n.wait(ctx, 5))
	})
}

// An append while the log is looked at stays known, though the look has not
// seen it; the next look is believed.
func TestAnAppendDuringALook(t *testing.T) {
	t.Parallel()
	now, cancel := context.WithCancel(t.Context())
	cancel()
	var n *news
	during := func() { n.tell(6) }
	n = newsOf(func() domain.Position { during(); return 5 })
	n.look(t.Context())
	require.NoError(t, n.wait(now, 5))
	during = func() {}
	n.look(t.Context())
	require.Error(t, n.wait(now, 5))
	require.NoError(t, n.wait(now, 4))
}
