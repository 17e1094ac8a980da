package commands_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/claim"
	"github.com/slotbook/slotbook/domain/clinic"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
	"github.com/slotbook/slotbook/domain/slot"
)

func TestASchedulesDaysAreOpenedOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		opening := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 14))
		require.Len(t, opening.Opened, 10*6, "ten weekdays in fourteen days")
		before := len(w.log())
		require.Zero(t, w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 14)), "twice is once")
		again, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Zero(t, again)
		require.Len(t, w.log(), before)
	})
}

func TestTheHorizonRolls(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 2))
		w.clock.advance(3 * 24 * time.Hour) // the process slept from Monday to Thursday
		opening, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Len(t, opening.Opened, 2*6, "Thursday and Friday")
	})
}

func TestADayOfTheClinicThatSpansTwoUTCDaysIsOpenedWholly(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.clinic = domain.ClinicID(domain.NewID("seoul"))
		_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: w.clinic, Profile: clinic.Profile{Name: "Seoul", Zone: "Asia/Seoul"}})
		require.NoError(t, err)
		w.silva = domain.PractitionerID(domain.NewID("kim"))
		_, err = w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
			Practitioner: w.silva, Profile: practitioner.Profile{Name: "Dr. Kim", Clinics: []domain.ClinicID{w.clinic}},
		})
		require.NoError(t, err)
		opening := w.set(w.silva, w.weekdays("08:00", "10:00", 30, 1, 2)) // it is four in the afternoon: tomorrow is left
		require.Len(t, opening.Opened, 4)
		for range 3 {
			w.clock.advance(24 * time.Hour)
			opening, err = w.h.OpenDays(w.ctx, w.request(), w.silva)
			require.NoError(t, err)
			require.Len(t, opening.Opened, 4, "each day opens one more day: two slots on either side of midnight UTC")
		}
	})
}

func TestADayThatHasBegunOpensOnlyWhatIsAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.clock.advance(2*time.Hour + 10*time.Minute) // ten past ten in Lisbon
	require.Len(t, w.open(w.silva, 1), 3)
}

func TestAChangeWithdrawsWhatNoLongerFitsAndOpensTheRest(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old := w.open(w.silva, 1) // 9:00, 9:30 ... 11:30
		opening := w.set(w.silva, w.weekdays("10:00", "12:00", 30, 1, 1))
		require.Equal(t, []domain.SlotID{old[0].ID, old[1].ID}, opening.Withdrawn)
		require.Empty(t, opening.Opened, "the others still fit")
		_, err := w.book(w.ana, old[0].ID)
		require.ErrorIs(t, err, slot.ErrWithdrawn)
		_, err = w.book(w.ana, old[2].ID)
		require.NoError(t, err)
	})
}

func TestABookedSlotOfAnOldPatternKeepsItsTimeUnderANewOne(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old := w.open(w.silva, 1)
		booked, err := w.book(w.ana, old[0].ID) // 9:00 to 9:30
		require.NoError(t, err)
		opening := w.set(w.silva, w.weekdays("09:00", "12:00", 60, 1, 1))
		require.Len(t, opening.Withdrawn, 6)
		require.Len(t, opening.Opened, 2, "ten and eleven")
		require.Len(t, opening.Waiting, 1, "nine waits for the booked visit")
		require.Equal(t, old[0].Start, opening.Waiting[0].Start)
		w.audit()

		_, err = w.cancel(booked.State.Sets[0].Appointment)
		require.NoError(t, err)
		require.Equal(t, 0, w.slot(old[0].ID).Free(), "the last release leaves the slot gone, never free")
		released, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Len(t, released.Opened, 1)
		require.Equal(t, old[0].Start, released.Opened[0].Start)
		require.Empty(t, released.Waiting)
		_, err = w.book(w.boris, released.Opened[0].ID)
		require.NoError(t, err)
		w.audit()
	})
}

func TestAPatternTakenBackRevivesTheSlotThatIsBooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		old := w.open(w.silva, 1)
		_, err := w.book(w.ana, old[0].ID)
		require.NoError(t, err)
		w.set(w.silva, w.weekdays("10:00", "12:00", 30, 1, 1))
		opening := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 1))
		require.Len(t, opening.Opened, 1, "half past nine, as a new slot")
		require.NotEqual(t, old[1].ID, opening.Opened[0].ID)
		require.Equal(t, []domain.SlotID{old[0].ID}, opening.Reinstated, "nine is ana's")
		require.Empty(t, opening.Waiting)
		w.audit()
	})
}

