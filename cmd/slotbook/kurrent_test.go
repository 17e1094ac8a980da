package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/kurrent/kurrenttest"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/domain"
)

// kurrentAddress returns the address of an event store in which nothing is: a real
// one's, if one is named, or a double's.
func kurrentAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv("SLOTBOOK_TEST_KURRENTDB")
	if address == "" {
		double, err := kurrenttest.Start(kurrenttest.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, double.Close()) })
		address = double.URL()
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + "streamPrefix=t" + strings.ReplaceAll(uuid.NewString(), "-", "") + "."
}

// inKurrent starts processes on a new database and a new event store.
func inKurrent(t *testing.T, processes int) (where []string, servers []*server) {
	t.Helper()
	where = []string{"--database-url", postgrestest.Database(t), "--event-store", kurrentAddress(t)}
	for range processes {
		servers = append(servers, serve(t, where...))
	}
	return where, servers
}

// auditedIn runs "slotbook audit" on a store and requires that it finds nothing.
func auditedIn(t *testing.T, where []string) {
	t.Helper()
	out, err := program(t, append([]string{"audit"}, where...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "I1 to I5 hold")
}

func TestABookingWithEventsInKurrentDB(t *testing.T) {
	t.Parallel()
	where, servers := inKurrent(t, 1)
	s := servers[0]
	_, slots := clinicWith(s, 1, 1)
	patient := s.patient("Ana")
	booked := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": patient}, "Idempotency-Key", "one")
	require.Equal(t, http.StatusCreated, booked.status, booked.text)
	again := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": patient}, "Idempotency-Key", "one")
	require.Equal(t, http.StatusOK, again.status, again.text)
	require.Equal(t, booked.field("id"), again.field("id"))
	list := s.get("/v1/appointments?patientId=" + patient + "&minPosition=" + booked.header.Get("Slotbook-Position"))
	require.Equal(t, http.StatusOK, list.status, list.text)
	require.Contains(t, list.text, booked.field("id"))
	unknown := s.get("/v1/appointments?patientId=" + patient + "&minPosition=99999999999")
	require.Equal(t, http.StatusUnprocessableEntity, unknown.status, unknown.text)
	changes := s.get("/v1/events?limit=200")
	require.Equal(t, http.StatusOK, changes.status, changes.text)
	require.Contains(t, changes.text, "appointment.booked")
	past := s.get("/v1/appointments/" + booked.field("id") + "?asOf=" + booked.header.Get("Slotbook-Position"))
	require.Equal(t, http.StatusOK, past.status, past.text)
	require.Eventually(t, func() bool { return s.get("/readyz").status == http.StatusOK }, patience, 50*time.Millisecond)
	require.Zero(t, s.stop())
	auditedIn(t, where)

	for _, command := range [][]string{
		{"events", "stats"},
		{"events", "tail", "--no-follow"},
		{"projections", "status"},
		{"store"},
		{"state", "appointment-" + booked.field("id")},
		{"projections", "verify", "--all"},
	} {
		out, err := program(t, append(command, where...)...).CombinedOutput()
		require.NoError(t, err, "%v: %s", command, out)
	}
	out, err := program(t, append([]string{"doctor"}, where...)...).CombinedOutput()
	_ = err // what the machine lacks is no matter here
	require.Contains(t, string(out), "events are in KurrentDB")
	out, err = program(t, "backup", t.TempDir()+"/b", "--database-url", where[1]).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "not in it")
	for _, command := range [][]string{{"backup", t.TempDir() + "/b"}, {"size"}} {
		out, err := program(t, append(command, where...)...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "PostgreSQL only")
	}
}

func TestADatabaseBelongsToOneEventStore(t *testing.T) {
	t.Parallel()
	where, servers := inKurrent(t, 1)
	require.Zero(t, servers[0].stop())
	out, err := program(t, "serve", "--listen", "127.0.0.1:0", "--database-url", where[1]).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "give its address with --event-store")
	out, err = program(t, "serve", "--listen", "127.0.0.1:0", "--database-url", where[1], "--event-store", kurrentAddress(t)).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "belongs to the event store")
	own := postgrestest.Database(t)
	s := serve(t, "--database-url", own)
	s.patient("Ana")
	require.Zero(t, s.stop())
	out, err = program(t, "serve", "--listen", "127.0.0.1:0", "--database-url", own, where[2], where[3]).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "slotbook events copy")
}

func TestSixtyFourClientsOverTwoProcessesWithEventsInKurrentDB(t *testing.T) {
	t.Parallel()
	where, servers := inKurrent(t, 2)
	_, slots := clinicWith(servers[0], 1, 1)
	patients := servers[0].patients(64)
	statuses, refused := race(servers, func(n int) map[string]any {
		return map[string]any{"slotId": slots[0], "patientId": patients[n]}
	})
	require.Equal(t, 1, statuses[http.StatusCreated], "%v", statuses)
	for _, r := range refused {
		require.Contains(t, []int{http.StatusConflict, http.StatusServiceUnavailable}, r.status, r.text)
	}
	auditedIn(t, where)
}

func TestAKilledProcessLeavesNothingThatTheNextClientDoesNotRepair(t *testing.T) {
	t.Parallel()
	where, servers := inKurrent(t, 2)
	_, slots := clinicWith(servers[0], 1, 1)
	patients := servers[0].patients(8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range patients[:4] {
			servers[1].call(5*time.Second, http.MethodPost, "/v1/appointments", map[string]any{"slotId": slots[0], "patientId": patients[i]})
		}
	}()
	servers[1].kill()
	<-done
	auditedIn(t, where)
	require.Eventually(t, func() bool {
		r := servers[0].post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": patients[7]})
		return r.status == http.StatusCreated || r.status == http.StatusConflict && !strings.Contains(r.text, "pending")
	}, time.Minute, 200*time.Millisecond)
	auditedIn(t, where)
}

