package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/reactions"
)

// Webhooks keeps the subscriptions of other systems to events. Every method but
// List may answer [reactions.ErrNoWebhook].
type Webhooks interface {
	// Create and Change may answer [reactions.ErrWebhookURL],
	// [reactions.ErrWebhookAddress], [reactions.ErrWebhookType].
	Create(ctx context.Context, wish reactions.WebhookWish) (reactions.Webhook, reactions.WebhookSecret, error)
	Change(ctx context.Context, id string, wish reactions.WebhookWish) (reactions.Webhook, error)
	List(ctx context.Context) ([]reactions.Webhook, error)
	Webhook(ctx context.Context, id string) (reactions.Webhook, error)
	Delete(ctx context.Context, id string) (reactions.Webhook, error)
	Rotate(ctx context.Context, id string, overlap time.Duration) (reactions.Webhook, reactions.WebhookSecret, error)
	// Deliveries returns the latest event first, those before a position.
	Deliveries(ctx context.Context, id, status string, before domain.Position, limit int) ([]reactions.WebhookDelivery, error)
	// Redeliver may answer [reactions.ErrNoDelivery], [reactions.ErrWebhookDisabled].
	Redeliver(ctx context.Context, id, event string) (reactions.WebhookDelivery, error)
	// Replay may answer [reactions.ErrWebhookDisabled].
	Replay(ctx context.Context, id string, after domain.Position) (reactions.Webhook, error)
}

// WebhookBody says what is to be sent where.
type WebhookBody struct {
	URL         string   `json:"url" maxLength:"2048" doc:"Where events are posted to: an absolute https URL. Addresses that are private, or of this machine, are refused unless serve --webhook-allow names them; to those http is good, too" example:"https://receiver.example/slotbook"`
	Types       []string `json:"types,omitempty" maxItems:"100" doc:"Types of events, such as appointment.booked, or appointment.* for all that begin so; absent or none = every event" example:"[\"appointment.booked\", \"appointment.cancelled\"]"`
	ClinicID    string   `json:"clinicId,omitempty" maxLength:"64" doc:"Events of this clinic only; absent = of all clinics, and those that are of none, such as of patients"`
	Description string   `json:"description,omitempty" maxLength:"500" doc:"For operators; nothing personal" example:"the billing system"`
	Disabled    bool     `json:"disabled,omitempty" doc:"Nothing is sent. Whoever enables it again gets what is recorded from then on; a replay sends what it has missed"`
}

// RotateBody says how a secret is changed for another.
type RotateBody struct {
	Overlap string `json:"overlap,omitempty" maxLength:"32" doc:"ISO 8601 duration for which the secret before signs, too; PT24H when absent, PT0S for a secret that was stolen, 30 days at most" example:"PT24H"`
}

// ReplayBody says from where on events are sent again. One of the two is given.
type ReplayBody struct {
	After *uint64    `json:"after,omitempty" maximum:"9223372036854775807" doc:"Events after this position; 0 = from the first on" example:"42"`
	Since *time.Time `json:"since,omitempty" doc:"Events that were recorded after this instant" example:"2026-03-02T08:00:00Z"`
}

// Webhook is a subscription to events.
type Webhook struct {
	ID          string   `json:"id"`
	URL         string   `json:"url"`
	Types       []string `json:"types" nullable:"false" doc:"None = every event"`
	ClinicID    string   `json:"clinicId,omitempty"`
	Description string   `json:"description,omitempty"`
	Disabled    bool     `json:"disabled"`
	// What follows, the program says.
	DisabledAt     *time.Time `json:"disabledAt,omitempty"`
	DisabledReason string     `json:"disabledReason,omitempty" enum:"operator,gone" doc:"gone: the receiver has answered 410"`
	After          uint64     `json:"after" doc:"Events after this position are sent by themselves"`
	OldSecretUntil *time.Time `json:"oldSecretUntil,omitempty" doc:"Until then the secret before signs, too"`
	Pending        int        `json:"pending" doc:"Deliveries that are under way, or wait for another try"`
	Failed         int        `json:"failed" doc:"Deliveries of the last 30 days that were given up"`
	OldestAt       *time.Time `json:"oldestPendingAt,omitempty" doc:"When the oldest of the pending was first to be sent"`
	Replay         *Replaying `json:"replay,omitempty" doc:"Absent when none is under way"`
	CreatedAt      time.Time  `json:"createdAt"`
	ChangedAt      time.Time  `json:"changedAt"`
}

