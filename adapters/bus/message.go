package bus

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/slotbook/slotbook/adapters/eventcodec"
)

// What a message says of its event beside its metadata, which keep their names.
const (
	keyType     = "type"
	keyStream   = "stream"
	keyRevision = "revision"
	keyPosition = "position"
	keyParked   = "parked"  // it was parked, and comes again
	keyUpgrade  = "upgrade" // a newer version of the program has to handle it
)

// eventKey is that of the event in the context of its message.
type eventKey struct{}

// newMessage returns a message whose id is the event's, and whose payload are
// its data as they are stored: personal text is sealed.
func newMessage(ctx context.Context, e eventcodec.Stored) *message.Message {
	m := message.NewMessageWithContext(context.WithValue(ctx, eventKey{}, e), e.ID, message.Payload(e.Data))
	var metadata map[string]any
	_ = json.Unmarshal(e.Metadata, &metadata) // what cannot be read is not carried on
	for key, value := range metadata {
		if text, ok := value.(string); ok {
			m.Metadata[key] = text
		}
	}
	m.Metadata[keyType] = e.Type
	m.Metadata[keyStream] = string(e.Stream)
	m.Metadata[keyRevision] = strconv.FormatInt(int64(e.Revision), 10)
	m.Metadata[keyPosition] = strconv.FormatUint(uint64(e.Position), 10)
	if id := firstOf(m.Metadata["correlation"], m.Metadata["command"]); id != "" {
		middleware.SetCorrelationID(id, m)
	}
	return m
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// EventOf returns the event that a message of a [Subscriber] carries, and
// whether it is one.
func EventOf(m *message.Message) (eventcodec.Stored, bool) {
	e, ok := m.Context().Value(eventKey{}).(eventcodec.Stored)
	return e, ok
}
