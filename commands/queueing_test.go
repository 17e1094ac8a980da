package commands_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/queue"
)

// silvas is the queue of the first practitioner today.
func (w *world) silvas() commands.Queue { return commands.Queue{Practitioner: w.silva} }

// queue returns where everybody in a queue is, by ticket.
func (w *world) queue(q commands.Queue) (where []string) {
	_, answer, err := w.h.Queue(w.ctx, q)
	require.NoError(w.t, err)
	for _, t := range answer.State.Tickets {
		where = append(where, fmt.Sprint(t.Ticket, " ", t.Status))
	}
	return where
}

// joins gives somebody unknown a ticket.
func (w *world) joins() int {
	_, t, err := w.h.JoinQueue(w.ctx, w.request(), w.silvas(), commands.WalkIn{})
	require.NoError(w.t, err)
	return t.Entry.Ticket
}

// arrives has the patient of a slot of the first practitioner come.
func (w *world) arrives() (domain.AppointmentID, commands.Request) {
	booked, err := w.book(w.ana, w.open(w.silva, 1)[0].ID)
	require.NoError(w.t, err)
	set, _ := booked.State.Current()
	req := w.request()
	_, err = w.h.Arrive(w.ctx, req, set.Appointment, time.Time{})
	require.NoError(w.t, err)
	return set.Appointment, req
}

func TestTheQueueFollowsTheAppointment(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id, arrived := w.arrives()
		require.Equal(t, []string{"1 waiting"}, w.queue(w.silvas()))
		_, err := w.h.CheckIn(w.ctx, w.request(), id, time.Time{})
		require.NoError(t, err)
		require.Equal(t, []string{"1 in-service"}, w.queue(w.silvas()))
		_, err = w.h.Fulfil(w.ctx, w.request(), id, time.Time{})
		require.NoError(t, err)
		require.Equal(t, []string{"1 finished"}, w.queue(w.silvas()))
		_, err = w.h.Arrive(w.ctx, arrived, id, time.Time{})
		require.NoError(t, err)
		require.Equal(t, []string{"1 finished"}, w.queue(w.silvas()), "twice is once")
		_, err = w.h.Undo(w.ctx, w.request(), id)
		require.NoError(t, err)
		require.Equal(t, []string{"1 in-service"}, w.queue(w.silvas()))
		w.audit()
	})
}

func TestAnUndoneCheckInHasThePatientWait(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id, _ := w.arrives()
		_, err := w.h.CheckIn(w.ctx, w.request(), id, time.Time{})
		require.NoError(t, err)
		undo := w.request()
		for range 2 {
			_, err = w.h.Undo(w.ctx, undo, id)
			require.NoError(t, err)
			require.Equal(t, []string{"1 waiting"}, w.queue(w.silvas()))
		}
	})
}

func TestAnUndoneArrivalWithdrawsThePatient(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id, _ := w.arrives()
		_, err := w.h.Undo(w.ctx, w.request(), id)
		require.NoError(t, err)
		require.Equal(t, []string{"1 withdrawn"}, w.queue(w.silvas()))
		_, err = w.h.Arrive(w.ctx, w.request(), id, time.Time{})
		require.NoError(t, err)
		require.Equal(t, []string{"1 withdrawn", "2 waiting"}, w.queue(w.silvas()))
	})
}

func TestACancelledAppointmentLeavesTheQueue(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id, _ := w.arrives()
		_, err := w.cancel(id)
		require.NoError(t, err)
		_, err = w.cancel(id)
		require.NoError(t, err, "twice is once")
		require.Equal(t, []string{"1 withdrawn"}, w.queue(w.silvas()))
		require.Len(t, w.types(queue.Stream(w.silva, "2026-06-01")), 2)
	})
}

func TestAnArrivalThatDiedBeforeTheQueueIsFinishedByARepeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	booked, err := w.book(w.ana, w.open(w.silva, 1)[0].ID)
	require.NoError(t, err)
	id, req := w.idOf(booked), w.request()
	_, err = w.handler(&crashing{Store: w.store, appends: 1}).Arrive(w.ctx, req, id, time.Time{})
	require.ErrorIs(t, err, errCrash)
	require.Empty(t, w.queue(w.silvas()))
	for range 2 {
		_, err = w.h.Arrive(w.ctx, req, id, time.Time{})
		require.NoError(t, err)
		require.Equal(t, []string{"1 waiting"}, w.queue(w.silvas()))
	}
}

func TestARehearsedArrivalSaysWhatTheQueueWouldNote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	booked, err := w.book(w.ana, w.open(w.silva, 1)[0].ID)
	require.NoError(t, err)
	req := w.request()
	req.DryRun = true
	answer, err := w.h.Arrive(w.ctx, req, w.idOf(booked), time.Time{})
	require.NoError(t, err)
	require.Len(t, answer.Planned, 2)
	require.Empty(t, w.queue(w.silvas()))
}

