package webhooks

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// patience bounds what operators ask for.
const patience = 10 * time.Second

// do runs f with a time limit, and says of what is no refusal that the
// database is away.
func (w *Webhooks) do(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := f(ctx)
	if err == nil || domain.RuleOf(err) != nil {
		return err
	}
	return unavailable(err)
}

// check refuses what no subscription can be.
func (w *Webhooks) check(wish reactions.WebhookWish) error {
	if err := (guard{allow: w.config.Allow}).checkURL(wish.URL); err != nil {
		return err
	}
	known := eventcodec.Types()
	for _, pattern := range wish.Types {
		if !slices.ContainsFunc(known, func(name string) bool { return matches(pattern, name) }) {
			return reactions.ErrWebhookType
		}
	}
	return nil
}

// Create makes a subscription, which gets what is recorded from now on. The
// secret that signs what it gets is told this once. Errors:
// [reactions.ErrWebhookURL], [reactions.ErrWebhookAddress],
// [reactions.ErrWebhookType], [commands.ErrUnavailable].
func (w *Webhooks) Create(ctx context.Context, wish reactions.WebhookWish) (reactions.Webhook, reactions.WebhookSecret, error) {
	if err := w.check(wish); err != nil {
		return reactions.Webhook{}, "", err
	}
	id := w.config.NewID()
	secret, sealed := w.newSecret(id)
	var made reactions.Webhook
	err := w.do(ctx, func(ctx context.Context) error {
		now := w.config.Now()
		_, err := w.config.Pool.Exec(ctx, `
			insert into slotbook.webhook (id, url, types, clinic, description, secret, after_position, disabled_at, disabled_reason, created_at, changed_at)
			values ($1, $2, $3, nullif($4, ''), $5, $6, $7, case when $8 then $9::timestamptz end, case when $8 then $10 end, $9, $9)`,
			id, wish.URL, typesOf(wish), string(wish.Clinic), wish.Description, sealed, notBegun, wish.Disabled, now, reactions.DisabledByOperator)
		if err != nil {
			return err
		}
		// Whoever looks for subscriptions after this position finds this one.
		head, err := w.config.Log.Head(ctx)
		if err == nil {
			err = w.begin(ctx, head)
		}
		if err == nil {
			made, err = w.find(ctx, id)
		}
		return err
	})
	return made, secret, err
}

// notBegun is after which position a subscription is told that is being made.
const notBegun = domain.Position(math.MaxInt64)

// begin lets subscriptions that are being made begin after a position.
func (w *Webhooks) begin(ctx context.Context, after domain.Position) error {
	_, err := w.config.Pool.Exec(ctx, `
		update slotbook.webhook
		set after_position = $1
		where after_position = $2`, int64(after), int64(notBegun)) //nolint:gosec // positions are bigint
	return err
}

// Idle reports whether nobody is to be told of anything. Errors:
// [commands.ErrUnavailable].
func (w *Webhooks) Idle(ctx context.Context) (idle bool, err error) {
	err = w.do(ctx, func(ctx context.Context) error {
		return w.config.Pool.QueryRow(ctx, "select not exists (select from slotbook.webhook where disabled_at is null)").Scan(&idle)
	})
	return idle, err
}

// typesOf returns the types of a wish, each once.
func typesOf(wish reactions.WebhookWish) []string {
	types := append([]string{}, wish.Types...)
	slices.Sort(types)
	return slices.Compact(types)
}

// List returns all subscriptions, the oldest first.
func (w *Webhooks) List(ctx context.Context) (all []reactions.Webhook, err error) {
	err = w.do(ctx, func(ctx context.Context) error {
		all, err = w.read(ctx, "")
		return err
	})
	return all, err
}

// Webhook returns a subscription. Errors: [reactions.ErrNoWebhook],
// [commands.ErrUnavailable].
func (w *Webhooks) Webhook(ctx context.Context, id string) (found reactions.Webhook, err error) {
	err = w.do(ctx, func(ctx context.Context) error {
		found, err = w.find(ctx, id)
		return err
	})
	return found, err
}

func (w *Webhooks) find(ctx context.Context, id string) (reactions.Webhook, error) {
	if uuid.Validate(id) != nil {
		return reactions.Webhook{}, reactions.ErrNoWebhook
	}
	all, err := w.read(ctx, id)
	switch {
	case err != nil:
		return reactions.Webhook{}, err
	case len(all) == 0:
		return reactions.Webhook{}, reactions.ErrNoWebhook
	}
	return all[0], nil
}

