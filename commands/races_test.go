package commands_test

import (
	"context"
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
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/quota"
	"github.com/slotbook/slotbook/domain/resource"
	"github.com/slotbook/slotbook/domain/slot"
)

// contest lets n commands run at once over two processes, and returns the
// errors of those that failed.
func (w *world) contest(n int, do func(h *commands.Handler, req commands.Request, n int) error) []error {
	processes := []*commands.Handler{w.h, w.handler(w.store)}
	errs := make([]error, n)
	start := make(chan struct{})
	var clients sync.WaitGroup
	for i := range n {
		req := w.request()
		clients.Go(func() {
			<-start
			errs[i] = do(processes[i%2], req, i)
		})
	}
	close(start)
	clients.Wait()
	var failed []error
	for _, err := range errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// somebody registers the n-th of many patients.
func (w *world) somebody(n int) domain.PatientID {
	who := domain.PatientID(domain.NewID("patient", fmt.Sprint(n)))
	_, err := w.h.RegisterPatient(w.ctx, w.request(), patient.Register{Patient: who, Name: "x"})
	require.NoError(w.t, err)
	return who
}

func (w *world) limit(terms policy.Terms) {
	_, err := w.h.SetPolicy(w.ctx, w.request(), policy.Set{Scope: policy.Scope{Kind: policy.OfClinic, ID: string(w.clinic)}, Terms: terms})
	require.NoError(w.t, err)
}

// each requires that so many failed, and of this rule.
func each(t *testing.T, errs []error, n int, rule error) {
	t.Helper()
	require.Len(t, errs, n)
	for _, err := range errs {
		require.ErrorIs(t, err, rule)
	}
}

func TestALimitOfADayHoldsUnderConcurrentBookings(t *testing.T) {
	t.Parallel()
	for _, most := range []int{64, 63} {
		t.Run(fmt.Sprintf("64 patients want 64 slots of %d", most), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.limit(policy.Terms{PractitionerDay: &most})
				slots := w.set(w.silva, w.weekdays("09:00", "19:40", 10, 1, 1)).Opened
				require.Len(t, slots, 64)
				var who []domain.PatientID
				for n := range 64 {
					who = append(who, w.somebody(n))
				}
				lost := w.contest(64, func(h *commands.Handler, req commands.Request, n int) error {
					_, err := h.Book(w.ctx, req, w.booking(who[n], slots[n].ID))
					return err
				})
				each(t, lost, 64-most, quota.ErrPractitionerDay)
				require.Equal(t, most, w.audit().Live())
			})
		})
	}
}

func TestAPatientsLimitsHoldUnderConcurrentBookings(t *testing.T) {
	t.Parallel()
	cases := []struct {
		limit string
		terms policy.Terms
		rule  error
	}{
		{"per day", policy.Terms{PatientDay: new(3)}, quota.ErrPatientDay},
		{"with one practitioner", policy.Terms{PatientPractitioner: new(3)}, quota.ErrPatientPractitioner},
		{"in all", policy.Terms{PatientActive: new(3)}, quota.ErrPatientActive},
	}
	for _, c := range cases {
		t.Run(c.limit, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.limit(c.terms)
				slots := w.set(w.silva, w.weekdays("09:00", "17:00", 30, 1, 1)).Opened
				require.Len(t, slots, 16)
				lost := w.contest(16, func(h *commands.Handler, req commands.Request, n int) error {
					_, err := h.Book(w.ctx, req, w.booking(w.ana, slots[n].ID))
					return err
				})
				each(t, lost, 13, c.rule)
				require.Equal(t, 3, w.audit().Live())
			})
		})
	}
}

func TestOfHoldsAndBookingsForOneSlotOneWins(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		who := make([]domain.PatientID, 16)
		for n := range who {
			who[n] = w.somebody(n)
		}
		lost := w.contest(16, func(h *commands.Handler, req commands.Request, n int) error {
			if n%4 < 2 {
				_, err := h.Hold(w.ctx, req, commands.Holding{Booking: w.booking(who[n], s), Session: fmt.Sprint(n)})
				return err
			}
			_, err := h.Book(w.ctx, req, w.booking(who[n], s))
			return err
		})
		each(t, lost, 15, slot.ErrTaken)
		require.Equal(t, 0, w.slot(s).Free())
		w.audit()
	})
}