// Replaying is how far a replay is.
type Replaying struct {
	Position uint64 `json:"position" doc:"Every event up to here is among the deliveries"`
	Until    uint64 `json:"until" doc:"The last event that is sent again"`
}

// WebhookWithSecret is a subscription with the secret that signs what it gets.
type WebhookWithSecret struct {
	Webhook
	Secret string `json:"secret" doc:"Told here and never again" example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"`
}

// WebhookList is all subscriptions.
type WebhookList struct {
	Items []Webhook `json:"items" nullable:"false" doc:"The oldest first"`
}

// Delivery is an event on its way to a webhook, or there.
type Delivery struct {
	Event      string     `json:"event" doc:"The event's id, which is the message's (webhook-id)"`
	Position   uint64     `json:"position"`
	Type       string     `json:"type" example:"appointment.booked"`
	Stream     string     `json:"stream"`
	Status     string     `json:"status" enum:"pending,delivered,failed,cancelled" doc:"failed: given up, or answered 410; cancelled: its webhook was disabled when its turn came"`
	Tries      int        `json:"tries" doc:"Since it was last asked for"`
	Code       int        `json:"code,omitempty" doc:"Of the last answer; absent when there was none" example:"503"`
	Error      string     `json:"error,omitempty" doc:"Why the last try failed"`
	EnqueuedAt time.Time  `json:"enqueuedAt" doc:"When it was to be sent first, or was asked for again"`
	TriedAt    *time.Time `json:"triedAt,omitempty" doc:"When the last try ended"`
	DueAt      *time.Time `json:"dueAt,omitempty" doc:"When the next try is"`
	DoneAt     *time.Time `json:"doneAt,omitempty" doc:"When it was delivered or given up"`
}

// DeliveryList is a stretch of what was sent to a webhook.
type DeliveryList struct {
	Items []Delivery `json:"items" nullable:"false" doc:"The latest event first. It is kept for 30 days after the end of a delivery"`
	Next  string     `json:"next,omitempty" doc:"The cursor of what comes next, for the same filters; absent at the end"`
}

// WebhookPath names a webhook.
type WebhookPath struct {
	ID string `path:"id" maxLength:"64" doc:"The webhook"`
}

type (
	webhookInput       struct{ WebhookPath }
	webhookCreateInput struct{ Body WebhookBody }
	webhookChangeInput struct {
		WebhookPath
		Body WebhookBody
	}
	webhookRotateInput struct {
		WebhookPath
		Body *RotateBody
	}
	webhookReplayInput struct {
		WebhookPath
		Body ReplayBody
	}
	deliveriesInput struct {
		WebhookPath
		Status string `query:"status" enum:"pending,delivered,failed,cancelled" doc:"Only deliveries in this state"`
		Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items at most"`
		Cursor string `query:"cursor" maxLength:"2048" doc:"Where to go on: next of the answer before, with the same filters"`
	}
	redeliverInput struct {
		WebhookPath
		Event string `path:"event" maxLength:"64" doc:"The event's id"`
	}
	webhookCreated struct {
		Location string `header:"Location" doc:"The address of what was created"`
		Body     WebhookWithSecret
	}
)

// The refusals of wishes that say nothing clear.
var (
	errOverlap = domain.Refusal(domain.Invalid, "webhook.overlap-invalid", "overlap is an ISO 8601 duration between PT0S and PT720H, such as PT24H")
	errReplay  = domain.Refusal(domain.Invalid, "webhook.replay-unclear", "a replay begins after a position or since an instant: say one of them")
)

const (
	usualOverlap   = 24 * time.Hour
	longestOverlap = 30 * 24 * time.Hour
)

