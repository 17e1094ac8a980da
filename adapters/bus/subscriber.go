package bus

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// SubscriberConfig configures a subscriber.
type SubscriberConfig struct {
	Pool  *pgxpool.Pool // of the migrated database that keeps the checkpoints
	Log   Log
	Epoch string           // of the store
	Owner string           // names this process among all that share the database
	Now   func() time.Time // the machine's clock
	// Consumer returns the consumer behind a topic.
	Consumer func(topic string) (Consumer, error)
	// Lease is how long a consumer stays with a process that has died: another
	// one takes over then; 0 = 5 s.
	Lease time.Duration
	// Pause is how long to wait before a message comes again that was not
	// acknowledged, doubled up to 32 times; 0 = 1 s.
	Pause  time.Duration
	Logger *slog.Logger // nil = nobody
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	if c.Lease == 0 {
		c.Lease = 5 * time.Second
	}
	if c.Pause == 0 {
		c.Pause = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Subscriber is a [message.Subscriber] over an event store: each topic is a
// consumer. It is safe for concurrent use.
type Subscriber struct {
	config      SubscriberConfig
	checkpoints checkpoints
	ordinal     atomic.Int64 // of the next subscription

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	running sync.WaitGroup
}

// NewSubscriber returns a subscriber that does nothing until somebody
// subscribes.
func NewSubscriber(c SubscriberConfig) *Subscriber {
	c = c.withDefaults()
	return &Subscriber{
		config: c, closing: make(chan struct{}),
		checkpoints: checkpoints{pool: c.Pool, epoch: c.Epoch, lease: c.Lease, timeout: c.Lease / 2},
	}
}

// Subscribe returns the messages of a consumer, from its checkpoint on, while
// this process is its owner. The channel is closed when ctx ends or the
// subscriber is closed. A message that is acknowledged moves the checkpoint; one
// that is not comes again.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	c, err := s.config.Consumer(topic)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	sub := &subscription{
		Subscriber: s, consumer: c, out: make(chan *message.Message),
		owner: s.config.Owner + "/" + strconv.FormatInt(s.ordinal.Add(1), 10),
		log:   s.config.Logger.With("consumer", c.Name),
	}
	s.running.Go(func() {
		defer close(sub.out)
		defer cancel()
		sub.run(ctx)
	})
	s.running.Go(func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	return sub.out, nil
}

// SubscribeInitialize makes the checkpoint of a consumer that is new, so that it
// gets everything that is recorded from now on.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	c, err := s.config.Consumer(topic)
	if err != nil {
		return err
	}
	return s.begin(context.Background(), c)
}

// Close ends all subscriptions, and waits for that.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

func (s *Subscriber) begin(ctx context.Context, c Consumer) error {
	var at domain.Position
	if !c.FromZero {
		var err error
		if at, err = s.config.Log.Head(ctx); err != nil {
			return err
		}
	}
	return s.checkpoints.begin(ctx, c.Name, at)
}

// subscription is one subscriber's interest in a consumer.
type subscription struct {
	*Subscriber
	consumer Consumer
	owner    string
	out      chan *message.Message
	log      *slog.Logger
}

// run follows the log whenever the consumer can be had, until ctx ends.
func (s *subscription) run(ctx context.Context) {
	for standing := ""; ctx.Err() == nil; {
		hold, err := s.acquire(ctx)
		if now := describe(err); ctx.Err() == nil && now != standing {
			standing = now
			s.log.Log(ctx, severity(err), standing, reason(err)...)
		}
		if err == nil {
			err = s.follow(ctx, hold)
			if ctx.Err() == nil && !errors.Is(err, errLost) {
				standing = describe(err)
				s.log.Log(ctx, severity(err), standing, reason(err)...)
			}
		}
		switch {
		case errors.Is(err, errUpgrade), errors.Is(err, reactions.ErrOtherEpoch):
			rest(ctx, s.config.Lease)
		case err != nil:
			rest(ctx, s.config.Lease/5)
		}
	}
}

// acquire gets hold of the consumer, and makes its checkpoint if it is new.
func (s *subscription) acquire(ctx context.Context) (*hold, error) {
	h, err := s.checkpoints.acquire(ctx, s.consumer.Name, s.owner)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := s.begin(ctx, s.consumer); err != nil {
			return nil, err
		}
		h, err = s.checkpoints.acquire(ctx, s.consumer.Name, s.owner)
	}
	if err != nil {
		return nil, err
	}
	head, err := s.config.Log.Head(ctx)
	if err == nil && h.position > head {
		err = reactions.ErrOtherEpoch
	}
	if err != nil {
		return nil, errors.Join(err, h.release(context.WithoutCancel(ctx), h.position))
	}
	return h, nil
}

// describe says how a subscription stands; it is logged when it changes.
func describe(err error) string {
	switch {
	case err == nil:
		return "reactions run in this process"
	case errors.Is(err, errElsewhere):
		return "reactions run in another process"
	case errors.Is(err, errLost):
		return "reactions lost to another process"
	case errors.Is(err, errUpgrade):
		return "reactions stopped: a newer version of the program is running"
	case errors.Is(err, reactions.ErrOtherEpoch):
		return "reactions refused"
	}
	return "reactions stalled"
}

func severity(err error) slog.Level {
	switch {
	case err == nil, errors.Is(err, errElsewhere), errors.Is(err, errLost):
		return slog.LevelInfo
	}
	return slog.LevelError
}

// reason is the attribute that says why, unless the line has said it.
func reason(err error) []any {
	if severity(err) == slog.LevelInfo {
		return nil
	}
	return []any{"error", err}
}
