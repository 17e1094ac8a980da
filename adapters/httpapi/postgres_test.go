package httpapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/httpapi"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
	"github.com/slotbook/slotbook/projections/operations"
	"github.com/slotbook/slotbook/projections/projectionstest"
)

// newRealWorld is the API over the PostgreSQL store and the real read models,
// followed while the test runs.
func newRealWorld(t *testing.T) *world {
	t.Helper()
	var codec *eventcodec.Codec
	models := projections.All(func(s domain.Sealed) string {
		text, _ := codec.Open(context.Background(), s) // gone: not found
		return text
	}, nil)
	pool, err := postgres.Pool(t.Context(), projectionstest.Database(t, models...))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	keys, err := postgres.NewKeys(pool, slices.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	codec = eventcodec.New(keys)
	store, err := postgres.New(postgres.Config{Pool: pool, Codec: codec})
	require.NoError(t, err)
	newID := func() string { return uuid.Must(uuid.NewV7()).String() }
	read := engine.New(engine.Config{Pool: pool, Log: store, Owner: newID(), Now: time.Now, Models: models})
	desk := newDesk(read, models, newID)
	follow(t, store.Run, read.Run, desk.Run)
	w := newWorld(t, func(c *httpapi.Config) {
		c.Commands = commands.New(commands.Config{Store: store, Now: c.Now, NewID: newID})
		c.Codec, c.Head, c.Past, c.NewID = codec, store.Head, store, newID
		c.Slots, c.Appointments = projections.NewAvailability(read).WithPast(store), projections.NewAppointments(read).WithPast(store)
		c.Directory, c.Patients, c.Reviews = projections.NewDirectory(read), projections.NewPatients(read), projections.NewReviews(read)
		c.Catalogue, c.Days = projections.NewCatalogue(read), projections.NewDaySheets(read).WithPast(store)
		c.Waits, c.Waitlist = projections.NewWaits(read), projections.NewWaitlist(read)
		c.Live = projections.NewLive(projections.LiveConfig{
			Log: store, Streams: store, Slots: projections.NewAvailability(read), Now: c.Now,
		})
		c.Projections, c.Events = desk, store
	})
	w.events, w.pool = store, pool
	return w
}

// newDesk operates the read models, on a disk without end.
func newDesk(e *engine.Engine, models []engine.Model, newID func() string) *operations.Desk {
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	return operations.New(operations.Config{
		Engine: e, Models: names, Now: time.Now, NewID: newID, Logger: slog.New(slog.DiscardHandler),
		Free: func(context.Context) (int64, bool) { return 0, false },
	})
}

// follow runs what runs as long as the test, and waits for its end; so does what
// it returns, earlier.
func follow(t testing.TB, runs ...func(context.Context) error) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	for _, run := range runs {
		all.Go(func() { _ = run(ctx) }) // ends with the error of ctx
	}
	end = func() {
		cancel()
		all.Wait()
	}
	t.Cleanup(end)
	return end
}

// TestWhatACommandDidIsInTheLists books over the real read models: every list
// that is asked for the position of a command shows what the command did.
func TestWhatACommandDidIsInTheLists(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	booked := w.book(t, d.slot(2), d.maria, "Idempotency-Key", "1")
	require.Equal(t, http.StatusCreated, booked.Code, booked.Body.String())
	seen := "minPosition=" + booked.Header().Get("Slotbook-Position")
	get := func(path string) string {
		answer := w.call(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, answer.Code, "%s: %s", path, answer.Body)
		return answer.Body.String()
	}
	free := get("/v1/slots?specialty=cardiology&" + seen)
	require.Equal(t, 5, strings.Count(free, `"status":"free"`))
	require.NotContains(t, free, d.slot(2))
	require.Contains(t, get("/v1/slots?status=busy&clinicId="+d.clinic+"&"+seen), d.slot(2))
	require.Contains(t, get("/v1/appointments?patientId="+d.maria+"&"+seen), `"reason":"a secret reason"`)
	require.Contains(t, get("/v1/patients?q=SILV&"+seen), `"name":"Maria Silva"`)
	require.Contains(t, get("/v1/patients?q=910-000&"+seen), `"name":"Maria Silva"`)
	require.Contains(t, get("/v1/clinics?"+seen), d.clinic)
	require.Contains(t, get("/v1/practitioners?clinicId="+d.clinic+"&"+seen), d.practitioner)
	require.Equal(t, booked.Body.String(), w.book(t, d.slot(2), d.maria, "Idempotency-Key", "1").Body.String())

	taken := w.book(t, d.slot(2), d.joao)
	require.Equal(t, "slot.taken", rule(t, taken))
	var p httpapi.Problem
	require.NoError(t, json.Unmarshal(taken.Body.Bytes(), &p))
	nearest := make([]string, len(p.Alternatives))
	for i, s := range p.Alternatives {
		nearest[i] = s.ID
	}
	require.Equal(t, []string{d.slot(1), d.slot(3), d.slot(0)}, nearest)

	cancelled := w.call(t, http.MethodPost, booked.Header().Get("Location")+"/cancel", `{"initiator": "patient"}`, "If-Match", booked.Header().Get("ETag"))
	require.Equal(t, http.StatusOK, cancelled.Code, cancelled.Body.String())
	seen = "minPosition=" + cancelled.Header().Get("Slotbook-Position")
	require.Contains(t, get("/v1/slots?"+seen), d.slot(2))
	require.Contains(t, get("/v1/appointments?status=cancelled&"+seen), d.maria)
	require.Equal(t, "position.unknown", rule(t, w.call(t, http.MethodGet, "/v1/slots?minPosition=999999", "")))
}

// TestRealListsAreReadInPages goes through the real read models page by page.
func TestRealListsAreReadInPages(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	d := w.open(t)
	last := w.book(t, d.slot(0), d.maria)
	require.Equal(t, http.StatusCreated, last.Code)
	for _, list := range []string{"/v1/slots?status=any", "/v1/patients?q=", "/v1/appointments?practitionerId=" + d.practitioner} {
		list += "&minPosition=" + last.Header().Get("Slotbook-Position")
		whole := items(t, w.call(t, http.MethodGet, list, ""))
		require.NotEmpty(t, whole)
		require.Equal(t, whole, w.pages(t, list+"&limit=1"))
	}
}
