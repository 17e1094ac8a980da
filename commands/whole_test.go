package commands_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/policy"
	"github.com/slotbook/slotbook/domain/series"
	"github.com/slotbook/slotbook/domain/slot"
	"github.com/slotbook/slotbook/domain/visittype"
)

// whole is a series of so many Mondays, all or none, in a clinic that is open
// for long enough.
func (w *world) whole(weeks int) commands.SeriesBooking {
	b := w.series(weeks)
	b.Whole = true
	return b
}

func (w *world) openLong() { w.set(w.silva, w.weekdays("09:00", "12:00", 30, 1, 40)) }

// seriesSlot returns the slot of the series' n-th date, from 0.
func (w *world) seriesSlot(n int) domain.SlotID {
	id, err := w.h.SlotAt(w.ctx, w.silva, monday.AddDate(0, 0, 7*n).Truncate(24*time.Hour).Add(8*time.Hour+30*time.Minute))
	require.NoError(w.t, err)
	return id
}

// has requires that the patient has exactly so many visits that are booked.
func (w *world) has(n int) {
	live := map[domain.StreamName]appointment.Status{}
	states := map[domain.StreamName]appointment.State{}
	for _, r := range w.log() {
		if e, ok := r.Event.(appointment.Event); ok {
			states[r.Stream] = appointment.Evolve(states[r.Stream], e)
		}
	}
	for stream, s := range states {
		current, _ := s.Current()
		answer, err := w.h.Appointment(w.ctx, current.Appointment)
		require.NoError(w.t, err)
		if current.Patient == w.ana && answer.State.Status == appointment.Booked {
			live[stream] = answer.State.Status
		}
	}
	require.Len(w.t, live, n)
}

func TestAWholeSeriesIsBookedWithEveryDate(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		req, wish := w.request(), w.whole(4)
		done, err := w.h.BookSeries(w.ctx, req, wish)
		require.NoError(t, err)
		require.Equal(t, series.Booked, done.State.Status)
		require.Len(t, done.State.Visits, 4)
		require.Equal(t, []string{"series.proposed", "series.booked"}, w.types(series.Stream(wish.Series)))
		log := w.log()
		require.Equal(t, log[len(log)-1].Position, done.Position)
		for n, v := range done.State.Visits {
			require.Equal(t, []string{"appointment.proposed", "appointment.booked"}, w.types(appointment.Stream(v.Appointment)))
			require.Equal(t, 0, w.slot(w.seriesSlot(n)).Free())
		}
		w.has(4)
		again, err := w.h.BookSeries(w.ctx, req, wish)
		require.NoError(t, err)
		require.True(t, again.Replayed)
		require.Equal(t, done.State, again.State)
		require.Equal(t, done.Revision, again.Revision)
		require.Len(t, w.log(), len(log), "a repeat stores nothing")
		_, err = w.h.BookSeries(w.ctx, w.request(), wish)
		require.ErrorIs(t, err, series.ErrExists)
		other := req
		other.Hash = "another body"
		_, err = w.h.BookSeries(w.ctx, other, wish)
		require.ErrorIs(t, err, commands.ErrKeyReused)
		seen := w.request()
		seen.Expected = new(domain.Revision(7))
		_, err = w.h.BookSeries(w.ctx, seen, wish)
		require.ErrorIs(t, err, commands.ErrStale)
		require.Equal(t, 4, w.audit().Live())
		_, err = w.cancel(done.State.Visits[1].Appointment)
		require.NoError(t, err, "each visit is an appointment of its own from then on")
		require.Equal(t, 3, w.audit().Live())
	})
}

func TestBothStoresKeepTheSameHistoryOfAWholeSeries(t *testing.T) {
	t.Parallel()
	var all [2]map[domain.StreamName][]string
	for i, stepByStep := range []bool{false, true} {
		w := newWorld(t, stepByStep)
		w.limit(policy.Terms{PatientActive: new(4), PractitionerWeek: new(1)})
		w.set(w.silva, w.weekdays("09:00", "12:00", 30, 2, 40)) // a session: each visit has a turn
		_, err := w.h.BookSeries(w.ctx, w.request(), w.whole(4))
		require.NoError(t, err)
		all[i] = w.histories()
	}
	require.Equal(t, all[0], all[1])
}

