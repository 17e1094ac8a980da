package bus

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

const (
	atOnce = 500                   // events that are read together
	ahead  = 16                    // events that wait on a lane
	most   = 10_000                // events beyond one that is not done: after a crash they come again
	gather = 50 * time.Millisecond // between two reads, at least: what comes alone is read at once, what comes in a stream together
	sparse = 5                     // times as long between two reads where the last found nothing that is wanted: most of a busy log is for others
	grace  = time.Second           // for what is being handled when a subscription ends
)

// follower follows the log for one consumer as long as it has the hold.
type follower struct {
	*subscription
	hold     *hold
	progress *progress
	lanes    []chan delivery
	seed     maphash.Seed

	mu       sync.Mutex
	retrying map[string]bool // ids of what was parked and is being handled again
}

// delivery is an event on its way to the consumer.
type delivery struct {
	eventcodec.Stored
	pending *pending // nil = it was parked, and the checkpoint is beyond
}

// follow delivers events until ctx ends, the hold is lost, or an event is for a
// newer version of the program. Then it lets go of the consumer.
func (s *subscription) follow(ctx context.Context, h *hold) error {
	following, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	f := &follower{
		subscription: s, hold: h, progress: newProgress(h.position), seed: maphash.MakeSeed(),
		lanes: make([]chan delivery, max(1, s.consumer.Lanes)), retrying: map[string]bool{},
	}
	var all sync.WaitGroup
	begin := func(part func(ctx context.Context) error) {
		all.Go(func() {
			if err := part(following); err != nil {
				stop(err)
			}
		})
	}
	for i := range f.lanes {
		lane := make(chan delivery, ahead)
		f.lanes[i] = lane
		begin(func(ctx context.Context) error { return f.deliverAll(ctx, lane) })
	}
	begin(f.keep)
	begin(f.retry)
	f.read(following)
	all.Wait()
	err := context.Cause(following)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, errLost) {
		return err
	}
	return errors.Join(err, h.release(context.WithoutCancel(ctx), f.progress.done()))
}

// read hands the events of the log to the lanes, until ctx ends.
func (f *follower) read(ctx context.Context) {
	for at := f.hold.position; ctx.Err() == nil; {
		began := f.config.Now()
		pause := gather
		page, err := f.next(ctx, at)
		if err != nil {
			f.failed(ctx, "log not read; it is read again", err)
			rest(ctx, time.Second)
			continue
		}
		if len(page.Events) == 0 {
			pause *= sparse
		}
		for _, e := range page.Events {
			for f.progress.beyond() >= most && ctx.Err() == nil {
				rest(ctx, gather)
			}
			if !f.dispatch(ctx, delivery{e, f.progress.add(e.Position)}) {
				return
			}
		}
		f.progress.looked(page.Next)
		at = page.Next
		if len(page.Events) == atOnce {
			continue // there are more
		}
		if err := f.config.Log.Wait(ctx, at); err != nil {
			f.failed(ctx, "no news of the log", err)
			rest(ctx, time.Second)
		}
		if since := f.config.Now().Sub(began); since < pause {
			rest(ctx, pause-since)
		}
	}
}

// next returns what comes after a position: nothing, up to the head of the log,
// while the consumer wants nothing.
func (f *follower) next(ctx context.Context, at domain.Position) (eventcodec.StoredPage, error) {
	if f.consumer.Idle != nil {
		head, err := f.config.Log.Head(ctx) // first: what is wanted from now on comes after it
		if err != nil {
			return eventcodec.StoredPage{}, err
		}
		if idle, err := f.consumer.Idle(ctx); err != nil || idle {
			return eventcodec.StoredPage{Next: max(at, head)}, err
		}
	}
	return f.config.Log.ReadStored(ctx, at, math.MaxInt64, f.consumer.wants(), atOnce)
}

// dispatch hands an event to the lane of its stream, and reports whether it
// could before ctx ended.
func (f *follower) dispatch(ctx context.Context, d delivery) bool {
	lane := maphash.String(f.seed, string(d.Stream)) % uint64(len(f.lanes))
	select {
	case f.lanes[lane] <- d:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliverAll delivers the events of a lane, one after the other.
func (f *follower) deliverAll(ctx context.Context, lane <-chan delivery) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-lane:
			if err := f.deliver(ctx, d); err != nil {
				return err
			}
			f.finished(d)
		}
	}
}

