package broker

import (
	"crypto/tls"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	watermillkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// kafkaConfig says where Kafka is.
type kafkaConfig struct {
	brokers  []string
	tls      bool
	user     string // "" = nobody
	password string
}

func parseKafka(address string) (kafkaConfig, error) {
	user, err := userOf(address)
	k := kafkaConfig{brokers: strings.Split(strings.TrimSuffix(hosts(address), "/"), ","), tls: strings.HasPrefix(address, "kafka+tls:")}
	if user != nil {
		k.user = user.Username()
		k.password, _ = user.Password()
	}
	return k, err
}

// sarama returns the settings of a producer that waits for all replicas, and
// whose own retries keep the order and make no message twice.
func (k kafkaConfig) sarama() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID, c.Version = "slotbook", sarama.V2_1_0_0
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Producer.RequiredAcks, c.Producer.Idempotent, c.Net.MaxOpenRequests = sarama.WaitForAll, true, 1
	c.Net.DialTimeout, c.Metadata.Timeout = connectTime, 2*connectTime
	if k.tls {
		c.Net.TLS.Enable, c.Net.TLS.Config = true, &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if k.user != "" {
		c.Net.SASL.Enable, c.Net.SASL.User, c.Net.SASL.Password = true, k.user, k.password
	}
	return c
}

// kafka publishes to a topic of Kafka.
type kafka struct{ *watermillkafka.Publisher }

func connectKafka(k kafkaConfig, logger watermill.LoggerAdapter) (publisher, error) {
	p, err := watermillkafka.NewPublisher(watermillkafka.PublisherConfig{Brokers: k.brokers, Marshaler: kafkaMarshaler{}, OverwriteSaramaConfig: k.sarama()}, logger)
	if err != nil {
		return nil, err
	}
	return kafka{p}, nil
}

// gone is true after any error: a producer that has lost its place begins anew.
func (kafka) gone(error) bool { return true }

// kafkaMarshaler makes messages of Kafka, keyed by the stream: its events are in
// one partition, in their order.
type kafkaMarshaler struct{}

// Marshal returns the message.
func (kafkaMarshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	header := func(key, value string) sarama.RecordHeader {
		return sarama.RecordHeader{Key: []byte(key), Value: []byte(value)}
	}
	return &sarama.ProducerMessage{
		Topic: topic, Key: sarama.StringEncoder(m.Metadata[keyStream]), Value: sarama.ByteEncoder(m.Payload),
		Headers: []sarama.RecordHeader{header("content-type", contentType), header("id", m.UUID), header("type", m.Metadata[keyType])},
	}, nil
}