func TestAWholeSeriesIsRefusedWithEveryDateThatCannotBeHad(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		_, err := w.book(w.boris, w.seriesSlot(1))
		require.NoError(t, err)
		before := len(w.log())
		var unmet []commands.Unmet
		w.h.Refused = func(u commands.Unmet) { unmet = append(unmet, u) }
		req, wish := w.request(), w.whole(7)
		_, err = w.h.BookSeries(w.ctx, req, wish)
		require.ErrorIs(t, err, commands.ErrSeriesRefused)
		require.Equal(t, domain.Conflict, domain.RuleOf(err).Kind)
		var refused *commands.SeriesRefused
		require.ErrorAs(t, err, &refused)
		var days []string
		for _, m := range refused.Series.Missed {
			days = append(days, string(m.Day)+" "+m.Rule)
		}
		require.Equal(t, []string{"2026-06-08 slot.taken", "2026-07-13 series.no-slot"}, days)
		require.Len(t, w.log(), before, "an ordinary refusal leaves nothing")
		require.Len(t, unmet, 1, "what has no slot has no demand")
		require.Equal(t, "slot.taken", unmet[0].Rule)
		_, err = w.h.Series(w.ctx, wish.Series)
		require.ErrorIs(t, err, series.ErrNotFound)

		_, err = w.cancel(w.booking(w.boris, w.seriesSlot(1)).Appointment)
		require.NoError(t, err)
		wish.Recurrence.Count = 6
		_, err = w.h.BookSeries(w.ctx, req, wish)
		require.NoError(t, err, "refusals are not remembered")
		require.Equal(t, 6, w.audit().Live())
	})
}

func TestTheFirstDateSaysWhatKindOfRefusalItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.openLong()
	wish := w.whole(2)
	wish.Recurrence.At = 20 * 60
	_, err := w.h.BookSeries(w.ctx, w.request(), wish)
	require.ErrorIs(t, err, commands.ErrSeriesRule)
	require.Equal(t, domain.Refused, domain.RuleOf(err).Kind)
}

func TestTheDatesOfAWholeSeriesCountForEachOther(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		w.limit(policy.Terms{PatientActive: new(3)})
		before := len(w.log())
		_, err := w.h.BookSeries(w.ctx, w.request(), w.whole(5))
		var refused *commands.SeriesRefused
		require.ErrorAs(t, err, &refused)
		require.Len(t, refused.Series.Missed, 2)
		require.Equal(t, "2026-06-22", string(refused.Series.Missed[0].Day))
		require.Equal(t, "quota.patient-active", refused.Series.Missed[0].Rule)
		require.Len(t, w.log(), before)
		_, err = w.h.BookSeries(w.ctx, w.request(), w.whole(3))
		require.NoError(t, err)
		require.Equal(t, 3, w.audit().Live())
	})
}

func TestAWholeSeriesDoesNotWaitForApproval(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		w.limit(policy.Terms{Approval: new(true)})
		wish := w.whole(2)
		_, err := w.h.BookSeries(w.ctx, w.request(), wish)
		require.ErrorIs(t, err, commands.ErrSeriesApproval)
		wish.By = appointment.ByClinic
		_, err = w.h.BookSeries(w.ctx, w.request(), wish)
		require.NoError(t, err)
		require.Equal(t, 2, w.audit().Live())
	})
}

func TestADryRunOfAWholeSeriesStoresNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		before := len(w.log())
		req, wish := w.request(), w.whole(3)
		dry := req
		dry.DryRun = true
		planned, err := w.h.BookSeries(w.ctx, dry, wish)
		require.NoError(t, err)
		require.Len(t, w.log(), before)
		done, err := w.h.BookSeries(w.ctx, req, wish)
		require.NoError(t, err)
		require.Equal(t, done.State, planned.State)
		var plan, did []string
		for _, p := range planned.Planned {
			plan = append(plan, string(p.Stream)+" "+p.Event.EventType())
		}
		for _, r := range w.log()[before:] {
			did = append(did, string(r.Stream)+" "+r.Event.EventType())
		}
		require.Equal(t, did, plan)
	})
}

