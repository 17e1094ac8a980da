package projections

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections/engine"
)

// ErrEnding says that the process ends, and what it tells with it.
var ErrEnding = domain.Refusal(domain.Unavailable, "stream.ending", "this process ends; open the stream again")

// errMissed says that a listener was too slow for what was told: it has to look
// at everything again.
var errMissed = errors.New("changes were missed")

const (
	beat     = 50 * time.Millisecond // between two looks at what has changed, at least
	trouble  = time.Second           // until what failed is tried again
	patience = 5 * time.Second       // of who wants to listen, with the first look
	room     = 16                    // changes that a listener may leave unread
)

// hub follows the log while somebody listens, once for all listeners, and hands
// them what has changed. A listener that does not keep up misses changes and is
// told so: nobody waits for it, and it holds no more than room of them.
type hub[B any] struct {
	log    engine.Log
	logger *slog.Logger
	// begin returns the position from which on changes are handed out.
	begin func(ctx context.Context) (domain.Position, error)
	// next returns what has changed after a position for these topics, and up to
	// where. What moves nowhere has changed nothing.
	next func(ctx context.Context, after domain.Position, topics map[string]bool) (B, domain.Position, error)

	wanted chan struct{} // has something when somebody has begun to listen

	mu        sync.Mutex
	listeners map[*listener[B]]bool
	ready     chan struct{} // closed while from counts
	from      domain.Position
	idle      context.CancelFunc // ends the following; nil while there is none
	ended     chan struct{}      // closed when the hub has ended
}

// change is what a hub hands out.
type change[B any] struct {
	Position domain.Position // up to where it tells
	What     B               // shared by all listeners, who only read it
}

// listener is one who listens. It is used by one goroutine.
type listener[B any] struct {
	hub     *hub[B]
	topics  []string
	changes chan change[B]
	missed  bool // under the hub's lock
}

func newHub[B any](log engine.Log, logger *slog.Logger) *hub[B] {
	return &hub[B]{
		log: log, logger: logger, wanted: make(chan struct{}, 1), listeners: map[*listener[B]]bool{},
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
}

// run follows the log whenever somebody listens, until ctx ends; then nobody is
// told anything any more.
func (h *hub[B]) run(ctx context.Context) {
	defer close(h.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wanted:
		}
		following, idle := context.WithCancel(ctx)
		h.mu.Lock()
		h.idle = idle
		listened := len(h.listeners) > 0
		h.mu.Unlock()
		if listened {
			h.follow(following)
		}
		idle()
	}
}

// follow hands out what changes until ctx ends.
func (h *hub[B]) follow(ctx context.Context) {
	at, err := h.begin(ctx)
	for err != nil {
		h.complain(ctx, err)
		if !pause(ctx, trouble) {
			return
		}
		at, err = h.begin(ctx)
	}
	if !h.open(ctx, at) {
		return
	}
	for ctx.Err() == nil {
		moved, err := h.step(ctx, at)
		if err != nil {
			h.complain(ctx, err)
			pause(ctx, trouble)
		}
		at = max(at, moved)
	}
}

// step waits for news of the log, and hands out what they change.
func (h *hub[B]) step(ctx context.Context, at domain.Position) (domain.Position, error) {
	if err := h.log.Wait(ctx, at); err != nil {
		return at, err
	}
	if !pause(ctx, beat) { // what comes together is told together
		return at, nil
	}
	what, moved, err := h.next(ctx, at, h.topics())
	if err == nil && moved > at {
		h.publish(change[B]{moved, what})
	}
	return moved, err
}

func (h *hub[B]) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		h.logger.Warn("live changes are delayed", "error", err)
	}
}

// open lets those in who wait to listen, unless they have all gone.
func (h *hub[B]) open(ctx context.Context, at domain.Position) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	h.from = at
	close(h.ready)
	return true
}

func (h *hub[B]) topics() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	topics := map[string]bool{}
	for l := range h.listeners {
		for _, t := range l.topics {
			topics[t] = true
		}
	}
	return topics
}

func (h *hub[B]) publish(c change[B]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from = c.Position
	for l := range h.listeners {
		select {
		case l.changes <- c:
		default:
			l.missed = true
		}
	}
}

// listen begins to listen, and returns the position from which on every change
// is handed out: whoever looks afterwards misses nothing. Errors: [ErrEnding],
// [engine.ErrNotYet].
func (h *hub[B]) listen(ctx context.Context, topics ...string) (*listener[B], domain.Position, error) {
	l := &listener[B]{hub: h, topics: topics, changes: make(chan change[B], room)}
	h.mu.Lock()
	h.listeners[l] = true
	ready := h.ready
	h.mu.Unlock()
	select {
	case h.wanted <- struct{}{}:
	default: // it is known already
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	err := error(nil)
	select {
	case <-ready:
		h.mu.Lock()
		defer h.mu.Unlock()
		return l, h.from, nil
	case <-h.ended:
		err = ErrEnding
	case <-timer.C:
		err = engine.ErrNotYet
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.leave()
	return nil, 0, err
}

// leave ends the listening. The last one to leave ends the following.
func (l *listener[B]) leave() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.listeners[l] {
		return
	}
	delete(h.listeners, l)
	if len(h.listeners) > 0 {
		return
	}
	select {
	case <-h.ready: // who comes next waits for a new beginning
		h.ready = make(chan struct{})
	default:
	}
	if h.idle != nil {
		h.idle()
	}
}

// hear says what the listener wants to hear of from now on.
func (l *listener[B]) hear(topics ...string) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.topics = topics
}

// next waits for a change. Errors: errMissed, [ErrEnding], and that of ctx.
func (l *listener[B]) next(ctx context.Context) (change[B], error) {
	if l.behind() {
		return change[B]{}, errMissed
	}
	select {
	case <-l.hub.ended:
		return change[B]{}, ErrEnding
	default:
	}
	select {
	case c := <-l.changes:
		return c, nil
	case <-l.hub.ended:
		return change[B]{}, ErrEnding
	case <-ctx.Done():
		return change[B]{}, ctx.Err()
	}
}

// behind reports whether changes were missed, and forgets those that were not:
// who has missed one looks at everything again.
func (l *listener[B]) behind() bool {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if !l.missed {
		return false
	}
	l.missed = false
	for len(l.changes) > 0 {
		<-l.changes
	}
	return true
}

// pause waits, and reports false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
