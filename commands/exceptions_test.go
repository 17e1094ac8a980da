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
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

// block closes the hours of this Monday, in Lisbon.
func (w *world) block(h *commands.Handler, from, to int) (commands.Opening, error) {
	midnight := monday.Add(-8 * time.Hour)
	_, opening, err := h.Block(w.ctx, w.request(), schedule.BlockTime{Practitioner: w.silva, Block: schedule.Block{
		ID: "b", Reason: "fire drill", Period: domain.Period{Start: midnight.Add(time.Duration(from) * time.Hour), End: midnight.Add(time.Duration(to) * time.Hour)},
	}})
	return opening, err
}

func (w *world) calendar(zone string, c domain.Calendar) {
	_, err := w.h.SetClinicCalendar(w.ctx, w.request(), w.clinic, clinic.SetCalendar{Zone: zone, Calendar: c})
	require.NoError(w.t, err)
}

func (w *world) look() commands.Opening {
	opening, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
	require.NoError(w.t, err)
	before := len(w.log())
	again, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
	require.NoError(w.t, err)
	require.Empty(w.t, again.Opened)
	require.Len(w.t, w.log(), before, "twice is once")
	noOverlap(w)
	w.audit()
	return opening
}

func TestABlockClosesFreeTimeAndDisplacesWhatIsBooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.open(w.silva, 1) // 9:00, 9:30 ... 11:30
		booked, err := w.book(w.ana, slots[2].ID)
		require.NoError(t, err)
		cancelled, err := w.book(w.boris, slots[3].ID)
		require.NoError(t, err)
		_, err = w.cancel(cancelled.State.Sets[0].Appointment)
		require.NoError(t, err)

		opening, err := w.block(w.h, 10, 11)
		require.NoError(t, err)
		require.Equal(t, []domain.SlotID{slots[2].ID, slots[3].ID}, opening.Withdrawn)
		require.Equal(t, []domain.AppointmentID{booked.State.Sets[0].Appointment}, opening.Displaced)
		require.Empty(t, opening.Opened)
		_, err = w.book(w.carlos, slots[3].ID)
		require.ErrorIs(t, err, slot.ErrWithdrawn)
		opening, err = w.block(w.h, 10, 11)
		require.NoError(t, err)
		require.Zero(t, opening, "twice is once")
		w.look()

		_, opening, err = w.h.Unblock(w.ctx, w.request(), schedule.Unblock{Practitioner: w.silva, Block: "b"})
		require.NoError(t, err)
		require.Len(t, opening.Opened, 1, "half past ten")
		require.Empty(t, opening.Waiting)
		require.Equal(t, []domain.SlotID{slots[2].ID}, opening.Reinstated, "ten is ana's again")
		w.look()
		_, err = w.cancel(booked.State.Sets[0].Appointment)
		require.NoError(t, err)
		require.Equal(t, 1, w.slot(slots[2].ID).Free(), "it is a slot like any other")
	})
}

func TestABlockOfADayTouchesFewDaysOfALongHorizon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 365))
	before := len(w.log())
	_, err := w.block(w.h, 9, 24)
	require.NoError(t, err)
	require.Less(t, len(w.log())-before, 1+6+2*12, "the block, six slots, and some days around")
}