// dates is of how many visits the series is that dies half-way.
const dates = 3

// eachSeriesDeath lets a whole series die at each of its appends, before or
// after it is stored: proposed, three times proposed and two claims, booked, and
// three times booked.
func eachSeriesDeath(t *testing.T, test func(t *testing.T, w *world, req commands.Request, booked bool)) {
	t.Helper()
	const commit = 1 + 3*dates
	for n := range commit + 1 + dates {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at append %d, stored %t", n, after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, true)
				w.openLong()
				req, dying := w.request(), &crashing{Store: w.store, appends: n, after: after}
				_, err := w.handler(dying).BookSeries(w.ctx, req, w.whole(dates))
				require.True(t, dying.dead, "the series has fewer appends")
				if n > commit {
					require.NoError(t, err, "from the commit point on nothing fails the command")
				} else {
					require.ErrorIs(t, err, errCrash)
				}
				w.audit()
				test(t, w, req, n > commit || n == commit && after)
			})
		}
	}
	t.Run("at the one append of a store that takes many", func(t *testing.T) {
		t.Parallel()
		for _, after := range []bool{false, true} {
			w := newWorld(t, false)
			w.openLong()
			req := w.request()
			_, err := w.handler(&crashing{Store: w.store, after: after}).BookSeries(w.ctx, req, w.whole(dates))
			require.ErrorIs(t, err, errCrash)
			test(t, w, req, after)
		}
	})
}

func TestAnInterruptedWholeSeriesIsFinishedByItsRepeat(t *testing.T) {
	t.Parallel()
	eachSeriesDeath(t, func(t *testing.T, w *world, req commands.Request, _ bool) {
		done, err := w.h.BookSeries(w.ctx, req, w.whole(dates))
		require.NoError(t, err)
		require.Equal(t, series.Booked, done.State.Status)
		require.Equal(t, []string{"series.proposed", "series.booked"}, w.types(series.Stream(done.State.ID)), "the round goes on")
		for _, v := range done.State.Visits {
			require.Equal(t, []string{"appointment.proposed", "appointment.booked"}, w.types(appointment.Stream(v.Appointment)))
		}
		require.Equal(t, dates, w.audit().Live())
		w.has(dates)
	})
}

func TestAnInterruptedWholeSeriesIsRepeatedAfterItsDeadline(t *testing.T) {
	t.Parallel()
	eachSeriesDeath(t, func(t *testing.T, w *world, req commands.Request, _ bool) {
		w.clock.advance(time.Minute)
		_, err := w.h.BookSeries(w.ctx, req, w.whole(dates))
		require.NoError(t, err)
		require.Equal(t, dates, w.audit().Live())
		w.has(dates)
		(&scene{world: w}).nothingIsOwed()
	})
}

func TestAnInterruptedWholeSeriesIsWholeOrNothingForEverybodyElse(t *testing.T) {
	t.Parallel()
	eachSeriesDeath(t, func(t *testing.T, w *world, _ commands.Request, booked bool) {
		if !booked {
			w.has(0)
		}
		w.clock.advance(time.Minute)
		for n := range dates {
			_, err := w.book(w.boris, w.seriesSlot(n))
			if booked {
				require.ErrorIs(t, err, slot.ErrTaken)
			} else {
				require.NoError(t, err, "nobody has a part of it")
			}
		}
		require.Equal(t, dates, w.audit().Live())
		if booked {
			w.has(dates)
		} else {
			w.has(0)
		}
		w.audit()
	})
}