func TestMorePlacesKeepTheSlot(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.open(w.silva, 1)[0]
		_, err := w.book(w.ana, s.ID)
		require.NoError(t, err)
		opening := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 2, 1))
		require.Zero(t, opening, "nothing is withdrawn and nothing new")
		_, err = w.book(w.boris, s.ID)
		require.NoError(t, err)
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 1))
		require.Equal(t, 2, w.slot(s.ID).Places, "an occupied place is never removed")
		w.audit()
	})
}

func TestTwoClinicsNeverShareAPractitionersTime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		second := domain.ClinicID(domain.NewID("second"))
		_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: second, Profile: clinic.Profile{Name: "Madrid", Zone: "Europe/Madrid"}})
		require.NoError(t, err)
		_, err = w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
			Practitioner: domain.PractitionerID(domain.NewID("both")),
			Profile:      practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{w.clinic, second}},
		})
		require.NoError(t, err)
		w.silva = domain.PractitionerID(domain.NewID("both"))
		require.Len(t, w.open(w.silva, 1), 6) // 9:00 to 12:00 in Lisbon is 10:00 to 13:00 in Madrid
		madrid := w.weekdays("12:30", "14:00", 30, 1, 1)
		madrid.Clinic = second
		opening := w.set(w.silva, madrid)
		require.Len(t, opening.Opened, 2)
		require.Len(t, opening.Overlaps, 1)
		_, opening, err = w.h.Block(w.ctx, w.request(), schedule.BlockTime{Practitioner: w.silva, Block: schedule.Block{
			ID: "early", Period: domain.Period{Start: monday, End: monday.Add(90 * time.Minute)}, Reason: "a meeting",
		}})
		require.NoError(t, err)
		require.NotEmpty(t, opening.Withdrawn)
		require.Empty(t, opening.Overlaps, "it was lost before")
		madrid = w.weekdays("12:00", "14:00", 30, 1, 1)
		madrid.Clinic = second
		lost := w.set(w.silva, madrid).Overlaps
		require.Len(t, lost, 1)
		require.Equal(t, 10, lost[0].Start.UTC().Hour(), "what was lost before is not told again")

		_, _, err = w.h.SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.souza, Pattern: madrid})
		require.ErrorIs(t, err, practitioner.ErrElsewhere)
	})
}

// TestBookAgainstChangeAgainstOpener interleaves the three at every append, in
// every order: whoever pauses, no time is given twice and no booking is lost.
func TestBookAgainstChangeAgainstOpener(t *testing.T) {
	t.Parallel()
	actors := map[string]func(w *world, h *commands.Handler, s schedule.Slot) error{
		"book": func(w *world, h *commands.Handler, s schedule.Slot) error {
			_, err := h.Book(w.ctx, w.request(), w.booking(w.ana, s.ID))
			return err
		},
		"change": func(w *world, h *commands.Handler, _ schedule.Slot) error {
			_, _, err := h.SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.silva, Pattern: w.weekdays("09:00", "12:00", 60, 1, 2)})
			return err
		},
		"open": func(w *world, h *commands.Handler, _ schedule.Slot) error {
			_, err := h.OpenDays(w.ctx, w.request(), w.silva)
			return err
		},
	}
	orders := [][3]string{
		{"book", "change", "open"},
		{"book", "open", "change"},
		{"change", "book", "open"},
		{"change", "open", "book"},
		{"open", "book", "change"},
		{"open", "change", "book"},
	}
	for _, order := range orders {
		for at := 1; at <= 8; at++ {
			t.Run(fmt.Sprintf("%s pauses before append %d", order, at), func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, w *world) {
					booked := false
					s := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 2)).Opened[6] // Tuesday, nine
					w.clock.advance(23 * time.Hour)                                       // Wednesday is to be opened
					do := func(actor string, h *commands.Handler) {
						err := actors[actor](w, h, s)
						if actor == "book" && errors.Is(err, slot.ErrWithdrawn) {
							return // the change was faster
						}
						require.NoError(t, err, actor)
						booked = booked || actor == "book"
					}
					paused := &pausing{Store: w.store, at: at, pause: func() {
						do(order[1], w.handler(w.store))
						do(order[2], w.handler(w.store))
					}}
					do(order[0], w.handler(paused))
					if paused.count < at {
						paused.pause() // it was done before: then the others come after
					}
					if booked {
						require.Equal(t, 1, w.audit().Live(), "what was acknowledged is there")
					}
					noOverlap(w)
					require.Len(t, w.free(), wanted(booked), "everything that is wanted is open, but for what the visit owns")
				})
			})
		}
	}
}

