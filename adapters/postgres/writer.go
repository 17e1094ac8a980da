package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// The limits of one batch. They bound how long the lock is held and how much
// is run again when a batch fails.
const (
	maxRequests = 512
	maxEvents   = 4000
	maxBytes    = 4 << 20
	large       = 50 // events; one request above it is enough for a batch
)

// The pauses between tries on a database that is away.
const (
	firstPause   = 10 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// writer stores requests in batches. One goroutine, in run, does all of it.
type writer struct {
	config   *pgx.ConnConfig
	patience time.Duration
	log      *slog.Logger
	tell     func(last domain.Position) // is called after each commit
	pause    func()                     // for tests: is called between lock and commit

	queue   chan *request
	stopped chan struct{} // closed when run has ended

	// Of run alone:
	session *session
	held    *request  // was drained, but did not fit the batch
	batch   batch     // its buffers
	since   time.Time // when storing began to fail; zero while all is well
}

func newWriter(config *pgx.ConnConfig, patience time.Duration, log *slog.Logger, tell func(domain.Position)) *writer {
	return &writer{
		config: config, patience: patience, log: log, tell: tell,
		queue: make(chan *request, maxRequests), stopped: make(chan struct{}),
	}
}

var errStopped = errors.New("the store has stopped")

// append queues the request and waits for its answer.
func (w *writer) append(ctx context.Context, r *request) (domain.Position, error) {
	if err := ctx.Err(); err != nil {
		return r.leave(err)
	}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return r.leave(ctx.Err())
	case <-w.stopped:
		return r.leave(errStopped)
	}
	select {
	case a := <-r.answer:
		return domain.Position(a.position), a.err
	case <-ctx.Done():
		return r.leave(ctx.Err())
	case <-w.stopped:
		return r.leave(errStopped)
	}
}

// run stores what is queued until ctx ends.
func (w *writer) run(ctx context.Context) {
	defer close(w.stopped)
	defer w.disconnect()
	var requests []*request
	for {
		requests = w.gather(ctx, requests[:0])
		if len(requests) == 0 {
			return
		}
		w.serve(ctx, requests)
	}
}

// gather waits for a request and takes what is queued behind it, without
// waiting for more: while one batch commits, the next one queues up.
func (w *writer) gather(ctx context.Context, requests []*request) []*request {
	first := w.held
	w.held = nil
	if first == nil {
		select {
		case <-ctx.Done():
			return nil
		case first = <-w.queue:
		}
	}
	requests = append(requests, first)
	size := sizeOf(first)
	for len(requests) < maxRequests {
		select {
		case r := <-w.queue:
			if !size.add(r) {
				w.held = r
				return requests
			}
			requests = append(requests, r)
		default:
			return requests
		}
	}
	return requests
}

// batchSize is what counts against the limits of a batch.
type batchSize struct{ events, bytes, large int }

func sizeOf(r *request) batchSize {
	s := batchSize{len(r.writes) + r.events, r.size, 0}
	if r.events > large {
		s.large = 1
	}
	return s
}

// add counts the request in, and reports whether it fits.
func (s *batchSize) add(r *request) bool {
	more := sizeOf(r)
	sum := batchSize{s.events + more.events, s.bytes + more.bytes, s.large + more.large}
	if sum.events > maxEvents || sum.bytes > maxBytes || sum.large > 1 {
		return false
	}
	*s = sum
	return true
}

// serve answers the requests. It tries again for as long as the database is
// away and any caller waits.
func (w *writer) serve(ctx context.Context, requests []*request) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := w.try(ctx, requests)
		if err == nil {
			w.recovered()
			return
		}
		if !lost(err) {
			w.refused(ctx, requests, err)
			return
		}
		w.disconnect()
		if requests = w.expire(requests, err); len(requests) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// try stores the requests once and answers them, or returns what went wrong.
func (w *writer) try(ctx context.Context, requests []*request) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if len(requests) == 1 && fast(requests[0]) {
		if done, err := w.tryOne(requests[0]); done || err != nil {
			return err
		}
	}
	w.batch.requests = requests
	if err := w.batch.run(w.session, w.pause); err != nil {
		w.failed(requests, err)
		return err
	}
	if len(w.batch.accepted) > 0 {
		w.tell(domain.Position(w.batch.ledger.last))
	}
	for r, a := range w.batch.answers {
		r.reply(a.position, a.err)
	}
	return nil
}

// tryOne is try in one round trip. It is not done when the revision does not
// match or an index refused: the general way finds out why.
func (w *writer) tryOne(r *request) (done bool, err error) {
	if !r.take() {
		return true, nil
	}
	position, stored, err := w.batch.runOne(w.session, r)
	if err != nil {
		w.failed([]*request{r}, err)
		if duplicate(err) {
			r.byIDs = true
			return false, w.session.recover()
		}
		return false, err
	}
	if !stored {
		r.untake()
		return false, nil
	}
	w.tell(domain.Position(position))
	r.reply(position, nil)
	return true, nil
}

// failed notes of every request what a failed try may have done to it.
func (w *writer) failed(requests []*request, err error) {
	nothingStored := refusedBy(err) != nil
	for _, r := range requests {
		switch {
		case nothingStored:
			r.untake()
		case r.state.Load() != queued:
			r.again, r.byIDs = true, true
		}
	}
}

// refused deals with a batch that the database refuses: each request is tried
// alone, so that only the culprit fails. Alone, a duplicate is looked up; what
// is refused even so has lost to somebody, or is its caller's fault.
func (w *writer) refused(ctx context.Context, requests []*request, err error) {
	if broken := w.session.recover(); broken != nil {
		w.disconnect()
	}
	w.recovered()
	if len(requests) > 1 {
		for _, r := range requests {
			w.serve(ctx, []*request{r})
		}
		return
	}
	r := requests[0]
	switch {
	case duplicate(err) && !r.byIDs:
		r.byIDs = true
		w.serve(ctx, requests)
	case duplicate(err):
		r.reply(0, commands.ErrWrongRevision)
	default:
		r.reply(0, fmt.Errorf("append: %w", err))
	}
}

// expire answers those whose patience has ended, when certainly nothing of
// theirs is stored, and returns those that go on waiting.
func (w *writer) expire(requests []*request, err error) []*request {
	if w.since.IsZero() {
		w.since = time.Now()
		w.log.Warn("appends are held up: the database does not take them", "error", err)
	}
	tooLong := time.Since(w.since) > w.patience
	var waiting []*request
	for _, r := range requests {
		switch state := r.state.Load(); {
		case state == gone:
		case state == queued && tooLong:
			r.reply(0, fmt.Errorf("%w: %w", commands.ErrUnavailable, err))
		default:
			waiting = append(waiting, r)
		}
	}
	return waiting
}

func (w *writer) recovered() {
	if !w.since.IsZero() {
		w.log.Info("appends go on", "after", time.Since(w.since))
		w.since = time.Time{}
	}
}

func (w *writer) connect(ctx context.Context) (err error) {
	if w.session == nil {
		w.session, err = openSession(ctx, w.config, writerStatements()...)
	}
	return err
}

func (w *writer) disconnect() {
	if w.session != nil {
		w.session.close()
		w.session = nil
	}
}