func TestASessionHoldsThreeSlotsAtMost(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.limit(policy.Terms{HoldsShare: new(100)})
		slots := w.set(w.silva, w.weekdays("09:00", "14:00", 30, 1, 1)).Opened
		lost := w.contest(10, func(h *commands.Handler, req commands.Request, n int) error {
			_, err := h.Hold(w.ctx, req, commands.Holding{Booking: w.booking("", slots[n].ID), Session: "the same"})
			return err
		})
		each(t, lost, 7, quota.ErrHolds)
		w.audit()
		w.clock.advance(10 * time.Minute)
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.booking("", slots[9].ID), Session: "the same"})
		if err != nil {
			require.ErrorIs(t, err, appointment.ErrExists, "it is one of those that were held")
		}
		w.audit()
	})
}

// Naming a patient is no way around the limit of a session, nor the other way
// round; and what is booked counts for neither.
func TestAHoldCountsForItsSessionAndItsPatient(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.set(w.silva, w.weekdays("09:00", "14:00", 30, 1, 1)).Opened
		hold := func(n int, who domain.PatientID, session string) error {
			_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.booking(who, slots[n].ID), Session: session})
			return err
		}
		for n, who := range []domain.PatientID{w.ana, w.boris, w.carlos} {
			require.NoError(t, hold(n, who, "one"))
		}
		require.ErrorIs(t, hold(3, w.somebody(3), "one"), quota.ErrHolds)
		require.NoError(t, hold(3, w.ana, "two"))
		require.NoError(t, hold(4, w.ana, ""))
		require.ErrorIs(t, hold(5, w.ana, "three"), quota.ErrHolds)
		first := w.booking(w.ana, slots[0].ID)
		_, err := w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: first.Appointment, Token: w.h.Token(first.Appointment, 1)})
		require.NoError(t, err)
		require.NoError(t, hold(5, w.ana, "one"))
		w.audit()
	})
}

func TestWhatStaffBookOfAHoldNeedsNoApproval(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.limit(policy.Terms{Approval: new(true)})
		slots := w.open(w.silva, 1)
		for n, by := range []appointment.Initiator{"", appointment.ByPatient, appointment.ByClinic} {
			b := w.booking(w.ana, slots[2+n].ID)
			_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
			require.NoError(t, err)
			answer, err := w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1), By: by})
			require.NoError(t, err)
			require.Equal(t, by == appointment.ByClinic, answer.State.Status == appointment.Booked, string(by))
		}
		w.audit()
	})
}

func TestWhatIsRequestedIsNotCountedAsAHold(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.limit(policy.Terms{Approval: new(true)})
		slots := w.open(w.silva, 1)
		for _, s := range slots[:4] {
			b := w.booking(w.ana, s.ID)
			_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
			require.NoError(t, err)
			_, err = w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1)})
			require.NoError(t, err)
		}
		w.audit()
	})
}

// TestApprovalAgainstExpiry lets two processes whose clocks differ approve a
// request and lapse it: one of them wins, and the slot has one owner.
func TestApprovalAgainstExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		ahead time.Duration // of the helper's clock
		late  time.Duration // after the deadline, by the owner's clock
		won   bool
	}{
		{"right before the deadline it is approved, also where the helper's clock is ahead", 1900 * time.Millisecond, -time.Millisecond, true},
		{"at the deadline it is too late", 0, 0, false},
		{"once it has been ended it stays so, though the owner's clock is behind", appointment.ClockSlack + time.Second, -time.Millisecond, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.limit(policy.Terms{Approval: new(true)})
				s := w.open(w.silva, 1)[2].ID
				asked, err := w.book(w.ana, s)
				require.NoError(t, err)
				w.clock.advance(asked.State.Sets[0].Deadline.Add(c.late).Sub(w.clock.now()))
				other := commands.New(commands.Config{
					Store: w.store, NewID: w.h.NewID, Patience: time.Minute, Now: func() time.Time { return w.clock.now().Add(c.ahead) },
				})
				_, helped := other.Book(w.ctx, w.request(), w.booking(w.boris, s))
				_, err = w.h.Approve(w.ctx, w.request(), asked.State.Sets[0].Appointment)
				if c.won {
					require.NoError(t, err)
					require.ErrorIs(t, helped, slot.ErrTaken)
				} else {
					require.ErrorIs(t, err, appointment.ErrLapsed)
				}
				require.Equal(t, c.ahead > appointment.ClockSlack, helped == nil)
				w.audit()
			})
		})
	}
}

