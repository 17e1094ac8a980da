package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands/historytest"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/slot"
)

// twoServers starts two processes on one database, each with a pool of the size
// that the address says.
func twoServers(t *testing.T) (url string, servers []*server) {
	t.Helper()
	url = postgrestest.Database(t)
	few := url + "&pool_max_conns=8"
	return url, []*server{watched(t, "--database-url", few), watched(t, "--database-url", few)}
}

// race sends 64 requests at once, half to each process, and counts the answers.
func race(servers []*server, body func(n int) map[string]any) (statuses map[int]int, refused []reply) {
	statuses = map[int]int{}
	var mu sync.Mutex
	var clients sync.WaitGroup
	start := make(chan struct{})
	for n := range 64 {
		clients.Go(func() {
			<-start
			r := servers[n%len(servers)].post("/v1/appointments", body(n), "Idempotency-Key", fmt.Sprint("client ", n))
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
			if r.status != http.StatusCreated {
				refused = append(refused, r)
			}
		})
	}
	close(start)
	clients.Wait()
	return statuses, refused
}

func TestSixtyFourClientsOverTwoProcesses(t *testing.T) {
	t.Parallel()
	for _, capacity := range []int{1, 3, 50} {
		t.Run(fmt.Sprintf("exactly %d of them book a slot of %d places", capacity, capacity), func(t *testing.T) {
			t.Parallel()
			url, servers := twoServers(t)
			_, slots := clinicWith(servers[0], 1, capacity)
			patients := servers[0].patients(64)
			statuses, refused := race(servers, func(n int) map[string]any {
				return map[string]any{"slotId": slots[0], "patientId": patients[n]}
			})
			require.Equal(t, map[int]int{http.StatusCreated: capacity, http.StatusConflict: 64 - capacity}, statuses, "%v", refused)
			for _, r := range refused {
				require.Equal(t, "slot.taken", r.field("rule"))
				require.Len(t, r.body["alternatives"], 3, r.text)
			}
			require.Contains(t, audited(t, url), fmt.Sprintf("%d live appointments", capacity))
		})
	}
	t.Run("one patient books one of two overlapping slots", func(t *testing.T) {
		t.Parallel()
		url, servers := twoServers(t)
		_, slots := clinicWith(servers[0], 2, 64)
		who := servers[0].patient("Ana")
		statuses, refused := race(servers, func(n int) map[string]any {
			return map[string]any{"slotId": slots[n%2], "patientId": who}
		})
		require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusConflict: 63}, statuses, "%v", refused)
		audited(t, url)
	})
}

// TestTheHTTPHistoryOfTwoSlotsIsLinearizable lets clients of two processes hold,
// renew, release, complete, request, approve, decline, book, move, cancel, undo
// and read by id; some give up before the answer comes. Holds last a second:
// once what is held at the end has lapsed, the clients go on.
func TestTheHTTPHistoryOfTwoSlotsIsLinearizable(t *testing.T) {
	t.Parallel()
	url, servers := twoServers(t)
	f := newHTTPFight(servers)
	history := historytest.New(f.config)
	clients := make([]*historytest.Client, 6)
	for n := range clients {
		clients[n] = f.client(history, n)
	}
	act := func(times int) {
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				for range times {
					c.Act()
				}
			})
		}
		all.Wait()
	}
	act(20)
	lapsed := time.Now().Add(time.Second + appointment.ClockSlack)
	until(t, "what is held has lapsed", func() bool { return time.Now().After(lapsed) })
	act(10)
	clients[0].Sweep()
	counts := history.Check(t)
	require.Positive(t, counts[historytest.Hold][historytest.Done])
	t.Log(counts)
	audited(t, url)
}

// httpFight is what clients of several processes fight for.
type httpFight struct {
	servers  []*server
	config   historytest.Config
	slots    []string
	patients []string
}

// newHTTPFight makes two slots that start at once: one of one place, and one of two
// whose practitioner approves.
func newHTTPFight(servers []*server) *httpFight {
	s, f := servers[0], &httpFight{servers: servers}
	clinic, slots := clinicWith(s, 1, 1)
	f.patients = s.patients(4)
	p := s.post("/v1/practitioners", map[string]any{"name": "Dr. Two", "clinicIds": []string{clinic}, "specialties": []string{"cardiology"}})
	require.Equal(s.t, http.StatusCreated, p.status, p.text)
	f.slots = slices.Concat(slots, s.openWeek(p.field("id"), clinic, 2))
	policies := map[string]map[string]any{"/v1/clinics/" + clinic: {"holdsShare": 100}, "/v1/practitioners/" + p.field("id"): {"approval": true}}
	for path, terms := range policies {
		set := s.insist(http.MethodPut, path+"/policy", terms)
		require.Equal(s.t, http.StatusOK, set.status, set.text)
	}
	f.config = historytest.Config{
		Slots: []historytest.Slot{{Capacity: 1}, {Capacity: 2, Approval: true}}, Undo: 10 * time.Minute, Late: patience,
		Now: func() (least, most time.Time) { now := time.Now(); return now, now },
	}
	return f
}

