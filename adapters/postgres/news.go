package postgres

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/slotbook/slotbook/domain"
)

const (
	newsChannel  = "slotbook_events"      // of listen and notify; the payload is a position
	newsInterval = 5 * time.Millisecond   // between two notifications
	pollInterval = 250 * time.Millisecond // between two looks at the log
	newsPatience = time.Second            // with the database, for one look or notification
)

// news knows how far the log reaches. Appends of this process are known at
// once; those of others by notification, which may get lost, or by looking,
// which is the truth.
//
// A notification is sent after the commit and on another connection, because
// a transaction that notifies holds a lock of the whole cluster while it
// commits.
type news struct {
	pool   *pgxpool.Pool
	config *pgx.ConnConfig
	log    *slog.Logger
	untold chan struct{} // has something when others are to be told

	mu   sync.Mutex
	head domain.Position
	wake chan struct{} // closed and replaced when head grows
}

func newNews(pool *pgxpool.Pool, config *pgx.ConnConfig, log *slog.Logger) *news {
	return &news{pool: pool, config: config, log: log, untold: make(chan struct{}, 1), wake: make(chan struct{})}
}

// run sends and collects news until ctx ends.
func (n *news) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { n.notify(ctx) })
	all.Go(func() { n.listen(ctx) })
	all.Go(func() { n.poll(ctx) })
	all.Wait()
}

// tell says that this process has appended up to the position.
func (n *news) tell(last domain.Position) {
	n.advance(last)
	select {
	case n.untold <- struct{}{}:
	default: // a notification is due anyway
	}
}

func (n *news) advance(head domain.Position) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if head > n.head {
		n.head = head
		close(n.wake)
		n.wake = make(chan struct{})
	}
}

func (n *news) wait(ctx context.Context, after domain.Position) error {
	for {
		n.mu.Lock()
		head, wake := n.head, n.wake
		n.mu.Unlock()
		if head > after {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

// notify tells other processes, not more often than they care to know.
func (n *news) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.untold:
		}
		n.mu.Lock()
		head := n.head
		n.mu.Unlock()
		n.send(ctx, head)
		if !pause(ctx, newsInterval) {
			return
		}
	}
}

func (n *news) send(ctx context.Context, head domain.Position) {
	ctx, cancel := context.WithTimeout(ctx, newsPatience)
	defer cancel()
	position := strconv.FormatUint(uint64(head), 10)
	// News need not be durable: the commit of a notification waits for no disk.
	_, err := n.pool.Exec(ctx, `
		select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`, newsChannel, position)
	if err != nil {
		n.log.Debug("news of an append was not sent", "error", err)
	}
}

// listen collects the notifications of all processes.
func (n *news) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.listenOnce(ctx); err != nil && ctx.Err() == nil {
			n.log.Debug("listening for news was interrupted", "error", err)
		}
		if !pause(ctx, pollInterval) {
			return
		}
	}
}

func (n *news) listenOnce(ctx context.Context) error {
	config := n.config.Copy()
	settle(config, nil)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to lose
	if _, err := conn.Exec(ctx, "listen "+newsChannel); err != nil {
		return err
	}
	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		if position, err := strconv.ParseUint(notification.Payload, 10, 63); err == nil {
			n.advance(domain.Position(position))
		}
	}
}

// poll looks at the log from time to time.
func (n *news) poll(ctx context.Context) {
	for {
		n.look(ctx)
		if !pause(ctx, pollInterval) {
			return
		}
	}
}

func (n *news) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, newsPatience)
	defer cancel()
	last, err := head(ctx, n.pool)
	if err != nil {
		n.log.Debug("the end of the log could not be read", "error", err)
		return
	}
	n.advance(last)
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