func TestAnApprovalThatIsOvertakenIsInNobodysWay(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.limit(policy.Terms{Approval: new(true)})
		s, elsewhere := w.open(w.silva, 1)[2].ID, w.open(w.souza, 1)[2].ID
		asked, err := w.book(w.ana, s)
		require.NoError(t, err)
		slow := &pausing{Store: w.store, at: 1, pause: func() { // it has judged its clock; now it sleeps
			w.clock.advance(asked.State.Sets[0].Deadline.Add(appointment.ClockSlack + time.Second).Sub(w.clock.now()))
			_, err := w.book(w.boris, s)
			require.NoError(t, err)
		}}
		_, err = w.handler(slow).Approve(w.ctx, w.request(), asked.State.Sets[0].Appointment)
		require.Error(t, err)
		require.Contains(t, []error{appointment.ErrLapsed, slot.ErrTaken}, error(domain.RuleOf(err)))
		_, err = w.book(w.ana, elsewhere)
		require.NoError(t, err, "what she had asked for holds her time no more")
		w.audit()
	})
}

func (w *world) move(h *commands.Handler, req commands.Request, id domain.AppointmentID, to domain.SlotID) error {
	_, err := h.Reschedule(w.ctx, req, commands.Move{Booking: commands.Booking{Appointment: id, Slots: []domain.SlotID{to}, By: appointment.ByPatient}})
	return err
}

func TestRescheduleInRaces(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		t.Run(fmt.Sprint("against a booking of the target ", round), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				slots := w.open(w.silva, 1)
				_, err := w.book(w.ana, slots[0].ID)
				require.NoError(t, err)
				lost := w.contest(2, func(h *commands.Handler, req commands.Request, n int) error {
					if n == round%2 {
						return w.move(h, req, w.booking(w.ana, slots[0].ID).Appointment, slots[1].ID)
					}
					_, err := h.Book(w.ctx, req, w.booking(w.boris, slots[1].ID))
					return err
				})
				each(t, lost, 1, slot.ErrTaken)
				anas, err := w.h.Appointment(w.ctx, w.booking(w.ana, slots[0].ID).Appointment)
				require.NoError(t, err)
				if current, _ := anas.State.Current(); current.Slots[0] == slots[0].ID {
					require.Equal(t, 2, w.audit().Live(), "she stayed, since he has the other")
				} else {
					require.Equal(t, 1, w.audit().Live(), "she moved, and he has none")
				}
			})
		})
		t.Run(fmt.Sprint("against a cancellation ", round), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				slots := w.open(w.silva, 1)
				_, err := w.book(w.ana, slots[0].ID)
				require.NoError(t, err)
				id := w.booking(w.ana, slots[0].ID).Appointment
				lost := w.contest(2, func(h *commands.Handler, req commands.Request, n int) error {
					if n == round%2 {
						return w.move(h, req, id, slots[1].ID)
					}
					_, err := h.Cancel(w.ctx, req, commands.Cancellation{Appointment: id, Initiator: appointment.ByPatient})
					return err
				})
				for _, err := range lost {
					require.ErrorIs(t, err, appointment.ErrStatus)
				}
				require.Equal(t, 0, w.audit().Live(), "whoever was first, it is cancelled")
				(&scene{world: w}).nothingIsOwed()
				for _, s := range slots[:2] {
					_, err := w.book(w.boris, s.ID)
					require.NoError(t, err)
				}
			})
		})
		t.Run(fmt.Sprint("against another ", round), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				slots := w.open(w.silva, 1)
				_, err := w.book(w.ana, slots[0].ID)
				require.NoError(t, err)
				lost := w.contest(2, func(h *commands.Handler, req commands.Request, n int) error {
					return w.move(h, req, w.booking(w.ana, slots[0].ID).Appointment, slots[1+n].ID)
				})
				for _, err := range lost {
					require.ErrorIs(t, err, appointment.ErrChanging)
				}
				require.Less(t, len(lost), 2)
				require.Equal(t, 1, w.audit().Live())
				(&scene{world: w}).nothingIsOwed()
				require.Equal(t, 0, w.slot(slots[1].ID).Free()*w.slot(slots[2].ID).Free(), "it is at one of them")
			})
		})
	}
}