func (a *api) webhookRoutes() {
	const base, tag = "/v1/admin/webhooks", "Webhooks"
	wishes := []*domain.Error{reactions.ErrWebhookURL, reactions.ErrWebhookAddress, reactions.ErrWebhookType, clinic.ErrNotFound, commands.ErrReadOnly}
	there := []*domain.Error{reactions.ErrNoWebhook}
	changes := []*domain.Error{reactions.ErrNoWebhook, commands.ErrReadOnly}
	a.createWebhookRoute(operation{
		id: "createWebhook", method: http.MethodPost, path: base, tag: tag, summary: "Have events posted to an address",
		detail:   "The secret that signs them is in the answer, and in no other. Events that are recorded from now on are sent, each at least once, in no particular order; POST .../replay sends those of before.",
		refusals: wishes,
	})
	ask(a, operation{id: "listWebhooks", method: http.MethodGet, path: base, tag: tag, summary: "List the webhooks, and how each is doing"}, a.webhookList)
	ask(a, operation{id: "getWebhook", method: http.MethodGet, path: base + "/{id}", tag: tag, summary: "Get a webhook", refusals: there},
		func(ctx context.Context, in *webhookInput) (Webhook, error) {
			return shownWebhook(a.Webhooks.Webhook(ctx, in.ID))
		})
	ask(a, operation{
		id: "changeWebhook", method: http.MethodPut, path: base + "/{id}", tag: tag, summary: "Change a webhook, all of it; other processes see it within a second",
		refusals: append(wishes, reactions.ErrNoWebhook),
	}, a.changeWebhook)
	ask(a, operation{
		id: "deleteWebhook", method: http.MethodDelete, path: base + "/{id}", tag: tag, summary: "Delete a webhook; what is on its way is not sent", refusals: changes,
	}, changing(a, func(ctx context.Context, in *webhookInput) (Webhook, error) {
		return shownWebhook(a.Webhooks.Delete(ctx, in.ID))
	}))
	ask(a, operation{
		id: "rotateWebhookSecret", method: http.MethodPost, path: base + "/{id}/rotate", tag: tag,
		summary: "Give a webhook another secret; the one before signs, too, for a while", refusals: append(changes, errOverlap),
	}, changing(a, a.rotateWebhook))
	ask(a, operation{
		id: "listDeliveries", method: http.MethodGet, path: base + "/{id}/deliveries", tag: tag, summary: "List what was sent to a webhook, is on its way, or was given up",
		refusals: there,
	}, a.deliveries, badCursor, staleCursor)
	ask(a, operation{
		id: "redeliver", method: http.MethodPost, path: base + "/{id}/deliveries/{event}/redeliver", tag: tag, summary: "Send an event again, now",
		refusals: append(changes, reactions.ErrNoDelivery, reactions.ErrWebhookDisabled),
	}, changing(a, func(ctx context.Context, in *redeliverInput) (Delivery, error) {
		d, err := a.Webhooks.Redeliver(ctx, in.ID, in.Event)
		return deliveryOf(d), err
	}))
	ask(a, operation{
		id: "replayWebhook", method: http.MethodPost, path: base + "/{id}/replay", tag: tag, summary: "Send events of the past, also those that were received",
		detail:   "Up to the end of the log as it is now. A replay that is under way makes place for it.",
		refusals: append(changes, reactions.ErrWebhookDisabled, errReplay, engine.ErrPositionUnknown),
	}, changing(a, a.replayWebhook))
}

// changing refuses f where the process only reads.
func changing[I, T any](a *api, f func(context.Context, *I) (T, error)) func(context.Context, *I) (T, error) {
	return func(ctx context.Context, in *I) (T, error) {
		if a.ReadOnly {
			var none T
			return none, commands.ErrReadOnly
		}
		return f(ctx, in)
	}
}

func (a *api) createWebhookRoute(op operation) {
	h := a.operation(op, append(storeRefusals(), op.refusals...), commandEdge())
	h.DefaultStatus = http.StatusCreated
	create := changing(a, a.createWebhook)
	huma.Register(a.huma, h, func(ctx context.Context, in *webhookCreateInput) (*webhookCreated, error) {
		made, err := create(ctx, in)
		if err != nil {
			return nil, refused(ctx, err)
		}
		return &webhookCreated{op.path + "/" + made.ID, made}, nil
	})
}

func (a *api) createWebhook(ctx context.Context, in *webhookCreateInput) (WebhookWithSecret, error) {
	wish, err := a.webhookWish(ctx, in.Body)
	if err != nil {
		return WebhookWithSecret{}, err
	}
	made, secret, err := a.Webhooks.Create(ctx, wish)
	return WebhookWithSecret{webhookOf(made), string(secret)}, err
}

func (a *api) changeWebhook(ctx context.Context, in *webhookChangeInput) (Webhook, error) {
	if a.ReadOnly {
		return Webhook{}, commands.ErrReadOnly
	}
	wish, err := a.webhookWish(ctx, in.Body)
	if err != nil {
		return Webhook{}, err
	}
	return shownWebhook(a.Webhooks.Change(ctx, in.ID, wish))
}