// wanted is how many slots of an hour are free on Tuesday and Wednesday in the
// end: half past nine is gone with nine while the old slot is booked.
func wanted(booked bool) int {
	if booked {
		return 5
	}
	return 6
}

// noOverlap fails the test when two slots that are open, or still occupied,
// share time.
func noOverlap(w *world) {
	var owned []domain.Period
	for _, r := range w.log() {
		opened, ok := r.Event.(schedule.DayOpened)
		if !ok || opened.Practitioner != w.silva {
			continue
		}
		for _, s := range opened.Slots {
			now := w.slot(s.ID)
			if now.Withdrawn && now.Taken == 0 {
				continue
			}
			for _, p := range owned {
				require.False(w.t, p.Overlaps(s.Period), "%v and %v", p, s.Period)
			}
			owned = append(owned, s.Period)
		}
	}
	require.NotEmpty(w.t, owned)
}

// free returns the slots of Dr. Silva that can be booked, in the order of
// their opening.
func (w *world) free() (slots []schedule.Slot) {
	for _, r := range w.log() {
		opened, ok := r.Event.(schedule.DayOpened)
		if !ok || opened.Practitioner != w.silva {
			continue
		}
		for _, s := range opened.Slots {
			if w.slot(s.ID).Free() > 0 && s.Start.After(w.clock.now()) {
				slots = append(slots, s)
			}
		}
	}
	return slots
}

// inNewYork moves Dr. Silva to a clinic whose evening crosses midnight UTC.
func (w *world) inNewYork() {
	w.clinic = domain.ClinicID(domain.NewID("new york"))
	_, err := w.h.RegisterClinic(w.ctx, w.request(), clinic.Register{Clinic: w.clinic, Profile: clinic.Profile{Name: "East", Zone: "America/New_York"}})
	require.NoError(w.t, err)
	w.silva = domain.PractitionerID(domain.NewID("silva in new york"))
	_, err = w.h.RegisterPractitioner(w.ctx, w.request(), practitioner.Register{
		Practitioner: w.silva, Profile: practitioner.Profile{Name: "Dr.", Clinics: []domain.ClinicID{w.clinic}},
	})
	require.NoError(w.t, err)
}

func TestAnOpenerWithAnOldScheduleOpensNothingBeyondTheNewHorizon(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 3; at++ {
		t.Run(fmt.Sprintf("paused before append %d", at), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 3))
				w.clock.advance(24 * time.Hour) // Thursday is to be opened
				paused := &pausing{Store: w.store, at: at, pause: func() { w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 1)) }}
				_, err := w.handler(paused).OpenDays(w.ctx, w.request(), w.silva)
				require.NoError(t, err)
				if paused.count < at {
					paused.pause() // it was done before
				}
				for _, s := range w.free() {
					require.LessOrEqual(t, domain.DayOf(s.Start), domain.Day("2026-06-02"), paused.count)
				}
			})
		})
	}
}

func TestAChangeThatDiesIsFinishedByTheNextLook(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 20; n++ {
		t.Run(fmt.Sprintf("after append %d", n), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *world) {
				w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 3))
				dying := &crashing{Store: w.store, appends: n}
				_, _, err := w.handler(dying).SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.silva, Pattern: w.weekdays("10:00", "12:00", 60, 1, 1)})
				if !dying.dead {
					require.NoError(t, err)
				}
				_, err = w.h.OpenDays(w.ctx, w.request(), w.silva)
				require.NoError(t, err)
				require.Len(t, w.free(), 2, "today at ten and eleven, and nothing beyond the new horizon")
				before := len(w.log())
				_, err = w.h.OpenDays(w.ctx, w.request(), w.silva)
				require.NoError(t, err)
				require.Len(t, w.log(), before, "twice is once")
			})
		})
	}
}

