package webhooks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// deliveryArgs is the job of a delivery. One of an older round has nothing to
// do any more.
type deliveryArgs struct {
	Webhook string `json:"webhook"`
	Event   string `json:"event"`
	Round   int64  `json:"round"`
}

// Kind names the job for ever.
func (deliveryArgs) Kind() string { return "webhook_delivery" }

// InsertOpts says in which queue it is.
func (deliveryArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: queueDeliveries} }

type deliveryWorker struct {
	river.WorkerDefaults[deliveryArgs]
	hooks *Webhooks
}

// Work makes one try. A job that has to come again is put off, so that its tries
// are counted by the delivery and not by River, who counts what went wrong in
// here.
func (d *deliveryWorker) Work(ctx context.Context, job *river.Job[deliveryArgs]) error {
	w := d.hooks
	leave, err := w.enter(ctx, job.Args.Webhook)
	if err != nil {
		return err
	}
	defer leave()
	due, err := w.load(ctx, job.Args)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil // it was sent by another job, or its webhook is gone
	case err != nil:
		return err
	case due.disabled:
		return w.settle(ctx, job.Args, outcome{status: reactions.DeliveryCancelled})
	}
	o, err := w.try(ctx, due)
	if err != nil {
		return err
	}
	if err := w.settle(ctx, job.Args, o); err != nil {
		return err
	}
	if o.status == reactions.DeliveryPending {
		return river.JobSnooze(max(0, o.again))
	}
	return nil
}

const (
	// queueing is how long a delivery waits for others to the same webhook before
	// it lets those to other webhooks go first, and
	queueing = 250 * time.Millisecond
	// stepping is how long it stays away then.
	stepping = 5 * time.Second
)

// enter waits until the webhook gets fewer deliveries at once than it may. When
// that takes long the error puts the job off.
func (w *Webhooks) enter(ctx context.Context, webhook string) (leave func(), err error) {
	w.mu.Lock()
	places, there := w.places[webhook]
	if !there {
		places = make(chan struct{}, perWebhook)
		w.places[webhook] = places
	}
	w.mu.Unlock()
	enough := time.NewTimer(queueing)
	defer enough.Stop()
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-enough.C:
		return nil, river.JobSnooze(around(stepping))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// due is a delivery whose turn has come.
type due struct {
	webhook, event string
	position       domain.Position
	tries          int // before this one
	url            string
	secrets        [][]byte
	disabled       bool
}

// load returns a delivery of the round, [pgx.ErrNoRows] when there is nothing to
// do any more.
func (w *Webhooks) load(ctx context.Context, a deliveryArgs) (due, error) {
	d := due{webhook: a.Webhook, event: a.Event}
	var secret, old []byte
	err := w.config.Pool.QueryRow(ctx, `
		select d.position, d.tries, w.url, w.secret, case when w.old_until > $4 then w.old_secret end, w.disabled_at is not null
		from slotbook.webhook_delivery d
		join slotbook.webhook w on w.id = d.webhook
		where d.webhook = $1 and d.event_id = $2 and d.round = $3 and d.status = 'pending'`,
		a.Webhook, a.Event, a.Round, w.config.Now()).Scan(&d.position, &d.tries, &d.url, &secret, &old, &d.disabled)
	if err != nil || d.disabled {
		return d, err
	}
	opened, err := w.openSecret(a.Webhook, secret)
	if err != nil {
		return d, err
	}
	d.secrets = [][]byte{opened}
	if opened, err := w.openSecret(a.Webhook, old); err == nil { // one that is damaged was rotated for that
		d.secrets = append(d.secrets, opened)
	}
	return d, nil
}

// outcome is what became of a try.
type outcome struct {
	status string        // pending = it is tried again
	again  time.Duration // until then
	code   int           // 0 = no answer
	failed string        // why
	gone   bool          // the receiver wants nothing any more
}

// try posts the event, and says what is to become of the delivery. Errors: the
// event cannot be read, or ctx has ended.
func (w *Webhooks) try(ctx context.Context, d due) (outcome, error) {
	body, err := w.body(ctx, d)
	switch {
	case errors.Is(err, errNoEvent):
		return outcome{status: reactions.DeliveryFailed, failed: err.Error()}, nil
	case err != nil:
		return outcome{}, err
	}
	r, err := w.post(ctx, d, body)
	if ctx.Err() != nil {
		return outcome{}, ctx.Err() // nobody knows whether it was received: it is sent again
	}
	if err == nil && r.code/100 == 2 {
		return outcome{status: reactions.DeliveryDelivered, code: r.code}, nil
	}
	o := outcome{status: reactions.DeliveryPending, code: r.code, failed: "the receiver answered " + strconv.Itoa(r.code)}
	switch {
	case err != nil:
		o.failed = short(err)
	case r.code == http.StatusGone:
		o.status, o.gone = reactions.DeliveryFailed, true
	case r.code/100 == 3:
		o.failed += ": redirects are not followed"
	}
	if d.tries >= len(w.config.Pauses) {
		o.status = reactions.DeliveryFailed
	}
	if o.status == reactions.DeliveryPending {
		o.again = max(around(w.config.Pauses[d.tries]), r.retryAfter)
	}
	return o, nil
}

// errNoEvent says that a delivery is of another history than the log.
var errNoEvent = errors.New("the log has no such event at that position")

// body reads the event of a delivery from the log, as it leaves.
func (w *Webhooks) body(ctx context.Context, d due) ([]byte, error) {
	page, err := w.config.Log.ReadStored(ctx, d.position-1, d.position, eventcodec.Selection{}, 1)
	if err != nil {
		return nil, err
	}
	if len(page.Events) == 0 || page.Events[0].ID != d.event {
		return nil, errNoEvent
	}
	envelope, err := page.Events[0].Envelope()
	if err != nil {
		return nil, err
	}
	if envelope, err = envelope.Outward(); err != nil {
		return nil, err
	}
	line, err := envelope.Line()
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// reply is what a receiver has answered.
type reply struct {
	code       int
	retryAfter time.Duration // 0 = it does not say
}

const (
	// contentType is that of a CloudEvent in JSON (CloudEvents, json-format.md).
	contentType = "application/cloudevents+json"
	// mostRead is how much of an answer is read, in bytes, so that its connection
	// can be used again. Nothing of it is kept.
	mostRead = 16 << 10
	// longestWait is the longest time that a receiver may ask for.
	longestWait = 7 * 24 * time.Hour
)

func (w *Webhooks) post(ctx context.Context, d due, body []byte) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", w.config.Agent)
	now := w.config.Now()
	if err := sign(request.Header, d.event, now, body, d.secrets); err != nil {
		return reply{}, err
	}
	client := w.https
	if request.URL.Scheme == "http" {
		client = w.http
	}
	answer, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, mostRead)) // the code has been said
	return reply{answer.StatusCode, retryAfter(answer.Header.Get("Retry-After"), now)}, nil
}

