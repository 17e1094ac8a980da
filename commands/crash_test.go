package commands_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/occupancy"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// appends is how many appends a booking is on a store that takes one write at
// a time: proposed, two claims, booked.
const appends = 4

// crash lets a booking die at its n-th append.
func crash(w *world, req commands.Request, b commands.Booking, n int, after bool) {
	dying := &crashing{Store: w.store, appends: n, after: after}
	_, err := w.handler(dying).Book(w.ctx, req, b)
	require.ErrorIs(w.t, err, errCrash)
}

func eachCrash(t *testing.T, test func(t *testing.T, w *world, n int, after bool)) {
	t.Helper()
	for n := range appends {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at append %d, stored %t", n, after), func(t *testing.T) {
				t.Parallel()
				test(t, newWorld(t, true), n, after)
			})
		}
	}
}

func TestACrashIsRepairedByAnotherClientsRequestAlone(t *testing.T) {
	t.Parallel()
	eachCrash(t, func(t *testing.T, w *world, n int, after bool) {
		s := w.open(w.silva, 1)[0]
		crash(w, w.request(), w.booking(w.ana, s.ID), n, after)
		w.audit()
		booked, claimed := n == appends-1 && after, n == appends-1 || n == appends-2 && after

		_, err := w.book(w.boris, s.ID)
		if claimed {
			require.ErrorIs(t, err, slot.ErrTaken, "until the deadline the dead process's claim counts")
		}
		w.clock.advance(12 * time.Second)
		_, err = w.book(w.boris, s.ID)
		if booked {
			require.ErrorIs(t, err, slot.ErrTaken, "the booking was complete")
		} else {
			require.NoError(t, err)
		}
		_, err = w.book(w.ana, w.open(w.souza, 1)[0].ID)
		if booked {
			require.ErrorIs(t, err, occupancy.ErrTaken)
		} else {
			require.NoError(t, err, "the dead claim on the patient's time is released by whoever meets it")
		}
		w.audit()
	})
}

func TestAHelperActsForTheSystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	crash(w, w.request(), w.booking(w.ana, s.ID), appends-1, false)
	w.clock.advance(12 * time.Second)
	_, err := w.book(w.boris, s.ID)
	require.NoError(t, err)
	for _, r := range w.log() {
		switch r.Event.(type) {
		case appointment.HasLapsed, slot.Released:
			require.Equal(t, "system", r.Metadata.Actor)
			require.NotEmpty(t, r.Metadata.Causation)
		}
	}
	require.Equal(t, []string{"slot.booked", "slot.released", "slot.booked"}, w.types(slotStream(s)))
	dead := appointment.Stream(w.booking(w.ana, s.ID).Appointment)
	require.Equal(t, []string{"appointment.proposed", "appointment.lapsed"}, w.types(dead))
}

func TestACrashIsRepairedByTheSameCommandSentAgain(t *testing.T) {
	t.Parallel()
	eachCrash(t, func(t *testing.T, w *world, n int, after bool) {
		s := w.open(w.silva, 1)[0]
		req := w.request()
		crash(w, req, w.booking(w.ana, s.ID), n, after)
		answer, err := w.h.Book(w.ctx, req, w.booking(w.ana, s.ID))
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, answer.State.Status)
		require.Len(t, answer.State.Sets, 1, "the interrupted set goes on")
		require.Equal(t, 1, w.audit().Live())
	})
}

func TestTheSameCommandAfterItsDeadlineOpensTheNextSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	req := w.request()
	crash(w, req, w.booking(w.ana, s.ID), appends-1, false)
	w.clock.advance(11 * time.Second)
	answer, err := w.h.Book(w.ctx, req, w.booking(w.ana, s.ID))
	require.NoError(t, err)
	require.Len(t, answer.State.Sets, 2)
	w.audit()
}

