package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/slotbook/slotbook/adapters/broker"
	"github.com/slotbook/slotbook/adapters/bus"
)

// forwarding says which broker gets the events.
type forwarding struct {
	To         string   `env:"SLOTBOOK_FORWARD_TO" help:"A broker that gets every event, for other systems: nats://HOST:PORT (JetStream), tls://HOST:PORT, kafka://HOST:PORT,HOST:PORT or kafka+tls://HOST:PORT; empty, the default = none. docs/forwarding.md says what comes." placeholder:"URL"`
	Topic      string   `env:"SLOTBOOK_FORWARD_TOPIC" default:"slotbook.events" help:"Kafka's topic, and what NATS subjects begin with." placeholder:"NAME"`
	Categories []string `env:"SLOTBOOK_FORWARD_CATEGORIES" help:"Forward events of these categories of streams only, such as appointment,slot, separated by commas; empty, the default = all." placeholder:"CATEGORY"`
	From       string   `env:"SLOTBOOK_FORWARD_FROM" default:"head" enum:"head,beginning" help:"Where forwarding begins when it is first switched on: head, the default, with what is recorded from then on; or beginning, with the first event of the log."`
}

// forwards is the name of the reaction.
const forwards = "forward"

// check refuses a broker that cannot be.
func (f forwarding) check() error {
	if f.To == "" {
		return nil
	}
	if _, err := f.open(slog.New(slog.DiscardHandler)); err != nil {
		return usageError{fmt.Errorf("--forward-to: %w", err)}
	}
	return nil
}

func (f forwarding) open(logger *slog.Logger) (*broker.Forwarder, error) {
	return broker.New(broker.Config{URL: f.To, Topic: f.Topic, Logger: logger})
}

// add adds the consumer that forwards, if there is a broker. A broker that is
// away is waited for: what cannot be forwarded now is not parked.
func (f forwarding) add(router *bus.Router, logger *slog.Logger) (io.Closer, error) {
	if f.To == "" {
		return nil, nil
	}
	forwarder, err := f.open(logger)
	if err != nil {
		return nil, err
	}
	router.Add(bus.Consumer{
		Name: forwards, Categories: f.Categories, FromZero: f.From == "beginning", Lanes: 8, Tries: bus.Forever, Handle: forwarder.Handle,
	})
	return forwarder, nil
}