// retryAfter reads how long a receiver wants to be left alone, in seconds or
// until an instant (RFC 9110, section 10.2.3); 0 for what cannot be read.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestWait)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), longestWait)
}

// short returns an error without the address that was asked, whose query may be
// secret, in 300 bytes at most.
func short(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "")
	for len(text) > 300 {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// settle writes down what became of a try, and disables the webhook of a
// receiver that is gone.
func (w *Webhooks) settle(ctx context.Context, a deliveryArgs, o outcome) error {
	now := w.config.Now()
	var dueAt, doneAt *time.Time
	if at := now.Add(o.again); o.status == reactions.DeliveryPending {
		dueAt = &at
	} else {
		doneAt = &now
	}
	tried := 1
	if o.status == reactions.DeliveryCancelled {
		tried = 0
	}
	err := pgx.BeginFunc(ctx, w.config.Pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update slotbook.webhook_delivery
			set status = $4, tries = tries + $5, code = nullif($6, 0), error = nullif($7, ''), tried_at = case when $5 = 1 then $8 else tried_at end,
				due_at = $9, done_at = $10
			where webhook = $1 and event_id = $2 and round = $3 and status = 'pending'`,
			a.Webhook, a.Event, a.Round, o.status, tried, o.code, o.failed, now, dueAt, doneAt)
		if err != nil || !o.gone || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `
			update slotbook.webhook
			set disabled_at = $2, disabled_reason = $3, changed_at = $2
			where id = $1 and disabled_at is null`, a.Webhook, now, reactions.DisabledGone)
		return err
	})
	if err == nil {
		w.metrics.tried(o)
		w.tell(ctx, a, o)
	}
	return err
}

// tell says in the log of the process what an operator should know.
func (w *Webhooks) tell(ctx context.Context, a deliveryArgs, o outcome) {
	if o.status != reactions.DeliveryFailed {
		return
	}
	w.config.Logger.WarnContext(ctx, "webhook delivery given up", "webhook", a.Webhook, "event", a.Event, "error", o.failed, "disabled", o.gone)
}

// soon has River try again what went wrong in here, such as a database that was
// away, within a minute.
type soon struct{ now func() time.Time }

// NextRetry returns when.
func (s soon) NextRetry(job *rivertype.JobRow) time.Time {
	pause := time.Second << min(len(job.Errors), 6)
	return s.now().UTC().Add(around(min(pause, time.Minute)))
}