// Whoever tries the address first, and is told to copy, has not yet said what
// positions there mean.
func TestALookAtKurrentDBBeforeTheCopyChangesNothing(t *testing.T) {
	t.Parallel()
	address, there := postgrestest.Database(t), kurrentAddress(t)
	s := serve(t, "--database-url", address)
	s.patient("Ana")
	require.Zero(t, s.stop())
	out, err := program(t, "store", "--database-url", address, "--event-store", there).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "slotbook events copy")
	out, err = program(t, "events", "copy", "--from", "postgres", "--to", there, "--json", "--database-url", address).CombinedOutput()
	require.NoError(t, err, string(out))
	var copied struct{ From, To uint64 }
	require.NoError(t, json.Unmarshal(out[bytes.LastIndexByte(out, '{'):], &copied), string(out))
	require.Greater(t, copied.To, uint64(postgres.FloorAbove(domain.Position(copied.From))), "its positions lie above all of the database's")
}

func TestALogMovesToKurrentDBAndBack(t *testing.T) {
	t.Parallel()
	address, there, cursor := postgrestest.Database(t), kurrentAddress(t), ""
	run := func(args ...string) string {
		out, err := program(t, append(args, "--database-url", address)...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	s := serve(t, "--database-url", address)
	_, slots := clinicWith(s, 1, 1)
	ana := s.patient("Ana")
	booked := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": ana})
	require.Equal(t, http.StatusCreated, booked.status, booked.text)
	require.Contains(t, run("events", "copy", "--from", "postgres", "--to", there), "--switch", "while it runs, to have less to do at the end")
	s.patient("Boris")
	require.Eventually(t, func() bool {
		cursor = s.get("/v1/patients?limit=1").field("next")
		return cursor != ""
	}, patience, 50*time.Millisecond)
	require.Zero(t, s.stop())

	reading := serve(t, "--database-url", address, "--read-only")
	require.Contains(t, run("events", "copy", "--from", "postgres", "--to", there, "--switch"), "switched")
	require.Eventually(t, func() bool { return reading.get("/readyz").status == http.StatusServiceUnavailable }, patience, 50*time.Millisecond)
	require.Zero(t, reading.stop())

	run("projections", "rebuild", "--all", "--event-store", there)
	s = serve(t, "--database-url", address, "--event-store", there)
	old := s.get("/v1/appointments/" + booked.field("id") + "?asOf=" + booked.header.Get("Slotbook-Position"))
	require.Equal(t, http.StatusUnprocessableEntity, old.status, "a position of the old store: "+old.text)
	feed := s.get("/v1/events?after=" + booked.header.Get("Slotbook-Position"))
	require.Equal(t, http.StatusUnprocessableEntity, feed.status, feed.text)
	require.Equal(t, "position.unknown", feed.field("rule"))
	outdated := s.get("/v1/patients?limit=1&cursor=" + url.QueryEscape(cursor))
	require.Equal(t, http.StatusUnprocessableEntity, outdated.status, outdated.text)
	require.Equal(t, "cursor.outdated", outdated.field("rule"))
	list := s.get("/v1/appointments?patientId=" + ana)
	require.Equal(t, http.StatusOK, list.status, list.text)
	require.Contains(t, list.text, booked.field("id"))
	cancelled := s.post("/v1/appointments/"+booked.field("id")+"/cancel", map[string]any{"initiator": "patient"})
	require.Equal(t, http.StatusOK, cancelled.status, cancelled.text)
	require.Zero(t, s.stop())
	auditedIn(t, []string{"--database-url", address, "--event-store", there})

	require.Contains(t, run("events", "copy", "--from", there, "--to", "postgres", "--switch"), "switched")
	run("projections", "rebuild", "--all")
	s = serve(t, "--database-url", address)
	back := s.get("/v1/appointments/" + booked.field("id"))
	require.Equal(t, http.StatusOK, back.status, back.text)
	require.Contains(t, back.text, "cancelled")
	foreign := s.get("/v1/appointments/" + booked.field("id") + "?asOf=" + cancelled.header.Get("Slotbook-Position"))
	require.Equal(t, http.StatusUnprocessableEntity, foreign.status, foreign.text)
	again := s.post("/v1/appointments", map[string]any{"slotId": slots[0], "patientId": s.patient("Carlos")})
	require.Equal(t, http.StatusCreated, again.status, again.text)
	audited(t, address)
}

// A second move would give the positions of what has happened in the database
// meanwhile to other events.
func TestASecondMoveToOneEventStoreIsRefused(t *testing.T) {
	t.Parallel()
	address, there := postgrestest.Database(t), kurrentAddress(t)
	move := func(from, to string) executed {
		return execute(t, "events", "copy", "--from", from, "--to", to, "--switch", "--database-url", address)
	}
	happens := func(where ...string) {
		s := serve(t, append(where, "--database-url", address)...)
		s.patient("Ana")
		require.Zero(t, s.stop())
	}
	happens()
	require.Zero(t, move("postgres", there).status)
	happens("--event-store", there)
	require.Zero(t, move(there, "postgres").status)

	again := move("postgres", there)
	require.Equal(t, 2, again.status, again.err)
	require.Contains(t, again.err, "name another streamPrefix")
	happens() // the database still has its own events
	elsewhere := move("postgres", strings.TrimSuffix(there, ".")+"x.")
	require.Zero(t, elsewhere.status, elsewhere.err)
}
