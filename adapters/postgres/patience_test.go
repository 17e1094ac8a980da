package postgres

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

var (
	errBroken  = errors.New("broken pipe")
	errRefused = &pgconn.PgError{Severity: "ERROR", Code: "55P03"}
)

func one() *request { return newRequest(0, to("slot-1", domain.NoStream, 1)) }

// Patience ends for those of whom nothing is stored. What was sent may be
// stored: it waits until that is known, and its caller is told so.
func TestPatienceEndsForWhatIsNotStored(t *testing.T) {
	t.Parallel()
	waiting, sent, left := one(), one(), one()
	require.True(t, sent.take())
	_, err := left.leave(context.Canceled)
	require.ErrorIs(t, err, commands.ErrUnavailable)
	all := []*request{waiting, sent, left}
	require.Equal(t, []*request{waiting, sent}, expire(all, false, errBroken))
	require.Equal(t, []*request{sent}, expire(all, true, errBroken))
	require.ErrorIs(t, (<-waiting.answer).err, commands.ErrUnavailable)
	require.Empty(t, sent.answer)
	require.Empty(t, left.answer)
	_, err = sent.leave(context.Canceled)
	require.ErrorIs(t, err, commands.ErrUnknownOutcome)
}

// Whose caller was told that nothing is stored is not stored.
func TestWhoHasLeftIsNotStored(t *testing.T) {
	t.Parallel()
	stays, leaves := one(), newRequest(0, to("slot-2", domain.NoStream, 1))
	_, err := leaves.leave(context.Canceled)
	require.ErrorIs(t, err, commands.ErrUnavailable)
	b := batch{
		requests: []*request{leaves, stays},
		answers:  map[*request]answer{},
		ledger:   ledger{revisions: map[domain.StreamName]domain.Revision{"slot-1": domain.NoStream, "slot-2": domain.NoStream}},
	}
	b.decide()
	require.Equal(t, []*request{stays}, b.accepted)
	require.NotContains(t, b.answers, leaves)
	done, err := newWriter(nil, 0, nil, &ends{}, &recent{}, nil).tryOne(leaves)
	require.NoError(t, err)
	require.True(t, done, "without a connection: the database has not heard of it")
}

// What one try has left open, a later one that stores nothing does not settle.
func TestAnOpenOutcomeStaysOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tries []error
		want  error
	}{
		"refused":             {[]error{errRefused}, commands.ErrUnavailable},
		"cut off":             {[]error{errBroken}, commands.ErrUnknownOutcome},
		"cut off and refused": {[]error{errBroken, errRefused}, commands.ErrUnknownOutcome},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := one()
			for _, err := range c.tries {
				require.True(t, r.take())
				newWriter(nil, 0, nil, &ends{}, &recent{}, nil).failed([]*request{r}, err)
			}
			_, err := r.leave(context.Canceled)
			require.ErrorIs(t, err, c.want)
		})
	}
}

// Those of a refused batch are tried one by one, before others.
func TestARefusedBatchIsTriedOneByOne(t *testing.T) {
	t.Parallel()
	w := newWriter(nil, 0, slog.New(slog.DiscardHandler), &ends{}, &recent{}, nil)
	requests := many(5, 1, 10)
	for _, r := range requests[3:] {
		w.queue <- r
	}
	for _, r := range requests[:3] {
		r.alone = true
		w.backlog = append(w.backlog, r)
	}
	for _, want := range [][]*request{requests[:1], requests[1:2], requests[2:3], requests[3:]} {
		require.Equal(t, want, w.gather(t.Context(), nil))
	}
}

// Each outage has the whole patience, also when all who met the one before
// have left.
func TestPatienceBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config, err := pgx.ParseConfig("postgres://nobody@127.0.0.1:1/none?sslmode=disable")
		require.NoError(t, err)
		const patience = 5 * time.Second
		w := newWriter(config, patience, slog.New(slog.DiscardHandler), &ends{}, &recent{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go w.run(ctx)
		for range 2 {
			leaving, leave := context.WithTimeout(ctx, time.Second)
			_, err = w.append(leaving, one())
			require.ErrorIs(t, err, context.DeadlineExceeded)
			leave()
			time.Sleep(time.Minute) // of the test's own clock
			begin := time.Now()
			_, err = w.append(ctx, one())
			require.ErrorIs(t, err, commands.ErrUnavailable)
			require.GreaterOrEqual(t, time.Since(begin), patience)
			require.Less(t, time.Since(begin), patience+time.Second)
		}
		cancel()
		<-w.stopped
	})
}