func TestThePatientsTimeIsFreeAfterASeriesHasDied(t *testing.T) {
	t.Parallel()
	eachSeriesDeath(t, func(t *testing.T, w *world, _ commands.Request, booked bool) {
		w.set(w.souza, w.weekdays("09:00", "12:00", 30, 1, 40))
		w.clock.advance(time.Minute)
		for n := range dates {
			at := monday.AddDate(0, 0, 7*n).Truncate(24 * time.Hour).Add(8*time.Hour + 30*time.Minute)
			id, err := w.h.SlotAt(w.ctx, w.souza, at)
			require.NoError(t, err)
			_, err = w.book(w.ana, id)
			require.Equal(t, booked, err != nil)
		}
		require.Equal(t, dates, w.audit().Live())
	})
}

// waiting lets a whole series die right after its commit point, and returns its
// first appointment, whose own stream does not say yet that it is booked.
func (w *world) waiting() domain.AppointmentID {
	dying := &crashing{Store: w.store, appends: 1 + 3*dates, after: true}
	_, err := w.handler(dying).BookSeries(w.ctx, w.request(), w.whole(dates))
	require.ErrorIs(w.t, err, errCrash)
	id := domain.AppointmentID(domain.NewID(string(w.whole(dates).Series), "visit", "2026-06-01"))
	require.Equal(w.t, []string{"appointment.proposed"}, w.types(appointment.Stream(id)))
	return id
}

func TestAVisitIsBookedWhenItsSeriesIs(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(w *world, id domain.AppointmentID) error{
		"read": func(w *world, id domain.AppointmentID) error {
			answer, err := w.h.Appointment(w.ctx, id)
			require.Equal(w.t, appointment.Booked, answer.State.Status)
			return err
		},
		"cancel": func(w *world, id domain.AppointmentID) error {
			_, err := w.cancel(id)
			require.Equal(w.t, 1, w.slot(w.seriesSlot(0)).Free())
			return err
		},
		"reschedule": func(w *world, id domain.AppointmentID) error {
			answer, err := w.h.Reschedule(w.ctx, w.request(), commands.Move{Booking: commands.Booking{
				Appointment: id, Slots: []domain.SlotID{w.set(w.souza, w.weekdays("10:00", "12:00", 30, 1, 1)).Opened[0].ID}, By: appointment.ByClinic,
			}})
			require.Equal(w.t, 1, answer.State.Moves)
			return err
		},
		"arrive": func(w *world, id domain.AppointmentID) error {
			w.clock.advance(85 * time.Minute)
			_, err := w.h.Arrive(w.ctx, w.request(), id, time.Time{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			w.openLong()
			id := w.waiting()
			require.NoError(t, do(w, id))
			require.Equal(t, []string{"appointment.proposed", "appointment.booked"}, w.types(appointment.Stream(id))[:2])
			w.audit()
		})
	}
}

func TestAVisitOfASeriesUnderWayIsNotCancelledAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.openLong()
	dying := &crashing{Store: w.store, appends: 4}
	_, err := w.handler(dying).BookSeries(w.ctx, w.request(), w.whole(dates))
	require.ErrorIs(t, err, errCrash)
	id := domain.AppointmentID(domain.NewID(string(w.whole(dates).Series), "visit", "2026-06-01"))
	_, err = w.cancel(id)
	require.ErrorIs(t, err, appointment.ErrChanging)
	answer, err := w.h.Appointment(w.ctx, id)
	require.NoError(t, err)
	require.Equal(t, appointment.Proposed, answer.State.Status)
	w.clock.advance(time.Minute)
	before := len(w.log())
	_, err = w.h.Appointment(w.ctx, id)
	require.NoError(t, err)
	require.Len(t, w.log(), before, "a read ends nothing")
	_, err = w.cancel(id)
	require.NoError(t, err)
	require.Equal(t, []string{"series.proposed", "series.lapsed"}, w.types(series.Stream(w.whole(dates).Series)))
	require.Equal(t, 0, w.audit().Live())
}