func TestAWalkInHasATicket(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		req := w.request()
		for range 2 {
			_, ticket, err := w.h.JoinQueue(w.ctx, req, w.silvas(), commands.WalkIn{Patient: w.ana})
			require.NoError(t, err)
			require.Equal(t, 1, ticket.Entry.Ticket)
			require.Equal(t, w.clinic, ticket.Clinic)
			require.Equal(t, domain.Day("2026-06-01"), ticket.Day)
		}
		join := func(q commands.Queue, who domain.PatientID) error {
			_, _, err := w.h.JoinQueue(w.ctx, w.request(), q, commands.WalkIn{Patient: who})
			return err
		}
		require.ErrorIs(t, join(w.silvas(), w.ana), queue.ErrAlready)
		require.ErrorIs(t, join(w.silvas(), "nobody"), patient.ErrNotFound)
		require.ErrorIs(t, join(commands.Queue{Practitioner: "nobody"}, ""), practitioner.ErrNotFound)
		require.ErrorIs(t, join(commands.Queue{Practitioner: w.silva, Clinic: "none"}, ""), clinic.ErrNotFound)
		require.ErrorIs(t, join(commands.Queue{Practitioner: w.silva, Day: "2026-06-02"}, ""), queue.ErrNotToday)
		require.ErrorIs(t, join(commands.Queue{Practitioner: w.silva, Day: "tomorrow"}, ""), domain.ErrBadDay)
		other := domain.ClinicID(domain.NewID("other clinic"))
		_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: other, Profile: clinic.Profile{Name: "Other", Zone: "Europe/Lisbon"}})
		require.NoError(t, err)
		require.ErrorIs(t, join(commands.Queue{Practitioner: w.silva, Clinic: other}, ""), commands.ErrNotHere)
		_, err = w.h.CloseClinic(w.ctx, w.request(), w.clinic)
		require.NoError(t, err)
		require.ErrorIs(t, join(w.silvas(), ""), clinic.ErrClosed)
	})
}

func TestADeskCalls(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		call := func(req commands.Request, desk string) (int, error) {
			_, ticket, err := w.h.CallNext(w.ctx, req, w.silvas(), commands.Calling{Desk: desk})
			return ticket.Entry.Ticket, err
		}
		require.Equal(t, []int{1, 2}, []int{w.joins(), w.joins()})
		first := w.request()
		for range 2 {
			n, err := call(first, "1")
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
		n, err := call(w.request(), "1")
		require.NoError(t, err)
		require.Equal(t, 1, n, "without a key the desk has the same person")
		_, _, err = w.h.StartTicket(w.ctx, w.request(), w.silvas(), 1)
		require.NoError(t, err)
		_, err = call(w.request(), "1")
		require.ErrorIs(t, err, queue.ErrDeskBusy)
		_, _, err = w.h.FinishTicket(w.ctx, w.request(), w.silvas(), 1)
		require.NoError(t, err)
		n, err = call(w.request(), "1")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		n, err = call(first, "1")
		require.NoError(t, err)
		require.Equal(t, 1, n, "the same command is answered as it was")
		_, err = call(w.request(), "2")
		require.ErrorIs(t, err, queue.ErrEmpty)
	})
}

func TestTicketsAreHandled(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.joins()
		w.joins()
		_, ticket, err := w.h.MarkUrgent(w.ctx, w.request(), w.silvas(), 2, queue.Pain)
		require.NoError(t, err)
		require.Equal(t, queue.Pain, ticket.Urgent)
		_, ticket, err = w.h.CallNext(w.ctx, w.request(), w.silvas(), commands.Calling{Desk: "1"})
		require.NoError(t, err)
		require.Equal(t, 2, ticket.Entry.Ticket)
		w.clock.advance(time.Minute)
		_, ticket, err = w.h.RecallTicket(w.ctx, w.request(), w.silvas(), 2)
		require.NoError(t, err)
		require.Equal(t, 2, ticket.Calls)
		_, ticket, err = w.h.MoveToRoom(w.ctx, w.request(), w.silvas(), 2, "B")
		require.NoError(t, err)
		require.Equal(t, "B", ticket.Room)
		_, _, err = w.h.SkipTicket(w.ctx, w.request(), w.silvas(), 1)
		require.NoError(t, err)
		require.Equal(t, []string{"1 skipped", "2 called"}, w.queue(w.silvas()))
		_, _, err = w.h.ReturnTicket(w.ctx, w.request(), w.silvas(), 1)
		require.NoError(t, err)
		_, _, err = w.h.LeaveQueue(w.ctx, w.request(), w.silvas(), 1, false)
		require.NoError(t, err)
		_, _, err = w.h.LeaveQueue(w.ctx, w.request(), w.silvas(), 2, true)
		require.NoError(t, err)
		require.Equal(t, []string{"1 left", "2 noshow"}, w.queue(w.silvas()))
	})
}