func TestPlacesAreSharedByHoldsAndBookings(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 3)[0].ID
		who := make([]domain.PatientID, 12)
		for n := range who {
			who[n] = w.somebody(n)
		}
		lost := w.contest(12, func(h *commands.Handler, req commands.Request, n int) error {
			if n%4 < 2 {
				_, err := h.Hold(w.ctx, req, commands.Holding{Booking: w.booking(who[n], s)})
				return err
			}
			_, err := h.Book(w.ctx, req, w.booking(who[n], s))
			return err
		})
		each(t, lost, 9, slot.ErrTaken)
		require.Equal(t, 0, w.slot(s).Free())
		booked := w.audit().Live()
		w.clock.advance(10 * time.Minute)
		require.Equal(t, 3-booked, w.slot(s).Free(), "holds end by themselves")
	})
}

func TestARoomIsOneVisitsAtATime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		_, err := w.h.AddResource(w.ctx, w.request(), resource.Add{Resource: room, Clinic: w.clinic, Kind: resource.Room, Name: "Room 1"})
		require.NoError(t, err)
		here, there := w.open(w.silva, 1)[0].ID, w.open(w.souza, 1)[0].ID
		lost := w.contest(2, func(h *commands.Handler, req commands.Request, n int) error {
			b := []commands.Booking{w.booking(w.ana, here), w.booking(w.boris, there)}[n]
			b.Uses = []commands.Use{{Resource: room}}
			_, err := h.Book(w.ctx, req, b)
			return err
		})
		each(t, lost, 1, occupancy.ErrTaken)
		require.Equal(t, 1, w.audit().Live())
	})
}

func TestARoomThatWasRetiredElsewhereIsNotBooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		_, err := w.h.AddResource(w.ctx, w.request(), resource.Add{Resource: room, Clinic: w.clinic, Kind: resource.Room, Name: "Room 1"})
		require.NoError(t, err)
		slots := w.open(w.silva, 1)
		b := w.booking(w.ana, slots[0].ID)
		b.Uses = []commands.Use{{Resource: room}}
		_, err = w.h.Book(w.ctx, w.request(), b) // the process has seen the room
		require.NoError(t, err)
		_, err = w.handler(w.store).RetireResource(w.ctx, w.request(), room)
		require.NoError(t, err)
		b = w.booking(w.boris, slots[1].ID)
		b.Uses = []commands.Use{{Resource: room}}
		_, err = w.h.Book(w.ctx, w.request(), b)
		require.ErrorIs(t, err, resource.ErrRetired)
	})
}

func TestAPlaceThatStaffAddedGoesWithWhoeverLeaves(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		_, err := w.book(w.ana, s)
		require.NoError(t, err)
		b := w.booking(w.boris, s)
		b.By, b.Beyond = appointment.ByClinic, "in pain"
		_, err = w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err)
		require.Equal(t, 2, w.audit().Live())
		_, err = w.cancel(b.Appointment)
		require.NoError(t, err)
		require.Equal(t, 0, w.slot(s).Free())
		_, err = w.book(w.carlos, s)
		require.ErrorIs(t, err, slot.ErrTaken)
		w.audit()
	})
}

func TestStaffAddNoPlaceForWhatIsOverdue(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.booking(w.ana, s), For: time.Second})
		require.NoError(t, err)
		w.clock.advance(time.Minute)
		b := w.booking(w.boris, s)
		b.By, b.Beyond = appointment.ByClinic, "in pain"
		_, err = w.h.Book(w.ctx, w.request(), b)
		require.NoError(t, err)
		require.Equal(t, 1, w.slot(s).Places)
		w.audit()
	})
}

