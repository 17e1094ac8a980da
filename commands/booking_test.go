package commands_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestABookingTakesTheSlotAndThePatientsTime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		answer, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, answer.State.Status)
		require.False(t, answer.Replayed)
		require.Equal(t, domain.Revision(1), answer.Revision)
		require.Equal(t, []string{"slot.booked"}, w.types(slotStream(slots[0])))
		require.Equal(t, []string{"occupancy.booked"}, w.types(occupancy.Patient(w.ana).Stream("2026-06-01")))
		require.Equal(t, 0, w.slot(slots[0].ID).Free())
		require.Equal(t, 1, w.audit().Live())
	})
}

func TestATakenSlotIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		before := len(w.log())
		_, err = w.book(w.boris, slots[0].ID)
		require.ErrorIs(t, err, slot.ErrTaken)
		var conflict *commands.Conflict
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, slotStream(slots[0]), conflict.Stream)
		require.Equal(t, domain.Revision(0), conflict.Revision)
		require.Len(t, w.log(), before)
	})
}

func TestAPatientCannotHoldTwoOverlappingAppointments(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		here, there := w.open(w.silva, 1), w.open(w.souza, 1)
		_, err := w.book(w.ana, here[0].ID)
		require.NoError(t, err)
		_, err = w.book(w.ana, there[0].ID)
		require.ErrorIs(t, err, occupancy.ErrTaken)
		_, err = w.book(w.ana, there[1].ID)
		require.NoError(t, err, "what only touches does not overlap")
		w.audit()
	})
}

func TestACancelledSlotIsFreeAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		answer, err := w.cancel(w.booking(w.ana, slots[0].ID).Appointment)
		require.NoError(t, err)
		require.Equal(t, appointment.Cancelled, answer.State.Status)
		require.Equal(t, 1, w.slot(slots[0].ID).Free())
		again, err := w.cancel(w.booking(w.ana, slots[0].ID).Appointment)
		require.NoError(t, err)
		require.True(t, again.Replayed, "twice is once")
		_, err = w.book(w.boris, slots[0].ID)
		require.NoError(t, err)
		_, err = w.book(w.ana, slots[0].ID)
		require.ErrorIs(t, err, appointment.ErrExists, "the cancelled appointment's id is used up")
		w.audit()
	})
}

func TestTheSameCommandHasOneEffect(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		req := w.request()
		req.Hash = "the body"
		first, err := w.h.Book(w.ctx, req, w.booking(w.ana, slots[0].ID))
		require.NoError(t, err)
		_, err = w.cancel(w.booking(w.ana, slots[0].ID).Appointment)
		require.NoError(t, err)
		second, err := w.handler(w.store).Book(w.ctx, req, w.booking(w.ana, slots[0].ID))
		require.NoError(t, err)
		require.True(t, second.Replayed)
		require.Equal(t, first.State.Status, second.State.Status, "the state at that revision, not today's")
		require.Equal(t, first.Revision, second.Revision)

		req.Hash = "another body"
		_, err = w.h.Book(w.ctx, req, w.booking(w.ana, slots[0].ID))
		require.ErrorIs(t, err, commands.ErrKeyReused)
	})
}

func TestTheSameBookingByAnotherCommandIsTheSame(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		again, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		w.audit()
	})
}

func TestARefusalIsNotRemembered(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		req := w.request()
		_, err = w.h.Book(w.ctx, req, w.booking(w.boris, slots[0].ID))
		require.ErrorIs(t, err, slot.ErrTaken)
		_, err = w.cancel(w.booking(w.ana, slots[0].ID).Appointment)
		require.NoError(t, err)
		_, err = w.h.Book(w.ctx, req, w.booking(w.boris, slots[0].ID))
		require.NoError(t, err)
		w.audit()
	})
}

func TestADryRunDecidesAndStoresNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		before := len(w.log())
		req := w.request()
		req.DryRun = true
		answer, err := w.h.Book(w.ctx, req, w.booking(w.ana, slots[0].ID))
		require.NoError(t, err)
		require.Len(t, answer.Planned, 4)
		require.Len(t, w.log(), before)
		_, opening, err := w.h.SetSchedule(w.ctx, req, schedule.Set{Practitioner: w.souza, Pattern: w.weekdays("09:00", "10:00", 30, 1, 1)})
		require.NoError(t, err)
		require.Len(t, opening.Opened, 2)
		require.Len(t, w.log(), before)
	})
}

