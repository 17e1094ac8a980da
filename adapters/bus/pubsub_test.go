package bus_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/demand"
)

// publisher appends raw messages through a store: as the texts of an event that
// has some, on a stream for each payload of a topic.
type publisher struct{ store commands.Store }

// Publish appends the messages.
func (p publisher) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		metadata, err := json.Marshal(m.Metadata)
		if err != nil {
			return err
		}
		h := fnv.New64a()
		_, _ = h.Write(m.Payload)
		carrier := demand.Refused{Rule: base64.StdEncoding.EncodeToString(metadata), Wish: base64.StdEncoding.EncodeToString(m.Payload)}
		_, err = p.store.Append(context.Background(), commands.Write{
			Stream: domain.Stream(categoryOf(topic), fmt.Sprint(h.Sum64())), Expected: domain.Any,
			Events: []commands.NewEvent{{ID: domain.NewID(topic, m.UUID), Event: carrier, Metadata: domain.Metadata{Command: m.UUID, Actor: "test"}}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close does nothing.
func (publisher) Close() error { return nil }

// categoryOf returns the category of the streams of a topic.
func categoryOf(topic string) string { return strings.ReplaceAll(topic, "-", "") }

// rawLog gives the messages back that a publisher has appended.
type rawLog struct{ bus.Log }

// ReadStored returns events with the ids, the metadata and the payloads of
// messages.
func (l rawLog) ReadStored(ctx context.Context, after, until domain.Position, want eventcodec.Selection, limit int) (eventcodec.StoredPage, error) {
	page, err := l.Log.ReadStored(ctx, after, until, want, limit)
	for i := range page.Events {
		e := &page.Events[i]
		var carrier demand.Refused
		var m domain.Metadata
		if err := json.Unmarshal(e.Data, &carrier); err != nil {
			return page, err
		}
		if err := json.Unmarshal(e.Metadata, &m); err != nil {
			return page, err
		}
		e.ID = m.Command
		if e.Data, err = base64.StdEncoding.DecodeString(carrier.Wish); err != nil {
			return page, err
		}
		if e.Metadata, err = base64.StdEncoding.DecodeString(carrier.Rule); err != nil {
			return page, err
		}
	}
	return page, err
}

// Watermill's own tests of a Pub/Sub, for what a subscriber declares.
func TestWatermillsPubSub(t *testing.T) {
	t.Parallel()
	features := tests.Features{
		ConsumerGroups: true, ExactlyOnceDelivery: false, GuaranteedOrder: true, Persistent: true, ForceShort: testing.Short(),
	}
	for name, lanes := range map[string]int{"in the order of the log": 1, "several streams at once": 8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, pool := open(t)
			var processes atomic.Int64
			ofGroup := func(_ *testing.T, group string) (message.Publisher, message.Subscriber) {
				return publisher{store}, bus.NewSubscriber(bus.SubscriberConfig{
					Pool: pool, Log: rawLog{store}, Epoch: "one", Owner: fmt.Sprint("process ", processes.Add(1)), Now: time.Now,
					Pause: 100 * time.Microsecond, Lease: 2 * time.Second, Logger: slog.New(slog.DiscardHandler),
					Consumer: func(topic string) (bus.Consumer, error) {
						return bus.Consumer{Name: group + "/" + topic, Categories: []string{categoryOf(topic)}, Lanes: lanes}, nil
					},
				})
			}
			tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) { return ofGroup(t, "all") }, ofGroup)
		})
	}
}

func TestASubscriberThatIsClosedTakesNoSubscription(t *testing.T) {
	t.Parallel()
	s := bus.NewSubscriber(bus.SubscriberConfig{Now: time.Now, Consumer: func(topic string) (bus.Consumer, error) { return bus.Consumer{Name: topic}, nil }})
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err := s.Subscribe(t.Context(), "any")
	require.Error(t, err)
}