func TestAMoveToWhereItIsChangesNothingAlsoAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	slots := w.open(w.silva, 1)
	_, err := w.book(w.ana, slots[0].ID)
	require.NoError(t, err)
	id := w.booking(w.ana, slots[0].ID).Appointment
	slow := &pausing{Store: w.store, at: 3, pause: func() {
		_, err := w.book(w.boris, slots[1].ID)
		require.NoError(t, err)
	}}
	require.ErrorIs(t, w.move(w.handler(slow), w.request(), id, slots[1].ID), slot.ErrTaken)
	before := len(w.log())
	require.NoError(t, w.move(w.h, w.request(), id, slots[0].ID))
	again, err := w.book(w.ana, slots[0].ID)
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Len(t, w.log(), before)
	w.audit()
}

func TestOnlyWhatWasLiveIsRestored(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.limit(policy.Terms{Approval: new(true)})
		slots := w.open(w.silva, 1)
		held, asked := w.booking("", slots[0].ID), w.booking(w.ana, slots[1].ID)
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: held})
		require.NoError(t, err)
		_, err = w.h.Book(w.ctx, w.request(), asked)
		require.NoError(t, err)
		for _, b := range []commands.Booking{held, asked} {
			_, err := w.h.Cancel(w.ctx, w.request(), commands.Cancellation{Appointment: b.Appointment, Initiator: appointment.ByClinic})
			require.NoError(t, err)
		}
		_, err = w.h.Undo(w.ctx, w.request(), held.Appointment)
		require.ErrorIs(t, err, appointment.ErrNoChange)
		again, err := w.h.Undo(w.ctx, w.request(), asked.Appointment)
		require.NoError(t, err)
		require.Equal(t, appointment.Pending, again.State.Status, "nobody has approved it")
		_, err = w.h.Approve(w.ctx, w.request(), asked.Appointment)
		require.NoError(t, err)
		_, err = w.h.Undo(w.ctx, w.request(), asked.Appointment)
		require.ErrorIs(t, err, appointment.ErrApproved)
		w.audit()
	})
}

func TestARefusalIsTakenBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := &scene{world: w}
		s.terms(policy.Terms{Approval: new(true)})
		slots := w.open(w.silva, 1)
		asked, err := w.book(w.ana, slots[1].ID)
		require.NoError(t, err)
		id := w.idOf(asked)
		decline := func() {
			_, err := w.h.Decline(w.ctx, w.request(), commands.Refusal{Appointment: id})
			require.NoError(t, err)
		}
		decline()
		for range 2 {
			again, err := w.h.Undo(w.ctx, w.request(), id)
			require.NoError(t, err, "twice is once")
			require.Equal(t, appointment.Pending, again.State.Status)
		}
		decline()
		_, err = w.book(w.boris, slots[1].ID)
		require.NoError(t, err)
		_, err = w.h.Undo(w.ctx, w.request(), id)
		require.ErrorIs(t, err, slot.ErrTaken, "somebody else was faster")
		s.nothingIsOwed()
		w.audit()
	})
}

func TestACancellationDuringAMoveIsUndoneToWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	slots := w.open(w.silva, 1)
	_, err := w.book(w.ana, slots[0].ID)
	require.NoError(t, err)
	id := w.booking(w.ana, slots[0].ID).Appointment
	require.ErrorIs(t, w.move(w.handler(&crashing{Store: w.store, appends: 2}), w.request(), id, slots[1].ID), errCrash)
	_, err = w.cancel(id)
	require.NoError(t, err)
	(&scene{world: w}).nothingIsOwed()
	for range 2 {
		restored, err := w.h.Undo(w.ctx, w.request(), id)
		require.NoError(t, err, "twice is once")
		current, _ := restored.State.Current()
		require.Equal(t, slots[0].ID, current.Slots[0])
	}
	w.audit()
}

func TestWhoHasArrivedIsNotMovedByACommandThatWasSlow(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		_, err := w.book(w.ana, slots[0].ID)
		require.NoError(t, err)
		id := w.booking(w.ana, slots[0].ID).Appointment
		at := map[bool]int{true: 1, false: 4}[w.store.Atomic()] // before the commit point
		slow := &pausing{Store: w.store, at: at, pause: func() {
			_, err := w.h.Arrive(w.ctx, w.request(), id, time.Time{})
			require.NoError(t, err)
		}}
		require.ErrorIs(t, w.move(w.handler(slow), w.request(), id, slots[1].ID), appointment.ErrStatus)
		answer, err := w.h.Appointment(w.ctx, id)
		require.NoError(t, err)
		require.Equal(t, appointment.Arrived, answer.State.Status)
		w.clock.advance(15 * time.Second)
		_, err = w.book(w.boris, slots[1].ID)
		require.NoError(t, err)
		w.audit()
	})
}

func TestAHoldOutlivesACompletionThatDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0].ID
	b := w.booking("", s)
	_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b, For: 5 * time.Minute})
	require.NoError(t, err)
	token := w.h.Token(b.Appointment, 1)
	complete := func(h *commands.Handler, who domain.PatientID) error {
		_, err := h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: token, Patient: who})
		return err
	}
	require.ErrorIs(t, complete(w.handler(&crashing{Store: w.store, appends: 2}), w.ana), errCrash)
	require.ErrorIs(t, complete(w.h, w.boris), appointment.ErrChanging)
	renewed, err := w.h.Renew(w.ctx, w.request(), b.Appointment, token, 10*time.Minute)
	require.NoError(t, err)
	require.Equal(t, appointment.Pending, renewed.State.Status)
	w.clock.advance(6 * time.Minute)
	require.NoError(t, complete(w.h, w.boris))
	require.NoError(t, complete(w.h, w.boris), "twice is once")
	require.ErrorIs(t, complete(w.h, w.ana), appointment.ErrNotHeld)
	_, err = w.book(w.ana, s)
	require.ErrorIs(t, err, slot.ErrTaken)
	require.Equal(t, 1, w.audit().Live())
}

func TestASlotWithTwoOverdueSetsOfOneAppointmentIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	s := w.open(w.silva, 1)[0].ID
	b := w.booking("", s)
	_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b, For: 5 * time.Minute})
	require.NoError(t, err)
	died := w.handler(&crashing{Store: w.store, appends: 3})
	_, err = died.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1), Patient: w.ana})
	require.ErrorIs(t, err, errCrash)
	require.Len(t, w.holders(s), 2, "the hold, and the booking that was to take its place")
	w.clock.advance(6 * time.Minute)
	require.Equal(t, 1, w.slot(s).Free())
	_, err = w.book(w.boris, s)
	require.NoError(t, err)
	w.audit()
}

// holders returns who has claims on a slot.
func (w *world) holders(id domain.SlotID) []slot.Holder {
	var s slot.State
	for _, r := range w.log() {
		if e, ok := r.Event.(slot.Event); ok && r.Stream == slot.Stream(id) {
			s = slot.Evolve(s, e)
		}
	}
	return s.Claims
}

func TestASlotIsReadWhileAnotherProcessEndsWhatIsOverdue(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: w.booking("", s), For: time.Minute})
		require.NoError(t, err)
		w.clock.advance(2 * time.Minute)
		other := &overtaken{Store: w.store, at: 3, meanwhile: func() { // after the reader has loaded the hold
			_, err := w.book(w.boris, s)
			require.NoError(t, err)
		}}
		answer, err := w.handler(other).Slot(w.ctx, s)
		require.NoError(t, err)
		require.Equal(t, 0, answer.State.Free())
		require.Less(t, other.at, 0, "it was overtaken")
	})
}

func TestASlotIsNotFreeWhileWhatIsOnHoldIsBooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0].ID
		b := w.booking("", s)
		_, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
		require.NoError(t, err)
		other := &overtaken{Store: w.store, at: 2, meanwhile: func() { // after the reader has loaded the slot, before its holder
			_, err := w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, 1), Patient: w.ana})
			require.NoError(t, err)
		}}
		answer, err := w.handler(other).Slot(w.ctx, s)
		require.NoError(t, err)
		require.Equal(t, 0, answer.State.Free())
		require.Less(t, other.at, 0, "it was overtaken")
	})
}

// overtaken is a store on which something happens before the n-th load.
type overtaken struct {
	commands.Store
	at        int
	meanwhile func()
}

func (o *overtaken) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	if o.at--; o.at == -1 {
		o.meanwhile()
	}
	return o.Store.Load(ctx, streams...)
}