// TestNeighbouringDaysNeverOpenTheSameTime lets an opener pause at every
// append while a change dies at every append: slots cross midnight UTC.
func TestNeighbouringDaysNeverOpenTheSameTime(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 4; at++ {
		for dies := 1; dies <= 8; dies++ {
			t.Run(fmt.Sprintf("opener paused at %d, change dead at %d", at, dies), func(t *testing.T) {
				t.Parallel()
				both(t, func(t *testing.T, w *world) {
					w.inNewYork()
					w.set(w.silva, w.weekdays("19:00", "21:00", 60, 1, 2)) // 23:00 and 00:00 UTC
					w.clock.advance(24 * time.Hour)
					paused := &pausing{Store: w.store, at: at, pause: func() {
						dying := &crashing{Store: w.store, appends: dies}
						_, _, _ = w.handler(dying).SetSchedule(w.ctx, w.request(), schedule.Set{ // whether it dies is the case's business
							Practitioner: w.silva, Pattern: w.weekdays("19:30", "21:30", 60, 1, 2),
						})
					}}
					_, err := w.handler(paused).OpenDays(w.ctx, w.request(), w.silva)
					require.NoError(t, err)
					noOverlap(w)
					_, err = w.h.OpenDays(w.ctx, w.request(), w.silva)
					require.NoError(t, err)
					noOverlap(w)
				})
			})
		}
	}
}

func TestWhatWaitsForANeighbouringDayIsOpenedToo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.inNewYork()
		opened := w.set(w.silva, w.weekdays("19:00", "21:00", 60, 1, 1)).Opened
		midnight := opened[1]
		require.Equal(t, domain.Day("2026-06-02"), domain.DayOf(midnight.Start))
		booked, err := w.book(w.ana, midnight.ID)
		require.NoError(t, err)
		change := w.set(w.silva, w.weekdays("19:30", "20:30", 60, 1, 1)) // 23:30 to 00:30 UTC
		require.Len(t, change.Waiting, 1)
		require.Empty(t, change.Opened)
		_, err = w.cancel(booked.State.Sets[0].Appointment)
		require.NoError(t, err)
		opening, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Len(t, opening.Opened, 1)
		noOverlap(w)
	})
	both(t, func(t *testing.T, w *world) {
		w.inNewYork()
		w.set(w.silva, w.weekdays("19:00", "21:00", 60, 1, 1))
		require.Empty(t, w.set(w.silva, w.weekdays("19:30", "20:30", 60, 1, 1)).Waiting, "nobody is booked")
	})
}

func TestFewerPlacesAreReachedAsPlacesAreReleased(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		s := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 2, 2)).Opened[0]
		for _, who := range []domain.PatientID{w.ana, w.boris} {
			_, err := w.book(who, s.ID)
			require.NoError(t, err)
		}
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 2))
		_, err := w.cancel(w.booking(w.ana, s.ID).Appointment)
		require.NoError(t, err)
		_, err = w.book(w.carlos, s.ID)
		require.ErrorIs(t, err, slot.ErrTaken, "the schedule says one place")
		require.Equal(t, 1, w.slot(s.ID).Places)
		w.audit()
	})
}

func TestADryRunOfAScheduleListsEverythingThatItWouldStore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.open(w.silva, 1)
		before := w.histories()
		req, pattern := w.request(), w.weekdays("10:00", "12:00", 60, 1, 1)
		req.DryRun = true
		planned, dry, err := w.h.SetSchedule(w.ctx, req, schedule.Set{Practitioner: w.silva, Pattern: pattern})
		require.NoError(t, err)
		require.Equal(t, before, w.histories())
		logged := len(w.log())
		require.Equal(t, dry, w.set(w.silva, pattern), "the real one does the same")
		require.Len(t, planned.Planned, len(w.log())-logged)
	})
}

