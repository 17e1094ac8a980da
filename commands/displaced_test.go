package commands_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestARequestForWithdrawnTimeIsNotApproved(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := &scene{world: w}
		s.silvas = w.open(w.silva, 1)
		s.terms(approved())
		requested, err := w.book(w.ana, s.silvas[2].ID)
		require.NoError(t, err)
		id := w.idOf(requested)
		_, err = w.block(w.h, 10, 11)
		require.NoError(t, err)
		before := len(w.log())
		_, err = w.h.Approve(w.ctx, w.request(), id)
		require.ErrorIs(t, err, slot.ErrWithdrawn)
		require.Len(t, w.log(), before)
		_, err = w.h.Decline(w.ctx, w.request(), commands.Refusal{Appointment: id})
		require.NoError(t, err, "the clinic may still say no")
		w.audit()
	})
}

func TestAHoldOfWithdrawnTimeIsNotBooked(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{true, false} {
		both(t, func(t *testing.T, w *world) {
			slots := w.open(w.silva, 1)
			b := w.booking(w.ana, slots[2].ID)
			if !named {
				b.Patient = ""
			}
			held, err := w.h.Hold(w.ctx, w.request(), commands.Holding{Booking: b})
			require.NoError(t, err)
			_, err = w.block(w.h, 10, 11)
			require.NoError(t, err)
			_, n := held.State.Latest()
			_, err = w.h.Complete(w.ctx, w.request(), commands.Completion{Appointment: b.Appointment, Token: w.h.Token(b.Appointment, n), Patient: w.ana})
			require.ErrorIs(t, err, slot.ErrWithdrawn)
			now, err := w.h.Appointment(w.ctx, b.Appointment)
			require.NoError(t, err)
			require.Equal(t, appointment.Pending, now.State.Status)
			w.audit()
		})
	}
}

// approved are the terms of a clinic that approves what is booked.
func approved() (t policy.Terms) {
	t.Approval = new(true)
	return t
}

// unblock lifts the block of [world.block].
func (w *world) unblock(h *commands.Handler) (commands.Opening, error) {
	_, opening, err := h.Unblock(w.ctx, w.request(), schedule.Unblock{Practitioner: w.silva, Block: "b"})
	return opening, err
}

// agree fails the test when the slots do not say what the days say of them.
func (w *world) agree() {
	days := map[domain.StreamName]schedule.Day{}
	for _, r := range w.log() {
		if e, ok := r.Event.(schedule.DayOpened); ok {
			days[r.Stream] = schedule.EvolveDay(days[r.Stream], e)
		}
	}
	for _, d := range days {
		require.False(w.t, d.Fenced)
		kept := map[domain.SlotID]bool{}
		for _, s := range d.Kept() {
			kept[s.ID] = true
		}
		for _, s := range d.Slots {
			require.Equal(w.t, !kept[s.ID], w.slot(s.ID).Withdrawn, s.ID)
		}
	}
}

// mistakes close the time from ten to eleven this Monday, and open it again.
var mistakes = map[string]struct {
	close, open func(w *world) commands.Opening
}{
	"a block": {
		func(w *world) commands.Opening {
			_, o, err := w.h.Block(w.ctx, w.request(), schedule.BlockTime{Practitioner: w.silva, Block: schedule.Block{
				ID: fmt.Sprint(w.command), Reason: "fire drill", Period: domain.Period{Start: monday.Add(2 * time.Hour), End: monday.Add(3 * time.Hour)},
			}})
			require.NoError(w.t, err)
			return o
		},
		func(w *world) (o commands.Opening) {
			now, err := w.h.Schedule(w.ctx, w.silva)
			require.NoError(w.t, err)
			last := now.State.Blocks[len(now.State.Blocks)-1]
			_, o, err = w.h.Unblock(w.ctx, w.request(), schedule.Unblock{Practitioner: w.silva, Block: last.ID})
			require.NoError(w.t, err)
			return o
		},
	},
	"a day off": {
		func(w *world) commands.Opening {
			_, o, err := w.h.SetException(w.ctx, w.request(), schedule.SetException{
				Practitioner: w.silva, Exception: schedule.Exception{Date: "2026-06-01", Kind: schedule.DayOff, Reason: "holiday"},
			})
			require.NoError(w.t, err)
			return o
		},
		func(w *world) commands.Opening {
			_, o, err := w.h.RemoveException(w.ctx, w.request(), schedule.RemoveException{Practitioner: w.silva, Date: "2026-06-01"})
			require.NoError(w.t, err)
			return o
		},
	},
	"a closing day": {
		func(w *world) commands.Opening {
			w.calendar("", domain.Calendar{Open24h: true, ClosingDays: []domain.ClosingDay{{Day: "2026-06-01", Reason: "works"}}})
			return w.look()
		},
		func(w *world) commands.Opening { w.calendar("", domain.Calendar{Open24h: true}); return w.look() },
	},
	"another pattern": {
		func(w *world) commands.Opening { return w.set(w.silva, w.weekdays("11:00", "12:00", 30, 2, 1)) },
		func(w *world) commands.Opening { return w.set(w.silva, w.weekdays("09:00", "12:00", 30, 2, 1)) },
	},
}

