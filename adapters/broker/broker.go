// Package broker forwards events to a message broker, for other systems: NATS
// JetStream or Kafka, through the publishers of Watermill. What leaves is the
// CloudEvents envelope of GET /v1/events without the boxes of personal text.
//
// Each event is published at least once, those of a stream in their order: the
// one after comes when the broker has confirmed the one before. Its id is the
// message's, so that one that comes twice is known.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/slotbook/slotbook/adapters/eventcodec"
)

// Config configures a forwarder.
type Config struct {
	// URL is that of the broker: nats://HOST:PORT or tls://HOST:PORT, several
	// with commas between them; kafka://HOST:PORT,HOST:PORT, or kafka+tls://. A
	// name and a password may stand before the first host.
	URL string
	// Topic is Kafka's topic, and what subjects of NATS begin with.
	Topic  string
	Logger *slog.Logger
}

// Forwarder publishes events. It is safe for concurrent use.
type Forwarder struct {
	topic   string
	connect func() (publisher, error)
	logger  *slog.Logger

	mu   sync.RWMutex // read by those who publish: a connection ends between them
	open publisher    // nil while there is no connection
}

// publisher is a connection to a broker.
type publisher interface {
	message.Publisher
	// gone reports whether an error means that the connection is of no use any
	// more.
	gone(err error) bool
}

// contentType is that of a CloudEvent in JSON (CloudEvents, json-format.md).
const contentType = "application/cloudevents+json"

// What a message carries beside its envelope, for the marshalers here.
const (
	keyStream = "stream"
	keyType   = "type"
)

// New returns a forwarder, which connects when there is something to publish.
// Errors: a URL or a topic that cannot be.
func New(c Config) (*Forwarder, error) {
	scheme, _, _ := strings.Cut(c.URL, "://")
	f := &Forwarder{topic: c.Topic, logger: c.Logger}
	if f.topic == "" || strings.ContainsAny(f.topic, " \t\r\n*>/") || strings.Contains("."+f.topic+".", "..") {
		return nil, fmt.Errorf("%q is no name of a topic, such as slotbook.events", f.topic)
	}
	switch scheme {
	case "nats", "tls":
		f.connect = func() (publisher, error) { return connectNATS(c.URL, f.topic, f.watermill()) }
	case "kafka", "kafka+tls":
		k, err := parseKafka(c.URL)
		if err != nil {
			return nil, err
		}
		f.connect = func() (publisher, error) { return connectKafka(k, f.watermill()) }
	default:
		return nil, errors.New("a broker is nats://HOST:PORT, tls://HOST:PORT, kafka://HOST:PORT or kafka+tls://HOST:PORT")
	}
	if hosts(c.URL) == "" {
		return nil, errors.New("the broker's URL has no host")
	}
	return f, nil
}

// hosts returns what follows the scheme, and a name and password if there are.
func hosts(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	return rest[strings.LastIndex(rest, "@")+1:]
}

// userOf returns the name and the password before the hosts, nil for none.
func userOf(address string) (*url.Userinfo, error) {
	scheme, rest, _ := strings.Cut(address, "://")
	at := strings.LastIndex(rest, "@")
	if at < 0 {
		return nil, nil
	}
	u, err := url.Parse(scheme + "://" + rest[:at] + "@host")
	if err != nil {
		return nil, errors.New("the name or the password of the broker is not as URLs have it") // the error would show it
	}
	return u.User, nil
}

// Handle publishes an event, and returns when the broker has it.
func (f *Forwarder) Handle(ctx context.Context, e eventcodec.Stored) error {
	m, err := newMessage(ctx, e)
	if err != nil {
		return err
	}
	p, err := f.publish(m)
	if err != nil && p != nil && p.gone(err) {
		f.drop(p)
	}
	return err
}

// publish publishes a message, and returns the connection that it took.
func (f *Forwarder) publish(m *message.Message) (publisher, error) {
	if err := f.connected(); err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.open == nil {
		return nil, errDropped
	}
	return f.open, f.open.Publish(f.topic, m)
}

var errDropped = errors.New("the connection to the broker has ended; there is another one soon")

// newMessage returns an event as it leaves.
func newMessage(ctx context.Context, e eventcodec.Stored) (*message.Message, error) {
	envelope, err := e.Envelope()
	if err != nil {
		return nil, err
	}
	if envelope, err = envelope.Outward(); err != nil {
		return nil, err
	}
	line, err := envelope.Line()
	if err != nil {
		return nil, err
	}
	m := message.NewMessageWithContext(ctx, e.ID, line[:len(line)-1])
	m.Metadata[keyStream], m.Metadata[keyType] = string(e.Stream), e.Type
	return m, nil
}

// connected makes a connection if there is none.
func (f *Forwarder) connected() error {
	f.mu.RLock()
	open := f.open != nil
	f.mu.RUnlock()
	if open {
		return nil // to ask for the lock alone would wait for all who publish
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != nil {
		return nil
	}
	p, err := f.connect()
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	f.open = p
	return nil
}

// drop ends a connection that is of no use.
func (f *Forwarder) drop(p publisher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == p {
		f.open = nil
		_ = p.Close() // it is of no use
	}
}

// Close ends the connection.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return nil
	}
	p := f.open
	f.open = nil
	return p.Close()
}

func (f *Forwarder) watermill() watermill.LoggerAdapter {
	return watermill.NewSlogLoggerWithLevelMapping(f.logger, map[slog.Level]slog.Level{watermill.LevelTrace: slog.LevelDebug, slog.LevelInfo: slog.LevelDebug})
}