// read returns one subscription, or all when id is "".
func (w *Webhooks) read(ctx context.Context, id string) ([]reactions.Webhook, error) {
	rows, _ := w.config.Pool.Query(ctx, `
		select w.id::text, w.url, w.types, coalesce(w.clinic, ''), w.description, w.after_position,
			case when w.old_until > $2 then w.old_until end, w.disabled_at, coalesce(w.disabled_reason, ''), w.created_at, w.changed_at,
			d.pending, d.failed, d.oldest, r.position, r.until
		from slotbook.webhook w
		left join slotbook.webhook_replay r on r.webhook = w.id
		cross join lateral (
			select count(*) filter (where status = 'pending') as pending, count(*) filter (where status = 'failed') as failed,
				min(enqueued_at) filter (where status = 'pending') as oldest
			from slotbook.webhook_delivery d
			where d.webhook = w.id and d.status in ('pending', 'failed')
		) d
		where $1 = '' or w.id::text = $1
		order by w.created_at, w.id`, id, w.config.Now())
	return pgx.CollectRows(rows, scanWebhook)
}

func scanWebhook(row pgx.CollectableRow) (reactions.Webhook, error) {
	var h reactions.Webhook
	var at, until *uint64
	err := row.Scan(&h.ID, &h.Wish.URL, &h.Wish.Types, &h.Wish.Clinic, &h.Wish.Description, &h.After,
		&h.OldSecretUntil, &h.DisabledAt, &h.DisabledReason, &h.CreatedAt, &h.ChangedAt,
		&h.Pending, &h.Failed, &h.OldestAt, &at, &until)
	h.Wish.Disabled = h.DisabledAt != nil
	if at != nil && until != nil {
		h.Replay = &reactions.WebhookReplay{Position: domain.Position(*at), Until: domain.Position(*until)}
	}
	return h, err
}