func TestWhatWasClosedByMistakeIsReinstated(t *testing.T) {
	t.Parallel()
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var histories []map[domain.StreamName][]string
			for _, stepByStep := range []bool{false, true} {
				w := newWorld(t, stepByStep)
				slots := w.open(w.silva, 2)
				booked, err := w.book(w.ana, slots[2].ID)
				require.NoError(t, err)
				require.Equal(t, []domain.AppointmentID{w.idOf(booked)}, mistake.close(w).Displaced)
				opening := mistake.open(w)
				require.Equal(t, []domain.SlotID{slots[2].ID}, opening.Reinstated)
				require.Empty(t, opening.Waiting)
				require.Equal(t, 1, w.slot(slots[2].ID).Free())
				_, err = w.book(w.boris, slots[2].ID)
				require.NoError(t, err)
				w.agree()
				require.Zero(t, w.look())

				require.Len(t, mistake.close(w).Displaced, 2, "and it may be withdrawn again")
				_, err = w.book(w.carlos, slots[2].ID)
				require.ErrorIs(t, err, slot.ErrWithdrawn)
				require.Equal(t, []domain.SlotID{slots[2].ID}, mistake.open(w).Reinstated)
				w.agree()
				w.look()
				histories = append(histories, w.histories())
			}
			require.Equal(t, histories[0], histories[1])
		})
	}
}

func TestAReinstatedSlotHasTheWantedPlaces(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 2)
		_, err := w.book(w.ana, slots[2].ID)
		require.NoError(t, err)
		w.set(w.silva, w.weekdays("11:00", "12:00", 30, 2, 1))
		require.Len(t, w.set(w.silva, w.weekdays("09:00", "12:00", 30, 3, 1)).Reinstated, 1)
		require.Equal(t, 3, w.slot(slots[2].ID).Places)
		w.look()
	})
}

func TestWithdrawnTimeIsNotReinstatedForAnotherClinic(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		second := domain.ClinicID(domain.NewID("second"))
		_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: second, Profile: clinic.Profile{Name: "South", Zone: "Europe/Lisbon"}})
		require.NoError(t, err)
		w.silva = domain.PractitionerID(domain.NewID("both"))
		_, err = w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
			Practitioner: w.silva, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{w.clinic, second}},
		})
		require.NoError(t, err)
		slots := w.open(w.silva, 1)
		booked, err := w.book(w.ana, slots[2].ID)
		require.NoError(t, err)
		w.set(w.silva, w.weekdays("11:00", "12:00", 30, 1, 1))
		other := w.weekdays("10:00", "10:30", 30, 1, 1)
		other.Clinic = second
		require.Len(t, w.set(w.silva, other).Waiting, 1, "the other clinic waits for the visit")
		opening := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 1))
		require.Empty(t, opening.Reinstated, "ten is the other clinic's now")
		w.look()
		other.Weekly = other.Weekly[1:] // no longer on Mondays
		require.Len(t, w.set(w.silva, other).Reinstated, 1)
		w.agree()
		_, err = w.cancel(w.idOf(booked))
		require.NoError(t, err)
		w.look()
	})
}

func TestAMoveOfADisplacedVisitToWhereItIsIsRefused(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1)
		booked, err := w.book(w.ana, slots[2].ID)
		require.NoError(t, err)
		_, err = w.block(w.h, 10, 11)
		require.NoError(t, err)
		move := func() error {
			b := w.booking("", slots[2].ID)
			b.Appointment, b.By = w.idOf(booked), appointment.ByClinic
			_, err := w.h.Reschedule(w.ctx, w.request(), commands.Move{Booking: b})
			return err
		}
		require.ErrorIs(t, move(), slot.ErrWithdrawn)
		_, err = w.unblock(w.h)
		require.NoError(t, err)
		require.NoError(t, move(), "it is where it is wanted")
	})
}