// TestLapseAgainstBooking lets a helper lapse a set while its owner is about
// to book it: exactly one of them wins, whoever is first.
func TestLapseAgainstBooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	var helped error
	slow := &pausing{Store: w.store, at: appends, pause: func() {
		w.clock.advance(12 * time.Second) // the owner has judged its clock; now it sleeps
		_, helped = w.book(w.boris, s.ID)
	}}
	_, err := w.handler(slow).Book(w.ctx, w.request(), w.booking(w.ana, s.ID))
	require.NoError(t, helped)
	require.ErrorIs(t, err, slot.ErrTaken, "the owner finds its set lapsed and decides again")
	require.Equal(t, 1, w.audit().Live())
}

func TestARaceLostHalfWayLeavesARefusalThatIsNeverLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0]
	slow := &pausing{Store: w.store, at: 3, pause: func() { // before the claim on the slot
		_, err := w.book(w.boris, s.ID)
		require.NoError(t, err)
	}}
	_, err := w.handler(slow).Book(w.ctx, w.request(), w.booking(w.ana, s.ID))
	require.ErrorIs(t, err, slot.ErrTaken)
	own := appointment.Stream(w.booking(w.ana, s.ID).Appointment)
	require.Equal(t, []string{"appointment.proposed", "appointment.refused"}, w.types(own))
	_, err = w.book(w.ana, w.open(w.souza, 1)[0].ID)
	require.NoError(t, err, "the patient's time was given back")
	w.audit()
}

// pausing does something else before its n-th append, once.
type pausing struct {
	commands.Store
	at    int
	count int
	pause func()
}

func (p *pausing) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	p.count++
	if p.count == p.at {
		p.pause()
	}
	return p.Store.Append(ctx, writes...)
}

func TestACancellationThatCrashedIsFinishedByAnybody(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		t.Run(fmt.Sprintf("after append %d", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			s := w.open(w.silva, 1)[0]
			_, err := w.book(w.ana, s.ID)
			require.NoError(t, err)
			dying := &crashing{Store: w.store, appends: n, after: true}
			_, err = w.handler(dying).Cancel(w.ctx, w.request(), commands.Cancellation{
				Appointment: w.booking(w.ana, s.ID).Appointment, Initiator: appointment.ByClinic,
			})
			if n == 0 {
				require.ErrorIs(t, err, errCrash)
			} else {
				require.NoError(t, err, "from the commit point on nothing can fail the command")
			}
			require.Equal(t, 1, w.slot(s.ID).Free(), "a dead claim does not count")
			_, err = w.book(w.boris, s.ID)
			require.NoError(t, err)
			w.audit()
		})
	}
}

// TestNoSequenceOfCommandsAndCrashesBreaksTheInvariants lets random clients hold,
// renew, release, complete, request, approve, decline, book, move, cancel, undo,
// change schedules, wait and die, on both stores.
func TestNoSequenceOfCommandsAndCrashesBreaksTheInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Bool().Draw(t, "step by step"))
		slots := append(w.open(w.silva, rapid.IntRange(1, 2).Draw(t, "capacity")), w.open(w.souza, 1)...)
		w.limit(policy.Terms{Approval: new(rapid.Bool().Draw(t, "approval")), PatientActive: new(rapid.IntRange(0, 2).Draw(t, "active"))})
		people := []domain.PatientID{w.ana, w.boris, w.carlos}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			var store commands.Store = w.store
			if rapid.Bool().Draw(t, "crash") {
				store = &crashing{Store: w.store, appends: rapid.IntRange(0, 4).Draw(t, "at"), after: rapid.Bool().Draw(t, "after")}
			}
			b := w.booking(rapid.SampledFrom(people).Draw(t, "who"), rapid.SampledFrom(slots[:min(4, len(slots))]).Draw(t, "slot").ID)
			do := rapid.SampledFrom([]string{"book", "move", "cancel", "undo", "hold", "go on", "go on", "answer", "wait", "open"}).Draw(t, "do")
			if do == "move" {
				b.Slots[0] = rapid.SampledFrom(slots).Draw(t, "to").ID
			}
			slots = append(slots, act(t, w, w.handler(store), do, b)...)
			w.audit()
		}
	})
}