func TestATransferIsFollowed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		id, _ := w.arrives()
		souzas := commands.Queue{Practitioner: w.souza}
		_, _, err := w.h.TransferTicket(w.ctx, w.request(), w.silvas(), 1, "nobody")
		require.ErrorIs(t, err, practitioner.ErrNotFound)
		_, _, err = w.h.TransferTicket(w.ctx, w.request(), w.silvas(), 1, w.silva)
		require.ErrorIs(t, err, queue.ErrSame)
		_, _, err = w.h.MarkUrgent(w.ctx, w.request(), w.silvas(), 1, queue.Child)
		require.NoError(t, err)
		req := w.request()
		for _, again := range []commands.Request{req, req, w.request()} {
			_, there, err := w.h.TransferTicket(w.ctx, again, w.silvas(), 1, w.souza)
			require.NoError(t, err)
			require.Equal(t, 1, there.Entry.Ticket)
			require.Equal(t, w.souza, there.Practitioner)
			require.Equal(t, queue.Child, there.Urgent)
		}
		require.Equal(t, []string{"1 transferred"}, w.queue(w.silvas()))
		require.Equal(t, []string{"1 waiting"}, w.queue(souzas))
		_, err = w.h.CheckIn(w.ctx, w.request(), id, time.Time{})
		require.NoError(t, err)
		require.Equal(t, []string{"1 in-service"}, w.queue(souzas))
	})
}

func TestATransferStaysAtTheClinic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.joins()
	lima, other := domain.PractitionerID(domain.NewID("lima")), domain.ClinicID(domain.NewID("other clinic"))
	_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: other, Profile: clinic.Profile{Name: "Other", Zone: "Europe/Lisbon"}})
	require.NoError(t, err)
	_, err = w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
		Practitioner: lima, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{other}},
	})
	require.NoError(t, err)
	_, _, err = w.h.TransferTicket(w.ctx, w.request(), w.silvas(), 1, lima)
	require.ErrorIs(t, err, commands.ErrNotHere)
	require.Equal(t, []string{"1 waiting"}, w.queue(w.silvas()))
	_, _, err = w.h.Queue(w.ctx, commands.Queue{Practitioner: lima, Clinic: w.clinic})
	require.ErrorIs(t, err, commands.ErrNotHere)
}

func TestATransferThatDiedHalfWayIsFinishedByARepeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.joins()
	req, souzas := w.request(), commands.Queue{Practitioner: w.souza}
	_, _, err := w.handler(&crashing{Store: w.store, appends: 1}).TransferTicket(w.ctx, req, w.silvas(), 1, w.souza)
	require.ErrorIs(t, err, errCrash)
	require.Empty(t, w.queue(souzas))
	for range 2 {
		_, _, err = w.h.TransferTicket(w.ctx, req, w.silvas(), 1, w.souza)
		require.NoError(t, err)
		require.Equal(t, []string{"1 waiting"}, w.queue(souzas))
	}
}

// Many clients at two desks, over two processes, call until nobody waits; each
// call is sent twice, as a client does that had no answer.
func TestTwoDesksNeverCallOnePerson(t *testing.T) {
	t.Parallel()
	const people, clients = 24, 8
	both(t, func(t *testing.T, w *world) {
		for range people {
			w.joins()
		}
		var mu sync.Mutex
		finished := map[int]int{}
		failed := w.contest(clients, func(h *commands.Handler, req commands.Request, n int) error {
			desk := fmt.Sprint(n%2 + 1)
			for i := 0; ; i++ {
				again := req
				again.Command = domain.NewID(req.Command, fmt.Sprint(i))
				_, ticket, err := h.CallNext(w.ctx, again, w.silvas(), commands.Calling{Desk: desk})
				if errors.Is(err, queue.ErrEmpty) {
					return nil
				}
				if err != nil {
					return err
				}
				_, _, err = h.CallNext(w.ctx, again, w.silvas(), commands.Calling{Desk: desk})
				if err != nil && !errors.Is(err, queue.ErrEmpty) {
					return err
				}
				done := again
				done.Command = domain.NewID(again.Command, "finish")
				if _, _, err := h.FinishTicket(w.ctx, done, w.silvas(), ticket.Entry.Ticket); err != nil {
					return err
				}
				mu.Lock()
				finished[ticket.Entry.Ticket]++
				mu.Unlock()
			}
		})
		require.Empty(t, failed)
		require.Len(t, finished, people)
		calls := map[int]int{}
		for _, r := range w.log() {
			if e, ok := r.Event.(queue.WasCalled); ok {
				calls[e.Ticket]++
				require.Equal(t, 1, calls[e.Ticket], "ticket %d", e.Ticket)
			}
		}
		require.Len(t, calls, people)
	})
}

func TestTheQueuesOfAClinic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.joins()
	states, day, err := w.h.ClinicQueues(w.ctx, w.clinic, "", []domain.PractitionerID{w.silva, w.souza})
	require.NoError(t, err)
	require.Equal(t, domain.Day("2026-06-01"), day)
	require.Len(t, states[w.silva].State.Tickets, 1)
	require.Empty(t, states[w.souza].State.Tickets)
	_, _, err = w.h.ClinicQueues(w.ctx, "nowhere", "", nil)
	require.ErrorIs(t, err, clinic.ErrNotFound)
}
