package commands_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/commands"
	"github.com/slotbook/slotbook/domain"
	"github.com/slotbook/slotbook/domain/appointment"
	"github.com/slotbook/slotbook/domain/patient"
	"github.com/slotbook/slotbook/domain/practitioner"
	"github.com/slotbook/slotbook/domain/schedule"
)

// busyMorning books three of Silva's slots, from nine to half past ten, and one
// at eleven.
func (w *world) busyMorning() (slots []schedule.Slot, booked []domain.AppointmentID) {
	slots = w.open(w.silva, 1)
	for i, who := range []domain.PatientID{w.ana, w.boris, w.carlos} {
		done, err := w.book(who, slots[i].ID)
		require.NoError(w.t, err)
		booked = append(booked, w.idOf(done))
	}
	done, err := w.book(w.ana, slots[4].ID)
	require.NoError(w.t, err)
	return slots, append(booked, w.idOf(done))
}

func (w *world) idOf(a commands.Answer[appointment.State]) domain.AppointmentID {
	current, _ := a.State.Current()
	return current.Appointment
}

// morning is an absence from nine to half past ten.
func (w *world) morning(slots []schedule.Slot, ids ...domain.AppointmentID) commands.Absence {
	return commands.Absence{
		Practitioner: w.silva, Period: domain.Period{Start: slots[0].Start, End: slots[2].End}, Code: appointment.StaffUnavailable,
		Reason: "ill", Appointments: ids,
	}
}

func outcomes(a commands.Answer[commands.Absences]) []string {
	var all []string
	for _, v := range a.State.Visits {
		text := string(v.Outcome)
		if v.Refusal != nil {
			text += " " + v.Refusal.Rule
		}
		all = append(all, text)
	}
	return all
}

func TestAnAbsenceCancelsWhatIsBookedAndClosesWhatIsFree(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, booked := w.busyMorning()
		req := w.request()
		done, err := w.h.Absent(w.ctx, req, w.morning(slots, booked...))
		require.NoError(t, err)
		require.True(t, done.State.Complete)
		require.Equal(t, []string{"cancelled", "cancelled", "cancelled"}, outcomes(done), "the visit at eleven has nothing to do with it")
		for i, id := range booked {
			now, err := w.h.Appointment(w.ctx, id)
			require.NoError(t, err)
			require.Equal(t, i == 3, now.State.Status == appointment.Booked)
		}
		for _, s := range slots[:3] {
			require.True(t, w.slot(s.ID).Withdrawn)
			require.Zero(t, w.slot(s.ID).Taken)
		}
		require.False(t, w.slot(slots[3].ID).Withdrawn)

		before := len(w.log())
		again, err := w.h.Absent(w.ctx, req, w.morning(slots, booked...))
		require.NoError(t, err)
		require.Equal(t, outcomes(done), outcomes(again), "twice is once")
		require.True(t, again.Replayed)
		require.Len(t, w.log(), before)
		w.audit()
	})
}

func TestAnAbsenceFindsWhatWasBookedSinceItsCallerLooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, _ := w.busyMorning()
		done, err := w.h.Absent(w.ctx, w.request(), w.morning(slots))
		require.NoError(t, err)
		require.Equal(t, []string{"cancelled", "cancelled", "cancelled"}, outcomes(done))
		w.audit()
	})
}

func TestAnAbsenceMayLeaveVisitsToBeMoved(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, booked := w.busyMorning()
		c := w.morning(slots, booked...)
		c.Displace = true
		done, err := w.h.Absent(w.ctx, w.request(), c)
		require.NoError(t, err)
		require.Equal(t, []string{"displaced", "displaced", "displaced"}, outcomes(done))
		require.True(t, w.slot(slots[0].ID).Withdrawn)
		now, err := w.h.Appointment(w.ctx, booked[0])
		require.NoError(t, err)
		require.Equal(t, appointment.Booked, now.State.Status)
		displaced := func(id domain.AppointmentID) bool {
			now, err := w.h.Appointment(w.ctx, id)
			require.NoError(t, err)
			is, err := w.h.Displaced(w.ctx, now.State)
			require.NoError(t, err)
			return is
		}
		require.True(t, displaced(booked[0]))
		require.False(t, displaced(booked[3]))
		_, err = w.cancel(booked[0])
		require.NoError(t, err)
		require.False(t, displaced(booked[0]))
	})
}