func TestExceptionsOfADate(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.set(w.silva, w.weekdays("09:00", "12:00", 60, 1, 3)).Opened // Monday to Wednesday
		booked, err := w.book(w.ana, slots[3].ID)                              // Tuesday, nine
		require.NoError(t, err)
		set := func(e schedule.Exception) commands.Opening {
			_, opening, err := w.h.SetException(w.ctx, w.request(), schedule.SetException{Practitioner: w.silva, Exception: e})
			require.NoError(t, err)
			return opening
		}
		evening := schedule.Interval{From: 18 * 60, To: 20 * 60, SlotMinutes: 60, Capacity: 1}
		opening := set(schedule.Exception{Date: "2026-06-02", Kind: schedule.DayOff, Reason: "holiday"})
		require.Len(t, opening.Withdrawn, 3)
		require.Equal(t, []domain.AppointmentID{booked.State.Sets[0].Appointment}, opening.Displaced)
		require.Len(t, set(schedule.Exception{Date: "2026-06-03", Clinic: w.clinic, Kind: schedule.ExtraHours, Intervals: []schedule.Interval{evening}}).Opened, 2)
		opening = set(schedule.Exception{Date: "2026-06-03", Clinic: w.clinic, Kind: schedule.ChangedHours, Intervals: []schedule.Interval{evening}})
		require.Len(t, opening.Withdrawn, 3, "the morning")
		require.Empty(t, opening.Opened, "the evening stays")
		w.look()

		_, opening, err = w.h.RemoveException(w.ctx, w.request(), schedule.RemoveException{Practitioner: w.silva, Date: "2026-06-02"})
		require.NoError(t, err)
		require.Len(t, opening.Opened, 2)
		require.Empty(t, opening.Waiting)
		require.Equal(t, []domain.SlotID{slots[3].ID}, opening.Reinstated)
		require.Len(t, set(schedule.Exception{Date: "2026-06-05", Clinic: w.clinic, Kind: schedule.ExtraHours, Intervals: []schedule.Interval{evening}}).Opened, 0, "beyond the horizon")
		w.clock.advance(2 * 24 * time.Hour)
		require.Len(t, w.look().Opened, 3+3+2, "Thursday, and Friday with its evening")

		_, _, err = w.h.SetException(w.ctx, w.request(), schedule.SetException{Practitioner: "nobody"})
		require.ErrorIs(t, err, practitioner.ErrNotFound)
		_, _, err = w.h.SetException(w.ctx, w.request(), schedule.SetException{Practitioner: w.silva, Exception: schedule.Exception{Clinic: "elsewhere"}})
		require.ErrorIs(t, err, practitioner.ErrElsewhere)
	})
}

func TestAClinicsCalendarIsAdopted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.set(w.silva, w.weekdays("09:00", "12:00", 60, 1, 3))
		w.calendar("", domain.Calendar{Hours: []domain.Hours{{Weekday: 1, From: 9 * 60, To: 11 * 60}, {Weekday: 2, From: 0, To: 24 * 60}}})
		require.Len(t, w.look().Withdrawn, 1+3, "Monday at eleven, and Wednesday")
		require.Len(t, w.free(), 2+3)
		require.Equal(t, []string{"schedule.set", "schedule.clinic-adopted"}, w.types(schedule.Stream(w.silva)))

		opening := w.set(w.silva, w.weekdays("08:00", "12:00", 60, 1, 3))
		require.Len(t, opening.Opened, 1, "Tuesday at eight; Monday's is past, and the clinic opens at nine")
		w.calendar("", domain.Calendar{Open24h: true, ClosingDays: []domain.ClosingDay{{Day: "2026-06-02", Reason: "works"}}})
		w.look()
		require.Len(t, w.free(), 3+4, "Monday and Wednesday; eight o'clock on Monday is now")
		w.calendar("", domain.Calendar{Open24h: true})
		require.Len(t, w.look().Opened, 4)
	})
}

func TestAClinicThatHasACalendarBoundsAFirstSchedule(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.calendar("", domain.Calendar{Hours: []domain.Hours{{Weekday: 1, From: 9 * 60, To: 10 * 60}}})
		before := len(w.log())
		require.Len(t, w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 7)).Opened, 2)
		require.Len(t, w.log(), before+2+1, "adopted, set, and Monday opened without a fence")
		w.look()
	})
}

