package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands/historytest"
)

// twoServers starts two processes on one database.
func twoServers(t *testing.T) (url string, servers []*server) {
	t.Helper()
	url = postgrestest.Database(t)
	return url, []*server{serve(t, "--database-url", url), serve(t, "--database-url", url)}
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
			r := servers[n%len(servers)].post("/v1/appointments", body(n))
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

// TestTheHTTPHistoryOfASlotIsLinearizable lets clients of two processes book,
// cancel and read by id; some give up before the answer comes.
func TestTheHTTPHistoryOfASlotIsLinearizable(t *testing.T) {
	t.Parallel()
	url, servers := twoServers(t)
	_, slots := clinicWith(servers[0], 1, 1)
	patients := servers[0].patients(8)
	history := historytest.New()
	var clients sync.WaitGroup
	for n, patient := range patients {
		clients.Go(func() {
			c := &httpHistorian{name: n, server: servers[n%2], slot: slots[0], patient: patient, random: rand.New(rand.NewPCG(uint64(n), 3))}
			for step := range 30 {
				c.do(history, step)
			}
		})
	}
	clients.Wait()
	require.Equal(t, 240, history.Check(t))
	audited(t, url)
}

type httpHistorian struct {
	name    int
	server  *server
	slot    string
	patient string
	random  *rand.Rand
	booked  string
}

// timeout is short for every sixth request: its outcome is unknown then.
func (c *httpHistorian) timeout() time.Duration {
	if c.random.IntN(6) == 0 {
		return time.Duration(c.random.IntN(3000)) * time.Microsecond
	}
	return patience
}

func (c *httpHistorian) do(history *historytest.Recorder, step int) {
	switch {
	case c.random.IntN(3) == 0:
		history.Do(c.name, historytest.Read, "", func() historytest.Outcome {
			r := c.server.call(c.timeout(), http.MethodGet, "/v1/slots/"+c.slot, nil)
			switch {
			case r.status != http.StatusOK:
				return historytest.Unknown
			case r.field("status") == "free":
				return historytest.Free
			}
			return historytest.Taken
		})
	case c.booked != "":
		done := history.Do(c.name, historytest.Cancel, c.booked, func() historytest.Outcome {
			return c.outcome(c.server.call(c.timeout(), http.MethodPost, "/v1/appointments/"+c.booked+"/cancel", map[string]any{"initiator": "patient"}))
		})
		if done == historytest.Done {
			c.booked = ""
		}
	default:
		id := newUUID("history", c.slot, fmt.Sprint(c.name, step))
		done := history.Do(c.name, historytest.Book, id, func() historytest.Outcome {
			return c.outcome(c.server.call(c.timeout(), http.MethodPost, "/v1/appointments", map[string]any{"id": id, "slotId": c.slot, "patientId": c.patient}))
		})
		if done == historytest.Done {
			c.booked = id
		}
	}
}

func (c *httpHistorian) outcome(r reply) historytest.Outcome {
	switch {
	case r.status == http.StatusCreated || r.status == http.StatusOK:
		return historytest.Done
	case r.status == http.StatusConflict && r.field("rule") == "slot.taken":
		return historytest.Refused
	}
	return historytest.Unknown
}