// A helper ends a series while its owner is about to book it: one of them wins.
func TestLapseAgainstTheBookingOfAWholeSeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.openLong()
	var helped error
	slow := &pausing{Store: w.store, at: 2 + 3*dates, pause: func() {
		w.clock.advance(time.Minute) // the owner has judged its clock; now it sleeps
		_, helped = w.book(w.boris, w.seriesSlot(1))
	}}
	_, err := w.handler(slow).BookSeries(w.ctx, w.request(), w.whole(dates))
	require.NoError(t, helped)
	require.ErrorIs(t, err, commands.ErrSeriesRefused)
	require.Equal(t, 1, w.audit().Live())
	w.has(0)
}

// A process that was away while its series was ended goes on to propose and
// claim: nothing of that counts.
func TestAnOwnerThatWasAwayBooksNoPart(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 1+3*dates; n++ {
		w := newWorld(t, true)
		w.openLong()
		slow := &pausing{Store: w.store, at: n, pause: func() {
			w.clock.advance(time.Minute)
			for d := range dates {
				_, err := w.book(w.boris, w.seriesSlot(d))
				require.NoError(t, err)
			}
		}}
		_, err := w.handler(slow).BookSeries(w.ctx, w.request(), w.whole(dates))
		require.ErrorIs(t, err, commands.ErrSeriesRefused)
		require.Equal(t, dates, w.audit().Live())
		w.has(0)
	}
}

func TestADateThatIsLostHalfWayEndsTheWholeSeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.openLong()
	slow := &pausing{Store: w.store, at: 3 * dates, pause: func() { // before the last date
		_, err := w.book(w.boris, w.seriesSlot(dates-1))
		require.NoError(t, err)
	}}
	_, err := w.handler(slow).BookSeries(w.ctx, w.request(), w.whole(dates))
	var refused *commands.SeriesRefused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "slot.taken", refused.Series.Missed[0].Rule)
	require.Equal(t, []string{"series.proposed", "series.refused"}, w.types(series.Stream(w.whole(dates).Series)))
	require.Equal(t, 1, w.audit().Live())
	(&scene{world: w}).nothingIsOwed()
	for n := range dates - 1 {
		_, err := w.book(w.boris, w.seriesSlot(n))
		require.NoError(t, err, "at once: nothing of it is held")
	}
	found, err := w.h.Series(w.ctx, w.whole(dates).Series)
	require.NoError(t, err)
	require.Equal(t, series.Refused, found.State.Status)
}

func TestAWholeSeriesAgainstBookingsOfItsDates(t *testing.T) {
	t.Parallel()
	for round := range 8 {
		both(t, func(t *testing.T, w *world) {
			w.openLong()
			wish := w.whole(dates)
			lost := w.contest(2, func(h *commands.Handler, req commands.Request, n int) error {
				if n == 0 {
					_, err := h.BookSeries(w.ctx, req, wish)
					return err
				}
				_, err := h.Book(w.ctx, req, w.booking(w.boris, w.seriesSlot(round%dates)))
				return err
			})
			require.Len(t, lost, 1, "exactly one of them wins")
			if live := w.audit().Live(); live == dates {
				require.ErrorIs(t, lost[0], slot.ErrTaken)
				w.has(dates)
			} else {
				require.Equal(t, 1, live)
				require.ErrorIs(t, lost[0], commands.ErrSeriesRefused)
				w.has(0)
			}
		})
	}
}

func TestOneOfTwoWholeSeriesGetsTheDates(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		mine, theirs := w.whole(dates), w.whole(dates)
		theirs.Series, theirs.Patient = domain.SeriesID(domain.NewID("another")), w.boris
		lost := w.contest(2, func(h *commands.Handler, req commands.Request, n int) error {
			_, err := h.BookSeries(w.ctx, req, []commands.SeriesBooking{mine, theirs}[n])
			return err
		})
		each(t, lost, 1, commands.ErrSeriesRefused)
		require.Equal(t, dates, w.audit().Live())
	})
}

// The same command in two processes at once has one effect.
func TestAWholeSeriesSentTwiceAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.openLong()
		same := w.request()
		lost := w.contest(4, func(h *commands.Handler, _ commands.Request, _ int) error {
			_, err := h.BookSeries(w.ctx, same, w.whole(dates))
			return err
		})
		require.Empty(t, lost)
		require.Equal(t, dates, w.audit().Live())
	})
}

