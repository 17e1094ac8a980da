package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	backlog []*request // was drained, but not taken into a batch
	batch   batch      // its buffers
	failing time.Time  // when storing began to fail; zero while all is well
	since   time.Time  // from when patience counts; zero when nobody has waited for the database
}

func newWriter(
	config *pgx.ConnConfig, patience time.Duration, log *slog.Logger, ends *ends, recent *recent, tell func(domain.Position),
) *writer {
	return &writer{
		config: config, patience: patience, log: log, tell: tell, batch: batch{ends: ends, recent: recent},
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
	if ctx.Err() != nil {
		return nil
	}
	if len(w.backlog) == 0 {
		select {
		case <-ctx.Done():
			return nil
		case r := <-w.queue:
			w.backlog = append(w.backlog, r)
		}
	}
	var size batchSize
	for len(requests) < maxRequests {
		if len(w.backlog) == 0 && !w.drainOne() {
			return requests
		}
		next := w.backlog[0]
		if len(requests) > 0 && (next.alone || requests[0].alone || !size.fits(next)) {
			return requests
		}
		size.add(next)
		requests = append(requests, next)
		w.backlog = slices.Delete(w.backlog, 0, 1)
	}
	return requests
}

// drainOne moves a request from the queue into the backlog, if there is one.
func (w *writer) drainOne() bool {
	select {
	case r := <-w.queue:
		w.backlog = append(w.backlog, r)
		return true
	default:
		return false
	}
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

// fits reports whether the request can be counted in.
func (s *batchSize) fits(r *request) bool {
	sum := *s
	sum.add(r)
	return sum.events <= maxEvents && sum.bytes <= maxBytes && sum.large <= 1
}

// add counts the request in.
func (s *batchSize) add(r *request) {
	more := sizeOf(r)
	s.events, s.bytes, s.large = s.events+more.events, s.bytes+more.bytes, s.large+more.large
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
		if requests = w.hold(requests, err); len(requests) == 0 {
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
			r.alone = true
		}
		w.backlog = slices.Concat(requests, w.backlog) // where patience is watched
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

// hold ends the patience of those who wait for a database that is away: of the
// batch, whose rest it returns, and of those behind it.
func (w *writer) hold(requests []*request, err error) []*request {
	if w.failing.IsZero() {
		w.failing = time.Now()
		w.log.Warn("appends are held up: the database does not take them", "error", err)
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	for w.drainOne() {
	}
	tooLong := time.Since(w.since) > w.patience
	requests, w.backlog = expire(requests, tooLong, err), expire(w.backlog, tooLong, err)
	if len(requests)+len(w.backlog) == 0 {
		w.since = time.Time{} // whoever comes next has a patience of his own
	}
	return requests
}

// expire answers those whose patience has ended, when certainly nothing of
// theirs is stored, and returns those that go on waiting.
func expire(requests []*request, tooLong bool, err error) []*request {
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
	if !w.failing.IsZero() {
		w.log.Info("appends go on", "after", time.Since(w.failing))
	}
	w.failing, w.since = time.Time{}, time.Time{}
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
		w.batch.ends.forget()
		w.batch.recent.forget()
	}
}
