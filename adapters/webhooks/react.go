package webhooks

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
)

// subscription is what decides whether an event is sent to a webhook.
type subscription struct {
	ID     string
	Types  []string
	Clinic string // "" = all
	After  domain.Position
}

// active are the subscriptions that are on, as they were when the log ended at
// head. Any that was made since begins after head, so that for events up to
// there the list is complete.
type active struct {
	head domain.Position
	at   time.Time // when they were loaded
	all  []subscription
}

const (
	// changesSeen is how long a change of a subscription may go unseen.
	changesSeen = time.Second
	// looks is how much time is between two looks at the subscriptions at least.
	looks = 10 * time.Millisecond
)

// React makes deliveries of an event, one for each subscription that wants it.
// An event that comes again makes none. Errors: those of the database and of
// the log.
func (w *Webhooks) React(ctx context.Context, e eventcodec.Stored) error {
	all, err := w.subscriptions(ctx, e.Position)
	if err != nil {
		return err
	}
	clinics := w.clinics(ctx, e)
	var sends []send
	for _, s := range all {
		wanted, err := s.wants(e, clinics)
		if err != nil {
			return err
		}
		if wanted && e.Position > s.After {
			sends = append(sends, send{s.ID, e})
		}
	}
	if len(sends) == 0 {
		return nil
	}
	err = pgx.BeginFunc(ctx, w.config.Pool, func(tx pgx.Tx) error { return w.enqueueTx(ctx, tx, sends, false) })
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// subscriptions returns those that are on, as an event at the position needs
// them.
func (w *Webhooks) subscriptions(ctx context.Context, p domain.Position) ([]subscription, error) {
	if all, ok := w.remembered(p); ok {
		return all, nil
	}
	w.loading.Lock() // one look is enough for all lanes
	defer w.loading.Unlock()
	if all, ok := w.remembered(p); ok {
		return all, nil
	}
	if err := w.notTooOften(ctx); err != nil {
		return nil, err
	}
	now := w.config.Now()
	head, err := w.config.Log.Head(ctx)
	if err != nil {
		return nil, err
	}
	all, err := w.enabled(ctx)
	if err == nil && slices.ContainsFunc(all, func(s subscription) bool { return s.After == notBegun }) {
		if err = w.begin(ctx, p-1); err == nil { // its maker may have died: it begins here
			all, err = w.enabled(ctx)
		}
	}
	if err != nil {
		return nil, unavailable(err)
	}
	w.mu.Lock()
	w.active = active{head, now, all}
	w.mu.Unlock()
	return all, nil
}

// enabled returns the subscriptions that are on now.
func (w *Webhooks) enabled(ctx context.Context) ([]subscription, error) {
	rows, _ := w.config.Pool.Query(ctx, `
		select id::text, types, coalesce(clinic, ''), after_position
		from slotbook.webhook
		where disabled_at is null
		order by id`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[subscription])
}

// remembered returns the subscriptions that were loaded last, if they are good
// for an event at the position.
func (w *Webhooks) remembered(p domain.Position) ([]subscription, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active.all, p <= w.active.head && w.config.Now().Sub(w.active.at) < changesSeen
}

// notTooOften waits until it is time to load the subscriptions again: where
// events come in quick succession, one look is good for several.
func (w *Webhooks) notTooOften(ctx context.Context) error {
	w.mu.Lock()
	at := w.active.at
	w.mu.Unlock()
	pause := time.NewTimer(looks - w.config.Now().Sub(at))
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-pause.C:
		return nil
	}
}

// wants reports whether an event is one that the subscription is about.
func (s subscription) wants(e eventcodec.Stored, clinics func() ([]string, error)) (bool, error) {
	if !wantsType(s.Types, e.Type) || s.Clinic == "" {
		return wantsType(s.Types, e.Type), nil
	}
	of, err := clinics()
	return slices.Contains(of, s.Clinic), err
}

func wantsType(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// matches reports whether a type is the one of a pattern, or begins as it does.
func matches(pattern, name string) bool {
	start, open := strings.CutSuffix(pattern, "*")
	return pattern == name || open && strings.HasSuffix(start, ".") && strings.HasPrefix(name, start)
}

// clinics returns what finds the clinics of an event, when somebody asks for
// them. It looks once.
func (w *Webhooks) clinics(ctx context.Context, e eventcodec.Stored) func() ([]string, error) {
	var found []string
	var err error
	looked := false
	return func() ([]string, error) {
		if !looked {
			found, err = w.lookForClinics(ctx, e)
			looked = true
		}
		return found, err
	}
}

func (w *Webhooks) lookForClinics(ctx context.Context, e eventcodec.Stored) ([]string, error) {
	clinics, elsewhere := clinicsOf(e)
	if elsewhere == "" {
		return clinics, nil
	}
	page, err := w.config.Log.ReadStored(ctx, 0, e.Position, eventcodec.Selection{Streams: []domain.StreamName{elsewhere}}, 1)
	if err != nil || len(page.Events) == 0 {
		return nil, err
	}
	clinics, _ = clinicsOf(page.Events[0])
	return clinics, nil
}

// send is an event that is to go to a webhook.
type send struct {
	webhook string
	event   eventcodec.Stored
}

// enqueueTx makes deliveries and their jobs. One that there is already stays as
// it is; with again, it is sent again unless it is on its way.
func (w *Webhooks) enqueueTx(ctx context.Context, tx pgx.Tx, sends []send, again bool) error {
	var webhooks, ids, types, streams []string
	var positions []int64
	for _, s := range sends {
		webhooks, ids = append(webhooks, s.webhook), append(ids, s.event.ID)
		types, streams = append(types, s.event.Type), append(streams, string(s.event.Stream))
		positions = append(positions, int64(s.event.Position)) //nolint:gosec // positions are bigint
	}
	rows, _ := tx.Query(ctx, `
		insert into slotbook.webhook_delivery (webhook, event_id, position, type, stream, status, round, tries, enqueued_at, due_at)
		select webhook, event_id, position, type, stream, 'pending', 1, 0, $6, $6
		from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[]) as sent (webhook, event_id, position, type, stream)
		on conflict (webhook, event_id) do update
		set status = 'pending', round = webhook_delivery.round + 1, tries = 0, code = null, error = null,
			enqueued_at = excluded.enqueued_at, due_at = excluded.due_at, done_at = null
		where $7 and webhook_delivery.status <> 'pending'
		returning webhook::text, event_id::text, round`,
		webhooks, ids, positions, types, streams, w.config.Now(), again)
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deliveryArgs])
	if err != nil || len(jobs) == 0 {
		return err
	}
	return w.insertTx(ctx, tx, jobs)
}

func (w *Webhooks) insertTx(ctx context.Context, tx pgx.Tx, jobs []deliveryArgs) error {
	params := make([]river.InsertManyParams, len(jobs))
	for i, j := range jobs {
		params[i] = river.InsertManyParams{Args: j}
	}
	_, err := w.river.InsertManyFastTx(ctx, tx, params)
	return err
}
