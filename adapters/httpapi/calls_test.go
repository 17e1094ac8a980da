package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/eventcodec"
	"github.com/slotbook/slotbook/adapters/postgres"
	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
)

// Two desks, each with a process of its own over one database, call 1,000
// people each out of 200 queues: nobody twice, and nobody is left out.
func TestTwoDesksOfTwoProcessesCallTwoThousandPeopleOnceEach(t *testing.T) {
	t.Parallel()
	const queues, people, day = 200, 10, domain.Day("2026-03-02")
	url := postgrestest.Database(t)
	now := func() time.Time { return at("2026-03-02T08:00:00Z") }
	process := func() (*postgres.Store, *commands.Handler) {
		pool, err := postgres.Pool(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		keys, err := postgres.NewKeys(pool, slices.Repeat([]byte{7}, 32))
		require.NoError(t, err)
		store, err := postgres.New(postgres.Config{Pool: pool, Codec: eventcodec.New(keys)})
		require.NoError(t, err)
		follow(t, store.Run)
		newID := func() string { return uuid.Must(uuid.NewV7()).String() }
		return store, commands.New(commands.Config{Store: store, Now: now, NewID: newID, Patience: time.Minute})
	}
	store, one := process()
	_, two := process()
	at := domain.ClinicID(uuid.NewString())
	_, err := one.RegisterClinic(t.Context(), request("clinic"), clinic.Register{Clinic: at, Profile: clinic.Profile{Name: "Central", Zone: "Europe/Lisbon"}})
	require.NoError(t, err)
	var of []commands.Queue
	for n := range queues {
		who := domain.PractitionerID(uuid.NewString())
		_, err := one.RegisterPractitioner(t.Context(), request("practitioner", n), practitioner.Register{
			Practitioner: who, Profile: practitioner.Profile{Name: fmt.Sprint("Dr. ", n), Clinics: []domain.ClinicID{at}},
		})
		require.NoError(t, err)
		of = append(of, commands.Queue{Practitioner: who, Clinic: at, Day: day})
		_, err = store.Append(t.Context(), commands.Write{Stream: of[n].Stream(), Expected: domain.NoStream, Events: waiting(of[n], people, now())})
		require.NoError(t, err)
	}
	var calls [2]atomic.Int64
	var clients sync.WaitGroup
	for desk, h := range []*commands.Handler{one, two} {
		for part := range 4 { // a desk may have several clerks: they work through other queues
			clients.Go(func() {
				for n := part; n < queues; n += 4 {
					calls[desk].Add(int64(callAll(t, h, of[n], fmt.Sprint("desk ", desk+1), people/2)))
				}
			})
		}
	}
	clients.Wait()
	require.Equal(t, []int64{1000, 1000}, []int64{calls[0].Load(), calls[1].Load()})
	for _, q := range of {
		_, answer, err := one.Queue(t.Context(), q)
		require.NoError(t, err)
		for _, ticket := range answer.State.Tickets {
			require.Equal(t, queue.Finished, ticket.Status)
			require.Equal(t, 1, ticket.Calls, "nobody is called twice")
		}
	}
}

func request(of ...any) commands.Request {
	return commands.Request{Command: domain.NewID(fmt.Sprint(of...)), Actor: "local"}
}

// waiting are the events of people who came one after the other.
func waiting(q commands.Queue, people int, since time.Time) (events []commands.NewEvent) {
	for n := range people {
		entry := queue.Entry{ID: fmt.Sprint("w", n), Ticket: n + 1, Practitioner: q.Practitioner, Day: q.Day, Clinic: q.Clinic, Since: since}
		events = append(events, commands.NewEvent{ID: uuid.NewString(), Event: queue.HasJoined{Entry: entry, By: "local"}})
	}
	return events
}

// callAll has a desk call so many people, one after the other, and returns how
// many it called.
func callAll(t *testing.T, h *commands.Handler, q commands.Queue, desk string, people int) (called int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for n := range people {
		_, ticket, err := h.CallNext(ctx, request(q.Practitioner, desk, n, "call"), q, commands.Calling{Desk: desk})
		if err == nil {
			_, _, err = h.FinishTicket(ctx, request(q.Practitioner, desk, n, "finish"), q, ticket.Entry.Ticket)
		}
		if err != nil {
			t.Error(errors.Join(err, fmt.Errorf("%s, person %d", desk, n)))
			return called
		}
		called++
	}
	return called
}
