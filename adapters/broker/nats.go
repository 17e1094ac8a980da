package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
)

// connectTime is how long a connection to a broker may take.
const connectTime = 5 * time.Second

// reconnectTime is the pause between two attempts to reach a server again.
const reconnectTime = 500 * time.Millisecond

// jetStream publishes to NATS JetStream.
type jetStream struct{ *watermillnats.Publisher }

// connectNATS connects, and makes the stream that keeps what is published if
// there is none yet: it keeps everything until whoever runs the broker says
// otherwise.
func connectNATS(address, topic string, logger watermill.LoggerAdapter) (publisher, error) {
	conn, err := nats.Connect(address, nats.Name("slotbook"), nats.Timeout(connectTime), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectTime),
		nats.ReconnectBufSize(-1)) // what cannot be sent is tried again by the router
	if err != nil {
		return nil, err
	}
	p, err := watermillnats.NewPublisherWithNatsConn(conn, watermillnats.PublisherPublishConfig{
		Marshaler: natsMarshaler{}, SubjectCalculator: watermillnats.DefaultSubjectCalculator,
	}, logger)
	if err == nil {
		err = keepStream(conn, topic)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return jetStream{p}, nil
}

// keepStream sees to a stream of JetStream for all subjects of a topic.
func keepStream(conn *nats.Conn, topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTime)
	defer cancel()
	js, err := conn.JetStream(nats.Context(ctx))
	if err != nil {
		return err
	}
	subjects := topic + ".>"
	if _, err := js.StreamNameBySubject(subjects); !errors.Is(err, nats.ErrNoMatchingStream) {
		return err
	}
	_, err = js.AddStream(&nats.StreamConfig{Name: strings.ReplaceAll(topic, ".", "_"), Subjects: []string{subjects}})
	if err != nil {
		return fmt.Errorf("a stream for %s: %w", subjects, err)
	}
	return nil
}

func (jetStream) gone(err error) bool {
	return errors.Is(err, nats.ErrNoStreamResponse) || errors.Is(err, nats.ErrConnectionClosed)
}

// natsMarshaler makes messages of NATS. The subject is the topic and the stream,
// TOPIC.appointment.ID, so that the order of a subject is that of its stream.
type natsMarshaler struct{}

// Marshal returns the message. JetStream drops one whose id it has seen in the
// last two minutes.
func (natsMarshaler) Marshal(topic string, m *message.Message) (*nats.Msg, error) {
	return &nats.Msg{
		Subject: subject(topic, m.Metadata[keyStream]), Data: m.Payload,
		Header: nats.Header{nats.MsgIdHdr: {m.UUID}, "Content-Type": {contentType}, "Ce-Type": {m.Metadata[keyType]}},
	}, nil
}

// subject names the subject of a stream. What has a meaning in subjects, and
// what may not be there, is written as in URLs: %20.
func subject(topic, stream string) string {
	category, id, _ := strings.Cut(stream, "-")
	return topic + "." + token(category) + "." + token(id)
}

func token(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c > ' ' && c < 0x7f && !strings.ContainsRune(".*>%", rune(c)) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() == 0 {
		return "%"
	}
	return b.String()
}