// Change makes a subscription what is wished. What is on its way already goes
// to the new address. One that was disabled and is not any more gets what is
// recorded from now on; a replay sends what it has missed. Other processes see
// it within a second. Errors: as of [Webhooks.Create],
// [reactions.ErrNoWebhook].
func (w *Webhooks) Change(ctx context.Context, id string, wish reactions.WebhookWish) (reactions.Webhook, error) {
	if err := w.check(wish); err != nil {
		return reactions.Webhook{}, err
	}
	return w.change(ctx, id, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			update slotbook.webhook
			set url = $2, types = $3, clinic = nullif($4, ''), description = $5,
				disabled_at = case when $6 then coalesce(disabled_at, $7::timestamptz) end,
				disabled_reason = case when $6 then coalesce(disabled_reason, $8) end,
				changed_at = $7
			where id = $1`,
			id, wish.URL, typesOf(wish), string(wish.Clinic), wish.Description, wish.Disabled, w.config.Now(), reactions.DisabledByOperator)
		return err
	})
}

// change changes a subscription that there is, and returns it.
func (w *Webhooks) change(ctx context.Context, id string, f func(ctx context.Context, tx pgx.Tx) error) (changed reactions.Webhook, err error) {
	err = w.do(ctx, func(ctx context.Context) error {
		if _, err := w.find(ctx, id); err != nil {
			return err
		}
		if err := pgx.BeginFunc(ctx, w.config.Pool, func(tx pgx.Tx) error { return f(ctx, tx) }); err != nil {
			return err
		}
		w.forget()
		changed, err = w.find(ctx, id)
		return err
	})
	return changed, err
}

// forget has this process see a change at once.
func (w *Webhooks) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active = active{}
}

// Delete forgets a subscription and what was sent to it; what is on its way is
// not sent. It returns what there was. Errors: [reactions.ErrNoWebhook],
// [commands.ErrUnavailable].
func (w *Webhooks) Delete(ctx context.Context, id string) (was reactions.Webhook, err error) {
	err = w.do(ctx, func(ctx context.Context) error {
		if was, err = w.find(ctx, id); err != nil {
			return err
		}
		// Its deliveries are forgotten by and by: there may be many.
		_, err = w.config.Pool.Exec(ctx, `
			with gone as (delete from slotbook.webhook_replay where webhook = $1)
			delete from slotbook.webhook where id = $1`, id)
		w.forget()
		return err
	})
	return was, err
}

// Rotate gives a subscription another secret, which is told this once. The one
// before signs too for as long as overlap says; an older one does not any more.
// Errors: [reactions.ErrNoWebhook], [commands.ErrUnavailable].
func (w *Webhooks) Rotate(ctx context.Context, id string, overlap time.Duration) (reactions.Webhook, reactions.WebhookSecret, error) {
	secret, sealed := w.newSecret(id)
	changed, err := w.change(ctx, id, func(ctx context.Context, tx pgx.Tx) error {
		now := w.config.Now()
		_, err := tx.Exec(ctx, `
			update slotbook.webhook
			set old_secret = secret, old_until = $3, secret = $2, changed_at = $4
			where id = $1`, id, sealed, now.Add(overlap), now)
		return err
	})
	return changed, secret, err
}

// Deliveries returns up to limit deliveries of a subscription, the latest event
// first, those of events before a position; 0 = from the end. With a status,
// only those that have it. Errors: [reactions.ErrNoWebhook],
// [commands.ErrUnavailable].
func (w *Webhooks) Deliveries(ctx context.Context, id, status string, before domain.Position, limit int) (all []reactions.WebhookDelivery, err error) {
	err = w.do(ctx, func(ctx context.Context) error {
		if _, err := w.find(ctx, id); err != nil {
			return err
		}
		rows, _ := w.config.Pool.Query(ctx, deliveryColumns+`
			where webhook = $1 and ($2 = '' or status = $2) and ($3 = 0 or position < $3)
			order by position desc
			limit $4`, id, status, int64(before), limit) //nolint:gosec // positions are bigint
		all, err = pgx.CollectRows(rows, scanDelivery)
		return err
	})
	return all, err
}

const deliveryColumns = `
	select event_id::text, position, type, stream, status, tries, coalesce(code, 0), coalesce(error, ''), enqueued_at, tried_at, due_at, done_at
	from slotbook.webhook_delivery`

func scanDelivery(row pgx.CollectableRow) (reactions.WebhookDelivery, error) {
	return pgx.RowToStructByPos[reactions.WebhookDelivery](row)
}

// Redeliver sends an event again that was sent, given up, or is on its way. Errors:
// [reactions.ErrNoWebhook], [reactions.ErrNoDelivery],
// [reactions.ErrWebhookDisabled], [commands.ErrUnavailable].
func (w *Webhooks) Redeliver(ctx context.Context, id, event string) (d reactions.WebhookDelivery, err error) {
	if uuid.Validate(event) != nil {
		event = uuid.Nil.String() // which no event has
	}
	_, err = w.changeOn(ctx, id, func(ctx context.Context, tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, `
			update slotbook.webhook_delivery
			set status = 'pending', round = round + 1, tries = 0, code = null, error = null, enqueued_at = $3, due_at = $3, done_at = null
			where webhook = $1 and event_id = $2
			returning webhook::text, event_id::text, round`, id, event, w.config.Now())
		jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deliveryArgs])
		switch {
		case err != nil:
			return err
		case len(jobs) == 0:
			return reactions.ErrNoDelivery
		}
		if err := w.insertTx(ctx, tx, jobs); err != nil {
			return err
		}
		rows, _ = tx.Query(ctx, deliveryColumns+" where webhook = $1 and event_id = $2", id, event)
		d, err = pgx.CollectExactlyOneRow(rows, scanDelivery)
		return err
	})
	return d, err
}

// changeOn is change for a subscription that is on.
func (w *Webhooks) changeOn(ctx context.Context, id string, f func(ctx context.Context, tx pgx.Tx) error) (reactions.Webhook, error) {
	return w.change(ctx, id, func(ctx context.Context, tx pgx.Tx) error {
		var off bool
		err := tx.QueryRow(ctx, "select disabled_at is not null from slotbook.webhook where id = $1 for update", id).Scan(&off)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return reactions.ErrNoWebhook
		case err != nil:
			return err
		case off:
			return reactions.ErrWebhookDisabled
		}
		return f(ctx, tx)
	})
}

// Replay sends again every event after a position that a subscription wants,
// up to the end of the log as it is now, also what it has received. A replay
// that is under way makes place for it. Errors: [reactions.ErrNoWebhook],
// [reactions.ErrWebhookDisabled], [commands.ErrUnavailable].
func (w *Webhooks) Replay(ctx context.Context, id string, after domain.Position) (reactions.Webhook, error) {
	head, err := w.config.Log.Head(ctx)
	if err != nil {
		return reactions.Webhook{}, err
	}
	return w.changeOn(ctx, id, func(ctx context.Context, tx pgx.Tx) error {
		job := replayArgs{Webhook: id}
		err := tx.QueryRow(ctx, `
			insert into slotbook.webhook_replay (webhook, position, until, round)
			values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
			on conflict (webhook) do update
			set position = excluded.position, until = excluded.until, round = greatest(excluded.round, webhook_replay.round + 1)
			returning round`, id, int64(min(after, head)), int64(head)).Scan(&job.Round) //nolint:gosec // positions are bigint
		if err != nil {
			return err
		}
		_, err = w.river.InsertTx(ctx, tx, job, nil)
		return err
	})
}
