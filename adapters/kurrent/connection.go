package kurrent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// connection is the client, and another one once that is of no use any more: after
// a discovery that failed a client is closed for good, and says so even when the
// server is back.
type connection struct {
	config *esdb.Configuration
	logger *slog.Logger

	mu      sync.Mutex
	current *held
	closed  bool
	away    bool // the server did not answer the last time
}

// held is a client and how many calls there are on it. To close a client while a
// call begins or fails makes that panic, so it is closed by the last one.
type held struct {
	client  *esdb.Client
	calls   int  // under the connection's lock
	retired bool // under the connection's lock
	ready   chan struct{}
	err     error // why it could not connect, once it is ready
}

func newConnection(c *esdb.Configuration, logger *slog.Logger) *connection {
	c.Logger = func(level esdb.LogLevel, format string, args ...any) {
		logger.Debug("event store client", "level", level, "says", fmt.Sprintf(format, args...))
	}
	return &connection{config: c, logger: logger}
}

var (
	errClosed = errors.New("the store is closed")
	errUnsent = errors.New("there is no connection to the event store")
)

// acquire returns a client that is connected; the caller releases it. Errors are
// [errUnsent]: nothing was sent.
func (c *connection) acquire(ctx context.Context) (*held, error) {
	h, err := c.hold()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	select {
	case <-h.ready:
		err = h.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		c.release(h)
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	return h, nil
}

// hold returns the client, which one goroutine connects for all: whoever asks a
// client that fails to connect may wait for ever.
func (c *connection) hold() (*held, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if c.current == nil {
		client, err := esdb.NewClient(c.config)
		if err != nil {
			return nil, err
		}
		h := &held{client: client, calls: 1, ready: make(chan struct{})}
		c.current = h
		go func() {
			defer c.release(h)
			defer close(h.ready)
			if _, h.err = client.GetServerVersion(); h.err != nil {
				c.replace(h)
			}
		}()
	}
	c.current.calls++
	return c.current, nil
}

func (c *connection) release(h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.calls--; h.calls == 0 && h.retired {
		_ = h.client.Close() // it never fails
	}
}

// replace gives up a client. The next call makes another one.
func (c *connection) replace(h *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retire(h)
}

func (c *connection) retire(h *held) {
	if c.current == h {
		c.current = nil
	}
	if h.retired {
		return
	}
	h.retired = true
	if h.calls == 0 {
		_ = h.client.Close() // it never fails
	}
}

// close ends the connection, once the calls on it have ended.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.current != nil {
		c.retire(c.current)
	}
}

// tell logs that the server went away or came back.
func (c *connection) tell(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && !c.away:
		c.logger.Warn("the event store does not answer", "error", err)
	case err == nil && c.away:
		c.logger.Info("the event store answers again")
	}
	c.away = err != nil
}

// errPanic is a panic of the client, which has some known ones: a send on a closed
// channel, a message that it does not know.
var errPanic = errors.New("the event store's client panicked")

// errOverdue says that a call took longer than it may, which is another thing than
// a caller who does not wait so long.
var errOverdue = errors.New("the event store has not answered in time")

// call calls f with the client. It returns when ctx ends or the limit is over,
// whatever the client is doing; what f returns afterwards is lost.
func call[R any](ctx context.Context, c *connection, limit time.Duration, f func(ctx context.Context, client *esdb.Client) (R, error)) (R, error) {
	ctx, done := within(ctx, limit)
	defer done()
	h, err := c.acquire(ctx)
	if err != nil {
		var none R
		return none, err
	}
	result, err := apart(ctx, func() (R, error) {
		defer c.release(h)
		return f(ctx, h.client)
	})
	if err != nil && useless(ctx, err) {
		c.replace(h)
	}
	return result, err
}

// within returns a context that ends with ctx, or with [errOverdue] once the limit
// is over. It has no deadline that the client could tell the server, whose clock
// may come first: who was in a hurry could not be told then.
func within(ctx context.Context, limit time.Duration) (_ context.Context, done func()) {
	inner, end := context.WithCancelCause(context.WithoutCancel(ctx))
	overdue := time.AfterFunc(limit, func() { end(errOverdue) })
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return inner, func() {
		overdue.Stop()
		stop()
		end(nil)
	}
}

// apart calls f in a goroutine of its own, turns its panic into an error, and
// does not wait for it beyond ctx.
func apart[R any](ctx context.Context, f func() (R, error)) (R, error) {
	type outcome struct {
		result R
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				o.err = fmt.Errorf("%w: %v", errPanic, p)
			}
			done <- o
		}()
		o.result, o.err = f()
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		var none R
		return none, context.Cause(ctx)
	}
}

// useless reports whether a client that failed like this is to be replaced. One
// whose caller did not wait is not: others get their answers from it.
func useless(ctx context.Context, err error) bool {
	if errors.Is(err, errPanic) || errors.Is(context.Cause(ctx), errOverdue) {
		return true
	}
	e, ok := errors.AsType[*esdb.Error](err)
	return ok && slices.Contains([]esdb.ErrorCode{esdb.ErrorCodeConnectionClosed, esdb.ErrorUnavailable, esdb.ErrorCodeDeadlineExceeded}, e.Code())
}