// webhookWish reads what an operator says of a webhook, of a clinic that there
// is.
func (a *api) webhookWish(ctx context.Context, b WebhookBody) (reactions.WebhookWish, error) {
	if b.ClinicID != "" {
		if _, err := a.Commands.Clinic(ctx, domain.ClinicID(b.ClinicID)); err != nil {
			return reactions.WebhookWish{}, err
		}
	}
	return reactions.WebhookWish{URL: b.URL, Types: b.Types, Clinic: domain.ClinicID(b.ClinicID), Description: b.Description, Disabled: b.Disabled}, nil
}

func (a *api) webhookList(ctx context.Context, _ *struct{}) (WebhookList, error) {
	all, err := a.Webhooks.List(ctx)
	return WebhookList{mapped(all, webhookOf)}, err
}

func (a *api) rotateWebhook(ctx context.Context, in *webhookRotateInput) (WebhookWithSecret, error) {
	overlap := usualOverlap
	if in.Body != nil && in.Body.Overlap != "" {
		var err error
		overlap, err = parseDuration(in.Body.Overlap)
		if err != nil || overlap < 0 || overlap > longestOverlap {
			return WebhookWithSecret{}, errOverlap
		}
	}
	changed, secret, err := a.Webhooks.Rotate(ctx, in.ID, overlap)
	return WebhookWithSecret{webhookOf(changed), string(secret)}, err
}

func (a *api) deliveries(ctx context.Context, in *deliveriesInput) (DeliveryList, error) {
	of := filtered("listDeliveries "+in.ID, exchangeOf(ctx).query)
	before, err := parseCursor[uint64](a.cursors, of, in.Cursor)
	if err != nil {
		return DeliveryList{}, err
	}
	found, err := a.Webhooks.Deliveries(ctx, in.ID, in.Status, domain.Position(before), in.Limit+1)
	list := DeliveryList{Items: mapped(found, deliveryOf)}
	if len(list.Items) > in.Limit {
		list.Items = list.Items[:in.Limit]
		list.Next = formatCursor(a.cursors, of, list.Items[in.Limit-1].Position)
	}
	return list, err
}

func (a *api) replayWebhook(ctx context.Context, in *webhookReplayInput) (Webhook, error) {
	after, err := a.replayedAfter(ctx, in.Body)
	if err != nil {
		return Webhook{}, err
	}
	return shownWebhook(a.Webhooks.Replay(ctx, in.ID, after))
}

// replayedAfter returns the position after which a replay begins.
func (a *api) replayedAfter(ctx context.Context, b ReplayBody) (domain.Position, error) {
	switch {
	case (b.After == nil) == (b.Since == nil):
		return 0, errReplay
	case b.After != nil:
		return domain.Position(*b.After), a.known(ctx, domain.Position(*b.After))
	}
	return a.Past.PositionAt(ctx, *b.Since)
}

func shownWebhook(w reactions.Webhook, err error) (Webhook, error) { return webhookOf(w), err }

func webhookOf(w reactions.Webhook) Webhook {
	shown := Webhook{
		ID: w.ID, URL: w.Wish.URL, Types: w.Wish.Types, ClinicID: string(w.Wish.Clinic), Description: w.Wish.Description,
		Disabled: w.DisabledAt != nil, DisabledAt: inUTC(w.DisabledAt), DisabledReason: w.DisabledReason, After: uint64(w.After),
		OldSecretUntil: inUTC(w.OldSecretUntil), Pending: w.Pending, Failed: w.Failed, OldestAt: inUTC(w.OldestAt),
		CreatedAt: w.CreatedAt.UTC(), ChangedAt: w.ChangedAt.UTC(),
	}
	if shown.Types == nil {
		shown.Types = []string{}
	}
	if w.Replay != nil {
		shown.Replay = &Replaying{uint64(w.Replay.Position), uint64(w.Replay.Until)}
	}
	return shown
}

func deliveryOf(d reactions.WebhookDelivery) Delivery {
	return Delivery{
		Event: d.Event, Position: uint64(d.Position), Type: d.Type, Stream: string(d.Stream), Status: d.Status, Tries: d.Tries, Code: d.Code, Error: d.Error,
		EnqueuedAt: d.EnqueuedAt.UTC(), TriedAt: inUTC(d.TriedAt), DueAt: inUTC(d.DueAt), DoneAt: inUTC(d.DoneAt),
	}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return present(*t)
}
