package webhooks_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/adapters/webhooks"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/reactions"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// site is a store whose events are told to webhooks.
type site struct {
	t     *testing.T
	store *postgres.Store
	pool  *pgxpool.Pool
	hooks *webhooks.Webhooks
}

// quick is the configuration of tests: nobody waits for seconds, and receivers
// are on this machine.
func quick(c *webhooks.Config) {
	c.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.Timeout = 5 * time.Second
	c.Pauses = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
}

// newSite returns a site whose webhooks run.
func newSite(t *testing.T, change ...func(*webhooks.Config)) *site {
	t.Helper()
	pool, err := postgres.Pool(t.Context(), postgrestest.Database(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := &site{t: t, pool: pool}
	s.store, err = postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(&eventcodec.MemoryKeys{}), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	s.follow(s.store.Run)
	s.hooks = s.process(append([]func(*webhooks.Config){quick}, change...)...)
	s.follow(s.hooks.Run)
	return s
}

// process returns the webhooks of another process over the same database, which
// do not run.
func (s *site) process(change ...func(*webhooks.Config)) *webhooks.Webhooks {
	s.t.Helper()
	c := webhooks.Config{
		Pool: s.pool, Schema: postgres.RiverSchema, Log: s.store, Key: make([]byte, 32), Owner: uuid.NewString(), Now: time.Now, NewID: uuid.NewString,
		Agent: "slotbook-test",
	}
	for _, f := range change {
		f(&c)
	}
	hooks, err := webhooks.New(c)
	require.NoError(s.t, err)
	return hooks
}

// follow runs something until the test, or what it returns, ends it.
func (s *site) follow(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-ended)
	})
	s.t.Cleanup(stop)
	return stop
}

// record appends events to a stream of their own, and returns them as stored.
func (s *site) record(stream domain.StreamName, events ...domain.Event) []eventcodec.Stored {
	s.t.Helper()
	w := commands.Write{Stream: stream, Expected: domain.Any}
	for _, e := range events {
		w.Events = append(w.Events, commands.NewEvent{ID: uuid.NewString(), Event: e, Metadata: domain.Metadata{Command: "c", Actor: "test"}})
	}
	last, err := s.store.Append(s.t.Context(), w)
	require.NoError(s.t, err)
	page, err := s.store.ReadStored(s.t.Context(), last-domain.Position(len(events)), last, eventcodec.Selection{}, len(events))
	require.NoError(s.t, err)
	require.Len(s.t, page.Events, len(events))
	return page.Events
}

// books records that an appointment was booked at a clinic, and tells the
// webhooks as the router does.
func (s *site) books(clinic string) eventcodec.Stored {
	s.t.Helper()
	id := domain.AppointmentID(uuid.NewString())
	e := s.record(appointment.Stream(id), appointment.WasBooked{Visit: appointment.Visit{Appointment: id, Clinic: domain.ClinicID(clinic)}})[0]
	s.tell(e)
	return e
}

func (s *site) tell(events ...eventcodec.Stored) {
	s.t.Helper()
	for _, e := range events {
		require.NoError(s.t, s.hooks.React(s.t.Context(), e))
	}
}

// subscribe makes a webhook for the receiver, and tells it the secret.
func (s *site) subscribe(to *receiver, types ...string) string {
	s.t.Helper()
	hook, secret, err := s.hooks.Create(s.t.Context(), reactions.WebhookWish{URL: to.URL, Types: types})
	require.NoError(s.t, err)
	to.secret(string(secret))
	return hook.ID
}

func (s *site) webhook(id string) reactions.Webhook {
	s.t.Helper()
	hook, err := s.hooks.Webhook(s.t.Context(), id)
	require.NoError(s.t, err)
	return hook
}

// delivery returns the delivery of an event when it has got somewhere.
func (s *site) delivery(id string, e eventcodec.Stored, is func(reactions.WebhookDelivery) bool) (found reactions.WebhookDelivery) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		all, err := s.hooks.Deliveries(s.t.Context(), id, "", e.Position+1, 2) // two events may claim one position
		require.NoError(s.t, err)
		i := slices.IndexFunc(all, func(d reactions.WebhookDelivery) bool { return d.Event == e.ID })
		if i < 0 {
			return false
		}
		found = all[i]
		return is(found)
	}, waiting, tick)
	return found
}

func ended(d reactions.WebhookDelivery) bool { return d.Status != reactions.DeliveryPending }

// message is what a receiver got.
type message struct {
	ID     string
	Header http.Header
	Body   []byte
}

// receiver is somebody else's server. It refuses what is not signed.
type receiver struct {
	*httptest.Server
	got chan message

	mu       sync.Mutex
	verifier *standardwebhooks.Webhook
	answer   func(w http.ResponseWriter, n int) // to the nth message; nil = 204
	n        int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan message, 1000)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// answers has the receiver answer so.
func (r *receiver) answers(f func(w http.ResponseWriter, n int)) *receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
	return r
}

func (r *receiver) secret(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifier, _ = standardwebhooks.NewWebhook(text)
}

// ServeHTTP verifies a message as every receiver should.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	r.mu.Lock()
	if err == nil && r.verifier != nil {
		err = r.verifier.Verify(body, request.Header)
	}
	answer, n := r.answer, r.n+1
	r.n = n
	r.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	r.got <- message{request.Header.Get("webhook-id"), request.Header, body}
	if answer != nil {
		answer(w, n)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// next returns the next message.
func (r *receiver) next(t *testing.T) message {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(time.Minute):
		require.FailNow(t, "no message came")
		return message{}
	}
}

// How long, and how often, tests look for something.
const (
	waiting = time.Minute
	tick    = 5 * time.Millisecond
)