func (f *httpFight) client(history *historytest.Recorder, n int) *historytest.Client {
	c := &historytest.Client{Recorder: history, Name: n, Patients: f.patients, Seconds: 1, Random: rand.New(rand.NewPCG(uint64(n), 3))}
	const most = 2 // more that nobody knows may make more orders than can be tried
	unknown := 0
	c.Perform = func(op historytest.Op) historytest.Answer {
		timeout := patience
		if unknown < most && c.Random.IntN(6) == 0 {
			timeout = time.Duration(c.Random.IntN(3000)) * time.Microsecond // its outcome is unknown then
		}
		method, path, body := f.request(op)
		a := f.answer(op, f.servers[n%len(f.servers)].call(timeout, method, path, body))
		if a.Outcome == historytest.Unknown {
			unknown++
		}
		return a
	}
	return c
}

// request returns the request that performs an operation.
func (f *httpFight) request(op historytest.Op) (method, path string, body map[string]any) {
	one := "/v1/appointments/" + op.Appointment
	wish := map[string]any{"id": op.Appointment, "slotId": f.slots[op.Slot], "patientId": op.Patient}
	owner := map[string]any{"token": op.Token}
	switch op.Kind {
	case historytest.Read:
		return http.MethodGet, "/v1/slots/" + f.slots[op.Slot], nil
	case historytest.Book:
		wish["by"] = "clinic"
		return http.MethodPost, "/v1/appointments", wish
	case historytest.Request:
		return http.MethodPost, "/v1/appointments", wish
	case historytest.Hold:
		delete(wish, "id")
		wish["duration"], wish["session"] = "PT1S", op.Appointment
		return http.MethodPost, "/v1/holds", wish
	case historytest.Renew:
		owner["duration"] = "PT1S"
		return http.MethodPost, "/v1/holds/" + op.Appointment + "/renew", owner
	case historytest.Release:
		return http.MethodPost, "/v1/holds/" + op.Appointment + "/release", owner
	case historytest.Complete:
		return http.MethodPost, "/v1/appointments", map[string]any{"holdId": op.Appointment, "token": op.Token, "patientId": op.Patient}
	case historytest.Move:
		return http.MethodPost, one + "/reschedule", map[string]any{"slotId": f.slots[op.Slot], "initiator": "clinic"}
	case historytest.Cancel:
		return http.MethodPost, one + "/cancel", map[string]any{"initiator": "patient"}
	case historytest.Approve, historytest.Decline, historytest.Undo:
		return http.MethodPost, one + "/" + op.Kind.String(), map[string]any{}
	case historytest.Look, historytest.Lapse:
	}
	return http.MethodGet, one, nil
}

// answer tells what became of an operation.
func (f *httpFight) answer(op historytest.Op, r reply) historytest.Answer {
	var a historytest.Answer
	switch rule := r.field("rule"); {
	case r.status == http.StatusOK || r.status == http.StatusCreated:
	case op.Kind == historytest.Look && r.status == http.StatusNotFound:
		return a
	case slices.Contains([]string{slot.ErrTaken.Rule, occupancy.ErrTaken.Rule, quota.ErrHolds.Rule}, rule): // as much is held as there is room for
		a.Outcome = historytest.Taken
		return a
	case r.status >= http.StatusBadRequest && r.status < http.StatusInternalServerError:
		a.Outcome = historytest.Refused
		return a
	default:
		a.Outcome = historytest.Unknown
		return a
	}
	a.Free = r.field("status") == "free"
	switch appointment.Status(r.field("status")) {
	case appointment.Pending:
		a.Status = historytest.Pending
	case appointment.Booked:
		a.Status = historytest.Booked
	default:
	}
	a.Slot = slices.Index(f.slots, r.field("slotId"))
	if op.Kind == historytest.Hold {
		a.Appointment, a.Token = r.field("id"), r.field("token")
	}
	for _, name := range []string{"deadline", "expiresAt"} {
		if at, err := time.Parse(time.RFC3339Nano, r.field(name)); err == nil {
			a.Deadline = at
		}
	}
	return a
}
