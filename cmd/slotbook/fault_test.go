package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/pgembed"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/projections"
	"github.com/slotbook/slotbook/projections/engine"
)

// load books over and over until it is told to stop, and keeps what was
// acknowledged.
type load struct {
	mu           sync.Mutex
	acknowledged map[string]string // appointment by Idempotency-Key
	booked       int               // acknowledged bookings
	statuses     map[int]int       // of all answers
	stop         atomic.Bool
	clients      sync.WaitGroup
}

// run starts clients. Each books for its own patient and cancels again, over
// and over; two clients share a slot. What gets no answer is sent again, with
// the same key, until it gets one.
func (l *load) run(target func() *server, slots, patients []string) {
	l.acknowledged, l.statuses = map[string]string{}, map[int]int{}
	for c, patient := range patients {
		l.clients.Go(func() {
			for n := 0; !l.stop.Load(); n++ {
				k := fmt.Sprint("load ", c, " ", n)
				r := l.insist(target, k, "/v1/appointments", map[string]any{"slotId": slots[c/2], "patientId": patient})
				if r.status != http.StatusCreated && r.status != http.StatusOK {
					continue
				}
				l.acknowledge(k, r.field("id"))
				l.insist(target, "cancel "+k, "/v1/appointments/"+r.field("id")+"/cancel", map[string]any{"initiator": "patient"})
			}
		})
	}
}

// insist sends a request until it is answered, or the load ends.
func (l *load) insist(target func() *server, k, path string, body map[string]any) reply {
	for {
		r := target().call(5*time.Second, http.MethodPost, path, body, "Idempotency-Key", k)
		l.mu.Lock()
		l.statuses[r.status]++
		l.mu.Unlock()
		if r.status != 0 && r.status != http.StatusServiceUnavailable || l.stop.Load() {
			return r
		}
	}
}

func (l *load) acknowledge(k, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged[k] = id
	l.booked++
}

func (l *load) bookings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.booked
}

func (l *load) count(status int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statuses[status]
}

func (l *load) end() {
	l.stop.Store(true)
	l.clients.Wait()
}

// until waits for something that happens in another process.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 10*time.Millisecond, what)
}

// slotsOf returns many slots of one place.
func slotsOf(s *server, practitioners int) []string {
	_, slots := clinicWith(s, practitioners, 1)
	return slots
}

func TestAKilledServerLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	first := watched(t, "--database-url", url)
	slots, patients := slotsOf(first, 4), first.patients(8)
	var current atomic.Pointer[server]
	current.Store(first)
	var l load
	l.run(current.Load, slots, patients)
	until(t, "bookings", func() bool { return l.bookings() > 20 })
	first.kill()
	second := serve(t, "--database-url", url)
	current.Store(second)
	before := l.bookings()
	until(t, "bookings after the restart", func() bool { return l.bookings() > before+20 })
	l.end()

	for k, id := range l.acknowledged {
		r := second.get("/v1/appointments/" + id)
		require.Equal(t, http.StatusOK, r.status, "%s was acknowledged and is gone", k)
	}
	audited(t, url)
	agree(t, url)
	require.Zero(t, second.stop())
}

// agree requires that the read models are what the log says: an app of the
// test's own catches up and verifies them.
func agree(t *testing.T, url string) {
	t.Helper()
	master := make([]byte, 32)
	_, err := fmt.Sscanf(key, "%x", &master)
	require.NoError(t, err)
	a, err := newApp(t.Context(), appConfig{url: url, masterKey: master, logger: output{os.Stderr, os.Stderr}.logger()})
	require.NoError(t, err)
	t.Cleanup(a.close)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.store.Run(ctx) }()
	head, err := a.store.Head(t.Context())
	require.NoError(t, err)
	for _, m := range projections.All(func(domain.Sealed) string { return "" }, nil) {
		until(t, m.Name+" at the head", func() bool {
			statuses, err := a.engine.Status(t.Context())
			require.NoError(t, err)
			for _, s := range statuses {
				if s.Model == m.Name {
					return s.Position >= head
				}
			}
			return false
		})
		report, err := a.engine.Verify(t.Context(), engine.Build{}, m.Name)
		require.NoError(t, err)
		require.Empty(t, report.Differs(), m.Name)
	}
	stop()
	require.NoError(t, <-done)
}

func TestADatabaseThatGoesAwayIsA503UntilItIsBack(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "slotbook-fault-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // the database's user has to enter
	db, err := pgembed.Open(t.Context(), pgembed.Config{Folder: folder})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s := serve(t, "--database-url", db.URL("postgres"))
	slots, patients := slotsOf(s, 4), s.patients(8)
	var l load
	l.run(func() *server { return s }, slots, patients)
	until(t, "bookings", func() bool { return l.bookings() > 20 })
	require.NoError(t, db.Close())
	until(t, "503s", func() bool { return l.count(http.StatusServiceUnavailable) > 20 })
	down := s.call(patience, http.MethodPost, "/v1/appointments", map[string]any{"slotId": slots[0], "patientId": patients[0]})
	require.Equal(t, http.StatusServiceUnavailable, down.status, down.text)
	require.NotEmpty(t, down.header.Get("Retry-After"))
	require.NotContains(t, down.text, "dial", "no internals in texts")
	require.Equal(t, http.StatusServiceUnavailable, s.get("/readyz").status)
	require.Equal(t, http.StatusOK, s.get("/livez").status)

	require.NoError(t, db.Restart(t.Context()))
	before := l.bookings()
	until(t, "bookings without a restart of the server", func() bool { return l.bookings() > before+20 })
	l.end()
	require.Zero(t, l.count(http.StatusInternalServerError))
	for k, id := range l.acknowledged {
		require.Equal(t, http.StatusOK, s.get("/v1/appointments/"+id).status, k)
	}
	audited(t, db.URL("postgres"))
	until(t, "readiness", func() bool { return s.get("/readyz").status == http.StatusOK })
}
