package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/broker"
	"github.com/slotbook/slotbook/adapters/bus"
	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// received is a message as a consumer of the broker has it.
type received struct {
	key     string // what orders it: the subject, or the key
	content string // its type
	id      string
	body    []byte
}

// brokers are those that the tests run on: an embedded NATS server, and the
// Kafka that the environment names.
func brokers(t *testing.T, test func(t *testing.T, url, topic string, consume func(t *testing.T) <-chan received)) {
	t.Helper()
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		s := startNATS(t, t.TempDir(), -1)
		test(t, s.ClientURL(), "slotbook.events", func(t *testing.T) <-chan received { return fromNATS(t, s.ClientURL(), "slotbook.events") })
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		hosts := os.Getenv("SLOTBOOK_TEST_KAFKA")
		if hosts == "" {
			t.Skip("SLOTBOOK_TEST_KAFKA names no broker, as host:port,host:port")
		}
		topic := "slotbook.test." + uuid.NewString()
		test(t, "kafka://"+hosts, topic, func(t *testing.T) <-chan received { return fromKafka(t, hosts, topic) })
	})
}

func startNATS(t *testing.T, folder string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(30*time.Second))
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func fromNATS(t *testing.T, url, topic string) <-chan received {
	t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := conn.JetStream()
	require.NoError(t, err)
	all := make(chan received, 1000)
	require.Eventually(t, func() bool { // there is no stream before the first event
		_, err = js.Subscribe(topic+".>", func(m *nats.Msg) {
			all <- received{m.Subject, m.Header.Get("Content-Type"), m.Header.Get(nats.MsgIdHdr), m.Data}
		}, nats.OrderedConsumer(), nats.DeliverAll())
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	return all
}

func fromKafka(t *testing.T, hosts, topic string) <-chan received {
	t.Helper()
	c := sarama.NewConfig()
	c.Version = sarama.V2_1_0_0
	consumer, err := sarama.NewConsumer(strings.Split(hosts, ","), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, consumer.Close()) })
	all := make(chan received, 1000)
	var partitions []int32
	require.Eventually(t, func() bool {
		partitions, err = consumer.Partitions(topic)
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	for _, p := range partitions {
		from, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		require.NoError(t, err)
		t.Cleanup(func() { _ = from.Close() })
		go func() {
			for m := range from.Messages() {
				headers := map[string]string{}
				for _, h := range m.Headers {
					headers[string(h.Key)] = string(h.Value)
				}
				all <- received{string(m.Key), headers["content-type"], headers["id"], m.Value}
			}
		}()
	}
	return all
}

// open returns a running store over a fresh database.
func open(t *testing.T) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool, err := postgres.Pool(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	run(t, store.Run)
	return store, pool
}

// run runs something until the test ends.
func run(t *testing.T, what func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- what(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// forward runs a router that forwards everything.
func forward(t *testing.T, store *postgres.Store, pool *pgxpool.Pool, url, topic string) {
	t.Helper()
	f, err := broker.New(broker.Config{URL: url, Topic: topic, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	r := bus.NewRouter(bus.Config{
		Pool: pool, Log: store, Epoch: "one", Owner: "p", Now: time.Now, Lease: time.Second, Pause: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	r.Add(bus.Consumer{Name: "forward", FromZero: true, Lanes: 4, Tries: bus.Forever, Handle: f.Handle})
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	run(t, r.Run)
}

// cancel appends the cancellation of an appointment, and returns the event's id.
func cancel(t *testing.T, store *postgres.Store, id string) string {
	t.Helper()
	event := uuid.NewString()
	_, err := store.Append(t.Context(), commands.Write{
		Stream: domain.Stream("appointment", id), Expected: domain.Any, Events: []commands.NewEvent{{
			ID: event, Event: appointment.WasCancelled{Reason: domain.Open("ana", "a rash on the left arm")}, Metadata: domain.Metadata{Command: "c", Actor: "test"},
		}},
	})
	require.NoError(t, err)
	return event
}

// sealed returns the box of the reason that the first event in the store has.
func sealed(t *testing.T, store *postgres.Store) string {
	t.Helper()
	page, err := store.ReadStored(t.Context(), 0, 1, eventcodec.Selection{}, 1)
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
	var stored struct{ Reason domain.Sealed }
	require.NoError(t, json.Unmarshal(page.Events[0].Data, &stored))
	require.NotEmpty(t, stored.Reason.Box)
	return stored.Reason.Box
}

func next(t *testing.T, all <-chan received) (received, cloudevents.Event) {
	t.Helper()
	select {
	case r := <-all:
		var e cloudevents.Event
		require.NoError(t, json.Unmarshal(r.body, &e), "%s", r.body)
		require.NoError(t, e.Validate())
		return r, e
	case <-time.After(time.Minute):
		require.Fail(t, "nothing comes")
		panic("unreachable")
	}
}

func TestEveryEventIsForwardedInTheOrderOfItsStream(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, url, topic string, consume func(t *testing.T) <-chan received) {
		store, pool := open(t)
		const streams, each = 5, 10
		wanted := map[string]bool{}
		for range each {
			for n := range streams {
				wanted[cancel(t, store, fmt.Sprintf("a-%d.x y", n))] = true
			}
		}
		forward(t, store, pool, url, topic)
		all := consume(t)
		at, key := map[string]string{}, map[string]string{}
		for len(wanted) > 0 {
			r, e := next(t, all)
			require.True(t, wanted[e.ID()], "once, as long as nobody dies")
			delete(wanted, e.ID())
			require.Equal(t, e.ID(), r.id)
			require.Equal(t, "application/cloudevents+json", r.content)
			require.Equal(t, "appointment.cancelled", e.Type())
			sequence := e.Extensions()["sequence"].(string)
			require.Greater(t, sequence, at[e.Subject()])
			at[e.Subject()] = sequence
			if key[e.Subject()] == "" {
				key[e.Subject()] = r.key
			}
			require.Equal(t, key[e.Subject()], r.key)
		}
		require.Len(t, key, streams)
	})
}

func TestPersonalFieldsNeverLeave(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, url, topic string, consume func(t *testing.T) <-chan received) {
		store, pool := open(t)
		cancel(t, store, "a")
		forward(t, store, pool, url, topic)
		r, e := next(t, consume(t))
		var data map[string]any
		require.NoError(t, e.DataAs(&data))
		require.Equal(t, map[string]any{"person": "ana"}, data["reason"], "whose it is, and neither the text nor its box")
		require.NotContains(t, string(r.body), sealed(t, store))
	})
}

func TestABrokerThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	store, pool := open(t)
	folder := t.TempDir()
	s := startNATS(t, folder, -1)
	url := s.ClientURL()
	port := s.Addr().String()[strings.LastIndex(s.Addr().String(), ":")+1:]
	forward(t, store, pool, url, "slotbook.events")
	first := cancel(t, store, "a")
	all := fromNATS(t, url, "slotbook.events")
	_, e := next(t, all)
	require.Equal(t, first, e.ID())

	s.Shutdown()
	s.WaitForShutdown()
	second := cancel(t, store, "a")
	third := cancel(t, store, "a")
	var n int
	_, err := fmt.Sscan(port, &n)
	require.NoError(t, err)
	startNATS(t, folder, n)
	all = fromNATS(t, url, "slotbook.events")
	for _, id := range []string{first, second, third} {
		_, e = next(t, all)
		require.Equal(t, id, e.ID())
	}
	parked, err := bus.Desk{Pool: pool, Log: store, Epoch: "one"}.Parked(t.Context(), "forward")
	require.NoError(t, err)
	require.Empty(t, parked)
}

func TestABrokerThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []broker.Config{
		{URL: "amqp://host", Topic: "t"},
		{URL: "host:4222", Topic: "t"},
		{URL: "nats://", Topic: "t"},
		{URL: "kafka://name@", Topic: "t"},
		{URL: "kafka://na%zz@host:9092", Topic: "t"},
		{URL: "nats://host", Topic: ""},
		{URL: "nats://host", Topic: "a.>"},
		{URL: "nats://host", Topic: "a..b"},
	} {
		_, err := broker.New(c)
		require.Error(t, err, c)
	}
	f, err := broker.New(broker.Config{URL: "nats://127.0.0.1:1", Topic: "t", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.Error(t, f.Handle(t.Context(), eventcodec.Stored{Encoded: eventcodec.Encoded{ID: "x", Type: "t", Data: []byte("{}"), Metadata: []byte("{}")}}), "nobody listens")
	require.NoError(t, f.Close())
}

func TestTheSubjectOfAStreamIsOneThatNATSTakes(t *testing.T) {
	t.Parallel()
	for stream, subject := range map[string]string{
		"appointment-018f6b1e-0000-7000-8000-000000000001": "e.appointment.018f6b1e-0000-7000-8000-000000000001",
		"occupancy-patient.ana.2026-03-02":                 "e.occupancy.patient%2Eana%2E2026-03-02",
		"clinic-a b*>%":                                    "e.clinic.a%20b%2A%3E%25",
		"clinic":                                           "e.clinic.%",
		"clínic-ü":                                         "e.cl%C3%ADnic.%C3%BC",
	} {
		require.Equal(t, subject, broker.Subject("e", stream))
	}
}

func TestKafkaIsWrittenToWithoutGapsAndWithoutRepeats(t *testing.T) {
	t.Parallel()
	hosts, c, err := broker.Kafka("kafka+tls://me:p%40ss@one:9092,two:9092/")
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"one:9092", "two:9092"}, hosts)
	require.True(t, c.Producer.Idempotent)
	require.Equal(t, sarama.WaitForAll, c.Producer.RequiredAcks)
	require.True(t, c.Net.TLS.Enable)
	require.Equal(t, "p@ss", c.Net.SASL.Password)
	hosts, c, err = broker.Kafka("kafka://one:9092")
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"one:9092"}, hosts)
	require.False(t, c.Net.TLS.Enable || c.Net.SASL.Enable)

	m := message.NewMessage("id", []byte("{}"))
	m.Metadata["stream"], m.Metadata["type"] = "slot-1", "slot.released"
	out, err := broker.KafkaMessage("topic", m)
	require.NoError(t, err)
	require.Equal(t, sarama.StringEncoder("slot-1"), out.Key)
	require.Equal(t, "content-type", string(out.Headers[0].Key))
}