func (f *follower) finished(d delivery) {
	if d.pending != nil {
		f.progress.handled(d.pending)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.retrying, d.ID)
}

// deliver delivers an event until it is acknowledged. Errors: that of ctx, and
// errUpgrade.
func (f *follower) deliver(ctx context.Context, d delivery) error {
	for pause := f.config.Pause; ; pause = min(2*pause, 32*f.config.Pause) {
		acknowledged, err := f.send(ctx, d)
		if acknowledged || err != nil {
			return err
		}
		rest(ctx, pause)
	}
}

// send sends a message once, and waits for what becomes of it. When ctx ends
// meanwhile, so does the message's, and whoever has it gets a moment to end.
func (f *follower) send(ctx context.Context, d delivery) (acknowledged bool, err error) {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newMessage(own, d.Stored)
	if d.pending == nil {
		m.Metadata[keyParked] = "true"
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case f.out <- m:
	}
	over := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case <-m.Acked():
			return true, nil
		case <-m.Nacked():
			if m.Metadata[keyUpgrade] != "" {
				return false, errUpgrade
			}
			return false, ctx.Err()
		case <-over:
			timer := time.NewTimer(grace)
			defer timer.Stop()
			over, late = nil, timer.C
		case <-late:
			return false, ctx.Err()
		}
	}
}

// keep writes the checkpoint when it has moved, and lengthens the lease. It
// returns an error when the hold is lost, or may be soon: before the lease is over,
// however long a write takes that is not answered.
func (f *follower) keep(ctx context.Context) error {
	tick := time.NewTicker(f.config.Lease / 3)
	defer tick.Stop()
	renewed := f.config.Now()
	left := func() time.Duration { return f.config.Lease*2/3 - f.config.Now().Sub(renewed) }
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.progress.moved:
		}
		asked := f.config.Now()
		err := within(ctx, left(), "keep "+f.consumer.Name, func(ctx context.Context) error { return f.hold.move(ctx, f.progress.done()) })
		switch {
		case err == nil:
			renewed = asked
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errLost), left() <= 0:
			return err
		default:
			f.failed(ctx, "checkpoint not written; it is written again", err)
		}
		rest(ctx, gather)
	}
}

// retry delivers again what is parked, and somebody asks for.
func (f *follower) retry(ctx context.Context) error {
	tick := time.NewTicker(f.config.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		wanted, err := f.parking().wanted(ctx, f.consumer.Name)
		if err != nil {
			f.failed(ctx, "parked events not looked for", err)
		}
		for _, p := range wanted {
			if err := f.again(ctx, p); err != nil {
				f.failed(ctx, "parked event not tried again", err)
			}
		}
	}
}

// again delivers one event that was parked.
func (f *follower) again(ctx context.Context, p reactions.Parked) error {
	f.mu.Lock()
	busy := f.retrying[p.Event]
	f.retrying[p.Event] = true
	f.mu.Unlock()
	if busy {
		return nil
	}
	e, there, err := f.find(ctx, p)
	if there {
		f.dispatch(ctx, delivery{e, nil})
		return nil
	}
	f.finished(delivery{Stored: eventcodec.Stored{Encoded: eventcodec.Encoded{ID: p.Event}}})
	if err == nil {
		err = f.parking().keep(ctx, f.consumer.Name, p.Event, "the event is not in the log any more")
	}
	return err
}

// find returns an event that was parked. It is looked for by its id: where the log
// was copied to another store its position is another one.
func (f *follower) find(ctx context.Context, p reactions.Parked) (eventcodec.Stored, bool, error) {
	for at := domain.Position(0); ; {
		page, err := f.config.Log.ReadStored(ctx, at, math.MaxInt64, eventcodec.Selection{Streams: []domain.StreamName{p.Stream}}, atOnce)
		if err != nil {
			return eventcodec.Stored{}, false, err
		}
		for _, e := range page.Events {
			if e.ID == p.Event {
				return e, true, nil
			}
		}
		if len(page.Events) < atOnce {
			return eventcodec.Stored{}, false, nil
		}
		at = page.Next
	}
}

func (s *Subscriber) parking() parking { return parking{s.config.Pool, s.checkpoints.timeout} }

func (f *follower) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		f.log.WarnContext(ctx, what, "error", err)
	}
}
