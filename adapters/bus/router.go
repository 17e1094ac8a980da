package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Config configures a router.
type Config struct {
	Pool    *pgxpool.Pool // of the migrated database that keeps checkpoints and what is parked
	Log     Log
	Epoch   string                // of the store
	Owner   string                // names this process among all that share the database
	Now     func() time.Time      // the machine's clock
	Lease   time.Duration         // as in [SubscriberConfig]; 0 = 5 s
	Pause   time.Duration         // before a second try, doubled for each more up to 32 times; 0 = 1 s
	Metrics prometheus.Registerer // nil = nobody
	Logger  *slog.Logger          // nil = nobody
}

// Router hands events to consumers, each at its own pace. Of several processes
// that run the same consumers, each consumer runs in one.
type Router struct {
	config    Config
	consumers map[string]Consumer
	names     []string // of the consumers, as they were added
	parking   parking
	metrics   metrics
}

// NewRouter returns a router without consumers, which does nothing until it
// runs.
func NewRouter(c Config) *Router {
	s := SubscriberConfig{Lease: c.Lease, Pause: c.Pause, Logger: c.Logger}.withDefaults()
	c.Lease, c.Pause, c.Logger = s.Lease, s.Pause, s.Logger
	return &Router{
		config: c, consumers: map[string]Consumer{}, parking: parking{c.Pool, c.Lease / 2}, metrics: newMetrics(c.Metrics),
	}
}

const (
	usualTries   = 6
	usualTimeout = 30 * time.Second
)

// Add adds a consumer before the router runs. A name that was added before
// panics: its checkpoint would be that of two.
func (r *Router) Add(c Consumer) {
	if _, twice := r.consumers[c.Name]; twice || c.Name == "" {
		panic(fmt.Sprintf("bus: a second consumer of the name %q", c.Name))
	}
	if c.Tries == 0 {
		c.Tries = usualTries
	}
	if c.Timeout == 0 {
		c.Timeout = usualTimeout
	}
	r.consumers[c.Name] = c
	r.names = append(r.names, c.Name)
	r.metrics.begin(c.Name)
}

// Names returns the names of the consumers, as they were added.
func (r *Router) Names() []string { return r.names }

// consumer returns the one behind a topic.
func (r *Router) consumer(topic string) (Consumer, error) {
	c, ok := r.consumers[topic]
	if !ok {
		return c, fmt.Errorf("no consumer has the name %q", topic)
	}
	return c, nil
}

// closing is how long what is being handled may take to end.
const closing = 10 * time.Second

// Run hands events to the consumers until ctx ends. It returns nil then.
func (r *Router) Run(ctx context.Context) error {
	if len(r.consumers) == 0 {
		<-ctx.Done()
		return nil
	}
	logger := watermill.NewSlogLoggerWithLevelMapping(r.config.Logger, map[slog.Level]slog.Level{
		watermill.LevelTrace: slog.LevelDebug, slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelWarn,
	})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closing}, logger)
	if err != nil {
		return err
	}
	subscriber := NewSubscriber(SubscriberConfig{
		Pool: r.config.Pool, Log: r.config.Log, Epoch: r.config.Epoch, Owner: r.config.Owner, Now: r.config.Now,
		Consumer: r.consumer, Lease: r.config.Lease, Pause: r.config.Pause, Logger: r.config.Logger,
	})
	for _, name := range r.names {
		c := r.consumers[name]
		handler := router.AddConsumerHandler(name, name, subscriber, handling(c))
		handler.AddMiddleware(r.middlewares(c)...)
	}
	return router.Run(ctx)
}

// middlewares returns what surrounds a consumer, the outermost first.
func (r *Router) middlewares(c Consumer) []message.HandlerMiddleware {
	around := []message.HandlerMiddleware{r.measure(c), r.park(c)}
	if c.Tries > 1 {
		around = append(around, middleware.Retry{
			MaxRetries: c.Tries - 1, InitialInterval: r.config.Pause, MaxInterval: 32 * r.config.Pause, Multiplier: 2, RandomizationFactor: 0.2,
			ShouldRetry: func(p middleware.RetryParams) bool { return mayPass(p.Err) }, ResetContextOnRetry: true,
		}.Middleware)
	}
	return append(around, r.count(c), middleware.Recoverer, middleware.Timeout(c.Timeout))
}

// handling returns what has a consumer handle the event of a message.
func handling(c Consumer) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		e, ok := EventOf(m)
		if !ok {
			return errors.New("a message without its event")
		}
		return c.Handle(m.Context(), e)
	}
}

// measure tells how long events were on their way.
func (r *Router) measure(c Consumer) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			if e, ok := EventOf(m); ok && m.Metadata[keyParked] == "" {
				r.metrics.arrived(c.Name, r.config.Now().Sub(e.RecordedAt))
			}
			return h(m)
		}
	}
}

// trial counts the tries at a message.
type trial struct{ tries int }

type trialKey struct{}

// count counts the tries at a message.
func (r *Router) count(c Consumer) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			if t, ok := m.Context().Value(trialKey{}).(*trial); ok {
				if t.tries++; t.tries > 1 {
					r.metrics.retried(c.Name)
				}
			}
			return h(m)
		}
	}
}

// park parks what has failed for good, and drops what was parked and has
// succeeded.
func (r *Router) park(c Consumer) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			ctx, t := m.Context(), &trial{}
			m.SetContext(context.WithValue(ctx, trialKey{}, t))
			_, err := h(m)
			m.SetContext(ctx)
			return nil, r.judge(ctx, c, m, t.tries, err)
		}
	}
}

// judge says what becomes of an event after all tries: nil has the consumer go
// on, an error has the event come again.
func (r *Router) judge(ctx context.Context, c Consumer, m *message.Message, tries int, err error) error {
	again := m.Metadata[keyParked] != ""
	switch {
	case err == nil && again:
		err = r.parking.forget(ctx, c.Name, m.UUID)
		fallthrough
	case err == nil:
		r.metrics.settled(c.Name, outcomeDone)
		return err
	case errors.Is(err, commands.ErrUpgradeRunning):
		m.Metadata[keyUpgrade] = "true"
		return err
	case ctx.Err() != nil, !again && (c.Tries == Forever || waits(err)):
		return err
	}
	e, _ := EventOf(m) // handling has looked
	if err := r.parking.park(ctx, c.Name, e, plain(err), tries); err != nil {
		return err
	}
	r.metrics.settled(c.Name, outcomeParked)
	r.config.Logger.ErrorContext(ctx, "event parked", "consumer", c.Name, "event", e.ID, "stream", e.Stream, "type", e.Type, "tries", tries, "error", err)
	return nil
}

// plain returns an error without the stack of a panic.
func plain(err error) error {
	if p, ok := errors.AsType[middleware.RecoveredPanicError](err); ok {
		return fmt.Errorf("panic: %v", p.V)
	}
	return err
}

// mayPass reports whether another try may do better: a rule says the same again.
func mayPass(err error) bool {
	if errors.Is(err, commands.ErrUpgradeRunning) {
		return false
	}
	rule := domain.RuleOf(err)
	return rule == nil || rule.Kind == domain.Unavailable || rule.Kind == domain.Internal || rule.Kind == domain.Limited
}

// waits reports whether an error says that something is away. That is no fault
// of the event, and nothing is parked for it.
func waits(err error) bool {
	rule := domain.RuleOf(err)
	return rule != nil && rule.Kind == domain.Unavailable
}
