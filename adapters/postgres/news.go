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
	newsInterval = 20 * time.Millisecond  // between two notifications
	pollInterval = 250 * time.Millisecond // between two looks at the log
	newsPatience = time.Second            // with the database, for one look or notification
)

// news knows how far the log reaches. Appends of this process are known at
// once; those of others by looking at the log, from time to time and when a
// notification says that it is worth while. What is seen there is the truth,
// also when it is less than before: the log of a server that took over may end
// earlier, and whoever waited for what is not there would not wait at all.
//
// A notification is sent after the commit and on another connection, because
// a transaction that notifies holds a lock of the whole cluster while it
// commits.
type news struct {
	pool   *pgxpool.Pool
	config *pgx.ConnConfig
	log    *slog.Logger
	last   func(context.Context) (domain.Position, error) // reads the end of the log
	untold chan struct{}                                  // has something when others are to be told
	hint   chan struct{}                                  // has something when it is worth while to look

	mu    sync.Mutex
	head  domain.Position
	tells int           // how often this process has appended
	wake  chan struct{} // closed and replaced when head grows
}

func newNews(pool *pgxpool.Pool, config *pgx.ConnConfig, log *slog.Logger) *news {
	return &news{
		pool: pool, config: config, log: log,
		last:   func(ctx context.Context) (domain.Position, error) { return head(ctx, pool) },
		untold: make(chan struct{}, 1), hint: make(chan struct{}, 1), wake: make(chan struct{}),
	}
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
	n.mu.Lock()
	n.tells++
	n.move(max(last, n.head))
	n.mu.Unlock()
	select {
	case n.untold <- struct{}{}:
	default: // a notification is due anyway
	}
}

// move sets the head. It is called under the lock.
func (n *news) move(head domain.Position) {
	if head > n.head {
		close(n.wake)
		n.wake = make(chan struct{})
	}
	n.head = head
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
		n.heard(notification.Payload)
	}
}

// heard has somebody look at the log, unless the notification tells of what is
// known: most are this process's own.
func (n *news) heard(payload string) {
	position, err := strconv.ParseUint(payload, 10, 63)
	if err != nil {
		return
	}
	n.mu.Lock()
	known := n.head >= domain.Position(position)
	n.mu.Unlock()
	if known {
		return
	}
	select {
	case n.hint <- struct{}{}:
	default: // a look is due anyway
	}
}

// poll looks at the log from time to time and when there is a hint.
func (n *news) poll(ctx context.Context) {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	for {
		n.look(ctx)
		timer.Reset(pollInterval)
		select {
		case <-ctx.Done():
			return
		case <-n.hint:
		case <-timer.C:
		}
	}
}

// look sets the head to the end of the log. What this process has appended
// while it looked may be missing from what it saw.
func (n *news) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, newsPatience)
	defer cancel()
	n.mu.Lock()
	tells := n.tells
	n.mu.Unlock()
	last, err := n.last(ctx)
	if err != nil {
		n.log.Debug("the end of the log could not be read", "error", err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tells != tells {
		last = max(last, n.head)
	}
	n.move(last)
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