// A series that is more than one append takes goes step by step on every store.
func TestALongWholeSeries(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		w.limit(policy.Terms{PatientActive: new(200), PatientDay: new(9), PractitionerDay: new(99), PractitionerWeek: new(99), PatientPractitioner: new(200)})
		_, err := w.h.DefineVisitType(w.ctx, w.request(), visittype.Define{
			VisitType: checkUp, Clinic: w.clinic, Terms: visittype.Terms{Name: "Long", Duration: 60},
		})
		require.NoError(t, err)
		w.set(w.silva, w.weekdays("09:30", "10:30", 30, 1, 365))
		store, wish := &counting{Store: w.store}, w.whole(52)
		wish.VisitType = checkUp
		done, err := w.handler(store).BookSeries(w.ctx, w.request(), wish)
		require.NoError(t, err)
		require.Len(t, done.State.Visits, 52)
		require.Len(t, done.State.Visits[0].Slots, 2)
		require.Greater(t, store.appends, 52)
		require.Equal(t, 52, w.audit().Live())
	})
}

// TestNoSequenceOfSeriesAndCrashesBreaksTheInvariants lets random clients book
// series and single dates, cancel, wait and die, on both stores.
func TestNoSequenceOfSeriesAndCrashesBreaksTheInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Bool().Draw(t, "step by step"))
		w.set(w.silva, w.weekdays("09:30", "10:00", 30, rapid.IntRange(1, 2).Draw(t, "capacity"), 29))
		w.limit(policy.Terms{PatientActive: new(4)})
		asked := map[string]commands.Request{}
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			var store commands.Store = w.store
			if rapid.Bool().Draw(t, "crash") {
				store = &crashing{Store: w.store, appends: rapid.IntRange(0, 20).Draw(t, "at"), after: rapid.Bool().Draw(t, "after")}
			}
			w.actOnSeries(t, w.handler(store), asked)
			w.audit()
		}
	})
}

// actOnSeries does one random thing. A series is asked for by the same command
// each time.
func (w *world) actOnSeries(t *rapid.T, h *commands.Handler, asked map[string]commands.Request) {
	who := rapid.SampledFrom([]domain.PatientID{w.ana, w.boris, w.carlos}).Draw(t, "who")
	week := rapid.IntRange(0, 3).Draw(t, "week")
	wish := w.whole(rapid.IntRange(1, 4-week).Draw(t, "dates"))
	wish.Patient, wish.Recurrence.First = who, domain.DayOf(monday.AddDate(0, 0, 7*week))
	name := fmt.Sprint(who, week, wish.Recurrence.Count)
	wish.Series = domain.SeriesID(domain.NewID("series", name))
	switch rapid.SampledFrom([]string{"series", "series", "book", "cancel", "cancel a visit", "wait", "read"}).Draw(t, "do") {
	case "series":
		if _, again := asked[name]; !again {
			asked[name] = w.request()
		}
		_, _ = h.BookSeries(w.ctx, asked[name], wish) // whether it succeeds is the auditor's business
	case "book":
		_, _ = h.Book(w.ctx, w.request(), w.booking(who, w.seriesSlot(week)))
	case "cancel":
		_, _ = h.Cancel(w.ctx, w.request(), commands.Cancellation{
			Appointment: w.booking(who, w.seriesSlot(week)).Appointment, Initiator: appointment.ByClinic, Code: "other",
		})
	case "cancel a visit":
		_, _ = h.Cancel(w.ctx, w.request(), commands.Cancellation{
			Appointment: visitOf(wish), Initiator: appointment.ByClinic, Code: "other",
		})
	case "wait":
		w.clock.advance(time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * time.Second)
	case "read":
		_, _ = h.Appointment(w.ctx, visitOf(wish))
	}
}

// visitOf returns the first visit of a series.
func visitOf(b commands.SeriesBooking) domain.AppointmentID {
	return domain.AppointmentID(domain.NewID(string(b.Series), "visit", string(b.Recurrence.First)))
}
