package reactions

import (
	"time"

	"github.com/slotbook/slotbook/domain"
)

// Webhook is a subscription: an address that is told of events.
type Webhook struct {
	ID             string
	Wish           WebhookWish
	After          domain.Position // events after this are sent by themselves
	OldSecretUntil *time.Time      // the secret before signs too until then; nil = it does not
	DisabledAt     *time.Time      // nothing is sent since then; nil = it is on
	DisabledReason string          // [DisabledByOperator] or [DisabledGone]; "" = it is on
	CreatedAt      time.Time
	ChangedAt      time.Time
	Pending        int        // deliveries that are under way
	Failed         int        // deliveries that were given up, and are in the list still
	OldestAt       *time.Time // since when the oldest pending delivery is; nil = none is
	Replay         *WebhookReplay
}

// WebhookWish is what an operator says of a subscription.
type WebhookWish struct {
	URL         string
	Types       []string        // of events, such as appointment.booked, or appointment.* for all that begin so; none = every event
	Clinic      domain.ClinicID // events of this clinic only; "" = every event
	Description string          // for operators
	Disabled    bool            // nothing is sent
}

// Why a webhook is disabled.
const (
	DisabledByOperator = "operator"
	DisabledGone       = "gone" // its receiver has answered 410
)

// WebhookReplay is how far events of the past are that are sent again.
type WebhookReplay struct {
	Position domain.Position // every event up to here is among the deliveries
	Until    domain.Position
}

// WebhookSecret is what signs messages. It is told once, when it is made.
type WebhookSecret string

// The states of a delivery.
const (
	DeliveryPending   = "pending"
	DeliveryDelivered = "delivered"
	DeliveryFailed    = "failed"    // given up after the last try, or answered 410
	DeliveryCancelled = "cancelled" // its webhook was disabled when its turn came
)

// WebhookDelivery is an event on its way to a webhook, or there.
type WebhookDelivery struct {
	Event      string // its id, and the message's
	Position   domain.Position
	Type       string
	Stream     domain.StreamName
	Status     string
	Tries      int        // since somebody last asked for it to be sent
	Code       int        // of the last answer over HTTP; 0 = there was none
	Error      string     // of the last try; "" = it was no failure
	EnqueuedAt time.Time  // when it was first, or last, to be sent
	TriedAt    *time.Time // when the last try ended
	DueAt      *time.Time // when the next try is; nil = there is none
	DoneAt     *time.Time // when it was delivered or given up
}

// The refusals of those who operate webhooks.
var (
	ErrNoWebhook       = domain.Refusal(domain.NotFound, "webhook.not-found", "there is no webhook of that id")
	ErrNoDelivery      = domain.Refusal(domain.NotFound, "webhook.delivery-not-found", "no event of that id was ever to be sent to the webhook, or it is not kept any more: a replay finds it in the log")
	ErrWebhookURL      = domain.Refusal(domain.Invalid, "webhook.url-invalid", "a webhook's address is an absolute https URL without user, password and fragment; http is for addresses that the configuration allows")
	ErrWebhookAddress  = domain.Refusal(domain.Refused, "webhook.address-refused", "the address is private, of this machine or reserved, and the configuration does not allow it")
	ErrWebhookType     = domain.Refusal(domain.Invalid, "webhook.type-unknown", "no event has such a type: a type is a name such as appointment.booked, or the beginning of names such as appointment.*")
	ErrWebhookDisabled = domain.Refusal(domain.Conflict, "webhook.disabled", "the webhook is disabled: enable it first")
)