func TestWhatDoesNotExistIsSaidSo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(domain.PatientID(domain.NewID("nobody")), slots[0].ID)
		require.ErrorIs(t, err, patient.ErrNotFound)
		_, err = w.book(w.ana, "no slot")
		require.ErrorIs(t, err, schedule.ErrSlotGone)
		_, err = w.book(w.ana, slots[0].ID+"9")
		require.ErrorIs(t, err, schedule.ErrSlotGone)
		_, err = w.cancel("nothing")
		require.ErrorIs(t, err, appointment.ErrNotFound)
		w.clock.advance(8 * time.Hour)
		_, err = w.book(w.ana, slots[0].ID)
		require.ErrorIs(t, err, appointment.ErrPast)
	})
}

func TestIfMatchOfAnOldRevisionIsRefused(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		req, old := w.request(), domain.Revision(0)
		req.Expected = &old
		_, err = w.h.Cancel(w.ctx, req, commands.Cancellation{Appointment: w.booking(w.ana, slots[0].ID).Appointment, Initiator: appointment.ByClinic})
		require.ErrorIs(t, err, commands.ErrStale)
	})
}

func TestBothStoresKeepTheSameHistory(t *testing.T) {
	t.Parallel()
	history := func(stepByStep bool) map[domain.StreamName][]string {
		w := newWorld(t, stepByStep)
		here, there := w.open(w.silva, 1), w.open(w.souza, 2)
		for _, s := range []domain.SlotID{here[0].ID, here[0].ID, there[0].ID, there[1].ID} {
			for _, who := range []domain.PatientID{w.ana, w.boris, w.carlos} {
				_, _ = w.book(who, s)
			}
		}
		_, err := w.cancel(w.booking(w.ana, here[0].ID).Appointment)
		require.NoError(t, err)
		_, err = w.book(w.boris, here[0].ID)
		require.ErrorIs(t, err, occupancy.ErrTaken)
		w.set(w.silva, w.weekdays("10:00", "12:00", 60, 1, 2))
		return w.histories()
	}
	require.Equal(t, history(false), history(true))
}

func TestRaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ capacity, won int }{{1, 1}, {3, 3}, {50, 50}} {
		t.Run(fmt.Sprintf("of 64 patients %d get one of %d places", c.won, c.capacity), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				s := w.open(w.silva, c.capacity)[0]
				processes := []*commands.Handler{w.h, w.handler(w.store)}
				won, lost := race(w, processes, func(n int) commands.Booking {
					who := domain.PatientID(domain.NewID("patient", fmt.Sprint(n)))
					_, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: who, Name: "x"})
					require.NoError(t, err)
					return w.booking(who, s.ID)
				})
				require.Equal(t, c.won, won)
				for _, err := range lost {
					require.ErrorIs(t, err, slot.ErrTaken)
				}
				require.Equal(t, c.won, w.audit().Live())
			})
		})
	}
	t.Run("a patient who asks for overlapping slots at once gets one", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, w *world) {
			slots := []schedule.Slot{w.open(w.silva, 64)[0], w.open(w.souza, 64)[0]}
			won, lost := race(w, []*commands.Handler{w.h, w.handler(w.store)}, func(n int) commands.Booking {
				b := w.booking(w.ana, slots[n%2].ID)
				b.Appointment = domain.AppointmentID(domain.NewID(fmt.Sprint(n)))
				return b
			})
			require.Equal(t, 1, won)
			for _, err := range lost {
				require.ErrorIs(t, err, occupancy.ErrTaken)
			}
			w.audit()
		})
	})
}

// race lets 64 clients book at once, over several processes.
func race(w *world, processes []*commands.Handler, wish func(n int) commands.Booking) (won int, lost []error) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	start := make(chan struct{})
	for n := range 64 {
		b, req := wish(n), w.request()
		clients.Go(func() {
			<-start
			_, err := processes[n%len(processes)].Book(w.ctx, req, b)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				lost = append(lost, err)
			}
		})
	}
	close(start)
	clients.Wait()
	return won, lost
}