// act does one random thing and returns the slots that it opened. Whether a
// command succeeds is the auditor's business.
func act(t *rapid.T, w *world, h *commands.Handler, do string, b commands.Booking) []schedule.Slot {
	switch do {
	case "book":
		b.By = rapid.SampledFrom([]appointment.Initiator{"", appointment.ByClinic}).Draw(t, "by")
		_, _ = h.Book(w.ctx, w.request(), b)
	case "move":
		b.By = appointment.ByClinic
		_, _ = h.Reschedule(w.ctx, w.request(), commands.Move{Booking: b})
	case "cancel":
		_, _ = h.Cancel(w.ctx, w.request(), commands.Cancellation{Appointment: b.Appointment, Initiator: appointment.ByPatient})
	case "undo":
		_, _ = h.Undo(w.ctx, w.request(), b.Appointment)
	case "hold":
		lasts := time.Duration(rapid.IntRange(1, 15).Draw(t, "lasts")) * time.Second
		if !rapid.Bool().Draw(t, "for somebody") {
			b.Patient = ""
		}
		_, _ = h.Hold(w.ctx, w.request(), commands.Holding{Booking: b, For: lasts, Session: "one"})
	case "go on":
		goOn(t, w, h, b)
	case "answer":
		if rapid.Bool().Draw(t, "approves") {
			_, _ = h.Approve(w.ctx, w.request(), b.Appointment)
		} else {
			_, _ = h.Decline(w.ctx, w.request(), commands.Refusal{Appointment: b.Appointment})
		}
	case "wait":
		w.clock.advance(time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * rapid.SampledFrom([]time.Duration{time.Second, time.Minute}).Draw(t, "unit"))
	case "open":
		return opening(t, w, h)
	}
	return nil
}

// goOn renews, releases or completes what is on hold.
func goOn(t *rapid.T, w *world, h *commands.Handler, b commands.Booking) {
	token := w.h.Token(b.Appointment, rapid.IntRange(1, 3).Draw(t, "set"))
	switch rapid.SampledFrom([]string{"renew", "release", "complete", "complete", "complete"}).Draw(t, "hold") {
	case "renew":
		_, _ = h.Renew(w.ctx, w.request(), b.Appointment, token, 10*time.Second)
	case "release":
		_, _ = h.Release(w.ctx, w.request(), b.Appointment, token)
	case "complete":
		who := rapid.SampledFrom([]domain.PatientID{b.Patient, w.ana}).Draw(t, "patient")
		_, _ = h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: token, Patient: who})
	}
}

// opening changes a schedule, or opens what it has left to open.
func opening(t *rapid.T, w *world, h *commands.Handler) []schedule.Slot {
	if rapid.Bool().Draw(t, "change") {
		pattern := w.weekdays(rapid.SampledFrom([]string{"09:00", "09:15"}).Draw(t, "from"), "12:00", rapid.SampledFrom([]int{30, 45}).Draw(t, "minutes"), rapid.IntRange(1, 2).Draw(t, "places"), 1)
		_, opening, _ := h.SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.silva, Pattern: pattern})
		return opening.Opened
	}
	opening, _ := h.OpenDays(w.ctx, w.request(), w.silva)
	return opening.Opened
}

// TestTheSameRandomHistoryIsTheSameOnBothStores compares the two logs stream
// by stream.
func TestTheSameRandomHistoryIsTheSameOnBothStores(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		atomic, stepwise := newWorld(t, false), newWorld(t, true)
		var slots []schedule.Slot
		for _, w := range []*world{atomic, stepwise} {
			slots = append(w.open(w.silva, 2), w.open(w.souza, 1)...)
		}
		people := []domain.PatientID{atomic.ana, atomic.boris, atomic.carlos}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			who, s := rapid.SampledFrom(people).Draw(t, "who"), rapid.SampledFrom(slots).Draw(t, "slot")
			cancels := rapid.Bool().Draw(t, "cancels")
			var errs [2]error
			for i, w := range []*world{atomic, stepwise} {
				if cancels {
					_, errs[i] = w.cancel(w.booking(who, s.ID).Appointment)
				} else {
					_, errs[i] = w.book(who, s.ID)
				}
			}
			require.Equal(t, fmt.Sprint(errs[0]), fmt.Sprint(errs[1]))
		}
		require.Equal(t, atomic.histories(), stepwise.histories())
	})
}
