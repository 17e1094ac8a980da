package bus

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

func TestAnOwnerStopsBeforeItsLeaseIsOverWhenNothingAnswers(t *testing.T) {
	t.Parallel()
	c, err := pgxpool.ParseConfig("host=127.0.0.1")
	require.NoError(t, err)
	c.ConnConfig.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	const lease = 2 * time.Second
	s := NewSubscriber(SubscriberConfig{Pool: pool, Now: time.Now, Lease: lease})
	f := &follower{
		subscription: &subscription{Subscriber: s, log: slog.New(slog.DiscardHandler)},
		hold:         &hold{checkpoints: s.checkpoints}, progress: newProgress(0),
	}
	began := time.Now()
	time.AfterFunc(lease/10, func() { f.progress.moved <- struct{}{} })
	require.Error(t, f.keep(t.Context()))
	require.Less(t, time.Since(began), lease)
}
