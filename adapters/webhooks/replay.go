package webhooks

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// replayArgs is the job that makes deliveries of events of the past. One of an
// older round has nothing to do any more: another replay has taken its place.
type replayArgs struct {
	Webhook string `json:"webhook"`
	Round   int64  `json:"round"`
}

// Kind names the job for ever.
func (replayArgs) Kind() string { return "webhook_replay" }

// InsertOpts says in which queue it is.
func (replayArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: queueUpkeep} }

type replayWorker struct {
	river.WorkerDefaults[replayArgs]
	hooks *Webhooks
}

const (
	// upkeepTime is how long a job of upkeep works until it lets others take
	// their turn.
	upkeepTime = 10 * time.Second
	// replayPage is how many events a replay reads at once.
	replayPage = 500
	// replayAhead is how many deliveries of a webhook may be pending while a
	// replay adds more: what is made of the log need not wait in the database.
	replayAhead = 5_000
)

var errAhead = errors.New("enough is pending")

// Work goes on with a replay where it was.
func (r *replayWorker) Work(ctx context.Context, job *river.Job[replayArgs]) error {
	for begun := r.hooks.config.Now(); r.hooks.config.Now().Sub(begun) < upkeepTime/2; {
		done, err := r.hooks.replay(ctx, job.Args)
		switch {
		case errors.Is(err, errAhead):
			return river.JobSnooze(time.Second)
		case err != nil || done:
			return err
		}
	}
	return river.JobSnooze(0)
}

// replayed is how far a replay is.
type replayed struct {
	Position, Until domain.Position
	Pending         int // deliveries
	Types           []string
	Clinic          string
	Disabled        bool
}

// replay makes deliveries of one page of the log, and says whether it was the
// last.
func (w *Webhooks) replay(ctx context.Context, a replayArgs) (done bool, err error) {
	rows, _ := w.config.Pool.Query(ctx, `
		select r.position, r.until, (select count(*) from slotbook.webhook_delivery d where d.webhook = w.id and d.status = 'pending'),
			w.types, coalesce(w.clinic, ''), w.disabled_at is not null
		from slotbook.webhook_replay r
		join slotbook.webhook w on w.id = r.webhook
		where r.webhook = $1 and r.round = $2`, a.Webhook, a.Round)
	at, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[replayed])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return true, nil
	case err != nil:
		return false, err
	case at.Disabled:
		return true, w.endReplay(ctx, a)
	case at.Pending >= replayAhead:
		return false, errAhead
	}
	page, err := w.config.Log.ReadStored(ctx, at.Position, at.Until, eventcodec.Selection{Types: exact(at.Types)}, replayPage)
	if err != nil {
		return false, err
	}
	sends, err := w.wanted(ctx, subscription{ID: a.Webhook, Types: at.Types, Clinic: at.Clinic}, page.Events)
	if err != nil {
		return false, err
	}
	return w.advance(ctx, a, at, page.Next, sends)
}

// wanted returns which events of a page a subscription wants.
func (w *Webhooks) wanted(ctx context.Context, s subscription, events []eventcodec.Stored) ([]send, error) {
	var sends []send
	for _, e := range events {
		wants, err := s.wants(e, w.clinics(ctx, e))
		if err != nil {
			return nil, err
		}
		if wants {
			sends = append(sends, send{s.ID, e})
		}
	}
	return sends, nil
}

// advance makes the deliveries of a page and notes that it has, all or nothing.
func (w *Webhooks) advance(ctx context.Context, a replayArgs, at replayed, next domain.Position, sends []send) (done bool, err error) {
	err = pgx.BeginFunc(ctx, w.config.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update slotbook.webhook_replay
			set position = $4
			where webhook = $1 and round = $2 and position = $3`, a.Webhook, a.Round, at.Position, next)
		if done = tag.RowsAffected() == 0; err != nil || done {
			return err // somebody else goes on, or wants another
		}
		if len(sends) > 0 {
			if err := w.enqueueTx(ctx, tx, sends, true); err != nil {
				return err
			}
		}
		if done = next >= at.Until; done {
			_, err = tx.Exec(ctx, "delete from slotbook.webhook_replay where webhook = $1 and round = $2", a.Webhook, a.Round)
		}
		return err
	})
	if err == nil && !done && next == at.Position {
		err = errAhead // an append is under way below the end
	}
	return done, err
}

func (w *Webhooks) endReplay(ctx context.Context, a replayArgs) error {
	_, err := w.config.Pool.Exec(ctx, "delete from slotbook.webhook_replay where webhook = $1 and round = $2", a.Webhook, a.Round)
	return err
}

// exact returns the types as a store selects them; nil, which is all, where one
// is only the beginning of names.
func exact(types []string) []string {
	if slices.ContainsFunc(types, func(t string) bool { return strings.HasSuffix(t, "*") }) {
		return nil
	}
	return types
}

// tidyArgs is the job that forgets what was done long ago.
type tidyArgs struct{}

// Kind names the job for ever.
func (tidyArgs) Kind() string { return "webhook_tidy" }

// InsertOpts says in which queue it is.
func (tidyArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: queueUpkeep} }

type tidyWorker struct {
	river.WorkerDefaults[tidyArgs]
	hooks *Webhooks
}

// tidiedAtOnce is how many deliveries one statement forgets.
const tidiedAtOnce = 5_000

// Work forgets deliveries that were done long ago, or whose webhook is gone.
func (t *tidyWorker) Work(ctx context.Context, _ *river.Job[tidyArgs]) error {
	w := t.hooks
	for begun := w.config.Now(); w.config.Now().Sub(begun) < upkeepTime/2; {
		n, err := w.tidy(ctx)
		if err != nil || n < tidiedAtOnce {
			return err
		}
	}
	return river.JobSnooze(0)
}

// tidy forgets some, and returns how many of the kind that there were more of.
func (w *Webhooks) tidy(ctx context.Context) (int64, error) {
	old, err := w.config.Pool.Exec(ctx, `
		delete from slotbook.webhook_delivery
		where ctid = any (array(select ctid from slotbook.webhook_delivery where done_at < $1 limit $2))`,
		w.config.Now().Add(-w.config.Keep), tidiedAtOnce)
	if err != nil {
		return 0, err
	}
	orphans, err := w.config.Pool.Exec(ctx, `
		delete from slotbook.webhook_delivery
		where ctid = any (array(
			select ctid
			from slotbook.webhook_delivery d
			where not exists (select from slotbook.webhook w where w.id = d.webhook)
			limit $1))`, tidiedAtOnce)
	return max(old.RowsAffected(), orphans.RowsAffected()), err
}
