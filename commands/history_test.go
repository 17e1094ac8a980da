package commands_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/commands/historytest"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/slot"
)

// TestConcurrentHistoriesAreLinearizable lets clients of three processes book,
// cancel and read one slot; every fifth call dies at a random append.
func TestConcurrentHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id := w.open(w.silva, 1)[0].ID
		history := historytest.New()
		var clients sync.WaitGroup
		for c := range 6 {
			client := &historian{w: w, slot: id, name: c, h: w.handler(w.store), random: rand.New(rand.NewPCG(uint64(c), 7))}
			_, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: client.patient(), Name: "x"})
			require.NoError(t, err)
			clients.Go(func() {
				for n := range 25 {
					client.do(history, n)
				}
			})
		}
		clients.Wait()
		require.Equal(t, 150, history.Check(t))
		require.GreaterOrEqual(t, len(w.types(slot.Stream(id))), 6, "the slot was booked and released again and again")
		w.audit()
	})
}

type historian struct {
	w      *world
	slot   domain.SlotID
	name   int
	h      *commands.Handler
	random *rand.Rand
	booked domain.AppointmentID
}

func (c *historian) patient() domain.PatientID {
	return domain.PatientID(domain.NewID("historian", fmt.Sprint(c.name)))
}

func (c *historian) do(history *historytest.Recorder, n int) {
	req := commands.Request{Command: domain.NewID("history", fmt.Sprint(c.name, n)), Actor: "local"}
	h := c.h
	if c.random.IntN(5) == 0 {
		h = c.w.handler(&crashing{Store: c.w.store, appends: c.random.IntN(5), after: c.random.IntN(2) == 0})
	}
	switch {
	case c.random.IntN(3) == 0:
		history.Do(c.name, historytest.Read, "", func() historytest.Outcome { return c.read() })
	case c.booked != "":
		id := c.booked
		done := history.Do(c.name, historytest.Cancel, string(id), func() historytest.Outcome {
			_, err := h.Cancel(c.w.ctx, req, commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
			return outcome(err)
		})
		if done == historytest.Done {
			c.booked = ""
		}
	default:
		b := commands.Booking{Appointment: domain.AppointmentID(req.Command), Slots: []domain.SlotID{c.slot}, Patient: c.patient()}
		done := history.Do(c.name, historytest.Book, string(b.Appointment), func() historytest.Outcome {
			_, err := h.Book(c.w.ctx, req, b)
			return outcome(err)
		})
		if done == historytest.Done {
			c.booked = b.Appointment
		}
		c.w.clock.advance(4 * time.Second)
	}
}

func (c *historian) read() historytest.Outcome {
	answer, err := c.h.Slot(context.Background(), c.slot)
	switch {
	case err != nil:
		return historytest.Unknown
	case answer.State.Free() > 0:
		return historytest.Free
	}
	return historytest.Taken
}

func outcome(err error) historytest.Outcome {
	switch {
	case err == nil:
		return historytest.Done
	case errors.Is(err, slot.ErrTaken):
		return historytest.Refused
	}
	return historytest.Unknown
}
