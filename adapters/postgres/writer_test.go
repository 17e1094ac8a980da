package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

func newRequest(size int, writes ...write) *request {
	r := &request{writes: writes, size: size, answer: make(chan answer, 1)}
	for _, w := range writes {
		r.events += len(w.events)
		r.byIDs = r.byIDs || w.expected == domain.Any
	}
	return r
}

func to(stream domain.StreamName, expected domain.Revision, events int) write {
	w := write{stream: stream, expected: expected}
	for range events {
		w.events = append(w.events, event{id: uuid.New(), kind: "k", data: []byte("{}"), metadata: []byte("{}")})
	}
	return w
}

// A batch takes what is queued, up to its limits; what does not fit comes
// first in the next one.
func TestABatchHasLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		queue []*request
		want  []int // requests per batch
	}{
		"requests": {many(maxRequests+3, 1, 10), []int{maxRequests, 3}},
		"events":   {many(90, 49, 10), []int{80, 10}}, // a write counts, too
		"bytes":    {many(9, 1, 1<<20), []int{4, 4, 1}},
		"large":    {many(3, large+1, 10), []int{1, 1, 1}},
		"one":      {many(1, 500, 1<<20), []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWriter(nil, 0, nil, &ends{}, &recent{}, nil)
			w.queue = make(chan *request, len(c.queue))
			for _, r := range c.queue {
				w.queue <- r
			}
			var taken []*request
			for _, n := range c.want {
				batch := w.gather(t.Context(), nil)
				require.Len(t, batch, n)
				taken = append(taken, batch...)
			}
			require.Equal(t, c.queue, taken, "in order")
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			require.Empty(t, w.gather(ended, nil))
		})
	}
}

func many(n, events, size int) []*request {
	requests := make([]*request, n)
	for i := range requests {
		requests[i] = newRequest(size, to("slot-1", domain.NoStream, events))
	}
	return requests
}

// Requests of one batch see those before them as if they were stored.
func TestRequestsOfABatchFollowEachOther(t *testing.T) {
	t.Parallel()
	l := ledger{last: 100, head: 7, revisions: map[domain.StreamName]domain.Revision{"a": 4, "b": domain.NoStream}, stored: map[uuid.UUID]stored{}}
	under := newRequest(0, to("b", domain.Any, 2))
	for i, step := range []struct {
		request  *request
		verdict  verdict
		position int64
		err      error
	}{
		{newRequest(0, to("a", 4, 0)), answered, 7, nil},
		{newRequest(0, to("a", 4, 2), to("b", domain.NoStream, 1)), accepted, 103, nil},
		{newRequest(0, to("a", 4, 1)), doubtful, 0, nil},
		{newRequest(0, to("a", 4, 0)), answered, 0, commands.ErrWrongRevision},
		{newRequest(0, to("b", domain.Any, 1), to("a", 3, 1)), answered, 0, commands.ErrWrongRevision},
		{newRequest(0, to("a", 6, 1)), accepted, 104, nil},
		{under, accepted, 106, nil},
		{under, answered, 106, nil},
		{newRequest(0, to("b", 2, 0)), answered, 106, nil},
	} {
		verdict, position, err := l.decide(step.request)
		require.Equal(t, step.verdict, verdict, "step %d", i)
		require.Equal(t, step.position, position, "step %d", i)
		require.Equal(t, step.err, err, "step %d", i)
	}
	require.Equal(t, map[domain.StreamName]domain.Revision{"a": 7, "b": 2}, l.revisions)
}

// What comes behind a request in its batch does not make its revision right.
func TestWhoLostARaceIsNotTakenForDoneByWhoWonIt(t *testing.T) {
	t.Parallel()
	b := batch{ledger: ledger{revisions: map[domain.StreamName]domain.Revision{"a": 0}, stored: map[uuid.UUID]stored{}}}
	early, late := newRequest(0, to("a", 1, 1)), newRequest(0, to("a", 0, 1))
	b.requests, b.answers = []*request{early, late}, map[*request]answer{}
	b.decide()
	b.settle()
	require.Equal(t, answer{0, commands.ErrWrongRevision}, b.answers[early])
	require.Equal(t, answer{1, nil}, b.answers[late])
	require.Equal(t, int64(1), b.ledger.last, "nothing is made up")
}

// What is tried again on a new connection, and what is the request's own fault.
func TestLost(t *testing.T) {
	t.Parallel()
	refused := func(severity, code string) error {
		return fmt.Errorf("append: %w", &pgconn.PgError{Severity: severity, Code: code})
	}
	for _, err := range []error{
		errors.New("broken pipe"),
		refused("ERROR", "55P03"),                                     // lock_timeout
		refused("ERROR", "57014"),                                     // statement_timeout
		refused("FATAL", "25P03"),                                     // idle_in_transaction_session_timeout
		refused("FATAL", "57P01"),                                     // the server stops
		refused("ERROR", "53100"),                                     // the disk is full
		refused("ERROR", "25006"),                                     // a standby
		fmt.Errorf("%w: %w", errNoSession, refused("ERROR", "42P01")), // not migrated yet
	} {
		require.True(t, lost(err), "%v", err)
	}
	for _, err := range []error{refused("ERROR", "23505"), refused("ERROR", "54000"), refused("ERROR", "22P02")} {
		require.False(t, lost(err), "%v", err)
		require.NotNil(t, refusedBy(err))
	}
	require.Nil(t, refusedBy(refused("FATAL", "57P01")), "the commit may have gone through")
}