func TestAnAbsenceReachesAVisitByThePartOfItsPractitioner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		silvas, souzas := w.open(w.silva, 1), w.open(w.souza, 1)
		done, err := w.h.Book(w.ctx, w.request(), commands.Booking{
			Appointment: domain.AppointmentID(domain.NewID("two")), Patient: w.ana, Slots: []domain.SlotID{silvas[0].ID, souzas[1].ID},
		})
		require.NoError(t, err)
		away := func(slots []schedule.Slot, from, to int) commands.Answer[commands.Absences] {
			t.Helper()
			absence, err := w.h.Absent(w.ctx, w.request(), commands.Absence{
				Practitioner: w.souza, Period: domain.Period{Start: slots[from].Start, End: slots[to].End}, Code: appointment.StaffUnavailable,
				Appointments: []domain.AppointmentID{w.idOf(done)},
			})
			require.NoError(t, err)
			return absence
		}
		require.Empty(t, outcomes(away(souzas, 0, 0)), "only Silva sees the patient then")
		_, _, err = w.h.Block(w.ctx, w.request(), schedule.BlockTime{Practitioner: w.souza, Block: schedule.Block{
			ID: "before", Period: souzas[1].Period, Reason: "ill",
		}})
		require.NoError(t, err)
		require.Equal(t, []string{"cancelled"}, outcomes(away(souzas, 1, 2)), "also when a block has displaced it before")
	})
}

func TestADryRunOfAnAbsenceStoresNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, booked := w.busyMorning()
		before := len(w.log())
		req := w.request()
		req.DryRun = true
		done, err := w.h.Absent(w.ctx, req, w.morning(slots, booked...))
		require.NoError(t, err)
		require.Equal(t, []string{"cancelled", "cancelled", "cancelled"}, outcomes(done))
		require.NotEmpty(t, done.Planned)
		require.Len(t, w.log(), before)
	})
}

func TestAnAbsenceLeavesVisitsThatHaveBegun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots, booked := w.busyMorning()
	w.clock.t = slots[1].Start
	_, err := w.h.Arrive(w.ctx, w.request(), booked[1], time.Time{})
	require.NoError(t, err)
	_, err = w.h.CheckIn(w.ctx, w.request(), booked[1], time.Time{})
	require.NoError(t, err)
	done, err := w.h.Absent(w.ctx, w.request(), w.morning(slots, booked...))
	require.NoError(t, err)
	require.Equal(t, []string{"refused appointment.past", "refused appointment.status", "cancelled"}, outcomes(done))
	require.True(t, done.State.Complete)
}

// An absence may die at any of its appends. What is left is finished by a
// repeat, whose report is that of a run that nothing happened to.
func TestAnInterruptedAbsenceIsFinishedByARepeat(t *testing.T) {
	t.Parallel()
	for _, stepByStep := range []bool{false, true} {
		for appends := 0; ; appends++ {
			w := newWorld(t, stepByStep)
			slots, booked := w.busyMorning()
			dying := &crashing{Store: w.store, appends: appends, after: appends%2 == 1}
			req := w.request()
			first, err := w.handler(dying).Absent(w.ctx, req, w.morning(slots, booked...))
			if err == nil && dying.dead {
				left := slices.ContainsFunc(first.State.Visits, func(v commands.Absent) bool { return v.Outcome == commands.OutcomeRefused })
				require.Equal(t, !left, first.State.Complete, "it says that it stopped half-way")
			}
			done, err := w.h.Absent(w.ctx, req, w.morning(slots, booked...))
			require.NoError(t, err)
			require.Equal(t, []string{"cancelled", "cancelled", "cancelled"}, outcomes(done))
			for _, id := range booked[:3] {
				cancelled := 0
				for _, kind := range w.types(appointment.Stream(id)) {
					if kind == (appointment.WasCancelled{}).EventType() {
						cancelled++
					}
				}
				require.Equal(t, 1, cancelled)
			}
			w.audit()
			if !dying.dead {
				break
			}
		}
	}
}

func TestAnAbsenceThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	slots, booked := w.busyMorning()
	for _, c := range []struct {
		name   string
		change func(*commands.Request, *commands.Absence)
		err    error
	}{
		{"one without a code", func(_ *commands.Request, a *commands.Absence) { a.Code = "" }, appointment.ErrBadCode},
		{"one with a code that is none", func(_ *commands.Request, a *commands.Absence) { a.Code = "tired" }, appointment.ErrBadCode},
		{"one that ends before it begins", func(_ *commands.Request, a *commands.Absence) { a.End = a.Start }, domain.ErrBadPeriod},
		{"one of nobody", func(_ *commands.Request, a *commands.Absence) { a.Practitioner = "nobody" }, practitioner.ErrNotFound},
		{"one of more than 500 visits", func(_ *commands.Request, a *commands.Absence) {
			a.Appointments = slices.Repeat(booked[:1], 501)
		}, commands.ErrAbsenceLarge},
		{"one that expects a revision", func(r *commands.Request, _ *commands.Absence) { r.Expected = new(domain.Revision) }, commands.ErrStale},
	} {
		req, a := w.request(), w.morning(slots, booked...)
		before := len(w.log())
		c.change(&req, &a)
		_, err := w.h.Absent(w.ctx, req, a)
		require.ErrorIs(t, err, c.err, c.name)
		require.Len(t, w.log(), before, c.name)
	}
	req := w.request()
	req.Hash = "one"
	_, err := w.h.Absent(w.ctx, req, w.morning(slots, booked...))
	require.NoError(t, err)
	req.Hash = "another"
	_, err = w.h.Absent(w.ctx, req, w.morning(slots, booked...))
	require.ErrorIs(t, err, commands.ErrKeyReused)
}

func rules(e commands.Explanation) []string {
	var all []string
	for _, r := range e.Reasons {
		all = append(all, r.Refusal.Rule)
	}
	return all
}

func TestWhyAnInstantCannotBeBooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, _ := w.busyMorning()
		why := func(at time.Time, who domain.PatientID) commands.Explanation {
			before := len(w.log())
			e, err := w.h.Why(w.ctx, commands.Question{Practitioner: w.silva, At: at, Patient: who})
			require.NoError(t, err)
			require.Len(t, w.log(), before, "asking changes nothing")
			return e
		}
		require.Empty(t, why(slots[3].Start, w.ana).Reasons)
		require.Equal(t, []string{"slot.taken"}, rules(why(slots[0].Start, w.boris)))
		both := why(slots[0].Start, w.ana)
		require.ElementsMatch(t, []string{"slot.taken", "occupancy.taken"}, rules(both))
		require.Equal(t, w.h.MayBook(w.ctx, commands.Question{Patient: w.ana}, slots[0].ID).(*commands.Conflict).Err.Error(), //nolint:errorlint,forcetypeassert // of a conflict
			both.Reasons[0].Refusal.Error(), "what a booking is refused by comes first")
		require.Equal(t, []string{"slot.not-found", "schedule.no-start"}, rules(why(slots[3].Start.Add(time.Minute), "")))
		require.Equal(t, []string{"slot.not-found", "schedule.not-open"}, rules(why(slots[3].Start.AddDate(0, 0, 7), "")))
		require.Equal(t, []string{"slot.not-found", "schedule.outside-hours"}, rules(why(slots[3].Start.AddDate(0, 0, 5), "")))
		w.clock.advance(slots[3].Start.Sub(w.clock.now()))
		require.Equal(t, []string{"appointment.past"}, rules(why(slots[3].Start, w.ana)))
		require.ElementsMatch(t, []string{"appointment.past", "slot.taken", "occupancy.taken"}, rules(why(slots[0].Start, w.ana)))
		_, err := w.h.Why(w.ctx, commands.Question{Practitioner: w.silva, At: monday, Patient: "nobody"})
		require.ErrorIs(t, err, patient.ErrNotFound)
	})
}

func TestWhyTimeThatWaitsForADisplacedVisitCannotBeBooked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *world) {
		slots, _ := w.busyMorning()
		w.set(w.silva, w.weekdays("09:00", "12:00", 20, 1, 1))
		e, err := w.h.Why(w.ctx, commands.Question{Practitioner: w.silva, At: slots[0].Start})
		require.NoError(t, err)
		require.Equal(t, []string{"slot.withdrawn", "schedule.waiting"}, rules(e))
	})
}

func TestWhyTheLastDayOfAllCannotBeBooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.open(w.silva, 1)
	for _, at := range []time.Time{time.Date(9999, 12, 31, 10, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 0, 0, time.UTC)} {
		e, err := w.h.Why(w.ctx, commands.Question{Practitioner: w.silva, At: at})
		require.NoError(t, err)
		require.Equal(t, []string{"slot.not-found", "schedule.not-open"}, rules(e))
	}
}