func TestAClinicThatMovesToAnotherZoneMovesItsSlots(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots := w.set(w.silva, w.weekdays("09:00", "12:00", 60, 1, 2)).Opened
		booked, err := w.book(w.ana, slots[0].ID) // 8:00 to 9:00 UTC
		require.NoError(t, err)
		w.calendar("Asia/Kolkata", domain.Calendar{}) // 3:30 to 6:30 UTC: today's are past
		opening := w.look()
		require.Len(t, opening.Withdrawn, 6)
		require.Equal(t, []domain.AppointmentID{booked.State.Sets[0].Appointment}, opening.Displaced)
		require.Len(t, opening.Opened, 3)
		require.Equal(t, "2026-06-02T03:30:00Z", opening.Opened[0].Start.Format(time.RFC3339))
		visit, err := w.h.Appointment(w.ctx, booked.State.Sets[0].Appointment)
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, visit.State.Status)
		require.Equal(t, slots[0].Start, visit.State.Sets[0].Start, "an instant stays what it is")
	})
}

func TestANightIsOpenedOnceOnItsTwoUTCDays(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		require.Len(t, w.set(w.silva, w.weekdays("23:00", "02:00", 60, 1, 1)).Opened, 3, "Monday's night is open to its end")
		w.clock.advance(24 * time.Hour)
		require.Len(t, w.look().Opened, 3)
	})
}

// TestAnAdoptionThatDiesIsFinishedByTheNextLook dies at every append.
func TestAnAdoptionThatDiesIsFinishedByTheNextLook(t *testing.T) {
	t.Parallel()
	for n := range 16 {
		t.Run(fmt.Sprintf("after append %d", n), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.set(w.silva, w.weekdays("09:00", "12:00", 60, 1, 3))
				w.calendar("Europe/Madrid", domain.Calendar{Hours: []domain.Hours{{Weekday: 1, From: 10 * 60, To: 12 * 60}}})
				dying := &crashing{Store: w.store, appends: n}
				_, err := w.handler(dying).OpenDays(w.ctx, w.request(), w.silva)
				if !dying.dead {
					require.NoError(t, err)
				}
				w.look()
				require.Len(t, w.free(), 2, "ten and eleven in Madrid")
			})
		})
	}
}

// TestBookAgainstBlockAgainstCalendar interleaves the three at every append:
// whoever pauses, no time is given twice and no booking is lost.
func TestBookAgainstBlockAgainstCalendar(t *testing.T) {
	t.Parallel()
	for _, order := range [][3]string{{"book", "block", "adopt"}, {"block", "adopt", "book"}, {"adopt", "book", "block"}, {"block", "book", "adopt"}} {
		for at := 1; at <= 8; at++ {
			t.Run(fmt.Sprintf("%s pauses before append %d", order, at), func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, w *world) {
					booked := 0
					slots := w.open(w.silva, 1)
					w.calendar("", domain.Calendar{Hours: []domain.Hours{{Weekday: 1, From: 9 * 60, To: 11 * 60}}})
					do := func(actor string, h *commands.Handler) {
						var err error
						switch actor {
						case "book":
							if _, err = h.Book(w.ctx, w.request(), w.booking(w.ana, slots[2].ID)); err == nil {
								booked++
							} else {
								require.ErrorIs(t, err, slot.ErrWithdrawn)
							}
							return
						case "block":
							_, err = w.block(h, 10, 11)
						case "adopt":
							_, err = h.OpenDays(w.ctx, w.request(), w.silva)
						}
						require.NoError(t, err, actor)
					}
					paused := &pausing{Store: w.store, at: at, pause: func() {
						do(order[1], w.handler(w.store))
						do(order[2], w.handler(w.store))
					}}
					do(order[0], w.handler(paused))
					if paused.count < at {
						paused.pause()
					}
					require.Equal(t, booked, w.audit().Live(), "what was acknowledged is there")
					w.look()
					require.Len(t, w.free(), 2, "nine and half past")
				})
			})
		}
	}
}

func TestStandings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 7))
	standings, err := w.h.Standings(w.ctx, w.silva, w.souza)
	require.NoError(t, err)
	require.Equal(t, []commands.Standing{
		{Revision: 0, NextDay: time.Date(2026, 6, 1, 23, 0, 0, 0, time.UTC)}, {Revision: domain.NoStream},
	}, standings)
	w.calendar("", domain.Calendar{Open24h: true})
	standings, err = w.h.Standings(w.ctx, w.silva)
	require.NoError(t, err)
	require.True(t, standings[0].Stale)
}