func TestAFullDayIsWithdrawnInSeveralAppends(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1000, 1)).Opened
	for _, s := range slots {
		terms := slot.Terms{Slot: s.ID, Practitioner: w.silva, Clinic: s.Clinic, Period: s.Period}
		for at := 0; at < 1000; at += 250 {
			var events []commands.NewEvent
			for n := at; n < at+250; n++ {
				id := domain.AppointmentID(domain.NewID(string(s.ID), fmt.Sprint(n)))
				holder := slot.Holder{Claim: claim.Claim{Owner: appointment.Stream(id), Set: 1}, Appointment: id, Patient: w.ana}
				events = append(events, commands.NewEvent{ID: domain.NewID("claim", string(id)), Event: slot.Booked{Terms: terms, Places: 1000, Holder: holder}})
			}
			_, err := w.store.Append(w.ctx, commands.Write{Stream: slot.Stream(s.ID), Expected: domain.Any, Events: events})
			require.NoError(t, err)
		}
	}
	opening := w.set(w.silva, w.weekdays("13:00", "14:00", 30, 1, 1))
	require.Len(t, opening.Withdrawn, len(slots))
	for _, s := range slots {
		require.True(t, w.slot(s.ID).Withdrawn)
	}
}

// counting counts what is asked of a store.
type counting struct {
	commands.Store
	loads, appends int
}

func (c *counting) Load(ctx context.Context, streams ...domain.StreamName) (map[domain.StreamName][]domain.Recorded, error) {
	c.loads++
	return c.Store.Load(ctx, streams...)
}

func (c *counting) Append(ctx context.Context, writes ...commands.Write) (domain.Position, error) {
	c.appends++
	return c.Store.Append(ctx, writes...)
}

func TestALookAtAHorizonCostsNextToNothingWhenAllIsOpen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 365))
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 7)) // the horizon is shortened
		counted := &counting{Store: w.store}
		opening, err := w.handler(counted).OpenDays(w.ctx, w.request(), w.silva)
		require.NoError(t, err)
		require.Zero(t, opening)
		require.Equal(t, counting{Store: w.store, loads: 2}, *counted)
	})
}

func TestAWithdrawalThatDiedBeforeMidnightIsFinishedAfterIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.inNewYork()
	pattern := w.weekdays("19:30", "20:30", 60, 1, 2) // 23:30 to 00:30 UTC
	old := w.set(w.silva, pattern).Opened[0]
	w.clock.advance(16 * time.Hour) // 23:00 UTC
	dying := &crashing{Store: w.store, appends: 2}
	_, _, err := w.handler(dying).SetSchedule(w.ctx, w.request(), schedule.Set{Practitioner: w.silva, Pattern: w.weekdays("20:15", "21:15", 60, 1, 2)})
	require.ErrorIs(t, err, errCrash)
	require.False(t, w.slot(old.ID).Withdrawn, "it died between the day's event and the slot's")
	w.clock.advance(65 * time.Minute) // 00:05 UTC
	opening, err := w.h.OpenDays(w.ctx, w.request(), w.silva)
	require.NoError(t, err)
	require.True(t, w.slot(old.ID).Withdrawn)
	require.Equal(t, time.Date(2026, 6, 2, 0, 15, 0, 0, time.UTC), opening.Opened[0].Start)
	noOverlap(w)
}

func TestDaysAreOpenedByABusinessClockThatIsBehindTheStores(t *testing.T) {
	t.Parallel()
	for _, behind := range []time.Duration{time.Minute, 24 * time.Hour, 40 * 24 * time.Hour} {
		both(t, func(t *testing.T, w *world) {
			w.h = w.behind(behind)
			opened := w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 7)).Opened
			require.Len(t, opened, 5*6)
			changed := w.set(w.silva, w.weekdays("10:00", "12:00", 30, 1, 14))
			require.NotEmpty(t, changed.Opened)
			_, opening, err := w.h.Block(w.ctx, w.request(), schedule.BlockTime{
				Practitioner: w.silva, Block: schedule.Block{ID: "b", Period: opened[len(opened)-1].Period, Reason: "fire drill"},
			})
			require.NoError(t, err)
			require.Len(t, opening.Withdrawn, 1)
			_, err = w.h.OpenDays(w.ctx, w.request(), w.silva)
			require.NoError(t, err)
		})
	}
}

// behind is a handler whose clock is behind the store's.
func (w *world) behind(d time.Duration) *commands.Handler {
	c := w.handler(w.store).Config
	c.Now, c.Patience = func() time.Time { return w.clock.now().Add(-d) }, 2*time.Second
	return commands.New(c)
}
