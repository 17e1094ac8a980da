package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/reactions"
)

// webhooking says how events are posted to webhooks.
type webhooking struct {
	Allow   []string      `env:"SLOTBOOK_WEBHOOK_ALLOW" help:"Addresses that webhooks may be sent to although they are private, of this machine or reserved: 10.1.2.3 or 10.0.0.0/8, separated by commas. Only to them may http be spoken. Empty, the default = none." placeholder:"ADDRESS"`
	Timeout time.Duration `env:"SLOTBOOK_WEBHOOK_TIMEOUT" default:"15s" help:"How long a receiver of a webhook may take to answer, 15s by default; between 100ms and 1m." placeholder:"DURATION"`
}

// check refuses what cannot be.
func (c webhooking) check() error {
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		return usageError{fmt.Errorf("--webhook-timeout: %s is not between 100ms and 1m", c.Timeout)}
	}
	_, err := c.allowed()
	return err
}

// allowed reads the addresses that are allowed.
func (c webhooking) allowed() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.Allow {
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("--webhook-allow: %q is neither an address such as 10.1.2.3 nor a network such as 10.0.0.0/8", text)}
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// tellsWebhooks is the name of the reaction.
const tellsWebhooks = "webhooks"

// webhooks makes what tells other systems of events, and has the router hand
// events to it.
func (a *app) webhooks(c appConfig, registry *prometheus.Registry) error {
	allow, err := c.webhooks.allowed()
	if err != nil {
		return err
	}
	a.hooks, err = webhooks.New(webhooks.Config{
		Pool: a.pool, Schema: postgres.RiverSchema, Log: a.store, Key: derive(c.masterKey, "webhook secret"), Owner: owner(), Now: time.Now, NewID: newID,
		Agent: "Slotbook/" + version(), Allow: allow, Timeout: c.webhooks.Timeout, Metrics: registry, Logger: a.logger,
	})
	if err != nil {
		return err
	}
	a.router.Add(bus.Consumer{Name: tellsWebhooks, Lanes: 8, Idle: a.hooks.Idle, Handle: a.hooks.React})
	return nil
}

type webhooksCmd struct {
	List   webhooksListCmd   `cmd:"" help:"Say which webhooks there are, and how each is doing."`
	Replay webhooksReplayCmd `cmd:"" help:"Send events of the past again, up to now."`
}

// hooked is how a webhook is doing, as the program says it.
type hooked struct {
	ID       string     `json:"id"`
	URL      string     `json:"url"`
	Types    []string   `json:"types"`
	Clinic   string     `json:"clinic,omitempty"`
	Pending  int        `json:"pending"`
	Failed   int        `json:"failed"`
	OldestAt *time.Time `json:"oldestPendingAt,omitempty"`
	Disabled string     `json:"disabled,omitempty"` // why
	Replayed *uint64    `json:"replayedUpTo,omitempty"`
}

func hookedOf(h reactions.Webhook) hooked {
	shown := hooked{
		ID: h.ID, URL: h.Wish.URL, Types: h.Wish.Types, Clinic: string(h.Wish.Clinic), Pending: h.Pending, Failed: h.Failed,
		OldestAt: h.OldestAt, Disabled: h.DisabledReason,
	}
	if h.Replay != nil {
		at := uint64(h.Replay.Position)
		shown.Replayed = &at
	}
	return shown
}

// state says in a word how it is doing.
func (h hooked) state() string {
	switch {
	case h.Disabled == reactions.DisabledGone:
		return "disabled: its receiver is gone"
	case h.Disabled != "":
		return "disabled"
	case h.Replayed != nil:
		return "replaying, at " + strconv.FormatUint(*h.Replayed, 10)
	}
	return "on"
}

type webhooksListCmd struct{ operating }

// Run says how the webhooks are doing.
func (c *webhooksListCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		found, err := a.hooks.List(ctx)
		if err != nil {
			return err
		}
		all := make([]hooked, len(found))
		for i, h := range found {
			all[i] = hookedOf(h)
		}
		return c.say(out.out, all, func(w io.Writer) {
			if len(all) == 0 {
				line(w, "there are no webhooks")
				return
			}
			line(w, "WEBHOOK\tURL\tTYPES\tPENDING\tFAILED\tSTATE")
			for _, h := range all {
				types := strings.Join(h.Types, ",")
				if types == "" {
					types = "all"
				}
				line(w, "%s\t%s\t%s\t%d\t%d\t%s", h.ID, h.URL, types, h.Pending, h.Failed, h.state())
			}
		})
	})
}

type webhooksReplayCmd struct {
	operating
	ID    string  `arg:"" help:"The webhook."`
	After *uint64 `required:"" help:"Send events after this position; 0 = from the first on." placeholder:"POSITION"`
}

// Run has a server send events again.
func (c *webhooksReplayCmd) Run(ctx context.Context, out output) error {
	return c.open(ctx, out, func(a *app) error {
		h, err := a.hooks.Replay(ctx, c.ID, domain.Position(*c.After))
		if errors.Is(err, reactions.ErrNoWebhook) || errors.Is(err, reactions.ErrWebhookDisabled) {
			return usageError{err}
		} else if err != nil {
			return err
		}
		return c.say(out.out, hookedOf(h), func(w io.Writer) {
			line(w, "a server sends every event after position %d that the webhook wants; slotbook webhooks list says how far it is", *c.After)
		})
	})
}