// certainty is what an error says about an append.
type certainty int

const (
	unknown certainty = iota // it may have been done
	undone                   // it was not done, and may be tried again
	final                    // it was not done, and will not be
)

// The answers of a server that no attempt changes.
var (
	// ErrDeleted says that a stream was deleted for good, by other means than ours.
	ErrDeleted = errors.New("the stream was deleted for good in the event store")
	// ErrCutOff says that the beginning of a stream is missing.
	ErrCutOff = errors.New("the beginning of the stream was deleted in the event store")
	// ErrTransaction says that an event was written by the old TCP protocol.
	ErrTransaction = errors.New("the event was written in a transaction of the old TCP protocol")
)

// judge says what an error of an append means, and how the caller is told.
func judge(err error) (certainty, error) {
	if errors.Is(err, errClosed) {
		return final, unavailable(err)
	}
	if errors.Is(err, errUnsent) && !denied(err) {
		return undone, err
	}
	e, ok := errors.AsType[*esdb.Error](err)
	if !ok {
		return unknown, err
	}
	switch e.Code() {
	case esdb.ErrorCodeWrongExpectedVersion:
		return final, commands.ErrWrongRevision
	case esdb.ErrorCodeStreamDeleted:
		return final, fmt.Errorf("%w: %w", ErrDeleted, err)
	case esdb.ErrorCodeAccessDenied, esdb.ErrorCodeUnauthenticated:
		return final, commands.ErrUnavailable.Because("the event store refuses the program's credentials")
	case esdb.ErrorCodeNotLeader, esdb.ErrorCodeConnectionClosed:
		return undone, err
	case esdb.ErrorCodeUnsupportedFeature:
		return final, err
	}
	switch {
	case status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "Error while dialing"): // it has no code of its own
		return undone, err
	case status.Code(err) == codes.InvalidArgument && strings.Contains(err.Error(), "Maximum Append Size"):
		return final, commands.ErrTooLarge.Because("the change is larger than the event store takes in one append")
	case status.Code(err) == codes.InvalidArgument:
		return final, err
	}
	return unknown, err
}

func denied(err error) bool {
	e, ok := errors.AsType[*esdb.Error](err)
	return ok && (e.IsErrorCode(esdb.ErrorCodeAccessDenied) || e.IsErrorCode(esdb.ErrorCodeUnauthenticated))
}

// pause waits before another attempt: 10 ms at first, then twice as long each
// time up to half a second, with a part of chance.
func pause(ctx context.Context, attempt int) {
	const least, most = 10 * time.Millisecond, 500 * time.Millisecond
	wait := min(least<<min(attempt, 10), most)
	wait = wait/2 + rand.N(wait/2)
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// reading calls f until it answers, as long as the patience lasts. f may be called
// several times and begins anew each time. Errors: [commands.ErrUnavailable], and
// those of f that no attempt changes.
func reading[R any](ctx context.Context, s *Store, f func(ctx context.Context, client *esdb.Client) (R, error)) (R, error) {
	if err := ctx.Err(); err != nil {
		var none R
		return none, err
	}
	patient, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	for attempt := 0; ; attempt++ {
		result, err := call(ctx, s.conn, 2*s.config.Answer, f)
		if err == nil || lasting(err) {
			s.conn.tell(nil)
			return result, err
		}
		s.conn.tell(err)
		pause(patient, attempt)
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		if patient.Err() != nil {
			return result, unavailable(err)
		}
	}
}

// lasting reports whether a read that failed like this fails again.
func lasting(err error) bool {
	if errors.Is(err, ErrCutOff) || errors.Is(err, ErrTransaction) || errors.Is(err, errNoPosition) || errors.Is(err, errClosed) {
		return true
	}
	e, ok := errors.AsType[*esdb.Error](err)
	if !ok {
		return domain.RuleOf(err) != nil
	}
	switch e.Code() {
	case esdb.ErrorCodeStreamDeleted, esdb.ErrorCodeAccessDenied, esdb.ErrorCodeUnauthenticated, esdb.ErrorCodeResourceNotFound:
		return true
	}
	return false
}

// unavailable is what a caller is told of a server that does not answer.
func unavailable(err error) error {
	return fmt.Errorf("%w (%w)", commands.ErrUnavailable, err)
}

// translate names an error of a read that no attempt changes.
func translate(err error) error {
	e, ok := errors.AsType[*esdb.Error](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case esdb.ErrorCodeStreamDeleted:
		return fmt.Errorf("%w: %w", ErrDeleted, err)
	case esdb.ErrorCodeAccessDenied, esdb.ErrorCodeUnauthenticated:
		return commands.ErrUnavailable.Because("the event store refuses the program's credentials")
	}
	return err
}

// collect reads a stream of events to its end. Only the server's end is the end:
// whatever else stops it is an error, and what was read is thrown away.
func collect(stream *esdb.ReadStream) ([]*esdb.RecordedEvent, error) {
	defer stream.Close()
	var read []*esdb.RecordedEvent
	for {
		e, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return read, nil
		case err != nil:
			return nil, err
		case e.Event == nil:
			continue // a link whose event is gone
		}
		read = append(read, e.OriginalEvent())
	}
}