func TestAReinstatementThatDiesIsFinishedByTheNextLook(t *testing.T) {
	t.Parallel()
	for n := range 10 {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at append %d, stored %t", n, after), func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, w *world) {
					slots := w.open(w.silva, 1)
					_, err := w.book(w.ana, slots[2].ID)
					require.NoError(t, err)
					_, err = w.block(w.h, 10, 11)
					require.NoError(t, err)
					dying := &crashing{Store: w.store, appends: n, after: after}
					_, err = w.unblock(w.handler(dying))
					require.Equal(t, dying.dead, err != nil)
					noOverlap(w)
					_, err = w.unblock(w.h)
					require.NoError(t, err)
					require.False(t, w.slot(slots[2].ID).Withdrawn)
					w.agree()
					w.look()
					require.Len(t, w.free(), 5)
				})
			})
		}
	}
}

// TestReinstateAgainstEverything lets a reinstatement pause before each of its
// appends, while the time is closed again, given to another pattern, or given
// back by who had it: whatever comes late changes nothing any more.
func TestReinstateAgainstEverything(t *testing.T) {
	t.Parallel()
	meanwhile := map[string]func(w *world, visit domain.AppointmentID){
		"the time is blocked again": func(w *world, _ domain.AppointmentID) {
			_, _, err := w.h.Block(w.ctx, w.request(), schedule.BlockTime{Practitioner: w.silva, Block: schedule.Block{
				ID: "again", Reason: "fire", Period: domain.Period{Start: monday, End: monday.AddDate(0, 0, 1)},
			}})
			require.NoError(w.t, err)
		},
		"it is cut in another way, and the visit is cancelled": func(w *world, visit domain.AppointmentID) {
			w.set(w.silva, w.weekdays("09:00", "12:00", 60, 1, 2))
			_, err := w.cancel(visit)
			require.NoError(w.t, err)
			w.look()
		},
		"the visit is cancelled": func(w *world, visit domain.AppointmentID) {
			_, err := w.cancel(visit)
			require.NoError(w.t, err)
			w.look()
		},
		"somebody else opens the days": func(w *world, _ domain.AppointmentID) { w.look() },
	}
	for name, other := range meanwhile {
		for at := 1; at <= 9; at++ {
			t.Run(fmt.Sprintf("%s before append %d", name, at), func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, w *world) {
					slots := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 2)).Opened
					booked, err := w.book(w.ana, slots[2].ID)
					require.NoError(t, err)
					_, err = w.block(w.h, 10, 11)
					require.NoError(t, err)
					paused := &pausing{Store: w.store, at: at, pause: func() { other(w, w.idOf(booked)) }}
					_, err = w.unblock(w.handler(paused))
					require.NoError(t, err)
					if paused.count < at {
						paused.pause()
					}
					noOverlap(w)
					w.look()
					w.agree()
					for _, s := range w.free() {
						_, err := w.h.Book(w.ctx, w.request(), w.booking(w.boris, s.ID))
						require.NoError(t, err)
					}
					w.audit()
				})
			})
		}
	}
}

// TestReinstateAcrossMidnight is the same where slots cross midnight UTC, so
// that two days may want the same time.
func TestReinstateAcrossMidnight(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 9; at++ {
		t.Run(fmt.Sprintf("paused before append %d", at), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.inNewYork()
				slots := w.set(w.silva, w.weekdays("19:30", "21:30", 60, 1, 2)).Opened // 23:30 and 00:30 UTC
				booked, err := w.book(w.ana, slots[0].ID)
				require.NoError(t, err)
				w.set(w.silva, w.weekdays("20:00", "22:00", 60, 1, 2)) // 00:00 UTC, on the next day
				paused := &pausing{Store: w.store, at: at, pause: func() {
					_, err := w.cancel(w.idOf(booked))
					require.NoError(t, err)
					w.set(w.silva, w.weekdays("20:00", "22:00", 60, 1, 2))
				}}
				_, _, err = w.handler(paused).SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.silva, Pattern: w.weekdays("19:30", "21:30", 60, 1, 2)})
				require.NoError(t, err)
				noOverlap(w)
				w.look()
				w.agree()
			})
		})
	}
}
