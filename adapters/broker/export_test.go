package broker

import (
	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Subject names the subject of a stream.
func Subject(topic, stream string) string { return subject(topic, stream) }

// Kafka returns what a URL says of a producer and its brokers.
func Kafka(url string) ([]string, *sarama.Config, error) {
	k, err := parseKafka(url)
	return k.brokers, k.sarama(), err
}

// KafkaMessage returns a message as Kafka gets it.
func KafkaMessage(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	return kafkaMarshaler{}.Marshal(topic, m)
}
