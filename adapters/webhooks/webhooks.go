// Package webhooks tells other systems of events over HTTP: each event that a
// subscription wants is posted to its address, signed as Standard Webhooks has
// it (https://www.standardwebhooks.com), its body the CloudEvents envelope of
// GET /v1/events without the boxes of personal text.
//
//	router -> React: webhook_delivery and a job of River, in one transaction
//	                          |
//	                 Run: sign, POST -> 2xx: delivered
//	                                    410: delivered to nobody, the webhook is disabled
//	                                    else: again, later and later, for three days; then failed
//
// What holds:
//
//   - Every event that a subscription wants is sent at least once, under the
//     event's id, also when processes die. A repeat has the same id.
//   - There is no order among the deliveries of a subscription: they are sent
//     side by side, and one that has failed comes later. The envelope has the
//     place of its event: sequence and revision.
//   - Several processes share the jobs. No event, secret or body is in a job;
//     what is sent is read from the log.
//   - Nothing is sent to a private address, or to this machine, that the
//     configuration does not allow, whatever a name is resolved to.
package webhooks

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
)

// Log is the event store as deliveries read it.
type Log interface {
	// ReadStored returns up to limit events after a position and up to another
	// one, which counts as the last event's when it lies beyond.
	ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error)
	// Head returns the position of the last event.
	Head(ctx context.Context) (domain.Position, error)
}

// Config configures webhooks.
type Config struct {
	Pool   *pgxpool.Pool // of the migrated database
	Schema string        // of River's tables
	Log    Log
	Key    []byte           // 32 bytes, under which secrets are sealed; the same in every process, for ever
	Owner  string           // names this process among all that share the database
	Now    func() time.Time // the machine's clock
	NewID  func() string    // a fresh UUID
	Agent  string           // User-Agent of what is sent
	// Allow are addresses that are sent to although they are private, of this
	// machine or reserved. Only to them may http be spoken. Empty = none.
	Allow []netip.Prefix
	// Timeout is how long one try may take; 0 = 15 s.
	Timeout time.Duration
	// Pauses are those before the second try and every later one; after the last
	// a delivery is given up. Each is made up to a fifth shorter or longer, by
	// chance. nil = [usualPauses].
	Pauses []time.Duration
	// Keep is how long what became of a delivery is kept; 0 = 30 days.
	Keep time.Duration
	// Workers is how many deliveries this process makes at once; 0 = 32.
	Workers int
	Metrics prometheus.Registerer // nil = nobody
	Logger  *slog.Logger          // nil = nobody
}

// usualPauses are about those that Standard Webhooks recommends: eleven tries
// in three days.
var usualPauses = []time.Duration{
	5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
	14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	usualTimeout = 15 * time.Second
	usualKeep    = 30 * 24 * time.Hour
	usualWorkers = 32
	// perWebhook is how many deliveries to one webhook a process makes at once,
	// so that one slow receiver does not hold up all others.
	perWebhook = 8
)

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = usualTimeout
	}
	if c.Pauses == nil {
		c.Pauses = usualPauses
	}
	if c.Keep == 0 {
		c.Keep = usualKeep
	}
	if c.Workers == 0 {
		c.Workers = usualWorkers
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Webhooks keeps subscriptions and delivers to them. It is safe for concurrent
// use.
type Webhooks struct {
	config  Config
	secrets cipher.AEAD
	river   *river.Client[pgx.Tx]
	https   *http.Client
	http    *http.Client
	metrics metrics

	loading sync.Mutex // is held by who loads subscriptions

	mu     sync.Mutex
	active active                   // subscriptions that are on, for React
	places map[string]chan struct{} // by webhook: one is taken by each delivery under way
}

// New returns the webhooks of a database. It starts nothing; [Webhooks.Run]
// does. Errors: a key that cannot be.
func New(c Config) (*Webhooks, error) {
	c = c.withDefaults()
	w := &Webhooks{config: c, metrics: newMetrics(c.Metrics), places: map[string]chan struct{}{}}
	w.https, w.http = newClient(guard{c.Allow, true}, c.Timeout), newClient(guard{c.Allow, false}, c.Timeout)
	var err error
	if w.secrets, err = newAEAD(c.Key); err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	if c.Metrics != nil {
		c.Metrics.MustRegister(standings{w})
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &deliveryWorker{hooks: w})
	river.AddWorker(workers, &replayWorker{hooks: w})
	river.AddWorker(workers, &tidyWorker{hooks: w})
	w.river, err = river.NewClient(riverpgxv5.New(c.Pool), riverConfig(c, workers))
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	return w, nil
}

// Queues of River. What may take long has one of its own, and what has one of
// its own is not held up by a backlog.
const (
	queueDeliveries = "webhook_deliveries"
	queueUpkeep     = "webhook_upkeep"
)

// often is how often River may look for jobs: its usual 100 ms would bound a
// process to few deliveries a second.
const often = 10 * time.Millisecond

func riverConfig(c Config, workers *river.Workers) *river.Config {
	longest := max(c.Timeout+5*time.Second, upkeepTime)
	return &river.Config{
		ID: c.Owner, Schema: c.Schema, Workers: workers, Logger: slog.New(onlyWarnings{c.Logger.Handler()}),
		Queues: map[string]river.QueueConfig{
			queueDeliveries: {MaxWorkers: c.Workers},
			queueUpkeep:     {MaxWorkers: 2},
		},
		FetchCooldown: often, JobTimeout: longest, RescueStuckJobsAfter: longest + 5*time.Second,
		CompletedJobRetentionPeriod: 10 * time.Minute, MaxAttempts: 10_000, RetryPolicy: soon{c.Now},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(time.Hour), func() (river.JobArgs, *river.InsertOpts) {
			return tidyArgs{}, nil
		}, nil)},
	}
}

// Run delivers until ctx ends. It returns nil then. What was interrupted is
// delivered again by whoever runs next.
func (w *Webhooks) Run(ctx context.Context) error {
	for {
		err := w.river.Start(context.WithoutCancel(ctx)) // Stop ends it
		if err == nil {
			break
		}
		w.config.Logger.WarnContext(ctx, "webhooks cannot start yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	<-ctx.Done()
	return w.stop(context.WithoutCancel(ctx))
}

// stop lets deliveries end for a while, then interrupts them.
func (w *Webhooks) stop(ctx context.Context) error {
	defer w.https.CloseIdleConnections()
	defer w.http.CloseIdleConnections()
	gently, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	err := w.river.Stop(gently)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	hard, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	if err := w.river.StopAndCancel(hard); err != nil {
		w.config.Logger.WarnContext(ctx, "webhooks did not end in time", "error", err) // whoever runs next makes up for it
	}
	return nil
}

// around returns a pause up to a fifth shorter or longer, so that what has
// failed together does not come again together.
func around(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // nobody gains from guessing it
}

// unavailable says that the database is away.
func unavailable(cause error) error { return fmt.Errorf("%w: %w", commands.ErrUnavailable, cause) }

// onlyWarnings passes on what somebody should read.
type onlyWarnings struct{ slog.Handler }

// Enabled leaves out what River tells of its normal life.
func (h onlyWarnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}
